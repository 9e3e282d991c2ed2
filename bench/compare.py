"""Whether two sets of verdicts are the same, row by row and rule by rule."""

from pathlib import Path
from typing import NamedTuple

import polars as pl

from journey_pipeline.registry import TABLES

JUDGED = ("people", "buyer_journeys", "payments", "tickets", "products")


class Difference(NamedTuple):
    """`subjects`: rows of all tables. `verdicts`: subject by rule, null ones too. `different`: those that disagree."""

    subjects: int
    verdicts: int
    different: int
    examples: tuple[str, ...]


def compare(ours: Path, theirs: Path) -> Difference:
    subjects, verdicts, different, examples = 0, 0, 0, []
    for table in JUDGED:
        key = TABLES[table].key
        one, other = (pl.read_parquet(folder / f"{table}.parquet") for folder in (ours, theirs))
        rules = [column for column in one.columns if column not in key]
        both = one.join(other, on=key, how="full", suffix="_other", nulls_equal=True, coalesce=True, validate="1:1")
        subjects += both.height
        for rule in rules:
            said = both.select(*key, pl.col(rule, f"{rule}_other").cast(pl.String))
            differing = said.filter(pl.col(rule).ne_missing(pl.col(f"{rule}_other")))
            verdicts += said.height
            different += differing.height
            examples += [f"{rule}: {row}" for row in differing.sort(key).head(3).iter_rows()]
    return Difference(subjects, verdicts, different, tuple(examples))
