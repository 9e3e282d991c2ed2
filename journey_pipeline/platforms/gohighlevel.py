"""HighLevel (GoHighLevel): the contacts of a location, what they filled in, booked and paid, and the deals made with them.

Reads   POST /contacts/search, /opportunities/search, /opportunities/pipelines, /opportunities/lost-reason, /calendars/,
        /calendars/events (calendar by calendar), /payments/transactions, /forms/submissions, /forms/,
        /locations/{id}/customFields, /users/
Says    contacts; deals: one per opportunity; bookings: one per appointment; payments (role `shop`): one per transaction;
        leads: one per form submission
Cursor  None for contacts and opportunities: HighLevel tells neither deletions nor merges, so each load reads them whole
        and what is missing is gone. Transactions by day of creation, 90 days back for refunds; submissions by day, two
        days back; appointments by when they start, from 30 days ago (first load: a year) to a year ahead.
Money   numbers. Whether a transaction of 49 means 49.00 or 0.49 the description doesn't say: see `payment_unit`, and
        compare one sale before you trust it. Deals are in major units and bear no currency: see `currency`.
Joins   contactId, and the mergedFromContactId of a transaction; custom fields named by `key_fields`, and hidden fields
        of forms, with values like `stripe:cus_1`; e-mail and phone; utm_* and product_ref from a form's fields, else
        from its page's address. A charge made through Stripe (`ch_…`, also inside the snapshot) names Stripe's payment.
Needs   GOHIGHLEVEL_TOKEN, a private integration token of the sub-account (Settings > Private Integrations) with the
        scopes that each resource names, and `location`, the sub-account's id.
Assumes Each contact found bears `searchAfter`, where the next page begins, as the search's guide has it; a list whose
        page states more rows than came is partial. `invalid` appointments count as cancelled. A cancelled one was so
        at its last change. What sold is the funnel, form or link of a transaction, not the product. A transaction or
        submission deleted in HighLevel stays with us. 100 requests in 10 seconds: 429s are waited out.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

import polars as pl

from journey_pipeline.errors import SourceError
from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base, translate
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, bearer, by_cursor, by_cursor_in_body, by_offset
from journey_pipeline.platforms.translate import filled, iso, newest, path, records

VERSION, OF_CALENDARS = "2021-07-28", "2021-04-15"
CONTACTS_PAGE, PAGE, FORMS_PAGE = 500, 100, 50
PAYMENTS_LOOK_BACK, FORMS_LOOK_BACK = timedelta(days=90), timedelta(days=2)
MEETINGS_LOOK_BACK, MEETINGS_HISTORY, MEETINGS_AHEAD = timedelta(days=30), timedelta(days=365), timedelta(days=365)
BEGINNING = "2010-01-01"
"""Before the vendor was there; without a start only the last month's submissions are listed."""
MEETINGS = {
    "new": "scheduled", "confirmed": "scheduled", "active": "scheduled", "showed": "completed",
    "completed": "completed", "noshow": "no_show", "cancelled": "cancelled", "invalid": "cancelled",
}  # fmt: skip
PAYMENTS = {"paid": "succeeded", "refunded": "succeeded", "partially_refunded": "succeeded", "authorized": "authorised"}
NO_KEYS = "utm_.*|product_ref"


class Options(base.Options):
    """Options of HighLevel."""

    base_url: str = "https://services.leadconnectorhq.com"
    app_url: str = "https://app.gohighlevel.com"
    """Where your team logs in; agencies have addresses of their own."""
    location: str = ""
    """The sub-account's id, from Settings > Business Profile."""
    currency: str | None = None
    """Of the deals; None: they are told without amounts."""
    payment_unit: Literal["major", "minor"] = "major"
    """Whether amounts of transactions are dollars (`49.5`) or cents (`4950`)."""
    key_fields: tuple[str, ...] = ("external_id",)
    """Custom fields of contacts that name the same person elsewhere, as `platform:id`: by name, key or id."""
    product_field: str = "product_ref"
    """Custom field of opportunities that names what is sold, as `platform:id`."""


def contacts(pull: Pull) -> Iterator[list[Row]]:
    asked = {"pageLimit": CONTACTS_PAGE, "sort": [{"field": "dateAdded", "direction": "asc"}]}
    paged = by_cursor_in_body("contacts[-1].searchAfter", "searchAfter", until_empty=True)
    found = _api(pull).pages("/contacts/search", by=paged, rows="contacts", json={**_where(pull), **asked})
    for rows, body in found:
        pull.expected_rows = pull.expected_rows or body.get("total")
        yield list(rows)


