"""Kajabi: which offers people hold, what they paid, and which forms they filled in.

Reads   /v1/purchases, /v1/customers, /v1/transactions; unless `leads: false` also /v1/form_submissions, /v1/forms and
        /v1/contacts
Says    access: one per purchase of an offer, paid or given; payments: one per charge; leads: one per form submission
        that can be dated
Cursor  Transactions by day, two days back: a refund or dispute is a transaction of its own, so none ever changes.
        All other lists whole each time: purchases could be asked for by change, but what was deleted never comes so.
Money   `amount_in_cents`, an integer in the transaction's currency, negative for refunds. A refund doesn't name its
        charge: it counts for the latest charge before it of the same purchase.
Joins   e-mail and name of the customer, the phone of the customer's contact; `external_user_id`, custom fields of a
        form and extra fields of the checkout that read like `app:42`. No id of Stripe or PayPal: a sale told by both is
        matched by person and amount. An offer is `kajabi:offer_12`, both bought and granted.
Needs   KAJABI_CLIENT_ID and KAJABI_CLIENT_SECRET: Settings -> Public API -> Create User API Key (plan Pro, or the API
        add-on). `site_id`, where the account has several sites.
Assumes A submission has no time. A contact's first one is dated by the contact's creation; any other by the load that
        first listed it; those that were there before the first load are left out. Payment type `free` is `comp`.
        A purchase was last used at the customer's last request after it, of whatever product. A dispute's outcome is
        never told: it stays open. Renewals are payments by themselves: what they renew, and how often, isn't told.
        A transaction for several offers counts for the first of them.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Literal

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, by_link, granted
from journey_pipeline.platforms.translate import (
    currency,
    filled,
    integer,
    iso,
    keys,
    keys_in,
    newest,
    objects,
    path,
    records,
    ref,
)

PAGE = 100
OVERLAP = timedelta(days=2)
"""The days of a filter are the site's own."""
NEW = timedelta(days=2)
"""A contact this young when a submission of theirs was first listed was made by it."""
CHARGES = ("charge", "subscribe", "subscription_charge", "subscription_update", "free_purchase", "test")
UNDONE = ("refund", "dispute")
STATES = {"initialized": "pending"}
SCOPE = "a user API key with permission to read {}"


class Options(base.Options):
    """Options of Kajabi."""

    base_url: str = "https://api.kajabi.com"
    site_id: str | None = None
    """Id of the site; None: the account has one only."""
    leads: bool = True
    """Whether form submissions, and the contacts that date them, are read."""
    kajabi_payments: bool = False
    """Whether Kajabi itself moves the money: then payments are of role `processor`, else `shop`."""
    tax_is_extra: bool = False
    """Whether the sales tax comes on top of `amount_in_cents`, which is else taken as all that was charged."""
    external_platform: str | None = None
    """Whose user ids `external_user_id` holds (`app`: 42 is read as `app:42`); None: only ids that say it."""


def listed(pull: Pull) -> Iterator[list[Row]]:
    yield from _list(pull)


def transactions(pull: Pull) -> Iterator[list[Row]]:
    last = pull.since(OVERLAP)
    yield from _list(pull, **({"filter[start_date]": last.strftime("%Y-%m-%d")} if last else {}))
    pull.until()


def listed_for_leads(pull: Pull) -> Iterator[list[Row]]:
    if pull.options.leads:
        yield from _list(pull)


