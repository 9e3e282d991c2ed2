"""The server of docs/deploy.md: the units' own commands, as processes, on PostgreSQL; systemd itself is not needed."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from configparser import ConfigParser
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template
from typing import Any

import psycopg
import pytest
import requests
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SERVICES = ("journey-code", "journey-webserver", "journey-daemon")
SETTINGS = """
business: {name: Two Files, timezone: UTC, currency: USD}
platforms:
  till: {type: files, tables: {sales: sales.csv}, records: {payments: sales}}
  school: {type: files, tables: {pupils: pupils.csv}, records: {access: pupils}}
offers:
  - {id: course, name: Course, bought_as: ["till:c"], grants: ["school:c"], price: {amount_minor: 4900, currency: USD}}
publish: {to: postgres}
"""
SALES = "record_id,occurred_at,email,role,status,amount_minor,currency,product_ref\n1,{at},bob@x.com,processor,succeeded,4900,USD,till:c\n"
PUPILS = "record_id,occurred_at,email,grant,status,product_ref\n7,{at},ann@x.com,course,active,school:c\n"
LAUNCH = """mutation ($selector: JobOrPipelineSelector!) {
  launchRun(executionParams: {selector: $selector, runConfigData: {}}) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
_PATIENCE_S = 180


def unit(name: str) -> ConfigParser:
    found = ConfigParser(strict=False, interpolation=None)  # a unit may say EnvironmentFile twice
    found.optionxform = str  # type: ignore[assignment,method-assign]  # names have capitals
    found.read(DEPLOY / "systemd" / f"{name}.service")
    return found


def variables(file: str) -> dict[str, str]:
    lines = (DEPLOY / file).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


class Server:
    """The three services of one machine, started and stopped as systemd does it: a signal reaches all their processes."""

    def __init__(self, folder: Path, dagster: str, bi: str) -> None:
        self.folder, self.dagster, self.bi = folder, dagster, bi
        self.environment = variables("environment.example") | {
            "DAGSTER_HOME": str(folder / "etc"), "DAGSTER_FILES": str(folder / "files"), "DAGSTER_POSTGRES_URL": dagster.replace("postgresql:", "postgresql+psycopg2:"),
            "JOURNEY_CODE_PORT": free_port(), "JOURNEY_UI_PORT": free_port(), "JOURNEY_HOME": str(folder / "home"),
            "JOURNEY_SETTINGS": str(folder / "business" / "journey.yaml"),
        }  # fmt: skip
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        told = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8", **self.environment}
        if "/etc/journey/secrets" in (DEPLOY / "systemd" / f"{name}.service").read_text():
            told |= variables("secrets.example") | {"JOURNEY_PUBLISH_URL": self.bi}
        program, *words = shlex.split(unit(name)["Service"]["ExecStart"])
        here = Path(sys.executable).parent / Path(program).relative_to("/opt/journey/venv/bin")
        command = [str(here), *(Template(word).substitute(self.environment) for word in words)]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                command, env=told, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )

    def stop(self, name: str) -> int:
        process = self.running.pop(name)
        os.killpg(process.pid, signal.SIGTERM)
        try:
            return process.wait(int(unit(name)["Service"].get("TimeoutStopSec", "90")))
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def ask(self, query: str, **values: Any) -> Any:
        url = f"http://127.0.0.1:{self.environment['JOURNEY_UI_PORT']}/graphql"
        return requests.post(url, json={"query": query, "variables": values}, timeout=20).json()["data"]

    def launch(self, *assets: str) -> str:
        """A run of the daily job, or of some of its assets, as soon as the code location answers."""
        selector = {
            "repositoryName": "__repository__", "repositoryLocationName": "journey", "jobName": "daily",
            **({"assetSelection": [{"path": asset.split("/")} for asset in assets]} if assets else {}),
        }  # fmt: skip
        told: dict[str, Any] = {}

        def is_taken() -> bool:
            told.update(self.ask(LAUNCH, selector=selector)["launchRun"])
            return bool(told["__typename"] == "LaunchRunSuccess")

        self.wait(f"a run is taken, not {told}", is_taken)
        return str(told["run"]["runId"])

    def status(self, run: str) -> str:
        with psycopg.connect(self.dagster) as db:
            (said,) = db.execute("select status from runs where run_id = %s", [run]).fetchone() or ("",)
        return str(said)

    def log(self) -> str:
        return "\n".join(file.read_text()[-3000:] for file in sorted(self.folder.glob("*.log")))

    def wait(self, what: str, is_so: Callable[[], Any]) -> None:
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            try:
                if is_so():
                    return
            except (requests.RequestException, KeyError, TypeError):
                pass  # not up yet
            time.sleep(0.3)
        pytest.fail(f"{what}: not in {_PATIENCE_S} s\n{self.log()}")

    def is_loaded(self) -> bool:
        loaded = self.ask("{ workspaceOrError { ... on Workspace { locationEntries { loadStatus locationOrLoadError {"
                          " __typename } } } } }")["workspaceOrError"]["locationEntries"]  # fmt: skip
        return [entry["locationOrLoadError"]["__typename"] for entry in loaded] == ["RepositoryLocation"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, server_of_readers: Any) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("machine")
    for name in ("business", "etc", "files", "home"):
        (folder / name).mkdir()
    at = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    for name, text in {"journey.yaml": SETTINGS, "sales.csv": SALES, "pupils.csv": PUPILS}.items():
        (folder / "business" / name).write_text(text.replace("{at}", at))
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(DEPLOY / name, folder / "etc")
    for name in ("dagster", "deployed"):
        server_of_readers.psql(f"create database {name};")
    machine = Server(folder, *(server_of_readers.get_uri(name) for name in ("dagster", "deployed")))
    for name in SERVICES:
        machine.start(name)
    try:
        machine.wait("the UI knows the business", machine.is_loaded)
        yield machine
    finally:
        for name in list(machine.running):
            machine.stop(name)


