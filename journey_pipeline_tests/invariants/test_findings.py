"""The life of a finding: the table of transitions, days that fold to the same whichever way, people that merge and split."""

import hashlib
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from journey_pipeline.invariants import findings, totals
from journey_pipeline.invariants.evaluation import evaluate
from journey_pipeline.invariants.waivers import parse
from journey_pipeline.model import Rule, Settings
from journey_pipeline.registry import TABLES
from journey_pipeline_tests.invariants.worlds import AS_OF, SAYS, SETTINGS, health, world

DAY = date(2026, 5, 15)
NONE = pl.DataFrame(schema=TABLES["findings"].schema)

RULE = Rule(
    name="has_access", on="buyer_journeys", when="paid_at is not null", then="access_at is not null", since="paid_at",
    within="1h", needs=("payments", "access"), at_risk="net_minor", at_risk_kind="paid",
    unless={"staff": "open_basis = 'staff'"},
)  # fmt: skip
CLOCKLESS = Rule(name="named", on="people", when="record_count > 0", then="crm_owner is not null", needs=("contacts",))
JOURNEY = {"person_id": "bob", "offer_id": "bootcamp", "paid_at": AS_OF - timedelta(days=2), "net_minor": 500}


# The fold, row by row of the table


def day_row(day: int, verdict: str | None, reason: str | None = None, **more: Any) -> dict[str, Any]:
    known = {
        "finding_id": "f", "invariant": "i", "subject": "person:p", "day_on": DAY + timedelta(days=day), "verdict": verdict,
        "verdict_reason": reason, "severity": "warning", "owner": "data", "cause": "c", "fix": "f", "at_risk_minor": 5,
    }  # fmt: skip
    return dict.fromkeys(TABLES["finding_days"].schema) | known | more


