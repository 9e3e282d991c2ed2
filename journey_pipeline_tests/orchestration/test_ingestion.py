"""The ingestion step in Dagster: a platform that was down for a moment is pulled again, one that refuses us is not."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from journey_pipeline.cli.daily import _secrets, served
from journey_pipeline.lake import Outcome
from journey_pipeline.orchestration import definitions, ingestion
from journey_pipeline.orchestration.home import Home
from journey_pipeline.orchestration.pulling import Pulling
from journey_pipeline.platforms import files, http
from journey_pipeline.records import Source
from journey_pipeline.sandbox import business, server
from journey_pipeline.sandbox.world import Trouble, World
from journey_pipeline.settings import load


@pytest.fixture
def world() -> World:
    return business.generate(40, 7, datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5))


@pytest.fixture
def ingest_zendesk(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.AssetsDefinition]:
    monkeypatch.setattr(http, "BACKOFF_S", 0.001)
    monkeypatch.setattr(ingestion, "_PULL_AGAIN", (2, 0))
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


def shops(*names: str) -> list[Source]:
    return [Source(files.PLATFORM, name, {}) for name in names]


def test_the_platforms_of_a_run_are_read_side_by_side() -> None:
    met = threading.Barrier(3)

    def load(source: Source) -> list[Outcome]:
        met.wait(timeout=10)  # breaks unless all three are being read at once
        return [Outcome(source.name, "changes", row_count=1)]

    pulling, sources = Pulling(), shops("one", "two", "three")
    came = [pulling.outcomes("run", source, sources, load) for source in sources]
    assert [outcome.resource for (outcome,) in came] == ["one", "two", "three"]


def test_a_platform_that_is_tried_again_is_read_again_and_alone() -> None:
    read: list[str] = []

    def load(source: Source) -> list[Outcome]:
        read.append(source.name)
        return []

    pulling, (one, two) = Pulling(), shops("one", "two")
    for source in (one, two, one):
        pulling.outcomes("run", source, [one, two], load)
    assert sorted(read) == ["one", "one", "two"]
    pulling.outcomes("another run", two, [two], load)
    assert sorted(read) == ["one", "one", "two", "two"]


def test_what_a_load_raises_reaches_its_own_step() -> None:
    def load(source: Source) -> list[Outcome]:
        if source.name == "one":
            raise RuntimeError(source.name)
        return []

    pulling, (one, two) = Pulling(), shops("one", "two")
    assert pulling.outcomes("run", two, [one, two], load) == []
    with pytest.raises(RuntimeError, match="one"):
        pulling.outcomes("run", one, [one, two], load)
