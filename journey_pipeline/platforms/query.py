"""SQL over a platform's own tables, asked again for every load. Not here: where the tables come from (files.py)."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from journey_pipeline.errors import JourneyError, one_of
from journey_pipeline.platforms.base import Raw
from journey_pipeline.platforms.tabular import RESERVED
from journey_pipeline.registry import INT, TEXT, TEXTS, TIME, said_schema

_ORIGIN = {"_row": INT, "_resource": TEXT, "_reject": TEXT}


@dataclass(frozen=True)
class Query:
    """One .sql file of one platform, as it was when the platform was made."""

    platform: str
    file: str
    sql: str
    tables: tuple[str, ...]

    def records(self, raw: Raw, kind: str) -> pl.LazyFrame:
        """What the query says of each load that brought all its tables.

        The newest load alone would not do: rows of a result have no ids that we know of, so what it said earlier, and
        with it what is gone since, can only be asked again. Loads that changed nothing are not asked twice.
        """
        frames = {name: raw[name].collect() for name in self.tables}
        instants = set.intersection(*(set(frame["_loaded_at"]) for frame in frames.values()))
        lists = {
            name: with_cells(frame.lazy()).collect().partition_by("_loaded_at", as_dict=True, include_key=False)
            for name, frame in frames.items()
        }
        said, before, found = [], dict[str, pl.DataFrame](), pl.DataFrame()
        for at in sorted(instants):
            now = {name: lists[name].get((at,), frames[name].drop("_loaded_at").clear()) for name in self.tables}
            if not before or not all(now[name].equals(before[name]) for name in self.tables):
                found = self._run(now, kind)
            said.append(found.with_columns(loaded_at=pl.lit(at, TIME)))
            before = now
        return pl.concat(said, how="diagonal_relaxed").lazy() if said else pl.LazyFrame(schema={"loaded_at": TIME})

    def _run(self, tables: Mapping[str, pl.DataFrame], kind: str) -> pl.DataFrame:
        import duckdb  # noqa: PLC0415

        # One thread: the same tables give the same rows in the same order.
        with duckdb.connect(config={"enable_external_access": "false", "threads": "1"}) as db:
            db.execute("set TimeZone = 'UTC'")
            for name, frame in tables.items():
                db.register(name, frame)
            try:
                found: pl.DataFrame = db.sql(self.sql).pl()
            except (duckdb.ParserException, duckdb.CatalogException, duckdb.BinderException) as error:
                raise self._fault(kind, " ".join(str(error).split())) from error
            except duckdb.Error as error:  # its text may quote a cell, and cells are personal
                fault = f"{type(error).__name__}; use try_cast where a cell may be unreadable"
                raise self._fault(kind, fault) from None
        return self._checked(found, kind)

    def _checked(self, found: pl.DataFrame, kind: str) -> pl.DataFrame:
        wanted = {**said_schema(kind), **_ORIGIN}
        for column, dtype in found.schema.items():
            if column not in wanted:
                raise self._fault(kind, f"no column {column!r} in this kind; {one_of(column, wanted)}")
            if dtype.is_float() and wanted[column] == INT:
                raise self._fault(kind, f"{column} comes as {dtype}; round it and cast it to bigint")
            if dtype.is_nested() and wanted[column] != TEXTS:
                raise self._fault(kind, f"{column} comes as {dtype}; cast it to varchar")
        traced = found if "_resource" in found.columns else found.with_columns(_resource=pl.lit(self.tables[0]))
        if odd := set(traced["_resource"].cast(TEXT)) - set(self.tables):
            raise self._fault(kind, f"_resource says {min(map(str, odd))!r}; {one_of('', self.tables)}")
        return traced

    def _fault(self, kind: str, fault: str) -> JourneyError:
        return JourneyError(f"{self.platform} {kind}: {self.file}: {fault}")


def tables_named(sql: str) -> set[str]:
    """The tables that a SELECT reads, common table expressions left out.

    Raises:
        ValueError: if it does not parse, or is not one SELECT.
    """
    import duckdb  # noqa: PLC0415

    with duckdb.connect() as db:
        row = db.execute("select json_serialize_sql(?::varchar)", [sql]).fetchone()
    tree = json.loads(row[0]) if row else {}
    if tree["error"]:
        raise ValueError(tree["error_message"] if tree["error_type"] == "parser" else "it is another statement")
    if len(tree["statements"]) != 1:
        msg = f"it has {len(tree['statements'])} statements"
        raise ValueError(msg)
    nodes = list(_nodes(tree))
    local = {entry["key"].lower() for node in nodes for entry in (node.get("cte_map") or {}).get("map", [])}
    return {node["table_name"].lower() for node in nodes if node.get("type") == "BASE_TABLE"} - local


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for branch in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(branch)


def with_cells(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Without the rows that only say that a list was empty."""
    cells = [c for c in frame.collect_schema() if c not in RESERVED]
    return frame.filter(pl.any_horizontal(pl.col(cells).is_not_null())) if cells else frame
