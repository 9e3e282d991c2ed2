"""Incidents: each step of how a crowd's cause is told, drawn by hand, and what becomes of an incident from day to day."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy.stats import hypergeom

from journey_pipeline.invariants import catalogue, crowds, findings, incidents
from journey_pipeline.invariants.evaluation import evaluate
from journey_pipeline.model import Rule
from journey_pipeline.registry import TABLES
from journey_pipeline_tests.invariants.worlds import AS_OF, SAYS, SETTINGS, frame, health, world

RULE = Rule(
    name="address_known", on="payments", when="status = 'succeeded'", then="has_address", since="occurred_at", within="1h",
    needs=("payments",), at_risk="net_minor", at_risk_kind="paid", severity="critical", owner="finance",
)  # fmt: skip
NEW_YORK = ZoneInfo("America/New_York")
THURSDAY = datetime(2026, 5, 14, 14, 5, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_number = iter(range(10**6))


def sales(
    count: int, *, broken: int = 0, at: datetime = THURSDAY, every: timedelta = timedelta(minutes=3), **rest: Any
) -> list[dict[str, Any]]:
    """So many payments, one after another, the first of them broken."""
    return [
        {"record_id": f"ch_{next(_number)}", "person_id": "ann", "status": "succeeded", "occurred_at": at + n * every,
         "has_address": n >= broken, "product_ref": "stripe:b", "method": "card", "net_minor": 100, **rest}
        for n in range(count)
    ]  # fmt: skip


def calm(count: int, days: int = 2, **rest: Any) -> list[dict[str, Any]]:
    """As many payments, half before and half after Thursday's, all as they should be."""
    return sales(count, at=THURSDAY - days * DAY / 2, every=days * DAY / count, **rest)


class Days:
    """One day after another, each judged over the payments that it is given."""

    def __init__(self, *rules: Rule) -> None:
        self.rules = rules or (RULE,)
        self.finding_days = pl.DataFrame(schema=TABLES["finding_days"].schema)
        self.incident_days = pl.DataFrame(schema=TABLES["incident_days"].schema)

    def run(self, payments: list[dict[str, Any]], day: int = 0, *, is_down: bool = False) -> pl.DataFrame:
        as_of = AS_OF + day * DAY
        known = health().with_columns(complete_until_at=pl.lit(as_of).cast(pl.Datetime("us", "UTC")))
        if is_down:
            known = known.with_columns(status=pl.lit("stale"))
        held = world(known, people=[], payments=frame("payments", payments))
        found = evaluate(held, rules=self.rules, settings=SETTINGS, says=SAYS, as_of=as_of)
        previous = findings.fold_all(self.finding_days)
        rows, told = incidents.days(
            crowds.found(found.crowds, held, SETTINGS.business.zone), findings.days(found, previous, held), previous,
            self.incident_days,
        )  # fmt: skip
        self.finding_days = pl.concat([self.finding_days, rows])
        self.incident_days = pl.concat([self.incident_days, told])
        return self.incidents

    @property
    def findings(self) -> pl.DataFrame:
        return findings.fold_all(self.finding_days)

    @property
    def incidents(self) -> pl.DataFrame:
        return incidents.fold_all(self.incident_days, self.findings, zone=NEW_YORK, home="USD")


def told(payments: list[dict[str, Any]], *rules: Rule) -> list[tuple[str, str | None, int]]:
    """(factor, value, findings) of each incident of one day."""
    found = Days(*rules).run(payments)
    return found.sort("started_at", "factor_value").select("factor", "factor_value", "finding_count").rows()


# What is a crowd, and what it is compared with


OUTAGE = [*sales(37, broken=31), *calm(410, product_ref="stripe:a")]


def test_an_outage_of_one_product_is_one_incident_in_one_sentence() -> None:
    days = Days()
    (found,) = days.run([*OUTAGE, *sales(2, broken=2, product_ref="stripe:a")]).to_dicts()
    assert found["sentence"] == (
        "31 of 37 since Thursday 14 May 11:05, all of stripe:b (elsewhere 2 of 412)"  # an hour's grace, in New York
    )
    assert (found["invariant"], found["factor"], found["factor_value"]) == ("address_known", "product", "stripe:b")
    assert (found["status"], found["finding_count"], found["severity"], found["owner"]) == (
        "open", 31, "critical", "finance",
    )  # fmt: skip
    assert found["started_at"] == THURSDAY + HOUR
    assert (found["happened_from_at"], found["happened_until_at"]) == (THURSDAY, THURSDAY + timedelta(minutes=90))
    assert found["at_risk"] == [{"currency": "USD", "amount_minor": 3100}]
    named = days.findings.group_by("incident_id").len().sort("len")
    assert named.rows() == [(None, 2), (found["incident_id"], 31)]


