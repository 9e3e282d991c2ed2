"""Merges and splits from one day to the next, and what brought each about."""

from datetime import date

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.registry import TABLES

_RECORD = ("kind", "platform", "record_id")


def changes(
    before: pl.LazyFrame, now: pl.LazyFrame, keys: pl.LazyFrame, day: date, refused: pl.DataFrame | None = None
) -> pl.DataFrame:
    """The merges and splits between two assignments (`record_persons`): the registry table identity_changes.

    `keys`: person_keys of now. `refused`: person_id, other_person_id whom somebody told apart.
    A merge: all records that somebody had are now another's. A split: somebody new has records that another had.
    """
    moved = (
        before.rename({"person_id": "from_person_id"})
        .join(now.rename({"person_id": "to_person_id"}), on=_RECORD, how="inner", validate="1:1")
        .filter(pl.col("from_person_id") != pl.col("to_person_id"))
        .collect()
    )
    if moved.is_empty():
        return pl.DataFrame(schema=TABLES["identity_changes"].schema)
    alive = set(now.select("person_id").unique().collect()["person_id"])
    pairs = moved.select("from_person_id", "to_person_id").unique()
    concerned = (
        keys.filter(pl.col("person_id").is_in(pairs["to_person_id"].unique().to_list()))
        .join(before.rename({"person_id": "was"}), on=_RECORD, how="left")
        .collect()
    )
    shared = (
        concerned.group_by("person_id", "key")
        .agg(pl.col("was").drop_nulls().unique())
        .filter(pl.col("was").list.len() > 1)
        .explode("was")
        .group_by("person_id", "was")
        .agg(_type(pl.col("key")).unique().sort().str.join(", ").alias("because"))
    )
    apart: set[tuple[str, str]] = set() if refused is None else {tuple(sorted(pair)) for pair in refused.rows()}
    is_refused = pl.Series([tuple(sorted(pair)) in apart for pair in pairs.rows()], dtype=pl.Boolean)
    return (
        pairs.with_columns(
            is_refused=is_refused,
            day_on=pl.lit(day),
            change=pl.when(pl.col("from_person_id").is_in(alive)).then(pl.lit("split")).otherwise(pl.lit("merge")),
        )
        .join(shared, left_on=["to_person_id", "from_person_id"], right_on=["person_id", "was"], how="left")
        .with_columns(
            because=pl.when("is_refused").then(pl.lit("told apart by a decision"))
            .when(pl.col("change") == "split").then(pl.lit("what tied them is no longer there, or ties nobody now"))
            .otherwise(spelled("now tied by {}", pl.col("because").fill_null("a key of a third record")))
        )
        .select(TABLES["identity_changes"].columns)
        .sort("from_person_id", "to_person_id")
    )  # fmt: skip


def _type(key: pl.Expr) -> pl.Expr:
    """The type of a key, in words where it is none that a record bears."""
    return key.str.extract("^([^:]+):", 1).replace({"twin": "a probable link", "same": "a decision"})
