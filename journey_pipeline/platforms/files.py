"""Files: any platform that can export. Its tables are files, its records are columns or SQL over those tables.

Reads   CSV (also .tsv), Excel (.xlsx, first sheet), JSON Lines (.jsonl, .ndjson), Parquet; by suffix, globs allowed,
        paths relative to journey.yaml. Each table is a full list: what the newest one lacks is gone.
Says    the kinds named under `records`, each either as a table that has the kind's columns (ISO times, plain numbers,
        true and false, lists as JSON) or as a .sql file whose SELECT gives them, as text or typed.
SQL     sees the tables by name, their cells as text (null if empty), `_row` and `_resource`; no other file. It runs
        for each load that brought all its tables, so that a row that vanishes from its result is gone from then on,
        as it is for a table. Beside the kind's columns it may give `_resource` and `_row` (the row that it stands for:
        a rejected record shows it) and `_reject` (why that row can't be believed; null: it can).
Money   as the SQL says; minor units.
Joins   as the SQL says; keys as `platform:id`.
Needs   read access to the files.
Assumes a time without zone is UTC. An empty list is stored as one row without cells: its columns and its load must
        be known, or SQL could not tell "nobody" from "not asked".
"""

import glob
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import polars as pl
from pydantic import Field

from journey_pipeline.errors import SourceError, one_of
from journey_pipeline.platforms import base, tabular, translate
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.query import Query, tables_named, with_cells
from journey_pipeline.registry import KINDS, said_schema


class Options(base.Options):
    tables: dict[Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")], str] = Field(min_length=1)
    """Table -> path or glob, relative to journey.yaml."""
    records: dict[str, str] = Field(min_length=1)
    """Kind -> a table's name, or the path of a .sql file, relative to journey.yaml."""


def platform(name: str, options: Options, folder: Path) -> Platform:
    """One platform made of files under `folder`, whose options have no `mistakes`."""
    sources = {
        kind: _query(name, folder, source, options.tables) if source.endswith(".sql") else source
        for kind, source in options.records.items()
    }

    def read(raw: Raw, _options: Options) -> Mapping[str, pl.LazyFrame]:
        return {
            kind: _listed(raw[source], kind) if isinstance(source, str) else source.records(raw, kind)
            for kind, source in sources.items()
        }

    return Platform(
        name=name,
        title=name,
        resources=tuple(
            Resource(table, "snapshot", partial(_pull, table, folder, pattern))
            for table, pattern in options.tables.items()
        ),
        says={kind: (source,) if isinstance(source, str) else source.tables for kind, source in sources.items()},
        read=read,
        options=Options,
        verified="Tested with real files of every format.",
    )


def mistakes(options: Options, folder: Path) -> list[tuple[str, str]]:
    """What is wrong with the options beside their types: (dotted path, sentence). The tables may come later."""
    found = [
        (f"tables.{table}", f"{pattern!r} is no file that can be read; allowed: {', '.join(tabular.SUFFIXES)}")
        for table, pattern in options.tables.items()
        if Path(pattern).suffix.lower() not in tabular.SUFFIXES
    ]
    for kind, source in options.records.items():
        if kind not in KINDS:
            found.append((f"records.{kind}", f"no kind of record {kind!r}; {one_of(kind, KINDS)}"))
        elif source.endswith(".sql"):
            found += [(f"records.{kind}", fault) for fault in _sql_mistakes(folder / source, source, options.tables)]
        elif source not in options.tables:
            sentence = f"no table {source!r} under tables; {one_of(source, options.tables)}, or the path of a .sql file"
            found.append((f"records.{kind}", sentence))
    return found


def _sql_mistakes(file: Path, shown: str, tables: Mapping[str, str]) -> list[str]:
    if not file.is_file():
        return [f"no file {shown!r} beside the settings file"]
    try:
        named = tables_named(file.read_text(encoding="utf-8"))
    except ValueError as error:
        return [f"{shown} is not one SELECT ({error})"]
    if not named:
        return [f"{shown} reads no table; {one_of('', tables)}"]
    return [f"{shown} reads {name!r}; {one_of(name, tables)}" for name in sorted(named - set(tables))]


def _pull(table: str, folder: Path, pattern: str, pull: Pull) -> Iterator[list[Row]]:
    what = f"{pull.platform} {table}"
    files = sorted(glob.glob(pattern, root_dir=folder, recursive=True))  # noqa: PTH207  Path.glob refuses `..` and roots
    if not files:
        sentence = f"{what}: no file {pattern!r}; put the export there, or correct the path in journey.yaml."
        raise SourceError(sentence, is_transient=False)
    columns: dict[str, None] = {}
    is_empty = True
    for file in files:
        names, pages = tabular.read(folder / file, what)
        columns |= dict.fromkeys(names)
        for page in pages:
            is_empty = False
            yield page
    if is_empty:
        yield [dict.fromkeys(columns)]


def _listed(frame: pl.LazyFrame, kind: str) -> pl.LazyFrame:
    have = frame.collect_schema()
    return translate.records(with_cells(frame), {c: pl.col(c) for c in said_schema(kind) if c in have})


def _query(name: str, folder: Path, file: str, tables: Mapping[str, str]) -> Query:
    sql = (folder / file).read_text(encoding="utf-8")
    named = tables_named(sql)
    return Query(name, file, sql, tuple(table for table in tables if table in named))


# Without a settings file there are no tables; `platform` makes the real ones.
PLATFORM = Platform("files", (), {}, lambda _raw, _options: {}, Options, title="Files")
