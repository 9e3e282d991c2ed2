"""Writes docs/dictionary.md from the registry and the views: `python -m journey_pipeline_tests.publish.document`."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from journey_pipeline.publish import views_folder, views_of
from journey_pipeline.publish.postgres import TYPES
from journey_pipeline.registry import TABLES, Table

DOCUMENT = Path(__file__).parents[2] / "docs" / "dictionary.md"

_HEAD = """# Dictionary

Every table and column that BI tools can read, and every view. This page is written by
`python -m journey_pipeline_tests.publish.document` from the registry and from `sql/`; a test fails where it is stale.

Tables stand in the schema `journey`, views in `bi`. Times are UTC and end in `_at`, days end in `_on`, money ends in
`_minor` and is whole minor units of the `currency` beside it. *personal*: hashed or left out as `publish.pii` says. Beside
these columns a table may have one per rule that judges it, with the day's verdict. Types are PostgreSQL's; DuckDB and
Parquet keep lists where it says `jsonb`.
"""
_WORDS = {
    pl.String(): "VARCHAR", pl.Int64(): "BIGINT", pl.Float64(): "DOUBLE", pl.Boolean(): "BOOLEAN", pl.Date(): "DATE",
    pl.Datetime("us", "UTC"): "TIMESTAMP WITH TIME ZONE",
}  # fmt: skip


def document() -> str:
    """The whole page."""
    views = sorted(views_of(views_folder()), key=lambda view: view.name)
    told = [f"## bi.{view.name}\n\n```\n{view.header}\n```\n" for view in views]
    return "\n".join(
        [_HEAD, "# Tables\n", *map(_table, sorted(TABLES.values(), key=lambda t: t.name)), "# Views\n", *told]
    )


def _table(table: Table) -> str:
    key = f" Key: {', '.join(f'`{name}`' for name in table.key)}." if table.key else ""
    lines = [
        f"## journey.{table.name}\n",
        f"One row: {table.grain}.{key}\n",
        "| column | type | meaning |",
        "|---|---|---|",
    ]
    return "\n".join([*lines, *_columns(table), ""])


def _columns(table: Table) -> Iterator[str]:
    for name in table.columns:
        column = table.column(name)
        allowed = f" One of: {', '.join(f'`{word}`' for word in column.allowed)}." if column.allowed else ""
        personal = " *personal*" if column.is_personal else ""
        kind = TYPES.get(_WORDS.get(column.dtype, ""), "jsonb")
        yield f"| `{name}` | {kind} | {column.meaning}{allowed}{personal} |".replace("\n", " ")


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
