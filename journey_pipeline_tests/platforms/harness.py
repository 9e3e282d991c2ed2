"""Stands in for the lake in the platforms' tests: pulls over real HTTP, keeps every version, reads the newest.

Small worlds are built here too. Not here: what a platform must say (each platform's own test).
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import polars as pl

from journey_pipeline.platforms.base import Platform, Pull, Row
from journey_pipeline.registry import TIME, said_schema
from journey_pipeline.sandbox.world import World, world_schema

NOW = datetime(2026, 5, 15, 12, tzinfo=UTC)

Frames = dict[str, pl.DataFrame]
Cursors = dict[str, str | None]


def pull_all(
    platform: Platform,
    options: Any,
    secrets: Mapping[str, str],
    loaded_at: datetime,
    cursors: Mapping[str, str | None] | None = None,
    *,
    frames: Mapping[str, pl.DataFrame] | None = None,
    only: Iterable[str] | None = None,
) -> tuple[Frames, Cursors]:
    """One load of every resource (or of `only` some): its rows appended to `frames`, and the cursors it leaves."""
    pulled, left = dict(frames or {}), dict(cursors or {})
    for resource in platform.resources:
        if only is not None and resource.name not in only:
            continue
        pull = Pull(platform.name, resource, options, secrets, loaded_at, cursor=left.get(resource.name))
        rows = [row for page in resource.pull(pull) for row in page]
        assert pull.expected_rows is None or len(rows) >= pull.expected_rows, "the load would be partial"
        new = raw_frame(rows, resource.name, loaded_at)
        old = pulled.get(resource.name)
        pulled[resource.name] = new if old is None else pl.concat([old, new], how="diagonal")
        left[resource.name] = pull.next_cursor or pull.cursor
    return pulled, left


def raw_frame(rows: Iterable[Row], resource: str, loaded_at: datetime) -> pl.DataFrame:
    """Rows as the lake stores them: top-level fields as text under snake_case names, beside where they came from."""
    texts = [{snake(name): as_text(value) for name, value in row.items()} for row in rows]
    names = list(dict.fromkeys(name for row in texts for name in row))
    return pl.DataFrame(texts, schema=dict.fromkeys(names, pl.String)).with_columns(
        pl.lit(loaded_at, TIME).alias("_loaded_at"),
        pl.int_range(pl.len(), dtype=pl.Int64).alias("_row"),
        pl.lit(resource, pl.String).alias("_resource"),
    )


@cache
def snake(name: str) -> str:
    """As dlt names columns: `createdAt` -> `created_at`, `page[size]` -> `page_size`."""
    name = re.sub(r"[^a-zA-Z\d_]+", "_", name.strip())
    name = re.sub(r"([^_])([A-Z][a-z]+)", r"\1_\2", name)
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()
    return re.sub(r"_+", "_", name).rstrip("_") if not name.startswith("_") else name


def as_text(value: Any) -> str | None:
    return (
        value
        if value is None or isinstance(value, str)
        else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    )


def said_all(platform: Platform, frames: Mapping[str, pl.DataFrame], options: Any) -> Frames:
    """Every version of every record that the module reads, by kind; its columns are checked against the registry."""
    raw = {}
    for resource in platform.resources:
        frame = frames.get(resource.name, raw_frame([], resource.name, NOW))
        absent = [pl.lit(None, pl.String).alias(c) for c in resource.columns if c not in frame.columns]
        raw[resource.name] = (
            frame.lazy().with_columns(absent).select(*resource.columns, "_loaded_at", "_row", "_resource")
        )
    return {kind: _checked(kind, said.collect()) for kind, said in platform.read(raw, options).items()}


def read_all(platform: Platform, frames: Mapping[str, pl.DataFrame], options: Any) -> Frames:
    """The newest version of each record, by kind, with all columns that a platform may say, in order of record_id."""
    return {
        kind: said.sort("loaded_at", "_row")
        .unique("record_id", keep="last", maintain_order=True)
        .select(said_schema(kind).names())
        .sort("record_id")
        for kind, said in said_all(platform, frames, options).items()
    }


def _checked(kind: str, said: pl.DataFrame) -> pl.DataFrame:
    schema = said_schema(kind)
    origin = {"loaded_at", "_row", "_resource", "_reject"}
    unknown = set(said.columns) - set(schema) - origin
    assert not unknown, f"{kind}: not columns that a platform may say: {sorted(unknown)}"
    wrong = {c: t for c, t in said.schema.items() if c in schema and t not in (schema[c], pl.Null)}
    assert not wrong, f"{kind}: wrong types {wrong}"
    # What a module does not say of a record is null, but for the two columns of which records/ knows better.
    unsaid = {"keys": [], "is_test": False}
    return said.with_columns(
        pl.col(c).cast(t) if c in said.columns else pl.lit(unsaid.get(c), t).alias(c) for c, t in schema.items()
    )


def make_world(
    platform: str, records: Mapping[str, list[dict[str, Any]]] | None = None, now: datetime = NOW, seed: int = 1
) -> World:
    """A world that one platform holds: rows by kind, `changed_at` as `occurred_at` and `keys` empty unless given."""
    return World(now, seed, {kind: world_frame(platform, kind, rows) for kind, rows in (records or {}).items()})


def world_frame(platform: str, kind: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    schema = world_schema(kind)
    filled = [
        {"platform": platform, "keys": [], "is_test": False, "changed_at": row["occurred_at"], **row} for row in rows
    ]
    unknown = {name for row in filled for name in row} - set(schema) - {"keys", "is_test"}
    assert not unknown, f"{kind}: not columns of the world: {sorted(unknown)}"
    return pl.DataFrame([{c: row.get(c) for c in schema} for row in filled], schema=schema)


def held(world: World, platform: str, kind: str) -> pl.DataFrame:
    """What the world holds of a kind, in the columns and order of `read_all`."""
    return world.of(kind, platform).select(said_schema(kind).names()).sort("record_id")
