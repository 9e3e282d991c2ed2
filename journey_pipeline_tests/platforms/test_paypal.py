"""PayPal, pulled over real HTTP from its fake: periods, refunds as rows, disputes, and what a payment's status means."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms import paypal
from journey_pipeline.platforms.paypal import PLATFORM, Options
from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.fakes import paypal as fake
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, raw_frame, read_all
from journey_pipeline_tests.platforms.openapi import Contract, Exchange, contract, recorded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def paid(record_id: str, at: datetime = NOW - 3 * DAY, **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id, "occurred_at": at, "email": f"{record_id.lower()}@example.com", "name": "Ann Lee",
        "phone": "+12125550101", "keys": ["paypal:ANNLEE234567A"], "role": "processor", "same_as": [],
        "url": f"https://www.paypal.com/activity/payment/{record_id}", "status": "succeeded", "amount_minor": 49900,
        "currency": "USD", "product_ref": "paypal:BOOT", "method": "paypal", "refunded_minor": 0, **more,
    }  # fmt: skip


PAYMENTS = [
    paid("1AA"),
    paid("2AA", keys=["paypal:B234567890123", "app:42"], same_as=["woocommerce:77"], name=None, phone=None),
    paid("3AA", at=NOW - 90 * DAY, refunded_minor=49900, refunded_at=NOW - 2 * DAY),
    paid("4AA", refunded_minor=1000, refunded_at=NOW - DAY, method="card", currency="JPY"),
    paid("5AA", status="pending", method="bank_transfer", product_ref=None),
    paid("6AA", status="failed", same_as=["shopify:9"]),
    paid("7AA", status="authorised"),
    paid("8AA", subscription_ref="paypal:IBW452GLLEP1G", product_ref=None, amount_minor=12345, currency="KWD"),
    paid("9AA", at=NOW - 40 * DAY, disputed_at=NOW - 5 * DAY, dispute_status="open"),
    paid("10AA", disputed_at=NOW - DAY, dispute_status="won"),
    paid("11AA", disputed_at=NOW - DAY, dispute_status="lost"),
    paid("12AA", at=NOW - 1000 * DAY),
]
LATER = [
    *PAYMENTS[:4],
    paid("5AA", method="bank_transfer", product_ref=None, changed_at=NOW + 3 * HOUR),
    *PAYMENTS[5:8],
    paid("9AA", at=NOW - 40 * DAY, disputed_at=NOW - 5 * DAY, dispute_status="lost", changed_at=NOW + 3 * HOUR),
    *PAYMENTS[9:11],
    paid("12AA", at=NOW - 1000 * DAY, refunded_minor=49900, refunded_at=NOW + 2 * HOUR, changed_at=NOW + 2 * HOUR),
    paid("13AA", at=NOW + HOUR),
]  # fmt: skip


@dataclass(frozen=True)
class Both(Contract):
    """PayPal describes its APIs one by one; of the token's answer none of them tells."""

    disputes: Contract | None = None

    def check(self, exchange: Exchange) -> None:
        if "/customer/disputes" in exchange.path:
            assert self.disputes
            self.disputes.check(exchange)
        elif not exchange.path.endswith("/oauth2/token"):
            super().check(exchange)


def described() -> Both:
    reporting = contract("paypal", "reporting_transactions_v1.json", base="/paypal")
    disputes = contract("paypal", "customer_disputes_v1.json", base="/paypal")
    return Both(_as_it_is(reporting.spec), "/paypal", disputes=Contract(_as_it_is(disputes.spec), "/paypal"))


