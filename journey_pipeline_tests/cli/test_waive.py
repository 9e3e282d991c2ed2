"""`journey waive` on northwind, drawn by hand; what a waiver does on the next run is told by the tests of the rules."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from journey_pipeline.cli.doctor import examine
from journey_pipeline.cli.waive import accept_findings
from journey_pipeline.errors import JourneyError, SettingsError
from journey_pipeline.lake import Tables
from journey_pipeline.orchestration import steps
from journey_pipeline.orchestration.home import Home
from journey_pipeline.orchestration.steps import Day
from journey_pipeline.publish import publish, views_folder
from journey_pipeline.registry import TABLES
from journey_pipeline.settings import load, waivers
from journey_pipeline_tests.publish import northwind
from journey_pipeline_tests.publish.northwind import finding, frame

ONE, TWO = "0123456789abcdef", "fedcba9876543210"
ANN = "p_aaaaaaaaaaaaaaaa"
SETTINGS = "business: {name: Northwind, timezone: UTC, currency: USD}\nplatforms: {}\nwaivers: accepted.csv\n"
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).date()
YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).date()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tables = northwind.tables() | {
        "findings": frame(
            "findings",
            finding(ONE, "paid_implies_access", "delivery", subject=f"journey:{ANN}:course", person_id=ANN),
            finding(TWO, "lead_implies_crm_record", "sales", subject=f"person:{ANN}", person_id=ANN),
        ),
        "people": frame("people", {"person_id": ANN, "email": "ann@x.example"}),
        "person_keys": frame("person_keys", {"person_id": ANN, "key": "email:ann@x.example"}),
    }
    publish(tables, views_folder(), tmp_path / "warehouse.duckdb")
    (tmp_path / "journey.yaml").write_text(SETTINGS)
    return tmp_path


def waive(
    home: Path, what: str, *, invariant: str | None = None, reason: str = "goodwill", until: object = TOMORROW
) -> int:
    return accept_findings(
        what, invariant=invariant, reason=reason, who="Bo", until=str(until), settings=None, home=home
    )


def lines(home: Path) -> list[str]:
    return (home / "accepted.csv").read_text().splitlines()


def test_the_file_is_made_and_each_waiver_is_one_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert waive(home, ONE, reason="she asked, see ticket 7") == 0
    assert waive(home, f"journey:{ANN}:course") == 0
    assert lines(home) == [
        "finding,reason,who,until",
        f'{ONE},"she asked, see ticket 7",Bo,{TOMORROW}',
        f"journey:{ANN}:course,goodwill,Bo,{TOMORROW}",
    ]
    assert "1 finding of today" in capsys.readouterr().out
    found = waivers(home / "accepted.csv")
    assert found["reason"].to_list() == ["she asked, see ticket 7", "goodwill"]


def test_of_a_person_the_id_is_written_never_the_address(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert waive(home, "Ann@X.example") == 0
    assert lines(home)[1:] == [f"person:{ANN},goodwill,Bo,{TOMORROW}"]
    assert "2 findings of today" in capsys.readouterr().out
    assert waive(home, ANN, invariant="paid_implies_access") == 0
    assert lines(home)[2:] == [f"{ONE},goodwill,Bo,{TOMORROW}"]


def test_a_line_follows_the_header_that_is_there(home: Path) -> None:
    (home / "accepted.csv").write_text(f"until,note,who,subject,reason\n2030-01-01,x,Al,{TWO},old")
    waive(home, ONE)
    assert lines(home)[1:] == [f"2030-01-01,x,Al,{TWO},old", f"{TOMORROW},,Bo,{ONE},goodwill"]


@pytest.mark.parametrize(
    ("what", "more", "sentence"),
    [
        ("00000000000000ff", {}, "no finding has the id 00000000000000ff; journey findings --all"),
        ("zoe@x.example", {}, "is no finding, no subject of one, and nobody that we know"),
        (ONE, {"until": YESTERDAY}, "is over; a waiver holds through a day to come"),
        (ONE, {"until": "soon"}, "'soon' is not a day"),
        (ONE, {"reason": "  "}, "reason is empty"),
        (ANN, {"invariant": "paid_implies_acces"}, "did you mean paid_implies_access?"),
    ],
)
def test_what_is_refused_leaves_no_trace(home: Path, what: str, more: dict[str, str], sentence: str) -> None:
    with pytest.raises(JourneyError, match=sentence.replace("?", r"\?")):
        waive(home, what, **more)  # type: ignore[arg-type]
    assert not (home / "accepted.csv").exists()


def test_settings_without_a_waivers_file_say_how(home: Path) -> None:
    (home / "journey.yaml").write_text(SETTINGS.replace("waivers: accepted.csv\n", ""))
    with pytest.raises(SettingsError, match=r"add the line `waivers: waivers\.csv`"):
        waive(home, ONE)


def test_doctor_tells_of_waivers_that_cover_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Tables(home / "lake").write("invariants", "findings", pl.DataFrame(
        [{**dict.fromkeys(TABLES["findings"].columns), "finding_id": ONE}], schema=TABLES["findings"].schema
    ))  # fmt: skip
    (home / "accepted.csv").write_text(
        f"finding,reason,who,until\n{ONE},a,b,{TOMORROW}\n{TWO},a,b,{YESTERDAY}\n"
    )  # fmt: skip
    load(home / "journey.yaml")
    examine(settings=home / "journey.yaml", home=home)
    shown = " ".join(capsys.readouterr().out.split())
    assert "2 lines in accepted.csv, 1 over" in shown
    assert f"{TWO} is the id of no finding" in shown
    assert f"{ONE} is the id" not in shown


def test_a_run_warns_of_waivers_that_cover_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "journey.yaml").write_text(SETTINGS.replace(
        "platforms: {}", "platforms: {till: {type: files, tables: {sales: sales.csv}, records: {payments: sales}}}"
    ))  # fmt: skip
    (tmp_path / "sales.csv").write_text("record_id,occurred_at,role,amount_minor,currency,status\n")
    (tmp_path / "accepted.csv").write_text(
        f"finding,reason,who,until\n{TWO},a,b,{TOMORROW}\nperson:p_1,a,b,{TOMORROW}\n"
    )
    day = Day(load(tmp_path / "journey.yaml"), tmp_path, Home(tmp_path / "home"), datetime.now(UTC))
    for source in day.sources:
        steps.load(day, source, {})
    for step in (steps.records, steps.people, steps.paths):
        step(day)
    with caplog.at_level("WARNING", logger="journey_pipeline.progress"):
        steps.judge(day)
    warned = [record.getMessage() for record in caplog.records if record.name == "journey_pipeline.progress"]
    assert [line for line in warned if "waiver" in line] == [
        f"A waiver names {TWO}, which no finding has: mend or delete its line."
    ]
