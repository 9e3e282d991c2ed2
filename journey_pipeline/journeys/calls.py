"""Calls and proposals: which records tell of one meeting, and what came after each meeting and each document."""

from collections.abc import Mapping

import polars as pl

from journey_pipeline.journeys.scope import ref
from journey_pipeline.registry import TIME

_COPY_OF_BOOKING = pl.duration(minutes=5)
_OFF = ("cancelled", "rescheduled")
_WORDS = ("sequence", "other")  # purposes of what is written to somebody, beside receipts and the newsletter


def bookings(booked: pl.LazyFrame) -> pl.LazyFrame:
    """is_primary, copy_count, copy_class_count, copy_changed_at, has_outcome (docs/definitions.md, Copies)."""
    is_off = pl.col("status").is_in(_OFF) | pl.col("gone_at").is_not_null()
    # A class that only the newest of several versions has changed with its load; else with the booking itself.
    told_at = pl.when(pl.col("class_changed_at") > pl.col("first_loaded_at")).then("class_changed_at")
    slots = booked.with_columns(
        ref=ref(), _is_off=is_off, _is_open=~is_off & (pl.col("status") == "scheduled"),
        _changed_at=pl.coalesce("gone_at", "cancelled_at", told_at, "occurred_at"),
    ).sort("person", "starts_at", "platform", "record_id")  # fmt: skip
    new = (pl.col("starts_at").diff() > _COPY_OF_BOOKING).fill_null(value=True) | (
        pl.col("platform") == pl.col("platform").shift(1)
    ).fill_null(value=True)
    slot = ["person", "_slot"]
    return (
        slots.with_columns(_slot=new.cum_sum().over("person"))
        # Who knows how it ended speaks for the others.
        .sort("person", "_slot", "_is_open", "starts_at", "platform", "record_id")
        .with_columns(
            is_primary=pl.int_range(pl.len()).over(slot) == 0,
            copy_count=pl.len().over(slot).cast(pl.Int64),
            copy_class_count=pl.col("_is_off").n_unique().over(slot).cast(pl.Int64),
            copy_changed_at=pl.col("_changed_at").max().over(slot),
            has_outcome=~pl.col("_is_open").all().over(slot),
        )
        .drop("_slot", "_is_off", "_is_open", "_changed_at")
    )


def what_followed(kinds: Mapping[str, pl.LazyFrame], expected_minor: int | None) -> dict[str, pl.LazyFrame]:
    """Bookings, agreements and surveys, with the next thing that happened after each."""
    booked, papers, voices = kinds["bookings"], kinds["agreements"], kinds["surveys"]
    concerned = pl.concat([f.select("person") for f in (booked, papers, voices)]).unique().collect().lazy()

    def events(kind: str, at: str, *conditions: pl.Expr) -> pl.LazyFrame:
        kept = kinds[kind].filter(pl.col(at).is_not_null(), *conditions)
        return kept.join(concerned, on="person", how="semi").select("person", at=at)

    spoken = pl.concat([
        events("messages", "occurred_at", pl.col("purpose").is_in(_WORDS)),
        events("bookings", "occurred_at"), events("tickets", "occurred_at"),
    ]).collect().lazy()  # fmt: skip
    paid = events("payments", "succeeded_at", pl.col("counts"))
    steps = pl.concat([
        events("agreements", "sent_at"), events("deals", "won_at"), events("deals", "lost_at"), paid,
        events("bookings", "starts_at", pl.col("is_primary"), ~pl.col("status").is_in(_OFF)),
    ]).collect().lazy()  # fmt: skip
    sent = events("agreements", "sent_at")
    paid_for = kinds["payments"].filter("counts").select("person", "offer", at="succeeded_at")
    return {
        "bookings": booked.with_columns(expected_minor=pl.lit(expected_minor, pl.Int64))
        .pipe(_beside, "starts_at", steps, "next_step_at")
        .pipe(_beside, "starts_at", paid, "paid_before_at", strategy="backward")
        .pipe(_beside, "starts_at", spoken, "followed_up_at"),
        "agreements": papers.pipe(_beside, "sent_at", sent, "newer_sent_at")
        .pipe(_beside, "sent_at", paid_for, "paid_after_at", by=("person", "offer"))
        .pipe(_beside, "sent_at", spoken, "followed_up_at"),
        "surveys": voices.pipe(_beside, "occurred_at", spoken, "followed_up_at"),
    }


def _beside(
    frame: pl.LazyFrame, since: str, events: pl.LazyFrame, name: str, *, by: tuple[str, ...] = ("person",),
    strategy: str = "forward",
) -> pl.LazyFrame:  # fmt: skip
    """The nearest event of the same people strictly after (or before) `since`; a frame whose rows have a `ref`."""
    dated = frame.filter(pl.col(since).is_not_null()).select("ref", *by, _since=since).sort("_since")
    found = dated.join_asof(
        events.sort("at").with_columns(pl.col("at").alias(name)), left_on="_since", right_on="at", by=list(by),
        strategy="backward" if strategy == "backward" else "forward", allow_exact_matches=False, check_sortedness=False,
    )  # fmt: skip
    return frame.join(found.select("ref", pl.col(name).cast(TIME)), on="ref", how="left", validate="1:1")
