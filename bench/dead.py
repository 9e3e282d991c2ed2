"""What a dead source does to the findings: on the morning after, one platform in turn refuses its key.

Every resource of it must be told as not fresh, and no other finding may open or close by it.
"""

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import polars as pl

from journey_pipeline.orchestration import steps
from journey_pipeline.orchestration.home import Home
from journey_pipeline.orchestration.steps import Day
from journey_pipeline.records import Source

FRESH = "source_is_fresh"
_Open = frozenset[tuple[str, str]]


class Dead(NamedTuple):
    """`names`: the platforms that were dead: of those tried, all that need a key.

    `faults`, `found`: resources that could not be read, and those told so; `well`: that could. `wrong`: (what, invariant,
    subject) of everything that differs from a good morning and should not.
    """

    names: tuple[str, ...]
    faults: int
    found: int
    well: int
    wrong: tuple[tuple[str, str, str], ...]


def tried(day: Day, names: Sequence[str], beside: Path) -> Dead:
    """Judge the day after `day` once with every platform and once without each of `names`; homes stand in `beside`."""
    before, good = _open(day.home), _morrow(day, beside / "good")
    for source in day.sources:
        _load(good, source, os.environ)
    _judge(good)
    usual = _open(good.home)
    faults = found = well = 0
    names_of_dead, wrong = [], list[tuple[str, str, str]]()
    for source in (s for s in day.sources if s.name in names):
        bad = _morrow(day, beside / source.name)
        for other in (s.name for s in day.sources if s.name != source.name):
            _take_over(good.home, bad.home, other)
        dead = _load(bad, source, {})
        if not dead:
            continue
        names_of_dead.append(source.name)
        _judge(bad)
        after = _open(bad.home)
        stale = {subject for rule, subject in after if rule == FRESH}
        faults, found = faults + len(dead), found + len(stale & dead)
        well += sum(len(s.platform.resources) for s in day.sources) - len(dead)
        wrong += _told("missed", ((FRESH, subject) for subject in dead - stale))
        wrong += _told("look-alike", ((FRESH, subject) for subject in stale - dead))
        others = {each for each in after if each[0] != FRESH}
        wrong += _told(f"opened by a dead {source.name}", others - before - usual)
        wrong += _told(f"closed by a dead {source.name}", (before & usual) - after)
        shutil.rmtree(bad.home.root)
    return Dead(tuple(names_of_dead), faults, found, well, tuple(wrong))


def _morrow(day: Day, root: Path) -> Day:
    shutil.copytree(day.home.root, root)
    return replace(day, home=Home(root), as_of=day.as_of + timedelta(days=1))


def _take_over(good: Home, bad: Home, platform: str) -> None:
    """What a platform said on the good morning: each is read by itself."""
    place = Path("lake") / "raw" / platform
    shutil.rmtree(bad.root / place)
    shutil.copytree(good.root / place, bad.root / place)


def _load(day: Day, source: Source, environ: Mapping[str, str]) -> set[str]:
    """The resources that could not be read, as subjects."""
    return {f"source:{source.name}:{o.resource}" for o in steps.load(day, source, environ) if o.error}


def _judge(day: Day) -> None:
    for step in (steps.records, steps.people, steps.paths, steps.judge):
        step(day)


def _open(home: Home) -> _Open:
    is_open = pl.col("status").is_in(["open", "reopened"])
    findings = home.tables.scan("invariants", "findings").filter(is_open).select("invariant", "subject").collect()
    return frozenset(findings.iter_rows())


def _told(what: str, findings: Iterable[tuple[str, str]]) -> list[tuple[str, str, str]]:
    return [(what, *each) for each in sorted(findings)]
