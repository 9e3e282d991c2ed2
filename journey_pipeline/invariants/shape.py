"""What every table must look like whatever the business does, read off the registry, and the columns to judge it by.

Nothing is judged here: Great Expectations asserts these rules (great_expectations.py). Dagster needs only their names,
without the seconds that importing Great Expectations costs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import polars as pl

from journey_pipeline.registry import FLOAT, INT, KINDS, NO_PERSON, TEXT, TIME, Table

Kind = Literal[
    "columns",
    "not_null",
    "unique",
    "allowed",
    "range",
    "time",
    "format",
    "currency",
    "order",
    "parent",
    "conserved",
    "rows",
    "exactly",
]


@dataclass(frozen=True)
class Shape:
    """One rule about one table; `columns` are what it reads, in the order that the rule gives them meaning."""

    name: str
    kind: Kind
    columns: tuple[str, ...]
    claim: str
    is_blocking: bool = True
    allowed: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    pattern: str = ""
    where: tuple[str, str] | None = None
    """Only rows whose first-named column has this value."""
    parent: str = ""
    """The table in which `columns[0]` must be found, as its key; of what is conserved, the table that it comes from."""


EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
# A prospect's journey has no offer, so this part of a key may be null; two nulls are still the same key.
_NULLABLE_KEYS = {("buyer_journeys", "offer_id")}
_ALSO_REQUIRED = {"bookings": ("starts_at",)}
# Plans may lie ahead, as all that ends in `_ends_at`: a cancelled subscription's right lasts as long as it is paid for.
_MAY_LIE_AHEAD = {
    "starts_at", "expires_at", "due_at", "paid_until_at", "access_due_at", "grant_missing_at", "entitlement_ended_at",
    "churned_at", "next_step_at", "ends_at", "settle_by_at",
}  # fmt: skip
# Sums less refunds fall below zero where a platform says a refund larger than its payment; that warns, so these do.
_NETS = {"net_minor", "lifetime_minor", "payer_net_minor", "sold_30d_minor"}
_SHARES = {"identity_confidence": 1.0, "confidence": 1.0, "probability": 1.0, "progress": 100.0}
# An unpaid journey has no currency of its own, yet may hold subscriptions that have one.
_CURRENCY_OF = {
    "offer_price_minor": "offer_currency",
    "agreed_minor": "agreed_currency",
    "extra_subscription_minor": "",
}
_ORDERS = (
    ("refunded_at", "occurred_at"),
    ("signed_at", "sent_at"),
    ("resolved_at", "occurred_at"),
    ("last_seen_on", "first_seen_on"),
    ("ends_on", "starts_on"),
    ("amount_minor", "refunded_minor"),
)
_PARENTS = {
    "journey_events": ("person_id", "people"),
    "findings": ("person_id", "people"),
    "finding_days": ("finding_id", "findings"),
    "repairs": ("finding_id", "findings"),
}
# What grows with the business and may neither halve nor treble overnight; findings may.
_COUNTED = {*KINDS, "journey_events", "person_keys"}
_KEPT = {"people", "buyer_journeys"}


def rules(table: Table) -> tuple[Shape, ...]:
    """All rules about one table, in the order in which they are shown."""
    return tuple(_rules(table))


def applying(
    table: Table,
    columns: Sequence[str],
    tables: Sequence[str],
    *,
    as_of: datetime,
    yesterday: int,
    merged: int,
    expected: int | None = None,
) -> tuple[Shape, ...]:
    """The rules that can be asked today, with today's bounds; a missing column is the rule `shape_columns`'s to say.

    `rows` rules need a count of `yesterday`, less people `merged` since; `exactly` rules what is `expected`.
    """
    present, known = set(columns), set(tables)
    return tuple(
        _bounded(rule, as_of, yesterday, merged, expected)
        for rule in rules(table)
        if (rule.kind == "columns" or present.issuperset(rule.columns))
        and (rule.kind != "rows" or yesterday)
        and (rule.kind != "exactly" or expected is not None)
        and (not rule.parent or rule.parent in known)
    )


def people_named(tables: Mapping[str, pl.LazyFrame]) -> int | None:
    """How many people the records of all kinds name; None where no record of a person is at hand."""
    told = [frame.select("person_id") for kind, frame in tables.items() if kind in KINDS and kind not in NO_PERSON]
    if not told:
        return None
    return int(pl.concat(told).select(pl.col("person_id").drop_nulls().n_unique()).collect().item())


def _bounded(rule: Shape, as_of: datetime, yesterday: int, merged: int, expected: int | None) -> Shape:
    if rule.kind == "exactly":
        return replace(rule, claim=f"{rule.claim} Expected: {expected:,}.", low=expected, high=expected)
    if rule.kind == "time":
        return replace(rule, low=_microseconds(EARLIEST), high=_microseconds(as_of + timedelta(days=1)))
    if rule.kind == "rows":
        share, most = rule.low or 0, rule.high
        low = int(share * yesterday) - (merged if most is None else 0)
        claim = f"{rule.claim} Yesterday: {yesterday:,}."
        return replace(rule, claim=claim, low=max(low, 0), high=None if most is None else int(most * yesterday))
    return rule


def _microseconds(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def read(table: Table, frame: pl.LazyFrame, asked: Sequence[Shape], tables: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    """The columns that these rules read, without personal values, and `has_<parent>` for those about parents."""
    names = dict.fromkeys(name for rule in asked if not rule.parent and rule.kind != "columns" for name in rule.columns)
    cells = [_cell(table, name, asked) for name in names]
    for rule in asked:
        if rule.parent:
            added = _with_parent if rule.kind == "parent" else _with_revenue
            frame = added(frame, rule, tables[rule.parent])
            cells.append(pl.col(f"has_{rule.parent}"))
    return frame.select(cells)


def _cell(table: Table, name: str, asked: Sequence[Shape]) -> pl.Expr:
    """The column as plain numbers, where it can be: pandas and GX are at ease with nothing else.

    A text whose value no rule reads becomes its rank, which keeps nulls and equality and nothing of the text. Texts of few
    values become categories: a verdict column of 1 M rows is judged in 0.14 s instead of 0.29 s. A time becomes its
    microseconds: pandas warns of every pair of times with a zone, GX walks those without one value by value.
    """
    dtype = table.column(name).dtype
    if dtype == TIME:
        return pl.col(name).dt.epoch("us")
    if dtype != TEXT or name.endswith("_ref"):
        return pl.col(name)
    if {"allowed", "format", "currency", "range"} & {rule.kind for rule in asked if name in rule.columns}:
        return pl.col(name).cast(pl.Categorical)
    return pl.col(name).rank("dense").cast(pl.Int64)


def _with_parent(frame: pl.LazyFrame, rule: Shape, parent: pl.LazyFrame) -> pl.LazyFrame:
    column, found = rule.columns[0], f"has_{rule.parent}"
    known = parent.select(column).unique().with_columns(pl.lit(value=True).alias(found))
    joined = frame.join(known, on=column, how="left", validate="m:1")
    return joined.with_columns(pl.when(pl.col(column).is_not_null()).then(pl.col(found).fill_null(value=False)))


def _with_revenue(frame: pl.LazyFrame, rule: Shape, payments: pl.LazyFrame) -> pl.LazyFrame:
    """Whether what a person is worth in each currency is what the person's payments kept; null of tests."""
    counts = pl.col("is_primary") & (pl.col("status") == "succeeded") & ~pl.col("is_test").fill_null(value=False)
    kept = (
        payments.filter(counts & (pl.col("net_minor") > 0))
        .group_by("person_id", ref="currency")
        .agg(amount_minor=pl.col("net_minor").sum())
    )
    others = (
        frame.select("person_id", "lifetime_other")
        .explode("lifetime_other", empty_as_null=False, keep_nulls=False)
        .unnest("lifetime_other")
    )
    on = ["person_id", "ref", "amount_minor"]
    # What no other currency accounts for is the business's own: of two currencies left over, one was lost.
    own = (
        kept.join(others, on=on, how="anti")
        .group_by("person_id")
        .agg(own_minor=pl.when(pl.col("ref").n_unique() == 1).then(pl.col("amount_minor").sum()).otherwise(-1))
    )
    made_up = (
        others.join(kept, on=on, how="anti").select("person_id").unique().with_columns(is_made_up=pl.lit(value=True))
    )
    both = frame.join(own, on="person_id", how="left", validate="m:1").join(
        made_up, on="person_id", how="left", validate="m:1"
    )
    is_so = pl.col("lifetime_minor").fill_null(0).eq(pl.col("own_minor").fill_null(0)) & pl.col("is_made_up").is_null()
    is_real = ~pl.col("is_test").fill_null(value=False)
    return both.with_columns(pl.when(is_real).then(is_so).alias(f"has_{rule.parent}"))


