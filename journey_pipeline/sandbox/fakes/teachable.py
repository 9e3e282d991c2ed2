"""Teachable's Admin API over a world: courses, users, enrolments, pricing plans and the shop's transactions.

Strict about the key, page sizes, parameters and the 10,000 users that page numbers reach. Not here: the limit of 100
requests a minute, unless a test sets `REFUSED_EVERY`; the sandbox's own business is not made to wait.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from itertools import count
from typing import Any

import polars as pl
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.world import World

SECRETS = {"TEACHABLE_API_KEY": "teachable_sandbox"}
LARGEST_PAGE = 100
DEEPEST_ROW = 10_000
REFUSED_EVERY: int | None = None
"""Every so manieth request is over the limit."""
_PAGING = ("page", "per")
_FLAGS = {"true": True, "false": False}

Rows = Sequence[Mapping[str, Any]]


class _School:
    """What the school holds, rendered anew when its frames or the time change."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._seen: tuple[Any, ...] = ()

    def fresh(self) -> "_School":
        seen = (self._world.records.get("access"), self._world.records.get("payments"), self._world.now)
        if len(self._seen) != len(seen) or any(a is not b for a, b in zip(seen, self._seen, strict=True)):
            self._render()
            self._seen = seen
        return self

    def _render(self) -> None:
        granted = self._world.of("access", "teachable").with_columns(
            course=_number("product_ref"), user=pl.col("record_id").str.split(":").list.last().cast(pl.Int64)
        )
        sold = (
            self._world.of("payments", "teachable")
            .filter(pl.col("role") == "shop")
            .with_columns(course=_number("product_ref"), user=_user_key())
        )
        known = pl.concat([f.select("user", "course", "email", "name", "changed_at") for f in (granted, sold)])
        self.courses = [_course(i) for i in known["course"].unique().sort()]
        self.plans = [_plan(i, self._world.now) for i in sold["course"].unique().sort()]
        newest = known.sort("changed_at", maintain_order=True).unique("user", keep="last").sort("user")
        self.users = {
            row["user"]: {"id": row["user"], "name": row["name"], "email": row["email"]}
            for row in newest.iter_rows(named=True)
        }
        self.by_course: dict[int, list[dict[str, Any]]] = {course["id"]: [] for course in self.courses}
        self.by_user: dict[int, list[Mapping[str, Any]]] = {user: [] for user in self.users}
        for row in granted.sort("occurred_at", "user").iter_rows(named=True):
            self.by_user[row["user"]].append(row)
            if row["status"] != "revoked":
                self.by_course[row["course"]].append(_enrollment(row))
        self.transactions = [_transaction(row) for row in sold.sort("occurred_at", "record_id").iter_rows(named=True)]

    def user(self, user: int) -> Mapping[str, Any]:
        return {
            **self.users[user],
            "role": "student",
            "last_sign_in_ip": None,
            "courses": [_enrolled(row) for row in self.by_user[user]],
            "tags": [{"name": tag} for row in self.by_user[user] for tag in _tags(row)],
        }


def _number(column: str) -> pl.Expr:
    return pl.col(column).str.strip_prefix("teachable:").cast(pl.Int64)


def _user_key() -> pl.Expr:
    own = pl.element().filter(pl.element().str.starts_with("teachable:")).str.strip_prefix("teachable:")
    return pl.col("keys").list.eval(own).list.first().cast(pl.Int64)


def _course(course: int) -> dict[str, Any]:
    return {
        "id": course,
        "name": f"Course {course}",
        "heading": None,
        "description": None,
        "is_published": True,
        "image_url": None,
    }


def _plan(course: int, now: datetime) -> dict[str, Any]:
    return {
        "id": plan_id(course),
        "created_at": _iso(now),
        "updated_at": _iso(now),
        "name": f"Course {course}",
        "price": 0,
        "currency": "USD",
        "course_id": course,
    }


def plan_id(course: int) -> int:
    """The pricing plan that sells a course."""
    return course * 10 + 7


def _enrollment(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "user_id": row["user"],
        "enrolled_at": _iso(row["occurred_at"]),
        "expires_at": _iso(row["expires_at"]),
        "completed_at": _iso(row["last_used_at"]) if row["progress"] == 100 else None,  # noqa: PLR2004 - per cent
        "percent_complete": int(row["progress"] or 0),
    }


def _enrolled(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "course_id": row["course"],
        "course_name": f"Course {row['course']}",
        "enrolled_at": _iso(row["occurred_at"]),
        "is_active_enrollment": row["status"] == "active",
        "completed_at": None,
        "percent_complete": row["progress"] or 0,
    }


def _tags(row: Mapping[str, Any]) -> list[str]:
    """Where a school notes why it enrolled somebody by hand: nothing else in Teachable has room for it."""
    why = [f"{row['basis']}:{row['course']}"] if row["basis"] not in (None, "paid") else []
    gift = [f"paid_by:{row['course']}={row['paid_by_ref']}"] if row["paid_by_ref"] else []
    return why + gift


