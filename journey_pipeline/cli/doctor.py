"""`journey doctor`: can a run work, and can it judge; and `journey accept`, which mends one thing that it may find.

Nothing is kept of what is read here. Secrets are named, never shown.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import polars as pl
from rich.table import Table
from rich.text import Text

from journey_pipeline import publish
from journey_pipeline.cli.screen import console
from journey_pipeline.errors import JourneyError, SettingsError, SourceError, one_of
from journey_pipeline.invariants import verdicts
from journey_pipeline.invariants.waivers import unknown_ids
from journey_pipeline.lake import RawLog, health, ingest
from journey_pipeline.orchestration.home import Home
from journey_pipeline.orchestration.steps import Day
from journey_pipeline.platforms import mapped
from journey_pipeline.platforms.base import Pull
from journey_pipeline.publish.privacy import KEY
from journey_pipeline.records import Source, build
from journey_pipeline.report import words
from journey_pipeline.settings import load, places, secrets, waivers

_MARKS = {"right": Text("✓", "green"), "note": Text("!", "yellow"), "wrong": Text("✗", "bold red")}
_SHOWN = 5  # refs, rules or reasons listed in one line


@dataclass(frozen=True)
class Answer:
    """What one examination came to. `note`: worth a look, but a run works."""

    mark: Literal["right", "note", "wrong"]
    said: str


def examine(*, settings: Path | None, home: Path | None) -> int:
    """Say what is right and what isn't; 2 where something is wrong."""
    where = places(os.environ, settings, home)
    here = Path.cwd()
    file = where.settings.relative_to(here) if where.settings.is_relative_to(here) else where.settings
    try:
        found = load(where.settings)
    except SettingsError as error:
        count = words.count(len(error.mistakes), "mistake")
        _print("Settings", [Answer("wrong", f"{file}: {count}"), *(Answer("wrong", m) for m in error.mistakes)])
        return 2
    day = Day(found, where.settings.parent, Home(where.home, where.raw_url), datetime.now(UTC).replace(microsecond=0))
    offers = words.count(len(found.offers), "offer")
    read = f"{file} is valid: {words.count(len(day.sources), 'platform')}, {offers}"
    answers = _print("Settings", [Answer("right", read)])
    for source, replies in _platforms(day):
        answers += _print(source.name, replies)
    sections = {
        "Mapping": _mapping,
        "Rules": _rules,
        "Waivers": _waivers,
        "Publishing": _publishing,
        "Freshness": _freshness,
    }
    for title, ask in sections.items():
        answers += _print(title, ask(day))
    marks = [answer.mark for answer in answers]
    wrong, notes = words.count(marks.count("wrong"), "thing"), words.count(marks.count("note"), "thing")
    verdict = f"{wrong} to mend" if "wrong" in marks else "All right"
    console.print(Text(f"{verdict}{f', {notes} worth a look' if 'note' in marks else ''}.", "bold"))
    return 2 if "wrong" in marks else 0


def accept_drop(source: str, *, settings: Path | None, home: Path | None) -> int:
    """Believe the newest list of `platform.resource` although it shrank.

    Raises:
        JourneyError: if there is no such list, or its newest load was not held back.
    """
    where = places(os.environ, settings, home)
    day = Day(load(where.settings), where.settings.parent, Home(where.home, where.raw_url), datetime.now(UTC))
    known = {f"{s.name}.{r.name}": (s, r) for s in day.sources for r in s.platform.resources}
    if source not in known:
        msg = f"there is no list {source!r}; {one_of(source, known)}"
        raise JourneyError(msg)
    name, resource = known[source][0].name, known[source][1].name
    try:
        rows = day.home.log.accept(name, resource)
    except KeyError as error:
        newest = day.home.log.loads(name).filter(pl.col("resource") == resource).tail(1)["status"].to_list()
        state = f"its newest load is {newest[0]}" if newest else "it was never loaded"
        msg = f"{source}: {state}, not partial; there is nothing to accept."
        raise JourneyError(msg) from error
    console.print(f"{words.count(rows, 'row')} of {source} are believed from now on. Judge again with: journey run")
    return 0


def _print(title: str, answers: Iterable[Answer]) -> list[Answer]:
    """Show the answers under their title, and give them back."""
    console.print(Text(title, "bold"))
    grid = Table.grid(padding=(0, 1))
    shown = list(answers)
    for answer in shown:
        grid.add_row(" ", _MARKS[answer.mark], Text(answer.said))
    console.print(grid)
    return shown


