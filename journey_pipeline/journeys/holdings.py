"""What people can use: open and closed access, per item, and per journey against what its offer grants."""

import polars as pl

from journey_pipeline.journeys.scope import Scope
from journey_pipeline.registry import TEXT, TIME

_BASES = pl.Enum(["paid", "comp", "import", "staff"])


def access(held: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    """`is_open` and `closed_at` of each access record. What the newest list no longer has is closed."""
    expired = pl.col("expires_at") <= scope.as_of
    is_open = (pl.col("status") == "active") & ~expired.fill_null(value=False) & pl.col("gone_at").is_null()
    return held.with_columns(
        is_open=is_open.fill_null(value=False),
        closed_at=pl.when(~is_open).then(
            pl.coalesce("revoked_at", pl.when(expired).then("expires_at"), "gone_at", "loaded_at")
        ),
    )


def with_items(held: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    """Each access record once per offer that grants its item, as `offer`; `item` is the product_ref."""
    return (
        held.drop("offer")
        .join(scope.items.lazy(), on="product_ref", how="inner")
        .with_columns(item=pl.col("product_ref"), basis=pl.col("basis").fill_null("paid"))
    )


def by_journey(items: pl.LazyFrame, entitled: pl.LazyFrame) -> pl.LazyFrame:
    """What a journey's access says: the columns of buyer_journeys from `grants_open` to `unowed_count`.

    `entitled`: person, offer, entitled_by. `closed_max_at` and `missing_closed_at` feed columns that need more.
    """
    is_open = pl.col("is_open")
    per_item = items.group_by("person", "offer", "item").agg(
        is_open.any().alias("is_open"),
        (is_open & (pl.col("basis") == "paid")).any().alias("is_open_paid"),
        pl.col("closed_at").max(),
        pl.col("occurred_at").min().alias("access_at"),
        pl.col("occurred_at").filter(is_open).max().alias("opened_at"),
        pl.col("basis").filter(is_open).cast(_BASES).min().alias("open_basis"),
        pl.col("first_used_at").min(),
        pl.col("platform").first().alias("platform"),
    )
    owed = (
        entitled.filter(pl.col("entitled_by").is_not_null())
        .join(_items_of(items), on="offer", how="inner")
        .select("person", "item")
        .unique()
        .with_columns(is_owed=pl.lit(value=True))
    )
    return (
        per_item.join(owed, on=["person", "item"], how="left")
        .group_by("person", "offer")
        .agg(
            is_open.sum().cast(pl.Int64).alias("grants_open"),
            pl.col("access_at").min(),
            pl.col("opened_at").max(),
            pl.col("open_basis").min().cast(TEXT),
            pl.col("first_used_at").min(),
            pl.when(~is_open.any()).then(pl.col("closed_at").max()).alias("access_ended_at"),
            pl.col("closed_at").filter(~is_open).max().alias("missing_closed_at"),
            (pl.col("is_open_paid") & pl.col("is_owed").is_null()).sum().cast(pl.Int64).alias("unowed_count"),
            pl.coalesce(pl.col("platform").filter(is_open).sort().first(), pl.col("platform").sort().first())
            .alias("access_platform"),
        )
    )  # fmt: skip


def _items_of(items: pl.LazyFrame) -> pl.LazyFrame:
    return items.select("offer", "item").unique()


def given_by_other(held: pl.LazyFrame, paid: pl.LazyFrame, agreed: pl.LazyFrame) -> pl.LazyFrame:
    """giver_person, giver_offer, person, product_ref: access that another person's payment or subscription pays for."""
    money = pl.concat([
        f.select(pl.col("ref").alias("paid_by_ref"), pl.col("person").alias("giver_person"), pl.col("offer").alias("giver_offer"))
        for f in (paid, agreed)
    ])  # fmt: skip
    return (
        held.filter(pl.col("paid_by_ref").is_not_null())
        .select("person", "product_ref", "paid_by_ref")
        .join(money, on="paid_by_ref", how="inner")
        .filter(pl.col("person") != pl.col("giver_person"))
    )


def lost(frame: pl.LazyFrame) -> pl.LazyFrame:
    """access_lost_at and grant_missing_at, once a journey's access and entitlement stand side by side."""
    some = (pl.col("grants_open") > 0) & (pl.col("grants_open") < pl.col("grants_expected"))
    return frame.with_columns(
        access_lost_at=pl.when(
            (pl.col("grants_open") == 0) & (pl.col("access_ended_at") >= pl.col("entitled_from_at"))
        ).then("access_ended_at"),
        grant_missing_at=pl.when(some).then(pl.max_horizontal("access_due_at", "missing_closed_at")).cast(TIME),
    )
