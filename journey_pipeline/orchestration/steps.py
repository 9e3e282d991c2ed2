"""The daily job, step by step, without Dagster: each reads what the step before it wrote, and writes tables whole.

A step that is killed leaves its tables as they were or as they will be; running it again makes them the same.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from functools import cached_property, wraps
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import polars as pl

from journey_pipeline import identity, journeys, publish, report
from journey_pipeline import records as records_room
from journey_pipeline.errors import SourceError
from journey_pipeline.invariants import catalogue, findings
from journey_pipeline.invariants.evaluation import evaluate
from journey_pipeline.lake import Outcome, ingest
from journey_pipeline.model import Rule, Settings
from journey_pipeline.orchestration.home import Home
from journey_pipeline.platforms.base import Pull, Row
from journey_pipeline.records import Source
from journey_pipeline.registry import KINDS, TABLES, record_schema
from journey_pipeline.report import words
from journey_pipeline.settings import secrets, sources, waivers

if TYPE_CHECKING:
    from journey_pipeline.invariants.great_expectations import Report

Counts = dict[str, int]
_COUNTED = ("evaluated", "held", "broken", "pending", "excused", "unknown")


progress = logging.getLogger("journey_pipeline.progress")
P = ParamSpec("P")
T = TypeVar("T")


def told(sentence: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Log what a step does and how long it took; counts and names of platforms only, nobody's data."""

    def wrap(step: Callable[P, T]) -> Callable[P, T]:
        @wraps(step)
        def run(*args: P.args, **kwargs: P.kwargs) -> T:
            started = monotonic()
            result = step(*args, **kwargs)
            progress.info("%s %.1f s", sentence, monotonic() - started)
            return result

        return run

    return wrap


@dataclass(frozen=True)
class Day:
    """One run: the settings it follows, where they lie, its home, and the instant at which it judges."""

    settings: Settings
    folder: Path
    home: Home
    as_of: datetime

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        return sources(self.settings, self.folder)

    @property
    def day_on(self) -> date:
        """The day of this run's verdicts, where the business is."""
        return self.as_of.astimezone(self.settings.business.zone).date()

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        return (*catalogue.load(), *self.settings.invariants)

    @property
    def says(self) -> Mapping[str, Sequence[tuple[str, str]]]:
        """Kind -> the (platform, resource) that tell it."""
        found: dict[str, list[tuple[str, str]]] = {}
        for source in self.sources:
            for kind, resources in source.platform.says.items():
                found.setdefault(kind, []).extend((source.name, resource) for resource in resources)
        return found


def load(day: Day, source: Source, environ: Mapping[str, str]) -> list[Outcome]:
    """Append one load of a platform to the raw log. Missing secrets are a load that failed, like any refused key."""
    platform = source.platform
    try:
        known = secrets(platform, environ)
    except SourceError as error:
        known = {}
        platform = replace(platform, resources=tuple(replace(r, pull=_refusing(error)) for r in platform.resources))
    started = monotonic()
    outcomes = ingest(
        platform, name=source.name, options=source.options, secrets=known, log=day.home.log, loaded_at=day.as_of
    )
    rows, failed = sum(o.row_count for o in outcomes), [o for o in outcomes if o.error]
    progress.info("Ingested %s: %s rows %.1f s", source.name, f"{rows:,}", monotonic() - started)
    for outcome in failed:
        progress.warning("%s", outcome.error)
    return outcomes


def _refusing(error: SourceError) -> Callable[[Pull], Iterator[list[Row]]]:
    def pull(_pull: Pull) -> Iterator[list[Row]]:
        raise error

    return pull


@told("Read the raw log as records:")
def records(day: Day) -> Counts:
    """Read the raw log as records of each kind."""
    built = records_room.build(
        day.sources,
        day.home.log,
        as_of=day.as_of,
        test_buyers=day.settings.test_buyers,
        customer_stages=day.settings.customer_stages,
    )
    frames = {**built.kinds, "rejected_records": built.rejected, "source_health": built.health}
    return {name: day.home.tables.write("records", name, frame) for name, frame in frames.items()}


