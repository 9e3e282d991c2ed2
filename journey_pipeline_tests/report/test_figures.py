"""The figures behind the page, worked out by hand."""

import polars as pl

from journey_pipeline.report import figures
from journey_pipeline.report.figures import Money, Step, Totals
from journey_pipeline_tests.publish import northwind
from journey_pipeline_tests.publish.northwind import TODAY, at, finding, frame, refs

TABLES = northwind.tables()
OPEN = figures.open_findings(TABLES, TODAY, "USD")


def test_findings_come_gravest_first_then_new_then_dearest() -> None:
    assert OPEN["finding_id"].to_list() == ["f5", "f1", "f4", "f3", "f2", "f6"]


def test_a_payment_counts_once_and_currencies_stand_apart_the_business_first() -> None:
    whole = Totals((Money("USD", 49900), Money("JPY", 5000)), (Money("USD", 700),))
    assert figures.totals(OPEN, "USD") == whole
    assert figures.totals(OPEN, "JPY").at_risk == (Money("JPY", 5000), Money("USD", 49900))
    assert figures.totals_by(OPEN, "owner", "USD") == {
        "delivery": Totals((Money("USD", 49900), Money("JPY", 5000)), ()),
        "sales": Totals((Money("USD", 49900),), (Money("USD", 700),)),
    }
    assert figures.by_kind(OPEN, "USD") == {
        "paid": (Money("USD", 49900), Money("JPY", 5000)),
        "expected": (Money("USD", 700),),
    }


def test_paid_due_and_leaking_money_on_one_payment_is_one_amount_with_the_greatest() -> None:
    on_one = [
        finding(f"k{n}", "rule", "data", at_risk_minor=amount, currency="USD", at_risk_kind=kind, money_refs=refs(ch=amount))
        for n, (kind, amount) in enumerate([("paid", 100), ("due", 300), ("leak", 200), ("expected", 900)])
    ]  # fmt: skip
    findings = frame("findings", *on_one).collect()
    assert figures.totals(findings, "USD") == Totals((Money("USD", 300),), (Money("USD", 900),))


def test_each_rule_has_its_gate_its_cases_and_what_is_open() -> None:
    days = TABLES["invariant_days"].with_columns(evaluated=pl.lit(10), unknown=pl.lit(2))
    extra = frame("invariant_days", {"invariant": "paid_implies_access", "day_on": TODAY, "currency": "JPY",
                                     "gate": "open", "severity": "critical", "owner": "delivery", "evaluated": 5})  # fmt: skip
    states = figures.rule_states(
        {**TABLES, "invariant_days": pl.concat([days, extra], how="vertical_relaxed")}, (), OPEN, TODAY, "USD"
    )
    assert [(s.name, s.gate, s.evaluated, s.open, s.new) for s in states] == [
        ("paid_implies_access", "open", 15, 2, 0),
        ("lead_implies_crm_record", "partial", 10, 1, 1),
        ("paid_implies_welcome", "open", 10, 1, 0),
        ("paid_implies_won", "open", 10, 1, 1),
        ("one_crm_record_per_person", "open", 10, 1, 0),
        ("refund_revokes_access", "closed", 10, 0, 0),
    ]


def test_a_rule_that_was_not_judged_today_but_has_open_findings_is_not_called_judged() -> None:
    states = figures.rule_states({"findings": TABLES["findings"]}, (), OPEN, TODAY, "USD")
    assert {s.gate for s in states} == {"closed"}


def test_the_funnel_counts_people_once_and_leaves_out_steps_that_nobody_took_and_test_buyers() -> None:
    journeys = frame(
        "buyer_journeys",
        {"person_id": "ann", "offer_id": "a", "lead_at": at(1), "paid_at": at(2)},
        {"person_id": "ann", "offer_id": "b", "lead_at": at(1)},
        {"person_id": "ben", "lead_at": at(1)},
        {"person_id": "qa", "lead_at": at(1), "is_test": True},
    )
    assert figures.funnel({"buyer_journeys": journeys}) == [Step("lead", 2, 1), Step("paid", 1, 0)]


def test_offers_count_journeys_that_paid() -> None:
    (bootcamp,) = figures.offers(TABLES)
    assert bootcamp == {"offer_id": "bootcamp", "paid": 3, "access": 2, "using": 1, "refunded": 0, "churned": 0,
                        "grants": None, "tracked": False}  # fmt: skip


def test_only_the_last_seven_days_are_news() -> None:
    rows = [finding(f"r{day}", "rule", "data", status="resolved", resolved_on=at(day).date(), resolution="holds")
            for day in (8, 9, 15)]  # fmt: skip
    (resolved,) = figures.resolved({"findings": frame("findings", *rows)}, TODAY)
    assert (resolved["count"], resolved["resolved_on"]) == (2, TODAY)


def test_absent_tables_are_empty_ones() -> None:
    nothing = figures.open_findings({}, TODAY, "USD")
    assert figures.totals(nothing, "USD") == figures.NOTHING
    assert figures.rule_states({}, (), nothing, TODAY, "USD") == []
    assert figures.funnel({}) == []
    assert figures.sources({}) == figures.rejected({}) == figures.resolved({}, TODAY) == figures.offers({}) == []
    assert figures.records({}) == {}
