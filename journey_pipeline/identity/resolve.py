"""Ties records that share a key into people, with ids that stay the same from run to run.

A person's id is made from its *anchor*, the record of it that was loaded first: later records join a person without
changing its id, and the same raw log gives the same ids in whatever order it is read. Nothing needs to be remembered but
yesterday's assignment, to tell of merges and splits, and what people decided.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl

from journey_pipeline.expressions import Numbers, foremost, numbers, spelled
from journey_pipeline.identity import decisions, keys, links, sharing
from journey_pipeline.identity.components import (
    SAME_COMPANY,
    SAME_MAILBOX,
    SAME_PHONE,
    SURE,
    Components,
    components,
    joined,
    keys_of,
)
from journey_pipeline.identity.keys import HOW, PERSON_KINDS, Ties
from journey_pipeline.model import IdentityRules
from journey_pipeline.registry import TABLES, TEXT

_SUGGESTED = TABLES["identity_suggestions"]


@dataclass(frozen=True)
class Identity:
    """Who is who.

    `records`: record, kind, platform, record_id, person (number; null: nobody can be told, an anonymous touch), kind by
    kind in the row order that was resolved. `people`:
    person (number), person_id, identity_confidence, email_count, phone_count, name_count, record_count, is_confirmed.
    `ties`: record (number), key, how, confidence; `person_keys()` spells them out. `demoted`, `suggestions`: registry
    tables. `decided`: what the decisions came to, `decisions.placed` with the people. `changed`: the merges and splits
    up to now, registry table.
    """

    people: pl.DataFrame
    records: pl.DataFrame
    ties: pl.DataFrame
    demoted: pl.DataFrame
    suggestions: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_SUGGESTED.schema))
    decided: pl.DataFrame = field(default_factory=pl.DataFrame)
    changed: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TABLES["identity_changes"].schema))

    @cached_property
    def codes(self) -> Mapping[str, pl.Series]:
        """Kind -> the person of each row."""
        parts = self.records.select("kind", "person").partition_by("kind", as_dict=True, maintain_order=True)
        empty = pl.Series("person", [], pl.UInt32())
        return {kind: parts[kind,]["person"] if (kind,) in parts else empty for kind in PERSON_KINDS}

    @cached_property
    def twins(self) -> pl.DataFrame:
        """person, twin (number): the best suggested other self of those who have one that nothing speaks against."""
        told = self.suggestions.filter(pl.col("against").is_null())
        ids = self.people.select("person_id", "person")
        both = told.join(ids, on="person_id").join(
            ids.rename({"person_id": "other_person_id", "person": "twin"}), on="other_person_id"
        )
        sides = [both.select("probability", "person", "twin"), both.select("probability", person="twin", twin="person")]
        return (
            pl.concat(sides).sort("person", "probability", "twin", descending=[False, True, False])
            .unique("person", keep="first", maintain_order=True).select("person", "twin")
        )  # fmt: skip

    @property
    def refused(self) -> pl.DataFrame:
        """person_id, other_person_id of those whom a decision keeps apart."""
        ids, told = self.people["person_id"], self.decided.filter(~pl.col("is_same")).drop_nulls()
        return pl.DataFrame({
            "person_id": ids.gather(told["one_person"]), "other_person_id": ids.gather(told["other_person"]),
        })  # fmt: skip

    def person_keys(self) -> pl.LazyFrame:
        """The registry table: which key ties which record to which person."""
        return (
            self.ties.lazy()
            .join(
                self.records.lazy().select("record", "kind", "platform", "record_id", "person"), on="record", how="left"
            )
            .join(self.people.lazy().select("person", "person_id"), on="person", how="left")
            .with_columns(pl.col("key", "how", "kind", "platform").cast(TEXT))
            .select(TABLES["person_keys"].columns)
            .sort("person_id", "key", "kind", "platform", "record_id")
        )

    def record_persons(self) -> pl.LazyFrame:
        """Kind, platform, record_id, person_id: the assignment that tomorrow is compared with; `records` with the id."""
        return (
            self.records.lazy()
            .join(self.people.lazy().select("person", "person_id"), on="person", how="left")
            .select(
                "record", pl.col("kind").cast(TEXT), pl.col("platform").cast(TEXT), "record_id", "person", "person_id"
            )
            .sort("record")
        )


def resolve(
    kinds: Mapping[str, pl.DataFrame],
    *,
    country: str | None,
    rules: IdentityRules | None = None,
    decided: pl.DataFrame | None = None,
    score: links.Score | None = None,
) -> Identity:
    """Work out who is who among the records of all kinds (columns: `record_schema`).

    `decided`: the lines of the decisions file. `score`: how likely two people are one; None: certain keys alone tie.
    """
    rules = rules or IdentityRules()
    records = keys.index(kinds)
    told, excluded = keys.excluded(keys.read(records, country), records, rules.exclude)
    ties, demoted = sharing.demote(told, rules.caps, rules.include)
    pairs = decisions.placed(pl.DataFrame(schema=decisions.SCHEMA) if decided is None else decided, records)
    confirmed = _ends(pairs.filter("is_same").drop_nulls(), "one", "other").with_columns(
        pl.col("key").cast(ties.ids.schema["key"])
    )
    found, ties, cut = components(records.height, ties, confirmed, rules.caps)
    people, spelled_out = _people(records, ties, found), _spelled(ties, confirmed)
    suggested = None
    if score is not None and rules.probable == "on":
        numbered = records.with_columns(_person(people, found))
        scores = score(links.candidates(numbered, told))
        refused = _apart(pairs.filter(~pl.col("is_same")), numbered["person"])
        linked, suggested = links.decide(scores, rules, refused, kinds=kinds, records=numbered, ties=told)
        if linked.height:
            one, other = (found.of[numbers(linked[side])] for side in ("left_record", "right_record"))
            found = joined(found, (one, other), linked["probability"].to_numpy())
            people = _people(records, ties, found)
            spelled_out = pl.concat([spelled_out, _linked(linked, ties)])
    person = _person(people, found)
    is_confirmed = pl.col("person").is_in(person.gather(confirmed["record"]).implode())
    people = people.drop("component").with_columns(is_confirmed=is_confirmed)
    return Identity(
        people,
        records.select("record", "kind", "platform", "record_id", person),
        spelled_out,
        pl.concat([excluded, demoted, cut]).unique("key", keep="first", maintain_order=True).sort("key"),
        _suggestions(suggested, person, people["person_id"]),
        pairs.with_columns(person.gather(pairs[side]).alias(f"{side}_person") for side in ("one", "other")),
    )


def _person(people: pl.DataFrame, found: Components) -> pl.Series:
    """The person of each record; null for the anonymous."""
    nobody = people.height
    person = np.full(found.held.size, nobody, np.uint32)
    person[people["component"].to_numpy()] = people["person"].to_numpy()
    of = pl.Series("person", person[found.of])
    return of.to_frame().select(pl.when(pl.col("person") < nobody).then("person"))["person"]


def _ends(pairs: pl.DataFrame, *sides: str) -> pl.DataFrame:
    """record, key and what else there is of pairs of records, a row for each of the two."""
    return pl.concat([pairs.drop(sides).with_columns(pairs[side].alias("record")) for side in sides])


def _apart(pairs: pl.DataFrame, person: pl.Series) -> pl.DataFrame:
    """left, right: the people of pairs of records, left < right; none for pairs that are one person's."""
    known = pairs.drop_nulls(["one", "other"])
    both = pl.DataFrame({"one": person.gather(known["one"]), "other": person.gather(known["other"])})
    return (
        both.filter(pl.col("one") != pl.col("other"))
        .select(left=pl.min_horizontal("one", "other"), right=pl.max_horizontal("one", "other"))
        .unique()
    )


