"""Salesforce: the people that sales knows, who asked for something, and the opportunities made with them.

Reads   /services/data/v66.0/queryAll over Contact, Lead, Opportunity, OpportunityContactRole and User, and
        /sobjects/{name}/describe for which fields there are
Says    contacts: one per Contact and per Lead (a converted one is merged into its contact); leads: one per Lead;
        deals: one per Opportunity
Cursor  `SystemModstamp`, ten minutes back: it moves with every change, a deletion and a merge too. `queryAll` shows what
        lies in the recycle bin; what was purged from it before we saw it there is never told, and stays with us.
Money   numbers in major units, in `CurrencyIsoCode` where the org has several currencies, else in `currency`.
Joins   the fields named by `key_fields`, where the value has the form `platform:id` (several apart by commas or `;`);
        MasterRecordId and ConvertedContactId; opportunity -> its primary contact role, else the oldest, else ContactId.
Needs   SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET of an external client app (Setup > External Client App
        Manager) with the scope `api`, the client credentials flow and a run-as user who may read these objects, and
        `domain`, what stands before .my.salesforce.com. Editions with API access: Enterprise and above.
Assumes An opportunity was won or lost when its stage last changed, or, where the org doesn't tell, on its close date. A
        lead deleted in Salesforce stays an inquiry. Standard fields that are hidden from the user are null; a field of
        the options must be on one of the objects that it is asked of. A day's requests that are used up fail until
        tomorrow; each load takes two per object and 2,000 rows. Formula fields change without SystemModstamp.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from journey_pipeline.errors import SourceError
from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base, translate
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, by_link, granted
from journey_pipeline.platforms.translate import boolean, filled, iso, newest, path, records, refs

if TYPE_CHECKING:
    from requests import Response

DATA = "/services/data/v66.0"
PAGE = 2000
LOOK_BACK = timedelta(minutes=10)
_ROW = ("Id", "CreatedDate", "SystemModstamp", "IsDeleted", "OwnerId")
_PERSON = (*_ROW, "FirstName", "LastName", "Email", "Phone", "MobilePhone", "LeadSource", "MasterRecordId")
CONTACT = (*_PERSON, "Account.Name")
LEAD = (*_PERSON, "Company", "Status", "ConvertedContactId")
OPPORTUNITY = (
    *_ROW, "Account.Name", "RecordType.Name", "StageName", "Amount", "CurrencyIsoCode", "IsClosed", "IsWon", "CloseDate",
    "LastStageChangeDate", "ContactId",
)  # fmt: skip
ROLE = ("Id", "CreatedDate", "SystemModstamp", "IsDeleted", "OpportunityId", "ContactId", "IsPrimary")


class Options(base.Options):
    """Options of Salesforce."""

    domain: str = ""
    """`northwind` of northwind.my.salesforce.com."""
    base_url: str = ""
    """Instead of `domain`, where the API has another host: a sandbox has."""
    currency: str | None = None
    """Of an org with a single currency; None: its opportunities are told without amounts."""
    key_fields: tuple[str, ...] = ()
    """Fields of contacts or leads that name the same person elsewhere, as `platform:id`: `External_Id__c`."""
    source_field: str | None = None
    """Field of contacts or leads with the utm source; where it is empty `LeadSource` counts."""
    medium_field: str | None = None
    """Field of leads with the utm medium."""
    campaign_field: str | None = None
    """Field of contacts or leads with the utm campaign."""
    form_field: str | None = None
    """Field of leads with the form that was filled in; without, `LeadSource` counts."""
    stage_field: str | None = None
    """Field of contacts that says how far somebody is; leads have their status."""
    product_field: str | None = None
    """Field of leads or opportunities that names what is sold, as `platform:id`."""
    lost_reason_field: str | None = None
    """Field of opportunities with the reason of a loss."""

    @property
    def host(self) -> str:
        return self.base_url or f"https://{self.domain}.my.salesforce.com"


def contacts(pull: Pull) -> Iterator[list[Row]]:
    o: Options = pull.options
    own = (*o.key_fields, o.source_field, o.campaign_field, o.stage_field)
    yield from _changed(pull, "Contact", CONTACT, own, or_on=("Lead",))


def leads(pull: Pull) -> Iterator[list[Row]]:
    o: Options = pull.options
    own = (*o.key_fields, o.source_field, o.medium_field, o.campaign_field, o.form_field, o.product_field)
    yield from _changed(pull, "Lead", LEAD, own, or_on=("Contact", "Opportunity"))


def opportunities(pull: Pull) -> Iterator[list[Row]]:
    own = (pull.options.product_field, pull.options.lost_reason_field)
    yield from _changed(pull, "Opportunity", OPPORTUNITY, own, or_on=("Lead",))


def contact_roles(pull: Pull) -> Iterator[list[Row]]:
    yield from _changed(pull, "OpportunityContactRole", ROLE)


def users(pull: Pull) -> Iterator[list[Row]]:
    yield from _queried(_api(pull), "SELECT Id, Email FROM User")


def _changed(
    pull: Pull, name: str, standard: tuple[str, ...], own: tuple[str | None, ...] = (), or_on: tuple[str, ...] = ()
) -> Iterator[list[Row]]:
    """What was changed since the last load; the org's `own` fields together under `custom`."""
    api, custom = _api(pull), [field for field in own if field]
    there = {of: _fields(api, of) for of in (name, *(or_on if custom else ()))}
    lacking = [field for field in custom if not any(field in fields for fields in there.values())]
    if lacking:
        sentence = (
            f"there is no field {', '.join(lacking)} on {' or '.join(there)}, or the user of the app may not read it; "
            "mend the options of this platform in journey.yaml, or grant the field."
        )
        raise api.refused(sentence)
    wanted = [field for field in (*standard, *custom) if field.replace(".Name", "Id") in there[name]]
    last = pull.since(LOOK_BACK)
    newer = f" WHERE SystemModstamp >= {last.strftime('%Y-%m-%dT%H:%M:%SZ')}" if last else ""
    query = f"SELECT {', '.join(wanted)} FROM {name}{newer}"  # noqa: S608 - SOQL has no parameters; all names are known ones
    for rows in _queried(api, query):
        yield [{**row, "custom": {field: row.get(field) for field in custom}} for row in rows]
    pull.until()


