"""Cal.com: who booked which call, when it is, and whether it was moved, called off or missed.

Reads   /v2/bookings, or those of an organisation or a team, in the shape of API version 2024-08-13
Says    bookings: one per booking, of an event with seats one per seat (`uid:seat`); touchpoints: one per booking that
        came with utm parameters
Cursor  `afterUpdatedAt`, an hour back, and beside it what was on in the last 14 days, whatever it says of changes: a
        missed call need not move `updatedAt`. In order of creation, not of change: pages are counted off, and a booking
        changed while we page would slip to the end and hide another. How many there are is stated, so a page lost on
        the way makes the load partial. As long as there are none at all, the next load begins at the beginning.
        120 requests a minute: 429s are waited out.
Joins   e-mail, phone and name of who booked (guests are left out); a metadata value or an answer like `stripe:cus_1`
        names the same person; company and utm parameters from answers, the latter also from metadata.
Needs   CALCOM_API_KEY (cal_…; Settings, Developer, API keys). A key sees its user's bookings; of all colleagues only
        with `organization` (an admin's key) or `team`.
Assumes Without `status` the list holds all of them. Nobody is known to have come, only who was marked absent, see
        `past`; where the host was, it stays `scheduled`. Pending is scheduled, rejected is cancelled. It was called off
        when it had last changed as we first saw it so. Money paid for a booking is not told here.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, bearer, by_offset
from journey_pipeline.platforms.translate import boolean, filled, iso, keys_in, path, records

VERSION = "2024-08-13"
PAGE = 100
OVERLAP, LATELY = timedelta(hours=1), timedelta(days=14)
UTM = {"source": "utm_source", "medium": "utm_medium", "campaign": "utm_campaign", "content": "utm_content"}


class Options(base.Options):
    """Options of Cal.com."""

    base_url: str = "https://api.cal.com"
    """Another one for an instance of your own, or in the EU."""
    app_url: str = "https://app.cal.com"
    """Where bookings open in the browser."""
    organization: int | None = None
    """Id of the organisation all of whose bookings are read."""
    team: int | None = None
    """Id of the team all of whose bookings are read."""
    past: Literal["scheduled", "completed"] = "scheduled"
    """What a booking is once it is over and nobody was marked absent: `completed` only where hosts mark everybody."""
    company_field: str = "company"
    """Identifier of the question whose answer is the company."""


def bookings(pull: Pull) -> Iterator[list[Row]]:
    key = bearer(pull.secrets["CALCOM_API_KEY"])
    api = Api(pull, pull.options.base_url, auth=key, headers={"cal-api-version": VERSION})
    last = pull.since()
    changed = {"afterUpdatedAt": _iso(last - OVERLAP)} if last else {}
    lately = {"afterStart": _iso(last - LATELY), "beforeEnd": _iso(pull.loaded_at)} if last else None
    for asked in [changed, lately] if lately else [changed]:
        by = by_offset(PAGE, offset_param="skip", limit_param="take", more="pagination.hasNextPage")
        params = {"sortCreated": "asc", **asked}
        for page in api.rows(_path(pull.options), by=by, rows="data", total="pagination.totalItems", params=params):
            yield [row for booking in page for row in _seats(booking)]
    if last or pull.expected_rows:
        pull.until()


def _path(options: Options) -> str:
    organization = f"/organizations/{options.organization}" if options.organization else ""
    team = f"/teams/{options.team}" if options.team else ""
    return f"/v2{organization}{team}/bookings"


def _seats(booking: Mapping[str, Any]) -> list[Row]:
    """One row per seat, or else per booking: with who booked it, none of the guests, and a seat's own answers."""
    guests = {str(guest).lower() for guest in booking.get("guests") or ()}
    attendees = [a for a in booking["attendees"] if str(a["email"]).lower() not in guests]
    seated = [a for a in attendees if a.get("seatUid")]
    about = {name: value for name, value in booking.items() if name not in ("attendees", "guests")}
    return [{**about, **_answers(booking, who or {}), "attendee": who} for who in seated or attendees[:1] or [None]]


def _answers(booking: Mapping[str, Any], attendee: Mapping[str, Any]) -> Row:
    both = ("bookingFieldsResponses", "metadata")
    return {name: {**(booking.get(name) or {}), **(attendee.get(name) or {})} for name in both}


