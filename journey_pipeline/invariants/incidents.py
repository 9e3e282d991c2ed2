"""Incidents: findings of one rule with one likely cause, from day to day: their ids that stay, their end, their sentence.

How a crowd of findings is told to have one cause is crowds' (docs/definitions.md, Incidents).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import polars as pl

from journey_pipeline.invariants import money, waivers
from journey_pipeline.invariants.crowds import NEVER_WORKED, TIME_FACTOR, Group
from journey_pipeline.registry import SUMS, TABLES, TEXT

_ALL_THROUGH = {
    "offer": "all of {}", "product": "all of {}", "source": "all through {}", "target": "all on {}",
    "form": "all from the form {}", "campaign": "all from the campaign {}", "method": "all paid by {}",
    "template": "all with {}", "host": "all hosted by {}", "CRM owner": "all owned by {}", "hour": "all between {}",
}  # fmt: skip
_DAYS, _INCIDENTS = TABLES["incident_days"].schema, TABLES["incidents"].schema
_DESCRIPTION = tuple(c for c in _DAYS if c not in ("incident_id", "day_on"))


def days(groups: Sequence[Group], day_rows: pl.DataFrame, previous: pl.DataFrame, before: pl.DataFrame) -> tuple[
    pl.DataFrame, pl.DataFrame
]:  # fmt: skip
    """The day's rows of finding_days with their incident, and the day's rows of incident_days.

    `previous` are the findings folded from the days before, `before` the incident_days of those days.
    """
    was = _yesterdays(day_rows, previous)
    known = {row["incident_id"]: row for row in _newest(before).iter_rows(named=True)}
    broken = day_rows.filter(pl.col("verdict") == "broken")
    facts = {row["finding_id"]: row for row in broken.select("finding_id", "invariant", "broken_since_at").to_dicts()}
    told: dict[str, Group] = {}
    of: dict[str, str] = {}
    for group, incident_id in _with_ids([_still(g, facts) for g in groups], was, facts):
        told[incident_id] = group
        of |= dict.fromkeys(group.findings, incident_id)
    # What was in an incident yesterday and is in no other today stays in it.
    of = {f: i for f, i in was.items() if f in facts and i in known} | of
    rows = day_rows.with_columns(
        incident_id=pl.col("finding_id").replace_strict(list(of), list(of.values()), default=None, return_dtype=TEXT)
    )
    described = [_described(i, mine, told.get(i), known.get(i)) for (i,), mine in
                 rows.filter(pl.col("verdict") == "broken").drop_nulls("incident_id")
                 .partition_by("incident_id", as_dict=True).items()]  # fmt: skip
    return rows, pl.DataFrame(described, schema=_DAYS, orient="row").sort("incident_id")


def _still(group: Group, facts: Mapping[str, object]) -> Group:
    group.findings = sorted(f for f in group.findings if f in facts)
    return group


def _yesterdays(day_rows: pl.DataFrame, previous: pl.DataFrame) -> dict[str, str]:
    """Finding -> the incident that it was in yesterday, under the id that the finding has today."""
    held = previous.filter(pl.col("status") != "resolved").drop_nulls("incident_id")
    was = dict(held.select("finding_id", "incident_id").iter_rows())
    for finding, before in day_rows.drop_nulls("moved_from").select("finding_id", "moved_from").iter_rows():
        for old in before.split(","):
            if old in was:
                was.setdefault(finding, was[old])
    return was


def _newest(incident_days: pl.DataFrame) -> pl.DataFrame:
    return incident_days.sort("day_on").unique("incident_id", keep="last", maintain_order=True)


def _with_ids(
    groups: Sequence[Group], was: Mapping[str, str], facts: Mapping[str, Mapping[str, object]]
) -> Iterator[tuple[Group, str]]:
    """Each group with its id: that of yesterday's incident of which it holds most, else a new one; no id twice."""
    wanted = []
    for n, group in enumerate(groups):
        counts = Counter(was[f] for f in group.findings if f in was)
        wanted += [(-count, n, incident) for incident, count in counts.items()]
    taken: dict[int, str] = {}
    for _, n, incident in sorted(wanted):
        if n not in taken and incident not in taken.values():
            taken[n] = incident
    for n, group in enumerate(groups):
        if not group.findings:
            continue
        started = min(facts[f]["broken_since_at"] for f in group.findings)  # type: ignore[type-var]
        yield group, taken.get(n) or _new_id(group, started)  # type: ignore[arg-type]


def _new_id(group: Group, started: datetime) -> str:
    hour = started.replace(minute=0, second=0, microsecond=0)
    named = "|".join([group.rule.name, group.factor, group.value or "", hour.isoformat()])
    return str(waivers.hashed(pl.Series([named]))[0])


def _described(
    incident_id: str, findings: pl.DataFrame, group: Group | None, known: Mapping[str, object] | None
) -> dict[str, object]:
    """A row of incident_days. Without a group it goes on as it was, with the findings that are left."""
    causes = Counter(findings["cause"].drop_nulls().sort().to_list())
    old = dict(known or {})
    started = min(t for t in (findings["broken_since_at"].min(), old.get("started_at")) if t is not None)  # type: ignore[type-var]
    row: dict[str, object] = {c: old.get(c) for c in _DESCRIPTION} | {
        "incident_id": incident_id, "day_on": findings["day_on"][0], "invariant": findings["invariant"][0],
        "severity": findings["severity"][0], "owner": findings["owner"][0], "started_at": started,
        "finding_count": findings.height, "cause": causes.most_common(1)[0][0] if causes else None,
    }  # fmt: skip
    if group:
        a, b, c, d = group.counts
        row |= {
            "factor": group.factor, "factor_value": group.value, "lift": group.lift, "chance": group.chance,
            "factor_broken": a, "factor_judged": b, "elsewhere_broken": c, "elsewhere_judged": d,
            "happened_from_at": min(group.since, default=None), "happened_until_at": max(group.since, default=None),
        }  # fmt: skip
    return row


