"""What is told of broken rules of money: the causes that other records show, and the sale or subscription it stands on."""

from typing import Any

import pytest

from journey_pipeline_tests.invariants.test_details import broken, payment, refs
from journey_pipeline_tests.invariants.worlds import instant

Row = dict[str, Any]


def order(**more: Any) -> Row:
    told = {
        "platform": "woocommerce",
        "role": "shop",
        "sale_id": "stripe:ch_1",
        "method": "stripe",
        "amount_minor": 4900,
    }
    return payment("ann", "1001", "d-2", **{**told, "net_minor": 4900, **more})


def charge(**more: Any) -> Row:
    told = {"role": "processor", "sale_id": "stripe:ch_1", "amount_minor": 4900, "net_minor": 4900}
    return payment("ann", "ch_1", "d-2", **{**told, **more})


@pytest.mark.parametrize(
    ("other", "cause"),
    [
        ([], "unexplained"),
        ([charge(status="failed")], "charge_failed"),
        ([charge(sale_id="stripe:ch_1", status="succeeded")], "link_missing"),
        ([charge(amount_minor=100)], "unexplained"),
        ([charge(has_shop_copy=True)], "unexplained"),
    ],
)
def test_why_an_order_has_no_charge(other: list[Row], cause: str) -> None:
    lone = order(sale_id="woocommerce:1001")
    found = {row["record_id"]: row for row in broken("order_has_charge", payments=[lone, *other])}
    assert found["1001"]["cause"] == cause
    assert (found["1001"]["at_risk_kind"], refs(found["1001"])) == ("due", {"payment:woocommerce:1001": 4900})


@pytest.mark.parametrize(
    ("other", "more", "cause"),
    [
        ([order(status="pending", is_primary=False)], {}, "order_stuck"),
        ([order(status="pending", sale_id="stripe:ch_9")], {"is_renewal": True}, "renewal_lost"),
        ([], {}, "never_arrived"),
    ],
)
def test_why_a_charge_has_no_order(other: list[Row], more: Row, cause: str) -> None:
    (found,) = broken("charge_has_order", payments=[charge(is_shop_sold=True, **more), *other])
    assert (found["record_id"], found["cause"]) == ("ch_1", cause)


@pytest.mark.parametrize(
    ("amount", "refund", "cause"),
    [(0, 4900, "refund_not_mirrored"), (200, 0, "fee"), (800, 0, "tax_left_out"), (4900, 0, "counted_twice")],
)
def test_copies_that_differ_stand_on_the_charge_that_counts(amount: int, refund: int, cause: str) -> None:
    told = order(
        is_primary=False, has_processor_copy=True, sale_changed_at=instant("d-2"), sale_currency_count=1,
        sale_amount_spread_minor=amount, sale_refund_spread_minor=refund,
    )  # fmt: skip
    (found,) = broken("sale_copies_agree", payments=[told, charge()])
    assert (found["record_id"], found["cause"]) == ("1001", cause)
    assert refs(found) == {"payment:stripe:ch_1": amount + refund}


@pytest.mark.parametrize(
    ("attempts", "basis", "cause"),
    [
        ([("09:58", "pending")], "paid", "granted_at_checkout"),
        ([("09:00", "pending"), ("11:00", "failed")], "paid", "later_failed"),
        ([("09:00", "pending")], None, "by_hand"),
        ([("09:00", "pending")], "paid", "unexplained"),
    ],
)
def test_why_access_did_not_wait_for_the_money(attempts: list[tuple[str, str]], basis: str | None, cause: str) -> None:
    sam = {"person_id": "sam", "offer_id": "bootcamp", "money_at": instant("09:00"), "opened_at": instant("10:00"),
           "grants_open": 1, "unowed_count": 1, "offer_price_minor": 49900}  # fmt: skip
    held = {"record_id": "en_1", "person_id": "sam", "offer_id": "bootcamp", "is_open": True, "basis": basis, "is_basis_told": True,
            "occurred_at": instant("10:00")}  # fmt: skip
    paid = [payment("sam", f"ch_{n}", at, status=status) for n, (at, status) in enumerate(attempts)]
    (found,) = broken("pending_payment_grants_nothing", buyer_journeys=[sam], access=[held], payments=paid)
    assert (found["cause"], refs(found)) == (cause, {"access:teachable:en_1": 49900})


@pytest.mark.parametrize(
    ("agreed", "cause"),
    [
        ({"status": "unpaid"}, "retries_over"),
        ({"status": "past_due", "is_live": True, "paid_until_at": "d-40"}, "retries_never_end"),
        ({"status": "past_due", "is_live": True, "paid_until_at": "d-20", "instalments": 6}, "missed_instalment"),
    ],
)
def test_why_unpaid_access_goes_on(agreed: Row, cause: str) -> None:
    ann = {"person_id": "ann", "offer_id": "bootcamp", "entitlement_ended_by": "non_payment", "subscription_count": 1,
           "entitlement_ended_at": instant("d-9"), "unowed_count": 1, "offer_price_minor": 49900}  # fmt: skip
    row = {"record_id": "sub_1", "person_id": "ann", "offer_id": "bootcamp", "is_primary": True, "amount_minor": 49900,
           "occurred_at": instant("d-90"), **agreed}  # fmt: skip
    if "paid_until_at" in row:
        row["paid_until_at"] = instant(row["paid_until_at"])
    (found,) = broken("unpaid_access_is_suspended", buyer_journeys=[ann], subscriptions=[row])
    assert found["cause"] == cause


def test_seats_beyond_those_paid_for_are_worth_their_share() -> None:
    team = {"record_id": "sub_1", "person_id": "ann", "is_primary": True, "is_live": True, "status": "active",
            "quantity": 5, "seats_used": 7, "seats_over_at": instant("d-3"), "amount_minor": 14500,
            "occurred_at": instant("d-30")}  # fmt: skip
    (found,) = broken("seats_within_quantity", subscriptions=[team])
    assert (found["at_risk_kind"], refs(found)) == ("leak", {"subscription:stripe:sub_1": 5800})


def test_what_a_deleted_person_goes_on_paying_stands_on_the_subscriptions() -> None:
    kai = {"person_id": "kai", "crm_deleted_at": instant("d-30"), "last_use_at": instant("d-31"),
           "person_subscription_count": 1, "person_subscription_minor": 2900}  # fmt: skip
    agreed = {"person_id": "kai", "offer_id": "bootcamp", "is_primary": True, "amount_minor": 2900,
              "occurred_at": instant("d-90")}  # fmt: skip
    rows = [{**agreed, "record_id": "sub_1", "is_live": True}, {**agreed, "record_id": "sub_2", "is_live": False}]
    (found,) = broken("deleted_person_not_billed", people=[kai], subscriptions=rows)
    assert (found["at_risk_minor"], refs(found)) == (2900, {"subscription:stripe:sub_1": 2900})
