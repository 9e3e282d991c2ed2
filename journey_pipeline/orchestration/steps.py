"""The daily job, step by step, without Dagster: each reads what the step before it wrote, and writes tables whole.

A step that is killed leaves its tables as they were or as they will be; running it again makes them the same.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from functools import cache, cached_property, wraps
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import polars as pl

from journey_pipeline import identity, journeys, publish, report
from journey_pipeline import records as records_room
from journey_pipeline.errors import SourceError
from journey_pipeline.identity import probable
from journey_pipeline.invariants import catalogue, crowds, findings, incidents, repairs
from journey_pipeline.invariants.evaluation import evaluate
from journey_pipeline.invariants.own import Own
from journey_pipeline.invariants.own import load as own_expectations
from journey_pipeline.invariants.waivers import unknown_ids
from journey_pipeline.lake import Outcome, ingest
from journey_pipeline.model import Rule, Settings
from journey_pipeline.orchestration.home import Home
from journey_pipeline.platforms.base import Pull, Row
from journey_pipeline.records import Source
from journey_pipeline.registry import KINDS, TABLES, TIME, record_schema
from journey_pipeline.report import words
from journey_pipeline.settings import decisions, secrets, sources, waivers

if TYPE_CHECKING:
    from journey_pipeline.invariants.great_expectations import Report

Counts = dict[str, int]
_DAYS_KEPT = 30  # of what the checks came to, shown in the Data Docs
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

    @cached_property
    def own(self) -> tuple[Own, ...]:
        """The expectations that the user wrote beside the settings."""
        return own_expectations(self.folder)

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
        known = secrets(platform, source.options, environ)
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
    day.home.tables.write("records", "as_of", pl.DataFrame({"as_of": [day.as_of]}, schema={"as_of": TIME}))
    frames = {**built.kinds, "rejected_records": built.rejected, "source_health": built.health}
    return {name: day.home.tables.write("records", name, frame) for name, frame in frames.items()}


@told("Worked out who is who:")
def people(day: Day) -> Counts:
    """Work out who is who, and what changed since the day before."""
    tables = day.home.tables
    solved = identity.resolve(
        _kinds(day),
        country=day.settings.business.country,
        rules=day.settings.identity,
        decided=decisions(day.settings, day.folder),
        score=probable.score,
    )
    assigned, keys = solved.record_persons().collect(), solved.person_keys().collect()
    before = _before(day, "identity", "record_persons")
    changed = (
        pl.DataFrame(schema=TABLES["identity_changes"].schema)
        if before is None
        else identity.changes(before, assigned.lazy(), keys.lazy(), day.day_on, solved.refused)
    )
    tables.write_day("identity", "record_persons", day.day_on, assigned)
    tables.write("identity", "numbered_people", solved.people)
    for old in [p for p in tables.parts("identity", "record_persons") if p.stem < day.day_on.isoformat()][:-1]:
        old.unlink()  # only the newest day before this one is ever compared with
    return {
        "person_keys": tables.write("identity", "person_keys", keys),
        "demoted_keys": tables.write("identity", "demoted_keys", solved.demoted),
        "identity_changes": tables.write_day("identity", "identity_changes", day.day_on, changed),
        "identity_suggestions": tables.write("identity", "identity_suggestions", solved.suggestions),
        "identity_health": tables.write("identity", "identity_health", identity.health(solved)),
    }


def _kinds(day: Day) -> dict[str, pl.DataFrame]:
    return {kind: frame.collect() for kind, frame in _scanned(day).items()}


def _scanned(day: Day) -> dict[str, pl.LazyFrame]:
    return {kind: day.home.tables.scan("records", kind).select(record_schema(kind).names()) for kind in KINDS}


def _who_is_who(day: Day) -> identity.Identity:
    """What `people` worked out, read back."""
    tables = day.home.tables
    assigned = pl.read_parquet(tables.path("identity", "record_persons") / f"{day.day_on}.parquet")
    numbered = pl.read_parquet(tables.parts("identity", "numbered_people"))
    suggested = tables.scan("identity", "identity_suggestions").collect()
    changed = tables.scan_days("identity", "identity_changes").filter(pl.col("day_on") <= day.day_on).collect()
    return identity.Identity(
        numbered, assigned, ties=pl.DataFrame(), demoted=pl.DataFrame(), suggestions=suggested, changed=changed
    )


@told("Laid out each buyer's path:")
def paths(day: Day) -> Counts:
    """Lay out each buyer's path."""
    built = journeys.build(_kinds(day), _who_is_who(day), _scope(day))
    # Sorted, so that the same raw log gives the same bytes: a streaming engine keeps no order by itself.
    return {
        name: day.home.tables.write("journeys", name, frame.sort(_order(name))) for name, frame in built.tables.items()
    }


