"""Pipedrive: the people that sales knows, and the deals made with them.

Reads   /api/v2/persons, /api/v2/deals, /api/v2/deals/archived, /api/v2/{personFields,dealFields,organizations,stages,
        pipelines} and, as v2 has none, /api/v1/users
Says    contacts: one per person; deals: one per deal, archived and deleted ones too
Cursor  `updated_since` for deals, ten minutes back. None for persons: v2 doesn't list deleted and merged-away ones, so
        each load reads them whole (10 tokens per 500) and one that is missing is gone. A deleted deal is listed for
        30 days, and is a lost one. An archived one is told by a list of its own, and keeps its status.
Money   `value`, a number in major units, in the deal's `currency`.
Joins   the fields named by `key_fields`, where the value has the form `platform:id` (several apart by commas or `;`);
        every further e-mail of a person; deal -> its person. A merge leaves the survivor with the e-mails of both.
Needs   PIPEDRIVE_API_TOKEN (Personal preferences > API) of a user who sees everybody's deals and people: others are
        silently left out. `company`, the name before .pipedrive.com, makes the links.
Assumes Custom fields bear hashes as names; they are looked up by the name that people see, or by the hash itself, and
        of a drop-down the label counts. Deleting a deal, or merging it away, moves its `update_time`: lost then.
        A daily budget of tokens is shared by all users of the account: when it is spent a load fails until tomorrow.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, by_cursor, in_headers, in_one
from journey_pipeline.platforms.translate import (
    beside,
    boolean,
    currency,
    filled,
    iso,
    major,
    newest,
    objects,
    records,
    refs,
)

PAGE = 500
LOOK_BACK = timedelta(minutes=10)
STATUSES = "open,won,lost,deleted"
"""All of them by name: without, the deleted ones are left out."""


class Options(base.Options):
    """Options of Pipedrive."""

    base_url: str = "https://api.pipedrive.com"
    company: str | None = None
    """The name before .pipedrive.com; None: records have no links."""
    key_fields: tuple[str, ...] = ("external_id",)
    """Person fields that name the same person elsewhere, as `platform:id`."""
    source_field: str = "utm_source"
    """Person field that holds where somebody came from."""
    campaign_field: str = "utm_campaign"
    """Person field that holds the campaign."""
    stage_field: str = "lifecycle_stage"
    """Person field that holds how far somebody is; Pipedrive has none of its own."""
    product_field: str = "product_ref"
    """Deal field that names what is sold, as `platform:id`."""


def persons(pull: Pull) -> Iterator[list[Row]]:
    yield from _list(pull, "persons")


def deals(pull: Pull) -> Iterator[list[Row]]:
    last = pull.since(LOOK_BACK)
    since = {"updated_since": last.strftime("%Y-%m-%dT%H:%M:%SZ")} if last else {}
    for name in ("deals", "deals/archived"):
        yield from _list(pull, name, status=STATUSES, **since)
    pull.until()


def users(pull: Pull) -> Iterator[list[Row]]:
    yield from _api(pull).rows("/api/v1/users", by=in_one(), rows="data")


def _list(pull: Pull, name: str, **params: str) -> Iterator[list[Row]]:
    paged = by_cursor("additional_data.next_cursor", "cursor")
    return _api(pull).rows(f"/api/v2/{name}", by=paged, rows="data", params={"limit": PAGE, **params})


def _whole(name: str) -> Callable[[Pull], Iterator[list[Row]]]:
    return lambda pull: _list(pull, name)


def _api(pull: Pull) -> Api:
    return Api(pull, pull.options.base_url, auth=in_headers(x_api_token=pull.secrets["PIPEDRIVE_API_TOKEN"]))


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Persons as contacts, deals with their persons as they are now."""
    owners = newest(raw["users"], "id").select(owner_id="id", owner_email="email")
    companies = newest(raw["organizations"], "id").select(org_id="id", org_name="name")
    people = raw["persons"].join(companies, on="org_id", how="left", validate="m:1")
    return {
        "contacts": _contacts(people.join(owners, on="owner_id", how="left", validate="m:1"), raw, options),
        "deals": _deals(raw, people, companies, owners, options),
    }


def _contacts(people: pl.LazyFrame, raw: Raw, options: Options) -> pl.LazyFrame:
    named = (*options.key_fields, options.source_field, options.campaign_field, options.stage_field)
    contact = {
        "record_id": pl.col("id"),
        "occurred_at": iso(pl.col("add_time")),
        "email": _first("emails"),
        "phone": _first("phones"),
        "name": pl.col("name"),
        "company": pl.col("org_name"),
        "keys": pl.concat_list(
            spelled("pipedrive:{}", "id"), _further("emails"), *(refs(_field(name)) for name in options.key_fields)
        ),
        "url": _link("person", options),
        "is_test": pl.lit(value=False),
        "updated_at": _updated_at(),
        "owner": pl.coalesce("owner_email", "owner_id"),
        "lifecycle_stage": _field(options.stage_field),
        "source": _field(options.source_field),
        "campaign": _field(options.campaign_field),
        "merged_into": None,
        "is_deleted": boolean(pl.col("is_deleted")).fill_null(value=False),
    }
    return records(_with_fields(people, raw["person_fields"], named), contact)


