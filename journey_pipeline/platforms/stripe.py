"""Stripe: what was charged, refunded, disputed and subscribed.

Reads   /v1/charges, refunds, disputes, subscriptions, customers, invoices, invoice_payments, checkout/sessions, events
Says    payments (one per charge), subscriptions (one per subscription)
Cursor  `created`, and for what changed later the events feed: Stripe has no `updated`, so a charge refunded next month
        never comes back through `created` alone. Events keep 30 days and carry their object as it was, in the shape
        of that day's API: each object is fetched anew. After a longer silence everything is read again.
Money   integer minor units, lower-case currency; JPY has no minor unit. A subscription's price is before discounts
        and tax.
Joins   charge -> invoice through invoice_payments (charges lost their `invoice` in 2025-03-31.basil); Checkout's
        `client_reference_id`; `metadata` under the names below, where the value has the form `platform:id`.
        E-mail: as typed for this payment (billing details, receipt, Checkout, invoice), last the customer's own,
        which is overwritten when it changes.
Needs   STRIPE_API_KEY, restricted, read-only.
Assumes the product of a one-off charge is in its metadata under `product_metadata_key` (a payment intent's metadata
        is copied to its charge), else the first line of its Checkout session. Instalments agreed stand in the
        subscription's metadata as `instalments`. Of several items in a subscription the first one names product,
        quantity and period; all are priced. Subscriptions whose first payment never came (`incomplete`) are left
        out: nothing was agreed yet. A lapsed authorisation is a failed payment. An inquiry (`warning_…`) is a dispute.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, bearer, by_cursor
from journey_pipeline.platforms.translate import (
    boolean,
    currency,
    epoch_seconds,
    integer,
    interval,
    newest,
    path,
    records,
    ref,
    refs,
)

VERSION = "2025-11-17.clover"
PAGE = 100
FEED = timedelta(days=25)
"""Events are kept 30 days; the margin is Stripe's own sync-engine's."""
OVERLAP = timedelta(hours=1)
"""For clocks that differ and events that come late."""


class Options(base.Options):
    base_url: str = "https://api.stripe.com"
    product_metadata_key: str = "price_id"
    """Metadata of a charge that holds the price it was for."""
    key_fields: tuple[str, ...] = ("user_ref", "contact_ref", "account_ref")
    """Metadata that names the same person elsewhere, as `platform:id`. Named, since products are written like that too."""
    order_field: str = "order_ref"
    """Metadata that names the same sale in the shop, as `platform:record_id`."""


def _pull(
    name: str, changes: tuple[str, ...], expand: str = "", status: str = ""
) -> Callable[[Pull], Iterator[list[Row]]]:
    """New objects by `created`, then those that an event of the types `changes` is about."""
    endpoint = f"/v1/{name.replace('checkout_', 'checkout/')}"
    filters = {"expand[]": f"data.{expand}"} if expand else {"status": status} if status else {}

    def pull(pull: Pull) -> Iterator[list[Row]]:
        api = _api(pull)
        now, last = int(pull.loaded_at.timestamp()), pull.left.get("until", 0)
        is_fed = now - last <= FEED.total_seconds()
        period = {"created[gte]": last - int(OVERLAP.total_seconds()) if is_fed else 0, "created[lte]": now}
        seen = set[str]()
        for rows in _listed(api, endpoint, {**period, **filters}):
            seen.update(row["id"] for row in rows)
            yield rows
        events = _listed(api, "/v1/events", {**period, "types[]": changes}) if is_fed else ()
        for page in events:
            ids = [i for i in dict.fromkeys(event["data"]["object"]["id"] for event in page) if i not in seen]
            seen.update(ids)
            fresh = [api.get(f"{endpoint}/{i}", params={"expand[]": expand} if expand else {}) for i in ids]
            # A deleted customer is but an id: what was known stays true of the payments made.
            yield [row for row in fresh if not row.get("deleted")]
        pull.leave(until=now)

    return pull


def _listed(api: Api, endpoint: str, params: Mapping[str, Any]) -> Iterator[list[Row]]:
    by = by_cursor("data[-1].id", "starting_after", more="has_more")
    return api.rows(endpoint, params={**params, "limit": PAGE}, by=by, rows="data")


def _api(pull: Pull) -> Api:
    key = bearer(pull.secrets["STRIPE_API_KEY"])
    return Api(pull, pull.options.base_url, auth=key, headers={"Stripe-Version": VERSION})


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    customers = newest(raw["customers"], "id").select(
        customer="id", customer_email="email", customer_name="name", customer_phone="phone"
    )
    sessions = newest(raw["checkout_sessions"], "id").sort("created", "id")
    return {
        "payments": _payments(raw, customers, sessions, options),
        "subscriptions": _subscriptions(raw, customers, sessions, options),
    }


def _payments(raw: Raw, customers: pl.LazyFrame, sessions: pl.LazyFrame, options: Options) -> pl.LazyFrame:
    charged = (
        raw["charges"]
        .with_columns(paid_by=pl.coalesce("payment_intent", "id"))
        .join(customers, on="customer", how="left", validate="m:1")
        .join(_refunds(raw), left_on="id", right_on="charge", how="left", validate="m:1")
        .join(_disputes(raw), left_on="id", right_on="charge", how="left", validate="m:1")
        .join(_invoices(raw), on="paid_by", how="left", validate="m:1")
        .join(_checkouts(sessions, "payment_intent"), on="payment_intent", how="left", validate="m:1")
    )
    succeeded, captured = pl.col("status") == "succeeded", boolean(pl.col("captured"))
    price = pl.coalesce(path("metadata", f"$['{options.product_metadata_key}']"), "invoice_price", "checkout_price")
    method = path("payment_method_details", "$.type")
    return records(
        charged,
        {
            "record_id": pl.col("id"),
            "occurred_at": epoch_seconds(pl.col("created")),
            "email": pl.coalesce(
                path("billing_details", "$.email"), "receipt_email", "checkout_email", "invoice_email", "customer_email"
            ),
            "phone": pl.coalesce(path("billing_details", "$.phone"), "customer_phone"),
            "name": pl.coalesce(path("billing_details", "$.name"), "customer_name"),
            "keys": _keys(options),
            "url": _link("payments", pl.col("paid_by")),
            "is_test": ~boolean(pl.col("livemode")),
            "role": "processor",
            "same_as": refs(path("metadata", f"$['{options.order_field}']")),
            "status": pl.when(succeeded & ~captured)
            .then(pl.when(boolean(pl.col("refunded"))).then(pl.lit("failed")).otherwise(pl.lit("authorised")))
            .otherwise("status"),
            "amount_minor": integer(pl.col("amount")),
            "currency": currency(pl.col("currency")),
            "product_ref": pl.coalesce(ref(price), spelled("stripe:{}", price)),
            "subscription_ref": spelled("stripe:{}", "subscription"),
            "method": method.replace({"customer_balance": "bank_transfer", "ach_debit": "us_bank_account"}),
            "refunded_minor": pl.when(captured).then("refunded_minor").fill_null(0),
            "refunded_at": pl.when(captured).then("refunded_at"),
            "disputed_at": pl.col("disputed_at"),
            "dispute_status": pl.col("dispute_status"),
        },
    )


def _subscriptions(raw: Raw, customers: pl.LazyFrame, sessions: pl.LazyFrame, options: Options) -> pl.LazyFrame:
    agreed = (
        raw["subscriptions"]
        .filter(~pl.col("status").str.starts_with("incomplete"))
        .with_columns(priced=path("items", "$.data").str.json_decode(_ITEMS))
        .join(customers, on="customer", how="left", validate="m:1")
        .join(_checkouts(sessions, "subscription"), left_on="id", right_on="subscription", how="left", validate="m:1")
    )
    period_ends_at = epoch_seconds(path("items", "$.data[0].current_period_end"))
    ended_at, cancel_at = epoch_seconds(pl.col("ended_at")), epoch_seconds(pl.col("cancel_at"))
    paused = pl.col("pause_collection").is_not_null() & pl.col("status").is_in(["active", "trialing"])
    count, unit = (path("items", f"$.data[0].price.recurring.{name}") for name in ("interval_count", "interval"))
    return records(
        agreed,
        {
            "record_id": pl.col("id"),
            "occurred_at": epoch_seconds(pl.col("created")),
            "email": pl.coalesce("customer_email", "checkout_email"),
            "phone": pl.col("customer_phone"),
            "name": pl.col("customer_name"),
            "keys": _keys(options),
            "url": _link("subscriptions", pl.col("id")),
            "is_test": ~boolean(pl.col("livemode")),
            "role": "processor",
            "same_as": refs(path("metadata", f"$['{options.order_field}']")),
            "instalments": integer(path("metadata", "$.instalments")),
            "status": pl.when(paused).then(pl.lit("paused")).otherwise(pl.col("status").replace({"canceled": "ended"})),
            "product_ref": spelled("stripe:{}", path("items", "$.data[0].price.id")),
            "quantity": integer(path("items", "$.data[0].quantity")),
            "amount_minor": _price(pl.col("priced")),
            "currency": currency(pl.col("currency")),
            "interval": interval(count, unit),
            "trial_ends_at": epoch_seconds(pl.col("trial_end")),
            "period_ends_at": period_ends_at,
            # A `cancel_at` beyond this period is a term agreed from the start, not a cancellation.
            "is_cancelling": ended_at.is_null()
            & (boolean(pl.col("cancel_at_period_end")) | (cancel_at <= period_ends_at).fill_null(value=False)),
            "cancelled_at": epoch_seconds(pl.col("canceled_at")),
            "ended_at": ended_at,
        },
    )


_ITEMS = pl.List(pl.Struct({"quantity": pl.String, "price": pl.Struct({"unit_amount_decimal": pl.String})}))
_DISPUTES = {
    "needs_response": "open", "under_review": "open", "warning_needs_response": "open", "warning_under_review": "open",
    "won": "won", "warning_closed": "won", "prevented": "won", "lost": "lost",
}  # fmt: skip


def _price(items: pl.Expr) -> pl.Expr:
    """Sum over the items of unit price times quantity; null where a price is tiered or metered."""
    item = pl.element().struct
    unit = item.field("price").struct.field("unit_amount_decimal").cast(pl.Decimal(30, 12), strict=False)
    each = items.list.eval(unit * item.field("quantity").cast(pl.Decimal(8, 0), strict=False))
    is_priced = (items.list.len() > 0) & (each.list.drop_nulls().list.len() == items.list.len())
    return pl.when(is_priced).then(each.list.sum().round(0).cast(pl.Int64))


def _keys(options: Options) -> pl.Expr:
    named = [refs(path("metadata", f"$['{field}']")) for field in options.key_fields]
    own = pl.concat_list(spelled("stripe:{}", "customer")).list.drop_nulls()
    return pl.concat_list(own, *named, refs(pl.col("client_reference_id"))).list.unique(maintain_order=True)


def _link(page: str, record_id: pl.Expr) -> pl.Expr:
    mode = pl.when(boolean(pl.col("livemode"))).then(pl.lit("")).otherwise(pl.lit("test/"))
    return spelled("https://dashboard.stripe.com/{}{}/{}", mode, pl.lit(page), record_id)


def _refunds(raw: Raw) -> pl.LazyFrame:
    return (
        newest(raw["refunds"], "id")
        .filter(pl.col("status") == "succeeded")
        .group_by("charge")
        .agg(
            refunded_minor=integer(pl.col("amount")).sum(),
            refunded_at=epoch_seconds(pl.col("created")).max(),
        )
    )


def _disputes(raw: Raw) -> pl.LazyFrame:
    """The latest dispute of each charge."""
    return (
        newest(raw["disputes"], "id")
        .select(
            "charge",
            disputed_at=epoch_seconds(pl.col("created")),
            dispute_status=pl.col("status").replace(_DISPUTES),
        )
        .sort("disputed_at")
        .unique("charge", keep="last", maintain_order=True)
    )


def _invoices(raw: Raw) -> pl.LazyFrame:
    """What each payment intent (or charge without one) paid for: subscription and price of its invoice."""
    price = "pricing.price_details.price"
    proration = "parent.subscription_item_details.proration"
    invoices = newest(raw["invoices"], "id").select(
        invoice="id",
        invoice_email="customer_email",
        subscription=path("parent", "$.subscription_details.subscription"),
        # An upgrade's invoice opens with credits for the old price: neither they nor prorations are what was bought.
        invoice_price=pl.coalesce(
            path("lines", f"$.data[?(@.{proration}==false)].{price}"),
            path("lines", f"$.data[?(@.amount>0)].{price}"),
            path("lines", f"$.data[0].{price}"),
        ),
    )
    return (
        newest(raw["invoice_payments"], "id")
        .select("invoice", paid_by=pl.coalesce(path("payment", "$.payment_intent"), path("payment", "$.charge")))
        .unique("paid_by", keep="last", maintain_order=True)
        .join(invoices, on="invoice", how="left", validate="m:1")
        .drop("invoice")
    )


def _checkouts(sessions: pl.LazyFrame, of: str) -> pl.LazyFrame:
    """The Checkout session that made each payment intent, or each subscription."""
    return sessions.select(
        of,
        "client_reference_id",
        checkout_email=path("customer_details", "$.email"),
        checkout_price=path("line_items", "$.data[0].price.id"),
    ).unique(of, keep="last", maintain_order=True)


SCOPES = {
    "charges": "Charges and refunds: read (rak_charge_read)",
    "refunds": "Charges and refunds: read (rak_charge_read)",
    "disputes": "Disputes: read (rak_dispute_read)",
    "customers": "Customers: read (rak_customer_read)",
    "subscriptions": "Subscriptions: read (rak_subscription_read)",
    "invoices": "Invoices: read (rak_invoice_read)",
    "invoice_payments": "Invoices: read (rak_invoice_read)",
    "checkout_sessions": "Checkout Sessions: read (rak_checkout_session_read)",
}
_EVENTS = "Events: read (rak_event_read)"


def _resource(
    name: str, columns: tuple[str, ...], changes: tuple[str, ...], *, expand: str = "", status: str = ""
) -> Resource:
    pull = _pull(name, changes, expand, status)
    return Resource(name, "changes", pull, ("id", "created", *columns), scope=f"{SCOPES[name]}, and {_EVENTS}")


RESOURCES = (
    _resource(
        "charges",
        ("amount", "billing_details", "captured", "currency", "customer", "livemode", "metadata", "payment_intent",
         "payment_method_details", "receipt_email", "refunded", "status"),
        ("charge.succeeded", "charge.pending", "charge.failed", "charge.captured", "charge.expired", "charge.refunded",
         "charge.updated"),
    ),
    _resource(
        "refunds", ("amount", "charge", "status"),
        ("refund.created", "refund.updated", "refund.failed", "charge.refund.updated"),
    ),
    _resource(
        "disputes", ("charge", "status"),
        ("charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed"),
    ),
    _resource(
        "subscriptions",
        ("cancel_at", "cancel_at_period_end", "canceled_at", "currency", "customer", "ended_at", "items", "livemode",
         "metadata", "pause_collection", "status", "trial_end"),
        ("customer.subscription.created", "customer.subscription.updated", "customer.subscription.deleted",
         "customer.subscription.paused", "customer.subscription.resumed"),
        status="all",
    ),
    _resource("customers", ("email", "name", "phone"), ("customer.created", "customer.updated")),
    # Only a finalised invoice can't be deleted any more; its lines stay as they are.
    _resource("invoices", ("customer_email", "lines", "parent"), ("invoice.finalized",)),
    _resource("invoice_payments", ("invoice", "payment"), ("invoice_payment.paid",)),
    _resource(
        "checkout_sessions",
        ("client_reference_id", "customer_details", "line_items", "payment_intent", "subscription"),
        ("checkout.session.completed", "checkout.session.async_payment_succeeded"),
        expand="line_items",
    ),
)  # fmt: skip

PLATFORM = Platform(
    name="stripe",
    title="Stripe",
    resources=RESOURCES,
    says={
        "payments": tuple(r.name for r in RESOURCES if r.name != "subscriptions"),
        "subscriptions": ("subscriptions", "customers", "checkout_sessions"),
    },
    read=read,
    options=Options,
    secrets=("STRIPE_API_KEY",),
    spec="official",
    verified=(
        "The sandbox's requests and answers against stripe/openapi of 2023-08-16, newer fields by its fixtures of "
        "2026-08; not against a live account."
    ),
)
