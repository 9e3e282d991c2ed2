"""`journey waive`: somebody accepts a finding until a day; one line more in the waivers file. What a waiver does is the rules'."""

import getpass
import os
from datetime import date, datetime
from pathlib import Path

from journey_pipeline.cli.screen import console
from journey_pipeline.cli.warehouse import Warehouse, opened, settings_file
from journey_pipeline.cli.who import person
from journey_pipeline.errors import JourneyError, SettingsError, one_of
from journey_pipeline.invariants import waivers
from journey_pipeline.report import words
from journey_pipeline.report.page import put
from journey_pipeline.settings import load, places, waivers_file

_FINDINGS = """
select finding_id, invariant, subject, person_id from journey.findings
where finding_id = $what or subject = $what or person_id = $person_id
"""


def accept_findings(
    what: str,
    *,
    invariant: str | None,
    reason: str,
    who: str | None,
    until: str,
    settings: Path | None,
    home: Path | None,
) -> int:
    """Append one line per finding, or one for a subject or person.

    Raises:
        JourneyError: for what nobody knows, a day that is over, or settings that name no waivers file.
    """
    file = settings_file(settings, places(os.environ, settings, home))
    target = waivers_file(file)
    is_new = not target.is_file()
    if is_new:
        put(waivers.HEADER, target)
    try:
        told = load(file)
        day = _day(until, datetime.now(told.business.zone).date())
        with opened(settings, home) as warehouse:
            named, covered = _named(what, invariant, warehouse)
        text = target.read_text(encoding="utf-8-sig")
        for finding in named:
            values = {
                "finding": finding,
                "reason": reason.strip(),
                "who": who or getpass.getuser(),
                "until": day.isoformat(),
            }
            text = waivers.appended(text, values, target.name)
    except (JourneyError, SettingsError):
        if is_new:
            target.unlink()
        raise
    put(text, target)
    console.print(
        f"Waived through {day:%A} {day.day} {day:%B %Y}: {words.count(covered, 'finding')} of today, "
        f"{words.listed(named)}. It counts from the next run on; deleting the line in {target.name} ends it.",
        soft_wrap=True,
    )
    return 0


def _day(until: str, today: date) -> date:
    try:
        day = date.fromisoformat(until)
    except ValueError as error:
        msg = f"--until: {until!r} is not a day; allowed: {today.replace(day=1).isoformat()} and the like, its last day"
        raise JourneyError(msg) from error
    if day < today:
        msg = f"--until: {day} is over; a waiver holds through a day to come, or today, {today}"
        raise JourneyError(msg)
    return day


def _named(what: str, invariant: str | None, warehouse: Warehouse) -> tuple[list[str], int]:
    """What to write into the file, and how many of today's findings that covers."""
    found = warehouse.ask(_FINDINGS, what=what, person_id=what.removeprefix("person:"))
    is_known = not found.is_empty()
    written = [what]
    if not is_known:
        if waivers.is_id(what):
            msg = f"no finding has the id {what}; journey findings --all --format csv lists them with their ids"
            raise JourneyError(msg)
        try:
            person_id = person(warehouse, what.removeprefix("person:"))
        except JourneyError as error:
            msg = f"{what} is no finding, no subject of one, and nobody that we know: {error}"
            raise JourneyError(msg) from error
        # Of a person, the id: people's addresses don't belong into one more file.
        written, found = [f"person:{person_id}"], warehouse.ask(_FINDINGS, what="", person_id=person_id)
    elif what in set(found["person_id"]):
        written = [f"person:{what}"]
    if invariant is None:
        return written, found.height
    mine = found.filter(invariant=invariant)
    if mine.is_empty():
        msg = f"--invariant: {what} has no finding of {invariant!r}; {one_of(invariant, set(found['invariant']))}"
        raise JourneyError(msg)
    return sorted(mine["finding_id"]), mine.height
