"""A world in other shapes: CSV exports of the platforms without an API, and records straight away for large runs."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from journey_pipeline.registry import KINDS, TEXT, TIME, record_schema
from journey_pipeline.sandbox.world import World

EXPORTS = {
    "community_access": ("access", "community"), "calendar_bookings": ("bookings", "calendar"),
    "ads_touchpoints": ("touchpoints", "ads"),
}  # fmt: skip
"""File name -> kind and platform; demo.yaml names the files."""
_ONLY_OURS = ("platform", "changed_at", "who")


def write_exports(world: World, folder: Path) -> None:
    """Write `exports/<name>.csv` under the folder."""
    (folder / "exports").mkdir(parents=True, exist_ok=True)
    for name, (kind, platform) in EXPORTS.items():
        flat(world.of(kind, platform)).write_csv(folder / "exports" / f"{name}.csv")


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Records of one platform as cells: the kind's columns, lists as JSON, times as ISO 8601 in UTC."""
    said = frame.drop(_ONLY_OURS)
    return said.with_columns(
        _json_list(c) if isinstance(t, pl.List) else pl.col(c).dt.to_string("%Y-%m-%dT%H:%M:%SZ")
        for c, t in said.schema.items()
        if isinstance(t, pl.List | pl.Datetime)
    ).with_columns(pl.col(pl.Date).dt.to_string("%Y-%m-%d"))


def _json_list(column: str) -> pl.Expr:
    quoted = pl.col(column).list.eval('"' + pl.element() + '"').list.join(",")
    return ("[" + quoted + "]").alias(column)


def to_records(world: World) -> Mapping[str, pl.LazyFrame]:
    """Every kind with the columns of `record_schema`, as if one complete load of everything had just ended."""
    return {kind: _as_loaded(kind, world) for kind in KINDS}


def _as_loaded(kind: str, world: World) -> pl.LazyFrame:
    frame = world.records.get(kind)
    schema = record_schema(kind)
    if frame is None:
        return pl.LazyFrame(schema=schema)
    loaded_at = pl.lit(world.now, TIME)
    stage_since = pl.when(pl.col("lifecycle_stage") == "customer").then(pl.coalesce("updated_at", "occurred_at"))
    history = {
        "loaded_at": loaded_at, "first_loaded_at": loaded_at, "class_changed_at": loaded_at,
        "ended_loaded_at": pl.when(pl.col("status") == "ended").then(loaded_at),
        "customer_since_at": stage_since, "first_used_at": pl.col("last_used_at"),
    }  # fmt: skip
    return frame.lazy().select(
        (history[name] if name in history else pl.col(name) if name in frame.columns else pl.lit(None, TEXT))
        .cast(dtype)
        .alias(name)
        for name, dtype in schema.items()
    )
