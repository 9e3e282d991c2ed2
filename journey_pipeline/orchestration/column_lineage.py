"""Which columns a column is made of. Nothing is written by hand: plans, SQL and the registry are asked.

- records <- raw: a platform's own polars plan runs over empty tables that note what each record column reads.
- journeys <- records, findings <- finding_days: columns of one name and one meaning in the registry, where a table takes
  another's rows over.
- bi <- journeys: the SQL of the views, parsed.

What can't be told this way is left out: a column without lineage is one that nobody vouches for.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import dagster as dg
import polars as pl
from polars.io.plugins import register_io_source

from journey_pipeline.model import Rule
from journey_pipeline.orchestration.steps import Day, room_of
from journey_pipeline.publish import MONEY, View
from journey_pipeline.records import Source
from journey_pipeline.records.typed import typed
from journey_pipeline.registry import KINDS, TABLES, TEXT, TIME, record_schema, said_schema

if TYPE_CHECKING:
    from sqlglot.lineage import Node

Lineage = dict[str, dg.TableColumnLineage]
_From = dict[str, set[tuple[str, str, str]]]
"""Column -> room, table and column of each that it is made of."""

_WHERE = {"_loaded_at": TIME, "_row": pl.Int64(), "_resource": TEXT}
_SUBJECT = ("person_id", "offer_id", "platform", "record_id", "url")  # a finding has them from the row that was judged


def of_records(day: Day) -> Lineage:
    """The kinds, by what the translations of the platforms read."""
    found: dict[str, _From] = {}
    for source in day.sources:
        for kind, column, reads in _translated(source, day):
            here = found.setdefault(kind, {}).setdefault(column, set())
            here.update((f"raw_{source.name}", resource, name) for resource, name in reads)
    return _told(found)


def _translated(source: Source, day: Day) -> Iterator[tuple[str, str, set[tuple[str, str]]]]:
    """Kind, column, and what it reads; the ids by which every row is matched are told of `record_id` alone."""
    noted: set[tuple[str, str]] = set()

    def reads(frame: pl.LazyFrame, column: str) -> set[tuple[str, str]]:
        noted.clear()
        frame.select(column).collect(engine="in-memory")  # a third faster on empty tables
        return {(resource, name) for resource, name in noted if name not in _WHERE}

    raw = {r.name: _noting(r.name, r.columns or _loaded(source, r.name, day), noted) for r in source.platform.resources}
    for kind, frame in source.platform.read(raw, source.options).items():
        record, given = typed(kind, frame, source.name), frame.collect_schema()
        matched = reads(record, "loaded_at")
        for column in (name for name in said_schema(kind) if name in given):
            own = reads(record, column) - matched
            users = {
                (r.name, column) for r in source.platform.resources if not r.columns
            }  # tables named as records are
            yield kind, column, own or (users & matched) or (matched if column == "record_id" else set())


def _loaded(source: Source, resource: str, day: Day) -> Sequence[str]:
    """The raw columns of a resource whose module leaves them to the user."""
    (known,) = (r for r in source.platform.resources if r.name == resource)
    frame = day.home.log.scan(source.name, known, day.home.log.loads(source.name, as_of=day.as_of))
    return [name for name in frame.collect_schema() if name not in _WHERE]


def _noting(resource: str, columns: Sequence[str], noted: set[tuple[str, str]]) -> pl.LazyFrame:
    """An empty raw table that notes which of its columns a plan reads."""
    empty = pl.DataFrame(schema={**dict.fromkeys(columns, TEXT), **_WHERE})

    def scan(
        wanted: list[str] | None, predicate: pl.Expr | None, _rows: int | None, _batch: int | None
    ) -> Iterator[pl.DataFrame]:
        named = [
            *(empty.columns if wanted is None else wanted),
            *([] if predicate is None else predicate.meta.root_names()),
        ]
        noted.update((resource, name) for name in named)
        yield empty if wanted is None else empty.select(wanted)

    return register_io_source(scan, schema=empty.schema)


def of_journeys(_day: Day) -> Lineage:
    """Records as they are published, and whose every row is."""
    found: dict[str, _From] = {
        kind: {name: {("records", kind, name)} for name in record_schema(kind).names()} for kind in KINDS
    }
    for name, table in TABLES.items():
        if table.room == "journeys" and "person_id" in table.columns:
            found.setdefault(name, {})["person_id"] = {("identity", "person_keys", "person_id")}
    return _told(found)


def of_invariants(rules: Sequence[Rule]) -> Lineage:
    """Findings from the rows that rules judge; findings and incidents from their days."""
    judged = [TABLES[name] for name in sorted({rule.on for rule in rules})]
    days: _From = {
        column: {(table.room, table.name, column) for table in judged if column in table.columns} for column in _SUBJECT
    }
    return _told(
        {
            "finding_days": days,
            "findings": _same("findings", "finding_days"),
            "incidents": _same("incidents", "incident_days"),
        }
    )


def _same(table: str, of: str) -> _From:
    """The columns that both have, and that mean the same in both."""
    mine, theirs = TABLES[table], TABLES[of]
    shared = [name for name in mine.columns if name in theirs.columns and mine.column(name) == theirs.column(name)]
    return {name: {(theirs.room, of, name)} for name in shared}


def of_views(views: Sequence[View]) -> Lineage:
    """The views, each after those that it reads."""
    # A third of a second to import; only publishing needs it.
    import sqlglot  # noqa: PLC0415
    from sqlglot.lineage import lineage  # noqa: PLC0415
    from sqlglot.optimizer.qualify import qualify  # noqa: PLC0415

    made: dict[str, tuple[str, ...]] = {}
    found: dict[str, _From] = {}
    for view in views:
        # Only what it reads: sqlglot goes through every column that it is told of, again and again.
        known: dict[str, Any] = {}
        for schema, name in (read.split(".") for read in view.inputs):
            known.setdefault(schema, {})[name] = dict.fromkeys(
                made[name] if schema == "bi" else TABLES[name].columns, "text"
            )
        parsed = sqlglot.parse_one(view.query, dialect="duckdb")
        query = cast("sqlglot.exp.Query", qualify(parsed, dialect="duckdb", schema=known or None))
        made[view.name] = tuple(query.named_selects)
        columns = lineage(None, query, schema=known, dialect="duckdb", trim_selects=False, copy=False)
        found[view.name] = {column: set(_leaves(columns[column])) for column in made[view.name]}
    return _told(found)


def _leaves(node: "Node") -> Iterator[tuple[str, str, str]]:
    """The columns of tables that a column of a query ends at; what publishing lays out itself comes from `money_refs`."""
    from sqlglot import exp  # noqa: PLC0415

    for leaf in node.walk():
        if leaf.downstream or not isinstance(leaf.source, exp.Table):
            continue
        column = leaf.name.rsplit(".", 1)[-1].strip('"')
        if leaf.source.db == "bi":
            yield "bi", leaf.source.name, column
        else:
            table = MONEY.get(leaf.source.name, leaf.source.name)
            yield room_of(table), table, column if column in TABLES[table].columns else "money_refs"


def _told(found: Mapping[str, _From]) -> Lineage:
    return {
        table: dg.TableColumnLineage(
            {
                column: [dg.TableColumnDep(dg.AssetKey([room, name]), of) for room, name, of in sorted(reads)]
                for column, reads in columns.items()
                if reads
            }
        )
        for table, columns in found.items()
    }
