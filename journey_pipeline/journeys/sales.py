"""Payments and subscriptions: copies of one sale told twice, what was kept, what repeats (docs/definitions.md, Copies)."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from journey_pipeline.journeys import holdings, prices
from journey_pipeline.journeys.scope import Scope, beside, interval, ref
from journey_pipeline.records.build import SUBSCRIPTION_CLASSES
from journey_pipeline.registry import TEXT, TIME

_COPY_AMOUNT, _COPY_TIME = 1, timedelta(hours=1)
_DELAYED = ("sepa_debit", "bacs_debit", "us_bank_account", "bank_transfer", "boleto", "oxxo", "multibanco")
# How shops name whoever takes the money, and the platform that would tell of it.
_PROCESSORS = {
    "stripe": "stripe", "paypal": "paypal", "ppcp": "paypal", "ppec": "paypal", "paddle": "paddle", "klarna": "klarna",
    "mollie": "mollie", "square": "square", "braintree": "braintree", "adyen": "adyen", "razorpay": "razorpay",
    "afterpay": "afterpay", "amazon": "amazon", "authorize": "authorize", "shopify_payments": "shopify_payments",
}  # fmt: skip
_STILL_OPEN = timedelta(hours=24)  # access that opens so long after a payment was open for it


def payments(
    paid: pl.LazyFrame, subscriptions: pl.LazyFrame, access: pl.LazyFrame, known: pl.DataFrame, scope: Scope
) -> pl.DataFrame:
    """The payments of real people with the derived columns of the registry.

    `subscriptions`, `access`: placed records. `known`: has_address, is_person_known of each person.
    """
    sold = _with_copies(paid.with_columns(ref=ref()).collect())
    is_succeeded = pl.col("status") == "succeeded"
    refunded = pl.col("refunded_minor").fill_null(0)
    listed = [offer.price for offer in scope.offers]
    frame = sold.with_columns(
        is_refunded=((pl.col("amount_minor") > 0) & (refunded >= pl.col("amount_minor"))).fill_null(value=False),
        net_minor=pl.when(is_succeeded & (pl.col("dispute_status") != "lost").fill_null(value=True))
        .then((pl.col("amount_minor") - refunded).clip(0))
        .otherwise(0),
        succeeded_at=pl.when(is_succeeded).then(pl.coalesce("first_succeeded_loaded_at", "occurred_at")),
        is_recent=pl.col("occurred_at") >= scope.as_of - scope.span("look_back"),
        counts=pl.col("is_primary") & is_succeeded,
        offer_price_minor=scope.by_offer(pl.col("offer"), [p and p.amount_minor for p in listed], pl.Int64()),
        offer_currency=scope.by_offer(pl.col("offer"), [p and p.currency for p in listed], TEXT),
        is_repeatable=scope.by_offer(pl.col("offer"), [o.repeatable for o in scope.offers], pl.Boolean()).fill_null(
            value=False
        ),
        is_ignored=pl.col("product_ref").is_in(list(scope.ignore_products)).fill_null(value=False),
        is_granted_to_other=pl.col("row").is_in(_granted_to_others(sold.lazy(), access)["row"].implode()),
        is_delayed_method=pl.col("method").is_in(_DELAYED).fill_null(value=False),
        is_other_processor=_is_other_processor(sold, scope),
        **{column: known[column].gather(sold["person"]) for column in ("has_address", "is_person_known")},
    )
    recurring = _of_subscription(frame.lazy(), subscriptions).collect().lazy()
    twins = _twins(frame.lazy(), recurring, scope.span("twin_window"))
    later, gaps = _later_successes(frame.lazy()), _access_gaps(frame.lazy(), access, scope)
    usual, shops = prices.usual_amounts(frame), prices.shop_sales(frame)
    return beside(frame, [recurring, twins, later, gaps, usual, shops], ["row"]).with_columns(
        pl.col("is_renewal", "is_arrears", "is_shop_sold").fill_null(value=False),
        pl.col("usual_amount_count").fill_null(0),
        settle_by_at=_settle_by(scope),
    )


def _settle_by(scope: Scope) -> pl.Expr:
    card, debit, capture = (scope.span(name) for name in ("card_settles", "debit_settles", "capture_by"))
    return pl.col("occurred_at") + (
        pl.when("is_delayed_method").then(pl.lit(debit))
        .when(pl.col("status") == "authorised").then(pl.lit(capture))
        .otherwise(pl.lit(card))
    )  # fmt: skip


def _is_other_processor(sold: pl.DataFrame, scope: Scope) -> pl.Expr:
    """Where nobody who moves money is connected at all, whatever a shop was paid went through somebody else."""
    if not (sold["role"] == "processor").any():
        return pl.lit(value=True)
    method = pl.col("method").str.to_lowercase()
    unknown = [
        begins
        for begins, platform in _PROCESSORS.items()
        if not any(name.startswith(platform) for name in scope.platforms)
    ]
    return pl.any_horizontal(method.str.starts_with(begins) for begins in unknown).fill_null(value=False)


def _later_successes(paid: pl.LazyFrame) -> pl.LazyFrame:
    """row, later_success_at of payments that have not succeeded; without an offer, of the same product."""
    what = pl.when(pl.col("offer") == 0).then("product_ref").otherwise(pl.lit("")).alias("_what")
    waiting = paid.filter(pl.col("status") != "succeeded").select("row", "person", "offer", what, at="occurred_at")
    later = paid.filter("counts").select("person", "offer", what, "occurred_at")
    return (
        waiting.join(later, on=["person", "offer", "_what"], how="inner", nulls_equal=True)
        .filter(pl.col("occurred_at") > pl.col("at"))
        .group_by("row")
        .agg(pl.col("occurred_at").min().alias("later_success_at"))
    )


def _access_gaps(paid: pl.LazyFrame, access: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    """row, access_gap_at of payments of a subscription whose access had closed since its first one, and did not come back."""
    journey = ["person", "offer"]
    closed_to = access.filter(pl.col("closed_at").is_not_null()).select("person").unique()
    theirs = access.join(closed_to, on="person", how="semi")
    held = holdings.with_items(theirs, scope).select(*journey, "closed_at", opened_at="occurred_at")
    lapsed = held.filter(pl.col("closed_at").is_not_null()).select(journey).unique()
    recurring = paid.filter(pl.col("counts") & pl.col("subscription_ref").is_not_null())
    since = recurring.group_by("subscription_ref").agg(since=pl.col("occurred_at").min())
    at, closed = pl.col("occurred_at"), pl.col("closed_at")
    is_there = (pl.col("opened_at") <= at + _STILL_OPEN) & (closed.is_null() | (closed > at))
    return (
        recurring.select("row", *journey, "subscription_ref", "occurred_at")
        .join(lapsed, on=journey, how="semi")
        .join(since, on="subscription_ref", how="left", validate="m:1")
        .join(held, on=journey, how="inner")
        .group_by("row")
        .agg(
            is_there.any().alias("_is_there"),
            closed.filter((closed <= at) & (closed >= pl.col("since"))).max().alias("access_gap_at"),
        )
        .filter(~pl.col("_is_there"))
        .select("row", "access_gap_at")
    )


def _granted_to_others(paid: pl.LazyFrame, access: pl.LazyFrame) -> pl.DataFrame:
    """`row` of the payments that, or whose subscription, another person's access names: gifts and seats."""
    given = access.filter(pl.col("paid_by_ref").is_not_null()).select("paid_by_ref", pl.col("person").alias("_holder"))
    named = [
        paid.select("row", "person", paid_by_ref=by).join(given, on="paid_by_ref", how="inner")
        for by in ("ref", "subscription_ref")
    ]
    return pl.concat(named).filter(pl.col("person") != pl.col("_holder")).select("row").unique().collect()


