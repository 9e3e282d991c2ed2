"""Thinkific's Admin API over a world: enrolments, users and orders.

Ids are numbers: an access record's and a payment's own, `thinkific:course_9` and `thinkific:product_6` as product_ref,
`thinkific:5001` among the keys. An enrolment that was revoked is no longer listed. Not here: the limit of 120 requests
a minute, which `trouble` plays.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.fakes.parts import Row
from journey_pipeline.sandbox.world import World

SECRETS = {"THINKIFIC_API_KEY": "thinkific_sandbox"}
LARGEST_PAGE = 250
_TIMES = ("on", "before", "on_or_before", "after")
_FILTERS = ("user_id", "course_id", "email", "free_trial", "full", "completed", "expired")

Lists = Mapping[str, list[Row]]


def _rendered(world: World) -> Lists:
    enrolled = list(world.of("access", "thinkific").sort("occurred_at", "record_id").iter_rows(named=True))
    sold = list(world.of("payments", "thinkific").sort("occurred_at", "record_id").iter_rows(named=True))
    users = {_user_id(row): _user(row) for row in sorted((*sold, *enrolled), key=lambda row: row["changed_at"])}
    return {
        "enrollments": [_enrollment(row) for row in enrolled if row["status"] != "revoked"],
        "orders": [_order(row) for row in sold],
        "users": [users[id_] for id_ in sorted(users)],
    }


def _user_id(row: Mapping[str, Any]) -> int:
    return int(parts.own_id(row, "thinkific") or 0)


def _who(row: Mapping[str, Any]) -> Row:
    return {"user_id": _user_id(row), "user_email": row["email"], "user_name": row["name"] or ""}


def _user(row: Mapping[str, Any]) -> Row:
    first, _, last = (row["name"] or "").partition(" ")
    elsewhere = parts.elsewhere(row, "thinkific")
    fields = [("Phone Number", row["phone"]), *((f"Ref {n}", key) for n, key in enumerate(elsewhere[1:]))]
    return {
        "id": _user_id(row),
        "created_at": parts.iso(row["occurred_at"]),
        "first_name": first,
        "last_name": last,
        "full_name": row["name"] or "",
        "company": row["company"],
        "email": row["email"],
        "roles": ["site_admin"] if row.get("basis") == "staff" else [],
        "external_source": elsewhere[0] if elsewhere else None,
        "custom_profile_fields": [
            {"id": n, "label": label, "value": value, "custom_profile_field_definition_id": n}
            for n, (label, value) in enumerate(fields, 1)
        ],
    }


def _enrollment(row: Mapping[str, Any]) -> Row:
    is_completed = row["progress"] == 100  # noqa: PLR2004 - per cent
    course = int(row["product_ref"].removeprefix("thinkific:course_"))
    return {
        "id": int(row["record_id"]),
        **_who(row),
        "course_id": course,
        "course_name": f"Course {course}",
        "percentage_completed": round((row["progress"] or 0) / 100, 6),
        "expired": row["status"] == "expired",
        "is_free_trial": False,
        "completed": is_completed,
        "started_at": parts.iso(row["last_used_at"]),
        "activated_at": parts.iso(row["occurred_at"]),
        "completed_at": parts.iso(row["last_used_at"]) if is_completed else None,
        "updated_at": parts.iso(row["changed_at"]),
        "expiry_date": parts.iso(row["expires_at"]),
    }


def _order(row: Mapping[str, Any]) -> Row:
    product = int(row["product_ref"].removeprefix("thinkific:product_"))
    item = {
        "product_id": product,
        "product_name": f"Product {product}",
        "amount_cents": row["amount_minor"],
        "amount_dollars": row["amount_minor"] / 100,
    }
    return {
        "id": int(row["record_id"]),
        "created_at": parts.iso(row["occurred_at"]),
        **_who(row),
        **item,
        "items": [item],
        "status": "complete" if row["status"] == "succeeded" else row["status"],
        "subscription": False,
        "coupon_code": None,
        "coupon_id": None,
        "affiliate_referral_code": None,
    }


def app(world: World) -> Starlette:
    """The site's Admin API."""
    lists = parts.Rendered(world, ("access", "payments"), _rendered)
    filters = [f"query[{name}]" for name in (*_FILTERS, *(f"{act}_{t}" for act in ("created", "updated") for t in _TIMES))]  # fmt: skip

    def endpoint(name: str, *allowed: str) -> Callable[[Request], Awaitable[JSONResponse]]:
        async def answer(request: Request) -> JSONResponse:
            parts.has_header(request, "X-Auth-API-Key", SECRETS["THINKIFIC_API_KEY"])
            if not request.headers.get("X-Auth-Subdomain"):
                raise HTTPException(403, "X-Auth-Subdomain is missing")
            given = parts.parameters(request, ("page", "limit", *allowed))
            if set(given) & set(allowed):
                raise HTTPException(501, "the sandbox does not filter")
            return _paged(lists.now()[name], given)

        return answer

    return parts.service(
        [
            Route("/enrollments", endpoint("enrollments", *filters)),
            Route("/users", endpoint("users", "query[email]", "query[role]", "query[external_source]")),
            Route("/orders", endpoint("orders")),
        ],
        error=lambda _status, detail: {"error": detail},
    )


def _paged(rows: list[Row], given: Mapping[str, str]) -> JSONResponse:
    page, size = parts.number(given, "page", 1), min(parts.number(given, "limit", 25), LARGEST_PAGE)
    pages = parts.pages(rows, size)
    return JSONResponse({
        "items": parts.page(rows, page, size),
        "meta": {
            "pagination": {
                "current_page": page,
                "next_page": page + 1 if page < pages else None,
                "prev_page": page - 1 if page > 1 else None,
                "total_pages": pages,
                "total_items": len(rows),
                "entries_info": f"{(page - 1) * size + 1}-{min(page * size, len(rows))} of {len(rows)}",
            }
        },
    })  # fmt: skip
