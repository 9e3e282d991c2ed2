"""The likely cause of a finding (docs/definitions.md, Likely causes): first what many findings share, then the rule's own tests.

Incidents, which group findings by cause, are not found here.
"""

import re
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from journey_pipeline.invariants import language
from journey_pipeline.invariants.judged import TIMELESS, Due, Judged, Mask, Numbers
from journey_pipeline.invariants.subjects import Records
from journey_pipeline.model import Rule
from journey_pipeline.registry import TABLES

UNEXPLAINED = "unexplained"

_RECORD_TEST = re.compile(r"^([a-z]+): (.+)$", re.DOTALL)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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


def target(rule: Rule) -> str | None:
    """The column that tells which platform should show B, if any does."""
    schema = TABLES[rule.on].schema
    if "platform" in schema:
        return "platform"
    # Whoever has a part of an offer has it where that part is, whoever has all of it has it everywhere: what tells the two
    # apart is no cause.
    is_of_parts = "grants_expected" in language.columns(rule.then, rule.on)
    is_told = "access_platform" in schema and "access" in (rule.needs or ()) and not is_of_parts
    return "access_platform" if is_told else None


def shared(rule: Rule, judged: Judged, due: Due, as_of: datetime) -> pl.DataFrame:
    """(row, shared_cause) of the rows that break a rule: what broke them together, if anything did."""
    broken = np.flatnonzero(due.is_broken)
    never = _never(due, judged.places(target(rule), "offer_id"), as_of)
    outage, since = np.zeros(broken.size, bool), due.since[broken]
    if target(rule) is None:
        outage = _outages(since, due.times)
    else:
        targets = judged.values(target(rule))[due.row]
        for one in np.unique(targets[broken]):
            mine = targets[broken] == one
            outage[mine] = _outages(since[mine], np.sort(due.since[(targets == one) & (due.since != TIMELESS)]))
    return pl.DataFrame({"row": due.row[broken].astype(np.uint32), "never": never, "outage": outage}).select(
        "row", shared_cause=pl.when("never").then(pl.lit("never_worked")).when("outage").then(pl.lit("outage"))
    )


def _never(due: Due, place: Numbers, as_of: datetime) -> Mask:
    """Broken rows of a target and offer (`place`) of which, lately, enough were judged and none held."""
    recent = np.flatnonzero(due.since >= _micro(as_of - _EPOCH) - _micro(_MEMORY))  # what has no time is later than all
    where, is_broken = place[due.row[recent]], due.is_broken[recent]
    size = int(place.max(initial=0)) + 1
    asked, broken = np.bincount(where, minlength=size), np.bincount(where[is_broken], minlength=size)
    never: Mask = ((asked >= _MIN_JUDGED) & (asked == broken))[place[due.row[due.is_broken]]]
    return never


def _outages(since: Numbers, due: Numbers) -> Mask:
    """Which broken rows of one target stand in a crowd of broken ones; `due`: when all judged ones of it were, in order."""
    has_clock = since != TIMELESS
    at = since[has_clock]
    broken = np.sort(at)

    def within(times: Numbers, window: timedelta) -> Numbers:
        half = _micro(window)
        found: Numbers = np.searchsorted(times, at + half, "right") - np.searchsorted(times, at - half, "left")
        return found

    near, far = _WINDOWS
    is_sparse = within(due, near) < _MIN_JUDGED
    due_count = np.where(is_sparse, within(due, far), within(due, near))
    broken_count = np.where(is_sparse, within(broken, far), within(broken, near))
    elsewhere = (broken.size - broken_count) / np.maximum(due.size - due_count, 1)
    is_odd = np.power(elsewhere, due_count) < _BY_CHANCE
    is_outage: Mask = np.zeros(since.size, bool)
    is_outage[has_clock] = (due_count >= _MIN_DUE) & (broken_count >= _OUTAGE_SHARE * due_count) & is_odd
    return is_outage


def _micro(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


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
