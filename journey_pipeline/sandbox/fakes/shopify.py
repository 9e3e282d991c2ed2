"""Shopify's GraphQL Admin API over a world: a slice of its schema, executed, with its costs, limits and search.

A payment's id and its first key `shopify:` are numbers, up to three others stand in custom attributes. A product is `shopify:` and
a number; of `same_as` the first is told, as `paypal:` and an authorisation code or `stripe:` and a charge. The touchpoints
of an e-mail address are the visits before its first order: the earliest and the latest. Orders older than 60 days are
told only with read_all_orders, which the sandbox's app lacks.
"""

import re
import time
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from graphql import build_schema, graphql_sync
from graphql.error import GraphQLError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.platforms.translate import ZERO_DECIMAL
from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.fakes.parts import Row
from journey_pipeline.sandbox.world import World

SECRETS = {"SHOPIFY_CLIENT_ID": "sandbox", "SHOPIFY_CLIENT_SECRET": "shpss_sandbox"}
TOKEN = "shpca_sandbox"  # noqa: S105 - opens a fake only
HISTORY = timedelta(days=60)
HAS_PAYMENTS = True
BUCKET, REFILL, LARGEST_COST = 2000.0, 100.0, 1000.0
_COST = 35  # of one order, about
_SCHEMA = build_schema("""
scalar DateTime
scalar URL
scalar JSON
scalar Decimal
scalar UnsignedInt64
enum OrderSortKeys { CREATED_AT CUSTOMER_NAME ID PROCESSED_AT UPDATED_AT }
type Query {
  orders(first: Int, after: String, query: String, sortKey: OrderSortKeys = PROCESSED_AT, reverse: Boolean): OrderConnection!
  shopifyPaymentsAccount: ShopifyPaymentsAccount
}
type PageInfo { hasNextPage: Boolean! endCursor: String }
type OrderConnection { nodes: [Order!]! pageInfo: PageInfo! }
type Order {
  id: ID! legacyResourceId: UnsignedInt64! createdAt: DateTime! processedAt: DateTime! updatedAt: DateTime! cancelledAt: DateTime
  test: Boolean! email: String phone: String displayFinancialStatus: String paymentGatewayNames: [String!]!
  customAttributes: [Attribute!]! customer: Customer billingAddress: MailingAddress
  totalPriceSet: MoneyBag! totalRefundedSet: MoneyBag! lineItems(first: Int, after: String): LineItemConnection!
  transactions(first: Int): [OrderTransaction!]! customerJourneySummary: CustomerJourneySummary
}
type Attribute { key: String! value: String }
type Customer { legacyResourceId: UnsignedInt64! }
type MailingAddress { name: String company: String phone: String }
type MoneyBag { presentmentMoney: MoneyV2! shopMoney: MoneyV2! }
type MoneyV2 { amount: Decimal! currencyCode: String! }
type LineItemConnection { nodes: [LineItem!]! }
type LineItem { sku: String product: Product variant: ProductVariant }
type Product { legacyResourceId: UnsignedInt64! }
type ProductVariant { legacyResourceId: UnsignedInt64! }
type OrderTransaction {
  kind: String! status: String! gateway: String authorizationCode: String receiptJson: JSON processedAt: DateTime
}
type CustomerJourneySummary { firstVisit: CustomerVisit lastVisit: CustomerVisit }
type CustomerVisit { id: ID! occurredAt: DateTime! landingPage: URL source: String! utmParameters: UTMParameters }
type UTMParameters { source: String medium: String campaign: String content: String term: String }
type ShopifyPaymentsAccount { disputes(first: Int, after: String, query: String): ShopifyPaymentsDisputeConnection! }
type ShopifyPaymentsDisputeConnection { nodes: [ShopifyPaymentsDispute!]! pageInfo: PageInfo! }
type ShopifyPaymentsDispute { id: ID! initiatedAt: DateTime! status: String! order: Order }
""")
_STATUSES = {"pending": "PENDING", "authorised": "AUTHORIZED", "failed": "VOIDED"}
_DISPUTES = {"open": "UNDER_REVIEW", "won": "WON", "lost": "LOST"}


