"""The Dagster UI, the page and the Data Docs of a demo, in a real browser: what a user would look for is there to be read."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from playwright.sync_api import Browser, Page

from journey_pipeline_tests.cli.screens import DAGSTER, FILES, show, tab
from journey_pipeline_tests.cli.test_ui import COMMAND, Served, free_port

ROOMS = ["raw_stripe", "records", "identity", "journeys", "invariants", "bi"]


class Seen:
    """A demo's home, its UI, and a tab."""

    def __init__(self, home: Path, base: str, page: Page) -> None:
        self.home, self.base, self.page = home, base, page

    def open(self, name: str) -> str:
        """The words of a screen."""
        return show(self.page, name, self.base, self.home).locator("body").inner_text()

    def ask(self, query: str) -> Any:
        with duckdb.connect(str(self.home / "warehouse.duckdb"), read_only=True) as db:
            return db.sql(query).fetchall()


@pytest.fixture(scope="module")
def seen(browser: Browser, demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    home = tmp_path_factory.mktemp("seen") / "demo"
    shutil.copytree(demo_folder / "journey_data" / "demo", home, symlinks=True)
    port = free_port()
    command = [*COMMAND, "--demo", "--home", str(home), "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=home.parent
    ) as process:
        try:
            Served(process, port, home).wait()
            yield Seen(home, f"http://127.0.0.1:{port}", tab(browser))
        finally:
            process.terminate()  # not killed: it ends what it started


def test_the_lineage_runs_from_the_platforms_on_the_left_to_bi_on_the_right(seen: Seen) -> None:
    seen.open("lineage")
    found = [seen.page.get_by_text(room, exact=True).last.bounding_box() for room in ROOMS]  # the first is in the list
    lefts = [box["x"] for box in found if box]
    assert len(lefts) == len(ROOMS)
    assert lefts == sorted(set(lefts))


def test_an_asset_says_what_a_row_is_how_many_there_are_and_what_each_column_means(seen: Seen) -> None:
    words = seen.open("asset")
    ((count,),) = seen.ask("select count(*) from journey.findings")
    assert "One row: invariant by subject." in words
    assert re.search(rf"Row count\s+{count:,}\b", words)
    assert "Hash of invariant and subject; stable across runs." in words
    assert "What the finding is about, type:id." in words
    assert "data@northwind.example" in words


def test_a_failing_check_says_the_promise_how_often_it_is_broken_and_where_the_worklist_is(seen: Seen) -> None:
    words = seen.open("check")
    ((broken,),) = seen.ask("select sum(broken) from journey.invariant_days where invariant = 'paid_implies_access'")
    assert broken > 0
    assert "Whoever paid for an offer can use it." in words
    assert "Failed" in words
    assert re.search(rf"broken\s+{broken}\b", words)
    assert "worklist" in words


def test_the_runs_tell_the_days_job_and_the_automations_when_it_comes_again(seen: Seen) -> None:
    runs = seen.open("runs")
    assert re.search(r"daily\s.*Success", runs, re.DOTALL)
    assert "Failure" not in runs
    assert "Scheduled At 06:00 AM" in seen.open("automation")


def test_a_run_lists_its_steps(seen: Seen) -> None:
    seen.open("runs")
    seen.page.locator("a[href^='/runs/']").filter(has_text=re.compile("^[0-9a-f]{8}$")).first.click()
    seen.page.get_by_text("ingest_stripe").first.wait_for()
    assert "Success" in seen.page.locator("body").inner_text()


def test_the_page_opens_with_what_is_broken_and_each_finding_leads_to_its_record(seen: Seen) -> None:
    words = seen.open("page").replace("\N{NO-BREAK SPACE}", " ")
    ((broken,),) = seen.ask("select count(*) from journey.findings where status in ('open', 'reopened')")
    assert f"{broken} things are broken" in words
    assert "Whoever paid for an offer can use it." in words
    assert seen.page.locator("a[href^='https://dashboard.stripe.com/']").count() > 10


def test_the_data_docs_lead_from_a_table_to_its_broken_promises(seen: Seen) -> None:
    assert "Is every promise of the business kept?" in seen.open("data_docs")
    seen.page.get_by_role("link", name="buyer_journeys_invariants").click()
    words = seen.page.locator("body").inner_text()
    ((broken,),) = seen.ask("select sum(broken) from journey.invariant_days where invariant = 'paid_implies_access'")
    promise = words[words.index("Whoever paid for an offer can use it.") :]
    assert "critical · delivery" in promise.splitlines()[0]
    assert f"{broken} unexpected values found." in promise.splitlines()[1]


def test_nobody_is_named_on_any_screen(seen: Seen) -> None:
    people = {email for (email,) in seen.ask("select email from journey.people where email is not null")}
    assert len(people) > 300
    for name in (*DAGSTER, *FILES):
        said = set(re.findall(r"[\w.+-]+@[\w.-]+\w", seen.open(name)))
        assert said & people == set(), name
