"""What is told of a broken row: its likely cause, its evidence, what its money stands on, what to do."""

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from journey_pipeline.errors import SettingsError
from journey_pipeline.invariants import catalogue, waivers
from journey_pipeline.invariants.evaluation import evaluate
from journey_pipeline.model import Rule
from journey_pipeline_tests.invariants.worlds import AS_OF, SAYS, SETTINGS, health, instant, world

RULES = {rule.name: rule for rule in catalogue.load()}
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def broken(rule: str | Rule, **tables: Any) -> list[dict[str, Any]]:
    """The broken rows of one rule, by subject."""
    asked = RULES[rule] if isinstance(rule, str) else rule
    found = evaluate(world(**tables), rules=[asked], settings=SETTINGS, says=SAYS, as_of=AS_OF).broken
    return found.sort("subject").to_dicts()


def journey(who: str, **more: Any) -> dict[str, Any]:
    """Somebody who paid for the bootcamp at nine and has nothing."""
    return {
        "person_id": who, "offer_id": "bootcamp", "is_paying": True, "entitled_by": "one_off", "grants_expected": 2,
        "access_due_at": instant("09:00"), "access_platform": "teachable", "net_minor": 49900, "currency": "USD",
        "paid_at": instant("09:00"), "offer_price_minor": 49900,
    } | more  # fmt: skip


def payment(who: str, record_id: str, at: str, **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id, "person_id": who, "offer_id": "bootcamp", "is_primary": True, "status": "succeeded",
        "occurred_at": instant(at), "succeeded_at": instant(at), "amount_minor": 49900, "net_minor": 49900,
        "url": f"https://pay.example/{record_id}",
    } | more  # fmt: skip


# Causes


def causes(rule: str | Rule, **tables: Any) -> dict[str, str]:
    return {row["subject"]: row["cause"] for row in broken(rule, **tables)}


def test_the_rules_own_tests_are_tried_in_their_order() -> None:
    found = causes(
        "paid_implies_access",
        buyer_journeys=[
            journey("a", other_person_access_ref="teachable:9", has_account_on_target=True),
            journey("b", has_other_offer_access=True, access_due_at=instant("d-9")),
            journey("c", has_unmapped_access=True, access_due_at=instant("d-20")),
            journey("d", has_account_on_target=True, access_due_at=instant("d-30")),
            journey("e", access_due_at=instant("d-40")),
            journey("f", access_due_at=instant("d-50"), has_account_on_target=True),
            journey("z", access_due_at=instant("d-60"), grants_open=2),
        ],
        payments=[payment("f", "ch_1", "d-51", succeeded_at=instant("d-50"))],
    )
    assert found == {
        "journey:a:bootcamp": "other_identity", "journey:b:bootcamp": "wrong_product", "journey:c:bootcamp": "unmapped",
        "journey:d:bootcamp": "arrived_not_applied", "journey:e:bootcamp": "never_arrived",
        "journey:f:bootcamp": "delayed_method",
    }  # fmt: skip


def test_never_worked_where_of_five_judged_rows_none_holds() -> None:
    rows = [journey(who, access_due_at=instant(f"d-{3 * i + 1}")) for i, who in enumerate("abcde")]
    assert set(causes("paid_implies_access", buyer_journeys=rows).values()) == {"never_worked"}
    assert set(causes("paid_implies_access", buyer_journeys=rows[:4]).values()) == {"never_arrived"}
    one_holds = [*rows, journey("f", access_due_at=instant("d-80"), grants_open=1)]
    assert "never_worked" not in causes("paid_implies_access", buyer_journeys=one_holds).values()
    long_ago = [*rows, journey("f", access_due_at=instant("d-91"), grants_open=1)]
    assert set(causes("paid_implies_access", buyer_journeys=long_ago).values()) == {"never_worked"}
    other_offer = [*rows, journey("f", offer_id="membership", grants_open=1)]
    assert set(causes("paid_implies_access", buyer_journeys=other_offer).values()) == {"never_worked"}


