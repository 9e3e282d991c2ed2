"""The ingestion step in Dagster: a platform that was down for a moment is pulled again, one that refuses us is not."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from journey_pipeline.cli.daily import _secrets, served
from journey_pipeline.orchestration import definitions
from journey_pipeline.orchestration.home import Home
from journey_pipeline.platforms import http
from journey_pipeline.sandbox import business, server
from journey_pipeline.sandbox.world import Trouble, World
from journey_pipeline.settings import load


@pytest.fixture
def world() -> World:
    return business.generate(40, 7, datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5))


@pytest.fixture
def ingest_zendesk(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.AssetsDefinition]:
    monkeypatch.setattr(http, "BACKOFF_S", 0.001)
    monkeypatch.setattr(definitions, "_PULL_AGAIN", (2, 0))
    settings = business.write_settings(tmp_path)
    business.write_exports(world, tmp_path)
    with server.serve(world) as urls, _secrets(server.secrets()):
        built = definitions.build(served(load(settings), urls), tmp_path, Home(tmp_path / "home"))
        yield next(
            a for a in built.assets or () if isinstance(a, dg.AssetsDefinition) and a.op.name == "ingest_zendesk"
        )


def run(asset: dg.AssetsDefinition) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize([asset], instance=instance, raise_on_error=False)


def loaded(result: dg.ExecuteInProcessResult) -> list[bool]:
    return [evaluation.passed for evaluation in result.get_asset_check_evaluations()]


def test_what_was_down_for_a_moment_is_pulled_again(world: World, ingest_zendesk: dg.AssetsDefinition) -> None:
    world.trouble["zendesk"] = Trouble(503, times=2 * http.ATTEMPTS)  # the whole first pull of its two lists
    result = run(ingest_zendesk)
    assert result.success
    assert sum(event.is_step_up_for_retry for event in result.all_events) == 1
    assert loaded(result) == [True, True]


def test_what_stays_down_is_a_failed_load_and_no_failed_run(world: World, ingest_zendesk: dg.AssetsDefinition) -> None:
    world.trouble["zendesk"] = Trouble(503)
    result = run(ingest_zendesk)
    assert result.success  # its rules turn unknown; the others are judged
    assert sum(event.is_step_up_for_retry for event in result.all_events) == 2
    assert loaded(result) == [False, False]


def test_a_refused_key_is_not_tried_again(world: World, ingest_zendesk: dg.AssetsDefinition) -> None:
    world.trouble["zendesk"] = Trouble(401)
    result = run(ingest_zendesk)
    assert sum(event.is_step_up_for_retry for event in result.all_events) == 0
    assert loaded(result) == [False, False]
