"""One day's evaluation: every rule over its table, the counts and gates, and all that is known of each broken row.

How a verdict is decided is verdicts'; what becomes of a broken row from day to day is findings'.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from journey_pipeline.invariants import (
    causes,
    crowds,
    evidence,
    language,
    money,
    sources,
    subjects,
    twins,
    verdicts,
    waivers,
)
from journey_pipeline.invariants.judged import NONE, Due, Judged
from journey_pipeline.invariants.sources import Says, SourceNeeds
from journey_pipeline.invariants.waivers import Waivers
from journey_pipeline.model import Rule, Settings
from journey_pipeline.registry import TABLES, TEXT, TIME, VERDICTS

Tables = Mapping[str, pl.LazyFrame]

_REASONS = pl.Schema({"invariant": TEXT, "verdict": TEXT, "verdict_reason": TEXT, "rows": pl.Int64()})
_MANY = 50  # records of a kind; of fewer, none may have a column by chance
_AT_ONCE = 4  # tables or rules; most of the work on one is polars' and numpy's, which let others run meanwhile
_WHAT = ("person_id", "offer_id", "identity_confidence", "is_test")
_RECORD = ("platform", "record_id", "url", "occurred_at")


@dataclass(frozen=True)
class Judging:
    """What one day's verdicts are judged with: fixed once per run."""

    rules: Mapping[str, Rule]
    settings: Settings
    as_of: datetime
    sources: SourceNeeds
    waivers: Waivers
    changes: pl.DataFrame
    untold: frozenset[str] = frozenset()
    """`kind.column`s that no platform tells of anybody."""

    @property
    def zone(self) -> ZoneInfo:
        return self.settings.business.zone

    @cached_property
    def day_on(self) -> date:
        """The day of the verdicts: that of `as_of` where the business is."""
        return self.as_of.astimezone(self.zone).date()

    def gate(self, rule: Rule) -> tuple[str, str | None]:
        """`off` or `not_covered`, and why; `open` where the rule can be asked at all."""
        if rule.name in self.settings.off:
            return "off", self.settings.off[rule.name]
        lacking = [] if rule.never_unknown else [k for k in _firm(rule) if not self.sources.is_covered(k)]
        some = [kind.strip("()") for kind in verdicts.needs(rule)]
        if some and not _firm(rule) and not any(self.sources.is_covered(kind) for kind in some):
            return "not_covered", f"no platform says {' or '.join(some)}"
        if lacking:
            return "not_covered", f"no platform says {' or '.join(lacking)}"
        untold = [told for told in rule.tells if told in self.untold]
        return ("not_covered", f"no platform tells {' or '.join(untold)}") if untold else ("open", None)

    def steps(self, rule: Rule, columns: Iterable[str]) -> verdicts.Steps:
        return verdicts.steps(
            rule,
            tuple(columns),
            zone=self.zone,
            sources=self.sources,
            thresholds=self.settings.thresholds,
        )

    def judge(self, rule: Rule, frame: pl.LazyFrame) -> pl.LazyFrame:
        """`verdicts.judge` with all that is fixed for the day."""
        return verdicts.judge(
            rule,
            frame,
            as_of=self.as_of,
            zone=self.zone,
            sources=self.sources,
            thresholds=self.settings.thresholds,
            waivers=self.waivers,
        )


@dataclass(frozen=True)
class Evaluation:
    """`verdicts`: per table its key and one column per rule. `broken`: rows of finding_days, all of them broken.

    `reasons` counts why rows are excused or unknown; `judging` is what it was all judged with. `crowds`: where
    incidents are looked for.
    """

    judging: Judging
    verdicts: Mapping[str, pl.DataFrame]
    broken: pl.DataFrame
    reasons: pl.DataFrame
    invariant_days: pl.DataFrame
    crowds: tuple[crowds.Crowd, ...]


class _Found(NamedTuple):
    """What a rule's verdicts come to: the rows that break it, why others are excused or unknown, how many of each."""

    broken: pl.DataFrame
    crowd: crowds.Crowd | None
    reasons: pl.DataFrame
    counts: Mapping[str, Counter[str]]


