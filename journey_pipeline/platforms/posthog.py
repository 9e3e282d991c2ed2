"""PostHog: which visits a person made, from where, and who an anonymous visitor turned out to be.

Reads   /api/projects/{project}/query: HogQL over `sessions` and `person_distinct_ids`
Says    touchpoints: one per visit (a session), with the campaign, click id and page that it began with
Cursor  By the start of the visit, two days back: phones send late what they did offline. A month per query, pages by
        the visit's id (they are in order of time). Who is who is a full list of the identified: merges rewrite it.
Joins   `posthog:<distinct id>` and, once identified, `posthog:<person id>`, e-mail, phone and name of the person,
        also for visits made before. A distinct id like `app:42` names the same person; see `known_as`. A form that
        keeps the distinct id in a hidden field (`posthog:0190a…`) ties the lead to all visits.
Needs   POSTHOG_API_KEY, a personal API key (Settings > Personal API keys) with the scope Query: read, and `project`
        in journey.yaml. In the EU: `base_url: https://eu.posthog.com`.
Assumes Web sessions (version 2 of PostHog's table or newer); events without a session, as servers send them, are no
        visits. An identified person is one of `identify()`. Names are in the person properties `email`, `phone`,
        `name`. The first load goes two years back. The channel is PostHog's own channel type. A limit of 120 queries
        a minute is waited out. Visits of people whom PostHog has erased stay with us.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base, translate
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, bearer
from journey_pipeline.registry import TEXTS

PER_PAGE = 10_000
OVERLAP = timedelta(days=2)
HISTORY = timedelta(days=730)
WINDOW = timedelta(days=31)
SCOPE = "the personal API key's scope Query: read"
VISITS = """
select session_id, distinct_id, $start_timestamp as started_at, $channel_type as channel, $entry_current_url as url,
    $entry_referring_domain as referrer, $entry_utm_source as utm_source, $entry_utm_medium as utm_medium,
    $entry_utm_campaign as utm_campaign, $entry_utm_content as utm_content, $entry_gclid as gclid,
    $entry_fbclid as fbclid
from sessions
where $start_timestamp >= toDateTime({since}, 'UTC') and $start_timestamp < toDateTime({until}, 'UTC')
    and session_id > {after}
order by session_id
limit {limit}
"""
IDENTITIES = """
select distinct_id, person_id, person.properties.email as email, person.properties.phone as phone,
    person.properties.name as name
from person_distinct_ids
where person.is_identified and distinct_id > {after}
order by distinct_id
limit {limit}
"""
_UUID = "^[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}$"
_EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"


class Options(base.Options):
    """Options of PostHog."""

    base_url: str = "https://us.posthog.com"
    project: str = ""
    """The project's number, from Settings > Project."""
    known_as: str = ""
    """`app` where you call `identify("42")` and other platforms say `app:42`; empty: such ids name nobody elsewhere."""


def visits(pull: Pull) -> Iterator[list[Row]]:
    start, end = pull.since(OVERLAP) or pull.loaded_at - HISTORY, pull.loaded_at + timedelta(seconds=1)
    while start < end:
        until = min(start + WINDOW, end)
        yield from _select(pull, VISITS, "session_id", since=_second(start), until=_second(until))
        start = until
    pull.until()