def _with_copies(paid: pl.DataFrame) -> pl.DataFrame:
    """What the copies of a sale say together, from `sale_id` to `sale_changed_at`: two platforms that tell one sale are counted once.

    Who moved the money often knows neither product nor subscription: what one copy says of them is so of all.
    `sale_minor`: what the shop's order is worth; null for a sale that is told once.
    """
    is_processor, is_good = pl.col("role") == "processor", pl.col("status") == "succeeded"
    alone: dict[str, pl.Expr] = {
        "offer": pl.col("offer"), "subscription_ref": pl.col("subscription_ref"),
        "sale_id": pl.col("ref"), "is_primary": pl.lit(value=True), "copy_count": pl.lit(1, pl.Int64),
        "has_processor_copy": is_processor & is_good, "has_shop_copy": ~is_processor & is_good,
        "sale_minor": pl.lit(None, pl.Int64), "sale_amount_spread_minor": pl.lit(0, pl.Int64),
        "sale_refund_spread_minor": pl.lit(0, pl.Int64), "sale_currency_count": pl.lit(1, pl.Int64),
        "sale_changed_at": pl.max_horizontal("occurred_at", "refunded_at"),
    }  # fmt: skip
    pairs = _copy_pairs(paid)
    if pairs.is_empty():
        return paid.with_columns(**alone)
    told = _told_together(paid, pairs).with_columns(refunded_minor=pl.col("refunded_minor").fill_null(0))
    by_processor, by_shop = is_processor & is_good, ~is_processor & is_good

    def spread(column: str) -> pl.Expr:
        between = (pl.col(column).filter(by_processor).sum() - pl.col(column).filter(by_shop).sum()).abs()
        return pl.when(by_processor.any() & by_shop.any()).then(between).otherwise(0)

    sales = (
        told.sort(~by_processor, ~is_processor, "occurred_at", "ref")
        .group_by("_sale", maintain_order=True)
        .agg(
            pl.col("ref").first().alias("_first"),
            pl.col("offer").filter(pl.col("offer") > 0).first().alias("_offer"),
            pl.col("subscription_ref").drop_nulls().first().alias("_subscription_ref"),
            pl.col("ref").min().alias("sale_id"),
            pl.len().cast(pl.Int64).alias("copy_count"),
            by_processor.any().alias("has_processor_copy"),
            by_shop.any().alias("has_shop_copy"),
            pl.col("amount_minor").filter(by_shop).sum().alias("sale_minor"),
            spread("amount_minor").alias("sale_amount_spread_minor"),
            spread("refunded_minor").alias("sale_refund_spread_minor"),
            pl.col("currency").n_unique().cast(pl.Int64).alias("sale_currency_count"),
            pl.max_horizontal("occurred_at", "refunded_at").max().alias("sale_changed_at"),
        )
    )
    own = ("is_primary", "offer", "subscription_ref")
    copied = told.join(sales, on="_sale", how="left", validate="m:1").select(
        "row",
        *(pl.col(c) for c in alone if c not in own),
        is_primary=by_processor | (pl.col("_first") == pl.col("ref")),
        offer=pl.when(pl.col("offer") > 0).then("offer").otherwise(pl.col("_offer").fill_null(0)),
        subscription_ref=pl.coalesce("subscription_ref", "_subscription_ref"),
    )
    several = copied.select("row", *(pl.col(c).alias(f"_{c}") for c in alone)).lazy()
    return (
        beside(paid, [several], ["row"])
        .with_columns(**{c: pl.coalesce(f"_{c}", own) for c, own in alone.items()})
        .drop(f"_{c}" for c in alone)
    )


