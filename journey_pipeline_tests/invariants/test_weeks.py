"""The life of findings over weeks, through the real judging and the real fold, against lives drawn beforehand."""

from datetime import date

import polars as pl
import pytest

from bench import weeks
from bench.weeks import Life
from journey_pipeline.invariants import findings

THIRD, FOURTH, FIFTH = date(2026, 3, 4), date(2026, 3, 5), date(2026, 3, 6)  # the days of these letters


@pytest.mark.parametrize(
    ("life", "expected"),
    [
        ("....", None),
        ("..x", Life("open", THIRD, THIRD, None, 0, 0, None)),
        ("..xx", Life("open", THIRD, FOURTH, None, 0, 0, None)),
        ("..x.", Life("resolved", THIRD, THIRD, FOURTH, 0, 0, None)),
        ("..x..", Life("resolved", THIRD, THIRD, FOURTH, 0, 0, None)),
        ("..x.x", Life("reopened", THIRD, FIFTH, None, 1, 0, None)),
        ("..xww", Life("waived", THIRD, THIRD, None, 0, 0, FIFTH)),
        ("..xwx", Life("open", THIRD, FIFTH, None, 0, 0, None)),
        ("..x??", Life("open", THIRD, THIRD, None, 0, 2, None)),
        ("..x.?", Life("resolved", THIRD, THIRD, FOURTH, 0, 0, None)),
        ("..?xw", Life("waived", FOURTH, FOURTH, None, 0, 0, FIFTH)),
        ("..x.w", Life("resolved", THIRD, THIRD, FOURTH, 0, 0, None)),
        ("..w.w", None),
    ],
)
def test_what_a_life_should_end_as(life: str, expected: Life | None) -> None:
    assert weeks.truth(life, life) == expected


def test_the_drawn_lives_have_everything_in_them() -> None:
    ends = [weeks.truth(life, life) for life in weeks.draw(60, 1)]
    assert {life.status for life in ends if life} == {"open", "reopened", "waived", "resolved"}
    assert max(life.reopened_count for life in ends if life) > 2
    assert max(life.unknown_days for life in ends if life) == 3
    assert None in ends


def test_every_finding_lives_as_it_was_drawn_and_an_outage_is_one_incident_to_its_end() -> None:
    outcome = weeks.simulate(40, 2, days=52)
    assert outcome.wrong == []
    assert outcome.compared == 40 * 52
    assert len(outcome.outage_ids) == 1
    assert "single" not in outcome.outage_ids
    assert outcome.outage_lasted == 15  # broken on the 31st day; the last is mended on the 46th


def test_a_fold_that_forgets_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = findings.fold
    monkeypatch.setattr(
        findings, "fold", lambda before, rows: real(before.filter(pl.col("status") != "resolved"), rows)
    )
    assert weeks.simulate(40, 2, days=20).wrong != []