def evaluate(
    tables: Tables,
    *,
    rules: Sequence[Rule],
    settings: Settings,
    says: Says,
    as_of: datetime,
    waived: pl.DataFrame | None = None,
    rebuilt: twins.Rebuilt | None = None,
) -> Evaluation:
    """Judge every rule on its table. `waived`: the lines of the waivers file (`waivers.SCHEMA`).

    `rebuilt` makes the tables of a few people taken for others; without it, whatever has a twin and seems broken is unknown.
    """
    judging = judging_of(tables, rules=rules, settings=settings, says=says, as_of=as_of, waived=waived)
    asked = [rule for rule in judging.rules.values() if judging.gate(rule)[0] == "open"]
    asked_of = {table: [r for r in asked if r.on == table] for table in dict.fromkeys(r.on for r in asked)}

    def looked_into(rule: Rule) -> _Found:
        due = judged[rule.on].due(rule)
        rows = _broken_rows(rule, judged[rule.on], due, judging)
        crowd = crowds.crowd(rule, rows, judged[rule.on], due)
        return _Found(rows, crowd, _reasons(rule, judged[rule.on]), _counts(rule, judged[rule.on], judging))

    # Tables and rules know nothing of each other, and what is asked of one at a time leaves the other core idle.
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        of_table = threads.map(lambda table: _judge_table(table, tables, asked_of[table], judging), asked_of)
        judged = dict(zip(asked_of, of_table, strict=True))
        if rebuilt is not None:
            judged = twins.judged_again(judged, asked, judging, rebuilt)
        judged = {table: _with_waivers(of, asked_of[table], judging.waivers) for table, of in judged.items()}
        found = dict(zip((rule.name for rule in asked), threads.map(looked_into, asked), strict=True))
        records = subjects.Records(tables, _wanted(asked, {name: of.broken for name, of in found.items()}))
        broken = list(threads.map(lambda rule: _described(rule, found[rule.name].broken, records, judging), asked))
    all_broken = pl.concat([pl.DataFrame(schema=_BROKEN), *broken]).sort("finding_id")
    reasons = pl.concat([pl.DataFrame(schema=_REASONS), *(of.reasons for of in found.values())])
    return Evaluation(
        judging,
        {t: of.rows.select(*TABLES[t].key, *(r.name for r in asked_of[t])) for t, of in judged.items()},
        all_broken,
        reasons,
        _invariant_days(judging, {name: of.counts for name, of in found.items()}, all_broken, reasons),
        tuple(of.crowd for of in found.values() if of.crowd),
    )


def judging_of(
    tables: Tables,
    *,
    rules: Sequence[Rule],
    settings: Settings,
    says: Says,
    as_of: datetime,
    waived: pl.DataFrame | None = None,
) -> Judging:
    """What a day is judged with: the rules with the user's deadlines, the sources, the waivers that hold."""
    within = {name: {"within": duration} for name, duration in settings.deadlines.items()}
    known = tables["source_health"].collect()
    day = as_of.astimezone(settings.business.zone).date()
    changes = _collected(tables, "identity_changes")
    held = waivers.holding(
        pl.DataFrame(schema=waivers.SCHEMA) if waived is None else waived,
        day,
        keys=tables.get("person_keys"),
        changes=changes,
        country=settings.business.country,
    )
    return Judging(
        {rule.name: rule.model_copy(update=within.get(rule.name, {})) for rule in rules},
        settings,
        as_of,
        SourceNeeds(known, says, settings.offers),
        held,
        changes,
        _untold(tables, [told for rule in rules for told in rule.tells]),
    )


def _untold(tables: Tables, asked: Iterable[str]) -> frozenset[str]:
    """Those of the `kind.column`s that not one of many records has."""
    found: set[str] = set()
    for told in sorted(set(asked)):
        kind, _, column = told.partition(".")
        if kind in tables:
            counts = tables[kind].select(pl.len(), told=pl.col(column).count()).collect()
            if counts["len"].item() >= _MANY and counts["told"].item() == 0:
                found.add(told)
    return frozenset(found)


_BROKEN = pl.Schema({c: t for c, t in TABLES["finding_days"].schema.items() if c != "moved_from"})


def _collected(tables: Tables, name: str) -> pl.DataFrame:
    return tables[name].collect() if name in tables else pl.DataFrame(schema=TABLES[name].schema)


def _firm(rule: Rule) -> list[str]:
    return [kind for kind in verdicts.needs(rule) if not kind.startswith("(")]


def _judge_table(table: str, tables: Tables, rules: Sequence[Rule], judging: Judging) -> Judged:
    """The columns of a table that its rules read, and one verdict column per rule."""
    frame = twins.prepared(table, tables)
    there = frame.collect_schema().names()
    read = _columns_read(rules)
    columns = [c for c in there if c in read]
    steps = {rule.name: judging.steps(rule, columns) for rule in rules}
    rows = (
        frame.select(columns)
        .with_columns(as_of=pl.lit(judging.as_of, dtype=TIME))
        .with_columns(found.verdict.alias(name) for name, found in steps.items())
        .collect()
        .with_row_index("row")
    )
    return Judged(rows, steps)


