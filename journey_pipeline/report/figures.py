"""The figures that the page and the terminal show, from the published tables. No words, no markup."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from journey_pipeline.invariants.money import per_ref
from journey_pipeline.model import Rule
from journey_pipeline.registry import KINDS, RISK_KINDS, SEVERITIES, TABLES

Frames = Mapping[str, pl.LazyFrame]

IS_OPEN = pl.col("status").is_in(["open", "reopened"])
STEPS = (
    ("touched", "first_touch_at"), ("lead", "lead_at"), ("in the CRM", "crm_at"), ("booked", "booked_at"),
    ("met", "met_at"), ("proposed", "proposed_at"), ("signed", "signed_at"), ("won", "won_at"), ("paid", "paid_at"),
    ("has access", "access_at"), ("using it", "first_used_at"),
)  # fmt: skip
NEWS = timedelta(days=7)


class Money(NamedTuple):
    currency: str
    amount_minor: int


@dataclass(frozen=True)
class Totals:
    """Money at risk of some findings, per currency; sales that may never happen apart.

    A payment on which several findings stand counts once, with the greatest amount.
    """

    at_risk: tuple[Money, ...]
    expected: tuple[Money, ...]


@dataclass(frozen=True)
class RuleState:
    """How one invariant stands on the day: whether it could be judged, on how many rows, and what is open."""

    name: str
    claim: str
    severity: str
    owner: str
    gate: str
    gate_reason: str | None
    evaluated: int
    unknown: int
    open: int
    new: int
    totals: Totals


@dataclass(frozen=True)
class Step:
    """One step of the funnel: the people who reached it, and those of them who went on to any later one."""

    name: str
    reached: int
    went_on: int


class Incident(NamedTuple):
    """One rule's part in a story."""

    invariant: str
    severity: str
    owner: str
    cause: str
    sentence: str
    findings: int


@dataclass(frozen=True)
class Story:
    """Incidents that tell of one event: what comes first, and how many repairs wait behind that."""

    incidents: tuple[Incident, ...]
    totals: Totals
    first: tuple[str, ...]
    waiting: int

    @property
    def findings(self) -> int:
        return sum(incident.findings for incident in self.incidents)

    @property
    def severity(self) -> str:
        return min((incident.severity for incident in self.incidents), key=gravity)


def frame(tables: Frames, name: str) -> pl.LazyFrame:
    """A table, or an empty one of its schema where it was not made."""
    return tables.get(name, pl.LazyFrame(schema=TABLES[name].schema))


def today(as_of: datetime, zone: ZoneInfo) -> date:
    return as_of.astimezone(zone).date()


NOTHING = Totals((), ())


def totals(findings: pl.DataFrame, home: str) -> Totals:
    """Totals of all these findings together, the business's currency first."""
    return totals_by(findings.with_columns(all=pl.lit("all")), "all", home).get("all", NOTHING)


def totals_by(findings: pl.DataFrame, column: str, home: str) -> dict[str, Totals]:
    """Totals of each group for itself."""
    is_expected = (pl.col("at_risk_kind") == "expected").fill_null(value=False)
    sums = per_ref(findings.with_columns(is_expected=is_expected), [column, "currency", "is_expected"])
    found: dict[str, tuple[list[Money], list[Money]]] = {}
    for row in sums.sort(pl.col("currency") != home, "currency").iter_rows(named=True):
        group = found.setdefault(row[column], ([], []))
        group[row["is_expected"]].append(Money(row["currency"], row["amount_minor"]))
    return {name: Totals(tuple(certain), tuple(expected)) for name, (certain, expected) in found.items()}


def by_kind(findings: pl.DataFrame, home: str) -> dict[str, tuple[Money, ...]]:
    """Each kind of money at risk that there is, in the order of the registry."""
    kinds = totals_by(findings.filter(pl.col("at_risk_kind").is_not_null()), "at_risk_kind", home)
    return {kind: kinds[kind].expected or kinds[kind].at_risk for kind in RISK_KINDS if kind in kinds}