def _fields(api: Api, name: str) -> set[str]:
    return {field["name"] for field in api.get(f"{DATA}/sobjects/{name}/describe")["fields"]}


def _queried(api: Api, query: str) -> Iterator[list[Row]]:
    paged = by_link("nextRecordsUrl")
    return api.rows(f"{DATA}/queryAll", by=paged, rows="records", total="totalSize", params={"q": query})


def _api(pull: Pull) -> Api:
    if not (pull.options.base_url or pull.options.domain):
        sentence = f"{pull.what}: no domain is set; add `domain: northwind` (of northwind.my.salesforce.com)."
        raise SourceError(sentence, is_transient=False)
    form = {
        "grant_type": "client_credentials",
        "client_id": pull.secrets["SALESFORCE_CLIENT_ID"],
        "client_secret": pull.secrets["SALESFORCE_CLIENT_SECRET"],
    }
    door = Api(pull, pull.options.host, means=_means)
    token = granted(lambda: door.post("/services/oauth2/token", form=form))
    size = {"Sforce-Query-Options": f"batchSize={PAGE}"}
    return Api(pull, pull.options.host, auth=token, headers=size, means=_means)


def _means(reply: "Response") -> int:
    """A wrong client or a flow without its user is refused with 400, a budget that is used up with 403."""
    meant = {
        (400, '"invalid_client'): 401, (400, '"invalid_grant"'): 403, (403, "REQUEST_LIMIT_EXCEEDED"): 429,
    }  # fmt: skip
    said = (status for (code, word), status in meant.items() if code == reply.status_code and word in reply.text)
    return next(said, reply.status_code)


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Contacts and leads as one list of people; opportunities with the person they are made with."""
    owners = newest(raw["users"], "id").select(owner_id="id", owner_email="email")
    met = raw["contacts"].with_columns(
        of=pl.lit("Contact"),
        company=path("account", "$.Name"),
        stage=_own(options.stage_field),
        survivor="master_record_id",
    )
    asked = raw["leads"].with_columns(
        of=pl.lit("Lead"), stage="status", survivor=pl.coalesce("converted_contact_id", "master_record_id")
    )
    people = (
        pl.concat([met, asked], how="diagonal")
        .with_columns(
            phone=pl.coalesce(filled(pl.col("phone")), filled(pl.col("mobile_phone"))),
            name=filled(pl.concat_str("first_name", "last_name", separator=" ", ignore_nulls=True)),
            source=pl.coalesce(_own(options.source_field), "lead_source"),
        )
        .join(owners, on="owner_id", how="left", validate="m:1")
    )
    known = newest(people, "id").select("email", "phone", "name", contact_id="id")
    deals = raw["opportunities"].join(owners, on="owner_id", how="left", validate="m:1")
    return {
        "contacts": _contacts(people, options),
        "leads": _leads(people.filter(pl.col("of") == "Lead"), options),
        "deals": _deals(deals, known, raw["contact_roles"], options),
    }


def _contacts(people: pl.LazyFrame, options: Options) -> pl.LazyFrame:
    survivor = spelled("salesforce:{}", "survivor")
    contact = {
        **_person(options),
        "updated_at": iso(pl.col("system_modstamp")),
        "owner": pl.coalesce("owner_email", "owner_id"),
        "lifecycle_stage": filled(pl.col("stage")),
        "source": pl.col("source"),
        "campaign": _own(options.campaign_field),
        "merged_into": survivor,
        "is_deleted": _is("is_deleted") & survivor.is_null(),
    }
    return records(people, contact)


def _leads(people: pl.LazyFrame, options: Options) -> pl.LazyFrame:
    lead = {
        **_person(options),
        "form": pl.coalesce(_own(options.form_field), "lead_source"),
        "source": pl.col("source"),
        "medium": _own(options.medium_field),
        "campaign": _own(options.campaign_field),
        "product_ref": translate.ref(_own(options.product_field)),
    }
    return records(people, lead)


def _person(options: Options) -> dict[str, pl.Expr]:
    own = pl.concat_list(spelled("salesforce:{}", "id"), spelled("salesforce:{}", "survivor")).list.drop_nulls()
    return {
        "record_id": pl.col("id"),
        "occurred_at": iso(pl.col("created_date")),
        "email": filled(pl.col("email")),
        "phone": pl.col("phone"),
        "name": pl.col("name"),
        "company": filled(pl.col("company")),
        "keys": pl.concat_list(own, *(refs(_own(name)) for name in options.key_fields)),
        "url": _link(pl.col("of"), options),
        "is_test": pl.lit(value=False),
    }


def _deals(deals: pl.LazyFrame, known: pl.LazyFrame, roles: pl.LazyFrame, options: Options) -> pl.LazyFrame:
    foremost = (
        newest(roles, "id")
        .filter(~_is("is_deleted"))
        .sort(~_is("is_primary"), "created_date", "id")
        .unique("opportunity_id", keep="first", maintain_order=True)
        .select(id="opportunity_id", role_contact_id="contact_id")
    )
    told = (
        deals.join(foremost, on="id", how="left", validate="m:1")
        .with_columns(contact_id=pl.coalesce("role_contact_id", "contact_id"))
        .join(known, on="contact_id", how="left", validate="m:1")
    )
    money = translate.currency(pl.coalesce(pl.col("currency_iso_code"), pl.lit(options.currency, pl.String)))
    closed_at = pl.coalesce(iso(pl.col("last_stage_change_date")), iso(pl.col("close_date")))
    is_deleted, is_won = _is("is_deleted"), _is("is_won")
    lost_at = pl.when(_is("is_closed") & ~is_won).then(closed_at)
    deal = {
        "record_id": pl.col("id"),
        "occurred_at": iso(pl.col("created_date")),
        "email": pl.col("email"),
        "phone": pl.col("phone"),
        "name": pl.col("name"),
        "company": path("account", "$.Name"),
        "keys": pl.concat_list(spelled("salesforce:{}", "contact_id")).list.drop_nulls(),
        "url": _link(pl.lit("Opportunity"), options),
        "is_test": pl.lit(value=False),
        "pipeline": path("record_type", "$.Name"),
        "stage": pl.col("stage_name"),
        "amount_minor": pl.when(money.is_not_null()).then(translate.major(pl.col("amount"), money)),
        "currency": money,
        "owner": pl.coalesce("owner_email", "owner_id"),
        "product_ref": translate.ref(_own(options.product_field)),
        "won_at": pl.when(is_won & ~is_deleted).then(closed_at),
        "lost_at": pl.when(is_deleted).then(iso(pl.col("system_modstamp"))).otherwise(lost_at),
        "lost_reason": pl.when(is_deleted).then(pl.lit("deleted")).otherwise(_own(options.lost_reason_field)),
    }
    return records(told, deal)


def _own(field: str | None) -> pl.Expr:
    """A field of the org's own."""
    return filled(path("custom", f"$['{field}']")) if field else pl.lit(None, pl.String)


