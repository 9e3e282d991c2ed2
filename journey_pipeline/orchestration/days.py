"""Which day a run of Dagster judges, and whom its assets belong to. What a day's steps do is steps.py's."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from journey_pipeline.model import Settings
from journey_pipeline.orchestration.steps import Day

AS_OF_TAG = "journey/as_of"

Today = Callable[[Any], Day]
"""The day of a step's context."""


def day_of(template: Day, context: Any) -> Day:
    """The run's day: its tag, or the moment at which the run was created; the same for each of its steps."""
    told = context.run.tags.get(AS_OF_TAG)
    if told:
        return _at(template, datetime.fromisoformat(told))
    record = context.instance.get_run_record_by_id(context.run.run_id)
    created = record.create_timestamp if record else datetime.now(UTC)
    return _at(template, created.astimezone(UTC).replace(microsecond=0))


def _at(template: Day, as_of: datetime) -> Day:
    return Day(template.settings, template.folder, template.home, as_of)


def owner_of(settings: Settings, team: str) -> str:
    """Whom `owners:` names for a team, as Dagster wants it: an address, or `team:name`."""
    name = settings.owners.get(team, team)
    return name if "@" in name else f"team:{name}"
