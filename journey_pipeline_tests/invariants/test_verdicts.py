"""The order in which a verdict is decided, every boundary of it, and what sources a row needs."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journey_pipeline.invariants.evaluation import Evaluation, evaluate, judging_of
from journey_pipeline.invariants.sources import SourceNeeds, behind
from journey_pipeline.invariants.verdicts import after, steps
from journey_pipeline.invariants.waivers import parse
from journey_pipeline.model import Rule, Settings
from journey_pipeline_tests.invariants.worlds import AS_OF, SAYS, SETTINGS, health, world

TICK = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
BROKEN_JOURNEY = {
    "person_id": "bob", "offer_id": "bootcamp", "paid_at": AS_OF - 9 * HOUR, "is_stuck": False, "currency": "USD",
}  # fmt: skip

RULE = Rule(
    name="rule_under_test",
    on="buyer_journeys",
    when="paid_at is not null",
    then="access_at is not null",
    unless={"gift": "is_granted_to_other", "staff": "open_basis = 'staff'"},
    since="paid_at",
    within="1h",
    needs=("payments", "access", "(subscriptions)"),
)


def judged(
    rule: Rule = RULE,
    *,
    sources: pl.DataFrame | None = None,
    config: Settings = SETTINGS,
    as_of: datetime = AS_OF,
    waived: pl.DataFrame | None = None,
    twins: dict[str, str] | None = None,
    says: dict[str, list[tuple[str, str]]] | None = None,
    **row: Any,
) -> tuple[str | None, str | None]:
    """Verdict and reason of one journey."""
    people = [{"person_id": p, "twin_person_id": t} for p, t in (twins or {}).items()]
    tables = world(sources, buyer_journeys=[BROKEN_JOURNEY | row], people=people or [{"person_id": "bob"}])
    found = evaluate(tables, rules=[rule], settings=config, says=says or SAYS, as_of=as_of, waived=waived)
    verdict = found.verdicts["buyer_journeys"][rule.name][0]
    reason = found.reasons["verdict_reason"][0] if found.reasons.height else None
    return verdict, reason


def test_all_six() -> None:
    assert judged(paid_at=None) == (None, None)
    assert judged(access_at=AS_OF) == ("holds", None)
    assert judged(paid_at=AS_OF - HOUR / 2) == ("pending", None)
    assert judged(is_granted_to_other=True) == ("excused", "gift")
    assert judged(identity_confidence=0.5) == ("unknown", "identity")
    assert judged() == ("broken", None)


def test_step_1_a_test_subject_is_not_judged_whatever_else_is_so() -> None:
    stale = health(teachable__enrolments={"status": "stale"})
    assert judged(is_test=True, sources=stale) == (None, None)
    assert judged(is_test=None) == ("broken", None)


def test_step_2_comes_before_step_3() -> None:
    assert judged(paid_at=None, sources=health(teachable__enrolments={"status": "failed"})) == (None, None)


@pytest.mark.parametrize("status", ["stale", "partial", "failed"])
def test_step_3_a_source_that_is_not_fresh_makes_unknown_even_what_holds(status: str) -> None:
    sources = health(teachable__enrolments={"status": status})
    assert judged(sources=sources, access_at=AS_OF) == ("unknown", "source:teachable.enrolments")
    assert judged(sources=sources, identity_confidence=0.1) == ("unknown", "source:teachable.enrolments")


def test_step_3_a_source_that_was_never_loaded_is_not_known() -> None:
    known = health().filter(pl.col("platform") != "circle")
    assert judged(sources=known) == ("unknown", "source:circle.members")


def test_step_3_only_the_platforms_of_the_offer_are_needed_for_money_and_access() -> None:
    paypal_down = health(paypal__transactions={"status": "failed"})
    assert judged(sources=paypal_down) == ("broken", None)  # the bootcamp is bought on stripe
    assert judged(sources=paypal_down, offer_id="membership") == ("unknown", "source:paypal.transactions")
    assert judged(sources=paypal_down, offer_id=None) == ("unknown", "source:paypal.transactions")
    teachable_down = health(teachable__enrolments={"status": "failed"})
    assert judged(sources=teachable_down, offer_id="membership") == ("broken", None)  # it grants circle alone


def test_step_3_a_rule_that_compares_tellers_needs_all_of_them() -> None:
    paypal_down = health(paypal__transactions={"status": "failed"})
    comparing = RULE.model_copy(update={"every_source": True})
    assert judged(comparing, sources=paypal_down) == ("unknown", "source:paypal.transactions")
    assert judged(comparing) == ("broken", None)


def test_step_3_a_kind_in_brackets_is_needed_only_by_rows_that_refer_to_it() -> None:
    down = health(stripe__subscriptions={"status": "failed"})
    assert judged(sources=down) == ("broken", None)
    assert judged(sources=down, subscription_count=1) == ("unknown", "source:stripe.subscriptions")


def test_step_4_identity_is_sure_at_the_threshold_and_asked_before_b() -> None:
    assert judged(identity_confidence=0.80) == ("broken", None)
    assert judged(identity_confidence=0.7999, access_at=AS_OF) == ("unknown", "identity")
    assert judged(identity_confidence=None) == ("broken", None)


def test_step_4_a_twin_turns_only_what_would_be_broken() -> None:
    twins = {"bob": "rob"}
    assert judged(twins=twins) == ("unknown", "identity:rob")
    assert judged(twins=twins, access_at=AS_OF) == ("holds", None)
    assert judged(twins=twins, paid_at=AS_OF) == ("pending", None)
    assert judged(twins={"ann": "anne"}) == ("broken", None)


def test_step_5_comes_before_6_and_late_is_not_broken() -> None:
    assert judged(access_at=AS_OF, is_granted_to_other=True) == ("holds", None)


def test_step_6_excuses_in_the_order_written_then_history_then_waivers_and_all_before_pending() -> None:
    assert judged(is_granted_to_other=True, open_basis="staff") == ("excused", "gift")
    assert judged(open_basis="staff", paid_at=AS_OF) == ("excused", "staff")
    line = parse("finding,reason,who,until\njourney:bob:bootcamp,agreed,ann,2026-05-15\n")
    assert judged(waived=line) == ("excused", "waived")
    assert judged(waived=line, paid_at=AS_OF) == ("excused", "waived")
    assert judged(waived=line, open_basis="staff") == ("excused", "staff")
    short = health(teachable__enrolments={"history_from_at": AS_OF})
    assert judged(waived=line, sources=short) == ("excused", "before_history")


def test_before_history_asks_the_sources_that_show_b_alone() -> None:
    paid = AS_OF - 9 * HOUR
    assert judged(sources=health(teachable__enrolments={"history_from_at": paid + TICK})) == (
        "excused",
        "before_history",
    )
    assert judged(sources=health(teachable__enrolments={"history_from_at": paid})) == ("broken", None)
    assert judged(sources=health(stripe__charges={"history_from_at": AS_OF})) == ("broken", None)


def test_before_history_looks_back_to_the_first_purchase() -> None:
    """Who bought last year and again today may have been shown B last year: the source can't tell."""
    began = health(teachable__enrolments={"history_from_at": AS_OF - 20 * HOUR})
    assert judged(sources=began, money_at=AS_OF - 21 * HOUR) == ("excused", "before_history")
    assert judged(sources=began, money_at=AS_OF - 19 * HOUR) == ("broken", None)


