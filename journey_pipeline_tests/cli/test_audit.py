"""`journey audit` on a business drawn by hand: two systems that spell phones differently, an offer nobody maps, a dead list."""

import csv
import io
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from playwright.sync_api import Browser

from journey_pipeline.cli import main
from journey_pipeline.cli.audit import audit_systems
from journey_pipeline.errors import JourneyError
from journey_pipeline.invariants import catalogue
from journey_pipeline.lake import Tables
from journey_pipeline.registry import TABLES

AS_OF = datetime(2026, 5, 15, 12, tzinfo=UTC)
SETTINGS = """\
business: {name: Northwind, timezone: UTC, currency: USD}
platforms:
  stripe: {}
  hubspot: {}
  forum: {type: files, tables: {members: members.csv}, records: {access: members}}
offers:
  - {id: course, name: Course, bought_as: ["stripe:price_1", "stripe:price_2"], grants: ["forum:1"],
     price: {amount_minor: 4900, currency: USD}}
  - {id: later, name: Later, bought_as: ["stripe:price_9"], grants: ["forum:9"], opens_on: 2030-01-01}
ignore_products: ["stripe:swag"]
"""


def frame(table: str, *rows: dict[str, Any]) -> pl.LazyFrame:
    schema = TABLES[table].schema
    return pl.LazyFrame([{**dict.fromkeys(schema), **row} for row in rows], schema=schema)


def paid(number: int, ref: str | None, amount: int = 3900, **rest: Any) -> dict[str, Any]:
    return {
        "platform": "stripe", "record_id": f"ch_{number}", "occurred_at": datetime(2026, 5, 1, tzinfo=UTC),
        "status": "succeeded", "is_primary": True, "amount_minor": amount, "net_minor": amount, "currency": "USD",
        "product_ref": ref, "person_id": f"p{number}", "is_renewal": False, **rest,
    }  # fmt: skip


def keys() -> list[dict[str, Any]]:
    """Twelve people in stripe and hubspot, tied by e-mail, never by phone; twelve others in the forum, by its own ids."""
    known = [
        {"person_id": f"p{n}", "key": key, "platform": platform, "kind": "payments", "record_id": f"{n}"}
        for n in range(12)
        for platform, key in (
            ("stripe", f"email:p{n}@x.example"), ("hubspot", f"email:p{n}@x.example"), ("stripe", f"phone:+1212555{n:04}"),
            ("hubspot", f"phone:{n:04}"),
        )
    ]  # fmt: skip
    forum = [{"person_id": f"q{n}", "key": f"forum:{n}", "platform": "forum", "record_id": f"f{n}"} for n in range(12)]
    return [*known, *forum]


def day(name: str, gate: str = "open", reason: str | None = None, **counts: int) -> dict[str, Any]:
    return {
        "invariant": name, "day_on": date(2026, 5, 15), "currency": "USD", "gate": gate, "gate_reason": reason,
        "evaluated": 0, "unknown": 0, **counts,
    }  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audited")
    (folder / "journey.yaml").write_text(SETTINGS)
    tables = Tables(folder / "lake")
    made = {
        "payments": frame(
            "payments", paid(1, "stripe:price_1", offer_id="course"), paid(2, "stripe:price_1", offer_id="course"),
            paid(3, "stripe:flash", 9900), paid(4, "stripe:flash", 9900, person_id="p3"), paid(5, None, 100),
            paid(6, "stripe:swag"), paid(7, "stripe:flash", is_primary=False),
        ),
        "access": frame("access", {"platform": "forum", "record_id": "a", "product_ref": "forum:7", "is_open": True}),
        "products": frame("products", {"product_ref": "stripe:swag", "is_ignored": True}),
        "person_keys": frame("person_keys", *keys()),
        "source_health": frame(
            "source_health",
            {"platform": "stripe", "resource": "charges", "status": "fresh", "row_count": 7, "rejected_count": 0,
             "last_load_at": AS_OF, "complete_until_at": AS_OF, "history_from_at": datetime(2026, 4, 1, tzinfo=UTC)},
            {"platform": "forum", "resource": "members", "status": "partial", "row_count": 1, "rejected_count": 0,
             "last_load_at": AS_OF, "detail": "forum members came back with 1 rows, under half of the last 12."},
        ),
        "invariant_days": frame(
            "invariant_days", day("paid_implies_access", "partial", "forum.members is partial", evaluated=3, unknown=2),
            day("paid_implies_welcome", "not_covered", "no platform says messages"),
            day("paid_implies_won", "off", "no CRM deals here"), day("no_duplicate_charge", evaluated=4),
        ),
    }  # fmt: skip
    tables.write("records", "as_of", pl.DataFrame({"as_of": [AS_OF]}))
    for name, made_frame in made.items():
        if name == "invariant_days":
            tables.write_day("invariants", name, date(2026, 5, 15), made_frame)
        else:
            tables.write(TABLES[name].room, name, made_frame)
    return folder


