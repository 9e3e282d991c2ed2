"""PayPal's reporting and disputes over a world: payments as rows of an account, with the rows that follow from them.

A payment's id is letters and digits, up to 17; its first key `paypal:` and up to 13 of them, others stand in the custom
field; its phone begins with `+` and a calling code of one digit. One `same_as` at most, `woocommerce:77` as invoice
WC-77, others as they are; a `subscription_ref` is `paypal:` and letters and digits; a product `paypal:` and its code.
What the last hour brought is not told yet. Strict about the token, parameters and periods.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.platforms.translate import THREE_DECIMAL, ZERO_DECIMAL
from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.fakes.parts import Row
from journey_pipeline.sandbox.world import World

SECRETS = {"PAYPAL_CLIENT_ID": "sandbox", "PAYPAL_CLIENT_SECRET": "sandbox"}
TOKEN = "A21AAF-sandbox"  # noqa: S105 - opens a fake only
LONGEST, HISTORY, DISPUTES_HISTORY = timedelta(days=31), timedelta(days=3 * 365), timedelta(days=180)
MOST_ROWS = 10_000
_TOO_LARGE = "RESULTSET_TOO_LARGE"
REFRESHED_AFTER = timedelta(hours=1)
_STATUSES = {"succeeded": "S", "authorised": "P", "pending": "P", "failed": "D"}
_INSTRUMENTS = {"card": "CREDIT_CARD", "bank_transfer": "BANK"}
_OUTCOMES = {"won": "RESOLVED_SELLER_FAVOUR", "lost": "RESOLVED_BUYER_FAVOUR"}
_NAMES = {400: "INVALID_REQUEST", 401: "AUTHENTICATION_FAILURE", 403: "NOT_AUTHORIZED", 404: "RESOURCE_NOT_FOUND"}
_REPORT = ("start_date", "end_date", "fields", "balance_affecting_records_only", "page_size", "page")


def _rows(world: World) -> list[tuple[datetime, Row]]:
    """The account's rows, oldest first, each with its time."""
    told = [row for payment in world.of("payments", "paypal").iter_rows(named=True) for row in _told(payment)]
    return sorted(told, key=lambda row: (row[0], row[1]["transaction_info"]["transaction_id"]))


def _told(payment: Row) -> list[tuple[datetime, Row]]:
    id_, amount, refunded = payment["record_id"], payment["amount_minor"], payment["refunded_minor"] or 0
    code = "T1300" if payment["status"] == "authorised" else "T0002" if payment["subscription_ref"] else "T0006"
    is_over = payment["status"] == "succeeded" and 0 < amount <= refunded
    account = {"transaction_status": "V" if is_over else _STATUSES[payment["status"]], **_reference(payment)}
    rows = [_row(payment, id_, code, payment["occurred_at"], amount, **account)]
    about = {"transaction_status": "S", "paypal_reference_id": id_, "paypal_reference_id_type": "TXN"}
    if refunded:
        back = payment["refunded_at"]
        rows.append(_row(payment, f"R{id_}", "T1107", back, -refunded, **about))
        # One id, two events: the fee that PayPal gives back with a refund.
        rows.append(_row(payment, f"R{id_}", "T1108", back, 30, **about))
        rows.append(_row(payment, f"Q{id_}", "T1107", back, -refunded, **{**about, "transaction_status": "D"}))
    if payment["dispute_status"] == "lost":
        rows.append(_row(payment, f"H{id_}", "T1110", payment["disputed_at"], -amount, **about))
    return rows


def _row(payment: Row, id_: str, code: str, at: datetime, minor: int, **more: str) -> tuple[datetime, Row]:
    own, product = parts.own_id(payment, "paypal"), payment["product_ref"]
    money = {"currency_code": payment["currency"]}
    info = {
        "paypal_account_id": own, "transaction_id": id_, "transaction_event_code": code,
        "transaction_initiation_date": _iso(at), "transaction_updated_date": _iso(max(at, payment["changed_at"])),
        "transaction_amount": {**money, "value": _value(minor, payment["currency"])},
        "fee_amount": {**money, "value": _value(-30, payment["currency"])} if code.startswith("T00") else None,
        "invoice_id": _invoice(payment), "custom_field": " ".join(parts.elsewhere(payment, "paypal")) or None,
        "instrument_type": _INSTRUMENTS.get(payment["method"], (payment["method"] or "").upper()) or None, **more,
    }  # fmt: skip
    first, _, last = (payment["name"] or "").rpartition(" ")
    phone = payment["phone"]
    payer = {
        "account_id": own, "email_address": payment["email"], "address_status": "Y", "payer_status": "Y",
        "phone_number": {"country_code": phone[1], "national_number": phone[2:]} if phone else None,
        "payer_name": {"given_name": first, "surname": last} if last else {}, "country_code": "US",
    }  # fmt: skip
    cart = {"item_details": [{"item_code": product.removeprefix("paypal:")}]} if product else {}
    return at, {"transaction_info": _given(info), "payer_info": _given(payer), "cart_info": cart, "store_info": {}}


def _reference(payment: Row) -> Mapping[str, str]:
    if not payment["subscription_ref"]:
        return {}
    return {
        "paypal_reference_id": payment["subscription_ref"].removeprefix("paypal:"),
        "paypal_reference_id_type": "SUB",
    }


def _invoice(payment: Row) -> str | None:
    order = next(iter(payment["same_as"] or ()), None)
    return order and order.replace("woocommerce:", "WC-")


