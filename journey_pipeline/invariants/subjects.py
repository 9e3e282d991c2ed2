"""The records that belong to judged rows: of the same person, of the same offer where both name one.

What they prove (evidence), explain (causes) or carry (money) is said there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from journey_pipeline.invariants import language
from journey_pipeline.model import Rule
from journey_pipeline.registry import KINDS

# Kinds whose offer is known from what was bought or granted; the others may be attached without naming one.
_BY_OFFER = ("payments", "subscriptions", "access")
_ALWAYS = ("platform", "record_id", "occurred_at", "url", "is_test", "person_id", "offer_id", "product_ref")
_ROW_COLUMN = re.compile(r"\brow_(\w+)")


def singular(kind: str) -> str:
    return kind if kind == "access" else kind.removesuffix("s")


def row_columns(text: str) -> tuple[str, ...]:
    """The columns of the judged row that a condition over records names as `row_<column>`."""
    return tuple(dict.fromkeys(_ROW_COLUMN.findall(text)))


@dataclass
class Wanted:
    """Whose records of one kind are asked for, and which of their columns are read."""

    people: list[pl.Series] = field(default_factory=list)
    products: list[pl.Series] = field(default_factory=list)
    columns: set[str] = field(default_factory=lambda: set(_ALWAYS))


class Records:
    """The records of the people (or products) that have a broken row: few, so they are held in memory."""

    def __init__(self, tables: Mapping[str, pl.LazyFrame], wanted: Mapping[str, Wanted]) -> None:
        found = [
            _of_subjects(tables.get(kind, pl.LazyFrame(schema=KINDS[kind].schema)), kind, asked)
            for kind, asked in wanted.items()
        ]
        self._kinds = dict(zip(wanted, pl.collect_all(found), strict=True))

    def of(self, rule: Rule, rows: pl.DataFrame, kind: str, which: str) -> pl.DataFrame:
        """Records of each row for which `which` is so (empty: all of them), with the row's columns as `row_…`."""
        key = "product_ref" if rule.on == "products" else "person_id"
        own = {"row", key, "since", *(c for c in row_columns(which) if c in rows.columns)}
        asked = rows.select(
            "row", "as_of", key, *(pl.col(c).alias(f"row_{c}") for c in sorted(own - {"row"})), *_offer(rule)
        )
        found = asked.join(self._kinds[kind], on=key, how="inner", maintain_order="left")
        if rule.on == "buyer_journeys":
            is_same = pl.col("offer_id").eq_missing(pl.col("row_offer"))
            found = found.filter(is_same if kind in _BY_OFFER else is_same | pl.col("offer_id").is_null())
        if rule.on == "products":
            found = found.filter(pl.col("occurred_at") >= pl.col("as_of") - pl.duration(days=30))
        return found.filter(language.condition(which)) if which else found


def _offer(rule: Rule) -> list[pl.Expr]:
    return [pl.col("offer_id").alias("row_offer")] if rule.on == "buyer_journeys" else []


def _of_subjects(table: pl.LazyFrame, kind: str, wanted: Wanted) -> pl.LazyFrame:
    columns = [c for c in table.collect_schema() if c in wanted.columns and c in KINDS[kind].schema]
    real = table.select(columns).filter(~pl.col("is_test").fill_null(value=False))
    asked = {"person_id": wanted.people, "product_ref": wanted.products}
    found = [
        real.filter(pl.col(key).is_in(pl.concat(subjects).unique().implode()))
        for key, subjects in asked.items()
        if subjects
    ]
    return found[0] if len(found) == 1 else pl.concat(found).unique(["platform", "record_id"])
