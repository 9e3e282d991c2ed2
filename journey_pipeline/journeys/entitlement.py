"""What the money says a person should have: spells, folded to what holds at `as_of` (docs/definitions.md, Entitlement)."""

import polars as pl

from journey_pipeline.journeys.scope import Scope, interval
from journey_pipeline.registry import ENTITLEMENTS, TEXT, TIME

_SPELL = ("person", "offer", "by", "from_at", "until_at", "ended_by", "not_before_at")


def entitlement(paid: pl.LazyFrame, agreed: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    """person, offer, entitled_by, entitled_from_at, entitlement_ended_at, entitlement_ended_by."""
    spells = pl.concat([_one_off(paid, scope), _by_subscription(agreed, scope), _moved(paid, agreed)])
    is_open = (pl.col("from_at") <= scope.as_of) & (pl.col("until_at").is_null() | (pl.col("until_at") > scope.as_of))
    order = pl.col("by").cast(pl.Enum(ENTITLEMENTS))
    ended_at = pl.max_horizontal("until_at", "not_before_at")
    return (
        spells.filter(pl.col("from_at").is_not_null())
        .with_columns(_open=is_open, _by=order, _ended_at=ended_at)
        .sort("_ended_at", "ended_by", nulls_last=False)
        .group_by("person", "offer", maintain_order=True)
        .agg(
            pl.col("_by").filter("_open").min().cast(TEXT).alias("entitled_by"),
            pl.col("from_at").filter("_open").min().alias("entitled_from_at"),
            pl.when(~pl.col("_open").any()).then(pl.col("_ended_at").last()).alias("entitlement_ended_at"),
            pl.when(~pl.col("_open").any()).then(pl.col("ended_by").last()).alias("entitlement_ended_by"),
        )
    )


def _one_off(paid: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    """A payment without a subscription: until it is wholly refunded, disputed, or its term is over."""
    days = scope.by_offer(pl.col("offer"), [o.access_days for o in scope.offers], pl.Int64())
    ends = {
        "refund": pl.when("is_refunded").then("refunded_at"),
        "dispute": pl.when(pl.col("dispute_status").is_in(["open", "lost"])).then("disputed_at"),
        "term": pl.col("succeeded_at") + pl.duration(days=days),
    }
    return (
        paid.filter(pl.col("counts") & pl.col("subscription_ref").is_null() & (pl.col("offer") > 0))
        .with_columns(**{f"_{label}": when for label, when in ends.items()})
        .with_columns(until_at=pl.min_horizontal([f"_{label}" for label in ends]))
        .with_columns(
            by=pl.lit("one_off"),
            from_at=pl.col("succeeded_at"),
            ended_by=pl.coalesce([pl.when(pl.col(f"_{e}") == pl.col("until_at")).then(pl.lit(e)) for e in ends]),
            not_before_at=pl.lit(None, TIME),
        )
        .select(_SPELL)
    )


def _by_subscription(agreed: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    status = pl.col("status")
    plan_done = pl.col("instalments").is_not_null() & (pl.col("paid_count") >= pl.col("instalments"))
    by = (
        pl.when(plan_done).then(pl.lit("instalments"))
        .when(status == "trialing").then(pl.lit("trial"))
        .when((status == "active") & pl.col("is_cancelling").fill_null(value=False)).then(pl.lit("cancelling"))
        .when(status.is_in(["past_due", "unpaid"])).then(pl.lit("dunning"))
        .when(status == "paused").then(pl.lit("paused"))
        .otherwise(pl.lit("subscription"))
    )  # fmt: skip
    until = (
        pl.when(plan_done).then(None)
        .when(by == "cancelling").then("period_ends_at")
        .when(by == "dunning").then(pl.col("paid_until_at") + scope.span("dunning"))
        .when(status == "ended").then(pl.coalesce("ended_at", "cancelled_at", "ended_loaded_at"))
    )  # fmt: skip
    ended_by = pl.when(by == "dunning").then(pl.lit("non_payment")).otherwise(pl.lit("subscription_end"))
    is_disputed = pl.col("is_last_disputed") & (until.is_null() | (pl.col("last_disputed_at") < until))
    return (
        agreed.filter(pl.col("is_primary") & (pl.col("offer") > 0))
        .with_columns(
            by=by,
            from_at=pl.when(status == "trialing").then("occurred_at").otherwise(
                pl.coalesce("first_succeeded_at", "occurred_at")),
            until_at=pl.when(is_disputed).then("last_disputed_at").otherwise(until),
            ended_by=pl.when(is_disputed).then(pl.lit("dispute")).otherwise(ended_by),
        )
        .with_columns(
            # What was paid for may be used to its end: access may stay or go until then.
            not_before_at=pl.when(
                (pl.col("ended_by") == "subscription_end") & pl.col("until_at").is_not_null()
                & ~pl.col("is_last_refunded").fill_null(value=False)
            ).then("paid_until_at")
        )
        .select(_SPELL)
    )  # fmt: skip


def _moved(paid: pl.LazyFrame, agreed: pl.LazyFrame) -> pl.LazyFrame:
    """A subscription whose product is another offer's now: the old offer's spell ends with the first new payment."""
    present = agreed.filter("is_primary").select(
        pl.col("ref").alias("subscription_ref"),
        pl.col("offer").alias("_offer_now"),
        pl.col("interval").alias("_interval"),
    )
    told = paid.filter(pl.col("counts") & pl.col("subscription_ref").is_not_null() & (pl.col("offer") > 0)).join(
        present, on="subscription_ref", how="inner"
    )
    new = (
        told.filter(pl.col("offer") == pl.col("_offer_now"))
        .group_by("subscription_ref").agg(pl.col("succeeded_at").min().alias("_new_at"))
    )  # fmt: skip
    return (
        told.filter((pl.col("offer") != pl.col("_offer_now")) & (pl.col("_offer_now") > 0))
        .group_by("person", "offer", "subscription_ref")
        .agg(
            pl.col("succeeded_at").min().alias("from_at"), pl.col("succeeded_at").max().alias("_last_at"),
            pl.col("_interval").first(),
        )
        .join(new, on="subscription_ref", how="left")
        .with_columns(
            by=pl.lit("subscription"),
            until_at=pl.min_horizontal("_new_at", pl.col("_last_at") + interval(pl.col("_interval"))),
            ended_by=pl.lit("plan_change"),
            not_before_at=pl.lit(None, TIME),
        )
        .select(_SPELL)
    )  # fmt: skip