def test_step_7_what_happens_at_the_deadline_is_in_time() -> None:
    assert judged(paid_at=AS_OF - HOUR) == ("pending", None)
    assert judged(paid_at=AS_OF - HOUR - TICK) == ("broken", None)
    at_once = RULE.model_copy(update={"within": "0"})
    assert judged(at_once, paid_at=AS_OF) == ("pending", None)
    assert judged(at_once, paid_at=AS_OF - TICK) == ("broken", None)


def test_step_7_the_horizon_is_the_least_of_the_sources_that_the_row_needs() -> None:
    two_hours_ago = AS_OF - 2 * HOUR
    behind_time = health(teachable__enrolments={"complete_until_at": two_hours_ago})
    assert judged(sources=behind_time, paid_at=two_hours_ago - HOUR) == ("pending", None)
    assert judged(sources=behind_time, paid_at=two_hours_ago - HOUR - TICK) == ("broken", None)
    other = health(mailchimp__sends={"complete_until_at": two_hours_ago})
    assert judged(sources=other, paid_at=AS_OF - HOUR - TICK) == ("broken", None)
    # A source that is ahead of the run does not move the horizon.
    ahead = health(teachable__enrolments={"complete_until_at": AS_OF + HOUR})
    assert judged(sources=ahead, paid_at=AS_OF - HOUR) == ("pending", None)
    bracketed = health(stripe__subscriptions={"complete_until_at": two_hours_ago})
    assert judged(sources=bracketed, paid_at=AS_OF - 2 * HOUR) == ("broken", None)
    assert judged(sources=bracketed, paid_at=AS_OF - 2 * HOUR, subscription_count=1) == ("pending", None)


