"""HighLevel's API over a world: one location's contacts, opportunities, appointments, transactions and form submissions.

Ids are any text. `keys` of a contact begin with `gohighlevel:<record_id>`, then `email:` ones; everything else has its
contact's. A payment's `same_as` and `subscription_ref` are of one processor. Deleted and merged-away contacts are not
listed. Not here: its limit of 100 requests in 10 seconds, which `trouble` plays.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode
from zlib import crc32

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.fakes.parts import Row
from journey_pipeline.sandbox.world import World

SECRETS = {"GOHIGHLEVEL_TOKEN": "pit-sandbox"}
LOCATION = "ve9EPM428h8vShlRW1KT"
_KINDS = ("contacts", "deals", "bookings", "payments", "leads")
_NO_MINOR_UNIT = {"JPY": 0, "KRW": 0, "KWD": 3, "BHD": 3}
_MEETINGS = {"scheduled": "confirmed", "completed": "showed", "no_show": "noshow", "cancelled": "cancelled"}
_INDIA = timezone(timedelta(hours=5, minutes=30))
_MOST_CONTACTS = 500

Things = Mapping[str, list[Row]]


def id_of(name: str | None) -> str | None:
    """The id of the user, calendar, form, pipeline or stage of that name."""
    return None if name is None else f"{crc32(name.encode()):020d}"


def _render(world: World) -> Things:
    rows = {kind: world.of(kind, "gohighlevel").sort("occurred_at", "record_id").rows(named=True) for kind in _KINDS}

    def named(kind: str, column: str) -> list[Row]:
        return [{"id": id_of(name), "name": name} for name in sorted({r[column] for r in rows[kind] if r[column]})]

    people = {
        row[column]
        for kind, column in (("contacts", "owner"), ("deals", "owner"), ("bookings", "host"))
        for row in rows[kind]
    }
    stages = {(r["pipeline"], r["stage"]) for r in rows["deals"] if r["stage"]}
    return {
        "contacts": [_contact(row) for row in rows["contacts"] if not (row["merged_into"] or row["is_deleted"])],
        "opportunities": [_opportunity(row) for row in rows["deals"]],
        "events": [_event(row) for row in rows["bookings"]],
        "transactions": [_transaction(row, number) for number, row in enumerate(rows["payments"])][::-1],
        "submissions": [_submission(row) for row in rows["leads"]][::-1],
        "users": [{"id": id_of(email), "name": email, "email": email} for email in sorted(filter(None, people))],
        "pipelines": [
            {**one, "stages": [_stage(*pair) for pair in sorted(stages) if pair[0] == one["name"]]}
            for one in named("deals", "pipeline")
        ],
        "calendars": [{**calendar, "locationId": LOCATION} for calendar in named("bookings", "event_type")],
        "forms": [{**form, "locationId": LOCATION} for form in named("leads", "form")],
        "lostReasons": named("deals", "lost_reason"),
        "customFields": [
            {"id": "cf_person", "name": "Known elsewhere", "fieldKey": "contact.external_id", "model": "contact"},
            {"id": "cf_product", "name": "product_ref", "fieldKey": "opportunity.product", "model": "opportunity"},
        ],
    }  # fmt: skip


def _stage(pipeline: str | None, name: str | None) -> Row:
    return {"id": id_of(name and f"{pipeline}/{name}"), "name": name}


def _contact(row: Row) -> Row:
    others = parts.elsewhere(row, "gohighlevel")
    touched = [{"url": "https://northwind.example/", "utmSource": row["source"], "campaign": row["campaign"]}]
    return {
        "id": row["record_id"], "locationId": LOCATION, "email": row["email"], "phone": row["phone"],
        "firstNameLowerCase": (row["name"] or "").lower() or None, "contactName": row["name"],
        "companyName": row["company"], "assignedTo": id_of(row["owner"]), "type": row["lifecycle_stage"],
        "source": "public api" if row["source"] else "", "tags": [], "dateAdded": parts.iso(row["occurred_at"]),
        "dateUpdated": parts.iso(row["changed_at"]),
        "additionalEmails": [k.removeprefix("email:") for k in others if k.startswith("email:")],
        "customFields": [{"id": "cf_person", "value": "; ".join(k for k in others if not k.startswith("email:"))}],
        "attributions": touched if row["source"] or row["campaign"] else [],
        "searchAfter": [_millis(row["occurred_at"]), row["record_id"]],
    }  # fmt: skip


def _opportunity(row: Row) -> Row:
    is_abandoned = row["lost_reason"] == "abandoned"
    status = "won" if row["won_at"] else "abandoned" if is_abandoned else "lost" if row["lost_at"] else "open"
    who = {
        "id": parts.own_id(row, "gohighlevel"),
        "name": row["name"],
        "companyName": row["company"],
        "email": row["email"],
        "phone": row["phone"],
    }
    return {
        "id": row["record_id"], "name": f"Deal {row['record_id']}", "locationId": LOCATION, "status": status,
        "monetaryValue": 0 if row["amount_minor"] is None else _units(row["amount_minor"], row["currency"]),
        "pipelineId": id_of(row["pipeline"]), "pipelineStageId": _stage(row["pipeline"], row["stage"])["id"], "source": "",
        "createdAt": parts.iso(row["occurred_at"]), "updatedAt": parts.iso(row["changed_at"]),
        "lastStatusChangeAt": parts.iso(row["won_at"] or row["lost_at"] or row["occurred_at"]),
        "customFields": [{"id": "cf_product", "fieldValue": row["product_ref"]}] if row["product_ref"] else [],
        **_given(contactId=who["id"], contact=_given(**who), assignedTo=id_of(row["owner"]),
                 lostReasonId=None if is_abandoned else id_of(row["lost_reason"])),
    }  # fmt: skip


def _event(row: Row) -> Row:
    starts_at = row["starts_at"].astimezone(_INDIA)
    return {
        "id": row["record_id"], "title": "A call", "locationId": LOCATION, "calendarId": id_of(row["event_type"]),
        "contactId": parts.own_id(row, "gohighlevel"), "groupId": "", "users": [],
        "appointmentStatus": _MEETINGS.get(row["status"], row["status"]), "assignedUserId": id_of(row["host"]) or "",
        "startTime": starts_at.isoformat(), "endTime": (starts_at + timedelta(minutes=30)).isoformat(),
        "dateAdded": row["occurred_at"].isoformat(), "dateUpdated": (row["cancelled_at"] or row["changed_at"]).isoformat(),
    }  # fmt: skip


def _transaction(row: Row, number: int) -> Row:
    """What Stripe charged is told by the charge itself or by the invoice around it, by turns."""
    provider, _, charge = (row["same_as"] or [""])[0].partition(":")
    subscribed, _, subscription = (row["subscription_ref"] or "").partition(":")
    around = (
        {"id": f"in_{number}", "object": "invoice", "charge": charge} if provider == "stripe" and number % 2 else None
    )
    person = [key.removeprefix("gohighlevel:") for key in row["keys"] if key.startswith("gohighlevel:")]
    times = {"createdAt": row["occurred_at"], "updatedAt": row["changed_at"], "fulfilledAt": row["occurred_at"]}
    return {
        "_id": row["record_id"], "altId": LOCATION, "altType": "location", "entityType": "order",
        "entitySourceType": "funnel", "amount": _units(row["amount_minor"], row["currency"]), "currency": row["currency"],
        "amountRefunded": _units(row["refunded_minor"] or 0, row["currency"]), "liveMode": not row["is_test"],
        "status": {"authorised": "authorized"}.get(row["status"], row["status"]),
        **{name: parts.iso(instant) for name, instant in times.items()},
        **_given(contactId=person[0] if person else None, mergedFromContactId=person[1] if person[1:] else None,
                 contactEmail=row["email"], contactName=row["name"], chargeId=around["id"] if around else charge or None,
                 chargeSnapshot=around, paymentProviderType=provider or subscribed or None,
                 subscriptionId=subscription or None, paymentMethod=row["method"] and {row["method"]: {}},
                 entitySourceId=row["product_ref"] and row["product_ref"].removeprefix("gohighlevel:")),
    }  # fmt: skip


def _submission(row: Row) -> Row:
    told = {f"utm_{name}": row[name] for name in ("source", "medium", "campaign") if row[name]}
    hidden = {f"ref_{number}": key for number, key in enumerate(parts.elsewhere(row, "gohighlevel"))}
    page = {"url": f"https://northwind.example/form?{urlencode(told)}", "title": "Form"}
    others = {**hidden, **_given(phone=row["phone"], product_ref=row["product_ref"]), "eventData": {"page": page}}
    return {
        "id": row["record_id"], "createdAt": parts.iso(row["occurred_at"]), "formId": id_of(row["form"]), "others": others,
        **_given(contactId=parts.own_id(row, "gohighlevel"), name=row["name"], email=row["email"]),
    }  # fmt: skip


def _given(**fields: Any) -> Row:
    return {name: value for name, value in fields.items() if value is not None}


def _units(minor: int, currency: str) -> int | float:
    digits = _NO_MINOR_UNIT.get(currency, 2)
    return minor / 10**digits if digits else minor


def _millis(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


class _Location:
    """The lists that are filtered or paged in ways of their own."""

    def __init__(self, world: World) -> None:
        self._world, self._rendered = world, parts.Rendered(world, _KINDS, _render)

    def held(self, name: str) -> list[Row]:
        return self._rendered.now()[name]

    async def contacts(self, request: Request) -> JSONResponse:
        given = await parts.body(
            request, ("locationId", "page", "pageLimit", "searchAfter", "filters", "sort", "query")
        )
        _authorise(request, given.get("locationId"))
        if not 0 < given.get("pageLimit", 0) <= _MOST_CONTACTS:
            raise HTTPException(422, f"pageLimit must be between 1 and {_MOST_CONTACTS}")
        rows = self.held("contacts")
        after = [row for row in rows if row["searchAfter"] > given.get("searchAfter", [0, ""])]
        return JSONResponse({"contacts": after[: given["pageLimit"]], "total": len(rows)})

    async def opportunities(self, request: Request) -> JSONResponse:
        given = _asked(request, ("status", "limit", "startAfter", "startAfterId", "order"), "location_id")
        size, rows = parts.number(given, "limit", 20, most=100), self.held("opportunities")
        after = (int(given.get("startAfter", 0)), given.get("startAfterId", ""))
        page = [row for row in rows if _place(row) > after][:size]
        reached = dict(zip(("startAfter", "startAfterId"), _place(page[-1]), strict=True)) if page else {}
        return JSONResponse({"opportunities": page, "meta": {"total": len(rows), **reached}})

    async def events(self, request: Request) -> JSONResponse:
        given = _asked(request, ("calendarId", "startTime", "endTime"))
        if set(given) != {"locationId", "calendarId", "startTime", "endTime"}:
            raise HTTPException(422, "Either of calendarId, userId or groupId is required")
        first, last = int(given["startTime"]), int(given["endTime"])
        found = [row for row in self.held("events") if row["calendarId"] == given["calendarId"]]
        inside = [row for row in found if first <= _millis(datetime.fromisoformat(row["startTime"])) <= last]
        return JSONResponse({"events": inside})

    async def transactions(self, request: Request) -> JSONResponse:
        given = _asked(request, ("altType", "limit", "offset", "startAt", "endAt", "paymentMode"), "altId")
        if given.get("altType") != "location":
            raise HTTPException(422, "altType must be location")
        size, start = parts.number(given, "limit", 10, most=100), parts.number(given, "offset", 0, least=0)
        rows = _of_days(self.held("transactions"), given.get("startAt", ""), given.get("endAt", "9"))
        return JSONResponse({"data": rows[start : start + size], "totalCount": len(rows)})

    async def submissions(self, request: Request) -> JSONResponse:
        given = _asked(request, ("page", "limit", "formId", "q", "startAt", "endAt"))
        size, number = parts.number(given, "limit", 20, most=100), parts.number(given, "page", 1)
        last_month = (self._world.now - timedelta(days=30)).date().isoformat()
        until = given.get("endAt", self._world.now.date().isoformat())
        rows = _of_days(self.held("submissions"), given.get("startAt", last_month), until)
        following = number + 1 if number < parts.pages(rows, size) else None
        meta = {"total": len(rows), "currentPage": number, "nextPage": following, "prevPage": None}
        return JSONResponse({"submissions": parts.page(rows, number, size), "meta": meta})

    def whole(self, name: str) -> Callable[[Request], Awaitable[JSONResponse]]:
        async def answer(request: Request) -> JSONResponse:
            _asked(request, ())
            return JSONResponse({name: self.held(name)})

        return answer

    def skipping(self, name: str, most: int) -> Callable[[Request], Awaitable[JSONResponse]]:
        async def answer(request: Request) -> JSONResponse:
            given, rows = _asked(request, ("skip", "limit")), self.held(name)
            size, start = parts.number(given, "limit", 10, most=most), parts.number(given, "skip", 0, least=0)
            return JSONResponse({name: rows[start : start + size], "total": len(rows)})

        return answer

    async def custom_fields(self, request: Request) -> JSONResponse:
        parts.parameters(request, ("model",))
        _authorise(request, request.path_params["location"])
        return JSONResponse({"customFields": self.held("customFields")})


def app(world: World) -> Starlette:
    location = _Location(world)
    routes = [
        Route("/contacts/search", location.contacts, methods=["POST"]),
        Route("/opportunities/search", location.opportunities),
        Route("/opportunities/pipelines", location.whole("pipelines")),
        Route("/opportunities/lost-reason", location.skipping("lostReasons", most=100)),
        Route("/calendars/", location.whole("calendars")),
        Route("/calendars/events", location.events),
        Route("/payments/transactions", location.transactions),
        Route("/forms/submissions", location.submissions),
        Route("/forms/", location.skipping("forms", most=50)),
        Route("/locations/{location}/customFields", location.custom_fields),
        Route("/users/", location.whole("users")),
    ]
    return parts.service(routes, lambda status, detail: {"statusCode": status, "message": detail})


def _authorise(request: Request, location: str | None) -> None:
    parts.has_bearer(request, SECRETS["GOHIGHLEVEL_TOKEN"])
    version = "2021-04-15" if "/calendars/" in request.url.path else "2021-07-28"
    if request.headers.get("Version") != version:
        raise HTTPException(400, f"this path knows version {version}")
    if location != LOCATION:
        raise HTTPException(403, "The token does not have access to this location.")


def _asked(request: Request, allowed: tuple[str, ...], location: str = "locationId") -> Mapping[str, str]:
    given = parts.parameters(request, (location, *allowed))
    _authorise(request, given.get(location))
    return given


def _place(row: Row) -> tuple[int, str]:
    return _millis(parts.instant(row["createdAt"])), row["id"]


def _of_days(rows: list[Row], first: str, last: str) -> list[Row]:
    return [row for row in rows if first <= row["createdAt"][:10] <= last]
