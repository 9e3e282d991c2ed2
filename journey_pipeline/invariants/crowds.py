"""Crowds: findings of one rule that share a cause, told by testing what they have in common against how common it is.

What is said of a single finding is causes'; what becomes of a crowd from day to day is incidents' (docs/definitions.md,
Incidents).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from math import exp, lgamma
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from journey_pipeline.invariants.causes import target
from journey_pipeline.invariants.judged import TIMELESS, Due, Judged, Mask, Numbers
from journey_pipeline.invariants.verdicts import needs
from journey_pipeline.model import Rule
from journey_pipeline.registry import KINDS, TEXT, TIME

LEAST = 3  # findings
_SHARE, _LIFT, _BY_CHANCE = 0.6, 3.0, 0.01
_GAP, _GAPS = timedelta(hours=6), 3  # a new window begins after the larger of a quarter of a day and three usual gaps
_WIDENED, _BEFORE = timedelta(hours=24), timedelta(days=28)
_HOURS = 3  # hours of one block of the day
_CONTROLS = 5_000  # rows of a rule that hold: of more, each so many-th is asked and counts for as many
_NEGLIGIBLE = 1e-15
TIME_FACTOR, NEVER_WORKED = "time", "never_worked"

# What a row may share with others, by the column that tells it: the row's own, else that of the record behind it.
OWN: Mapping[str, tuple[str, ...]] = {
    "offer": ("offer_id",), "product": ("product_ref",), "source": ("platform",), "target": ("access_platform",),
    "form": ("form",), "campaign": ("campaign", "lead_campaign"), "method": ("method",), "template": ("template_ref",),
    "host": ("host",), "CRM owner": ("crm_owner", "owner"),
}  # fmt: skip


class Window(NamedTuple):
    """A crowd of findings in time; its edges are the `since` of the first and last (microseconds; 0 without a clock).

    How many rows are judged and broken in it, and how many were in the 28 days before.
    """

    rows: Numbers
    starts: int = 0
    ends: int = 0
    judged: int = 0
    broken: int = 0
    before_judged: int = 0
    before_broken: int = 0


@dataclass(frozen=True)
class Crowd:
    """What a rule's incidents are looked for in: its windows, and the judged rows in and around them.

    `rows`: row, since, is_broken, weight (how many rows it stands for), finding_id and the factors that the table tells.
    """

    rule: Rule
    windows: tuple[Window, ...]
    rows: pl.DataFrame
    never: tuple["Group", ...] = ()


class Tested(NamedTuple):
    """One factor's value: which rows of the base have it, and how it fared. `parts`: of a pair, the rows of each alone."""

    factor: str
    value: str
    mask: Mask
    lift: float
    counts: tuple[int, int, int, int]
    size: int
    covered: int
    chance: float = 1.0
    parts: tuple[Mask, ...] = ()


@dataclass
class Group:
    """Findings that are one incident today. `counts`: broken and judged with the factor, and without it."""

    rule: Rule
    findings: list[str]
    since: list[datetime]
    factor: str
    value: str | None
    counts: tuple[int, int, int, int]
    lift: float | None = None
    chance: float | None = None


# The rows to look at, chosen while the judged table is at hand


def crowd(rule: Rule, broken: pl.DataFrame, judged: Judged, due: Due) -> Crowd | None:
    """The windows of a rule that have findings enough, with the rows that they are compared with; None: there is none.

    `broken` are the rule's findings as evaluation has them.
    """
    if broken.height < LEAST:
        return None
    is_never = pl.col("shared_cause").eq_missing(pl.lit(NEVER_WORKED))
    never, found = tuple(_never_worked(rule, broken.filter(is_never))), broken.filter(~is_never)
    nothing = Crowd(rule, (), pl.DataFrame(), never) if never else None
    if found.height < LEAST:
        return nothing
    due = _without(due, broken.filter(is_never)["row"].to_numpy())
    windows, near = _windows(rule, found, due)
    if not windows:
        return nothing
    place, weight = _asked(near, due.is_broken)
    row = due.row[place]
    own = [c for columns in OWN.values() for c in columns if c in judged.rows.columns]
    own = [c for c in own if c not in OWN["target"] or c == target(rule)]
    keys = [c for c in ("person_id", "platform", "record_id") if c in judged.rows.columns]
    rows = (
        judged.rows.select("row", *dict.fromkeys([*keys, *own]))[row]
        .select(
            "row",
            pl.Series("since", due.since[place]).replace(TIMELESS, None).cast(TIME),
            pl.Series("is_broken", due.is_broken[place]),
            pl.Series("weight", weight),
            pl.exclude("row"),
        )
        .join(found.select("row", "finding_id"), on="row", how="left", validate="1:1", maintain_order="left")
    )
    return Crowd(rule, tuple(windows), rows, never)


