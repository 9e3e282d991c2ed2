"""SendGrid: who may not be mailed any more, and, with its paid add-on, which mails reached whom.

Reads   /v3/suppression/{unsubscribes,spam_reports,bounces,invalid_emails}, /v3/asm/suppressions; with `activity: true`
        also /v3/messages
Says    consents: one per list and address, opt-outs only: unsubscribes, global or of a group, and spam reports are
        unsubscribed, bounces and invalid addresses cleaned. messages: one per mail of the Email Activity Feed, which
        tells but the time of its last event: the first version that says sent, delivered, opened, clicked or
        not_delivered dates that. A mail is for what the template whose words its subject contains (`templates`) is
        under `purposes`, else `other`.
Cursor  suppressions whole: who is taken off a list is gone from it, and nothing else tells. Activity by `last_event_time`,
        an hour back; an answer ends at 1,000 mails, so a time with more is halved. It keeps 3 to 30 days.
Joins   the e-mail; the feed tells neither templates nor custom arguments. Ids are made of a hash of the address.
Needs   SENDGRID_API_KEY with read access to Suppressions, Unsubscribe Groups and, for the add-on, Email Activity. In
        the EU: `base_url: https://api.eu.sendgrid.com`.
Assumes A list that gives the same page again has no pages. The feed takes a range of times as in SendGrid's guide; 6
        requests a minute. A second with 1,000 mails makes the load partial. Blocks are not read: they pass. Who is
        subscribed only an export of Marketing Campaigns tells.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Purpose, Raw, Resource, Row
from journey_pipeline.platforms.days import halved
from journey_pipeline.platforms.http import Api, bearer, in_one
from journey_pipeline.platforms.translate import epoch_seconds, integer, iso, looked_up, named_by, records
from journey_pipeline.registry import TEXTS

PAGE, FULL_ANSWER = 500, 1000
OVERLAP = timedelta(hours=1)
ACTIVITY_EVERY_S = 10.0
"""The feed's limit, 6 requests a minute, is too slow for waits that grow from a second."""
GLOBAL = {
    "unsubscribes": "unsubscribed", "spam_reports": "unsubscribed", "bounces": "cleaned", "invalid_emails": "cleaned",
}  # fmt: skip


class Options(base.Options):
    """Options of SendGrid."""

    base_url: str = "https://api.sendgrid.com"
    activity: bool = False
    """Whether the account has the Email Activity add-on."""
    activity_days: int = 30
    """How many days the feed keeps: what the first load asks for."""
    templates: Mapping[str, str] = {}
    """Name of a template -> words that its subject contains, in any case; the first that fits counts."""
    purposes: Mapping[str, Purpose] = {}
    """Name of a template -> what its mails are for."""


def _suppressed(name: str) -> Callable[[Pull], Iterator[list[Row]]]:
    def pulled(pull: Pull) -> Iterator[list[Row]]:
        until = int(pull.loaded_at.timestamp())
        yield from _list(pull, f"/v3/suppression/{name}", start_time=0, end_time=until)

    return pulled


def group_unsubscribes(pull: Pull) -> Iterator[list[Row]]:
    yield from _list(pull, "/v3/asm/suppressions")


def activity(pull: Pull) -> Iterator[list[Row]]:
    if not pull.options.activity:
        return
    api, since = _api(pull), pull.since(OVERLAP) or pull.loaded_at - timedelta(days=pull.options.activity_days)
    found, hidden, turn = 0, 0, count()

    def between(first: int, last: int) -> list[Row]:
        time.sleep(ACTIVITY_EVERY_S if next(turn) else 0)
        query = f'last_event_time BETWEEN TIMESTAMP "{_iso(first)}" AND TIMESTAMP "{_iso(last + 1)}"'
        rows: list[Row] = api.get("/v3/messages", params={"query": query, "limit": FULL_ANSWER})["messages"]
        return rows

    for answer in halved(int(since.timestamp()), int(pull.loaded_at.timestamp()), between, FULL_ANSWER):
        found, hidden = found + len(answer.rows), hidden + answer.is_full
        yield answer.rows
    pull.expected_rows = found + hidden
    pull.until()


