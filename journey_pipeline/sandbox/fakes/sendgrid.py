"""SendGrid's suppressions and Email Activity Feed over a world.

A consent's id is `<list>:<hash>`, the list `unsubscribes`, `spam_reports`, `bounces`, `invalid_emails` or a group's number, as in its
`list_ref` `sendgrid:<list>`, and the hash the first 32 hex digits of the SHA-256 of the lower-case address. Who is subscribed,
and names, phones and keys are not told. Of a message the feed tells only the time of its last event: `occurred_at`
and whatever else is dated are that time unless a load saw it before; its `template_ref` `sendgrid:<name>` stands in the subject.
"""

import re
from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.world import World

SECRETS = {"SENDGRID_API_KEY": "SG.sandbox"}
LISTS = ("unsubscribes", "spam_reports", "bounces", "invalid_emails")
_QUERY = re.compile(r'last_event_time BETWEEN TIMESTAMP "([^"]+)" AND TIMESTAMP "([^"]+)"')
_EVENTS = ("occurred_at", "delivered_at", "opened_at", "clicked_at", "bounced_at")

Row = Mapping[str, Any]


def _suppression(row: Row) -> dict[str, Any]:
    name, told = row["record_id"].partition(":")[0], {"email": row["email"]}
    if name not in LISTS:
        group = {"group_id": int(name), "group_name": f"Group {name}"}
        return {**told, **group, "created_at": parts.epoch(row["occurred_at"])}
    why = {
        "bounces": {"reason": "550 5.1.1 The email account does not exist.", "status": "5.1.1"},
        "invalid_emails": {"reason": "Mail domain mentioned in email address is unknown"},
        "spam_reports": {"ip": "192.0.2.1"},
    }
    return {**told, "created": parts.epoch(row["occurred_at"]), **why.get(name, {})}


def _message(row: Row, last: Any) -> dict[str, Any]:
    template = (row["template_ref"] or "sendgrid:a mail").removeprefix("sendgrid:")
    return {
        "from_email": "team@northwind.example",
        "msg_id": row["record_id"],
        "subject": f"Northwind: {template}",
        "to_email": row["email"],
        "status": "not_delivered" if row["bounced_at"] else "delivered" if row["delivered_at"] else "processed",
        "opens_count": int(row["opened_at"] is not None),
        "clicks_count": int(row["clicked_at"] is not None),
        "last_event_time": parts.iso(last),
    }


def app(world: World) -> Starlette:
    """The API."""

    def asked(request: Request, *parameters: str) -> Mapping[str, str]:
        parts.has_bearer(request, SECRETS["SENDGRID_API_KEY"])
        return parts.parameters(request, ("limit", *parameters))

    def held(kind: str) -> list[dict[str, Any]]:
        rows = world.of(kind, "sendgrid").sort("occurred_at", "record_id", descending=True)
        return [row for row in rows.iter_rows(named=True) if row["changed_at"] <= world.now]

    def page(rows: list[Any], params: Mapping[str, str]) -> JSONResponse:
        size, start = parts.number(params, "limit", 500, most=500), parts.number(params, "offset", 0, least=0)
        return JSONResponse(rows[start : start + size])

    async def suppressions(request: Request) -> JSONResponse:
        params = asked(request, "offset", "start_time", "end_time")
        name = request.path_params["name"]
        if name not in LISTS:
            raise HTTPException(404, "resource not found")
        first, last = parts.number(params, "start_time", 0, least=0), parts.number(params, "end_time", 2**40, least=0)
        listed = [_suppression(row) for row in held("consents") if row["record_id"].startswith(f"{name}:")]
        return page([row for row in listed if first <= row["created"] <= last], params)

    async def groups(request: Request) -> JSONResponse:
        params = asked(request, "offset")
        return page(
            [_suppression(r) for r in held("consents") if r["record_id"].partition(":")[0] not in LISTS], params
        )

    async def messages(request: Request) -> JSONResponse:
        params = asked(request, "query")
        between = _QUERY.fullmatch(params.get("query", ""))
        if not between:
            raise HTTPException(400, "the query can't be read")
        first, last = (parts.instant(edge) for edge in between.groups())
        newest = [(max(row[c] for c in _EVENTS if row[c]), row) for row in held("messages")]
        found = [_message(row, at) for at, row in newest if first <= at <= last]
        return JSONResponse({"messages": found[: parts.number(params, "limit", 10, most=1000)]})

    routes = [
        Route("/v3/suppression/{name}", suppressions),
        Route("/v3/asm/suppressions", groups),
        Route("/v3/messages", messages),
    ]
    return parts.service(routes, lambda _status, detail: {"errors": [{"field": None, "message": detail}]})
