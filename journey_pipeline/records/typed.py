"""From what a platform module says to a kind's exact columns, and the reason why a row can't be one of its records."""

from collections.abc import Sequence

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import translate
from journey_pipeline.registry import BOOL, DAY, KINDS, TEXT, TEXTS, TIME, said_schema

FROM_WHERE = ("loaded_at", "_row", "_resource")
_MUST_HAVE = {
    "payments": ("amount_minor", "role"),
    "bookings": ("starts_at",),
    "access": ("grant",),
    "spend": ("day_on",),
}


def typed(kind: str, frame: pl.LazyFrame, platform: str) -> pl.LazyFrame:
    """The kind's columns as said_schema has them, `platform`, where the row came from, and `reason` (null: readable).

    Columns that the frame lacks are null; text is read as the column's type.
    """
    given = frame.collect_schema()
    said = said_schema(kind)
    values, unreadable = [], []
    for name, dtype in said.items():
        if name not in given:
            values.append(pl.lit(None, dtype).alias(name))
            continue
        value = _read(pl.col(name), given[name], dtype)
        values.append(value.alias(name))
        if given[name] == TEXT and dtype not in (TEXT, TEXTS):
            unreadable.append((name, pl.col(name).is_not_null() & value.is_null()))
    reject = pl.col("_reject") if "_reject" in given else pl.lit(None, TEXT)
    why = [reject, *(pl.when(is_so).then(pl.lit(f"unreadable {name}")) for name, is_so in unreadable)]
    return (
        frame.with_columns(pl.coalesce(why).alias("_why"))
        .select(*values, pl.lit(platform).alias("platform"), *(_where(c, given) for c in FROM_WHERE), "_why")
        .with_columns(
            is_test=pl.col("is_test").fill_null(value=False), keys=pl.col("keys").fill_null(pl.lit([], TEXTS))
        )
        .with_columns(reason=pl.coalesce("_why", *_complaints(kind, said)))
        .drop("_why")
    )


def _where(name: str, given: pl.Schema) -> pl.Expr:
    kinds = {"loaded_at": TIME, "_row": pl.Int64(), "_resource": TEXT}
    return pl.col(name).cast(kinds[name]) if name in given else pl.lit(None, kinds[name]).alias(name)


def _read(value: pl.Expr, given: pl.DataType, dtype: pl.DataType) -> pl.Expr:
    if given == TEXT and dtype != TEXT:
        return _from_text(value, dtype)
    if dtype == TIME and isinstance(given, pl.Datetime) and given.time_zone is None:
        return value.dt.replace_time_zone("UTC").cast(TIME)
    return value.cast(dtype, strict=False)


def _from_text(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    text = value.str.strip_chars()
    if dtype == TIME:
        return translate.iso(text)
    if dtype == DAY:
        return text.str.head(10).str.to_date("%Y-%m-%d", strict=False)
    if dtype == BOOL:
        return translate.boolean(text)
    if dtype == TEXTS:
        listed = pl.when(text.str.starts_with("[")).then(text)
        return pl.coalesce(listed.str.json_decode(TEXTS), pl.when(text != "").then(pl.concat_list(text)))
    return text.cast(dtype, strict=False)


def _complaints(kind: str, said: pl.Schema) -> Sequence[pl.Expr]:
    """Reasons in the order in which they are given; no value of a personal column is quoted."""

    def when(condition: pl.Expr, reason: str | pl.Expr) -> pl.Expr:
        return pl.when(condition).then(pl.lit(reason) if isinstance(reason, str) else reason)

    table = KINDS[kind]
    listed = [name for name in said if table.column(name).allowed]
    amounts = [name for name in said if name.endswith("_minor")]
    out = [
        when(pl.col("record_id").is_null() | (pl.col("record_id") == ""), "no id"),
        when(pl.col("occurred_at").is_null(), "no occurred_at, or unreadable"),
        *(when(pl.col(c).is_null(), f"no {c}") for c in _MUST_HAVE.get(kind, ())),
        *(
            when(~pl.col(c).is_in(list(table.column(c).allowed or ())), spelled(f"unknown {c} '{{}}'", pl.col(c)))
            for c in listed
        ),
        *(when(pl.col(c).is_null(), "no status") for c in listed if c == "status"),
        *(when(pl.col(c) < 0, f"negative {c}") for c in amounts),
    ]
    if "currency" in said:
        out.append(when(~pl.col("currency").str.contains(r"^[A-Z]{3}$"), "currency is not three capital letters"))
        out += [
            when(pl.col(c).is_not_null() & pl.col("currency").is_null(), f"{c} without currency") for c in amounts[:1]
        ]
    return out
