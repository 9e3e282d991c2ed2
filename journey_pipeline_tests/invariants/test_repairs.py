"""Repairs: what is proposed for a finding, and a small world for each guard in which it forbids and one in which it doesn't."""

from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from journey_pipeline.invariants import catalogue, repairs
from journey_pipeline.invariants.evaluation import judging_of
from journey_pipeline.invariants.repairs.actions import SENTENCES, TARGETS
from journey_pipeline.invariants.waivers import hashed
from journey_pipeline.model import Offer, Settings
from journey_pipeline.registry import ACTIONS, TABLES
from journey_pipeline_tests.invariants.worlds import AS_OF, SAYS, SETTINGS, frame, world

DAY = timedelta(days=1)
OFFERS = (
    Offer(id="bootcamp", name="Bootcamp", bought_as=("stripe:b",), grants=("teachable:9", "circle:3")),
    Offer(id="bundle", name="Bundle", bought_as=("stripe:x",), grants=("teachable:9",)),
    Offer(id="unheard_of", name="On a platform that isn't connected", grants=("nowhere:1",)),
)
CONFIG = SETTINGS.model_copy(update={"offers": OFFERS})
ANN = {"person_id": "ann", "name": "Ann Lee"}
COURSE = {"record_id": "en_1", "person_id": "ann", "product_ref": "teachable:9", "offer_id": "bootcamp", "is_open": True,
          "basis": "paid", "occurred_at": AS_OF - 9 * DAY}  # fmt: skip
LIVE = {"record_id": "sub_1", "person_id": "ann", "offer_id": "bootcamp", "is_primary": True, "is_live": True,
        "occurred_at": AS_OF - 90 * DAY, "last_paid_at": AS_OF - 9 * DAY}  # fmt: skip
CHARGE = {"record_id": "ch_1", "person_id": "ann", "offer_id": "bootcamp", "is_primary": True, "status": "succeeded",
          "net_minor": 4900, "occurred_at": AS_OF - 9 * DAY}  # fmt: skip
CONTACTS = [
    {
        "record_id": "c_1",
        "person_id": "ann",
        "occurred_at": AS_OF - 90 * DAY,
        "updated_at": AS_OF - DAY,
        "email": "a@x.com",
    },
    {"record_id": "c_2", "person_id": "ann", "occurred_at": AS_OF - 9 * DAY, "updated_at": AS_OF, "email": "a@y.com"},
]


def finding(invariant: str, n: int = 0, **rest: Any) -> dict[str, Any]:
    """A row of finding_days, of Ann's bootcamp and her charge `ch_1` unless said otherwise."""
    subject = rest.setdefault("subject", f"journey:ann{n or ''}:bootcamp")
    usual = {
        "finding_id": hashed(pl.Series([f"{invariant}|{subject}"]))[0], "invariant": invariant, "person_id": "ann",
        "offer_id": "bootcamp", "platform": "stripe", "record_id": "ch_1", "verdict": "broken", "severity": "critical",
        "owner": "finance", "identity_confidence": 1.0, "cause": "unexplained", "day_on": AS_OF.date(),
        "broken_since_at": AS_OF - DAY,
    }  # fmt: skip
    return {**usual, **rest}


def proposed(*findings: dict[str, Any], incidents: Any = (), config: Settings = CONFIG, **tables: Any) -> pl.DataFrame:
    held = world(**{"people": [ANN], **tables})
    judging = judging_of(held, rules=catalogue.load(), settings=config, says=SAYS, as_of=AS_OF)
    found = repairs.proposed(frame("finding_days", list(findings)), frame("incidents", list(incidents)), held, judging)
    assert found.schema == TABLES["repairs"].schema
    return found


def told(*findings: dict[str, Any], **tables: Any) -> list[tuple[str, str | None, str | None]]:
    """(action, target, the guard's sentence) of each repair."""
    found = proposed(*findings, **tables)
    return sorted(found.select("action", "target_ref", "held_because").rows(), key=str)


# The plan


def test_every_action_is_known_has_a_sentence_and_deletes_nothing() -> None:
    plan = repairs.plan()
    assert set(plan["wanted_action"]) <= set(ACTIONS) == set(SENTENCES)
    assert set(plan["of"]) <= TARGETS
    assert [a for a in ACTIONS if any(word in a for word in ("delete", "remove", "erase", "purge"))] == []


def test_every_rule_of_the_catalogue_has_its_repair() -> None:
    assert {rule.name for rule in catalogue.load()} - set(repairs.plan()["invariant"]) == set()


def test_a_rule_of_the_users_own_is_for_a_person_to_review() -> None:
    assert told(finding("vip_has_owner")) == [("review", "stripe:ch_1", None)]