def _spelled(ties: Ties, confirmed: pl.DataFrame) -> pl.DataFrame:
    """record, key, how, confidence of all ties."""
    is_same = pl.col("how") == "exact"
    others = (
        (ties.ids, "linked", SURE), (ties.phones, "normalised", SAME_PHONE), (ties.companies, "normalised", SAME_COMPANY),
        (confirmed, "confirmed", SURE),
    )  # fmt: skip
    return pl.concat([
        ties.emails.select("record", "key", "how", confidence=pl.when(is_same).then(SURE).otherwise(SAME_MAILBOX)),
        *(frame.select("record", "key", pl.lit(how, HOW).alias("how"), confidence=pl.lit(sure))
          for frame, how, sure in others),
    ])  # fmt: skip


def _linked(linked: pl.DataFrame, ties: Ties) -> pl.DataFrame:
    """The same of probable links."""
    ends = _ends(linked, "left_record", "right_record")
    key = pl.col("key").cast(ties.ids.schema["key"])
    return ends.select("record", key, pl.lit("probable", HOW).alias("how"), confidence="probability")


def _suggestions(suggested: pl.DataFrame | None, person: pl.Series, ids: pl.Series) -> pl.DataFrame:
    """The registry table: the best of the pairs that would make one person of two, and whatever speaks against it."""
    if suggested is None:
        return pl.DataFrame(schema=_SUGGESTED.schema)
    sides = {side: ids.gather(person.gather(suggested[f"{side}_record"])) for side in ("left", "right")}
    told = suggested.with_columns(**sides).filter(pl.col("left") != pl.col("right"))
    is_first = pl.col("left") < pl.col("right")

    def first(one: str, other: str) -> pl.Expr:
        return pl.when(is_first).then(one).otherwise(other)

    return (
        told.select(
            "probability", "because", "against", person_id=first("left", "right"),
            other_person_id=first("right", "left"), record_ref=first("left_ref", "right_ref"),
            other_record_ref=first("right_ref", "left_ref"),
        )
        .sort("probability", "record_ref", "other_record_ref", descending=[True, False, False])
        .group_by("person_id", "other_person_id", maintain_order=True)
        .agg(pl.exclude("against").first(), pl.col("against").drop_nulls().first())
        .select(_SUGGESTED.columns).sort(_SUGGESTED.key)
    )  # fmt: skip


