"""Calendly: who booked which call, when it is, and whether it was moved, called off or missed.

Reads   /users/me, /scheduled_events, /scheduled_events/{uuid}/invitees (event by event)
Says    bookings: one per invitee, so a moved booking is two: the old one is `rescheduled`; touchpoints: one per booking
        that came with utm parameters; payments (role `shop`): one per paid booking
Cursor  A rolling window on the start of the event, read whole each time: Calendly can't be asked what changed. It
        begins 30 days before the last load and has no end, so that bookings far ahead, and what becomes of them
        later, are told. The first load goes back a year. What is called off or marked later than 30 days after its
        start is not seen. One request per event in the window; 500 a minute on paid plans, 50 on the free one: 429s
        are waited out.
Money   major units as a number, with the currency beside it.
Joins   e-mail and name; the phone number left for reminders or for the call; `tracking.salesforce_uuid`, the one
        hidden field that a link can carry: a Salesforce id, or a value like `hubspot:101`, names the same person.
        `payment.external_id` is the charge at the processor: `stripe:ch_1` is the same sale.
Needs   CALENDLY_TOKEN, a personal access token with scheduled_events:read and users:read (Integrations, API and
        webhooks), of an owner or admin of the organisation; of anybody else with `of: user`.
Assumes Without `status` the list holds active and canceled events. Nobody is known to have come: Calendly knows only
        no-shows that somebody marked, see `past`. A booking deleted under data protection stays with us. The link
        opens the event in the list of its host.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, bearer, by_cursor
from journey_pipeline.platforms.translate import boolean, currency, filled, iso, major, objects, path, records, ref

PAGE = 100
HISTORY, LOOK_BACK = timedelta(days=365), timedelta(days=30)
UTM = {"source": "utm_source", "medium": "utm_medium", "campaign": "utm_campaign", "content": "utm_content"}


class Options(base.Options):
    """Options of Calendly."""

    base_url: str = "https://api.calendly.com"
    of: Literal["organization", "user"] = "organization"
    """Whose bookings: all of the organisation, or only those of the user whose token it is."""
    past: Literal["scheduled", "completed"] = "scheduled"
    """What a booking is once it is over and nobody marked a no-show: `completed` only where hosts mark every one."""
    phone_questions: tuple[str, ...] = ("Phone Number", "Phone")
    """Questions whose answer is the phone number, where none was left for reminders or for the call."""
    company_questions: tuple[str, ...] = ("Company",)
    """Questions whose answer is the company."""


def invitees(pull: Pull) -> Iterator[list[Row]]:
    api = Api(pull, pull.options.base_url, auth=bearer(pull.secrets["CALENDLY_TOKEN"]))
    since = pull.since(LOOK_BACK) or pull.loaded_at - HISTORY
    for events in _list(api, "/scheduled_events", sort="start_time:asc", min_start_time=_iso(since), **_of(api, pull)):
        for event in events:
            for page in _list(api, f"/scheduled_events/{event['uri'].rpartition('/')[2]}/invitees"):
                yield [{**invitee, "scheduled_event": event} for invitee in page]
    pull.until()


def _of(api: Api, pull: Pull) -> dict[str, str]:
    me = api.get("/users/me")["resource"]
    return {"organization": me["current_organization"]} if pull.options.of == "organization" else {"user": me["uri"]}


def _list(api: Api, path: str, **params: Any) -> Iterator[list[Row]]:
    by = by_cursor("pagination.next_page_token", "page_token")
    return api.rows(path, by=by, rows="collection", params={"count": PAGE, **params})


def _iso(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Invitees, of all versions, as bookings; the first of a chain of moved ones also as touchpoint and payment."""
    told = raw["invitees"].with_columns(
        id=_last(pl.col("uri")),
        event_id=_last(path("scheduled_event", "$.uri")),
        made_at=iso(pl.col("created_at")),
    )
    first = told.filter(pl.col("old_invitee").is_null())
    return {
        "bookings": records(told, {**_who(options), **_booking(options)}),
        "touchpoints": records(
            first.filter(pl.any_horizontal(_tracked(name).is_not_null() for name in UTM.values())),
            {**_who(options), **{column: _tracked(name) for column, name in UTM.items()}},
        ),
        "payments": records(
            first.filter(pl.col("payment").is_not_null()), {**_who(options), **_payment()}
        ),
    }  # fmt: skip