def test_a_product_of_most_sales_and_most_findings_has_lift_1_and_is_not_blamed() -> None:
    big = [*sales(40, broken=8), *calm(400)]
    small = [*sales(10, broken=2, product_ref="stripe:a"), *calm(100, product_ref="stripe:a")]
    assert told([*big, *small]) == [("time", None, 10)]  # it came at once, whatever was sold
    a_few_each_day = [
        row for n in range(10) for product, count in (("stripe:b", 8), ("stripe:a", 2))
        for row in sales(count * 5, broken=count, at=THURSDAY - n * DAY, every=HOUR / 4, product_ref=product)
    ]  # fmt: skip
    assert told(a_few_each_day) == []


def test_two_findings_are_no_incident_however_telling() -> None:
    assert told([*sales(2, broken=2), *calm(410, product_ref="stripe:a")]) == []
    assert told([*sales(3, broken=3), *calm(410, product_ref="stripe:a")]) == [("product", "stripe:b", 3)]


def test_crowds_far_apart_are_incidents_of_their_own() -> None:
    earlier = sales(20, broken=15, at=THURSDAY - 9 * DAY)
    found = Days().run([*earlier, *OUTAGE, *calm(900, 20, product_ref="stripe:a")])
    assert found.sort("started_at").select("finding_count", "started_at").rows() == [
        (15, THURSDAY - 9 * DAY + HOUR), (31, THURSDAY + HOUR),
    ]  # fmt: skip
    assert found["incident_id"].n_unique() == 2


def test_a_window_ends_after_six_hours_of_peace_or_three_usual_gaps() -> None:
    early, late = (sales(4, broken=4, at=THURSDAY - hours * HOUR) for hours in (7, 0))
    busy = calm(400, product_ref="stripe:a")
    assert told([*early, *late, *busy]) == [("product", "stripe:b", 4), ("product", "stripe:b", 4)]
    # Where a sale is made every five hours, seven hours without one are nothing.
    quiet = sales(60, at=THURSDAY - 12 * DAY, every=5 * HOUR, product_ref="stripe:a")
    assert told([*sales(4, broken=4, at=THURSDAY - 7 * HOUR, every=HOUR), *sales(2, broken=2), *quiet]) == [
        ("product", "stripe:b", 6)
    ]


def test_only_rows_of_that_time_are_compared() -> None:
    """All that was ever sold before was the same product: it never broke, and says nothing about Thursday."""
    long_ago = sales(500, at=THURSDAY - 40 * DAY, every=HOUR / 2)
    (found,) = Days().run([*OUTAGE, *long_ago]).to_dicts()
    assert (found["factor_broken"], found["factor_judged"], found["elsewhere_judged"]) == (31, 37, 410)


# Which factor is blamed


def test_a_value_must_cover_three_fifths_of_the_crowd() -> None:
    others = calm(300, product_ref="stripe:a")
    six = [row for n in range(4) for row in sales(1, broken=1, product_ref=f"stripe:{n}", method=f"m{n}")]
    assert told([*sales(6, broken=6), *six, *others])[0] == ("product", "stripe:b", 6)
    seven = [row for n in range(5) for row in sales(1, broken=1, product_ref=f"stripe:{n}", method=f"m{n}")]
    assert [factor for factor, _, _ in told([*sales(6, broken=6), *seven, *others])] == ["time"]


def test_three_of_three_among_six_is_no_proof() -> None:
    """Lift 7, but by chance one time in twenty."""
    few = [*sales(3, broken=3), *sales(3, product_ref="stripe:a")]
    assert crowds.tail(3, 3, 0, 3) == pytest.approx(0.05)
    assert told(few) == []


def test_a_lift_under_three_is_not_blamed() -> None:
    others = [*sales(100, broken=20, product_ref="stripe:a"), *calm(200, product_ref="stripe:a")]
    twice = [*sales(100, broken=38), *calm(200), *others]
    assert all(factor != "product" for factor, _, _ in told(twice))


def test_the_pair_is_blamed_where_neither_alone_is_and_the_single_factor_where_both_say_the_same() -> None:
    pair = [
        *sales(20, broken=20, method="sepa_debit"), *sales(40), *sales(40, product_ref="stripe:a", method="sepa_debit"),
        *calm(200, product_ref="stripe:a"),
    ]  # fmt: skip
    assert told(pair) == [("product, method", "stripe:b, sepa_debit", 20)]
    same = [*sales(20, broken=20, method="sepa_debit"), *calm(200, product_ref="stripe:a")]
    assert told(same) == [("product", "stripe:b", 20)]


