"""Dagster's history in SQLite, without what it waits for and makes anew at each of the thousand events of a run.

It opens a file anew several times for every event: a write-ahead log that nobody else holds open is then written back and
synced each time, and every statement is compiled again, for that is remembered by engine.
"""

import sqlite3
from functools import cache
from pathlib import Path
from typing import Any

from dagster._core.storage.event_log.sqlite import sqlite_event_log
from sqlalchemy import Engine, QueuePool, create_engine, event


@cache
def quicken(folder: Path) -> None:
    """From now on, in this process, for the files of one Dagster home; a user's own database is left as it is.

    One connection to each file is kept, and only what is written back is waited for: a power cut may cost the last events
    of a run's history, and never harms the file.
    """
    kept: dict[Path, sqlite3.Connection] = {}
    # No setting of Dagster's reaches its engines; there is no other place to keep them.
    vars(sqlite_event_log)["create_engine"] = _engine

    @event.listens_for(Engine, "connect")
    def opened(connection: Any, _record: Any) -> None:
        if not isinstance(connection, sqlite3.Connection):
            return
        file = Path(connection.execute("pragma database_list").fetchone()[2])
        if not file.is_relative_to(folder):
            return
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")
        if file not in kept:
            kept[file] = sqlite3.connect(file, check_same_thread=False)
            kept[file].execute("select count(*) from sqlite_master").fetchone()


_engines: dict[str, Engine] = {}


def _engine(url: str, **options: Any) -> Engine:
    """One engine for each file, which keeps its connection when Dagster, done with an event, disposes of it."""
    if url not in _engines:
        engine = create_engine(url, **{**options, "poolclass": QueuePool})
        engine.dispose = lambda close=True: None  # type: ignore[method-assign]  # noqa: ARG005
        _engines[url] = engine
    return _engines[url]
