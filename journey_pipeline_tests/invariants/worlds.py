"""The small world that the tests of the rules share, and the reader of worlds drawn as ASCII tables. No tests."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from journey_pipeline.model import Business, Offer, Price, Settings
from journey_pipeline.registry import TABLES

AS_OF = datetime(2026, 5, 15, 12, tzinfo=UTC)  # a Friday
DRAWINGS = Path(__file__).with_name("drawings")

SAYS = {
    "leads": [("typeform", "responses")],
    "contacts": [("hubspot", "contacts")],
    "deals": [("hubspot", "deals")],
    "bookings": [("calendly", "events")],
    "agreements": [("pandadoc", "documents")],
    "payments": [("stripe", "charges"), ("paypal", "transactions")],
    "subscriptions": [("stripe", "subscriptions")],
    "access": [("teachable", "enrolments"), ("circle", "members")],
    "messages": [("mailchimp", "sends")],
    "consents": [("mailchimp", "members")],
    "tickets": [("zendesk", "tickets")],
    "spend": [("meta", "insights")],
    "touchpoints": [("posthog", "visits")],
    "reported": [("sheet", "figures")],
    "notifications": [("slack", "messages")],
    "surveys": [("typeform", "surveys")],
}

SETTINGS = Settings(
    business=Business(name="Northwind Academy", timezone="UTC", currency="USD", country="US"),
    platforms={},
    offers=(
        Offer(
            id="bootcamp",
            name="Data Bootcamp",
            bought_as=("stripe:price_1",),
            grants=("teachable:course_9", "circle:space_3"),
            welcome=("mailchimp:tpl_4",),
            price=Price(amount_minor=49900, currency="USD"),
        ),
        Offer(
            id="membership",
            name="Membership",
            bought_as=("paypal:MEMBER",),
            grants=("circle:space_1",),
            price=Price(amount_minor=2900, currency="EUR"),
        ),
    ),
)

_PLATFORM = {"payments": "stripe", "tickets": "zendesk", "access": "teachable", "messages": "mailchimp",
             "subscriptions": "stripe", "contacts": "hubspot", "leads": "typeform", "deals": "hubspot",
             "bookings": "calendly", "agreements": "pandadoc", "consents": "mailchimp", "surveys": "typeform"}  # fmt: skip


def frame(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows of a table; what isn't said is false, none, sure, and of the platform that usually says it."""
    schema = TABLES[table].schema
    usual: dict[str, Any] = {}
    for name, dtype in schema.items():
        if dtype == pl.Boolean:
            usual[name] = False
        elif name.endswith("_count") or name.startswith("grants_"):
            usual[name] = 0
        elif name in ("starts_on", "ends_on"):
            usual[name] = AS_OF.date() - timedelta(days=14)
    usual |= {"identity_confidence": 1.0, "currency": "USD", "platform": _PLATFORM.get(table)}
    known = {name: value for name, value in usual.items() if name in schema}
    return pl.DataFrame([{**dict.fromkeys(schema), **known, **row} for row in rows], schema=schema)


def health(**changed: Mapping[str, Any]) -> pl.DataFrame:
    """Every source fresh and complete until now, but for those named `platform__resource`."""
    sources = sorted({source for of_kind in SAYS.values() for source in of_kind})
    rows = [
        {
            "platform": platform,
            "resource": resource,
            "status": "fresh",
            "complete_until_at": AS_OF,
            "last_load_at": AS_OF,
        }
        | dict(changed.get(f"{platform}__{resource}", {}))
        for platform, resource in sources
    ]
    return frame("source_health", rows)


def world(
    sources: pl.DataFrame | None = None, **tables: list[dict[str, Any]] | pl.DataFrame
) -> dict[str, pl.LazyFrame]:
    """Every table of the registry, empty but for those given."""
    given = {name: t if isinstance(t, pl.DataFrame) else frame(name, t) for name, t in tables.items()}
    empty = {name: pl.DataFrame(schema=table.schema) for name, table in TABLES.items()}
    return {
        n: t.lazy() for n, t in (empty | {"source_health": health() if sources is None else sources} | given).items()
    }


@dataclass(frozen=True)
class Drawing:
    """One drawn world: the rows of a rule's table, and the verdict and reason that each should get."""

    invariant: str
    is_caught: bool
    story: str
    text: str

    def rows(self, table: str) -> pl.DataFrame:
        header, *lines = self.text.splitlines()
        columns = [c.strip() for c in header.split("||")[0].split("|")]
        schema = TABLES[table].schema
        rows = []
        for line in lines:
            cells = [c.strip() for c in line.split("||")[0].split("|")]
            rows.append({c: _value(cell, schema[c]) for c, cell in zip(columns, cells, strict=True)})
        return frame(table, rows)

    @property
    def expected(self) -> list[tuple[str | None, str | None]]:
        cells = [[c.strip() for c in line.split("||")[1].split("|")] for line in self.text.splitlines()[1:]]
        return [(_word(row[0]), _word(row[1]) if len(row) > 1 else None) for row in cells]


def drawings() -> list[Drawing]:
    """Every world of the folder, in the order of the files."""
    found = []
    for path in sorted(DRAWINGS.glob("*.txt")):
        for block in re.split(r"^# ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            name, _, rest = block.partition("\n")
            for part in re.split(r"^(?=caught:|not caught:)", rest, flags=re.MULTILINE)[1:]:
                story, _, table = part.partition("\n")
                kind, _, words = story.partition(":")
                text = "\n".join(line.strip() for line in table.splitlines() if line.strip())
                found.append(Drawing(name.strip(), kind == "caught", words.strip(), text))
    return found


def instant(text: str) -> datetime:
    """`09:00` of the day, `d-3` three days earlier at the same hour, `d-3 09:00`."""
    match = re.fullmatch(r"(?:d([+-]\d+))?\s*(?:(\d\d):(\d\d))?", text)
    assert match, f"no time: {text!r}"
    moment = AS_OF + timedelta(days=int(match[1] or 0))
    return moment.replace(hour=int(match[2]), minute=int(match[3])) if match[2] else moment


def _value(cell: str, dtype: pl.DataType) -> Any:
    if cell in ("-", ""):
        return None
    if dtype == pl.Boolean:
        return {"yes": True, "no": False}[cell]
    if dtype == pl.Int64:
        return int(cell)
    if dtype == pl.Float64:
        return float(cell)
    return instant(cell) if isinstance(dtype, pl.Datetime) else cell


def _word(cell: str) -> str | None:
    return None if cell in ("-", "") else cell
