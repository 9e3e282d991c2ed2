"""`journey rehearse`: a test buyer's path through every system, without grace, before real buyers take it.

The rules and their verdicts are those of every day; only the test buyer counts as a real one, and no deadline is waited
for. What was ingested last is judged; nothing that a daily run made is changed.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import polars as pl
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from journey_pipeline.cli.last import last_day
from journey_pipeline.cli.screen import console, say_json
from journey_pipeline.cli.warehouse import opened
from journey_pipeline.cli.who import person
from journey_pipeline.errors import JourneyError, one_of
from journey_pipeline.invariants import Evaluation, evaluate
from journey_pipeline.model import Rule
from journey_pipeline.orchestration import steps
from journey_pipeline.orchestration.home import Home
from journey_pipeline.orchestration.steps import Day
from journey_pipeline.registry import TABLES
from journey_pipeline.report import words
from journey_pipeline.settings import places

State = Literal["red", "unsure", "green", "excused", "ahead", "unasked"]

MILESTONES: Mapping[str, str] = {
    "first_touch_at": "came by", "lead_at": "asked", "crm_at": "entered in the CRM", "booked_at": "booked a call",
    "met_at": "call took place", "proposed_at": "proposal sent", "signed_at": "signed", "won_at": "deal won",
    "paid_at": "paid", "access_at": "access opened", "welcomed_at": "welcomed", "notified_at": "team notified",
    "first_used_at": "used it", "ticket_at": "asked support", "renewed_at": "renewed", "refunded_at": "refunded",
    "access_ended_at": "access ended", "churned_at": "left",
}  # fmt: skip
_MARKS = {
    "red": ("✗", "bold red"), "unsure": ("?", "yellow"), "green": ("✓", "green"), "excused": ("✓", "dim"),
    "ahead": ("·", "dim"), "unasked": ("·", "dim"),
}  # fmt: skip
_STATES: Mapping[str, State] = {
    "broken": "red", "unknown": "unsure", "pending": "unsure", "holds": "green", "excused": "excused",
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One rule in the order of the journey: `ahead`, the path has not come that far; `unasked`, no platform tells."""

    invariant: str
    claim: str
    state: State
    why: str = ""
    todo: str = ""
    evidence: str = ""


def rehearse_path(
    who: str, *, offer: str | None, pull: bool, shape: str, settings: Path | None, home: Path | None
) -> int:
    """Show the path, step by step; 1 where a step is red."""
    with _prepared(pull=pull, settings=settings, home=home) as day:
        offers = [known.id for known in day.settings.offers]
        if offer is not None and offer not in offers:
            msg = f"--offer: no offer {offer!r}; {one_of(offer, offers)}"
            raise JourneyError(msg)
        with opened(settings or day.folder / "journey.yaml", day.home.root) as warehouse:
            person_id = person(warehouse, who)
            is_test = bool(
                warehouse.ask("select is_test from journey.people where person_id = $who", who=person_id).item()
            )
        tables = steps.rehearsed(day, person_id)
        journeys = tables["buyer_journeys"].collect()
        mine = journeys if offer is None else journeys.filter(pl.col("offer_id") == offer)
        found = list(_steps(day, tables, offer))
    red = any(step.state == "red" for step in found)
    if shape == "json":
        paths = [{"offer_id": row["offer_id"], **{m: row[m] for m in MILESTONES}} for row in mine.to_dicts()]
        say_json({"person_id": person_id, "is_test": is_test, "paths": paths, "steps": [asdict(s) for s in found]})
    else:
        _print(found, mine, day, person_id=person_id, is_test=is_test, offer=offer)
    return 1 if red else 0


@contextmanager
def _prepared(*, pull: bool, settings: Path | None, home: Path | None) -> Iterator[Day]:
    """The last day; with `pull` a new one, whose tables stand aside and are thrown away. Only the raw log grows."""
    where = places(os.environ, settings, home)
    if not pull:
        yield last_day(where, settings)
        return
    from journey_pipeline.cli.daily import alone  # noqa: PLC0415  the run's lock, needed here alone

    last = last_day(where, settings)
    with alone(last.home), tempfile.TemporaryDirectory(prefix="journey-") as aside:
        place = Home(Path(aside), last.home.log.url)
        day = replace(last, home=place, as_of=datetime.now(UTC).replace(microsecond=0))
        for source in day.sources:
            for outcome in steps.load(day, source, os.environ):
                if outcome.error:
                    console.print(Text(f"✗ {outcome.error}", "bold red"), soft_wrap=True)
        for step in (steps.records, steps.people, steps.paths, steps.warehouse):
            step(day)
        yield day


