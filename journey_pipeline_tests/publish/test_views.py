"""What the views answer, worked out by hand; and that PostgreSQL, where there is one, answers the same."""

import csv
import io
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from journey_pipeline.publish import publish, views_folder
from journey_pipeline.publish.warehouse import _in_order
from journey_pipeline.registry import TABLES
from journey_pipeline_tests.publish.northwind import TODAY, YESTERDAY, at, tables

VIEWS = [
    "broken_by_handoff", "buyer_journeys_readable", "currencies", "funnel", "money_at_risk_by_day",
    "money_at_risk_by_owner", "rejected_summary", "source_health", "time_between_steps", "worklist",
]  # fmt: skip

Query = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("home") / "warehouse.duckdb"
    publish(tables(), views_folder(), target)
    return target


@pytest.fixture(scope="module")
def query(warehouse: Path) -> Iterator[Query]:
    with duckdb.connect(str(warehouse), read_only=True) as db:
        db.execute("set timezone = 'UTC'")
        yield lambda sql: db.sql(sql).fetchall()


def test_every_view_is_there_and_opens_with_grain_inputs_and_question(query: Query) -> None:
    views = query("select view_name, comment from duckdb_views() where schema_name = 'bi' order by view_name")
    assert [name for name, _ in views] == VIEWS
    for name, header in views:
        assert [line.split()[0] for line in header.splitlines()][:3] == ["Grain", "Inputs", "Question"], name


@pytest.mark.parametrize("name", VIEWS)
def test_the_inputs_in_the_header_are_those_that_the_view_reads(name: str) -> None:
    header, _, body = (views_folder() / f"{name}.sql").read_text().partition("-- Question")
    stated = {word.strip(",") for word in header.split("Inputs")[1].split() if "." in word}
    assert stated == {word.strip() for word in body.split() if word.startswith(("journey.", "bi."))}


def test_the_worklist_holds_what_is_open_with_the_buyer_and_the_amount_in_major_units(query: Query) -> None:
    rows = query("select finding_id, priority, name, at_risk, currency from bi.worklist order by finding_id")
    assert rows == [
        ("f1", 1, "Ann Lee", Decimal("499.00"), "USD"),
        ("f2", 2, "Ann Lee", Decimal("200.00"), "USD"),
        ("f3", 2, "Ann Lee", Decimal("499.00"), "USD"),
        ("f4", 1, None, Decimal(5000), "JPY"),
        ("f5", 1, None, Decimal("7.00"), "USD"),
        ("f6", 3, "Ann Lee", None, "USD"),
    ]


def test_a_payment_counts_once_per_owner_and_expected_sales_stand_apart(query: Query) -> None:
    rows = query(
        "select owner, currency, open_findings, at_risk_minor, at_risk, expected_minor"
        " from bi.money_at_risk_by_owner order by owner, currency nulls last"
    )
    assert rows == [
        ("delivery", "JPY", 1, 5000, Decimal(5000), None),
        ("delivery", "USD", 2, 49900, Decimal("499.00"), None),
        ("sales", "USD", 2, 49900, Decimal("499.00"), 700),
        ("sales", None, 1, None, None, None),
    ]


def test_each_day_counts_what_was_broken_on_it(query: Query) -> None:
    rows = query(
        "select day_on, currency, at_risk_minor, expected_minor from bi.money_at_risk_by_day order by day_on, currency"
    )
    assert rows == [(YESTERDAY, "USD", 900 + 200, None), (TODAY, "USD", None, 700)]


def test_broken_by_handoff_shows_each_rule_of_the_newest_day_with_what_is_open_and_new(query: Query) -> None:
    rows = query(
        "select invariant, currency, gate, open_findings, new_findings, at_risk_minor"
        " from bi.broken_by_handoff order by invariant, currency"
    )
    assert rows == [
        ("lead_implies_crm_record", "USD", "partial", 1, 1, 700),
        ("one_crm_record_per_person", None, "open", 1, 0, None),
        ("paid_implies_access", "JPY", "open", 1, 0, 5000),
        ("paid_implies_access", "USD", "open", 1, 0, 49900),
        ("paid_implies_welcome", "USD", "open", 1, 0, 20000),
        ("paid_implies_won", "USD", "open", 1, 1, 49900),
        ("refund_revokes_access", None, "closed", 0, 0, None),
    ]


def test_the_funnel_counts_journeys_that_reached_a_step_and_those_that_went_on(query: Query) -> None:
    rows = query("select offer_id, step, reached, went_on from bi.funnel order by offer_id nulls last, step_number")
    assert rows == [
        ("bootcamp", "lead", 2, 2),
        ("bootcamp", "in_crm", 1, 1),
        ("bootcamp", "paid", 3, 2),
        ("bootcamp", "has_access", 2, 1),
        ("bootcamp", "using", 1, 0),
        (None, "lead", 1, 0),
    ]


