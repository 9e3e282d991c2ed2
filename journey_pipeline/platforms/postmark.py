"""Postmark: which transactional and broadcast mails went to whom, who opened and clicked them, and what bounced.

Reads   /messages/outbound (stream by stream), /messages/outbound/opens, /messages/outbound/clicks, /bounces
Says    messages: one per mail and recipient. One that was sent and did not bounce counts as delivered when it was sent:
        its delivery stands only in its own details, one request per mail. A complaint is no bounce, nor is a delay or an
        automatic reply. A mail is for what its tag or stream is under `purposes`, else for its tag if that is a purpose,
        else `other`; `template_ref` is the tag, for the search tells no template.
Cursor  mails by `fromdate`, two days back, bounces a day; a search ends at 10,000 rows, so a time with more is halved.
        Opens and clicks can't be asked for by time: newest first down to the last load, a day more. The first load reaches
        as far back as Postmark keeps (45 days unless changed) or 10,000 go. The filters are US Eastern wall clock: the
        hour that autumn repeats is asked for generously and sorted out here.
Joins   the e-mail; a metadata value like `stripe:cus_1` names the same person.
Needs   POSTMARK_SERVER_TOKEN (Server, API Tokens); several servers' tokens with commas between them.
Assumes `TotalCount` counts at least the rows. Opens and clicks are those of all streams. More than 10,000 of them
        between two loads, or 10,000 mails within a second, make the load partial.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Purpose, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, in_headers
from journey_pipeline.platforms.translate import filled, iso, keys_in, looked_up, newest, objects, records

PAGE, DEEPEST = 500, 10_000
OVERLAP, EVENTS_OVERLAP = timedelta(days=2), timedelta(days=1)
EASTERN, HOUR, SECOND = ZoneInfo("America/New_York"), timedelta(hours=1), timedelta(seconds=1)
HISTORY = timedelta(days=45)
SEARCHES = {
    "/messages/outbound": ("Messages", "ReceivedAt", OVERLAP),
    "/bounces": ("Bounces", "BouncedAt", EVENTS_OVERLAP),
}
BOUNCES = (
    "HardBounce", "SoftBounce", "DnsError", "SpamNotification", "VirusNotification", "BadEmailAddress", "Blocked",
    "ManuallyDeactivated", "SMTPApiError", "DMARCPolicy", "Unknown",
)  # fmt: skip


class Options(base.Options):
    """Options of Postmark."""

    base_url: str = "https://api.postmarkapp.com"
    streams: tuple[str, ...] = ("outbound", "broadcast")
    """Ids of the message streams."""
    kept_days: int = 45
    """How many days Postmark keeps of this account: what the first load asks for."""
    purposes: Mapping[str, Purpose] = {"broadcast": "newsletter"}
    """Tag or id of a stream -> what its mails are for."""


def messages(pull: Pull) -> Iterator[list[Row]]:
    for api in _servers(pull):
        for stream in pull.options.streams:
            yield from _between(pull, api, "/messages/outbound", messagestream=stream)
    pull.until()


def bounces(pull: Pull) -> Iterator[list[Row]]:
    for api in _servers(pull):
        yield from _between(pull, api, "/bounces")
    pull.until()


def _newest_first(path: str, name: str) -> Callable[[Pull], Iterator[list[Row]]]:
    def pulled(pull: Pull) -> Iterator[list[Row]]:
        since, is_first = _since(pull, EVENTS_OVERLAP), not pull.left
        for api in _servers(pull):
            for offset in range(0, DEEPEST, PAGE):
                rows = api.get(path, params={"count": PAGE, "offset": offset})[name]
                yield _counted(pull, [row for row in rows if _at(row["ReceivedAt"]) >= since])
                if not rows or _at(rows[-1]["ReceivedAt"]) < since:
                    break
            else:
                _counted(pull, [] if is_first else ["what is hidden below"])
        pull.until()

    return pulled


def _between(pull: Pull, api: Api, path: str, **asked: str) -> Iterator[list[Row]]:
    """What was within the time since the last load, in searches that are not too deep; both edges are inclusive."""
    name, at, overlap = SEARCHES[path]
    windows = [(_since(pull, overlap).replace(microsecond=0), pull.loaded_at)]
    while windows:
        first, last = windows.pop()
        edges = {"fromdate": _eastern(first, -HOUR), "todate": _eastern(last, HOUR)}
        for offset in range(0, DEEPEST, PAGE):
            body = api.get(path, params={**asked, **edges, "count": PAGE, "offset": offset})
            if body["TotalCount"] > DEEPEST and last - first >= 2 * SECOND:
                middle = first + (last - first) // 2 // SECOND * SECOND
                windows += [(middle, last), (first, middle)]
                break
            yield _counted(pull, [row for row in body[name] if first <= _at(row[at]) <= last])
            if not body[name] or offset + PAGE >= body["TotalCount"]:
                break
        else:
            _counted(pull, ["what is hidden beyond"])


def _counted(pull: Pull, rows: list[Any]) -> list[Row]:
    """The rows, which are expected to be there: one that was not given makes the load partial."""
    pull.expected_rows = (pull.expected_rows or 0) + len(rows)
    return rows


def _since(pull: Pull, overlap: timedelta) -> datetime:
    return pull.since(overlap) or pull.loaded_at - timedelta(days=pull.options.kept_days)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _eastern(instant: datetime, margin: timedelta) -> str:
    """Wall clock in New York; an hour that comes twice is left by a margin."""
    local = instant.astimezone(EASTERN)
    comes_twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
    return f"{local.replace(tzinfo=None) + (margin if comes_twice else timedelta()):%Y-%m-%dT%H:%M:%S}"


def _servers(pull: Pull) -> Iterator[Api]:
    for token in pull.secrets["POSTMARK_SERVER_TOKEN"].split(","):
        headers = {"Accept": "application/json"}
        yield Api(pull, pull.options.base_url, auth=in_headers(X_Postmark_Server_Token=token.strip()), headers=headers)


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Mails, recipient by recipient, with their first open, click and bounce."""
    recipients = pl.col("recipients").str.json_decode(pl.List(pl.String))
    told = raw["messages"].with_columns(recipient=recipients, is_single=recipients.list.len() == 1).explode("recipient")
    told = told.with_columns(who=pl.col("recipient").str.to_lowercase())
    failed = raw["bounces"].filter(pl.col("type").is_in(BOUNCES)).rename({"email": "recipient"})
    acts = (
        _first(raw["opens"], "received_at", "opened_at"),
        _first(raw["clicks"], "received_at", "clicked_at"),
        _first(failed, "bounced_at", "failed_at"),
        _names(raw["messages"]),
    )
    for act in acts:
        told = told.join(act, on=["message_id", "who"], how="left", validate="m:1")
    sent_at = iso(pl.col("received_at"))
    tagged = pl.col("tag").str.extract("^(welcome|receipt|dunning|cart|sequence|newsletter)$")
    mail: dict[str, pl.Expr | str | None] = {
        "record_id": pl.when("is_single").then("message_id").otherwise(spelled("{}:{}", "message_id", "who")),
        "occurred_at": sent_at,
        "email": pl.col("recipient"),
        "name": pl.col("name"),
        "keys": keys_in("metadata"),
        "is_test": pl.col("sandboxed").fill_null("false") == "true",
        "channel": "email",
        "purpose": pl.coalesce(
            looked_up("tag", options.purposes), tagged, looked_up("message_stream", options.purposes), pl.lit("other")
        ),
        "template_ref": spelled("postmark:{}", filled(pl.col("tag"))),
        "delivered_at": pl.when(pl.col("status") == "Sent", pl.col("failed_at").is_null()).then(sent_at),
        "opened_at": pl.col("opened_at"),
        "clicked_at": pl.col("clicked_at"),
        "bounced_at": pl.col("failed_at"),
    }
    return {"messages": records(told, mail)}