def test_a_deadline_of_the_settings_replaces_that_of_the_rule() -> None:
    patient = SETTINGS.model_copy(update={"deadlines": {"rule_under_test": "2d"}})
    assert judged(config=patient) == ("pending", None)


def test_a_condition_that_comes_out_null_is_not_so() -> None:
    assert judged(RULE.model_copy(update={"when": "open_basis <> 'comp'"})) == (None, None)
    assert judged(RULE.model_copy(update={"then": "open_basis <> 'comp'"})) == ("broken", None)
    assert judged(RULE.model_copy(update={"unless": {"odd": "open_basis <> 'comp'"}})) == ("broken", None)


def test_without_a_clock_nothing_is_pending() -> None:
    clockless = RULE.model_copy(update={"since": None, "within": None})
    assert judged(clockless, paid_at=AS_OF) == ("broken", None)


def test_judge_tells_since_and_deadline() -> None:
    tables = world(buyer_journeys=[BROKEN_JOURNEY])
    judging = judging_of(tables, rules=[RULE], settings=SETTINGS, says=SAYS, as_of=AS_OF)
    row = judging.judge(RULE, tables["buyer_journeys"]).collect().to_dicts()[0]
    assert row == {
        "person_id": "bob", "offer_id": "bootcamp", "verdict": "broken", "verdict_reason": None,
        "deadline": AS_OF - 8 * HOUR, "since": AS_OF - 9 * HOUR,
    }  # fmt: skip


# Business days: Friday 15 May 2026 is the day; the local clock counts.


@pytest.mark.parametrize(
    ("zone", "start", "days", "due"),
    [
        ("UTC", "2026-05-13T10:00", 1, "2026-05-14T10:00"),
        ("UTC", "2026-05-15T10:00", 1, "2026-05-18T10:00"),
        ("UTC", "2026-05-16T10:00", 1, "2026-05-19T00:00"),
        ("UTC", "2026-05-17T23:59", 0, "2026-05-18T00:00"),
        ("UTC", "2026-05-14T10:00", 5, "2026-05-21T10:00"),
        # Friday 22:00 in New York is Saturday in UTC, and still a weekday there.
        ("America/New_York", "2026-05-16T02:00", 1, "2026-05-19T02:00"),
        # Over the change to summer time the clock time stays: 10:00 EST is 15:00 UTC, 10:00 EDT is 14:00 UTC.
        ("America/New_York", "2026-03-06T15:00", 1, "2026-03-09T14:00"),
    ],
)
def test_business_days(zone: str, start: str, days: int, due: str) -> None:
    assert _after(datetime.fromisoformat(start).replace(tzinfo=UTC), days, zone) == datetime.fromisoformat(due).replace(
        tzinfo=UTC
    )


def _after(start: datetime, days: int, zone: str) -> datetime:
    rows = pl.DataFrame({"at": [start]}, schema={"at": pl.Datetime("us", "UTC")})
    due: datetime = rows.select(after(pl.col("at"), f"{days}bd", ZoneInfo(zone))).item()
    return due


def _by_hand(start: datetime, days: int, zone: ZoneInfo) -> datetime:
    clock = start.astimezone(zone).replace(tzinfo=None)
    saturday = 5
    while clock.weekday() >= saturday:
        clock = datetime.combine(clock.date() + timedelta(days=1), datetime.min.time())
    while days:
        clock += timedelta(days=1)
        days -= clock.weekday() < saturday
    return clock.replace(tzinfo=zone).astimezone(UTC)


@settings(max_examples=200, deadline=None)
@given(
    start=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001 - hypothesis wants naive bounds
    days=st.integers(0, 12),
    zone=st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata", "Australia/Sydney", "Asia/Jerusalem"]),
)
def test_business_days_are_what_counting_by_hand_gives(start: datetime, days: int, zone: str) -> None:
    moment = start.replace(tzinfo=UTC)
    assert _after(moment, days, zone) == _by_hand(moment, days, ZoneInfo(zone))


