"""Intercom's searches over a world: conversations, tickets and the contacts who asked.

Tickets: `record_id` in digits is a conversation, `ticket_<digits>` a ticket; the first key is `intercom:<contact id>`, a
further one the contact's `external_id`; satisfaction is `1` to `5`, priority `priority`, both of conversations only.
As Intercom does, it searches contacts by whole days in the workspace's zone, conversations and tickets by the second.
Strict about the token, the version, fields, operators and the size of a page.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.world import World

SECRETS = {"INTERCOM_TOKEN": "dG9rOnNhbmRib3g="}
VERSION, WORKSPACE, ZONE = "2.16", "ws1", "America/New_York"
_MOST = 150
_STATES = {"open": "open", "pending": "snoozed", "solved": "closed"}
_TICKET_STATES = {"open": "in_progress", "pending": "waiting_on_customer", "solved": "resolved"}

Row = Mapping[str, Any]


def _contact_id(row: Row) -> str:
    return str(parts.own_id(row, "intercom"))


def _conversation(row: Row) -> parts.Row:
    rating = {"conversation_rating": {"rating": int(row["satisfaction"])}} if row["satisfaction"] else {}
    return {
        "type": "conversation",
        "id": row["record_id"],
        "created_at": parts.epoch(row["occurred_at"]),
        "updated_at": parts.epoch(row["changed_at"]),
        "title": None,
        "state": _STATES[row["status"]],
        "open": row["status"] != "solved",
        "priority": row["priority"] or "none",
        "tags": {"type": "tag.list", "tags": [{"type": "tag", "id": "1", "name": row["topic"]}]},
        "source": {
            "type": "conversation",
            "delivered_as": "customer_initiated",
            "subject": f"<p>A question of {row['topic']}</p>",
            "author": {"type": "user", "id": _contact_id(row), "name": row["name"], "email": row["email"] or ""},
        },
        "contacts": _contacts_of(row),
        "statistics": _present(
            first_admin_reply_at=parts.epoch(row["first_reply_at"]), last_close_at=parts.epoch(row["resolved_at"])
        ),
        **rating,
    }


def _ticket(row: Row) -> parts.Row:
    steps = [
        row["first_reply_at"] and {"part_type": "comment", "created_at": parts.epoch(row["first_reply_at"])},
        row["resolved_at"] and {
            "part_type": "ticket_state_updated_by_admin", "created_at": parts.epoch(row["resolved_at"]),
            "previous_ticket_state": "in_progress", "ticket_state": "resolved",
        },
    ]  # fmt: skip
    told = [
        {
            "type": "ticket_part",
            "id": str(n),
            **part,
            "author": {"type": "admin", "id": "7", "name": "Sam", "email": "s@n.example"},
        }
        for n, part in enumerate(steps)
        if part
    ]
    id_ = row["record_id"].removeprefix("ticket_")
    return {
        "type": "ticket",
        "id": id_,
        "ticket_id": id_,
        "category": "Customer",
        "created_at": parts.epoch(row["occurred_at"]),
        "updated_at": parts.epoch(row["changed_at"]),
        "open": row["status"] != "solved",
        "ticket_attributes": {"_default_title_": f"A question of {row['topic']}"},
        "ticket_state": {"type": "ticket_state", "id": "1", "category": _TICKET_STATES[row["status"]]},
        "ticket_type": {"type": "ticket_type", "id": "5", "name": row["topic"].title(), "category": "Customer"},
        "contacts": _contacts_of(row),
        "ticket_parts": {"type": "ticket_part.list", "ticket_parts": told, "total_count": len(told)},
    }


def _contact(row: Row) -> parts.Row:
    elsewhere = parts.elsewhere(row, "intercom")
    return {
        "type": "contact",
        "id": _contact_id(row),
        "external_id": elsewhere[0] if elsewhere else None,
        "workspace_id": WORKSPACE,
        "role": "user",
        "email": row["email"] or "",
        "phone": row["phone"],
        "name": row["name"],
        "created_at": parts.epoch(row["occurred_at"]),
        "updated_at": parts.epoch(row["changed_at"]),
        "merge_history": [],
    }


def _contacts_of(row: Row) -> parts.Row:
    return {"type": "contact.list", "contacts": [{"type": "contact", "id": _contact_id(row)}]}


def _present(**values: Any) -> parts.Row:
    return {name: value for name, value in values.items() if value is not None}


def _lists(world: World) -> Mapping[str, list[parts.Row]]:
    held = sorted(world.of("tickets", "intercom").iter_rows(named=True), key=lambda row: row["changed_at"])
    is_ticket = [str(row["record_id"]).startswith("ticket_") for row in held]
    return {
        "conversations": [_conversation(row) for row, is_own in zip(held, is_ticket, strict=True) if not is_own],
        "tickets": [_ticket(row) for row, is_own in zip(held, is_ticket, strict=True) if is_own],
        "contacts": list({contact["id"]: contact for contact in map(_contact, held)}.values()),
    }


def _after_the_day(seconds: int) -> float:
    """The next midnight of the workspace: with contacts, `>` means from there on."""
    zone = ZoneInfo(ZONE)
    day = datetime.fromtimestamp(seconds, UTC).astimezone(zone).date() + timedelta(days=1)
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()


def _found(rows: Sequence[parts.Row], asked: Mapping[str, Any], *, by_day: bool) -> list[parts.Row]:
    query = parts.fields(asked.get("query", {}), ("field", "operator", "value"))
    if (query.get("field"), query.get("operator")) != ("updated_at", ">") or not isinstance(query["value"], int):
        raise HTTPException(400, "unsupported query")
    least = _after_the_day(query["value"]) if by_day else query["value"] + 1
    return [row for row in rows if row["updated_at"] >= least]


def _page(rows: list[parts.Row], asked: Mapping[str, Any]) -> tuple[list[parts.Row], parts.Row]:
    paging = parts.fields(asked.get("pagination", {}), ("per_page", "starting_after"))
    size, start = parts.number(paging, "per_page", 20, most=_MOST), 0
    if "starting_after" in paging:
        start = parts.place(paging["starting_after"])
    pages = {"type": "pages", "page": start // size + 1, "per_page": size, "total_pages": parts.pages(rows, size)}
    if start + size < len(rows):
        pages["next"] = {"per_page": size, "starting_after": parts.cursor(start + size)}
    return rows[start : start + size], pages


def app(world: World) -> Starlette:
    lists = parts.Rendered(world, ["tickets"], _lists)

    def search(what: str, field: str, type_: str, *also: str) -> Callable[[Request], Any]:
        async def answer(request: Request) -> JSONResponse:
            parts.has_bearer(request, SECRETS["INTERCOM_TOKEN"])
            if request.headers.get("Intercom-Version") != VERSION:
                raise HTTPException(400, "unknown version")
            parts.parameters(request, also)
            asked = await parts.body(request, ("query", "pagination"))
            found = _found(lists.now()[what], asked, by_day=what == "contacts")
            rows, pages = _page(found, asked)
            return JSONResponse({"type": type_, field: rows, "total_count": len(found), "pages": pages})

        return answer

    routes = [
        ("conversations", search("conversations", "conversations", "conversation.list")),
        ("tickets", search("tickets", "tickets", "ticket.list")),
        ("contacts", search("contacts", "data", "list", "include_merge_history")),
    ]
    return parts.service(
        [Route(f"/{what}/search", answer, methods=["POST"]) for what, answer in routes],
        lambda _status, detail: {"type": "error.list", "errors": [{"code": "refused", "message": detail}]},
    )
