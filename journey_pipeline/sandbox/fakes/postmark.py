"""Postmark's searches over a world: newest first, 10,000 rows deep, times of US Eastern wall clock, 45 days kept.

A message's id is a text like a UUID, its `template_ref` `postmark:<tag>`; purpose `newsletter` goes through the stream `broadcast`,
all others through `outbound`, and are told by their tag. `delivered_at` is `occurred_at`, or none where it bounced.
The `keys` are metadata. Phones are not told.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.world import World

SECRETS = {"POSTMARK_SERVER_TOKEN": "sandbox"}
EASTERN = ZoneInfo("America/New_York")
LARGEST_PAGE, DEEPEST = 500, 10_000
KEPT = timedelta(days=45)

Row = Mapping[str, Any]
Told = tuple[datetime, dict[str, Any]]


def _time(instant: datetime) -> str:
    """As Postmark tells it: seven digits, and the offset of New York."""
    local = instant.astimezone(EASTERN)
    return local.isoformat(timespec="microseconds").replace(local.isoformat()[-6:], "0" + local.isoformat()[-6:])


def _stream(row: Row) -> str:
    return "broadcast" if row["purpose"] == "newsletter" else "outbound"


def _message(row: Row) -> dict[str, Any]:
    return {
        "MessageID": row["record_id"],
        "MessageStream": _stream(row),
        "To": [{"Email": row["email"], "Name": row["name"]}],
        "Cc": [],
        "Bcc": [],
        "Recipients": [row["email"]],
        "ReceivedAt": _time(row["occurred_at"]),
        "From": '"Northwind" <team@northwind.example>',
        "Subject": "A mail",
        "Tag": (row["template_ref"] or "").removeprefix("postmark:"),
        "Attachments": [],
        "Status": "Sent" if row["delivered_at"] or row["bounced_at"] else "Queued",
        "TrackOpens": True,
        "TrackLinks": "HtmlAndText",
        "Metadata": {f"ref_{number}": key for number, key in enumerate(row["keys"] or ())},
        "Sandboxed": bool(row["is_test"]),
    }


def _act(row: Row, at: datetime, kind: str) -> dict[str, Any]:
    return {
        "RecordType": kind,
        "MessageID": row["record_id"],
        "MessageStream": _stream(row),
        "ReceivedAt": _time(at),
        "Recipient": row["email"],
        "Tag": (row["template_ref"] or "").removeprefix("postmark:"),
        "Platform": "WebMail",
    }


def _bounce(row: Row) -> dict[str, Any]:
    return {
        "RecordType": "Bounce",
        "ID": sum(row["record_id"].encode()),
        "Type": "HardBounce",
        "TypeCode": 1,
        "Name": "Hard bounce",
        "MessageID": row["record_id"],
        "MessageStream": _stream(row),
        "Email": row["email"],
        "From": "team@northwind.example",
        "BouncedAt": _time(row["bounced_at"]),
        "Inactive": True,
    }


def _tables(world: World) -> Mapping[str, list[Told]]:
    held = [*world.of("messages", "postmark").sort("occurred_at", "record_id").iter_rows(named=True)]
    again = [(row, row["opened_at"] + timedelta(hours=1)) for row in held if row["opened_at"]]
    opens = [*((row, row["opened_at"]) for row in held if row["opened_at"]), *again]
    return {
        "Messages": [(row["occurred_at"], _message(row)) for row in held],
        "Opens": [(at, _act(row, at, "Open")) for row, at in opens],
        "Clicks": [(row["clicked_at"], _act(row, row["clicked_at"], "Click")) for row in held if row["clicked_at"]],
        "Bounces": [(row["bounced_at"], _bounce(row)) for row in held if row["bounced_at"]],
    }


def _edge(params: Mapping[str, str], name: str, else_: datetime) -> datetime:
    """A wall clock that comes twice is taken as the first of the two."""
    if name not in params:
        return else_
    try:
        said = datetime.strptime(params[name], "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007 - it has no zone of its own
    except ValueError as error:
        raise HTTPException(422, f"{name} must read like 2021-01-01T12:00:00") from error
    return said.replace(tzinfo=EASTERN)


def app(world: World) -> Starlette:
    """The API of one server."""
    tables = parts.Rendered(world, ("messages",), _tables)

    def searched(name: str, *parameters: str) -> Any:
        async def answer(request: Request) -> JSONResponse:
            parts.has_header(request, "X-Postmark-Server-Token", SECRETS["POSTMARK_SERVER_TOKEN"])
            params = parts.parameters(request, ("count", "offset", "tag", *parameters))
            if not {"count", "offset"} <= set(params):
                raise HTTPException(422, "count and offset are required")
            count, offset = (
                parts.number(params, "count", 50, most=LARGEST_PAGE),
                parts.number(params, "offset", 0, least=0),
            )
            if count + offset > DEEPEST:
                raise HTTPException(422, f"count and offset can't exceed {DEEPEST}")
            first = _edge(params, "fromdate", world.now - KEPT)
            last = _edge(params, "todate", world.now)
            stream = params.get("messagestream", "outbound" if name == "Messages" else None)
            found = [
                row
                for at, row in sorted(tables.now()[name], key=lambda told: told[0], reverse=True)
                if max(first, world.now - KEPT) <= at <= min(last, world.now)
                and stream in (None, row["MessageStream"])
            ]  # fmt: skip
            return JSONResponse({"TotalCount": len(found), name: found[offset : offset + count]})

        return answer

    dated = ("fromdate", "todate", "messagestream")
    routes = [
        Route("/messages/outbound", searched("Messages", *dated)),
        Route("/messages/outbound/opens", searched("Opens")),
        Route("/messages/outbound/clicks", searched("Clicks")),
        Route("/bounces", searched("Bounces", *dated)),
    ]
    return parts.service(routes, lambda status, detail: {"ErrorCode": 10 if status == 401 else 0, "Message": detail})  # noqa: PLR2004 - unauthorised
