"""PostgreSQL: what is there after a publication, and that readers, killed publications and others' views are left alone."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from journey_pipeline.errors import JourneyError
from journey_pipeline.publish import postgres, publish, views_folder
from journey_pipeline.registry import TABLES
from journey_pipeline_tests.publish.northwind import at, frame

SLOW = """
import sys
from pathlib import Path
from journey_pipeline.publish import postgres, views_folder
swap = postgres._swap
def told(*args):
    notes = swap(*args)
    print("swapped, not committed", flush=True)
    sys.stdin.read()
    return notes
postgres._swap = told
postgres.publish(Path(sys.argv[1]), views_folder(), sys.argv[2])
"""


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    """One with a person and a payment per day told, in two tables."""
    return built(tmp_path, 1)


def built(folder: Path, day: int, rows: int = 1, **more: Any) -> Path:
    people = [{"person_id": f"p{day}", "record_count": n, **more} for n in range(rows)]
    paid = [{"record_id": str(n), "person_id": f"p{day}", "occurred_at": at(day)} for n in range(rows)]
    target = folder / "warehouse.duckdb"
    publish({"people": frame("people", *people), "payments": frame("payments", *paid)}, views_folder(), target)
    return target


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as db:
        return db.execute(query.encode()).fetchall()


def schemas(url: str) -> set[str]:
    rows = ask(url, "select nspname from pg_namespace where nspname !~ '^(pg_|information_schema|public)'")
    return {name for (name,) in rows}


def test_every_table_column_and_view_is_there_with_its_meaning(url: str, warehouse: Path) -> None:
    assert postgres.publish(warehouse, views_folder(), url) == []
    columns = ask(
        url,
        "select table_name, column_name, data_type, col_description(format('journey.%I', table_name)::regclass,"
        " ordinal_position::int) from information_schema.columns where table_schema = 'journey'"
        ' order by table_name collate "C", ordinal_position',
    )
    assert [(t, c) for t, c, _, _ in columns] == [(t, c) for t in sorted(TABLES) for c in TABLES[t].columns]
    said = {(t, c): (kind, words) for t, c, kind, words in columns}
    assert said["people", "email"] == ("text", "E-mail address, as given. Personal.")
    assert said["payments", "amount_minor"][0] == "bigint"
    assert said["payments", "keys"][0] == "jsonb"
    assert said["findings", "first_seen_on"][0] == "date"
    assert said["journey_events", "occurred_at"][0] == "timestamp with time zone"
    described = "select obj_description('journey.people'::regclass), obj_description('bi.worklist'::regclass)"
    grain, header = ask(url, described)[0]
    assert grain == "Grain: one resolved person."
    assert header.startswith("Grain     open finding")
    indexed = ask(url, "select indexdef from pg_indexes where schemaname = 'journey' and tablename = 'payments'")
    assert {line.split(" USING ")[1] for (line,) in indexed} == {
        "btree (person_id)", "btree (occurred_at)", "hash (record_id)",
    }  # fmt: skip
    assert schemas(url) == {"journey", "bi"}


def test_texts_come_over_as_they_are(url: str, tmp_path: Path) -> None:
    odd = ["", "\\N", "a,b", 'say "hi"', "two\nlines", "späť 🎈", "nul\x00l"]
    rows = [{"person_id": str(n), "name": text} for n, text in enumerate(odd)]
    keys = {"record_id": "1", "keys": ["a,b", 'c"d', "e\\f"], "occurred_at": at(15, 9)}
    target = tmp_path / "warehouse.duckdb"
    publish({"people": frame("people", *rows), "payments": frame("payments", keys)}, views_folder(), target)
    postgres.publish(target, views_folder(), url)
    told = [name for (name,) in ask(url, "select name from journey.people order by person_id")]
    assert told == [*odd[:-1], "null"]
    assert ask(url, "select keys, occurred_at, email from journey.payments") == [
        (["a,b", 'c"d', "e\\f"], at(15, 9), None)
    ]


def test_the_reader_may_read_and_nothing_else(url: str, warehouse: Path) -> None:
    for _ in range(2):  # what is granted is granted anew each day
        postgres.publish(warehouse, views_folder(), url)
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("set role journey_reader")
        assert db.execute("select count(*) from journey.people").fetchone() == (1,)
        assert db.execute("select count(*) from bi.worklist").fetchone() == (0,)
        for forbidden in (
            "delete from journey.people", "insert into journey.people (person_id) values ('x')",
            "create table journey.mine (a int)", "drop view bi.worklist",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                db.execute(forbidden.encode())


def test_a_user_who_may_not_make_roles_publishes_all_the_same_and_is_told(url: str, warehouse: Path) -> None:
    with psycopg.connect(url, autocommit=True) as db:
        # Other databases of this server have given it rights, so it can't be dropped.
        if db.execute("select 1 from pg_roles where rolname = 'journey_reader'").fetchone():
            db.execute("alter role journey_reader rename to reader_of_before")
        db.execute("drop role if exists writer")
        db.execute("create role writer login")
        db.execute("grant create on database bi to writer")
    (note,) = postgres.publish(warehouse, views_folder(), make_conninfo(url, user="writer"))
    assert note.startswith("PostgreSQL has no role journey_reader, and we may not make one")
    assert ask(url, "select count(*) from journey.people") == [(1,)]


def test_a_reader_sees_one_day_in_all_tables_while_days_are_published(url: str, tmp_path: Path) -> None:
    postgres.publish(built(tmp_path, 1, rows=200), views_folder(), url)
    seen, wrong, stop = set[str](), list[Any](), threading.Event()

    def read(isolation: psycopg.IsolationLevel) -> None:
        with psycopg.connect(url) as db:
            db.isolation_level = isolation
            while not stop.is_set():
                with db.transaction():  # two questions, one day
                    people = db.execute("select distinct person_id from journey.people").fetchall()
                    paid = db.execute("select person_id, count(*) from journey.payments group by 1").fetchall()
                if [(who, 200) for (who,) in people] != paid or len(people) != 1:
                    wrong.append((isolation, people, paid))
                seen.update(who for (who,) in people)

    levels = (psycopg.IsolationLevel.READ_COMMITTED, psycopg.IsolationLevel.REPEATABLE_READ)
    readers = [threading.Thread(target=read, args=(level,)) for level in levels]
    for reader in readers:
        reader.start()
    try:
        for day in range(2, 7):
            postgres.publish(built(tmp_path, day, rows=200), views_folder(), url)
    finally:
        time.sleep(0.1)
        stop.set()
        for reader in readers:
            reader.join()
    assert wrong == []
    assert seen >= {"p1", "p6"}
    assert len(seen) > 3


def test_a_transaction_that_reads_keeps_its_day_and_the_publication_waits_for_it(url: str, tmp_path: Path) -> None:
    postgres.publish(built(tmp_path, 1), views_folder(), url)
    fresh = built(tmp_path, 2)
    with psycopg.connect(url) as db:
        assert db.execute("select person_id from journey.people").fetchall() == [("p1",)]
        publication = threading.Thread(target=postgres.publish, args=(fresh, views_folder(), url))
        publication.start()
        publication.join(2)
        assert publication.is_alive()
        assert db.execute("select person_id from journey.payments").fetchall() == [("p1",)]
        db.commit()
        publication.join(30)
        assert db.execute("select person_id from journey.people").fetchall() == [("p2",)]


def test_a_transaction_that_never_ends_keeps_yesterday(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_PATIENCE", 0.5)
    postgres.publish(built(tmp_path, 1), views_folder(), url)
    fresh = built(tmp_path, 2)
    with psycopg.connect(url) as db:
        db.execute("select person_id from journey.people")
        with pytest.raises(JourneyError, match=r"have been reading yesterday's tables.*Nothing was published\."):
            postgres.publish(fresh, views_folder(), url)
        assert db.execute("select person_id from journey.payments").fetchall() == [("p1",)]


def test_a_killed_publication_never_happened(url: str, tmp_path: Path) -> None:
    postgres.publish(built(tmp_path, 1), views_folder(), url)
    fresh = built(tmp_path, 2)
    command = [sys.executable, "-c", SLOW, str(fresh), url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as publication:
        assert publication.stdout
        assert publication.stdout.readline() == "swapped, not committed\n"
        publication.send_signal(signal.SIGKILL)
        assert publication.wait() == -signal.SIGKILL
    assert ask(url, "select person_id from journey.people") == [("p1",)]
    assert schemas(url) == {"journey", "bi"}
    postgres.publish(fresh, views_folder(), url)
    assert ask(url, "select person_id from journey.people") == [("p2",)]
    assert schemas(url) == {"journey", "bi"}


def test_views_of_others_follow_to_the_new_tables_with_their_rights(url: str, tmp_path: Path) -> None:
    postgres.publish(built(tmp_path, 1), views_folder(), url)
    with psycopg.connect(url) as db:
        db.execute("create schema analysts")
        db.execute("create view analysts.mine with (security_barrier) as select * from journey.people")
        db.execute(
            "create view analysts.on_mine as select m.person_id, w.fix from analysts.mine m left join bi.worklist w using (person_id)"
        )
        db.execute("grant usage on schema analysts to journey_reader")
        db.execute("grant select on analysts.on_mine to journey_reader")
    target = tmp_path / "warehouse.duckdb"
    grown = frame("people", {"person_id": "p2"}).with_columns(pl.lit("holds").alias("a_new_column"))
    publish({"people": grown}, views_folder(), target)
    postgres.publish(target, views_folder(), url)
    assert ask(url, "select person_id, a_new_column from journey.people") == [("p2", "holds")]
    assert ask(url, "select person_id from analysts.mine") == [("p2",)]
    with psycopg.connect(url) as db:
        db.execute("set role journey_reader")
        assert db.execute("select person_id from analysts.on_mine").fetchall() == [("p2",)]
    assert ask(url, "select reloptions from pg_class where relname = 'mine'") == [(["security_barrier=true"],)]


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        ("create materialized view public.kept as select * from journey.people", "kept depends on table"),
        ("create table bi.mine (a int)", "mine"),
    ],
)
def test_what_cannot_follow_is_never_dropped(url: str, warehouse: Path, made: str, sentence: str) -> None:
    postgres.publish(warehouse, views_folder(), url)
    with psycopg.connect(url) as db:
        db.execute(made.encode())
    with pytest.raises(JourneyError, match=rf"can't follow to today's.*{sentence}.*Nothing was published\."):
        postgres.publish(warehouse, views_folder(), url)
    assert schemas(url) == {"journey", "bi"}


def test_a_view_that_postgresql_refuses_publishes_nothing(url: str, warehouse: Path, tmp_path: Path) -> None:
    views = tmp_path / "sql"
    views.mkdir()
    (views / "wrong.sql").write_text("select no_such_column from journey.people")
    with pytest.raises(JourneyError, match=r"wrong\.sql can't be created in PostgreSQL.*no_such_column"):
        postgres.publish(warehouse, views, url)
    assert schemas(url) == set()


@pytest.mark.parametrize("wrong", ["postgresql://reader:hunter2@127.0.0.1:1/app", "hunter2", "mysql://u:hunter2@h/d"])
def test_an_address_that_does_not_answer_is_not_told(warehouse: Path, wrong: str) -> None:
    with pytest.raises(JourneyError, match=r"PostgreSQL can't be published to .*; check JOURNEY_PUBLISH_URL") as caught:
        postgres.publish(warehouse, views_folder(), wrong)
    assert "hunter2" not in str(caught.value)
