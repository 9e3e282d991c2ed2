"""`journey forget` on the sandbox's vendors and on two hand-written tables: nothing of the person is left, nobody else is touched."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from journey_pipeline.cli.daily import _secrets, served
from journey_pipeline.cli.forget import forget_person
from journey_pipeline.cli.waive import accept_findings
from journey_pipeline.orchestration import steps
from journey_pipeline.orchestration.home import Home
from journey_pipeline.orchestration.steps import Day
from journey_pipeline.sandbox import business, server
from journey_pipeline.settings import load

NOW = datetime(2026, 5, 15, 12, tzinfo=UTC)
AFTER_INGESTION = (steps.records, steps.people, steps.paths, steps.judge, steps.warehouse, steps.page)


@dataclass
class Kept:
    """A home after one day, with the settings beside it in another folder, as a business has them."""

    day: Day
    person_id: str
    traces: tuple[str, ...]

    @property
    def home(self) -> Path:
        return self.day.home.root

    def forget(self, *, yes: bool) -> None:
        assert forget_person(self.person_id, yes=yes, settings=self.day.folder / "journey.yaml", home=self.home) == 0


def ran(day: Day) -> Day:
    for source in day.sources:
        steps.load(day, source, os.environ)
    for step in AFTER_INGESTION:
        step(day)
    return day


def holding(home: Path, traces: tuple[str, ...]) -> set[str]:
    """The files that hold one of the texts, whatever the case; Parquet and the warehouse are decoded."""
    found = set()
    for file in (f for f in home.rglob("*") if f.is_file()):
        if file.suffix == ".parquet":
            texts = "\n".join(str(row) for row in pl.read_parquet(file).rows()).lower()
        elif file.suffix == ".duckdb":
            with duckdb.connect(str(file), read_only=True) as db:
                tables = db.sql(
                    "select table_name from information_schema.tables where table_schema = 'journey'"
                ).fetchall()
                texts = "\n".join(str(db.table(f"journey.{name}").fetchall()) for (name,) in tables).lower()
        else:
            texts = file.read_bytes().decode("utf-8", "ignore").lower()
        if any(trace.lower() in texts for trace in traces):
            found.add(str(file.relative_to(home)))
    return found


def people(home: Path) -> pl.DataFrame:
    return Home(home).tables.scan("journeys", "people").collect()


def findings(home: Path, *but: str) -> list[tuple[object, ...]]:
    """What is found of people; a reported figure may well differ once somebody's payments are gone."""
    found = Home(home).tables.scan("invariants", "findings").filter(
        pl.col("person_id").is_not_null() & ~pl.col("person_id").is_in(but)
    )  # fmt: skip
    return found.select("finding_id", "status", "person_id", "at_risk_minor").sort("finding_id").collect().rows()


def records(day: Day, *but: str) -> list[tuple[object, ...]]:
    """Every record of the others. A message to the team is nobody's record; those that name the person go with them."""
    every = steps.whose(day).filter(pl.col("person_id").is_not_null() & ~pl.col("person_id").is_in(but))
    return sorted(every.select("kind", "platform", "record_id", "person_id").rows(), key=str)


def somebody(home: Path) -> tuple[str, tuple[str, ...]]:
    """Somebody with something broken, an address, a number and a name that nobody else has, told of by many platforms."""
    told = people(home).drop_nulls(["email", "phone", "name"])
    broken = Home(home).tables.scan("invariants", "findings").select("person_id").collect().to_series().implode()
    alone = told.filter(pl.col("name").is_unique(), pl.col("phone").is_unique(), pl.col("name").str.contains(" "))
    chosen = alone.filter(pl.col("person_id").is_in(broken)).sort("record_count", descending=True).row(0, named=True)
    return chosen["person_id"], (chosen["email"], chosen["phone"], chosen["name"])


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder, home = tmp_path_factory.mktemp("settings"), tmp_path_factory.mktemp("home")
    world = business.generate(1_000, 3, NOW)
    file = business.write_settings(folder)
    # Who is likely to be whom depends on everybody; who is surely whom does not.
    file.write_text(file.read_text() + 'waivers: waivers.csv\nidentity: {probable: "off"}\n')
    (folder / "waivers.csv").write_text("finding,reason,who,until\n")
    business.write_exports(world, folder)
    with server.serve(world) as urls, _secrets({**server.secrets(), **business.secrets(folder)}):
        day = ran(Day(served(load(file), urls), folder, Home(home), NOW))
    person_id, traces = somebody(home)
    return Kept(day, person_id, traces)


def contents(home: Path) -> Mapping[str, bytes]:
    # An old lock and whatever is asked of it are not what we hold of anybody.
    return {str(f.relative_to(home)): f.read_bytes() for f in home.rglob("*") if f.is_file() and f.name != ".lock"}