def opportunities(pull: Pull) -> Iterator[list[Row]]:
    api, after = _api(pull), dict[str, Any]()
    while True:
        params = {"location_id": pull.options.location, "status": "all", "limit": PAGE, **after}
        body = api.get("/opportunities/search", params=params)
        meta = body.get("meta") or {}
        yield body["opportunities"]
        pull.expected_rows = pull.expected_rows or meta.get("total")
        reached = {name: meta.get(name) for name in ("startAfter", "startAfterId")}
        if not body["opportunities"] or None in reached.values() or reached == after:
            return
        after = reached


def appointments(pull: Pull) -> Iterator[list[Row]]:
    api, since = _api(pull, OF_CALENDARS), pull.since(MEETINGS_LOOK_BACK) or pull.loaded_at - MEETINGS_HISTORY
    window = {"startTime": _millis(since), "endTime": _millis(pull.loaded_at + MEETINGS_AHEAD)}
    for calendar in api.get("/calendars/", params=_where(pull))["calendars"]:
        yield api.get("/calendars/events", params={**_where(pull), **window, "calendarId": calendar["id"]})["events"]
    pull.until()


def transactions(pull: Pull) -> Iterator[list[Row]]:
    last, of = pull.since(PAYMENTS_LOOK_BACK), {"altId": pull.options.location, "altType": "location"}
    days = {"startAt": _day(last), "endAt": _day(pull.loaded_at + timedelta(days=1))} if last else {}
    paged = by_offset(PAGE, total="totalCount")
    asked = {**of, **days}
    yield from _api(pull).rows("/payments/transactions", by=paged, rows="data", total="totalCount", params=asked)
    pull.until()


def submissions(pull: Pull) -> Iterator[list[Row]]:
    last, until = pull.since(FORMS_LOOK_BACK), _day(pull.loaded_at + timedelta(days=1))
    days = {"startAt": _day(last) if last else BEGINNING, "endAt": until, "limit": PAGE}
    paged = by_cursor("meta.nextPage", "page")
    asked = {**_where(pull), **days}
    yield from _api(pull).rows("/forms/submissions", by=paged, rows="submissions", total="meta.total", params=asked)
    pull.until()


def forms(pull: Pull) -> Iterator[list[Row]]:
    paged = by_offset(FORMS_PAGE, offset_param="skip", total="total")
    yield from _api(pull).rows("/forms/", by=paged, rows="forms", params=_where(pull))


def lost_reasons(pull: Pull) -> Iterator[list[Row]]:
    paged = by_offset(PAGE, offset_param="skip")
    yield from _api(pull).rows("/opportunities/lost-reason", by=paged, rows="lostReasons", params=_where(pull))


def custom_fields(pull: Pull) -> Iterator[list[Row]]:
    yield _api(pull).get(f"/locations/{pull.options.location}/customFields", params={"model": "all"})["customFields"]


def _whole(path: str, name: str, version: str = VERSION) -> Callable[[Pull], Iterator[list[Row]]]:
    return lambda pull: iter([_api(pull, version).get(path, params=_where(pull))[name]])


def _where(pull: Pull) -> dict[str, Any]:
    return {"locationId": pull.options.location}


def _api(pull: Pull, version: str = VERSION) -> Api:
    if not pull.options.location:
        sentence = f"{pull.what}: no location is set; add `location: <id of the sub-account>` to its options."
        raise SourceError(sentence, is_transient=False)
    headers = {"Version": version}
    return Api(pull, pull.options.base_url, auth=bearer(pull.secrets["GOHIGHLEVEL_TOKEN"]), headers=headers)


