"""`journey init`: writes a journey.yaml that loads, of the platforms that the business runs.

What is still to be filled in stands in it as a comment. Not here: what a platform is (platforms/), what a file may say
(settings/).
"""

import os
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from rich.prompt import Prompt
from rich.table import Table

from journey_pipeline import platforms as catalogue
from journey_pipeline.cli.screen import console
from journey_pipeline.errors import JourneyError, one_of
from journey_pipeline.platforms.sheet import Sheet, sheet
from journey_pipeline.settings import load, places

_HEAD = """\
# What the business runs, and what it sells. Secrets never stand here: each platform's key is set in the environment.
# Platforms and their options: docs/platforms.md. `journey doctor` says what is missing or wrong.
business: {{name: {name}, timezone: {timezone}, currency: {currency}}}

"""
_OFFERS = """
# What is sold, under which ids of the checkout, and what it opens. `journey doctor` names the products that no offer
# knows, once something was read.
# offers:
#   - id: bootcamp
#     name: Data Bootcamp
#     bought_as: ["stripe:price_1"]
#     grants: ["teachable:1001"]
#     price: {amount_minor: 49900, currency: USD}

# Who acts on what; and whose orders are only tests.
# owners: {sales: sales@example.com, delivery: delivery@example.com, finance: finance@example.com}
# test_buyers: ["*@example.com"]
"""
_PATTERNS = {
    "files": """\
  # exports:                        # a name of your own; one entry per system that can export
  #   type: files
  #   tables: {members: exports/members.csv}
  #   records: {access: sql/members.sql}
""",
    "database": """\
  # app:                            # a name of your own; APP_URL in the environment says where it is
  #   type: database
  #   tables: {users: public.users}
  #   records: {access: sql/access.sql}
""",
    "google_sheets": """\
  # board:                          # a name of your own
  #   type: google_sheets
  #   tables: {figures: "https://docs.google.com/spreadsheets/d/1AbC/edit#gid=0"}
  #   records: {reported: figures}
""",
}


def write_settings(
    *, name: str | None, timezone: str | None, currency: str | None, platforms: str | None, settings: Path | None
) -> int:
    """Ask for what is missing, write the file, and say which keys to set.

    Raises:
        JourneyError: if the file is there already, or an answer is none.
    """
    target = places(os.environ, settings, None).settings
    if target.exists():
        msg = f"{target.name} is there already, and is left as it is; --settings names another."
        raise JourneyError(msg)
    name = name or _ask("What is the business called", "My business")
    timezone = _zone(timezone or _ask("Its time zone", "America/New_York"))
    currency = _currency(currency or _ask("Its currency", "USD"))
    chosen = _chosen(_words(platforms) if platforms is not None else _asked())
    target.write_text(_document(name, timezone, currency, chosen), encoding="utf-8")
    load(target)
    _say_what_is_next(target, chosen)
    return 0


def _zone(text: str) -> str:
    if text not in available_timezones():
        msg = f"{text!r} is no time zone; {one_of(text, available_timezones())}"
        raise JourneyError(msg)
    console.print(f"  [dim]There it is {datetime.now(UTC).astimezone(ZoneInfo(text)):%A %H:%M} now.[/]")
    return text


def _currency(text: str) -> str:
    if not re.fullmatch("[A-Za-z]{3}", text):
        msg = f"{text!r} is no currency; allowed: three letters, like USD"
        raise JourneyError(msg)
    return text.upper()


def _asked() -> list[str]:
    """Part by part, in a buyer's order; a platform that was chosen is not offered again."""
    console.print("Which platforms does it run? Names apart by commas; nothing for none.")
    chosen: list[str] = []
    for part, names in catalogue.PARTS.items():
        offered = [n for n in names if n not in chosen]
        if offered:
            chosen += _words(_ask(f"  {part} [dim]({', '.join(offered)})[/]", ""))
    return chosen


def _ask(question: str, default: str) -> str:
    return Prompt.ask(question, default=default, show_default=bool(default), console=console).strip()


def _words(text: str) -> list[str]:
    return [word.lower() for word in re.split(r"[,\s]+", text) if word]


def _chosen(names: Iterable[str]) -> Mapping[str, Sheet]:
    wanted = list(dict.fromkeys(names))
    if unknown := [n for n in wanted if n not in catalogue.CATALOGUE]:
        msg = f"there is no platform {unknown[0]!r}; {one_of(unknown[0], catalogue.CATALOGUE)}"
        raise JourneyError(msg)
    return {name: sheet(name) for name in wanted}


def _document(name: str, timezone: str, currency: str, chosen: Mapping[str, Sheet]) -> str:
    quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    entries = [_entry(each, known) for each, known in chosen.items() if each not in _PATTERNS]
    body = "".join(entries)
    patterns = "".join(_PATTERNS[each] for each in chosen if each in _PATTERNS)
    listed = f"platforms:\n{body}{patterns}" if body else f"platforms: {{}}\n{patterns}"
    return _HEAD.format(name=quoted, timezone=timezone, currency=currency) + listed + _OFFERS


def _entry(name: str, known: Sheet) -> str:
    """The platform with the options that only its owner can know: those that are empty by default."""
    open_ = {o: f.description or "" for o, f in known.options.items() if f.default == "" and not o.endswith("_url")}
    if not open_:
        return f"  {name}: {{}}\n"
    lines = [f'    {option}: ""  # {" ".join(said.split())}\n' for option, said in open_.items()]
    return f"  {name}:\n" + "".join(lines)


def _say_what_is_next(target: Path, chosen: Mapping[str, Sheet]) -> None:
    console.print(f"Wrote {target.name}.")
    grid = Table.grid(padding=(0, 2))
    for each in chosen.values():
        if each.platform.secrets:
            grid.add_row("  " + each.title, ", ".join(each.platform.secrets))
    if grid.row_count:
        console.print("Set these in the environment; docs/platforms.md says where each is made:")
        console.print(grid)
    console.print("Then: journey doctor")
