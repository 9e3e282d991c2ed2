"""WooCommerce's REST API over a world: orders with their refunds, the subscriptions plugin, pages, and the trash.

Ids of payments and subscriptions are numbers of one sequence, as are a product (`woocommerce:7`) and the first key
`woocommerce:`; up to three other keys stand in meta data. Of `same_as` the first is told, as the transaction of a method
whose name says whose it is (`stripe`, `ppcp-gateway`). A touchpoint has the id of its order, its time and its person. What
the world no longer holds is in the trash. The shop lies five hours behind GMT and its times bear no zone.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.platforms.translate import ZERO_DECIMAL
from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.fakes.parts import Row
from journey_pipeline.sandbox.world import World

SECRETS = {"WOOCOMMERCE_KEY": "ck_sandbox", "WOOCOMMERCE_SECRET": "cs_sandbox"}
_ZONE = timedelta(hours=-5)
_STATUSES = {"succeeded": "completed", "pending": "on-hold", "failed": "failed", "authorised": "on-hold"}
_AGREED = {"trialing": "active", "past_due": "on-hold", "paused": "on-hold", "unpaid": "on-hold", "ended": "cancelled"}
_EVERY = {"quarter": ("3", "month")}
_CODES = {401: "woocommerce_rest_cannot_view", 404: "rest_no_route"}
_KEYS = ("user_ref", "contact_ref", "account_ref")
_TOUCHED = {"source": "utm_source", "medium": "utm_medium", "campaign": "utm_campaign", "content": "utm_content"}
_PARAMETERS = ("page", "per_page", "status", "orderby", "order", "modified_after", "dates_are_gmt")


def _orders(world: World) -> dict[str, Row]:
    touches = {row["record_id"]: row for row in world.of("touchpoints", "woocommerce").iter_rows(named=True)}
    firsts = set(_firsts(world).values())
    return {
        row["record_id"]: _order(row, touches.get(row["record_id"]), is_renewal=row["record_id"] not in firsts)
        for row in world.of("payments", "woocommerce").iter_rows(named=True)
    }


def _subscriptions(world: World) -> dict[str, Row]:
    firsts = _firsts(world)
    return {
        row["record_id"]: _agreed(row, firsts.get(f"woocommerce:{row['record_id']}"))
        for row in world.of("subscriptions", "woocommerce").iter_rows(named=True)
    }


def _firsts(world: World) -> dict[str, str]:
    """The order with which each subscription that is held began."""
    begun: dict[str, str] = {}
    held = {f"woocommerce:{id_}" for id_ in world.of("subscriptions", "woocommerce")["record_id"]}
    for row in world.of("payments", "woocommerce").sort("occurred_at", "record_id").iter_rows(named=True):
        if row["subscription_ref"] in held:
            begun.setdefault(row["subscription_ref"], row["record_id"])
    return begun


def _order(row: Row, touch: Row | None, *, is_renewal: bool) -> Row:
    refunded, copy = row["refunded_minor"] or 0, next(iter(row["same_as"] or ()), "")
    is_over = row["status"] == "succeeded" and 0 < row["amount_minor"] <= refunded
    meta = _touched(touch) if touch else {}
    if row["subscription_ref"] and is_renewal:
        meta["_subscription_renewal"] = row["subscription_ref"].removeprefix("woocommerce:")
    paid_at = row["occurred_at"] if row["status"] == "succeeded" else None
    return {
        **_base(row, meta),
        "status": "refunded" if is_over else _STATUSES[row["status"]],
        "total": _amount(row, row["amount_minor"]),
        **_times("date_created", row["occurred_at"]), **_times("date_paid", paid_at),
        "payment_method": {"bank_transfer": "bacs"}.get(row["method"], row["method"] or ""),
        "transaction_id": copy.partition(":")[2],
        "refunds": [{"id": int(row["record_id"]) + 9000, "reason": "", "total": f"-{_amount(row, refunded)}"}] if refunded else [],
        "_refunds": [
            {"id": int(row["record_id"]) + 9000 + n, "amount": _amount(row, part), "reason": "",
             **_times("date_created", row["refunded_at"] - timedelta(minutes=n))}
            for n, part in enumerate((refunded - 1, 1) if refunded > 1 else (refunded,))
        ] if refunded else [],
    }  # fmt: skip


def _agreed(row: Row, parent: str | None) -> Row:
    count, period = _EVERY.get(row["interval"], ("1", row["interval"]))
    status = "pending-cancel" if row["is_cancelling"] else _AGREED.get(row["status"], row["status"])
    ends = {"next_payment_date": row["period_ends_at"], "end_date": row["ended_at"]}
    if row["is_cancelling"]:
        ends = {"next_payment_date": None, "end_date": row["period_ends_at"]}
    times = {**ends, "date_created": row["occurred_at"], "start_date": row["occurred_at"],
             "trial_end_date": row["trial_ends_at"], "cancelled_date": row["cancelled_at"]}  # fmt: skip
    return {
        **_base(row, {}), "parent_id": int(parent or 0), "status": status, "total": _amount(row, row["amount_minor"]),
        "billing_period": period, "billing_interval": count,
        **{name: text or "" for at in times for name, text in _times(at, times[at]).items()},
    }  # fmt: skip


def _base(row: Row, meta: Row) -> Row:
    first, _, last = (row["name"] or "").rpartition(" ")
    product = int((row["product_ref"] or "0").removeprefix("woocommerce:"))
    meta |= dict(zip(_KEYS, parts.elsewhere(row, "woocommerce"), strict=False))
    return {
        "id": int(row["record_id"]), "parent_id": 0, "number": row["record_id"], "currency": row["currency"],
        **_times("date_modified", row["changed_at"]), "_changed": row["changed_at"],
        "customer_id": int(parts.own_id(row, "woocommerce") or 0),
        "billing": {
            "first_name": first, "last_name": last, "company": row["company"] or "", "email": row["email"] or "",
            "phone": row["phone"] or "",
        },
        "meta_data": [{"id": n, "key": key, "value": value} for n, (key, value) in enumerate(meta.items())],
        "line_items": [
            {"id": 1, "name": "Camp", "product_id": product, "variation_id": 0, "quantity": row.get("quantity") or 1}
        ] if product else [],
    }  # fmt: skip


def _touched(touch: Row) -> Row:
    told = {f"_wc_order_attribution_{name}": touch[column] for column, name in _TOUCHED.items() if touch[column]}
    click = f"?gclid={touch['click_id']}" if touch["click_id"] else ""
    return {**told, "_wc_order_attribution_session_entry": (touch["page"] or "") + click}


def _times(name: str, at: datetime | None) -> dict[str, str | None]:
    local, gmt = ((at + zone).strftime("%Y-%m-%dT%H:%M:%S") if at else None for zone in (_ZONE, timedelta()))
    return {name: local, f"{name}_gmt": gmt}


def _amount(row: Row, minor: int) -> str | None:
    return parts.major(minor, 0 if row["currency"] in ZERO_DECIMAL else 2)


class _Shop:
    """One list, and what has gone from it to the trash."""

    def __init__(self, world: World, made: Callable[[World], dict[str, Row]]) -> None:
        self._world, self._held = world, parts.Rendered(world, ("payments", "subscriptions", "touchpoints"), made)
        self._seen: dict[str, Row] = {}

    def told(self) -> dict[str, Row]:
        held, now = self._held.now(), self._world.now
        for id_ in self._seen.keys() - held.keys():
            if self._seen[id_]["status"] != "trash":
                self._seen[id_] = {
                    **self._seen[id_],
                    "status": "trash",
                    "_changed": now,
                    **_times("date_modified", now),
                }
        self._seen |= {id_: row for id_, row in held.items() if row["_changed"] <= now}
        return self._seen


def app(world: World) -> Starlette:
    """The API."""
    orders, subscriptions = _Shop(world, _orders), _Shop(world, _subscriptions)

    async def list_orders(request: Request) -> JSONResponse:
        return _list(request, list(orders.told().values()))

    async def list_subscriptions(request: Request) -> JSONResponse:
        given, told = request.query_params, list(subscriptions.told().values())
        reply = _list(request, told)
        if int(given.get("page", 1)) > int(reply.headers["X-WP-TotalPages"]) > 0:
            raise HTTPException(400, "rest_post_invalid_page_number")
        return reply

    async def list_refunds(request: Request) -> JSONResponse:
        _authorise(request)
        order = orders.told().get(request.path_params["id"])
        if order is None:
            raise HTTPException(404, "woocommerce_rest_order_invalid_id")
        given = parts.parameters(request, ("page", "per_page"))
        return _paged(given, order["_refunds"])

    at = "/wp-json/wc/v3"
    return parts.service(
        [
            Route(f"{at}/orders", list_orders),
            Route(f"{at}/orders/{{id}}/refunds", list_refunds),
            Route(f"{at}/subscriptions", list_subscriptions),
        ],
        lambda status, detail: {"code": _CODES.get(status, detail), "message": detail, "data": {"status": status}},
    )


def _authorise(request: Request) -> None:
    parts.has_basic(request, *SECRETS.values())


def _list(request: Request, told: list[Row]) -> JSONResponse:
    _authorise(request)
    given = parts.parameters(request, _PARAMETERS)
    if (given.get("orderby"), given.get("order")) != ("id", "asc"):
        raise HTTPException(400, "the sandbox sorts by id, ascending")
    if "modified_after" in given and given.get("dates_are_gmt") != "true":
        raise HTTPException(400, "the sandbox's shop does not lie in GMT; say dates_are_gmt=true")
    after = parts.instant(given.get("modified_after", "1970-01-01T00:00:00"))
    is_trash = given.get("status", "any") == "trash"
    found = [row for row in told if row["_changed"] > after and (row["status"] == "trash") == is_trash]
    return _paged(given, sorted(found, key=lambda row: int(row["id"])))


def _paged(given: Any, found: list[Row]) -> JSONResponse:
    size = parts.number(given, "per_page", 10, most=100)
    page = parts.page(found, parts.number(given, "page", 1), size)
    headers = {"X-WP-Total": str(len(found)), "X-WP-TotalPages": str(parts.pages(found, size))}
    return JSONResponse([{k: v for k, v in row.items() if not k.startswith("_")} for row in page], headers=headers)