def test_the_units_are_what_systemd_takes() -> None:
    for name in SERVICES:
        service = unit(name)["Service"]
        assert service["User"] == "journey"
        assert service["ProtectSystem"] == "strict"
        assert service["StateDirectory"] == "journey"
    assert {name for name in SERVICES if "/etc/journey/secrets" in unit(name)["Service"].values()} == {"journey-code"}
    verify = shutil.which("systemd-analyze")
    if verify:
        files = [str(DEPLOY / "systemd" / f"{name}.service") for name in SERVICES]
        told = subprocess.run([verify, "verify", *files], check=False, capture_output=True, text=True).stderr
        ours = [line for line in told.splitlines() if "journey-" in line]
        assert [line for line in ours if "is not executable: No such file or directory" not in line] == []


def read(file: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = YAML(typ="safe").load(file)
    return found


def test_the_server_follows_the_settings_that_everybody_has() -> None:
    everybody, served = read(ROOT / "dagster.yaml"), read(DEPLOY / "dagster.yaml")
    assert {name: served[name] for name in everybody} == everybody
    assert set(served) - set(everybody) == {
        "storage", "local_artifact_storage", "compute_logs", "run_monitoring", "retention",
    }  # fmt: skip


def test_what_dagster_is_told_by_name_is_set_on_a_machine_and_in_every_container() -> None:
    asked = {
        name for file in ("dagster.yaml", "workspace.yaml") for name in re.findall(r"\{env: (\w+)\}", (DEPLOY / file).read_text())
    }  # fmt: skip
    assert asked == {"DAGSTER_POSTGRES_URL", "DAGSTER_FILES", "JOURNEY_CODE_HOST", "JOURNEY_CODE_PORT"}
    assert asked <= set(variables("environment.example"))
    built = set(re.findall(r"(\w+)=/", (DEPLOY / "Containerfile").read_text()))
    for name, service in read(DEPLOY / "compose.yaml")["services"].items():
        if name != "postgres":
            assert asked <= built | set(service["environment"]), name
            assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
            assert "secrets" in service.get("env_file", []) or name != "code"
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_a_run_goes_through_the_daemon_to_both_databases(server: Server) -> None:
    run = server.launch()
    server.wait("the run ends", lambda: server.status(run) in ("SUCCESS", "FAILURE"))
    assert server.status(run) == "SUCCESS", server.log()
    with psycopg.connect(server.bi) as db:
        assert db.execute("select count(*) from journey.payments").fetchone() == (1,)
        assert db.execute("select invariant, email from bi.worklist").fetchall() == [
            ("paid_implies_access", "bob@x.com")
        ]
    with psycopg.connect(server.dagster) as db:
        kept = db.execute("select count(*) from event_logs where run_id = %s", [run]).fetchone()
        assert kept
        assert kept[0] > 100
    kept_apart = sorted(file.name for file in (server.folder / "etc").rglob("*") if file.is_file())
    assert kept_apart == ["dagster.yaml", "workspace.yaml"]  # it is only read
    assert list(server.folder.rglob("*.db")) == []  # nothing fell back on SQLite


def test_a_stopped_code_location_ends_its_run_and_the_next_one_goes_through(server: Server) -> None:
    run = server.launch()
    server.wait("the run begins", lambda: server.status(run) == "STARTED")
    server.stop("journey-code")
    server.wait("the run is told to be over", lambda: server.status(run) in ("FAILURE", "CANCELED"))
    server.start("journey-code")
    again = server.launch("raw_till/sales")
    server.wait("the next run ends", lambda: server.status(again) in ("SUCCESS", "FAILURE"))
    assert server.status(again) == "SUCCESS", server.log()


def test_the_daemon_keeps_the_schedule(server: Server) -> None:
    query = "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"
    server.wait(
        "every daemon is healthy",
        lambda: all(
            status["healthy"]
            for status in server.ask(query)["instance"]["daemonHealth"]["allDaemonStatuses"]
            if status["required"]
        ),
    )
