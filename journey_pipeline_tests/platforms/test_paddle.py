"""Paddle, pulled over real HTTP from its fake: what counts as a payment, refunds and chargebacks, and what is priced."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journey_pipeline.platforms.paddle import PLATFORM, Options
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, raw_frame, read_all
from journey_pipeline_tests.platforms.openapi import Contract, contract, recorded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def id_(kind: str, number: int | str) -> str:
    return f"{kind}_01{number:0>24}"


def person(number: int) -> dict[str, Any]:
    return {"email": f"p{number}@example.com", "name": f"Person {number}", "company": "Lee Ltd",
            "keys": [f"paddle:{id_('ctm', number)}"]}  # fmt: skip


def paid(number: int, at: datetime = NOW - 3 * DAY, **more: Any) -> dict[str, Any]:
    record_id = id_("txn", number)
    return {
        "record_id": record_id, "occurred_at": at, **person(number), "role": "processor", "same_as": [],
        "url": f"https://vendors.paddle.com/transactions-v2/{record_id}", "status": "succeeded", "amount_minor": 49900,
        "currency": "USD", "product_ref": f"paddle:{id_('pri', 'camp')}", "method": "card", "refunded_minor": 0, **more,
    }  # fmt: skip


def agreed(number: int, at: datetime = NOW - 40 * DAY, **more: Any) -> dict[str, Any]:
    record_id = id_("sub", number)
    return {
        "record_id": record_id, "occurred_at": at, **person(number), "role": "processor", "same_as": [],
        "url": f"https://vendors.paddle.com/subscriptions-v2/{record_id}", "status": "active", "quantity": 1,
        "product_ref": f"paddle:{id_('pri', 'month')}", "amount_minor": 1900, "currency": "USD", "interval": "month",
        "period_ends_at": NOW + 20 * DAY, "is_cancelling": False, **more,
    }  # fmt: skip


PAYMENTS = [
    paid(1, subscription_ref=f"paddle:{id_('sub', 1)}"),
    paid(2, keys=[f"paddle:{id_('ctm', 2)}", "app:42"], same_as=["woocommerce:77"], company=None),
    paid(3, refunded_minor=49900, refunded_at=NOW - DAY),
    paid(4, refunded_minor=1000, refunded_at=NOW - DAY, currency="JPY", amount_minor=5000),
    paid(5, status="pending", method="bank_transfer"),
    paid(6, status="failed", method="paypal"),
    paid(7, disputed_at=NOW - DAY, dispute_status="open"),
    paid(8, disputed_at=NOW - DAY, dispute_status="lost"),
    paid(9, disputed_at=NOW - DAY, dispute_status="won"),
    paid(10),
    paid(11),
]
SUBSCRIPTIONS = [
    agreed(1, quantity=3, amount_minor=5700, keys=[f"paddle:{id_('ctm', 1)}", "app:1"]),
    agreed(3, status="trialing", trial_ends_at=NOW + 9 * DAY, interval="quarter"),
    agreed(10, is_cancelling=True, interval="year"),
    agreed(11, status="ended", cancelled_at=NOW - DAY, ended_at=NOW - DAY, period_ends_at=None),
    agreed(8, status="past_due", interval="week", same_as=["woocommerce:78"]),
    agreed(4, status="paused", currency="EUR"),
]
LATER_PAYMENTS = [
    *PAYMENTS[:4],
    paid(5, at=NOW + HOUR, method="bank_transfer"),
    *PAYMENTS[5:6],
    paid(7, disputed_at=NOW - DAY, dispute_status="lost"),
    *PAYMENTS[7:],
    paid(12, at=NOW + HOUR),
]
LATER = {
    "payments": [{**row, "changed_at": NOW + HOUR} for row in LATER_PAYMENTS],
    "subscriptions": [*SUBSCRIPTIONS[:4], agreed(8, status="active", interval="week", same_as=["woocommerce:78"])],
}


def described() -> Contract:
    return contract("paddle", "openapi.yaml", base="/paddle")


class TestPaddle(Conformance):
    case = Case(
        "paddle",
        now={"payments": PAYMENTS, "subscriptions": SUBSCRIPTIONS},
        later=LATER,
        many=lambda count: {
            "payments": [paid(n, refunded_minor=1, refunded_at=NOW - DAY) for n in range(count)],
            "subscriptions": [agreed(n) for n in range(count)],
        },
        counted="payments",
        page_sizes=("TRANSACTIONS_PAGE", "SUBSCRIPTIONS_PAGE", "ADJUSTMENTS_PAGE"),
        described=described,
    )

    def test_the_next_load_asks_for_transactions_that_changed_and_for_all_else(self) -> None:
        with self.served(self.world(self.case.now)) as options, recorded() as seen:
            _, cursors = self.pull(options)
            first = len(seen)
            self.pull(options, NOW + DAY, cursors)
        asked = {e.path.rsplit("/", 1)[1]: dict(e.query).get("updated_at[GTE]") for e in seen[first:]}
        assert asked == {"transactions": "2026-05-15T11:00:00Z", "subscriptions": None, "adjustments": None}


def transaction(**more: Any) -> dict[str, Any]:
    total = more.pop("total", "1000")
    return {
        "id": "txn_1", "status": "completed", "currency_code": "USD", "created_at": "2026-05-01T10:00:00.5Z",
        "details": {"totals": {"grand_total": total}}, "payments": [{"status": "error", "method_details": {"type": "card"}}],
        **more,
    }  # fmt: skip


def said(row: dict[str, Any], *adjusted: dict[str, Any], **options: Any) -> Any:
    frames = {
        "transactions": raw_frame([row], "transactions", NOW),
        "adjustments": raw_frame(adjusted, "adjustments", NOW),
    }
    return read_all(PLATFORM, frames, Options(**options))["payments"]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("draft", []), ("ready", []), ("billed", ["pending"]), ("paid", ["succeeded"]), ("completed", ["succeeded"]),
        ("canceled", ["failed"]), ("past_due", ["failed"]), ("brand_new", ["brand_new"]), (None, [None]),
    ],
)  # fmt: skip
def test_statuses(theirs: str | None, ours: list[str | None]) -> None:
    assert said(transaction(status=theirs))["status"].to_list() == ours


def test_an_overdue_invoice_is_pending() -> None:
    assert said(transaction(status="past_due", collection_mode="manual"))["status"].to_list() == ["pending"]


def test_what_was_given_up_before_an_attempt_is_no_payment() -> None:
    assert said(transaction(status="canceled", payments=[])).is_empty()


@pytest.mark.parametrize(("subscription", "count"), [("sub_1", 0), (None, 1)])
def test_the_zero_that_begins_a_trial_is_no_payment_but_a_gift_is(subscription: str | None, count: int) -> None:
    assert said(transaction(total="0", subscription_id=subscription)).height == count


@settings(deadline=None, max_examples=25)
@given(minor=st.integers(0, 10**12), currency=st.sampled_from(["USD", "JPY", "KRW", "EUR"]))
def test_money_is_text_of_minor_units_whatever_the_currency(minor: int, currency: str) -> None:
    told = said(transaction(total=str(minor), currency_code=currency)).select("amount_minor", "currency")
    assert told.rows() == [(minor, currency)]


@pytest.mark.parametrize("total", ["10.00", "ten", None])
def test_other_money_is_left_to_be_rejected(total: str | None) -> None:
    assert said(transaction(total=total))["amount_minor"].to_list() == [None]


def test_it_happened_when_it_was_captured_else_billed_else_begun() -> None:
    captured = {"status": "captured", "captured_at": "2026-05-03T10:00:00Z", "method_details": {"type": "paypal"}}
    whole = transaction(billed_at="2026-05-02T10:00:00Z")
    payments = [*whole["payments"], captured]
    told = [said(row) for row in ({**whole, "payments": payments}, whole, transaction())]
    assert [str(each["occurred_at"][0])[:19] for each in told] == [
        "2026-05-03 10:00:00", "2026-05-02 10:00:00", "2026-05-01 10:00:00",
    ]  # fmt: skip
    assert [each["method"][0] for each in told] == ["paypal", "card", "card"]


def adjusted(action: str, status: str = "approved", total: str = "100", day: int = 2) -> dict[str, Any]:
    return {"id": f"adj_{action}{day}", "action": action, "status": status, "transaction_id": "txn_1",
            "totals": {"total": total}, "created_at": f"2026-05-{day:02}T10:00:00Z"}  # fmt: skip


def test_approved_refunds_are_added_up_and_credits_are_none() -> None:
    rows = [adjusted("refund"), adjusted("refund", total="250", day=3), adjusted("refund", "pending_approval", day=4),
            adjusted("refund", "rejected", day=5), adjusted("credit", day=6)]  # fmt: skip
    told = said(transaction(), *rows).select("refunded_minor", "refunded_at", "disputed_at")
    assert told.rows() == [(350, datetime.fromisoformat("2026-05-03T10:00:00Z"), None)]


@pytest.mark.parametrize(
    ("actions", "status"),
    [
        (["chargeback"], "lost"), (["chargeback_warning"], "open"), (["chargeback", "chargeback_reverse"], "won"),
        (["chargeback_warning", "chargeback_warning_reverse"], "won"), (["chargeback_warning", "chargeback"], "lost"),
    ],
)  # fmt: skip
def test_chargebacks(actions: list[str], status: str) -> None:
    told = said(transaction(), *(adjusted(action) for action in actions)).select("dispute_status", "refunded_minor")
    assert told.rows() == [(status, 0)]


def test_a_chargeback_that_is_reversed_itself_is_won() -> None:
    assert said(transaction(), adjusted("chargeback", "reversed"))["dispute_status"].to_list() == ["won"]


def test_a_product_may_be_the_price_or_the_product() -> None:
    items = [{"price": {"id": "pri_1", "product_id": "pro_1"}}]
    refs = [said(transaction(items=items), product=by)["product_ref"][0] for by in ("price", "product")]
    assert refs == ["paddle:pri_1", "paddle:pro_1"]


def test_the_sandbox_holds_tests() -> None:
    told = said(transaction(), base_url="https://sandbox-api.paddle.com").select("is_test", "url")
    assert told.rows() == [(True, "https://sandbox-vendors.paddle.com/transactions-v2/txn_1")]