def _deals(
    raw: Raw, people: pl.LazyFrame, companies: pl.LazyFrame, owners: pl.LazyFrame, options: Options
) -> pl.LazyFrame:
    known = newest(people, "id").select(
        person_id="id", email=_first("emails"), phone=_first("phones"), name="name", company="org_name"
    )
    stages, pipelines = (newest(raw[name], "id").select("id", "name") for name in ("stages", "pipelines"))
    told = (
        _with_fields(raw["deals"], raw["deal_fields"], (options.product_field,))
        .join(known, on="person_id", how="left", validate="m:1")
        .join(companies, on="org_id", how="left", validate="m:1")
        .join(owners, on="owner_id", how="left", validate="m:1")
        .join(stages, left_on="stage_id", right_on="id", how="left", validate="m:1", suffix="_of_stage")
        .join(pipelines, left_on="pipeline_id", right_on="id", how="left", validate="m:1", suffix="_of_pipeline")
    )
    is_deleted = (pl.col("status") == "deleted") | boolean(pl.col("is_deleted")).fill_null(value=False)
    money = currency(pl.col("currency"))
    deal = {
        "record_id": pl.col("id"),
        "occurred_at": iso(pl.col("add_time")),
        "email": pl.col("email"),
        "phone": pl.col("phone"),
        "name": pl.col("name"),
        "company": pl.coalesce("org_name", "company"),
        "keys": pl.concat_list(spelled("pipedrive:{}", "person_id")).list.drop_nulls(),
        "url": _link("deal", options),
        "is_test": pl.lit(value=False),
        "pipeline": pl.coalesce("name_of_pipeline", "pipeline_id"),
        "stage": pl.coalesce("name_of_stage", "stage_id"),
        "amount_minor": major(pl.col("value"), money),
        "currency": money,
        "owner": pl.coalesce("owner_email", "owner_id"),
        "product_ref": _field(options.product_field),
        # A deal that was opened again keeps the time at which it was won or lost before.
        "won_at": pl.when(pl.col("status") == "won", ~is_deleted).then(iso(pl.col("won_time"))),
        "lost_at": pl.when(is_deleted)
        .then(_updated_at())
        .when(pl.col("status") == "lost")
        .then(iso(pl.col("lost_time"))),
        "lost_reason": pl.when(is_deleted).then(pl.lit("deleted")).otherwise(pl.col("lost_reason")),
    }
    return records(told, deal)


def _updated_at() -> pl.Expr:
    return pl.coalesce(iso(pl.col("update_time")), iso(pl.col("add_time")))


def _with_fields(rows: pl.LazyFrame, fields: pl.LazyFrame, names: tuple[str, ...]) -> pl.LazyFrame:
    """Where each named custom field lies in a row, and the choices that it has, in columns beside it."""
    known = newest(fields, "field_code")
    for name in dict.fromkeys(names):
        where = {f"{name}:path": spelled("$['{}']", "field_code"), f"{name}:choices": pl.col("options")}
        is_meant = (pl.col("field_name") == name) | (pl.col("field_code") == name)
        rows = beside(rows, known.filter(is_meant).select(**where))
    return rows


def _field(name: str) -> pl.Expr:
    """The value of a custom field of `_with_fields`; of a drop-down, whose value is a number, the label."""
    value = pl.col("custom_fields").str.json_path_match(pl.col(f"{name}:path"))
    choice = spelled("$[?(@.id=={})].label", value.str.extract(r"^(\d+)$"))
    return filled(pl.coalesce(pl.col(f"{name}:choices").str.json_path_match(choice), value))


def _values(column: str) -> pl.Expr:
    """All e-mails or phones of a person, the primary one first."""
    each = objects(column, "value", "primary")
    value, primary = (pl.element().struct.field(name) for name in ("value", "primary"))
    first = each.list.eval(value.filter(primary == "true"))
    rest = each.list.eval(value.filter(primary.ne_missing("true")))
    return first.list.concat(rest).list.eval(pl.element().filter(pl.element() != ""))


def _first(column: str) -> pl.Expr:
    return _values(column).list.first()


def _further(column: str) -> pl.Expr:
    return _values(column).list.slice(1).list.eval(spelled("email:{}", pl.element())).fill_null([])


def _link(page: str, options: Options) -> pl.Expr:
    host = pl.lit(options.company and f"https://{options.company}.pipedrive.com/{page}", pl.String)
    return spelled("{}/{}", host, "id")


_ROW = ("id", "add_time", "update_time", "owner_id", "org_id", "is_deleted", "custom_fields")
_FIELDS = ("field_code", "field_name", "options")
CONTACTS, DEALS = "contacts:read, of a user who sees all people", "deals:read, of a user who sees all deals"
PLATFORM = Platform(
    name="pipedrive",
    title="Pipedrive",
    resources=(
        Resource("persons", "snapshot", persons, (*_ROW, "name", "emails", "phones"), scope=CONTACTS),
        Resource(
            "deals",
            "changes",
            deals,
            (
                *_ROW, "person_id", "status", "value", "currency", "stage_id", "pipeline_id", "won_time", "lost_time",
                "lost_reason",
            ),
            lag=timedelta(minutes=1),
            scope=DEALS,
        ),
        Resource("person_fields", "snapshot", _whole("personFields"), _FIELDS, scope=CONTACTS),
        Resource("deal_fields", "snapshot", _whole("dealFields"), _FIELDS, scope=DEALS),
        Resource("organizations", "snapshot", _whole("organizations"), ("id", "name"), scope=CONTACTS),
        Resource("stages", "snapshot", _whole("stages"), ("id", "name"), scope=DEALS),
        Resource("pipelines", "snapshot", _whole("pipelines"), ("id", "name"), scope=DEALS),
        Resource("users", "snapshot", users, ("id", "email"), scope="users:read"),
    ),
    says={
        "contacts": ("persons", "person_fields", "organizations", "users"),
        "deals": ("deals", "persons", "deal_fields", "organizations", "stages", "pipelines", "users"),
    },
    read=read,
    options=Options,
    secrets=("PIPEDRIVE_API_TOKEN",),
    verified="Against a stateful fake written from Pipedrive's v2 reference, never against a live account.",
)  # fmt: skip