def _people(records: pl.DataFrame, ties: Ties, found: Components) -> pl.DataFrame:
    """One row per component that somebody is behind, numbered in the order of person_id."""
    size = found.held.size
    names = pl.LazyFrame({"component": found.of, "name": records["name"]}).drop_nulls().unique().collect()
    counts = {
        "record_count": np.bincount(found.of, minlength=size),
        "email_count": keys_of(ties.emails, found),
        "phone_count": keys_of(ties.phones, found),
        "name_count": np.bincount(names["component"].to_numpy(), minlength=size),
    }
    told = pl.DataFrame({"component": np.arange(size), **counts, "identity_confidence": found.held})
    return (
        _ids(records, found.of)
        .join(told, on="component", how="left", validate="1:1")
        .sort("person_id")
        .with_row_index("person")
    )


def _ids(records: pl.DataFrame, component: Numbers) -> pl.DataFrame:
    """component, person_id: the hash of the component's anchor, the record loaded first (ties: the least name)."""
    somebody = records.with_columns(component=pl.lit(pl.Series(component))).filter(~pl.col("is_nobody"))
    anchor = foremost(*(numbers(somebody[column]) for column in ("component", "first_loaded_at", "teller")))
    left = (
        somebody.lazy()
        .select(pl.col("component", "platform", "kind", "record_id").gather(anchor))
        .group_by("component")
        .agg(pl.col("record_id").min(), pl.col("platform", "kind").first())
        .select(
            "component", name=spelled("{}|{}|{}", pl.col("platform").cast(TEXT), pl.col("kind").cast(TEXT), "record_id")
        )
        .collect()
    )
    digests = [f"p_{hashlib.sha256(name.encode()).hexdigest()[:16]}" for name in left["name"]]
    return left.select("component", pl.Series("person_id", digests, TEXT))