def _with_waivers(judged: Judged, rules: Sequence[Rule], held: Waivers) -> Judged:
    if held.is_empty:
        return judged
    return Judged(judged.rows.with_columns(_waived(rule, judged, held) for rule in rules), judged.steps)


def _columns_read(rules: Sequence[Rule]) -> set[str]:
    table = rules[0].on
    texts = [
        text
        for rule in rules
        for text in (
            rule.when, rule.then, rule.since or "", rule.at_risk or "", *rule.unless.values(), *rule.causes.values(),
            *(sources.REFERS.get((table, kind.strip("()")), "") for kind in verdicts.needs(rule)),
        )
    ]  # fmt: skip
    over_records = [
        text
        for rule in rules
        for text in (*rule.causes.values(), *rule.records.values(), *(which for _, which in money.asks(rule)))
    ]
    named = [c for text in texts for c in language.columns(text, table)]
    named += [c for text in over_records for c in subjects.row_columns(text)]
    named += [c for rule in rules for c in (*evidence.facts(rule), *language.placeholders(rule.fix))]
    always = (
        *TABLES[table].key,
        *(column for columns in crowds.OWN.values() for column in columns),
        *_WHAT,
        *_RECORD,
        "twin_person_id",
        "currency",
        "agreed_currency",
        "access_platform",
        "money_at",
    )
    return {*named, *always}


def _waived(rule: Rule, judged: Judged, held: Waivers) -> pl.Expr:
    covered = held.covering(rule, judged.having(rule, "pending", "broken"))
    excused = pl.lit("excused", dtype=verdicts.VERDICT)
    return pl.when(pl.col("row").is_in(covered["row"].implode())).then(excused).otherwise(rule.name).alias(rule.name)


def _broken_rows(rule: Rule, judged: Judged, due: Due, judging: Judging) -> pl.DataFrame:
    """The rows that break a rule, each with its finding, its money and the cause that it shares with others."""
    found = judged.steps[rule.name]
    rows = (
        judged.having(rule, "broken", columns={"row", "as_of", *_columns_read([rule])} & set(judged.rows.columns))
        .with_columns(
            since=found.since,
            deadline=found.deadline,
            subject=waivers.subject(rule.on),
            at_risk_minor=money.amount(rule),
            risk_currency=money.currency(rule, judging.settings),
        )
        .with_columns(finding_id=waivers.finding_id(rule.name))
    )
    if rule.since is None or rows.is_empty():
        return rows.with_columns(shared_cause=pl.lit(None, dtype=TEXT))
    return rows.join(causes.shared(rule, judged, due, judging.as_of), on="row", how="left", maintain_order="left")


def _wanted(asked: Sequence[Rule], broken: Mapping[str, pl.DataFrame]) -> dict[str, subjects.Wanted]:
    """Whose records are asked for, kind by kind, to describe what is broken."""
    wanted: dict[str, subjects.Wanted] = {}
    for rule in asked:
        rows = broken[rule.name]
        tests = [test for text in rule.causes.values() if (test := causes.record_test(text))]
        for kind, text in (*rule.records.items(), *tests, *money.asks(rule)):
            of_kind = wanted.setdefault(kind, subjects.Wanted())
            of_kind.columns.update(language.columns(text, kind))
            if rule.on == "products":
                of_kind.products.append(rows["product_ref"])
            else:
                of_kind.people.append(rows["person_id"])
    return wanted


def _described(rule: Rule, rows: pl.DataFrame, records: subjects.Records, judging: Judging) -> pl.DataFrame:
    """Broken rows as rows of finding_days."""
    if rows.is_empty():
        return pl.DataFrame(schema=_BROKEN)
    told = evidence.of(rule, rows, records, judging.sources)
    has_risk = pl.col("at_risk_minor").is_not_null()
    known = rows.drop(
        [c for c in ("platform", "record_id", "url") if c in rows.columns and "record_id" in rows.columns]
    )
    found = (
        known.join(told.drop([c for c in ("platform",) if c in known.columns]), on="row", how="left", validate="1:1")
        .join(causes.likely(rule, rows, records), on="row", how="left", validate="1:1")
        .join(money.refs(rule, rows, records), on="row", how="left", validate="1:1")
        .with_columns(
            invariant=pl.lit(rule.name),
            broken_since_at="deadline",
            day_on=pl.lit(judging.day_on),
            verdict=pl.lit("broken"),
            severity=pl.lit(rule.severity),
            owner=pl.lit(rule.owner),
            at_risk_kind=pl.when(has_risk).then(pl.lit(rule.at_risk_kind, dtype=TEXT)),
            currency=pl.when(has_risk).then("risk_currency"),
            money_refs=pl.when(has_risk).then(pl.col("money_refs").fill_null([])),
        )
    )
    fixes = rows.select("row", fix=evidence.fix(rule, judging.sources))
    found = found.join(fixes, on="row", how="left", validate="1:1")
    missing = [pl.lit(None, dtype=t).alias(c) for c, t in _BROKEN.items() if c not in found.columns]
    return found.with_columns(missing).select(_BROKEN.names()).cast(_BROKEN)


