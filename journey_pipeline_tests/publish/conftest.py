"""An empty database and a day of the sandbox, for all tests of publishing."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from journey_pipeline.cli.daily import _secrets, served
from journey_pipeline.orchestration import steps
from journey_pipeline.orchestration.home import Home
from journey_pipeline.orchestration.steps import Day
from journey_pipeline.sandbox import business, server
from journey_pipeline.settings import load

NOW = datetime(2026, 5, 15, 12, tzinfo=UTC)


@pytest.fixture
def url(server_of_readers: Any) -> str:
    """An empty database."""
    server_of_readers.psql("drop database if exists bi with (force);")
    server_of_readers.psql("create database bi;")
    return str(server_of_readers.get_uri("bi"))


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Day:
    """A day of the sandbox, judged and not yet published."""
    home = tmp_path_factory.mktemp("home")
    world = business.generate(1000, 3, NOW)
    business.write_settings(home)
    business.write_exports(world, home)
    with server.serve(world) as urls, _secrets({**server.secrets(), **business.secrets(home)}):
        day = Day(served(load(home / "journey.yaml"), urls), home, Home(home), NOW)
        for source in day.sources:
            steps.load(day, source, os.environ)
        for step in (steps.records, steps.people, steps.paths, steps.judge):
            step(day)
    return day


def held(day: Day) -> dict[str, Path]:
    """The tables that its rooms wrote."""
    return {name: day.home.tables.path(steps.room_of(name), name) for name in steps.built_tables(day.home)}
