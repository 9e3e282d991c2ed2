"""Zendesk's incremental export over a world: tickets with their metric sets, and the users who asked.

Strict about keys, parameters and start times; nothing of the last minute is told. A ticket that it has shown and
that the world no longer holds was deleted. Not here: its limit of ten requests a minute, which `trouble` plays.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.world import World

SECRETS = {"ZENDESK_EMAIL": "admin@northwind.example", "ZENDESK_API_TOKEN": "sandbox"}
HOST = "https://northwind.zendesk.com"
_MOST = 1000
_CLOSES_AFTER = timedelta(days=4)
_UNTOLD = timedelta(minutes=1)
_ERRORS = {
    401: {"error": "Couldn't authenticate you"},
    422: {"error": "StartTimeTooRecent", "description": "Use a start_time older than 60 seconds"},
}

Export = list[tuple[tuple[int, int], dict[str, Any]]]


class _Account:
    """The tickets and users of a world in the order of the export, rendered anew when its frame is replaced."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._seen: pl.DataFrame | None = None
        self._exports: Mapping[str, Export] = {"tickets": [], "users": []}
        self._deleted: dict[int, tuple[tuple[int, int], dict[str, Any]]] = {}

    def export(self, resource: str) -> Export:
        frame = self._world.records.get("tickets")
        if frame is not self._seen:
            held = list(self._world.of("tickets", "zendesk").iter_rows(named=True))
            self._bury({int(row["record_id"]) for row in held})
            tickets = [
                ((_epoch(row["changed_at"]), int(row["record_id"])), _ticket(row, self._world.now)) for row in held
            ]
            # A requester as the newest of their tickets has them.
            users = {
                user["id"]: (key, user) for key, user in map(_user, sorted(held, key=lambda row: row["changed_at"]))
            }
            self._exports = {
                "tickets": sorted([*tickets, *self._deleted.values()], key=lambda row: row[0]),
                "users": sorted(users.values(), key=lambda row: row[0]),
            }
            self._seen = frame
        return self._exports[resource]

    def _bury(self, held: set[int]) -> None:
        """What is gone was deleted just early enough to be told now."""
        at = self._world.now - _UNTOLD
        for _, ticket in self._exports["tickets"]:
            if ticket["id"] not in held and ticket["id"] not in self._deleted:
                buried = {**ticket, "status": "deleted", "updated_at": _iso(at), "generated_timestamp": _epoch(at)}
                self._deleted[ticket["id"]] = ((_epoch(at), ticket["id"]), buried)
        for back in held & set(self._deleted):
            del self._deleted[back]


