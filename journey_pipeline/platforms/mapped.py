"""Platforms whose tables the user names, and whose records SQL makes of them: files, databases, spreadsheets.

Where the tables come from is each one's own business (files.py, database.py, google_sheets.py).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import polars as pl
from pydantic import Field

from journey_pipeline.errors import one_of
from journey_pipeline.platforms import base, translate
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.query import Query, tables_named, with_cells
from journey_pipeline.registry import KINDS, said_schema

Part = tuple[Sequence[str], Iterator[list[Row]]]
"""The columns of a table, and pages of its rows."""
Reader = Callable[[Pull, str, Path], Iterator[Part]]
"""Reads what a table is made of: the pull, where journey.yaml says it is, the folder of journey.yaml."""


class Options(base.Options):
    """Options of a platform made of tables."""

    tables: dict[Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")], str] = Field(min_length=1)
    """Table -> where it is."""
    records: dict[str, str] = Field(min_length=1)
    """Kind -> a table's name, or the path of a .sql file, relative to journey.yaml."""


def platform(
    name: str,
    options: Options,
    folder: Path,
    *,
    reader: Reader,
    scope: str,
    verified: str,
    secrets: tuple[str, ...] = (),
) -> Platform:
    """One platform made of tables, whose options have no `mistakes`."""
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
            Resource(table, "snapshot", partial(_pull, reader, where, folder), scope=scope)
            for table, where in options.tables.items()
        ),
        says={kind: (source,) if isinstance(source, str) else source.tables for kind, source in sources.items()},
        read=read,
        options=type(options),
        secrets=secrets,
        verified=verified,
    )


def mistakes(options: Options, folder: Path) -> list[tuple[str, str]]:
    """What is wrong with `records` beside their types: (dotted path, sentence). The tables may come later."""
    found = []
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


def _pull(reader: Reader, where: str, folder: Path, pull: Pull) -> Iterator[list[Row]]:
    """All rows; of an empty table one without cells, for its columns and its load must be known."""
    columns: dict[str, None] = {}
    is_empty = True
    for names, pages in reader(pull, where, folder):
        columns |= dict.fromkeys(names)
        for page in pages:
            is_empty = is_empty and not page
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
