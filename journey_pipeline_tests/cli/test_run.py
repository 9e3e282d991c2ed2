"""`journey run` on a business of three files: what it says with its exit code."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "journey_pipeline.cli"]
SETTINGS = """
business: {name: Three Files, timezone: UTC, currency: USD}
platforms:
  till: {type: files, tables: {sales: sales.csv}, records: {payments: sales}}
  school: {type: files, tables: {pupils: pupils.csv}, records: {access: pupils}}
  diary: {type: files, tables: {calls: calls.csv}, records: {bookings: calls}}
offers:
  - {id: course, name: Course, bought_as: ["till:c"], grants: ["school:c"], price: {amount_minor: 4900, currency: USD}}
"""
SALE = "record_id,occurred_at,email,role,status,amount_minor,currency,product_ref\n1,{at},ann@x.com,processor,succeeded,4900,USD,till:c\n"
PUPILS = "record_id,occurred_at,email,grant,status,product_ref\n"
CALLS = "record_id,occurred_at,email,starts_at,status\n"
ANN = "7,{at},Ann@X.com,course,active,school:c\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    yesterday = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    (tmp_path / "journey.yaml").write_text(SETTINGS)
    (tmp_path / "sales.csv").write_text(SALE.format(at=yesterday))
    (tmp_path / "calls.csv").write_text(CALLS)
    (tmp_path / "pupils.csv").write_text(PUPILS + ANN.format(at=yesterday))
    return tmp_path


def journey(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], check=False, capture_output=True, text=True, cwd=folder)


def worklist(folder: Path) -> list[tuple[str, str]]:
    listed = journey(folder, "findings", "--all", "--format", "json")
    return sorted((f["invariant"], f["status"]) for f in json.loads(listed.stdout))


def test_its_exit_code_says_what_it_found_and_what_could_not_be_read(folder: Path) -> None:
    whole = journey(folder, "run")
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert worklist(folder) == []

    (folder / "sales.csv").write_text((folder / "sales.csv").read_text().replace("ann@x.com", "bob@x.com"))
    (folder / "calls.csv").unlink()
    broken = journey(folder, "run")
    assert broken.returncode == 1, broken.stdout + broken.stderr
    assert "diary calls: no file 'calls.csv'" in broken.stdout.replace("\n  ", " ").replace("\n", " ")
    # Nothing is behind ann's access any more either; but that can't be told where no platform says subscriptions.
    assert worklist(folder) == [("paid_implies_access", "open"), ("source_is_fresh", "open")]


def test_only_one_platform_and_what_it_refuses(folder: Path) -> None:
    assert "no platform stripe" in journey(folder, "run", "--only", "stripe").stderr
    assert "not a time" in journey(folder, "run", "--as-of", "yesterday").stderr
    (folder / "journey.yaml").write_text(SETTINGS.replace("USD}", "usd}", 1).replace("till:c", "bank:c", 1))
    refused = journey(folder, "run")
    assert refused.returncode == 2
    assert "2 mistakes, nothing was run" in refused.stderr
    assert "2: business.currency: 'usd' is not a currency" in refused.stderr
    assert not (folder / "journey_data").exists()
