"""What the views answer, worked out by hand; and that PostgreSQL, where there is one, answers the same."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from journey_pipeline.orchestration.steps import Day
from journey_pipeline.publish import deliver, publish, views_folder
from journey_pipeline_tests.publish.conftest import held
from journey_pipeline_tests.publish.northwind import FINDINGS, TODAY, YESTERDAY, at, finding, frame, tables

VIEWS = [
    "broken_by_handoff", "buyer_journeys_readable", "buyers_at_risk_of_churn", "currencies", "funnel", "funnel_by_week",
    "incidents", "money_at_risk_by_day", "money_at_risk_by_day_and_owner", "money_at_risk_by_owner", "rejected_summary",
    "reported_vs_actual", "source_health", "time_between_steps", "worklist",
]  # fmt: skip

Query = Callable[[str], list[tuple[Any, ...]]]

# Members of a club, who pay again and again, and what reports say of it.
MONTHLY = {"offer_id": "club", "access_at": at(1), "is_use_tracked": True, "entitled_by": "subscription"}
CLUB = {
    "people": frame(
        "people",
        *({"person_id": who, "last_use_at": used} for who, used in (
            ("ann", at(14)), ("ben", at(13)), ("cho", datetime(2026, 4, 17, 23, tzinfo=UTC)), ("dee", at(12)),
            ("eve", at(12)))),
    ),
    "buyer_journeys": frame(
        "buyer_journeys",
        {**MONTHLY, "person_id": "ann", "entitled_by": "cancelling", "ticket_at": at(9), "net_minor": 4900,
         "currency": "USD"},
        {**MONTHLY, "person_id": "ben", "entitled_by": "dunning", "net_minor": 5000, "currency": "JPY"},
        {**MONTHLY, "person_id": "cho"},
        # dee shows no sign; eve bought once, fay is one of us
        {**MONTHLY, "person_id": "dee", "ticket_at": at(9), "ticket_resolved_at": at(10)},
        {**MONTHLY, "person_id": "eve", "entitled_by": "one_off", "ticket_at": at(9)},
        {**MONTHLY, "person_id": "fay", "entitled_by": "cancelling", "is_test": True},
    ),
    "surveys": frame(
        "surveys",
        {"person_id": "ann", "is_detractor": True, "occurred_at": at(1)},
        {"person_id": "dee", "is_detractor": False, "occurred_at": at(1)},
        {"person_id": "dee", "is_detractor": True, "occurred_at": datetime(2026, 1, 1, tzinfo=UTC)},
    ),
    "findings": frame("findings", finding("f1", "paid_implies_access", "delivery", person_id="ben")),
    "invariant_days": frame("invariant_days", {"invariant": "paid_implies_access", "day_on": TODAY}),
    "reported_vs_actual": frame(
        "reported_vs_actual",
        *({"report": report, "claim": claim, "value_reported": said, "value_computed": ours, "tolerance": 1.0,
           "difference": ours and said - ours, "ratio": ours and said / ours, "usual_ratio": usual, "ratio_band": 0.2}
          for report, claim, said, ours, usual in (
            ("books", "exact", 100.0, 99.5, None), ("old books", "exact", 100.0, 90.0, 1.0),
            ("ads", "claimed", 150.0, 100.0, 1.2), ("analytics", "sampled", 90.0, 100.0, None),
            ("mystery", "exact", 5.0, None, None))),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("home") / "warehouse.duckdb"
    publish({**tables(), "reported_vs_actual": CLUB["reported_vs_actual"]}, views_folder(), target)
    return target


@pytest.fixture(scope="module")
def query(warehouse: Path) -> Iterator[Query]:
    with duckdb.connect(str(warehouse), read_only=True) as db:
        db.execute("set timezone = 'UTC'")
        yield lambda sql: db.sql(sql).fetchall()


@pytest.fixture(scope="module")
def club(tmp_path_factory: pytest.TempPathFactory, server_of_readers: Any) -> Iterator[Query]:
    """Asks both databases, and gives what both say."""
    target = tmp_path_factory.mktemp("club") / "warehouse.duckdb"
    publish(CLUB, views_folder(), target)
    server_of_readers.psql("create database club;")
    url = server_of_readers.get_uri("club")
    deliver(target, views_folder(), to="postgres", environ={"JOURNEY_PUBLISH_URL": url}, files=target)
    with duckdb.connect(str(target), read_only=True) as ours, psycopg.connect(url) as theirs:

        def ask(sql: str) -> list[tuple[Any, ...]]:
            found = ours.sql(sql).fetchall()
            assert found == theirs.execute(sql.encode()).fetchall()
            return found

        yield ask


@pytest.fixture(scope="module")
def postgres(warehouse: Path, server_of_readers: Any) -> Iterator[Query]:
    server_of_readers.psql("create database northwind;")
    url = server_of_readers.get_uri("northwind")
    deliver(warehouse, views_folder(), to="postgres", environ={"JOURNEY_PUBLISH_URL": url}, files=warehouse)
    with psycopg.connect(url) as db:
        yield lambda sql: db.execute(sql.encode()).fetchall()


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


def test_an_incident_counts_each_payment_once_and_says_what_comes_first(tmp_path: Path) -> None:
    both = [f | {"incident_id": "i1"} if f["finding_id"] in ("f1", "f2", "f4", "f8") else f for f in FINDINGS]
    told = {"status": "open", "severity": "critical", "owner": "delivery", "factor": "source", "sentence": "3 of 3 …"}
    known = {
        "findings": frame("findings", *both),
        "incidents": frame("incidents", {"incident_id": "i1", "invariant": "paid_implies_access", **told},
                           {"incident_id": "i2", "invariant": "paid_implies_won", **told, "status": "ended"}),
        "repairs": frame("repairs", {"repair_id": "r1", "incident_id": "i1", "sentence": "Send the events again."},
                         {"repair_id": "r2", "incident_id": "i1", "finding_id": "f1", "sentence": "Grant it."}),
    }  # fmt: skip
    publish({**tables(), **known}, views_folder(), tmp_path / "warehouse.duckdb")
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as db:
        rows = db.sql(
            "select incident_id, status, first_repair, currency, at_risk_minor, at_risk, expected_minor"
            " from bi.incidents order by incident_id, currency"
        ).fetchall()
    assert rows == [
        ("i1", "open", "Send the events again.", "JPY", 5000, Decimal(5000), None),
        ("i1", "open", "Send the events again.", "USD", 49900, Decimal("499.00"), None),
        ("i2", "ended", None, None, None, None, None),
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


def test_each_day_counts_a_payment_once_for_each_team(query: Query) -> None:
    rows = query(
        "select day_on, owner, currency, at_risk_minor, at_risk, expected_minor from bi.money_at_risk_by_day_and_owner"
        " order by day_on, owner"
    )
    assert rows == [
        (YESTERDAY, "delivery", "USD", 900 + 200, Decimal("11.00"), None),
        (TODAY, "delivery", "USD", None, None, 700),
    ]


def test_the_funnel_by_week_dates_a_journey_by_its_first_step(query: Query) -> None:
    rows = query(
        "select week_on, channel, offer_id, step, reached, went_on from bi.funnel_by_week"
        " where offer_id is null or step = 'paid' order by week_on, offer_id nulls last"
    )
    assert rows == [
        (date(2026, 5, 4), "unknown", "bootcamp", "paid", 3, 2),
        (date(2026, 5, 11), "unknown", None, "lead", 1, 0),
    ]


def test_a_reported_figure_is_off_when_it_leaves_its_tolerance_or_its_usual_ratio(club: Query) -> None:
    rows = club("select report, is_off, compared_by from bi.reported_vs_actual order by report")
    assert rows == [
        ("ads", True, "should keep its usual ratio"),
        ("analytics", None, "too few periods to know what is usual"),
        ("books", False, "should be equal"),
        ("mystery", None, "no such figure of ours"),
        ("old books", True, "should be equal"),
    ]


def test_buyers_at_risk_of_churn_are_those_who_pay_again_and_again_and_show_a_sign(club: Query) -> None:
    rows = club(
        "select person_id, sign_count, signs, net, currency from bi.buyers_at_risk_of_churn"
        " order by sign_count desc, person_id"
    )
    assert rows == [
        ("ann", 3, "cancelling, waiting for support, gave a bad score", Decimal("49.00"), "USD"),
        ("ben", 2, "payment failing, something is broken", Decimal(5000), "JPY"),
        ("cho", 1, "not using it", None, None),
    ]


# PostgreSQL: the same rows


@pytest.mark.parametrize("view", VIEWS)
def test_postgresql_gives_the_same_rows(view: str, query: Query, postgres: Query) -> None:
    rows = f"select * from bi.{view}"  # noqa: S608 - ours
    if view in ("buyers_at_risk_of_churn", "incidents"):
        assert query(rows) == postgres(rows) == []  # asked of people who have some, above
    else:
        same(query(rows), postgres(rows))


def same(one: list[tuple[Any, ...]], other: list[tuple[Any, ...]]) -> None:
    """The same rows, in any order; neither engine promises one."""
    assert len(one) > 0
    assert sorted([_plain(v) for v in row] for row in one) == sorted([_plain(v) for v in row] for row in other)


def _plain(value: Any) -> str:
    if isinstance(value, float | Decimal):
        return f"{value:.6f}"
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


def test_postgresql_gives_the_same_rows_of_a_whole_day(demo: Day, url: str, tmp_path: Path) -> None:
    target = tmp_path / "warehouse.duckdb"
    publish(held(demo), views_folder(), target)
    deliver(target, views_folder(), to="postgres", environ={"JOURNEY_PUBLISH_URL": url}, files=tmp_path)
    told = 0
    with duckdb.connect(str(target), read_only=True) as ours, psycopg.connect(url) as theirs:
        ours.execute("set timezone = 'UTC'")
        for view in VIEWS:
            rows = f"select * from bi.{view}"  # noqa: S608 - ours
            one, other = ours.sql(rows).fetchall(), theirs.execute(rows.encode()).fetchall()
            told += len(one)
            assert len(one) == len(other), view
            if one:
                same(one, other)
    assert told > 100
