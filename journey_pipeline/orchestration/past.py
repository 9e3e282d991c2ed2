"""Past days, judged again from the raw log: a job of one partition per day, so that Dagster's backfill works on it.

A day is judged in a home of its own, and only its rows of the tables that grow by day come back: today's tables go on
telling of today.
"""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import dagster as dg
import polars as pl

from journey_pipeline.lake import RawLog
from journey_pipeline.orchestration import steps
from journey_pipeline.orchestration.home import Home
from journey_pipeline.orchestration.steps import Day

_BY_DAY = ("finding_days", "invariant_days", "incident_days")
_MORNING = time(6)


def past_days(template: Day) -> dg.JobDefinition:
    """The job. Its first day is that of the first load; a day is there once it is over."""
    zone = template.settings.business.zone
    first = first_load(template.home.log, [source.name for source in template.sources]) or datetime.now(UTC)
    days = dg.DailyPartitionsDefinition(start_date=first.astimezone(zone).date().isoformat(), timezone=str(zone))

    @dg.op(name="judge_day", description="Judges one day from what had been loaded by then, and folds it in.")
    def judge_day(context: dg.OpExecutionContext) -> None:
        counts = judge(template, date.fromisoformat(context.partition_key))
        context.add_output_metadata({"day": context.partition_key, **counts})

    @dg.job(
        name="past_days", partitions_def=days, executor_def=dg.in_process_executor,
        description="Verdicts of past days, from the raw log with today's rules: after a rule was added or mended. "
        "What is published follows with the next daily run, or judge_again.",
    )  # fmt: skip
    def past() -> None:
        judge_day()

    return past


def first_load(log: RawLog, platforms: list[str]) -> datetime | None:
    """When any of them was first loaded."""
    times = [at for platform in platforms if (at := log.first_load(platform))]
    return min(times, default=None)


def judge(template: Day, day_on: date) -> Mapping[str, int]:
    """Put that day's verdicts in place of those that stand there, if any; gives how many rows there are of each table."""
    template.home.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=template.home.root, prefix=".past.") as scratch:
        aside = Home(Path(scratch), template.home.log.url)
        day = replace(template, home=aside, as_of=_as_of(template, day_on))
        _bring(template.home, aside, day_on)
        steps.records(day)
        steps.people(day)
        _bring_changes(template.home, aside, day_on)
        steps.paths(day)
        steps.judge(day)
        counts = {name: _take(aside, template.home, name, day_on) for name in _BY_DAY}
    steps.fold(template)
    return counts


def _as_of(template: Day, day_on: date) -> datetime:
    """The instant of the day's last load, as its own run had it; of a day without one, that of the morning run."""
    zone = template.settings.business.zone
    ends = datetime.combine(day_on + timedelta(days=1), time(), zone).astimezone(UTC)
    loads = [template.home.log.loads(source.name, as_of=ends)["loaded_at"].max() for source in template.sources]
    last = max((at for at in loads if isinstance(at, datetime)), default=None)
    if last is not None and last.astimezone(zone).date() == day_on:
        return last
    return datetime.combine(day_on, _MORNING, zone).astimezone(UTC)


def _bring(home: Home, aside: Home, day_on: date) -> None:
    """The days before, which findings are counted on from."""
    for name in _BY_DAY:
        for part in home.tables.parts("invariants", name):
            if part.stem < day_on.isoformat():
                _copy(part, aside.tables.path("invariants", name))


def _bring_changes(home: Home, aside: Home, day_on: date) -> None:
    """Who merged with whom was told by the run of its day; the ids of the people of that day are known to no other."""
    for part in home.tables.parts("identity", "identity_changes"):
        if part.stem <= day_on.isoformat():
            _copy(part, aside.tables.path("identity", "identity_changes"))


def _copy(part: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(part, folder / part.name)


def _take(aside: Home, home: Home, name: str, day_on: date) -> int:
    rows = pl.read_parquet(aside.tables.path("invariants", name) / f"{day_on}.parquet")
    return home.tables.write_day("invariants", name, day_on, rows)
