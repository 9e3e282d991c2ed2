"""What an owner is told: what is new, worse or over since they were last told anything. Text, without personal data.

What was told last is remembered by whoever sends; how a message travels is carry's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from journey_pipeline.invariants import totals
from journey_pipeline.model import Settings
from journey_pipeline.registry import SEVERITIES, TEXT
from journey_pipeline.report import words
from journey_pipeline.report.figures import Frames, frame

STATE = pl.Schema({"finding_id": TEXT, "severity": TEXT, "at_risk_minor": pl.Int64(), "currency": TEXT})
"""What is remembered of what somebody was told: their open findings, and how bad each was."""
_SHOWN = 3  # findings of a rule that are named one by one
_INCIDENTS = 5
_IS_OPEN = pl.col("status").is_in(["open", "reopened"])


@dataclass(frozen=True)
class Message:
    title: str
    body: str


@dataclass(frozen=True)
class _News:
    """The findings of one owner, parted by what is to be said of them."""

    open: pl.DataFrame
    new: pl.DataFrame
    worse: pl.DataFrame
    over: pl.DataFrame

    @property
    def is_any(self) -> bool:
        return any(part.height for part in (self.new, self.worse, self.over))


def state(tables: Frames, teams: Sequence[str]) -> pl.DataFrame:
    """What is open for some teams now, as it will be remembered."""
    return _findings(tables, teams).filter(_IS_OPEN).select(STATE.names()).cast(STATE).sort("finding_id")


def compose(
    tables: Frames,
    whom: str,
    teams: Sequence[str],
    told: pl.DataFrame | None,
    *,
    settings: Settings,
    claims: Mapping[str, str],
    as_of: datetime,
) -> Message | None:
    """The message of the day to whom these teams' findings concern; None where nothing has changed since `told`.

    `told`: what `state` was when they were last told something; None: never.
    """
    news = _news(_findings(tables, teams), pl.DataFrame(schema=STATE) if told is None else told)
    if not news.is_any:
        return None
    zone, home = settings.business.zone, settings.business.currency
    counts = {"new": news.new.height, "worse": news.worse.height, "resolved": news.over.height}
    changed = words.listed([f"{n:,} {word}" for word, n in counts.items() if n])
    title = f"{settings.business.name}, {words.team(whom)}: {changed}, {as_of.astimezone(zone):%A %-d %B}"

    def since(finding: Mapping[str, Any]) -> str:
        at = finding["broken_since_at"]
        return f", since {words.moment(at, as_of, zone)}" if at else ""

    offers = {offer.id: offer.name for offer in settings.offers}
    parts = [
        [_whole(news.open, home)],
        _part("New", news.new, claims, home, lambda f: _named(f, offers, since(f))),
        _part("Worse", news.worse, claims, home, lambda f: _named(f, offers, since(f))),
        _shared(tables, news.open),
        _part("Resolved", news.over, claims, home, None),
        _unjudged(tables, teams, claims),
        [f"The page: {settings.page_url}"] if settings.page_url else [],
        [f"The worklist: journey findings{f' --owner {teams[0]}' if len(teams) == 1 else ''}"],
    ]
    body = "\n\n".join("\n".join(part) for part in parts if part)
    return Message(str(words.private(title)), str(words.private(body)))


def _findings(tables: Frames, teams: Sequence[str]) -> pl.DataFrame:
    severity = pl.col("severity").replace_strict(SEVERITIES, range(len(SEVERITIES)), default=len(SEVERITIES))
    mine = frame(tables, "findings").filter(pl.col("owner").is_in(list(teams)))
    order: list[pl.Expr | str] = [severity, "invariant", -pl.col("at_risk_minor"), "broken_since_at", "finding_id"]
    return mine.sort(*order, nulls_last=True).collect()


def _news(findings: pl.DataFrame, told: pl.DataFrame) -> _News:
    before = told.drop_nulls("finding_id").select(
        "finding_id",
        was_severity="severity",
        was_minor="at_risk_minor",
        was_currency="currency",
        was_told=pl.lit(value=True),
    )
    known = findings.join(before, on="finding_id", how="left", validate="1:1", maintain_order="left")
    was_told = pl.col("was_told").fill_null(value=False)
    graver = _rank("severity") < _rank("was_severity")
    dearer = (pl.col("currency") == pl.col("was_currency")) & (
        pl.col("at_risk_minor") > pl.col("was_minor").fill_null(0)
    )
    is_open = known.filter(_IS_OPEN)
    return _News(
        open=is_open,
        new=is_open.filter(~was_told),
        worse=is_open.filter(was_told & (graver | dearer).fill_null(value=False)),
        over=known.filter(~_IS_OPEN & was_told),
    )


def _rank(column: str) -> pl.Expr:
    return pl.col(column).replace_strict(SEVERITIES, range(len(SEVERITIES)), default=None, return_dtype=pl.Int64())


def _whole(findings: pl.DataFrame, home: str) -> str:
    if findings.is_empty():
        return "Nothing is open any more."
    grave = findings.filter(pl.col("severity") == "critical").height
    money = _money(findings, home)
    return f"{words.count(findings.height, 'thing')} open, {grave} of them critical{f'; {money}' if money else ''}."


def _money(findings: pl.DataFrame, home: str) -> str:
    """Each payment once, currencies apart, sales that may never happen apart."""
    sums = totals(findings, first=home)
    said = {"at risk": "at_risk_minor", "of sales expected": "expected_minor"}
    amounts = {
        word: words.amounts(sums.filter(pl.col(column) > 0).select("currency", column).iter_rows())
        for word, column in said.items()
    }
    return ", ".join(f"{amount} {word}" for word, amount in amounts.items() if amount)


def _part(
    title: str, findings: pl.DataFrame, claims: Mapping[str, str], home: str,
    named: Callable[[Mapping[str, Any]], str] | None,
) -> list[str]:  # fmt: skip
    """A heading, and a line per rule; under it the first findings, where they are named."""
    lines = [title] if findings.height else []
    for (rule,), mine in findings.group_by("invariant", maintain_order=True):
        money = _money(mine, home) if named else ""
        severity = f"{mine['severity'][0]}: " if named else ""
        claim = claims.get(str(rule)) or words.plain(str(rule))
        lines.append(f"- {severity}{claim} {words.count(mine.height, 'case')}{f', {money}' if money else ''}")
        if named:
            lines += [f"    {named(finding)}" for finding in mine.head(_SHOWN).iter_rows(named=True)]
            lines += [f"    and {mine.height - _SHOWN:,} more"] if mine.height > _SHOWN else []
    return lines


def _named(finding: Mapping[str, Any], offers: Mapping[str, str], since: str) -> str:
    who = finding["person_id"] or finding["subject"] or ""
    offer = offers.get(finding["offer_id"] or "", finding["offer_id"])
    came_back = ", came back" if finding["status"] == "reopened" else ""
    link = words.link(finding["url"])
    return f"{who}{f', {offer}' if offer else ''}{since}{came_back}{f' {link}' if link else ''}"


def _shared(tables: Frames, findings: pl.DataFrame) -> list[str]:
    """What findings have in common, where that is known."""
    if "incidents" not in tables:
        return []
    mine = findings["incident_id"].drop_nulls().unique().implode()
    told = tables["incidents"].filter((pl.col("status") == "open") & pl.col("incident_id").is_in(mine)).collect()
    sentences = told.sort("finding_count", "incident_id", descending=[True, False])["sentence"].drop_nulls().to_list()
    return ["What they share", *(f"- {sentence}" for sentence in sentences[:_INCIDENTS])] if sentences else []


def _unjudged(tables: Frames, teams: Sequence[str], claims: Mapping[str, str]) -> list[str]:
    """Silence about these is no good news."""
    days = frame(tables, "invariant_days").filter(pl.col("owner").is_in(list(teams)))
    today = days.filter(pl.col("day_on") == pl.col("day_on").max(), pl.col("gate") == "closed")
    names = today.select(pl.col("invariant").unique(maintain_order=True)).collect().to_series()
    return (
        ["Could not be judged today", *(f"- {claims.get(name) or words.plain(name)}" for name in names)]
        if len(names)
        else []
    )


def notice(business: str, title: str, lines: Sequence[str]) -> Message:
    """Something about the program itself: a run that failed, sources that went stale."""
    return Message(str(words.private(f"{business}: {title}")), str(words.private("\n".join(lines))))