def test_it_says_what_it_would_do_and_changes_nothing(kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(kept.home)
    kept.forget(yes=False)
    assert contents(kept.home) == before
    shown = capsys.readouterr().out
    assert "Nothing was changed. To erase: the same with --yes" in shown
    assert not [trace for trace in kept.traces if trace.lower() in shown.lower()]


def test_nothing_of_them_is_left_and_nobody_else_is_touched(kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    held = holding(kept.home, kept.traces)
    assert {path.split("/")[0] for path in held} >= {"lake", "warehouse.duckdb"}
    assert len({path.split("/")[2] for path in held if path.startswith("lake/raw/")}) >= 3
    rest, count = findings(kept.home, kept.person_id), people(kept.home).height
    told = records(kept.day, kept.person_id)
    settings = kept.day.folder / "journey.yaml"
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    accept_findings(
        kept.person_id, invariant=None, reason="asked", who="Bo", until=tomorrow, settings=settings, home=kept.home
    )
    decisions = kept.day.folder / "identity_decisions.csv"
    mine = kept.day.home.tables.scan("identity", "person_keys").filter(pl.col("person_id") == kept.person_id).collect()
    ref = f"{mine['platform'][0]}:{mine['record_id'][0]}"
    kept_line = "hubspot:1,stripe:none,refuse,Bo,2026-05-01,two people"
    decisions.write_text(f"a,b,decision,who,on,why\n{ref},stripe:none,refuse,Bo,2026-05-01,no\n{kept_line}\n")

    kept.forget(yes=True)

    assert holding(kept.home, (*kept.traces, kept.person_id)) == set()
    assert people(kept.home).height == count - 1
    assert records(kept.day) == told
    assert findings(kept.home) == rest
    assert (kept.day.folder / "waivers.csv").read_text() == "finding,reason,who,until\n"
    assert decisions.read_text().splitlines() == ["a,b,decision,who,on,why", kept_line]
    shown = " ".join(capsys.readouterr().out.split())
    assert "or the next run reads them again" in shown
    (note,) = [json.loads(line) for line in (kept.home / "erasures.jsonl").read_text().splitlines()]
    assert sum(told["removed"] for told in note["raw"].values()) >= 5
    assert note["lines"] == {"identity_decisions.csv": 1, "waivers.csv": 1}


def test_the_next_day_knows_nothing_of_them_from_the_log(kept: Kept) -> None:
    """Runs after the erasure, on the same home: pytest keeps the order of a file."""
    before = findings(kept.home)
    day = Day(kept.day.settings, kept.day.folder, kept.day.home, NOW + timedelta(hours=20))
    for step in AFTER_INGESTION[:4]:
        step(day)
    assert holding(kept.home, (*kept.traces, kept.person_id)) == set()
    assert {row[0] for row in before} <= {row[0] for row in findings(kept.home)}


HOUSE = """\
business: {name: House, timezone: UTC, currency: USD, country: US}
platforms:
  till: {type: files, tables: {sales: sales.csv}, records: {payments: sales}}
  crm: {type: files, tables: {cards: cards.csv}, records: {contacts: cards}}
"""


def test_a_household_keeps_the_others_number_and_their_notes(tmp_path: Path) -> None:
    """Ann's and Ben's phone is one; Ben's card names Ann. Ann goes, Ben's rows stay, without her name and address."""
    (tmp_path / "journey.yaml").write_text(HOUSE)
    (tmp_path / "sales.csv").write_text(
        "record_id,occurred_at,email,phone,name,role,status,amount_minor,currency\n"
        "1,2026-05-01T10:00:00Z,ann@x.example,+12125550100,Ann Lee,processor,succeeded,100,USD\n"
        "2,2026-05-01T10:00:00Z,ben@x.example,(212) 555-0100,Ben Lee,processor,succeeded,100,USD\n"
    )
    (tmp_path / "cards.csv").write_text(
        "record_id,occurred_at,email,name,source\n"
        "7,2026-05-01T10:00:00Z,ben@x.example,Ben Lee,referred by Ann Lee <ANN@x.example>\n"
    )
    home = tmp_path / "home"
    day = ran(Day(load(tmp_path / "journey.yaml"), tmp_path, Home(home), NOW))
    who = people(home)
    ann = who.filter(pl.col("email") == "ann@x.example")["person_id"].item()
    assert who.height == 2

    assert forget_person(ann, yes=True, settings=tmp_path / "journey.yaml", home=home) == 0

    assert holding(home, ("ann@x.example", "Ann Lee", ann)) == set()
    assert people(home)["email"].to_list() == ["ben@x.example"]
    log = day.home.log
    (card,) = [log.read(file) for file in log.data_files("crm")["cards"]]
    assert card["source"].to_list() == ["referred by [erased] <[erased]>"]
    (sales,) = [log.read(file) for file in log.data_files("till")["sales"]]
    assert sales.select("record_id", "phone").rows() == [("2", "(212) 555-0100")]
    assert "ann@x.example" in (tmp_path / "sales.csv").read_text()  # the platform's own file
