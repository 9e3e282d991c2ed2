"""HubSpot: the people of the CRM, the deals made with them, and the forms that they filled in.

Reads   /crm/v3/objects/{contacts,deals}/search, the same lists with archived=true, /crm/v3/owners,
        /crm/v4/associations/deals/contacts/batch/read, /account-info/v3/details, /marketing/v3/forms,
        /form-integrations/v1/submissions/forms/{id} (form by form)
Says    contacts: one per contact, merged-away and deleted ones too; deals: one per deal; leads: one per submission of a
        form, unless `forms: false`
Cursor  `lastmodifieddate` (contacts), `hs_lastmodifieddate` (deals), with a look-back: the search index lags. A search
        ends at 10,000 rows, so every page asks for the ids above the last one's. Deletions are not searchable:
        archived records are listed apart (HubSpot keeps them 90 days). Submissions come newest first and are read as
        far back as the last load.
Money   decimal text in major units; without `deal_currency_code` in the account's own currency.
Joins   the properties named by `key_properties`, where the value has the form `platform:id` (several with `;`);
        `hs_additional_emails`; deal -> contact through associations. A submission has what was filled in, hidden
        fields too; utm parameters that it lacks are taken from the address of its page.
Needs   HUBSPOT_TOKEN, of a private app (Settings > Integrations > Private Apps) with the scopes that each resource names.
Assumes a merged-away contact is one that its survivor names (`hs_merged_object_ids`): it is neither searchable nor
        archived, and what is not known from an earlier load (its address, its creation) is lost. A deal of several
        contacts belongs to the one labelled primary, else to the oldest; who is associated is asked when the deal
        changes. A deleted or merged-away deal is a lost one. Owner: the e-mail, of people who left too.
        A submission without `conversionId` is known by a hash of its form, time and values. Forms of blog comments and
        archived forms are not read; a submission deleted in HubSpot stays with us.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, bearer, by_cursor
from journey_pipeline.platforms.translate import (
    beside,
    boolean,
    currency,
    epoch_millis,
    filled,
    in_address,
    iso,
    major,
    newest,
    path,
    records,
    ref,
    refs,
)

SEARCH_PAGE, LIST_PAGE, SUBMISSIONS_PAGE = 200, 100, 50
FORM_TYPES = ("hubspot", "captured", "flow")
SEARCH_EVERY_S = 0.2
"""Five searches a second are allowed, to all apps of the account together."""
LOOK_BACK = timedelta(hours=1)
"""For the search index, which shows a change minutes after it was made."""


class Options(base.Options):
    base_url: str = "https://api.hubapi.com"
    key_properties: tuple[str, ...] = ("external_id",)
    """Contact properties that name the same person elsewhere, as `platform:id`."""
    source_property: str = "utm_source"
    """Where a contact's source is kept. Where it is empty HubSpot's own `hs_analytics_source` counts, but for `OFFLINE`:
    that only says that a program or a colleague made the contact."""
    campaign_property: str = "utm_campaign"
    """Where a contact's campaign is kept; also the field of forms that holds it."""
    product_property: str = "product_ref"
    """Property of deals and field of forms that names what is sold, as `platform:id`."""
    forms: bool = True
    """Whether submissions of forms are leads; `false` if the token may not read forms."""


def _contacts(pull: Pull) -> Iterator[list[Row]]:
    o: Options = pull.options
    properties = (
        "email", "phone", "mobilephone", "firstname", "lastname", "company", "hs_additional_emails", "lifecyclestage",
        "hubspot_owner_id", "hs_analytics_source", "hs_merged_object_ids", "hs_calculated_merged_vids",
        o.source_property, o.campaign_property, *o.key_properties,
    )  # fmt: skip
    yield from _changed(pull, _api(pull), "contacts", "lastmodifieddate", properties)


def _deals(pull: Pull) -> Iterator[list[Row]]:
    api = _api(pull)
    properties = (
        "pipeline", "dealstage", "amount", "deal_currency_code", "hubspot_owner_id", "closedate", "hs_is_closed",
        "hs_is_closed_won", "closed_lost_reason", "hs_merged_object_ids", pull.options.product_property,
    )  # fmt: skip
    for rows in _changed(pull, api, "deals", "hs_lastmodifieddate", properties):
        live = [{"id": row["id"]} for row in rows if not row["archived"]]
        to: dict[str, Any] = {}
        if live:
            found = api.post("/crm/v4/associations/deals/contacts/batch/read", json={"inputs": live})
            to = {str(result["from"]["id"]): result["to"] for result in found["results"]}
        # Of an archived deal the associations are gone: those of its last live version count.
        yield [row if row["archived"] else {**row, "contacts": to.get(row["id"], [])} for row in rows]