@settings(max_examples=200, deadline=None)
@given(
    start=st.datetimes(datetime(2026, 2, 20), datetime(2026, 3, 20)),  # noqa: DTZ001 - hypothesis wants naive bounds
    lag=st.timedeltas(timedelta(0), timedelta(days=30)),
    days=st.integers(0, 12),
)
def test_what_is_too_old_to_be_in_time_is_not_counted_and_nothing_else(
    start: datetime, lag: timedelta, days: int
) -> None:
    """Around the American change of clocks: a rule of business days says `pending` as long as its deadline says so."""
    since, now = start.replace(tzinfo=UTC), start.replace(tzinfo=UTC) + lag
    rule = RULE.model_copy(update={"within": f"{days}bd", "needs": (), "unless": {}})
    rows = pl.DataFrame({"paid_at": [since, None], "access_at": None, "as_of": now}, schema_overrides=dict.fromkeys(
        ("paid_at", "access_at", "as_of"), pl.Datetime("us", "UTC")
    ))  # fmt: skip
    found = steps(
        rule, rows.columns, zone=ZoneInfo("America/New_York"), sources=SourceNeeds(health(), SAYS, SETTINGS.offers),
        thresholds=SETTINGS.thresholds,
    )  # fmt: skip
    said, due = rows.select(found.verdict, deadline=found.deadline).rows()[0]
    assert said == ("pending" if now <= due else "broken")


# Gates and counts


def days_of(evaluation: Evaluation, name: str = RULE.name) -> dict[str, Any]:
    rows = evaluation.invariant_days.filter(pl.col("invariant") == name).to_dicts()
    assert len(rows) == 1
    return rows[0]


def evaluated(*journeys: dict[str, Any], **options: Any) -> Evaluation:
    tables = world(options.pop("sources", None), buyer_journeys=[BROKEN_JOURNEY | j for j in journeys])
    given_options: dict[str, Any] = {"rules": [RULE], "settings": SETTINGS, "says": SAYS, "as_of": AS_OF} | options
    return evaluate(tables, **given_options)


def test_counts_of_a_day() -> None:
    day = days_of(
        evaluated(
            {"person_id": "a"}, {"person_id": "b", "access_at": AS_OF}, {"person_id": "c", "paid_at": AS_OF},
            {"person_id": "d", "open_basis": "staff"}, {"person_id": "e", "identity_confidence": 0.1},
            {"person_id": "f", "paid_at": None}, {"person_id": "g"},
        )
    )  # fmt: skip
    counts = {c: day[c] for c in ("held", "broken", "pending", "excused", "unknown", "evaluated")}
    assert counts == {"held": 1, "broken": 2, "pending": 1, "excused": 1, "unknown": 1, "evaluated": 5}
    assert (day["gate"], day["gate_reason"], day["day_on"]) == ("open", None, date(2026, 5, 15))
    assert (day["currency"], day["at_risk_minor"], day["at_risk_kind"]) == ("USD", None, None)


def test_the_day_is_that_of_the_business() -> None:
    far = SETTINGS.model_copy(
        update={"business": SETTINGS.business.model_copy(update={"timezone": "Pacific/Auckland"})}
    )
    assert days_of(evaluated({}, settings=far))["day_on"] == date(2026, 5, 16)


def test_gate_closed_where_every_row_is_unknown_by_source() -> None:
    down = health(teachable__enrolments={"status": "stale", "complete_until_at": datetime(2026, 5, 13, 8, tzinfo=UTC)})
    day = days_of(evaluated({"person_id": "a"}, {"person_id": "b", "paid_at": None}, sources=down))
    assert (day["gate"], day["gate_reason"]) == ("closed", "teachable.enrolments is stale since 2026-05-13 08:00 UTC")
    assert day["evaluated"] == 0
    assert day["unknown"] == 1


def test_gate_closed_where_no_row_is_spoken_of_and_a_source_is_silent() -> None:
    down = health(paypal__transactions={"status": "failed", "complete_until_at": None})
    day = days_of(evaluated({"paid_at": None}, sources=down))
    assert (day["gate"], day["gate_reason"]) == ("closed", "paypal.transactions is failed")
    assert days_of(evaluated({"paid_at": None}))["gate"] == "open"


def test_gate_partial_where_some_are() -> None:
    down = health(teachable__enrolments={"status": "failed"})
    day = days_of(evaluated({"person_id": "a"}, {"person_id": "b", "offer_id": "membership"}, sources=down))
    assert (day["gate"], day["broken"], day["unknown"]) == ("partial", 1, 1)


def test_unknown_by_identity_leaves_the_gate_open() -> None:
    assert days_of(evaluated({"identity_confidence": 0.1}))["gate"] == "open"


