"""Calendly's API over a world: bookings as invitees of events, event by event, paged by token.

The event of a booking is its record_id up to the first `-` (so `b1-1` and `b1-2` came to one event), lasts half an
hour, and stands in its url. A touchpoint and a payment bear the record_id of their booking; a payment's charge is its
first `same_as`. A booking that is `rescheduled` was moved to the one that the same address made when it was cancelled.
Of keys the first is told, in the tracking's salesforce_uuid. Strict about keys, parameters and the organisation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.world import World

SECRETS = {"CALENDLY_TOKEN": "sandbox"}
API = "https://api.calendly.com"
ME, ORGANISATION = f"{API}/users/me-uuid", f"{API}/organizations/northwind"
LASTS = timedelta(minutes=30)
_OFF = ("cancelled", "rescheduled")
_TITLES = {400: "Invalid Argument", 401: "Unauthenticated", 403: "Permission Denied", 404: "Resource Not Found"}

Row = dict[str, Any]


@dataclass
class _Event:
    start: datetime
    told: Row
    invitees: list[Row] = field(default_factory=list)


def _rendered(world: World) -> Mapping[str, _Event]:
    """Events by uuid, in order of their start."""
    bookings = world.of("bookings", "calendly").sort("starts_at", "record_id")
    touches, payments = (
        {row["record_id"]: row for row in world.of(kind, "calendly").iter_rows(named=True)}
        for kind in ("touchpoints", "payments")
    )
    made = {(row["email"], row["occurred_at"]): row for row in bookings.iter_rows(named=True)}
    moved = {
        row["record_id"]: made[row["email"], row["cancelled_at"]]["record_id"]
        for row in bookings.iter_rows(named=True)
        if row["status"] == "rescheduled" and (row["email"], row["cancelled_at"]) in made
    }
    before = {new: old for old, new in moved.items()}
    events: dict[str, _Event] = {}
    for row in bookings.iter_rows(named=True):
        id_ = row["record_id"]
        payment = payments.get(id_)
        event = events.setdefault(_event_of(id_), _Event(row["starts_at"], _event(row, payment)))
        event.invitees.append({
            **_invitee(row), "tracking": _tracking(row, touches.get(id_)), "payment": payment and _payment(payment),
            "old_invitee": _uri(before.get(id_)), "new_invitee": _uri(moved.get(id_)),
        })  # fmt: skip
        if row["status"] not in _OFF:
            event.told["status"] = "active"
    return events


def _event_of(record_id: str) -> str:
    return record_id.partition("-")[0]


def _uri(record_id: str | None) -> str | None:
    return record_id and f"{API}/scheduled_events/{_event_of(record_id)}/invitees/{record_id}"


def _event(row: Row, payment: Row | None) -> Row:
    return {
        "uri": f"{API}/scheduled_events/{_event_of(row['record_id'])}",
        "name": row["event_type"],
        "status": "canceled",
        "start_time": _micros(row["starts_at"]),
        "end_time": _micros(row["starts_at"] + LASTS),
        "event_type": f"{API}/event_types/{payment['product_ref'].partition(':')[2] if payment else 'call'}",
        "location": {"type": "google_conference", "status": "pushed", "join_url": "https://meet.example/1"},
        "event_memberships": [{"user": ME, "user_email": row["host"], "user_name": "Host"}],
        "event_guests": [],
        "created_at": _micros(row["occurred_at"]),
        "updated_at": _micros(row["changed_at"]),
    }


def _invitee(row: Row) -> Row:
    marked = {"uri": f"{API}/invitee_no_shows/{row['record_id']}", "created_at": _micros(row["changed_at"])}
    called_off = {
        "canceled_by": row["name"] or "", "reason": "", "canceler_type": "invitee",
        "created_at": _micros(row["cancelled_at"]),
    }  # fmt: skip
    asked = [{"question": "Company", "answer": row["company"], "position": 0}] if row["company"] else []
    return {
        "uri": _uri(row["record_id"]),
        "email": row["email"],
        "name": row["name"],
        "first_name": None,
        "last_name": None,
        "status": "canceled" if row["status"] in _OFF else "active",
        "timezone": "America/New_York",
        "event": f"{API}/scheduled_events/{_event_of(row['record_id'])}",
        "text_reminder_number": row["phone"],
        "rescheduled": row["status"] == "rescheduled",
        "no_show": marked if row["status"] == "no_show" else None,
        "questions_and_answers": asked,
        "created_at": _micros(row["occurred_at"]),
        "updated_at": _micros(row["changed_at"]),
        **({"cancellation": called_off} if row["status"] in _OFF else {}),
    }


def _tracking(row: Row, touch: Row | None) -> Row:
    utm = {f"utm_{name}": touch and touch[name] for name in ("source", "medium", "campaign", "content")}
    elsewhere = next(iter(row["keys"] or ()), None)
    return {**utm, "utm_term": None, "salesforce_uuid": elsewhere and elsewhere.removeprefix("salesforce:")}


def _payment(row: Row) -> Row:
    charge = next(iter(row["same_as"] or ()), "stripe:").partition(":")[2]
    amount = float(parts.major(row["amount_minor"], 0 if row["currency"] == "JPY" else 2) or 0)
    return {
        "external_id": charge, "provider": row["method"], "amount": amount, "currency": row["currency"],
        "terms": "", "successful": row["status"] == "succeeded",
    }  # fmt: skip


def _micros(instant: datetime | None) -> str | None:
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if instant else None


def _page(rows: Sequence[Row], given: Mapping[str, str]) -> JSONResponse:
    size = parts.number(given, "count", 20, most=100)
    start = parts.place(given["page_token"]) if "page_token" in given else 0
    page, more = rows[start : start + size], start + size < len(rows)
    token = parts.cursor(start + size) if more else None
    link = f"{API}/scheduled_events?page_token={token}" if more else None
    paging = {"count": len(page), "next_page": link, "next_page_token": token, "previous_page_token": None}
    return JSONResponse({"collection": page, "pagination": paging})


def app(world: World) -> Starlette:
    account = parts.Rendered(world, ("bookings", "touchpoints", "payments"), _rendered)

    async def me(request: Request) -> JSONResponse:
        parts.has_bearer(request, SECRETS["CALENDLY_TOKEN"])
        parts.parameters(request, ())
        mine = {"uri": ME, "name": "Ops", "email": "ops@northwind.example", "current_organization": ORGANISATION}
        return JSONResponse({"resource": mine})

    async def events(request: Request) -> JSONResponse:
        parts.has_bearer(request, SECRETS["CALENDLY_TOKEN"])
        known = ("organization", "user", "min_start_time", "max_start_time", "sort", "count", "page_token")
        given = parts.parameters(request, known)
        if given.get("organization") != ORGANISATION and given.get("user") != ME:
            raise HTTPException(403, "this user has no permission to see these events")
        first = parts.instant(given["min_start_time"]) if "min_start_time" in given else None
        last = parts.instant(given["max_start_time"]) if "max_start_time" in given else None
        told = account.now().values()
        fits = [e.told for e in told if (not first or e.start >= first) and (not last or e.start < last)]
        return _page(fits if given.get("sort") != "start_time:desc" else fits[::-1], given)

    async def invitees(request: Request) -> JSONResponse:
        parts.has_bearer(request, SECRETS["CALENDLY_TOKEN"])
        given = parts.parameters(request, ("sort", "status", "email", "count", "page_token"))
        event = account.now().get(request.path_params["event"])
        if event is None:
            raise HTTPException(404, "The server could not find the requested resource.")
        return _page(event.invitees, given)

    return parts.service(
        [
            Route("/users/me", me),
            Route("/scheduled_events", events),
            Route("/scheduled_events/{event}/invitees", invitees),
        ],
        lambda status, detail: {"title": _TITLES.get(status, "Invalid Argument"), "message": detail},
    )
