"""WooCommerce: which orders a WordPress shop took, was paid for and gave back, who subscribed, and what brought the buyer.

Reads   /wp-json/wc/v3/orders, /orders/{id}/refunds of orders that have any, and with `subscriptions: true` the
        plugin's /subscriptions
Says    payments (role `shop`): one per order; subscriptions (role `shop`); touchpoints: the visit that an order is
        attributed to
Cursor  `modified_after`, an hour back. In order of id: what changes meanwhile joins the list and moves nobody. Orders in
        the trash are asked for apart and are left out; one that is taken from it comes back. The shop states how many
        there are: an order that is trashed while pages are read makes the load partial, and the next one reads again.
Money   decimal text and a currency, as many digits as the shop shows.
Joins   e-mail, phone, name and company of the billing address; the customer's id (guests have none); `key_fields` of the
        meta data; `transaction_id`, where `gateways` says whose it is; utm values of Woo's order attribution.
Needs   WOOCOMMERCE_KEY and WOOCOMMERCE_SECRET (WooCommerce, Settings, Advanced, REST API, permission Read) and `base_url`,
        the shop's own address with https.
Assumes Times are read from the `_gmt` fields, which have no zone. The first line is what was sold. What was paid for is a
        payment although the order was cancelled later; `on-hold` waits for money; drafts, and subscriptions not begun, are left out. Order attribution
        tells no zone of the visit's start: the order's own time stands for it. Of subscriptions `on-hold` means a payment
        that failed, see `on_hold`; the length of a fixed term is not told. Permanently deleted orders stay with us.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from journey_pipeline.errors import SourceError
from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, RefusalError, basic, by_page
from journey_pipeline.platforms.translate import (
    click_id,
    currency,
    filled,
    integer,
    interval,
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

PAGE = 100
OVERLAP = timedelta(hours=1)
PAST_THE_END = 416
SCOPE = "a REST API key with permission Read, of a user who may manage the shop"
UNSOLD = ("trash", "checkout-draft", "auto-draft")
STATUSES = {
    "processing": "succeeded", "completed": "succeeded", "refunded": "succeeded", "pending": "pending",
    "on-hold": "pending", "failed": "failed", "cancelled": "failed",
}  # fmt: skip
AGREED = {
    "active": "active", "pending-cancel": "active", "cancelled": "ended", "expired": "ended", "switched": "ended",
}  # fmt: skip
METHODS = {
    "bacs": "bank_transfer", "stripe_sepa": "sepa_debit", "stripe_sepa_debit": "sepa_debit", "stripe_boleto": "boleto",
    "stripe_oxxo": "oxxo", "stripe_multibanco": "multibanco", "stripe_us_bank_account": "us_bank_account",
}  # fmt: skip


class Options(base.Options):
    """Options of WooCommerce."""

    base_url: str = ""
    """Address of the shop, `https://shop.northwind.example`."""
    admin_url: str = ""
    """Where links into its admin pages lead, if not to `base_url`."""
    subscriptions: bool = False
    """Whether the plugin WooCommerce Subscriptions is there."""
    gateways: Mapping[str, str] = {"stripe": "stripe", "ppcp": "paypal", "paypal": "paypal", "ppec": "paypal"}
    """How the id of a payment method begins -> the platform of journey.yaml that tells its payments."""
    key_fields: tuple[str, ...] = ("user_ref", "contact_ref", "account_ref")
    """Meta data that names the same person elsewhere, as `platform:id`."""
    product: Literal["product", "variation"] = "product"
    """Whether a line's product or its variation is what was sold."""
    on_hold: Literal["past_due", "paused"] = "past_due"
    """What it means that a subscription is on hold."""
    statuses: Mapping[str, Literal["succeeded", "pending", "authorised", "failed"]] = {}
    """Statuses of orders that a plugin added -> what they mean."""


def orders(pull: Pull) -> Iterator[list[Row]]:
    api = _api(pull)
    for page in _changed(pull, api, "orders"):
        yield [{**order, "refunded": _refunds(api, order)} for order in page]
    pull.until()