def _orders(world: World) -> list[tuple[datetime, Row]]:
    """By their last change."""
    visits: dict[str, list[Row]] = {}
    for visit in world.of("touchpoints", "shopify").sort("occurred_at").iter_rows(named=True):
        visits.setdefault(visit["email"], []).append(_visit(visit))
    payments = world.of("payments", "shopify").sort("occurred_at", "record_id").iter_rows(named=True)
    made = [(row, _order(row, visits.pop(row["email"], []))) for row in payments]
    made.sort(key=lambda pair: (pair[0]["changed_at"], int(pair[0]["record_id"])))
    return [(row["changed_at"], {**order, "_placed": row["occurred_at"]}) for row, order in made]


def _order(row: Row, visits: list[Row]) -> Row:
    own, at = parts.own_id(row, "shopify"), parts.iso(row["occurred_at"])
    product = row["product_ref"] and {"legacyResourceId": row["product_ref"].removeprefix("shopify:")}
    method = "Bank Deposit" if row["method"] == "bank_transfer" else row["method"]
    return {
        "id": f"gid://shopify/Order/{row['record_id']}", "legacyResourceId": row["record_id"], "createdAt": at,
        "processedAt": at, "updatedAt": parts.iso(row["changed_at"]), "cancelledAt": None, "test": row["is_test"],
        "email": row["email"], "phone": row["phone"], "displayFinancialStatus": _status(row),
        "paymentGatewayNames": [method] if method else [],
        "customAttributes": [{"key": f"{of}_ref", "value": key} for of, key in zip(("user", "contact", "account"), parts.elsewhere(row, "shopify"), strict=False)],
        "customer": own and {"legacyResourceId": own},
        "billingAddress": {"name": row["name"], "company": row["company"], "phone": None},
        "totalPriceSet": _money(row, row["amount_minor"]), "totalRefundedSet": _money(row, row["refunded_minor"] or 0),
        "lineItems": {"nodes": [{"sku": "SKU", "product": product, "variant": None}] if product else []},
        "transactions": _transactions(row),
        "customerJourneySummary": {"firstVisit": visits[0], "lastVisit": visits[-1]} if visits else None,
        "_disputed": row["disputed_at"] and {"initiatedAt": parts.iso(row["disputed_at"]), "status": _DISPUTES[row["dispute_status"]]},
    }  # fmt: skip


def _status(row: Row) -> str:
    refunded = row["refunded_minor"] or 0
    paid = "PAID" if not refunded else "REFUNDED" if refunded >= row["amount_minor"] else "PARTIALLY_REFUNDED"
    return _STATUSES.get(row["status"], paid)


def _money(row: Row, minor: int) -> Row:
    amount = parts.major(minor, 0 if row["currency"] in ZERO_DECIMAL else 2)
    shown = f"{amount}.0" if row["currency"] in ZERO_DECIMAL else amount
    return {"presentmentMoney": {"amount": shown, "currencyCode": row["currency"]},
            "shopMoney": {"amount": "1.0", "currencyCode": "USD"}}  # fmt: skip


def _transactions(row: Row) -> list[Row]:
    gateway, _, code = next(iter(row["same_as"] or ()), "shopify_payments:s1").partition(":")
    receipt = {"id": "pi_1", "latest_charge": {"id": code}} if gateway == "stripe" else '{"ack":"Success"}'
    base = {"gateway": gateway, "authorizationCode": f"pi_{code}" if gateway == "stripe" else code,
            "receiptJson": receipt, "processedAt": parts.iso(row["occurred_at"])}  # fmt: skip
    told = [{**base, "kind": "SALE", "status": "FAILURE", "authorizationCode": None, "receiptJson": None}]
    if row["status"] == "succeeded":
        told.append({**base, "kind": "SALE", "status": "SUCCESS"})
    if row["refunded_minor"]:
        told.append({**base, "kind": "REFUND", "status": "SUCCESS", "processedAt": parts.iso(row["refunded_at"])})
    return told


def _visit(row: Row) -> Row:
    click = f"?gclid={row['click_id']}" if row["click_id"] else ""
    return {
        "id": f"gid://shopify/CustomerVisit/{row['record_id']}", "occurredAt": parts.iso(row["occurred_at"]),
        "landingPage": row["page"] and row["page"] + click, "source": row["source"] or "direct",
        "utmParameters": {part: row[part] for part in ("source", "medium", "campaign", "content")},
    }  # fmt: skip


