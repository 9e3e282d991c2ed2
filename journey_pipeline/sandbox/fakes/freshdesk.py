"""Freshdesk's API over a world: tickets with their requesters, what was deleted, contacts, and ratings.

Tickets: `record_id` in digits, the first key `freshdesk:<contact id>`, a further one the contact's external id; priority
`low` to `urgent`, satisfaction as `happy` or `very unhappy`. A ticket that the world no longer holds was deleted now.
Without `updated_since` it lists what was created within 30 days; page 301 is refused, as are unknown parameters.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.world import World

SECRETS = {"FRESHDESK_API_KEY": "fd-sandbox"}
_LISTED = timedelta(days=30)
_MOST, _PAGES = 100, 300
_STATUSES = {"open": 2, "pending": 3, "solved": 4}
_PRIORITIES = {"low": 1, "medium": 2, "high": 3, "urgent": 4}
_RATINGS = {
    "extremely happy": 103, "very happy": 102, "happy": 101, "neutral": 100, "unhappy": -101, "very unhappy": -102,
    "extremely unhappy": -103,
}  # fmt: skip

Rows = list[parts.Row]


def _ticket(row: parts.Row) -> parts.Row:
    contact = int(str(parts.own_id(row, "freshdesk")))
    return {
        "id": int(row["record_id"]),
        "subject": f"A question of {row['topic']}",
        "status": _STATUSES[row["status"]],
        "priority": _PRIORITIES.get(row["priority"]),
        "source": 1,
        "requester_id": contact,
        "spam": False,
        "tags": [row["topic"]],
        "created_at": parts.iso(row["occurred_at"]),
        "updated_at": parts.iso(row["changed_at"]),
        "requester": {
            "id": contact,
            **{name: row[name] for name in ("name", "email")},
            "mobile": row["phone"],
            "phone": None,
        },
        "stats": {
            "first_responded_at": parts.iso(row["first_reply_at"]),
            "resolved_at": parts.iso(row["resolved_at"]),
            "closed_at": None,
            "requester_responded_at": None,
        },
    }


def _contact(row: parts.Row) -> parts.Row:
    return {
        "id": int(str(parts.own_id(row, "freshdesk"))),
        **{name: row[name] for name in ("name", "email", "phone")},
        "unique_external_id": next(iter(parts.elsewhere(row, "freshdesk")), None),
        "updated_at": parts.iso(row["changed_at"]),
    }


def _rating(row: parts.Row) -> parts.Row:
    return {
        "id": 7000 + int(row["record_id"]),
        "ticket_id": int(row["record_id"]),
        "ratings": {"default_question": _RATINGS[row["satisfaction"]]},
        "created_at": parts.iso(row["changed_at"]),
    }


class _Desk:
    """The lists of a world; what it no longer holds has been deleted."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._held = parts.Rendered(
            world, ["tickets"], lambda now: {ticket["id"]: ticket for ticket in _each(now, _ticket)}
        )
        self._known: dict[int, parts.Row] = {}
        self._deleted: dict[int, parts.Row] = {}

    def tickets(self, filter_: str | None) -> Rows:
        held = self._held.now()
        for id_ in self._known.keys() - held.keys() - self._deleted.keys():
            self._deleted[id_] = {**self._known[id_], "deleted": True, "updated_at": parts.iso(self._world.now)}
        self._deleted = {id_: row for id_, row in self._deleted.items() if id_ not in held}
        self._known |= held
        return {None: list(held.values()), "deleted": list(self._deleted.values()), "spam": []}[filter_]

    def contacts(self) -> Rows:
        return list({contact["id"]: contact for contact in _each(self._world, _contact)}.values())

    def ratings(self) -> Rows:
        rated = [row for row in _each(self._world, dict) if row["satisfaction"]]
        return [_rating(row) for row in rated]


def _each(world: World, made: Callable[[parts.Row], parts.Row]) -> Rows:
    rows = sorted(world.of("tickets", "freshdesk").iter_rows(named=True), key=lambda row: row["changed_at"])
    return [made(row) for row in rows]


def _since(rows: Rows, field: str, since: datetime) -> Rows:
    return [row for row in rows if parts.instant(row[field]) > since]


def _page(rows: Sequence[parts.Row], given: Mapping[str, str]) -> JSONResponse:
    size = parts.number(given, "per_page", 30, most=_MOST)
    return JSONResponse(parts.page(rows, parts.number(given, "page", 1, most=_PAGES), size))


def _tickets(desk: _Desk, world: World, given: Mapping[str, str]) -> Rows:
    if given.get("filter", "spam") not in ("deleted", "spam"):
        raise HTTPException(400, "Validation failed: filter")
    if (given.get("order_by"), given.get("order_type")) != ("updated_at", "asc"):
        raise HTTPException(400, "Validation failed: order_by")
    rows = desk.tickets(given.get("filter"))
    if "updated_since" in given:
        rows = _since(rows, "updated_at", parts.instant(given["updated_since"]))
    else:
        rows = _since(rows, "created_at", world.now - _LISTED)
    more = set(given.get("include", "").split(","))
    left_out = {"stats", "requester"} - more
    told = [{name: value for name, value in row.items() if name not in left_out} for row in rows]
    return sorted(told, key=lambda row: (row["updated_at"], row["id"]))


def app(world: World) -> Starlette:
    desk = _Desk(world)

    def endpoint(allowed: Sequence[str], rows: Callable[[Mapping[str, str]], Rows]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> JSONResponse:
            parts.has_basic(request, SECRETS["FRESHDESK_API_KEY"], "X")
            given = parts.parameters(request, ("per_page", "page", *allowed))
            return _page(rows(given), given)

        return answer

    def contacts(given: Mapping[str, str]) -> Rows:
        return _since(desk.contacts(), "updated_at", parts.instant(given["_updated_since"]))

    def ratings(given: Mapping[str, str]) -> Rows:
        return _since(desk.ratings(), "created_at", parts.instant(given["created_since"]))

    ordered = ("updated_since", "order_by", "order_type", "include", "filter")
    routes = [
        Route("/api/v2/tickets", endpoint(ordered, lambda given: _tickets(desk, world, given))),
        Route("/api/v2/contacts", endpoint(("_updated_since",), contacts)),
        Route("/api/v2/surveys/satisfaction_ratings", endpoint(("created_since",), ratings)),
    ]
    return parts.service(routes, lambda _status, detail: {"code": "invalid", "message": detail})
