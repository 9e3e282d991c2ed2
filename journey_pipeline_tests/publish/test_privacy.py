"""Personal data: what is hidden, that joins still work, and that nothing of anybody is in what is published."""

import hashlib
import hmac
import re
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import psycopg
import pytest

from journey_pipeline.errors import JourneyError
from journey_pipeline.orchestration import steps
from journey_pipeline.orchestration.steps import Day
from journey_pipeline.publish import Mask, deliver, mask, publish, views_folder
from journey_pipeline.publish.privacy import hidden
from journey_pipeline.registry import TABLES
from journey_pipeline_tests.publish.conftest import held
from journey_pipeline_tests.publish.northwind import frame

KEY = "0123456789abcdef0123456789abcdef"


def digest(text: str) -> str:
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


def shown(table: str, pii: str, **cells: Any) -> dict[str, Any]:
    """One row of a table after hiding."""
    how = mask(pii, {"JOURNEY_PII_KEY": KEY}, "US")  # type: ignore[arg-type]  # one of three words
    assert how
    (row,) = hidden({table: frame(table, cells)}, how)[table].collect().to_dicts()
    return {name: row.get(name, "left out") for name in cells}


ANN = digest("ann.lee@example.com")
NUMBER, NAME, MD5 = digest("+13525550199"), digest("ann lee"), hashlib.md5(b"ann.lee@example.com").hexdigest()  # noqa: S324  as vendors do


@pytest.mark.parametrize(
    ("table", "cells", "masked", "none"),
    [
        ("people", {"email": " Ann.Lee@Example.com", "phone": "(352) 555-0199", "name": "Lee, Ann", "person_id": "p_1"},
         {"email": ANN, "phone": NUMBER, "name": NAME, "person_id": "p_1"},
         {"email": "left out", "phone": "left out", "name": "left out", "person_id": "p_1"}),
        ("people", {"email": None, "name": ""}, {"email": None, "name": ""}, {"email": "left out", "name": "left out"}),
        ("person_keys", {"key": "email:ann.lee@example.com"}, {"key": f"email:{ANN}"}, {"key": "left out"}),
        ("person_keys", {"key": "phone:+13525550199|ann lee"}, {"key": f"phone:{NUMBER}|{NAME}"}, {"key": "left out"}),
        ("person_keys", {"key": "company:coral|ann lee"}, {"key": f"company:{digest('coral')}|{NAME}"}, {"key": "left out"}),
        ("person_keys", {"key": "stripe:cus_1"}, {"key": "stripe:cus_1"}, {"key": "left out"}),
        ("person_keys", {"record_id": "list:" + MD5, "key": "mailchimp:" + MD5},
         {"record_id": "list:" + digest(MD5), "key": "mailchimp:" + digest(MD5)},
         {"record_id": "list:(withheld)", "key": "left out"}),
        ("payments", {"keys": ["stripe:cus_1", "app:ann.lee@example.com"], "status": "succeeded"},
         {"keys": ["stripe:cus_1", f"app:{ANN}"], "status": "succeeded"},
         {"keys": ["stripe:cus_1", "app:(withheld)"], "status": "succeeded"}),
        ("payments", {"url": "https://crm.example/find?q=ann.lee%40example.com&x=1"},
         {"url": f"https://crm.example/find?q={ANN}&x=1"}, {"url": "https://crm.example/find?q=(withheld)&x=1"}),
        ("findings", {"evidence": "payment stripe:ch_1 of 2026-05-14 09:00 UTC; call +1 352 555 0199", "owner": "sales",
                      "money_refs": [{"ref": "payment:shop:ann.lee@example.com", "amount_minor": 4900}]},
         {"evidence": f"payment stripe:ch_1 of 2026-05-14 09:00 UTC; call {NUMBER}", "owner": "sales",
          "money_refs": [{"ref": f"payment:shop:{ANN}", "amount_minor": 4900}]},
         {"evidence": "payment stripe:ch_1 of 2026-05-14 09:00 UTC; call (withheld)", "owner": "sales",
          "money_refs": [{"ref": "payment:shop:(withheld)", "amount_minor": 4900}]}),
        ("surveys", {"comment": "I am Ann", "score": 3.0}, {"comment": digest("I am Ann"), "score": 3.0},
         {"comment": "left out", "score": 3.0}),
    ],
)  # fmt: skip
def test_a_value_is_one_hash_wherever_it_stands_or_nothing(
    table: str, cells: dict[str, Any], masked: dict[str, Any], none: dict[str, Any]
) -> None:
    assert shown(table, "masked", **cells) == masked
    assert shown(table, "none", **cells) == none


def test_lists_keep_their_shape() -> None:
    keys: list[list[str | None] | None] = [["app:1", "app:ann.lee@example.com"], None, [], [None, "app:2"]]
    rows = [{"record_id": str(n), "keys": each} for n, each in enumerate(keys)]
    told = hidden({"payments": frame("payments", *rows)}, Mask(KEY.encode(), "US"))["payments"]
    assert told.slice(0, 4).collect()["keys"].to_list() == [["app:1", f"app:{ANN}"], None, [], [None, "app:2"]]


def test_names_that_are_known_are_found_in_other_text() -> None:
    tables = {
        "people": frame("people", {"name": "Ann Lee"}, {"name": "Cher"}),
        "findings": frame("findings", {"resolution": "gift of ann lee, cherished", "incident_id": "i"}),
    }
    told = hidden(tables, Mask(KEY.encode(), "US"))["findings"].collect().row(0, named=True)
    assert told["resolution"] == f"gift of {NAME}, cherished"


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [({}, "is missing from the environment"), ({"JOURNEY_PII_KEY": "short"}, "has 5 characters, 32 are needed")],
)
def test_a_missing_or_short_key_is_refused(environ: dict[str, str], sentence: str) -> None:
    with pytest.raises(JourneyError, match=f"publish.pii is masked, but JOURNEY_PII_KEY {sentence}. Make one"):
        mask("masked", environ, None)