def _list(pull: Pull, path: str, **params: int) -> Iterator[list[Row]]:
    api, offset, last = _api(pull), 0, list[Any]()
    while True:
        asked = {**params, "limit": PAGE, "offset": offset}
        rows = [row for page in api.rows(path, by=in_one(), rows="$", params=asked) for row in page]
        if not rows or rows == last:
            return
        yield [{**row, "id": _hashed(row["email"])} for row in rows]
        offset, last = offset + len(rows), rows


def _api(pull: Pull) -> Api:
    return Api(pull, pull.options.base_url, auth=bearer(pull.secrets["SENDGRID_API_KEY"]))


def _hashed(email: str) -> str:
    """An id that is nobody's address: ids stand in logs and findings."""
    return hashlib.sha256(email.strip().lower().encode()).hexdigest()[:32]


def _iso(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S.000Z}"


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Suppressions, list by list, as consents; the feed as messages."""
    lists = [_consents(raw[name], pl.lit(name), "created", state) for name, state in GLOBAL.items()]
    groups = _consents(raw["group_unsubscribes"], pl.col("group_id"), "created_at", "unsubscribed")
    return {"consents": pl.concat([*lists, groups]), "messages": _messages(raw["activity"], options)}


def _consents(suppressed: pl.LazyFrame, name: pl.Expr, time_: str, state: str) -> pl.LazyFrame:
    return records(
        suppressed,
        {
            "record_id": spelled("{}:{}", name, "id"),
            "occurred_at": epoch_seconds(pl.col(time_)),
            "email": pl.col("email"),
            "keys": pl.lit([], TEXTS),
            "is_test": pl.lit(value=False),
            "state": state,
            "list_ref": spelled("sendgrid:{}", name),
        },
    )


def _messages(activity: pl.LazyFrame, options: Options) -> pl.LazyFrame:
    told = activity.with_columns(
        at=iso(pl.col("last_event_time")), template=named_by(pl.col("subject"), options.templates)
    )
    opens, clicks = (integer(pl.col(f"{act}_count")) > 0 for act in ("opens", "clicks"))
    return records(
        told,
        {
            "record_id": pl.col("msg_id"),
            "occurred_at": pl.col("at").min().over("msg_id"),
            "email": pl.col("to_email"),
            "keys": pl.lit([], TEXTS),
            "is_test": pl.lit(value=False),
            "channel": "email",
            "purpose": pl.coalesce(looked_up("template", options.purposes), pl.lit("other")),
            "template_ref": spelled("sendgrid:{}", "template"),
            "delivered_at": _first_said(pl.col("status") == "delivered"),
            "opened_at": _first_said(opens),
            "clicked_at": _first_said(clicks),
            "bounced_at": _first_said(pl.col("status") == "not_delivered"),
        },
    )


def _first_said(condition: pl.Expr) -> pl.Expr:
    return pl.col("at").filter(condition).min().over("msg_id")


def _scope(name: str) -> str:
    return f"suppression.{name}.read"


PLATFORM = Platform(
    name="sendgrid",
    title="SendGrid",
    resources=(
        *(
            Resource(name, "snapshot", _suppressed(name), ("id", "email", "created"), scope=_scope(name))
            for name in GLOBAL
        ),
        Resource(
            "group_unsubscribes", "snapshot", group_unsubscribes, ("id", "email", "group_id", "created_at"),
            scope="asm.groups.suppressions.read",
        ),
        Resource(
            "activity", "changes", activity,
            ("msg_id", "to_email", "subject", "status", "opens_count", "clicks_count", "last_event_time"),
            lag=timedelta(minutes=30), history=timedelta(days=30), scope="messages.read, and the Email Activity add-on",
        ),
    ),
    says={"consents": (*GLOBAL, "group_unsubscribes"), "messages": ("activity",)},
    read=read,
    options=Options,
    secrets=("SENDGRID_API_KEY",),
    spec="official",
    verified="Against a stateful fake and SendGrid's own OpenAPI description of 2024, never against a live account.",
)  # fmt: skip