def folded(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    return findings.fold_all(pl.DataFrame(list(rows), schema=TABLES["finding_days"].schema)).to_dicts()


def the(*rows: dict[str, Any]) -> dict[str, Any]:
    (only,) = folded(*rows)
    return only


BEFORE: dict[str, list[dict[str, Any]]] = {
    "open": [day_row(0, "broken")],
    "resolved": [day_row(-1, "broken"), day_row(0, "holds")],
    "reopened": [day_row(-2, "broken"), day_row(-1, "holds"), day_row(0, "broken")],
    "waived": [day_row(-1, "broken"), day_row(0, "excused", "waived", waived_until_on=DAY + timedelta(days=9))],
}


@pytest.mark.parametrize("state", BEFORE)
def test_the_days_before_lead_to_the_state_they_are_named_for(state: str) -> None:
    assert the(*BEFORE[state])["status"] == state


def test_none_and_broken_opens() -> None:
    found = the(day_row(1, "broken"))
    assert (found["status"], found["first_seen_on"], found["last_seen_on"]) == (
        "open",
        date(2026, 5, 16),
        date(2026, 5, 16),
    )
    assert (found["reopened_count"], found["unknown_days"], found["resolved_on"], found["resolution"]) == (
        0,
        0,
        None,
        None,
    )


@pytest.mark.parametrize("verdict", [None, "holds", "pending", "excused", "unknown"])
def test_none_and_anything_else_makes_no_finding(verdict: str | None) -> None:
    assert folded(day_row(0, verdict)) == []
    assert folded(day_row(0, "excused", "waived")) == []


@pytest.mark.parametrize("state", ["open", "reopened"])
def test_open_and_broken_goes_on_with_money_and_evidence_renewed(state: str) -> None:
    before = the(*BEFORE[state])
    after = the(*BEFORE[state], day_row(1, "broken", at_risk_minor=9, evidence="new"))
    assert after == before | {"last_seen_on": date(2026, 5, 16), "at_risk_minor": 9, "evidence": "new"}


@pytest.mark.parametrize("state", ["open", "reopened", "waived"])
@pytest.mark.parametrize(
    ("verdict", "reason", "resolution"),
    [
        ("holds", None, "holds"), (None, None, "null"), (None, "gone", "gone"), ("pending", None, "pending"),
        ("excused", "refunded", "excused:refunded"),
    ],
)  # fmt: skip
def test_unresolved_and_no_longer_broken_is_resolved(
    state: str, verdict: str | None, reason: str | None, resolution: str
) -> None:
    before = the(*BEFORE[state])
    after = the(*BEFORE[state], day_row(1, verdict, reason))
    assert after == before | {
        "status": "resolved", "resolved_on": date(2026, 5, 16), "resolution": resolution, "waived_until_on": None,
    }  # fmt: skip


@pytest.mark.parametrize("state", BEFORE)
def test_any_and_unknown_moves_no_date(state: str) -> None:
    before = the(*BEFORE[state])
    after = the(*BEFORE[state], day_row(1, "unknown", "source:a.b"), day_row(2, "unknown", "identity"))
    assert after == before | {"unknown_days": 2}


@pytest.mark.parametrize("state", ["open", "reopened", "waived"])
def test_unresolved_and_waived_is_waived(state: str) -> None:
    until = date(2026, 6, 1)
    after = the(*BEFORE[state], day_row(1, "excused", "waived", waived_until_on=until))
    assert after == the(*BEFORE[state]) | {"status": "waived", "waived_until_on": until}


def test_resolved_and_waived_is_unchanged() -> None:
    assert the(*BEFORE["resolved"], day_row(1, "excused", "waived")) == the(*BEFORE["resolved"])


def test_waived_and_broken_is_open_again() -> None:
    after = the(*BEFORE["waived"], day_row(1, "broken"))
    assert after == the(*BEFORE["waived"]) | {
        "status": "open", "last_seen_on": date(2026, 5, 16), "waived_until_on": None,
    }  # fmt: skip
    assert (after["first_seen_on"], after["reopened_count"]) == (date(2026, 5, 14), 0)


def test_resolved_and_broken_is_reopened() -> None:
    after = the(*BEFORE["resolved"], day_row(1, "broken"))
    assert (after["status"], after["reopened_count"], after["first_seen_on"]) == ("reopened", 1, date(2026, 5, 14))
    assert (after["resolved_on"], after["resolution"], after["last_seen_on"]) == (None, None, date(2026, 5, 16))
    assert the(*BEFORE["reopened"], day_row(1, "holds"), day_row(2, "broken"))["reopened_count"] == 2


DAYS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from("abc"),
        st.sampled_from([("broken", None), ("holds", None), ("unknown", "identity"), ("excused", "waived"),
                         ("excused", "staff"), ("pending", None), (None, None)]),
        st.sampled_from([None, None, None, "a", "b", "a,c"]),
    ),
    max_size=25, unique_by=lambda row: row[:2],
)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(DAYS)
def test_folding_all_days_is_folding_one_more_onto_yesterdays(
    drawn: list[tuple[int, str, tuple[str, str], str]],
) -> None:
    rows = [
        day_row(day, verdict, reason, finding_id=finding, moved_from=None if finding in (was or "") else was)
        for day, finding, (verdict, reason), was in drawn
    ]
    every = pl.DataFrame(rows, schema=TABLES["finding_days"].schema)
    stepwise = NONE
    for day in sorted({row["day_on"] for row in rows}):
        stepwise = findings.fold(stepwise, every.filter(pl.col("day_on") == day))
        assert_frame_equal(stepwise, findings.fold_all(every.filter(pl.col("day_on") <= day)))
    assert stepwise["finding_id"].is_unique().all()
    assert stepwise.schema == TABLES["findings"].schema
    assert stepwise.select("status", "first_seen_on", "last_seen_on").null_count().sum_horizontal().item() == 0


# The days of a business


class History:
    """Runs one day after another over a world that changes."""

    def __init__(self, *rules: Rule, config: Settings = SETTINGS) -> None:
        self.rules, self.config = rules or (RULE,), config
        self.days = pl.DataFrame(schema=TABLES["finding_days"].schema)

    def run(
        self, day: int = 0, *, waived: str | None = None, sources: pl.DataFrame | None = None, **tables: Any
    ) -> pl.DataFrame:
        as_of = AS_OF + timedelta(days=day)
        known = health() if sources is None else sources
        known = known.with_columns(complete_until_at=pl.lit(as_of).cast(pl.Datetime("us", "UTC")))
        held = world(known, **({"people": []} | tables))
        lines = parse(f"finding,reason,who,until\n{waived}\n") if waived else None
        found = evaluate(held, rules=self.rules, settings=self.config, says=SAYS, as_of=as_of, waived=lines)
        earlier = findings.fold_all(self.days.filter(pl.col("day_on") < DAY + timedelta(days=day)))
        rows = findings.days(found, earlier, held)
        assert rows.schema == TABLES["finding_days"].schema
        self.days = findings.replaced(self.days, rows, DAY + timedelta(days=day))
        return rows

    @property
    def findings(self) -> pl.DataFrame:
        return findings.fold_all(self.days)

    def one(self) -> dict[str, Any]:
        (only,) = self.findings.to_dicts()
        return only