@pytest.mark.parametrize("verdict", ["unknown", "pending", "excused", "holds", None])
def test_guard_2_only_what_is_broken_has_repairs(verdict: str | None) -> None:
    assert proposed(finding("refund_revokes_access", verdict=verdict), access=[COURSE]).is_empty()


def test_a_repair_says_what_where_and_to_whom() -> None:
    (row,) = proposed(finding("refund_revokes_access"), access=[COURSE | {"url": "https://x.example/en_1"}]).to_dicts()
    assert row["sentence"] == "Take teachable:en_1 from ann on teachable."
    assert (row["action"], row["wanted_action"], row["is_held"]) == ("revoke_access", "revoke_access", False)
    assert (row["target_platform"], row["target_ref"], row["new_value"]) == (
        "teachable",
        "teachable:en_1",
        "teachable:9",
    )
    assert row["url"] == "https://x.example/en_1"
    assert row["guards"] == [
        "who it is: passed", "who it is: passed", "owed elsewhere: passed", "given for free: passed",
        "gift or seat: passed", "open ticket: passed", "how many: passed",
    ]  # fmt: skip


def test_what_is_missing_is_granted_item_by_item_and_the_event_replayed() -> None:
    entitled = [{"person_id": "ann", "offer_id": "bootcamp", "entitled_by": "one_off", "access_due_at": AS_OF - DAY}]
    found = proposed(finding("paid_implies_access"), buyer_journeys=entitled, access=[COURSE])
    assert found.sort("step")["sentence"].to_list() == [
        "Grant circle:3 to ann on circle.",
        "Send stripe:ch_1 through the automation again, once its cause is mended.",
    ]


def test_a_target_that_is_not_found_leaves_the_repair_on_the_list() -> None:
    assert told(finding("refund_revokes_access")) == [("revoke_access", None, None)]


# Creating a contact


def test_a_contact_is_created_unless_one_of_that_name_lies_idle() -> None:
    lead = finding("lead_implies_crm_record", platform="typeform", record_id="f_9")
    (created,) = proposed(lead).filter(pl.col("wanted_action") == "create_contact")["sentence"]
    assert created == "Create a contact in hubspot for ann, from typeform:f_9."
    idle = {"record_id": "c_7", "person_id": "x", "name": "Lee, Ann"}
    people = [ANN, {"person_id": "x", "name": "Lee, Ann"}]
    linked = proposed(lead, people=people, contacts=[idle]).filter(pl.col("wanted_action") == "link_records")
    assert linked["sentence"].item() == (
        "Tie typeform:f_9 to the person it belongs to: "
        "link or merge hubspot:c_7, a contact of the same name that nothing else is known of."
    )
    buyer = [ANN, {"person_id": "x", "name": "Ann Lee", "first_paid_at": AS_OF}]  # a namesake with a life of her own
    named = proposed(lead, people=buyer, contacts=[idle])
    assert "create_contact" in named["action"].to_list()


# Guard 3


TAKING: list[tuple[str, dict[str, Any]]] = [
    ("refund_revokes_access", {"access": [COURSE]}),
    ("refunded_subscription_is_ended", {"subscriptions": [LIVE]}),
    ("no_duplicate_charge", {"payments": [CHARGE]}),
    ("one_crm_record_per_person", {"contacts": CONTACTS}),
    ("unsubscribed_not_mailed", {"consents": [{"record_id": "k", "person_id": "ann", "state": "subscribed"}]}),
]


@pytest.mark.parametrize(("invariant", "tables"), TAKING)
def test_guard_3_nothing_is_taken_from_somebody_we_are_not_sure_of(invariant: str, tables: dict[str, Any]) -> None:
    record = {"record_id": "sub_1"} if "subscriptions" in tables else {}
    ((action, target, why),) = told(finding(invariant, **record), **tables)
    assert action != "review"
    assert target is not None
    assert why is None
    ((action, _, why),) = told(finding(invariant, identity_confidence=0.94, **record), **tables)
    assert (action, why) == ("review", "We are not sure enough who this is to take anything away.")
    twin = [ANN | {"twin_person_id": "bob"}]
    ((action, _, why),) = told(finding(invariant, **record), people=twin, **tables)
    assert (action, why) == ("review", "Somebody else may be the same person: decide that first (journey links).")


# Guard 4