def _rules(table: Table) -> Iterator[Shape]:
    yield Shape("shape_columns", "columns", table.columns, f"Has every column of {table.name}.")
    yield from _presence(table)
    for name in table.columns:
        yield from _values(table, name)
    yield from _money(table)
    for later, earlier in _ORDERS:
        if {later, earlier} <= set(table.columns):
            yield Shape(
                f"shape_{later}_not_below_{earlier}", "order", (later, earlier),
                f"{later} is not below {earlier}.", is_blocking=False,
            )  # fmt: skip
    if table.name in _PARENTS:
        column, parent = _PARENTS[table.name]
        yield Shape(
            f"shape_{column}_exists", "parent", (column,), f"{column} is in {parent}, where it is set.", parent=parent
        )
    if table.name in _COUNTED:
        claim = "Rows are at least half and at most three times yesterday's."
        yield Shape("shape_rows", "rows", (), claim, is_blocking=False, low=0.5, high=3.0)
    if table.name == "people":
        claim = "As many people as the records of all kinds name: nobody was lost, nobody made up."
        yield Shape("shape_people_of_records", "exactly", (), claim)
        claim = "What a person is worth, currency by currency, is what the person's payments kept: no revenue is lost."
        worth = ("person_id", "lifetime_minor", "lifetime_other", "is_test")
        yield Shape("shape_revenue_of_payments", "conserved", worth, claim, parent="payments")
    if table.name in _KEPT:
        claim = "Rows are at least 98 % of yesterday's, not counting people merged today."
        yield Shape("shape_rows", "rows", (), claim, is_blocking=False, low=0.98)