def holding(count: int, at: str = "d-60") -> list[dict[str, Any]]:
    return [journey(f"h{i}", grants_open=2, access_due_at=instant(at)) for i in range(count)]


def test_outage_where_nearly_all_of_an_hour_are_broken() -> None:
    rows = [journey(who, access_due_at=instant("d-3") + i * 10 * MINUTE) for i, who in enumerate("abcde")]
    assert set(causes("paid_implies_access", buyer_journeys=[*rows, *holding(9)]).values()) == {"outage"}
    # One of six of that hour holds: below nine in ten.
    mixed = [*rows, *holding(9), journey("x", grants_open=2, access_due_at=instant("d-3") + 5 * MINUTE)]
    assert set(causes("paid_implies_access", buyer_journeys=mixed).values()) == {"never_arrived"}


def test_outage_looks_at_a_day_where_an_hour_has_fewer_than_five() -> None:
    rows = [journey(who, access_due_at=instant("d-3") + i * 5 * HOUR) for i, who in enumerate("abc")]
    assert set(causes("paid_implies_access", buyer_journeys=[*rows, *holding(9)]).values()) == {"outage"}
    two = causes("paid_implies_access", buyer_journeys=[*rows[:2], *holding(9)])
    assert set(two.values()) == {"never_arrived"}


def test_a_crowd_that_the_rate_elsewhere_explains_is_no_outage() -> None:
    crowd = [journey(who, access_due_at=instant("d-3") + i * 5 * HOUR) for i, who in enumerate("abc")]
    apart = [journey(f"b{i}", access_due_at=instant(f"d-{10 + 3 * i}")) for i in range(9)]
    assert "outage" not in causes("paid_implies_access", buyer_journeys=[*crowd, *apart, *holding(9)]).values()


def test_an_outage_is_of_one_platform() -> None:
    rows = [
        journey(who, access_due_at=instant("d-3") + i * MINUTE, access_platform=platform)
        for i, (who, platform) in enumerate([("a", "teachable"), ("b", "teachable"), ("c", "circle")])
    ]
    assert set(causes("paid_implies_access", buyer_journeys=[*rows, *holding(9)]).values()) == {"never_arrived"}


def test_a_rule_without_a_clock_has_no_outage_and_what_nothing_explains_is_unexplained() -> None:
    rows = [{"platform": "stripe", "resource": str(i), "status": "failed"} for i in range(6)]
    found = {row["cause"] for row in broken("source_is_fresh", source_health=rows)}
    assert found == {"unexplained"}
    stale = broken("source_is_fresh", source_health=[{"platform": "stripe", "resource": "charges", "status": "stale"}])
    assert stale[0]["cause"] == "not_run"


@pytest.mark.parametrize(
    ("rule", "person", "contact", "cause", "without"),
    [
        ("lead_has_owner", {}, {"former_owner": "sam@x.com"}, "undone", "no_rule"),
        ("paid_implies_crm_customer", {"first_paid_at": instant("d-5"), "has_net_payment": True},
         {"is_former_customer": True}, "undone", "not_told"),
        ("lead_source_kept_in_crm", {"crm_source": "import", "crm_campaign": "direct", "lead_campaign": "spring"},
         {"former_campaign": "google spring"}, "overwritten", "other_campaign"),
    ],
)  # fmt: skip
def test_what_an_older_version_of_the_contact_had_was_taken_back(
    rule: str, person: dict[str, Any], contact: dict[str, Any], cause: str, without: str
) -> None:
    ann = {"person_id": "ann", "first_lead_at": instant("d-3"), "lead_source": "google", "crm_at": instant("d-3"),
           "crm_contact_count": 1, "crm_source": "google", **person}  # fmt: skip
    told = {"record_id": "c_1", "person_id": "ann", "platform": "hubspot", "occurred_at": instant("d-3")}
    assert causes(rule, people=[ann], contacts=[told | contact]) == {"person:ann": cause}
    assert causes(rule, people=[ann], contacts=[told]) == {"person:ann": without}