def _as_it_is(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """The real API writes `+0000`, as its documentation's examples do, and gives empty lists where there is nothing."""
    mended = copy.deepcopy(dict(spec))
    schemas = mended["components"]["schemas"]
    schemas["date_time"]["pattern"] = schemas["date_time"]["pattern"].replace(
        "[0-9]{2}:[0-9]{2})$", "[0-9]{2}:?[0-9]{2})$"
    )
    for name, listed in (
        ("search_response", "transaction_details"),
        ("search_response", "links"),
        ("dispute_search", "items"),
    ):
        schemas.get(name, {}).get("properties", {}).get(listed, {}).pop("minItems", None)
    return mended


class TestPaypal(Conformance):
    case = Case(
        "paypal",
        now={"payments": PAYMENTS},
        later={"payments": LATER},
        many=lambda count: {
            "payments": [paid(f"{n}AA", disputed_at=NOW - DAY, dispute_status="open") for n in range(count)]
        },
        counted="payments",
        page_sizes=("PAGE", "DISPUTES_PAGE"),
        described=described,
    )

    def test_nothing_at_all_and_then_something(self) -> None:
        # Of what came after the first load only: no row of PayPal's turns up weeks late.
        world = self.world()
        with self.served(world) as options:
            frames, cursors = self.pull(options)
            assert read_all(PLATFORM, frames, options)["payments"].is_empty()
            self.become(world, NOW + DAY, {"payments": LATER[-1:]})
            self.says(self.pull(options, NOW + DAY, cursors, frames)[0], options, world)

    def test_a_period_with_too_many_rows_is_halved(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fake, "MOST_ROWS", 3)
        world = self.world({"payments": [paid(f"{n}AA", at=NOW - timedelta(hours=2, days=n)) for n in range(20)]})
        with self.served(world) as options:
            self.says(self.pull(options)[0], options, world)

    def test_one_second_with_too_many_rows_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fake, "MOST_ROWS", 3)
        world = self.world({"payments": [paid(f"{n}AA") for n in range(4)]})
        with self.served(world) as options, pytest.raises(SourceError, match="answered 413") as caught:
            self.pull(options)
        assert not caught.value.is_transient

    def test_what_is_not_refreshed_yet_comes_with_the_next_load(self) -> None:
        world = self.world({"payments": [paid("1AA", at=NOW - timedelta(minutes=30))]})
        with self.served(world) as options:
            frames, cursors = self.pull(options)
            assert frames["transactions"].height == 0
            world.now = NOW + HOUR
            frames, _ = self.pull(options, NOW + HOUR, cursors, frames)
            self.says(frames, options, world)

    def test_no_period_begins_after_the_last_refresh(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(paypal, "HISTORY", 2 * paypal.WINDOW + timedelta(minutes=15))
        with self.served(self.world({"payments": [paid("1AA")]})) as options, recorded() as seen:
            self.pull(options)
        assert sum("transactions" in exchange.path for exchange in seen) == 2

    def test_no_request_asks_for_more_than_a_vendor_gives(self) -> None:
        with self.served(self.world({"payments": PAYMENTS})) as options, recorded() as seen:
            _, cursors = self.pull(options)
            first = len(seen)
            self.pull(options, NOW + HOUR, cursors)
        periods = [dict(e.query) for e in seen if e.path.endswith("/transactions")]
        spans = [datetime.fromisoformat(p["end_date"]) - datetime.fromisoformat(p["start_date"]) for p in periods]
        assert max(spans) == 31 * DAY
        assert datetime.fromisoformat(periods[0]["start_date"]) == NOW - 1092 * DAY
        assert [e.path.rsplit("/", 1)[1] for e in seen[first:]].count("transactions") == 1

    def test_after_half_a_year_of_silence_disputes_are_asked_for_as_far_back_as_they_go(self) -> None:
        world = self.world({"payments": PAYMENTS})
        with self.served(world) as options:
            frames, cursors = self.pull(options)
            world.now = NOW + 400 * DAY
            self.pull(options, world.now, cursors, frames)


def row(code: str = "T0006", **more: Any) -> dict[str, Any]:
    value, info = more.pop("value", "10.00"), {"transaction_id": "1A", "transaction_status": "S", **more}
    return {
        "transaction_event_code": code, "transaction_initiation_date": "2026-05-01T10:00:00+0000",
        "transaction_updated_date": "2026-05-02T10:00:00+0000",
        "transaction_amount": {"currency_code": "USD", "value": value}, **info,
    }  # fmt: skip


def said(*rows: dict[str, Any], **frames: Any) -> Any:
    raw = {"transactions": raw_frame(rows, "transactions", NOW), **frames}
    return read_all(PLATFORM, raw, Options())["payments"]


@pytest.mark.parametrize(
    ("code", "theirs", "ours"),
    [
        ("T0006", "S", "succeeded"), ("T0006", "P", "pending"), ("T0006", "D", "failed"), ("T0006", "V", "succeeded"),
        ("T0006", "F", "succeeded"), ("T1300", "S", "authorised"), ("T1300", "P", "authorised"),
        ("T1300", "V", "failed"), ("T0006", "X", "X"),
    ],
)  # fmt: skip
def test_statuses(code: str, theirs: str, ours: str) -> None:
    assert said(row(code, transaction_status=theirs))["status"].to_list() == [ours]


@pytest.mark.parametrize("code", ["T0400", "T1110", "T0200", "T1108", "T0014", "T0017"])
def test_what_is_no_payment_is_left_out(code: str) -> None:
    assert said(row(code)).is_empty()


def test_money_sent_is_left_out() -> None:
    assert said(row(value="-10.00")).is_empty()


def test_an_unreadable_amount_is_left_to_be_rejected() -> None:
    assert said(row(value="ten"))["amount_minor"].to_list() == [None]


def test_a_captured_or_renewed_authorisation_is_not_told_twice() -> None:
    auth, again = row("T1300"), row("T1301", transaction_id="2A", paypal_reference_id="1A")
    capture = row(transaction_id="3A", paypal_reference_id="2A")
    assert said(auth)["record_id"].to_list() == ["1A"]
    assert said(auth, again)["record_id"].to_list() == ["2A"]
    assert said(auth, again, capture).select("record_id", "status").rows() == [("3A", "succeeded")]


def test_a_payment_that_another_refers_to_is_still_told() -> None:
    assert said(row(), row(transaction_id="2A", paypal_reference_id="1A"))["record_id"].to_list() == ["1A", "2A"]


def test_reversed_without_a_refund_known_is_wholly_refunded() -> None:
    refunded = said(row(transaction_status="V")).select("refunded_minor", "refunded_at")
    assert refunded.rows() == [(1000, datetime.fromisoformat("2026-05-02T10:00:00Z"))]


def test_several_refunds_are_added_up_in_the_payments_currency_only() -> None:
    refunds = [
        row("T1107", transaction_id="2A", paypal_reference_id="1A", value="-1.50"),
        row("T1106", transaction_id="3A", paypal_reference_id="1A", value="-2.00"),
        row("T1107", transaction_id="4A", paypal_reference_id="1A", value="-2.00", transaction_status="P"),
    ]
    other = {**refunds[0], "transaction_id": "5A", "transaction_amount": {"currency_code": "EUR", "value": "-1.00"}}
    assert said(row(), *refunds, other)["refunded_minor"].to_list() == [350]


@pytest.mark.parametrize(("back", "status"), [((), "lost"), (("10.00",), "won")])
def test_a_chargeback_is_a_dispute(back: tuple[str, ...], status: str) -> None:
    rows = [
        row("T1201", transaction_id="2A", paypal_reference_id="1A", value="-10.00"),
        *(row("T1202", transaction_id="3A", paypal_reference_id="1A", value=value) for value in back),
    ]
    told = said(row(transaction_status="V"), *rows).select("dispute_status", "disputed_at", "refunded_minor")
    assert told.rows() == [(status, datetime.fromisoformat("2026-05-01T10:00:00Z"), 0)]


@pytest.mark.parametrize(
    ("status", "outcome", "ours"),
    [
        ("WAITING_FOR_SELLER_RESPONSE", None, "open"), ("OTHER", None, "open"), ("RESOLVED", None, "won"),
        ("RESOLVED", "RESOLVED_BUYER_FAVOUR", "lost"), ("RESOLVED", "ACCEPTED", "lost"),
        ("RESOLVED", "RESOLVED_SELLER_FAVOUR", "won"), ("RESOLVED", "RESOLVED_WITH_PAYOUT", "won"),
        ("RESOLVED", "CANCELED_BY_BUYER", "won"), ("RESOLVED", "DENIED", "won"),
    ],
)  # fmt: skip
def test_disputes(status: str, outcome: str | None, ours: str) -> None:
    dispute = {
        "dispute_id": "PP-D-1", "create_time": "2026-05-03T10:00:00.000Z", "status": status,
        "disputed_transactions": [{"seller_transaction_id": "0A"}, {"seller_transaction_id": "1A"}],
        "dispute_outcome": outcome and {"outcome_code": outcome},
    }  # fmt: skip
    assert said(row(), disputes=raw_frame([dispute], "disputes", NOW))["dispute_status"].to_list() == [ours]


@pytest.mark.parametrize(
    ("invoice", "same_as"),
    [("WC-77", ["woocommerce:77"]), ("shopify:9", ["shopify:9"]), ("INV 2026-1", []), (None, [])],
)
def test_an_invoice_id_may_name_the_order(invoice: str | None, same_as: list[str]) -> None:
    assert said(row(invoice_id=invoice))["same_as"].to_list() == [same_as]


@pytest.mark.parametrize(
    ("instrument", "method"), [("CREDIT_CARD", "card"), ("BANK", "bank_transfer"), ("VENMO", "venmo"), (None, "paypal")]
)
def test_methods(instrument: str | None, method: str) -> None:
    assert said(row(instrument_type=instrument))["method"].to_list() == [method]


def test_no_prefixes_are_allowed() -> None:
    frames = {"transactions": raw_frame([row(invoice_id="WC-77")], "transactions", NOW)}
    assert read_all(PLATFORM, frames, Options(invoice_prefixes={}))["payments"]["same_as"].to_list() == [[]]


def test_without_an_item_code_its_name_is_the_product() -> None:
    assert said(row(cart_info={"item_details": [{"item_name": "Boot camp"}]}))["product_ref"].to_list() == [
        "paypal:Boot camp"
    ]


def test_a_sandbox_account_holds_tests() -> None:
    options = Options(base_url="https://api-m.sandbox.paypal.com")
    told = read_all(PLATFORM, {"transactions": raw_frame([row()], "transactions", NOW)}, options)["payments"]
    assert told.select("is_test", "url").rows() == [(True, "https://www.sandbox.paypal.com/activity/payment/1A")]


@settings(deadline=None, max_examples=25)
@given(minor=st.integers(1, 10**12), money=st.sampled_from([("USD", 2), ("JPY", 0), ("TND", 3)]))
def test_money_is_read_back_exactly(minor: int, money: tuple[str, int]) -> None:
    amount = {"currency_code": money[0], "value": parts.major(minor, money[1])}
    told = said({**row(), "transaction_amount": amount}).select("amount_minor", "currency")
    assert told.rows() == [(minor, money[0])]