def test_a_finding_from_the_first_day_to_its_resolution() -> None:
    history = History()
    history.run(0, buyer_journeys=[JOURNEY])
    first = history.one()
    assert first["subject"] == "journey:bob:bootcamp"
    assert (first["status"], first["first_seen_on"]) == ("open", DAY)
    assert first["broken_since_at"] == AS_OF - timedelta(days=2) + timedelta(hours=1)
    assert (first["at_risk_minor"], first["at_risk_kind"], first["currency"]) == (500, "paid", "USD")
    history.run(1, buyer_journeys=[JOURNEY | {"access_at": AS_OF}])
    assert (history.one()["status"], history.one()["resolution"]) == ("resolved", "holds")
    assert history.run(2, buyer_journeys=[JOURNEY | {"access_at": AS_OF}]).is_empty()
    history.run(3, buyer_journeys=[JOURNEY])
    assert (history.one()["status"], history.one()["reopened_count"]) == ("reopened", 1)
    history.run(4, buyer_journeys=[])
    assert (history.one()["status"], history.one()["resolution"]) == ("resolved", "gone")


def test_a_rerun_of_a_day_changes_nothing() -> None:
    history = History()
    history.run(0, buyer_journeys=[JOURNEY])
    history.run(1, buyer_journeys=[JOURNEY | {"open_basis": "staff"}])
    before, days = history.findings, history.days
    history.run(1, buyer_journeys=[JOURNEY | {"open_basis": "staff"}])
    assert_frame_equal(history.findings, before)
    assert_frame_equal(history.days, days)


def test_a_rerun_replaces_what_the_day_said_and_no_earlier_day() -> None:
    history = History()
    history.run(0, buyer_journeys=[JOURNEY])
    history.run(1, buyer_journeys=[])
    history.run(1, buyer_journeys=[JOURNEY])
    assert history.one()["status"] == "open"
    assert history.days["day_on"].to_list() == [DAY, DAY + timedelta(days=1)]


def test_a_silent_source_neither_opens_nor_resolves() -> None:
    history = History()
    down = health(teachable__enrolments={"status": "stale"})
    history.run(0, buyer_journeys=[JOURNEY], sources=down)
    assert history.findings.is_empty()
    history.run(1, buyer_journeys=[JOURNEY])
    history.run(2, buyer_journeys=[JOURNEY | {"access_at": AS_OF}], sources=down)
    history.run(3, buyer_journeys=[], sources=down)
    found = history.one()
    assert (found["status"], found["unknown_days"], found["last_seen_on"]) == ("open", 2, date(2026, 5, 16))
    assert (
        history.days.filter(pl.col("verdict") == "unknown")["verdict_reason"].to_list()
        == ["source:teachable.enrolments"] * 2
    )


def test_a_longer_deadline_a_switched_off_and_a_removed_rule_resolve() -> None:
    for config, rules, resolution in (
        (SETTINGS.model_copy(update={"deadlines": {"has_access": "9d"}}), (RULE,), "pending"),
        (SETTINGS.model_copy(update={"off": {"has_access": "no"}}), (RULE,), "off"),
        (SETTINGS, (CLOCKLESS,), "gone"),
    ):
        history = History()
        history.run(0, buyer_journeys=[JOURNEY])
        history.config, history.rules = config, rules
        history.run(1, buyer_journeys=[JOURNEY])
        assert history.one()["resolution"] == resolution


def test_without_a_clock_it_is_broken_since_the_first_run_that_saw_it() -> None:
    history = History(CLOCKLESS)
    ann, named = {"person_id": "ann", "record_count": 1}, {"person_id": "ann", "record_count": 1, "crm_owner": "x"}
    for day in (0, 1, 2):
        history.run(day, people=[ann])
    assert history.one()["broken_since_at"] == AS_OF
    history.run(3, people=[named])
    history.run(4, people=[ann])
    assert history.one()["broken_since_at"] == AS_OF + timedelta(days=4)


def test_a_finding_id_is_the_hash_of_invariant_and_subject() -> None:
    history = History()
    history.run(0, buyer_journeys=[JOURNEY, JOURNEY | {"person_id": "ann", "offer_id": None}])
    assert set(history.findings.select("subject", "finding_id").rows()) == {
        (subject, hashlib.sha256(f"has_access|{subject}".encode()).hexdigest()[:16])
        for subject in ("journey:bob:bootcamp", "journey:ann:-")
    }


# Waivers