def _who(options: Options) -> dict[str, pl.Expr]:
    called = pl.when(path("scheduled_event", "$.location.type") == "outbound_call")
    salesforce = _tracked("salesforce_uuid")
    is_salesforce = salesforce.str.contains(r"^[a-zA-Z0-9]{15}([a-zA-Z0-9]{3})?$")
    elsewhere = pl.when(is_salesforce).then(spelled("salesforce:{}", salesforce)).otherwise(ref(salesforce))
    return {
        "record_id": pl.col("id"),
        "occurred_at": pl.col("made_at"),
        "email": pl.col("email"),
        "phone": pl.coalesce(
            "text_reminder_number",
            called.then(path("scheduled_event", "$.location.location")),
            _answer(options.phone_questions),
        ),
        "name": pl.col("name"),
        "company": _answer(options.company_questions),
        "keys": pl.concat_list(elsewhere).list.drop_nulls(),
        "url": spelled("https://calendly.com/app/scheduled_events/user/me?uuid={}", "event_id"),
        "is_test": pl.lit(value=False),
    }


def _booking(options: Options) -> dict[str, pl.Expr]:
    is_off = (pl.col("status") == "canceled") | (path("scheduled_event", "$.status") == "canceled")
    is_over = iso(path("scheduled_event", "$.end_time")) <= pl.col("_loaded_at")
    off_at = pl.coalesce(path("cancellation", "$.created_at"), path("scheduled_event", "$.cancellation.created_at"))
    return {
        "starts_at": iso(path("scheduled_event", "$.start_time")),
        "status": pl.when(boolean(pl.col("rescheduled")) & is_off).then(pl.lit("rescheduled"))
        .when(is_off).then(pl.lit("cancelled"))
        .when(pl.col("no_show").is_not_null()).then(pl.lit("no_show"))
        .when(pl.col("status") != "active").then("status")
        .when(is_over).then(pl.lit(options.past))
        .otherwise(pl.lit("scheduled")),
        "host": pl.coalesce(_host("user_email"), _host("user_name")),
        "event_type": path("scheduled_event", "$.name"),
        "cancelled_at": pl.when(is_off).then(pl.coalesce(iso(off_at), iso(pl.col("updated_at")))),
    }  # fmt: skip


def _payment() -> dict[str, pl.Expr | str]:
    external, provider = path("payment", "$.external_id"), path("payment", "$.provider")
    is_paid, money = boolean(path("payment", "$.successful")), currency(path("payment", "$.currency"))
    return {
        "role": "shop",
        "same_as": pl.concat_list(spelled("{}:{}", provider, external)).list.drop_nulls(),
        "status": pl.when(is_paid).then(pl.lit("succeeded")).when(~is_paid).then(pl.lit("failed")),
        "amount_minor": major(path("payment", "$.amount"), money),
        "currency": money,
        "product_ref": spelled("calendly:{}", _last(path("scheduled_event", "$.event_type"))),
        "method": provider,
    }


def _last(uri: pl.Expr) -> pl.Expr:
    return uri.str.extract(r"([^/]+)$")


def _tracked(name: str) -> pl.Expr:
    return filled(path("tracking", f"$.{name}"))


def _host(field: str) -> pl.Expr:
    return path("scheduled_event", f"$.event_memberships[0].{field}")


def _answer(questions: tuple[str, ...]) -> pl.Expr:
    """The answer to the first of the questions that was asked."""
    asked = pl.element().struct.field("question").is_in(list(questions))
    return objects("questions_and_answers", "question", "answer").list.eval(
        pl.element().struct.field("answer").filter(asked)
    ).list.first()  # fmt: skip


PLATFORM = Platform(
    name="calendly",
    title="Calendly",
    resources=(
        Resource(
            "invitees", "changes", invitees,
            columns=(
                "uri", "email", "name", "status", "text_reminder_number", "rescheduled", "old_invitee", "no_show",
                "cancellation", "payment", "questions_and_answers", "tracking", "created_at", "updated_at",
                "scheduled_event",
            ),
            history=HISTORY,
            scope="scheduled_events:read and users:read, as an owner or admin of the organisation",
        ),
    ),
    says={"bookings": ("invitees",), "touchpoints": ("invitees",), "payments": ("invitees",)},
    read=read,
    options=Options,
    secrets=("CALENDLY_TOKEN",),
    spec="third party",
    verified="Against a stateful fake and a third party's OpenAPI description, never against a live account.",
)  # fmt: skip