def _first(acts: pl.LazyFrame, time: str, name: str) -> pl.LazyFrame:
    who = pl.col("recipient").str.to_lowercase()
    return acts.group_by("message_id", who=who).agg(iso(pl.col(time)).min().alias(name))


def _names(messages: pl.LazyFrame) -> pl.LazyFrame:
    named = newest(messages, "message_id").select("message_id", to=objects("to", "Email", "Name"))
    to = named.explode("to").unnest("to").with_columns(who=pl.col("Email").str.to_lowercase())
    return to.group_by("message_id", "who").agg(name=filled(pl.col("Name")).drop_nulls().first())


SCOPE = "the server's API token"

PLATFORM = Platform(
    name="postmark",
    title="Postmark",
    resources=(
        Resource(
            "messages", "changes", messages,
            ("message_id", "message_stream", "recipients", "to", "received_at", "status", "tag", "metadata", "sandboxed"),
            lag=timedelta(minutes=5), history=HISTORY, scope=SCOPE,
        ),
        Resource(
            "opens", "changes", _newest_first("/messages/outbound/opens", "Opens"),
            ("message_id", "recipient", "received_at"), history=HISTORY, scope=SCOPE,
        ),
        Resource(
            "clicks", "changes", _newest_first("/messages/outbound/clicks", "Clicks"),
            ("message_id", "recipient", "received_at"), history=HISTORY, scope=SCOPE,
        ),
        Resource(
            "bounces", "changes", bounces, ("message_id", "email", "type", "bounced_at"), history=HISTORY, scope=SCOPE
        ),
    ),
    says={"messages": ("messages", "opens", "clicks", "bounces")},
    read=read,
    options=Options,
    secrets=("POSTMARK_SERVER_TOKEN",),
    spec="documentation",
    verified="Against a stateful fake written from Postmark's documentation, never against a live account.",
)  # fmt: skip
