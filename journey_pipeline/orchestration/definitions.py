"""The Dagster code location: assets, checks, job and schedule, all shells around the steps."""

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from journey_pipeline.model import Rule, Settings
from journey_pipeline.orchestration import steps
from journey_pipeline.orchestration.home import Home
from journey_pipeline.orchestration.pulling import Pulling
from journey_pipeline.orchestration.sensors import sensors
from journey_pipeline.orchestration.steps import Day
from journey_pipeline.publish import MONEY, View, views_folder, views_of
from journey_pipeline.records import Source
from journey_pipeline.registry import KINDS, TABLES, Table, record_schema
from journey_pipeline.settings import load, places

AS_OF_TAG = "journey/as_of"
JOB = "daily"
_OWNERS = ["team:data"]
_PULL_AGAIN = (2, 60)  # times, seconds: for platforms that were down for a moment
_IDENTITY = (
    "person_keys", "demoted_keys", "identity_changes", "identity_suggestions", "identity_health",
)  # fmt: skip
_JOURNEYS = (
    *KINDS, "people", "buyer_journeys", "journey_events", "contact_keys", "products", "campaigns", "pulses",
    "reported_vs_actual",
)  # fmt: skip
_INVARIANTS = ("finding_days", "findings", "incident_days", "incidents", "invariant_days", "repairs")
_BUILT = (*_JOURNEYS, *_IDENTITY, *_INVARIANTS, "rejected_records", "source_health")


@dg.definitions
def journey() -> dg.Definitions:
    """What `dagster dev` loads: the business of JOURNEY_SETTINGS (default ./journey.yaml)."""
    where = places(os.environ)
    return build(load(where.settings), where.settings.parent, Home(where.home, where.raw_url))


