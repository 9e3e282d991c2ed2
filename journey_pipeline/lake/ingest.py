"""Writes the raw log: pulls every resource of a platform and appends what it said, through dlt, as one load.

A load is all or nothing: dlt lists it as finished only when every file of it is in place, and only finished loads are
ever read. What a resource's load was worth (complete, failed, how many rows, where to go on) stands in the load itself,
in the table `loads`: there is no other state, so a killed load simply never happened.
"""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from journey_pipeline.errors import SourceError
from journey_pipeline.lake.raw import LOADS, RawLog
from journey_pipeline.platforms.base import Platform, Pull, Resource, Row

if TYPE_CHECKING:
    import pyarrow as pa

_IMPORTS = Lock()
_CHUNK = 20_000  # rows per Arrow table: large enough to be fast, small enough to stay small


@dataclass
class Outcome:
    """What one load of one resource came to. `error` is a sentence; None: it was read to its end."""

    resource: str
    mode: str
    row_count: int = 0
    expected_rows: int | None = None
    cursor: str | None = None
    error: str | None = None
    is_transient: bool = False


def ingest(
    platform: Platform,
    *,
    name: str,
    options: Any,
    secrets: Mapping[str, str],
    log: RawLog,
    loaded_at: datetime,
) -> list[Outcome]:
    """Append one load of all resources of a platform to the raw log; waits while another process loads it.

    A resource that can't be read is an outcome with an error, and does not keep the others from being read.
    Anything else that goes wrong is a defect, and raises: the load is then invisible.
    """
    with _IMPORTS:  # two seconds, and threads that import pandas at once see half of it; reading the log needs none
        import dlt  # noqa: PLC0415
        import pandas as pd  # noqa: F401, PLC0415  dlt would, later

    dlt.config["runtime.dlthub_telemetry"] = False
    dlt.config["extract.next_item_mode"] = "fifo"  # `loads` comes last and tells of the others
    dlt.config["normalize.parquet_normalizer.add_dlt_load_id"] = False  # the file's name has it

    cursors: dict[str, str] = {}
    outcomes: list[Outcome] = []

    def pulled(resource: Resource) -> Iterator["pa.Table"]:
        outcome = Outcome(resource.name, resource.mode)
        outcomes.append(outcome)
        pull = Pull(name, resource, options, secrets, loaded_at, cursors.get(resource.name))
        yield from _chunks(resource.pull, pull, outcome)
        outcome.expected_rows, outcome.cursor = pull.expected_rows, pull.next_cursor

    def loads() -> Iterator["pa.Table"]:
        import pyarrow as pa  # noqa: PLC0415

        rows = [{"platform": name, "loaded_at": loaded_at, **vars(outcome)} for outcome in outcomes]
        yield pa.Table.from_pylist(rows, schema=LOADS)

    source = [dlt.resource(pulled, name=r.name, write_disposition="append")(r) for r in platform.resources] + [
        dlt.resource(loads, name="loads", write_disposition="append")
    ]
    with _alone(log.scratch / f"{name}.lock"):
        # Made under the lock: making one clears the working folder, which may be another run's until it lets go.
        pipeline = dlt.pipeline(
            pipeline_name=name,
            destination=dlt.destinations.filesystem(bucket_url=log.url),
            dataset_name=name,
            pipelines_dir=str(log.scratch),
        )
        cursors.update(log.cursors(name))
        pipeline.abort_packages()  # of a run that was killed: it is invisible, and this one reads the same again
        pipeline.run(source, loader_file_format="parquet")
    return outcomes


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One at a time; the operating system lets go of the lock even if the process is killed."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _chunks(pull_pages: Any, pull: Pull, outcome: Outcome) -> Iterator["pa.Table"]:
    """Rows as Arrow tables of text. A SourceError ends the resource and is kept as its outcome."""
    waiting: list[Row] = []
    try:
        for page in pull_pages(pull):
            waiting.extend(page)
            if len(waiting) >= _CHUNK:
                yield _table(waiting, pull.loaded_at, outcome.row_count)
                outcome.row_count += len(waiting)
                waiting = []
    except SourceError as error:
        outcome.error, outcome.is_transient = str(error), error.is_transient
        return
    if waiting:
        yield _table(waiting, pull.loaded_at, outcome.row_count)
        outcome.row_count += len(waiting)


def _table(rows: list[Row], loaded_at: datetime, start: int) -> "pa.Table":
    """All values as text: what the platform said, whatever type it says it in next time."""
    import pyarrow as pa  # noqa: PLC0415

    names = dict.fromkeys(name for row in rows for name in row)
    columns: dict[str, Any] = {name: pa.array([_text(row.get(name)) for row in rows], pa.string()) for name in names}
    columns["_loaded_at"] = pa.array([loaded_at] * len(rows), pa.timestamp("us", "UTC"))
    columns["_row"] = pa.array(range(start, start + len(rows)), pa.int64())
    return pa.table(columns)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