def _changed(pull: Pull, api: Api, name: str, modified: str, properties: tuple[str, ...]) -> Iterator[list[Row]]:
    """What was changed since the last load, then what was archived since."""
    since = _since(pull)
    newer = [{"propertyName": modified, "operator": "GTE", "value": str(since)}] if since > 0 else []
    last, rest = 0, 1
    while rest > 0:
        time.sleep(SEARCH_EVERY_S)
        above = {"propertyName": "hs_object_id", "operator": "GT", "value": str(last)}
        query = {
            "filterGroups": [{"filters": [above, *newer]}],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": properties,
            "limit": SEARCH_PAGE,
            "after": 0,
        }
        found = api.post(f"/crm/v3/objects/{name}/search", json=query)
        rows = found["results"]
        yield rows
        rest = found["total"] - len(rows) if rows else 0
        last = max((int(row["id"]) for row in rows), default=last)
    archived = {"archived": "true", "properties": ",".join(properties), "limit": LIST_PAGE}
    for rows in _listed(api, f"/crm/v3/objects/{name}", archived):
        yield [row for row in rows if _millis(row["archivedAt"]) >= since]
    pull.leave(until=_until(pull))


def _until(pull: Pull) -> int:
    return int(pull.loaded_at.timestamp() * 1000)


def _since(pull: Pull) -> int:
    return int(pull.left.get("until", 0)) - int(LOOK_BACK.total_seconds() * 1000)


def _forms(pull: Pull) -> Iterator[list[Row]]:
    if pull.options.forms:
        for archived in ("false", "true"):
            yield from _listed_forms(_api(pull), archived)


def _submissions(pull: Pull) -> Iterator[list[Row]]:
    if not pull.options.forms:
        return
    api, since = _api(pull), _since(pull)
    for form in [row["id"] for rows in _listed_forms(api, "false") for row in rows]:
        where = f"/form-integrations/v1/submissions/forms/{form}"
        for rows in _listed(api, where, {"limit": SUBMISSIONS_PAGE}):
            newer = [row for row in rows if row["submittedAt"] >= since]
            yield [{**row, "form_id": form, "id": _submission_id(form, row)} for row in newer]
            if len(newer) < len(rows):
                break
    pull.leave(until=_until(pull))


def _submission_id(form: str, row: Row) -> str:
    told = json.dumps([form, row["submittedAt"], row.get("values")], sort_keys=True)
    return str(row.get("conversionId") or hashlib.sha256(told.encode()).hexdigest()[:32])


def _owners(pull: Pull) -> Iterator[list[Row]]:
    for archived in ("false", "true"):
        params = {"archived": archived, "limit": LIST_PAGE}
        yield from _listed(_api(pull), "/crm/v3/owners", params)


def _account(pull: Pull) -> Iterator[list[Row]]:
    yield [_api(pull).get("/account-info/v3/details")]


def _listed(api: Api, endpoint: str, params: Mapping[str, Any]) -> Iterator[list[Row]]:
    return api.rows(endpoint, params=params, by=by_cursor("paging.next.after", "after"), rows="results")


def _listed_forms(api: Api, archived: str) -> Iterator[list[Row]]:
    return _listed(api, "/marketing/v3/forms", {"archived": archived, "formTypes": FORM_TYPES, "limit": LIST_PAGE})


def _api(pull: Pull) -> Api:
    return Api(pull, pull.options.base_url, auth=bearer(pull.secrets["HUBSPOT_TOKEN"]))


