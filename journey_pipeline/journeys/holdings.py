"""What people can use: open and closed access, per item, and per journey against what its offer grants."""

from collections.abc import Sequence

import polars as pl

from journey_pipeline.journeys.scope import Scope
from journey_pipeline.registry import TEXT, TIME

_BASES = pl.Enum(["paid", "comp", "import", "staff"])


def access(held: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    """`is_open`, `closed_at`, `is_recent_use`, `is_basis_told` of each access record. What the newest list no longer has is closed."""
    expired = pl.col("expires_at") <= scope.as_of
    is_open = (pl.col("status") == "active") & ~expired.fill_null(value=False) & pl.col("gone_at").is_null()
    return held.with_columns(
        is_open=is_open.fill_null(value=False),
        closed_at=pl.when(~is_open).then(
            pl.coalesce("revoked_at", pl.when(expired).then("expires_at"), "gone_at", "loaded_at")
        ),
        is_basis_told=pl.col("basis").is_not_null().any().over("platform"),
        is_recent_use=(pl.col("last_used_at") >= scope.as_of - scope.span("look_back")).fill_null(value=False),
    )


def with_siblings(held: pl.LazyFrame) -> pl.LazyFrame:
    """`has_open_sibling` of closed access: the person has another record of the offer, else of the product, that is open."""
    what = pl.when(pl.col("offer") == 0).then("product_ref").otherwise(pl.lit("")).alias("_what")
    closed = held.filter(~pl.col("is_open")).select("row", "person", "offer", what)
    still = held.filter("is_open").join(closed, on="person", how="semi").select("person", "offer", what)
    siblings = closed.join(still, on=["person", "offer", "_what"], how="semi").select("row")
    return held.join(
        siblings.with_columns(has_open_sibling=pl.lit(value=True)), on="row", how="left", validate="1:1"
    ).with_columns(pl.col("has_open_sibling").fill_null(value=False))


def with_items(held: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    """Each access record once per offer that grants its `item` (number of a product_ref), as `offer`."""
    items = scope.items.with_columns(item=pl.col("product_ref").rank("dense"))
    return (
        held.drop("offer")
        .join(items.lazy(), on="product_ref", how="inner")
        .with_columns(basis=pl.col("basis").fill_null("paid"))
    )


def by_journey(items: pl.LazyFrame, entitled: pl.LazyFrame, tracked: Sequence[str]) -> pl.LazyFrame:
    """What a journey's access says: the columns of buyer_journeys from `grants_open` to `unowed_count`, `is_use_tracked`.

    `entitled`: person, offer, entitled_by. `tracked`: the platforms that tell of use. `missing_closed_at` feeds a column
    that needs more.
    """
    is_open = pl.col("is_open")
    per_item = (
        items.select(
            "person", "offer", "item", "is_open", "closed_at", "occurred_at", "first_used_at", "platform",
            is_open_paid=is_open & (pl.col("basis") == "paid"),
            opened_at=pl.when(is_open).then("occurred_at"),
            open_basis=pl.when(is_open).then(pl.col("basis").cast(_BASES)),
        )
        .group_by("person", "offer", "item").agg(
            pl.col("is_open", "is_open_paid").any(),
            pl.col("closed_at", "opened_at").max(),
            pl.col("occurred_at").min().alias("access_at"),
            pl.col("open_basis", "first_used_at").min(),
            pl.col("platform").first(),
        )
    )  # fmt: skip
    owed = (
        entitled.filter(pl.col("entitled_by").is_not_null())
        .join(items.select("offer", "item").unique(), on="offer", how="inner")
        .select("person", "item")
        .unique()
        .with_columns(is_owed=pl.lit(value=True))
    )
    return (
        per_item.join(owed, on=["person", "item"], how="left", validate="m:1")
        .with_columns(
            _unowed=pl.col("is_open_paid") & pl.col("is_owed").is_null(),
            _open_platform=pl.when(is_open).then("platform"),
            missing_closed_at=pl.when(~is_open).then("closed_at"),
        )
        .group_by("person", "offer")
        .agg(
            is_open.sum().cast(pl.Int64).alias("grants_open"),
            pl.col("access_at", "open_basis", "first_used_at").min(),
            pl.col("opened_at", "closed_at", "missing_closed_at").max(),
            pl.col("_unowed").sum().cast(pl.Int64).alias("unowed_count"),
            pl.coalesce(pl.col("_open_platform").min(), pl.col("platform").min()).alias("access_platform"),
            pl.col("_open_platform").is_in(tracked).any().alias("is_use_tracked"),
        )
        .with_columns(
            pl.col("open_basis").cast(TEXT),
            access_ended_at=pl.when(pl.col("grants_open") == 0).then("closed_at"),
        )
        .drop("closed_at")
    )


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


def lost(frame: pl.DataFrame) -> pl.DataFrame:
    """access_lost_at and grant_missing_at, once a journey's access and entitlement stand side by side."""
    some = (pl.col("grants_open") > 0) & (pl.col("grants_open") < pl.col("grants_expected"))
    return frame.with_columns(
        access_lost_at=pl.when(
            (pl.col("grants_open") == 0) & (pl.col("access_ended_at") >= pl.col("entitled_from_at"))
        ).then("access_ended_at"),
        grant_missing_at=pl.when(some).then(pl.max_horizontal("access_due_at", "missing_closed_at")).cast(TIME),
    )
