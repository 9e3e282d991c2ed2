"""Rows of CSV, Excel, JSON Lines and Parquet files, as text, page by page. Not here: what the rows mean (files.py).

A file that can't be read as it stands is refused whole: a list that lacks some lines would look like people leaving.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import polars as pl

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms.base import Row

PAGE = 10_000
RESERVED = ("_loaded_at", "_row", "_resource", "_reject")  # the raw log's own columns
_SEPARATORS = ",;\t"
_SHOWN = 3  # lines named in an error; enough to find the pattern
_EXACT_FLOAT = 2**53

Lines = Iterator[tuple[int, Sequence[str | None]]]
Table = tuple[Sequence[str], Iterator[Row]]


def read(file: Path, what: str) -> tuple[Sequence[str], Iterator[list[Row]]]:
    """Its columns, named as the raw log names them, and pages of its rows: values are text (JSON Lines: JSON) or null.

    `what` names the source in error sentences.

    Raises:
        SourceError: permanent, now or at a page; the file can't be opened or decoded, has no columns, has two columns
            of one name, or has lines that don't fit (all of them counted, the first ones named).
    """
    with _sentences(file, what):
        columns, rows = SUFFIXES[file.suffix.lower()](file, f"{what}: {file.name}")
    return columns, _pages(rows, file, what)


def _pages(rows: Iterator[Row], file: Path, what: str) -> Iterator[list[Row]]:
    while True:
        with _sentences(file, what):
            page = list(islice(rows, PAGE))
        if not page:
            return
        yield page


@contextmanager
def _sentences(file: Path, what: str) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise _refused(what, f"{file.name} is not UTF-8 text; export it as UTF-8.") from error
    except OSError as error:
        raise _refused(what, f"{file.name} can't be opened ({type(error).__name__}); check its path.") from error
    except pl.exceptions.PolarsError as error:
        raise _refused(what, f"{file.name} can't be read ({type(error).__name__}); export it again.") from error


def _csv(file: Path, what: str) -> Table:
    def lines() -> Lines:
        with file.open(encoding="utf-8-sig", newline="") as text:
            yield from csv_lines(text, what)

    return table(lines(), what)


def csv_lines(text: TextIO, what: str) -> Lines:
    """The lines of a CSV file, numbered; whichever separator its first line has most of.

    Raises:
        SourceError: permanent, at a line that can't be read.
    """
    first = text.readline()
    text.seek(0)
    reader = csv.reader(text, delimiter=max(_SEPARATORS, key=first.count), strict=True)
    try:
        yield from ((reader.line_num, [cell or None for cell in cells]) for cells in reader if cells)
    except csv.Error as error:
        raise _refused(what, f"line {reader.line_num} can't be read ({error}); mend the export.") from error


def _excel(file: Path, what: str) -> Table:
    from fastexcel import FastExcelError  # noqa: PLC0415  only Excel files need it

    try:
        # Without types and with the header as a row: cells come as Excel shows them, equal names stay equal.
        sheet = pl.read_excel(file, has_header=False, infer_schema_length=0, raise_if_empty=False)
    except FastExcelError as error:
        raise _refused(what, "is not a workbook that can be read; save it as .xlsx again.") from error
    return table(enumerate(sheet.iter_rows(), 1), what)


def _jsonl(file: Path, what: str) -> Table:
    """Every line is parsed before the first is given: a later one may bring a new column."""
    names = Names(what)
    with file.open(encoding="utf-8-sig") as text:
        lines = [(number, _object(line)) for number, line in enumerate(text, 1) if line.strip()]
    bad = [number for number, row in lines if row is None]
    _refuse_lines(bad, len(lines), what, "hold no JSON object")
    rows = [{names.stored(name): value for name, value in row.items()} for _, row in lines if row]
    if not rows:
        raise _refused(what, "holds no rows, so no columns; export it with rows, or as CSV with a first line.")
    return list(dict.fromkeys(name for row in rows for name in row)), iter(rows)


def _parquet(file: Path, what: str) -> Table:
    frame = pl.read_parquet(file)
    names = Names(what)
    texts = frame.select(_text(name, dtype, what).alias(names.stored(name)) for name, dtype in frame.schema.items())
    if not texts.width:
        raise _refused(what, "has no columns; check the export.")
    return texts.columns, texts.iter_rows(named=True)


SUFFIXES: Mapping[str, Callable[[Path, str], Table]] = {
    ".csv": _csv, ".tsv": _csv, ".xlsx": _excel, ".jsonl": _jsonl, ".ndjson": _jsonl, ".parquet": _parquet,
}  # fmt: skip


def table(lines: Lines, what: str) -> Table:
    """Rows under a first line that names the columns.

    Raises:
        SourceError: permanent, now or after the last row; columns without names, or lines of another width.
    """
    _, header = next(lines, (0, []))
    if not any(header):
        raise _refused(what, "has no columns; its first line must name them.")
    if not all(header):
        raise _refused(what, f"column {header.index(None) + 1} has no name; name it in the first line.")
    names = Names(what)
    columns = [names.stored(name, position) for position, name in enumerate(header) if name]
    return columns, _under(columns, lines, what)


def _under(columns: Sequence[str], lines: Lines, what: str) -> Iterator[Row]:
    """Lines of another width are counted to the end, then the whole is refused. Lines without a cell are no rows."""
    bad: list[int] = []
    number = 0
    for number, cells in lines:
        if len(cells) != len(columns):
            bad.append(number)
        elif any(cells):
            yield dict(zip(columns, cells, strict=True))
    _refuse_lines(bad, number, what, f"have another number of cells than the {len(columns)} columns of the first line")


class Names:
    """Column names as the raw log will store them; two that would become one are refused."""

    def __init__(self, what: str) -> None:
        # The very function that names the columns of the raw log; dlt takes two seconds to import.
        from dlt.common.normalizers.naming.snake_case import NamingConvention  # noqa: PLC0415

        self._what, self._stored_as = what, NamingConvention().normalize_identifier
        self._known: dict[tuple[str, int], str] = {}
        self._given: dict[str, str] = {}

    def stored(self, name: str, position: int = 0) -> str:
        """The stored name; `position` tells columns of equal names apart."""
        if (name, position) not in self._known:
            stored = self._stored_as(name) if name.strip() else ""
            if not stored or stored in RESERVED:
                raise _refused(self._what, f"a column can't be named {name!r}; rename it.")
            if stored in self._given:
                pair = f"columns {self._given[stored]!r} and {name!r} would both be {stored!r}"
                raise _refused(self._what, f"{pair}; rename one.")
            self._known[name, position], self._given[stored] = stored, name
        return self._known[name, position]


def _object(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return None
    return row if isinstance(row, dict) else None


def _text(name: str, dtype: pl.DataType, what: str) -> pl.Expr:
    """A typed column as text: ISO dates and times, plain numbers, JSON for what is nested."""
    column = pl.col(name)
    if "Binary" in str(dtype):  # also inside lists and structs
        raise _refused(what, f"column {name!r} holds bytes; leave it out of the export.")
    if dtype.is_temporal() and not isinstance(dtype, pl.Duration):
        return column.dt.to_string("iso:strict")
    if dtype.is_float():
        is_whole = (column == column.floor()) & (column.abs() < _EXACT_FLOAT)
        plain = column.cast(pl.Int64, strict=False).cast(pl.String)
        return pl.when(is_whole).then(plain).otherwise(column.cast(pl.String))
    if dtype.is_nested():
        value = pl.struct(column.alias("value")).struct.json_encode().str.json_path_match("$.value")
        return pl.when(column.is_not_null()).then(value)
    return column.cast(pl.String)


def _refuse_lines(bad: list[int], total: int, what: str, fault: str) -> None:
    if bad:
        shown = ", ".join(map(str, bad[:_SHOWN])) + (" …" if len(bad) > _SHOWN else "")
        raise _refused(what, f"{len(bad):,} of {total:,} lines {fault} (lines {shown}); mend the export.")


def _refused(what: str, fault: str) -> SourceError:
    return SourceError(f"{what}: {fault}", is_transient=False)
