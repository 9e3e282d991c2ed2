"""Payments and subscriptions: copies of one sale told twice, what was kept, what repeats (docs/definitions.md, Copies)."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from journey_pipeline.journeys.scope import Scope, beside, interval, ref
from journey_pipeline.registry import TEXT, TIME

_COPY_AMOUNT, _COPY_TIME = 1, timedelta(hours=1)


def payments(
    paid: pl.LazyFrame, subscriptions: pl.LazyFrame, access: pl.LazyFrame, known: pl.DataFrame, scope: Scope
) -> pl.DataFrame:
    """The payments of real people with the derived columns of the registry.

    `subscriptions`, `access`: placed records. `known`: has_address, is_person_known of each person.
    """
    sold = _with_copies(paid.with_columns(ref=ref()).collect())
    is_succeeded = pl.col("status") == "succeeded"
    refunded = pl.col("refunded_minor").fill_null(0)
    prices = [offer.price for offer in scope.offers]
    frame = sold.with_columns(
        is_refunded=((pl.col("amount_minor") > 0) & (refunded >= pl.col("amount_minor"))).fill_null(value=False),
        net_minor=pl.when(is_succeeded & (pl.col("dispute_status") != "lost").fill_null(value=True))
        .then((pl.col("amount_minor") - refunded).clip(0))
        .otherwise(0),
        succeeded_at=pl.when(is_succeeded).then(pl.coalesce("first_succeeded_loaded_at", "occurred_at")),
        is_recent=pl.col("occurred_at") >= scope.as_of - scope.span("look_back"),
        counts=pl.col("is_primary") & is_succeeded,
        offer_price_minor=scope.by_offer(pl.col("offer"), [p and p.amount_minor for p in prices], pl.Int64()),
        offer_currency=scope.by_offer(pl.col("offer"), [p and p.currency for p in prices], TEXT),
        is_repeatable=scope.by_offer(pl.col("offer"), [o.repeatable for o in scope.offers], pl.Boolean()).fill_null(
            value=False
        ),
        is_ignored=pl.col("product_ref").is_in(list(scope.ignore_products)).fill_null(value=False),
        is_granted_to_other=pl.col("row").is_in(_granted_to_others(sold.lazy(), access)["row"].implode()),
        **{column: known[column].gather(sold["person"]) for column in ("has_address", "is_person_known")},
    )
    recurring = _of_subscription(frame.lazy(), subscriptions).collect().lazy()
    twins = _twins(frame.lazy(), recurring, scope.span("twin_window"))
    return beside(frame, [recurring, twins], ["row"]).with_columns(
        pl.col("is_renewal", "is_arrears").fill_null(value=False)
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
    """sale_id, is_primary, copy_count: two platforms that tell one sale are counted once."""
    pairs = _copy_pairs(paid)
    if pairs.is_empty():
        return paid.with_columns(
            sale_id=pl.col("ref"),
            is_primary=pl.lit(value=True),
            copy_count=pl.lit(1, pl.Int64),
            sale_minor=pl.lit(None, pl.Int64),
        )
    row = {r: n for n, r in enumerate(paid["ref"])}
    one, other = (np.array([row[r] for r in pairs[c]]) for c in ("one", "other"))
    graph = coo_array((np.ones(one.size, np.int8), (one, other)), shape=(paid.height, paid.height))
    _, group = connected_components(graph, directed=False)
    is_processor, is_good = pl.col("role") == "processor", pl.col("status") == "succeeded"
    best = is_processor & is_good
    rank = pl.struct((~best).alias("a"), (~is_processor).alias("b"), "occurred_at", "ref")
    return (
        paid.with_columns(pl.Series("_sale", group))
        .with_columns(
            sale_id=pl.col("ref").min().over("_sale"),
            copy_count=pl.len().over("_sale").cast(pl.Int64),
            is_primary=best | (~best.any().over("_sale") & (rank.rank("ordinal").over("_sale") == 1)),
            sale_minor=pl.col("amount_minor").filter((pl.col("role") == "shop") & is_good).sum().over("_sale"),
        )
        .drop("_sale")
    )


def _copy_pairs(paid: pl.DataFrame) -> pl.DataFrame:
    """one, other: refs of two copies. Told by `same_as`, else by role, person, amount and hour without a second candidate."""
    schema = {"one": TEXT, "other": TEXT}
    told = (
        paid.filter(pl.col("same_as").list.len() > 0)
        .select(pl.col("ref").alias("one"), pl.col("same_as").alias("other"))
        .explode("other", empty_as_null=False)
        .join(paid.select(pl.col("ref").alias("other")), on="other", how="semi")
    )
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


def subscriptions(agreed: pl.LazyFrame, paid: pl.LazyFrame) -> pl.DataFrame:
    """The subscriptions of real people with the derived columns of the registry, and what entitlement needs of payments."""
    status = pl.col("status")
    # The last payment is the one of the greatest ordinal: only those that count have one.
    by_subscription = (
        paid.filter(pl.col("ordinal").is_not_null())
        .with_columns(_kept_at=pl.when(pl.col("net_minor") > 0).then("occurred_at"))
        .group_by(pl.col("subscription_ref").alias("ref"))
        .agg(
            pl.col("_kept_at").count().cast(pl.Int64).alias("paid_count"),
            pl.col("_kept_at").max().alias("last_paid_at"),
            pl.col("succeeded_at").min().alias("first_succeeded_at"),
            pl.col("is_refunded").max_by("ordinal").alias("is_last_refunded"),
            pl.col("disputed_at").max_by("ordinal").alias("_disputed_at"),
            pl.col("dispute_status").max_by("ordinal").alias("_dispute_status"),
        )
    )
    frame = (
        agreed.with_columns(ref=ref())
        .join(by_subscription, on="ref", how="left", validate="1:1")
        .with_columns(
            pl.col("paid_count").fill_null(0),
            is_live=status.is_in(["trialing", "active", "past_due"]),
            due_at=pl.when(status == "trialing").then("trial_ends_at").otherwise("period_ends_at"),
            paid_until_at=pl.coalesce(
                pl.col("last_paid_at") + interval(pl.col("interval")), "trial_ends_at", "occurred_at"
            ),
            is_last_disputed=pl.col("_dispute_status").is_in(["open", "lost"]).fill_null(value=False),
            last_disputed_at=pl.col("_disputed_at"),
        )
        .drop("_disputed_at", "_dispute_status")
        .collect()
    )
    return _subscription_copies(frame)


def _subscription_copies(frame: pl.DataFrame) -> pl.DataFrame:
    """is_primary, copy_count: told by `same_as`, else one of each role for one person and offer."""
    told = (
        frame.filter(pl.col("same_as").list.len() > 0)
        .select("ref", "same_as")
        .explode("same_as", empty_as_null=False)
        .join(frame.select(pl.col("ref").alias("same_as")), on="same_as", how="semi")
    )
    if told.is_empty() and frame["role"].n_unique() <= 1:
        return frame.with_columns(is_primary=pl.lit(value=True), copy_count=pl.lit(1, pl.Int64))
    partner = dict(told.iter_rows())
    settled = list(partner) + list(partner.values())
    group = pl.when(pl.col("ref").is_in(settled)).then(pl.min_horizontal(pl.col("ref"), pl.col("ref").replace(partner)))
    both = (pl.len().over("person", "offer") == 2) & (pl.col("role").n_unique().over("person", "offer") == 2)  # noqa: PLR2004
    by_role = pl.when(both & (pl.col("offer") > 0) & ~pl.col("ref").is_in(settled)).then(
        pl.col("ref").min().over("person", "offer")
    )
    rank = pl.struct(pl.col("role") != "processor", "occurred_at", "platform", "record_id").rank("ordinal")
    return (
        frame.with_columns(_sale=pl.coalesce(group, by_role, "ref"))
        .with_columns(copy_count=pl.len().over("_sale").cast(pl.Int64), is_primary=rank.over("_sale") == 1)
        .drop("_sale")
    )


def money_at(paid: pl.LazyFrame, agreed: pl.LazyFrame) -> pl.LazyFrame:
    """person, offer, money_at: the earliest payment of any status, or subscription, of each journey."""
    parts: Sequence[pl.LazyFrame] = [
        f.select("person", "offer", pl.col("occurred_at").alias("money_at")) for f in (paid, agreed)
    ]
    return pl.concat(parts).group_by("person", "offer").agg(pl.col("money_at").min().cast(TIME))
