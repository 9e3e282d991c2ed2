"""Intercom: who asked for help in the messenger, by mail or with a ticket, when somebody answered, and when it was over.

Reads   /conversations/search, /tickets/search, /contacts/search (each a POST)
Says    tickets: one per conversation that a customer began or answered, and one per customer ticket (`ticket_…`)
Cursor  `updated_at`, five minutes back. Contacts are searched by day, of the workspace's own zone, and `>` means from the
        next day on: two days more are asked for, and what is older than an hour before the last load is left out.
Joins   the contact: e-mail, phone and name; `external_id` names the same person if it reads like `app:42`, see
        `known_as`. A conversation of a lead that was merged into a user is the user's: the merge history says so.
Needs   INTERCOM_TOKEN, the access token of an app of your own (Developer Hub > Your apps > Authentication) that may read
        conversations, tickets, and users and companies. Elsewhere than in the US: `base_url: https://api.eu.intercom.io`
        or `https://api.au.intercom.io`.
Assumes The topic stands in the tags, of a ticket in its type's name, or in the subject (`tags`, `subjects`). Times are
        seconds since 1970, whatever the description says. Resolved is when it was closed last. Of several contacts the
        first asked. A conversation that was turned into a ticket of its own is told as both. Deleted conversations
        stay: the search doesn't tell. 10,000 requests a minute are waited out.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import cases, translate
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, bearer, by_cursor_in_body

PER_PAGE = 150
OVERLAP = timedelta(minutes=5)
CONTACTS_OVERLAP = timedelta(hours=1)
WHOLE_DAYS = timedelta(days=2)
STATES = {"open": "open", "snoozed": "pending", "closed": "solved"}
TICKET_STATES = {
    "submitted": "open", "in_progress": "open", "waiting_on_customer": "pending", "resolved": "solved",
}  # fmt: skip
_PART = pl.Struct({
    "created_at": pl.Int64(),
    "part_type": pl.String(),
    "ticket_state": pl.String(),
    "previous_ticket_state": pl.String(),
    "author": pl.Struct({"type": pl.String()}),
})  # fmt: skip


class Options(cases.Options):
    """Options of Intercom."""

    base_url: str = "https://api.intercom.io"
    version: str = "2.16"
    """Of the API, sent as `Intercom-Version`."""
    known_as: str = ""
    """`app` where a contact's `external_id` is `42` and other platforms say `app:42`; empty: such ids name nobody there."""


def conversations(pull: Pull) -> Iterator[list[Row]]:
    yield from _search(pull, "conversations", "conversations", pull.since(OVERLAP), total="total_count")
    pull.until()


def tickets(pull: Pull) -> Iterator[list[Row]]:
    yield from _search(pull, "tickets", "tickets", pull.since(OVERLAP), total="total_count")
    pull.until()


def contacts(pull: Pull) -> Iterator[list[Row]]:
    since = pull.since(CONTACTS_OVERLAP)
    asked = since - WHOLE_DAYS if since else None
    for rows in _search(pull, "contacts", "data", asked, params={"include_merge_history": "true"}):
        yield [row for row in rows if since is None or row["updated_at"] >= since.timestamp()]
    pull.until()


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Raw conversations and tickets, of all versions, with their contacts as they are now."""
    who = _people(raw["contacts"], options)
    talks = raw["conversations"].filter(_is_case()).with_columns(author=_author())
    own = (
        raw["tickets"]
        .filter(pl.col("category").fill_null("Customer") == "Customer")
        .with_columns(author=pl.lit(None, pl.String))
    )
    said = []
    for frame, case in ((talks, _conversation(options)), (own, _ticket(options))):
        contact = translate.path("contacts", "$.contacts[0].id")
        asked = frame.with_columns(contact_id=contact).join(who, on="contact_id", how="left", validate="m:1")
        said.append(translate.records(asked, {**_asker(), **case}))
    return {"tickets": pl.concat(said)}


def _search(pull: Pull, what: str, rows: str, since: datetime | None, **asked: Any) -> Iterator[list[Row]]:
    headers = {"Intercom-Version": pull.options.version}
    api = Api(pull, pull.options.base_url, auth=bearer(pull.secrets["INTERCOM_TOKEN"]), headers=headers)
    body = {
        "query": {"field": "updated_at", "operator": ">", "value": int(since.timestamp()) if since else 0},
        "pagination": {"per_page": PER_PAGE},
    }
    by = by_cursor_in_body("pages.next.starting_after", "pagination.starting_after")
    return api.rows(f"/{what}/search", by=by, rows=rows, json=body, **asked)


def _people(contacts: pl.LazyFrame, options: Options) -> pl.LazyFrame:
    """Who stands behind a contact's id; behind that of a merged lead, the user that it became."""
    now = translate.newest(contacts, "id")
    merged = (
        now.select(contact_id=translate.objects("merge_history", "source_contact_id"), id=pl.col("id"))
        .explode("contact_id")
        .select(pl.col("contact_id").struct.field("source_contact_id").alias("contact_id"), "id")
    )
    itself = now.select(contact_id=pl.col("id"), id=pl.col("id"))
    became = pl.concat([merged.drop_nulls(), itself]).unique("contact_id", keep="first", maintain_order=True)
    known_as = pl.lit(options.known_as or None, pl.String)
    people = now.select(
        "id", "email", "phone", "name", "workspace_id",
        elsewhere=pl.coalesce(
            translate.ref(pl.col("external_id")), spelled("{}:{}", known_as, translate.filled(pl.col("external_id")))
        ),
    )  # fmt: skip
    return became.join(people, on="id", how="left", validate="m:1").rename({"id": "became"})


