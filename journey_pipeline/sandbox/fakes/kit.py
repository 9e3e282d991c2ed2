"""Kit's API v4 over a world: subscribers, broadcasts, who got them, and purchases behind OAuth.

A consent's id is the subscriber's number; its `occurred_at` is told only while subscribed, as their creation. A message's id is
`<broadcast>:<subscriber>`, its `template_ref` `kit:<broadcast>`; all of a broadcast have one `occurred_at`, which is their
`delivered_at` too, or `bounced_at`; when somebody opened or clicked is not told. A payment's id is a number, its `product_ref`
`kit:<pid>`, a `same_as` of Stripe its transaction. All name the subscriber in `keys` as `kit:<number>`, first; a consent's other
keys are custom fields. Dates are whole days.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.world import World

SECRETS = {
    "KIT_API_KEY": "kit_sandbox",
    "KIT_CLIENT_ID": "client",
    "KIT_CLIENT_SECRET": "client-secret",
    "KIT_REFRESH_TOKEN": "refresh",
}
TOKEN = "sandbox-token"  # noqa: S105 - a fake's
STATES = {"subscribed": "active", "unsubscribed": "cancelled", "cleaned": "bounced"}
_PAGING = ("per_page", "after", "include_total_count")
_ACTS = {"sent": "occurred_at", "delivered": "delivered_at", "opens": "opened_at", "clicks": "clicked_at"}

Row = Mapping[str, Any]


def _subscriber(row: Row) -> dict[str, Any]:
    first, _, last = (row["name"] or "").partition(" ")
    others = {f"ref_{number}": key for number, key in enumerate(parts.elsewhere(row, "kit"))}
    return {
        "id": int(row["record_id"]),
        "first_name": first or None,
        "email_address": row["email"],
        "state": STATES.get(row["state"], row["state"]),
        "created_at": parts.iso(row["occurred_at"]),
        "fields": {"last_name": last or None, **others},
    }


def _broadcast(row: Row) -> dict[str, Any]:
    at = parts.iso(row["occurred_at"])
    id_ = int(row["record_id"].partition(":")[0])
    told = {"id": id_, "publication_id": id_, "subject": f"Broadcast {id_}", "status": "completed"}
    return {**told, "created_at": at, "published_at": at, "send_at": at}


def _recipient(row: Row) -> dict[str, Any]:
    return {
        "id": row["record_id"].partition(":")[2],
        "first_name": row["name"],
        "email_address": row["email"],
        "created_at": "2024-12-01T15:45:00Z",
        "tag_names": [],
        "tag_ids": [],
    }


def _purchase(row: Row) -> dict[str, Any]:
    total = row["amount_minor"] / 100
    charge = next((ref.removeprefix("stripe:") for ref in row["same_as"] or ()), f"796-{row['record_id']}")
    pid = (row["product_ref"] or "kit:none").removeprefix("kit:")
    return {
        "id": int(row["record_id"]),
        "transaction_id": charge,
        "subscriber_id": int(parts.own_id(row, "kit") or 0),
        "status": {"succeeded": "paid"}.get(row["status"], row["status"]),
        "email_address": row["email"],
        "currency": row["currency"],
        "transaction_time": parts.iso(row["occurred_at"]),
        "subtotal": total,
        "discount": 0,
        "tax": 0,
        "total": total,
        "products": [{"quantity": 1, "lid": "1", "unit_price": total, "sku": None, "name": "A course", "pid": pid}],
    }


def _page(name: str, rows: Iterable[dict[str, Any]], asked: Mapping[str, Any], most: int) -> JSONResponse:
    """Newest first, after the id that the cursor holds."""
    size = parts.number({k: str(v) for k, v in asked.items()}, "per_page", min(500, most), most=most)
    before = parts.place(asked["after"])[0] if asked.get("after") else None
    newest_first = sorted(rows, key=lambda row: int(row["id"]), reverse=True)
    left = [row for row in newest_first if before is None or int(row["id"]) < before]
    shown = left[:size]
    ends = [parts.cursor([int(row["id"])]) for row in shown[:1] + shown[-1:]] or ["", ""]
    pagination = {
        "has_previous_page": before is not None,
        "has_next_page": len(left) > size,
        "start_cursor": ends[0],
        "end_cursor": ends[-1],
        "per_page": size,
    }
    return JSONResponse({name: shown, "pagination": pagination})


def _day(params: Mapping[str, str], name: str) -> datetime:
    try:
        day = date.fromisoformat(params.get(name, "1970-01-01"))
    except ValueError as error:
        raise HTTPException(422, f"{name} must read yyyy-mm-dd") from error
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _condition(asked: Mapping[str, Any]) -> tuple[str, set[int]]:
    try:
        (condition,) = asked["all"]
        parts.fields(condition, ("type", "count_greater_than", "any"))
        (any_,) = condition["any"]
        if condition["count_greater_than"] != 0 or any_["type"] != "broadcasts":
            raise HTTPException(422, "the sandbox filters by broadcasts only")
        return _ACTS[condition["type"]], set(any_["ids"])
    except (KeyError, TypeError, ValueError) as error:
        raise HTTPException(422, "the filter can't be read") from error


def app(world: World) -> Starlette:
    """The API."""

    def told(kind: str) -> list[dict[str, Any]]:
        held = world.of(kind, "kit").sort("occurred_at", "record_id").iter_rows(named=True)
        return [row for row in held if row["changed_at"] <= world.now]

    def guarded(answer: Callable[[Mapping[str, str]], JSONResponse], *parameters: str) -> Any:
        async def endpoint(request: Request) -> JSONResponse:
            parts.has_header(request, "X-Kit-Api-Key", SECRETS["KIT_API_KEY"])
            return answer(parts.parameters(request, (*_PAGING, *parameters)))

        return endpoint

    def subscribers(params: Mapping[str, str]) -> JSONResponse:
        since, status = _day(params, "updated_after"), params.get("status", "active")
        rows = [_subscriber(row) for row in told("consents") if row["changed_at"] >= since]
        return _page("subscribers", (r for r in rows if status in ("all", r["state"])), params, 1000)

    def broadcasts(params: Mapping[str, str]) -> JSONResponse:
        since = _day(params, "sent_after")
        sent = {one["id"]: one for one in map(_broadcast, (r for r in told("messages") if r["occurred_at"] >= since))}
        return _page("broadcasts", sent.values(), params, 1000)

    async def filtered(request: Request) -> JSONResponse:
        parts.has_header(request, "X-Kit-Api-Key", SECRETS["KIT_API_KEY"])
        asked = await parts.body(request, ("all", "per_page", "after", "before", "include_total_count"))
        column, ids = _condition(asked)
        rows = [r for r in told("messages") if int(r["record_id"].partition(":")[0]) in ids and r[column]]
        return _page("subscribers", map(_recipient, rows), asked, 100)

    async def purchases(request: Request) -> JSONResponse:
        parts.has_bearer(request, TOKEN)
        return _page("purchases", map(_purchase, told("payments")), parts.parameters(request, _PAGING), 1000)

    async def token(request: Request) -> JSONResponse:
        form = await parts.form(request)
        wanted = {name.lower().removeprefix("kit_"): key for name, key in SECRETS.items() if name != "KIT_API_KEY"}
        if form != {"grant_type": "refresh_token", **wanted}:
            raise HTTPException(401, "The client or the grant is unknown")
        return JSONResponse({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 7200})

    return parts.service(
        [
            Route("/v4/subscribers", guarded(subscribers, "status", "updated_after")),
            Route("/v4/broadcasts", guarded(broadcasts, "sent_after", "sent_before")),
            Route("/v4/subscribers/filter", filtered, methods=["POST"]),
            Route("/v4/purchases", purchases),
            Route("/v4/oauth/token", token, methods=["POST"]),
        ],
        lambda _status, detail: {"errors": [detail]},
    )