def open_findings(tables: Frames, day: date, home: str) -> pl.DataFrame:
    """Open and reopened findings: the gravest first, then the new, the dearest (the business's currency first), the oldest."""
    severity = pl.col("severity").replace_strict(SEVERITIES, range(len(SEVERITIES)), default=len(SEVERITIES))
    return (
        frame(tables, "findings")
        .filter(IS_OPEN)
        .sort(
            severity, ~is_new(day), pl.col("currency") != home, "currency", "at_risk_minor", "broken_since_at", "finding_id",
            descending=[False, False, False, False, True, False, False], nulls_last=True,
        )
        .collect()
    )  # fmt: skip


def waived(tables: Frames) -> pl.DataFrame:
    return frame(tables, "findings").filter(pl.col("status") == "waived").collect()


def is_new(day: date) -> pl.Expr:
    """First seen on the day. What came back is not new."""
    return (pl.col("first_seen_on") == day) & (pl.col("status") == "open")


def stories(tables: Frames, findings: pl.DataFrame, home: str) -> list[Story]:
    """What happened behind some open findings: open incidents, those of one event together, the gravest and largest first."""
    counts = findings.drop_nulls("incident_id").group_by("incident_id").agg(shown=pl.len().cast(pl.Int64))
    known = frame(tables, "incidents").filter(pl.col("status") == "open").collect().join(counts, on="incident_id")
    of = findings.join(known.select("incident_id", "story_id"), on="incident_id")
    money = totals_by(of, "story_id", home)
    repairs = frame(tables, "repairs").filter(pl.col("incident_id").is_not_null()).collect()
    repairs = repairs.join(known.select("incident_id", "story_id"), on="incident_id").sort("repair_id")
    told = []
    for (story,), part in known.sort("started_at", "incident_id").partition_by("story_id", as_dict=True).items():
        mine = repairs.filter(pl.col("story_id") == story)
        told.append(
            Story(
                tuple(
                    Incident(i["invariant"], i["severity"], i["owner"], i["cause"] or "", i["sentence"], i["shown"])
                    for i in part.to_dicts()
                ),
                money.get(str(story), NOTHING),
                tuple(mine.filter(pl.col("finding_id").is_null())["sentence"].unique(maintain_order=True)),
                mine.filter(pl.col("behind_repair_id").is_not_null()).height,
            )
        )
    return sorted(told, key=lambda s: (gravity(s.severity), -s.findings, s.incidents[0].sentence))


def rule_states(tables: Frames, rules: Sequence[Rule], findings: pl.DataFrame, day: date, home: str) -> list[RuleState]:
    """Every invariant that was asked on the day or has something open; broken ones first, gravest first."""
    judged = {
        row["invariant"]: row
        for row in frame(tables, "invariant_days")
        .filter(pl.col("day_on") == day)
        .group_by("invariant")
        .agg(pl.col("severity", "owner", "gate", "gate_reason").first(), pl.col("evaluated", "unknown").sum())
        .collect()
        .iter_rows(named=True)
    }
    claims = {rule.name: rule.claim for rule in rules}
    counts = {
        row["invariant"]: row
        for row in findings.group_by("invariant")
        .agg(pl.len().alias("open"), is_new(day).sum().alias("new"), pl.col("severity", "owner").first())
        .iter_rows(named=True)
    }
    money = totals_by(findings, "invariant", home)
    states = []
    for name in sorted(judged.keys() | counts.keys()):
        said, broken = judged.get(name, {}), counts.get(name, {"open": 0, "new": 0})
        severity, owner = (broken.get(c) or said.get(c) or "" for c in ("severity", "owner"))
        states.append(
            RuleState(
                name, claims.get(name) or "", severity, owner, said.get("gate") or "closed", said.get("gate_reason"),
                said.get("evaluated", 0), said.get("unknown", 0), broken["open"], broken["new"], money.get(name, NOTHING),
            )
        )  # fmt: skip
    return sorted(states, key=lambda s: (not s.open, gravity(s.severity), -s.open, s.name))


