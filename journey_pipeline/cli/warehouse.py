"""The published warehouse, opened to look: one state of it, even while a run puts the next one in its place."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, tzinfo
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
from polars import selectors

from journey_pipeline.errors import JourneyError, SettingsError
from journey_pipeline.model import Settings
from journey_pipeline.orchestration.home import Home
from journey_pipeline.settings import Places, load, places


@dataclass(frozen=True)
class Warehouse:
    """`settings`: the business it is of; None where its file can't be read, for a look needs none."""

    db: duckdb.DuckDBPyConnection
    settings: Settings | None

    def ask(self, query: str, **values: Any) -> pl.DataFrame:
        """The rows of a SELECT with its `$name` parameters; times in UTC."""
        found: pl.DataFrame = self.db.sql(query, params=values).pl()
        return found.with_columns(selectors.datetime(time_zone="*").dt.convert_time_zone("UTC"))

    @property
    def zone(self) -> tzinfo:
        return self.settings.business.zone if self.settings else UTC

    @property
    def currency(self) -> str:
        """The business's; empty where it isn't known."""
        return self.settings.business.currency if self.settings else ""

    @cached_property
    def day_on(self) -> date | None:
        """The day of the newest verdicts."""
        found: date | None = self.ask("select max(day_on) as day_on from journey.invariant_days").item()
        return found


@contextmanager
def opened(settings: Path | None, home: Path | None) -> Iterator[Warehouse]:
    """The warehouse of a home folder, read-only.

    Raises:
        JourneyError: if there is none, or it can't be read.
    """
    where = places(os.environ, settings, home)
    place = Home(where.home)
    file = place.desk if place.desk.is_file() else place.warehouse
    if not file.is_file():
        raise JourneyError(missing(where.home))
    try:
        # Whoever publishes renames a new file over this one: what is open here stays as it was.
        db = duckdb.connect(str(file), read_only=True)
    except duckdb.Error as error:
        msg = f"{file} can't be read; close what writes into it, or build it anew: journey run. {error}"
        raise JourneyError(msg) from error
    with db:
        db.execute("set TimeZone = 'UTC'")
        yield Warehouse(db, _settings(settings, where))


def missing(home: Path) -> str:
    """The sentence that nothing was run there yet, and where something was."""
    demo = home / "demo"
    hint = f" The demo has one: --home {demo}" if Home(demo).warehouse.is_file() else ""
    return f"no warehouse in {home}: nothing was published there yet. Run first: journey run.{hint}"


def settings_file(asked: Path | None, where: Places) -> Path:
    """The file asked for; else that of a demo's home, or the usual one."""
    beside = where.home / "journey.yaml"
    return asked or (beside if beside.is_file() else where.settings)


def _settings(asked: Path | None, where: Places) -> Settings | None:
    """The file asked for must be right; any other counts if it can be read."""
    try:
        return load(settings_file(asked, where))
    except SettingsError:
        if asked:
            raise
        return None
