"""Twilio's list of messages over a world: newest first, by whole days, page tokens that stay in place.

A message's id has the form `SM` and 32 hex digits, its phone is E.164, its channel `sms` or `whatsapp`. A
`template_ref` like `twilio:MG…` (32 hex digits) is a messaging service, any other one stands in the text. Twilio dates only
a message's last change: of what was read, `delivered_at` must equal `opened_at`; an address, names, keys and
clicks are not told.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.world import World

ACCOUNT = "AC" + "5a" * 16
SENDER = "+15005550006"
SECRETS = {
    "TWILIO_ACCOUNT_SID": ACCOUNT,
    "TWILIO_API_KEY": "SK" + "7e" * 16,
    "TWILIO_API_SECRET": "sandbox",
}
LARGEST_PAGE = 1000
_DAYS = ("DateSent", "DateSent<", "DateSent>")
_PARAMETERS = ("To", "From", *_DAYS, "PageSize", "Page", "PageToken")
_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")


def _messages(world: World) -> list[tuple[datetime, dict[str, Any]]]:
    held = world.of("messages", "twilio").sort("occurred_at", "record_id", descending=True)
    return [(row["changed_at"], _message(row)) for row in held.iter_rows(named=True)]


def _message(row: Mapping[str, Any]) -> dict[str, Any]:
    template = (row["template_ref"] or "").removeprefix("twilio:")
    is_service = _SERVICE.fullmatch(template) is not None
    status, changed_at = _status(row)
    prefix = "" if row["channel"] == "sms" else f"{row['channel']}:"
    at = f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{row['record_id']}"
    return {
        "sid": row["record_id"],
        "account_sid": ACCOUNT,
        "api_version": "2010-04-01",
        "direction": "outbound-api",
        "from": prefix + SENDER,
        "to": prefix + (row["phone"] or ""),
        "body": f"Northwind: {'hello' if is_service else template or 'hello'}",
        "messaging_service_sid": template if is_service else None,
        "status": status,
        "error_code": 30003 if status == "undelivered" else None,
        "error_message": None,
        "date_created": _rfc2822(row["occurred_at"]),
        "date_sent": _rfc2822(row["occurred_at"]),
        "date_updated": _rfc2822(changed_at),
        "num_segments": "1",
        "num_media": "0",
        "price": None if status == "sent" else "-0.00790",
        "price_unit": "USD",
        "uri": f"{at}.json",
        "subresource_uris": {"media": f"{at}/Media.json"},
    }


def _status(row: Mapping[str, Any]) -> tuple[str, datetime]:
    told = (
        ("undelivered", "bounced_at"),
        ("read", "opened_at"),
        ("delivered", "delivered_at"),
        ("sent", "occurred_at"),
    )
    return next((status, row[column]) for status, column in told if row[column])


def _rfc2822(instant: datetime) -> str:
    return format_datetime(instant.astimezone(UTC))


def _day(message: Mapping[str, Any]) -> date:
    return datetime.strptime(message["date_sent"], "%a, %d %b %Y %H:%M:%S %z").date()


def _is_asked(message: Mapping[str, Any], params: Mapping[str, str]) -> bool:
    try:
        days = {name: date.fromisoformat(params[name]) for name in _DAYS if name in params}
    except ValueError as error:
        raise HTTPException(400, "a day must read YYYY-MM-DD") from error
    sent_on = _day(message)
    return (
        days.get("DateSent>", date.min) <= sent_on <= days.get("DateSent<", date.max)
        and sent_on == days.get("DateSent", sent_on)
        and message["to"] == params.get("To", message["to"])
        and message["from"] == params.get("From", message["from"])
    )


def app(world: World) -> Starlette:
    """The API."""
    rendered = parts.Rendered(world, ("messages",), _messages)

    async def messages(request: Request) -> JSONResponse:
        parts.has_basic(request, SECRETS["TWILIO_API_KEY"], SECRETS["TWILIO_API_SECRET"])
        if request.path_params["account"] != ACCOUNT:
            raise HTTPException(404, "The requested resource was not found")
        params = parts.parameters(request, _PARAMETERS)
        size = parts.number(params, "PageSize", 50, most=LARGEST_PAGE)
        page = parts.number(params, "Page", 0, least=0)
        asked = [m for changed_at, m in rendered.now() if changed_at <= world.now and _is_asked(m, params)]
        after = params.get("PageToken", "PA").removeprefix("PA")
        sids = [message["sid"] for message in asked]
        start = sids.index(after) + 1 if after in sids else 0
        shown = asked[start : start + size]
        path = f"{request.scope['root_path']}/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
        kept = {name: value for name, value in params.items() if name not in ("Page", "PageToken")}
        following = {**kept, "Page": page + 1, "PageToken": f"PA{shown[-1]['sid']}"} if shown else {}
        return JSONResponse(
            {
                "messages": shown,
                "page": page,
                "page_size": size,
                "start": start,
                "end": start + len(shown) - 1 if shown else 0,
                "uri": f"{path}?{urlencode(params)}",
                "first_page_uri": f"{path}?{urlencode({**kept, 'Page': 0})}",
                "next_page_uri": f"{path}?{urlencode(following)}" if start + size < len(asked) else None,
                "previous_page_uri": None,
            }
        )

    def error(status: int, detail: str) -> dict[str, Any]:
        code = {401: 20003, 404: 20404}.get(status, 20001)
        return {
            "code": code,
            "message": detail,
            "more_info": f"https://www.twilio.com/docs/errors/{code}",
            "status": status,
        }

    return parts.service([Route("/2010-04-01/Accounts/{account}/Messages.json", messages)], error)