def test_a_pair_that_four_findings_share_by_chance_is_not_blamed() -> None:
    """Of what is paid so every fifth is of that product, and the other way about: neither half tells more than the other."""
    chance = [
        *sales(44, broken=4, method="sepa_debit"), *calm(156), *calm(156, product_ref="stripe:a", method="sepa_debit"),
        *calm(544, product_ref="stripe:a"),
    ]  # fmt: skip
    assert crowds.tail(4, 44, 0, 856) < 1e-5  # though one sale in twenty is of that product and by that method
    assert told(chance, RULE.model_copy(update={"since": None, "within": None})) == []


def test_a_pair_is_blamed_though_a_few_break_elsewhere() -> None:
    pair = [
        *sales(20, broken=18, method="sepa_debit"), *sales(60, broken=1), *calm(200, product_ref="stripe:a"),
        *sales(60, broken=1, product_ref="stripe:a", method="sepa_debit"),
    ]  # fmt: skip
    assert told(pair) == [("product, method", "stripe:b, sepa_debit", 18)]


def test_what_tells_nothing_of_its_rows_is_compared_all_the_same() -> None:
    """A report has no platform, product or person: nothing that it could share with another."""
    rule = Rule(name="figure_matches", on="reported_vs_actual", when="claim = 'exact'", then="value_reported = value_computed",
                since="ends_at", within="1h", needs=("reported",))  # fmt: skip
    figures = [
        {"report": f"sheet_{n}", "metric": "orders", "claim": "exact", "value_reported": 1.0,
         "value_computed": float(n < 3), "ends_at": THURSDAY - n * HOUR} for n in range(8)
    ]  # fmt: skip
    held = world(health(), reported_vs_actual=frame("reported_vs_actual", figures))
    found = evaluate(held, rules=[rule], settings=SETTINGS, says=SAYS, as_of=AS_OF)
    assert found.broken.height == 5
    assert crowds.found(found.crowds, held, NEW_YORK) == []


def test_the_rest_of_the_crowd_is_tried_again() -> None:
    two = [*sales(20, broken=20), *sales(8, broken=8, product_ref="stripe:c"), *calm(300, product_ref="stripe:a")]
    assert told(two) == [("product", "stripe:b", 20), ("product", "stripe:c", 8)]


def test_nothing_shared_but_the_time() -> None:
    mixed = [
        row for n in range(24) for row in sales(1, broken=n % 6 != 0, at=THURSDAY + n * timedelta(minutes=4),
                                                product_ref=f"stripe:{n % 4}", method=f"m{n % 3}")
    ]  # fmt: skip
    before = [row for n in range(4) for row in sales(60, at=THURSDAY - 20 * DAY, every=5 * HOUR, product_ref=f"stripe:{n}",
                                                     method=f"m{n % 3}")]  # fmt: skip
    (found,) = Days().run([*mixed, *before]).to_dicts()
    # Of the 24 one held, before it began.
    assert found["sentence"] == (
        "20 of 23 since Thursday 14 May 11:09, with nothing in common but the time (the 28 days before 0 of 241)"
    )
    usual = [row | {"has_address": n % 4 == 0} for n, row in enumerate(before)]
    assert "time" not in [factor for factor, _, _ in told([*mixed, *usual])]


def test_what_never_worked_is_one_incident_per_target_and_offer_without_a_test() -> None:
    never = [row | {"offer_id": "club"} for row in sales(6, broken=6, at=THURSDAY - 60 * DAY, every=9 * DAY)]
    held = calm(300, product_ref="stripe:a", offer_id="bootcamp")
    days = Days()
    (found,) = days.run([*never, *held]).to_dicts()
    assert (found["cause"], found["factor"], found["factor_value"]) == ("never_worked", "target, offer", "stripe, club")
    assert found["sentence"] == "6 since Sunday 15 Mar 11:05, and none ever held: stripe, club"


def test_where_the_open_part_of_an_offer_is_explains_nothing() -> None:
    """Whoever lacks a part has the other on its platform alone, by definition: neither a set-up nor a crowd to blame."""
    (rule,) = (rule for rule in catalogue.load() if rule.name == "bundle_is_complete")
    bought = {"offer_id": "bootcamp", "is_paying": True, "grants_expected": 2}
    rows = [
        {**bought, "person_id": f"p{n}", "grants_open": 2 - is_part, "access_platform": "teachable" if is_part else "circle",
         "grant_missing_at": AS_OF - (10 + 5 * n) * DAY if is_part else None}
        for n in range(300) for is_part in (n < 8,)
    ]  # fmt: skip
    held = world(health(), people=[], buyer_journeys=frame("buyer_journeys", rows))
    found = evaluate(held, rules=[rule], settings=SETTINGS, says=SAYS, as_of=AS_OF)
    assert found.broken["cause"].to_list() == ["never_arrived"] * 8
    assert [group.factor for group in crowds.found(found.crowds, held, NEW_YORK)] == []


def test_without_a_clock_all_rows_are_compared() -> None:
    rule = RULE.model_copy(update={"since": None, "within": None})
    assert told([*OUTAGE, *sales(2, broken=2, product_ref="stripe:a")], rule) == [("product", "stripe:b", 31)]


