"""Slack's Web API over a world: notifications as messages of their channels, newest first; no is said with HTTP 200.

A record_id is `channel id:ts` (ts as `1778846400.000000`, the time of the record), with `:2`, `:3` … for what else the
same message names; `channel` is the channel's name. Of Stripe, charges and customers (of the keys) are told as links,
all else as `platform:id`.
"""

from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.world import World

SECRETS = {"SLACK_BOT_TOKEN": "xoxb-sandbox"}
WORKSPACE = "https://northwind.slack.com/"
CHANNELS = {"C0SALES01": "sales", "C0DISPUTES": "disputes"}
"""Those that the app was invited into."""
_HISTORY = ("channel", "cursor", "oldest", "latest", "inclusive", "limit")

Message = dict[str, Any]


def _rendered(world: World) -> Mapping[str, list[Message]]:
    """Messages by channel, newest first."""
    channels: dict[str, dict[str, list[dict[str, Any]]]] = {channel: {} for channel in CHANNELS}
    for row in world.of("notifications", "slack").sort("record_id").iter_rows(named=True):
        channel, ts = row["record_id"].split(":")[:2]
        channels[channel].setdefault(ts, []).append(row)
    return {
        channel: [_message(ts, rows) for ts, rows in sorted(by_ts.items(), reverse=True)]
        for channel, by_ts in channels.items()
    }


def _message(ts: str, rows: list[dict[str, Any]]) -> Message:
    address = rows[0]["email"]
    refs = [*(rows[0]["keys"] or ()), *(row["about_ref"] for row in rows if row["about_ref"])]
    attachments = [{"id": n, "fallback": _named(ref)} for n, ref in enumerate(refs, start=1)]
    return {
        "type": "message",
        "subtype": "bot_message",
        "text": f"New: <mailto:{address}|{address}>" if address else "New",
        "ts": ts,
        "username": "billing",
        "bot_id": "B0SANDBOX",
        **({"attachments": attachments} if attachments else {}),
    }


def _named(ref: str) -> str:
    """As billing apps do: a link where Stripe has a page."""
    page = {"cus": "customers", "ch": "payments"}.get(ref.removeprefix("stripe:").partition("_")[0])
    return f"<https://dashboard.stripe.com/{page}/{ref.partition(':')[2]}|View in Stripe>" if page else ref


def app(world: World) -> Starlette:
    account = parts.Rendered(world, ("notifications",), _rendered)

    def no(error: str, **more: str) -> JSONResponse:
        return JSONResponse({"ok": False, "error": error, **more})

    def is_known(request: Request) -> bool:
        return request.headers.get("Authorization") == f"Bearer {SECRETS['SLACK_BOT_TOKEN']}"

    async def auth_test(request: Request) -> JSONResponse:
        if not is_known(request):
            return no("invalid_auth")
        who = {"team": "Northwind", "user": "journey", "team_id": "T0NORTH", "user_id": "U0JOURNEY"}
        return JSONResponse({"ok": True, "url": WORKSPACE, **who})

    async def history(request: Request) -> JSONResponse:
        if not is_known(request):
            return no("invalid_auth")
        given = parts.parameters(request, _HISTORY)
        channels = account.now()
        if given.get("channel") not in channels:
            return no("channel_not_found")
        oldest, latest = given.get("oldest", ""), given.get("latest", "9")
        edges = {oldest, latest} if given.get("inclusive") == "true" else set()
        told = [m for m in channels[given["channel"]] if oldest < m["ts"] < latest or m["ts"] in edges]
        start = parts.place(given["cursor"]) if "cursor" in given else 0
        size = parts.number(given, "limit", 100, most=999)
        has_more = start + size < len(told)
        return JSONResponse({
            "ok": True,
            "messages": told[start : start + size],
            "has_more": has_more,
            "pin_count": 0,
            "channel_actions_ts": None,
            "channel_actions_count": 0,
            "response_metadata": {"next_cursor": parts.cursor(start + size) if has_more else ""},
        })  # fmt: skip

    return parts.service(
        [Route("/auth.test", auth_test), Route("/conversations.history", history)],
        lambda _status, detail: {"ok": False, "error": detail},
    )