def _steps(day: Day, tables: Mapping[str, pl.LazyFrame], offer: str | None) -> Iterator[Step]:
    """Every rule that may speak of this person, in the order of the handoffs."""
    rules = [
        rule.model_copy(update={"within": "0"} if rule.within else {})
        for rule in day.rules
        if rule.on in tables and {"person_id", "product_ref"} & set(TABLES[rule.on].columns)
    ]
    settings = day.settings.model_copy(update={"deadlines": {}})
    found = evaluate(tables, rules=rules, settings=settings, says=day.says, as_of=day.as_of)
    gates = dict(found.invariant_days.select("invariant", "gate_reason").unique("invariant").iter_rows())
    asked = {rule for frame in found.verdicts.values() for rule in frame.columns}
    for rule in rules:
        if rule.name in asked:
            yield _step(rule, _rows(rule, found, tables, offer), found)
        else:
            yield Step(rule.name, _claim(rule), "unasked", gates[rule.name] or "")


def _rows(rule: Rule, found: Evaluation, tables: Mapping[str, pl.LazyFrame], offer: str | None) -> pl.DataFrame:
    """The verdicts on the rows that are about the offer, or about none."""
    judged = found.verdicts[rule.on].select(*TABLES[rule.on].key, verdict=pl.col(rule.name)).drop_nulls("verdict")
    if offer is None or "offer_id" not in TABLES[rule.on].columns:
        return judged
    about = tables[rule.on].filter(pl.col("offer_id").is_null() | (pl.col("offer_id") == offer)).collect()
    return judged.join(about, on=list(TABLES[rule.on].key), how="semi", nulls_equal=True)


def _step(rule: Rule, judged: pl.DataFrame, found: Evaluation) -> Step:
    there = set(judged["verdict"])
    verdict = next((word for word in _STATES if word in there), None)
    if verdict is None:
        return Step(rule.name, _claim(rule), "ahead", "not come that far")
    if verdict == "broken":
        first = found.broken.filter(pl.col("invariant") == rule.name).row(0, named=True)
        return Step(rule.name, _claim(rule), "red", words.cause(first["cause"]), first["fix"], first["evidence"] or "")
    why = "" if verdict == "holds" else _why(verdict, rule, found)
    return Step(rule.name, _claim(rule), _STATES[verdict], why)


def _why(verdict: str, rule: Rule, found: Evaluation) -> str:
    if verdict == "pending":
        return "not yet: the sources are not known up to that moment; pull again in a few minutes"
    reasons = found.reasons.filter(pl.col("invariant") == rule.name, pl.col("verdict") == verdict)
    told = [_reason(reason, found) for reason in reasons["verdict_reason"].drop_nulls()]
    return words.listed(told) or words.plain(verdict)


def _reason(reason: str, found: Evaluation) -> str:
    if reason.startswith("source:"):
        return f"can't be told: {found.judging.sources.state(reason)}"
    if reason.startswith("identity"):
        return "can't be told: who it is isn't sure"
    return words.plain(reason)


def _claim(rule: Rule) -> str:
    return rule.claim or words.plain(rule.name)


def _print(
    found: Sequence[Step], journeys: pl.DataFrame, day: Day, *, person_id: str, is_test: bool, offer: str | None
) -> None:
    whose = f"{person_id}, {'a test buyer' if is_test else 'not a test buyer: real rules speak of them too'}"
    read = f"as of {day.as_of.astimezone(day.settings.business.zone):%Y-%m-%d %H:%M}"
    console.print()
    console.print(Text.assemble((whose, "bold"), f", {read}"), soft_wrap=True)
    offers = {known.id: known.name for known in day.settings.offers}
    for row in journeys.sort("money_at", "offer_id", nulls_last=True).iter_rows(named=True):
        console.print(
            Padding(Text(offers.get(row["offer_id"], row["offer_id"] or "No offer yet"), "bold"), (1, 0, 0, 0))
        )
        console.print(_milestones(row, day))
    if journeys.is_empty():
        console.print(f"Nothing was heard of them for {offer or 'any offer'} yet.")
    console.print(Padding(Text("What must hold, without grace", "bold"), (1, 0, 0, 0)))
    grid = Table.grid(padding=(0, 1))
    for step in found:
        if step.state in ("ahead", "unasked"):
            continue
        said = Text(step.claim, "bold" if step.state == "red" else "")
        for text, style in ((step.why, "dim"), (step.evidence, ""), (step.todo, "")):
            said.append(f"\n{text}" if text else "", style)
        grid.add_row(" ", Text(*_MARKS[step.state]), said)
    console.print(grid)
    console.print(Padding(Text(_verdict(found), "bold"), (1, 0, 0, 0)))


def _milestones(row: Mapping[str, Any], day: Day) -> Table:
    zone = day.settings.business.zone
    grid = Table.grid(padding=(0, 1))
    reached = sorted((row[column], said) for column, said in MILESTONES.items() if row[column] is not None)
    for at, said in reached:
        grid.add_row(" ", Text(*_MARKS["green"]), f"{at.astimezone(zone):%Y-%m-%d %H:%M}", said)
    return grid


def _verdict(found: Sequence[Step]) -> str:
    states = [step.state for step in found]
    told = {
        "red": "red", "unsure": "can't be told", "green": "green", "excused": "excused", "ahead": "not come that far",
        "unasked": "told by no platform",
    }  # fmt: skip
    return ", ".join(f"{states.count(state)} {said}" for state, said in told.items() if state in states) + "."
