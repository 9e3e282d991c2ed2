"""The verdict of a row (docs/definitions.md, Verdicts): for one rule, one row and one `as_of`, the first test that applies decides.

Pure expressions and frames. Which sources a row needs is sources'; what a verdict leads to is evaluation's.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from journey_pipeline.invariants import language
from journey_pipeline.invariants.sources import SourceNeeds, behind, of_rows
from journey_pipeline.invariants.waivers import Waivers
from journey_pipeline.model import Rule, Thresholds, as_timedelta
from journey_pipeline.registry import TABLES, TEXT, TIME, VERDICTS

VERDICT = pl.Enum(VERDICTS)


@dataclass(frozen=True)
class Steps:
    """The verdict of each row of a frame that has an `as_of` column, and what it rests on, as expressions."""

    verdict: pl.Expr
    why_unknown: pl.Expr
    why_excused: pl.Expr
    since: pl.Expr
    deadline: pl.Expr

    def reason_of(self, verdict: pl.Expr) -> pl.Expr:
        """Why a verdict is unknown or excused; null for any other, and where only a waiver excuses."""
        return pl.when(verdict == "unknown").then(self.why_unknown).when(verdict == "excused").then(self.why_excused)

    @property
    def reason(self) -> pl.Expr:
        return self.reason_of(self.verdict)


def needs(rule: Rule) -> tuple[str, ...]:
    """The kinds that the rule can't be judged without, brackets kept; by default those behind its columns."""
    if rule.needs is not None:
        return rule.needs
    texts = (rule.when, rule.then, rule.since or "", *rule.unless.values())
    return behind([c for text in texts for c in language.columns(text, rule.on)], rule.on)


def steps(
    rule: Rule, columns: Collection[str], *, zone: ZoneInfo, sources: SourceNeeds, thresholds: Thresholds
) -> Steps:
    """The steps of docs/definitions.md, Verdicts, as expressions; `columns` are those that the frame has."""
    asked = () if rule.never_unknown else needs(rule)
    shown_by = [kind.strip("()") for kind in behind(language.columns(rule.then, rule.on), rule.on)]
    row = of_rows(rule, asked, shown_by, sources, has_offer="offer_id" in columns and not rule.every_source)
    speaks, holds = _is(rule.when), _is(rule.then)
    if "is_test" in columns:
        speaks &= ~pl.col("is_test").fill_null(value=False)
    is_unsure = _never()
    if "identity_confidence" in columns:
        is_unsure = (pl.col("identity_confidence") < thresholds.identity_sure).fill_null(value=False)
    is_asked = "twin_person_id" in columns and not rule.judges_identity
    twin = pl.col("twin_person_id") if is_asked else pl.lit(None, dtype=TEXT)
    since = pl.col(rule.since) if rule.since else pl.lit(None, dtype=TIME)
    deadline = after(since, rule.within or "0", zone)
    excuses = [(reason, _is(text)) for reason, text in rule.unless.items()]
    # What had to be shown may have been shown at the first purchase already, however new the present one is. A rule
    # without grace is about a misdeed: it was shown when it happened, or never.
    is_owed = "money_at" in columns and rule.within not in (None, "0")
    first = pl.min_horizontal(since, "money_at") if is_owed else since
    if row.history_from is not None:
        excuses.append(("before_history", (first < row.history_from).fill_null(value=False)))
    until = pl.col("as_of") if row.until is None else pl.min_horizontal("as_of", row.until)
    is_in_time = (until <= _deadline_of_recent(since, rule.within or "0", zone, until)).fill_null(value=False)

    def word(verdict: str) -> pl.Expr:
        return pl.lit(verdict, dtype=VERDICT)

    is_excused = pl.any_horizontal(excuse for _, excuse in excuses) if excuses else _never()
    is_unknown = is_unsure if row.reason is None else row.reason.is_not_null() | is_unsure
    verdict = (
        pl.when(~speaks).then(pl.lit(None, dtype=VERDICT))
        .when(is_unknown).then(word("unknown"))
        .when(holds).then(word("holds"))
        .when(is_excused).then(word("excused"))
        .when(is_in_time).then(word("pending"))
        .when(twin.is_not_null()).then(word("unknown"))
        .otherwise(word("broken"))
    )  # fmt: skip
    by_twin = pl.concat_str(pl.lit("identity:"), twin)
    none = pl.lit(None, dtype=TEXT)
    why_unknown = pl.coalesce(
        none if row.reason is None else row.reason, pl.when(is_unsure).then(pl.lit("identity")), by_twin
    )
    why_excused = pl.coalesce(none, *(pl.when(excuse).then(pl.lit(name)) for name, excuse in excuses))
    return Steps(verdict, why_unknown, why_excused, since, deadline)


