"""Parquet files, and dlt's destinations: a bucket and a database."""

import json
from pathlib import Path

import duckdb
import polars as pl
import pytest

from journey_pipeline.errors import JourneyError
from journey_pipeline.publish import anywhere, deliver, publish, views_folder
from journey_pipeline.registry import TABLES
from journey_pipeline_tests.publish.northwind import at, frame, tables


def built(folder: Path, who: str) -> Path:
    target = folder / "warehouse.duckdb"
    paid = {"record_id": "1", "person_id": who, "occurred_at": at(15, 9), "keys": ["stripe:cus_1"]}
    publish(
        {**tables(), "people": frame("people", {"person_id": who}), "payments": frame("payments", paid)},
        views_folder(),
        target,
    )
    return target


def delivered(folder: Path, who: str, to: str, url: str = "") -> Path:
    environ = {"JOURNEY_PUBLISH_URL": url}
    deliver(built(folder, who), views_folder(), to=to, environ=environ, files=folder / "parquet")
    return folder / "parquet"


def test_parquet_holds_every_table_and_view(tmp_path: Path) -> None:
    files = delivered(tmp_path, "ann", "parquet")
    assert {f.stem for f in (files / "journey").iterdir()} == set(TABLES)
    assert {f.stem for f in (files / "bi").iterdir()} == {f.stem for f in views_folder().glob("*.sql")}
    paid = pl.read_parquet(files / "journey" / "payments.parquet")
    assert paid.schema == TABLES["payments"].schema
    assert paid.select("person_id", "occurred_at", "keys").rows() == [("ann", at(15, 9), ["stripe:cus_1"])]
    assert pl.read_parquet(files / "bi" / "worklist.parquet").height == 6


def test_who_reads_files_finishes_and_the_next_one_reads_the_new_ones(tmp_path: Path) -> None:
    files = delivered(tmp_path, "ann", "parquet")
    reading = pl.scan_parquet(files.resolve() / "journey" / "people.parquet").select("person_id")
    delivered(tmp_path, "ben", "parquet")
    assert reading.collect().item() == "ann"
    assert pl.read_parquet(files / "journey" / "people.parquet")["person_id"].item() == "ben"
    delivered(tmp_path, "cho", "parquet")
    assert pl.read_parquet(files / "journey" / "people.parquet")["person_id"].item() == "cho"
    assert len([entry for entry in tmp_path.iterdir() if entry.name.startswith(".parquet.")]) == 3  # two days, and ours


def test_a_database_of_dlt_holds_every_table_once_with_types_and_meanings(tmp_path: Path) -> None:
    there = tmp_path / "there.duckdb"
    for who in ("ann", "ben"):
        anywhere.publish(built(tmp_path, who), "duckdb", str(there))
    with duckdb.connect(str(there), read_only=True) as db:
        db.execute("set timezone = 'UTC'")
        named = db.sql("select table_name from duckdb_tables() where schema_name = 'journey'").fetchall()
        assert {name for (name,) in named if not name.startswith("_dlt")} == set(TABLES)
        assert db.sql("select person_id from journey.people").fetchall() == [("ben",)]
        paid = db.sql("select keys, occurred_at from journey.payments").fetchall()
    assert [(json.loads(keys), when) for keys, when in paid] == [(["stripe:cus_1"], at(15, 9))]


def test_a_bucket_of_dlt_holds_the_newest_day_alone(tmp_path: Path) -> None:
    for who in ("ann", "ben"):
        delivered(tmp_path, who, "filesystem", (tmp_path / "bucket").as_uri())
    held = {folder.name for folder in (tmp_path / "bucket" / "journey").iterdir() if folder.is_dir()}
    assert {name for name in held if not name.startswith("_dlt")} == set(TABLES)
    files = tmp_path / "bucket" / "journey" / "people"
    assert pl.read_parquet(files / "*.parquet")["person_id"].to_list() == ["ben"]


@pytest.mark.parametrize(
    ("to", "url", "sentence"),
    [
        ("postgres", "", "publish.to is postgres, but JOURNEY_PUBLISH_URL is missing from the environment. Set it:"),
        ("bigquery", "", "bigquery can't be published to "),
        ("mssql", "mssql://reader:hunter2@127.0.0.1:1/app", "mssql can't be published to "),
    ],
)
def test_what_is_missing_is_said_and_no_secret_told(tmp_path: Path, to: str, url: str, sentence: str) -> None:
    with pytest.raises(JourneyError) as caught:
        delivered(tmp_path, "ann", to, url)
    assert str(caught.value).startswith(sentence)
    assert "hunter2" not in str(caught.value)
