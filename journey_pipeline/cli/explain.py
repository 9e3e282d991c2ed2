"""`journey explain`: one person's whole path, every system on one time line. Who is meant by WHO is who.py's."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from journey_pipeline.cli import look
from journey_pipeline.cli.screen import Format, console, say_csv, say_json
from journey_pipeline.cli.ties import TIES, picture
from journey_pipeline.cli.warehouse import Warehouse, opened
from journey_pipeline.cli.who import person
from journey_pipeline.report import words

_PARTS = {
    "person": "select * from journey.people where person_id = $person_id",
    "keys": """
        select key, list_sort(list(distinct how)) as how, min(confidence) as confidence,
               list_sort(list(distinct platform || ':' || record_id)) as records
        from journey.person_keys where person_id = $person_id
        group by key order by split_part(key, ':', 1) not in ('email', 'phone'), key
    """,
    "journeys": """
        select * from journey.buyer_journeys where person_id = $person_id
        order by coalesce(paid_at, lead_at, access_at, first_touch_at), offer_id
    """,
    "events": """
        select * from journey.journey_events where person_id = $person_id
        order by occurred_at, event, platform, record_id
    """,
    "findings": "select * from journey.findings where person_id = $person_id",
}  # fmt: skip
_EVENTS = {
    "touch": "came by", "lead": "filled in a form", "crm": "entered in the CRM", "booked": "booked a call",
    "meeting": "call took place, or was to", "booking_cancelled": "call cancelled", "deal": "deal opened",
    "won": "deal won", "lost": "deal lost", "proposed": "proposal sent", "viewed": "proposal viewed",
    "signed": "signed", "declined": "proposal declined", "paid": "paid", "refunded": "refunded", "disputed": "disputed",
    "subscribed": "subscribed", "subscription_ended": "subscription ended", "access": "access opened",
    "access_closed": "access closed", "used": "last used", "mailed": "was mailed", "bounced": "mail bounced",
    "notified": "team notified", "ticket": "asked support", "ticket_resolved": "support resolved it",
    "survey": "answered a survey",
}  # fmt: skip
_ENTITLED = {
    "one_off": "paid once", "instalments": "pays instalments", "subscription": "subscribed",
    "cancelling": "subscribed, cancelling", "dunning": "subscribed, payment overdue",
    "paused": "subscribed, paused", "trial": "on trial",
}  # fmt: skip


class _Line(NamedTuple):
    at: datetime
    what: Text
    offer_id: str | None
    record: Text = Text()
    amount: str = ""


def explain_person(who: str, *, shape: Format, settings: Path | None, home: Path | None) -> int:
    with opened(settings, home) as warehouse:
        person_id = person(warehouse, who)
        parts = {name: warehouse.ask(query, person_id=person_id) for name, query in _PARTS.items()}
        parts["findings"] = parts["findings"].sort(*look.worst_first(warehouse.currency), nulls_last=True)
        if shape == "json":
            said = {name: frame.to_dicts() for name, frame in parts.items()}
            say_json({**said, "person": said["person"][0]})
        elif shape == "csv":
            say_csv(parts["events"].iter_rows(named=True), parts["events"].columns)
        else:
            _print(parts, picture(warehouse.ask(TIES, person_id=person_id)), warehouse)
    return 0


def _print(parts: Mapping[str, pl.DataFrame], ties: RenderableType | None, warehouse: Warehouse) -> None:
    said = parts["person"].row(0, named=True)
    console.print(Padding(_who(said, warehouse), (1, 0, 0, 0)))
    sections: dict[str, RenderableType | None] = {
        "Tied together by": _keys(parts["keys"]),
        **({"How they hang together": ties} if ties else {}),
        "Journeys": _journeys(parts["journeys"], warehouse),
        f"Time line, {getattr(warehouse.zone, 'key', 'UTC')}": _time_line(
            parts["events"], parts["findings"], warehouse
        ),
        "What is broken": _findings(parts["findings"], warehouse),
    }
    for title, content in sections.items():
        console.print(Padding(Text(title, "bold"), (1, 0, 0, 0)))
        console.print(Padding(content or Text("nothing", "dim"), (0, 0, 0, 2)))


def _who(said: Mapping[str, Any], warehouse: Warehouse) -> Text:
    named = [said["name"], said["email"], said["phone"]]
    text = Text(" · ".join(filter(None, named)) or "No name, no address", style="bold")
    first, last = _day(said["first_seen_at"], warehouse), _day(said["last_seen_at"], warehouse)
    known = f"\n{said['person_id']}, {said['lifecycle']}, {words.count(said['record_count'], 'record')}"
    text.append(f"{known}, {first} to {last}", "not bold")
    text.append(f"\nThat all of it is one person: {words.sure(said['identity_confidence'])} sure", "not bold")
    if said["twin_person_id"]:
        text.append(f"; may also be {said['twin_person_id']}, not tied", "not bold")
    return text.append("\nA test buyer: no rule speaks of them.", "not bold yellow") if said["is_test"] else text


def _keys(keys: pl.DataFrame) -> Table | None:
    if keys.is_empty():
        return None
    table = _table("Key", "How", "Records")
    for row in keys.iter_rows(named=True):
        counts: dict[str, int] = {}
        for record in row["records"]:
            platform = record.split(":", 1)[0]
            counts[platform] = counts.get(platform, 0) + 1
        how = ", ".join(row["how"]) + ("" if row["confidence"] == 1 else f" ({words.sure(row['confidence'])})")
        table.add_row(row["key"], how, ", ".join(f"{n} {platform}" for platform, n in counts.items()))
    return table


def _journeys(journeys: pl.DataFrame, warehouse: Warehouse) -> Table | None:
    if journeys.is_empty():
        return None
    offers = {offer.id: offer.name for offer in warehouse.settings.offers} if warehouse.settings else {}
    table = _table("Offer", "Stage", "Next step", "Paid", "Kept", "Entitled", "Access")
    for row in journeys.iter_rows(named=True):
        table.add_row(
            offers.get(row["offer_id"], row["offer_id"]) or Text("none yet", "dim"),
            words.plain(row["stage"] or "") + (" (stuck)" if row["is_stuck"] else ""),
            row["next_step"],
            _amount(row["paid_minor"], row["currency"]),
            _amount(row["net_minor"], row["currency"]),
            _entitled(row),
            _access(row, warehouse),
        )
    return table


def _entitled(row: Mapping[str, Any]) -> str:
    if row["entitled_by"]:
        return _ENTITLED.get(row["entitled_by"], words.plain(row["entitled_by"]))
    return f"no more: {words.plain(row['entitlement_ended_by'])}" if row["entitlement_ended_by"] else "nothing"


def _access(row: Mapping[str, Any], warehouse: Warehouse) -> str:
    expected, held = row["grants_expected"] or 0, row["grants_open"] or 0
    if held:
        since = f" since {_day(row['opened_at'], warehouse)}" if row["opened_at"] else ""
        return f"{held} of {max(expected, held)} open{since}"
    if row["access_lost_at"]:
        return f"lost {_day(row['access_lost_at'], warehouse)}"
    return f"0 of {expected} open" if expected else "none"


def _time_line(events: pl.DataFrame, findings: pl.DataFrame, warehouse: Warehouse) -> Table | None:
    happened = [
        _Line(
            row["occurred_at"],
            Text(_EVENTS.get(row["event"], words.plain(row["event"]))),
            row["offer_id"],
            _record(row),
            _amount(row["amount_minor"], row["currency"]),
        )
        for row in events.iter_rows(named=True)
    ]
    broke = [
        _Line(row["broken_since_at"], Text(f"✗ {row['invariant']}", look.STYLES[row["severity"]]), row["offer_id"])
        for row in findings.iter_rows(named=True)
        if row["broken_since_at"] and row["status"] not in look.OVER
    ]
    if not happened and not broke:
        return None
    table = _table("When", "What", "Offer", "Record", "Amount")
    table.columns[-1].justify = "right"
    for line in sorted([*happened, *broke], key=lambda line: line.at):
        at = f"{line.at.astimezone(warehouse.zone):%Y-%m-%d %H:%M}"
        table.add_row(at, line.what, line.offer_id, line.record, line.amount)
    return table


def _record(event: Mapping[str, Any]) -> Text:
    url = words.link(event["url"])
    return Text(f"{event['platform']}:{event['record_id']}", f"link {url}" if url else "")


def _findings(findings: pl.DataFrame, warehouse: Warehouse) -> Group | None:
    if findings.is_empty():
        return None
    widest = max(len(look.money(row)) for row in findings.iter_rows(named=True))
    items: list[RenderableType] = []
    for row in findings.iter_rows(named=True):
        items += [
            look.headline(row, row["offer_id"] or "", warehouse, widest),
            Padding(Text(row["evidence"] or ""), (0, 0, 0, 10)),
            Padding(look.todo(row), (0, 0, 1, 10)),
        ]
    return Group(*items)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == "When")
    return table


def _amount(minor: int | None, currency: str | None) -> str:
    return words.money(minor, currency) if minor and currency else ""


def _day(at: datetime, warehouse: Warehouse) -> str:
    local = at.astimezone(warehouse.zone)
    return f"{local.day} {local:%b %Y}"
