"""An outage in the sandbox: all who paid for one product in two hours get no access. It is told as one incident."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from journey_pipeline.identity import resolve
from journey_pipeline.invariants import catalogue, crowds, evaluate, findings, incidents, repairs
from journey_pipeline.journeys import Scope, build
from journey_pipeline.registry import TABLES
from journey_pipeline.sandbox import business
from journey_pipeline.sandbox.business import generate, to_records
from journey_pipeline.settings import load

AS_OF = datetime(2026, 5, 15, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """The open findings, incidents and repairs of the day."""
    said = load(business.write_settings(Path(tmp_path_factory.mktemp("demo"))))
    kinds = {kind: frame.collect() for kind, frame in to_records(generate(2_000, 1, AS_OF)).items()}
    scope = Scope(
        as_of=AS_OF, business=said.business, offers=said.offers, thresholds=said.thresholds,
        platforms=tuple(said.platforms), ignore_products=said.ignore_products,
        customer_stages=said.customer_stages, test_buyers=said.test_buyers,
    )  # fmt: skip
    says = {kind: [(p, kind) for p in sorted(set(frame["platform"]))] for kind, frame in kinds.items() if frame.height}
    fresh = [
        {"platform": p, "resource": r, "status": "fresh", "complete_until_at": AS_OF}
        for listed in says.values()
        for p, r in listed
    ]
    built = build(kinds, resolve(kinds, country="US"), scope).tables
    tables = {name: built.get(name, pl.LazyFrame(schema=table.schema)) for name, table in TABLES.items()}
    tables["source_health"] = pl.LazyFrame(fresh, schema=TABLES["source_health"].schema)
    rules = [rule for rule in catalogue.load() if rule.name == "paid_implies_access"]
    judged = evaluate(tables, rules=rules, settings=said, says=says, as_of=AS_OF)
    none = {name: pl.DataFrame(schema=TABLES[name].schema) for name in ("findings", "incident_days")}
    zone = said.business.zone
    rows, days = incidents.days(
        crowds.found(judged.crowds, tables, zone), findings.days(judged, none["findings"], tables), none["findings"],
        none["incident_days"],
    )  # fmt: skip
    folded = findings.fold_all(rows)
    known = incidents.fold_all(days, folded, zone=zone, home="USD")
    return folded, known, repairs.proposed(rows, known, tables, judged.judging)


def test_all_of_it_is_one_incident_and_says_what_they_share(
    told: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame],
) -> None:
    found, known, _ = told
    begins = AS_OF - timedelta(days=4, hours=2)
    hit = found.filter(pl.col("broken_since_at").is_between(begins, begins + timedelta(hours=3)))
    assert hit.height == 14
    assert hit["offer_id"].unique().to_list() == ["bootcamp"]
    (incident,) = known.filter(pl.col("incident_id").is_in(hit["incident_id"].implode())).to_dicts()
    assert hit["incident_id"].null_count() == 0
    assert (incident["factor"], incident["factor_value"]) == ("offer", "bootcamp")
    assert incident["finding_count"] == 14
    assert incident["sentence"].startswith(
        f"{incident['factor_broken']} of {incident['factor_judged']} since Monday 11 May"
    )
    assert ", all of bootcamp (elsewhere 0 of " in incident["sentence"]
    assert [s["currency"] for s in incident["at_risk"]] in (["USD"], ["USD", "EUR"])


def test_its_cause_is_to_be_mended_first_and_the_single_repairs_wait(
    told: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame],
) -> None:
    found, known, proposed = told
    (incident,) = known.filter(pl.col("finding_count") == 14)["incident_id"]
    mine = proposed.filter(pl.col("incident_id") == incident)
    (first,) = mine.filter(pl.col("finding_id").is_null()).to_dicts()
    assert (first["action"], first["is_held"]) == ("replay_event", False)
    held = mine.drop_nulls("finding_id")
    assert held["finding_id"].n_unique() == found.filter(pl.col("incident_id") == incident).height == 14
    assert held["behind_repair_id"].unique().to_list() == [first["repair_id"]]
    assert held["is_held"].all()
