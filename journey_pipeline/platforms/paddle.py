"""Paddle Billing: which transactions were paid, refunded and charged back, and who subscribed.

Reads   /transactions with their customer and business, /subscriptions, /adjustments (refunds and chargebacks)
Says    payments: one per transaction that somebody tried to pay; subscriptions: one per subscription
Cursor  `updated_at` of transactions, an hour back; subscriptions and adjustments whole, for they can't be asked for by
        change. In order of id, which no change moves. `next` is never null: `has_more` ends a list.
Money   text of minor units, upper-case currency. A transaction's is what was charged, with tax, after credit; a
        subscription's is before discounts and tax.
Joins   the customer's e-mail, name and id, the business's name; `custom_data` like `app:42`, and under `order_field` the
        same sale in a shop.
Needs   PADDLE_API_KEY (Paddle, Developer tools, Authentication) with transaction.read, customer.read, business.read,
        subscription.read and adjustment.read. For the sandbox: `base_url: https://sandbox-api.paddle.com`.
Assumes The first item is what was sold. Not told: drafts, open checkouts, those given up before an attempt to pay, and the
        zero that begins a trial. A refund counts once it is approved, by the time it was asked for. A chargeback is lost until
        it is reversed, Paddle having taken the money; a warning of one is an open dispute. Prices that differ by country
        are not looked up for subscriptions. Who subscribed is told as their newest transaction has them.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Literal

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, bearer, by_cursor
from journey_pipeline.platforms.translate import (
    currency,
    integer,
    interval,
    iso,
    keys,
    keys_in,
    newest,
    path,
    records,
    refs,
)

VERSION = "1"
TRANSACTIONS_PAGE, SUBSCRIPTIONS_PAGE, ADJUSTMENTS_PAGE = 30, 200, 50
OVERLAP = timedelta(hours=1)
STATUSES = {
    "paid": "succeeded", "completed": "succeeded", "billed": "pending", "past_due": "failed", "canceled": "failed",
}  # fmt: skip
UNTRIED = ("draft", "ready")


class Options(base.Options):
    """Options of Paddle."""

    base_url: str = "https://api.paddle.com"
    """`https://sandbox-api.paddle.com` for the sandbox, where all is a test."""
    product: Literal["price", "product"] = "price"
    """Whether an item's price or its product is what was sold."""
    order_field: str = "order_ref"
    """Custom data that names the same sale in a shop, as `platform:record_id`."""


def transactions(pull: Pull) -> Iterator[list[Row]]:
    since = pull.since(OVERLAP)
    changed = {"updated_at[GTE]": f"{since:%Y-%m-%dT%H:%M:%SZ}"} if since else {}
    yield from _list(pull, TRANSACTIONS_PAGE, include="customer,business", **changed)
    pull.until()


def subscriptions(pull: Pull) -> Iterator[list[Row]]:
    return _list(pull, SUBSCRIPTIONS_PAGE)