def _scope(day: Day) -> journeys.Scope:
    return journeys.Scope(
        as_of=day.as_of,
        business=day.settings.business,
        offers=day.settings.offers,
        thresholds=day.settings.thresholds,
        platforms=tuple(source.name for source in day.sources),
        ignore_products=day.settings.ignore_products,
        customer_stages=day.settings.customer_stages,
        test_buyers=day.settings.test_buyers,
        reports=day.settings.reports,
    )


def last_as_of(home: Home) -> datetime | None:
    """The instant that the tables in this home tell of; None where no run has read anything."""
    parts = home.tables.parts("records", "as_of")
    at: datetime | None = pl.read_parquet(parts).item() if parts else None
    return at


def rehearsed(day: Day, person_id: str) -> Mapping[str, pl.LazyFrame]:
    """The tables of one person's journey, as if nothing of theirs were a test; and the sources'."""
    alone = pl.DataFrame({"person_id": [person_id], "as_person_id": [person_id]})
    kinds = {kind: frame.with_columns(is_test=pl.lit(value=False)) for kind, frame in _scanned(day).items()}
    real = replace(_scope(day), test_buyers=())
    built = journeys.rebuilt(kinds, _who_is_who(day), real, alone)
    return {**built, "source_health": day.home.tables.scan("records", "source_health")}


def whose(day: Day) -> pl.DataFrame:
    """Kind, platform, record_id, person_id of every record, as the newest tables have it."""
    return pl.read_parquet(day.home.tables.path("identity", "record_persons") / f"{day.day_on}.parquet")


def _order(table: str) -> tuple[str, ...]:
    return ("person_id", "occurred_at", *TABLES[table].key) if table == "journey_events" else TABLES[table].key


def _rebuilding(day: Day) -> Callable[[pl.DataFrame], Mapping[str, pl.LazyFrame]]:
    """Lays some people out again, each taken for somebody; what that needs is read when it is first asked for."""
    who = cache(lambda: _who_is_who(day))
    return lambda taken_for: journeys.rebuilt(_scanned(day), who(), _scope(day), taken_for)


@told("Judged every rule:")
def judge(day: Day) -> Counts:
    """Give every row its verdicts, and fold them into findings."""
    tables, held = day.home.tables, built_tables(day.home)
    waived = waivers(day.folder / day.settings.waivers) if day.settings.waivers else None
    found = evaluate(
        held, rules=day.rules, settings=day.settings, says=day.says, as_of=day.as_of, waived=waived,
        rebuilt=_rebuilding(day),
    )  # fmt: skip
    earlier = tables.scan_days("invariants", "finding_days", before=day.day_on).collect()
    previous = findings.fold_all(earlier)
    said_before = tables.scan_days("invariants", "incident_days", before=day.day_on).collect()
    groups = crowds.found(found.crowds, held, day.settings.business.zone)
    rows, incident_days = incidents.days(groups, findings.days(found, previous, held), previous, said_before)
    for old in tables.path("verdicts", "").glob("*"):
        tables.drop("verdicts", old.name)
    for table, frame in found.verdicts.items():
        tables.write("verdicts", table, frame)
    counts = {
        "finding_days": tables.write_day("invariants", "finding_days", day.day_on, rows),
        "invariant_days": tables.write_day("invariants", "invariant_days", day.day_on, found.invariant_days),
        "incident_days": tables.write_day("invariants", "incident_days", day.day_on, incident_days),
    }
    folded, told = fold(day)
    for lost in [] if waived is None else unknown_ids(waived, set(folded["finding_id"])):
        progress.warning("A waiver names %s, which no finding has: mend or delete its line.", lost)
    return {
        **counts,
        "findings": folded.height,
        "incidents": told.height,
        "repairs": tables.write("invariants", "repairs", repairs.proposed(rows, told, held, found.judging)),
    }


