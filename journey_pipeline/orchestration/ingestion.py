"""The raw assets: one step per platform reads its resources into the raw log. How it is read is the lake's."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import dagster as dg

from journey_pipeline.lake import Outcome
from journey_pipeline.orchestration import steps
from journey_pipeline.orchestration.days import AS_OF_TAG, Today
from journey_pipeline.orchestration.pulling import Pulling
from journey_pipeline.platforms.base import Resource
from journey_pipeline.records import Source

IS_LOADED = "is_loaded"
_PULL_AGAIN = (2, 60)  # times, seconds: for platforms that were down for a moment
_PICTURES = {
    "ga4": "google", "google_ads": "google", "google_sheets": "googlesheets", "meta_ads": "meta", "posthog": "posthog",
    "salesforce": "salesforce", "shopify": "shopify", "slack": "slack", "stripe": "stripe", "twilio": "twilio",
    "zendesk": "zendesk",
}  # fmt: skip
"""The platforms that Dagster's UI has a picture for."""


def ingestion(
    source: Source, sources: Sequence[Source], today: Today, pulling: Pulling, owner: str
) -> dg.AssetsDefinition:
    """One step per platform: each resource is an asset, whether it could be read is its check.

    The pool keeps a second run that reads the same platform waiting (dagster.yaml says how many may).
    """
    keys = {r.name: raw_key(source, r) for r in source.platform.resources}
    specs = [_spec(source, resource, owner) for resource in source.platform.resources]
    loaded = [
        dg.AssetCheckSpec(IS_LOADED, asset=key, description="The newest load read it to its end.")
        for key in keys.values()
    ]

    @dg.multi_asset(name=step_of(source), specs=specs, check_specs=loaded, pool=pool_of(source))
    def ingest(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        planned = context.run.step_keys_to_execute or context.op_execution_context.job_def.graph.node_dict
        chosen = [s for s in sources if step_of(s) in planned]
        pull = partial(steps.load, today(context), environ=os.environ)
        outcomes = pulling.outcomes(context.run.run_id, source, chosen, pull)
        times, seconds = _PULL_AGAIN
        if (
            any(o.is_transient for o in outcomes)
            and context.retry_number < times
            and not context.run.tags.get(AS_OF_TAG)
        ):
            raise dg.RetryRequested(max_retries=times, seconds_to_wait=seconds)
        yield from (_result(keys[o.resource], o) for o in outcomes)

    return ingest


def raw_key(source: Source, resource: Resource) -> dg.AssetKey:
    return dg.AssetKey([f"raw_{source.name}", resource.name])


def step_of(source: Source) -> str:
    return f"ingest_{source.name}"


def pool_of(source: Source) -> str:
    return f"platform_{source.name}"


def _spec(source: Source, resource: Resource, owner: str) -> dg.AssetSpec:
    picture = _PICTURES.get(source.platform.name)
    mode = {
        "changes": "Each load brings what is new or changed; the newest version of an id counts.",
        "snapshot": "Each load brings the full list; what the newest complete one lacks is gone.",
    }[resource.mode]
    return dg.AssetSpec(
        raw_key(source, resource), group_name=f"raw_{source.name}", owners=[owner],
        kinds={"dlt", "parquet", *([picture] if picture else [])},
        description=f"{source.platform.title or source.name}: {resource.name}, word for word as the platform said it.\n\n"
        f"**One row:** what one load said of one of them; nothing is ever overwritten. {mode}",
        metadata={"mode": resource.mode, "lag": str(resource.lag), "stale_after": str(resource.limit)},
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=resource.limit),
    )  # fmt: skip


def _result(key: dg.AssetKey, outcome: Outcome) -> dg.MaterializeResult[Any]:
    why = {"error": outcome.error} if outcome.error else {}
    is_loaded = dg.AssetCheckResult(
        check_name=IS_LOADED, asset_key=key, passed=outcome.error is None, metadata=why,
        description=outcome.error or f"{outcome.row_count:,} rows",
    )  # fmt: skip
    return dg.MaterializeResult(
        key, metadata={"dagster/row_count": outcome.row_count, **why}, check_results=[is_loaded]
    )
