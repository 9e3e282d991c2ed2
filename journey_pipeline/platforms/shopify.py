"""Shopify: which orders were placed, paid, refunded and disputed, and what brought the buyer.

Reads   The GraphQL Admin API: `orders`, with their transactions and the buyer's visits; with `disputes: true` also
        `shopifyPaymentsAccount.disputes`
Says    payments (role `shop`): one per order; touchpoints: the first and the last visit before an order
Cursor  `updated_at` of orders, an hour back; disputes whole. Sorted by it, so that an order that changes meanwhile comes
        again at the end; a refund, a capture, a cancellation is a change of its order. A query costs points, refilled by the second: Shopify says with 200 that there were too few, and is waited for.
Money   decimal text and a currency, in that which the buyer paid (`presentment`), as a processor tells it, or the shop's.
Joins   the order's e-mail and phone, name and company of the billing address, the customer's id; `key_fields` of the
        custom attributes; utm and click ids of the visits; the processor's id of each sale or capture, see `gateways`.
Needs   SHOPIFY_CLIENT_ID and SHOPIFY_CLIENT_SECRET of an app of the Dev Dashboard (Settings) that is installed in the shop,
        with read_orders and access to protected customer data; read_all_orders, else orders older than 60 days, and their
        late refunds, are not told;
        read_shopify_payments_disputes for disputes. `shop` in journey.yaml. A token of an older custom app (shpat_…) may
        stand as the secret instead; any client id goes with it.
Assumes The first line is what was sold. An order that is paid in part is pending; one that is cancelled, voided or expired
        unpaid has failed. The id at the processor is the authorisation code, at Stripe the first `ch_…` of the receipt.
        Without a filter cancelled and archived orders are listed too. An order that is deleted stays with us.
        An inquiry is a dispute, and won when the charge was refunded instead. Subscriptions belong to apps and are not read.
"""

import json
import math
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from journey_pipeline.errors import SourceError
from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, by_cursor_in_body, in_headers
from journey_pipeline.platforms.translate import (
    boolean,
    click_id,
    currency,
    iso,
    keys,
    major,
    newest,
    objects,
    path,
    records,
    refs,
)

if TYPE_CHECKING:
    from requests import Response

PAGE = 25
"""An order costs up to 35 points, and no query may cost more than 1,000."""
OVERLAP = timedelta(hours=1)
HISTORY = timedelta(days=60)

ORDERS = """
query ($first: Int!, $after: String, $query: String) {
  orders(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {
    pageInfo { endCursor }
    nodes {
      legacyResourceId processedAt cancelledAt test email phone displayFinancialStatus paymentGatewayNames
      customAttributes { key value }
      customer { legacyResourceId }
      billingAddress { name company phone }
      totalPriceSet { presentmentMoney { amount currencyCode } shopMoney { amount currencyCode } }
      totalRefundedSet { presentmentMoney { amount } shopMoney { amount } }
      lineItems(first: 1) { nodes { sku product { legacyResourceId } variant { legacyResourceId } } }
      transactions(first: 10) { kind status gateway authorizationCode receiptJson processedAt }
      customerJourneySummary { firstVisit { ...visit } lastVisit { ...visit } }
    }
  }
}
fragment visit on CustomerVisit {
  id occurredAt landingPage source utmParameters { source medium campaign content }
}"""
DISPUTES = """
query ($first: Int!, $after: String) {
  shopifyPaymentsAccount {
    disputes(first: $first, after: $after) {
      pageInfo { endCursor }
      nodes { id initiatedAt status order { legacyResourceId } }
    }
  }
}"""
STATUSES = {
    "PAID": "succeeded", "PARTIALLY_REFUNDED": "succeeded", "REFUNDED": "succeeded", "PARTIALLY_PAID": "pending",
    "PENDING": "pending", "AUTHORIZED": "authorised", "VOIDED": "failed", "EXPIRED": "failed",
}  # fmt: skip
DISPUTE_STATUSES = {
    "NEEDS_RESPONSE": "open", "UNDER_REVIEW": "open", "WON": "won", "CHARGE_REFUNDED": "won", "LOST": "lost",
    "ACCEPTED": "lost",
}  # fmt: skip


class Options(base.Options):
    """Options of Shopify."""

    shop: str = ""
    """`northwind` of northwind.myshopify.com."""
    base_url: str = ""
    """Instead of `shop`, where the API has another host."""
    version: str = "2026-07"
    """Version of the API; each lives a year."""
    money: Literal["presentment", "shop"] = "presentment"
    """Whose currency amounts are in: the buyer's or the shop's."""
    product: Literal["product", "variant", "sku"] = "product"
    """What of the first line is the product."""
    gateways: Mapping[str, str] = {"paypal": "paypal"}
    """Shopify's name of a gateway -> the platform of journey.yaml that tells its payments."""
    key_fields: tuple[str, ...] = ("user_ref", "contact_ref", "account_ref")
    """Custom attributes that name the same person elsewhere, as `platform:id`."""
    disputes: bool = False
    """Whether disputes of Shopify Payments are read."""


