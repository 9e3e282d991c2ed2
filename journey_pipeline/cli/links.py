"""`journey links`: people who may be one, and what somebody decided about them. How alike they are is identity's."""

import getpass
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from journey_pipeline.cli.screen import Format, console, say_rows
from journey_pipeline.cli.warehouse import Warehouse, opened, settings_file
from journey_pipeline.errors import JourneyError
from journey_pipeline.identity import decisions
from journey_pipeline.report import words
from journey_pipeline.settings import decisions_file, load, places

_OPEN = """
select links.*,
       one.name as name, one.email as email, one.phone as phone,
       other.name as other_name, other.email as other_email, other.phone as other_phone
from journey.identity_suggestions as links
left join journey.people as one using (person_id)
left join journey.people as other on other.person_id = links.other_person_id
order by against is not null, probability desc, record_ref, other_record_ref
"""
_BY_REF = """
select person_id from journey.identity_suggestions where record_ref = $ref
union select other_person_id from journey.identity_suggestions where other_record_ref = $ref
union select person_id from journey.person_keys where platform = $platform and record_id = $record_id
union select person_id from journey.journey_events where platform = $platform and record_id = $record_id
"""


def list_links(*, shape: Format, settings: Path | None, home: Path | None) -> int:
    with opened(settings, home) as warehouse:
        found = warehouse.ask(_OPEN)
    say_rows(found, shape, _print)
    return 0


def decide(
    pair: tuple[str, str], decision: str, *, why: str | None, who: str | None, settings: Path | None, home: Path | None
) -> int:
    """Append one decision to the file beside journey.yaml; it counts from the next run on."""
    if not why:
        msg = (
            f"why {' and '.join(pair)} are, or are not, one person is part of a decision: --why 'same phone, asked her'"
        )
        raise JourneyError(msg)
    file = settings_file(settings, places(os.environ, settings, home))
    told = load(file)
    target = decisions_file(told, file.parent)
    with opened(settings, home) as warehouse:
        people = [_person(warehouse, ref) for ref in pair]
    if decision == decisions.CONFIRM and people[0] & people[1]:
        msg = f"{' and '.join(pair)} are one person already; nothing is to be decided"
        raise JourneyError(msg)
    on = datetime.now(told.business.zone).date().isoformat()
    values = {"a": pair[0], "b": pair[1], "decision": decision, "who": who or getpass.getuser(), "on": on, "why": why}
    line = decisions.line(values, target.name)
    before = target.read_text(encoding="utf-8-sig") if target.is_file() else decisions.HEADER
    decisions.parse(before, target.name)
    target.write_text(before + ("" if before.endswith("\n") else "\n") + line, encoding="utf-8")
    are = "one person" if decision == decisions.CONFIRM else "two people"
    console.print(f"{pair[0]} and {pair[1]} are {are}, from the next run on: {target.name}.", soft_wrap=True)
    return 0


def _person(warehouse: Warehouse, ref: str) -> set[str]:
    platform, _, record_id = ref.partition(":")
    found = warehouse.ask(_BY_REF, ref=ref, platform=platform, record_id=record_id)["person_id"].drop_nulls()
    if found.is_empty():
        msg = f"no record {ref} in the last run; journey links names one of each person, like stripe:ch_1"
        raise JourneyError(msg)
    return set(found)


def _print(found: pl.DataFrame) -> None:
    if found.is_empty():
        console.print("Nobody is suggested to be somebody else, too.")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0), header_style="dim")
    for column in ("Likely", "One", "Other", "Because"):
        table.add_column(column, overflow="fold", no_wrap=column == "Likely")
    for row in found.iter_rows(named=True):
        table.add_row(words.sure(row["probability"]), _who(row, ""), _who(row, "other_"), _because(row))
    console.print(Padding(table, (1, 0, 0, 0)))
    pair = f"{found['record_ref'][0]} {found['other_record_ref'][0]}"
    said = Text(f"{words.count(found.height, 'pair')}, none of them tied. Decide:\n", "bold")
    said.append(f"journey links --confirm {pair} --why '…'\njourney links --refuse {pair} --why '…'", "not bold")
    console.print(said, soft_wrap=True)


def _who(row: Mapping[str, Any], side: str) -> Text:
    named = [row[f"{side}{column}"] for column in ("name", "email", "phone")]
    text = Text("\n".join(filter(None, named)) or "no name, no address")
    text.append(f"\n{row[f'{side}record_ref']}", "dim")
    return text.append(f"\n{row[f'{side}person_id']}", "dim")


def _because(row: Mapping[str, Any]) -> Text:
    text = Text(row["because"])
    return text.append(f"\nbut {row['against']}", "yellow") if row["against"] else text
