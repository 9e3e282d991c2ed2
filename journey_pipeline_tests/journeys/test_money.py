"""Derived columns of money: two tellers of one sale, what is usual, access that a payment paid for, subscriptions, seats."""

from typing import Any

import polars as pl
import pytest

from journey_pipeline.model import Thresholds
from journey_pipeline_tests.worlds import at, one, scope, walk

Rows = list[dict[str, Any]]
ORDER = {"platform": "woo", "role": "shop", "product_ref": "woo:b", "who": "ann", "at": "09:01"}
MONTHLY = {"product_ref": "stripe:price_m", "amount_minor": 2900, "subscription_ref": "stripe:s1", "who": "ann"}


def payment(id_: str, **kinds: Rows) -> dict[str, Any]:
    return one(walk(None, **kinds)["payments"], record_id=id_)


def test_an_order_and_its_charge_tell_what_the_sale_was() -> None:
    told = walk(payments=[
        {"id": "ch_1", "who": "ann", "at": "09:00", "refunded_minor": 1900, "refunded_at": "11:00"},
        {**ORDER, "id": "1001", "same_as": ["stripe:ch_1"], "refunded_minor": 1900, "refunded_at": "11:02"},
        {"id": "ch_2", "who": "bob", "at": "09:00", "refunded_minor": 4900, "refunded_at": "11:00"},
        {**ORDER, "who": "bob", "id": "1002", "same_as": ["stripe:ch_2"], "amount_minor": 5200, "currency": "EUR"},
        {"id": "ch_3", "who": "cy", "at": "09:00"},
        {**ORDER, "who": "cy", "id": "1003", "same_as": ["stripe:ch_3"], "status": "pending"},
        {**ORDER, "who": "dan", "id": "1004"},
    ])["payments"]  # fmt: skip
    columns = (
        "sale_amount_spread_minor", "sale_refund_spread_minor", "sale_currency_count", "sale_changed_at",
        "has_processor_copy", "has_shop_copy", "is_primary", "copy_count",
    )  # fmt: skip
    found = {row["record_id"]: tuple(row[c] for c in columns) for row in told.iter_rows(named=True)}
    assert found == {
        "ch_1": (0, 0, 1, at("11:02"), True, True, True, 2),
        "1001": (0, 0, 1, at("11:02"), True, True, False, 2),
        "ch_2": (300, 4900, 2, at("11:00"), True, True, True, 2),
        "1002": (300, 4900, 2, at("11:00"), True, True, False, 2),
        "ch_3": (0, 0, 1, at("09:01"), True, False, True, 2),
        "1003": (0, 0, 1, at("09:01"), True, False, False, 2),
        "1004": (0, 0, 1, at("09:01"), False, True, True, 1),
    }


def test_an_order_paid_by_two_charges_is_as_much_as_both() -> None:
    told = walk(payments=[
        {"id": "ch_1", "who": "ann", "at": "09:00", "amount_minor": 3000},
        {"id": "ch_2", "who": "ann", "at": "09:02", "amount_minor": 1900},
        {**ORDER, "id": "1001", "same_as": ["stripe:ch_1", "stripe:ch_2"]},
    ])["payments"]  # fmt: skip
    assert set(told["sale_amount_spread_minor"]) == {0}
    assert dict(told.select("record_id", "is_primary").iter_rows()) == {"ch_1": True, "ch_2": True, "1001": False}


def test_what_the_order_knows_of_product_and_subscription_is_so_of_its_charge() -> None:
    tables = walk(
        payments=[
            {"id": "ch_1", "who": "ann", "at": "09:00", "product_ref": None},
            {**ORDER, "id": "1001", "same_as": ["stripe:ch_1"], "subscription_ref": "woo:7"},
        ],
        subscriptions=[
            {"platform": "woo", "role": "shop", "id": "7", "who": "ann", "at": "09:00", "product_ref": "woo:b"}
        ],
    )
    charge = one(tables["payments"], record_id="ch_1")
    assert (charge["offer_id"], charge["is_primary"], charge["ordinal"]) == ("bootcamp", True, 1)
    assert one(tables["subscriptions"], record_id="7")["paid_count"] == 1
    assert one(tables["buyer_journeys"], offer_id="bootcamp")["paid_at"] == at("09:00")
    assert tables["buyer_journeys"]["offer_id"].to_list() == ["bootcamp"]


