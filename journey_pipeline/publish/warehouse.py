"""The warehouse: every table and view in one DuckDB file, built beside the old file and put in its place whole.

What the views say stands in `sql/`. What the tables mean stands in the registry. Nothing is computed here.
"""

import fcntl
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl

from journey_pipeline.errors import JourneyError
from journey_pipeline.publish.privacy import Mask, hidden
from journey_pipeline.publish.views import View, views_of
from journey_pipeline.registry import TABLES, Table

MONEY = {"finding_money": "findings", "finding_day_money": "finding_days"}
"""The tables that are laid out here, and whose `money_refs` they are."""

_READABLE_BY = "v1.2.0"  # BI tools bring a DuckDB of their own, which refuses files of a newer format

# The amounts behind `money_refs` as plain rows: BI tools can't open lists, and PostgreSQL opens them in other words.
_MONEY = """
insert into journey.finding_money
select finding_id, unnest(money_refs, recursive := true) from journey.findings;
insert into journey.finding_day_money
select finding_id, day_on, unnest(money_refs, recursive := true) from journey.finding_days;
"""


def publish(tables: Mapping[str, Path | pl.LazyFrame], views: Path, target: Path, how: Mask | None = None) -> None:
    """Build the file anew and swap it in; who reads the old one keeps it, a build that dies leaves it in place.

    `tables` are frames, Parquet files or folders of them. Those of the registry that are absent come out empty, so
    that a view never lacks an input. `how` hides personal data. Two publishers of one target wait for each other.
    """
    shown: Mapping[str, Path | pl.LazyFrame] = hidden(tables, how) if how else tables
    left_out = how.left_out if how else frozenset()
    with building(target) as folder:
        built = folder / target.name
        with duckdb.connect(str(built), config={"storage_compatibility_version": _READABLE_BY}) as db:
            db.execute("set preserve_insertion_order = false")
            db.execute("create schema journey")
            db.execute("create schema bi")
            for name in {**TABLES, **shown}:
                _create_table(db, name, _parquet(shown.get(name), folder / f"{name}.parquet"), left_out)
            db.execute(_MONEY)
            db.begin()  # two thousand statements, one commit
            for table in TABLES.values():
                _comment(db, table, left_out)
            for view in views_of(views):
                _create_view(db, view.without(left_out))
            db.commit()
            db.execute("checkpoint")
        sync(built)
        # A log left behind by somebody who wrote into the old file would be replayed into the new one.
        target.with_name(f"{target.name}.wal").unlink(missing_ok=True)
        built.replace(target)
        sync(target.parent)


@contextmanager
def building(target: Path) -> Iterator[Path]:
    """A folder of our own beside the target, emptied of what a killed build left; one publisher at a time holds it."""
    folder = target.with_name(f".{target.name}.building")
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        _empty(folder)
        yield folder
        _empty(folder)
    finally:
        os.close(handle)


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _parquet(source: Path | pl.LazyFrame | None, spill: Path) -> list[str]:
    """The Parquet files of a table. A frame is streamed into one, so that it need not fit in memory."""
    if source is None:
        return []
    if isinstance(source, pl.LazyFrame):
        source.sink_parquet(spill)
        return [str(spill)]
    return [str(source)] if source.is_file() else [str(part) for part in sorted(source.glob("**/*.parquet"))]


def _create_table(db: duckdb.DuckDBPyConnection, name: str, files: list[str], left_out: Collection[str]) -> None:
    """The registry's columns first, typed as it says, then what the files have beside them (verdicts)."""
    table, into = TABLES.get(name), f"create table journey.{quoted(name)} as "
    rows = "select * from read_parquet($files, union_by_name = true, hive_partitioning = false)"
    if table:
        kept = {c: dtype for c, dtype in table.schema.items() if c not in left_out}
        db.register("registered", pl.DataFrame(schema=kept).to_arrow())
    query = " union all by name ".join(["select * from registered"] * bool(table) + [rows] * bool(files))
    if not query:
        msg = f"{name} has no Parquet files and is not in the registry: its columns are unknown. Leave it out."
        raise JourneyError(msg)
    db.execute(into + query, {"files": files} if files else None)


def _comment(db: duckdb.DuckDBPyConnection, table: Table, left_out: Collection[str]) -> None:
    name = f"journey.{quoted(table.name)}"
    db.execute(f"comment on table {name} is {literal(f'Grain: {table.grain}.')}")
    for column in table.columns:
        if column not in left_out:
            text = literal(meaning(table, column))
            db.execute(f"comment on column {name}.{quoted(column)} is {text}")


def meaning(table: Table, column: str) -> str:
    """What a column says, what it may hold, and whether it is personal."""
    known = table.column(column)
    words = [known.meaning, f"One of: {', '.join(known.allowed)}." if known.allowed else ""]
    return " ".join([*filter(None, words), *["Personal."] * known.is_personal])


def _create_view(db: duckdb.DuckDBPyConnection, view: View) -> None:
    try:
        db.execute(f"create view bi.{quoted(view.name)} as {view.query}")
    except duckdb.Error as error:
        msg = f"The view {view.name}.sql can't be created, and nothing was published. {error}"
        raise JourneyError(msg) from error
    db.execute(f"comment on view bi.{quoted(view.name)} is {literal(view.header)}")


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A quoted string; statements that define things take no bound parameters."""
    return "'" + text.replace("'", "''") + "'"


def sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