# A whole day of the sandbox


@pytest.fixture(scope="module", params=["masked", "none"])
def told(request: pytest.FixtureRequest, demo: Day, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse of a day, with personal data hidden."""
    target = tmp_path_factory.mktemp("hidden") / "warehouse.duckdb"
    publish(held(demo), views_folder(), target, mask(request.param, {"JOURNEY_PII_KEY": KEY}, "US"))
    return target


@pytest.fixture(scope="module")
def secrets(demo: Day) -> pl.Series:
    """Every address, number and whole name of the sandbox's people, as any record gives it."""
    found = set[str]()
    for kind in ("leads", "contacts", "payments", "access", "messages", "tickets", "bookings", "surveys"):
        rows = demo.home.tables.scan("records", kind).select("email", "phone", "name").collect()
        found |= {text.lower() for column in rows for text in column.drop_nulls() if len(text) > 6}
    keys = demo.home.tables.scan("identity", "person_keys").select("key").collect().to_series()
    bare = {key.split(":", 1)[1] for key in keys if key.startswith(("email:", "phone:"))}
    found |= {part for key in bare for part in key.split("|") if len(part) > 6}
    assert len(found) > 300
    return pl.Series(sorted(found)).implode()


def told_of(secrets: pl.Series, texts: list[str]) -> list[str]:
    """The texts in which somebody is named, whatever the case."""
    said = pl.Series(texts, dtype=pl.String())
    return said.filter(said.str.contains_any(secrets, ascii_case_insensitive=True)).to_list()


def test_nobody_is_in_any_table_or_view(told: Path, secrets: pl.Series) -> None:
    looked = 0
    every = "select schema_name, table_name from duckdb_tables() union all select schema_name, view_name from duckdb_views()"
    with duckdb.connect(str(told), read_only=True) as db:
        named = [(s, t) for s, t in db.sql(every).fetchall() if s in ("journey", "bi")]
        for schema, table in named:
            rows = db.sql(f'select columns(*)::varchar from {schema}."{table}"').fetchall()  # noqa: S608 - ours
            cells = list({cell for row in rows for cell in row if cell is not None})
            looked += len(cells)
            assert told_of(secrets, cells) == [], (schema, table)
            assert [cell for cell in cells if re.search(r"\w@\w+\.\w", cell)] == [], (schema, table)
    assert {table for schema, table in named if schema == "journey"} == set(TABLES)
    assert looked > 10_000


def test_nobody_is_in_the_bytes_of_any_file_or_in_postgresql(
    told: Path, secrets: pl.Series, tmp_path: Path, url: str
) -> None:
    left_out = Mask(None) if "email" not in _columns(told, "people") else None
    for to in ("parquet", "postgres"):
        deliver(
            told, views_folder(), to=to, environ={"JOURNEY_PUBLISH_URL": url}, files=tmp_path / "files", how=left_out
        )
    with psycopg.connect(url) as db:
        for table in TABLES:
            with db.cursor().copy(f"copy journey.{table} to stdout".encode()) as copy:
                said = b"".join(bytes(chunk) for chunk in copy).decode()
            assert told_of(secrets, [said]) == [], table
        assert db.execute("select count(*) from bi.worklist").fetchone() != (0,)
    for file in [told, *(tmp_path / "files").resolve().rglob("*.parquet")]:
        assert told_of(secrets, [file.read_bytes().decode("latin-1")]) == [], file.name


def test_joins_by_hash_give_what_joins_by_value_gave(demo: Day, tmp_path: Path) -> None:
    clear, masked = tmp_path / "clear.duckdb", tmp_path / "masked.duckdb"
    publish(held(demo), views_folder(), clear)
    publish(held(demo), views_folder(), masked, mask("masked", {"JOURNEY_PII_KEY": KEY}, "US"))
    by_key = "select distinct p.person_id, k.person_id from journey.people p join journey.person_keys k on k.key = 'email:' || p.email"
    by_id = "select distinct p.record_id, k.person_id from journey.payments p join journey.person_keys k on list_contains(p.keys, k.key)"
    pairs = []
    for file in (clear, masked):
        with duckdb.connect(str(file), read_only=True) as db:
            pairs.append([set(db.sql(query).fetchall()) for query in (by_key, by_id)])
    for by_value, by_hash in zip(*pairs, strict=True):
        assert len(by_value) > 100
        assert by_hash >= by_value  # not equal: two spellings of a mailbox are one hash


def test_the_commands_still_know_people_where_the_warehouse_hides_them(demo: Day) -> None:
    hiding = demo.settings.model_copy(update={"publish": demo.settings.publish.model_copy(update={"pii": "masked"})})
    day = Day(hiding, demo.folder, demo.home, demo.as_of)
    steps.warehouse(day, {"JOURNEY_PII_KEY": KEY})
    with (
        duckdb.connect(str(day.home.desk), read_only=True) as clear,
        duckdb.connect(str(day.home.warehouse), read_only=True) as db,
    ):
        address = "select count(*) from journey.people where email like '%@%'"
        assert clear.sql(address).fetchall()[0][0] > 100
        assert db.sql(address).fetchall() == [(0,)]
    steps.warehouse(demo, {})
    assert not day.home.desk.exists()


def _columns(warehouse: Path, table: str) -> list[str]:
    with duckdb.connect(str(warehouse), read_only=True) as db:
        return db.table(f"journey.{table}").columns