def _reasons(rule: Rule, judged: Judged) -> pl.DataFrame:
    found = judged.steps[rule.name]
    reason = found.reason_of(pl.col(rule.name))
    return (
        judged.having(rule, "excused", "unknown", columns={*reason.meta.root_names()})
        .lazy()
        .select(
            invariant=pl.lit(rule.name),
            verdict=pl.col(rule.name).cast(TEXT),
            verdict_reason=reason.fill_null("waived"),
        )
        .group_by("invariant", "verdict", "verdict_reason")
        .agg(rows=pl.len().cast(pl.Int64))
        .collect()
        .sort("verdict", "verdict_reason")
    )


def _invariant_days(
    judging: Judging,
    counted: Mapping[str, Mapping[str, Counter[str]]],
    broken: pl.DataFrame,
    reasons: pl.DataFrame,
) -> pl.DataFrame:
    """One row per rule and currency; each judged row is counted once, under the currency of its amount.

    `counted`: of each rule that was asked, rows by currency and verdict.
    """
    risk = money.per_ref(broken, ["invariant", "currency"]).rename({"amount_minor": "at_risk_minor"})
    days = []
    for rule in judging.rules.values():
        gate, why = judging.gate(rule)
        counts = counted.get(rule.name, {judging.settings.business.currency: Counter()})
        if gate == "open":
            gate, why = _gate(rule, sum(of.total() for of in counts.values()), reasons, judging.sources)
        days += [
            {
                "invariant": rule.name, "day_on": judging.day_on, "severity": rule.severity, "owner": rule.owner,
                "gate": gate, "gate_reason": why, "currency": currency, "evaluated": of.total() - of["unknown"],
                "held": of["holds"], **{word: of[word] for word in VERDICTS}, "at_risk_kind": rule.at_risk_kind,
            }
            for currency, of in counts.items()
        ]  # fmt: skip
    schema = TABLES["invariant_days"].schema
    told = {column: dtype for column, dtype in schema.items() if column != "at_risk_minor"}
    return (
        pl.DataFrame(days, schema=told)
        .join(risk, on=["invariant", "currency"], how="left", validate="1:1")
        .with_columns(pl.when(pl.col("at_risk_kind").is_not_null()).then(pl.col("at_risk_minor").fill_null(0)))
        .match_to_schema(schema)
    )


def _counts(rule: Rule, judged: Judged, judging: Judging) -> dict[str, Counter[str]]:
    """How many rows have each verdict, by the currency of their amount: the business's first, then in order."""
    home, currency = judging.settings.business.currency, money.currency(rule, judging.settings)
    if not currency.meta.root_names():
        counts = np.bincount(judged.codes(rule), minlength=NONE)[:NONE].tolist()
        return {home: Counter(dict(zip(VERDICTS, counts, strict=True)))}
    grouped = (
        judged.rows.lazy()
        .select(currency.alias("currency"), pl.col(rule.name).alias("verdict"))
        .drop_nulls("verdict")
        .group_by("currency", "verdict")
        .len()
        .sort("currency")
        .collect()
    )
    found = {home: Counter[str]()}
    for named, verdict, count in grouped.iter_rows():
        found.setdefault(named, Counter())[verdict] = count
    return found


def _gate(rule: Rule, spoken_of: int, reasons: pl.DataFrame, known: SourceNeeds) -> tuple[str, str | None]:
    by_source = reasons.filter(
        (pl.col("invariant") == rule.name) & pl.col("verdict_reason").str.starts_with("source:")
    ).sort("rows", "verdict_reason", descending=[True, False])
    unknown = by_source["rows"].sum()
    if unknown:
        return ("closed" if unknown == spoken_of else "partial"), known.state(by_source["verdict_reason"][0])
    if spoken_of == 0 and not rule.never_unknown and (reason := known.need(_firm(rule), (), None).reason):
        return "closed", known.state(reason)
    return "open", None