@pytest.mark.parametrize(
    ("tables", "why"),
    [
        ({"buyer_journeys": [{"person_id": "ann", "offer_id": "bundle", "entitled_by": "one_off"}]},
         "The person is entitled to it through bundle."),
        ({"access": [COURSE | {"basis": "comp"}]}, "It was given as comp, not sold."),
        ({"access": [COURSE | {"basis": "import"}]}, "It was given as import, not sold."),
        ({"access": [COURSE | {"basis": "staff"}]}, "It was given as staff, not sold."),
        ({"access": [COURSE | {"paid_by_ref": "stripe:ch_77"}]}, "Another person's money pays for it."),
        ({"tickets": [{"record_id": "7", "person_id": "ann", "topic": "access", "status": "open"}]},
         "The person has an open ticket about access or billing: zendesk:7."),
        ({"tickets": [{"record_id": "7", "person_id": "ann", "topic": "billing", "status": "pending"}]},
         "The person has an open ticket about access or billing: zendesk:7."),
        # and what only looks like it
        ({"buyer_journeys": [{"person_id": "ann", "offer_id": "bundle"}]}, None),
        ({"access": [COURSE | {"paid_by_ref": "stripe:ch_1"}], "payments": [CHARGE]}, None),
        ({"tickets": [{"record_id": "7", "person_id": "ann", "topic": "access", "status": "solved"}]}, None),
        ({"tickets": [{"record_id": "7", "person_id": "ann", "topic": "other", "status": "open"}]}, None),
        ({"tickets": [{"record_id": "7", "person_id": "bob", "topic": "access", "status": "open"}]}, None),
    ],
)  # fmt: skip
def test_guard_4_access_is_not_taken_where_it_may_be_owed(tables: dict[str, Any], why: str | None) -> None:
    assert told(finding("refund_revokes_access"), **{"access": [COURSE], **tables}) == [
        ("review" if why else "revoke_access", "teachable:en_1", why)
    ]


# Guards 5 and 6


SECOND = LIVE | {"record_id": "sub_2", "occurred_at": AS_OF - 5 * DAY}
CANCEL = finding("refunded_subscription_is_ended", record_id="sub_1", subject="subscriptions:stripe:sub_1")


@pytest.mark.parametrize(
    ("subscriptions", "people", "why"),
    [
        ([LIVE, SECOND], [ANN], "stripe:sub_2 pays for the same access: a person decides which one goes."),
        ([LIVE, SECOND | {"offer_id": "bundle"}], [ANN],
         "stripe:sub_2 pays for the same access: a person decides which one goes."),  # an item of both offers
        ([LIVE, SECOND | {"is_live": False}], [ANN], None),
        ([LIVE, SECOND | {"offer_id": "unheard_of"}], [ANN], None),
        ([LIVE, SECOND | {"person_id": "bob"}], [ANN], None),
        ([LIVE | {"instalments": 6, "paid_count": 4}], [ANN], "Instalments are outstanding."),
        ([LIVE | {"instalments": 6, "paid_count": 6}], [ANN], None),
        ([LIVE | {"last_paid_at": AS_OF - timedelta(hours=23)}], [ANN], "It was paid within the last 24 hours."),
        ([LIVE | {"last_paid_at": AS_OF - timedelta(hours=25)}], [ANN], None),
    ],
)  # fmt: skip
def test_guards_5_and_6_a_subscription_is_not_cancelled_that_may_be_the_wrong_one(
    subscriptions: list[dict[str, Any]], people: list[dict[str, Any]], why: str | None
) -> None:
    assert told(CANCEL, subscriptions=subscriptions, people=people) == [
        ("review" if why else "cancel_subscription", "stripe:sub_1", why)
    ]


def test_guard_5_looks_at_a_twin_too() -> None:
    twin = [ANN | {"twin_person_id": "bob"}, {"person_id": "bob"}]
    (row,) = proposed(CANCEL, subscriptions=[LIVE, SECOND | {"person_id": "bob"}], people=twin).to_dicts()
    assert (
        "another subscription: stripe:sub_2 pays for the same access: a person decides which one goes." in row["guards"]
    )


def test_of_two_live_subscriptions_a_person_chooses_and_sees_both() -> None:
    used = COURSE | {"last_used_at": AS_OF - 2 * DAY}
    (row,) = proposed(
        finding("one_live_subscription_per_offer"), subscriptions=[LIVE, SECOND], access=[used]
    ).to_dicts()
    assert (row["action"], row["is_held"]) == ("choose_subscription", False)
    assert row["new_value"] == (
        "stripe:sub_1 since 2026-02-14, last paid 2026-05-06; stripe:sub_2 since 2026-05-10, last paid 2026-05-06; "
        "last use 2026-05-13"
    )


