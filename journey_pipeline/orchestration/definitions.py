"""The Dagster code location of one business. What it is made of stands in the modules beside this one."""

import os
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import dagster as dg

from journey_pipeline.model import Settings
from journey_pipeline.orchestration import assets, history
from journey_pipeline.orchestration.changes import judge_changes
from journey_pipeline.orchestration.checks import checks
from journey_pipeline.orchestration.days import AS_OF_TAG, day_of, owner_of
from journey_pipeline.orchestration.home import Home
from journey_pipeline.orchestration.ingestion import ingestion
from journey_pipeline.orchestration.jobs import DAILY as JOB
from journey_pipeline.orchestration.jobs import jobs, schedules
from journey_pipeline.orchestration.past import past_days
from journey_pipeline.orchestration.pulling import Pulling
from journey_pipeline.orchestration.sensors import sensors
from journey_pipeline.orchestration.steps import Day
from journey_pipeline.settings import load, places

__all__ = ["AS_OF_TAG", "JOB", "build", "journey"]


@dg.definitions
def journey() -> dg.Definitions:
    """What `dagster dev` loads: the business of JOURNEY_SETTINGS (default ./journey.yaml)."""
    where = places(os.environ)
    home = Home(where.home, where.raw_url)
    history.quicken(home.dagster)
    return build(load(where.settings), where.settings.parent, home, where.settings)


def build(settings: Settings, folder: Path, home: Home, file: Path | None = None) -> dg.Definitions:
    """All definitions of one business. `folder` is where its settings lie, `file` the settings, if they are in one."""
    template = Day(settings, folder, home, datetime.min.replace(tzinfo=UTC))
    today, pulling, owner = partial(day_of, template), Pulling(), owner_of(settings, "data")
    read = [ingestion(source, template.sources, today, pulling, owner) for source in template.sources]
    raw = [key for asset in read for key in asset.keys]
    rooms = assets.rooms(template, today, owner)
    outputs = [assets.warehouse(today, owner), assets.page(today, owner)]
    light_after = [key for asset in (*rooms, *outputs) for key in asset.keys]
    daily, judge_again, light = every = jobs(raw)
    past = past_days(template)
    return dg.Definitions(
        assets=[*read, *rooms, assets.data_docs(today, owner), *outputs],
        asset_checks=[checks(settings, template.rules, sorted({one.table for one in template.own}), today)],
        jobs=[*every, past],
        schedules=schedules(settings, template.sources, daily, light, light_after),
        sensors=[
            *sensors(template, daily=daily, others=[judge_again, light, past], as_of_tag=AS_OF_TAG),
            *([judge_changes(template, file, judge_again)] if file else []),
        ],
        executor=dg.in_process_executor,
    )