def _without(due: Due, rows: Numbers) -> Due:
    if not rows.size:
        return due
    stay = ~np.isin(due.row, rows)
    return Due(due.row[stay], due.since[stay], due.is_broken[stay])


def _asked(near: Numbers, is_broken: Mask) -> tuple[Numbers, Numbers]:
    """The rows to compare, and for how many each counts: all that are broken, and enough of those that hold.

    What is compared is the share of a factor among rows that hold, which a part of them tells as well.
    """
    hold = near[~is_broken[near]]
    every = -(-hold.size // _CONTROLS) or 1
    place: Numbers = np.sort(np.concatenate([near[is_broken[near]], hold[::every]]))
    return place, np.where(is_broken[place], 1, every)


def _never_worked(rule: Rule, broken: pl.DataFrame) -> Iterator["Group"]:
    """Findings of what never worked, by target and offer: no test, for the question is one of set-up, not of buyers."""
    offer, platform = (
        pl.col(c) if c in broken.columns else pl.lit(None, dtype=TEXT) for c in ("offer_id", target(rule))
    )
    by_place = broken.with_columns(target=platform, offer=offer).group_by("target", "offer", maintain_order=True)
    for (platform, offer_id), rows in by_place:
        if rows.height >= LEAST:
            told = {k: str(v) for k, v in (("target", platform), ("offer", offer_id)) if v is not None}
            counts = (rows.height, rows.height, 0, 0)
            factor, value = ", ".join(told) or NEVER_WORKED, ", ".join(told.values()) or None
            yield Group(rule, rows["finding_id"].to_list(), rows["since"].drop_nulls().to_list(), factor, value, counts)


def _windows(rule: Rule, found: pl.DataFrame, due: Due) -> tuple[list[Window], Numbers]:
    """The windows with findings enough, and the places of the due rows that lie in one of them as widened."""
    row = found["row"].to_numpy().astype(np.int64)
    if rule.since is None or found["since"].null_count():
        return [Window(row)], np.arange(due.row.size)
    since = due.since
    deadline, own = (found[c].to_physical().to_numpy() for c in ("deadline", "since"))
    order = np.argsort(deadline, kind="stable")
    cuts = np.flatnonzero(np.diff(deadline[order]) > _gap(due.times)) + 1
    parts = [part for part in np.split(order, cuts) if part.size >= LEAST]
    if not parts:
        return [], np.array([], np.int64)
    edges = np.array([(own[p].min(), own[p].max() + 1) for p in parts])
    before = np.stack([edges[:, 0] - _micro(_BEFORE), edges[:, 0]], axis=1)
    ever = since.size - due.times.size
    counts = [_counts(spans, times) for spans in (edges, before) for times in (due.times, due.broken_times)]
    windows = [
        Window(row[part], int(edges[n, 0]), int(edges[n, 1]) - 1, inside + ever, broken, earlier + ever, broken_earlier)
        for n, (part, inside, broken, earlier, broken_earlier) in enumerate(zip(parts, *counts, strict=True))
    ]
    wide = [(w.starts - _pad(w.starts, w.ends), w.ends + _pad(w.starts, w.ends) + 1) for w in windows]
    # Odd places between the edges of what they cover together are inside.
    borders = np.array([edge for span in _united(wide) for edge in span])
    is_near = (np.searchsorted(borders, since, "right") % 2 == 1) | (since == TIMELESS)
    return windows, np.flatnonzero(is_near)


def _counts(spans: Numbers, times: Numbers) -> list[int]:
    """How many of the times, which are in order, lie in each span, its end left out."""
    starts, ends = np.searchsorted(times, spans).T
    found: list[int] = (ends - starts).tolist()
    return found


def _instants(rows: pl.DataFrame) -> Numbers:
    """`since` in microseconds. Rows without one hold at any time (nothing was ever lost), so they belong to every base."""
    return rows["since"].to_physical().fill_null(TIMELESS).to_numpy()


def _gap(times: Numbers) -> int:
    """After how long without a finding a new window begins; `times` are in order."""
    if times.size < LEAST:
        return _micro(_GAP)
    # Half of all gaps are at least the median, so together they span it so often: mostly there is nothing to look at.
    if 2 * _GAPS * int(times[-1] - times[0]) <= _micro(_GAP) * (times.size - 1):
        return _micro(_GAP)
    return max(_micro(_GAP), _GAPS * int(np.median(np.diff(times))))


def _pad(starts: int, ends: int) -> int:
    return max(_micro(_WIDENED), ends - starts)


def _united(spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    lo, hi = None, 0
    for starts, ends in sorted(spans):
        if lo is not None and starts > hi:
            yield lo, hi
            lo = None
        lo, hi = (starts if lo is None else lo), max(hi, ends) if lo is not None else ends
    if lo is not None:
        yield lo, hi


def _micro(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


# What they share


def found(crowds: Sequence[Crowd], tables: Mapping[str, pl.LazyFrame], zone: ZoneInfo) -> list[Group]:
    """Every incident that can be told from the rows around the findings."""
    behind = _Behind([each for each in crowds if each.windows], tables)
    never = [group for each in crowds for group in each.never]
    looked_at = [each for each in crowds if each.windows]
    return never + [group for each in looked_at for group in _groups(each, _factors(each, behind, zone))]


class _Behind:
    """The records behind the rows of people and journeys, kind by kind, for all rules at once: read when first asked."""

    _COLUMNS = ("platform", "product_ref", "form", "campaign", "method", "template_ref", "host")

    def __init__(self, crowds: Sequence[Crowd], tables: Mapping[str, pl.LazyFrame]) -> None:
        people: dict[str, list[pl.Series]] = {}
        for each in crowds:
            if kind := kind_behind(each.rule):
                people.setdefault(kind, []).append(each.rows["person_id"])
        self._of = {
            kind: _records(tables[kind], kind, pl.concat(some).unique(), self._COLUMNS)
            for kind, some in people.items()
            if kind in tables
        }

    def of(self, rule: Rule, rows: pl.DataFrame) -> pl.DataFrame:
        """What the record nearest to `since` tells of each row, in the order of the rows; no columns if none is behind."""
        known = self._of.get(kind_behind(rule) or "")
        if known is None or known.is_empty():
            return pl.DataFrame()
        by = ["person_id", *(c for c in ("offer_id",) if c in rows.columns and c in known.columns)]
        told = [c for c in known.columns if c not in (*by, "occurred_at", "person_id", "offer_id")]
        newest = known["occurred_at"].max()
        asked = rows.select(*by, pl.col("since").fill_null(newest)).with_row_index("place").sort("since")
        key = pl.concat_str([pl.col(c).fill_null("") for c in by], separator="|").alias("key")
        return (
            asked.with_columns(key)
            .join_asof(
                known.with_columns(key).select("key", "occurred_at", *told),
                left_on="since", right_on="occurred_at", by="key", strategy="nearest", check_sortedness=False,
            )
            .sort("place")
            .select(told)
        )  # fmt: skip


def _records(table: pl.LazyFrame, kind: str, people: pl.Series, columns: Sequence[str]) -> pl.DataFrame:
    schema = KINDS[kind].schema
    offer = ["offer_id"] if kind in ("payments", "subscriptions", "access") else []
    told = [c for c in columns if c in schema]
    if "is_primary" in schema:
        table = table.filter("is_primary")  # a copy is told by whom it is told, and says nothing more
    known = table.filter(pl.col("person_id").is_in(people.implode()))
    # Sorted by all, so that of two records of one instant the same is told every time.
    return known.select("person_id", *offer, "occurred_at", *told).sort("occurred_at", "person_id", *told).collect()


def kind_behind(rule: Rule) -> str | None:
    """The kind of the record behind a row of people or journeys: the first that the rule needs."""
    if rule.on not in ("people", "buyer_journeys"):
        return None
    firm = [kind for kind in needs(rule) if not kind.startswith("(") and kind in KINDS]
    # Access for nothing is told by the access: the payments that it needs first are what is missing.
    return "access" if rule.since == "opened_at" else next(iter(firm), None)


def _factors(each: Crowd, behind: _Behind, zone: ZoneInfo) -> dict[str, pl.Series]:
    """Each factor's value of each row; those that no row tells are left out."""
    rows = each.rows
    told = behind.of(each.rule, rows)
    factors = {}
    for name, columns in OWN.items():
        own = [rows[c] for c in columns if c in rows.columns]
        values = [*own, *([told[columns[0]]] if columns[0] in told.columns else [])]
        if values:
            value = pl.select(pl.coalesce(values)).to_series().cast(TEXT)
            if value.null_count() < value.len():
                factors[name] = value
    if rows["since"].null_count() < rows.height:
        block = rows["since"].dt.convert_time_zone(str(zone)).dt.hour().cast(pl.Int64) // _HOURS * _HOURS
        factors["hour"] = block.cast(TEXT).str.zfill(2) + ":00 and " + (block + _HOURS).cast(TEXT).str.zfill(2) + ":00"
    return factors


def _groups(each: Crowd, factors: Mapping[str, pl.Series]) -> Iterator[Group]:
    rows = each.rows
    codes = {name: _codes(value) for name, value in factors.items()}
    since, has_clock = _instants(rows), any(window.starts for window in each.windows)
    is_broken, row, weight = (rows[c].to_numpy() for c in ("is_broken", "row", "weight"))
    ids, instants = rows["finding_id"].to_list(), rows["since"].to_list()

    def told(places: Numbers) -> tuple[list[str], list[datetime]]:
        return [ids[i] for i in places], [instants[i] for i in places if instants[i] is not None]

    for window in each.windows:
        mine = np.searchsorted(row, window.rows)  # rows are in the order of their table
        base = np.arange(rows.height)
        if has_clock:
            pad = _pad(window.starts, window.ends)
            is_near = (since >= window.starts - pad) & (since <= window.ends + pad)
            base = np.flatnonzero(is_near | (since == TIMELESS))
        # A window is a crowd in time: the hour of the day says something only where it spans more than a day, and where
        # what holds has an hour too.
        is_long = window.ends - window.starts > _micro(timedelta(days=1))
        tells_hour = is_long and not (since[base] == TIMELESS).any()
        tried = {name: code for name, code in codes.items() if name != "hour" or tells_hour}
        hits = np.isin(base, mine)
        named = False
        while hits.sum() >= LEAST and (
            best := _best(tried, factors, _Base(base, is_broken[base], hits, weight[base]), len(each.windows))
        ):
            later = best.mask & ~is_broken[base] & (since[base] >= window.starts)
            a, (_, _, c, d) = int((best.mask & hits).sum()), best.counts
            yield Group(
                each.rule,
                *told(base[best.mask & hits]),
                best.factor,
                best.value,
                (a, a + int(weight[base][later].sum()), c, d),  # of those that hold, the ones from its beginning on
                best.lift,
                best.chance,
            )
            base, hits, named = base[~best.mask], hits[~best.mask], True
        if has_clock and not named and (odd := _by_time(window, len(each.windows))):
            counts, lift, chance = odd
            yield Group(each.rule, *told(mine), TIME_FACTOR, None, counts, lift, chance)


class _Base(NamedTuple):
    """The rows that a window is compared with: their places, which are broken, which are its findings, their weight."""

    rows: Numbers
    is_broken: Mask
    hits: Mask
    weight: Numbers


def _codes(value: pl.Series) -> Numbers:
    """A number for each value, -1 for none."""
    ranks = value.rank("dense").cast(pl.Int64).fill_null(0) - 1
    return ranks.to_numpy()


def _best(codes: Mapping[str, Numbers], factors: Mapping[str, pl.Series], base: _Base, windows: int) -> Tested | None:
    """The value, or the pair of values, that is likeliest to be the cause: docs/definitions.md, Incidents, step by step."""
    at_least = max(LEAST, int(np.ceil(_SHARE * base.hits.sum())))
    singles: list[tuple[str, str, Mask, tuple[Mask, ...]]] = []
    for name, code in codes.items():
        here = code[base.rows]
        shared = here[base.hits & (here >= 0)]
        if shared.size and (count := np.bincount(shared)).max() >= at_least:
            mask = here == int(count.argmax())
            singles.append((name, str(factors[name][int(base.rows[np.flatnonzero(mask)[0]])]), mask, ()))
    # A pair that covers so many is made of two that do.
    pairs: list[tuple[str, str, Mask, tuple[Mask, ...]]] = [
        (f"{a}, {b}", f"{x}, {y}", both, (m, n)) for (a, x, m, _), (b, y, n, _) in combinations(singles, 2)
        if (base.hits & (both := m & n)).sum() >= at_least
    ]  # fmt: skip
    likely = [t for each in (*singles, *pairs) if (t := _tested(base, *each)).lift >= _LIFT]
    likely = [t for t in (_with_chance(t, base) for t in likely) if t.chance < _BY_CHANCE]
    if not likely:
        return None
    bound = _BY_CHANCE / (_values_tried(codes, base.rows) * windows)  # each window was a chance to err, too
    causes = [t for t in likely if t.chance < bound and all(_explains_more(t, part, base, bound) for part in t.parts)]
    return max(causes, key=lambda t: (t.lift, -t.size, t.covered), default=None)


def _explains_more(pair: Tested, part: Mask, base: _Base, bound: float) -> bool:
    """Whether among the rows that share one half of a pair it is the other half that tells which are broken.

    A few findings always share some half of everything twice over: a pair is rare enough to look guilty by that alone.
    """
    inside = _Base(base.rows[part], base.is_broken[part], base.hits[part], base.weight[part])
    there = _tested(inside, pair.factor, pair.value, pair.mask[part], ())
    return there.lift >= _LIFT and _with_chance(there, inside).chance < bound


def _tested(base: _Base, factor: str, value: str, mask: Mask, parts: tuple[Mask, ...]) -> Tested:
    a, b = int((mask & base.is_broken).sum()), int(base.weight[mask].sum())
    c, d = int(base.is_broken.sum()) - a, int(base.weight.sum()) - b
    lift = ((a + 0.5) / (b + 1)) / ((c + 0.5) / (d + 1))
    covered = int((base.hits & mask).sum())
    return Tested(factor, value, mask, lift, (a, b, c, d), len(parts) or 1, covered, parts=parts)


def _with_chance(tested: Tested, base: _Base) -> Tested:
    """Its probability among the rows that were asked: those that they stand for prove nothing more."""
    (a, _, c, _), b = tested.counts, int(tested.mask.sum())
    return tested._replace(chance=tail(a, b, c, base.rows.size - b))


def tail(a: int, b: int, c: int, d: int) -> float:
    """P(X >= a) where of b + d rows a + c are broken and b are drawn: how likely so many are by chance."""
    whole, broken = b + d, a + c
    if a * whole <= b * broken:
        return 1.0  # no more than is to be expected: nothing to explain
    term = total = exp(_log_choose(broken, a) + _log_choose(whole - broken, b - a) - _log_choose(whole, b))
    for x in range(a, min(b, broken)):
        term *= (broken - x) * (b - x) / ((x + 1) * (whole - broken - b + x + 1))
        total += term
        if term < total * _NEGLIGIBLE:
            break
    return min(1.0, total)


def _log_choose(whole: int, part: int) -> float:
    return lgamma(whole + 1) - lgamma(part + 1) - lgamma(whole - part + 1)


def _values_tried(codes: Mapping[str, Numbers], base: Numbers) -> int:
    """Values and pairs that rows enough have to be blamed at all: those that can't be don't count against the rest."""
    here = {name: code[base] for name, code in codes.items()}
    count = sum(int((np.bincount(code[code >= 0], minlength=1) >= LEAST).sum()) for code in here.values())
    for one, other in combinations(here.values(), 2):
        both = (one >= 0) & (other >= 0)
        pairs = np.unique(one[both] * (int(other.max(initial=0)) + 1) + other[both], return_counts=True)[1]
        count += int((pairs >= LEAST).sum())
    return max(count, 1)


def _by_time(window: Window, windows: int) -> tuple[tuple[int, int, int, int], float, float] | None:
    """Counts, lift and chance of a window in which nothing is shared but the time, if far more is broken than before.

    The first and the last finding drew the window's edges, so they prove nothing; and each window was a chance to err.
    """
    a, b, c, d = counts = (window.broken, window.judged, window.before_broken, window.before_judged)
    if d == 0 or a * d < _LIFT * c * b or (chance := tail(a - 2, b - 2, c, d) * windows) >= _BY_CHANCE:
        return None
    return counts, ((a + 0.5) / (b + 1)) / ((c + 0.5) / (d + 1)), chance
