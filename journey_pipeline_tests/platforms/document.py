"""Writes docs/platforms.md and a page per platform from their data sheets: `python -m journey_pipeline_tests.platforms.document`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from journey_pipeline import platforms
from journey_pipeline.platforms.sheet import Sheet, sheet

FOLDER = Path(__file__).parents[2] / "docs"

_HEAD = """# Platforms

Every platform that can be read, in a buyer's order, with what it tells, how it is read day by day, and against what its
requests and the sandbox's answers were verified. This page and the pages it leads to are written by
`python -m journey_pipeline_tests.platforms.document` from the modules themselves; a test fails where they are stale.

**No module was ever tried on a live account.** *Official*: held against the vendor's own description of its API. *Third
party*: against somebody else's. *Documentation*: there is no description to test against; written from the vendor's
pages. In each case over real HTTP against a stateful imitation of the vendor, which is as strict as we could make it.
"""
_VERIFIED = {"official": "official", "third party": "third party", "documentation": "documentation"}


def pages() -> Mapping[Path, str]:
    """File -> text, of all of them."""
    sheets = {name: sheet(name) for name in platforms.CATALOGUE}
    return {
        FOLDER / "platforms.md": _table(sheets),
        **{FOLDER / "platforms" / f"{name}.md": _page(name, each) for name, each in sheets.items()},
    }


def _table(sheets: Mapping[str, Sheet]) -> str:
    lines = [_HEAD, "| part | platform | tells | incremental | verified |", "|---|---|---|---|---|"]
    for part, names in platforms.PARTS.items():
        for name in names:
            each = sheets[name]
            kinds = ", ".join(each.platform.says) or "what you map"
            lines.append(
                f"| {part} | [{each.title}](platforms/{name}.md) | {kinds} | {_cell(each.incremental)} |"
                f" {_VERIFIED[each.platform.spec] if not each.platform.made else 'real files, servers' if name != 'google_sheets' else 'documentation'} |"
            )
    return "\n".join(lines) + "\n"


def _page(name: str, each: Sheet) -> str:
    platform = each.platform
    rows = [
        ("name in journey.yaml", f"`{name}`" if not platform.made else f"any, with `type: {name}`"),
        ("tells", ", ".join(f"`{kind}`" for kind in platform.says) or "the kinds that you map"),
        ("keys", ", ".join(f"`{secret}`" for secret in platform.secrets) or "see below"),
        ("verified", platform.verified),
    ]
    lines = [f"# {each.title}\n", f"{each.claim[:1].upper()}{each.claim[1:]}\n", "| | |", "|---|---|"]
    lines += [f"| {what} | {_cell(said)} |" for what, said in rows] + [""]
    lines += [f"**{section}** {text}\n" for section, text in each.sections.items()]
    if platform.resources:
        lines += ["## What is read\n", "| list | how | permission | history |", "|---|---|---|---|"]
        for resource in platform.resources:
            how = "what changed" if resource.mode == "changes" else "the whole list"
            back = f"{resource.history.days} days" if resource.history else "all"
            lines.append(f"| {resource.name} | {how} | {_cell(resource.scope)} | {back} |")
        lines.append("")
    if each.options:
        lines += ["## Options\n", "| option | default | meaning |", "|---|---|---|"]
        for option, found in each.options.items():
            default = "needed" if found.is_required() else f"`{_default(found.default)}`"
            lines.append(f"| `{option}` | {default} | {_cell(' '.join((found.description or '').split()))} |")
        lines.append("")
    return "\n".join(lines)


def _default(value: Any) -> str:
    """As journey.yaml writes it."""
    match value:
        case bool() | None:
            return "null" if value is None else str(value).lower()
        case Mapping():
            return "{" + ", ".join(f"{k}: {_default(v)}" for k, v in value.items()) + "}"
        case tuple() | list():
            return "[" + ", ".join(_default(v) for v in value) + "]"
        case "":
            return '""'
        case _:
            return str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    for file, text in pages().items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
