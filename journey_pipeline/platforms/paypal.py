"""PayPal: which money came in, what was paid back, and what buyers disputed.

Reads   /v1/reporting/transactions, /v1/customer/disputes and each of these disputes
Says    payments: one per payment received, or authorised and not yet captured
Cursor  The last 31 days again with each load, for transactions can be asked for by the time they began only; disputes by
        `update_time`, an hour back. So a payment that settles (an eCheck takes a week) or is denied is seen. Refunds and
        chargebacks are rows of their own, dated when they happened, and are joined to their payment however old it is. The
        first load takes three years, in windows of 31 days; a window with too many rows is halved, and none begins after
        what PayPal says it has refreshed, up to three hours ago.
Money   decimal text and a currency; JPY has no minor unit. Money in is positive, refunds and fees are negative; fees,
        holds, rebates, transfers and currency conversions are left out. A transaction id may come several times, with other event
        codes: a row is its id and its code.
Joins   the payer's e-mail, phone, name and account id; `custom_field` if it reads like `app:42`; `invoice_id` if it reads
        like `woocommerce:77` or begins with one of `invoice_prefixes`: the same sale in a shop.
Needs   PAYPAL_CLIENT_ID and PAYPAL_CLIENT_SECRET of a REST app (developer.paypal.com, Apps & Credentials, Live) with the
        features Transaction search and Customer disputes; granting them takes up to nine hours.
Assumes The product is the item code of the cart's first line, else that line's name. `V` (reversed) without any refund or
        chargeback known to us: wholly refunded when it was last updated. A refund in another currency than its payment
        is not counted. A dispute that PayPal pays out, that the buyer calls off or that ends without an outcome is won;
        a claim that the seller accepts is lost. Disputes are told for 180 days; older chargebacks by their rows.
        Subscriptions can't be listed; `subscription_ref` is the reference of their payments.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, RefusalError, basic, by_link, by_page, granted
from journey_pipeline.platforms.translate import currency, iso, keys, major, newest, objects, path, records, refs

if TYPE_CHECKING:
    from requests import Response

PAGE = 500
DISPUTES_PAGE = 50
WINDOW = timedelta(days=31)
"""The longest period that one request may ask for, and how far back each load looks again."""
HISTORY = timedelta(days=3 * 364)
DISPUTES_HISTORY = timedelta(days=179)
OVERLAP = timedelta(hours=1)
TOO_LARGE = 413

STATUSES = {"S": "succeeded", "V": "succeeded", "F": "succeeded", "P": "pending", "D": "failed"}
AUTHORISED = {"S": "authorised", "P": "authorised", "V": "failed", "D": "failed"}
METHODS = {"credit_card": "card", "debit_card": "card", "bank": "bank_transfer"}
REFUNDS = ("T1106", "T1107")
NO_SALES = ("T0014", "T0015", "T0016", "T0017")
"""Rebates, payouts, recoupments, transfers between stores."""
CHARGEBACKS = ("T1201", "T1202", "T1207", "T1208")
"""Chargeback, its reversal, a rejected re-presentment, a cancelled chargeback: below zero in sum, it is lost."""
LOST = ("RESOLVED_BUYER_FAVOUR", "ACCEPTED")


class Options(base.Options):
    """Options of PayPal."""

    base_url: str = "https://api-m.paypal.com"
    """`https://api-m.sandbox.paypal.com` for a sandbox account, whose payments are all tests."""
    invoice_prefixes: Mapping[str, str] = {"WC-": "woocommerce"}
    """How a shop's invoice ids begin -> that shop's name in journey.yaml; the rest is its order's id."""


def transactions(pull: Pull) -> Iterator[list[Row]]:
    api, end = _api(pull), pull.loaded_at
    start = pull.since(WINDOW) or end - HISTORY
    while start < end:
        stop = min(start + WINDOW, end)
        for rows, body in _period(pull, api, start, stop):
            yield [_flat(row) for row in rows]
            # Nothing after it is there yet, and a period that begins after it would be refused.
            refreshed = body.get("last_refreshed_datetime")
            end = min(end, datetime.fromisoformat(refreshed)) if refreshed else end
        start = stop
    pull.until()


