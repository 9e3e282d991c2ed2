"""Derived columns (docs/definitions.md), each on a world small enough to see."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from journey_pipeline.model import Offer
from journey_pipeline.registry import TABLES
from journey_pipeline_tests.worlds import OFFERS, at, one, scope, walk


def journey(tables: dict[str, pl.DataFrame], offer: str | None = "bootcamp") -> dict[str, Any]:
    return one(tables["buyer_journeys"], offer_id=offer)


def test_every_table_has_its_registry_columns_and_types_even_when_empty() -> None:
    for name, frame in walk().items():
        assert frame.schema == TABLES[name].schema, name


def test_a_buyer_with_access() -> None:
    row = journey(walk(
        payments=[{"id": "ch_1", "who": "ann", "at": "09:00"}],
        access=[{"id": "en_1", "who": "ann", "at": "09:03", "last_used_at": "10:00", "first_used_at": "10:00"}],
        contacts=[{"id": "c1", "who": "ann", "at": "08:00", "owner": "sal@n.example"}],
        messages=[{"who": "ann", "purpose": "welcome", "template_ref": "mailchimp:w", "at": "09:04", "delivered_at": "09:05"}],
    ))  # fmt: skip
    assert row["paid_at"] == at("09:00")
    assert row["access_at"] == at("09:03")
    assert row["welcomed_at"] == at("09:05")
    assert row["crm_at"] == at("08:00")
    assert (row["entitled_by"], row["is_paying"], row["access_due_at"]) == ("one_off", True, at("09:00"))
    assert (row["grants_expected"], row["grants_open"], row["unowed_count"]) == (1, 1, 0)
    assert (row["stage"], row["next_step"], row["owner"]) == ("using", "keep them", "sal@n.example")
    assert (row["paid_minor"], row["net_minor"], row["currency"], row["payment_count"]) == (4900, 4900, "USD", 1)


@pytest.mark.parametrize(
    ("payment", "by", "ended_by", "ended_at"),
    [
        ({}, "one_off", None, None),
        ({"refunded_minor": 4900, "refunded_at": "d-2"}, None, "refund", "d-2"),
        ({"refunded_minor": 2000, "refunded_at": "d-2"}, "one_off", None, None),
        ({"disputed_at": "d-1", "dispute_status": "open"}, None, "dispute", "d-1"),
        ({"disputed_at": "d-1", "dispute_status": "won"}, "one_off", None, None),
        ({"status": "failed"}, None, None, None),
        ({"product_ref": "stripe:price_c", "at": "d-91"}, None, "term", "d-1"),
    ],
)
def test_entitlement_by_a_payment(
    payment: dict[str, Any], by: str | None, ended_by: str | None, ended_at: str | None
) -> None:
    offer = "cohort" if payment.get("product_ref") else "bootcamp"
    row = journey(walk(payments=[{"who": "ann", "at": "d-3", **payment}]), offer)
    assert (row["entitled_by"], row["entitlement_ended_by"]) == (by, ended_by)
    assert row["entitlement_ended_at"] == (at(ended_at) if ended_at else None)


@pytest.mark.parametrize(
    ("subscription", "paid", "by", "ended_by", "ended_at"),
    [
        ({"status": "trialing", "trial_ends_at": "d+5"}, [], "trial", None, None),
        ({}, ["d-40", "d-10"], "subscription", None, None),
        ({"is_cancelling": True, "period_ends_at": "d+20"}, ["d-10"], "cancelling", None, None),
        ({"is_cancelling": True, "period_ends_at": "d-1"}, ["d-40"], None, "subscription_end", "d-1"),
        ({"status": "past_due"}, ["d-34"], "dunning", None, None),  # paid until d-3, seven days of dunning
        ({"status": "unpaid"}, ["d-51"], None, "non_payment", "d-13"),  # paid until d-20
        ({"status": "paused"}, ["d-40"], "paused", None, None),
        ({"status": "ended", "ended_at": "d-4"}, ["d-50"], None, "subscription_end", "d-4"),
        ({"status": "ended", "ended_at": "d-4"}, ["d-19"], None, "subscription_end", "d+12"),  # paid until then
        ({"status": "ended", "ended_at": "d-4", "instalments": 2}, ["d-60", "d-30"], "instalments", None, None),
        ({"status": "ended", "cancelled_at": "d-6"}, ["d-50"], None, "subscription_end", "d-6"),
    ],
)
def test_entitlement_by_a_subscription(
    subscription: dict[str, Any], paid: list[str], by: str | None, ended_by: str | None, ended_at: str | None
) -> None:
    row = journey(walk(
        subscriptions=[{"id": "sub_1", "who": "ann", "at": "d-60", **subscription}],
        payments=[{"who": "ann", "at": when, "subscription_ref": "stripe:sub_1", "product_ref": "stripe:price_m"} for when in paid],
    ), "membership")  # fmt: skip
    assert (row["entitled_by"], row["entitlement_ended_by"]) == (by, ended_by)
    assert row["entitlement_ended_at"] == (at(ended_at) if ended_at else None)


def test_a_dispute_of_the_last_payment_ends_a_subscription() -> None:
    row = journey(walk(
        subscriptions=[{"id": "sub_1", "who": "ann", "at": "d-60"}],
        payments=[
            {"who": "ann", "at": "d-40", "subscription_ref": "stripe:sub_1", "product_ref": "stripe:price_m"},
            {"who": "ann", "at": "d-10", "subscription_ref": "stripe:sub_1", "product_ref": "stripe:price_m",
             "disputed_at": "d-2", "dispute_status": "open"},
        ],
    ), "membership")  # fmt: skip
    assert (row["entitlement_ended_by"], row["entitlement_ended_at"]) == ("dispute", at("d-2"))


def test_a_change_of_plan_ends_the_old_offer() -> None:
    tables = walk(
        subscriptions=[{"id": "sub_1", "who": "cal", "at": "d-60", "product_ref": "stripe:price_c"}],
        payments=[
            {"who": "cal", "at": "d-33", "subscription_ref": "stripe:sub_1", "product_ref": "stripe:price_m"},
            {"who": "cal", "at": "d-3", "subscription_ref": "stripe:sub_1", "product_ref": "stripe:price_c"},
        ],
    )
    old = journey(tables, "membership")
    assert (old["entitlement_ended_by"], old["entitlement_ended_at"]) == ("plan_change", at("d-3"))
    assert journey(tables, "cohort")["entitled_by"] == "subscription"


def test_open_access_is_owed_by_any_offer_that_grants_it() -> None:
    tables = walk(
        payments=[{"who": "ann", "at": "d-9", "refunded_minor": 4900, "refunded_at": "d-3"}],
        subscriptions=[{"id": "sub_1", "who": "ann", "at": "d-8"}],
        access=[{"who": "ann", "at": "d-9"}],
    )
    assert journey(tables)["entitlement_ended_by"] == "refund"
    assert journey(tables)["unowed_count"] == 0  # the membership grants the same course
    alone = walk(
        payments=[{"who": "ann", "at": "d-9", "refunded_minor": 4900, "refunded_at": "d-3"}],
        access=[{"who": "ann", "at": "d-9"}],
    )
    assert journey(alone)["unowed_count"] == 1
    comped = walk(
        payments=[{"who": "ann", "at": "d-9", "refunded_minor": 4900, "refunded_at": "d-3"}],
        access=[{"who": "ann", "at": "d-9", "basis": "comp"}],
    )
    assert journey(comped)["unowed_count"] == 0


def test_lost_and_missing_access() -> None:
    lost = journey(walk(
        payments=[{"who": "ann", "at": "d-9"}],
        access=[{"who": "ann", "at": "d-9", "status": "revoked", "revoked_at": "d-5"}],
    ))  # fmt: skip
    assert (lost["grants_open"], lost["access_lost_at"], lost["is_charged_since_loss"]) == (0, at("d-5"), False)
    gone = journey(walk(payments=[{"who": "ann", "at": "d-9"}], access=[{"who": "ann", "at": "d-9", "gone_at": "d-1"}]))
    assert gone["access_lost_at"] == at("d-1")
    half = journey(walk(
        subscriptions=[{"id": "sub_1", "who": "oli", "at": "d-2"}],
        payments=[{"who": "oli", "at": "d-2", "subscription_ref": "stripe:sub_1", "product_ref": "stripe:price_m"}],
        access=[{"who": "oli", "at": "d-2"}],
    ), "membership")  # fmt: skip
    assert (half["grants_expected"], half["grants_open"], half["grant_missing_at"]) == (2, 1, at("d-2"))


@pytest.mark.parametrize(
    ("payer", "user", "ref"),
    [
        ("Jacob Patel", "Patel, Jacob", "teachable:en_1"),
        ("Kelly", "Kelly", None),  # half a name is anybody's
        ("K. Young", "Young", None),
    ],
)
def test_a_namesake_has_both_names(payer: str, user: str, ref: str | None) -> None:
    row = one(walk(
        payments=[{"who": "jacob.patel27", "name": payer}],
        access=[{"id": "en_1", "who": "jacob383", "name": user}],
    )["buyer_journeys"], is_paying=True)  # fmt: skip
    assert row["other_person_access_ref"] == ref


def test_a_cohort_is_due_when_it_opens() -> None:
    later = (*OFFERS[:2], OFFERS[2].model_copy(update={"opens_on": date(2026, 5, 20)}))
    row = journey(
        walk(scope(offers=later), payments=[{"who": "ann", "at": "d-9", "product_ref": "stripe:price_c"}]), "cohort"
    )
    assert row["access_due_at"] == datetime(2026, 5, 20, tzinfo=UTC)


def test_gifts_and_seats_are_told_by_paid_by_ref() -> None:
    tables = walk(
        payments=[{"id": "ch_1", "who": "dora", "at": "d-3"}],
        access=[{"who": "gil", "at": "d-3", "paid_by_ref": "stripe:ch_1"}],
    )
    people = dict(tables["people"].select("email", "person_id").iter_rows())
    giver = one(tables["buyer_journeys"], person_id=people["dora@x.com"], offer_id="bootcamp")
    taker = one(tables["buyer_journeys"], person_id=people["gil@x.com"], offer_id="bootcamp")
    assert (giver["is_granted_to_other"], giver["is_granted_by_other"]) == (True, False)
    assert (taker["is_granted_to_other"], taker["is_granted_by_other"]) == (False, True)
    assert one(tables["payments"])["is_granted_to_other"]


def test_two_platforms_that_tell_one_sale_are_counted_once() -> None:
    shop = {"platform": "woo", "id": "1001", "role": "shop", "who": "ann", "at": "09:01", "product_ref": "woo:b"}
    tables = walk(payments=[{"id": "ch_1", "who": "ann", "at": "09:00"}, shop])
    charge, order = one(tables["payments"], record_id="ch_1"), one(tables["payments"], record_id="1001")
    assert (charge["is_primary"], order["is_primary"]) == (True, False)
    assert charge["sale_id"] == order["sale_id"] == "stripe:ch_1"
    assert journey(tables)["paid_minor"] == 4900
    two = walk(
        payments=[{"id": "ch_1", "who": "ann", "at": "09:00"}, {"id": "ch_2", "who": "ann", "at": "09:10"}, shop]
    )
    assert two["payments"]["copy_count"].to_list() == [1, 1, 1]  # a second candidate: nothing is tied by guess
    told = walk(payments=[
        {"id": "ch_1", "who": "ann", "at": "09:00", "amount_minor": 3000},
        {"id": "ch_2", "who": "ann", "at": "09:10", "amount_minor": 1900}, {**shop, "same_as": ["stripe:ch_1", "stripe:ch_2"]},
    ])  # fmt: skip
    assert sorted(told["payments"].select("record_id", "is_primary").rows()) == [
        ("1001", False),
        ("ch_1", True),
        ("ch_2", True),
    ]


@pytest.mark.parametrize(
    ("second", "is_twin"),
    [
        ({"at": "09:02"}, True),
        ({"at": "d+0 09:00"}, True),
        ({"at": "09:02", "amount_minor": 4800}, False),
        ({"at": "09:02", "product_ref": "stripe:price_c"}, False),
        ({"at": "d+1 09:01"}, False),
    ],
)
def test_twins(second: dict[str, Any], is_twin: bool) -> None:
    tables = walk(payments=[{"id": "ch_1", "who": "ann", "at": "09:00"}, {"id": "ch_2", "who": "ann", **second}])
    assert one(tables["payments"], record_id="ch_2")["earlier_twin_ref"] == ("stripe:ch_1" if is_twin else None)
    assert one(tables["payments"], record_id="ch_1")["earlier_twin_ref"] is None


def test_a_refunded_earlier_payment_is_no_twin() -> None:
    tables = walk(payments=[
        {"id": "ch_1", "who": "ann", "at": "09:00", "refunded_minor": 4900, "refunded_at": "09:01"},
        {"id": "ch_2", "who": "ann", "at": "09:02"},
    ])  # fmt: skip
    assert one(tables["payments"], record_id="ch_2")["earlier_twin_ref"] is None


def test_renewals_ordinals_and_arrears() -> None:
    charge = {"who": "ann", "subscription_ref": "stripe:sub_1", "product_ref": "stripe:price_m"}
    tables = walk(
        subscriptions=[{"id": "sub_1", "who": "ann", "at": "d-90", "status": "ended", "ended_at": "d-20", "instalments": 6}],
        payments=[{"id": "a", "at": "d-80", **charge}, {"id": "f", "at": "d-52", "status": "failed", **charge},
                  {"id": "b", "at": "d-18", **charge}, {"id": "c", "at": "d-1", **charge}],
    )  # fmt: skip
    paid = {r["record_id"]: r for r in tables["payments"].iter_rows(named=True)}
    assert [paid[i]["ordinal"] for i in "afbc"] == [1, None, 2, 3]
    assert [paid[i]["is_renewal"] for i in "abc"] == [False, True, True]
    assert paid["b"]["subscription_ended_at"] == at("d-20")
    assert (paid["b"]["is_arrears"], paid["c"]["is_arrears"]) == (True, False)  # previous d-52 + 31 days < d-20
    assert paid["c"]["subscription_instalments"] == 6


def test_live_subscriptions_are_counted_per_offer() -> None:
    row = journey(walk(subscriptions=[
        {"id": "s1", "who": "eli", "at": "d-9"}, {"id": "s2", "who": "eli", "at": "d-2", "amount_minor": 3900},
        {"id": "s3", "who": "eli", "at": "d-1", "status": "ended", "ended_at": "d-1"},
    ]), "membership")  # fmt: skip
    assert (row["live_subscription_count"], row["second_live_at"], row["extra_subscription_minor"]) == (
        2,
        at("d-2"),
        2900,
    )


def test_contacts_that_merged_or_went_do_not_count() -> None:
    person = one(walk(contacts=[
        {"id": "1", "who": "ann", "at": "d-90", "lifecycle_stage": "Customer", "customer_since_at": "d-30", "source": "ads"},
        {"id": "2", "who": "ann", "at": "d-3", "owner": "sal"},
        {"id": "3", "who": "ann", "at": "d-2", "merged_into": "hubspot:1"},
        {"id": "4", "who": "ann", "at": "d-2", "is_deleted": True, "updated_at": "d-1"},
    ])["people"])  # fmt: skip
    assert (person["crm_contact_count"], person["crm_platform_contact_count"]) == (2, 2)
    assert (person["second_contact_at"], person["crm_at"], person["crm_deleted_at"]) == (at("d-3"), at("d-90"), None)
    assert (person["crm_owner"], person["crm_source"], person["is_crm_customer"]) == ("sal", "ads", True)
    assert person["crm_customer_at"] == at("d-30")
    alone = one(
        walk(contacts=[{"id": "4", "who": "bob", "at": "d-9", "is_deleted": True, "updated_at": "d-1"}])["people"]
    )
    assert (alone["crm_contact_count"], alone["crm_deleted_at"]) == (0, at("d-1"))


@pytest.mark.parametrize(
    ("consents", "out"),
    [
        ([{"state": "unsubscribed", "at": "d-5", "list_ref": "mailchimp:a"}], "d-5"),
        ([{"state": "unsubscribed", "at": "d-5", "list_ref": "mailchimp:a"},
          {"state": "subscribed", "at": "d-90", "list_ref": "mailchimp:b"}], None),
        ([{"state": "unsubscribed", "at": "d-5"}, {"platform": "hubspot", "state": "subscribed", "at": "d-90"}], "d-5"),
        ([{"state": "unsubscribed", "at": "d-5"}, {"platform": "hubspot", "state": "subscribed", "at": "d-2"}], None),
    ],
)  # fmt: skip
def test_opting_out(consents: list[dict[str, Any]], out: str | None) -> None:
    messages = [{"who": "rae", "at": "d-1"}, {"who": "rae", "at": "d-5 12:20"}]
    person = one(walk(consents=[{"who": "rae", **c} for c in consents], messages=messages)["people"])
    assert person["opted_out_at"] == (at(out) if out else None)
    assert person["mailed_after_optout_at"] == (at("d-1") if out else None)


def test_mail_in_flight_and_receipts_are_no_marketing() -> None:
    person = one(walk(
        consents=[{"who": "rae", "state": "unsubscribed", "at": "d-5"}],
        messages=[{"who": "rae", "at": "d-5 12:20"}, {"who": "rae", "at": "d-1", "purpose": "receipt"},
                  {"who": "rae", "at": "d-6"}],
    )["people"])  # fmt: skip
    assert person["mailed_after_optout_at"] is None


def test_what_has_no_offer_goes_to_the_journey_whose_money_comes_next() -> None:
    tables = walk(
        payments=[{"who": "ann", "at": "d-9"}, {"who": "ann", "at": "d-5", "product_ref": "stripe:price_c"}],
        leads=[{"id": "before", "who": "ann", "at": "d-10"}, {"id": "between", "who": "ann", "at": "d-7"},
               {"id": "after", "who": "ann", "at": "d-1"}, {"id": "alone", "who": "bob", "at": "d-1"}],
    )  # fmt: skip
    assert dict(tables["leads"].select("record_id", "offer_id").iter_rows()) == {
        "before": "bootcamp", "between": "cohort", "after": "cohort", "alone": None,
    }  # fmt: skip
    assert journey(tables)["lead_at"] == at("d-10")
    assert tables["buyer_journeys"].height == 3


@pytest.mark.parametrize(
    ("deal", "matches"),
    [
        ({"amount_minor": None}, True), ({"amount_minor": 6000, "currency": "USD"}, True),
        ({"amount_minor": 300000, "currency": "USD"}, False),
        ({"amount_minor": 300000, "currency": "USD", "product_ref": "stripe:price_b"}, True),
    ],
)  # fmt: skip
def test_matching_deals(deal: dict[str, Any], matches: bool) -> None:
    row = journey(walk(payments=[{"who": "ann", "at": "d-3"}], deals=[{"who": "ann", "at": "d-9", **deal}]))
    assert row["has_matching_deal"] is matches


def test_tickets_of_payers() -> None:
    tables = walk(
        payments=[{"who": "bob", "at": "d-1"}],
        tickets=[{"id": "1", "who": "bob", "at": "07:00"}, {"id": "2", "who": "visitor", "at": "07:00"}],
    )
    mine, other = one(tables["tickets"], record_id="1"), one(tables["tickets"], record_id="2")
    assert (mine["is_payer"], mine["payer_net_minor"], mine["currency"], mine["has_all_access"]) == (
        True,
        4900,
        "USD",
        False,
    )
    assert (other["is_payer"], other["payer_net_minor"]) == (False, 0)


def test_products_that_no_offer_lists() -> None:
    tables = walk(
        scope(ignore_products=("stripe:price_shop2",)),
        payments=[{"who": "ann", "at": "d-3", "product_ref": "stripe:price_new"}, {"who": "ann", "at": "d-90", "product_ref": "stripe:old"},
                  {"who": "ann", "at": "d-3", "product_ref": "stripe:price_shop2"}],
        access=[{"who": "ann", "at": "d-3", "product_ref": "teachable:free", "basis": None}],
    )  # fmt: skip
    rows = tables["products"].select("product_ref", "offer_id", "is_in_use", "sold_30d_minor", "is_ignored").rows()
    assert rows == [
        ("stripe:old", None, False, 0, False), ("stripe:price_new", None, True, 4900, False),
        ("stripe:price_shop2", None, True, 4900, True), ("teachable:free", None, False, 0, False),
    ]  # fmt: skip


def test_a_payer_nobody_knows() -> None:
    tables = walk(
        payments=[{"id": "bare", "at": "d-2"}, {"id": "known", "at": "d-2", "keys": ["app:42"]}],
        access=[{"platform": "app", "keys": ["app:42"], "at": "d-2"}],
    )
    paid = {r["record_id"]: r["is_person_known"] for r in tables["payments"].iter_rows(named=True)}
    assert paid == {"bare": False, "known": True}


def test_test_buyers_are_left_out_of_everything_but_the_first_test_payment() -> None:
    tables = walk(
        payments=[
            {"id": "t", "email": "qa@northwind.example", "at": "d-2", "is_test": True},
            {"id": "m", "who": "mallory", "at": "d-1", "is_test": True},
        ],
        access=[{"who": "mallory", "at": "d-1"}],
    )
    assert one(tables["people"], email="qa@northwind.example")["is_test"]
    row = journey(tables)
    assert (row["test_paid_at"], row["paid_at"], row["unowed_count"]) == (at("d-1"), None, 1)
    assert tables["payments"].select("record_id", "is_test").sort("record_id").rows() == [("m", True), ("t", True)]


def test_currencies_are_never_added() -> None:
    tables = walk(payments=[{"who": "ann", "at": "d-9", "currency": "EUR"}, {"who": "ann", "at": "d-3"}])
    row = journey(tables)
    assert (row["paid_minor"], row["currency"], row["has_mixed_currency"]) == (4900, "USD", True)
    person = one(tables["people"])
    assert (person["lifetime_minor"], person["lifetime_other"]) == (4900, [{"ref": "EUR", "amount_minor": 4900}])


def test_expected_value_needs_thirty_ripe_leads() -> None:
    leads = [{"id": str(n), "who": f"p{n}", "at": "d-60"} for n in range(30)]
    paid = [{"who": f"p{n}", "at": "d-50", "amount_minor": 1000} for n in range(10)]
    assert set(walk(leads=leads, payments=paid)["people"]["expected_minor"]) == {333}
    assert set(walk(leads=leads[:29], payments=paid)["people"]["expected_minor"]) == {None}


def test_events_tell_the_path_in_order() -> None:
    tables = walk(
        leads=[{"who": "ann", "at": "d-9"}],
        payments=[{"who": "ann", "at": "d-3", "refunded_minor": 4900, "refunded_at": "d-1"}],
    )
    assert tables["journey_events"].select("event", "occurred_at", "offer_id").rows() == [
        ("lead", at("d-9"), "bootcamp"), ("paid", at("d-3"), "bootcamp"), ("refunded", at("d-1"), "bootcamp"),
    ]  # fmt: skip


def test_a_meeting_that_lies_ahead_is_no_event_yet() -> None:
    told = walk(bookings=[{"id": "1", "who": "ann", "at": "d-1", "starts_at": "d+2"}])["journey_events"]
    assert told["event"].to_list() == ["booked"]


def test_an_offer_without_money_or_access_has_no_journey() -> None:
    extra = (*OFFERS, Offer(id="other", name="Other", grants=("circle:9",)))
    assert walk(scope(offers=extra), payments=[{"who": "ann"}])["buyer_journeys"]["offer_id"].to_list() == ["bootcamp"]
