"""What the sandbox says is true, the program finds: who is who, each fault put in, and nothing else."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from journey_pipeline.identity import Identity, probable, resolve
from journey_pipeline.invariants import Evaluation, catalogue, evaluate
from journey_pipeline.journeys import Scope, build, rebuilt
from journey_pipeline.model import Settings
from journey_pipeline.registry import TABLES
from journey_pipeline.sandbox import business
from journey_pipeline.sandbox.business import generate, to_records
from journey_pipeline.sandbox.world import World
from journey_pipeline.settings import load

AS_OF = datetime(2026, 5, 15, 12, tzinfo=UTC)
Found = tuple[World, Identity, Evaluation]


def settings(folder: Path) -> Settings:
    return load(business.write_settings(folder))


@pytest.fixture(scope="module", params=[1, 2])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Found:
    said = settings(tmp_path_factory.mktemp("demo"))
    world = generate(2_000, request.param, AS_OF)
    kinds = {kind: frame.collect() for kind, frame in to_records(world).items()}
    identity = resolve(kinds, country=said.business.country, rules=said.identity, score=probable.score)
    scope = Scope(
        as_of=AS_OF, business=said.business, offers=said.offers, thresholds=said.thresholds,
        platforms=tuple(said.platforms), ignore_products=said.ignore_products,
        customer_stages=said.customer_stages, test_buyers=said.test_buyers, reports=said.reports,
    )  # fmt: skip
    says = {kind: [(p, kind) for p in sorted(set(frame["platform"]))] for kind, frame in kinds.items() if frame.height}
    fresh = [
        {"platform": p, "resource": r, "status": "fresh", "last_load_at": AS_OF, "complete_until_at": AS_OF}
        for listed in says.values()
        for p, r in listed
    ]
    health = pl.LazyFrame(fresh, schema=TABLES["source_health"].schema)
    tables = {**build(kinds, identity, scope).tables, "source_health": health}
    lazy = {kind: frame.lazy() for kind, frame in kinds.items()}
    judged = evaluate(
        tables, rules=catalogue.load(), settings=said, says=says, as_of=AS_OF,
        rebuilt=lambda taken_for: rebuilt(lazy, identity, scope, taken_for),
    )  # fmt: skip
    return world, identity, judged


def people(world: World, identity: Identity) -> pl.DataFrame:
    """Each record with who it is (`who`) and who it was taken for (`person_id`)."""
    record = ["kind", "platform", "record_id"]
    return world.truth["people"].join(identity.record_persons().collect(), on=record, how="left", validate="1:1")


def test_everybody_is_one_person_but_for_those_unlike_themselves(found: Found) -> None:
    world, identity, _ = found
    assigned = people(world, identity)
    pairs = assigned.select("who", "person_id").unique()
    merged = pairs.filter(pl.col("person_id").is_duplicated())["person_id"].unique().to_list()
    split = pairs.filter(pl.col("who").is_duplicated()).select("who").unique()
    unlike = world.truth["mess"].filter(pl.col("people") == "one")
    assert merged == []
    assert split.join(unlike, on="who", how="anti").is_empty()


def test_a_mistyped_address_is_mended_and_a_work_address_suggested(found: Found) -> None:
    world, identity, _ = found
    ids = people(world, identity).select("who", "person_id").unique().group_by("who").agg("person_id")
    messy = world.truth["mess"].join(ids, on="who", how="left", validate="1:1")
    suggested = set(identity.suggestions.select("person_id", "other_person_id").iter_rows())
    mended, left = 0, []
    for who, mess, persons in messy.filter(people="one").select("who", "mess", "person_id").iter_rows():
        mended += mess.startswith("mistyped") and len(persons) == 1
        if len(persons) > 1 and tuple(sorted(persons)) not in suggested:
            left.append((who, mess))
    assert mended >= 10
    assert left == []
    assert set(messy.filter(people="two")["mess"]) == {"family", "household", "namesake", "office", "role"}


def split_buyers(world: World, identity: Identity) -> pl.DataFrame:
    """What person_not_split should say: of everybody whom identity left in two the one who bought, labelled or not."""
    assigned = people(world, identity)
    whole = assigned.group_by("who").agg(pl.col("person_id").n_unique().alias("selves"))
    split = assigned.join(whole.filter(pl.col("selves") > 1), on="who", how="semi")
    labelled = world.truth["faults"].filter(pl.col("invariant") == "person_not_split")
    assert labelled.height >= 2
    assert labelled.join(split, on="who", how="anti").is_empty()
    buyers = split.filter(pl.col("kind") == "payments").select("person_id").unique()
    return buyers.select(
        pl.lit("person_not_split").alias("invariant"), pl.format("person:{}", "person_id").alias("subject")
    )


def test_every_fault_is_found_once_and_nothing_else_is(found: Found) -> None:
    world, identity, evaluation = found
    who = people(world, identity).select("who", "person_id").unique()
    of_identity = pl.col("invariant") == "person_not_split"
    of_transport = pl.col("invariant") == "rejected_rows_are_few"  # nothing was loaded here, so nothing refused
    faults = world.truth["faults"].filter(~of_identity & ~of_transport)
    assert who.join(faults, on="who", how="semi")["who"].is_unique().all()  # nobody messy has another fault
    expected = faults.join(who, on="who", how="left")
    record = pl.format("{}:{}:{}", "subject_kind", "platform", "record_id")
    subject = (
        pl.when(pl.col("subject_kind") == "person").then(pl.format("person:{}", "person_id"))
        .when(pl.col("subject_kind") == "journey").then(pl.format("journey:{}:{}", "person_id", "offer_id"))
        .when(pl.col("subject_kind") == "product").then(pl.format("product:{}", "record_id"))
        .otherwise(record)
    )  # fmt: skip
    wanted = pl.concat([
        expected.select("invariant", subject.alias("subject")), split_buyers(world, identity)
    ]).sort(pl.all())  # fmt: skip
    broken = evaluation.broken.select("invariant", "subject").sort(pl.all())
    assert broken.rows() == wanted.rows()
