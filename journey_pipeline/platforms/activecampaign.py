"""ActiveCampaign: the people of the CRM, which lists they are on, the deals made with them, and a shop's orders.

Reads   /api/3/contacts with their lists and fields, /deals, /dealGroups, /dealStages, /users; with `orders: true` also
        /ecomOrders and /ecomOrderProducts
Says    contacts: one per contact; consents: one per list and contact; deals; payments (role `shop`): one per order.
        On a list 1 is subscribed, 2 unsubscribed, 3 (bounced) cleaned; 0 (unconfirmed) says nothing and keeps what was
        said before. A deal is open (0), won (1) or lost (2) since its last change in the first version that says so.
        Orders completed or recovered are succeeded, pending or waiting ones pending; an abandoned cart is none.
Cursor  contacts by `updated_after`, whole days, two days back, in order of their ids (`id_greater`): offsets get slow
        and skip. Deals and orders whole: what filters them by change is not documented.
Money   text in minor units (`"45600"`), of orders too.
Joins   a field like `stripe:cus_1` names the same person; a deal its contact; an order of a connection named under
        `order_platforms` is the same sale there.
Needs   ACTIVECAMPAIGN_API_KEY, of a user who may see deals, and `base_url` in its options: both stand in Settings,
        Developer, the latter like `https://northwind.api-us1.com`.
Assumes A change of a list's state moves the contact's `updated_after`, as the vendor's staff say. What was deleted or merged
        stays with us: neither is told. Yen have no minor unit at ActiveCampaign either. 5 requests a second to
        all keys of the account: 429s are waited out.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import polars as pl

from journey_pipeline.errors import SourceError
from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, in_headers
from journey_pipeline.platforms.translate import (
    currency,
    filled,
    integer,
    iso,
    keys,
    looked_up,
    newest,
    objects,
    records,
    refs,
    spaced,
)  # fmt: skip
from journey_pipeline.registry import TEXTS

PAGE = 100
OVERLAP = timedelta(days=2)
STATES = {"1": "subscribed", "2": "unsubscribed", "3": "cleaned"}
ORDER_STATES = {"0": "pending", "1": "succeeded", "3": "succeeded", "4": "pending"}
ABANDONED = "2"


class Options(base.Options):
    """Options of ActiveCampaign."""

    base_url: str = ""
    """The account's API URL, like `https://northwind.api-us1.com`, from Settings, Developer."""
    app_url: str = ""
    """Where people work, for links; empty: from a `base_url` like the above, `https://northwind.activehosted.com`."""
    stage_field: str = ""
    """Id of the contact field that holds the lifecycle stage."""
    source_field: str = ""
    """Id of the contact field that holds utm_source."""
    campaign_field: str = ""
    """Id of the contact field that holds utm_campaign."""
    orders: bool = False
    """Whether e-commerce orders are payments of role `shop`."""
    order_platforms: Mapping[str, str] = {}
    """Id of an e-commerce connection -> the platform that it tells of (`shopify`), by whose ids its orders go."""


def contacts(pull: Pull) -> Iterator[list[Row]]:
    api, last = _api(pull), pull.since(OVERLAP)
    since = {"filters[updated_after]": f"{last:%Y-%m-%d}"} if last else {}
    params = {"limit": PAGE, "status": -1, "orders[id]": "ASC", "include": "contactLists,fieldValues", **since}
    reached = 0
    while True:
        body = api.get("/api/3/contacts", params={**params, "id_greater": reached})
        if not body["contacts"]:
            break
        if "contactLists" not in body:
            sentence = "contacts came without their lists; the platform may have changed its API."
            raise api.refused(sentence)
        beside = {name: _by_contact(body.get(name) or ()) for name in ("contactLists", "fieldValues")}
        yield [{**row, **{name: of.get(str(row["id"]), []) for name, of in beside.items()}} for row in body["contacts"]]
        reached = max(int(row["id"]) for row in body["contacts"])
    pull.until()


def _by_contact(rows: Any) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(str(row["contact"]), []).append(row)
    return found