# Guard 7


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, None),
        ({"net_minor": 0}, "Nothing of it is left to give back."),
        ({"is_primary": False}, "It is a copy of a payment that another platform moved."),
        ({"dispute_status": "open"}, "Its dispute is open: it would be paid back twice."),
        ({"dispute_status": "won"}, None),
    ],
)
def test_guard_7_a_refund_is_of_what_was_kept_and_never_twice(changed: dict[str, Any], why: str | None) -> None:
    (row,) = proposed(finding("no_duplicate_charge"), payments=[CHARGE | changed]).to_dicts()
    assert (row["action"], row["held_because"]) == ("review" if why else "refund_payment", why)
    assert (row["amount_minor"], row["currency"]) == (changed.get("net_minor", 4900), "USD")


def test_guard_7_never_both_of_a_pair_of_twins() -> None:
    """A wrong rule wants both back: only the later one is."""
    later = CHARGE | {"record_id": "ch_2", "earlier_twin_ref": "stripe:ch_1"}
    both = [
        finding("no_duplicate_charge", record_id=r, subject=f"payments:stripe:{r}", offer_id=None)
        for r in ("ch_1", "ch_2")
    ]
    assert told(*both, payments=[CHARGE, later]) == [
        ("refund_payment", "stripe:ch_2", None),
        ("review", "stripe:ch_1", "The later of the two is refunded already: never both."),
    ]


# Guard 8


@pytest.mark.parametrize(
    ("journey", "why"),
    [
        ({"entitled_by": "one_off", "access_due_at": AS_OF - DAY}, None),
        ({"entitled_by": None}, "The payment was refunded or disputed, or what it paid for is over."),
        ({"entitled_by": "one_off", "access_due_at": AS_OF + DAY}, "Access isn't due yet."),
    ],
)
def test_guard_8_access_is_granted_only_to_who_is_entitled_and_when(journey: dict[str, Any], why: str | None) -> None:
    rows = [{"person_id": "ann", "offer_id": "bootcamp", **journey}]
    found = proposed(finding("bundle_is_complete"), buyer_journeys=rows, access=[COURSE])
    assert found.select("action", "new_value", "held_because").rows() == [
        ("review" if why else "grant_access", "circle:3", why)
    ]


# Guard 9


PAYING = [LIVE | {"email": "a@x.com"}, SECOND | {"email": "a@y.com"}]
DEALS = [
    {"record_id": "d_1", "person_id": "ann", "owner": "eve"},
    {"record_id": "d_2", "person_id": "ann", "owner": "max"},
]
TIE = {"person_id": "ann", "key": "name:ann lee", "kind": "contacts", "platform": "hubspot", "record_id": "c_2"}


@pytest.mark.parametrize(
    ("tables", "why"),
    [
        ({}, None),
        ({"subscriptions": PAYING}, "Both have a live payment account."),
        ({"subscriptions": [LIVE | {"email": "a@x.com"}, SECOND | {"email": "a@x.com"}]}, None),
        ({"deals": DEALS}, "Different owners have open deals with them."),
        ({"deals": [DEALS[0], DEALS[1] | {"won_at": AS_OF - DAY}]}, None),
        ({"person_keys": [TIE | {"how": "probable"}]}, "Only a probable tie says that they are one."),
        ({"person_keys": [TIE | {"how": "normalised"}]}, None),
    ],
)
def test_guard_9_contacts_are_not_merged_that_may_be_two_people(tables: dict[str, Any], why: str | None) -> None:
    assert told(finding("one_crm_record_per_person"), contacts=CONTACTS, **tables) == [
        ("review" if why else "merge_contacts", "hubspot:c_1", why)
    ]


def test_guard_9_the_contact_survives_that_deals_and_payments_name() -> None:
    deal = {"record_id": "d_1", "person_id": "ann", "keys": ["hubspot:c_2"]}
    (row,) = proposed(finding("one_crm_record_per_person"), contacts=CONTACTS, deals=[deal]).to_dicts()
    assert (row["target_ref"], row["new_value"]) == ("hubspot:c_2", "hubspot:c_1")


# Guard 10


BOUNCE = {"record_id": "m", "person_id": "ann", "bounced_at": AS_OF - 2 * DAY}