def _told_together(frame: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """The rows that have a copy, with `_sale`: the number of those that are one; `pairs`: refs of two copies."""
    ends = pl.concat([pairs["one"], pairs["other"]]).unique()
    told = frame.join(ends.alias("ref").to_frame(), on="ref", how="semi", maintain_order="left").with_row_index(
        "_place"
    )
    place = told.select("ref", "_place")
    edges = pairs.join(place.rename({"ref": "one", "_place": "_one"}), on="one", how="inner", validate="m:1").join(
        place.rename({"ref": "other", "_place": "_other"}), on="other", how="inner", validate="m:1"
    )
    links = (np.ones(edges.height, np.int8), (edges["_one"].to_numpy(), edges["_other"].to_numpy()))
    _, group = connected_components(coo_array(links, shape=(told.height, told.height)), directed=False)
    return told.drop("_place").with_columns(pl.Series("_sale", group))


def _copy_pairs(paid: pl.DataFrame) -> pl.DataFrame:
    """one, other: refs of two copies. Told by `same_as`, else by role, person, amount and hour without a second candidate."""
    schema = {"one": TEXT, "other": TEXT}
    told = _named(paid)
    shop = paid.filter(pl.col("role") == "shop")
    if shop.is_empty():
        return told.match_to_schema(schema) if told.height else pl.DataFrame(schema=schema)
    settled = pl.concat([told["one"], told["other"]]).unique()
    what = ["person", "currency"]
    side = ["ref", "amount_minor", "occurred_at", *what]
    alone = ~pl.col("ref").is_in(settled.implode())
    near = (
        shop.lazy().filter(alone).select(side)
        .join(paid.lazy().filter(alone & (pl.col("role") == "processor")).select(side), on=what, suffix="_other")
        .filter(
            ((pl.col("amount_minor") - pl.col("amount_minor_other")).abs() <= _COPY_AMOUNT)
            & ((pl.col("occurred_at") - pl.col("occurred_at_other")).abs() <= _COPY_TIME)
        )
        .select(pl.col("ref").alias("one"), pl.col("ref_other").alias("other"))
        .filter((pl.len().over("one") == 1) & (pl.len().over("other") == 1))
        .collect()
    )  # fmt: skip
    return pl.concat([told.select("one", "other"), near])


def _named(frame: pl.DataFrame) -> pl.DataFrame:
    """one, other: refs of two copies, one of which names the other."""
    return (
        frame.filter(pl.col("same_as").list.len() > 0)
        .select(pl.col("ref").alias("one"), pl.col("same_as").alias("other"))
        .explode("other", empty_as_null=False)
        .join(frame.select(pl.col("ref").alias("other")), on="other", how="semi")
    )


def _of_subscription(paid: pl.LazyFrame, subscriptions: pl.LazyFrame) -> pl.LazyFrame:
    """row, is_renewal, ordinal, is_arrears, subscription_ended_at, subscription_instalments, interval of those with one."""
    about = subscriptions.select(
        ref().alias("subscription_ref"),
        pl.coalesce("ended_at", pl.when(pl.col("status") == "ended").then(pl.coalesce("cancelled_at", "ended_loaded_at")))
        .alias("subscription_ended_at"),
        pl.col("instalments").alias("subscription_instalments"),
        pl.col("interval"),
    )  # fmt: skip
    is_next = (pl.col("subscription_ref") == pl.col("subscription_ref").shift(1)).fill_null(value=False)
    before = pl.col("counts").cum_sum() - pl.col("counts")  # since the first row of all: the windows of polars are slow
    return (
        paid.filter(pl.col("subscription_ref").is_not_null())
        .select("row", "subscription_ref", "occurred_at", "ref", "counts")
        .join(about, on="subscription_ref", how="left", validate="m:1")
        .sort("subscription_ref", "occurred_at", "ref")
        .with_columns(
            ordinal=pl.when("counts").then(before - pl.when(~is_next).then(before).forward_fill() + 1).cast(pl.Int64),
            _previous_at=pl.when(is_next).then(pl.col("occurred_at").shift(1)),
        )
        .select(
            "row", "ordinal", "subscription_ended_at", "subscription_instalments", "interval",
            is_renewal=(pl.col("ordinal") > 1).fill_null(value=False),
            is_arrears=((pl.col("_previous_at") + interval(pl.col("interval"))) < pl.col("subscription_ended_at"))
            .fill_null(value=False),
        )
    )  # fmt: skip


def _twins(paid: pl.LazyFrame, recurring: pl.LazyFrame, window: timedelta) -> pl.LazyFrame:
    """row, earlier_twin_ref: the latest earlier equal payment within the window that money was kept of."""
    counted = paid.filter("counts").select("row", "person", "occurred_at").sort("person", "occurred_at")
    is_close = (pl.col("person") == pl.col("person").shift(1)) & (pl.col("occurred_at").diff() <= window)
    close = (
        paid.filter("counts")
        .join(counted.filter(is_close).select("person").unique(), on="person", how="semi")
        .select(
            "row", "ref", "person", "product_ref", "amount_minor", "currency", "occurred_at", "net_minor",
            "subscription_ref", "sale_id", "sale_minor",
        )
        .join(recurring.select("row", "interval"), on="row", how="left", validate="1:1")
        .sort("person", "occurred_at", "ref")
    )  # fmt: skip
    same = ["person", "product_ref", "amount_minor", "currency"]
    kept = pl.col("net_minor") > 0
    before = [
        pl.when(kept).then(pl.col(c)).forward_fill().shift(1).over(same).alias(f"_{c}")
        for c in ("ref", "occurred_at", "subscription_ref", "sale_id")
    ]
    other_subscription = (pl.col("subscription_ref") != pl.col("_subscription_ref")).fill_null(value=False)
    same_subscription = (pl.col("subscription_ref") == pl.col("_subscription_ref")).fill_null(value=False)
    apart = pl.col("occurred_at") - pl.col("_occurred_at")
    half = interval(pl.col("interval")) / 2
    one_order = (pl.col("sale_id") == pl.col("_sale_id")) & (pl.col("sale_minor") >= 2 * pl.col("amount_minor"))
    return (
        close.with_columns(before)
        .filter(
            pl.col("_ref").is_not_null()
            & (apart <= window)
            & ~other_subscription
            & (~same_subscription | (apart < half).fill_null(value=True))
            & ~one_order.fill_null(value=False)
        )
        .select("row", pl.col("_ref").alias("earlier_twin_ref"))
    )


def subscriptions(agreed: pl.LazyFrame, paid: pl.LazyFrame, access: pl.LazyFrame) -> pl.DataFrame:
    """The subscriptions of real people with the derived columns of the registry, and what entitlement needs of payments."""
    status = pl.col("status")
    # The last payment is the one of the greatest ordinal: only those that count have one.
    newest = {
        "is_last_refunded": "is_refunded", "_disputed_at": "disputed_at", "_dispute_status": "dispute_status",
        "_refunded_at": "refunded_at", "_newest_at": "occurred_at",
    }  # fmt: skip
    by_subscription = (
        paid.filter(pl.col("ordinal").is_not_null())
        .with_columns(_kept_at=pl.when(pl.col("net_minor") > 0).then("occurred_at"))
        .group_by(pl.col("subscription_ref").alias("ref"))
        .agg(
            pl.col("_kept_at").count().cast(pl.Int64).alias("paid_count"),
            pl.col("_kept_at").max().alias("last_paid_at"),
            pl.col("succeeded_at").min().alias("first_succeeded_at"),
            *(pl.col(of).max_by("ordinal").alias(name) for name, of in newest.items()),
        )
    )
    tied = paid.filter("counts").select(pl.col("subscription_ref").str.extract(r"^(\w+):").unique()).collect()
    every = interval(pl.col("interval"))
    paid_otherwise = (pl.col("_newest_at") - pl.col("last_paid_at") < every / 2).fill_null(value=False)
    frame = (
        agreed.with_columns(ref=ref())
        .join(by_subscription, on="ref", how="left", validate="1:1")
        .join(_seats(agreed, access), on="ref", how="left", validate="1:1")
        .with_columns(
            pl.col("paid_count", "seats_used").fill_null(0),
            is_live=status.is_in(["trialing", "active", "past_due"]),
            is_payment_tied=pl.col("platform").is_in(tied["subscription_ref"].drop_nulls().implode()),
            due_at=pl.when(status == "trialing").then("trial_ends_at").otherwise("period_ends_at"),
            paid_until_at=pl.coalesce(pl.col("last_paid_at") + every, "trial_ends_at", "occurred_at"),
            is_last_disputed=pl.col("_dispute_status").is_in(["open", "lost"]).fill_null(value=False),
            last_disputed_at=pl.col("_disputed_at"),
            last_refunded_at=pl.when(pl.col("is_last_refunded") & ~paid_otherwise).then("_refunded_at"),
        )
        .drop("_disputed_at", "_dispute_status", "_refunded_at", "_newest_at")
        .collect()
    )
    return _subscription_copies(frame)


def _seats(agreed: pl.LazyFrame, access: pl.LazyFrame) -> pl.LazyFrame:
    """ref, seats_used, seats_over_at: whom each subscription lets in, and since when there are more than it pays for."""
    is_seat = pl.col("is_open") & (pl.col("basis").fill_null("paid") == "paid") & pl.col("paid_by_ref").is_not_null()
    return (
        access.filter(is_seat)
        .group_by(pl.col("paid_by_ref").alias("ref"), "person").agg(pl.col("occurred_at").min())
        .sort("occurred_at")
        .group_by("ref", maintain_order=True).agg("occurred_at")
        .join(agreed.select(ref().alias("ref"), "quantity"), on="ref", how="inner", validate="1:1")
        .select(
            "ref", seats_used=pl.col("occurred_at").list.len().cast(pl.Int64),
            seats_over_at=pl.col("occurred_at").list.get(pl.col("quantity"), null_on_oob=True),
        )
    )  # fmt: skip


def _subscription_copies(frame: pl.DataFrame) -> pl.DataFrame:
    """is_primary, copy_count, copy_class_count, copy_changed_at: told by `same_as`, else one of each role for one person and offer."""
    alone: dict[str, pl.Expr] = {
        "is_primary": pl.lit(value=True), "copy_count": pl.lit(1, pl.Int64), "copy_class_count": pl.lit(1, pl.Int64),
        "copy_changed_at": _class_changed(),
    }  # fmt: skip
    pairs = _subscription_pairs(frame)
    if pairs.is_empty():
        return frame.with_columns(**alone)
    told = _told_together(frame, pairs).with_columns(_class=_class(), _changed_at=_class_changed())
    same = (
        told.sort(pl.col("role") != "processor", "occurred_at", "platform", "record_id")
        .group_by("_sale", maintain_order=True)
        .agg(
            pl.col("ref").first().alias("_first"),
            pl.len().cast(pl.Int64).alias("copy_count"),
            pl.col("_class").n_unique().cast(pl.Int64).alias("copy_class_count"),
            pl.col("_changed_at").max().alias("copy_changed_at"),
        )
    )
    copied = told.join(same, on="_sale", how="left", validate="m:1").select(
        "row", "copy_count", "copy_class_count", "copy_changed_at", is_primary=pl.col("_first") == pl.col("ref")
    )
    several = copied.select("row", *(pl.col(c).alias(f"_{c}") for c in alone)).lazy()
    return (
        beside(frame, [several], ["row"])
        .with_columns(**{c: pl.coalesce(f"_{c}", own) for c, own in alone.items()})
        .drop(f"_{c}" for c in alone)
    )


def _subscription_pairs(frame: pl.DataFrame) -> pl.DataFrame:
    told = _named(frame)
    if frame["role"].n_unique() <= 1:
        return told
    settled = pl.concat([told["one"], told["other"]]).unique()
    by_role = (
        frame.filter(pl.col("offer") > 0)
        .group_by("person", "offer")
        .agg(pl.len(), pl.col("role").n_unique(), one=pl.col("ref").min(), other=pl.col("ref").max())
        .filter((pl.col("len") == 2) & (pl.col("role") == 2))  # noqa: PLR2004 - one of each
        .select("one", "other")
        .filter(~pl.col("one").is_in(settled.implode()), ~pl.col("other").is_in(settled.implode()))
    )
    return pl.concat([told, by_role])


def _class() -> pl.Expr:
    return pl.col("status").replace_strict(SUBSCRIPTION_CLASSES, default=None, return_dtype=TEXT)


def _class_changed() -> pl.Expr:
    """When its class of states last changed: told by the versions; before the first of them, by its own dates.

    One that was live when first seen has been so since it began; of what else was never seen to change, the first load is
    the earliest that is known.
    """
    was_seen = pl.col("class_changed_at") > pl.col("first_loaded_at")
    return (
        pl.when(was_seen).then("class_changed_at")
        .when(_class() == "live").then("occurred_at")
        .when(_class() == "over").then(pl.coalesce("ended_at", "cancelled_at", "first_loaded_at"))
        .otherwise("first_loaded_at")
    )  # fmt: skip


def money_at(paid: pl.LazyFrame, agreed: pl.LazyFrame) -> pl.LazyFrame:
    """person, offer, money_at: the earliest payment of any status, or subscription, of each journey."""
    parts: Sequence[pl.LazyFrame] = [
        f.select("person", "offer", pl.col("occurred_at").alias("money_at")) for f in (paid, agreed)
    ]
    return pl.concat(parts).group_by("person", "offer").agg(pl.col("money_at").min().cast(TIME))
