"""Xero, pulled over real HTTP from its fake: what only it does; the rest is every platform's."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from journey_pipeline.platforms import xero
from journey_pipeline.platforms.xero import PLATFORM, Options
from journey_pipeline.sandbox.fakes.xero import SECRETS, TENANT
from journey_pipeline.sandbox.server import serve
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, make_world, pull_all, raw_frame, read_all
from journey_pipeline_tests.platforms.openapi import Contract, Exchange, contract, recorded

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TODAY = datetime(2026, 5, 15, tzinfo=UTC)
LATER: dict[str, Any] = {"changed_at": NOW + HOUR}


def invoice(record_id: str, of: str = "ann", days: float = 2, **more: Any) -> dict[str, Any]:
    said = {
        "role": "shop", "status": "succeeded", "amount_minor": 49_900, "currency": "USD", "refunded_minor": 0,
        "same_as": [], "method": "bank_transfer", "keys": [f"xero:{of}"],
        "url": f"https://go.xero.com/AccountsReceivable/View.aspx?InvoiceID={record_id}",
    }  # fmt: skip
    return {"record_id": record_id, "occurred_at": TODAY - days * DAY, **said, **more}


WHO: dict[str, Any] = {
    "email": "Ann@Example.com", "phone": "+12125550101", "name": "Ann Lee", "company": "Lee & Co",
    "keys": ["xero:ann", "app:42"],
}  # fmt: skip
BOB: dict[str, Any] = {"email": "bob@example.com", "name": "Bob"}
INVOICES = [
    invoice("i_1", **WHO, same_as=["stripe:ch_1"], method="card", product_ref="xero:BOOT"),
    invoice("i_2", **WHO, same_as=["stripe:py_2"], currency="JPY", amount_minor=50_000),
    invoice("i_3", "bob", **BOB, same_as=["shopify:1001"]),
    invoice("i_4", "bob", **BOB, status="pending", same_as=["woocommerce:77"], amount_minor=1),
    invoice("i_5", "bob", **BOB, status="failed"),
    # One was credited by allocation, the other by money paid back.
    invoice("i_6", **WHO, refunded_minor=49_900, refunded_at=TODAY - DAY),
    invoice("i_9", **WHO, refunded_minor=10_050, refunded_at=TODAY - DAY),
    invoice("i_10", "cyd", amount_minor=0),
]


@dataclass(frozen=True)
class ButForTokens(Contract):
    """Tokens are granted by another host, which the description does not speak of."""

    def check(self, exchange: Exchange) -> None:
        if not exchange.path.endswith("/connect/token"):
            super().check(exchange)


class TestXero(Conformance):
    case = Case(
        "xero",
        now={"payments": INVOICES},
        later={
            "payments": [
                {**row, **LATER}
                for row in (
                    {**INVOICES[0], "refunded_minor": 100, "refunded_at": TODAY + DAY}, *INVOICES[1:3],
                    {**INVOICES[3], "status": "succeeded", "occurred_at": TODAY + DAY}, *INVOICES[4:],
                    invoice("i_11", "dan", 0, name="Dan Do"),
                )
            ]
        },
        many=lambda count: {"payments": [invoice(f"i_{n}", f"p_{n}", refunded_minor=1, refunded_at=TODAY) for n in range(count)]},
        counted="payments",
        page_sizes=("PAGE",),
        options={"tenant": TENANT, "methods": {"card": "card"}},
        at="/api.xro/2.0",
        described=lambda: ButForTokens(contract("xero", "xero_accounting.yaml", base="").spec, "/xero/api.xro/2.0"),
    )  # fmt: skip


def said(raw: dict[str, Any], options: Options | None = None, **beside: list[dict[str, Any]]) -> dict[str, Any]:
    told = {
        "InvoiceID": "1",
        "Status": "PAID",
        "CurrencyCode": "USD",
        "Total": 100.0,
        "Date": "/Date(1778846400000+0000)/",
    }
    frames = {name: raw_frame(rows, name, NOW) for name, rows in {"invoices": [{**told, **raw}], **beside}.items()}
    return read_all(PLATFORM, frames, options or Options())["payments"].row(0, named=True)


def test_what_a_second_load_asks_for() -> None:
    at = [NOW - 10 * MINUTE, NOW - 10 * MINUTE - timedelta(seconds=1)]
    world = make_world("xero", {"payments": [invoice(f"i_{n}", changed_at=when) for n, when in enumerate(at)]})
    with serve(world, ("xero",)) as urls:
        options = Options(base_url=urls["xero"] + "/api.xro/2.0", tenant=TENANT)
        _, cursors = pull_all(PLATFORM, options, SECRETS, NOW, only=("invoices",))
        with recorded() as seen:
            frames, _ = pull_all(PLATFORM, options, SECRETS, NOW + DAY, cursors, only=("invoices",))
    assert frames["invoices"]["invoice_id"].to_list() == ["i_0"]
    assert dict(seen[-1].query) == {
        "page": "1",
        "pageSize": "1000",
        "where": 'Type=="ACCREC"',
        "order": "InvoiceID ASC",
    }


def test_tokens_are_granted_where_the_api_is_unless_that_is_xeros_own() -> None:
    assert Options().token_host == "https://identity.xero.com"
    assert Options(base_url="http://127.0.0.1:1/xero/api.xro/2.0").token_host == "http://127.0.0.1:1/xero"
    assert Options(auth_url="https://elsewhere.example").token_host == "https://elsewhere.example"


@pytest.mark.parametrize(
    ("status", "body", "meant"),
    [(400, b'{"error":"invalid_client"}', 401), (400, b"QueryParse", 400), (403, b"_client", 403)],
)
def test_a_wrong_client_is_a_wrong_key(status: int, body: bytes, meant: int) -> None:
    reply = requests.Response()
    reply.status_code, reply._content = status, body
    assert xero._means(reply) == meant


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("PAID", "succeeded"), ("AUTHORISED", "pending"), ("VOIDED", "failed"), ("BRAND_NEW", "BRAND_NEW")],
)
def test_statuses(theirs: str, ours: str) -> None:
    assert said({"Status": theirs})["status"] == ours


@pytest.mark.parametrize("status", ["DRAFT", "SUBMITTED", "DELETED"])
def test_what_was_never_issued_is_no_sale(status: str) -> None:
    frames = {"invoices": raw_frame([{"InvoiceID": "1", "Status": status, "Total": 1.0}], "invoices", NOW)}
    assert read_all(PLATFORM, frames, Options())["payments"].is_empty()


@pytest.mark.parametrize(
    ("reference", "platform", "same_as"),
    [
        ("stripe:ch_1, shopify:9", None, ["stripe:ch_1", "shopify:9"]),
        ("Payout po_1, charge ch_3OabC (card)", None, ["stripe:ch_3OabC"]),
        ("#1001", None, []),
        (" 1001 ", "shopify", ["shopify:1001"]),
        ("ch_1", "shopify", ["stripe:ch_1"]),
        ("", "shopify", []),
        (None, "shopify", []),
    ],
)
def test_what_a_reference_names(reference: str | None, platform: str | None, same_as: list[str]) -> None:
    assert said({"Reference": reference}, Options(reference_platform=platform))["same_as"] == same_as


def test_payments_name_the_sale_too_unless_they_were_deleted() -> None:
    paid = [
        {
            "PaymentID": "1",
            "Status": "AUTHORISED",
            "Reference": "ch_1",
            "Invoice": {"InvoiceID": "1"},
            "Account": {"Code": "090"},
        },
        {"PaymentID": "2", "Status": "AUTHORISED", "Reference": "ch_2", "Invoice": {"InvoiceID": "1"}},
        {"PaymentID": "3", "Status": "DELETED", "Reference": "ch_3", "Invoice": {"InvoiceID": "1"}},
    ]
    told = said({"Reference": "ch_1"}, Options(methods={"090": "card"}), payments=paid)
    assert (told["same_as"], told["method"]) == (["stripe:ch_1", "stripe:ch_2"], "card")


def test_credit_notes_count_unless_they_were_voided_and_parts_unless_they_were_deleted() -> None:
    def part(amount: float, day: int, **more: Any) -> dict[str, Any]:
        return {"Amount": amount, "Date": f"2026-05-0{day}T00:00:00", "Invoice": {"InvoiceID": "1"}, **more}

    notes = [
        {
            "CreditNoteID": "1",
            "Status": "PAID",
            "Allocations": [part(10.5, 1), part(5, 2), part(99, 3, IsDeleted=True)],
        },
        {"CreditNoteID": "2", "Status": "AUTHORISED", "Reference": "INV-1", "Payments": [part(1, 4)]},
        {"CreditNoteID": "3", "Status": "PAID", "Reference": "INV-2", "Payments": [part(7, 5)], "Allocations": []},
        {"CreditNoteID": "4", "Status": "VOIDED", "Allocations": [part(8, 6)]},
    ]
    notes = [{"CurrencyCode": "USD", **note} for note in notes]
    told = said({"InvoiceNumber": "INV-1"}, credit_notes=notes)
    assert (told["refunded_minor"], told["refunded_at"]) == (1650, datetime(2026, 5, 4, tzinfo=UTC))


def test_who_was_invoiced() -> None:
    parts = [("", "", ""), ("1", "212", "5550101"), ("44", "20", "1")]
    phones = [{"PhoneCountryCode": c, "PhoneAreaCode": a, "PhoneNumber": n} for c, a, n in parts]
    ann = {
        "ContactID": "a",
        "Name": "Lee & Co",
        "FirstName": "Ann",
        "LastName": "Lee",
        "Phones": phones,
        "MergedToContactID": "b",
    }
    told = said({"Contact": {"ContactID": "a"}}, contacts=[{**ann, "AccountNumber": "app:42", "ContactNumber": "C 1"}])
    assert (told["name"], told["company"], told["phone"]) == ("Ann Lee", "Lee & Co", "+12125550101")
    assert told["keys"] == ["xero:a", "xero:b", "app:42"]
    plain = said({"Contact": {"ContactID": "a", "Name": "Ann Lee", "EmailAddress": "ann@x.example"}})
    assert (plain["name"], plain["company"], plain["email"]) == ("Ann Lee", None, "ann@x.example")


def test_a_day_is_read_from_either_twin_and_a_paid_invoice_has_that_of_its_payment() -> None:
    assert said({"Date": None, "DateString": "2026-05-01T00:00:00"})["occurred_at"] == datetime(2026, 5, 1, tzinfo=UTC)
    paid = {"FullyPaidOnDate": "/Date(1777680000000+1200)/"}
    assert said(paid)["occurred_at"] == datetime(2026, 5, 2, tzinfo=UTC)
    assert said({**paid, "Status": "VOIDED"})["occurred_at"] == datetime(2026, 5, 15, 12, tzinfo=UTC)


@settings(deadline=None, max_examples=30)  # the machine is shared
@given(minor=st.integers(0, 10**12), money=st.sampled_from([("USD", 2), ("JPY", 0)]))
def test_amounts_are_exact(minor: int, money: tuple[str, int]) -> None:
    currency, digits = money
    assert said({"Total": minor / 10**digits, "CurrencyCode": currency})["amount_minor"] == minor