@pytest.mark.parametrize(
    ("row", "settles"),
    [
        ({"status": "pending", "method": "card"}, "d-1"),
        ({"status": "pending", "method": None}, "d-1"),
        ({"status": "authorised", "method": "card"}, "d+1"),
        ({"status": "pending", "method": "sepa_debit"}, "d+5"),
    ],
)
def test_how_long_a_payment_may_stay_open_is_the_businesss_to_say(row: dict[str, Any], settles: str) -> None:
    where = scope(thresholds=Thresholds(card_settles="24h", capture_by="3d", debit_settles="7d"))
    found = walk(where, payments=[{"who": "ann", "at": "d-2", **row}])["payments"]
    assert found["settle_by_at"].to_list() == [at(settles)]


def test_a_later_success_is_the_same_persons_for_the_same_offer() -> None:
    waits = {"id": "w", "who": "ann", "at": "d-5", "status": "pending"}
    others = [
        {"id": "1", "who": "ann", "at": "d-6"}, {"id": "2", "who": "bob", "at": "d-4"},
        {"id": "3", "who": "ann", "at": "d-4", "product_ref": "stripe:price_c"},
        {"id": "4", "who": "ann", "at": "d-3", "status": "failed"},
    ]  # fmt: skip
    assert payment("w", payments=[waits, *others])["later_success_at"] is None
    later = [{"id": "5", "who": "ann", "at": "d-2"}, {"id": "6", "who": "ann", "at": "d-1"}]
    assert payment("w", payments=[waits, *others, *later])["later_success_at"] == at("d-2")
    loose = [{**row, "product_ref": ref} for row, ref in zip([waits, *later], ("x:1", "x:2", "x:1"), strict=True)]
    assert payment("w", payments=loose)["later_success_at"] == at("d-1")


def test_an_amount_is_usual_where_others_paid_it_within_ninety_days() -> None:
    coupon = [
        {"id": str(n), "who": f"p{n}", "at": when, "amount_minor": 3900}
        for n, when in enumerate(("d-100", "d-80", "d-11", "d-10", "d-9", "d-9"))
    ]
    odd = [
        {"id": "eur", "who": "e", "at": "d-10", "amount_minor": 3900, "currency": "EUR"},
        {"id": "failed", "who": "f", "at": "d-10", "amount_minor": 3900, "status": "failed"},
        {"id": "other", "who": "g", "at": "d-10", "amount_minor": 3900, "product_ref": "stripe:price_c"},
    ]
    told = walk(payments=[*coupon, *odd])["payments"]
    assert dict(told.select("record_id", "usual_amount_count").iter_rows()) == {
        "0": 3, "1": 5, "2": 5, "3": 5, "4": 4, "5": 4, "eur": 0, "failed": 0, "other": 0,
    }  # fmt: skip


@pytest.mark.parametrize(("with_order", "without", "is_sold"), [(10, 10, True), (10, 11, False), (9, 0, False)])
def test_an_offer_is_sold_in_the_shop_where_most_of_its_charges_had_an_order(
    with_order: int, without: int, *, is_sold: bool
) -> None:
    charges: Rows = [
        {"id": f"c{n}", "who": f"p{n}", "at": "d-9", "same_as": [f"woo:{n}"] if n < with_order else []}
        for n in range(with_order + without)
    ]
    orders = [{**ORDER, "id": str(n), "who": f"p{n}", "at": "d-9"} for n in range(with_order)]
    of_another = {"id": "other", "who": "x", "product_ref": "stripe:price_c"}
    long_before = {"id": "long", "who": "y", "at": "d-40"}
    told = walk(payments=[*charges, *orders, {"id": "new", "who": "z"}, of_another, long_before])["payments"]
    found = dict(told.select("record_id", "is_shop_sold").iter_rows())
    assert (found["new"], found["other"], found["long"]) == (is_sold, False, False)


def test_where_no_processor_is_connected_every_order_went_through_another() -> None:
    told = walk(payments=[{**ORDER, "id": "1001", "method": "card"}])["payments"]
    assert told["is_other_processor"].to_list() == [True]