@told("Worked out who is who:")
def people(day: Day) -> Counts:
    """Work out who is who, and what changed since the day before."""
    tables = day.home.tables
    solved = identity.resolve(_kinds(day), country=day.settings.business.country, thresholds=day.settings.thresholds)
    assigned, keys = solved.record_persons().collect(), solved.person_keys().collect()
    before = _before(day, "identity", "record_persons")
    changed = (
        pl.DataFrame(schema=TABLES["identity_changes"].schema)
        if before is None
        else identity.changes(before, assigned.lazy(), keys.lazy(), day.day_on)
    )
    tables.write_day("identity", "record_persons", day.day_on, assigned)
    tables.write("identity", "numbered_people", solved.people)
    for old in [p for p in tables.parts("identity", "record_persons") if p.stem < day.day_on.isoformat()][:-1]:
        old.unlink()  # only the newest day before this one is ever compared with
    return {
        "person_keys": tables.write("identity", "person_keys", keys),
        "demoted_keys": tables.write("identity", "demoted_keys", solved.demoted),
        "identity_changes": tables.write_day("identity", "identity_changes", day.day_on, changed),
    }


def _solve(day: Day) -> identity.Identity:
    return identity.resolve(_kinds(day), country=day.settings.business.country, thresholds=day.settings.thresholds)


def _kinds(day: Day) -> dict[str, pl.DataFrame]:
    return {kind: day.home.tables.scan("records", kind).select(record_schema(kind).names()).collect() for kind in KINDS}


def _who_is_who(day: Day) -> identity.Identity:
    """What `people` worked out, read back."""
    tables = day.home.tables
    assigned = pl.read_parquet(tables.path("identity", "record_persons") / f"{day.day_on}.parquet")
    numbered = pl.read_parquet(tables.parts("identity", "numbered_people"))
    return identity.Identity(numbered, assigned, ties=pl.DataFrame(), demoted=pl.DataFrame())


@told("Laid out each buyer's path:")
def paths(day: Day) -> Counts:
    """Lay out each buyer's path."""
    scope = journeys.Scope(
        as_of=day.as_of,
        business=day.settings.business,
        offers=day.settings.offers,
        thresholds=day.settings.thresholds,
        platforms=tuple(source.name for source in day.sources),
        ignore_products=day.settings.ignore_products,
        customer_stages=day.settings.customer_stages,
        test_buyers=day.settings.test_buyers,
    )
    built = journeys.build(_kinds(day), _who_is_who(day), scope)
    # Sorted, so that the same raw log gives the same bytes: a streaming engine keeps no order by itself.
    return {
        name: day.home.tables.write("journeys", name, frame.sort(_order(name))) for name, frame in built.tables.items()
    }


def _order(table: str) -> tuple[str, ...]:
    return ("person_id", "occurred_at", *TABLES[table].key) if table == "journey_events" else TABLES[table].key


@told("Judged every rule:")
def judge(day: Day) -> Counts:
    """Give every row its verdicts, and fold them into findings."""
    tables, held = day.home.tables, built_tables(day.home)
    waived = waivers(day.folder / day.settings.waivers) if day.settings.waivers else None
    found = evaluate(held, rules=day.rules, settings=day.settings, says=day.says, as_of=day.as_of, waived=waived)
    earlier = tables.scan_days("invariants", "finding_days", before=day.day_on).collect()
    rows = findings.days(found, findings.fold_all(earlier), held)
    for old in tables.path("verdicts", "").glob("*"):
        tables.drop("verdicts", old.name)
    for table, frame in found.verdicts.items():
        tables.write("verdicts", table, frame)
    counts = {
        "finding_days": tables.write_day("invariants", "finding_days", day.day_on, rows),
        "invariant_days": tables.write_day("invariants", "invariant_days", day.day_on, found.invariant_days),
    }
    every = tables.scan_days("invariants", "finding_days").collect()
    return {**counts, "findings": tables.write("invariants", "findings", findings.fold_all(every))}


