"""The systems audit as a page: one self-contained HTML file in the dress of the morning's. Its facts are audit's."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from journey_pipeline.model import Business
from journey_pipeline.report import words
from journey_pipeline.report.audit import PARTS, Line
from journey_pipeline.report.page import content_hash, put

_HERE = Path(__file__).parent
_NAMES = {"gap": "gap", "note": "look", "right": "right"}
_LOOKS = {"gap": "critical", "note": "warning", "right": "fresh"}


def write(lines: Sequence[Line], *, business: Business, as_of: datetime, target: Path) -> None:
    """Write the page, whole or not at all. The same lines and `as_of` give the same bytes."""
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, finalize=words.private, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.globals |= {"count": words.count, "names": _NAMES, "looks": _LOOKS}
    css = (_HERE / "page.css").read_text("utf-8")
    parts = [(part, *PARTS[part], list(mine)) for part, mine in groupby(lines, key=lambda line: line.part)]
    page = environment.get_template("audit.html").render(
        business=business, as_of=as_of.astimezone(business.zone), parts=parts, css=css, css_hash=content_hash(css),
        gaps=sum(line.mark == "gap" for line in lines), notes=sum(line.mark == "note" for line in lines),
    )  # fmt: skip
    put(page, target)