def fold(day: Day) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Write findings and incidents as all their days together make them."""
    tables, business = day.home.tables, day.settings.business
    folded = findings.fold_all(tables.scan_days("invariants", "finding_days").collect())
    every = tables.scan_days("invariants", "incident_days").collect()
    told = incidents.fold_all(every, folded, zone=business.zone, home=business.currency)
    tables.write("invariants", "findings", folded)
    tables.write("invariants", "incidents", told)
    return folded, told


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
        own=day.own,
        before=tables.scan("checks", "days").collect() if tables.parts("checks", "days") else None,
    )
    heights = {name: frame.select(pl.len()).collect().item() for name, frame in held.items()}
    counts = pl.DataFrame({"table": list(heights), "rows": list(heights.values())})
    tables.write_day("checks", "row_counts", day.day_on, counts)
    told = pl.DataFrame([asdict(c) for c in asked.checks], infer_schema_length=None)
    tables.write("checks", "expectations", told)
    days = great_expectations.DAYS
    kept = told.with_columns(day_on=pl.lit(day.day_on)).select(days.names()).cast(days)
    tables.write_day("checks", "days", day.day_on, kept)
    for old in tables.parts("checks", "days")[:-_DAYS_KEPT]:
        old.unlink()
    return asked


def expectations(day: Day) -> list[dict[str, Any]]:
    """What `check` found: table, suite, kind, name, is_success, description, evaluated, unexpected and the like."""
    return pl.read_parquet(day.home.tables.parts("checks", "expectations")).to_dicts()


def todays_counts(day: Day) -> dict[str, dict[str, Any]]:
    """Per rule: its gate, its counts over all currencies, and the money at risk in each, of this day."""
    rows = day.home.tables.scan_days("invariants", "invariant_days").filter(pl.col("day_on") == day.day_on).collect()
    counted = rows.group_by("invariant").agg(pl.col("gate", "gate_reason").first(), pl.col(_COUNTED).sum())
    out = {row.pop("invariant"): row for row in counted.to_dicts()}
    for row in rows.filter(pl.col("at_risk_minor") > 0).sort("currency").iter_rows(named=True):
        out[row["invariant"]][f"at_risk_{row['currency']}"] = words.money(row["at_risk_minor"], row["currency"])
    return out


@told("Published the warehouse:")
def warehouse(day: Day, environ: Mapping[str, str] = os.environ) -> Counts:
    """Build the warehouse file: every table and view; and where it hides who people are, a clear one for the commands."""
    tables, views = day.home.tables, publish.views_folder()
    held = {name: tables.path(room_of(name), name) for name in built_tables(day.home)}
    how = _mask(day, environ)
    if how:
        publish.publish(held, views, day.home.desk)
    publish.publish(held, views, day.home.warehouse, how)
    if not how:
        day.home.desk.unlink(missing_ok=True)
    return {}


def deliver(day: Day, environ: Mapping[str, str] = os.environ) -> None:
    """Bring the warehouse to where BI tools read it."""
    to, how = day.settings.publish.to, _mask(day, environ)
    views, files = publish.views_folder(), day.home.files
    for note in publish.deliver(day.home.warehouse, views, to=to, environ=environ, files=files, how=how):
        progress.warning("%s", note)


def _mask(day: Day, environ: Mapping[str, str]) -> publish.Mask | None:
    return publish.mask(day.settings.publish.pii, environ, day.settings.business.country)


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