def _platforms(day: Day) -> Iterator[tuple[Source, list[Answer]]]:
    """Vendors are asked side by side, for one that is down makes us wait; tables are read one after the other."""
    with ThreadPoolExecutor(max_workers=max(len(day.sources), 1)) as asking:
        replies = {s.name: asking.submit(_answers, s, day) for s in day.sources if not _is_mapped(s)}
        for source in day.sources:
            yield source, _answers(source, day) if _is_mapped(source) else replies[source.name].result()


def _is_mapped(source: Source) -> bool:
    return isinstance(source.options, mapped.Options)


def _answers(source: Source, day: Day) -> list[Answer]:
    try:
        known = secrets(source.platform, source.options, os.environ)
    except SourceError as error:
        return [Answer("wrong", str(error))]
    named = [Answer("right", f"{words.listed(list(known))} {'is' if len(known) == 1 else 'are'} set")] if known else []
    return named + list(_mapped(source, known, day) if _is_mapped(source) else _probes(source, known, day))


def _probes(source: Source, known: Mapping[str, str], day: Day) -> Iterator[Answer]:
    """Pull the first page of each list. A platform that is down is not asked for the others."""
    cursors = day.home.log.cursors(source.name)
    answered = []
    for resource in source.platform.resources:
        pull = Pull(source.name, resource, source.options, known, day.as_of, cursors.get(resource.name))
        try:
            next(iter(resource.pull(pull)), None)
        except SourceError as error:
            if error.is_transient:
                yield Answer("wrong", f"{error} Its other lists were not asked for.")
                break
            yield Answer("wrong", f"{error} No later run mends that.")
        else:
            answered.append(resource.name)
    if answered:
        yield Answer("right", f"answers: {', '.join(answered)}")


