"""Paddle Billing over a world: transactions, subscriptions and adjustments, keyset pages, a `next` that is never null.

Ids are Paddle's: `txn_`, `sub_`, `ctm_` (the first key) or `pri_` (a product) and 26 letters and digits, which the fake
does not ask for but Paddle's description does. Other keys, and the first of `same_as`, stand in custom data. A payment is
never `authorised`, its product is a price. A subscription's name, e-mail and company are those of its customer's newest
payment; phones are not told.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.fakes.parts import Row
from journey_pipeline.sandbox.world import World

SECRETS = {"PADDLE_API_KEY": "pdl_sandbox"}
_STATUSES = {"succeeded": "completed", "pending": "billed", "failed": "past_due"}
_ATTEMPTS = {"succeeded": "captured", "pending": "pending_no_action_required", "failed": "error"}
_CLAIMS = {"open": ("chargeback_warning",), "lost": ("chargeback",), "won": ("chargeback", "chargeback_reverse")}
_EVERY = {"quarter": (3, "month")}
_CODES = {400: "bad_request", 401: "authentication_missing", 403: "forbidden", 404: "not_found"}

Listed = list[tuple[datetime, Row]]


def _transactions(world: World) -> Listed:
    return [(row["changed_at"], _transaction(row)) for row in world.of("payments", "paddle").iter_rows(named=True)]


def _transaction(row: Row) -> Row:
    at, money = row["occurred_at"], row["currency"]
    method = {"bank_transfer": "wire_transfer"}.get(row["method"], row["method"])
    attempt = {
        "payment_attempt_id": "fdd7c9f1-7b3c-4c7a-9d5a-0a3c1e5b6f11", "amount": str(row["amount_minor"]),
        "status": _ATTEMPTS[row["status"]], "error_code": "declined" if row["status"] == "failed" else None,
        "method_details": {"type": method or "unknown", "card": None}, "created_at": _iso(at),
        "captured_at": _iso(at) if row["status"] == "succeeded" else None,
    }  # fmt: skip
    refused = {**attempt, "status": "error", "error_code": "declined", "captured_at": None}
    totals = {"subtotal": str(row["amount_minor"]), "tax": "0", "discount": "0", "total": str(row["amount_minor"]),
              "grand_total": str(row["amount_minor"]), "fee": None, "credit": "0", "credit_to_balance": "0",
              "balance": "0", "earnings": None, "currency_code": money}  # fmt: skip
    return {
        "id": row["record_id"], "status": _STATUSES[row["status"]], "customer_id": parts.own_id(row, "paddle"),
        "address_id": None, "business_id": None, "custom_data": _custom(row), "currency_code": money, "origin": "web",
        "subscription_id": row["subscription_ref"] and row["subscription_ref"].removeprefix("paddle:"),
        "collection_mode": "automatic", "created_at": _iso(at - timedelta(minutes=9)), "billed_at": _iso(at),
        "updated_at": _iso(row["changed_at"]), "items": [_item(row)] if row["product_ref"] else [],
        "details": {"totals": totals, "line_items": [], "tax_rates_used": []}, "payments": [refused, attempt],
        **_included(row),
    }  # fmt: skip


def _item(row: Row) -> Row:
    price = row["product_ref"].removeprefix("paddle:")
    quantity = row.get("quantity") or 1
    each = {"amount": str(row["amount_minor"] // quantity), "currency_code": row["currency"]}
    return {
        "price": {"id": price, "product_id": price.replace("pri_", "pro_"), "unit_price": each},
        "quantity": quantity,
    }


def _included(row: Row) -> Row:
    """What is told where it is asked for, and where there is any."""
    own = parts.own_id(row, "paddle")
    customer = {"id": own, "name": row["name"], "email": row["email"], "status": "active", "locale": "en",
                "marketing_consent": False, "custom_data": None}  # fmt: skip
    return {
        **({"customer": customer} if own else {}),
        **({"business": {"name": row["company"]}} if row["company"] else {}),
    }


def _custom(row: Row) -> Row | None:
    told = {f"ref_{n}": key for n, key in enumerate(parts.elsewhere(row, "paddle"))}
    if row["same_as"]:
        told["order_ref"] = row["same_as"][0]
    return told or None


def _iso(at: datetime | None) -> str | None:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if at else None


def _subscriptions(world: World) -> Listed:
    held = world.of("subscriptions", "paddle").iter_rows(named=True)
    return [(row["changed_at"], _subscription(row)) for row in held]


def _subscription(row: Row) -> Row:
    count, every = _EVERY.get(row["interval"], (1, row["interval"]))
    start, end = row["occurred_at"], row["period_ends_at"]
    trial = {"starts_at": _iso(start), "ends_at": _iso(row["trial_ends_at"])} if row["trial_ends_at"] else None
    cancel = {"action": "cancel", "effective_at": _iso(end), "resume_at": None} if row["is_cancelling"] else None
    once = {**_item({**row, "amount_minor": 100}), "recurring": False, "status": "inactive", "trial_dates": None}
    return {
        "id": row["record_id"], "status": "canceled" if row["status"] == "ended" else row["status"],
        "customer_id": parts.own_id(row, "paddle"), "currency_code": row["currency"], "created_at": _iso(start),
        "updated_at": _iso(row["changed_at"]), "started_at": _iso(start), "canceled_at": _iso(row["ended_at"]),
        "next_billed_at": _iso(end), "collection_mode": "automatic",
        "current_billing_period": {"starts_at": _iso(start), "ends_at": _iso(end)} if end else None,
        "billing_cycle": {"interval": every, "frequency": count}, "scheduled_change": cancel,
        "items": [{**_item(row), "recurring": True, "status": "active", "trial_dates": trial}, once],
        "custom_data": _custom(row),
    }  # fmt: skip


def _adjustments(world: World) -> Listed:
    listed: Listed = []
    for row in world.of("payments", "paddle").iter_rows(named=True):
        tail = row["record_id"].removeprefix("txn_")[1:]
        if row["refunded_minor"]:
            done, asked = row["refunded_at"], {"reason": "requested_by_customer", "action": "refund"}
            listed.append((done, _adjustment(row, f"adj_{tail}a", done, row["refunded_minor"], "approved", **asked)))
            listed.append((done, _adjustment(row, f"adj_{tail}b", done, 100, "rejected", **asked)))
        for n, action in enumerate(_CLAIMS.get(row["dispute_status"], ())):
            at, status = row["disputed_at"], "reversed" if row["dispute_status"] == "won" and n == 0 else "approved"
            claim = _adjustment(row, f"adj_{tail}{n}", at, row["amount_minor"], status, action=action, reason="fraud")
            listed.append((at, claim))
    return listed


def _adjustment(row: Row, id_: str, at: datetime, minor: int, status: str, *, action: str, reason: str) -> Row:
    tail = row["record_id"].removeprefix("txn_")
    item = {
        "id": f"adjitm_{tail}",
        "item_id": f"txnitm_{tail}",
        "type": "full",
        "amount": str(minor),
        "proration": None,
    }
    totals = {"subtotal": str(minor), "tax": "0", "total": str(minor), "fee": "0", "earnings": "0",
              "currency_code": row["currency"]}  # fmt: skip
    return {
        "id": id_, "action": action, "type": "full", "transaction_id": row["record_id"], "reason": reason,
        "subscription_id": row["subscription_ref"] and row["subscription_ref"].removeprefix("paddle:"),
        "customer_id": parts.own_id(row, "paddle"), "currency_code": row["currency"], "status": status, "items": [item],
        "totals": totals, "created_at": _iso(at), "updated_at": _iso(at),
    }  # fmt: skip


def app(world: World) -> Starlette:
    """The API."""

    def listed(
        name: str, make: Callable[[World], Listed], most: int, default: int, more: Collection[str] = ()
    ) -> Route:
        held = parts.Rendered(world, ("payments", "subscriptions"), make)

        async def answer(request: Request) -> JSONResponse:
            parts.has_bearer(request, SECRETS["PADDLE_API_KEY"])
            given = parts.parameters(request, ("after", "order_by", "per_page", *more))
            if given.get("order_by") != "id[ASC]" or request.headers.get("Paddle-Version") != "1":
                raise HTTPException(400, "the sandbox lists by id[ASC], in version 1")
            size = parts.number(given, "per_page", default, most=most)
            since = parts.instant(given["updated_at[GTE]"]) if "updated_at[GTE]" in given else None
            found = [
                row for at, row in held.now()
                if at <= world.now and (since is None or at >= since) and row["id"] > given.get("after", "")
            ]  # fmt: skip
            return _page(request, sorted(found, key=lambda row: str(row["id"])), size)

        return Route(f"/{name}", answer)

    return parts.service(
        [
            listed("transactions", _transactions, 30, 30, ("include", "updated_at[GTE]")),
            listed("subscriptions", _subscriptions, 200, 50),
            listed("adjustments", _adjustments, 50, 10),
        ],
        lambda status, detail: {
            "error": {"type": "request_error", "code": _CODES.get(status, "error"), "detail": detail},
            "meta": {"request_id": "0"},
        },
    )


def _page(request: Request, found: list[Row], size: int) -> JSONResponse:
    page = found[:size]
    included = {"customer", "business"} - set(request.query_params.get("include", "").split(","))
    last: Any = page[-1]["id"] if page else ""
    pagination = {
        "per_page": size, "has_more": len(found) > size, "estimated_total": len(found),
        "next": str(request.url.include_query_params(after=last)),
    }  # fmt: skip
    return JSONResponse({
        "data": [{name: value for name, value in row.items() if name not in included} for row in page],
        "meta": {"request_id": "b93d9c94-c28f-4e5d-af2e-044854d7afe8", "pagination": pagination},
    })  # fmt: skip