def _is(column: str) -> pl.Expr:
    return boolean(pl.col(column)).fill_null(value=False)


def _link(of: pl.Expr, options: Options) -> pl.Expr:
    host = pl.lit(f"https://{options.domain}.lightning.force.com" if options.domain else None, pl.String)
    return spelled("{}/lightning/r/{}/{}/view", host, of, "id")


def _snake(*fields: str) -> tuple[str, ...]:
    """As the lake names them; `Account.Name` comes inside of `Account`."""
    return tuple(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", field.removesuffix(".Name")).lower() for field in fields)


SCOPE = "the OAuth scope `api`, and for the run-as user read access to {}"


def _resource(name: str, of: str, pull: Callable[[Pull], Iterator[list[Row]]], fields: tuple[str, ...]) -> Resource:
    columns = (*_snake(*fields), "custom")
    return Resource(name, "changes", pull, columns, lag=timedelta(minutes=1), scope=SCOPE.format(of))


PLATFORM = Platform(
    name="salesforce",
    title="Salesforce",
    resources=(
        _resource("contacts", "Contact and Account", contacts, CONTACT),
        _resource("leads", "Lead", leads, LEAD),
        _resource("opportunities", "Opportunity and Account", opportunities, OPPORTUNITY),
        _resource("contact_roles", "Opportunity", contact_roles, ROLE),
        Resource("users", "snapshot", users, ("id", "email"), scope=SCOPE.format("User")),
    ),
    says={
        "contacts": ("contacts", "leads", "users"),
        "leads": ("leads",),
        "deals": ("opportunities", "contact_roles", "contacts", "users"),
    },
    read=read,
    options=Options,
    secrets=("SALESFORCE_CLIENT_ID", "SALESFORCE_CLIENT_SECRET"),
    verified="Against a stateful fake written from Salesforce's REST and SOQL references, never against a live org.",
)
