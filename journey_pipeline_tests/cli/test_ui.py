"""`journey ui` as it is used: a process of its own, asked over HTTP, ended by Ctrl-C with all that it started."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from journey_pipeline.cli.daily import demo_business
from journey_pipeline.orchestration.home import Home
from journey_pipeline.sandbox import business

COMMAND = [sys.executable, "-m", "journey_pipeline.cli", "ui"]
AS_OF = datetime(2026, 5, 15, 12, tzinfo=UTC)
_PATIENCE_S = 120


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def descendants(pid: int) -> set[int]:
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], check=True, capture_output=True, text=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    found = {pid}
    while more := {child for child, parent in pairs if parent in found} - found:
        found |= more
    return found - {pid}


class Served:
    """A UI that is up."""

    def __init__(self, process: subprocess.Popen[str], port: int, home: Path) -> None:
        self.process, self.home, self._url = process, home, f"http://127.0.0.1:{port}/graphql"

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        reply = requests.post(self._url, json={"query": query, "variables": variables}, timeout=30)
        data: dict[str, Any] = reply.json()["data"]
        return data

    def wait(self) -> None:
        for _ in range(_PATIENCE_S):
            assert self.process.poll() is None, self.process.communicate()
            try:
                if self.ask("{ assetNodes { assetKey { path } } }")["assetNodes"]:
                    return
            except (requests.RequestException, KeyError):
                pass
            time.sleep(1)
        pytest.fail("the UI did not come up")


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The UI of a demo whose business is made, but whose job never ran."""
    home = tmp_path_factory.mktemp("demo")
    with demo_business(Home(home), people=40, seed=7, as_of=AS_OF.isoformat()):
        pass
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if k not in ("STRIPE_API_KEY", "DAGSTER_HOME")}
    with subprocess.Popen(
        [*COMMAND, "--demo", "--home", str(home), "--port", str(port)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=home.parent,
    ) as process:  # fmt: skip
        served = Served(process, port, home)
        try:
            served.wait()
            yield served
        finally:
            process.terminate()  # not killed: it ends what it started


def test_the_assets_of_the_business_are_there_in_a_home_of_their_own(ui: Served) -> None:
    found = {
        "/".join(node["assetKey"]["path"]) for node in ui.ask("{ assetNodes { assetKey { path } } }")["assetNodes"]
    }
    assert found >= {
        "raw_stripe/charges", "raw_community/members", "records/payments", "identity/person_keys",
        "journeys/buyer_journeys", "invariants/findings", "bi/worklist", "report/page",
    }  # fmt: skip
    assert "enabled: false" in (ui.home / "dagster" / "dagster.yaml").read_text()
    assert not (ui.home / "dagster" / ".telemetry").exists()


def test_the_schedule_runs_for_its_daemon_is_alive(ui: Served) -> None:
    query = "{ instance { daemonHealth { allDaemonStatuses { daemonType healthy } } } }"
    for _ in range(_PATIENCE_S):
        statuses = ui.ask(query)["instance"]["daemonHealth"]["allDaemonStatuses"]
        healthy = {status["daemonType"] for status in statuses if status["healthy"]}
        if healthy >= {"SCHEDULER", "QUEUED_RUN_COORDINATOR"}:
            return
        time.sleep(1)
    pytest.fail(f"healthy: {healthy}")


def test_materialize_reaches_the_platforms(ui: Served) -> None:
    launched = ui.ask(
        """mutation ($selector: JobOrPipelineSelector!) {
             launchRun(executionParams: {selector: $selector, runConfigData: {}}) {
               ... on LaunchRunSuccess { run { runId } } ... on Error { message } } }""",
        selector={
            "repositoryName": "__repository__", "repositoryLocationName": "journey_pipeline.orchestration.definitions",
            "jobName": "daily", "assetSelection": [{"path": ["raw_zendesk", "tickets"]}, {"path": ["raw_zendesk", "users"]}],
        },
    )["launchRun"]  # fmt: skip
    run_id = launched["run"]["runId"]
    for _ in range(_PATIENCE_S):
        status = ui.ask("query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }", id=run_id)[
            "runOrError"
        ]
        if status["status"] in ("SUCCESS", "FAILURE", "CANCELED"):
            break
        time.sleep(1)
    assert status["status"] == "SUCCESS"
    query = """{ assetNodes(assetKeys: [{path: ["raw_zendesk", "tickets"]}]) {
                   assetMaterializations(limit: 1) { metadataEntries { label ... on IntMetadataEntry { intValue } } } } }"""
    entries = ui.ask(query)["assetNodes"][0]["assetMaterializations"][0]["metadataEntries"]
    rows = {entry["label"]: entry.get("intValue") for entry in entries}["dagster/row_count"]
    world = business.generate(40, 7, AS_OF)
    assert rows == world.of("tickets", "zendesk").height > 0


def test_ctrl_c_ends_it_and_all_that_it_started(ui: Served) -> None:
    started = descendants(ui.process.pid)
    assert len(started) >= 3  # dagster dev, its web server, its daemon
    ui.process.send_signal(signal.SIGINT)
    assert ui.process.wait(_PATIENCE_S) == 0
    for _ in range(50):
        left = [pid for pid in started if Path(f"/proc/{pid}").exists()]
        if not left:
            return
        time.sleep(0.2)
    pytest.fail(f"still there: {left}")


def test_what_would_not_work_is_told_at_once(tmp_path: Path) -> None:
    def refused(*arguments: str) -> str:
        done = subprocess.run([*COMMAND, *arguments], check=False, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 2
        return done.stderr

    assert refused("--demo", "--port", str(free_port())).endswith("journey_data/demo; run first: journey demo\n")
    (tmp_path / "journey.yaml").write_text("business: 3")
    assert "journey.yaml: 2 mistakes, nothing was run" in refused("--port", str(free_port()))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port} can't be used (Address already in use); choose another" in refused("--port", str(port))