def _list(pull: Pull, **filters: str) -> Iterator[list[Row]]:
    """The list that bears the resource's name."""
    host = pull.options.base_url
    client = {"client_id": pull.secrets["KAJABI_CLIENT_ID"], "client_secret": pull.secrets["KAJABI_CLIENT_SECRET"]}
    form = {"grant_type": "client_credentials", **client}
    login = granted(lambda: Api(pull, host).post("/v1/oauth/token", form=form))
    site = {"filter[site_id]": pull.options.site_id} if pull.options.site_id else {}
    return Api(pull, host, auth=login, headers={"Accept": "application/vnd.api+json"}).rows(
        f"/v1/{pull.resource.name}",
        by=by_link("links.next"),
        rows="data",
        total="meta.total_count",
        params={"page[size]": PAGE, **site, **filters},
    )


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Purchases as access, charges as payments, form submissions as leads."""
    contacts = newest(raw["contacts"], "id").select(
        contact="id", phone=pl.coalesce(_said("phone_number"), _said("business_number"))
    )
    external = _said("external_user_id")
    elsewhere = spelled(f"{options.external_platform}:{{}}", external) if options.external_platform else ref(external)
    people = (
        newest(raw["customers"], "id")
        .select(
            customer="id",
            email=_said("email"),
            name=_said("name"),
            seen_at=iso(_said("last_request_at")),
            keys=pl.concat_list(keys(kajabi=pl.col("id")), elsewhere).list.drop_nulls(),
            contact=_of("contact"),
        )
        .join(contacts, on="contact", how="left", validate="m:1")
    )
    return {"access": _access(raw, people), "payments": _sold(raw, people, options), "leads": _leads(raw)}


def _access(raw: Raw, people: pl.LazyFrame) -> pl.LazyFrame:
    held = raw["purchases"].with_columns(
        customer=_of("customer"),
        begun_at=iso(pl.coalesce(_said("effective_start_at"), _said("created_at"))),
        ended_at=iso(_said("deactivated_at")),
        extra=path("attributes", "$.raw_extra_contact_information"),
    )
    has_ended = pl.col("ended_at") <= pl.col("_loaded_at")
    was_paid = path("relationships", "$.transactions.data[0].id").is_not_null()
    return records(
        held.join(people, on="customer", how="left", validate="m:1"),
        {
            **_who(),
            "keys": pl.concat_list(_keys(), keys_in("extra")),
            "record_id": pl.col("id"),
            "occurred_at": pl.col("begun_at"),
            "grant": "course",
            "product_ref": spelled("kajabi:offer_{}", _of("offer")),
            "status": pl.when(has_ended).then(pl.lit("revoked")).otherwise(pl.lit("active")),
            "basis": pl.when(was_paid).then(pl.lit("paid"))
            .when(_said("payment_type") == "free").then(pl.lit("comp")),
            "expires_at": pl.when(~has_ended).then("ended_at"),
            "revoked_at": pl.when(has_ended).then("ended_at"),
            "last_used_at": pl.when(pl.col("seen_at") >= pl.col("begun_at")).then("seen_at"),
        },
    )  # fmt: skip


def _sold(raw: Raw, people: pl.LazyFrame, options: Options) -> pl.LazyFrame:
    offers = newest(raw["purchases"], "id").select(purchase="id", bought=_of("offer"))
    money = integer(_said("amount_in_cents"))
    tax = integer(_said("sales_tax_in_cents")).fill_null(0) if options.tax_is_extra else 0
    sold = raw["transactions"].with_columns(
        action=_said("action").fill_null("none"),
        at=iso(_said("created_at")),
        minor=money + tax,
        purchase=path("relationships", "$.purchases.data[0].id"),
        customer=_of("customer"),
    )
    told = (
        sold.filter(~pl.col("action").is_in(UNDONE))
        .join(_undone(sold), on="id", how="left", validate="m:1")
        .join(offers, on="purchase", how="left", validate="m:1")
        .join(people, on="customer", how="left", validate="m:1")
    )
    is_known = pl.col("action").is_in(CHARGES)
    columns: dict[str, pl.Expr | str | None] = {
        **_who(),
        "keys": _keys(),
        "record_id": pl.col("id"),
        "occurred_at": pl.col("at"),
        "is_test": pl.col("action") == "test",
        "role": "processor" if options.kajabi_payments else "shop",
        "status": _said("state").replace(STATES),
        "amount_minor": pl.col("minor"),
        "currency": currency(_said("currency").fill_null("USD")),
        "product_ref": spelled("kajabi:offer_{}", pl.coalesce("bought", _of("offer"))),
        "refunded_minor": pl.col("refunded_minor").fill_null(0),
        "refunded_at": pl.col("refunded_at"),
        "disputed_at": pl.col("disputed_at"),
        "dispute_status": pl.when(pl.col("disputed_at").is_not_null()).then(pl.lit("open")),
        "_reject": pl.when(~is_known).then(spelled("unknown action '{}'", "action")),
    }
    return records(told, columns)


def _undone(sold: pl.LazyFrame) -> pl.LazyFrame:
    """What was refunded or disputed of each charge."""
    listed = objects("bought_by", "id").list.eval(pl.element().struct.field("id"))
    moves = (
        newest(sold, "id")
        .with_columns(bought_by=path("relationships", "$.purchases.data"))
        .with_columns(purchase=pl.coalesce(listed, pl.concat_list("customer")))
        .select("id", "action", "at", "minor", "purchase")
        .explode("purchase")
        .sort("at", "id", nulls_last=True)
    )
    is_undone = pl.col("action").is_in(UNDONE)
    charges = moves.filter(~is_undone, pl.col("at").is_not_null()).select("at", "purchase", charge="id")
    matched = (
        moves.filter(is_undone, pl.col("at").is_not_null())
        .join_asof(charges, on="at", by="purchase", check_sortedness=False)
        .drop_nulls("charge")
        .unique("id", keep="last", maintain_order=True)
    )
    refunds, disputes = (pl.col("action") == kind for kind in UNDONE)
    return matched.group_by(id="charge").agg(
        refunded_minor=pl.col("minor").filter(refunds).abs().sum(),
        refunded_at=pl.col("at").filter(refunds).max(),
        disputed_at=pl.col("at").filter(disputes).min(),
    )


def _leads(raw: Raw) -> pl.LazyFrame:
    forms = newest(raw["forms"], "id").select(form_id="id", title=_said("title"))
    made = (
        raw["contacts"].group_by(address=_said("email").str.to_lowercase()).agg(made_at=iso(_said("created_at")).min())
    )
    number = integer(pl.col("id"))
    listed_at, since_at = pl.col("_loaded_at").min().over("id"), pl.col("_loaded_at").min()
    is_first = number == number.min().over("address")
    is_by_contact = is_first & ((listed_at == since_at) | (pl.col("made_at") > listed_at - NEW))
    filled_in = (
        raw["form_submissions"]
        .with_columns(address=_said("email").str.to_lowercase(), form_id=_of("form"))
        .join(made, on="address", how="left", validate="m:1")
        .join(forms, on="form_id", how="left", validate="m:1")
        .with_columns(at=pl.when(is_by_contact).then("made_at").when(listed_at > since_at).then(listed_at))
        .filter(pl.col("at").is_not_null())
    )
    return records(
        filled_in,
        {
            "record_id": pl.col("id"),
            "occurred_at": pl.col("at"),
            "email": _said("email"),
            "phone": pl.coalesce(_said("phone_number"), _said("business_number")),
            "name": _said("name"),
            "keys": pl.concat_list(*(ref(_said(f"custom_{n}")) for n in (1, 2, 3))).list.drop_nulls(),
            "form": pl.coalesce("title", "form_id"),
        },
    )


def _who() -> dict[str, pl.Expr | str | None]:
    return {name: pl.col(name) for name in ("email", "phone", "name")}


def _keys() -> pl.Expr:
    return pl.coalesce("keys", keys(kajabi=pl.col("customer")))


def _said(name: str) -> pl.Expr:
    return filled(path("attributes", f"$.{name}"))


def _of(name: str) -> pl.Expr:
    """The id of what the object belongs to."""
    return path("relationships", f"$.{name}.data.id")


def _resource(
    name: str, pull: Callable[[Pull], Iterator[list[Row]]], mode: Literal["changes", "snapshot"] = "snapshot"
) -> Resource:
    return Resource(name, mode, pull, ("id", "attributes", "relationships"), scope=SCOPE.format(name.replace("_", " ")))


PLATFORM = Platform(
    name="kajabi",
    title="Kajabi",
    resources=(
        _resource("purchases", listed),
        _resource("customers", listed),
        _resource("transactions", transactions, "changes"),
        _resource("form_submissions", listed_for_leads),
        _resource("forms", listed_for_leads),
        _resource("contacts", listed_for_leads),
    ),
    says={
        "access": ("purchases", "customers", "contacts"),
        "payments": ("transactions", "purchases", "customers", "contacts"),
        "leads": ("form_submissions", "forms", "contacts"),
    },
    read=read,
    options=Options,
    secrets=("KAJABI_CLIENT_ID", "KAJABI_CLIENT_SECRET"),
    spec="official",
    verified="Against a stateful fake and Kajabi's own OpenAPI description, never against a live account.",
)