def _iso(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Bookings, of all versions; where they came from as touchpoints, once for a chain of moved ones."""
    told = (
        raw["bookings"]
        .with_columns(seat=path("attendee", "$.seatUid"), changed_at=iso(pl.col("updated_at")))
        .with_columns(
            of_seat=pl.col("_loaded_at").max().over("uid", "seat"), of_booking=pl.col("_loaded_at").max().over("uid")
        )
        .filter(pl.col("attendee").is_not_null())
        .with_columns(status=_status(options))
    )
    first = told.filter(pl.col("rescheduled_from_uid").is_null())
    utm = {column: _given(name) for column, name in UTM.items()}
    is_off = pl.col("status").is_in(["cancelled", "rescheduled"])
    off_at = pl.col("changed_at").filter(is_off).min().over("uid", "seat")
    booking = {
        "starts_at": iso(pl.col("start")),
        "status": pl.col("status"),
        "host": pl.coalesce(path("hosts", "$[0].displayEmail"), path("hosts", "$[0].email")),
        "event_type": path("event_type", "$.slug"),
        "cancelled_at": pl.when(is_off).then(off_at),
    }
    return {
        "bookings": records(told, {**_who(options), **booking}),
        "touchpoints": records(
            first.filter(pl.any_horizontal(given.is_not_null() for given in utm.values())), {**_who(options), **utm}
        ),
    }


def _who(options: Options) -> dict[str, pl.Expr]:
    return {
        "record_id": pl.concat_str("uid", "seat", separator=":", ignore_nulls=True),
        "occurred_at": iso(pl.col("created_at")),
        "email": pl.coalesce(path("attendee", "$.displayEmail"), path("attendee", "$.email")),
        "phone": pl.coalesce(path("attendee", "$.phoneNumber"), _answer("attendeePhoneNumber")),
        "name": path("attendee", "$.name"),
        "company": _answer(options.company_field),
        "keys": pl.concat_list(keys_in("metadata"), keys_in("booking_fields_responses")),
        "url": spelled("{}/booking/{}", pl.lit(options.app_url), "uid"),
        "is_test": pl.lit(value=False),
    }


def _status(options: Options) -> pl.Expr:
    """A seat that the newest version of its booking no longer has was given up."""
    is_given_up = (pl.col("_loaded_at") == pl.col("of_seat")) & (pl.col("of_seat") < pl.col("of_booking"))
    is_over = iso(pl.col("end")) <= pl.col("_loaded_at")
    is_host_away = boolean(pl.col("absent_host")).fill_null(value=False)
    off, is_on = pl.col("status").is_in(["cancelled", "rejected"]), pl.col("status").is_in(["accepted", "pending"])
    return (
        pl.when(off & pl.col("rescheduled_to_uid").is_not_null()).then(pl.lit("rescheduled"))
        .when(off | (pl.col("seat").is_not_null() & is_given_up)).then(pl.lit("cancelled"))
        .when(~is_on).then("status")
        .when(boolean(path("attendee", "$.absent"))).then(pl.lit("no_show"))
        .when(is_over & ~is_host_away & (pl.col("status") == "accepted")).then(pl.lit(options.past))
        .otherwise(pl.lit("scheduled"))
    )  # fmt: skip


def _answer(field: str) -> pl.Expr:
    return filled(path("booking_fields_responses", f"$['{field}']"))


def _given(name: str) -> pl.Expr:
    return pl.coalesce(_answer(name), filled(path("metadata", f"$['{name}']")))


PLATFORM = Platform(
    name="calcom",
    title="Cal.com",
    resources=(
        Resource(
            "bookings", "changes", bookings,
            columns=(
                "uid", "status", "start", "end", "hosts", "event_type", "attendee", "absent_host", "created_at",
                "updated_at", "metadata", "booking_fields_responses", "rescheduled_from_uid", "rescheduled_to_uid",
            ),
            scope="BOOKING_READ (with `organization` ORG_BOOKING_READ and an admin's key, with `team` TEAM_BOOKING_READ)",
        ),
    ),
    says={"bookings": ("bookings",), "touchpoints": ("bookings",)},
    read=read,
    options=Options,
    secrets=("CALCOM_API_KEY",),
    spec="official",
    verified="Against a stateful fake and Cal.com's OpenAPI description of v2, never against a live account.",
)  # fmt: skip
