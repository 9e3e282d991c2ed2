"""Whose each record is and which offer it is about; test buyers are marked with everything they have."""

from collections.abc import Mapping

import polars as pl

from journey_pipeline.identity import Identity
from journey_pipeline.journeys.scope import Scope
from journey_pipeline.records.build import is_test_buyer

_TEMPLATES = ("welcome", "cart", "sales")
ATTACHED = ("leads", "bookings", "deals", "agreements", "tickets")


def place(kinds: Mapping[str, pl.DataFrame], identity: Identity, scope: Scope) -> dict[str, pl.DataFrame]:
    """Each kind with `row` (number), `person` (number, null: anonymous) and what is known of it, and `offer` (number, 0: none).

    `is_test` is told of whole people.
    """
    people = identity.people
    placed = {
        kind: kinds[kind]
        .with_columns(
            person,
            people["person_id"].gather(person),
            people["identity_confidence"].gather(person),
            _offer(kind, scope).alias("offer"),
        )
        .with_row_index("row")
        for kind, person in identity.codes.items()
    }
    testers = _testers(placed, scope)
    if testers.is_empty():
        return placed
    is_tester = people["person"].is_in(testers.implode())
    return {
        kind: frame.with_columns(pl.col("is_test") | is_tester.gather(frame["person"]).fill_null(value=False))
        for kind, frame in placed.items()
    }


def _testers(placed: Mapping[str, pl.DataFrame], scope: Scope) -> pl.Series:
    """People who match `test_buyers`, or have nothing but test records."""
    tests = pl.concat([f.filter("is_test").select("person", "email") for f in placed.values()]).drop_nulls("person")
    named = tests.filter(is_test_buyer(scope.test_buyers)).select("person")
    others = tests.lazy().select("person").unique()
    real = pl.concat([
        f.lazy().filter(~pl.col("is_test")).select("person").join(others, on="person", how="semi") for f in placed.values()
    ])  # fmt: skip
    only_tests = others.join(real, on="person", how="anti").collect()
    return pl.concat([named, only_tests])["person"].unique().sort()


def _offer(kind: str, scope: Scope) -> pl.Expr:
    if kind in ("payments", "subscriptions", "access", "leads", "deals", "agreements"):
        return scope.offer_of(pl.col("product_ref"))
    if kind == "messages":
        return scope.offer_of(pl.col("template_ref"), _TEMPLATES)
    return pl.lit(0, pl.Int64)


def attach(frame: pl.LazyFrame, money: pl.LazyFrame, pairs: pl.LazyFrame) -> pl.LazyFrame:
    """Give records without an offer the journey they belong to (docs/definitions.md, Attachment).

    `money`: person, offer, money_at of journeys with money; `pairs`: person, offer of all journeys with an offer. The
    first journey whose money came at or after the record, else the one with the latest money, else any, else none.
    """
    timed = money.filter(pl.col("offer") > 0).sort("money_at")
    latest = timed.group_by("person").agg(pl.col("offer").last().alias("_latest"))
    some = pairs.group_by("person").agg(pl.col("offer").min().alias("_any"), pl.len().alias("_count"))
    after = timed.select("person", pl.col("offer").alias("_after"), "money_at")
    loose = frame.filter(pl.col("offer") == 0).join(some, on="person", how="left")
    has_choice = (pl.col("_count") > 1).fill_null(value=False)
    chosen = (
        loose.filter(has_choice)
        .sort("occurred_at")
        .join_asof(
            after, left_on="occurred_at", right_on="money_at", by="person", strategy="forward", check_sortedness=False
        )
        .join(latest, on="person", how="left")
        .with_columns(offer=pl.coalesce("_after", "_latest", "_any"))
        .select(frame.collect_schema().names())
    )
    given = loose.filter(~has_choice).with_columns(offer=pl.col("_any").fill_null(0)).drop("_any", "_count")
    return pl.concat([frame.filter(pl.col("offer") > 0), given, chosen])
