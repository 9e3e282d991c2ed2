"""Takes a person out of the lake: their rows go, and what names them in other people's rows is blotted out.

The one place where what was written is written anew: file by file, each in the old one's place whole, so that a reader
sees the old or the new. Who the person is and which rows are theirs is for whoever calls.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from journey_pipeline.lake.raw import RawLog

BLOT = "[erased]"
_TEXTS = pl.List(pl.String())
# The columns that say whom a row is about; where others name somebody, the row is another's that speaks of them.
_ABOUT = ("person_id", "from_person_id", "to_person_id", "other_person_id", "subject", "key", "email", "phone", "name")
_LEAST_DIGITS = 7  # of a phone number: fewer may be anything
_LONGEST_PHONE = 24  # characters of a cell that is a phone number and nothing else


@dataclass(frozen=True)
class Traces:
    """What names a person and nobody else, as it may be written. `ids` mean the person where they stand, but tell of nobody."""

    emails: frozenset[str]
    phones: frozenset[str]
    names: frozenset[str]
    ids: frozenset[str] = frozenset()

    @property
    def sure(self) -> list[str]:
        """A row in which one of these stands is about the person; of a name that is not so sure."""
        return sorted({*self._addresses, *self.ids})

    @property
    def said(self) -> list[str]:
        """What must stand nowhere. Longest first, so that no part of one is left standing."""
        escaped = {text.encode("ascii", "backslashreplace").decode().replace("\\x", "\\u00") for text in self.names}
        return sorted({*self._addresses, *self.names, *escaped}, key=lambda text: (-len(text), text))

    @property
    def _addresses(self) -> set[str]:
        return {e for email in self.emails for e in (email, email.replace("@", "%40"))} | self.phones

    @property
    def digits(self) -> list[str]:
        """The ends of the phone numbers, however they are grouped: without what comes before the last nine digits."""
        told = {re.sub(r"\D", "", phone)[-9:] for phone in self.phones}
        return sorted(number for number in told if len(number) >= _LEAST_DIGITS)


@dataclass(frozen=True)
class Erased:
    """What was, or would be, done to one resource: rows taken out, rows in which something was blotted out."""

    platform: str
    resource: str
    removed: int
    blotted: int


def hits(column: pl.Expr, texts: list[str], digits: list[str]) -> pl.Expr:
    """Whether a text column names the person. A number in a cell of its own counts however it is written."""
    found = column.str.contains_any(texts, ascii_case_insensitive=True) if texts else pl.lit(value=False)
    if digits:
        number = pl.when(column.str.len_chars() <= _LONGEST_PHONE).then(column.str.replace_all(r"\D", ""))
        found |= pl.any_horizontal(number.str.ends_with(end) for end in digits)
    return found.fill_null(value=False)


def blotted(column: pl.Expr, texts: list[str], digits: list[str]) -> pl.Expr:
    """The column with every trace of the person blotted out."""
    clean = column.str.replace_many(texts, [BLOT] * len(texts), ascii_case_insensitive=True) if texts else column
    if not digits:
        return clean
    return pl.when(hits(column, [], digits)).then(pl.lit(BLOT)).otherwise(clean)


def erase(
    log: RawLog,
    platform: str,
    traces: Traces,
    *,
    theirs: Mapping[str, pl.DataFrame],
    others: Mapping[str, pl.DataFrame],
    write: bool,
) -> Iterator[Erased]:
    """Go through every file of a platform; without `write` nothing is changed, only counted.

    `theirs`, `others`: resource -> (loaded_at, _row) of the rows that the person's records, and other people's, are read
    from. A row of theirs alone goes, and so does one that names them by what is theirs alone, unless it is another's.
    """
    for resource, files in log.data_files(platform).items():
        removed = changed = 0
        for file in files:
            rows = log.read(file)
            if rows.is_empty() or "_row" not in rows.columns:
                continue
            kept, gone, marked = _without(rows, traces, theirs.get(resource), others.get(resource))
            removed, changed = removed + gone, changed + marked
            if write and (gone or marked):
                log.replace(file, kept)
        if removed or changed:
            yield Erased(platform, resource, removed, changed)


def scrub(folder: Path, person_ids: Sequence[str], traces: Traces, *, write: bool) -> dict[str, int]:
    """Take a person's rows out of every table of the lake, days past included, and their traces out of others': table -> rows.

    `folder`: the lake; its raw log is `erase`'s.
    """
    counts: dict[str, int] = {}
    for file in sorted(folder.glob("*/*/*.parquet")):
        table = file.parent.relative_to(folder).as_posix()
        if table.startswith("raw/"):
            continue
        rows = pl.read_parquet(file)
        texts = [*person_ids, *traces.said]
        told = {
            name: hits(_text(name, dtype), texts, traces.digits)
            for name, dtype in rows.schema.items()
            if _is_text(dtype)
        }
        about = [name for name in _ABOUT if name in told] or list(told)
        goes, speaks = _any(told[name] for name in about), _any(told.values())
        marked = rows.filter(speaks)
        if marked.is_empty():
            continue
        counts[table] = counts.get(table, 0) + marked.height
        if write:
            aside = file.with_suffix(".writing")
            _blotted(rows.filter(~goes), texts, traces.digits).write_parquet(aside, statistics=False)
            aside.replace(file)
    return counts


def _any(conditions: Iterable[pl.Expr]) -> pl.Expr:
    return pl.any_horizontal([pl.lit(value=False), *conditions])


def _blotted(rows: pl.DataFrame, texts: list[str], digits: list[str]) -> pl.DataFrame:
    listed = [pl.col(c).list.eval(blotted(pl.element(), texts, digits)) for c, t in rows.schema.items() if t == _TEXTS]
    plain = [blotted(pl.col(c), texts, digits).alias(c) for c, t in rows.schema.items() if t == pl.String()]
    return rows.with_columns(*plain, *listed)


def _is_text(dtype: pl.DataType) -> bool:
    return dtype == pl.String() or dtype == _TEXTS


def _text(name: str, dtype: pl.DataType) -> pl.Expr:
    return pl.col(name) if dtype == pl.String() else pl.col(name).list.join("\n", ignore_nulls=True)


def _without(
    rows: pl.DataFrame, traces: Traces, theirs: pl.DataFrame | None, others: pl.DataFrame | None
) -> tuple[pl.DataFrame, int, int]:
    cells = [name for name, dtype in rows.schema.items() if dtype == pl.String() and not name.startswith("_dlt")]
    digits = traces.digits
    told = rows.with_columns(
        _theirs=_stands_in(rows, theirs),
        _others=_stands_in(rows, others),
        _sure=_any(hits(pl.col(c), traces.sure, digits) for c in cells),
        _named=_any(hits(pl.col(c), traces.said, digits) for c in cells),
    )
    goes = (pl.col("_theirs") | pl.col("_sure")) & ~pl.col("_others")
    kept = told.filter(~goes)
    marked = kept.filter("_named").height
    clean = kept.with_columns(
        pl.when("_named").then(blotted(pl.col(c), traces.said, digits)).otherwise(c).alias(c) for c in cells
    )
    return clean.select(rows.columns), told.height - kept.height, marked


def _stands_in(rows: pl.DataFrame, where: pl.DataFrame | None) -> pl.Series:
    if where is None or where.is_empty():
        return pl.repeat(value=False, n=rows.height, eager=True)
    places = where.select(_loaded_at="loaded_at", _row="_row").unique().with_columns(there=pl.lit(value=True))
    joined = rows.select("_loaded_at", "_row").join(
        places, on=["_loaded_at", "_row"], how="left", maintain_order="left"
    )
    return joined["there"].fill_null(value=False)