def test_a_waiver_holds_through_its_last_day_and_then_it_is_open_again() -> None:
    history = History()
    history.run(0, buyer_journeys=[JOURNEY])
    line = f"{history.one()['finding_id']},agreed,ann,2026-05-17"
    history.run(1, buyer_journeys=[JOURNEY], waived=line)
    assert (history.one()["status"], history.one()["waived_until_on"]) == ("waived", date(2026, 5, 17))
    history.run(2, buyer_journeys=[JOURNEY], waived=line)
    assert history.one()["status"] == "waived"
    history.run(3, buyer_journeys=[JOURNEY], waived=line)
    assert (history.one()["status"], history.one()["first_seen_on"]) == ("open", DAY)


def test_deleting_the_line_ends_it_and_a_mended_waived_one_is_resolved() -> None:
    history = History()
    history.run(0, buyer_journeys=[JOURNEY])
    line = "journey:bob:bootcamp,agreed,ann,2026-12-31"
    history.run(1, buyer_journeys=[JOURNEY], waived=line)
    history.run(2, buyer_journeys=[JOURNEY])
    assert history.one()["status"] == "open"
    history.run(3, buyer_journeys=[JOURNEY], waived=line)
    history.run(4, buyer_journeys=[JOURNEY | {"access_at": AS_OF}], waived=line)
    assert (history.one()["status"], history.one()["resolution"]) == ("resolved", "holds")


def test_a_waiver_written_beforehand_makes_no_finding() -> None:
    history = History()
    history.run(0, buyer_journeys=[JOURNEY], waived="journey:bob:bootcamp,agreed,ann,2026-12-31")
    assert history.findings.is_empty()
    assert history.days.is_empty()


@pytest.mark.parametrize("who", ["Ann.Lee+x@gmail.com", "stripe:cus_1", "(212) 555-0199", "person:bob"])
def test_an_address_a_phone_and_a_key_stand_for_the_person(who: str) -> None:
    keys = [
        {"person_id": "bob", "key": key, "kind": "payments", "platform": "stripe", "record_id": "ch_1"}
        for key in ("email:annlee@gmail.com", "stripe:cus_1", "phone:+12125550199")
    ]
    history = History()
    history.run(0, buyer_journeys=[JOURNEY, JOURNEY | {"person_id": "eve"}], person_keys=keys)
    history.run(1, buyer_journeys=[JOURNEY, JOURNEY | {"person_id": "eve"}], person_keys=keys,
                waived=f"{who},agreed,ann,2026-12-31")  # fmt: skip
    assert dict(history.findings.select("person_id", "status").rows()) == {"bob": "waived", "eve": "open"}


# People that merge and split


def changed(day: int, change: str, was: str, now: str) -> list[dict[str, Any]]:
    return [{"day_on": DAY + timedelta(days=day), "change": change, "from_person_id": was, "to_person_id": now}]


def test_findings_and_waivers_move_with_a_person_that_merges() -> None:
    history = History()
    history.run(0, buyer_journeys=[JOURNEY])
    old = history.one()["finding_id"]
    line = f"{old},agreed,ann,2026-12-31"
    merge = changed(1, "merge", "bob", "rob")
    rows = history.run(1, buyer_journeys=[JOURNEY | {"person_id": "rob"}], identity_changes=merge)
    assert rows["moved_from"].to_list() == [old]
    found = history.one()
    assert (found["subject"], found["person_id"], found["status"]) == ("journey:rob:bootcamp", "rob", "open")
    assert (found["first_seen_on"], found["reopened_count"]) == (DAY, 0)
    # The waiver was written of the former id; it still holds, on the day after as well.
    history.run(2, buyer_journeys=[JOURNEY | {"person_id": "rob"}], identity_changes=merge, waived=line)
    assert history.one()["status"] == "waived"
    history.run(3, buyer_journeys=[], identity_changes=merge)
    assert history.one()["resolution"] == "gone"


def test_two_that_become_one_keep_the_first_day_and_the_stricter_state() -> None:
    history = History()
    rob = JOURNEY | {"person_id": "rob"}
    history.run(0, buyer_journeys=[rob])
    history.run(1, buyer_journeys=[JOURNEY, rob], waived="journey:rob:bootcamp,agreed,ann,2026-12-31")
    assert sorted(history.findings["status"]) == ["open", "waived"]
    history.run(2, buyer_journeys=[rob], identity_changes=changed(2, "merge", "bob", "rob"))
    assert (history.one()["status"], history.one()["first_seen_on"]) == ("open", DAY)
    assert history.one()["subject"] == "journey:rob:bootcamp"