def test_payments_are_tied_where_one_of_the_platform_names_a_subscription() -> None:
    agreed = [{"id": "s1", "who": "ann"}, {"id": "s2", "who": "bob"}, {"platform": "paypal", "id": "I-1", "who": "cy"}]
    told = walk(payments=[{**MONTHLY, "id": "1"}], subscriptions=agreed)["subscriptions"]
    assert dict(told.select("record_id", "is_payment_tied").iter_rows()) == {"s1": True, "s2": True, "I-1": False}


def test_a_processor_that_nobody_connected() -> None:
    methods = ("klarna_checkout", "ppcp-gateway", "stripe_cc", "card", None)
    told = walk(payments=[{"id": str(n), "who": f"p{n}", "method": m} for n, m in enumerate(methods)])["payments"]
    assert told.sort("record_id")["is_other_processor"].to_list() == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("held", "gap"),
    [
        ([], None),
        ([{"at": "d-70"}], None),
        ([{"at": "d-70", "status": "revoked", "revoked_at": "d-40"}], "d-40"),
        ([{"at": "d-70", "status": "revoked", "revoked_at": "d-5"}], None),  # open when it was paid
        (
            [{"at": "d-70", "status": "revoked", "revoked_at": "d-40"}, {"at": "d-9 20:00", "product_ref": "circle:3"}],
            None,
        ),
        ([{"at": "d-70", "status": "revoked", "revoked_at": "d-40"}, {"at": "d-7", "product_ref": "circle:3"}], "d-40"),
        ([{"at": "d-300", "status": "revoked", "revoked_at": "d-200"}], None),  # of an earlier subscription
    ],
)
def test_access_that_closed_while_a_subscription_went_on(held: Rows, gap: str | None) -> None:
    paid = [{**MONTHLY, "id": str(n), "at": when} for n, when in enumerate(("d-70", "d-39", "d-9"))]
    tables = walk(
        payments=paid,
        subscriptions=[{"id": "s1", "who": "ann", "at": "d-70"}],
        access=[{"id": str(n), "who": "ann", **row} for n, row in enumerate(held)],
    )
    assert one(tables["payments"], record_id="2")["access_gap_at"] == (at(gap) if gap else None)
    assert one(tables["payments"], record_id="0")["access_gap_at"] is None


@pytest.mark.parametrize(
    ("charges", "refunded"),
    [
        ([("d-31", 0), ("d-1", 0)], None),
        ([("d-31", 0), ("d-1", 2900)], "09:00"),
        ([("d-31", 2900), ("d-1", 0)], None),
        ([("d-1", 2900), ("d-2", 0)], None),  # charged twice, one of the two given back
        ([("d-1", 1000)], None),
    ],
)
def test_the_last_payment_was_given_back(charges: list[tuple[str, int]], refunded: str | None) -> None:
    paid = [
        {**MONTHLY, "id": str(n), "at": when, "refunded_minor": back, "refunded_at": "09:00" if back else None}
        for n, (when, back) in enumerate(charges)
    ]
    found = walk(payments=paid, subscriptions=[{"id": "s1", "who": "ann", "at": "d-31"}])["subscriptions"]
    assert found["last_refunded_at"].to_list() == [at(refunded) if refunded else None]


def test_seats_are_people_with_open_paid_access_that_names_the_subscription() -> None:
    def seat(who: str, day: str, **more: Any) -> dict[str, Any]:
        named = {"product_ref": "circle:3", "paid_by_ref": "stripe:s1"}
        return {"id": f"{who}{day}", "who": who, "at": day, **named, **more}

    access = [
        seat("bob", "d-9"), seat("cy", "d-8"), seat("cy", "d-7", product_ref="teachable:9"), seat("dan", "d-3"),
        seat("eva", "d-2"), seat("fay", "d-1", basis="staff"), seat("gus", "d-1", status="revoked", revoked_at="d-1"),
        seat("hal", "d-1", paid_by_ref="stripe:s2"),
    ]  # fmt: skip
    agreed = [{"id": "s1", "who": "ann", "at": "d-30", "quantity": 2}, {"id": "s2", "who": "ida", "quantity": 2}]
    told = walk(subscriptions=agreed, access=access)["subscriptions"]
    found = {row["record_id"]: (row["seats_used"], row["seats_over_at"]) for row in told.iter_rows(named=True)}
    assert found == {"s1": (4, at("d-3")), "s2": (1, None)}


