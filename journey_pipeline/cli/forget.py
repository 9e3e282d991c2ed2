"""`journey forget`: takes one person out of everything that we keep. What the platforms hold is theirs to erase.

A dry run unless told otherwise: it says what would go. What is kept of an erasure is counts, never who it was.
"""

import csv
import getpass
import io
import json
import os
import re
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import polars as pl
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from journey_pipeline.cli.daily import alone
from journey_pipeline.cli.last import last_day
from journey_pipeline.cli.screen import console
from journey_pipeline.cli.warehouse import opened
from journey_pipeline.cli.who import person
from journey_pipeline.identity import normalise
from journey_pipeline.lake import erase
from journey_pipeline.lake.erase import Erased, Traces
from journey_pipeline.orchestration import steps
from journey_pipeline.orchestration.steps import Day
from journey_pipeline.records.lineage import lineage
from journey_pipeline.report import words
from journey_pipeline.report.page import put
from journey_pipeline.settings import decisions_file, places

_NAME = re.compile(r"\S.* .*\S")  # one word alone may stand for anything
_ID = re.compile(r"(?=.*[A-Za-z])(?=.*\d)[\w:-]{10,}")  # long and mixed: no other thing is called so
_AFTER = (steps.records, steps.people, steps.paths, steps.judge, steps.warehouse, steps.deliver, steps.page)


@dataclass
class _Person:
    """Who is to be forgotten: all ids they ever had here, where the log tells of them, and how they are named there."""

    ids: list[str]
    findings: list[str]
    theirs: pl.DataFrame
    others: pl.DataFrame
    traces: Traces
    shared: int
    """Names, addresses and numbers of theirs that are other people's, too: those stay where they are the others'."""

    @property
    def refs(self) -> set[str]:
        return {f"{platform}:{record}" for platform, record in self.theirs.select("platform", "record_id").iter_rows()}


@dataclass
class _Count:
    raw: list[Erased] = field(default_factory=list)
    tables: dict[str, int] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)


def forget_person(who: str, *, yes: bool, settings: Path | None, home: Path | None) -> int:
    """Erase a person, or say what would be erased."""
    where = places(os.environ, settings, home)
    day = last_day(where, settings)
    with alone(day.home):
        with opened(settings, home) as warehouse:
            meant = _person(person(warehouse, who), day)
        found = _erase(meant, day, write=yes)
        if yes:
            for step in _AFTER:
                step(day)
            shutil.rmtree(day.home.root / "scratch", ignore_errors=True)  # what dlt packed, sent and kept
            _note(found, day)
    _print(found, meant, day, is_done=yes)
    return 0


def _person(person_id: str, day: Day) -> _Person:
    """Read from the lake: what is published may be masked."""
    held = steps.built_tables(day.home)
    ids = _ids(person_id, held["identity_changes"])
    mine = held["findings"].filter(pl.col("person_id").is_in(ids)).select("finding_id").collect()
    told = held["person_keys"].filter(pl.col("person_id") == person_id).select(pl.col("key").unique())
    keys = told.collect()["key"].to_list()
    record = ["kind", "platform", "record_id"]
    every = lineage(day.sources, day.home.log).join(
        steps.whose(day).select(*record, "person_id"), on=record, how="left", maintain_order="left"
    )
    is_theirs = pl.col("person_id").is_in(ids)
    theirs = every.filter(is_theirs)
    others = every.filter(pl.col("person_id").is_not_null() & ~is_theirs)
    names, emails, phones = (_texts(theirs, c) for c in ("name", "email", "phone"))
    emails |= {key.removeprefix("email:") for key in keys if key.startswith("email:")}
    phones |= {key.removeprefix("phone:").split("|")[0] for key in keys if key.startswith("phone:")}
    alone_theirs = [texts - shared for texts, shared in (
        (names, _shared(names, others, "name")), (emails, _shared(emails, others, "email")),
        (phones, _shared_numbers(phones, others, day)),
    )]  # fmt: skip
    said = {key.split(":", 1)[1] for key in keys if key.split(":", 1)[0] in day.settings.platforms}
    # Part of another's id, too: a campaign, a list, a course.
    elsewhere = "\n".join(others["record_id"].drop_nulls().unique())
    known = {
        text for text in {*said, *theirs["record_id"].drop_nulls()} if _ID.fullmatch(text) and text not in elsewhere
    }
    traces = Traces(
        emails=frozenset(alone_theirs[1]), phones=frozenset(alone_theirs[2]),
        names=frozenset(name for name in alone_theirs[0] if _NAME.fullmatch(name)),
        ids=frozenset(known),
    )  # fmt: skip
    shared = len(names) + len(emails) + len(phones) - sum(map(len, alone_theirs))
    return _Person(ids, mine["finding_id"].to_list(), theirs, others, traces, shared)


def _ids(person_id: str, changes: pl.LazyFrame) -> list[str]:
    """The person's id, and those that it had before people were merged."""
    merges = changes.filter(pl.col("change") == "merge").select("from_person_id", "to_person_id").collect()
    ids = [person_id]
    for known in ids:
        ids += [old for old, new in merges.iter_rows() if new == known and old not in ids]
    return ids