@told("Asked Great Expectations:")
def check(day: Day) -> "Report":
    """Ask Great Expectations about every table and every verdict; its Data Docs are written."""
    # Great Expectations takes about ten seconds to import: only this step pays.
    from journey_pipeline.invariants import great_expectations  # noqa: PLC0415

    tables, held = day.home.tables, built_tables(day.home)
    before = _before(day, "checks", "row_counts")
    verdicts = {p.name: pl.read_parquet(p / "*.parquet") for p in sorted(tables.path("verdicts", "").iterdir())}
    gates = tables.scan_days("invariants", "invariant_days").filter(pl.col("day_on") == day.day_on).collect()
    asked = great_expectations.check(
        held,
        verdicts,
        day.rules,
        gates,
        as_of=day.as_of,
        docs_folder=day.home.data_docs,
        yesterday_counts=dict(before.collect().iter_rows()) if before is not None else None,
    )
    heights = {name: frame.select(pl.len()).collect().item() for name, frame in held.items()}
    counts = pl.DataFrame({"table": list(heights), "rows": list(heights.values())})
    tables.write_day("checks", "row_counts", day.day_on, counts)
    tables.write("checks", "expectations", pl.DataFrame([asdict(c) for c in asked.checks], infer_schema_length=None))
    return asked


def failed_expectations(day: Day) -> list[dict[str, Any]]:
    """What `check` found wrong: table, suite, kind, name, description, is_blocking, unexpected and the like."""
    every = pl.read_parquet(day.home.tables.parts("checks", "expectations"))
    return every.filter(~pl.col("is_success")).to_dicts()


def todays_counts(day: Day) -> dict[str, dict[str, Any]]:
    """Per rule: its gate, its counts over all currencies, and the money at risk in each, of this day."""
    rows = day.home.tables.scan_days("invariants", "invariant_days").filter(pl.col("day_on") == day.day_on).collect()
    counted = rows.group_by("invariant").agg(pl.col("gate", "gate_reason").first(), pl.col(_COUNTED).sum())
    out = {row.pop("invariant"): row for row in counted.to_dicts()}
    for row in rows.filter(pl.col("at_risk_minor") > 0).sort("currency").iter_rows(named=True):
        out[row["invariant"]][f"at_risk_{row['currency']}"] = words.money(row["at_risk_minor"], row["currency"])
    return out


@told("Published the warehouse:")
def warehouse(day: Day) -> Counts:
    """Publish every table and view to the warehouse file."""
    tables, held = day.home.tables, built_tables(day.home)
    publish.publish(
        {name: tables.path(room_of(name), name) for name in held}, publish.views_folder(), day.home.warehouse
    )
    return {}


@told("Wrote the page:")
def page(day: Day) -> None:
    """Write the page that people read in the morning."""
    report.write(
        built_tables(day.home),
        business=day.settings.business,
        offers=day.settings.offers,
        rules=day.rules,
        as_of=day.as_of,
        target=day.home.page,
    )


def room_of(table: str) -> str:
    return TABLES[table].room


def built_tables(home: Home) -> dict[str, pl.LazyFrame]:
    """Every table of the registry that exists in the lake, lazily."""
    return {name: home.tables.scan(room_of(name), name) for name in TABLES if TABLES[name].room != "publish"}


def _before(day: Day, room: str, table: str) -> pl.LazyFrame | None:
    """The newest part of a table kept by day that is older than this day's; None on the first day."""
    older = [p for p in day.home.tables.parts(room, table) if p.stem < day.day_on.isoformat()]
    return pl.scan_parquet(older[-1]) if older else None
