"""What a Dagster user sees after a daily run on the sandbox with one platform down: counts, lineage, pictures, checks."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import dagster as dg
import polars as pl
import pytest

from journey_pipeline.cli.daily import _secrets, prepare_dagster, served
from journey_pipeline.orchestration import definitions, history
from journey_pipeline.orchestration.home import Home
from journey_pipeline.sandbox import business, server
from journey_pipeline.sandbox.world import Trouble, World
from journey_pipeline.settings import load

NOW = datetime(2026, 5, 15, 12, tzinfo=UTC)
ADDRESS = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]*\w")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class Ran:
    """A daily run that is over, and the home it left."""

    world: World
    home: Home
    result: dg.ExecuteInProcessResult

    def metadata(self, *key: str) -> dict[str, Any]:
        """What the newest materialization of an asset says."""
        (found,) = (
            event.event_specific_data.materialization
            for event in self.result.all_events
            if event.is_step_materialization and event.asset_key == dg.AssetKey(key)
        )
        return {name: value.value for name, value in found.metadata.items()}

    def check(self, table: str, name: str) -> dg.AssetCheckEvaluation:
        (found,) = (
            one for one in self.result.get_asset_check_evaluations()
            if (one.asset_key.to_user_string(), one.check_name) == (table, name)
        )  # fmt: skip
        return found

    def made_of(self, *key: str) -> dict[str, set[str]]:
        lineage = self.metadata(*key)["dagster/column_lineage"]
        return {
            column: {f"{dep.asset_key.to_user_string()}.{dep.column_name}" for dep in deps}
            for column, deps in lineage.deps_by_column.items()
        }


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("business")
    world = business.generate(1_000, 3, NOW)
    world.trouble["zendesk"] = Trouble(401)
    settings = business.write_settings(folder)
    business.write_exports(world, folder)
    home = Home(folder / "home")
    prepare_dagster(home)
    history.quicken(home.dagster)
    with server.serve(world) as urls, _secrets({**server.secrets(), **business.secrets(folder)}):
        built = definitions.build(served(load(settings), urls), folder, home)
        job = built.get_repository_def().get_job("daily")
        with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
            tags = {definitions.AS_OF_TAG: NOW.isoformat()}
            result = job.execute_in_process(instance=instance, tags=tags, run_config=QUIET, raise_on_error=False)
            yield Ran(world, home, result)


def test_every_table_tells_its_rows(ran: Ran) -> None:
    assert ran.result.success
    for room, table in (("records", "payments"), ("journeys", "people"), ("invariants", "findings")):
        height = pl.read_parquet(ran.home.tables.path(room, table)).height
        assert ran.metadata(room, table)["dagster/row_count"] == height > 0
    assert ran.metadata("raw_stripe", "charges")["dagster/row_count"] > 0
    assert ran.metadata("bi", "worklist")["dagster/row_count"] > 0


def test_a_preview_shows_rows_and_nobody(ran: Ran) -> None:
    head, _, *rows = ran.metadata("journeys", "people")["preview"].splitlines()
    assert head.startswith("| person_id | first_seen_at | last_seen_at | lifecycle |")
    assert len(rows) == 5
    assert re.match(r"\| p_[0-9a-f]+ \| \d{4}\u2011\d\d\u2011\d\d\u00a0\d\d:\d\d \|", rows[0])
    assert ran.metadata("records", "tickets")["preview"] == "No rows."


def leaks(text: str, known: dict[str, set[str]]) -> set[str]:
    """The addresses, numbers and names of known people that stand in a text."""
    digits = set(re.findall(r"\d{9,}", re.sub(r"(?<=\d)[ ().-]+(?=\d)", "", text)))
    words = re.findall(r"[^\W\d_][\w'-]*", text.lower())
    pairs = {f"{one} {other}" for one, other in pairwise(words)}
    return (
        ({a.lower() for a in ADDRESS.findall(text)} & known["email"])
        | (digits & known["phone"])
        | (pairs & known["name"])
    )


def people_of(world: World) -> dict[str, set[str]]:
    known: dict[str, set[str]] = {"email": set(), "phone": set(), "name": set()}
    for frame in world.records.values():
        for column in set(known) & set(frame.columns):
            values = {value for value in frame[column].drop_nulls().to_list() if value}
            if column == "phone":
                values = {re.sub(r"\D", "", value) for value in values}
            known[column] |= {value.lower() for value in values}
    known["name"] = {name for name in known["name"] if re.fullmatch(r"[^\W\d_]{3,} [^\W\d_]{3,}", name)}
    return known


def test_no_event_tells_of_anybody(ran: Ran) -> None:
    known = people_of(ran.world)
    assert min(len(values) for values in known.values()) > 100
    told = "\n".join(dg.serialize_value(event) for event in ran.result.all_events)
    assert len(told) > 1_000_000
    assert leaks(told, known) == set()
    for column, values in known.items():  # it would be seen
        some = min(values)
        assert leaks(f"{told[:100]} {some} ", known) == {some}, column


def test_a_column_tells_what_it_is_made_of(ran: Ran) -> None:
    payments = ran.made_of("records", "payments")
    assert {"raw_stripe/charges.amount", "raw_woocommerce/orders.total"} <= payments["amount_minor"]
    assert "raw_stripe/disputes.status" in payments["dispute_status"]
    assert "raw_stripe/charges.amount" not in payments["email"]
    assert ran.made_of("records", "access")["email"] >= {"raw_community/members.email"}
    assert ran.made_of("journeys", "payments")["amount_minor"] == {"records/payments.amount_minor"}
    assert "sale_id" not in ran.made_of("journeys", "payments")  # derived: nobody vouches for it
    assert ran.made_of("journeys", "buyer_journeys") == {"person_id": {"identity/person_keys.person_id"}}
    assert ran.made_of("invariants", "findings")["cause"] == {"invariants/finding_days.cause"}
    assert "journeys/buyer_journeys.person_id" in ran.made_of("invariants", "finding_days")["person_id"]


def test_a_view_tells_what_its_columns_are_made_of(ran: Ran) -> None:
    worklist = ran.made_of("bi", "worklist")
    assert worklist["email"] == {"journeys/people.email"}
    assert worklist["priority"] == {"invariants/findings.severity"}
    assert ran.made_of("bi", "money_at_risk_by_day")["at_risk_minor"] == {
        "invariants/finding_days.at_risk_kind", "invariants/finding_days.money_refs",
    }  # fmt: skip
    assert "| email | journeys/people: email |" in ran.metadata("bi", "worklist")["columns_are_made_of"]
    columns = {column.name: column for column in ran.metadata("bi", "worklist")["dagster/column_schema"].columns}
    assert columns["email"].tags == {"personal": ""}


def test_pictures_are_small_enough_to_be_drawn_at_once(ran: Ran) -> None:
    funnel = ran.metadata("journeys", "buyer_journeys")["funnel"]
    assert re.search(r"^\|paid\|[\d,]+\|[\d,]+\|█+░*\|$", funnel, re.MULTILINE)
    line = ran.metadata("invariants", "findings")["broken_by_day"]
    assert line.startswith("![broken by day: ")
    assert "(data:image/svg+xml,<svg%20" in line
    assert "on 2026-05-15" in line
    assert max(len(funnel), len(line)) < 1_000


def test_a_broken_invariant_leads_to_its_part_of_the_worklist(ran: Ran) -> None:
    broken = ran.check("journeys/buyer_journeys", "paid_implies_access")
    assert not broken.passed
    assert broken.severity == dg.AssetCheckSeverity.ERROR
    told = {name: value.value for name, value in broken.metadata.items()}
    assert told["broken"] > 0
    assert broken.description == f"{told['broken']} broken of {told['evaluated']}"
    assert (told["severity"], told["owner"]) == ("critical", "delivery@northwind.example")
    page, anchor = told["worklist"].split("#")
    assert page == ran.home.page.as_uri()
    assert f'id="{anchor}"' in ran.home.page.read_text()


def test_what_can_not_be_evaluated_is_a_warning_that_says_why(ran: Ran) -> None:
    unjudged = ran.check("journeys/tickets", "ticket_gets_first_reply")
    assert not unjudged.passed
    assert unjudged.severity == dg.AssetCheckSeverity.WARN
    assert str(unjudged.description).startswith("Not evaluated: ")
    assert "zendesk" in str(unjudged.description)
    every = ran.check("invariants/invariant_days", "every_rule_was_judged")
    assert not every.passed
    assert "ticket_gets_first_reply" in every.metadata
    loaded = ran.check("raw_zendesk/tickets", "is_loaded")
    assert not loaded.passed
    assert "401" in str(loaded.description)


def test_the_contract_is_kept_and_every_check_answered(ran: Ran) -> None:
    found = {(c.asset_key.to_user_string(), c.check_name): c for c in ran.result.get_asset_check_evaluations()}
    key = found["journeys/payments", "shape_key_unique"]
    assert key.passed
    assert key.metadata["rows"].value > 100
    assert key.metadata["unexpected"].value == 0
    grown = found["journeys/payments", "shape_rows"]
    assert (grown.passed, grown.description) == (True, "Not asked today: there is nothing to compare with")
    assert found["invariants/invariant_days", "verdicts_are_known"].passed
    assert found["invariants/data_docs", "every_table_has_its_shape"].passed
    assert all(re.fullmatch("[A-Za-z0-9_]+", name) for _, name in found)
    assert len(found) > 750


def test_dagsters_history_is_whole_once_the_run_is_over(ran: Ran) -> None:
    with dg.DagsterInstance.from_config(str(ran.home.dagster)) as instance:
        assert instance.get_run_by_id(ran.result.run_id).status == dg.DagsterRunStatus.SUCCESS  # type: ignore[union-attr]
        newest = instance.get_latest_materialization_event(dg.AssetKey(["journeys", "people"]))
    assert newest is not None
    assert newest.run_id == ran.result.run_id
