"""products: every product_ref ever seen, and whether an offer of journey.yaml knows it."""

from collections.abc import Mapping
from datetime import timedelta

import polars as pl

from journey_pipeline.journeys.scope import Scope
from journey_pipeline.registry import TABLES

_LATELY = timedelta(days=30)


def products(kinds: Mapping[str, pl.LazyFrame], scope: Scope) -> pl.LazyFrame:
    """The registry table. Money is in the currency that sold most of the product lately."""
    paid, agreed, held = kinds["payments"], kinds["subscriptions"], kinds["access"]
    lately = paid.filter(
        pl.col("counts") & (pl.col("occurred_at") >= scope.as_of - _LATELY) & pl.col("product_ref").is_not_null()
    )
    sold = (
        lately.group_by("product_ref", "currency").agg(pl.col("net_minor").sum().cast(pl.Int64).alias("sold_30d_minor"))
        .sort("sold_30d_minor", "currency").group_by("product_ref", maintain_order=True)
        .agg(pl.col("sold_30d_minor").last(), pl.col("currency").last())
    )  # fmt: skip
    used = pl.concat([
        lately.filter(pl.col("amount_minor") > 0).select("product_ref"),
        agreed.filter(pl.col("is_primary") & pl.col("is_live")).select("product_ref"),
        held.filter(pl.col("is_open") & (pl.col("basis") == "paid")).select("product_ref"),
    ]).unique()  # fmt: skip
    seen = pl.concat([f.select("product_ref", "occurred_at") for f in (paid, agreed, held)]).drop_nulls("product_ref")
    return (
        seen.group_by("product_ref").agg(pl.col("occurred_at").min().alias("first_seen_at"))
        .join(used.with_columns(is_in_use=pl.lit(value=True)), on="product_ref", how="left")
        .join(sold, on="product_ref", how="left")
        .with_columns(
            pl.col("is_in_use").fill_null(value=False),
            pl.col("sold_30d_minor").fill_null(0),
            pl.col("currency").fill_null(scope.business.currency),
            platform=pl.col("product_ref").str.split(":").list.first(),
            offer_id=scope.offer_id(scope.offer_of(pl.col("product_ref"))),
            is_ignored=pl.col("product_ref").is_in(list(scope.ignore_products)),
        )
        .select(TABLES["products"].columns)
        .sort("product_ref")
    )  # fmt: skip
