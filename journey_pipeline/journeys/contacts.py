"""CRM contacts, each beside the forms that its person filled in and the contacts that were created with it."""

from datetime import timedelta

import polars as pl

from journey_pipeline.journeys.scope import Scope

_LATELY = timedelta(days=90)
_ENOUGH, _NEARLY_ALL = 10, 0.8
_SAME_DAY = pl.duration(days=1)


def contacts(known: pl.LazyFrame, leads: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    """is_form_source, has_lead, batch_count."""
    asked = leads.select("person").unique().with_columns(has_lead=pl.lit(value=True))
    from_forms = _form_sources(known, leads, scope)
    return (
        known.join(asked, on="person", how="left", validate="m:1")
        .with_columns(_minute=pl.col("occurred_at").dt.truncate("1m"))
        .with_columns(
            pl.col("has_lead").fill_null(value=False),
            is_form_source=pl.col("source").is_in(from_forms).fill_null(value=False),
            batch_count=pl.len().over("platform", "_minute").cast(pl.Int64),
        )
        .drop("_minute")
    )


def _form_sources(known: pl.LazyFrame, leads: pl.LazyFrame, scope: Scope) -> list[str]:
    """Sources whose contacts of the last 90 days nearly all belong to people with a lead within a day of it."""
    lately = known.filter(pl.col("source").is_not_null(), pl.col("occurred_at") >= scope.as_of - _LATELY).select(
        "row", "person", "source", "occurred_at"
    )
    is_near = (pl.col("lead_at") - pl.col("occurred_at")).abs() <= _SAME_DAY
    beside_form = (
        lately.join(leads.select("person", lead_at="occurred_at"), on="person", how="inner")
        .filter(is_near).select("row").unique().with_columns(_is_near=pl.lit(value=True))
    )  # fmt: skip
    counted = lately.join(beside_form, on="row", how="left").group_by("source").agg(
        pl.len().alias("n"), pl.col("_is_near").count().alias("near")
    )  # fmt: skip
    is_form = (pl.col("n") >= _ENOUGH) & (pl.col("near") >= _NEARLY_ALL * pl.col("n"))
    return counted.filter(is_form).select(pl.col("source").sort()).collect()["source"].to_list()