def build(settings: Settings, folder: Path, home: Home) -> dg.Definitions:
    """All definitions of one business. `folder` is where its settings file lies."""
    today = partial(_day, settings, folder, home)
    template = Day(settings, folder, home, datetime.min.replace(tzinfo=UTC))
    pulling = Pulling()
    ingestion = [_ingestion(source, template.sources, today, pulling) for source in template.sources]
    raw = [key for asset in ingestion for key in asset.keys]
    rooms = [
        _room("records", _record_specs(raw), today, steps.records),
        _room("identity", [_spec(TABLES[t], [["records", k] for k in KINDS]) for t in _IDENTITY], today, steps.people),
        _room("journeys", _journey_specs(), today, steps.paths),
        _room("invariants", _invariant_specs(), today, steps.judge),
    ]
    checks = _checks(template.rules, sorted({one.table for one in template.own}), today)
    outputs = [_data_docs(today), _warehouse(today), _page(today)]
    job = dg.define_asset_job(
        JOB, selection=dg.AssetSelection.all(), description="Ingest, resolve, build, check, publish, report.",
        executor_def=dg.in_process_executor,
    )  # fmt: skip
    judge_again = dg.define_asset_job(
        "judge_again", selection=dg.AssetSelection.all() - dg.AssetSelection.assets(*raw),
        description="Everything after ingestion, from the raw log as it is: after a change of settings, or for a past day.",
        executor_def=dg.in_process_executor,
    )  # fmt: skip
    schedule = dg.ScheduleDefinition(
        name="every_morning", job=job, cron_schedule="0 6 * * *", execution_timezone=settings.business.timezone,
        description="Before work begins where the business is.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )  # fmt: skip
    return dg.Definitions(
        assets=[*ingestion, *rooms, *outputs], asset_checks=[checks], jobs=[job, judge_again], schedules=[schedule],
        sensors=sensors(template, daily=job, others=[judge_again], as_of_tag=AS_OF_TAG), executor=dg.in_process_executor,
    )  # fmt: skip


def _day(settings: Settings, folder: Path, home: Home, context: Any) -> Day:
    """The run's day: its tag, or the moment at which the run was created; the same for each of its steps."""
    told = context.run.tags.get(AS_OF_TAG)
    if told:
        return Day(settings, folder, home, datetime.fromisoformat(told))
    record = context.instance.get_run_record_by_id(context.run.run_id)
    created = record.create_timestamp if record else datetime.now(UTC)
    return Day(settings, folder, home, created.astimezone(UTC).replace(microsecond=0))


def _ingestion(source: Source, sources: Sequence[Source], today: Any, pulling: Pulling) -> dg.AssetsDefinition:
    """One step per platform: each resource is an asset, whether it could be read is its check."""
    platform, name = source.platform, source.name
    keys = {r.name: dg.AssetKey([f"raw_{name}", r.name]) for r in platform.resources}
    summary = (platform.title or name) + ": "
    specs = [
        dg.AssetSpec(
            keys[r.name], group_name=f"raw_{name}", kinds={"dlt", "parquet"}, owners=_OWNERS,
            description=f"{summary}{r.name} as the platform said it, every load ({r.mode}).",
            metadata={"mode": r.mode, "lag": str(r.lag), "stale_after": str(r.limit)},
        )
        for r in platform.resources
    ]  # fmt: skip
    loaded = [
        dg.AssetCheckSpec("is_loaded", asset=key, description="The newest load read it to its end.")
        for key in keys.values()
    ]

    @dg.multi_asset(name=_step(source), specs=specs, check_specs=loaded)
    def ingest(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        planned = context.run.step_keys_to_execute or context.op_execution_context.job_def.graph.node_dict
        chosen = [s for s in sources if _step(s) in planned]
        pull = partial(steps.load, today(context), environ=os.environ)
        outcomes = pulling.outcomes(context.run.run_id, source, chosen, pull)
        times, seconds = _PULL_AGAIN
        if (
            any(o.is_transient for o in outcomes)
            and context.retry_number < times
            and not context.run.tags.get(AS_OF_TAG)
        ):
            raise dg.RetryRequested(max_retries=times, seconds_to_wait=seconds)
        for o in outcomes:
            why = {"error": o.error} if o.error else {}
            yield dg.MaterializeResult(
                keys[o.resource],
                metadata={"dagster/row_count": o.row_count, **why},
                check_results=[
                    dg.AssetCheckResult(
                        check_name="is_loaded", asset_key=keys[o.resource], passed=o.error is None, metadata=why
                    )
                ],
            )

    return ingest


def _step(source: Source) -> str:
    return f"ingest_{source.name}"


def _spec(table: Table, deps: Sequence[Sequence[str] | dg.AssetKey], room: str | None = None) -> dg.AssetSpec:
    room = room or table.room
    return dg.AssetSpec(
        [room, table.name], deps=list(deps), group_name=room, kinds={"polars", "parquet"}, owners=_OWNERS,
        description=f"One row: {table.grain}.",
        metadata={"dagster/column_schema": _columns(table, room), "dagster/table_name": f"{room}.{table.name}"},
    )  # fmt: skip


def _columns(table: Table, room: str) -> dg.TableSchema:
    names = record_schema(table.name).names() if room == "records" and table.name in KINDS else table.columns
    return dg.TableSchema([
        dg.TableColumn(
            name, str(table.column(name).dtype), description=table.column(name).meaning,
            tags={"personal": ""} if table.column(name).is_personal else {},
        )
        for name in names
    ])  # fmt: skip


def _record_specs(raw: Sequence[dg.AssetKey]) -> list[dg.AssetSpec]:
    kinds = [_spec(table, raw, "records") for table in KINDS.values()]
    return [*kinds, *(_spec(TABLES[name], raw) for name in ("rejected_records", "source_health"))]


def _journey_specs() -> list[dg.AssetSpec]:
    records = [["records", kind] for kind in KINDS]
    return [_spec(TABLES[name], [*records, ["identity", "person_keys"]]) for name in _JOURNEYS]


def _invariant_specs() -> list[dg.AssetSpec]:
    judged = [["journeys", name] for name in _JOURNEYS]
    before = [*judged, ["records", "source_health"], ["identity", "identity_changes"]]
    return [_spec(TABLES[name], before) for name in _INVARIANTS]


def _room(name: str, specs: Sequence[dg.AssetSpec], today: Any, step: Any) -> dg.AssetsDefinition:
    """One step per room: its tables are written together, each is an asset with its row count."""

    @dg.multi_asset(name=name, specs=specs)
    def room(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        counts = step(today(context))
        for spec in specs:
            yield dg.MaterializeResult(spec.key, metadata={"dagster/row_count": counts[spec.key.path[-1]]})

    return room


def _key(table: str) -> dg.AssetKey:
    return dg.AssetKey([steps.room_of(table), table])


def _data_docs(today: Any) -> dg.AssetsDefinition:
    """Great Expectations' step: asks everything, writes the Data Docs, and lets nothing misshapen be published."""
    key = dg.AssetKey(["invariants", "data_docs"])
    shaped = dg.AssetCheckSpec(
        "every_table_has_its_shape", asset=key, blocking=True, description="Else nothing is published."
    )

    spec = dg.AssetSpec(
        key, deps=[_key(name) for name in _BUILT], group_name="invariants", kinds={"great_expectations"}, owners=_OWNERS,
        description="What Great Expectations found of every table and every verdict, as a site.",
    )  # fmt: skip

    @dg.multi_asset(name="great_expectations", specs=[spec], check_specs=[shaped])
    def data_docs(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        day = today(context)
        report = steps.check(day)
        stops = [f"{c.table}: {c.description}" for c in report.blocking]
        result = dg.AssetCheckResult(
            check_name=shaped.name, asset_key=key, passed=not stops, metadata={"failed": "; ".join(stops)}
        )
        site = dg.MetadataValue.url(day.home.data_docs.resolve().joinpath("index.html").as_uri())
        yield dg.MaterializeResult(
            key, metadata={"site": site, "expectations": len(report.checks)}, check_results=[result]
        )

    return data_docs


def _checks(rules: Sequence[Rule], own: Sequence[str], today: Any) -> dg.AssetChecksDefinition:
    """Every invariant on the table that it judges, the shape of every table, and what the user expects of some (`own`)."""
    after = [dg.AssetKey(["invariants", "data_docs"])]

    def spec(name: str, table: str, description: str) -> dg.AssetCheckSpec:
        return dg.AssetCheckSpec(name, asset=_key(table), description=description, additional_deps=after)

    shape = [spec("shape", t, "Its keys, types, values and ranges are as the registry says.") for t in _BUILT]
    invariants = [spec(rule.name, rule.on, rule.claim or rule.name) for rule in rules]
    yours = [spec("own", t, f"What expectations/{t}.json expects of it.") for t in own]
    judged = spec("every_rule_was_judged", "invariant_days", "No rule was kept from judging by a source.")

    @dg.multi_asset_check(name="check", specs=[*shape, *invariants, *yours, judged], can_subset=False)
    def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        day = today(context)
        failed = steps.failed_expectations(day)
        for table in _BUILT:
            mine = [c for c in failed if c["table"] == table and c["kind"] == "shape"]
            is_grave = any(c["is_blocking"] for c in mine)
            yield dg.AssetCheckResult(
                check_name="shape", asset_key=_key(table), passed=not mine,
                severity=dg.AssetCheckSeverity.ERROR if is_grave else dg.AssetCheckSeverity.WARN,
                metadata={"failed": "; ".join(f"{c['description']} ({c['unexpected']} rows)" for c in mine)},
            )  # fmt: skip
        for table in own:
            mine = [c for c in failed if c["table"] == table and c["kind"] == "own"]
            is_grave = any(c["severity"] == "critical" for c in mine)
            yield dg.AssetCheckResult(
                check_name="own", asset_key=_key(table), passed=not mine,
                severity=dg.AssetCheckSeverity.ERROR if is_grave else dg.AssetCheckSeverity.WARN,
                metadata={"failed": "; ".join(f"{c['description']} ({c['unexpected']} rows)" for c in mine)},
            )  # fmt: skip
        yield from _verdict_results(day, rules, judged)

    return check


def _verdict_results(day: Day, rules: Sequence[Rule], judged: dg.AssetCheckSpec) -> Iterator[dg.AssetCheckResult]:
    """Passed: nothing is broken and the gate is open. What could not be evaluated is a warning that says why."""
    today = steps.todays_counts(day)
    worklist = dg.MetadataValue.url(day.home.page.resolve().as_uri())
    for rule in rules:
        counts = today[rule.name]
        is_asked = counts["gate"] in ("open", "partial")
        grave = rule.severity == "critical" and counts["broken"] > 0
        yield dg.AssetCheckResult(
            check_name=rule.name, asset_key=_key(rule.on),
            passed=counts["gate"] in ("not_covered", "off") or (counts["broken"] == 0 and counts["gate"] == "open"),
            severity=dg.AssetCheckSeverity.ERROR if grave else dg.AssetCheckSeverity.WARN,
            description=None if is_asked else f"Not evaluated: {counts['gate_reason'] or counts['gate']}",
            metadata={**{k: v for k, v in counts.items() if v is not None}, "worklist": worklist},
        )  # fmt: skip
    closed = {name: c["gate_reason"] for name, c in today.items() if c["gate"] in ("closed", "partial")}
    yield dg.AssetCheckResult(
        check_name=judged.name, asset_key=judged.asset_key, passed=not closed, severity=dg.AssetCheckSeverity.WARN,
        metadata={name: reason or "" for name, reason in closed.items()},
    )  # fmt: skip


def _published() -> list[dg.AssetKey]:
    return [*(_key(name) for name in _BUILT), dg.AssetKey(["invariants", "data_docs"])]


def _warehouse(today: Any) -> dg.AssetsDefinition:
    """The warehouse and its views; each view is an asset that stands on what it reads."""
    specs = [
        dg.AssetSpec(
            ["bi", view.name], deps=[*_inputs(view), dg.AssetKey(["invariants", "data_docs"])], group_name="bi",
            kinds={"duckdb", "view"}, owners=_OWNERS, description=view.header,
        )
        for view in views_of(views_folder())  # each after what it reads: they are yielded in this order
    ]  # fmt: skip

    @dg.multi_asset(name="publish", specs=specs)
    def publish(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        day = today(context)
        steps.warehouse(day)
        steps.deliver(day)
        yield from (dg.MaterializeResult(spec.key) for spec in specs)

    return publish


def _inputs(view: View) -> list[dg.AssetKey]:
    """The tables and views that it reads; of what publishing lays out itself, the table that it comes from."""
    keys = []
    for schema, name in sorted(table.split(".") for table in view.inputs):
        table = MONEY.get(name, name)
        keys.append(dg.AssetKey(["bi", name]) if schema == "bi" else _key(table))
    return list(dict.fromkeys(keys))


def _page(today: Any) -> dg.AssetsDefinition:
    @dg.asset(
        key=["report", "page"], deps=_published(), group_name="report", kinds={"html"}, owners=_OWNERS,
        description="The page that people read in the morning.",
    )  # fmt: skip
    def page(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        day = today(context)
        steps.page(day)
        return dg.MaterializeResult(metadata={"page": dg.MetadataValue.url(day.home.page.resolve().as_uri())})

    return page
