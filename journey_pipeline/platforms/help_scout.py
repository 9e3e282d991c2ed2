"""Help Scout: who wrote to support, when somebody answered, and when it was over.

Reads   /v2/conversations with `embed=threads`, /v2/reports/happiness/ratings (only with `ratings: true`)
Says    tickets: one per conversation that a customer began or answered
Cursor  `modifiedSince`, five minutes back, all statuses (without being asked Help Scout lists active ones only), in the
        order of creation: no conversation then moves to another page while we read. Ratings 30 days back.
Joins   the primary customer: e-mail and name, and `help_scout:<customer id>`. The list has no phone.
Needs   HELP_SCOUT_APP_ID and HELP_SCOUT_APP_SECRET of an app of your own (Your profile > My apps), made by a user who sees
        all inboxes. Ratings: plan Plus or Pro.
Assumes The topic stands in the tags or the subject (`tags`, `subjects`). First reply is the first published message of a
        user. Spam, drafts and what was deleted are left out whole; a conversation deleted for ever stays with us. Of
        threads we keep who wrote when, not what. Customers merged since are known when the conversation next changes.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import cases, translate
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, by_page, granted

OVERLAP = timedelta(minutes=5)
RATED_LATE = timedelta(days=30)
FIRST_RATINGS = datetime(2011, 1, 1, tzinfo=UTC)  # there was no Help Scout before
STATUSES = {"active": "open", "open": "open", "pending": "pending", "closed": "solved"}
REPLIES = ("message", "reply", "chat", "phone")
RATINGS = {"1": "great", "2": "okay", "3": "not good"}


class Options(cases.Options):
    """Options of Help Scout."""

    base_url: str = "https://api.helpscout.net/v2"
    ratings: bool = False
    """true: read how customers rated the answers."""


def conversations(pull: Pull) -> Iterator[list[Row]]:
    since = pull.since(OVERLAP)
    asked = {"status": "all", "embed": "threads", "sortField": "createdAt", "sortOrder": "asc"}
    if since:
        asked["modifiedSince"] = _second(since)
    pages = _api(pull).rows(
        "/conversations",
        by=by_page(pages="page.totalPages"),
        rows="_embedded.conversations",
        total="page.totalElements",
        params=asked,
    )
    for rows in pages:
        yield [_conversation(row) for row in rows]
    pull.until()


def ratings(pull: Pull) -> Iterator[list[Row]]:
    if not pull.options.ratings:
        return
    start = pull.since(RATED_LATE) or FIRST_RATINGS
    asked = {"start": _second(start), "end": _second(pull.loaded_at), "rating": "all"}
    yield from _api(pull).rows("/reports/happiness/ratings", by=by_page(pages="pages"), rows="results", params=asked)
    pull.until()


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Raw conversations, of all versions, with the ratings that they got."""
    is_real = pl.col("status").ne_missing("spam") & pl.col("state").fill_null("published").eq("published")
    kept = translate.newest(raw["conversations"], "id").filter(is_real).select("id")
    rated = translate.newest(raw["ratings"], "id").select("id", rating=pl.col("rating_id").replace(RATINGS))
    wrote = pl.element().struct.field
    threads = translate.objects("thread_list", "type", "state", "by", "at").fill_null([])
    is_reply = (wrote("by") == "user") & wrote("type").is_in(REPLIES) & (wrote("state") == "published")
    began = translate.path("created_by", "$.type").eq_missing("customer")
    asked = (
        raw["conversations"]
        .filter(is_real, began | threads.list.eval(wrote("type") == "customer").list.any())
        .join(kept, on="id", how="semi")
        .join(rated, on="id", how="left", validate="m:1")
    )
    names = [translate.filled(translate.path("primary_customer", f"$.{part}")) for part in ("first", "last")]
    status = pl.col("status").replace(STATUSES)
    ticket = {
        "record_id": pl.col("id"),
        "occurred_at": translate.iso(pl.col("created_at")),
        "email": translate.filled(translate.path("primary_customer", "$.email")),
        "name": translate.filled(pl.concat_str(names, separator=" ", ignore_nulls=True)),
        "keys": pl.concat_list(spelled("help_scout:{}", translate.path("primary_customer", "$.id"))).list.drop_nulls(),
        "url": pl.col("web"),
        "is_test": pl.lit(value=False),
        "topic": cases.topic(options, pl.col("tags"), pl.col("subject")),
        "status": status,
        "first_reply_at": translate.iso(threads.list.eval(wrote("at").filter(is_reply)).list.min()),
        "resolved_at": pl.when(status == "solved").then(translate.iso(pl.col("closed_at"))),
        "satisfaction": pl.col("rating"),
    }
    return {"tickets": translate.records(asked, ticket)}


def _api(pull: Pull) -> Api:
    form = {
        "grant_type": "client_credentials",
        "client_id": pull.secrets["HELP_SCOUT_APP_ID"],
        "client_secret": pull.secrets["HELP_SCOUT_APP_SECRET"],
    }
    bare = Api(pull, pull.options.base_url)
    return Api(pull, pull.options.base_url, auth=granted(lambda: bare.post("/oauth2/token", form=form)))


def _conversation(row: Mapping[str, Any]) -> Row:
    """A conversation whose threads say who wrote when."""
    told = [
        {"type": t["type"], "state": t.get("state"), "by": (t.get("createdBy") or {}).get("type"), "at": t["createdAt"]}
        for t in row.get("_embedded", {}).get("threads", ())
    ]
    own = {name: value for name, value in row.items() if name not in ("_embedded", "_links", "preview")}
    return {**own, "thread_list": told, "web": row["_links"].get("web", {}).get("href")}


def _second(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


PLATFORM = Platform(
    name="help_scout",
    title="Help Scout",
    resources=(
        Resource(
            "conversations",
            "changes",
            conversations,
            columns=(
                "id", "status", "state", "subject", "created_at", "closed_at", "created_by", "primary_customer", "tags",
                "thread_list", "web",
            ),
            lag=timedelta(minutes=5),
            scope="an app made by a user who sees all inboxes",
        ),
        Resource(
            "ratings",
            "changes",
            ratings,
            columns=("id", "rating_id"),
            lag=timedelta(hours=1),
            scope="reports, on plan Plus or Pro",
        ),
    ),
    says={"tickets": ("conversations", "ratings")},
    read=read,
    options=Options,
    secrets=("HELP_SCOUT_APP_ID", "HELP_SCOUT_APP_SECRET"),
    spec="documentation",
    verified="Against a stateful fake written from Help Scout's documentation, never against a live account.",
)  # fmt: skip
