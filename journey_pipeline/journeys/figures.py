"""reported_vs_actual: each figure that somebody reports, beside the same figure worked out from the records.

What a figure claims to be, and which of ours it is, stands in journey.yaml under `reports`.
"""

from collections.abc import Mapping
from datetime import timedelta

import polars as pl

from journey_pipeline.journeys.scope import Scope
from journey_pipeline.model import Report
from journey_pipeline.platforms.translate import minor_digits
from journey_pipeline.registry import TABLES, TEXT, TIME

_FIGURE = ["report", "metric"]
_PERIODS, _ENOUGH = 28, 14
_LEAST_BAND, _DEVIATIONS = 0.15, 4
# What goes without saying; the first part is the report, or for advertising the source.
_USUAL = {
    "ga4.purchases": Report(claim="sampled", metric="new_orders"),
    "ga4.revenue": Report(claim="sampled", metric="new_revenue"),
}
_ADS = Report(claim="claimed", metric="new_orders")


def reported_vs_actual(
    kinds: Mapping[str, pl.LazyFrame], reported: pl.LazyFrame, spend: pl.LazyFrame, scope: Scope
) -> pl.LazyFrame:
    """The registry table. `kinds`: records of real people; `reported`, `spend`: as they are."""
    said = reported.select(*_FIGURE, "starts_on", "ends_on", "currency", value_reported="value")
    every = pl.concat([_with_claims(said, scope), _weekly(spend, scope)])
    actual = _per_day(kinds, scope).collect().lazy()
    home = pl.lit(scope.business.currency)
    asked = every.with_columns(
        _currency=pl.when(pl.col("_metric").str.ends_with("revenue")).then(pl.col("currency").fill_null(home)).fill_null(""),
        _gross=pl.when(pl.col("_metric") == "net_revenue").then(pl.lit("gross_revenue")),
    )  # fmt: skip
    found = asked.pipe(_computed, actual, "_metric", "value_computed").pipe(
        _computed, actual, "_gross", "gross_computed"
    )
    ends_at = _midnight(pl.col("ends_on") + timedelta(days=1), scope)
    return (
        found.unique(TABLES["reported_vs_actual"].key)
        .sort(*_FIGURE, "starts_on", "ends_on")
        .with_columns(
            ends_at=ends_at,
            kind=pl.when(pl.col("_metric") == "leads").then(pl.lit("leads"))
            .when(pl.col("_metric").is_not_null()).then(pl.lit("payments")),
            difference=pl.col("value_reported") - pl.col("value_computed"),
            ratio=pl.when(pl.col("value_computed") != 0).then(pl.col("value_reported") / pl.col("value_computed")),
            tolerance=pl.max_horizontal(1.0, scope.thresholds.exact_tolerance * pl.col("value_computed").abs()),
            previous_value=pl.col("value_reported").shift(1).over(_FIGURE),
            is_lead_goal=(pl.col("_metric") == "leads").fill_null(value=False),
            is_recent=ends_at >= scope.as_of - scope.span("look_back"),
        )
        .with_columns(usual_ratio=_median_before(pl.col("ratio"), _ENOUGH))
        .with_columns(_off=(pl.col("ratio") - pl.col("usual_ratio")).abs())
        .with_columns(
            ratio_band=pl.max_horizontal(_LEAST_BAND, _DEVIATIONS * _median_before(pl.col("_off"), 1).fill_null(0.0))
        )
        .select(TABLES["reported_vs_actual"].columns)
    )  # fmt: skip