def said(capsys: pytest.CaptureFixture[str], home: Path, *options: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["audit", "--home", str(home), *options])
    assert ended.value.code == 0
    return capsys.readouterr().out


def found(capsys: pytest.CaptureFixture[str], home: Path, part: str) -> list[tuple[str, str, str]]:
    rows = json.loads(said(capsys, home, "--format", "json"))
    return [(r["subject"], r["mark"], r["said"].replace("\N{NO-BREAK SPACE}", " ")) for r in rows if r["part"] == part]


def test_parts_that_no_platform_tells_of_name_what_that_costs(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    parts = {subject: (mark, text) for subject, mark, text in found(capsys, home, "journey")}
    assert parts["CRM"] == ("right", "hubspot")
    assert parts["courses, memberships, community"] == ("right", "forum")  # a file that says access covers it
    assert parts["spreadsheets and reports"] == ("right", "forum")
    lost = sum("tickets" in (rule.needs or ()) for rule in catalogue.load())
    assert lost >= 1
    assert parts["support"] == ("gap", f"no platform: {lost} rule{'' if lost == 1 else 's'} can't be judged")
    assert parts["messaging"][0] == "note"


def test_rules_say_why_they_could_not_be_judged(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    assert found(capsys, home, "rules") == [
        ("paid_implies_welcome", "gap", "not asked: no platform says messages"),
        ("paid_implies_access", "note", "3 cases judged, 2 could not be: forum.members is partial"),
        ("paid_implies_won", "note", "switched off: no CRM deals here"),
        ("no_duplicate_charge", "right", "4 cases judged"),
    ]


def test_offers_and_products_that_do_not_meet(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    assert found(capsys, home, "offers") == [
        ("course", "gap", "stripe:price_2 was never bought"),
        ("course", "gap", "forum:1 was never granted to anybody"),
        ("later", "gap", "stripe:price_9 was never bought"),
        ("course", "note", "it has no welcome: nobody is expected to get one"),
        ("course", "note", "its price, 49.00 USD, was not paid once in 90 days; most paid 39.00 USD"),
        ("later", "note", "it has no welcome: nobody is expected to get one"),
        ("later", "note", "it has no price: what is paid for it is compared with nothing"),
    ]
    assert found(capsys, home, "products") == [
        ("stripe:flash", "gap", "2 payments by 1 person, 198.00 USD kept"),
        ("no product", "gap", "1 payment by 1 person, 1.00 USD kept"),
        ("forum:7", "note", "open to 1 person"),
    ]


def test_systems_that_never_recognise_each_other(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    assert found(capsys, home, "pairs") == [
        ("forum and hubspot", "gap", "share 0 of 12 people (0 %)"),
        ("forum and stripe", "gap", "share 0 of 12 people (0 %)"),
        ("hubspot and stripe", "gap",
         "share 12 of 12 people (100 %): 12 by email; never the same phone of 12 people in both"),
    ]  # fmt: skip


def test_sources_tell_how_far_they_reach(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    assert found(capsys, home, "sources") == [
        ("forum.members", "gap", "partial, 1 row; tells from the beginning"),
        ("stripe.charges", "right", "fresh, 7 rows; complete until today 12:00; tells from Wed 1 Apr on"),
    ]


def test_the_terminal_shows_what_is_missing_and_csv_all_of_it(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    shown = said(capsys, home)
    assert "stripe:flash: 2 payments" in shown
    assert "no_duplicate_charge" not in shown
    assert "no_duplicate_charge" in said(capsys, home, "--all")
    rows = list(csv.DictReader(io.StringIO(said(capsys, home, "--format", "csv"))))
    flash = next(row for row in rows if row["subject"] == "stripe:flash")
    assert (flash["count"], flash["amount_minor"], flash["currency"]) == ("2", "19800", "USD")


def test_the_page_shows_all_of_it_in_a_browser(
    browser: Browser, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    rows = json.loads(said(capsys, home, "--format", "json"))
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.goto((home / "audit.html").as_uri())
    gaps = sum(row["mark"] == "gap" for row in rows)
    assert tab.locator("h1").inner_text().startswith(f"The systems audit: {gaps} gaps")
    assert tab.locator("tbody tr").count() == len(rows)
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    tab.set_viewport_size({"width": 390, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_without_a_run_there_is_nothing_to_audit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(JourneyError, match="Run first: journey run"):
        audit_systems(everything=False, shape="table", settings=None, home=tmp_path)
