"""`journey links`: the suggestions listed, a decision appended, and what is refused; on a warehouse drawn by hand."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from journey_pipeline.cli.links import decide as said
from journey_pipeline.cli.links import list_links
from journey_pipeline.cli.screen import Format
from journey_pipeline.cli.ties import picture
from journey_pipeline.errors import JourneyError, SettingsError
from journey_pipeline.publish import publish, views_folder
from journey_pipeline.registry import TABLES
from journey_pipeline.settings import decisions, load

SETTINGS = "business: {name: X, timezone: UTC, currency: USD}\nplatforms: {}\n"
HEADER = "a,b,decision,who,on,why"


def frame(table: str, *rows: dict[str, Any]) -> pl.LazyFrame:
    schema = TABLES[table].schema
    return pl.LazyFrame([{**dict.fromkeys(schema), **row} for row in rows], schema=schema)


def suggested(one: str, other: str, probability: float, against: str | None = None) -> dict[str, Any]:
    return {
        "person_id": f"p_{one}", "other_person_id": f"p_{other}", "probability": probability, "because": "same name",
        "against": against, "record_ref": f"hubspot:{one}", "other_record_ref": f"stripe:{other}",
    }  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tables = {name: frame(name) for name in TABLES if TABLES[name].room != "publish"} | {
        "people": frame(
            "people", {"person_id": "p_1", "name": "Ann Lee", "email": "ann@x.example"},
            {"person_id": "p_2", "name": "Lee, Ann", "phone": "+12125550100"}, {"person_id": "p_3"}, {"person_id": "p_4"},
        ),
        "identity_suggestions": frame(
            "identity_suggestions", suggested("3", "4", 0.97, "each has a live account on teachable"),
            suggested("1", "2", 0.9321),
        ),
        "person_keys": frame(
            "person_keys",
            {"person_id": "p_1", "key": "email:ann@x.example", "kind": "leads", "platform": "typeform", "record_id": "t1"},
            {"person_id": "p_1", "key": "email:ann@x.example", "kind": "payments", "platform": "stripe", "record_id": "9"},
        ),
    }  # fmt: skip
    publish(tables, views_folder(), tmp_path / "warehouse.duckdb")
    (tmp_path / "journey.yaml").write_text(SETTINGS)
    return tmp_path


def listed(capsys: pytest.CaptureFixture[str], home: Path, shape: Format = "table") -> str:
    assert list_links(shape=shape, settings=None, home=home) == 0
    return capsys.readouterr().out


def decide(
    home: Path, pair: tuple[str, str], decision: str = "confirm", *, why: str | None = "asked her", who: str = "Bo"
) -> int:
    return said(pair, decision, why=why, who=who, settings=None, home=home)


def test_the_likeliest_come_first_and_what_speaks_against_it_last(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    lines = [" ".join(line.split()) for line in listed(capsys, home).splitlines() if line.strip()]
    assert lines == [
        "Likely One Other Because",
        "93.2% Ann Lee Lee, Ann same name",
        "ann@x.example +12125550100",
        "hubspot:1 stripe:2",
        "p_1 p_2",
        "97% no name, no address no name, no address same name",
        "hubspot:3 stripe:4 but each has a live account on teachable",
        "p_3 p_4",
        "2 pairs, none of them tied. Decide:",
        "journey links --confirm hubspot:1 stripe:2 --why '…'",
        "journey links --refuse hubspot:1 stripe:2 --why '…'",
    ]


def test_other_programs_get_rows(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    rows = json.loads(listed(capsys, home, "json"))
    assert [(row["record_ref"], row["probability"], row["name"]) for row in rows] == [
        ("hubspot:1", 0.9321, "Ann Lee"), ("hubspot:3", 0.97, None),
    ]  # fmt: skip
    told = list(csv.DictReader(io.StringIO(listed(capsys, home, "csv"))))
    assert [row["other_record_ref"] for row in told] == ["stripe:2", "stripe:4"]


def test_a_decision_is_appended_and_read_again(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    assert decide(home, ("hubspot:1", "stripe:2")) == 0
    sentence = "hubspot:1 and stripe:2 are one person, from the next run on: identity_decisions.csv."
    assert capsys.readouterr().out.strip() == sentence
    assert decide(home, ("typeform:t1", "stripe:4"), "refuse", why='two sisters, "Ann" and Anne') == 0
    first, *rows = csv.reader((home / "identity_decisions.csv").read_text().splitlines())
    assert first == HEADER.split(",")
    assert [[*row[:4], row[5]] for row in rows] == [
        ["hubspot:1", "stripe:2", "confirm", "Bo", "asked her"],
        ["typeform:t1", "stripe:4", "refuse", "Bo", 'two sisters, "Ann" and Anne'],
    ]
    assert decisions(load(home / "journey.yaml"), home)["decision"].to_list() == ["confirm", "refuse"]


def test_people_may_edit_the_file(home: Path) -> None:
    (home / "journey.yaml").write_text(SETTINGS + "identity: {decisions: ours.csv}\n")
    (home / "ours.csv").write_text(HEADER + "\nx:1,y:2,refuse,Ann,2026-05-15,no newline at the end")
    decide(home, ("hubspot:1", "stripe:2"))
    assert (home / "ours.csv").read_text().splitlines()[1] == "x:1,y:2,refuse,Ann,2026-05-15,no newline at the end"
    assert decisions(load(home / "journey.yaml"), home)["a"].to_list() == ["x:1", "hubspot:1"]
    (home / "ours.csv").write_text(HEADER + "\nx:1,y:2,perhaps,Ann,2026-05-15,?\n")
    with pytest.raises(SettingsError, match=r"ours\.csv: 1 mistake"):
        decide(home, ("hubspot:1", "stripe:2"))
    assert "hubspot" not in (home / "ours.csv").read_text()


@pytest.mark.parametrize(
    ("pair", "why", "sentence"),
    [
        (("hubspot:1", "stripe:2"), None, "is part of a decision: --why 'same phone, asked her'"),
        (
            ("hubspot:1", "stripe:77"),
            "x",
            "no record stripe:77 in the last run; journey links names one of each person",
        ),
        (("typeform:t1", "stripe:9"), "x", "typeform:t1 and stripe:9 are one person already; nothing is to be decided"),
        (("hubspot:1", "hubspot:1"), "x", "hubspot:1 and hubspot:1 are one person already"),
    ],
)
def test_what_decides_nothing_is_refused(home: Path, pair: tuple[str, str], why: str | None, sentence: str) -> None:
    with pytest.raises(JourneyError) as refused:
        decide(home, pair, why=why)
    assert sentence in str(refused.value)
    assert not (home / "identity_decisions.csv").exists()


def test_nobody_is_suggested(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    publish(
        {name: frame(name) for name in TABLES if TABLES[name].room != "publish"}, views_folder(),
        tmp_path / "warehouse.duckdb",
    )  # fmt: skip
    assert listed(capsys, tmp_path) == "Nobody is suggested to be somebody else, too.\n"


def test_the_picture_goes_from_the_best_known_records_by_the_surest_ties() -> None:
    rows = [
        ("email:a@x.com", "payments", "stripe", "1", "exact", 1.0), ("email:a@x.com", "payments", "stripe", "2", "exact", 1.0),
        ("email:a@x.com", "access", "teachable", "en", "exact", 1.0), ("phone:+1", "access", "teachable", "en", "normalised", 0.95),
        ("phone:+1", "tickets", "zendesk", "8", "normalised", 0.95), ("zendesk:u", "tickets", "zendesk", "8", "linked", 1.0),
        ("zendesk:u", "tickets", "zendesk", "9", "linked", 1.0),
    ]  # fmt: skip
    ties = pl.DataFrame(rows, schema=["key", "kind", "platform", "record_id", "how", "confidence"], orient="row")
    drawn = picture(ties)
    assert drawn is not None
    page = Console(width=100, file=io.StringIO())
    page.print(drawn)
    assert isinstance(page.file, io.StringIO)
    assert [line.rstrip() for line in page.file.getvalue().splitlines()] == [
        "stripe: 2 payments",
        "└── email:a@x.com  exact",
        "    └── teachable:en, access",
        "        └── phone:+1  normalised, 95%",
        "            └── zendesk:8, ticket",
        "                └── zendesk:u  linked",
        "                    └── zendesk:9, ticket",
    ]
    assert picture(ties.head(1)) is None