def _given(values: Mapping[str, Any]) -> Row:
    """PayPal leaves out what it has not."""
    return {name: value for name, value in values.items() if value is not None}


def _value(minor: int, currency: str) -> str | None:
    return parts.major(minor, 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2)


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S+0000")


def _disputes(world: World) -> list[tuple[datetime, Row]]:
    """Newest first, each with the time of its last change."""
    disputed = [row for row in world.of("payments", "paypal").iter_rows(named=True) if row["disputed_at"]]
    disputed.sort(key=lambda row: (row["disputed_at"], row["record_id"]), reverse=True)
    return [(max(row["disputed_at"], row["changed_at"]), _dispute(row)) for row in disputed]


def _dispute(payment: Row) -> Row:
    outcome = _OUTCOMES.get(payment["dispute_status"])
    changed_at = max(payment["disputed_at"], payment["changed_at"])
    return {
        "dispute_id": f"PP-D-{payment['record_id']}",
        "create_time": payment["disputed_at"].strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "update_time": changed_at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
        "status": "RESOLVED" if outcome else "UNDER_REVIEW",
        "dispute_amount": {"currency_code": payment["currency"], "value": _value(payment["amount_minor"], payment["currency"])},
        "dispute_life_cycle_stage": "INQUIRY",
        "disputed_transactions": [{"seller_transaction_id": payment["record_id"], "buyer": {"name": "Buyer"}}],
        **({"dispute_outcome": {"outcome_code": outcome}} if outcome else {}),
    }  # fmt: skip


def _report(request: Request, world: World, rows: list[tuple[datetime, Row]]) -> Row:
    given = parts.parameters(request, _REPORT)
    start, end = (parts.instant(given.get(name, "none")) for name in ("start_date", "end_date"))
    refreshed = world.now - REFRESHED_AFTER
    if not timedelta() <= end - start <= LONGEST:
        raise HTTPException(400, "Date range is greater than 31 days")
    if not world.now - HISTORY <= start <= refreshed:
        raise HTTPException(400, "Data for the given start date is not available.")
    if (given.get("fields"), given.get("balance_affecting_records_only")) != ("all", "N"):
        raise HTTPException(400, "the sandbox tells all fields of all rows; ask for them")
    found = [row for at, row in rows if start <= at <= min(end, refreshed)]
    if len(found) > MOST_ROWS:
        raise HTTPException(400, _TOO_LARGE)
    size, number = parts.number(given, "page_size", 100, most=500), parts.number(given, "page", 1)
    return {
        "transaction_details": parts.page(found, number, size), "account_number": "XZXSPECPDZHZU",
        "start_date": _iso(start), "end_date": _iso(min(end, refreshed)), "last_refreshed_datetime": _iso(refreshed),
        "page": number, "total_items": len(found), "total_pages": parts.pages(found, size), "links": [],
    }  # fmt: skip


def _list(request: Request, world: World, disputes: list[tuple[datetime, Row]]) -> Row:
    given = parts.parameters(request, ("update_time_after", "page_size", "next_page_token"))
    oldest = world.now - DISPUTES_HISTORY
    since = parts.instant(given["update_time_after"]) if "update_time_after" in given else oldest
    if since < oldest:
        raise HTTPException(400, "update_time_after must be within the last 180 days")
    size = parts.number(given, "page_size", 10, most=50)
    start = int(parts.place(given["next_page_token"])) if "next_page_token" in given else 0
    found = [row for changed_at, row in disputes if since <= changed_at <= world.now]
    links = [{"href": str(request.url), "rel": "self", "method": "GET"}]
    if start + size < len(found):
        following = request.url.include_query_params(next_page_token=parts.cursor(start + size))
        links.append({"href": str(following), "rel": "next", "method": "GET"})
    untold = ("disputed_transactions", "dispute_outcome")
    items = [{k: v for k, v in row.items() if k not in untold} for row in found[start : start + size]]
    return {"items": items, "links": links}


def _one(request: Request, world: World, disputes: list[tuple[datetime, Row]]) -> Row:
    parts.parameters(request, ())
    for changed_at, row in disputes:
        if row["dispute_id"] == request.path_params["id"] and changed_at <= world.now:
            return row
    raise HTTPException(404, "The specified resource does not exist.")


async def _token(request: Request) -> JSONResponse:
    parts.has_basic(request, *SECRETS.values())
    if (await request.body()) != b"grant_type=client_credentials":
        raise HTTPException(400, "unsupported_grant_type")
    return JSONResponse({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 32400})


def app(world: World) -> Starlette:
    """The API."""
    rows, disputes = (parts.Rendered(world, ("payments",), made) for made in (_rows, _disputes))

    def keyed(answer: Callable[..., Row], held: parts.Rendered[list[tuple[datetime, Row]]]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> JSONResponse:
            parts.has_bearer(request, TOKEN)
            return JSONResponse(answer(request, world, held.now()))

        return endpoint

    return parts.service(
        [
            Route("/v1/oauth2/token", _token, methods=["POST"]),
            Route("/v1/reporting/transactions", keyed(_report, rows)),
            Route("/v1/customer/disputes", keyed(_list, disputes)),
            Route("/v1/customer/disputes/{id}", keyed(_one, disputes)),
        ],
        lambda status, detail: {
            "name": detail if detail == _TOO_LARGE else _NAMES.get(status, "ERROR"),
            "message": detail,
            "debug_id": "0",
        },
    )