@pytest.mark.parametrize(
    ("earlier", "cause"),
    [({"occurred_at": instant("08:58")}, "double_click"), ({"occurred_at": instant("08:30"), "platform": "paypal"}, "two_platforms"),
     ({"occurred_at": instant("08:30"), "method": "sepa_debit"}, "retry")],
)  # fmt: skip
def test_a_cause_may_ask_for_another_record(earlier: dict[str, Any], cause: str) -> None:
    first = payment("ann", "ch_1", "08:30") | earlier
    ref = f"{first.get('platform', 'stripe')}:ch_1"
    second = payment("ann", "ch_2", "09:00", earlier_twin_ref=ref)
    (found,) = broken("no_duplicate_charge", payments=[first, second])
    assert (found["subject"], found["cause"]) == ("payments:stripe:ch_2", cause)


# Evidence and fix


def test_evidence_names_the_records_and_what_is_missing() -> None:
    (found,) = broken(
        "paid_implies_access", buyer_journeys=[journey("bob")], payments=[payment("bob", "ch_2", "09:00")]
    )
    assert found["evidence"] == (
        "payment stripe:ch_2 of 2026-05-15 09:00 UTC;"
        " no access on circle and teachable for this person since 2026-05-15 09:00 UTC"
    )
    assert found["evidence_refs"] == ["stripe:ch_2"]
    assert (found["platform"], found["record_id"], found["url"]) == ("stripe", "ch_2", "https://pay.example/ch_2")
    assert found["fix"] == (
        "Grant access on teachable now, then replay the payment's event so that the automation catches up."
    )


def test_evidence_of_a_record_begins_with_the_record_itself() -> None:
    first, second = payment("ann", "ch_1", "09:00"), payment("ann", "ch_2", "09:02", earlier_twin_ref="stripe:ch_1")
    (found,) = broken("no_duplicate_charge", payments=[first, second])
    assert found["evidence"] == (
        "payment stripe:ch_2 of 2026-05-15 09:02 UTC; payment stripe:ch_1 of 2026-05-15 09:00 UTC"
    )
    assert found["evidence_refs"] == ["stripe:ch_2", "stripe:ch_1"]
    assert found["fix"] == "Refund the later of the two, stripe:ch_2, in stripe."


def test_test_records_and_other_offers_are_no_evidence() -> None:
    others = [
        payment("bob", "ch_t", "09:00", is_test=True), payment("bob", "ch_o", "09:00", offer_id="membership"),
        payment("eve", "ch_e", "09:00"),
    ]  # fmt: skip
    (found,) = broken("paid_implies_access", buyer_journeys=[journey("bob")], payments=others)
    assert found["evidence_refs"] == []
    assert found["url"] is None


def test_two_contacts_are_both_shown() -> None:
    contacts = [
        {"record_id": c, "person_id": "ann", "occurred_at": instant(at)} for c, at in (("c_1", "d-90"), ("c_2", "d-3"))
    ]
    ann = {
        "person_id": "ann",
        "crm_contact_count": 2,
        "crm_platform_contact_count": 2,
        "second_contact_at": instant("d-3"),
    }
    (found,) = broken("one_crm_record_per_person", people=[ann], contacts=contacts)
    assert found["evidence_refs"] == ["hubspot:c_2", "hubspot:c_1"]


def test_a_rule_of_the_user_tells_the_values_it_compares() -> None:
    rule = Rule(name="vip_has_owner", on="people", when="lifetime_minor > 500000", then="crm_owner is not null",
                owner="sales", fix="Give {person_id} an owner in {contacts}.")  # fmt: skip
    (found,) = broken(rule, people=[{"person_id": "p1", "lifetime_minor": 600000, "email": "secret@x.com"}])
    assert found["evidence"] == "lifetime_minor 600000, crm_owner unknown"
    assert found["fix"] == "Give p1 an owner in hubspot."
    assert (found["severity"], found["owner"], found["at_risk_minor"]) == ("warning", "sales", None)


def test_no_personal_data_is_told() -> None:
    rule = Rule(name="mine", on="people", when="email like '%@x.com'", then="crm_owner is not null", needs=())
    (found,) = broken(rule, people=[{"person_id": "p1", "email": "secret@x.com", "name": "Ann"}])
    assert "secret" not in str(found)