@pytest.mark.parametrize("counts", [(3, 5, 2, 40), (31, 37, 2, 410), (1, 1, 0, 9), (9, 40, 8, 40), (120, 788, 2, 4951)])
def test_the_tail_is_the_hypergeometric_one(counts: tuple[int, int, int, int]) -> None:
    a, b, c, d = counts
    assert crowds.tail(*counts) == pytest.approx(hypergeom.sf(a - 1, b + d, a + c, b), rel=1e-9)


def test_what_is_no_more_than_expected_needs_no_explanation() -> None:
    assert crowds.tail(8, 40, 8, 40) == 1.0
    assert crowds.tail(0, 40, 8, 40) == 1.0


def test_the_order_of_rows_changes_nothing() -> None:
    payments = [*OUTAGE, *sales(8, broken=8, product_ref="stripe:c", method="sepa_debit")]
    first = Days().run(payments)
    for seed in range(3):
        random.Random(seed).shuffle(payments)  # noqa: S311  no secret
        assert_frame_equal(Days().run(payments), first)


# From day to day


def mended(payments: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """The same payments, the first so many of the broken ones put right."""
    broken = [row["record_id"] for row in payments if not row["has_address"]][:count]
    return [row | {"has_address": row["has_address"] or row["record_id"] in broken} for row in payments]


def test_an_incident_keeps_its_id_until_its_last_finding_is_resolved() -> None:
    days = Days()
    (first,) = days.run(OUTAGE).to_dicts()
    (second,) = days.run(mended(OUTAGE, 29), 1).to_dicts()  # two left: alone they would be no incident
    assert second["incident_id"] == first["incident_id"]
    assert (second["status"], second["finding_count"], second["factor_value"]) == ("open", 2, "stripe:b")
    assert second["started_at"] == first["started_at"]
    (third,) = days.run(mended(OUTAGE, 31), 2).to_dicts()
    assert (third["incident_id"], third["status"], third["finding_count"]) == (first["incident_id"], "ended", 0)
    assert third["ended_on"] == (AS_OF + 2 * DAY).date()
    assert (third["first_seen_on"], third["last_seen_on"]) == (AS_OF.date(), (AS_OF + DAY).date())
    assert third["at_risk"] == []


def test_an_incident_that_grows_keeps_its_id() -> None:
    days = Days()
    (first,) = days.run(OUTAGE).to_dicts()
    (second,) = days.run([*OUTAGE, *sales(9, broken=9, at=THURSDAY - 3 * HOUR)], 1).to_dicts()
    assert (second["incident_id"], second["finding_count"]) == (first["incident_id"], 40)
    assert second["started_at"] == first["started_at"] - 3 * HOUR


def test_a_silent_source_ends_no_incident() -> None:
    days = Days()
    (first,) = days.run(OUTAGE).to_dicts()
    (second,) = days.run(OUTAGE, 1, is_down=True).to_dicts()
    assert second == first
    assert days.findings["status"].unique().to_list() == ["open"]


def test_a_rerun_of_the_day_gives_the_same() -> None:
    once, twice = Days(), Days()
    once.run(OUTAGE)
    twice.run(OUTAGE)
    assert_frame_equal(once.incidents, twice.incidents)
    assert_frame_equal(once.finding_days, twice.finding_days)


def test_incidents_of_several_rules_with_one_factor_and_time_are_one_story() -> None:
    also = RULE.model_copy(update={"name": "address_known_too", "within": "2h"})
    found = Days(RULE, also).run(OUTAGE)
    assert found["incident_id"].n_unique() == 2
    assert found["story_id"].n_unique() == 1
    assert found["story_id"][0] in found.filter(pl.col("invariant") == "address_known")["incident_id"].to_list()
    apart = [row | {"occurred_at": row["occurred_at"] - 9 * DAY} for row in OUTAGE]
    assert (
        Days(RULE).run([*OUTAGE, *[r | {"record_id": r["record_id"] + "x"} for r in apart]])["story_id"].n_unique() == 2
    )


def test_of_very_many_rows_that_hold_each_so_many_th_is_asked_and_counts_for_as_many() -> None:
    is_broken = np.arange(12_030) % 401 == 0
    place, weight = crowds._asked(np.arange(12_030), is_broken)
    assert is_broken[place].sum() == is_broken.sum() == 30
    assert len(place) == 30 + 4_000
    assert weight[is_broken[place]].tolist() == [1] * 30
    assert weight.sum() == 30 + 12_000


def test_few_rows_are_all_asked() -> None:
    place, weight = crowds._asked(np.array([1, 2, 5]), np.array([True, False, True, False, False, False]))
    assert (place.tolist(), weight.tolist()) == ([1, 2, 5], [1, 1, 1])