def fold_all(incident_days: pl.DataFrame, findings: pl.DataFrame, *, zone: ZoneInfo, home: str) -> pl.DataFrame:
    """Every incident as it stands after all days: open while one of its findings is unresolved. `home`: a currency."""
    if incident_days.is_empty():
        return pl.DataFrame(schema=_INCIDENTS)
    seen = incident_days.group_by("incident_id").agg(
        first_seen_on=pl.col("day_on").min(), last_seen_on=pl.col("day_on").max()
    )
    mine = findings.drop_nulls("incident_id")
    unresolved, is_open = pl.col("status") != "resolved", pl.col("status").is_in(["open", "reopened"])
    now = mine.group_by("incident_id").agg(
        is_over=~unresolved.any(), open_count=is_open.sum().cast(pl.Int64), ended_on=pl.col("resolved_on").max()
    )
    sums = _sums(mine.filter(is_open), home)
    folded = (
        _newest(incident_days)
        .join(seen, on="incident_id", validate="1:1")
        .join(now, on="incident_id", how="left", validate="1:1")
        .join(sums, on="incident_id", how="left", validate="1:1")
        .with_columns(pl.col("is_over").fill_null(value=True), finding_count=pl.col("open_count").fill_null(0))
        # An incident whose findings have all gone over to another one has ended with its last day.
        .with_columns(
            status=pl.when("is_over").then(pl.lit("ended")).otherwise(pl.lit("open")),
            ended_on=pl.when("is_over").then(pl.coalesce("ended_on", "last_seen_on")),
            **{c: pl.col(c).fill_null([]) for c in ("at_risk", "expected")},
        )
    )
    folded = _with_stories(folded)
    sentences = [sentence(row, zone) for row in folded.iter_rows(named=True)]
    return folded.with_columns(sentence=pl.Series(sentences, dtype=TEXT)).select(_INCIDENTS.names()).sort("incident_id")


def _sums(findings: pl.DataFrame, home: str) -> pl.DataFrame:
    """(incident_id, at_risk, expected): per currency, each payment counted once in its incident."""
    kind = (pl.col("at_risk_kind") == "expected").fill_null(value=False)
    sums = money.per_ref(findings.with_columns(is_expected=kind), ["incident_id", "currency", "is_expected"])
    each = pl.struct("currency", "amount_minor")
    return (
        sums.sort("incident_id", pl.col("currency") != home, "currency")
        .group_by("incident_id", maintain_order=True)
        .agg(at_risk=each.filter(~pl.col("is_expected")), expected=each.filter("is_expected"))
        .with_columns(pl.col("at_risk", "expected").cast(SUMS))
    )


def _with_stories(incidents: pl.DataFrame) -> pl.DataFrame:
    """One story: the same factor and value in several rules, at times that overlap. It bears the first one's id."""
    story: dict[str, str] = {}
    is_shared = pl.col("factor_value").is_not_null() & (pl.col("status") == "open")
    order = ["happened_from_at", "started_at", "incident_id"]
    for group in incidents.filter(is_shared).sort(order).partition_by("factor", "factor_value", maintain_order=True):
        lead, until = "", datetime.min  # noqa: DTZ901  compared with nothing
        for row in group.iter_rows(named=True):
            begins, ends = (row[c] or row["started_at"] for c in ("happened_from_at", "happened_until_at"))
            if not lead or begins > until:
                lead, until = row["incident_id"], ends
            story[row["incident_id"]], until = lead, max(until, ends)
    return incidents.with_columns(
        story_id=pl.col("incident_id").replace_strict(
            list(story), list(story.values()), default=pl.col("incident_id"), return_dtype=TEXT
        )
    )


def sentence(incident: Mapping[str, object], zone: ZoneInfo) -> str:
    """`31 of 37 since Thursday 14 May 14:05, all through shopify (elsewhere 2 of 410)`."""
    at = incident["started_at"]
    assert isinstance(at, datetime)  # noqa: S101  it always has begun
    local = at.astimezone(zone)
    since = f"since {local:%A} {local.day} {local:%b %H:%M}"
    if incident["cause"] == NEVER_WORKED:
        where = f": {incident['factor_value']}" if incident["factor_value"] else ""
        return f"{incident['finding_count']} {since}, and none ever held{where}"
    a, b, c, d = (incident[x] for x in ("factor_broken", "factor_judged", "elsewhere_broken", "elsewhere_judged"))
    if incident["factor"] == TIME_FACTOR:
        return f"{a} of {b} {since}, with nothing in common but the time (the 28 days before {c} of {d})"
    factors, values = str(incident["factor"]).split(", "), str(incident["factor_value"]).split(", ", maxsplit=1)
    # Of a colleague's address the name: what tells of an incident holds no address.
    shared = " and ".join(_ALL_THROUGH[f].format(v.partition("@")[0]) for f, v in zip(factors, values, strict=True))
    return f"{a} of {b} {since}, {shared} (elsewhere {c} of {d})"