# Money


def refs(row: dict[str, Any]) -> dict[str, int]:
    return {part["ref"]: part["amount_minor"] for part in row["money_refs"]}


def test_an_amount_fills_the_newest_payment_first() -> None:
    payments = [
        payment("bob", "ch_1", "d-9", net_minor=30000), payment("bob", "ch_2", "d-2", net_minor=20000),
        payment("bob", "ch_3", "d-1", net_minor=0), payment("bob", "ch_4", "d-1", currency="EUR"),
        payment("bob", "ch_5", "d-1", is_primary=False), payment("bob", "ch_6", "d-1", status="failed"),
    ]  # fmt: skip
    whole = broken("paid_implies_access", buyer_journeys=[journey("bob", net_minor=50000)], payments=payments)[0]
    assert refs(whole) == {"payment:stripe:ch_2": 20000, "payment:stripe:ch_1": 30000}
    part = journey("bob", net_minor=50000, grants_open=1, grant_missing_at=instant("09:00"))
    half = broken("bundle_is_complete", buyer_journeys=[part], payments=payments)[0]
    assert half["at_risk_minor"] == 25000
    assert refs(half) == {"payment:stripe:ch_2": 20000, "payment:stripe:ch_1": 5000}
    more = broken("paid_implies_access", buyer_journeys=[journey("bob", net_minor=50007)], payments=payments)[0]
    assert refs(more) == {"payment:stripe:ch_2": 20007, "payment:stripe:ch_1": 30000}


def test_an_amount_that_nothing_carries_stands_on_the_subject() -> None:
    (found,) = broken("paid_implies_access", buyer_journeys=[journey("bob")])
    assert refs(found) == {"journey:bob:bootcamp": 49900}


def test_a_leak_stands_on_the_payment_that_once_paid_for_it() -> None:
    uma = journey("uma", is_paying=False, entitlement_ended_by="refund", entitlement_ended_at=instant("d-3"),
                  unowed_count=1, refunded_minor=49900)  # fmt: skip
    charge = payment("uma", "ch_1", "d-9", net_minor=0, refunded_minor=49900, refunded_at=instant("d-3"))
    (found,) = broken("refund_revokes_access", buyer_journeys=[uma], payments=[charge])
    assert (found["at_risk_kind"], refs(found)) == ("leak", {"payment:stripe:ch_1": 49900})


def test_access_without_money_stands_on_itself_in_the_currency_of_the_price() -> None:
    gus = {"person_id": "gus", "offer_id": "membership", "grants_open": 1, "opened_at": instant("d-20"), "open_basis": "paid",
           "unowed_count": 1, "offer_price_minor": 2900, "currency": None}  # fmt: skip
    seat = {"record_id": "m_1", "platform": "circle", "person_id": "gus", "offer_id": "membership", "is_open": True,
            "occurred_at": instant("d-20")}  # fmt: skip
    (found,) = broken("access_implies_payment", buyer_journeys=[gus], access=[seat])
    assert (found["currency"], refs(found)) == ("EUR", {"access:circle:m_1": 2900})


def test_extra_subscriptions_are_all_but_the_dearest() -> None:
    eli = {"person_id": "eli", "offer_id": "bootcamp", "live_subscription_count": 3, "second_live_at": instant("d-2"),
           "extra_subscription_minor": 3900}  # fmt: skip
    live = [
        {"record_id": f"sub_{i}", "person_id": "eli", "offer_id": "bootcamp", "is_primary": True, "is_live": True,
         "amount_minor": minor, "occurred_at": instant("d-9")}
        for i, minor in enumerate([2900, 4900, 1000])
    ]  # fmt: skip
    (found,) = broken("one_live_subscription_per_offer", buyer_journeys=[eli], subscriptions=live)
    assert refs(found) == {"subscription:stripe:sub_2": 1000, "subscription:stripe:sub_0": 2900}


