"""`journey findings`: the worklist of northwind, drawn by hand, as people and programs read it."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from journey_pipeline.cli.look import list_findings
from journey_pipeline.cli.screen import Format
from journey_pipeline.cli.warehouse import opened
from journey_pipeline.errors import JourneyError
from journey_pipeline.publish import publish, views_folder
from journey_pipeline_tests.publish import northwind

SETTINGS = """\
business: {name: Northwind, timezone: America/New_York, currency: USD, country: US}
platforms: {box: {type: files, tables: {sales: sales.csv}, records: {payments: sales}}}
"""


def home_of(folder: Path, **changed: pl.LazyFrame) -> Path:
    publish({**northwind.tables(), **changed}, views_folder(), folder / "warehouse.duckdb")
    (folder / "journey.yaml").write_text(SETTINGS)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return home_of(tmp_path_factory.mktemp("northwind"))


def said(
    capsys: pytest.CaptureFixture[str],
    home: Path,
    *,
    owner: str | None = None,
    invariant: str | None = None,
    everything: bool = False,
    shape: Format = "table",
    settings: Path | None = None,
) -> str:
    code = list_findings(
        owner=owner, invariant=invariant, everything=everything, shape=shape, settings=settings, home=home
    )
    assert code == 0
    return capsys.readouterr().out


def lines(text: str) -> list[str]:
    return [" ".join(line.replace("\N{NO-BREAK SPACE}", " ").split()) for line in text.splitlines() if line.strip()]


def test_the_worklist_is_grouped_by_owner_the_worst_first_and_each_payment_counts_once(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    shown = said(capsys, home)
    assert lines(shown) == [
        "delivery 3 findings, 499.00 USD and 5,000 JPY at risk",
        "critical paid_implies_access ann, bootcamp 11 May 499.00 USD paid",
        "Why: not known yet. look",
        "critical paid_implies_access ben, bootcamp 10 May 5,000 JPY paid",
        "Why: not known yet. look",
        "warning paid_implies_welcome ann, bootcamp 12 May 200.00 USD paid",
        "Why: not known yet. look",
        "sales 3 findings, 499.00 USD at risk, 7.00 USD of sales expected",
        "critical lead_implies_crm_record cho 13 May 7.00 USD expected",
        "Why: not known yet. look",
        "warning paid_implies_won ann, bootcamp 13 May 499.00 USD paid",
        "Why: not known yet. look",
        "info one_crm_record_per_person ann",
        "Why: not known yet. look",
        "6 findings, 3 of them critical, as of Friday 15 May 2026.",
        "499.00 USD and 5,000 JPY at risk, 7.00 USD of sales expected.",
        "A payment that several findings stand on counts once: owners may add up to more than the whole.",
        "One buyer's whole path: journey explain PERSON_ID",
        "2 rules could not be judged wholly, because of the sources: journey doctor.",
    ]
    assert max(map(len, shown.splitlines())) <= 100


def test_all_of_them_tells_where_each_stands_and_counts_waived_money_apart(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    shown = lines(said(capsys, home, everything=True, owner="delivery"))
    assert shown[0] == "delivery 5 findings, 499.00 USD and 5,000 JPY at risk, 999.00 USD waived"
    assert [line.split()[0] for line in shown if line.split()[0] in ("critical", "warning", "waived", "resolved")] == [
        "critical", "critical", "warning", "resolved", "waived",
    ]  # fmt: skip


def test_one_rule_alone(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    rows = json.loads(said(capsys, home, invariant="paid_implies_access", shape="json"))
    assert [row["finding_id"] for row in rows] == ["f1", "f4"]


def test_json_has_every_column_with_times_in_iso(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    rows = json.loads(said(capsys, home, shape="json", owner="delivery"))
    first = {
        name: rows[0][name] for name in ("finding_id", "broken_since_at", "first_seen_on", "money_refs", "incident_id")
    }
    assert first == {
        "finding_id": "f1", "broken_since_at": "2026-05-12T00:00:00+00:00", "first_seen_on": "2026-05-14",
        "money_refs": [{"ref": "payment:stripe:ch_1", "amount_minor": 49900}], "incident_id": None,
    }  # fmt: skip
    assert list(rows[0]) == [
        "finding_id", "invariant", "subject", "person_id", "offer_id", "platform", "record_id", "url",
        "broken_since_at", "first_seen_on", "last_seen_on", "resolved_on", "resolution", "reopened_count",
        "unknown_days", "waived_until_on", "status", "severity", "owner", "at_risk_minor", "at_risk_kind", "currency",
        "money_refs", "incident_id", "identity_confidence", "cause", "fix", "evidence", "evidence_refs",
    ]  # fmt: skip


def test_csv_says_the_same_with_lists_as_json(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(said(capsys, home, shape="csv"))))
    assert [row["finding_id"] for row in rows] == ["f1", "f5", "f4", "f3", "f2", "f6"]
    assert json.loads(rows[0]["money_refs"]) == [{"ref": "payment:stripe:ch_1", "amount_minor": 49900}]
    assert (rows[0]["broken_since_at"], rows[0]["first_seen_on"]) == ("2026-05-12T00:00:00+00:00", "2026-05-14")
    assert rows[0]["resolved_on"] == ""


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"owner": "sale"}, "--owner: nothing is called 'sale'; did you mean sales? allowed: delivery, finance, sales"),
        ({"invariant": "paid_implies_acess"}, "did you mean paid_implies_access?"),
    ],
)
def test_a_name_that_nobody_has_is_refused(
    capsys: pytest.CaptureFixture[str], home: Path, asked: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(JourneyError) as refused:
        said(capsys, home, **asked)
    assert sentence in str(refused.value)


def test_an_owner_with_nothing_open_gets_a_sentence_and_an_empty_list(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    assert lines(said(capsys, home, owner="finance")) == [
        "Nothing of that is open, as of Friday 15 May 2026.",
        "2 rules could not be judged wholly, because of the sources: journey doctor.",
    ]
    assert json.loads(said(capsys, home, owner="finance", shape="json")) == []
    assert said(capsys, home, owner="finance", shape="csv").startswith("finding_id,invariant,subject,")


def test_nothing_broken_at_all(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    day = {"invariant": "paid_implies_access", "day_on": northwind.TODAY, "currency": "USD", "gate": "open"}
    calm = home_of(
        tmp_path, findings=northwind.frame("findings"), invariant_days=northwind.frame("invariant_days", day)
    )
    assert lines(said(capsys, calm)) == ["Nothing is known to be broken, as of Friday 15 May 2026."]


def test_days_are_told_in_utc_where_the_business_is_not_known(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    home = home_of(tmp_path)
    (home / "journey.yaml").write_text("business: 3")
    shown = lines(said(capsys, home))
    assert "Days are in UTC: journey.yaml can't be read from here; --settings names it." in shown
    assert "critical paid_implies_access ann, bootcamp 12 May 499.00 USD paid" in shown  # 11 May in New York


def test_settings_that_are_asked_for_must_be_right(
    capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text("business: 3")
    with pytest.raises(JourneyError, match=r"mine.yaml: 2 mistakes"):
        said(capsys, home, settings=tmp_path / "mine.yaml")


def test_no_warehouse_says_to_run_first_and_where_the_demos_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNEY_HOME", str(tmp_path))
    with pytest.raises(JourneyError) as refused:
        list_findings(owner=None, invariant=None, everything=False, shape="table", settings=None, home=None)
    assert str(refused.value) == f"no warehouse in {tmp_path}: nothing was published there yet. Run first: journey run."
    (tmp_path / "demo").mkdir()
    home_of(tmp_path / "demo")
    with pytest.raises(JourneyError) as refused:
        list_findings(owner=None, invariant=None, everything=False, shape="table", settings=None, home=None)
    assert str(refused.value).endswith(f"The demo has one: --home {tmp_path / 'demo'}")


def test_a_run_that_swaps_the_file_does_not_disturb_who_looks(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    count = "select count(*) from journey.findings"
    with opened(None, home) as warehouse:
        assert warehouse.ask(count).item() == 8
        home_of(tmp_path, findings=northwind.frame("findings", northwind.FINDINGS[0]))
        assert warehouse.ask(count).item() == 8
    with opened(None, home) as warehouse:
        assert warehouse.ask(count).item() == 1


def test_a_file_that_somebody_writes_into_is_told_not_waited_for(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    writing = "import duckdb, sys; db = duckdb.connect(sys.argv[1]); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", writing, str(home / "warehouse.duckdb")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(JourneyError, match="can't be read; close what writes into it"), opened(None, home):
            pass
        writer.communicate(b"\n")


@pytest.mark.parametrize(
    ("module", "slow"),
    [
        ("journey_pipeline.cli", {"polars", "pydantic", "duckdb", "dagster", "great_expectations", "dlt"}),
        ("journey_pipeline.cli.look", {"dagster", "great_expectations", "dlt", "pandas"}),
        ("journey_pipeline.cli.explain", {"dagster", "great_expectations", "dlt", "pandas"}),
    ],
)
def test_help_and_looking_are_there_at_once(module: str, slow: set[str]) -> None:
    """Each of these packages takes a part of a second, or many, to import."""
    seen = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", seen], check=True, capture_output=True, text=True)
    assert slow & set(done.stdout.split()) == set()
