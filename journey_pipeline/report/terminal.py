"""What the terminal says at the end of a run: what was read, what broke, and where to look. Fits 100 columns.

The same figures and words as the page; like it, without personal data.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import polars as pl
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from journey_pipeline.model import Business, Rule
from journey_pipeline.report import figures, words
from journey_pipeline.report.figures import RuleState, Story

WIDTH = 100
STORIES = 5  # that are told here; the page and `journey findings` have all
_STYLES = {"critical": "bold red", "warning": "yellow", "info": "blue"}


def summary(
    tables: Mapping[str, pl.LazyFrame],
    *,
    business: Business,
    rules: Sequence[Rule] = (),
    as_of: datetime,
    console: Console,
    paths: Mapping[str, str] | None = None,
) -> None:
    """Print the day. `paths`: where the page, the warehouse and the like are, by name."""
    today = figures.today(as_of, business.zone)
    findings = figures.open_findings(tables, today, business.currency)
    states = figures.rule_states(tables, rules, findings, today, business.currency)
    unjudged = [s for s in states if s.gate in ("closed", "partial")]
    untrusted = [s for s in figures.sources(tables) if s["status"] != "fresh"]
    totals = figures.totals(findings, business.currency)
    strong, rest = words.headline(
        broken=findings.height,
        new=findings.filter(figures.is_new(today)).height,
        at_risk=words.amounts(totals.at_risk),
        is_judged=bool(states),
        is_whole=not unjudged and not untrusted,
    )
    local = as_of.astimezone(business.zone)
    parts: list[RenderableType | None] = [
        Text.assemble((business.name, "bold"), f", {local:%A} {local.day} {local:%B %Y, %H:%M} {business.timezone}"),
        _read(tables),
        Text.assemble((strong, "bold"), (rest, "bold")),
        _happened(figures.stories(tables, findings, business.currency)),
        _broken([s for s in states if s.open]),
        _open_questions(unjudged, untrusted),
        _whereabouts(paths or {}),
    ]
    for part in parts:
        if part is not None:
            console.print(Padding(part, (1, 0, 0, 0)), width=min(WIDTH, console.width))


def _read(tables: Mapping[str, pl.LazyFrame]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(style="dim")
    for platform, kinds in figures.records(tables).items():
        grid.add_row(platform, f"{sum(kinds.values()):,}", ", ".join(f"{n:,} {kind}" for kind, n in kinds.items()))
    for name in ("people", "buyer_journeys"):
        grid.add_row(words.plain(name), f"{figures.size(tables, name):,}", style="bold")
    return grid


def _happened(stories: Sequence[Story]) -> Text | None:
    """What lies behind many findings at once, the gravest and largest first."""
    if not stories:
        return None
    lines = [Text("What happened", style="bold")]
    lines += [
        Text(str(words.private(f"  {s.incidents[0].sentence}")), style=_STYLES.get(s.severity, ""))
        for s in stories[:STORIES]
    ]
    if len(stories) > STORIES:
        lines.append(
            Text(f"  and {words.count(len(stories) - STORIES, 'more incident')}: journey findings", style="dim")
        )
    return Text("\n").join(lines)


def _broken(states: list[RuleState]) -> Table | None:
    if not states:
        return None
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("What broke", ratio=1)
    table.add_column("Open", justify="right")
    table.add_column("New", justify="right")
    table.add_column("At risk", justify="right", no_wrap=True)
    table.add_column("Owner")
    for s in states:
        money = [words.money(m.amount_minor, m.currency) for m in s.totals.at_risk]
        money += [f"{words.money(m.amount_minor, m.currency)} expected" for m in s.totals.expected]
        claim = Text(s.claim or words.plain(s.name), style=_STYLES.get(s.severity, ""))
        table.add_row(claim, f"{s.open:,}", f"{s.new:,}" if s.new else "", "\n".join(money), words.team(s.owner))
    return table


def _open_questions(unjudged: list[RuleState], untrusted: list[dict[str, str]]) -> Text | None:
    if not unjudged and not untrusted:
        return None
    lines = [Text("Not everything could be judged", style="bold yellow")]
    lines += [
        Text(str(words.private(f"  {s['platform']}.{s['resource']} is {s['status']}. {s['detail'] or ''}".rstrip())))
        for s in untrusted
    ]
    if unjudged:
        names = words.listed([s.name for s in unjudged])
        lines.append(Text(f"  Left open by that, wholly or in part: {names}."))
    return Text("\n").join(lines)


def _whereabouts(paths: Mapping[str, str]) -> Table | None:
    if not paths:
        return None
    grid = Table.grid(padding=(0, 2))
    for name, where in paths.items():
        grid.add_row(Text(name, style="dim"), Text(where, overflow="fold"))
    return grid
