"""Totals of money at risk, as properties: whatever findings there are, each payment counts once and no currency meets another."""

from collections import defaultdict

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from journey_pipeline.invariants import totals
from journey_pipeline.invariants.incidents import _sums
from journey_pipeline.invariants.money import per_ref
from journey_pipeline.registry import TABLES
from journey_pipeline.report import figures

SCHEMA = TABLES["findings"].schema
REFS = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 900)), max_size=3, unique_by=lambda ref: ref[0])
FINDINGS = st.lists(
    st.tuples(
        st.sampled_from(["open", "reopened", "waived", "resolved"]), st.sampled_from(["paid", "due", "leak", "expected"]),
        st.sampled_from(["EUR", "USD"]), REFS, st.sampled_from(["ann", "ben"]), st.sampled_from(["i1", "i2", None]),
    ),
    max_size=12,
)  # fmt: skip


def frame(drawn: list[tuple[str, str, str, list[tuple[str, int]], str, str | None]]) -> pl.DataFrame:
    rows = [
        dict.fromkeys(SCHEMA)
        | {
            "finding_id": f"f{n}", "status": status, "at_risk_kind": kind, "currency": currency, "owner": owner,
            "incident_id": incident, "at_risk_minor": sum(amount for _, amount in refs),
            "money_refs": [{"ref": f"payment:{currency}:{ref}", "amount_minor": amount} for ref, amount in refs],
        }
        for n, (status, kind, currency, refs, owner, incident) in enumerate(drawn)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def by_hand(findings: pl.DataFrame) -> dict[tuple[str, bool], int]:
    """(currency, is_expected) -> the greatest amount on each ref, summed; in plain Python."""
    greatest: dict[tuple[str, bool, str], int] = defaultdict(int)
    for row in findings.iter_rows(named=True):
        for ref in row["money_refs"]:
            key = (row["currency"], row["at_risk_kind"] == "expected", ref["ref"])
            greatest[key] = max(greatest[key], ref["amount_minor"])
    sums: dict[tuple[str, bool], int] = defaultdict(int)
    for (currency, is_expected, _), amount in greatest.items():
        sums[currency, is_expected] += amount
    return dict(sums)


@settings(max_examples=80, deadline=None)
@given(FINDINGS)
def test_totals_are_the_greatest_amounts_on_each_ref_open_and_waived_apart(drawn: list) -> None:  # type: ignore[type-arg]
    findings = frame(drawn)
    found = {row["currency"]: row for row in totals(findings, first="USD").iter_rows(named=True)}
    is_open = pl.col("status").is_in(["open", "reopened"])
    for which, columns in ((is_open, ("at_risk_minor", "expected_minor")),
                           (pl.col("status") == "waived", ("waived_minor", "waived_expected_minor"))):  # fmt: skip
        expected = by_hand(findings.filter(which))
        for currency in ("EUR", "USD"):
            for is_expected, column in enumerate(columns):
                assert found.get(currency, {}).get(column, 0) == expected.get((currency, bool(is_expected)), 0)


@settings(max_examples=60, deadline=None)
@given(FINDINGS)
def test_groups_add_up_to_the_whole_or_more(drawn: list) -> None:  # type: ignore[type-arg]
    findings = frame(drawn).filter(pl.col("status") == "open")
    whole, groups = by_hand(findings), figures.totals_by(findings, "owner", "USD")
    for currency in ("EUR", "USD"):
        parts = [m.amount_minor for t in groups.values() for m in t.at_risk if m.currency == currency]
        assert sum(parts) >= whole.get((currency, False), 0) >= max(parts, default=0)


@settings(max_examples=60, deadline=None)
@given(FINDINGS)
def test_an_incident_has_the_totals_of_its_open_findings(drawn: list) -> None:  # type: ignore[type-arg]
    findings = frame(drawn).filter(pl.col("status").is_in(["open", "reopened"])).drop_nulls("incident_id")
    told = {row["incident_id"]: row for row in _sums(findings, "USD").iter_rows(named=True)}
    for incident in ("i1", "i2"):
        expected = by_hand(findings.filter(pl.col("incident_id") == incident))
        said = told.get(incident, {"at_risk": [], "expected": []})
        assert {(s["currency"], False): s["amount_minor"] for s in said["at_risk"]} | {
            (s["currency"], True): s["amount_minor"] for s in said["expected"]
        } == expected
        assert [s["currency"] for s in said["at_risk"]] == sorted(
            (s["currency"] for s in said["at_risk"]), reverse=True
        )


@settings(max_examples=40, deadline=None)
@given(FINDINGS, st.randoms(use_true_random=False))
def test_order_and_repetition_of_findings_change_no_total(drawn: list, chance) -> None:  # type: ignore[no-untyped-def, type-arg]  # noqa: ANN001
    shuffled = [*drawn, *drawn]
    chance.shuffle(shuffled)
    by = ["currency", "owner"]
    assert_frame_equal(per_ref(frame(drawn), by).sort(by), per_ref(frame(shuffled), by).sort(by))
