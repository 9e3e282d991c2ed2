"""The assets after ingestion: one step per room, whose tables are written together; Data Docs, warehouse and page."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from journey_pipeline.orchestration import column_lineage, metadata, steps
from journey_pipeline.orchestration.days import Today
from journey_pipeline.orchestration.steps import Counts, Day
from journey_pipeline.publish import MONEY, View, views_folder, views_of
from journey_pipeline.registry import KINDS, MEANINGS, TABLES, Table

IDENTITY = (
    "person_keys", "demoted_keys", "identity_changes", "identity_suggestions", "identity_health",
)  # fmt: skip
JOURNEYS = (
    *KINDS, "people", "buyer_journeys", "journey_events", "contact_keys", "products", "campaigns", "pulses",
    "reported_vs_actual",
)  # fmt: skip
INVARIANTS = ("finding_days", "findings", "incident_days", "incidents", "invariant_days", "repairs")
BUILT = (*JOURNEYS, *IDENTITY, *INVARIANTS, "rejected_records", "source_health")
_FOLDED = {
    "findings": ("finding_days",), "incidents": ("incident_days", "findings"), "repairs": ("finding_days", "incidents"),
}  # fmt: skip
DATA_DOCS = dg.AssetKey(["invariants", "data_docs"])
SHAPED = "every_table_has_its_shape"


def table_key(table: str) -> dg.AssetKey:
    return dg.AssetKey([steps.room_of(table), table])


def rooms(template: Day, today: Today, owner: str) -> list[dg.AssetsDefinition]:
    """Records, identity, journeys, invariants."""
    raw = [dg.AssetKey([f"raw_{s.name}", r.name]) for s in template.sources for r in s.platform.resources]
    said = {
        kind: [dg.AssetKey([f"raw_{source}", resource]) for source, resource in told]
        for kind, told in template.says.items()
    }
    records = [dg.AssetKey(["records", kind]) for kind in KINDS]
    judged = [*(table_key(name) for name in JOURNEYS), table_key("source_health"), table_key("identity_changes")]
    kinds = [_spec(table, said.get(kind, []), owner, "records") for kind, table in KINDS.items()]
    health = [_spec(TABLES[name], raw, owner) for name in ("rejected_records", "source_health")]
    walked = [_spec(TABLES[name], [*records, table_key("person_keys")], owner) for name in JOURNEYS]
    found = [_spec(TABLES[name], [*judged, *map(table_key, _FOLDED.get(name, ()))], owner) for name in INVARIANTS]
    return [
        _room("records", [*kinds, *health], today, steps.records, column_lineage.of_records),
        _room("identity", [_spec(TABLES[name], records, owner) for name in IDENTITY], today, steps.people),
        _room("journeys", walked, today, steps.paths, column_lineage.of_journeys),
        _room(
            "invariants", found, today, steps.judge, lambda day: column_lineage.of_invariants(day.rules),
        ),
    ]  # fmt: skip


def _spec(table: Table, deps: Sequence[dg.AssetKey], owner: str, room: str | None = None) -> dg.AssetSpec:
    room = room or table.room
    is_record = room == "records" and table.name in KINDS
    key = f"\n\n**Key:** {', '.join(f'`{name}`' for name in table.key)}" if table.key else ""
    said = "As the platforms tell it, in one language; whose it is comes later.\n\n" if is_record else ""
    return dg.AssetSpec(
        [room, table.name], deps=deps, group_name=room, kinds={"polars", "parquet"}, owners=[owner],
        description=f"{MEANINGS[table.name]}\n\n{said}**One row:** {table.grain}.{key}",
        metadata={
            "dagster/column_schema": metadata.columns(table, room), "dagster/table_name": f"{room}.{table.name}",
        },
    )  # fmt: skip


_Lineage = Callable[[Day], Mapping[str, dg.TableColumnLineage]]


def _room(
    name: str,
    specs: Sequence[dg.AssetSpec],
    today: Today,
    step: Callable[[Day], Counts],
    lineage: _Lineage = lambda _day: {},
) -> dg.AssetsDefinition:
    @dg.multi_asset(name=name, specs=specs)
    def room(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        day = today(context)
        counts, told = step(day), lineage(day)
        for spec in specs:
            table = spec.key.path[-1]
            shown = {**metadata.of_table(day, name, table), **metadata.made_of(told.get(table))}
            yield dg.MaterializeResult(spec.key, metadata={"dagster/row_count": counts[table], **shown})

    return room


def data_docs(today: Today, owner: str) -> dg.AssetsDefinition:
    """Great Expectations' step: asks everything, writes the Data Docs, and lets nothing misshapen be published."""
    shaped = dg.AssetCheckSpec(SHAPED, asset=DATA_DOCS, blocking=True, description="Else nothing is published.")
    spec = dg.AssetSpec(
        DATA_DOCS, deps=[table_key(name) for name in BUILT], group_name="invariants", kinds={"greatexpectations", "html"},
        owners=[owner],
        description="What Great Expectations found of every table and every verdict, as a site of its own.\n\n"
        "**One page:** a table, with what was asked of it and what came out, beside the days before.",
    )  # fmt: skip

    @dg.multi_asset(name="great_expectations", specs=[spec], check_specs=[shaped])
    def docs(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        day = today(context)
        report = steps.check(day)
        stops = [f"{c.table}: {c.description}" for c in report.blocking]
        result = dg.AssetCheckResult(
            check_name=SHAPED, asset_key=DATA_DOCS, passed=not stops, metadata={"failed": "; ".join(stops)}
        )
        site = metadata.file(day.home.data_docs / "index.html")
        counts = {"expectations": len(report.checks), "failed": len(report.failed)}
        yield dg.MaterializeResult(DATA_DOCS, metadata={"site": site, **counts}, check_results=[result])

    return docs


def warehouse(today: Today, owner: str) -> dg.AssetsDefinition:
    """The warehouse and its views; each view is an asset that stands on what it reads."""
    views = views_of(views_folder())  # each after what it reads: they are yielded in this order
    specs = [
        dg.AssetSpec(
            ["bi", view.name], deps=[*_inputs(view), DATA_DOCS], group_name="bi", kinds={"duckdb", "sql", "view"},
            owners=[owner], description=_described(view), metadata={"dagster/table_name": f"bi.{view.name}"},
        )
        for view in views
    ]  # fmt: skip

    @dg.multi_asset(name="publish", specs=specs)
    def publish(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        day = today(context)
        steps.warehouse(day)
        steps.deliver(day)
        lineage = column_lineage.of_views(views)
        for view, spec in zip(views, specs, strict=True):
            schema, count = metadata.of_view(day, view.name)
            yield dg.MaterializeResult(
                spec.key,
                metadata={
                    "dagster/column_schema": schema, "dagster/row_count": count, **metadata.made_of(lineage[view.name]),
                },
            )  # fmt: skip

    return publish


def _inputs(view: View) -> list[dg.AssetKey]:
    """The tables and views that it reads; of what publishing lays out itself, the table that it comes from."""
    return list(dict.fromkeys(view_input(*table.split(".")) for table in sorted(view.inputs)))


def view_input(schema: str, name: str) -> dg.AssetKey:
    return dg.AssetKey(["bi", name]) if schema == "bi" else table_key(MONEY.get(name, name))


def _described(view: View) -> str:
    """Its header: the question first, then what a row is."""
    said: dict[str, str] = {}
    for line in view.header.splitlines():
        word, _, rest = line.partition(" ")
        if word in ("Grain", "Inputs", "Question"):
            said[word] = rest.strip()
        elif said:
            said[next(reversed(said))] += f" {line}"
    return f"{said['Question']}\n\n**One row:** {said['Grain']}."


def page(today: Today, owner: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=["report", "page"], deps=[*(table_key(name) for name in BUILT), DATA_DOCS], group_name="report",
        kinds={"html", "report"}, owners=[owner],
        description="The page that people read in the morning: what broke, for whom, what is at risk, what to do.",
    )  # fmt: skip
    def morning(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        day = today(context)
        steps.page(day)
        return dg.MaterializeResult(metadata={"page": metadata.worklist(day)})

    return morning
