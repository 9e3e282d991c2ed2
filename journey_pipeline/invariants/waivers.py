"""Waivers: findings that somebody accepts until a day, with a reason. Read from text, matched to rows.

What a waived row becomes is verdicts' (excused) and findings' (waived); where the file lies is settings'.
"""

import csv
import hashlib
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from journey_pipeline.errors import SettingsError
from journey_pipeline.expressions import spelled
from journey_pipeline.identity import normalise
from journey_pipeline.model import Rule
from journey_pipeline.registry import DAY, TABLES, TEXT

SCHEMA = pl.Schema({"finding": TEXT, "reason": TEXT, "who": TEXT, "until_on": DAY})
_FIELDS = ("finding", "reason", "who", "until")
HEADER = ",".join(_FIELDS) + "\n"
_ID_LENGTH = 16
_SUBJECTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "people": ("person", ("person_id",)),
    "buyer_journeys": ("journey", ("person_id", "offer_id")),
    "products": ("product", ("product_ref",)),
    "campaigns": ("campaign", ("source", "campaign")),
    "pulses": ("pulse", ("kind", "platform", "label")),
    "reported_vs_actual": ("report", ("report", "metric", "starts_on", "ends_on")),
    "source_health": ("source", ("platform", "resource")),
    "contact_keys": ("key", ("key", "platform", "record_id")),
}
"""Table -> the word that its subjects begin with, and the columns that follow; a record's is its kind, platform and id."""


def parse(text: str, path: str = "waivers.csv") -> pl.DataFrame:
    """The lines of a waivers file: `finding` (a finding id, a subject, an address or a key), reason, who, until.

    Raises:
        SettingsError: naming every line that is incomplete or has no readable day.
    """
    header, _, body = text.partition("\n")
    fields = [{"subject": "finding"}.get(field.strip(), field.strip()) for field in header.split(",")]
    missing = [field for field in _FIELDS if field not in fields]
    if missing:
        raise SettingsError(path, [f"1: the header lacks {', '.join(missing)}; needed: {','.join(_FIELDS)}"])
    reader = csv.DictReader(io.StringIO(body), fieldnames=fields)
    rows, mistakes = [], []
    for row in reader:
        line = reader.line_num + 1
        values = {field: (row[field] or "").strip() for field in _FIELDS}
        empty = [field for field in _FIELDS if not values[field]]
        if empty:
            mistakes.append(f"{line}: {', '.join(empty)} is empty; a waiver needs all of {', '.join(_FIELDS)}")
            continue
        try:
            until = date.fromisoformat(values.pop("until"))
        except ValueError:
            mistakes.append(f"{line}: until: {row['until']!r} is not a day; allowed: 2026-05-31")
            continue
        rows.append({**values, "until_on": until})
    if mistakes:
        raise SettingsError(path, mistakes)
    return pl.DataFrame(rows, schema=SCHEMA)


def appended(text: str, values: Mapping[str, str], path: str = "waivers.csv") -> str:
    """A waivers file with one line more, in the order of its own header.

    Raises:
        SettingsError: if the file is wrong already, or the line would be.
    """
    parse(text, path)
    fields = [{"subject": "finding"}.get(field.strip(), field.strip()) for field in text.partition("\n")[0].split(",")]
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([" ".join(values.get(field, "").split()) for field in fields])
    whole = text + ("" if text.endswith("\n") else "\n") + line.getvalue()
    parse(whole, path)
    return whole


def unknown_ids(lines: pl.DataFrame, known: Collection[str]) -> list[str]:
    """The finding ids that no finding has; worth a warning."""
    ids = lines["finding"].unique().sort()
    return [i for i in ids if is_id(i) and i not in known]


def subject(table: str) -> pl.Expr:
    """What a row of a table is about, `type:id`."""
    begins, columns = _SUBJECTS.get(table, (table, ("platform", "record_id")))
    is_day = [TABLES[table].schema[column] == DAY for column in columns]
    texts = [pl.col(c).dt.to_string("%Y-%m-%d") if d else pl.col(c) for c, d in zip(columns, is_day, strict=True)]
    # Money that no offer lists has a journey of its own.
    known = [text.fill_null("-") if c == "offer_id" else text for c, text in zip(columns, texts, strict=True)]
    return spelled(":".join([begins, *("{}" for _ in columns)]), *known)


