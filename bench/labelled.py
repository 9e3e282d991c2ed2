"""Sets of records of which it is known who is who: two public ones, and the sandbox. Not here: how anybody tells them apart.

The public sets lie outside the project; where they are absent they are left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from journey_pipeline.identity import normalise
from journey_pipeline.sandbox.business import generate, to_records

FOLDER = Path(__file__).parents[2] / "shared" / "data" / "identity"
PUBLIC = ("fake_1000", "febrl3")
AS_OF = datetime(2026, 5, 15, 12, tzinfo=UTC)
RECORD = ("kind", "platform", "record_id")
_LISTS = ("names", "emails", "phones", "companies")


@dataclass(frozen=True)
class Labelled:
    """`records`: row, who, and what the set says. `candidates`: one row per record, as `probable.score` takes them."""

    name: str
    records: pl.DataFrame
    candidates: pl.DataFrame


@dataclass(frozen=True)
class Town:
    """A sandbox: its kinds, whose each record is (kind, platform, record_id, who), and who is messy (who, mess, people)."""

    people: int
    kinds: Mapping[str, pl.DataFrame]
    truth: pl.DataFrame
    mess: pl.DataFrame


def public() -> Iterator[Labelled]:
    for name in PUBLIC:
        file = FOLDER / f"{name}.csv"
        if file.is_file():
            rows = pl.read_csv(file, infer_schema=False)
            rows = rows.rename({c: c.strip() for c in rows.columns}).with_columns(pl.all().str.strip_chars())
            clean = rows.with_columns(pl.when(pl.all() != "").then(pl.all()))
            yield {"fake_1000": _fake, "febrl3": _febrl}[name](clean)


def _fake(rows: pl.DataFrame) -> Labelled:
    records = rows.rename({"cluster": "who"}).drop("unique_id").with_row_index("row")
    return Labelled("fake_1000", records, _candidates(records, "first_name", "email", "dob", "city"))


def _febrl(rows: pl.DataFrame) -> Labelled:
    records = rows.with_columns(who=pl.col("rec_id").str.extract(r"rec-(\d+)-")).drop("rec_id").with_row_index("row")
    others = [c for c in records.columns if c not in ("row", "who", "given_name", "surname")]
    return Labelled("febrl3", records, _candidates(records, "given_name", None, *others))


def _candidates(records: pl.DataFrame, given: str, email: str | None, *others: str) -> pl.DataFrame:
    none = pl.lit(None, pl.String)
    told = {
        "names": normalise.name(pl.concat_str(given, "surname", separator=" ", ignore_nulls=True)),
        "emails": normalise.email(pl.col(email)) if email else none,
    }
    lists = {c: pl.concat_list(told.get(c, none)).list.drop_nulls() for c in _LISTS}
    return records.select(pl.col("row").alias("person"), *others, **lists)


def town(people: int, seed: int = 1) -> Town:
    world = generate(people, seed, AS_OF)
    kinds = {kind: frame.collect() for kind, frame in to_records(world).items()}
    return Town(people, kinds, world.truth["people"], world.truth["mess"])
