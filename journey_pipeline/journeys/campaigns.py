"""campaigns: what each advertising campaign of the last days cost, and the visits, leads and sales that name it.

Days are whole days where the business is. How revenue is spread over channels is not this module's.
"""

from collections.abc import Mapping
from datetime import date, timedelta

import polars as pl

from journey_pipeline.journeys.scope import Scope
from journey_pipeline.registry import TABLES, TIME

_NOW, _USUALLY = 3, 28  # days
# How the networks' own tags call what their accounts call otherwise.
_ALSO = {
    "facebook": "meta", "fb": "meta", "instagram": "meta", "ig": "meta", "adwords": "google", "google_ads": "google",
    "googleads": "google", "bing": "microsoft",
}  # fmt: skip
_OF_CAMPAIGN = ["_source", "_campaign"]


def campaigns(
    kinds: Mapping[str, pl.LazyFrame], touches: pl.LazyFrame, spend: pl.LazyFrame, scope: Scope
) -> pl.LazyFrame:
    """The registry table: campaigns that had clicks in the last four weeks. `touches`: anonymous ones too."""
    today = scope.as_of.astimezone(scope.business.zone).date()
    seen = _named(_daily(touches, scope, today)).collect().lazy()
    asked = _named(_daily(kinds["leads"], scope, today)).collect().lazy()
    sold = _daily(kinds["payments"].filter(pl.col("counts") & ~pl.col("is_renewal")), scope, today)
    bought = _now(sold, today).select("person").join(
        seen.select("person", *_OF_CAMPAIGN).drop_nulls().unique(), on="person", how="inner"
    )  # fmt: skip
    found = _bought(spend, today, scope)
    for part in (
        _count(_now(seen, today), _OF_CAMPAIGN, "touches_3d"), _count(_now(asked, today), _OF_CAMPAIGN, "leads_3d"),
        _count(bought, _OF_CAMPAIGN, "orders_3d"), _by_source(seen, asked, today), _renamed(seen, today),
    ):  # fmt: skip
        on = [c for c in (*_OF_CAMPAIGN, "_plain") if c in part.collect_schema()]
        found = found.join(part, on=on, how="left", validate="m:1")
    usual = (pl.col("_source_leads") / pl.col("_source_touches")).fill_nan(None)
    return (
        found.with_columns(pl.col("touches_3d", "leads_3d", "orders_3d").fill_null(0))
        .with_columns(
            expected_leads_3d=(pl.col("touches_3d") * usual).fill_null(0.0),
            has_renamed_touches=pl.col("_is_spelled").fill_null(value=False) & (pl.col("touches_3d") == 0),
            is_source_untagged=(pl.col("_untagged_now") > 2 * pl.col("_untagged_usually")).fill_null(value=False),
            is_source_silent=pl.col("leads_3d").sum().over("_source") == 0,
        )
        .select(TABLES["campaigns"].columns)
        .sort("source", "campaign")
    )


def _daily(frame: pl.LazyFrame, scope: Scope, today: date) -> pl.LazyFrame:
    """Records of the last four weeks of whole days, with their day."""
    lately = frame.filter(pl.col("occurred_at") >= scope.as_of - timedelta(days=_USUALLY + 2))
    day = pl.col("occurred_at").dt.convert_time_zone(scope.business.zone.key).dt.date()
    return lately.with_columns(day_on=day).filter(
        pl.col("day_on").is_between(today - timedelta(days=_USUALLY), today - timedelta(days=1))
    )


def _now(daily: pl.LazyFrame, today: date) -> pl.LazyFrame:
    return daily.filter(pl.col("day_on") >= today - timedelta(days=_NOW))


def _named(daily: pl.LazyFrame) -> pl.LazyFrame:
    return daily.select("day_on", "person", _source=_network(), _campaign=pl.col("campaign").str.to_lowercase())


def _network() -> pl.Expr:
    source = pl.col("source").str.to_lowercase()
    return source.replace(list(_ALSO), list(_ALSO.values()))


def _count(frame: pl.LazyFrame, by: list[str], name: str) -> pl.LazyFrame:
    return frame.group_by(by).agg(pl.len().cast(pl.Int64).alias(name))


def _bought(spend: pl.LazyFrame, today: date, scope: Scope) -> pl.LazyFrame:
    """Clicks and cost of each campaign, and since when it has run."""
    days = (
        spend.filter(pl.col("campaign").is_not_null(), pl.col("source").is_not_null(), pl.col("clicks") > 0)
        .filter(pl.col("day_on").is_between(today - timedelta(days=_USUALLY), today - timedelta(days=1)))
        .group_by("source", "campaign", "day_on")
        .agg(pl.col("clicks", "cost_minor").sum(), pl.col("currency").drop_nulls().first())
        .sort("source", "campaign", "day_on")
    )
    # Days of one run differ from their rank by the same number.
    rank = pl.int_range(pl.len()).over("source", "campaign")
    run = pl.col("day_on").to_physical().cast(pl.Int64) - rank
    is_now = pl.col("day_on") >= today - timedelta(days=_NOW)
    began = pl.col("day_on").filter(pl.col("_run") == pl.col("_run").last()).min()
    return (
        days.with_columns(_run=run)
        .group_by("source", "campaign", maintain_order=True)
        .agg(
            began.alias("_began_on"),
            pl.col("clicks").filter(is_now).sum().cast(pl.Int64).alias("clicks_3d"),
            pl.col("cost_minor").filter(is_now).sum().cast(pl.Int64).alias("cost_3d_minor"),
            pl.col("currency").drop_nulls().last(),
        )
        .with_columns(
            live_since_at=pl.col("_began_on").cast(pl.Datetime("us")).dt.replace_time_zone(
                scope.business.zone.key, non_existent="null", ambiguous="earliest"
            ).dt.convert_time_zone("UTC").cast(TIME),
            currency=pl.col("currency").fill_null(scope.business.currency),
            _source=_network(),
            _campaign=pl.col("campaign").str.to_lowercase(),
            _plain=_plain(),
        )
    )  # fmt: skip


def _by_source(seen: pl.LazyFrame, asked: pl.LazyFrame, today: date) -> pl.LazyFrame:
    """Visits and leads of each source in four weeks, and its visits without a campaign now and usually (a day)."""
    untagged, is_now = pl.col("_campaign").is_null(), pl.col("day_on") >= today - timedelta(days=_NOW)
    visits = seen.group_by("_source").agg(
        pl.len().alias("_source_touches"),
        (untagged & is_now).sum().alias("_now"), (untagged & ~is_now).sum().alias("_before"),
    ).with_columns(_untagged_now=pl.col("_now") / _NOW, _untagged_usually=pl.col("_before") / (_USUALLY - _NOW))  # fmt: skip
    return visits.drop("_now", "_before").join(_count(asked, ["_source"], "_source_leads"), on="_source", how="left")


def _renamed(seen: pl.LazyFrame, today: date) -> pl.LazyFrame:
    """Which spellings of a campaign visits name now, whatever stands between its letters."""
    named = _now(seen, today).filter(pl.col("_campaign").is_not_null()).with_columns(campaign="_campaign")
    return named.select("_source", _plain=_plain()).unique().with_columns(_is_spelled=pl.lit(value=True))


def _plain() -> pl.Expr:
    return pl.col("campaign").str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]", "")