def _asker() -> dict[str, pl.Expr]:
    """What a conversation and a ticket have in common."""
    became = pl.when(pl.col("became") != pl.col("contact_id")).then("became")
    return {
        "occurred_at": translate.epoch_seconds(pl.col("created_at")),
        "email": pl.coalesce(translate.filled(pl.col("email")), "author"),
        "phone": translate.filled(pl.col("phone")),
        "name": translate.filled(pl.col("name")),
        "keys": pl.concat_list(
            spelled("intercom:{}", "contact_id"), spelled("intercom:{}", became), "elsewhere"
        ).list.drop_nulls(),
        "url": spelled("https://app.intercom.com/a/apps/{}/conversations/{}", "workspace_id", "id"),
        "is_test": pl.lit(value=False),
    }


def _is_case() -> pl.Expr:
    """What was sent to people and not answered is none."""
    began = translate.path("source", "$.delivered_as").fill_null("customer_initiated") == "customer_initiated"
    return began | translate.path("first_contact_reply", "$.created_at").is_not_null()


def _author() -> pl.Expr:
    is_customer = translate.path("source", "$.author.type").is_in(["user", "lead", "contact"])
    return pl.when(is_customer).then(translate.filled(translate.path("source", "$.author.email")))


def _conversation(options: Options) -> dict[str, pl.Expr]:
    status = pl.col("state").replace(STATES)
    closed_at = translate.epoch_seconds(translate.path("statistics", "$.last_close_at"))
    return {
        "record_id": pl.col("id"),
        "topic": cases.topic(options, pl.col("tags"), pl.coalesce("title", translate.path("source", "$.subject"))),
        "status": status,
        "priority": pl.when(~pl.col("priority").is_in(["not_priority", "none"])).then("priority"),
        "first_reply_at": translate.epoch_seconds(translate.path("statistics", "$.first_admin_reply_at")),
        "resolved_at": pl.when(status == "solved").then(closed_at),
        "satisfaction": translate.path("conversation_rating", "$.rating"),
    }


def _ticket(options: Options) -> dict[str, pl.Expr]:
    status = translate.path("ticket_state", "$.category").replace(TICKET_STATES)
    title = translate.path("ticket_attributes", "$._default_title_")
    return {
        "record_id": spelled("ticket_{}", "id"),
        "topic": cases.topic(options, pl.col("ticket_type").str.to_lowercase(), title),
        "status": status,
        "priority": pl.lit(None, pl.String),
        "first_reply_at": _first_reply(),
        "resolved_at": pl.when(status == "solved").then(_last_closing()),
        "satisfaction": pl.lit(None, pl.String),
    }


def _parts() -> pl.Expr:
    return translate.path("ticket_parts", "$.ticket_parts").str.json_decode(pl.List(_PART))


def _first_reply() -> pl.Expr:
    part = pl.element().struct.field
    is_reply = (part("part_type") == "comment") & (part("author").struct.field("type") == "admin")
    return _instant(_parts().list.eval(part("created_at").filter(is_reply)).list.min())


def _last_closing() -> pl.Expr:
    part = pl.element().struct.field
    is_closing = (part("ticket_state") == "resolved") & part("previous_ticket_state").is_not_null()
    return _instant(_parts().list.eval(part("created_at").filter(is_closing)).list.max())


def _instant(seconds: pl.Expr) -> pl.Expr:
    return translate.epoch_seconds(seconds.cast(pl.String))


PLATFORM = Platform(
    name="intercom",
    title="Intercom",
    resources=(
        Resource(
            "conversations",
            "changes",
            conversations,
            columns=(
                "id", "created_at", "title", "state", "priority", "tags", "source", "contacts", "statistics",
                "first_contact_reply", "conversation_rating",
            ),
            lag=timedelta(minutes=5),
            scope="Read conversations",
        ),
        Resource(
            "tickets",
            "changes",
            tickets,
            columns=(
                "id", "created_at", "category", "ticket_attributes", "ticket_state", "ticket_type", "ticket_parts",
                "contacts",
            ),
            lag=timedelta(minutes=5),
            scope="Read tickets",
        ),
        Resource(
            "contacts",
            "changes",
            contacts,
            columns=("id", "email", "phone", "name", "external_id", "workspace_id", "merge_history"),
            lag=timedelta(minutes=5),
            scope="Read users and companies (contacts)",
        ),
    ),
    says={"tickets": ("conversations", "tickets", "contacts")},
    read=read,
    options=Options,
    secrets=("INTERCOM_TOKEN",),
    spec="official",
    verified="Against a stateful fake and Intercom's OpenAPI description (2.16), never against a live workspace.",
)  # fmt: skip
