"""Small pictures for the Dagster UI, in Markdown: bars as text, a line as an SVG image. Pure; figures are figures.py's.

The UI draws Markdown below a thousand characters at once and hides longer texts behind a button, so they are terse.
"""

from collections.abc import Sequence
from datetime import date

from journey_pipeline.report.figures import Step

_INK = "royalblue"
_LONGEST = 20


def funnel(steps: Sequence[Step]) -> str:
    """People by step, and those of them who went on to any later one."""
    if not steps:
        return "Nobody yet."
    most = max(step.reached for step in steps)
    rows = [
        f"|{step.name}|{step.reached:,}|{step.went_on:,}|{'█' * _length(step.went_on, most)}"
        f"{'░' * (_length(step.reached, most) - _length(step.went_on, most))}|"
        for step in steps
    ]
    return "\n".join(["|step|people|went on||", "|-|-:|-:|-|", *rows])


def _length(count: int, most: int) -> int:
    return max(round(_LONGEST * count / most), min(count, 1))


def line(days: Sequence[tuple[date, int]], what: str) -> str:
    """A count by day, the newest on the right."""
    if not days:
        return f"Nothing {what} so far."
    most, last = max(count for _, count in days), len(days) - 1
    points = [
        (round(300 * i / max(last, 1)), round(60 - 55 * count / max(most, 1))) for i, (_, count) in enumerate(days)
    ]
    path = "M" + "L".join(f"{x} {y}" for x, y in ([(0, points[0][1]), (300, points[0][1])] if last == 0 else points))
    body = f"<path fill='none' stroke='{_INK}' stroke-width='2' d='{path}'/>"
    words = f"<text font-size='11' y='76'>{days[0][0]}</text><text font-size='11' x='300' y='76' text-anchor='end'>{days[-1][0]}</text>"
    return _image(body + words, 300, 80, f"{what} by day: {days[-1][1]:,} on {days[-1][0]}, at most {most:,}")


def _image(body: str, width: int, height: int, said: str) -> str:
    svg = f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}'>{body}</svg>"
    # What Markdown and an address can hold as it is, is left as it is.
    return f"![{said}](data:image/svg+xml,{svg.replace(' ', '%20')})\n\n{said}"