def _with_claims(said: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    """The figures with `claim` and `_metric`: said of `<report>.<metric>`, else of `<metric>`."""
    known = {**_USUAL, **scope.reports}
    name, metric = pl.concat_str("report", pl.lit("."), "metric"), pl.col("metric")

    def told(values: Mapping[str, str]) -> pl.Expr:
        of = [text.replace_strict(values, default=None, return_dtype=TEXT) for text in (name, metric)]
        return pl.coalesce(of) if values else pl.lit(None, TEXT)

    return said.with_columns(
        claim=told({k: r.claim for k, r in known.items()}), _metric=told({k: r.metric for k, r in known.items()})
    )


def _weekly(spend: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    """What each advertising source claims to have brought in each whole week."""
    week = pl.col("day_on").dt.truncate("1w")
    today = scope.as_of.astimezone(scope.business.zone).date()
    named = {source: report for source, report in scope.reports.items() if report.claim == "claimed"}
    metric = pl.col("report").replace_strict(
        {source: report.metric for source, report in named.items()} or {"": ""}, default=_ADS.metric, return_dtype=TEXT
    )
    return (
        spend.filter(pl.col("source").is_not_null(), pl.col("conversions").is_not_null())
        .group_by(report="source", starts_on=week)
        .agg(value_reported=pl.col("conversions").sum())
        .with_columns(ends_on=pl.col("starts_on") + timedelta(days=6))
        .filter(pl.col("ends_on") < today)
        .select(
            "report", pl.lit("conversions").alias("metric"), "starts_on", "ends_on", pl.lit(None, TEXT).alias("currency"),
            "value_reported", pl.lit(_ADS.claim).alias("claim"), metric.alias("_metric"),
        )
    )  # fmt: skip


def _per_day(kinds: Mapping[str, pl.LazyFrame], scope: Scope) -> pl.LazyFrame:
    """metric, currency (empty: a count), day_on, and the sum of all days up to it."""
    day = pl.col("occurred_at").dt.convert_time_zone(scope.business.zone.key).dt.date().alias("day_on")
    unit = pl.lit(10.0).pow(minor_digits(pl.col("currency")))
    sold = (
        kinds["payments"].filter("counts").select(
            day, "currency", "is_renewal", gross=pl.col("amount_minor") / unit, net=pl.col("net_minor") / unit,
            back=pl.col("refunded_minor").fill_null(0) / unit,
        ).group_by("day_on", "currency").agg(
            orders=pl.len().cast(pl.Float64), new_orders=(~pl.col("is_renewal")).sum().cast(pl.Float64),
            gross_revenue=pl.col("gross").sum(), net_revenue=pl.col("net").sum(), refunds_revenue=pl.col("back").sum(),
            new_revenue=pl.col("gross").filter(~pl.col("is_renewal")).sum(),
        )
    ).collect().lazy()  # fmt: skip
    sums = ("gross_revenue", "net_revenue", "refunds_revenue", "new_revenue")
    parts = [sold.select(pl.lit(m).alias("_metric"), _currency="currency", day_on="day_on", value=m) for m in sums]
    parts += [
        sold.group_by("day_on").agg(value=pl.col(m).sum()).select(
            pl.lit(m).alias("_metric"), pl.lit("").alias("_currency"), "day_on", "value"
        )
        for m in ("orders", "new_orders")
    ]  # fmt: skip
    asked = kinds["leads"].select(day).group_by("day_on").agg(value=pl.len().cast(pl.Float64))
    parts.append(asked.select(pl.lit("leads").alias("_metric"), pl.lit("").alias("_currency"), "day_on", "value"))
    return (
        pl.concat(parts).sort("_metric", "_currency", "day_on")
        .with_columns(up_to=pl.col("value").cum_sum().over("_metric", "_currency")).drop("value")
    )  # fmt: skip


def _computed(asked: pl.LazyFrame, actual: pl.LazyFrame, metric: str, name: str) -> pl.LazyFrame:
    """`asked` with the sum over each row's days; null where the figure is none of ours."""
    by, known = [metric, "_currency"], actual.rename({"_metric": metric}).sort("day_on")

    def up_to(frame: pl.LazyFrame, day: pl.Expr, column: str) -> pl.LazyFrame:
        dated = frame.with_columns(day_on=day).sort("day_on")
        found = dated.join_asof(known, on="day_on", by=by, strategy="backward", check_sortedness=False)
        return found.rename({"up_to": column}).drop("day_on")

    both = asked.pipe(up_to, pl.col("ends_on"), "_until").pipe(
        up_to, pl.col("starts_on") - timedelta(days=1), "_before"
    )
    value = pl.col("_until").fill_null(0.0) - pl.col("_before").fill_null(0.0)
    is_known = pl.col(metric).is_not_null()
    return both.with_columns(pl.when(is_known).then(value.round(6)).alias(name)).drop("_until", "_before")


def _median_before(value: pl.Expr, least: int) -> pl.Expr:
    """The median of the 28 periods before, if at least so many have a value."""
    return value.rolling_median(_PERIODS, min_samples=least).shift(1).over(_FIGURE)


def _midnight(day: pl.Expr, scope: Scope) -> pl.Expr:
    local = day.cast(pl.Datetime("us")).dt.replace_time_zone(
        scope.business.zone.key, non_existent="null", ambiguous="earliest"
    )
    return local.dt.convert_time_zone("UTC").cast(TIME)