def gravity(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def funnel(tables: Frames) -> list[Step]:
    """Steps that anybody reached. People, not journeys: who takes two offers was a lead once."""
    milestones = [column for _, column in STEPS]
    last = pl.max_horizontal(*(pl.when(pl.col(c).is_not_null()).then(i) for i, c in enumerate(milestones)))
    people = (
        frame(tables, "buyer_journeys")
        .filter(~pl.col("is_test").fill_null(value=False))
        .group_by("person_id")
        .agg(pl.col(milestones).min())
        .with_columns(last.alias("last"))
        .select(
            *(pl.col(c).is_not_null().sum().alias(f"reached_{i}") for i, c in enumerate(milestones)),
            *(
                (pl.col(c).is_not_null() & (pl.col("last") > i)).sum().alias(f"on_{i}")
                for i, c in enumerate(milestones)
            ),
        )
        .collect()
        .row(0, named=True)
    )
    steps = [Step(name, people[f"reached_{i}"], people[f"on_{i}"]) for i, (name, _) in enumerate(STEPS)]
    return [step for step in steps if step.reached]


def offers(tables: Frames) -> list[dict[str, Any]]:
    """Of each offer that somebody paid for: how many paid, have access and use it, and how many went.

    `grants` and `tracked` tell whether access and use can be known of the offer at all.
    """
    reached = {"paid": "paid_at", "access": "access_at", "using": "first_used_at", "refunded": "refunded_at",
               "churned": "churned_at"}  # fmt: skip
    return (
        frame(tables, "buyer_journeys")
        .filter(~pl.col("is_test").fill_null(value=False), pl.col("paid_at").is_not_null())
        .group_by("offer_id")
        .agg(
            *(pl.col(column).is_not_null().sum().alias(name) for name, column in reached.items()),
            grants=pl.col("grants_expected").max(),
            tracked=pl.col("is_use_tracked").any(),
        )
        .sort("paid", "offer_id", descending=[True, False], nulls_last=True)
        .collect()
        .to_dicts()
    )


def sources(tables: Frames) -> list[dict[str, Any]]:
    """Every source, those that can't be trusted first."""
    order = ["failed", "partial", "stale", "fresh"]
    rank = pl.col("status").replace_strict(order, range(len(order)), default=0)
    return frame(tables, "source_health").sort(rank, "platform", "resource").collect().to_dicts()


def resolved(tables: Frames, day: date) -> list[dict[str, Any]]:
    """What was resolved in the last days, by rule and how."""
    return (
        frame(tables, "findings")
        .filter(pl.col("status") == "resolved", pl.col("resolved_on") > day - NEWS, pl.col("resolved_on") <= day)
        .group_by("invariant", "resolution")
        .agg(pl.len().alias("count"), pl.col("resolved_on").max())
        .sort("resolved_on", "count", "invariant", "resolution", descending=[True, True, False, False])
        .collect()
        .to_dicts()
    )


def records(tables: Frames) -> dict[str, dict[str, int]]:
    """How many records of each kind each platform told: platform -> kind -> records."""
    told: dict[str, dict[str, int]] = {}
    for kind in KINDS:
        for platform, n in frame(tables, kind).group_by("platform").len().sort("platform").collect().iter_rows():
            told.setdefault(platform, {})[kind] = n
    return dict(sorted(told.items()))


def size(tables: Frames, name: str) -> int:
    return int(frame(tables, name).select(pl.len()).collect().item())


def rejected(tables: Frames) -> list[dict[str, Any]]:
    """What could not be read, by where and why; the most frequent first."""
    return (
        frame(tables, "rejected_records")
        .group_by("platform", "resource", "reason")
        .agg(pl.len().alias("count"), pl.col("loaded_at").max())
        .sort("count", "platform", "resource", "reason", descending=[True, False, False, False])
        .collect()
        .to_dicts()
    )
