"""What the sandbox says is true, the program finds: who is who, each fault put in, and nothing else."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from journey_pipeline.identity import Identity, resolve
from journey_pipeline.invariants import Evaluation, catalogue, evaluate
from journey_pipeline.journeys import Scope, build
from journey_pipeline.model import Settings
from journey_pipeline.registry import TABLES
from journey_pipeline.sandbox import business
from journey_pipeline.sandbox.business import generate, to_records
from journey_pipeline.sandbox.world import World
from journey_pipeline.settings import load

AS_OF = datetime(2026, 5, 15, 12, tzinfo=UTC)
Found = tuple[World, Identity, Evaluation]


def settings(folder: Path) -> Settings:
    file = folder / "journey.yaml"
    file.write_text((Path(business.__file__).parent / "demo.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    return load(file)


@pytest.fixture(scope="module", params=[1, 2])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Found:
    said = settings(tmp_path_factory.mktemp("demo"))
    world = generate(2_000, request.param, AS_OF)
    kinds = {kind: frame.collect() for kind, frame in to_records(world).items()}
    identity = resolve(kinds, country=said.business.country, thresholds=said.thresholds)
    scope = Scope(
        as_of=AS_OF, business=said.business, offers=said.offers, thresholds=said.thresholds,
        platforms=tuple(said.platforms), ignore_products=said.ignore_products,
        customer_stages=said.customer_stages, test_buyers=said.test_buyers,
    )  # fmt: skip
    says = {kind: [(p, kind) for p in sorted(set(frame["platform"]))] for kind, frame in kinds.items() if frame.height}
    fresh = [
        {"platform": p, "resource": r, "status": "fresh", "last_load_at": AS_OF, "complete_until_at": AS_OF}
        for listed in says.values()
        for p, r in listed
    ]
    health = pl.LazyFrame(fresh, schema=TABLES["source_health"].schema)
    tables = {**build(kinds, identity, scope).tables, "source_health": health}
    return world, identity, evaluate(tables, rules=catalogue.load(), settings=said, says=says, as_of=AS_OF)


def people(world: World, identity: Identity) -> pl.DataFrame:
    """Each record with who it is (`who`) and who it was taken for (`person_id`)."""
    record = ["kind", "platform", "record_id"]
    return world.truth["people"].join(identity.record_persons().collect(), on=record, how="left", validate="1:1")


def test_everybody_is_one_person(found: Found) -> None:
    world, identity, _ = found
    assigned = people(world, identity)
    pairs = assigned.select("who", "person_id").unique()
    split = pairs.filter(pl.col("who").is_duplicated())["who"].unique().to_list()
    merged = pairs.filter(pl.col("person_id").is_duplicated())["person_id"].unique().to_list()
    assert (split, merged) == ([], [])


def test_every_fault_is_found_once_and_nothing_else_is(found: Found) -> None:
    world, identity, evaluation = found
    who = people(world, identity).select("who", "person_id").unique()
    expected = world.truth["faults"].join(who, on="who", how="left", validate="m:1")
    record = pl.format("{}:{}:{}", "subject_kind", "platform", "record_id")
    subject = (
        pl.when(pl.col("subject_kind") == "person").then(pl.format("person:{}", "person_id"))
        .when(pl.col("subject_kind") == "journey").then(pl.format("journey:{}:{}", "person_id", "offer_id"))
        .when(pl.col("subject_kind") == "product").then(pl.format("product:{}", "record_id"))
        .otherwise(record)
    )  # fmt: skip
    wanted = expected.select("invariant", subject.alias("subject")).sort(pl.all())
    broken = evaluation.broken.select("invariant", "subject").sort(pl.all())
    assert broken.rows() == wanted.rows()