def _ticket(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    id_, requester = int(row["record_id"]), _requester(row)
    return {
        "id": id_,
        "url": f"{HOST}/api/v2/tickets/{id_}.json",
        "external_id": None,
        "via": {"channel": "web"},
        "created_at": _iso(row["occurred_at"]),
        "updated_at": _iso(row["changed_at"]),
        "generated_timestamp": _epoch(row["changed_at"]),
        "type": "question",
        "subject": f"A question of {row['topic']}",
        "description": "",
        "priority": row["priority"],
        "status": _status(row, now),
        "requester_id": requester,
        "submitter_id": requester,
        "tags": [row["topic"], "sandbox"],
        "custom_fields": [],
        "satisfaction_rating": {"score": row["satisfaction"] or "unoffered"},
        "is_public": True,
        "metric_set": _metrics(row),
    }


def _status(row: Mapping[str, Any], now: datetime) -> str:
    if row["status"] == "open":
        return "open" if row["first_reply_at"] else "new"
    if row["status"] == "solved" and row["resolved_at"] and row["resolved_at"] < now - _CLOSES_AFTER:
        return "closed"
    return str(row["status"])


def _metrics(row: Mapping[str, Any]) -> dict[str, Any]:
    reply = row["first_reply_at"] and int((row["first_reply_at"] - row["occurred_at"]).total_seconds())
    minutes = None if reply is None else reply // 60
    return {
        "id": int(row["record_id"]),
        "ticket_id": int(row["record_id"]),
        "created_at": _iso(row["occurred_at"]),
        "replies": 0 if reply is None else 1,
        "reopens": 0,
        "solved_at": row["resolved_at"] and _iso(row["resolved_at"]),
        "reply_time_in_minutes": {"calendar": minutes, "business": minutes},
        "reply_time_in_seconds": {"calendar": reply},
    }


def _user(row: Mapping[str, Any]) -> tuple[tuple[int, int], dict[str, Any]]:
    id_ = _requester(row)
    elsewhere = [key for key in row["keys"] or () if not key.startswith("zendesk:")]
    user = {
        "id": id_,
        "url": f"{HOST}/api/v2/users/{id_}.json",
        "name": row["name"] or row["email"] or "",
        "email": row["email"],
        "phone": row["phone"],
        "external_id": elsewhere[0] if elsewhere else None,
        "role": "end-user",
        "active": True,
        "created_at": _iso(row["occurred_at"]),
        "updated_at": _iso(row["changed_at"]),
    }
    return (_epoch(row["changed_at"]), id_), user


def _requester(row: Mapping[str, Any]) -> int:
    return int(next(key for key in row["keys"] if key.startswith("zendesk:")).removeprefix("zendesk:"))


def _iso(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _epoch(instant: datetime) -> int:
    return int(instant.timestamp())


def _authorise(request: Request) -> None:
    login = f"{SECRETS['ZENDESK_EMAIL']}/token:{SECRETS['ZENDESK_API_TOKEN']}"
    if request.headers.get("Authorization") != f"Basic {base64.b64encode(login.encode()).decode()}":
        raise HTTPException(401)


def _cursor(place: tuple[int, int]) -> str:
    return base64.b64encode(f"{place[0]}.0||{place[1]}|".encode()).decode()


def _place(given: Mapping[str, str], now: datetime) -> tuple[int, int]:
    """After which place of the export the page begins."""
    if "cursor" in given:
        try:
            at, id_ = base64.b64decode(given["cursor"], validate=True).decode().rstrip("|").split(".0||")
            return int(at), int(id_)
        except (ValueError, binascii.Error) as error:
            raise HTTPException(400, "Invalid cursor") from error
    if "start_time" not in given:
        raise HTTPException(400, "Missing required parameter: start_time")
    if int(given["start_time"]) > _epoch(now - _UNTOLD):
        raise HTTPException(422)
    return int(given["start_time"]), -1


def app(world: World) -> Starlette:
    account = _Account(world)

    def exported(resource: str, allowed: tuple[str, ...]) -> Callable[[Request], Awaitable[JSONResponse]]:
        async def answer(request: Request) -> JSONResponse:
            _authorise(request)
            given = parts.parameters(request, ("start_time", "cursor", "per_page", *allowed))
            size = min(int(given.get("per_page", _MOST)), _MOST)
            after, newest = _place(given, world.now), _epoch(world.now - _UNTOLD)
            rest = [(place, row) for place, row in account.export(resource) if place > after and place[0] <= newest]
            page = rest[:size]
            last = _cursor(page[-1][0]) if page else given.get("cursor")
            rows = [row for _, row in page]
            if resource == "tickets" and given.get("include") != "metric_sets":
                rows = [{name: value for name, value in row.items() if name != "metric_set"} for row in rows]
            return JSONResponse({
                resource: rows,
                "after_cursor": last,
                "after_url": last and f"{HOST}{request.url.path}?cursor={last}",
                "before_cursor": None,
                "before_url": None,
                "end_of_stream": len(rest) <= size,
            })  # fmt: skip

        return answer

    return Starlette(
        routes=[
            Route("/api/v2/incremental/tickets/cursor", exported("tickets", ("include",))),
            Route("/api/v2/incremental/users/cursor", exported("users", ())),
        ],
        exception_handlers={HTTPException: _refused},
    )


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return JSONResponse(_ERRORS.get(status, {"error": "InvalidValue", "description": str(error)}), status)
