"""What all commands print with: one console, and lists for other programs. What is said is each command's."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal

import polars as pl
from rich.console import Console

Format = Literal["table", "json", "csv"]

WIDTH = 100  # where the output goes to a file or a pipe
console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)


def say_json(value: Any) -> None:
    """Print a value as JSON, its times and days in ISO 8601."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=_iso) + "\n")


def say_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print rows as CSV with a header: times in ISO 8601, lists as JSON, null as nothing."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row[column]) for column in columns] for row in rows)


def say_rows(rows: pl.DataFrame, shape: Format, to_people: Callable[[pl.DataFrame], None]) -> None:
    """Print a frame in the form that was asked for: for another program, or by `to_people` for people."""
    if shape == "json":
        say_json(rows.to_dicts())
    elif shape == "csv":
        say_csv(rows.iter_rows(named=True), rows.columns)
    else:
        to_people(rows)


def _cell(value: Any) -> Any:
    if isinstance(value, list | dict | bool):
        return json.dumps(value, ensure_ascii=False, default=_iso)
    return _iso(value) if isinstance(value, date) else value


def _iso(value: Any) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    msg = f"{type(value).__name__} has no form in JSON"
    raise TypeError(msg)
