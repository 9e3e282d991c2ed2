"""The sensor that has the day judged again once what people write has changed: settings, waivers, decisions, expectations."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from journey_pipeline.errors import SettingsError
from journey_pipeline.invariants.own import FOLDER
from journey_pipeline.invariants.own import load as own_expectations
from journey_pipeline.model import Settings
from journey_pipeline.orchestration.steps import Day
from journey_pipeline.settings import decisions, decisions_file, load, waivers

_LOOK_EVERY_S = 60


def judge_changes(template: Day, file: Path, judge_again: Any) -> dg.SensorDefinition:
    """`file`: the settings; `template`: the business as this process loaded it."""

    @dg.sensor(
        name="judge_changes", job=judge_again, minimum_interval_seconds=_LOOK_EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Judges again, once, when journey.yaml, the waivers, the decisions on who is who or your expectations change.",
    )  # fmt: skip
    def look(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            settings = load(file)
            written = digest(settings, file.parent)
            if written == context.cursor:
                return dg.SkipReason("Nothing was written since the last look.")
            _read(settings, file.parent)
        except SettingsError as error:
            return dg.SkipReason(f"Nothing is judged until this is mended.\n{error}")
        if context.cursor is None:
            return dg.SensorResult(skip_reason=dg.SkipReason("From now on, changes are judged."), cursor=written)
        if _names(settings, file.parent) != _names(template.settings, template.folder):
            return dg.SkipReason(
                "Platforms, rules or expectations came or went: reload the code location (Deployment, Reload), and they "
                "are judged."
            )
        return dg.SensorResult(run_requests=[dg.RunRequest(tags={"journey/written": written[:12]})], cursor=written)

    return look


def digest(settings: Settings, folder: Path) -> str:
    """A hash of what is written: settings by what they say, other files by their bytes. A touched file is no change.

    Where a platform is asked (`base_url`) is left out: nothing is read again.
    """
    said = settings.model_dump(mode="json")
    for options in said["platforms"].values():
        options.pop("base_url", None)
    whole = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for one in _files(settings, folder):
        whole.update(one.name.encode() + b"\0" + (one.read_bytes() if one.is_file() else b"") + b"\0")
    return whole.hexdigest()


def _files(settings: Settings, folder: Path) -> Iterator[Path]:
    if settings.waivers:
        yield folder / settings.waivers
    yield decisions_file(settings, folder)
    yield from sorted((folder / FOLDER).glob("*.json"))


def _read(settings: Settings, folder: Path) -> None:
    """What `load` leaves to the steps that need it.

    Raises:
        SettingsError: naming every mistake of a file.
    """
    if settings.waivers:
        waivers(folder / settings.waivers)
    decisions(settings, folder)


def _names(settings: Settings, folder: Path) -> tuple[object, ...]:
    """What the graph is made of: a run can follow other values, and no other names."""
    platforms = {name: options.get("type", name) for name, options in settings.platforms.items()}
    return (
        platforms,
        [(rule.name, rule.on) for rule in settings.invariants],
        {one.table for one in own_expectations(folder)},
    )
