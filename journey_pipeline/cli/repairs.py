"""`journey repairs`: what would mend each finding, where, and what forbids it: a list to work off, or rows for another program."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
from rich.padding import Padding
from rich.text import Text

from journey_pipeline.cli.look import STYLES, refuse_unknown
from journey_pipeline.cli.screen import Format, console, say_rows
from journey_pipeline.cli.warehouse import Warehouse, opened
from journey_pipeline.registry import SEVERITIES, TABLES
from journey_pipeline.report import words

_LIST = """
select * from journey.repairs
where ($owner is null or owner = $owner)
  and ($invariant is null or invariant = $invariant)
  and not (is_held and $is_ready)
"""


def list_repairs(
    *,
    owner: str | None,
    invariant: str | None,
    is_ready: bool,
    shape: Format,
    settings: Path | None,
    home: Path | None,
) -> int:
    with opened(settings, home) as warehouse:
        refuse_unknown(warehouse, owner=owner, invariant=invariant)
        found = warehouse.ask(_LIST, owner=owner, invariant=invariant, is_ready=is_ready)
        ordered = found.select(TABLES["repairs"].columns).sort(
            pl.col("owner"),
            pl.col("finding_id").is_not_null(),  # the cause of an incident before its findings
            pl.col("severity").replace_strict(SEVERITIES, range(len(SEVERITIES))),
            "invariant", "finding_id", "step", "repair_id",
        )  # fmt: skip
        say_rows(ordered, shape, lambda rows: _print(rows, warehouse))
    return 0


def _print(repairs: pl.DataFrame, warehouse: Warehouse) -> None:
    day = warehouse.day_on
    as_of = f", as of {day:%A} {day.day} {day:%B %Y}" if day else ""
    if repairs.is_empty():
        console.print(f"Nothing is to be repaired{as_of}.")
        return
    for (owner,), group in repairs.group_by("owner", maintain_order=True):
        title = Text.assemble((words.team(str(owner)), "bold"), f"  {words.count(group.height, 'repair')}")
        console.print(Padding(title, (1, 0)))
        for row in group.iter_rows(named=True):
            console.print(Padding(_line(row), (0, 0, 0, 2)))
    held = int(repairs["is_held"].sum())
    said = f"{words.count(repairs.height, 'repair')} proposed, {held} of them held{as_of}. None is executed by this program."
    console.print(Padding(Text(said, "bold"), (1, 0, 0, 0)))


def _line(repair: Mapping[str, Any]) -> Text:
    amount = repair["amount_minor"]
    money = f" {words.money(amount, repair['currency'])}" if amount is not None else ""
    url = words.link(repair["url"])
    said = Text.assemble((repair["action"], STYLES[repair["severity"]]), "  ")
    said.append(repair["sentence"] + money, f"link {url}" if url else "")
    said.append(f"  {repair['invariant']}", "dim")
    if repair["held_because"]:
        said.append(f"\n  Held: {repair['held_because']}", "yellow")
    return said
