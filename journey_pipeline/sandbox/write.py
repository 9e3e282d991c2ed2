"""How the plan is written down as records of one platform. Not here: what is written (tell.py, aside.py)."""

from collections.abc import Mapping

import polars as pl

from journey_pipeline.registry import TEXT, TEXTS
from journey_pipeline.sandbox.world import world_schema


def write(kind: str, platform: str, frame: pl.DataFrame, columns: Mapping[str, pl.Expr | str | None]) -> pl.DataFrame:
    """The world's columns of a kind: those given (a string is a literal), `who` of the frame, else null, none or false."""
    blank: dict[str, pl.Expr] = {
        "keys": pl.lit([], TEXTS), "same_as": pl.lit([], TEXTS), "is_test": pl.lit(value=False), "who": pl.col("who"),
        "platform": pl.lit(platform), "is_deleted": pl.lit(value=False),
    }  # fmt: skip
    blank = {c: e for c, e in blank.items() if c not in columns}
    given = {c: pl.lit(v) if isinstance(v, str) or v is None else v for c, v in columns.items()}
    if "changed_at" not in given:
        given["changed_at"] = given["occurred_at"]
    return frame.select(
        given.get(name, blank.get(name, pl.lit(None))).cast(dtype).alias(name)
        for name, dtype in world_schema(kind).items()
    )


def keys(**ids: str) -> pl.Expr:
    return pl.concat_list(pl.lit(f"{platform}:") + pl.col(column) for platform, column in ids.items()).list.drop_nulls()


def whenever(condition: pl.Expr, instant: pl.Expr, at: pl.Expr) -> pl.Expr:
    """The instant, if the condition holds and it has come."""
    return pl.when(condition & (instant <= at)).then(instant)


def one_of(words: tuple[str, ...]) -> pl.Expr:
    codes = list(range(len(words)))
    return (pl.col("person") % len(words)).replace_strict(codes, list(words), return_dtype=TEXT)