def subscriptions(pull: Pull) -> Iterator[list[Row]]:
    if pull.options.subscriptions:
        yield from _changed(pull, _api(pull), "subscriptions")
        pull.until()


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Orders and subscriptions, of all versions, but for those that are in the trash now."""
    agreed = newest(raw["subscriptions"], "id").filter(pl.col("parent_id") != "0")
    of_first = agreed.select(id="parent_id", begun="id").unique("id", keep="first", maintain_order=True)
    placed = _kept(raw["orders"], UNSOLD).join(of_first, on="id", how="left", validate="m:1")
    attributed = placed.filter(_meta("_wc_order_attribution_utm_source").is_not_null())
    return {
        "payments": records(placed, {**_person(options), **_payment(options)}),
        "subscriptions": records(
            _kept(raw["subscriptions"], (*UNSOLD, "pending")), {**_person(options), **_subscription(options)}
        ),
        "touchpoints": records(attributed, {**_person(options), **_TOUCH}),
    }


def _kept(rows: pl.LazyFrame, but: tuple[str, ...]) -> pl.LazyFrame:
    """All versions of what now has none of the statuses `but`."""
    is_told = ~pl.col("status").is_in(but).fill_null(value=False)
    return rows.filter(is_told).join(newest(rows, "id").filter(is_told).select("id"), on="id", how="semi")


def _meta(key: str) -> pl.Expr:
    return filled(path("meta_data", f'$[?(@.key=="{key}")].value'))


def _gmt(name: str) -> pl.Expr:
    return iso(pl.col(f"{name}_gmt"))


def _person(options: Options) -> Mapping[str, pl.Expr]:
    said = {
        part: filled(path("billing", f"$.{part}")) for part in ("email", "phone", "company", "first_name", "last_name")
    }
    name = pl.concat_str(said.pop("first_name"), said.pop("last_name"), separator=" ", ignore_nulls=True)
    customer = pl.col("customer_id").replace({"0": None})
    elsewhere = [refs(_meta(key)) for key in options.key_fields]
    return {
        "record_id": pl.col("id"),
        "occurred_at": _gmt("date_created"),
        **said,
        "name": filled(name),
        "keys": pl.concat_list(keys(woocommerce=customer), *(found.fill_null([]) for found in elsewhere)),
        "is_test": pl.lit(value=False),
    }


def _payment(options: Options) -> Mapping[str, pl.Expr]:
    code, status = currency(pl.col("currency")), pl.col("status").replace({**STATUSES, **options.statuses})
    paid_at, method = _gmt("date_paid"), filled(pl.col("payment_method"))
    is_kept = (pl.col("status") == "cancelled") & paid_at.is_not_null()
    given_back = objects("refunded", "amount", "date_created_gmt")
    amounts = pl.element().struct.field("amount").cast(pl.Decimal(18, 4), strict=False)
    tellers = [
        pl.when(method.str.starts_with(begins)).then(pl.lit(teller)) for begins, teller in options.gateways.items()
    ]
    copy = spelled("{}:{}", pl.coalesce(*tellers, pl.lit(None, pl.String)), filled(pl.col("transaction_id")))
    return {
        "occurred_at": pl.coalesce(paid_at, _gmt("date_created")),
        "url": _link(options, "wc-orders"),
        "role": pl.lit("shop"),
        "same_as": pl.concat_list(copy).list.drop_nulls(),
        "status": pl.when(is_kept).then(pl.lit("succeeded")).otherwise(status),
        "amount_minor": major(pl.col("total"), code),
        "currency": code,
        "product_ref": _product(options),
        "subscription_ref": spelled("woocommerce:{}", pl.coalesce(_meta("_subscription_renewal"), "begun")),
        "method": method.replace(METHODS),
        "refunded_minor": major(given_back.list.eval(amounts).list.sum().cast(pl.String), code).fill_null(0),
        "refunded_at": given_back.list.eval(iso(pl.element().struct.field("date_created_gmt"))).list.max(),
    }


def _subscription(options: Options) -> Mapping[str, pl.Expr]:
    code, trial_ends_at, ends_at = currency(pl.col("currency")), _gmt("trial_end_date"), _gmt("end_date")
    status = pl.col("status").replace({**AGREED, "on-hold": options.on_hold})
    is_trial = (status == "active") & (trial_ends_at > pl.col("_loaded_at"))
    return {
        "occurred_at": pl.coalesce(_gmt("start_date"), _gmt("date_created")),
        "url": _link(options, "wc-orders--shop_subscription"),
        "role": pl.lit("shop"),
        "status": pl.when(is_trial.fill_null(value=False)).then(pl.lit("trialing")).otherwise(status),
        "product_ref": _product(options),
        "quantity": integer(path("line_items", "$[0].quantity")),
        "amount_minor": major(pl.col("total"), code),
        "currency": code,
        "interval": interval(pl.col("billing_interval"), pl.col("billing_period")),
        "trial_ends_at": trial_ends_at,
        "period_ends_at": pl.coalesce(_gmt("next_payment_date"), ends_at),
        "is_cancelling": pl.col("status") == "pending-cancel",
        "cancelled_at": _gmt("cancelled_date"),
        "ended_at": pl.when(status == "ended").then(ends_at),
    }


_TOUCH = {
    **{part: _meta(f"_wc_order_attribution_utm_{part}") for part in ("source", "medium", "campaign", "content")},
    "click_id": click_id(_meta("_wc_order_attribution_session_entry")),
    "page": _meta("_wc_order_attribution_session_entry").str.replace(r"[?#].*$", ""),
}


def _product(options: Options) -> pl.Expr:
    product, variation = (
        filled(path("line_items", f"$[0].{part}_id").replace({"0": None})) for part in ("product", "variation")
    )
    return spelled("woocommerce:{}", pl.coalesce(variation, product) if options.product == "variation" else product)


def _link(options: Options, page: str) -> pl.Expr:
    return spelled(
        f"{(options.admin_url or options.base_url).rstrip('/')}/wp-admin/admin.php?page={page}&action=edit&id={{}}",
        "id",
    )


def _refunds(api: Api, order: Mapping[str, Any]) -> list[Row]:
    """With their dates, which the order itself does not tell."""
    return (
        [refund for page in _list(api, f"orders/{order['id']}/refunds") for refund in page] if order["refunds"] else []
    )


def _changed(pull: Pull, api: Api, name: str) -> Iterator[list[Row]]:
    since = pull.since(OVERLAP)
    asked: dict[str, Any] = {"orderby": "id", "order": "asc", "status": "any"}
    if since is None:
        yield from _list(api, name, total="X-WP-Total", **asked)
        return
    asked |= {"modified_after": f"{since:%Y-%m-%dT%H:%M:%S}", "dates_are_gmt": "true"}
    for status in ("any", "trash"):
        yield from _list(api, name, total="X-WP-Total", **{**asked, "status": status})


def _list(api: Api, name: str, *, total: str | None = None, **asked: Any) -> Iterator[list[Row]]:
    try:
        yield from api.rows(
            f"/wp-json/wc/v3/{name}", by=by_page(), rows="$", total=total, params={"per_page": PAGE, **asked}
        )
    except RefusalError as no:
        if no.status != PAST_THE_END:
            raise


def _api(pull: Pull) -> Api:
    if not pull.options.base_url:
        sentence = "woocommerce: no base_url is set; add the shop's address (`https://…`) to its options."
        raise SourceError(sentence, is_transient=False)
    login = basic(pull.secrets["WOOCOMMERCE_KEY"], pull.secrets["WOOCOMMERCE_SECRET"])
    return Api(pull, pull.options.base_url.rstrip("/"), auth=login, means=_meaning)


def _meaning(reply: "Response") -> int:
    """Some lists end with an empty page, others refuse the page after the last."""
    is_past = reply.status_code == 400 and "rest_post_invalid_page_number" in reply.text  # noqa: PLR2004
    return PAST_THE_END if is_past else reply.status_code


_ORDERED = (
    "id", "parent_id", "status", "currency", "date_created_gmt", "total", "customer_id", "billing", "meta_data",
    "line_items",
)  # fmt: skip

PLATFORM = Platform(
    name="woocommerce",
    title="WooCommerce",
    resources=(
        Resource(
            "orders",
            "changes",
            orders,
            columns=(*_ORDERED, "date_paid_gmt", "payment_method", "transaction_id", "refunded"),
            scope=SCOPE,
        ),
        Resource(
            "subscriptions",
            "changes",
            subscriptions,
            columns=(
                *_ORDERED, "billing_period", "billing_interval", "start_date_gmt", "trial_end_date_gmt",
                "next_payment_date_gmt", "cancelled_date_gmt", "end_date_gmt",
            ),
            scope=f"{SCOPE}, and the plugin WooCommerce Subscriptions",
        ),
    ),
    says={"payments": ("orders", "subscriptions"), "subscriptions": ("subscriptions",), "touchpoints": ("orders",)},
    read=read,
    options=Options,
    secrets=("WOOCOMMERCE_KEY", "WOOCOMMERCE_SECRET"),
    spec="third party",
    verified=(
        "Against a stateful fake, for orders and refunds also a third party's OpenAPI description; subscriptions by their "
        "documentation; never against a live shop."
    ),
)  # fmt: skip