def test_gate_not_covered_has_no_verdict_column() -> None:
    found = evaluated({}, says={k: v for k, v in SAYS.items() if k != "access"})
    assert found.verdicts == {}
    day = days_of(found)
    assert (day["gate"], day["gate_reason"], day["evaluated"]) == ("not_covered", "no platform says access", 0)


def test_a_kind_in_brackets_need_not_be_covered() -> None:
    assert days_of(evaluated({}, says={k: v for k, v in SAYS.items() if k != "subscriptions"}))["broken"] == 1


def test_gate_off_keeps_the_users_reason() -> None:
    off = SETTINGS.model_copy(update={"off": {RULE.name: "we sell no access"}})
    day = days_of(evaluated({}, settings=off))
    assert (day["gate"], day["gate_reason"]) == ("off", "we sell no access")


def test_a_rule_about_sources_is_judged_whatever_their_state() -> None:
    rule = Rule(name="fresh", on="source_health", when="platform is not null", then="status = 'fresh'", never_unknown=True,
                needs=())  # fmt: skip
    sources = health(stripe__charges={"status": "failed"})
    found = evaluate(world(sources), rules=[rule], settings=SETTINGS, says={}, as_of=AS_OF)
    assert found.broken["subject"].to_list() == ["source:stripe:charges"]
    assert days_of(found, "fresh")["gate"] == "open"


def test_rows_are_counted_once_under_the_currency_of_their_amount() -> None:
    rule = RULE.model_copy(update={"at_risk": "net_minor", "at_risk_kind": "paid"})
    found = evaluated(
        {"person_id": "a", "net_minor": 500}, {"person_id": "b", "net_minor": 700, "currency": "EUR"},
        {"person_id": "c", "access_at": AS_OF, "currency": "EUR"}, {"person_id": "d", "net_minor": 40, "currency": None},
        rules=[rule],
    )  # fmt: skip
    columns = ("currency", "evaluated", "broken", "held", "at_risk_minor", "at_risk_kind")
    rows = found.invariant_days.select(columns).rows()
    assert rows == [("USD", 2, 2, 0, 540, "paid"), ("EUR", 2, 1, 1, 700, "paid")]


def test_a_rule_without_needs_asks_for_the_kinds_behind_its_columns() -> None:
    rule = RULE.model_copy(update={"needs": None})
    down = health(circle__members={"status": "failed"})
    assert judged(rule, sources=down) == ("unknown", "source:circle.members")
    assert judged(rule, sources=health(mailchimp__sends={"status": "failed"})) == ("broken", None)
    assert behind(["paid_at", "unowed_count"], "buyer_journeys") == ("payments", "access", "(subscriptions)")
    assert behind(["status"], "tickets") == ("tickets",)


def test_every_needed_source_counts_towards_the_horizon() -> None:
    needs = SourceNeeds(health(circle__members={"complete_until_at": AS_OF - HOUR}), SAYS, SETTINGS.offers)
    assert needs.need(["access"], [], "bootcamp").until == AS_OF - HOUR
    assert needs.need(["access"], [], None).until == AS_OF - HOUR
    assert needs.need(["contacts"], [], "bootcamp").until == AS_OF
    assert needs.sources("payments", "membership") == [("paypal", "transactions")]


def test_an_empty_world_is_judged_without_complaint() -> None:
    found = evaluate(world(), rules=[RULE], settings=SETTINGS, says=SAYS, as_of=AS_OF)
    assert found.broken.is_empty()
    assert days_of(found)["gate"] == "open"


@pytest.mark.parametrize(
    ("contacts", "owners", "gate"),
    [(50, 0, "not_covered"), (50, 1, "open"), (49, 0, "open"), (0, 0, "open")],
)
def test_nobody_lacks_what_no_platform_ever_tells(contacts: int, owners: int, gate: str) -> None:
    rule = RULE.model_copy(update={"tells": ("contacts.owner",)})
    known = [{"record_id": str(n), "owner": "bo" if n < owners else None} for n in range(contacts)]
    tables = world(buyer_journeys=[BROKEN_JOURNEY], people=[{"person_id": "bob"}], contacts=known)
    judging = judging_of(tables, rules=[rule], settings=SETTINGS, says=SAYS, as_of=AS_OF)
    assert judging.gate(judging.rules[rule.name]) == (
        gate, "no platform tells contacts.owner" if gate == "not_covered" else None
    )  # fmt: skip
    found = evaluate(tables, rules=[rule], settings=SETTINGS, says=SAYS, as_of=AS_OF)
    assert found.broken.height == (0 if gate == "not_covered" else 1)
