"""Help Scout's inbox API over a world: conversations with their threads, and the ratings that answers got.

Tickets: `record_id` in digits, the key `help_scout:<customer id>`; a name of two words; satisfaction `great`, `okay` or
`not good`. A conversation that the world no longer holds is told as deleted. Strict about tokens, parameters and what
they may say; a page has 25 conversations, whatever one asks.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.world import World

SECRETS = {"HELP_SCOUT_APP_ID": "app-sandbox", "HELP_SCOUT_APP_SECRET": "secret-sandbox"}
PAGE = 25
_TOKEN = "hs-sandbox"  # noqa: S105 - a made-up one
_STATUSES = {"open": "active", "pending": "pending", "solved": "closed"}
_RATINGS = {"great": 1, "okay": 2, "not good": 3}

Told = tuple[datetime, parts.Row]
"""When a conversation was changed last, and the conversation."""


def _conversation(row: parts.Row) -> parts.Row:
    first, _, last = (row["name"] or "").partition(" ")
    customer = {
        "id": int(str(parts.own_id(row, "help_scout"))),
        "type": "customer",
        "email": row["email"],
        "first": first,
    }
    threads = [_thread("customer", customer, row["occurred_at"])]
    if row["first_reply_at"]:
        user = {"id": 9, "type": "user", "email": "sam@northwind.example"}
        threads = [_thread("message", user, row["first_reply_at"]), *threads]  # newest first
    return {
        "id": int(row["record_id"]),
        "number": int(row["record_id"]),
        "threads": len(threads),
        "type": "email",
        "status": _STATUSES[row["status"]],
        "state": "published",
        "subject": f"A question of {row['topic']}",
        "mailboxId": 1,
        "createdBy": customer,
        "createdAt": parts.iso(row["occurred_at"]),
        "closedAt": parts.iso(row["resolved_at"]),
        "userUpdatedAt": parts.iso(row["changed_at"]),
        "tags": [{"id": 1, "color": "#929499", "tag": row["topic"]}],
        "primaryCustomer": {**customer, "last": last},
        "_embedded": {"threads": threads},
        "_links": {"web": {"href": f"https://secure.helpscout.net/conversation/{row['record_id']}/{row['record_id']}"}},
    }


def _thread(type_: str, by: Mapping[str, Any], at: datetime) -> parts.Row:
    told = {"type": type_, "status": "active", "state": "published", "createdBy": dict(by), "createdAt": parts.iso(at)}
    return {**told, "body": "Hello"}


def _rating(row: parts.Row) -> parts.Row:
    return {
        "id": int(row["record_id"]),
        "ratingId": _RATINGS[row["satisfaction"]],
        "ratingCreatedAt": parts.iso(row["changed_at"]),
    }


class _Inbox:
    """The conversations of a world, in order of creation; what it no longer holds was deleted."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._held = parts.Rendered(world, ["tickets"], _render)
        self._known: dict[int, Told] = {}

    def conversations(self, since: datetime | None) -> list[parts.Row]:
        held = self._held.now()
        for id_, (_, row) in self._known.items():
            if id_ not in held and row["state"] != "deleted":
                self._known[id_] = (self._world.now, {**row, "state": "deleted"})
        self._known |= held
        told = [row for at, row in self._known.values() if since is None or at > since]
        return sorted(told, key=lambda row: (row["createdAt"], row["id"]))

    def ratings(self, start: datetime, end: datetime) -> list[parts.Row]:
        rows = self._world.of("tickets", "help_scout").iter_rows(named=True)
        return [_rating(row) for row in rows if row["satisfaction"] and start <= row["changed_at"] <= end]


def _render(world: World) -> Mapping[int, Told]:
    rows = world.of("tickets", "help_scout").iter_rows(named=True)
    return {int(row["record_id"]): (row["changed_at"], _conversation(row)) for row in rows}


def _only(given: Mapping[str, str], **allowed: Sequence[str]) -> None:
    for name, values in allowed.items():
        if given.get(name, values[0]) not in values:
            raise HTTPException(400, f"{name} is not valid")


def app(world: World) -> Starlette:
    inbox = _Inbox(world)

    async def token(request: Request) -> JSONResponse:
        form = await parts.form(request)
        ours = {"client_id": SECRETS["HELP_SCOUT_APP_ID"], "client_secret": SECRETS["HELP_SCOUT_APP_SECRET"]}
        if form != {"grant_type": "client_credentials", **ours}:
            raise HTTPException(401, "invalid_client")
        return JSONResponse({"token_type": "bearer", "access_token": _TOKEN, "expires_in": 172800})

    async def conversations(request: Request) -> JSONResponse:
        parts.has_bearer(request, _TOKEN)
        given = parts.parameters(request, ("status", "embed", "sortField", "sortOrder", "modifiedSince", "page"))
        _only(given, embed=("threads",), sortField=("createdAt",), sortOrder=("asc",))
        since = parts.instant(given["modifiedSince"]) if "modifiedSince" in given else None
        status = given.get("status", "active")
        rows = [row for row in inbox.conversations(since) if status in ("all", row["status"])]
        number = parts.number(given, "page", 1)
        page = {"size": PAGE, "totalElements": len(rows), "totalPages": parts.pages(rows, PAGE), "number": number}
        return JSONResponse(
            {"_embedded": {"conversations": parts.page(rows, number, PAGE)}, "_links": {}, "page": page}
        )

    async def ratings(request: Request) -> JSONResponse:
        parts.has_bearer(request, _TOKEN)
        given = parts.parameters(request, ("start", "end", "rating", "page"))
        _only(given, rating=("all",))
        rows, number = (
            inbox.ratings(parts.instant(given["start"]), parts.instant(given["end"])),
            parts.number(given, "page", 1),
        )
        told = {"results": parts.page(rows, number, PAGE), "page": number, "count": len(rows)}
        return JSONResponse({**told, "pages": parts.pages(rows, PAGE)})

    return parts.service(
        [
            Route("/v2/oauth2/token", token, methods=["POST"]),
            Route("/v2/conversations", conversations),
            Route("/v2/reports/happiness/ratings", ratings),
        ],
        lambda status, detail: {"logRef": "sandbox", "message": detail, "_embedded": {"errors": []}, "status": status},
    )