def _transaction(row: Mapping[str, Any]) -> dict[str, Any]:
    # In dollars, at a rate that nobody could mistake for 1.
    dollars = row["amount_minor"] if row["currency"] == "USD" else row["amount_minor"] * 11 // 10
    return {
        "id": int(row["record_id"]),
        "user_id": row["user"],
        "pricing_plan_id": plan_id(row["course"]),
        "sale_id": int(row["record_id"]) + 1,
        "created_at": _iso(row["occurred_at"]),
        "purchased_at": _iso(row["occurred_at"]) if row["status"] == "succeeded" else None,
        "charge": dollars,
        "final_price": row["amount_minor"],
        "currency": row["currency"],
        "tax_charge": 0,
        "revenue": dollars,
        "status": "paid" if row["status"] == "succeeded" else None,
        "has_chargeback": row["dispute_status"] is not None,
        "chargeback_fee": 0,
        "refunded_at": _iso(row["refunded_at"]),
        "amount_refunded": row["refunded_minor"] or 0,
    }


def _iso(instant: datetime | None) -> str | None:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ") if instant else None


def _paged(name: str, rows: Rows, params: Mapping[str, str], default: int = 20) -> JSONResponse:
    page, per = int(params.get("page", 1)), min(int(params.get("per", default)), LARGEST_PAGE)
    if page < 1 or per < 1:
        raise HTTPException(400, "page and per must be positive")
    start = (page - 1) * per
    meta = {
        "total": len(rows),
        "page": page,
        "from": start + 1,
        "to": min(start + per, len(rows)),
        "per_page": per,
        "number_of_pages": -(-len(rows) // per),
    }
    return JSONResponse({name: rows[start : start + per], "meta": meta})


def _flag(params: Mapping[str, str], name: str) -> bool | None:
    if name not in params:
        return None
    if params[name] not in _FLAGS:
        raise HTTPException(400, f"{name} must be true or false")
    return _FLAGS[params[name]]


def _within(params: Mapping[str, str], at: str | None) -> bool:
    """`start` is exclusive, `end` inclusive."""
    start, end = params.get("start"), params.get("end")
    return at is not None and (start is None or at > start) and (end is None or at <= end)


def app(world: World) -> Starlette:
    """The school's API."""
    school, asked = _School(world), count(1)

    def endpoint(answer: Callable[[Request, _School], JSONResponse]) -> Callable[[Request], Awaitable[JSONResponse]]:
        async def guarded(request: Request) -> JSONResponse:
            if request.headers.get("apiKey") != SECRETS["TEACHABLE_API_KEY"]:
                raise HTTPException(401, "Unauthorized")
            if REFUSED_EVERY is not None and next(asked) % REFUSED_EVERY == 0:
                raise HTTPException(429, "API rate limit exceeded", {"RateLimit-Reset": "1"})
            return answer(request, school.fresh())

        return guarded

    return Starlette(
        routes=[
            Route("/courses", endpoint(_courses)),
            Route("/courses/{course:int}/enrollments", endpoint(_enrollments)),
            Route("/users", endpoint(_users)),
            Route("/users/{user:int}", endpoint(_user)),
            Route("/pricing_plans", endpoint(_plans)),
            Route("/transactions", endpoint(_transactions)),
        ],
        exception_handlers={HTTPException: _refused},
    )


def _courses(request: Request, school: _School) -> JSONResponse:
    return _paged("courses", school.courses, parts.parameters(request, _PAGING))


def _enrollments(request: Request, school: _School) -> JSONResponse:
    params = parts.parameters(request, (*_PAGING, "sort_direction"))
    rows = school.by_course.get(request.path_params["course"])
    if rows is None:
        raise HTTPException(404, "Course not found")
    return _paged("enrollments", rows[::-1] if params.get("sort_direction") == "desc" else rows, params)


def _users(request: Request, school: _School) -> JSONResponse:
    params = parts.parameters(request, (*_PAGING, "search_after"))
    if int(params.get("page", 1)) * int(params.get("per", 20)) > DEEPEST_ROW:
        raise HTTPException(400, "use search_after beyond 10,000 users")
    after = int(params.get("search_after", 0))
    return _paged("users", [user for i, user in school.users.items() if i > after], params)


def _user(request: Request, school: _School) -> JSONResponse:
    parts.parameters(request, ())
    user = request.path_params["user"]
    if user not in school.users:
        raise HTTPException(404, "User not found")
    return JSONResponse({"user": school.user(user)})


def _plans(request: Request, school: _School) -> JSONResponse:
    return _paged("pricing_plans", school.plans, parts.parameters(request, _PAGING), default=5)


def _transactions(request: Request, school: _School) -> JSONResponse:
    params = parts.parameters(request, (*_PAGING, "start", "end", "is_fully_refunded", "is_chargeback"))
    refunded, charged_back = _flag(params, "is_fully_refunded"), _flag(params, "is_chargeback")
    rows = [
        row
        for row in school.transactions
        if _within(params, row["created_at"])
        and refunded in (None, row["amount_refunded"] >= row["final_price"])
        and charged_back in (None, row["has_chargeback"])
    ]
    return _paged("transactions", rows, params)


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    known = error if isinstance(error, HTTPException) else HTTPException(500)
    return JSONResponse({"message": known.detail}, known.status_code, dict(known.headers or {}))