@pytest.mark.parametrize(
    ("invariant", "tables", "why"),
    [
        ("lead_gets_answer", {}, None),
        ("lead_gets_answer", {"people": [ANN | {"opted_out_at": AS_OF - DAY}]}, "The person opted out of marketing."),
        ("paid_implies_welcome", {"people": [ANN | {"opted_out_at": AS_OF - DAY}]}, None),
        ("failed_payment_gets_mail", {"people": [ANN | {"opted_out_at": AS_OF - DAY}]}, None),
        ("lead_gets_answer", {"messages": [BOUNCE]}, "The last message to the person bounced."),
        ("paid_implies_welcome", {"messages": [BOUNCE]}, "The last message to the person bounced."),
        ("paid_implies_welcome", {"messages": [BOUNCE | {"delivered_at": AS_OF - DAY}]}, None),
    ],
)
def test_guard_10_nobody_is_written_to_who_said_no_or_can_not_read_it(
    invariant: str, tables: dict[str, Any], why: str | None
) -> None:
    ((_, _, held_because),) = told(finding(invariant), **tables)
    assert held_because == why


# Guard 11


def incident(count: int, **rest: Any) -> dict[str, Any]:
    usual = {
        "incident_id": "i1", "invariant": "paid_implies_access", "severity": "critical", "owner": "delivery", "status": "open",
        "factor": "source", "factor_value": "shopify", "finding_count": count, "cause": "never_arrived",
        "sentence": "31 of 37 since Thursday 14 May 14:05, all through shopify (elsewhere 2 of 410)",
    }  # fmt: skip
    return usual | rest


@pytest.mark.parametrize(
    ("changed", "action", "sentence"),
    [
        ({}, "replay_event", "Find out what stopped at shopify and send its events again: it is behind 12 findings. "),
        ({"factor": "form", "factor_value": "webinar"}, "fix_form", "Send a test through webinar and mend it: "),
        ({"cause": "never_worked", "factor": "target, offer", "factor_value": "teachable, bootcamp"}, "map_product",
         "Look at how teachable, bootcamp is mapped in journey.yaml: "),
    ],
)  # fmt: skip
def test_guard_11_the_cause_of_a_large_incident_comes_first(
    changed: dict[str, Any], action: str, sentence: str
) -> None:
    findings = [
        finding("paid_implies_access", n, person_id=f"p{n}", incident_id="i1", record_id=f"ch_{n}")
        for n in range(1, 13)
    ]
    found = proposed(*findings, incidents=[incident(12, **changed)])
    first, held = found.filter(pl.col("finding_id").is_null()), found.drop_nulls("finding_id")
    assert first.select("action", "incident_id", "is_held").rows() == [(action, "i1", False)]
    assert first["sentence"][0].startswith(sentence)
    assert set(held.select("is_held", "held_because", "behind_repair_id").rows()) == {
        (True, "The cause of its incident comes first.", first["repair_id"][0])
    }
    assert held["finding_id"].n_unique() == 12


def test_guard_11_a_small_or_an_ended_incident_holds_nothing() -> None:
    for small in (incident(9), incident(12, status="ended")):
        found = proposed(finding("paid_implies_access", incident_id="i1"), incidents=[small])
        assert found["finding_id"].null_count() == 0
        assert not found["is_held"].any()


# Guard 12


def crowd_of(count: int, *, of: int) -> dict[str, Any]:
    """So many people to be cut off, of so many who have access."""
    return {
        "findings": [finding("refund_revokes_access", n, person_id=f"p{n}") for n in range(1, count + 1)],
        "access": [COURSE | {"record_id": f"en_{n}", "person_id": f"p{n}"} for n in range(1, of + 1)],
        "people": [{"person_id": f"p{n}"} for n in range(1, of + 1)],
    }


@pytest.mark.parametrize(
    ("count", "of", "config", "is_held"),
    [
        (5, 100, CONFIG, False),
        (6, 100, CONFIG, True),
        (3, 4, CONFIG, False),  # few enough to look at one by one
        (50, 1100, CONFIG, False),
        (51, 1100, CONFIG, True),
        (51, 1100, CONFIG.model_copy(update={"thresholds": CONFIG.thresholds.model_copy(update={"repairs_ceiling": 60})}), False),
    ],
)  # fmt: skip
def test_guard_12_a_wrong_mapping_does_not_read_as_a_list_of_revocations(
    count: int, of: int, config: Settings, is_held: bool
) -> None:
    drawn = crowd_of(count, of=of)
    found = proposed(*drawn.pop("findings"), config=config, **drawn)
    assert found.height == count
    assert found["is_held"].unique().to_list() == [is_held]
    if is_held:
        assert found["action"].unique().to_list() == ["review"]
        assert found["held_because"][0] == (
            f"{count} of {of:,} at once: more than a person would believe. See first what they share."
        )


def test_the_same_findings_give_the_same_repairs() -> None:
    drawn = crowd_of(6, of=40)
    findings = drawn.pop("findings")
    assert_frame_equal(proposed(*findings, **drawn), proposed(*reversed(findings), **drawn))
