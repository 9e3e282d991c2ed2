"""Waivers: findings that somebody accepts until a day, with a reason. Read from text, matched to rows.

What a waived row becomes is verdicts' (excused) and findings' (waived); where the file lies is settings'.
"""

import csv
import hashlib
import io
from collections.abc import Collection, Sequence
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
_ID_LENGTH = 16


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


def unknown_ids(lines: pl.DataFrame, known: Collection[str]) -> list[str]:
    """The finding ids that no finding has; worth a warning."""
    ids = lines["finding"].unique().sort()
    return [i for i in ids if _is_id(i) and i not in known]


def subject(table: str) -> pl.Expr:
    """What a row of a table is about, `type:id`."""
    match table:
        case "people":
            return spelled("person:{}", "person_id")
        case "buyer_journeys":
            return spelled("journey:{}:{}", "person_id", pl.col("offer_id").fill_null("-"))
        case "products":
            return spelled("product:{}", "product_ref")
        case "source_health":
            return spelled("source:{}:{}", "platform", "resource")
        case _:
            return spelled(f"{table}:{{}}:{{}}", "platform", "record_id")


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
        if self.by_text["finding"].map_elements(_is_id, return_dtype=pl.Boolean).any():
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


def _is_id(text: str) -> bool:
    return len(text) == _ID_LENGTH and all(c in "0123456789abcdef" for c in text)