def _whole(name: str, *, of_orders: bool = False) -> Callable[[Pull], Iterator[list[Row]]]:
    def pulled(pull: Pull) -> Iterator[list[Row]]:
        if of_orders and not pull.options.orders:
            return
        api, seen, last = _api(pull), 0, list[Row]()
        while True:
            body = api.get(f"/api/3/{name}", params={"limit": PAGE, "offset": seen})
            if not body[name] or body[name] == last:  # some short lists have no pages
                break
            yield body[name]
            seen, last = seen + len(body[name]), body[name]
        if "meta" in body:
            pull.expected_rows = int(body["meta"]["total"])

    return pulled


def _api(pull: Pull) -> Api:
    if not pull.options.base_url:
        sentence = f"{pull.what}: add `base_url: https://….api-us1.com` (Settings, Developer) to its options."
        raise SourceError(sentence, is_transient=False)
    return Api(pull, pull.options.base_url, auth=in_headers(Api_Token=pull.secrets["ACTIVECAMPAIGN_API_KEY"]))


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Contacts and their lists; deals with their contacts as they are now; orders."""
    people = newest(raw["contacts"], "id").select("email", "phone", "first_name", "last_name", "orgname", contact="id")
    return {
        "contacts": _contacts(raw["contacts"], options),
        "consents": _consents(raw["contacts"], options),
        "deals": _deals(raw, people, options),
        "payments": _payments(raw, options),
    }


def _contacts(contacts: pl.LazyFrame, options: Options) -> pl.LazyFrame:
    return records(
        contacts,
        {
            "record_id": pl.col("id"),
            "occurred_at": iso(pl.col("cdate")),
            **_person(options, "id"),
            "keys": pl.concat_list(keys(activecampaign=pl.col("id")), _named_elsewhere()),
            "updated_at": iso(pl.col("udate")),
            "lifecycle_stage": _field(options.stage_field),
            "source": _field(options.source_field),
            "campaign": _field(options.campaign_field),
            "is_deleted": pl.col("deleted") == "1",
        },
    )


def _consents(contacts: pl.LazyFrame, options: Options) -> pl.LazyFrame:
    listed = objects("contact_lists", "list", "status", "sdate", "udate")
    told = (
        contacts.rename({"udate": "changed"})
        .with_columns(listed=listed)
        .explode("listed")
        .unnest("listed")
        .filter(pl.col("list").is_not_null(), pl.col("status").ne_missing("0"))
    )
    changed_at = pl.coalesce(iso(pl.col("udate")), iso(pl.col("changed")))
    return records(
        told,
        {
            "record_id": spelled("{}:{}", "list", "id"),
            "occurred_at": pl.when(pl.col("status") == "1").then(iso(pl.col("sdate"))).otherwise(changed_at),
            **_person(options, "id"),
            "keys": pl.concat_list(keys(activecampaign=pl.col("id")), _named_elsewhere()),
            "state": pl.col("status").replace(STATES),
            "list_ref": spelled("activecampaign:{}", "list"),
        },
    )


def _deals(raw: Raw, people: pl.LazyFrame, options: Options) -> pl.LazyFrame:
    names = {
        "group": newest(raw["deal_groups"], "id").select(group="id", group_title="title"),
        "stage": newest(raw["deal_stages"], "id").select(stage="id", stage_title="title"),
        "owner": newest(raw["users"], "id").select(owner="id", owner_email="email"),
        "contact": people,
    }
    told = (
        raw["deals"]
        .sort("_loaded_at", "_row")
        .with_columns(changed_at=iso(pl.col("mdate")), run=pl.col("status").rle_id().over("id"))
        .with_columns(closed_at=pl.col("changed_at").min().over("id", "run"))
    )
    for column, named in names.items():
        told = told.join(named, on=column, how="left", validate="m:1")
    is_hidden = pl.col("is_disabled").is_in(["1", "true"])
    return records(
        told,
        {
            "record_id": pl.col("id"),
            "occurred_at": iso(pl.col("cdate")),
            **_person(options, "contact"),
            "url": _link(options, "deals", "id"),
            "keys": keys(activecampaign=pl.col("contact")),
            "pipeline": pl.coalesce("group_title", "group"),
            "stage": pl.coalesce("stage_title", "stage"),
            "amount_minor": integer(pl.col("value")),
            "currency": currency(pl.col("currency")),
            "owner": pl.coalesce("owner_email", "owner"),
            "won_at": pl.when(pl.col("status") == "1").then("closed_at"),
            "lost_at": pl.when(pl.col("status") == "2").then("closed_at"),
            "_reject": pl.when(is_hidden).then(pl.lit("the key's user may not see the pipeline of this deal")),
        },
    )


def _payments(raw: Raw, options: Options) -> pl.LazyFrame:
    products = newest(raw["ecom_order_products"], "id").group_by(id="orderid").agg(product=pl.col("externalid"))
    sold = (
        raw["ecom_orders"]
        .filter(pl.col("state").ne_missing(ABANDONED))
        .join(products, on="id", how="left", validate="m:1")
    )
    elsewhere = spelled("{}:{}", looked_up("connectionid", options.order_platforms), "externalid")
    return records(
        sold,
        {
            "record_id": pl.col("id"),
            "occurred_at": iso(pl.col("external_created_date")),
            "email": filled(pl.col("email")),
            "keys": pl.lit([], TEXTS),
            "url": filled(pl.col("order_url")),
            "is_test": pl.lit(value=False),
            "role": "shop",
            "same_as": pl.concat_list(elsewhere).list.drop_nulls(),
            "status": pl.col("state").replace(ORDER_STATES),
            "amount_minor": integer(pl.col("total_price")),
            "currency": currency(pl.col("currency")),
            # What several products were bought for together belongs to none of them.
            "product_ref": pl.when(pl.col("product").list.len() == 1)
            .then(spelled("activecampaign:{}", pl.col("product").list.first())),
        },
    )  # fmt: skip


def _person(options: Options, contact: str) -> dict[str, pl.Expr]:
    return {
        "email": filled(pl.col("email")),
        "phone": filled(pl.col("phone")),
        "name": spaced(pl.col("first_name"), pl.col("last_name")),
        "company": filled(pl.col("orgname")),
        "url": _link(options, "contacts", contact),
        "is_test": pl.lit(value=False),
    }


def _link(options: Options, page: str, id_: str) -> pl.Expr:
    name = options.base_url.removeprefix("https://").partition(".api-")
    app = options.app_url or (f"https://{name[0]}.activehosted.com" if name[1] else None)
    return spelled("{}/app/{}/{}", pl.lit(app, pl.String), pl.lit(page), id_)


def _field(field: str) -> pl.Expr:
    values = objects("field_values", "field", "value")
    value = pl.element().struct.field("value").filter(pl.element().struct.field("field") == field)
    return filled(values.list.eval(value).list.first())


def _named_elsewhere() -> pl.Expr:
    values = objects("field_values", "field", "value").list.eval(refs(pl.element().struct.field("value")).explode())
    return values.list.drop_nulls().fill_null(pl.lit([], TEXTS))


SCOPE, OF_DEALS = "a key of a user of the account", "a key of a user who may see the deals of all pipelines"


def _list(name: str, resource: str, *columns: str, scope: str = SCOPE, of_orders: bool = False) -> Resource:
    return Resource(resource, "snapshot", _whole(name, of_orders=of_orders), ("id", *columns), scope=scope)


PLATFORM = Platform(
    name="activecampaign",
    title="ActiveCampaign",
    resources=(
        Resource(
            "contacts", "changes", contacts,
            ("id", "email", "phone", "first_name", "last_name", "orgname", "cdate", "udate", "deleted", "contact_lists",
             "field_values"),
            scope=SCOPE,
        ),
        _list("deals", "deals", "contact", "value", "currency", "group", "stage", "owner", "status", "cdate", "mdate",
              "is_disabled", scope=OF_DEALS),
        _list("dealGroups", "deal_groups", "title", scope=OF_DEALS),
        _list("dealStages", "deal_stages", "title", scope=OF_DEALS),
        _list("users", "users", "email"),
        _list("ecomOrders", "ecom_orders", "externalid", "email", "state", "total_price", "currency", "connectionid",
              "external_created_date", "order_url", of_orders=True),
        _list("ecomOrderProducts", "ecom_order_products", "orderid", "externalid", of_orders=True),
    ),
    says={
        "contacts": ("contacts",),
        "consents": ("contacts",),
        "deals": ("deals", "deal_groups", "deal_stages", "users", "contacts"),
        "payments": ("ecom_orders", "ecom_order_products"),
    },
    read=read,
    options=Options,
    secrets=("ACTIVECAMPAIGN_API_KEY",),
    spec="documentation",
    verified=(
        "Against a stateful fake written from ActiveCampaign's documentation, contacts against a third party's OpenAPI "
        "description too; never against a live account."
    ),
)  # fmt: skip
