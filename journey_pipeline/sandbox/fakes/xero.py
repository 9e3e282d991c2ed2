"""Xero's accounting API over a world: payments as sales invoices, with what was paid for them and credited.

Record ids are any text (Xero's are GUIDs); times of payments are midnights. `keys` begin with the contact, `xero:<id>`, and
may name one other platform; `same_as` is one of Stripe's charges, or any `platform:id`. A refund is a credit note: allocated
to the invoice, or, of every other one, paid out and referring to it.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any
from zlib import crc32

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.fakes.parts import Row
from journey_pipeline.sandbox.world import World

SECRETS = {"XERO_CLIENT_ID": "xero-sandbox", "XERO_CLIENT_SECRET": "sandbox"}
TENANT = "70784a63-d24b-46a9-a4db-0e70a274b056"
_TOKEN = "xero-sandbox-token"  # noqa: S105 - of a fake
_STATUSES = {"succeeded": "PAID", "pending": "AUTHORISED", "failed": "VOIDED"}
_NO_MINOR_UNIT = {"JPY": 0, "KRW": 0, "KWD": 3, "BHD": 3}
_ASKED = ("page", "pageSize", "where", "order")
_WHERE = {
    "Invoices": 'Type=="ACCREC"', "Payments": 'PaymentType=="ACCRECPAYMENT"', "CreditNotes": 'Type=="ACCRECCREDIT"',
}  # fmt: skip

Things = Mapping[str, list[Row]]


def _render(world: World) -> Things:
    rows = world.of("payments", "xero").sort("record_id").rows(named=True)
    people = {parts.own_id(row, "xero"): row for row in sorted(rows, key=lambda row: row["changed_at"])}
    return {
        "Invoices": [_invoice(row) for row in rows],
        "Payments": [_payment(row) for row in rows if row["status"] == "succeeded"],
        "CreditNotes": [_credit_note(row) for row in rows if row["refunded_minor"]],
        "Contacts": [_contact(id_, people[id_]) for id_ in sorted(id_ for id_ in people if id_)],
    }


def _invoice(row: Row) -> Row:
    total, is_paid = _units(row["amount_minor"], row["currency"]), row["status"] == "succeeded"
    item = {"ItemCode": row["product_ref"].removeprefix("xero:")} if row["product_ref"] else {}
    contact = {"ContactID": parts.own_id(row, "xero"), "Name": row["company"] or row["name"] or ""}
    return {
        "Type": "ACCREC", "InvoiceID": row["record_id"], "InvoiceNumber": _number(row), "Reference": _reference(row, 0),
        "Contact": {name: value for name, value in contact.items() if value is not None},
        "Status": _STATUSES.get(row["status"], row["status"]), "CurrencyCode": row["currency"], "Total": total,
        "AmountDue": 0 if is_paid else total, "AmountPaid": total if is_paid else 0,
        "LineItems": [{"Description": "What was sold", "Quantity": 1.0, "UnitAmount": total, **item}],
        **_dated(row["occurred_at"], row["changed_at"]),
        **({"FullyPaidOnDate": _date(row["occurred_at"])} if is_paid else {}),
    }  # fmt: skip


def _payment(row: Row) -> Row:
    return {
        "PaymentID": f"paid-{row['record_id']}", "PaymentType": "ACCRECPAYMENT", "Status": "AUTHORISED",
        "Amount": _units(row["amount_minor"], row["currency"]), "Reference": _reference(row, 1),
        "Invoice": {"InvoiceID": row["record_id"], "InvoiceNumber": _number(row), "Type": "ACCREC"},
        "Account": {"Code": row["method"] or ""}, **_dated(row["occurred_at"], row["changed_at"]),
    }  # fmt: skip


def _credit_note(row: Row) -> Row:
    part = {"Amount": _units(row["refunded_minor"], row["currency"]), "Date": _date(row["refunded_at"])}
    if crc32(row["record_id"].encode()) % 2:
        taken: Row = {"Reference": _number(row), "Allocations": [], "Payments": [{"PaymentID": "out", **part}]}
    else:
        taken = {"Reference": "", "Payments": [], "Allocations": [{**part, "Invoice": {"InvoiceID": row["record_id"]}}]}
    return {
        "Type": "ACCRECCREDIT", "CreditNoteID": f"note-{row['record_id']}", "CreditNoteNumber": f"CN-{row['record_id']}",
        "Status": "PAID", "CurrencyCode": row["currency"], "Total": part["Amount"],
        **_dated(row["refunded_at"], row["changed_at"]), **taken,
    }  # fmt: skip


def _contact(id_: str, row: Row) -> Row:
    first, _, last = (row["name"] or "").rpartition(" ")
    phones = {"DEFAULT": "", "DDI": "", "FAX": "", "MOBILE": row["phone"] or ""}
    return {
        "ContactID": id_, "ContactNumber": next(iter(parts.elsewhere(row, "xero")), ""), "ContactStatus": "ACTIVE",
        "Name": row["company"] or row["name"] or "", "FirstName": first, "LastName": last, "EmailAddress": row["email"] or "",
        "Phones": [{"PhoneType": t, "PhoneNumber": n, "PhoneAreaCode": "", "PhoneCountryCode": ""} for t, n in phones.items()],
        "UpdatedDateUTC": _date(row["changed_at"]),
    }  # fmt: skip


def _number(row: Row) -> str:
    return f"INV-{row['record_id']}"


def _reference(row: Row, turn: int) -> str:
    """The sale elsewhere stands on the invoice or on its payment, by turns; Stripe's as it is, others' with their name."""
    has_payment = row["status"] == "succeeded"
    if not row["same_as"] or (has_payment and crc32(row["same_as"][0].encode()) % 2 != turn):
        return ""
    return str(row["same_as"][0].removeprefix("stripe:"))


def _units(minor: int, currency: str) -> float:
    return float(minor / 10 ** _NO_MINOR_UNIT.get(currency, 2))


def _date(instant: datetime) -> str:
    return f"/Date({int(instant.timestamp() * 1000)}+0000)/"


def _dated(instant: datetime, changed_at: datetime) -> Row:
    twin = instant.strftime("%Y-%m-%dT%H:%M:%S")
    return {"Date": _date(instant), "DateString": twin, "UpdatedDateUTC": _date(changed_at)}


def app(world: World) -> Starlette:
    rendered = parts.Rendered(world, ("payments",), _render)

    async def token(request: Request) -> JSONResponse:
        parts.has_basic(request, SECRETS["XERO_CLIENT_ID"], SECRETS["XERO_CLIENT_SECRET"])
        if await parts.form(request) != {"grant_type": "client_credentials"}:
            return JSONResponse({"error": "unsupported_grant_type"}, 400)
        return JSONResponse({"access_token": _TOKEN, "expires_in": 1800, "token_type": "Bearer"})

    def listed(name: str, *allowed: str) -> Callable[[Request], Awaitable[JSONResponse]]:
        async def answer(request: Request) -> JSONResponse:
            parts.has_bearer(request, _TOKEN)
            if request.headers.get("xero-tenant-id") != TENANT:
                raise HTTPException(403, "AuthenticationUnsuccessful")
            given = parts.parameters(request, (*_ASKED, *allowed))
            if given.get("where") != _WHERE.get(name):
                raise HTTPException(400, "QueryParseException")
            size, number = parts.number(given, "pageSize", 100, most=1000), parts.number(given, "page", 1)
            since = request.headers.get("If-Modified-Since")
            rows = [row for row in rendered.now()[name] if since is None or _updated(row) >= parts.instant(since)]
            pages = {"page": number, "pageSize": size, "pageCount": parts.pages(rows, size), "itemCount": len(rows)}
            return JSONResponse({"Status": "OK", "pagination": pages, name: parts.page(rows, number, size)})

        return answer

    api: Mapping[str, Any] = {
        "Invoices": listed("Invoices"), "Payments": listed("Payments"), "CreditNotes": listed("CreditNotes"),
        "Contacts": listed("Contacts", "includeArchived"),
    }  # fmt: skip
    routes = [Route(f"/api.xro/2.0/{name}", answer) for name, answer in api.items()]
    return parts.service(
        [Route("/connect/token", token, methods=["POST"]), *routes],
        lambda status, detail: {"Type": None, "Title": "Refused", "Status": status, "Detail": detail},
    )


def _updated(row: Row) -> datetime:
    millis = int(row["UpdatedDateUTC"].removeprefix("/Date(").partition("+")[0])
    return parts.instant(str(millis // 1000))
