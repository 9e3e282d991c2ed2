"""`journey rehearse` in a shop of two tables: a test buyer who paid minutes ago, with and without what they paid for."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from journey_pipeline.cli.rehearse import rehearse_path
from journey_pipeline.errors import JourneyError
from journey_pipeline.orchestration import steps
from journey_pipeline.orchestration.home import Home
from journey_pipeline.orchestration.steps import Day
from journey_pipeline.settings import load

NOW = datetime(2026, 5, 15, 12, tzinfo=UTC)
SETTINGS = """\
business: {name: Shop, timezone: UTC, currency: USD}
platforms:
  till: {type: files, tables: {sales: sales.csv}, records: {payments: sales}}
  school: {type: files, tables: {pupils: pupils.csv}, records: {access: pupils}}
offers:
  - {id: course, name: Course, bought_as: ["till:c"], grants: ["school:c"], price: {amount_minor: 4900, currency: USD}}
  - {id: club, name: Club, bought_as: ["till:k"], grants: ["school:k"]}
test_buyers: ["qa*@shop.example"]
"""
SALES = "record_id,occurred_at,email,role,status,amount_minor,currency,product_ref\n"
PAID = "1,2026-05-15T11:50:00Z,qa1@shop.example,processor,succeeded,4900,USD,till:c\n"
PUPILS = "record_id,occurred_at,email,grant,status,product_ref\n"
LET_IN = "7,2026-05-15T11:51:00Z,QA1@shop.example,course,active,school:c\n"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "journey.yaml").write_text(SETTINGS)
    (tmp_path / "sales.csv").write_text(SALES + PAID)
    (tmp_path / "pupils.csv").write_text(PUPILS + LET_IN)
    return tmp_path


def run(shop: Path) -> None:
    day = Day(load(shop / "journey.yaml"), shop, Home(shop / "home"), NOW)
    for source in day.sources:
        steps.load(day, source, os.environ)
    for step in (steps.records, steps.people, steps.paths, steps.judge, steps.warehouse):
        step(day)


def rehearse(shop: Path, who: str = "qa1@shop.example", **options: Any) -> int:
    asked = {"offer": None, "pull": False, "shape": "json", **options}
    return rehearse_path(who, **asked, settings=shop / "journey.yaml", home=shop / "home")


def states(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    return {step["invariant"]: step["state"] for step in json.loads(capsys.readouterr().out)["steps"]}


def test_what_came_is_green_and_what_no_platform_tells_is_not_asked(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(shop)
    assert rehearse(shop) == 0
    said = json.loads(capsys.readouterr().out)
    (path,) = said["paths"]
    assert said["is_test"] is True
    assert (path["offer_id"], path["paid_at"], path["access_at"]) == (
        "course", "2026-05-15T11:50:00+00:00", "2026-05-15T11:51:00+00:00",
    )  # fmt: skip
    found = {step["invariant"]: step["state"] for step in said["steps"]}
    assert found["paid_implies_access"] == found["no_duplicate_charge"] == found["payment_has_person"] == "green"
    assert found["refund_revokes_access"] == "ahead"
    assert found["paid_implies_welcome"] == "unasked"
    assert "red" not in found.values()


def test_without_grace_what_is_missing_is_red_at_once(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A real buyer would have an hour; and no rule of the day speaks of a test buyer at all."""
    (shop / "pupils.csv").write_text(PUPILS)
    run(shop)
    assert Home(shop / "home").tables.scan("invariants", "findings").collect().is_empty()
    assert rehearse(shop) == 1
    assert states(capsys)["paid_implies_access"] == "red"
    assert rehearse(shop, shape="table") == 1
    shown = capsys.readouterr().out
    assert "✗ Whoever paid for an offer can use it." in shown
    assert "grant" in shown.lower()
    assert "2026-05-15 11:50 paid" in " ".join(shown.split())
    assert "1 red," in shown


def test_a_source_that_is_down_can_not_be_told(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "pupils.csv").unlink()
    run(shop)
    assert rehearse(shop) == 0
    said = {s["invariant"]: s for s in json.loads(capsys.readouterr().out)["steps"]}["paid_implies_access"]
    assert said["state"] == "unsure"
    assert said["why"].startswith("can't be told: school.pupils is failed")


def test_one_offer_alone(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "pupils.csv").write_text(PUPILS)
    run(shop)
    assert rehearse(shop, offer="club") == 0
    assert states(capsys)["paid_implies_access"] == "ahead"
    with pytest.raises(JourneyError, match="no offer 'cours'; did you mean course"):
        rehearse(shop, offer="cours")


def test_pulling_reads_anew_and_leaves_the_tables_of_the_day_as_they_were(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "sales.csv").write_text(SALES)
    (shop / "pupils.csv").write_text(PUPILS)
    run(shop)
    with pytest.raises(JourneyError, match=r"nobody is known by qa1@shop\.example"):
        rehearse(shop)
    before = {f: f.read_bytes() for f in (shop / "home").rglob("*.parquet") if "raw" not in f.parts}
    minutes_ago = f"{datetime.now(UTC) - timedelta(minutes=10):%Y-%m-%dT%H:%M:%SZ}"
    (shop / "sales.csv").write_text(SALES + PAID.replace("2026-05-15T11:50:00Z", minutes_ago))
    assert rehearse(shop, pull=True) == 1
    assert states(capsys)["paid_implies_access"] == "red"
    assert {f: f.read_bytes() for f in before} == before
