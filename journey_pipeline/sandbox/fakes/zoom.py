"""Zoom's API over a world: ended meetings and webinars, who registered, who came; webinars ahead.

Bookings and touchpoints have record_ids `uuid:who`, leads `webinar id:who`; `who` is a registrant's id, or the e-mail of
one who came unregistered. The id of a session is the end of its url, its topic `event_type`, `form` or `campaign`. A
booking that is `no_show` came not; all came at the start. A touchpoint came when it occurred; a webinar that nobody saw
is still ahead. Strict about the app's token, parameters, spans of a month, six months' history and encoded uuids.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.world import World

SECRETS = {"ZOOM_ACCOUNT_ID": "acc", "ZOOM_CLIENT_ID": "app", "ZOOM_CLIENT_SECRET": "sandbox"}
HOST = "sam@northwind.example"
_TOKEN = "zoom-token"  # noqa: S105 - the sandbox's tokens are no secrets
_PAGED = ("page_size", "next_page_token")
_CODES = {400: 300, 401: 124, 404: 3001, 429: 429}

Row = dict[str, Any]


@dataclass
class _Session:
    id: int
    is_webinar: bool
    topic: str
    host: str
    start: datetime
    uuid: str
    registrants: dict[str, Row] = field(default_factory=dict)
    participants: list[Row] = field(default_factory=list)

    @property
    def told(self) -> Row:
        return {
            "uuid": self.uuid, "id": self.id, "type": 5 if self.is_webinar else 2, "topic": self.topic,
            "user_name": "Sam", "user_email": self.host, "start_time": parts.iso(self.start),
            "end_time": parts.iso(self.start + timedelta(minutes=30)), "duration": 30,
            "participants_count": len(self.participants),
        }  # fmt: skip


@dataclass
class _Account:
    ended: dict[str, _Session] = field(default_factory=dict)
    registrants: dict[int, dict[str, Row]] = field(default_factory=dict)
    ahead: dict[int, _Session] = field(default_factory=dict)


def _rendered(world: World) -> _Account:
    account = _Account()
    for kind, topic, start, host in (
        ("bookings", "event_type", "starts_at", "host"),
        ("touchpoints", "campaign", "occurred_at", None),
    ):
        for row in world.of(kind, "zoom").sort(start, "record_id").iter_rows(named=True):
            uuid, _, who = row["record_id"].partition(":")
            host_of = row[host] if host else HOST
            made = _Session(_id(row), host is None, row[topic], host_of, row[start], uuid)
            session = account.ended.setdefault(uuid, made)
            if host and "@" not in who:
                account.registrants.setdefault(session.id, {})[who] = _registrant(who, row)
            if row.get("status") != "no_show":
                session.participants += _joins(who, row, row[start])
    over = {session.id for session in account.ended.values()}
    for row in world.of("leads", "zoom").iter_rows(named=True):
        who = row["record_id"].partition(":")[2]
        account.registrants.setdefault(_id(row), {})[who] = _registrant(who, row)
        if _id(row) not in over:
            soon = world.now + timedelta(days=7)
            account.ahead[_id(row)] = _Session(_id(row), True, row["form"], HOST, soon, "")
    return account


def _id(row: Row) -> int:
    return int(row["url"].rpartition("/")[2])


def _registrant(who: str, row: Row) -> Row:
    first, _, last = (row["name"] or "").partition(" ")
    asked = [{"title": f"Reference {n}", "value": key} for n, key in enumerate(row["keys"] or ())]
    return {
        "id": who, "email": row["email"], "first_name": first, "last_name": last, "phone": row["phone"] or "",
        "org": row["company"] or "", "custom_questions": asked, "status": "approved",
        "create_time": parts.iso(row["occurred_at"]), "join_url": "https://zoom.us/w/1",
    }  # fmt: skip


def _joins(who: str, row: Row, at: datetime) -> list[Row]:
    """Everybody drops out once and comes back, and waits to be let in before."""
    known = {"user_email": row["email"], "name": row["name"] or "", "registrant_id": "" if "@" in who else who}
    return [
        {**known, "id": "", "status": status, "join_time": parts.iso(at + timedelta(minutes=m)), "duration": 60}
        for status, m in (("in_waiting_room", -5), ("in_meeting", 9), ("in_meeting", 0))
    ]


def _page(name: str, rows: list[Row], given: Mapping[str, str], **more: Any) -> JSONResponse:
    size = parts.number(given, "page_size", 30, most=300)
    start = parts.place(given["next_page_token"]) if given.get("next_page_token") else 0
    token = parts.cursor(start + size) if start + size < len(rows) else ""
    return JSONResponse({
        name: rows[start : start + size], "page_size": size, "total_records": len(rows), "next_page_token": token, **more,
    })  # fmt: skip


class _Zoom:
    """The endpoints."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._account = parts.Rendered(world, ("bookings", "touchpoints", "leads"), _rendered)

    async def token(self, request: Request) -> JSONResponse:
        form = await parts.form(request)
        try:
            parts.has_basic(request, SECRETS["ZOOM_CLIENT_ID"], SECRETS["ZOOM_CLIENT_SECRET"])
        except HTTPException:
            return JSONResponse({"reason": "Invalid client_id or client_secret", "error": "invalid_client"}, 400)
        if form != {"grant_type": "account_credentials", "account_id": SECRETS["ZOOM_ACCOUNT_ID"]}:
            return JSONResponse({"reason": "Bad Request", "error": "invalid_request"}, 400)
        return JSONResponse({"access_token": _TOKEN, "token_type": "bearer", "expires_in": 3599})

    async def users(self, request: Request) -> JSONResponse:
        given = _asked(request, "status")
        emails = sorted({HOST, *(session.host for session in self._account.now().ended.values())})
        return _page("users", [{"id": email, "email": email, "type": 2} for email in emails], given)

    async def report(self, request: Request) -> JSONResponse:
        given = _asked(request, "from", "to")
        first, last = date.fromisoformat(given["from"]), date.fromisoformat(given["to"])
        if last - first > timedelta(days=31) or first < (self._world.now - timedelta(days=184)).date():
            raise HTTPException(400, "a span of a month within the last six months")
        held = [
            session.told
            for session in self._account.now().ended.values()
            if first <= session.start.date() <= last and session.host == request.path_params["host"]
        ]
        return _page("meetings", held, given, **{"from": given["from"], "to": given["to"]})

    async def participants(self, request: Request) -> JSONResponse:
        given = _asked(request, "include_fields")
        raw = request.scope["raw_path"].decode().split("/participants")[0].rpartition("/")[2]
        uuid = unquote(unquote(raw)) if "%25" in raw else unquote(raw)
        session = self._account.now().ended.get(uuid)
        must_twice = uuid.startswith("/") or "//" in uuid
        if session is None or must_twice is not ("%25" in raw) or not session.participants:
            raise HTTPException(404, "Meeting does not exist.")
        host = {"user_email": session.host, "name": "Sam", "id": "h", "status": "in_meeting", "registrant_id": ""}
        return _page("participants", [{**host, "join_time": parts.iso(session.start)}, *session.participants], given)

    async def registrants(self, request: Request) -> JSONResponse:
        given = _asked(request, "status")
        registered = self._account.now().registrants.get(request.path_params["id"])
        if registered is None:
            raise HTTPException(400, "Registration has not been enabled for this meeting.")
        return _page("registrants", list(registered.values()), given)

    async def webinars(self, request: Request) -> JSONResponse:
        given = _asked(request)
        if request.path_params["host"] != HOST:
            raise HTTPException(400, "Webinar plan is missing.")
        return _page("webinars", [{**s.told, "id": str(s.id)} for s in self._account.now().ahead.values()], given)


def _asked(request: Request, *allowed: str) -> Mapping[str, str]:
    parts.has_bearer(request, _TOKEN)
    return parts.parameters(request, (*_PAGED, *allowed))


def app(world: World) -> Starlette:
    zoom = _Zoom(world)
    gatherings = ("meetings", "webinars")
    return parts.service(
        [
            Route("/oauth/token", zoom.token, methods=["POST"]),
            Route("/v2/users", zoom.users),
            Route("/v2/users/{host}/webinars", zoom.webinars),
            Route("/v2/report/users/{host}/meetings", zoom.report),
            *(Route(f"/v2/report/{part}/{{uuid:path}}/participants", zoom.participants) for part in gatherings),
            *(Route(f"/v2/{part}/{{id:int}}/registrants", zoom.registrants) for part in gatherings),
        ],
        lambda status, detail: {"code": _CODES.get(status, status), "message": detail},
    )
