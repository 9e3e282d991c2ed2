"""Freshdesk: who asked for help with what, when somebody answered, and when it was resolved.

Reads   /tickets with `include=stats,requester`, once more with `filter=deleted` and `filter=spam`, /contacts,
        /surveys/satisfaction_ratings
Says    tickets: one per ticket that a customer wrote or answered
Cursor  `updated_since`, five minutes back, oldest change first; each page begins where the last one ended instead of
        being counted. So none is lost when a ticket changes while we read, and no list is longer than the 300 pages
        that Freshdesk counts. Without `updated_since` it lists 30 days only.
Joins   the requester: e-mail, phone and name, `freshdesk:<contact id>`; the contact's `unique_external_id` names the same
        person if it reads like `app:42`, see `known_as`.
Needs   FRESHDESK_API_KEY of an agent who sees all tickets (Profile settings > View API key), and `subdomain`. The list
        of tickets may be asked 20 times a minute on the plan Growth, 100 on Pro: 429s are waited out.
Assumes The topic stands in the tags or the subject (`tags`, `subjects`). Statuses 6 and 7 are Freshdesk's own "waiting"
        ones; others that you have made need a line in `statuses`. Deleting, restoring and marking as spam count as
        changes; what is deleted or spam is left out whole. Tickets that Freshdesk has archived (closed for 120 days)
        are no longer listed, and stay as we know them.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

import polars as pl

from journey_pipeline.errors import SourceError
from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import cases, translate
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, basic, by_page, in_one

PER_PAGE = 100
MOST_PAGES = 300
OVERLAP = timedelta(minutes=5)
FIRST = datetime(2000, 1, 1, tzinfo=UTC)
STATUSES = {"2": "open", "3": "pending", "4": "solved", "5": "solved", "6": "pending", "7": "pending"}
PRIORITIES = {"1": "low", "2": "medium", "3": "high", "4": "urgent"}
OUTBOUND = "10"  # the source of a mail that an agent wrote first
RATINGS = {
    "103": "extremely happy", "102": "very happy", "101": "happy", "100": "neutral", "-101": "unhappy",
    "-102": "very unhappy", "-103": "extremely unhappy",
}  # fmt: skip


class Options(cases.Options):
    """Options of Freshdesk."""

    subdomain: str = ""
    """`northwind` of northwind.freshdesk.com."""
    base_url: str = ""
    """Instead of `subdomain`, where the API has another address."""
    statuses: Mapping[str, Literal["open", "pending", "solved"]] = {}
    """Number of a status of your own -> what it means."""
    known_as: str = ""
    """`app` where a contact's external id is `42` and other platforms say `app:42`; empty: such ids name nobody there."""
    ratings: bool = True
    """false: the plan has no satisfaction surveys."""


def tickets(pull: Pull) -> Iterator[list[Row]]:
    yield from _changed(pull, include="stats,requester")
    pull.until()


def removed(pull: Pull) -> Iterator[list[Row]]:
    for filter_ in ("deleted", "spam"):
        for rows in _changed(pull, filter=filter_):
            yield [{"id": row["id"], "updated_at": row["updated_at"]} for row in rows]
    pull.until()


def contacts(pull: Pull) -> Iterator[list[Row]]:
    yield from _listed(pull, "/contacts", "_updated_since")
    pull.until()


def ratings(pull: Pull) -> Iterator[list[Row]]:
    if not pull.options.ratings:
        return
    yield from _listed(pull, "/surveys/satisfaction_ratings", "created_since")
    pull.until()


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Raw tickets, of all versions, with their requesters' ids elsewhere and the ratings that they got."""
    changed_at = translate.iso(pl.col("updated_at"))
    removals = translate.newest(raw["removed"], "id").select("id", removed_at=changed_at)
    gone = (
        translate.newest(raw["tickets"], "id")
        .join(removals, on="id", how="inner", validate="1:1")
        .filter(pl.col("removed_at") >= changed_at)
    )
    last_rated = raw["ratings"].sort("created_at").unique("ticket_id", keep="last", maintain_order=True)
    rated = last_rated.select(
        id=pl.col("ticket_id"), rating=translate.path("ratings", "$.default_question").replace(RATINGS)
    )
    external_id = translate.filled(pl.col("unique_external_id"))
    known_as = pl.lit(options.known_as or None, pl.String)
    people = translate.newest(raw["contacts"], "id").select(
        requester_id=pl.col("id"),
        elsewhere=pl.coalesce(translate.ref(external_id), spelled("{}:{}", known_as, external_id)),
    )
    answered = translate.path("stats", "$.requester_responded_at").is_not_null()
    asked = (
        raw["tickets"]
        .filter(pl.col("source").ne_missing(OUTBOUND) | answered)
        .join(gone, on="id", how="anti")
        .join(rated, on="id", how="left", validate="m:1")
        .join(people, on="requester_id", how="left", validate="m:1")
    )
    status = pl.col("status").replace({**STATUSES, **options.statuses})
    over = pl.coalesce(translate.path("stats", "$.resolved_at"), translate.path("stats", "$.closed_at"))
    ticket = {
        "record_id": pl.col("id"),
        "occurred_at": translate.iso(pl.col("created_at")),
        "email": _requester("email"),
        "phone": pl.coalesce(_requester("mobile"), _requester("phone")),
        "name": _requester("name"),
        "keys": pl.concat_list(spelled("freshdesk:{}", "requester_id"), "elsewhere").list.drop_nulls(),
        "url": spelled("{}/a/tickets/{}", pl.lit(_site(options)), "id"),
        "is_test": pl.lit(value=False),
        "topic": cases.topic(options, pl.col("tags"), pl.col("subject")),
        "status": status,
        "priority": pl.col("priority").replace(PRIORITIES),
        "first_reply_at": translate.iso(translate.path("stats", "$.first_responded_at")),
        "resolved_at": pl.when(status == "solved").then(translate.iso(over)),
        "satisfaction": pl.col("rating"),
    }
    return {"tickets": translate.records(asked, ticket)}


