"""The bench's own arithmetic: agreement spelled out by hand, and a page whose parts don't overwrite each other."""

import polars as pl
import pytest

from bench.identity import MILLION, PART, Agreement, agreement, kept, written


def test_agreement_of_five_records() -> None:
    told = agreement(pl.Series(list("aaabb")), pl.Series(list("xxyyz")))  # of 4 true pairs 2 are told, 1 of them right
    assert told.told == 3
    assert told.pairs == pytest.approx((1 / 2, 1 / 4, 1 / 3))
    precision, recall = (1 + 1 + 1 / 2 + 1 / 2 + 1) / 5, (2 / 3 + 2 / 3 + 1 / 3 + 1 / 2 + 1 / 2) / 5
    assert told.bcubed == pytest.approx((precision, recall, 2 * precision * recall / (precision + recall)))


def test_agreement_where_nobody_is_said_to_be_one() -> None:
    assert agreement(pl.Series(list("ab")), pl.Series(list("xy"))) == Agreement(2, (1.0, 1.0, 1.0), (1.0, 1.0, 1.0))


def test_a_part_of_the_page_is_replaced_and_the_others_stay() -> None:
    page = written(written("# Findings\n\nfine\n", f"{PART}\n\nold\n"), f"{MILLION}\n\nbig\n")
    again = written(page, f"{PART}\n\nnew\n")
    assert again == f"# Findings\n\nfine\n\n{PART}\n\nnew\n\n{MILLION}\n\nbig\n"
    assert kept(again) == f"\n{PART}\n\nnew\n\n{MILLION}\n\nbig\n"
    assert kept("# Findings\n") == ""
