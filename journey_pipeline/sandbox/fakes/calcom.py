"""Cal.com's API v2 over a world: bookings with those who booked them, paged by offset, filtered by their times.

A record_id is the booking's uid, or `uid:seat` of an event with seats. A booking that is `rescheduled` was moved to the
one that the same address made when it was cancelled. A touchpoint bears the record_id of its booking. Keys stand in
the metadata. Marking somebody absent leaves `updatedAt` as it was. Without the version header it answers as of old,
which is to say: not so that anybody understands (400).
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.world import World

SECRETS = {"CALCOM_API_KEY": "cal_sandbox"}
LASTS = timedelta(minutes=30)
_VERSION = "2024-08-13"
_SORTS = {"sortStart": "start", "sortEnd": "end", "sortCreated": "createdAt", "sortUpdatedAt": "updatedAt"}
_FILTERS = {
    "afterStart": ("start", 1), "beforeEnd": ("end", -1), "afterCreatedAt": ("createdAt", 1),
    "beforeCreatedAt": ("createdAt", -1), "afterUpdatedAt": ("updatedAt", 1), "beforeUpdatedAt": ("updatedAt", -1),
}  # fmt: skip
_OFF = ("cancelled", "rescheduled")

Row = dict[str, Any]


def _rendered(world: World) -> list[Row]:
    rows = list(world.of("bookings", "calcom").sort("occurred_at", "record_id").iter_rows(named=True))
    touches = {row["record_id"]: row for row in world.of("touchpoints", "calcom").iter_rows(named=True)}
    made = {(row["email"], row["occurred_at"]): _uid(row) for row in rows}
    moved = {_uid(row): made.get((row["email"], row["cancelled_at"])) for row in rows if row["status"] == "rescheduled"}
    before = {new: old for old, new in moved.items() if new}
    bookings: dict[str, Row] = {}
    for row in rows:
        uid = _uid(row)
        if uid not in bookings:
            links = {"rescheduledToUid": moved.get(uid), "rescheduledFromUid": before.get(uid)}
            bookings[uid] = {
                **_booking(row, len(bookings) + 1, touches.get(row["record_id"])),
                **{name: other for name, other in links.items() if other},
            }
        bookings[uid]["attendees"].append(_attendee(row))
    return list(bookings.values())


def _uid(row: Row) -> str:
    return str(row["record_id"]).partition(":")[0]


def _booking(row: Row, number: int, touch: Row | None) -> Row:
    utm = {f"utm_{name}": touch[name] for name in ("source", "medium", "campaign", "content") if touch and touch[name]}
    changed_at = row["occurred_at"] if row["status"] == "no_show" else row["changed_at"]
    host = {"id": 1, "name": "Sam", "username": "sam", "timeZone": "Europe/London"}
    return {
        "id": number,
        "uid": _uid(row),
        "title": row["event_type"],
        "description": "",
        "hosts": [{**host, "email": row["host"], "displayEmail": row["host"]}],
        "status": "cancelled" if row["status"] in _OFF else "accepted",
        "start": parts.iso(row["starts_at"]),
        "end": parts.iso(row["starts_at"] + LASTS),
        "duration": 30,
        "eventTypeId": 50,
        "eventType": {"id": 50, "slug": row["event_type"]},
        "location": "integrations:daily",
        "absentHost": False,
        "createdAt": parts.iso(row["occurred_at"]),
        "updatedAt": parts.iso(changed_at),
        "metadata": {f"ref_{n}": key for n, key in enumerate(row["keys"] or ())},
        "attendees": [],
        "guests": ["guest@example.com"],
        "bookingFieldsResponses": {**utm, **({"company": row["company"]} if row["company"] else {})},
    }


def _attendee(row: Row) -> Row:
    seat = str(row["record_id"]).partition(":")[2]
    return {
        "name": row["name"] or "",
        "email": row["email"],
        "displayEmail": row["email"],
        "timeZone": "Europe/London",
        "absent": row["status"] == "no_show",
        **({"phoneNumber": row["phone"]} if row["phone"] else {}),
        **({"seatUid": seat} if seat else {}),
    }


def _asked(bookings: list[Row], given: Mapping[str, str]) -> list[Row]:
    for name, (field, sign) in _FILTERS.items():
        if name in given:
            edge = parts.instant(given[name])
            bookings = [b for b in bookings if (parts.instant(b[field]) - edge) * sign > timedelta()]
    for name, field in _SORTS.items():
        if name in given:
            bookings = sorted(bookings, key=lambda b: (b[field], b["id"]), reverse=given[name] == "desc")
    return bookings


def app(world: World) -> Starlette:
    account = parts.Rendered(world, ("bookings", "touchpoints"), _rendered)

    async def bookings(request: Request) -> JSONResponse:
        parts.has_bearer(request, SECRETS["CALCOM_API_KEY"])
        if request.headers.get("cal-api-version") != _VERSION:
            raise HTTPException(400, "an older version would answer in another shape")
        given = parts.parameters(request, ("take", "skip", "status", *_FILTERS, *_SORTS))
        found = _asked(account.now(), given)
        take, skip = parts.number(given, "take", 100, most=100), parts.number(given, "skip", 0, least=0)
        page = found[skip : skip + take]
        paging = {
            "totalItems": len(found),
            "remainingItems": max(len(found) - skip - take, 0),
            "returnedItems": len(page),
            "itemsPerPage": take,
            "currentPage": skip // take + 1,
            "totalPages": parts.pages(found, take),
            "hasNextPage": skip + take < len(found),
            "hasPreviousPage": skip > 0,
        }
        return JSONResponse({"status": "success", "data": page, "pagination": paging})

    paths = (
        "/v2",
        "/v2/organizations/{org:int}",
        "/v2/teams/{team:int}",
        "/v2/organizations/{org:int}/teams/{team:int}",
    )
    return parts.service(
        [Route(f"{path}/bookings", bookings) for path in paths],
        lambda _status, detail: {"status": "error", "error": {"message": detail}},
    )
