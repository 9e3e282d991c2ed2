"""Publishing: what the file holds, and that readers and killed builds never meet half a file."""

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from journey_pipeline.errors import JourneyError
from journey_pipeline.publish import publish, views_folder
from journey_pipeline.registry import TABLES
from journey_pipeline_tests.publish.northwind import frame

HUGE = """
import sys
from pathlib import Path
import polars as pl
from journey_pipeline.publish import publish, views_folder
rows = pl.LazyFrame({"person_id": ["p"]}).select(pl.col("person_id").repeat_by(20_000_000).explode())
publish({"people": rows}, views_folder(), Path(sys.argv[1]))
"""


def people(*ids: str) -> dict[str, pl.LazyFrame]:
    return {"people": frame("people", *({"person_id": i} for i in ids))}


def ids(target: Path) -> list[str]:
    with duckdb.connect(str(target), read_only=True) as db:
        return [i for (i,) in db.sql("select person_id from journey.people order by 1").fetchall()]


def test_every_table_of_the_registry_is_there_with_its_types_and_meanings(tmp_path: Path) -> None:
    target = tmp_path / "warehouse.duckdb"
    publish({}, views_folder(), target)
    with duckdb.connect(str(target), read_only=True) as db:
        columns = db.sql(
            "select table_name, column_name, data_type, comment from duckdb_columns() where schema_name = 'journey'"
            " order by table_name, column_index"
        ).fetchall()
        (grain,) = db.sql("select comment from duckdb_tables() where table_name = 'people'").fetchall()[0]
    by_name = {(table, column): (kind, comment) for table, column, kind, comment in columns}
    assert list(by_name) == [(t, c) for t in sorted(TABLES) for c in TABLES[t].columns]
    assert grain == "Grain: one resolved person."
    assert by_name["payments", "succeeded_at"] == ("TIMESTAMP WITH TIME ZONE", "When the money was there.")
    assert by_name["payments", "keys"][0] == "VARCHAR[]"
    assert by_name["findings", "money_refs"][0] == 'STRUCT("ref" VARCHAR, amount_minor BIGINT)[]'
    assert by_name["people", "email"] == ("VARCHAR", "E-mail address, as given. Personal.")
    assert by_name["invariant_days", "gate"][1].endswith("One of: open, partial, closed, not_covered, off.")


def test_the_file_is_of_a_format_that_the_duckdb_of_a_bi_tool_reads(tmp_path: Path) -> None:
    publish({}, views_folder(), tmp_path / "warehouse.duckdb")
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as db:
        (tags,) = db.sql("select tags from duckdb_databases() where database_name = 'warehouse'").fetchall()[0]
    assert tags["storage_version"] == "v1.2.0+"


def test_frames_files_and_folders_are_read_and_columns_beside_the_registrys_are_kept(tmp_path: Path) -> None:
    folder, file = tmp_path / "findings", tmp_path / "events.parquet"
    folder.mkdir()
    pl.DataFrame({"finding_id": ["a"]}).write_parquet(folder / "2026-05-14.parquet")
    pl.DataFrame({"finding_id": ["b"], "owner": ["sales"]}).write_parquet(folder / "2026-05-15.parquet")
    pl.DataFrame({"person_id": ["ann"], "occurred_at": [datetime(2026, 5, 15, 9, tzinfo=UTC)]}).write_parquet(file)
    target = tmp_path / "warehouse.duckdb"
    publish(
        {
            "findings": folder,
            "journey_events": file,
            "people": frame("people", {"person_id": "ann"}).with_columns(pl.lit("holds").alias("a_verdict")),
            'our "own"': pl.LazyFrame({"n": [1]}),
        },
        views_folder(),
        target,
    )
    with duckdb.connect(str(target), read_only=True) as db:
        assert db.sql("select finding_id, owner, status from journey.findings order by 1").fetchall() == [
            ("a", None, None),
            ("b", "sales", None),
        ]
        assert db.sql("select occurred_at::varchar from journey.journey_events").fetchall()
        assert db.sql("select person_id, a_verdict from journey.people").fetchall() == [("ann", "holds")]
        assert db.sql('select n from journey."our ""own"""').fetchall() == [(1,)]


