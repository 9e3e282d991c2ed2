"""The likely cause of a finding (docs/definitions.md, Likely causes): first what many findings share, then the rule's own tests.

Incidents, which group findings by cause, are not found here.
"""

import re
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from journey_pipeline.invariants import language
from journey_pipeline.invariants.subjects import Records
from journey_pipeline.model import Rule
from journey_pipeline.registry import TABLES, TEXT

Times = npt.NDArray[np.int64]

UNEXPLAINED = "unexplained"

_RECORD_TEST = re.compile(r"^([a-z]+): (.+)$", re.DOTALL)
_MEMORY = timedelta(days=90)
_MIN_JUDGED = 5
_MIN_DUE = 3
_OUTAGE_SHARE = 0.9
_BY_CHANCE = (
    0.01  # a crowd that the rate elsewhere explains is no outage: with a third broken anyway, three in a row are
)
_WINDOWS = (timedelta(hours=1), timedelta(hours=24))


def record_test(text: str) -> tuple[str, str] | None:
    """(kind, condition) of a test that asks for a record (`access: gone_at is not null`); None: it is about the row."""
    match = _RECORD_TEST.match(text)
    return (match[1], match[2]) if match else None


def target(rule: Rule) -> pl.Expr:
    """The platform that should show B, as far as the row tells it."""
    schema = TABLES[rule.on].schema
    if "platform" in schema:
        return pl.col("platform")
    if "access_platform" in schema and "access" in (rule.needs or ()):
        return pl.col("access_platform")
    return pl.lit(None, dtype=TEXT)


def shared(judged: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """(row, shared_cause) of broken rows; `judged`: row, is_broken, since, target, offer of all that hold or are broken."""
    recent = pl.col("since").is_null() | (pl.col("since") >= as_of - _MEMORY)
    place = ["target", "offer"]
    worked = (
        judged.lazy()
        .group_by(place)
        .agg(never_worked=(recent.sum() >= _MIN_JUDGED) & ~(recent & ~pl.col("is_broken")).any())
    )
    never = judged.lazy().filter("is_broken").join(worked, on=place, how="left", nulls_equal=True).collect()
    outage = [_outages(group) for group in judged.drop_nulls("since").partition_by("target", maintain_order=True)]
    down = pl.concat([pl.DataFrame(schema={"row": pl.UInt32(), "outage": pl.Boolean()}), *outage])
    return never.join(down, on="row", how="left").select(
        "row",
        shared_cause=pl.when("never_worked").then(pl.lit("never_worked")).when("outage").then(pl.lit("outage")),
    )


def _outages(judged: pl.DataFrame) -> pl.DataFrame:
    """Which broken rows of one target stand in a crowd of broken ones."""
    since = judged["since"].to_physical().to_numpy()
    is_broken = judged["is_broken"].to_numpy()
    due, broken, at = np.sort(since), np.sort(since[is_broken]), since[is_broken]

    def within(times: Times, window: timedelta) -> Times:
        half = window // timedelta(microseconds=1)
        found: Times = np.searchsorted(times, at + half, "right") - np.searchsorted(times, at - half, "left")
        return found

    near, far = _WINDOWS
    is_sparse = within(due, near) < _MIN_JUDGED
    due_count = np.where(is_sparse, within(due, far), within(due, near))
    broken_count = np.where(is_sparse, within(broken, far), within(broken, near))
    elsewhere = (broken.size - broken_count) / np.maximum(due.size - due_count, 1)
    is_odd = np.power(elsewhere, due_count) < _BY_CHANCE
    is_outage = (due_count >= _MIN_DUE) & (broken_count >= _OUTAGE_SHARE * due_count) & is_odd
    return judged.filter("is_broken").select("row").with_columns(outage=pl.Series(is_outage))


def likely(rule: Rule, rows: pl.DataFrame, records: Records) -> pl.DataFrame:
    """(row, cause) of broken rows that have `shared_cause`: that, else the first of the rule's tests that is so."""
    tests = []
    for cause, text in rule.causes.items():
        asked = record_test(text)
        if asked:
            hit = pl.col("row").is_in(records.of(rule, rows, *asked)["row"].unique().implode())
        else:
            hit = language.condition(text)
        tests.append(pl.when(hit.fill_null(value=False)).then(pl.lit(cause)))
    return rows.select("row", cause=pl.coalesce("shared_cause", *tests, pl.lit(UNEXPLAINED)))
