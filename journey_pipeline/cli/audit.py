"""`journey audit`: the systems audit in the terminal, as rows, and as a page in the home. Its facts are report/audit's."""

import os
from collections.abc import Sequence
from dataclasses import asdict, fields
from itertools import groupby
from pathlib import Path

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from journey_pipeline.cli.last import last_day
from journey_pipeline.cli.screen import Format, console, say_csv, say_json
from journey_pipeline.orchestration.steps import built_tables
from journey_pipeline.report import audit, audit_page, words
from journey_pipeline.report.audit import Line
from journey_pipeline.settings import places

_STYLES = {"gap": ("✗", "bold red"), "note": ("!", "yellow"), "right": ("✓", "green")}


def audit_systems(*, everything: bool, shape: Format, settings: Path | None, home: Path | None) -> int:
    """Say what is missing between the systems; the page says what is right, too."""
    day = last_day(places(os.environ, settings, home), settings)
    found = list(
        audit.lines(
            built_tables(day.home), settings=day.settings, rules=day.rules, says=day.says, as_of=day.as_of
        )
    )  # fmt: skip
    target = day.home.root / "audit.html"
    audit_page.write(found, business=day.settings.business, as_of=day.as_of, target=target)
    if shape == "json":
        say_json([asdict(line) for line in found])
    elif shape == "csv":
        say_csv([asdict(line) for line in found], [field.name for field in fields(Line)])
    else:
        _print(found, everything=everything)
        gaps, notes = ([line.mark for line in found].count(mark) for mark in ("gap", "note"))
        said = f"{words.count(gaps, 'gap')}, {words.count(notes, 'thing')} worth a look. All of it: {target}"
        console.print()
        console.print(Text(said, "bold"), soft_wrap=True)
    return 0


def _print(found: Sequence[Line], *, everything: bool) -> None:
    for part, group in groupby(found, key=lambda line: line.part):
        lines = list(group)
        shown = [line for line in lines if everything or line.mark != "right"]
        rest = len(lines) - len(shown)
        console.print(Padding(Text.assemble((audit.PARTS[part][0], "bold")), (1, 0, 0, 0)))
        grid = Table.grid(padding=(0, 1))
        for line in shown:
            said = Text.assemble((f"{line.subject}: ", "bold"), line.said)
            if line.todo:
                said.append(f"\n{line.todo}", "dim")
            grid.add_row(" ", Text(*_STYLES[line.mark]), said)
        if rest:
            grid.add_row(" ", Text(*_STYLES["right"]), Text(f"{rest:,} more as they should be", "dim"))
        console.print(grid)