def _mapped(source: Source, known: Mapping[str, str], day: Day) -> Iterator[Answer]:
    """Read them as a run would, into a raw log that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        log = RawLog(f"{folder}/raw", Path(folder) / "scratch")
        loads = ingest(
            source.platform, name=source.name, options=source.options, secrets=known, log=log, loaded_at=day.as_of
        )
        yield from (Answer("wrong", load.error) for load in loads if load.error)
        read = [f"{load.resource} ({words.count(load.row_count, 'row')})" for load in loads if not load.error]
        if read:
            yield Answer("right", f"readable: {', '.join(read)}")
        if len(read) == len(loads):
            yield from _records(source, log, day)


def _records(source: Source, log: RawLog, day: Day) -> Iterator[Answer]:
    try:
        built = build([source], log, as_of=day.as_of)
    except JourneyError as error:
        yield Answer("wrong", str(error))
        return
    for kind in source.platform.says:
        refused = built.rejected.filter(pl.col("kind") == kind)
        count = words.count(built.kinds[kind].height, "record")
        yield Answer("right" if refused.is_empty() else "note", f"{kind}: {count}{_refusals(refused)}")


def _refusals(refused: pl.DataFrame) -> str:
    if refused.is_empty():
        return ""
    reasons = refused["reason"].value_counts(sort=True).sort("count", "reason", descending=[True, False])
    told = [f"{reason} ({count:,})" for reason, count in reasons.head(_SHOWN).iter_rows()]
    return f", {words.count(refused.height, 'row')} can't be read: {'; '.join(told)}"


def _mapping(day: Day) -> Iterator[Answer]:
    """Whether what journey.yaml names was ever seen, and what was seen that it does not name."""
    tables, offers = day.home.tables, day.settings.offers
    if not tables.parts("journeys", "products"):
        yield Answer("note", "nothing was read yet, so the offers can't be compared with what is sold: journey run")
        return
    products = tables.scan("journeys", "products").select("product_ref", "is_in_use").collect()
    templates = tables.scan("records", "messages").select("template_ref").unique().collect()["template_ref"].to_list()
    sold = products["product_ref"].to_list()
    named = [
        (offer.id, part, ref, seen)
        for offer in offers
        for part, seen in (("bought_as", sold), ("grants", sold), ("welcome", templates))
        for ref in getattr(offer, part)
    ]
    lost = [f"{offer}: {part} {ref} was never seen" for offer, part, ref, seen in named if ref not in seen]
    yield from (Answer("note", f"{line}; correct it, unless it is new") for line in lost)
    if len(lost) < len(named):
        count, of = len(named) - len(lost), words.count(len(offers), "offer")
        yield Answer("right", f"{count} of {words.count(len(named), 'reference')} in {of} were seen")
    listed = {ref for offer in offers for ref in (*offer.bought_as, *offer.grants)} | set(day.settings.ignore_products)
    for ref, is_in_use in products.iter_rows():
        if is_in_use and ref not in listed:
            yield Answer("note", f"{ref} is sold or granted, but in no offer; add it to one, or to ignore_products")


def _rules(day: Day) -> Iterator[Answer]:
    """Which rules can be asked at all, given what the platforms say."""
    lacking: dict[str, list[str]] = {}
    rules = [rule for rule in day.rules if rule.name not in day.settings.off]
    for rule in rules:
        needed = [] if rule.never_unknown else [k for k in verdicts.needs(rule) if not k.startswith("(")]
        unsaid = [kind for kind in needed if not day.says.get(kind)]
        if unsaid:
            lacking.setdefault(" or ".join(unsaid), []).append(rule.name)
    asked = len(rules) - sum(map(len, lacking.values()))
    yield Answer("right", f"{asked} of {words.count(len(day.rules), 'rule')} can be asked")
    for kinds, names in sorted(lacking.items()):
        shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
        yield Answer("note", f"no platform says {kinds}: {words.count(len(names), 'rule')} can't be asked ({shown})")
    for name, reason in day.settings.off.items():
        yield Answer("note", f"{name} is off: {reason}")


def _waivers(day: Day) -> Iterator[Answer]:
    """Whether each waiver still covers something; lines that can't be read are refused with the settings."""
    if day.settings.waivers is None:
        yield Answer(
            "right", "none; journey waive accepts a finding, once journey.yaml names a file: waivers: waivers.csv"
        )
        return
    try:
        lines = waivers(day.folder / day.settings.waivers)
    except SettingsError as error:
        yield from (Answer("wrong", f"{error.path}: {mistake}") for mistake in error.mistakes)
        return
    known = set(day.home.tables.scan("invariants", "findings").select("finding_id").collect().to_series())
    over = lines.filter(pl.col("until_on") < day.day_on).height
    yield Answer(
        "right", f"{words.count(lines.height, 'line')} in {day.settings.waivers}" + (f", {over} over" if over else "")
    )
    for lost in unknown_ids(lines, known):
        yield Answer("note", f"{lost} is the id of no finding; mend or delete its line")


def _publishing(day: Day) -> Iterator[Answer]:
    """Whether the BI tools' place takes what we bring, and people can be hidden on the way."""
    wanted = day.settings.publish
    try:
        yield Answer("right", publish.ask(wanted.to, os.environ))
    except JourneyError as error:
        yield Answer("wrong", str(error))
    try:
        publish.mask(wanted.pii, os.environ, day.settings.business.country)
    except JourneyError as error:
        yield Answer("wrong", str(error))
    else:
        yield Answer("right", f"personal data: {wanted.pii}{f', {KEY} is set' if wanted.pii == 'masked' else ''}")


def _freshness(day: Day) -> Iterator[Answer]:
    """How old and how whole what was loaded is at this moment, whatever the last run made of it."""
    loads = {source.name: day.home.log.loads(source.name) for source in day.sources}
    new = [name for name, mine in loads.items() if mine.is_empty()]
    if new:
        yield Answer("note", f"never loaded yet: {', '.join(new)}; journey run")
    for source in day.sources:
        if source.name in new:
            continue
        known = health(source.platform, source.name, loads[source.name], as_of=day.as_of)
        bad = known.filter(pl.col("status") != "fresh")
        yield from (Answer("wrong", row["detail"] or row["resource"]) for row in bad.iter_rows(named=True))
        if bad.is_empty():
            age = day.as_of - known.select(pl.col("last_load_at").max()).item()
            yield Answer("right", f"{source.name}: all fresh, loaded {words.lasting(age)} ago")
    rejected = day.home.tables.scan("records", "rejected_records").group_by("platform", "resource").len()
    for platform, resource, count in rejected.sort("platform", "resource").collect().iter_rows():
        rows = words.count(count, "row")
        yield Answer(
            "note", f"{rows} of {platform}.{resource} can't be read; why: journey.rejected_records in the warehouse"
        )
