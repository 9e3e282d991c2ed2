"""What Dagster adds to the daily job: its wall time less the time inside the steps' own functions.

python -m bench.overhead [PEOPLE]   1,000 people of the sandbox, read through HTTP on loopback, in a home that is thrown away
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from journey_pipeline.cli.daily import _secrets, prepare_dagster, served
from journey_pipeline.orchestration import column_lineage, definitions, history, metadata, steps
from journey_pipeline.orchestration.home import Home
from journey_pipeline.orchestration.pulling import Pulling
from journey_pipeline.sandbox import business, server
from journey_pipeline.settings import load

Times = tuple[float, float]
"""Seconds on the clock, and of the processor: the latter are the same on a busy machine."""

_SEED, _JOB = 7, "whole job"
_WORK: tuple[tuple[Any, str], ...] = (
    (Pulling, "outcomes"), (steps, "records"), (steps, "people"), (steps, "paths"), (steps, "judge"), (steps, "check"),
    (steps, "warehouse"), (steps, "deliver"), (steps, "page"),
)  # fmt: skip
_SHOWN: tuple[tuple[Any, str], ...] = (
    (column_lineage, "of_records"), (column_lineage, "of_views"), (metadata, "of_table"), (metadata, "of_view"),
)  # fmt: skip


def main(people: int) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        world = business.generate(people, _SEED, now)
        settings = business.write_settings(root)
        business.write_exports(world, root)
        home = Home(root / "home")
        prepare_dagster(home)
        history.quicken(home.dagster)
        keys = {**server.secrets(), **business.secrets(root)}
        with server.serve(world) as urls, _secrets(keys):
            spent: dict[str, Times] = {}
            for owner, name in (*_WORK, *_SHOWN):  # before the definitions take hold of them
                setattr(owner, name, _timed(getattr(owner, name), name, spent))
            began = time.monotonic()
            built = definitions.build(served(load(settings), urls), root, home)
            job = built.get_repository_def().get_job(definitions.JOB)
            print(f"definitions built        {time.monotonic() - began:6.1f} s")
            for run in ("first", "second"):
                print(f"\n{run} run")
                spent.clear()
                _run(job, home, spent)
    print(f"\nload of the machine: {' '.join(f'{load:.1f}' for load in os.getloadavg())} on {os.cpu_count()} cores")


def _run(job: dg.JobDefinition, home: Home, spent: dict[str, Times]) -> None:
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        result = _timed(job.execute_in_process, _JOB, spent)(instance=instance, run_config=quiet, raise_on_error=False)
    whole = spent.pop(_JOB)
    worked, shown = (_sum(spent[name] for _, name in names if name in spent) for names in (_WORK, _SHOWN))
    overhead = (whole[0] - worked[0], whole[1] - worked[1])
    sums = {_JOB: whole, "in the steps": worked, "overhead": overhead, "of it lineage, previews": shown}
    for name, (seconds, processor) in {**spent, **sums}.items():
        print(f"  {name:24} {seconds:6.1f} s, of the processor {processor:6.1f} s")
    print(f"  {len(result.all_events):,} events, {'well' if result.success else 'FAILED'}")


def _sum(times: Iterable[Times]) -> Times:
    walls, processors = zip(*times, strict=True)
    return sum(walls), sum(processors)


def _timed(work: Callable[..., Any], name: str, spent: dict[str, Times]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        began, ran = time.monotonic(), time.process_time()
        try:
            return work(*args, **kwargs)
        finally:
            before = spent.get(name, (0.0, 0.0))
            spent[name] = (before[0] + time.monotonic() - began, before[1] + time.process_time() - ran)

    return run


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)
