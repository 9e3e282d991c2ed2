"""The tables of a few people as they would be if some of them were one: what a second judging is made of."""

from collections.abc import Mapping

import polars as pl

from journey_pipeline.identity import PERSON_KINDS, Identity
from journey_pipeline.journeys.build import build
from journey_pipeline.journeys.scope import Scope
from journey_pipeline.registry import KINDS, NO_PERSON, record_schema


def rebuilt(
    kinds: Mapping[str, pl.LazyFrame], identity: Identity, scope: Scope, taken_for: pl.DataFrame
) -> Mapping[str, pl.LazyFrame]:
    """Every table of the room, of these people alone.

    `kinds`: records in the row order that identity numbered. `taken_for`: person_id, as_person_id (whom each is taken
    for; themselves, or another). What depends on everybody (how an offer is usually sold) is that of these people.
    """
    known = identity.people.join(taken_for, on="person_id", how="inner", validate="1:1")
    people = (
        known.group_by(person_id="as_person_id")
        .agg(
            pl.col("identity_confidence").min(), pl.col("is_confirmed").any(),
            pl.col("email_count", "phone_count", "name_count", "record_count").sum(),
        )
        .sort("person_id").with_row_index("person")
    )  # fmt: skip
    numbered = known.select("person", as_person_id="as_person_id").join(
        people.select("person_id", now="person"), left_on="as_person_id", right_on="person_id", validate="m:1"
    )
    now = pl.col("person").replace_strict(numbered["person"], numbered["now"], return_dtype=pl.UInt32())
    records = identity.records.filter(pl.col("person").is_in(numbered["person"].implode())).with_columns(now)
    theirs = {kind: codes.is_in(numbered["person"].implode()).arg_true() for kind, codes in identity.codes.items()}
    found = {
        kind: kinds[kind].with_row_index("_row").filter(pl.col("_row").is_in(theirs[kind].implode())).drop("_row").collect()
        for kind in PERSON_KINDS
    }  # fmt: skip
    nobodys = {kind: pl.DataFrame(schema=record_schema(kind)) for kind in KINDS if kind in NO_PERSON}
    some = Identity(people, records, ties=pl.DataFrame(), demoted=pl.DataFrame())
    return build({**found, **nobodys}, some, scope).tables
