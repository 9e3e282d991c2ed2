"""Slack: what the team was told of, when and in which channel. What was said stays in Slack.

Reads   auth.test, conversations.history (of the channels named in journey.yaml)
Says    notifications: one per thing that a message names (the second and later with `:2`, `:3` … after its id), one for
        a message that names nothing
Cursor  The time of the message, channel by channel, two days back: an edit doesn't move it. Each page goes on from
        Slack's cursor. The first load of a channel goes back 90 days, as far as the free plan keeps. A message deleted
        in Slack stays with us.
Joins   `stripe:ch_1` (any platform's name, a colon and an id) in text, blocks or attachments, or a link that one of
        the patterns in `links` reads, is `about_ref`; what a pattern in `people` reads, and the first e-mail address
        that is not of `own_domains`, is who it is about. Only these are stored: the text never leaves the fetch,
        so changed patterns read the last two days anew, nothing older.
Needs   SLACK_BOT_TOKEN (xoxb-…) of an app of your own with channels:history (private channels: groups:history), invited
        into each channel: `/invite @app`. The id of a channel stands at the end of its details. Apps of others outside
        Slack's directory get 15 messages a minute; one's own has no such limit.
Assumes Who joined, left or renamed the channel is no notification. Replies within a thread are not read. Slack says no
        with HTTP 200 and `ok: false`; what is then meant is said in the sentence.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

import polars as pl
from pydantic import AfterValidator

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import CATALOGUE, base
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, bearer, by_cursor
from journey_pipeline.platforms.translate import epoch_fraction, records
from journey_pipeline.registry import TEXTS

PAGE = 200
HISTORY, LOOK_BACK = timedelta(days=90), timedelta(days=2)
SAID = (None, "bot_message", "thread_broadcast", "file_share", "me_message")
NAMED = rf"(?<![\w.@/])((?:{'|'.join(CATALOGUE)}):\w(?:[\w.-]*\w)?)"
ADDRESS = re.compile(r"[\w.+-]+@([\w-]+(?:\.[\w-]+)+)")
REFUSALS = {
    "missing_scope": "the token lacks a permission; add the scope {needed} to the app and install it anew.",
    "not_in_channel": "the app is not in channel {channel}; invite it there.",
    "channel_not_found": "there is no channel {channel} that the app can see; check its id in journey.yaml, and if it "
    "is private, invite the app and give it groups:history.",
}
UNKNOWN_TOKEN = ("invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired")
PASSING = ("internal_error", "fatal_error", "service_unavailable", "request_timeout", "ratelimited")


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        msg = f"{pattern!r} is not a pattern: {error}"
        raise ValueError(msg) from error
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]


class Options(base.Options):
    """Options of Slack."""

    base_url: str = "https://slack.com/api"
    channels: Mapping[str, str] = {}
    """Id of each channel that the team is told things in -> its name: `C0123456789: sales`."""
    links: Mapping[Pattern, str] = {
        r"dashboard\.stripe\.com/(?:\w+/)*payments/((?:ch|py)_\w+)": r"stripe:\1",
        r"dashboard\.stripe\.com/(?:\w+/)*subscriptions/(sub_\w+)": r"stripe:\1",
        r"paypal\.com/activity/payment/(\w+)": r"paypal:\1",
        r"(?:admin\.shopify\.com/store/[\w-]+|myshopify\.com/admin)/orders/(\d+)": r"shopify:\1",
        r"paddle\.com/(?:transactions|subscriptions)-v2/((?:txn|sub)_\w+)": r"paddle:\1",
    }
    """Pattern of a link, or of any text -> the `platform:id` that it speaks of; `\\1` is what the brackets hold."""
    people: Mapping[Pattern, str] = {
        r"dashboard\.stripe\.com/(?:\w+/)*customers/(cus_\w+)": r"stripe:\1",
        r"\bstripe:(cus_\w+)": r"stripe:\1",
    }
    """Patterns like those, of what names a person."""
    own_domains: tuple[str, ...] = ()
    """Domains of the business: addresses there are colleagues."""


def messages(pull: Pull) -> Iterator[list[Row]]:
    api = Api(pull, pull.options.base_url, auth=bearer(pull.secrets["SLACK_BOT_TOKEN"]))
    if not pull.options.channels:
        sentence = "no channels are set; add `channels: {C0123456789: sales}` to its options."
        raise api.refused(sentence)
    workspace = _checked(api, api.get("/auth.test"))["url"]
    for channel in pull.options.channels:
        last = pull.left.get(channel)
        since = datetime.fromisoformat(last) - LOOK_BACK if last else pull.loaded_at - HISTORY
        asked = {"channel": channel, "oldest": _ts(since), "inclusive": "true", "limit": PAGE}
        by = by_cursor("response_metadata.next_cursor", "cursor")
        for page, body in api.pages("/conversations.history", by=by, rows="messages", params=asked):
            _checked(api, body, channel)
            said = [message for message in page if message.get("subtype") in SAID]
            yield [row for message in said for row in _told(message, channel, workspace, pull.options)]
    pull.leave(**{**pull.left, **dict.fromkeys(pull.options.channels, pull.loaded_at.isoformat())})


def _checked(api: Api, body: Mapping[str, Any], channel: str = "") -> Mapping[str, Any]:
    """Slack says no with HTTP 200."""
    if body.get("ok"):
        return body
    error = str(body.get("error"))
    asked = "the token was refused ({error}); check SLACK_BOT_TOKEN." if error in UNKNOWN_TOKEN else REFUSALS.get(error)
    needed = body.get("needed", "channels:history")
    sentence = (asked or "Slack answered {error}.").format(channel=channel, needed=needed, error=error)
    raise api.refused(sentence, is_transient=error in PASSING)


def _told(message: Row, channel: str, workspace: str, options: Options) -> list[Row]:
    """Whom and what a message is about, one row per thing; no word of it."""
    text = "\n".join(_texts([message.get(part) for part in ("text", "blocks", "attachments")]))
    people = _found(text, options.people)
    about = [ref for ref in _found(text, {NAMED: r"\1", **options.links}) if ref not in people]
    addresses = [found[0] for found in ADDRESS.finditer(text) if found[1].lower() not in options.own_domains]
    shared = {
        "channel": channel, "ts": message["ts"], "workspace": workspace, "people": people,
        "email": addresses[0] if addresses else None,
    }  # fmt: skip
    return [
        {"id": f"{channel}:{message['ts']}" + (f":{n}" if n > 1 else ""), "about": ref, **shared}
        for n, ref in enumerate(about or [None], start=1)
    ]


def _texts(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, (list, dict)):
        for inner in part.values() if isinstance(part, dict) else part:
            yield from _texts(inner)


def _found(text: str, patterns: Mapping[str, str]) -> list[str]:
    """What the patterns read, in the order of the text, each once."""
    found = [
        (match.start(), match.expand(ref)) for pattern, ref in patterns.items() for match in re.finditer(pattern, text)
    ]
    return list(dict.fromkeys(ref for _, ref in sorted(found)))


def _ts(instant: datetime) -> str:
    return f"{int(instant.timestamp())}.{instant.microsecond:06}"


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Messages, of all versions, as notifications."""
    link = spelled("{}archives/{}/p{}", "workspace", "channel", pl.col("ts").str.replace(".", "", literal=True))
    notification = {
        "record_id": pl.col("id"),
        "occurred_at": epoch_fraction(pl.col("ts")),
        "email": pl.col("email"),
        "keys": pl.col("people").str.json_decode(TEXTS),
        "url": link,
        "is_test": pl.lit(value=False),
        "channel": pl.col("channel").replace(dict(options.channels)),
        "about_ref": pl.col("about"),
    }
    return {"notifications": records(raw["messages"], notification)}


PLATFORM = Platform(
    name="slack",
    title="Slack",
    resources=(
        Resource(
            "messages", "changes", messages,
            columns=("id", "channel", "ts", "workspace", "about", "people", "email"),
            history=HISTORY,
            scope="channels:history (private channels: groups:history)",
        ),
    ),
    says={"notifications": ("messages",)},
    read=read,
    options=Options,
    secrets=("SLACK_BOT_TOKEN",),
    spec="official",
    verified="Against a stateful fake and Slack's own (2021) description of its API, never against a live workspace.",
)  # fmt: skip