def adjustments(pull: Pull) -> Iterator[list[Row]]:
    return _list(pull, ADJUSTMENTS_PAGE)


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Transactions, of all versions, with what was taken back of them; subscriptions with their customer."""
    return {"payments": _payments(raw, options), "subscriptions": _subscriptions(raw, options)}


def _payments(raw: Raw, options: Options) -> pl.LazyFrame:
    amount = integer(path("details", "$.totals.grand_total"))
    is_given_up = (pl.col("status") == "canceled") & (pl.col("payments").fill_null("[]") == "[]")
    is_trial = (amount == 0) & pl.col("subscription_id").is_not_null()
    is_overdue = (pl.col("status") == "past_due") & (
        pl.col("collection_mode") == "manual"
    )  # an invoice; nothing failed
    tried = (
        raw["transactions"]
        .filter(~(pl.col("status").is_in(UNTRIED) | is_given_up | is_trial).fill_null(value=False))
        .join(_taken_back(raw), left_on="id", right_on="transaction_id", how="left", validate="m:1")
    )
    method = pl.coalesce(_captured("method_details.type"), path("payments", "$[0].method_details.type"))
    payment = {
        "occurred_at": pl.coalesce(iso(_captured("captured_at")), iso(pl.col("billed_at")), iso(pl.col("created_at"))),
        "url": _link(options, "transactions"),
        "status": pl.when(is_overdue).then(pl.lit("pending")).otherwise(pl.col("status").replace(STATUSES)),
        "amount_minor": amount,
        "product_ref": _product(options),
        "subscription_ref": spelled("paddle:{}", "subscription_id"),
        "method": method.replace({"wire_transfer": "bank_transfer", "offline": "bank_transfer"}),
        "refunded_minor": pl.col("refunded_minor").fill_null(0),
        "refunded_at": pl.col("refunded_at"),
        "disputed_at": pl.col("disputed_at"),
        "dispute_status": pl.col("dispute_status"),
    }
    return records(tried, {**_common(options), **payment})


def _subscriptions(raw: Raw, options: Options) -> pl.LazyFrame:
    people = newest(raw["transactions"], "customer_id").select("customer_id", "customer", "business")
    agreed = raw["subscriptions"].join(people, on="customer_id", how="left", validate="m:1")
    is_cancelling = path("scheduled_change", "$.action") == "cancel"
    ended_at = iso(pl.col("canceled_at"))
    subscription = {
        "occurred_at": pl.coalesce(iso(pl.col("started_at")), iso(pl.col("created_at"))),
        "url": _link(options, "subscriptions"),
        "status": pl.col("status").replace({"canceled": "ended"}),
        "product_ref": _product(options),
        "quantity": integer(path("items", "$[0].quantity")),
        "amount_minor": _price(),
        "interval": interval(path("billing_cycle", "$.frequency"), path("billing_cycle", "$.interval")),
        "trial_ends_at": iso(path("items", "$[0].trial_dates.ends_at")),
        "period_ends_at": pl.coalesce(iso(path("current_billing_period", "$.ends_at")), iso(pl.col("next_billed_at"))),
        "is_cancelling": is_cancelling.fill_null(value=False),
        "cancelled_at": ended_at,
        "ended_at": ended_at,
    }
    return records(agreed, {**_common(options), **subscription})


def _common(options: Options) -> Mapping[str, pl.Expr]:
    elsewhere = keys_in("custom_data", but=options.order_field)
    return {
        "record_id": pl.col("id"),
        "email": path("customer", "$.email"),
        "name": path("customer", "$.name"),
        "company": path("business", "$.name"),
        "keys": pl.concat_list(keys(paddle=pl.col("customer_id")), elsewhere),
        "is_test": pl.lit(_is_sandbox(options)),
        "role": pl.lit("processor"),
        "same_as": refs(path("custom_data", f"$['{options.order_field}']")),
        "currency": currency(pl.col("currency_code")),
    }


_ITEMS = pl.List(
    pl.Struct({
        "quantity": pl.Int64, "recurring": pl.Boolean, "price": pl.Struct({"unit_price": pl.Struct({"amount": pl.String})})
    })
)  # fmt: skip


def _price() -> pl.Expr:
    """Sum over the recurring items of unit price times quantity."""
    item = pl.element().struct
    unit = integer(item.field("price").struct.field("unit_price").struct.field("amount"))
    return (
        pl.col("items")
        .str.json_decode(_ITEMS)
        .list.eval((unit * item.field("quantity")).filter(item.field("recurring")))
        .list.sum()
    )


def _product(options: Options) -> pl.Expr:
    return spelled(
        "paddle:{}", path("items", "$[0].price." + {"price": "id", "product": "product_id"}[options.product])
    )


def _captured(part: str) -> pl.Expr:
    """Of the attempt to pay that succeeded."""
    return path("payments", f'$[?(@.status=="captured")].{part}')


def _is_sandbox(options: Options) -> bool:
    return "sandbox-api.paddle" in options.base_url


def _link(options: Options, page: str) -> pl.Expr:
    site = "sandbox-vendors.paddle.com" if _is_sandbox(options) else "vendors.paddle.com"
    return spelled(f"https://{site}/{page}-v2/{{}}", "id")


def _taken_back(raw: Raw) -> pl.LazyFrame:
    """By transaction: what was refunded and when last, and how its chargeback stands."""
    action, at = pl.col("action"), iso(pl.col("created_at"))
    is_refund, is_claim = action == "refund", action.is_in(["chargeback", "chargeback_warning"])

    def open_ones(of: str) -> pl.Expr:
        claims = (action == of) & (pl.col("status") == "approved")
        return claims.sum().cast(pl.Int64) - (action == f"{of}_reverse").sum()

    stands = (
        pl.when(open_ones("chargeback") > 0).then(pl.lit("lost"))
        .when(open_ones("chargeback_warning") > 0).then(pl.lit("open"))
        .otherwise(pl.lit("won"))
    )  # fmt: skip
    # A chargeback that was won back is `reversed` itself, or has a reversal beside it.
    told = pl.col("status").is_in(["approved", "reversed"])
    return (
        newest(raw["adjustments"], "id")
        .filter(told & (is_claim | action.str.ends_with("_reverse")) | (is_refund & (pl.col("status") == "approved")))
        .group_by("transaction_id")
        .agg(
            refunded_minor=integer(path("totals", "$.total")).filter(is_refund).sum(),
            refunded_at=at.filter(is_refund).max(),
            disputed_at=at.filter(is_claim).min(),
            dispute_status=pl.when(is_claim.any()).then(stands),
        )
    )


def _list(pull: Pull, size: int, **asked: Any) -> Iterator[list[Row]]:
    key = bearer(pull.secrets["PADDLE_API_KEY"])
    api = Api(pull, pull.options.base_url, auth=key, headers={"Paddle-Version": VERSION})
    by = by_cursor("data[-1].id", "after", more="meta.pagination.has_more")
    params = {"order_by": "id[ASC]", "per_page": size, **asked}
    return api.rows(f"/{pull.resource.name}", by=by, rows="data", params=params)


PLATFORM = Platform(
    name="paddle",
    title="Paddle Billing",
    resources=(
        Resource(
            "transactions",
            "changes",
            transactions,
            columns=(
                "id", "status", "customer_id", "currency_code", "subscription_id", "created_at", "billed_at", "collection_mode", "items",
                "details", "payments", "custom_data", "customer", "business",
            ),
            scope="transaction.read, customer.read and business.read",
        ),
        Resource(
            "subscriptions",
            "snapshot",
            subscriptions,
            columns=(
                "id", "status", "customer_id", "currency_code", "created_at", "started_at", "next_billed_at", "canceled_at",
                "current_billing_period", "billing_cycle", "scheduled_change", "items", "custom_data",
            ),
            scope="subscription.read",
        ),
        Resource(
            "adjustments",
            "snapshot",
            adjustments,
            columns=("id", "action", "status", "transaction_id", "totals", "created_at"),
            scope="adjustment.read",
        ),
    ),
    says={"payments": ("transactions", "adjustments"), "subscriptions": ("subscriptions", "transactions")},
    read=read,
    options=Options,
    secrets=("PADDLE_API_KEY",),
    spec="official",
    verified="Against a stateful fake and Paddle's own OpenAPI description (2025-05), never against a live account.",
)  # fmt: skip