def _millis(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def _day(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%d")


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Everything beside the contact that it belongs to, as that is now."""
    owners = newest(raw["users"], "id").select(assigned_to="id", owner="email")
    people = raw["contacts"].with_columns(
        known_email="email", known_phone="phone", known_name=_name(), known_company="company_name"
    )
    known = newest(people, "id").select(pl.col("id").alias("contact_id"), pl.col("^known_.*$"))
    return {
        "contacts": _contacts(people.join(owners, on="assigned_to", how="left", validate="m:1"), raw, options),
        "deals": _deals(raw, known, owners, options),
        "bookings": _bookings(raw, known, owners, options),
        "payments": _payments(raw, known, options),
        "leads": _leads(raw, known, options),
    }


def _contacts(people: pl.LazyFrame, raw: Raw, options: Options) -> pl.LazyFrame:
    for name in options.key_fields:
        people = _with_field(people, raw, name)
    # Plain texts in some accounts, objects in others.
    further = pl.col("additional_emails").str.extract_all(r'[^"\s,\[\]{}:]+@[^"\s,\[\]{}:]+')
    contact = {
        **_person("id", options),
        "record_id": pl.col("id"),
        "occurred_at": iso(pl.col("date_added")),
        "keys": pl.concat_list(
            spelled("gohighlevel:{}", "id"),
            further.list.eval(spelled("email:{}", pl.element())).fill_null([]),
            *(translate.refs(_field("custom_fields", name, "value")) for name in options.key_fields),
        ),
        "updated_at": pl.coalesce(iso(pl.col("date_updated")), iso(pl.col("date_added"))),
        "owner": pl.coalesce("owner", "assigned_to"),
        "lifecycle_stage": filled(pl.col("type")),
        "source": pl.coalesce(filled(path("attributions", "$[0].utmSource")), filled(pl.col("source"))),
        "campaign": pl.coalesce(filled(path("attributions", f"$[0].{name}")) for name in ("utmCampaign", "campaign")),
        "merged_into": None,
        "is_deleted": pl.lit(value=False),
    }
    return records(people, contact)


def _deals(raw: Raw, known: pl.LazyFrame, owners: pl.LazyFrame, options: Options) -> pl.LazyFrame:
    stages = newest(raw["pipelines"], "id").select(
        pipeline_id="id", pipeline="name", stage=translate.objects("stages", "id", "name")
    )
    pipelines = stages.select("pipeline_id", "pipeline")
    named = stages.explode("stage").select(
        pipeline_stage_id=pl.col("stage").struct.field("id"), stage=pl.col("stage").struct.field("name")
    )
    named = named.filter(pl.col("pipeline_stage_id").is_not_null()).unique("pipeline_stage_id")
    reasons = newest(raw["lost_reasons"], "id").select(lost_reason_id="id", lost_reason="name")
    told = (
        _with_field(raw["opportunities"], raw, options.product_field)
        .join(known, on="contact_id", how="left", validate="m:1")
        .join(owners, on="assigned_to", how="left", validate="m:1")
        .join(pipelines, on="pipeline_id", how="left", validate="m:1")
        .join(named, on="pipeline_stage_id", how="left", validate="m:1")
        .join(reasons, on="lost_reason_id", how="left", validate="m:1")
    )
    closed_at = pl.coalesce(iso(pl.col("last_status_change_at")), iso(pl.col("updated_at")))
    money = pl.lit(options.currency, pl.String)
    embedded = {"email": "email", "phone": "phone", "name": "name", "company": "companyName"}
    who = {name: path("contact", f"$.{theirs}") for name, theirs in embedded.items()}
    deal = {
        **_person("contact_id", options, **who),
        "record_id": pl.col("id"),
        "occurred_at": iso(pl.col("created_at")),
        "pipeline": pl.coalesce("pipeline", "pipeline_id"),
        "stage": pl.coalesce("stage", "pipeline_stage_id"),
        "amount_minor": pl.when(money.is_not_null()).then(translate.major(pl.col("monetary_value"), money)),
        "currency": money,
        "owner": pl.coalesce("owner", "assigned_to"),
        "product_ref": translate.ref(
            pl.coalesce(
                _field("custom_fields", options.product_field, part) for part in ("fieldValue", "fieldValueString")
            )
        ),
        "won_at": pl.when(pl.col("status") == "won").then(closed_at),
        "lost_at": pl.when(pl.col("status").is_in(["lost", "abandoned"])).then(closed_at),
        "lost_reason": pl.coalesce("lost_reason", pl.when(pl.col("status") == "abandoned").then(pl.lit("abandoned"))),
    }
    return records(told, deal)


def _bookings(raw: Raw, known: pl.LazyFrame, owners: pl.LazyFrame, options: Options) -> pl.LazyFrame:
    named = newest(raw["calendars"], "id").select(calendar_id="id", calendar="name")
    told = (
        raw["appointments"]
        .join(known, on="contact_id", how="left", validate="m:1")
        .join(named, on="calendar_id", how="left", validate="m:1")
        .join(owners, left_on="assigned_user_id", right_on="assigned_to", how="left", validate="m:1")
    )
    status = pl.col("appointment_status").replace(MEETINGS)
    booking = {
        **_person("contact_id", options),
        "record_id": pl.col("id"),
        "occurred_at": iso(pl.col("date_added")),
        "starts_at": iso(pl.col("start_time")),
        "status": status,
        "host": pl.coalesce("owner", filled(pl.col("assigned_user_id"))),
        "event_type": pl.coalesce("calendar", "calendar_id"),
        "cancelled_at": pl.when(status == "cancelled").then(iso(pl.col("date_updated"))),
    }
    return records(told, booking)


def _payments(raw: Raw, known: pl.LazyFrame, options: Options) -> pl.LazyFrame:
    told = raw["transactions"].join(known, on="contact_id", how="left", validate="m:1")
    money, status = translate.currency(pl.col("currency")), pl.col("status").str.to_lowercase()
    amount, part = (_minor(column, money, options) for column in ("amount", "amount_refunded"))
    refunded = pl.when(status == "refunded", part.fill_null(0) == 0).then(amount).otherwise(part)
    provider = pl.col("payment_provider_type").str.to_lowercase()
    # Stripe tells of a sale as a charge; what HighLevel keeps may be the invoice or the intent around it.
    around = [path("charge_snapshot", f"$.{name}") for name in ("id", "charge", "latest_charge")]
    charge = pl.coalesce(each.str.extract(r"^((?:ch|py)_\w+)$") for each in (pl.col("charge_id"), *around))
    elsewhere = pl.when(provider == "stripe").then(charge).otherwise(filled(pl.col("charge_id")))
    payment = {
        **_person("contact_id", options, email=pl.col("contact_email"), name=pl.col("contact_name")),
        "record_id": pl.col("_id"),
        "occurred_at": pl.coalesce(iso(pl.col("fulfilled_at")), iso(pl.col("created_at"))),
        "keys": _keys("contact_id", "merged_from_contact_id"),
        "is_test": ~translate.boolean(pl.col("live_mode")).fill_null(value=True),
        "role": pl.lit("shop"),
        "same_as": pl.concat_list(spelled("{}:{}", provider, elsewhere)).list.drop_nulls(),
        "status": status.replace(PAYMENTS),
        "amount_minor": amount,
        "currency": money,
        "product_ref": spelled("gohighlevel:{}", filled(pl.col("entity_source_id"))),
        "subscription_ref": spelled("{}:{}", provider, filled(pl.col("subscription_id"))),
        "method": pl.col("payment_method").str.extract(r'^\{"(\w+)"'),
        "refunded_minor": refunded.fill_null(0),
        "refunded_at": pl.when(refunded > 0).then(iso(pl.col("updated_at"))),
    }
    return records(told, payment)


def _leads(raw: Raw, known: pl.LazyFrame, options: Options) -> pl.LazyFrame:
    titles = newest(raw["forms"], "id").select(form_id="id", form="name")
    told = (
        raw["submissions"]
        .join(known, on="contact_id", how="left", validate="m:1")
        .join(titles, on="form_id", how="left", validate="m:1")
    )
    address = path("others", "$.eventData.page.url")

    def said(name: str) -> pl.Expr:
        return pl.coalesce(filled(path("others", f"$['{name}']")), translate.in_address(address, name))

    lead = {
        **_person("contact_id", options, email=pl.col("email"), phone=path("others", "$.phone"), name=pl.col("name")),
        "record_id": pl.col("id"),
        "occurred_at": iso(pl.col("created_at")),
        "keys": _keys("contact_id").list.concat(translate.keys_in("others", but=NO_KEYS)),
        "form": pl.coalesce("form", "form_id"),
        "source": said("utm_source"),
        "medium": said("utm_medium"),
        "campaign": said("utm_campaign"),
        "product_ref": translate.ref(said("product_ref")),
    }
    return records(told, lead)


def _person(contact_id: str, options: Options, **own: pl.Expr) -> dict[str, pl.Expr]:
    """The envelope of whatever belongs to a contact: what the thing says of the person itself, else what is known."""
    page = pl.lit(f"{options.app_url}/v2/location/{options.location}/contacts/detail")
    return {
        **{name: pl.col(f"known_{name}") for name in ("email", "phone", "name", "company")},
        **{name: pl.coalesce(filled(said), f"known_{name}") for name, said in own.items()},
        "keys": _keys(contact_id),
        "url": spelled("{}/{}", page, filled(pl.col(contact_id))),
        "is_test": pl.lit(value=False),
    }


def _keys(*contact_ids: str) -> pl.Expr:
    named = [spelled("gohighlevel:{}", filled(pl.col(column))) for column in contact_ids]
    return pl.concat_list(named).list.drop_nulls()


def _name() -> pl.Expr:
    parts = [pl.coalesce(f"{part}_name", f"{part}_name_lower_case") for part in ("first", "last")]
    return pl.coalesce(filled(pl.col("contact_name")), filled(pl.concat_str(parts, separator=" ", ignore_nulls=True)))


def _minor(column: str, money: pl.Expr, options: Options) -> pl.Expr:
    return (
        translate.integer(pl.col(column)) if options.payment_unit == "minor" else translate.major(pl.col(column), money)
    )


def _with_field(rows: pl.LazyFrame, raw: Raw, name: str) -> pl.LazyFrame:
    """Rows beside the id of the custom field of that name."""
    keys = (name, f"contact.{name}", f"opportunity.{name}")
    is_meant = (pl.col("name") == name) | (pl.col("id") == name) | pl.col("field_key").is_in(keys)
    return translate.beside(
        rows, newest(raw["custom_fields"], "id").filter(is_meant).select(pl.col("id").alias(f"{name}:id"))
    )


def _field(column: str, name: str, part: str) -> pl.Expr:
    where = spelled(f'$[?(@.id=="{{}}")].{part}', pl.col(f"{name}:id"))
    return pl.col(column).str.json_path_match(where)


CONTACT = (
    "id", "email", "phone", "contact_name", "first_name", "last_name", "first_name_lower_case", "last_name_lower_case",
    "company_name", "date_added", "date_updated", "assigned_to", "type", "source", "attributions", "additional_emails",
    "custom_fields",
)  # fmt: skip
OPPORTUNITY = (
    "id", "status", "monetary_value", "pipeline_id", "pipeline_stage_id", "assigned_to", "created_at", "updated_at",
    "last_status_change_at", "contact_id", "contact", "lost_reason_id", "custom_fields",
)  # fmt: skip
APPOINTMENT = (
    "id", "calendar_id", "contact_id", "appointment_status", "assigned_user_id", "start_time", "date_added", "date_updated",
)  # fmt: skip
TRANSACTION = (
    "_id", "contact_id", "merged_from_contact_id", "contact_email", "contact_name", "currency", "amount",
    "amount_refunded", "status", "live_mode", "entity_source_id", "subscription_id", "charge_id", "charge_snapshot",
    "payment_provider_type", "payment_method", "created_at", "updated_at", "fulfilled_at",
)  # fmt: skip
SUBMISSION = ("id", "contact_id", "form_id", "created_at", "name", "email", "others")
NAMED = ("id", "name")
MEETINGS_SCOPE, DEALS_SCOPE = "calendars.readonly and calendars/events.readonly", "opportunities.readonly"

PLATFORM = Platform(
    name="gohighlevel",
    title="HighLevel (GoHighLevel)",
    resources=(
        Resource("contacts", "snapshot", contacts, CONTACT, scope="contacts.readonly"),
        Resource("opportunities", "snapshot", opportunities, OPPORTUNITY, scope=DEALS_SCOPE),
        Resource("appointments", "changes", appointments, APPOINTMENT, history=MEETINGS_HISTORY, scope=MEETINGS_SCOPE),
        Resource("transactions", "changes", transactions, TRANSACTION, scope="payments/transactions.readonly"),
        Resource("submissions", "changes", submissions, SUBMISSION, scope="forms.readonly"),
        Resource("forms", "snapshot", forms, NAMED, scope="forms.readonly"),
        Resource("lost_reasons", "snapshot", lost_reasons, NAMED, scope=DEALS_SCOPE),
        Resource(
            "calendars", "snapshot", _whole("/calendars/", "calendars", OF_CALENDARS), NAMED, scope=MEETINGS_SCOPE
        ),
        Resource(
            "pipelines",
            "snapshot",
            _whole("/opportunities/pipelines", "pipelines"),
            (*NAMED, "stages"),
            scope=DEALS_SCOPE,
        ),
        Resource(
            "custom_fields", "snapshot", custom_fields, (*NAMED, "field_key"), scope="locations/customFields.readonly"
        ),
        Resource("users", "snapshot", _whole("/users/", "users"), ("id", "email"), scope="users.readonly"),
    ),
    says={
        "contacts": ("contacts", "custom_fields", "users"),
        "deals": ("opportunities", "pipelines", "lost_reasons", "custom_fields", "users"),
        "bookings": ("appointments", "contacts", "calendars", "users"),
        "payments": ("transactions", "contacts"),
        "leads": ("submissions", "contacts", "forms"),
    },
    read=read,
    options=Options,
    secrets=("GOHIGHLEVEL_TOKEN",),
    spec="official",
    verified="Against a stateful fake and HighLevel's own OpenAPI files (June 2026), never against a live account.",
)