def identities(pull: Pull) -> Iterator[list[Row]]:
    yield from _select(pull, IDENTITIES, "distinct_id")


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Raw visits, of all versions, with the people behind them as they are known now."""
    distinct_id = pl.col("distinct_id")
    known = translate.newest(raw["identities"], "distinct_id").select(
        "distinct_id", "person_id", "email", "phone", "name"
    )
    people = known.group_by("person_id").agg(
        refs=pl.coalesce(translate.ref(distinct_id), _elsewhere(options)).drop_nulls().unique().sort(),
        mailed=distinct_id.filter(distinct_id.str.contains(_EMAIL)).min(),
    )
    seen = (
        raw["visits"]
        .join(known, on="distinct_id", how="left", validate="m:1")
        .join(people, on="person_id", how="left", validate="m:1")
    )
    own = pl.when(~distinct_id.str.starts_with("$")).then(spelled("posthog:{}", "distinct_id"))  # `$…`: nobody's
    visit = {
        "record_id": pl.col("session_id"),
        "occurred_at": translate.iso(pl.col("started_at")),
        "email": pl.coalesce("email", "mailed"),
        "phone": pl.col("phone"),
        "name": pl.col("name"),
        "keys": pl.concat_list(own, spelled("posthog:{}", "person_id")).list.drop_nulls().list.concat(
            pl.col("refs").fill_null(pl.lit([], TEXTS))
        ),
        "channel": _said("channel").str.to_lowercase().str.replace_all(" ", "_", literal=True),
        "source": pl.coalesce(_said("utm_source"), pl.when(pl.col("referrer") != "$direct").then(_said("referrer"))),
        "medium": _said("utm_medium"),
        "campaign": _said("utm_campaign"),
        "content": _said("utm_content"),
        "click_id": pl.coalesce(_said("gclid"), _said("fbclid")),
        "page": _said("url").str.replace(r"[?#].*$", ""),
    }  # fmt: skip
    return {"touchpoints": translate.records(seen, visit)}


def _select(pull: Pull, query: str, by: str, **values: str) -> Iterator[list[Row]]:
    """Page after page of a query's rows, each page beginning `after` the last row's `by`."""
    api = Api(pull, pull.options.base_url, auth=bearer(pull.secrets["POSTHOG_API_KEY"]))
    if not pull.options.project:
        sentence = 'no project is set; add `project: "12345"` (Settings > Project) to the options of posthog.'
        raise api.refused(sentence)
    after = ""
    while True:
        asked: dict[str, Any] = {
            "kind": "HogQLQuery",
            "query": query,
            "values": {**values, "after": after, "limit": PER_PAGE},
        }
        # An answer kept from an earlier question of ours would lack what came since.
        body = {"query": asked, "refresh": "force_blocking"}
        answer = api.post(f"/api/projects/{pull.options.project}/query/", json=body)
        rows: list[Row] = [dict(zip(answer["columns"], row, strict=True)) for row in answer["results"]]
        yield rows
        if len(rows) < PER_PAGE:
            return
        after = rows[-1][by]


def _second(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _said(column: str) -> pl.Expr:
    return pl.when(pl.col(column) != "").then(pl.col(column))


def _elsewhere(options: Options) -> pl.Expr:
    """The id of a person's account, which is no device's id and no address."""
    is_account = ~pl.col("distinct_id").str.contains(f"{_UUID}|[@:/$\\s]")
    known_as = pl.lit(options.known_as or None, pl.String)
    return pl.when(is_account).then(spelled("{}:{}", known_as, "distinct_id"))


PLATFORM = Platform(
    name="posthog",
    title="PostHog",
    resources=(
        Resource(
            "visits",
            "changes",
            visits,
            columns=(
                "session_id", "distinct_id", "started_at", "channel", "url", "referrer", "utm_source", "utm_medium",
                "utm_campaign", "utm_content", "gclid", "fbclid",
            ),
            lag=timedelta(hours=1),
            history=HISTORY,
            scope=SCOPE,
        ),
        Resource(
            "identities",
            "snapshot",
            identities,
            columns=("distinct_id", "person_id", "email", "phone", "name"),
            lag=timedelta(hours=1),
            scope=SCOPE,
        ),
    ),
    says={"touchpoints": ("visits", "identities")},
    read=read,
    options=Options,
    secrets=("POSTHOG_API_KEY",),
    spec="documentation",
    verified="Against PostHog's documentation and the tables in its published source, and a fake that runs the queries "
    "on DuckDB, never against a live account.",
)  # fmt: skip