def orders(pull: Pull) -> Iterator[list[Row]]:
    since = pull.since(OVERLAP)
    changed = f"updated_at:>='{since:%Y-%m-%dT%H:%M:%SZ}'" if since else None
    for page in _nodes(pull, ORDERS, "data.orders", query=changed):
        yield [{**order, "transactions": [_receipted(t) for t in order["transactions"]]} for order in page]
    pull.until()


def disputes(pull: Pull) -> Iterator[list[Row]]:
    if pull.options.disputes:
        yield from _nodes(pull, DISPUTES, "data.shopifyPaymentsAccount.disputes")


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Orders, of all versions, as payments of the shop, and the visits before them as touchpoints."""
    placed = raw["orders"].join(
        _disputes(raw), left_on="legacy_resource_id", right_on="order", how="left", validate="m:1"
    )
    code = currency(path("total_price_set", f"$.{options.money}Money.currencyCode"))
    amount, refunded = (
        major(path(f"total_{name}_set", f"$.{options.money}Money.amount"), code) for name in ("price", "refunded")
    )
    status = pl.col("display_financial_status").replace(STATUSES)
    is_off = pl.col("cancelled_at").is_not_null() & status.is_in(["pending", "authorised"])
    person = {
        "email": pl.col("email"),
        "phone": pl.coalesce("phone", path("billing_address", "$.phone")),
        "name": path("billing_address", "$.name"),
        "company": path("billing_address", "$.company"),
        "keys": pl.concat_list(
            keys(shopify=path("customer", "$.legacyResourceId")), *(_attribute(field) for field in options.key_fields)
        ),
        "is_test": boolean(pl.col("test")),
    }
    payment = {
        "record_id": pl.col("legacy_resource_id"),
        "occurred_at": iso(pl.col("processed_at")),
        "url": spelled(
            "https://admin.shopify.com/store/{}/orders/{}",
            pl.lit(options.shop or None, pl.String),
            "legacy_resource_id",
        ),
        "role": pl.lit("shop"),
        "same_as": _at_processors(options),
        "status": pl.when(is_off).then(pl.lit("failed")).otherwise(status),
        "amount_minor": amount,
        "currency": code,
        "product_ref": spelled("shopify:{}", path("line_items", f"$.nodes[0].{_LINE[options.product]}")),
        "method": path("payment_gateway_names", "$[0]").str.to_lowercase().replace({"bank deposit": "bank_transfer"}),
        "refunded_minor": refunded,
        "refunded_at": _refunded_at(),
        "disputed_at": pl.col("disputed_at"),
        "dispute_status": pl.col("dispute_status"),
    }
    visits = [_visit(raw["orders"], name, person) for name in ("firstVisit", "lastVisit")]
    return {"payments": records(placed, {**person, **payment}), "touchpoints": pl.concat(visits)}


_LINE = {"product": "product.legacyResourceId", "variant": "variant.legacyResourceId", "sku": "sku"}


def _visit(placed: pl.LazyFrame, name: str, person: Mapping[str, pl.Expr]) -> pl.LazyFrame:
    def said(part: str) -> pl.Expr:
        return path("customer_journey_summary", f"$.{name}.{part}")

    visit = {
        "record_id": said("id").str.extract(r"([^/]+)$"),
        "occurred_at": iso(said("occurredAt")),
        "source": pl.coalesce(said("utmParameters.source"), said("source")),
        **{part: said(f"utmParameters.{part}") for part in ("medium", "campaign", "content")},
        "click_id": click_id(said("landingPage")),
        "page": said("landingPage").str.replace(r"[?#].*$", ""),
    }
    return records(placed.filter(said("id").is_not_null()), {**person, **visit})


def _attribute(name: str) -> pl.Expr:
    return refs(path("custom_attributes", f'$[?(@.key=="{name}")].value')).fill_null([])


def _at_processors(options: Options) -> pl.Expr:
    """The sale as each processor tells it."""
    part = pl.element().struct.field
    is_paid = part("kind").is_in(["SALE", "CAPTURE"]) & (part("status") == "SUCCESS")
    teller = part("gateway").replace_strict(options.gateways, default=None, return_dtype=pl.String)
    named = pl.coalesce(part("receiptJson").str.extract(r"\b(ch_\w+)"), part("authorizationCode"))
    told = _transactions().list.eval(spelled("{}:{}", teller, named).filter(is_paid))
    return told.list.drop_nulls().list.unique(maintain_order=True).fill_null([])


def _refunded_at() -> pl.Expr:
    part = pl.element().struct.field
    is_refund = (part("kind") == "REFUND") & (part("status") == "SUCCESS")
    return _transactions().list.eval(iso(part("processedAt")).filter(is_refund)).list.max()


def _transactions() -> pl.Expr:
    return objects("transactions", "kind", "status", "gateway", "authorizationCode", "receiptJson", "processedAt")


def _disputes(raw: Raw) -> pl.LazyFrame:
    """By order: its latest dispute."""
    return (
        newest(raw["disputes"], "id")
        .select(
            order=path("order", "$.legacyResourceId"),
            disputed_at=iso(pl.col("initiated_at")),
            dispute_status=pl.col("status").str.to_uppercase().replace(DISPUTE_STATUSES),
        )
        .sort("disputed_at")
        .unique("order", keep="last", maintain_order=True)
    )


def _receipted(transaction: Mapping[str, Any]) -> Row:
    """What a gateway answered is an object with some of them and a text with others."""
    receipt = transaction["receiptJson"]
    return {**transaction, "receiptJson": receipt if receipt is None else json.dumps(receipt)}


def _nodes(pull: Pull, asked: str, at: str, **variables: str | None) -> Iterator[list[Row]]:
    sent = {"query": asked, "variables": {"first": PAGE, "after": None, **variables}}
    # A shop without Shopify Payments has no account to say whether there is more; the page after the last is empty.
    by = by_cursor_in_body(f"{at}.pageInfo.endCursor", "variables.after", until_empty=True)
    return _api(pull).rows(f"/admin/api/{pull.options.version}/graphql.json", by=by, rows=f"{at}.nodes", json=sent)


def _api(pull: Pull) -> Api:
    host = pull.options.base_url or f"https://{pull.options.shop}.myshopify.com"
    if not (pull.options.base_url or pull.options.shop):
        sentence = "shopify: no shop is set; add `shop: northwind` (of northwind.myshopify.com) to its options."
        raise SourceError(sentence, is_transient=False)
    token = pull.secrets["SHOPIFY_CLIENT_SECRET"]
    if not token.startswith("shpat_"):
        app = {"client_id": pull.secrets["SHOPIFY_CLIENT_ID"], "client_secret": token}
        asked = {"grant_type": "client_credentials", **app}
        token = Api(pull, host).post("/admin/oauth/access_token", form=asked)["access_token"]  # good for a day
    return Api(pull, host, auth=in_headers(X_Shopify_Access_Token=token), means=_meaning)


def _meaning(reply: "Response") -> int:
    """Shopify limits and refuses with 200: the errors say what is meant, the cost how long to wait."""
    body = reply.json() if reply.status_code == 200 else {}  # noqa: PLR2004
    codes = {error.get("extensions", {}).get("code") for error in body.get("errors") or ()}
    if "THROTTLED" in codes:
        cost = body["extensions"]["cost"]
        state = cost["throttleStatus"]
        lacking = cost["requestedQueryCost"] - state["currentlyAvailable"]
        reply.headers["Retry-After"] = str(max(1, math.ceil(lacking / state["restoreRate"])))
        return 429
    if codes:
        return 403 if "ACCESS_DENIED" in codes else 500 if "INTERNAL_SERVER_ERROR" in codes else 400
    return reply.status_code


PLATFORM = Platform(
    name="shopify",
    title="Shopify",
    resources=(
        Resource(
            "orders",
            "changes",
            orders,
            columns=(
                "legacy_resource_id", "processed_at", "cancelled_at", "test", "email", "phone",
                "display_financial_status", "payment_gateway_names", "custom_attributes", "customer", "billing_address",
                "total_price_set", "total_refunded_set", "line_items", "transactions", "customer_journey_summary",
            ),
            history=HISTORY,
            scope="read_orders (and read_all_orders for those older than 60 days), protected customer data",
        ),
        Resource(
            "disputes",
            "snapshot",
            disputes,
            columns=("id", "initiated_at", "status", "order"),
            scope="read_shopify_payments_disputes",
        ),
    ),
    says={"payments": ("orders", "disputes"), "touchpoints": ("orders",)},
    read=read,
    options=Options,
    secrets=("SHOPIFY_CLIENT_ID", "SHOPIFY_CLIENT_SECRET"),
    verified=(
        "Against a fake that executes each query over a slice of the schema, written from Shopify's documentation; never "
        "against a live shop."
    ),
)  # fmt: skip
