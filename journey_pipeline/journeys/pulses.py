"""pulses: what used to arrive every day (leads of a form, sales of an offer, bookings of a kind), and how long none has."""

from collections.abc import Mapping
from datetime import date, timedelta

import polars as pl

from journey_pipeline.journeys.scope import Scope
from journey_pipeline.registry import TABLES, TEXT

_DAY = timedelta(days=1)
_USUAL_DAYS, _NOW_DAYS = 28, 3
_USUALLY = timedelta(days=_USUAL_DAYS)
_REMEMBERED = timedelta(days=60)  # what fell silent earlier was given up, or is known
_EXPECTED, _OFTEN = 7, 0.5  # as the rule has it: none where seven were expected, of what came every other day
_PULSE = ["kind", "platform", "label"]


def pulses(kinds: Mapping[str, pl.LazyFrame], touches: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    """The registry table. `touches`: anonymous ones too."""
    arrived = _arrived(kinds, scope).filter(pl.col("label").is_not_null(), pl.col("occurred_at") <= scope.as_of)
    last = arrived.group_by(_PULSE).agg(pl.col("occurred_at").max().alias("last_at"))
    last = last.filter(pl.col("last_at") >= scope.as_of - _REMEMBERED)
    usually = (
        arrived.filter(pl.col("occurred_at") > scope.as_of - _REMEMBERED - _USUALLY)
        .join(last, on=_PULSE, how="inner", validate="m:1")
        .filter(pl.col("occurred_at") > pl.col("last_at") - _USUALLY)
        .sort(*_PULSE, "occurred_at")
        .collect()
        .lazy()
    )
    found = usually.group_by(_PULSE, maintain_order=True).agg(
        pl.col("last_at").first(),
        usual_per_day=pl.len() / _USUAL_DAYS,
        longest_gap_days=_days(pl.col("occurred_at").diff().max()).fill_null(0.0),
    )
    closed = [o.id for o in scope.offers if o.closes_on and o.closes_on < _today(scope)]
    is_silent = pl.col("silent_days") * pl.col("usual_per_day") >= _EXPECTED
    return (
        found.join(_worth(usually), on=_PULSE, how="left", validate="1:1")
        .with_columns(
            silent_days=_days(scope.now - pl.col("last_at")),
            is_closed=(pl.col("kind") == "payments") & pl.col("label").is_in(closed),
            has_live_visits=pl.lit(_has_live_visits(touches, scope)),
        )
        .with_columns(
            silent_minor=(pl.col("net_minor") / _USUAL_DAYS * pl.col("silent_days")).round().cast(pl.Int64),
            is_platform_silent=(is_silent | (pl.col("usual_per_day") < _OFTEN)).all().over("platform"),
        )
        .select(TABLES["pulses"].columns)
        .sort(_PULSE)
    )


def _arrived(kinds: Mapping[str, pl.LazyFrame], scope: Scope) -> pl.LazyFrame:
    """Everything that counts as an arrival. Renewals come by themselves, through a broken checkout too."""
    sales = kinds["payments"].filter(pl.col("counts") & ~pl.col("is_renewal"))
    no_money = [pl.lit(None, pl.Int64).alias("net_minor"), pl.lit(None, TEXT).alias("currency")]
    when = ["platform", "occurred_at"]
    offer = scope.offer_id(pl.col("offer")).alias("label")
    return pl.concat([
        kinds["leads"].select(pl.lit("leads").alias("kind"), *when, pl.col("form").alias("label"), *no_money),
        sales.select(pl.lit("payments").alias("kind"), *when, offer, "net_minor", "currency"),
        kinds["bookings"].select(pl.lit("bookings").alias("kind"), *when, pl.col("event_type").alias("label"), *no_money),
    ])  # fmt: skip


def _worth(usually: pl.LazyFrame) -> pl.LazyFrame:
    """net_minor of the usual days, in the currency that brings most."""
    sums = usually.filter(pl.col("currency").is_not_null()).group_by(*_PULSE, "currency").agg(pl.col("net_minor").sum())
    return sums.sort("net_minor", "currency").group_by(_PULSE, maintain_order=True).agg(
        pl.col("net_minor", "currency").last()
    )  # fmt: skip


def _has_live_visits(touches: pl.LazyFrame, scope: Scope) -> bool:
    """Whether visits of the last three days are at least half of the usual ones."""
    ago = scope.now - pl.col("occurred_at")
    now, before = (ago <= _NOW_DAYS * _DAY).sum() / _NOW_DAYS, (ago <= _USUALLY).sum() / _USUAL_DAYS
    lately = touches.filter(pl.col("occurred_at") > scope.as_of - _USUALLY)
    return bool(lately.select((now > 0) & (now >= before / 2)).collect().item())


def _today(scope: Scope) -> date:
    return scope.as_of.astimezone(scope.business.zone).date()


def _days(span: pl.Expr) -> pl.Expr:
    return span.dt.total_seconds() / _DAY.total_seconds()
