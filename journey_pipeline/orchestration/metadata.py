"""What the Dagster UI shows of a table beside its name: columns, its first rows, a picture. Nobody's data is in it."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from journey_pipeline.orchestration import pictures
from journey_pipeline.orchestration.steps import Day, built_tables
from journey_pipeline.registry import COLUMNS, KINDS, MONEY_REFS, SUMS, TABLES, TEXT, TIME, Column, Table, record_schema
from journey_pipeline.report import figures

_ROWS, _WIDTH = 5, 8
_DAYS = 60  # in a picture of days
# Text that a platform or a person wrote may hold a name or an address whatever its column is called. These are ours.
_OURS = {"person_id", "offer_id", "platform", "resource", "kind", "currency", "invariant", "finding_id", "incident_id"}
_TYPES: Mapping[pl.DataType, str] = {TIME: "Datetime (UTC)", MONEY_REFS: "List of amounts", SUMS: "List of amounts"}
Shown = Mapping[str, dg.MetadataValue[Any]]


def columns(table: Table, room: str) -> dg.TableSchema:
    names = record_schema(table.name).names() if room == "records" and table.name in KINDS else table.columns
    return dg.TableSchema([_column(name, table.column(name), is_needed=name in needed(table)) for name in names])


def needed(table: Table) -> set[str]:
    """The columns that are never empty."""
    return {*table.required} | ({*table.key} - {"offer_id"})


def _column(name: str, column: Column, *, is_needed: bool = False) -> dg.TableColumn:
    return dg.TableColumn(
        name, _TYPES.get(column.dtype, str(column.dtype)), description=column.meaning, tags={"personal": ""} if column.is_personal else {},
        constraints=dg.TableColumnConstraints(
            nullable=not is_needed, other=[f"one of: {', '.join(column.allowed)}"] if column.allowed else []
        ),
    )  # fmt: skip


def of_table(day: Day, room: str, name: str) -> Shown:
    """A few rows, and a picture where one says more."""
    if room == "records" and name in KINDS:
        frame, schema = day.home.tables.scan("records", name), record_schema(name).names()
    else:
        frame, schema = built_tables(day.home)[name], list(TABLES[name].columns)
    shown: dict[str, dg.MetadataValue[Any]] = {"preview": preview(frame.select(schema), TABLES[name])}
    if name == "buyer_journeys":
        shown["funnel"] = dg.MetadataValue.md(pictures.funnel(figures.funnel(built_tables(day.home))))
    if name == "findings":
        days = built_tables(day.home)["finding_days"].filter(verdict="broken").group_by("day_on").len().sort("day_on")
        shown["broken_by_day"] = dg.MetadataValue.md(pictures.line(days.tail(_DAYS).collect().rows(), "broken"))
    return shown


def preview(frame: pl.LazyFrame, table: Table) -> dg.MetadataValue[Any]:
    """The first rows: numbers, times, and words of ours; whatever somebody wrote is left out."""
    ours = [name for name in frame.collect_schema().names() if _is_ours(name, table.column(name))]
    first = frame.select(ours).head(_ROWS).collect()
    if first.is_empty():
        return dg.MetadataValue.md("No rows.")
    names = [name for name in ours if first[name].null_count() < first.height][:_WIDTH]
    rows = first.select(names).rows()
    lines = [names, ["---"] * len(names), *([_cell(value) for value in row] for row in rows)]
    return dg.MetadataValue.md("\n".join(f"| {' | '.join(line)} |" for line in lines))


def _is_ours(name: str, column: Column) -> bool:
    if column.is_personal or column.dtype.is_nested():
        return False
    return column.dtype != TEXT or bool(column.allowed) or name in _OURS


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}".replace("-", "\u2011").replace(" ", "\u00a0")  # else it is broken in three
    return "" if value is None else str(value)


def made_of(lineage: dg.TableColumnLineage | None) -> Mapping[str, Any]:
    """The lineage of columns, as Dagster keeps it and as a table: its open-source UI shows only the latter."""
    if lineage is None:
        return {}
    lines = ["| column | made of |", "| --- | --- |"]
    for column, deps in lineage.deps_by_column.items():
        by_table: dict[str, list[str]] = {}
        for dep in deps:
            by_table.setdefault(dep.asset_key.to_user_string(), []).append(dep.column_name)
        said = "; ".join(f"{table}: {', '.join(names)}" for table, names in by_table.items())
        lines.append(f"| {column} | {said} |")
    return {"dagster/column_lineage": lineage, "columns_are_made_of": dg.MetadataValue.md("\n".join(lines))}


def of_view(day: Day, name: str) -> tuple[dg.TableSchema, int]:
    """The columns and the size of a view, as the warehouse has them."""
    import duckdb  # noqa: PLC0415  only this step needs it

    with duckdb.connect(day.home.warehouse, read_only=True) as db:
        found = db.table(f"bi.{name}")
        typed = list(zip(found.columns, map(str, found.types), strict=True))
        count = found.shape[0]
    return dg.TableSchema([_view_column(column, dtype) for column, dtype in typed]), count


def _view_column(name: str, dtype: str) -> dg.TableColumn:
    known = COLUMNS.get(name)
    return dg.TableColumn(
        name, dtype.lower(), description=known.meaning if known else None,
        tags={"personal": ""} if known and known.is_personal else {},
    )  # fmt: skip


def worklist(day: Day, rule: str | None = None) -> dg.MetadataValue[Any]:
    """The page, at the part that tells of a rule; a link where others can read it, else where the file lies."""
    anchor = f"#rule-{rule}" if rule else ""
    if day.settings.page_url:
        return dg.MetadataValue.url(day.settings.page_url + anchor)
    return file(day.home.page, anchor)


def file(path: Path, anchor: str = "") -> dg.MetadataValue[Any]:
    """A browser opens no local file from a page of a server; the address is there to be copied."""
    return dg.MetadataValue.path(path.resolve().as_uri() + anchor)