def _changed(pull: Pull, **asked: str) -> Iterator[list[Row]]:
    """Tickets in the order in which they changed. The next page is asked for by the time that this one has reached."""
    api, since, page = _api(pull), pull.since(OVERLAP) or FIRST, 1
    while True:
        params = {**asked, "order_by": "updated_at", "order_type": "asc", "per_page": PER_PAGE}
        query = {**params, "updated_since": _second(since), "page": page}
        rows = next(api.rows("/tickets", by=in_one(), rows="$", params=query))
        yield rows
        if len(rows) < PER_PAGE:
            return
        # A second back, whether or not Freshdesk counts the one that it is given.
        reached = datetime.fromisoformat(rows[-1]["updated_at"]) - timedelta(seconds=1)
        since, page = (reached, 1) if reached > since else (since, page + 1)
        if page > MOST_PAGES:
            sentence = (
                f"more than {MOST_PAGES * PER_PAGE:,} tickets changed within a second, and Freshdesk lists no more."
            )
            raise api.refused(sentence)


def _listed(pull: Pull, path: str, param: str) -> Iterator[list[Row]]:
    params = {"per_page": PER_PAGE, param: _second(pull.since(OVERLAP) or FIRST)}
    return _api(pull).rows(path, by=by_page(), rows="$", params=params)


def _api(pull: Pull) -> Api:
    if not (pull.options.base_url or pull.options.subdomain):
        sentence = (
            "freshdesk: no subdomain is set; add `subdomain: northwind` (of northwind.freshdesk.com) to its options."
        )
        raise SourceError(sentence, is_transient=False)
    host = pull.options.base_url or f"{_site(pull.options)}/api/v2"
    return Api(pull, host, auth=basic(pull.secrets["FRESHDESK_API_KEY"], "X"))


def _site(options: Options) -> str:
    """The address that agents open."""
    own = f"https://{options.subdomain}.freshdesk.com"
    return own if options.subdomain else options.base_url.removesuffix("/api/v2")


def _requester(name: str) -> pl.Expr:
    return translate.filled(translate.path("requester", f"$.{name}"))


def _second(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


_SCOPE = "the API key of an agent who sees all tickets"
PLATFORM = Platform(
    name="freshdesk",
    title="Freshdesk",
    resources=(
        Resource(
            "tickets",
            "changes",
            tickets,
            columns=(
                "id", "created_at", "updated_at", "status", "priority", "source", "subject", "tags", "requester_id",
                "requester", "stats",
            ),
            lag=timedelta(minutes=5),
            scope=_SCOPE,
        ),
        Resource("removed", "changes", removed, columns=("id", "updated_at"), lag=timedelta(minutes=5), scope=_SCOPE),
        Resource(
            "contacts",
            "changes",
            contacts,
            columns=("id", "unique_external_id"),
            lag=timedelta(minutes=5),
            scope="the API key of an agent who may see contacts",
        ),
        Resource(
            "ratings",
            "changes",
            ratings,
            columns=("ticket_id", "ratings", "created_at"),
            lag=timedelta(minutes=5),
            scope="a plan with satisfaction surveys",
        ),
    ),
    says={"tickets": ("tickets", "removed", "contacts", "ratings")},
    read=read,
    options=Options,
    secrets=("FRESHDESK_API_KEY",),
    spec="third party",
    verified="Against a stateful fake and a third party's OpenAPI description, never against a live account.",
)  # fmt: skip