def test_a_lead_is_expected_money_of_the_person_and_a_product_stands_on_its_sales() -> None:
    (lead,) = broken("lead_implies_crm_record", people=[
        {"person_id": "bob", "first_lead_at": instant("09:00"), "expected_minor": 1200}])  # fmt: skip
    assert (lead["at_risk_kind"], lead["currency"], refs(lead)) == ("expected", "USD", {"person:bob": 1200})
    product = {"product_ref": "stripe:new", "platform": "stripe", "first_seen_at": instant("d-9"), "is_in_use": True,
               "sold_30d_minor": 99800}  # fmt: skip
    sold = [payment("a", "ch_1", "d-5", product_ref="stripe:new"), payment("b", "ch_2", "d-3", product_ref="stripe:new"),
            payment("b", "ch_3", "d-40", product_ref="stripe:new")]  # fmt: skip
    (found,) = broken("product_has_offer", products=[product], payments=sold)
    assert found["subject"] == "product:stripe:new"
    assert refs(found) == {"payment:stripe:ch_2": 49900, "payment:stripe:ch_1": 49900}
    assert found["platform"] == "stripe"


def test_a_ticket_stands_on_the_payers_payments() -> None:
    ticket = {"record_id": "t_1", "person_id": "bob", "topic": "access", "is_payer": True, "occurred_at": instant("07:00"),
              "payer_net_minor": 49900}  # fmt: skip
    (found,) = broken("access_ticket_of_payer_is_answered", tickets=[ticket], payments=[payment("bob", "ch_1", "d-1")])
    assert (found["platform"], found["record_id"]) == ("zendesk", "t_1")
    assert refs(found) == {"payment:stripe:ch_1": 49900}


def test_amounts_are_rounded_half_up_and_never_below_zero() -> None:
    rule = Rule(name="mine", on="payments", when="record_id is not null", then="is_ignored", needs=(),
                at_risk="amount_minor / 2", at_risk_kind="due")  # fmt: skip
    rows = [payment("a", "ch_1", "d-1", amount_minor=5), payment("a", "ch_2", "d-1", amount_minor=-9)]
    rows.append(payment("a", "ch_3", "d-1", amount_minor=None))
    assert [(row["at_risk_minor"], row["money_refs"]) for row in broken(rule, payments=rows)] == [
        (3, [{"ref": "payment:stripe:ch_1", "amount_minor": 3}]), (0, []), (None, None),
    ]  # fmt: skip


def test_unknown_rows_carry_no_money_and_are_not_described() -> None:
    down = health(teachable__enrolments={"status": "failed"})
    assert broken("paid_implies_access", buyer_journeys=[journey("bob")], sources=down) == []


# The waivers file


def test_waivers_are_read() -> None:
    found = waivers.parse(
        "finding,reason,who,until\n0123456789abcdef, goodwill ,ann,2026-06-01\n\nann@x.com,pilot,bob,2026-07-01\n"
    )
    assert found.rows()[0][:3] == ("0123456789abcdef", "goodwill", "ann")
    assert found["until_on"].cast(pl.String).to_list() == ["2026-06-01", "2026-07-01"]
    assert waivers.unknown_ids(found, ["feedfeedfeedfeed"]) == ["0123456789abcdef"]
    assert waivers.unknown_ids(found, ["0123456789abcdef"]) == []
    assert waivers.parse("subject,reason,who,until\nperson:p,x,y,2026-06-01")["finding"].to_list() == ["person:p"]


def test_every_incomplete_line_is_named() -> None:
    with pytest.raises(SettingsError) as refused:
        waivers.parse("finding,reason,who,until\na,,ann,2026-06-01\nb,x,ann,soon\n")
    assert refused.value.mistakes == [
        "2: reason is empty; a waiver needs all of finding, reason, who, until",
        "3: until: 'soon' is not a day; allowed: 2026-05-31",
    ]
    with pytest.raises(SettingsError) as headless:
        waivers.parse("id,reason,who\n")
    assert headless.value.mistakes == ["1: the header lacks finding, until; needed: finding,reason,who,until"]