def _millis(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    owners = newest(raw["owners"], "id").select(owner_id="id", owner_email="email")
    account = raw["account"].sort("_loaded_at", descending=True).select("portal_id", "ui_domain", "company_currency")
    contacts, deals = (
        beside(_with_merged(raw[name]), account)
        .with_columns(owner_id=_property("hubspot_owner_id"))
        .join(owners, on="owner_id", how="left", validate="m:1")
        for name in ("contacts", "deals")
    )
    return {
        "contacts": _said_contacts(contacts, options),
        "deals": _said_deals(deals, raw, options),
        "leads": _said_leads(beside(raw["submissions"], account), raw["forms"], options),
    }


def _with_merged(objects: pl.LazyFrame) -> pl.LazyFrame:
    """All rows with `survivor` and `merged_at`, and one more for each id that a survivor names."""
    origin = ("_loaded_at", "_row", "_resource")
    named = pl.concat_str(
        _property("hs_merged_object_ids"), _property("hs_calculated_merged_vids"), separator=";", ignore_nulls=True
    )
    merged = (
        objects.select("id", "created_at", "updated_at", *origin, entry=named.str.split(";"))
        .explode("entry")
        .with_columns(gone=pl.col("entry").str.extract(r"^(\d+)"), merged_at=pl.col("entry").str.extract(r":(\d+)$"))
        .filter(pl.col("gone").is_not_null() & (pl.col("gone") != pl.col("id")))
        .sort(*origin[:2])
        .group_by("gone")
        .agg(
            pl.col("id").last().alias("survivor"),
            pl.col("created_at").last().alias("survivor_created_at"),
            pl.coalesce(epoch_millis(pl.col("merged_at")).max(), iso(pl.col("updated_at")).first()).alias("merged_at"),
            *(pl.col(c).last() for c in origin),
        )
    )
    known = newest(objects, "id").drop(origin)
    gone = merged.rename({"gone": "id"}).join(known, on="id", how="left", validate="1:1")
    gone = gone.with_columns(created_at=pl.coalesce("created_at", "survivor_created_at"))
    marks = merged.select("survivor", "merged_at", id="gone")
    marked = objects.join(marks, on="id", how="left", validate="m:1")
    return pl.concat([marked, gone.select(marked.collect_schema().names())])


def _said_contacts(contacts: pl.LazyFrame, options: Options) -> pl.LazyFrame:
    is_merged = pl.col("survivor").is_not_null()
    added = _property("hs_additional_emails").str.split(";")
    analytics = _property("hs_analytics_source")
    own = pl.concat_list(spelled("hubspot:{}", "id"), spelled("hubspot:{}", "survivor")).list.drop_nulls()
    also = added.list.eval(spelled("email:{}", pl.element().str.strip_chars())).fill_null([])
    return records(
        contacts,
        {
            "record_id": pl.col("id"),
            "occurred_at": iso(pl.col("created_at")),
            "email": _property("email"),
            "phone": _phone(_property),
            "name": _name(_property),
            "company": _property("company"),
            "keys": pl.concat_list(own, also, *(refs(_property(p)) for p in options.key_properties)),
            "url": _link("0-1"),
            "is_test": pl.lit(value=False),
            "updated_at": pl.coalesce("merged_at", iso(pl.col("archived_at")), iso(pl.col("updated_at"))),
            "owner": pl.coalesce("owner_email", "owner_id"),
            "lifecycle_stage": _property("lifecyclestage"),
            "source": pl.coalesce(_property(options.source_property), pl.when(analytics != "OFFLINE").then(analytics)),
            "campaign": _property(options.campaign_property),
            "merged_into": spelled("hubspot:{}", "survivor"),
            "is_deleted": _is_archived() & ~is_merged,
        },
    )


def _said_deals(deals: pl.LazyFrame, raw: Raw, options: Options) -> pl.LazyFrame:
    people = newest(raw["contacts"], "id").select(
        contact_id="id",
        contact_email=_property("email"),
        contact_phone=_phone(_property),
        contact_name=_name(_property),
        contact_company=_property("company"),
    )
    last = newest(raw["deals"].filter(pl.col("contacts").is_not_null()), "id").select("id", last_contacts="contacts")
    told = (
        deals.join(last, on="id", how="left", validate="m:1")
        .with_columns(contact_id=_primary(pl.coalesce("contacts", "last_contacts")))
        .join(people, on="contact_id", how="left", validate="m:1")
        .with_columns(money=currency(pl.coalesce(_property("deal_currency_code"), "company_currency")))
    )
    gone_at = pl.coalesce("merged_at", iso(pl.col("archived_at")))
    closed_at = iso(_property("closedate"))
    is_won = boolean(_property("hs_is_closed_won")).fill_null(value=False)
    is_closed = boolean(_property("hs_is_closed"))
    return records(
        told,
        {
            "record_id": pl.col("id"),
            "occurred_at": iso(pl.col("created_at")),
            "email": pl.col("contact_email"),
            "phone": pl.col("contact_phone"),
            "name": pl.col("contact_name"),
            "company": pl.col("contact_company"),
            "keys": pl.concat_list(spelled("hubspot:{}", "contact_id")).list.drop_nulls(),
            "url": _link("0-3"),
            "is_test": pl.lit(value=False),
            "pipeline": _property("pipeline"),
            "stage": _property("dealstage"),
            "amount_minor": major(_property("amount"), pl.col("money")),
            "currency": pl.col("money"),
            "owner": pl.coalesce("owner_email", "owner_id"),
            "product_ref": _property(options.product_property),
            "won_at": pl.when(gone_at.is_null() & is_won).then(closed_at),
            "lost_at": pl.coalesce(gone_at, pl.when(is_closed & ~is_won).then(closed_at)),
            "lost_reason": pl.when(pl.col("survivor").is_not_null())
            .then(spelled("merged into {}", "survivor"))
            .when(gone_at.is_not_null())
            .then(pl.lit("deleted"))
            .otherwise(_property("closed_lost_reason")),
        },
    )


def _said_leads(submissions: pl.LazyFrame, forms: pl.LazyFrame, options: Options) -> pl.LazyFrame:
    titles = newest(forms, "id").select(form_id="id", title="name")
    return records(
        submissions.join(titles, on="form_id", how="left", validate="m:1"),
        {
            "record_id": pl.col("id"),
            "occurred_at": epoch_millis(pl.col("submitted_at")),
            "email": _given("email"),
            "phone": _phone(_given),
            "name": _name(_given),
            "company": _given("company"),
            "keys": pl.concat_list(refs(_given(name)) for name in options.key_properties),
            "url": spelled("https://{}/forms/{}/{}/performance", "ui_domain", "portal_id", "form_id"),
            "is_test": pl.lit(value=False),
            "form": pl.coalesce("title", "form_id"),
            "source": _tracked(options.source_property, "utm_source"),
            "medium": _tracked("utm_medium", "utm_medium"),
            "campaign": _tracked(options.campaign_property, "utm_campaign"),
            "product_ref": ref(_tracked(options.product_property, options.product_property)),
        },
    )


def _property(name: str) -> pl.Expr:
    """HubSpot clears a property by an empty text."""
    return filled(path("properties", f"$['{name}']"))


def _given(name: str) -> pl.Expr:
    """What a form's field was filled in with."""
    return filled(path("values", f'$[?(@.name=="{name}")].value'))


def _tracked(field: str, parameter: str) -> pl.Expr:
    return pl.coalesce(_given(field), in_address(pl.col("page_url"), parameter))


def _phone(said: Callable[[str], pl.Expr]) -> pl.Expr:
    return pl.coalesce(said("phone"), said("mobilephone"))


def _name(said: Callable[[str], pl.Expr]) -> pl.Expr:
    return filled(pl.concat_str(said("firstname"), said("lastname"), separator=" ", ignore_nulls=True))


def _is_archived() -> pl.Expr:
    return boolean(pl.col("archived")).fill_null(value=False)


def _primary(associated: pl.Expr) -> pl.Expr:
    """The contact labelled primary, else the one with the least id."""
    to = associated.str.json_decode(_ASSOCIATED)
    labels = pl.element().struct.field("associationTypes").list.eval(pl.element().struct.field("label"))
    ranked = pl.element().struct.field("toObjectId").cast(pl.Int64, strict=False)
    least = to.list.eval(ranked).list.min()
    primary = to.list.eval(ranked.filter(labels.list.contains("Primary"))).list.min()
    return pl.coalesce(primary, least).cast(pl.String)


_ASSOCIATED = pl.List(
    pl.Struct({"toObjectId": pl.String, "associationTypes": pl.List(pl.Struct({"label": pl.String}))})
)


def _link(object_type: str) -> pl.Expr:
    return spelled(
        "https://{}/contacts/{}/record/{}/{}", pl.col("ui_domain"), pl.col("portal_id"), pl.lit(object_type), "id"
    )


SCOPES = {
    "contacts": "crm.objects.contacts.read",
    "deals": "crm.objects.deals.read and crm.objects.contacts.read",
    "owners": "crm.objects.owners.read",
    "account": "oauth",
    "forms": "forms",
}


def _resource(name: str, pull: Callable[[Pull], Iterator[list[Row]]], *columns: str) -> Resource:
    objects = ("id", "properties", "created_at", "updated_at", "archived", "archived_at")
    return Resource(name, "changes", pull, (*objects, *columns), lag=timedelta(minutes=10), scope=SCOPES[name])


PLATFORM = Platform(
    name="hubspot",
    title="HubSpot",
    resources=(
        _resource("contacts", _contacts),
        _resource("deals", _deals, "contacts"),
        Resource("owners", "snapshot", _owners, ("id", "email"), scope=SCOPES["owners"]),
        Resource(
            "account", "snapshot", _account, ("portal_id", "ui_domain", "company_currency"), scope=SCOPES["account"]
        ),
        Resource("forms", "snapshot", _forms, ("id", "name"), scope=SCOPES["forms"]),
        Resource(
            "submissions",
            "changes",
            _submissions,
            ("id", "form_id", "submitted_at", "values", "page_url"),
            lag=timedelta(minutes=10),
            scope=SCOPES["forms"],
        ),
    ),
    says={
        "contacts": ("contacts", "owners"),
        "deals": ("deals", "contacts", "owners", "account"),
        "leads": ("submissions", "forms", "account"),
    },
    read=read,
    options=Options,
    secrets=("HUBSPOT_TOKEN",),
    spec="third party",
    verified=(
        "The sandbox's requests and answers against third-party descriptions of the v3 API (HubSpot's own may not be "
        "stored); not against a live account."
    ),
)