def _texts(rows: pl.DataFrame, column: str) -> set[str]:
    return {text.strip() for text in rows[column].drop_nulls().unique() if text.strip()}


def _shared(texts: Collection[str], others: pl.DataFrame, column: str) -> set[str]:
    """Those that others are called, too, whatever the case."""
    theirs = {text.lower() for text in _texts(others, column)}
    return {text for text in texts if text.lower() in theirs}


def _shared_numbers(phones: Collection[str], others: pl.DataFrame, day: Day) -> set[str]:
    """A household's number is not one person's."""
    written, country = sorted(phones), day.settings.business.country
    theirs = set(normalise.phones(pl.Series(sorted(_texts(others, "phone")), dtype=pl.String()), country).drop_nulls())
    read = normalise.phones(pl.Series(written, dtype=pl.String()), country)
    return {text for text, number in zip(written, read, strict=True) if number in theirs}


def _erase(meant: _Person, day: Day, *, write: bool) -> _Count:
    found = _Count()
    for platform in day.home.log.platforms():
        places_of = [_places(frame, platform) for frame in (meant.theirs, meant.others)]
        found.raw += erase.erase(
            day.home.log, platform, meant.traces, theirs=places_of[0], others=places_of[1], write=write
        )  # fmt: skip
    found.tables = erase.scrub(day.home.tables.folder, meant.ids, meant.traces, write=write)
    files = [decisions_file(day.settings, day.folder)]
    if day.settings.waivers:
        files.append(day.folder / day.settings.waivers)
    for file in files:
        if file.is_file() and (count := _erase_lines(file, meant, write=write)):
            found.lines[file.name] = count
    return found


def _places(rows: pl.DataFrame, platform: str) -> Mapping[str, pl.DataFrame]:
    mine = rows.filter(pl.col("platform") == platform, pl.col("_row").is_not_null(), pl.col("resource").is_not_null())
    parts = mine.select("resource", "loaded_at", "_row").partition_by("resource", as_dict=True)
    return {str(resource): part for (resource,), part in parts.items()}


def _erase_lines(file: Path, meant: _Person, *, write: bool) -> int:
    """Lines of a CSV file of decisions or waivers that speak of the person; the rest is written back as it was."""
    rows = list(csv.reader(io.StringIO(file.read_text(encoding="utf-8-sig"))))
    kept = [row for n, row in enumerate(rows) if n == 0 or not _speaks(row, meant)]
    if write and len(kept) < len(rows):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(kept)
        put(text.getvalue(), file)
    return len(rows) - len(kept)


def _speaks(cells: list[str], meant: _Person) -> bool:
    said = {text.lower() for text in (*meant.ids, *meant.findings, *meant.traces.said)}
    return any(
        cell in meant.refs or cell.partition(":")[2] in meant.refs or any(text in cell.lower() for text in said)
        for cell in cells
    )


def _note(found: _Count, day: Day) -> None:
    """What was erased, in counts: an erasure can be shown, and who it was can't be told from it."""
    told = {
        "erasure": str(uuid4()), "at": datetime.now(UTC).isoformat(timespec="seconds"), "by": getpass.getuser(),
        "raw": {f"{r.platform}.{r.resource}": {"removed": r.removed, "blotted": r.blotted} for r in found.raw},
        "tables": found.tables, "lines": found.lines,
    }  # fmt: skip
    with (day.home.root / "erasures.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(told) + "\n")


def _print(found: _Count, meant: _Person, day: Day, *, is_done: bool) -> None:
    grid = Table.grid(padding=(0, 2))
    for one in found.raw:
        parts = {"erased": one.removed, "kept for other people, with their traces blotted out": one.blotted}
        said = ", ".join(f"{words.count(n, 'row')} {what}" for what, n in parts.items() if n)
        grid.add_row(f"{one.platform}.{one.resource}", said)
    for name, count in (*found.tables.items(), *found.lines.items()):
        grid.add_row(name, words.count(count, "line" if name in found.lines else "row"))
    title = f"{'Erased' if is_done else 'Would be erased'}: {meant.ids[0] if not is_done else 'one person'}"
    console.print(Padding(Text(title, "bold"), (1, 0, 0, 0)))
    console.print(Padding(grid, (0, 0, 0, 2)))
    held = sorted(set(meant.theirs["platform"]))
    told = [
        f"Still held by {words.listed(held)}: erase them there too, or the next run reads them again." if held else "",
        f"{words.count(meant.shared, 'name, address or number', 'names, addresses and numbers')} of theirs are other "
        "people's, too, and stay where they are the others'." if meant.shared else "",
        f"Everything was built anew without them. What was done, in counts: {day.home.root / 'erasures.jsonl'}"
        if is_done else "Nothing was changed. To erase: the same with --yes",
    ]  # fmt: skip
    console.print()
    console.print("\n".join(filter(None, told)), soft_wrap=True, markup=False)