@pytest.mark.parametrize(
    ("processor", "app", "classes", "changed"),
    [
        ({"status": "active"}, {"status": "trialing"}, 1, "d-90"),
        ({"status": "past_due"}, {"status": "unpaid"}, 1, "12:00"),
        ({"status": "ended", "ended_at": "d-9"}, {"status": "active"}, 2, "d-9"),
        ({"status": "ended", "ended_at": "d-9"}, {"status": "ended"}, 1, "12:00"),  # the app doesn't say when
        ({"status": "active"}, {"status": "ended", "class_changed_at": "d-2", "first_loaded_at": "d-5"}, 2, "d-2"),
    ],
)
def test_copies_of_a_subscription(processor: dict[str, Any], app: dict[str, Any], classes: int, changed: str) -> None:
    told = walk(subscriptions=[
        {"id": "s1", "who": "ann", "at": "d-90", **processor},
        {"platform": "app", "role": "shop", "id": "7", "who": "ann", "at": "d-90", "same_as": ["stripe:s1"], **app},
        {"id": "s2", "who": "bob", "at": "d-90"},
    ])["subscriptions"]  # fmt: skip
    found = {
        row["record_id"]: (row["is_primary"], row["copy_count"], row["copy_class_count"], row["copy_changed_at"])
        for row in told.iter_rows(named=True)
    }
    assert found == {
        "s1": (True, 2, classes, at(changed)), "7": (False, 2, classes, at(changed)), "s2": (True, 1, 1, at("d-90")),
    }  # fmt: skip


def test_closed_access_beside_another_that_is_open() -> None:
    closed = {"status": "revoked", "revoked_at": "d-9", "last_used_at": "d-15"}
    told = walk(access=[
        {"id": "1", "who": "ann", **closed}, {"id": "2", "who": "ann", "at": "d-8", "last_used_at": "d-1"},
        {"id": "3", "who": "bob", **closed}, {"id": "4", "who": "bob", "product_ref": "teachable:7"},
    ])["access"]  # fmt: skip
    found = {row["record_id"]: (row["has_open_sibling"], row["is_recent_use"]) for row in told.iter_rows(named=True)}
    assert found == {"1": (True, False), "2": (False, True), "3": (False, False), "4": (False, False)}


def test_what_a_person_goes_on_paying_for() -> None:
    told = walk(subscriptions=[
        {"id": "1", "who": "ann", "at": "d-9"},
        {"id": "2", "who": "ann", "at": "d-9", "is_cancelling": True, "product_ref": "stripe:price_c"},
        {"id": "3", "who": "ann", "at": "d-9", "currency": "EUR", "product_ref": "stripe:price_b"},
        {"id": "4", "who": "ann", "at": "d-9", "status": "ended", "ended_at": "d-1"},
        {"platform": "app", "role": "shop", "id": "5", "who": "ann", "at": "d-9", "same_as": ["stripe:1"]},
    ])["people"]  # fmt: skip
    columns = ("person_subscription_count", "person_cancelling_count", "person_subscription_minor")
    assert told.select(columns).rows() == [(3, 1, 5800)]


def test_use_is_tracked_where_what_is_open_tells_of_it() -> None:
    tables = walk(
        payments=[{"id": who, "who": who, "at": "d-9", "product_ref": "stripe:price_m"} for who in ("ann", "bob")],
        access=[
            {"id": "1", "who": "ann", "platform": "circle", "product_ref": "circle:3"},
            {"id": "2", "who": "bob"},  # Teachable, which tells of nobody's use
            {"id": "3", "who": "cy", "platform": "circle", "product_ref": "circle:3", "last_used_at": "d-1"},
        ],
    )
    rows = tables["buyer_journeys"].filter(pl.col("is_paying")).join(tables["people"], on="person_id")
    assert dict(rows.select("email", "is_use_tracked").iter_rows()) == {"ann@x.com": True, "bob@x.com": False}


def test_the_method_of_the_newest_payment_that_waits() -> None:
    tables = walk(payments=[
        {"id": "1", "who": "ann", "at": "d-3", "status": "pending", "method": "card"},
        {"id": "2", "who": "ann", "at": "d-2", "status": "authorised", "method": "invoice"},
        {"id": "3", "who": "ann", "at": "d-1", "status": "failed", "method": "link"},
    ])  # fmt: skip
    assert tables["buyer_journeys"]["pending_method"].to_list() == ["invoice"]