def test_a_merge_on_a_day_that_cannot_be_judged_moves_and_resolves_nothing() -> None:
    history = History()
    history.run(0, buyer_journeys=[JOURNEY])
    history.run(1, buyer_journeys=[JOURNEY | {"person_id": "rob"}], identity_changes=changed(1, "merge", "bob", "rob"),
                sources=health(teachable__enrolments={"status": "failed"}))  # fmt: skip
    found = history.one()
    assert (found["subject"], found["status"], found["unknown_days"]) == ("journey:rob:bootcamp", "open", 1)
    assert found["at_risk_minor"] == 500


def test_a_resolved_finding_moves_too_and_stays_resolved() -> None:
    history = History()
    history.run(0, buyer_journeys=[JOURNEY])
    history.run(1, buyer_journeys=[])
    merge = changed(2, "merge", "bob", "rob")
    history.run(2, buyer_journeys=[], identity_changes=merge)
    assert (history.one()["subject"], history.one()["status"]) == ("journey:rob:bootcamp", "resolved")
    history.run(3, buyer_journeys=[JOURNEY | {"person_id": "rob"}], identity_changes=merge)
    assert history.one()["status"] == "reopened"


@pytest.mark.parametrize(("holder", "subject"), [("rob", "journey:rob:bootcamp"), ("bob", "journey:bob:bootcamp")])
def test_when_a_person_splits_a_finding_stays_with_its_evidence(holder: str, subject: str) -> None:
    rule = RULE.model_copy(update={"records": {"payments": "is_primary"}})
    charge = {"record_id": "ch_1", "person_id": "bob", "offer_id": "bootcamp", "is_primary": True, "occurred_at": AS_OF}
    history = History(rule)
    history.run(0, buyer_journeys=[JOURNEY], payments=[charge])
    assert history.one()["evidence_refs"] == ["stripe:ch_1"]
    history.run(1, buyer_journeys=[JOURNEY | {"person_id": holder}], payments=[charge | {"person_id": holder}],
                identity_changes=changed(1, "split", "bob", "rob"))  # fmt: skip
    assert (history.one()["subject"], history.one()["first_seen_on"]) == (subject, DAY)


# Money


def finding(status: str, kind: str, currency: str, **refs: int) -> dict[str, Any]:
    total = sum(refs.values())
    return dict.fromkeys(TABLES["findings"].schema) | {
        "finding_id": f"{status}{kind}{currency}{refs}", "status": status, "at_risk_kind": kind, "currency": currency,
        "at_risk_minor": total, "money_refs": [{"ref": ref, "amount_minor": minor} for ref, minor in refs.items()],
    }  # fmt: skip


def test_totals_count_each_payment_once_with_the_greatest_amount() -> None:
    rows = [
        finding("open", "paid", "USD", ch_1=4900, ch_2=100), finding("reopened", "leak", "USD", ch_1=2000),
        finding("open", "due", "USD", ch_1=5000), finding("open", "expected", "USD", bob=700),
        finding("open", "expected", "USD", bob=900), finding("waived", "paid", "USD", ch_9=50),
        finding("waived", "expected", "USD", ann=60), finding("resolved", "paid", "USD", ch_7=1_000_000),
        finding("open", "paid", "EUR", ch_3=10), finding("open", "paid", "AUD", ch_4=20),
        dict.fromkeys(TABLES["findings"].schema) | {"finding_id": "no money", "status": "open"},
    ]  # fmt: skip
    found = totals(pl.DataFrame(rows, schema=TABLES["findings"].schema), first="USD")
    columns = ["currency", "at_risk_minor", "expected_minor", "waived_minor", "waived_expected_minor"]
    assert found.columns == columns
    assert found.rows() == [("USD", 5100, 900, 50, 60), ("AUD", 20, 0, 0, 0), ("EUR", 10, 0, 0, 0)]


def test_totals_of_nothing_are_no_rows() -> None:
    assert totals(NONE, first="USD").is_empty()


def test_days_are_told_by_the_clock_of_the_business() -> None:
    far = SETTINGS.model_copy(
        update={"business": SETTINGS.business.model_copy(update={"timezone": "Pacific/Auckland"})}
    )
    held = world(buyer_journeys=[JOURNEY])
    found = evaluate(held, rules=[RULE], settings=far, says=SAYS, as_of=AS_OF)
    assert findings.days(found, NONE, held)["day_on"].to_list() == [date(2026, 5, 16)]
