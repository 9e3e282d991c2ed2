"""Writes docs/invariants.md from the catalogue and the drawn worlds: `python -m journey_pipeline_tests.invariants.document`."""

from pathlib import Path

from journey_pipeline.invariants import catalogue
from journey_pipeline.model import Rule
from journey_pipeline_tests.invariants.worlds import drawings

DOCUMENT = Path(__file__).parents[2] / "docs" / "invariants.md"

_HEAD = """# Invariants

What must be so along a buyer's path, and what is said when it is not. This page is written by
`python -m journey_pipeline_tests.invariants.document` from the catalogue and from the worlds that the tests draw;
a test fails where it is stale.

In the drawn worlds it is Friday 15 May 2026 12:00 UTC, every source is complete up to then, bare times are of that day,
`d-3` is three days earlier at the same hour, and the business's time zone is UTC. A column that isn't drawn is false or
empty; `-` is nothing. Behind `||` stands the verdict, and the reason of an excuse.
"""


def document() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(_entry(rule) for rule in catalogue.load())])


def _entry(rule: Rule) -> str:
    risk = f"{rule.at_risk_kind} `{rule.at_risk}`" if rule.at_risk else "none"
    lines = [
        f"## {rule.name}\n",
        f"{rule.claim} **{rule.severity}**, owner {rule.owner}.\n",
        "| | |",
        "|---|---|",
        f"| on | `{rule.on}` |",
        f"| when | `{rule.when}` |",
        f"| then | `{rule.then}` |",
        *(f"| unless {reason} | `{text}` |" for reason, text in rule.unless.items()),
        f"| since, within | {f'`{rule.since}`, {rule.within}' if rule.since else 'no clock'} |",
        f"| needs | {', '.join(rule.needs or ()) or 'nothing'} |",
        *([f"| told of somebody | {', '.join(rule.tells)} |"] if rule.tells else []),
        f"| at risk | {risk} |",
        f"| causes | {', '.join(rule.causes) or 'none of its own'} |",
        f"| fix | {rule.fix} |",
        f"| source | {rule.source} |",
        "",
    ]
    for drawing in drawings():
        if drawing.invariant == rule.name:
            kind = "Caught" if drawing.is_caught else "Not caught"
            lines += [f"{kind}: {drawing.story}\n", "```", drawing.text, "```", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(document(), encoding="utf-8")