def test_a_reader_keeps_the_old_file_and_the_next_one_sees_the_new(tmp_path: Path) -> None:
    target = tmp_path / "warehouse.duckdb"
    publish(people("old"), views_folder(), target)
    script = (
        "import duckdb, sys\n"
        "db = duckdb.connect(sys.argv[1], read_only=True)\n"
        "for _ in sys.stdin:\n"
        "    print(db.sql('select person_id from journey.people').fetchall(), flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        questions, answers = reader.stdin, reader.stdout
        assert questions
        assert answers

        def ask() -> str:
            print("?", file=questions, flush=True)
            return answers.readline().strip()

        assert ask() == "[('old',)]"
        publish(people("new"), views_folder(), target)
        assert ask() == "[('old',)]"
        assert ids(target) == ["new"]
        questions.close()


def test_a_killed_build_leaves_the_old_file_and_the_next_one_clears_what_it_left(tmp_path: Path) -> None:
    target = tmp_path / "warehouse.duckdb"
    publish(people("old"), views_folder(), target)
    before = target.read_bytes()
    building = tmp_path / ".warehouse.duckdb.building"
    with subprocess.Popen([sys.executable, "-c", HUGE, str(target)]) as build:
        deadline = time.monotonic() + 60
        while not (building / "people.parquet").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        build.send_signal(signal.SIGKILL)
        assert build.wait() == -signal.SIGKILL
    assert {path.name for path in building.iterdir()} >= {"warehouse.duckdb", "people.parquet"}
    assert target.read_bytes() == before
    publish(people("new"), views_folder(), target)
    assert ids(target) == ["new"]
    assert list(building.iterdir()) == []


def test_a_view_that_does_not_compile_publishes_nothing(tmp_path: Path) -> None:
    target, views = tmp_path / "warehouse.duckdb", tmp_path / "sql"
    publish(people("old"), views_folder(), target)
    views.mkdir()
    (views / "wrong.sql").write_text("select no_such_column from journey.people")
    with pytest.raises(JourneyError, match=r"wrong\.sql can't be created, and nothing was published.*no_such_column"):
        publish(people("new"), views, target)
    assert ids(target) == ["old"]


def test_a_folder_without_views_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JourneyError, match=r"holds no \.sql file"):
        publish({}, tmp_path, tmp_path / "warehouse.duckdb")


def test_a_log_that_somebody_left_beside_the_old_file_does_not_reach_the_new_one(tmp_path: Path) -> None:
    target = tmp_path / "warehouse.duckdb"
    publish(people("old"), views_folder(), target)
    script = (
        "import duckdb, os, sys\n"
        "db = duckdb.connect(sys.argv[1])\n"
        "db.execute(\"insert into journey.people (person_id) values ('stray')\")\n"
        "os._exit(1)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(target)], check=False)
    assert (tmp_path / "warehouse.duckdb.wal").exists()
    publish(people("new"), views_folder(), target)
    assert ids(target) == ["new"]


def test_two_publishers_wait_for_each_other(tmp_path: Path) -> None:
    target = tmp_path / "warehouse.duckdb"
    script = (
        "import sys\nfrom pathlib import Path\nimport polars as pl\n"
        "from journey_pipeline.publish import publish, views_folder\n"
        "publish({'people': pl.LazyFrame({'person_id': [sys.argv[2]]})}, views_folder(), Path(sys.argv[1]))\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", script, str(target), name]) for name in ("one", "two")]
    assert [process.wait() for process in both] == [0, 0]
    assert ids(target) in (["one"], ["two"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".warehouse.duckdb.building", "warehouse.duckdb"]