def judge(
    rule: Rule,
    frame: pl.LazyFrame,
    *,
    as_of: datetime,
    zone: ZoneInfo,
    sources: SourceNeeds,
    thresholds: Thresholds,
    waivers: Waivers | None = None,
) -> pl.LazyFrame:
    """The table's key with `verdict`, `verdict_reason`, `deadline` and `since` of every row of `frame`."""
    schema = frame.collect_schema()
    found = steps(rule, schema.names(), zone=zone, sources=sources, thresholds=thresholds)
    keys = [c for c in dict.fromkeys((*TABLES[rule.on].key, "person_id")) if c in schema]
    judged = frame.with_columns(as_of=pl.lit(as_of, dtype=TIME)).select(
        *keys,
        verdict=found.verdict,
        verdict_reason=found.reason,
        deadline=found.deadline,
        since=found.since,
    )
    if waivers is None or waivers.is_empty:
        return judged
    return judged.map_batches(lambda rows: _waived(rule, rows, waivers), schema=judged.collect_schema())


def _waived(rule: Rule, rows: pl.DataFrame, waivers: Waivers) -> pl.DataFrame:
    indexed = rows.with_row_index("row")
    candidates = indexed.filter(pl.col("verdict").is_in(["pending", "broken"]))
    hit = pl.col("row").is_in(waivers.covering(rule, candidates)["row"].implode())
    return indexed.with_columns(
        verdict=pl.when(hit).then(pl.lit("excused", dtype=VERDICT)).otherwise("verdict"),
        verdict_reason=pl.when(hit).then(pl.lit("waived")).otherwise("verdict_reason"),
    ).drop("row")


def after(since: pl.Expr, within: str, zone: ZoneInfo) -> pl.Expr:
    """`since` plus a duration. Business days keep the local clock time; a weekend counts as Monday 00:00."""
    if not within.endswith("bd"):
        return since + as_timedelta(within)
    local = since.dt.convert_time_zone(zone.key).dt.replace_time_zone(None)
    weekday = local.dt.weekday()
    monday = local.dt.truncate("1d") + pl.duration(days=8 - weekday)
    start = pl.when(weekday > 5).then(monday).otherwise(local)  # noqa: PLR2004 - Friday is day 5
    due = start.dt.add_business_days(int(within.removesuffix("bd")))

    def placed(clock: pl.Expr) -> pl.Expr:
        return clock.dt.replace_time_zone(zone.key, ambiguous="earliest", non_existent="null")

    # A clock time that a change to summer time leaves out is the same instant an hour later by the clock.
    found = pl.coalesce(placed(due), placed(due + pl.duration(hours=1)))
    return found.dt.convert_time_zone("UTC")


def _deadline_of_recent(since: pl.Expr, within: str, zone: ZoneInfo, until: pl.Expr) -> pl.Expr:
    """The deadline where it can lie after `until`, else null: business days are slow to count, and most of a table is old."""
    if not within.endswith("bd"):
        return after(since, within, zone)
    longest = timedelta(days=2 * int(within.removesuffix("bd")) + 3)  # five of seven days, a weekend and a clock change

    def counted(recent: pl.Series) -> pl.Series:
        place = recent.is_not_null().arg_true()
        found = pl.select(after(pl.lit(recent.gather(place)), within, zone)).to_series()
        return pl.Series(recent.name, [None], TIME).new_from_index(0, recent.len()).scatter(place, found)

    return pl.when(since >= until - longest).then(since).map_batches(counted, return_dtype=TIME, is_elementwise=True)


def _is(text: str) -> pl.Expr:
    return language.condition(text).fill_null(value=False)


def _never() -> pl.Expr:
    return pl.lit(value=False)
