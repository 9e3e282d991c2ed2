"""The warehouse: every table and view in one DuckDB file, built beside the old file and put in its place whole.

What the views say stands in `sql/`. What the tables mean stands in the registry. Nothing is computed here.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from graphlib import TopologicalSorter
from pathlib import Path

import duckdb
import polars as pl

from journey_pipeline.errors import JourneyError
from journey_pipeline.registry import TABLES, Table

# The amounts behind `money_refs` as plain rows: BI tools can't open lists, and PostgreSQL opens them in other words.
_MONEY = """
insert into journey.finding_money
select finding_id, unnest(money_refs, recursive := true) from journey.findings;
insert into journey.finding_day_money
select finding_id, day_on, unnest(money_refs, recursive := true) from journey.finding_days;
"""


def views_folder() -> Path:
    """Where `sql/` stands: in the package once installed, at the top of a checkout."""
    package = Path(__file__).parents[1]
    return next(folder for folder in (package / "sql", package.parent / "sql") if folder.is_dir())


def publish(tables: Mapping[str, Path | pl.LazyFrame], views: Path, target: Path) -> None:
    """Build the file anew and swap it in; who reads the old one keeps it, a build that dies leaves it in place.

    `tables` are frames, Parquet files or folders of them. Those of the registry that are absent come out empty, so
    that a view never lacks an input. Two publishers of one target wait for each other.
    """
    with _building(target) as folder:
        built = folder / target.name
        with duckdb.connect(str(built)) as db:
            db.execute("set preserve_insertion_order = false")
            db.execute("create schema journey")
            db.execute("create schema bi")
            for name in {**TABLES, **tables}:
                _create_table(db, name, _parquet(tables.get(name), folder / f"{name}.parquet"))
            db.execute(_MONEY)
            db.begin()  # two thousand statements, one commit
            for table in TABLES.values():
                _comment(db, table)
            for name, query in _in_order(views):
                _create_view(db, name, query)
            db.commit()
            db.execute("checkpoint")
        _sync(built)
        # A log left behind by somebody who wrote into the old file would be replayed into the new one.
        target.with_name(f"{target.name}.wal").unlink(missing_ok=True)
        built.replace(target)
        _sync(target.parent)


@contextmanager
def _building(target: Path) -> Iterator[Path]:
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


def _create_table(db: duckdb.DuckDBPyConnection, name: str, files: list[str]) -> None:
    """The registry's columns first, typed as it says, then what the files have beside them (verdicts)."""
    table, into = TABLES.get(name), f"create table journey.{_identifier(name)} as "
    rows = "select * from read_parquet($files, union_by_name = true, hive_partitioning = false)"
    if table:
        db.register("registered", pl.DataFrame(schema=table.schema).to_arrow())
    query = " union all by name ".join(["select * from registered"] * bool(table) + [rows] * bool(files))
    if not query:
        msg = f"{name} has no Parquet files and is not in the registry: its columns are unknown. Leave it out."
        raise JourneyError(msg)
    db.execute(into + query, {"files": files} if files else None)


def _comment(db: duckdb.DuckDBPyConnection, table: Table) -> None:
    name = f"journey.{_identifier(table.name)}"
    db.execute(f"comment on table {name} is {_literal(f'Grain: {table.grain}.')}")
    for column in table.columns:
        known = table.column(column)
        words = [known.meaning, f"One of: {', '.join(known.allowed)}." if known.allowed else ""]
        text = " ".join([*filter(None, words), *["Personal."] * known.is_personal])
        db.execute(f"comment on column {name}.{_identifier(column)} is {_literal(text)}")


def _in_order(views: Path) -> Iterator[tuple[str, str]]:
    """Each view's name and SELECT, after those of `bi` that it reads."""
    queries = {path.stem: path.read_text("utf-8") for path in sorted(views.glob("*.sql"))}
    if not queries:
        msg = f"{views} holds no .sql file, so there is no view to publish. Point to the folder of views."
        raise JourneyError(msg)
    inputs = {name: set(re.findall(r"\bbi\.(\w+)", text)) & set(queries) for name, text in queries.items()}
    return ((name, queries[name]) for name in TopologicalSorter(inputs).static_order())


def _create_view(db: duckdb.DuckDBPyConnection, name: str, query: str) -> None:
    try:
        db.execute(f"create view bi.{_identifier(name)} as {query}")
    except duckdb.Error as error:
        msg = f"The view {name}.sql can't be created, and nothing was published. {error}"
        raise JourneyError(msg) from error
    header = "\n".join(line[2:].strip() for line in query.splitlines() if line.startswith("--"))
    db.execute(f"comment on view bi.{_identifier(name)} is {_literal(header)}")


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    """A quoted string; statements that define things take no bound parameters."""
    return "'" + text.replace("'", "''") + "'"


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
