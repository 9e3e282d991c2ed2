"""Zendesk: who asked for help with what, when somebody answered, and when it was solved.

Reads   /api/v2/incremental/tickets/cursor with `include=metric_sets`, /api/v2/incremental/users/cursor
Says    tickets: one per ticket
Cursor  Zendesk's own, kept from load to load: it moves with every change, those of the system too, so nothing is
        read twice and nothing between two loads is lost. What changed within the last minute comes with the next
        load. Ten requests a minute: a thousand rows each, and 429s are waited out.
Joins   the requester, who gives e-mail, phone and name, and whose `external_id` names the same person if it reads
        like `app:42`.
Needs   ZENDESK_EMAIL and ZENDESK_API_TOKEN of an admin (only admins may export), and `subdomain` in journey.yaml.
Assumes The topic stands in the tags (values of drop-down fields are tags too) or in the subject, see `tags`, `subjects`.
        A deleted ticket is left out whole, as if never asked; one that is restored comes back.
        First reply = creation + calendar reply time of the metric set, to the second where Zendesk tells, else to the
        minute. Metric sets cost no request; ticket comments would cost one per ticket. They may stand
        in each ticket (`metric_set`) or beside the tickets (`metric_sets`): both are read.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import polars as pl

from journey_pipeline.errors import SourceError
from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import cases, translate
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, basic

PER_PAGE = 1000
SCOPE = "an API token of an admin"
STATUSES = {
    "new": "open", "open": "open", "pending": "pending", "hold": "pending", "solved": "solved", "closed": "solved",
}  # fmt: skip


class Options(cases.Options):
    """Options of Zendesk."""

    subdomain: str = ""
    """`northwind` of northwind.zendesk.com."""
    base_url: str = ""
    """Instead of `subdomain`, where the API has another host."""


def tickets(pull: Pull) -> Iterator[list[Row]]:
    for body in _export(pull, "tickets", include="metric_sets"):
        beside = {metrics["ticket_id"]: metrics for metrics in body.get("metric_sets") or ()}
        yield [{"metric_set": beside.get(ticket["id"]), **ticket} for ticket in body["tickets"]]


def users(pull: Pull) -> Iterator[list[Row]]:
    for body in _export(pull, "users"):
        yield list(body["users"])


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Raw tickets, of all versions, with their requesters as they are now."""
    requesters = translate.newest(raw["users"], "id").select("id", "email", "phone", "name", "external_id")
    kept = translate.newest(raw["tickets"], "id").filter(pl.col("status") != "deleted").select("id")
    asked = (
        raw["tickets"]
        .filter(pl.col("status") != "deleted")
        .join(kept, on="id", how="semi")
        .join(requesters, left_on="requester_id", right_on="id", how="left", validate="m:1")
    )
    created_at = translate.iso(pl.col("created_at"))
    status = pl.col("status").replace(STATUSES)
    solved_at = translate.iso(translate.path("metric_set", "$.solved_at"))
    score = translate.path("satisfaction_rating", "$.score")
    ticket = {
        "record_id": pl.col("id"),
        "occurred_at": created_at,
        "email": pl.col("email"),
        "phone": pl.col("phone"),
        # Zendesk wants a name and takes the address where it has none.
        "name": pl.when(pl.col("name") != "", pl.col("name").ne_missing(pl.col("email"))).then("name"),
        "keys": pl.concat_list(
            spelled("zendesk:{}", "requester_id"), translate.ref(pl.col("external_id"))
        ).list.drop_nulls(),
        "url": spelled("{}/agent/tickets/{}", pl.col("url").str.extract("^(https?://[^/]+)/api/"), "id"),
        "is_test": pl.lit(value=False),
        "topic": cases.topic(options, pl.col("tags"), pl.col("subject")),
        "status": status,
        "priority": pl.col("priority"),
        "first_reply_at": created_at + pl.duration(seconds=_reply_seconds()),
        # Zendesk keeps the time of an earlier solution when a case is opened again.
        "resolved_at": pl.when(status == "solved").then(solved_at),
        # `offered` and `unoffered` are no ratings.
        "satisfaction": pl.when(score.is_in(["good", "bad"])).then(score),
    }
    return {"tickets": translate.records(asked, ticket)}


def _export(pull: Pull, resource: str, **params: str) -> Iterator[dict[str, Any]]:
    """Page after page of what changed since the cursor; the last page says so, and has the cursor to go on from."""
    api = _api(pull)
    at: dict[str, Any] = pull.left or {"start_time": 0}
    while True:
        body = api.get(f"/api/v2/incremental/{resource}/cursor", params={**params, "per_page": PER_PAGE, **at})
        yield body
        reached = {"cursor": body["after_cursor"]} if body.get("after_cursor") else at
        if body.get("end_of_stream"):
            break
        if reached == at:
            sentence = "says that there is more, but its cursor stands still; the next run tries again."
            raise api.refused(sentence, is_transient=True)
        at = reached
    if "cursor" in reached:
        pull.leave(**reached)


def _api(pull: Pull) -> Api:
    host = pull.options.base_url or f"https://{pull.options.subdomain}.zendesk.com"
    if not (pull.options.base_url or pull.options.subdomain):
        sentence = "zendesk: no subdomain is set; add `subdomain: northwind` (of northwind.zendesk.com) to its options."
        raise SourceError(sentence, is_transient=False)
    user = f"{pull.secrets['ZENDESK_EMAIL']}/token"
    return Api(pull, host, auth=basic(user, pull.secrets["ZENDESK_API_TOKEN"]))


def _reply_seconds() -> pl.Expr:
    seconds = translate.integer(translate.path("metric_set", "$.reply_time_in_seconds.calendar"))
    minutes = translate.integer(translate.path("metric_set", "$.reply_time_in_minutes.calendar"))
    return pl.coalesce(seconds, minutes * 60)


PLATFORM = Platform(
    name="zendesk",
    title="Zendesk",
    resources=(
        Resource(
            "tickets",
            "changes",
            tickets,
            columns=(
                "id", "url", "status", "created_at", "requester_id", "tags", "subject", "priority",
                "satisfaction_rating", "metric_set",
            ),
            lag=timedelta(minutes=1),
            scope=SCOPE,
        ),
        Resource(
            "users",
            "changes",
            users,
            columns=("id", "email", "phone", "name", "external_id"),
            lag=timedelta(minutes=1),
            scope=SCOPE,
        ),
    ),
    says={"tickets": ("tickets", "users")},
    read=read,
    options=Options,
    secrets=("ZENDESK_EMAIL", "ZENDESK_API_TOKEN"),
    spec="third party",
    verified="Against a stateful fake and slices of Zendesk's OpenAPI description, never against a live account.",
)  # fmt: skip