def disputes(pull: Pull) -> Iterator[list[Row]]:
    api, oldest = _api(pull), pull.loaded_at - DISPUTES_HISTORY
    since = max(pull.since(OVERLAP) or oldest, oldest)
    asked = {"update_time_after": f"{since:%Y-%m-%dT%H:%M:%S}.000Z", "page_size": DISPUTES_PAGE}
    listed = api.rows("/v1/customer/disputes", by=by_link("links[?(@.rel=='next')].href"), rows="items", params=asked)
    for page in listed:
        # The list does not say which transaction it is about, nor how it ended.
        yield [api.get(f"/v1/customer/disputes/{row['dispute_id']}") for row in page]
    pull.until()


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Money received, of all versions, with what was taken back and disputed as it is now."""
    code, status = pl.col("transaction_event_code"), pl.col("transaction_status")
    is_payment = code.str.starts_with("T00") & ~code.is_in(NO_SALES)
    is_hold = code.is_in(["T1300", "T1301"])
    rows = raw["transactions"].with_columns(money=currency(path("transaction_amount", "$.currency_code")))
    rows = rows.with_columns(minor=major(path("transaction_amount", "$.value"), pl.col("money")))
    followed = rows.filter(is_payment | (code == "T1301")).select(transaction_id="paypal_reference_id").unique()
    used = rows.filter(is_hold).select("transaction_id").unique().join(followed, on="transaction_id", how="semi")
    received = (
        rows.filter(is_payment | is_hold, pl.col("minor").is_null() | (pl.col("minor") > 0))
        .join(used, on="transaction_id", how="anti")
        .join(_taken_back(rows), on=["transaction_id", "money"], how="left", validate="m:1")
        .join(_disputes(raw), on="transaction_id", how="left", validate="m:1")
    )
    untold = is_payment & (status == "V") & pl.col("refunded_minor").is_null()
    is_sandbox = "sandbox.paypal" in options.base_url
    item = "$.item_details[0]"
    payment: Mapping[str, pl.Expr | str | None] = {
        "record_id": pl.col("transaction_id"),
        "occurred_at": iso(pl.col("transaction_initiation_date")),
        "email": _payer("email_address"),
        "phone": spelled("+{}{}", _payer("phone_number.country_code"), _payer("phone_number.national_number")),
        "name": pl.coalesce(_payer("payer_name.alternate_full_name"), _name()),
        "keys": pl.concat_list(keys(paypal=_payer("account_id")), refs(pl.col("custom_field"))),
        "url": spelled(f"https://www.{'sandbox.' * is_sandbox}paypal.com/activity/payment/{{}}", "transaction_id"),
        "is_test": pl.lit(is_sandbox),
        "role": "processor",
        "same_as": _orders(options),
        "status": pl.when(is_hold).then(status.replace(AUTHORISED)).otherwise(status.replace(STATUSES)),
        "amount_minor": pl.col("minor"),
        "currency": pl.col("money"),
        "product_ref": spelled(
            "paypal:{}", pl.coalesce(path("cart_info", f"{item}.{n}") for n in ("item_code", "item_name"))
        ),
        "subscription_ref": pl.when(pl.col("paypal_reference_id_type") == "SUB").then(
            spelled("paypal:{}", "paypal_reference_id")
        ),
        "method": pl.col("instrument_type").str.to_lowercase().replace(METHODS).fill_null("paypal"),
        "refunded_minor": pl.when(untold).then("minor").otherwise("refunded_minor").fill_null(0),
        "refunded_at": pl.when(untold).then(iso(pl.col("transaction_updated_date"))).otherwise("refunded_at"),
        "disputed_at": pl.coalesce("disputed_at", "charged_back_at"),
        "dispute_status": pl.coalesce("dispute_status", "chargeback_status"),
    }
    return {"payments": records(received, payment)}


def _taken_back(rows: pl.LazyFrame) -> pl.LazyFrame:
    """By payment: what was refunded and when last; when a bank first took money back, and how that stands."""
    is_refund, is_back = (pl.col("transaction_event_code").is_in(codes) for codes in (REFUNDS, CHARGEBACKS))
    at, minor = iso(pl.col("transaction_initiation_date")), pl.col("minor")
    stands = pl.when(minor.filter(is_back).sum() < 0).then(pl.lit("lost")).otherwise(pl.lit("won"))
    return (
        newest(rows, "transaction_id", "transaction_event_code")
        .filter(is_refund | is_back, pl.col("transaction_status") == "S")
        .group_by(transaction_id="paypal_reference_id", money="money")
        .agg(
            refunded_minor=-minor.filter(is_refund).sum(),
            refunded_at=at.filter(is_refund).max(),
            charged_back_at=at.filter(is_back).min(),
            chargeback_status=pl.when(is_back.any()).then(stands),
        )
    )


def _disputes(raw: Raw) -> pl.LazyFrame:
    """By payment: its latest dispute."""
    is_lost = path("dispute_outcome", "$.outcome_code").is_in(LOST).fill_null(value=False)
    ended = pl.when(is_lost).then(pl.lit("lost")).otherwise(pl.lit("won"))
    return (
        newest(raw["disputes"], "dispute_id")
        .select(
            objects("disputed_transactions", "seller_transaction_id").alias("about"),
            disputed_at=iso(pl.col("create_time")),
            dispute_status=pl.when(pl.col("status") == "RESOLVED").then(ended).otherwise(pl.lit("open")),
        )
        .explode("about")
        .unnest("about")
        .rename({"seller_transaction_id": "transaction_id"})
        .sort("disputed_at")
        .unique("transaction_id", keep="last", maintain_order=True)
    )


def _orders(options: Options) -> pl.Expr:
    """The same sale in shops: an invoice id like `platform:record_id`, or one whose prefix names the shop."""
    invoice = pl.col("invoice_id")
    prefixed = [
        pl.when(invoice.str.starts_with(prefix)).then(spelled("{}:{}", pl.lit(shop), invoice.str.strip_prefix(prefix)))
        for prefix, shop in options.invoice_prefixes.items()
    ]
    return refs(pl.coalesce(*prefixed, invoice))


def _payer(part: str) -> pl.Expr:
    return path("payer_info", f"$.{part}")


def _name() -> pl.Expr:
    parts = [_payer(f"payer_name.{part}") for part in ("given_name", "surname")]
    name = pl.concat_str(parts, separator=" ", ignore_nulls=True)
    return pl.when(name != "").then(name)


def _period(
    pull: Pull, api: Api, start: datetime, end: datetime
) -> Iterator[tuple[list[dict[str, Any]], Mapping[str, Any]]]:
    """All pages of a period, by its halves where PayPal says that it holds too much."""
    asked = {"start_date": f"{start:%Y-%m-%dT%H:%M:%SZ}", "end_date": f"{end:%Y-%m-%dT%H:%M:%SZ}",
             "fields": "all", "balance_affecting_records_only": "N", "page_size": PAGE}  # fmt: skip
    try:
        pages = api.pages(
            "/v1/reporting/transactions", by=by_page(pages="total_pages"), rows="transaction_details", params=asked
        )
        for number, (rows, body) in enumerate(pages):
            if number == 0:
                pull.expected_rows = (pull.expected_rows or 0) + int(body["total_items"])
            yield rows, body
    except RefusalError as no:
        if no.status != TOO_LARGE or end - start < timedelta(seconds=2):
            raise
        middle = start + (end - start) / 2
        yield from _period(pull, api, start, middle)
        yield from _period(pull, api, middle, end)


def _flat(row: Mapping[str, Any]) -> Row:
    return {**row["transaction_info"], "payer_info": row.get("payer_info"), "cart_info": row.get("cart_info")}


def _api(pull: Pull) -> Api:
    host = pull.options.base_url
    app = Api(pull, host, auth=basic(pull.secrets["PAYPAL_CLIENT_ID"], pull.secrets["PAYPAL_CLIENT_SECRET"]))
    token = granted(lambda: app.post("/v1/oauth2/token", form={"grant_type": "client_credentials"}))
    return Api(pull, host, auth=token, means=_meaning)


def _meaning(reply: "Response") -> int:
    return TOO_LARGE if reply.status_code == 400 and "RESULTSET_TOO_LARGE" in reply.text else reply.status_code  # noqa: PLR2004


PLATFORM = Platform(
    name="paypal",
    title="PayPal",
    resources=(
        Resource(
            "transactions",
            "changes",
            transactions,
            columns=(
                "transaction_id", "transaction_event_code", "transaction_initiation_date", "transaction_updated_date",
                "transaction_amount", "transaction_status", "paypal_reference_id", "paypal_reference_id_type",
                "invoice_id", "custom_field", "instrument_type", "payer_info", "cart_info",
            ),
            lag=timedelta(hours=3),
            history=HISTORY,
            scope="the feature Transaction search of the app (reporting/search/read)",
        ),
        Resource(
            "disputes",
            "changes",
            disputes,
            columns=("dispute_id", "create_time", "status", "disputed_transactions", "dispute_outcome"),
            history=DISPUTES_HISTORY,
            scope="the feature Customer disputes of the app (services/disputes/read-seller)",
        ),
    ),
    says={"payments": ("transactions", "disputes")},
    read=read,
    options=Options,
    secrets=("PAYPAL_CLIENT_ID", "PAYPAL_CLIENT_SECRET"),
    spec="official",
    verified=(
        "Against a stateful fake and PayPal's own OpenAPI descriptions of reporting and disputes (2024-02), never against "
        "a live account."
    ),
)  # fmt: skip
