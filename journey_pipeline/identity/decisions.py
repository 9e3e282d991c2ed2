"""What people decided about two records: that they are one person's, or are not. Read from text, matched to records.

Where the file lies is settings'; what a decision does to people is resolve's and links'.
"""

import csv
import io
from collections.abc import Mapping
from datetime import date

import polars as pl

from journey_pipeline.errors import SettingsError
from journey_pipeline.expressions import spelled
from journey_pipeline.identity.keys import PERSON_KINDS
from journey_pipeline.registry import DAY, TEXT

FIELDS = ("a", "b", "decision", "who", "on", "why")
SCHEMA = pl.Schema({"a": TEXT, "b": TEXT, "decision": TEXT, "who": TEXT, "on": DAY, "why": TEXT})
CONFIRM, REFUSE = "confirm", "refuse"
HEADER = ",".join(FIELDS) + "\n"
# Of several kinds that share a record id, the one that is meant: a contact and a deal of one CRM may both be 7.
FOREMOST = ("contacts", "payments", "subscriptions", "access", "leads", "tickets", "bookings")
_RANK = {kind: n for n, kind in enumerate([*FOREMOST, *sorted(set(PERSON_KINDS) - set(FOREMOST))])}


def parse(text: str, path: str = "identity_decisions.csv") -> pl.DataFrame:
    """The lines of a decisions file: a, b (`platform:record_id`), decision (confirm, refuse), who, on, why.

    Raises:
        SettingsError: naming every line that is incomplete or can't be read.
    """
    header, _, body = text.partition("\n")
    fields = [field.strip() for field in header.split(",")]
    missing = [field for field in FIELDS if field not in fields]
    if missing:
        raise SettingsError(path, [f"1: the header lacks {', '.join(missing)}; needed: {','.join(FIELDS)}"])
    reader = csv.DictReader(io.StringIO(body), fieldnames=fields)
    rows, mistakes = [], []
    for row in reader:
        values = {field: (row[field] or "").strip() for field in FIELDS}
        found = _mistakes(values)
        mistakes += [f"{reader.line_num + 1}: {fault}" for fault in found]
        if not found:
            rows.append({**values, "on": date.fromisoformat(values["on"])})
    if mistakes:
        raise SettingsError(path, mistakes)
    return pl.DataFrame(rows, schema=SCHEMA)


def _mistakes(values: Mapping[str, str]) -> list[str]:
    empty = [field for field in FIELDS if not values[field]]
    if empty:
        return [f"{', '.join(empty)} is empty; a decision needs all of {', '.join(FIELDS)}"]
    found = [
        f"{field}: {values[field]!r} is no record; allowed: platform:record_id, like stripe:ch_1"
        for field in ("a", "b")
        if not all(values[field].partition(":"))
    ]
    if values["a"] == values["b"]:
        found.append(f"a and b are both {values['a']!r}; a decision is about two records")
    if values["decision"] not in (CONFIRM, REFUSE):
        found.append(f"decision: {values['decision']!r} is none; allowed: {CONFIRM}, {REFUSE}")
    try:
        date.fromisoformat(values["on"])
    except ValueError:
        found.append(f"on: {values['on']!r} is not a day; allowed: 2026-05-31")
    return found


def line(values: Mapping[str, str], path: str) -> str:
    """One decision as a line of the file.

    Raises:
        SettingsError: if it would be a bad line.
    """
    if found := _mistakes(values):
        raise SettingsError(path, found)
    text = io.StringIO()
    csv.DictWriter(text, FIELDS, lineterminator="\n").writerow(values)
    return text.getvalue()


def placed(lines: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """a, b, is_same, key, one, other (record numbers; null: nobody knows the record) of each pair decided.

    Of several lines about one pair the last one counts.
    """
    pair = lines.select(
        a=pl.min_horizontal("a", "b"), b=pl.max_horizontal("a", "b"), is_same=pl.col("decision") == CONFIRM
    ).unique(["a", "b"], keep="last", maintain_order=True)
    refs = pl.concat([pair["a"], pair["b"]]).unique()
    known = foremost_records(records, refs.str.splitn(":", 2).struct.field("field_1")).select("ref", "record")
    return (
        pair.join(known.rename({"ref": "a", "record": "one"}), on="a", how="left", maintain_order="left")
        .join(known.rename({"ref": "b", "record": "other"}), on="b", how="left", maintain_order="left")
        .with_columns(key=spelled("same:{}={}", "a", "b"))
    )


def foremost_records(records: pl.DataFrame, record_ids: pl.Series) -> pl.DataFrame:
    """The rows of `records`, with `ref`: of all records of these ids the one that each `platform:record_id` means."""
    some = records.filter(pl.col("record_id").is_in(record_ids.unique().implode()))
    return ranked(some).sort("ref", "rank").unique("ref", keep="first", maintain_order=True).collect()


def ranked(records: pl.DataFrame) -> pl.LazyFrame:
    """With `ref` (`platform:record_id`) and `rank`: which kind is meant where several share a ref, least first."""
    return records.lazy().with_columns(
        ref=spelled("{}:{}", pl.col("platform").cast(TEXT), "record_id"),
        rank=pl.col("kind").cast(TEXT).replace_strict(_RANK, return_dtype=pl.Int64),
    )
