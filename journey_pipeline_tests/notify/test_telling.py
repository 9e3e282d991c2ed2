"""Owners are told by real HTTP and SMTP on loopback: what changed, once a day, to whom it concerns, and nobody's data."""

import email
import email.policy
import json
import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as Sink

from journey_pipeline.cli.tell import tell_owners
from journey_pipeline.errors import JourneyError, SettingsError
from journey_pipeline.orchestration import steps
from journey_pipeline.orchestration.home import Home
from journey_pipeline.orchestration.sensors import sensors
from journey_pipeline.orchestration.steps import Day
from journey_pipeline.orchestration.telling import Telling, tell
from journey_pipeline.registry import TABLES
from journey_pipeline.settings import load

NOW = datetime(2026, 5, 15, 13, tzinfo=UTC)
SETTINGS = """\
business: {name: Northwind, timezone: America/New_York, currency: USD}
platforms: {till: {type: files, tables: {sales: sales.csv}, records: {payments: sales}}}
offers: [{id: course, name: Data Course, bought_as: ["till:c"]}]
owners: {delivery: ops@x.example, support: ops@x.example}
notify: {delivery: [OPS_URL], sales: [SALES_URL]}
page_url: https://northwind.example/morning
"""


class Receiver:
    """A webhook on loopback that keeps what it was told."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if outer.status == 200:
                    outer.heard.append({"path": self.path, **said})
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: Any) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, name: str) -> str:
        return f"json://127.0.0.1:{self.server.server_port}/{name}?secret=hush"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


def finding(number: int, owner: str = "delivery", **rest: Any) -> dict[str, Any]:
    return {
        **dict.fromkeys(TABLES["findings"].columns), "finding_id": f"{number:016x}", "invariant": "paid_implies_access",
        "subject": f"journey:p_{number}:course", "person_id": f"p_{number}", "offer_id": "course", "status": "open",
        "severity": "critical", "owner": owner, "at_risk_minor": 4900, "at_risk_kind": "paid", "currency": "USD",
        "money_refs": [{"ref": f"payment:till:{number}", "amount_minor": 4900}], "cause": "unexplained", "fix": "look",
        "broken_since_at": NOW - timedelta(hours=20), **rest,
    }  # fmt: skip


@pytest.fixture
def day(tmp_path: Path) -> Day:
    (tmp_path / "journey.yaml").write_text(SETTINGS)
    return Day(load(tmp_path / "journey.yaml"), tmp_path, Home(tmp_path / "home"), NOW)


def found(day: Day, *rows: dict[str, Any]) -> Day:
    tables = day.home.tables
    tables.write("invariants", "findings", pl.DataFrame(list(rows), schema=TABLES["findings"].schema))
    tables.write("records", "as_of", pl.DataFrame({"as_of": [day.as_of]}))
    return day


def later(day: Day, days: int = 1) -> Day:
    return replace(day, as_of=day.as_of + timedelta(days=days))


def environ(receiver: Receiver) -> dict[str, str]:
    return {"OPS_URL": receiver.url("ops"), "SALES_URL": receiver.url("sales")}


def outcomes(tellings: list[Telling]) -> dict[tuple[str, str | None], str]:
    return {(t.whom, t.channel): t.outcome for t in tellings if t.outcome != "silent"}


def test_one_message_to_each_owner_with_all_teams_of_theirs(day: Day, receiver: Receiver) -> None:
    found(
        day,
        finding(1, url="https://till.example/sales/1"),
        finding(2, money_refs=[{"ref": "payment:till:1", "amount_minor": 4900}]),
        finding(3, "support", severity="warning", invariant="access_ticket_of_payer_is_answered", at_risk_minor=500,
                currency="JPY", money_refs=[{"ref": "payment:till:3", "amount_minor": 500}]),
        finding(4, "sales", invariant="paid_implies_won", severity="warning", at_risk_minor=None, at_risk_kind=None),
        finding(5, status="waived"), finding(6, "finance"),
    )  # fmt: skip
    assert outcomes(tell(day, environ(receiver))) == {
        ("ops@x.example", "OPS_URL"): "sent", ("sales", "SALES_URL"): "sent", ("finance", None): "unsent",
    }  # fmt: skip
    ops, sales = sorted(receiver.heard, key=lambda said: said["path"])
    assert ops["title"] == "Northwind, ops: 3 new, Friday 15 May"
    assert ops["message"].replace("\N{NO-BREAK SPACE}", " ").splitlines() == [
        "3 things open, 2 of them critical; 49.00 USD and 500 JPY at risk.",
        "",
        "New",
        "- critical: Whoever paid for an offer can use it. 2 cases, 49.00 USD at risk",
        "    p_1, Data Course, since yesterday 13:00 https://till.example/sales/1",
        "    p_2, Data Course, since yesterday 13:00",
        "- warning: A paying customer who can't get in is answered first. 1 case, 500 JPY at risk",
        "    p_3, Data Course, since yesterday 13:00",
        "",
        "The page: https://northwind.example/morning",
        "",
        "The worklist: journey findings",
    ]
    assert sales["title"] == "Northwind, sales: 1 new, Friday 15 May"


def test_nobody_is_told_twice_on_a_day_nor_of_nothing(day: Day, receiver: Receiver) -> None:
    found(day, finding(1))
    tell(day, environ(receiver))
    found(day, finding(1), finding(2))
    assert outcomes(tell(day, environ(receiver))) == {("ops@x.example", "OPS_URL"): "told"}
    assert len(receiver.heard) == 1
    assert outcomes(tell(later(found(day, finding(1))), environ(receiver))) == {}
    assert len(receiver.heard) == 1


def test_the_next_message_tells_what_changed_since_the_last_new_and_worse_first_resolved_last(
    day: Day, receiver: Receiver
) -> None:
    found(day, finding(1), finding(2), finding(3), finding(4))
    tell(day, environ(receiver))
    after = later(day, 3)  # a weekend without a message
    found(
        after, finding(1), finding(2, at_risk_minor=9900), finding(3, status="resolved"),
        finding(5, status="reopened", at_risk_minor=None, at_risk_kind=None, incident_id="i1"),
    )  # fmt: skip
    after.home.tables.write("invariants", "incidents", pl.DataFrame(
        [{**dict.fromkeys(TABLES["incidents"].columns), "incident_id": "i1", "status": "open",
          "sentence": "31 of 37 since Thursday 14:05, all through till (elsewhere 2 of 410)", "finding_count": 31}],
        schema=TABLES["incidents"].schema,
    ))  # fmt: skip
    tell(after, environ(receiver))
    said = receiver.heard[-1]
    assert said["title"] == "Northwind, ops: 1 new, 1 worse and 1 resolved, Monday 18 May"
    body = said["message"]
    parts = ["New", "p_5, Data Course", "came back", "Worse", "p_2", "What they share", "31 of 37", "Resolved"]
    assert [body.index(part) for part in parts] == sorted(body.index(part) for part in parts)
    assert "p_1" not in body
    last = later(after)
    found(last, finding(1, status="resolved"), finding(2, status="waived"), finding(5, status="resolved"))
    tell(last, environ(receiver))
    assert receiver.heard[-1]["message"].startswith("Nothing is open any more.")
    assert outcomes(tell(later(last), environ(receiver))) == {}


def test_what_did_not_arrive_is_told_again_and_its_address_never(
    day: Day, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    found(day, finding(1))
    for name, url in environ(receiver).items():
        monkeypatch.setenv(name, url)
    receiver.status = 500
    with caplog.at_level(logging.DEBUG), pytest.raises(JourneyError) as refused:
        tell_owners(is_dry=False, settings=day.folder / "journey.yaml", home=day.home.root)
    shown = capsys.readouterr()
    assert "1 message did not arrive: ops@x.example by OPS_URL" in str(refused.value)
    assert "hush" not in str(refused.value) + shown.out + shown.err + caplog.text.replace("urllib3", "")
    receiver.status = 200
    assert tell_owners(is_dry=False, settings=day.folder / "journey.yaml", home=day.home.root) == 0
    assert len(receiver.heard) == 1


def test_a_rehearsal_prints_and_sends_nothing(day: Day, receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    found(day, finding(1))
    for _ in range(2):
        assert tell_owners(is_dry=True, settings=day.folder / "journey.yaml", home=day.home.root) == 0
        shown = capsys.readouterr().out
        assert "ops@x.example, would be told by OPS_URL" in shown
        assert "Northwind, ops: 1 new, Friday 15 May" in shown
    assert receiver.heard == []


def test_an_address_in_a_message_is_blotted_out(day: Day, receiver: Receiver) -> None:
    found(
        day,
        finding(1, subject="journey:ann@x.example:course", person_id=None, url="https://x.example/?who=ann@x.example"),
    )
    tell(day, environ(receiver))
    assert "ann" not in json.dumps(receiver.heard)


class Inbox(Sink):
    def __init__(self) -> None:
        super().__init__()
        self.mails: list[Any] = []

    def handle_message(self, message: Any) -> None:
        self.mails.append(email.message_from_bytes(message.as_bytes(), policy=email.policy.default))


def test_one_mail_server_serves_every_owner_at_their_own_address(day: Day) -> None:
    inbox = Inbox()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        settings = day.settings.model_copy(update={"notify": {"*": ("MAIL",)}})
        known = {"MAIL": f"mailto://127.0.0.1:{port}/?from=journey@northwind.example&to={{owner}}"}
        tell(found(replace(day, settings=settings), finding(1)), known)
        (mail,) = inbox.mails
        assert mail["To"] == "ops@x.example"
        assert "1 new" in mail["Subject"]
        assert "Whoever paid for an offer can use it. 1 case" in mail.get_body().get_content()
        with pytest.raises(JourneyError, match=r"owners: in journey\.yaml has none of sales"):
            tell(found(replace(day, settings=settings), finding(1, "sales")), known)
    finally:
        controller.stop()


def test_settings_hold_names_of_variables_never_addresses(day: Day) -> None:
    file = day.folder / "journey.yaml"
    file.write_text(SETTINGS.replace("[OPS_URL]", '["slack://secret/token"]').replace("sales:", "sale:", 1))
    with pytest.raises(SettingsError) as refused:
        load(file)
    assert "is not the name of an environment variable; allowed: one like SALES_SLACK_URL" in str(refused.value)
    assert "secret" not in str(refused.value).replace("is a secret", "")
    with pytest.raises(
        JourneyError, match="2 addresses to tell people at missing from the environment: OPS_URL, SALES_URL"
    ):
        tell(found(day, finding(1)), {})


@dg.op
def nothing() -> None: ...


@dg.op
def breaking() -> None:
    msg = "a sentence of ours"
    raise JourneyError(msg)


@dg.job(name="daily")
def good() -> None:
    nothing()


@dg.job(name="judge_again")
def bad() -> None:
    breaking()


def sensor(day: Day, name: str) -> dg.SensorDefinition:
    made = sensors(day, daily=good, others=[bad], as_of_tag="journey/as_of")
    return next(s for s in made if s.name == name)


def test_the_sensors_tell_after_a_good_run_and_of_a_bad_one(
    day: Day, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, url in environ(receiver).items():
        monkeypatch.setenv(name, url)
    settings = day.settings.model_copy(update={"notify": {**day.settings.notify, "data": ("OPS_URL",)}})
    day = found(replace(day, settings=settings), finding(1))
    with dg.DagsterInstance.ephemeral() as instance:
        done = good.execute_in_process(instance=instance)
        context = dg.build_run_status_sensor_context(
            sensor_name="tell_owners", dagster_instance=instance, dagster_run=done.dagster_run,
            dagster_event=done.get_run_success_event(),
        )  # fmt: skip
        for _ in range(2):
            sensor(day, "tell_owners")(context)
        assert [said["title"] for said in receiver.heard] == ["Northwind, ops: 1 new, Friday 15 May"]

        failed = bad.execute_in_process(instance=instance, raise_on_error=False)
        context = dg.build_run_status_sensor_context(
            sensor_name="tell_of_failed_runs", dagster_instance=instance, dagster_run=failed.dagster_run,
            dagster_event=failed.get_run_failure_event(),
        ).for_run_failure()  # fmt: skip
        sensor(day, "tell_of_failed_runs")(context)
        assert receiver.heard[-1]["title"] == "Northwind: the run failed"
        assert "- breaking: JourneyError: a sentence of ours" in receiver.heard[-1]["message"]


def test_a_source_that_goes_stale_is_told_of_once(
    day: Day, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, url in environ(receiver).items():
        monkeypatch.setenv(name, url)
    settings = day.settings.model_copy(update={"notify": {"data": ("OPS_URL",)}})
    day = replace(day, settings=settings)
    stale = sensor(day, "tell_of_stale_sources")

    def looked(cursor: str | None) -> str | None:
        result = stale(dg.build_sensor_context(cursor=cursor))
        assert isinstance(result, dg.SensorResult)
        return result.cursor

    assert looked(None) == "[]"  # nothing was ever loaded: that is the first run's business
    (day.folder / "sales.csv").write_text("record_id,occurred_at,role,amount_minor,currency,status\n")
    load_sources(replace(day, as_of=datetime.now(UTC) - timedelta(hours=1)), {})
    assert looked("[]") == "[]"
    assert receiver.heard == []
    (day.folder / "sales.csv").unlink()
    load_sources(replace(day, as_of=datetime.now(UTC)), {})
    cursor = looked("[]")
    assert looked(cursor) == cursor == '["till.sales"]'
    (said,) = receiver.heard
    assert said["title"] == "Northwind: 1 source can't be trusted"
    assert "till.sales: till sales: no file 'sales.csv'" in said["message"]


def load_sources(day: Day, environ: dict[str, str]) -> None:
    for source in day.sources:
        steps.load(day, source, environ)
