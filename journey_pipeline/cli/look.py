"""`journey findings`: the worklist in the terminal, or as rows for another program. One buyer's path is explain's."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from journey_pipeline.cli.screen import Format, console, say_rows
from journey_pipeline.cli.warehouse import Warehouse, opened
from journey_pipeline.errors import JourneyError, one_of
from journey_pipeline.invariants import totals
from journey_pipeline.registry import SEVERITIES, TABLES
from journey_pipeline.report import figures, words

STYLES = {"critical": "bold red", "warning": "yellow", "info": "blue"}
OVER = ("waived", "resolved")
_WORKLIST = """
select * from journey.findings
where ($everything or status in ('open', 'reopened'))
  and ($owner is null or owner = $owner)
  and ($invariant is null or invariant = $invariant)
"""
_KNOWN = """
select distinct invariant, owner from journey.findings
union select distinct invariant, owner from journey.invariant_days
"""
_UNJUDGED = """
select count(distinct invariant) as rules from journey.invariant_days
where day_on = $day_on and gate in ('closed', 'partial')
"""


def list_findings(
    *,
    owner: str | None,
    invariant: str | None,
    everything: bool,
    shape: Format,
    settings: Path | None,
    home: Path | None,
) -> int:
    with opened(settings, home) as warehouse:
        refuse_unknown(warehouse, owner=owner, invariant=invariant)
        found = warehouse.ask(_WORKLIST, everything=everything, owner=owner, invariant=invariant)
        ordered = found.sort(*worst_first(warehouse.currency), nulls_last=True).select(TABLES["findings"].columns)
        say_rows(ordered, shape, lambda rows: _print(rows, warehouse, is_narrowed=bool(owner or invariant)))
    return 0


def refuse_unknown(warehouse: Warehouse, **asked: str | None) -> None:
    known = warehouse.ask(_KNOWN)
    for column, word in asked.items():
        choices = known[column].drop_nulls().to_list()
        if word is not None and word not in choices:
            msg = f"--{column}: nothing is called {word!r}; {one_of(word, set(choices))}"
            raise JourneyError(msg)


def worst_first(currency: str) -> list[pl.Expr]:
    """Open ones first; severity, then money (the business's currency first), then age."""
    return [
        pl.col("status").is_in(OVER),
        pl.col("severity").replace_strict(SEVERITIES, range(len(SEVERITIES))),
        pl.col("currency") != currency,
        pl.col("currency"),
        -pl.col("at_risk_minor"),
        pl.col("broken_since_at"),
        pl.col("finding_id"),
    ]


def _print(findings: pl.DataFrame, warehouse: Warehouse, *, is_narrowed: bool) -> None:
    if findings.is_empty():
        what = "Nothing of that is open" if is_narrowed else "Nothing is known to be broken"
        console.print(f"{what}{_as_of(warehouse)}.")
    else:
        for story in _stories(findings, warehouse):
            console.print(Padding(story, (1, 0, 0, 0)))
        _print_by_owner(findings, warehouse)
        console.print(Padding(_footer(findings, warehouse), (1, 0, 0, 0)))
    unjudged = warehouse.ask(_UNJUDGED, day_on=warehouse.day_on).item()
    if unjudged:
        rules = words.count(unjudged, "rule")
        console.print(f"[yellow]{rules} could not be judged wholly, because of the sources: journey doctor.[/]")


def _stories(findings: pl.DataFrame, warehouse: Warehouse) -> Iterator[Text]:
    """What happened behind the findings, each event once."""
    tables = {name: warehouse.ask(f"select * from journey.{name}").lazy() for name in ("incidents", "repairs")}  # noqa: S608  names of ours
    is_open = ~pl.col("status").is_in(OVER)
    for story in figures.stories(tables, findings.filter(is_open), warehouse.currency):
        said = Text.assemble((story.incidents[0].sentence, STYLES[story.severity]))
        for incident in story.incidents:
            said.append(f"\n  {words.count(incident.findings, 'finding')} of {incident.invariant}", "bold")
            said.append(f", {words.team(incident.owner)}. Why: {words.cause(incident.cause)}.", "dim")
        for first in story.first:
            said.append(f"\n  First: {first}")
        if story.waiting:
            said.append(f"\n  Then: {words.count(story.waiting, 'repair')} held until then: journey repairs")
        yield said


def _print_by_owner(findings: pl.DataFrame, warehouse: Warehouse) -> None:
    widest = max(len(money(row)) for row in findings.iter_rows(named=True))
    for (owner,), group in findings.group_by("owner", maintain_order=True):
        amounts = at_risk(group, warehouse.currency)
        count = words.count(group.height, "finding") + (f", {amounts}" if amounts else "")
        console.print(Padding(Text.assemble((words.team(str(owner)), "bold"), f"  {count}"), (1, 0)))
        for row in group.iter_rows(named=True):
            who = ", ".join(filter(None, (row["person_id"], row["offer_id"]))) or row["subject"]
            console.print(headline(row, who, warehouse, widest), Padding(todo(row), (0, 0, 1, 10)))


def at_risk(findings: pl.DataFrame, currency: str) -> str:
    """The totals of some findings in words, each payment counted once; expected and waived money apart."""
    sums = totals(findings, first=currency)
    parts = {
        "at risk": "at_risk_minor",
        "of sales expected": "expected_minor",
        "waived": "waived_minor",
        "of expected sales waived": "waived_expected_minor",
    }
    told = {
        said: words.amounts(sums.filter(pl.col(column) > 0).select("currency", column).iter_rows())
        for said, column in parts.items()
    }
    return ", ".join(f"{amounts} {said}" for said, amounts in told.items() if amounts)


def headline(finding: Mapping[str, Any], whom: str, warehouse: Warehouse, widest: int) -> Table:
    """How grave, what, for whom, since when and how much, on one line. `widest`: the room that money needs."""
    url = words.link(finding["url"])
    line = Table.grid(padding=(0, 2), expand=True)
    line.add_column(width=8)
    line.add_column(ratio=1)
    line.add_column(width=11, justify="right")
    line.add_column(width=widest, justify="right", no_wrap=True)
    line.add_row(
        _severity(finding),
        Text.assemble((finding["invariant"], "bold"), "  ", (whom, f"link {url}" if url else "")),
        _since(finding, warehouse),
        money(finding),
    )
    return line


def _severity(finding: Mapping[str, Any]) -> Text:
    """How grave it is, or where it stands if it is open no more."""
    if finding["status"] in OVER:
        return Text(finding["status"], "dim")
    return Text(finding["severity"], STYLES[finding["severity"]])


def _since(finding: Mapping[str, Any], warehouse: Warehouse) -> str:
    if finding["broken_since_at"] is None:
        return ""
    at, today = finding["broken_since_at"].astimezone(warehouse.zone), warehouse.day_on
    return f"{at.day} {at:%b}" + (f" {at.year}" if today and at.year != today.year else "")


def money(finding: Mapping[str, Any]) -> str:
    if finding["at_risk_minor"] is None:
        return ""
    return f"{words.money(finding['at_risk_minor'], finding['currency'])} {finding['at_risk_kind']}"


def todo(finding: Mapping[str, Any]) -> Text:
    """The likely cause, and what to do."""
    return Text.assemble((f"Why: {words.cause(finding['cause'])}. ", "dim"), finding["fix"])


def _footer(findings: pl.DataFrame, warehouse: Warehouse) -> Text:
    grave = findings.filter(pl.col("severity") == "critical").height
    said = Text(style="dim")
    said.append(
        f"{words.count(findings.height, 'finding')}, {grave} of them critical{_as_of(warehouse)}.", "bold not dim"
    )
    if amounts := at_risk(findings, warehouse.currency):
        said.append(f"\n{amounts}.", "not dim")
        said.append("\nA payment that several findings stand on counts once: owners may add up to more than the whole.")
    if not warehouse.settings:
        said.append("\nDays are in UTC: journey.yaml can't be read from here; --settings names it.")
    return said.append("\nOne buyer's whole path: journey explain PERSON_ID")


def _as_of(warehouse: Warehouse) -> str:
    day = warehouse.day_on
    return f", as of {day:%A} {day.day} {day:%B %Y}" if day else ""