def test_times_between_steps_leave_out_what_was_there_before(query: Query) -> None:
    rows = query(
        "select offer_id, handoff, converted, waiting, already_there, median_hours, p90_hours"
        " from bi.time_between_steps order by offer_id nulls last, handoff_number"
    )
    assert rows[0] == ("bootcamp", "lead to crm", 0, 1, 1, None, None)
    assert ("bootcamp", "payment to access", 2, 1, 0, 2.5, 3.7) in [
        (*r[:5], *(v and round(v, 9) for v in r[5:])) for r in rows
    ]
    assert (None, "lead to crm", 0, 1, 0, None, None) in rows


def test_readable_journeys_count_findings_of_the_journey_and_of_the_person_but_no_test_buyers(query: Query) -> None:
    rows = query(
        "select person_id, offer_id, name, stage, paid, currency, open_findings"
        " from bi.buyer_journeys_readable order by person_id"
    )
    assert rows == [
        ("ann", "bootcamp", "Ann Lee", "using", Decimal("499.00"), "USD", 4),
        ("ben", "bootcamp", None, "has_access", Decimal(5000), "JPY", 1),
        ("cho", None, None, "lead", None, None, 1),
        ("dee", "bootcamp", None, "paid", None, None, 0),
    ]


def test_sources_and_rejected_rows(query: Query) -> None:
    assert query("select source, status, is_fresh from bi.source_health order by priority") == [
        ("teachable.enrolments", "stale", False),
        ("stripe.charges", "fresh", True),
    ]
    assert query("select reason, rows_rejected, first_at, last_at from bi.rejected_summary order by reason") == [
        ("no id", 1, at(14), at(14)),
        ("unknown status", 2, at(13), at(15)),
    ]


# PostgreSQL: the same tables and views, loaded as text


TOOLS = [shutil.which(tool) for tool in ("initdb", "pg_ctl", "psql")]
TYPES = {"String": "text", "Int64": "bigint", "Float64": "float8", "Boolean": "boolean", "Date": "date"}


@pytest.fixture(scope="module")
def postgres(warehouse: Path) -> Iterator[Callable[[str], str]]:
    initdb, pg_ctl, psql = TOOLS
    if not (initdb and pg_ctl and psql):
        pytest.skip("no PostgreSQL here")
    # A folder of its own right under the temporary one: pytest's are closed to other users, and its paths are too long
    # for a socket.
    home = Path(tempfile.mkdtemp(prefix="pg"))
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    if user:
        try:
            shutil.chown(home, user)
        except LookupError:
            pytest.skip("no user whom PostgreSQL could run as")

    def run(*command: str, text: str | None = None) -> str:
        done = subprocess.run(command, input=text, capture_output=True, text=True, cwd=home, check=False, user=user)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def sql(text: str) -> str:
        return run(psql, "-h", str(home), "-d", "postgres", "-U", "tester", "-qAt", "-v", "ON_ERROR_STOP=1", text=text)

    run(initdb, "-D", "data", "-U", "tester", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
    run(pg_ctl, "-D", "data", "-w", "-l", "log", "-o", f"-k {home} -c listen_addresses='' -c timezone=UTC", "start")
    try:
        sql("".join(_load(warehouse)))
        yield sql
    finally:
        run(pg_ctl, "-D", "data", "-m", "immediate", "stop")
        shutil.rmtree(home)


def _load(warehouse: Path) -> Iterator[str]:
    yield "create schema journey; create schema bi;"
    with duckdb.connect(str(warehouse), read_only=True) as db:
        for table in TABLES.values():
            columns = ", ".join(f'"{c}" {_type(dtype)}' for c, dtype in table.schema.items())
            yield f"create table journey.{table.name} ({columns});\n"
            rows = db.sql(f"select to_json(t)::varchar from journey.{table.name} as t").fetchall()  # noqa: S608 - ours
            for (row,) in rows:
                flat = {c: v for c, v in json.loads(row).items() if not isinstance(v, list)}
                text = json.dumps(flat).replace("'", "''")
                like = f"null::journey.{table.name}"
                yield f"insert into journey.{table.name} select * from json_populate_record({like}, '{text}');\n"  # noqa: S608 - ours
    for name, query in _in_order(views_folder()):
        yield f"create view bi.{name} as {query};\n"


def _type(dtype: pl.DataType) -> str:
    return "timestamptz" if isinstance(dtype, pl.Datetime) else TYPES.get(str(dtype), "jsonb")


@pytest.mark.parametrize("view", VIEWS)
def test_postgresql_gives_the_same_rows(view: str, query: Query, postgres: Callable[[str], str]) -> None:
    rows = f"select * from bi.{view}"  # noqa: S608 - ours
    answer = list(csv.reader(io.StringIO(postgres(f"copy ({rows}) to stdout with csv"))))
    expected = [[_as_text(value) for value in row] for row in query(rows)]
    assert sorted([_number(cell) for cell in row] for row in answer) == sorted(
        [_number(cell) for cell in row] for row in expected
    )
    assert len(answer) > 0


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}+00"
    return "" if value is None else str(value)


def _number(cell: str) -> str:
    try:
        return f"{float(cell):.6f}"
    except ValueError:
        return cell