def _presence(table: Table) -> Iterator[Shape]:
    key = tuple(column for column in table.key if (table.name, column) not in _NULLABLE_KEYS)
    for name in dict.fromkeys((*key, *table.required, *_ALSO_REQUIRED.get(table.name, ()))):
        yield Shape(f"shape_{name}_not_null", "not_null", (name,), f"{name} is always there.")
    if table.key:
        yield Shape("shape_key_unique", "unique", table.key, f"No two rows share {', '.join(table.key)}.")


def _values(table: Table, name: str) -> Iterator[Shape]:
    column = table.column(name)
    if column.allowed:
        claim = f"{name} is one of: {', '.join(column.allowed)}."
        yield Shape(f"shape_{name}_allowed", "allowed", (name,), claim, allowed=column.allowed)
    if column.dtype == INT:
        is_blocking = name not in _NETS
        yield Shape(f"shape_{name}_range", "range", (name,), f"{name} is never negative.", is_blocking, low=0)
    if column.dtype == FLOAT and name in _SHARES:
        high = _SHARES[name]
        yield Shape(f"shape_{name}_range", "range", (name,), f"{name} is from 0 to {high:g}.", low=0, high=high)
    if name == "score":
        claim = "An NPS score is from 0 to 10."
        where = ("instrument", "nps")
        yield Shape("shape_score_range", "range", ("score", "instrument"), claim, low=0, high=10, where=where)
    if column.dtype == TIME and name not in _MAY_LIE_AHEAD and not name.endswith("_ends_at"):
        yield Shape(f"shape_{name}_range", "time", (name,), f"{name} is after 1999 and not in the future.")
    pattern = _pattern(name)
    if pattern:
        claim = f"{name} looks like {pattern}."
        yield Shape(f"shape_{name}_format", "format", (name,), claim, pattern=pattern)


def _pattern(name: str) -> str:
    if name.endswith("currency") and not name.startswith("has_"):
        return "^[A-Z]{3}$"
    if name.endswith("_ref"):
        return "^[a-z0-9_]+:.+$"
    return "^[a-z0-9_]+$" if name == "invariant" else ""


def _money(table: Table) -> Iterator[Shape]:
    for name in table.columns:
        currency = _CURRENCY_OF.get(name, "currency")
        if name.endswith("_minor") and currency in table.columns:
            claim = f"An amount in {name} has its {currency}."
            yield Shape(f"shape_{name}_has_currency", "currency", (currency, name), claim)