def _connection(found: list[Row], first: int, after: str | None) -> Row:
    start = int(parts.place(after)) if after else 0
    page = found[start : start + first]
    more = start + first < len(found)
    return {
        "nodes": page,
        "pageInfo": {"hasNextPage": more, "endCursor": parts.cursor(start + len(page)) if page else None},
    }


class _Bucket:
    """Points that queries cost, refilled by the second."""

    def __init__(self) -> None:
        self._left, self._at = BUCKET, time.monotonic()

    def take(self, cost: float) -> tuple[bool, Row]:
        now = time.monotonic()
        self._left, self._at = min(BUCKET, self._left + (now - self._at) * REFILL), now
        is_enough = cost <= self._left
        self._left -= cost if is_enough else 0
        state = {"maximumAvailable": BUCKET, "currentlyAvailable": int(self._left), "restoreRate": REFILL}
        return is_enough, {"cost": {"requestedQueryCost": cost, "throttleStatus": state}}


def app(world: World) -> Starlette:
    """The API."""
    held, bucket = parts.Rendered(world, ("payments", "touchpoints"), _orders), _Bucket()

    def told() -> list[tuple[datetime, Row]]:
        return [(at, row) for at, row in held.now() if at <= world.now and row["_placed"] >= world.now - HISTORY]

    def orders(_info: Any, first: int, after: str | None = None, query: str | None = None, **more: Any) -> Row:
        since = re.fullmatch(r"updated_at:>='([^']+)'", query) if query else None
        if more != {"sortKey": "UPDATED_AT"} or (query and not since):
            msg = "the sandbox sorts by UPDATED_AT and searches by updated_at:>='…'"
            raise GraphQLError(msg)
        start = parts.instant(since[1]) if since else world.now - HISTORY
        return _connection([row for at, row in told() if at >= start], first, after)

    def disputes(_info: Any, first: int, after: str | None = None) -> Row:
        found = [{**row["_disputed"], "id": f"gid://shopify/Dispute/{row['legacyResourceId']}", "order": row}
                 for _, row in told() if row["_disputed"]]  # fmt: skip
        return _connection(found, first, after)

    async def graphql(request: Request) -> JSONResponse:
        parts.has_header(request, "X-Shopify-Access-Token", TOKEN)
        sent = await parts.body(request, ("query", "variables"))
        cost = sent["variables"].get("first", 1) * _COST
        if cost > LARGEST_COST:
            return JSONResponse(_errors("Query cost is too high", "MAX_COST_EXCEEDED"))
        is_enough, extensions = bucket.take(cost)
        if not is_enough:
            return JSONResponse({**_errors("Throttled", "THROTTLED"), "extensions": extensions})
        root = {"orders": orders, "shopifyPaymentsAccount": {"disputes": disputes} if HAS_PAYMENTS else None}
        done = graphql_sync(_SCHEMA, sent["query"], root, variable_values=sent["variables"])
        if done.errors:
            return JSONResponse(_errors("; ".join(error.message for error in done.errors), "undefinedField"))
        account = (done.data or {}).get("shopifyPaymentsAccount") or {"disputes": {"nodes": []}}
        shown = (done.data or {}).get("orders") or account["disputes"]
        bucket.take(_COST * len(shown["nodes"]) - cost)  # what was not there costs nothing in the end
        return JSONResponse({"data": done.data, "extensions": extensions})

    return parts.service(
        [
            Route("/admin/oauth/access_token", _token, methods=["POST"]),
            Route("/admin/api/{version}/graphql.json", graphql, methods=["POST"]),
        ],
        lambda _status, detail: {"errors": detail},
    )


async def _token(request: Request) -> JSONResponse:
    given = dict(parse_qsl((await request.body()).decode()))
    asked = {"grant_type": "client_credentials", "client_id": "sandbox", "client_secret": "shpss_sandbox"}
    if given != asked:
        raise HTTPException(401, "invalid_client")
    return JSONResponse({"access_token": TOKEN, "scope": "read_orders", "expires_in": 86399})


def _errors(message: str, code: str) -> Row:
    return {"errors": [{"message": message, "extensions": {"code": code}}]}
