"""The sensors: owners are told after a good run, the data team of a bad one and of sources that go stale in between.

Each is a shell around telling.py. They run where `notify:` in journey.yaml names somebody.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from journey_pipeline import errors, notify
from journey_pipeline.lake import health
from journey_pipeline.orchestration.steps import Day, last_as_of
from journey_pipeline.orchestration.telling import say, tell
from journey_pipeline.report import words

_LOOK_EVERY_S = 1800


def sensors(day: Day, *, daily: Any, others: Sequence[Any], as_of_tag: str) -> list[dg.SensorDefinition]:
    """`day`: the business and its home; its instant is of no account. `as_of_tag`: the tag of runs that judge a given one."""
    is_on = dg.DefaultSensorStatus.RUNNING if day.settings.notify else dg.DefaultSensorStatus.STOPPED

    @dg.run_status_sensor(
        name="tell_owners", run_status=dg.DagsterRunStatus.SUCCESS, monitored_jobs=[daily], default_status=is_on,
        description="After the daily run, tells each owner what is new, worse and resolved; nothing where nothing is.",
    )  # fmt: skip
    def tell_owners(context: dg.RunStatusSensorContext) -> dg.SkipReason:
        at, judged = last_as_of(day.home), context.dagster_run.tags.get(as_of_tag)
        if at is None or (judged and datetime.fromisoformat(judged) != at):
            return dg.SkipReason("The tables tell of another run by now.")
        found = tell(replace(day, as_of=at), os.environ)
        return dg.SkipReason(_outcomes([telling.outcome for telling in found]))

    @dg.run_failure_sensor(
        name="tell_of_failed_runs", monitored_jobs=[daily, *others], default_status=is_on,
        description="Tells the data team which step of a run failed.",
    )  # fmt: skip
    def tell_of_failed_runs(context: dg.RunFailureSensorContext) -> dg.SkipReason:
        lines = [
            f"Run {context.dagster_run.run_id} of {context.dagster_run.job_name} did not end; nothing new was published.",
            *_failures(context),
            "Its history: journey ui. Run again: journey run.",
        ]
        message = notify.notice(day.settings.business.name, "the run failed", lines)
        return dg.SkipReason(_outcomes(["sent" if say(day, message, os.environ) else "failed"]))

    @dg.sensor(
        name="tell_of_stale_sources", minimum_interval_seconds=_LOOK_EVERY_S, default_status=is_on,
        description="Tells the data team once when a source goes stale, partial or fails, whether a run saw it or not.",
    )  # fmt: skip
    def tell_of_stale_sources(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now = datetime.now(UTC)
        bad = dict(_unfresh(day, now))
        known = set(json.loads(context.cursor)) if context.cursor else set()
        new = {name: why for name, why in bad.items() if name not in known}
        told = "Every source is as it was."
        if new:
            title = f"{words.count(len(new), 'source')} can't be trusted"
            lines = [f"{name}: {why}" for name, why in new.items()]
            message = notify.notice(day.settings.business.name, title, [*lines, "", "Ask them: journey doctor"])
            if not say(day, message, os.environ):
                bad = {name: why for name, why in bad.items() if name in known}  # those are told of again next time
            told = title
        return dg.SensorResult(skip_reason=dg.SkipReason(told), cursor=json.dumps(sorted(bad)))

    return [tell_owners, tell_of_failed_runs, tell_of_stale_sources]


def _outcomes(outcomes: Sequence[str]) -> str:
    return ", ".join(f"{outcomes.count(o)} {o}" for o in dict.fromkeys(outcomes)) or "Nobody to tell."


def _failures(context: dg.RunFailureSensorContext) -> Iterator[str]:
    """The steps, and what kind of error; its text only where it is a sentence of ours, which holds nobody's data."""
    ours = {
        name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.JourneyError)
    }
    for event in context.get_step_failure_events():
        data = event.step_failure_data
        error = data.error and (data.error.cause or data.error)
        said = f": {error.message.strip().partition(': ')[2]}" if error and error.cls_name in ours else ""
        yield f"- {event.step_key}: {error.cls_name if error else 'no reason told'}{said}"


def _unfresh(day: Day, now: datetime) -> Iterator[tuple[str, str]]:
    """Resources that were loaded once and can't be trusted now, and why."""
    for source in day.sources:
        loads = day.home.log.loads(source.name)
        if loads.is_empty():
            continue
        for row in health(source.platform, source.name, loads, as_of=now).iter_rows(named=True):
            if row["status"] != "fresh":
                yield f"{source.name}.{row['resource']}", row["detail"] or row["status"]