def hashed(named: pl.Series) -> pl.Series:
    """The finding id of each `invariant|subject`: what it hashes never changes, so it is the same in every run."""
    return pl.Series(named.name, [hashlib.sha256(text.encode()).hexdigest()[:_ID_LENGTH] for text in named], dtype=TEXT)


def finding_id(invariant: str) -> pl.Expr:
    """The finding id of rows that have a `subject`."""
    return pl.concat_str(pl.lit(invariant), "subject", separator="|").map_batches(hashed, return_dtype=TEXT)


@dataclass(frozen=True)
class Waivers:
    """The waivers that hold on one day, resolved to people, subjects and finding ids.

    `aliases` are the former ids (`was`) of people: what was said of them holds for who they are now (`person_id`).
    """

    by_text: pl.DataFrame
    by_person: pl.DataFrame
    aliases: pl.DataFrame

    @property
    def is_empty(self) -> bool:
        return self.by_text.is_empty() and self.by_person.is_empty()

    def covering(self, rule: Rule, rows: pl.DataFrame) -> pl.DataFrame:
        """(row, until_on) of the rows that a waiver covers; `rows` has the table's key and `row`."""
        keys = [c for c in dict.fromkeys((*TABLES[rule.on].key, "person_id")) if c in rows.columns]
        named = rows.select("row", *keys)
        if "person_id" in keys:
            was = named.join(self.aliases, on="person_id").with_columns(person_id="was").drop("was")
            named = pl.concat([named, was])
        named = named.with_columns(subject=subject(rule.on))
        hits = [named.join(self.by_text, left_on="subject", right_on="finding")]
        if self.by_text["finding"].map_elements(is_id, return_dtype=pl.Boolean).any():
            ids = named.with_columns(finding=finding_id(rule.name))
            hits.append(ids.join(self.by_text, on="finding"))
        if "person_id" in keys:
            hits.append(named.join(self.by_person, on="person_id"))
        found = pl.concat([hit.select("row", "until_on") for hit in hits])
        return found.group_by("row").agg(pl.col("until_on").max())


def holding(
    lines: pl.DataFrame, day: date, *, keys: pl.LazyFrame | None, changes: pl.DataFrame | None, country: str | None
) -> Waivers:
    """The waivers that hold through `day`. A line on a person, or on an address or key of theirs, covers all of theirs."""
    lines = lines.filter(pl.col("until_on") >= day).select("finding", "until_on")
    was = _aliases(changes, day)
    people = (
        lines.filter(pl.col("finding").str.starts_with("person:"))
        .select(pl.col("finding").str.strip_prefix("person:").alias("was"), "until_on")
        .join(was, on="was", how="left")
        .select(pl.coalesce("person_id", "was").alias("person_id"), "until_on")
    )
    if keys is not None and not lines.is_empty():
        people = pl.concat([people, _by_key(lines, keys, country)])
    return Waivers(lines, people.unique(), was)


def _by_key(lines: pl.DataFrame, keys: pl.LazyFrame, country: str | None) -> pl.DataFrame:
    text = pl.col("finding")
    written = lines.with_columns(phone=normalise.phones(lines["finding"], country)).select(
        "until_on",
        pl.concat_list(
            text,
            pl.concat_str(pl.lit("email:"), normalise.canonical(normalise.email(text))),
            pl.concat_str(pl.lit("phone:"), "phone"),
        ).alias("key"),
    )
    wanted = written.explode("key").drop_nulls("key")
    return (
        keys.select("key", "person_id").join(wanted.lazy(), on="key").select("person_id", "until_on").unique().collect()
    )


def _aliases(changes: pl.DataFrame | None, day: date) -> pl.DataFrame:
    """Who the people of earlier days, merged since, are now."""
    now: dict[str, str] = {}
    if changes is not None:
        merges = changes.filter((pl.col("change") == "merge") & (pl.col("day_on") <= day)).sort("day_on")
        for old, new in merges.select("from_person_id", "to_person_id").iter_rows():
            now = {was: new if is_now == old else is_now for was, is_now in now.items()} | {old: new}
    pairs: Sequence[tuple[str, str]] = sorted(now.items())
    return pl.DataFrame(pairs, schema={"was": TEXT, "person_id": TEXT}, orient="row")


def is_id(text: str) -> bool:
    """Whether it has the form of a finding id."""
    return len(text) == _ID_LENGTH and all(c in "0123456789abcdef" for c in text)
