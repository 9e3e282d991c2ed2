"""The jobs over assets and their schedules: the daily run, the same from the raw log alone, the hourly one before a launch."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from journey_pipeline.model import Settings
from journey_pipeline.orchestration.assets import DATA_DOCS
from journey_pipeline.orchestration.ingestion import IS_LOADED, raw_key
from journey_pipeline.records import Source

DAILY, JUDGE_AGAIN, LIGHT = "daily", "judge_again", "light"
_REFS = ("bought_as", "grants", "welcome", "cart", "sales")


def jobs(raw: Sequence[dg.AssetKey]) -> list[Any]:
    """The daily one first. All run in one process: starting another takes longer than most steps."""
    every, ingested = dg.AssetSelection.all(), dg.AssetSelection.assets(*raw)
    light = every.without_checks() - dg.AssetSelection.assets(DATA_DOCS) | dg.AssetSelection.checks_for_assets(*raw)
    said = {
        DAILY: (every, "Reads every platform, works out who is who, judges, checks, publishes, writes the page."),
        JUDGE_AGAIN: (every - ingested, "Everything after ingestion, from the raw log as it is: after a change of settings."),
        LIGHT: (light, "Before a launch: reads the platforms under `watch:`, judges, publishes. No Great Expectations."),
    }  # fmt: skip
    return [
        dg.define_asset_job(name, selection=selection, description=text, executor_def=dg.in_process_executor)
        for name, (selection, text) in said.items()
    ]


def schedules(
    settings: Settings, sources: Sequence[Source], daily: Any, light: Any,
    after: Sequence[dg.AssetKey],
) -> list[dg.ScheduleDefinition]:  # fmt: skip
    """`after`: the assets of the light run beside the raw ones."""
    zone = settings.business.timezone
    every_morning = dg.ScheduleDefinition(
        name="every_morning", job=daily, cron_schedule="0 6 * * *", execution_timezone=zone,
        description="Before work begins where the business is.", default_status=dg.DefaultScheduleStatus.RUNNING,
    )  # fmt: skip

    @dg.schedule(
        name="every_hour", job=light, cron_schedule="0 * * * *", execution_timezone=zone,
        description="Before a launch: start it by hand, and stop it afterwards. It reads what `watch:` in journey.yaml names.",
    )  # fmt: skip
    def every_hour() -> dg.RunRequest | dg.SkipReason:
        names = watched(settings)
        if not names:
            return dg.SkipReason("journey.yaml names nothing to watch. Add, for one: watch: {offers: [an_offer]}")
        read = [raw_key(s, r) for s in sources if s.name in names for r in s.platform.resources]
        # Left unsaid, every check of these assets would be asked, and with them Great Expectations.
        loaded = [dg.AssetCheckKey(key, IS_LOADED) for key in read]
        watched_tag = {"journey/watched": ", ".join(sorted(names))}
        return dg.RunRequest(asset_selection=[*read, *after], asset_check_keys=loaded, tags=watched_tag)

    return [every_morning, every_hour]


def watched(settings: Settings) -> set[str]:
    """The platforms that a light run reads: those named, and all that sell, grant or write about an offer named."""
    offers = [offer for offer in settings.offers if offer.id in settings.watch.offers]
    refs = [ref for offer in offers for part in _REFS for ref in getattr(offer, part)]
    return {*settings.watch.platforms, *(ref.split(":", 1)[0] for ref in refs)}
