"""Ties records that share a key into people, with ids that stay the same from run to run.

A person's id is made from its *anchor*, the record of it that was loaded first: later records join a person without
changing its id, and the same raw log gives the same ids in whatever order it is read. Nothing needs to be remembered but
yesterday's assignment, to tell of merges and splits.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from journey_pipeline.expressions import spelled
from journey_pipeline.identity import normalise
from journey_pipeline.model import Thresholds
from journey_pipeline.registry import KINDS, NO_PERSON, TABLES, TEXT

PERSON_KINDS = tuple(kind for kind in KINDS if kind not in NO_PERSON)

# How sure a tie is. `linked`: the platforms themselves say so; `exact`: the same address; `normalised`: the same
# mailbox written otherwise, or the same phone under a compatible name.
SURE, SAME_MAILBOX, SAME_PHONE = 1.0, 0.98, 0.95


@dataclass(frozen=True)
class Identity:
    """Who is who.

    `records`: record, kind, platform, record_id, person (number; null: nobody can be told, an anonymous touch), kind by
    kind in the row order that was resolved. `people`:
    person (number), person_id, identity_confidence, email_count, phone_count, name_count, record_count. `ties`: record
    by key in numbers; `person_keys()` spells them out. `demoted`: registry table.
    """

    people: pl.DataFrame
    records: pl.DataFrame
    ties: pl.DataFrame
    demoted: pl.DataFrame

    @cached_property
    def codes(self) -> Mapping[str, pl.Series]:
        """Kind -> the person of each row."""
        parts = self.records.select("kind", "person").partition_by("kind", as_dict=True, maintain_order=True)
        empty = pl.Series("person", [], pl.UInt32())
        return {kind: parts[kind,]["person"] if (kind,) in parts else empty for kind in PERSON_KINDS}

    def person_keys(self) -> pl.LazyFrame:
        """The registry table: which key ties which record to which person."""
        return (
            self.ties.lazy()
            .join(
                self.records.lazy().select("record", "kind", "platform", "record_id", "person"), on="record", how="left"
            )
            .join(self.people.lazy().select("person", "person_id"), on="person", how="left")
            .with_columns(pl.col("kind").cast(TEXT), pl.col("platform").cast(TEXT))
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


def resolve(kinds: Mapping[str, pl.DataFrame], *, country: str | None, thresholds: Thresholds) -> Identity:
    """Work out who is who among the records of all kinds (columns: `record_schema`)."""
    records = _index(kinds)
    ties = _ties(records, country)
    ties, demoted = _demote(ties, thresholds)
    component, confidence = _components(records.height, ties)
    records = records.with_columns(pl.Series("component", component))
    ids = _ids(records)
    people = _people(records, ties, ids, confidence)
    records = records.join(people.select("component", "person"), on="component", how="left", maintain_order="left")
    return Identity(
        people.drop("component"),
        records.select("record", "kind", "platform", "record_id", "person"),
        ties.select("record", "key", "how", "confidence"),
        demoted,
    )


def _index(kinds: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """All records that can have a person, numbered, with what may tie them."""
    order = pl.Enum(PERSON_KINDS)
    parts = [
        frame.select(
            pl.lit(kind, order).alias("kind"), "platform", "record_id", "email", "phone", "name",
            pl.concat_list("keys", spelled("{}:{}", "platform", "record_id"), "merged_into").list.drop_nulls()
            if kind == "contacts" else pl.col("keys"),
            "first_loaded_at",
        )
        for kind, frame in kinds.items() if kind in PERSON_KINDS
    ]  # fmt: skip
    return pl.concat(parts).with_columns(pl.col("platform").cast(pl.Categorical)).with_row_index("record")


def _ties(records: pl.DataFrame, country: str | None) -> pl.DataFrame:
    """record, key (`type:value`), exact (the address as written), how, confidence, name."""
    name = normalise.name(pl.col("name")).alias("name")
    linked = (
        records.lazy()
        .filter(pl.col("keys").list.len() > 0)
        .select("record", pl.col("keys").alias("key"), name)
        .explode("key", empty_as_null=False)
    )
    addresses = pl.concat([
        records.lazy().filter(pl.col("email").is_not_null()).select("record", pl.col("email").alias("raw"), name),
        linked.filter(pl.col("key").str.starts_with("email:"))
        .select("record", pl.col("key").str.strip_prefix("email:").alias("raw"), "name"),
    ])  # fmt: skip
    emails = (
        addresses.select("record", normalise.email(pl.col("raw")).alias("exact"), "name")
        .filter(pl.col("exact").is_not_null())
        .with_columns(canonical=normalise.canonical(pl.col("exact")))
        .select(
            "record",
            pl.concat_str(pl.lit("email:"), "canonical").alias("key"),
            "exact",
            pl.when(pl.col("exact") == pl.col("canonical"))
            .then(pl.lit("exact"))
            .otherwise(pl.lit("normalised"))
            .alias("how"),
            "name",
        )
    )
    ids = linked.filter(~pl.col("key").str.contains("^(email|phone):")).select(
        "record", "key", pl.lit(None, TEXT).alias("exact"), pl.lit("linked").alias("how"), "name"
    )
    numbers = pl.concat([
        records.lazy().filter(pl.col("phone").is_not_null()).select("record", pl.col("phone").alias("raw"), name),
        linked.filter(pl.col("key").str.starts_with("phone:"))
        .select("record", pl.col("key").str.strip_prefix("phone:").alias("raw"), "name"),
    ]).collect()  # fmt: skip
    phones = (
        numbers.lazy()
        .with_columns(key=pl.lit("phone:") + normalise.phones(numbers["raw"], country))
        .filter(pl.col("key").is_not_null())
        .select("record", "key", pl.lit(None, TEXT).alias("exact"), pl.lit("normalised").alias("how"), "name")
    )
    return (
        pl.concat([emails, ids, phones])
        .with_columns(
            confidence=pl.when(pl.col("key").str.starts_with("phone:"))
            .then(SAME_PHONE)
            .when(pl.col("how") == "normalised")
            .then(SAME_MAILBOX)
            .otherwise(SURE)
        )
        .collect()
        .unique(["record", "key"], keep="first", maintain_order=True)
    )


def _demote(ties: pl.DataFrame, thresholds: Thresholds) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Take away the ties of keys that too many people share, and make a shared phone tie only one name at a time.

    A phone of more than `people_per_phone` e-mails (an office) ties nobody; one with several names (a family) ties
    records of the same name. An address with more than `names_per_email` names, or of a role with more than one, ties
    nobody.
    """
    is_email, is_phone = pl.col("key").str.starts_with("email:"), pl.col("key").str.starts_with("phone:")
    mailbox = ties.lazy().filter(is_email).group_by("record").agg(pl.col("key").min().alias("mailbox"))
    shared = (
        ties.lazy().filter(is_email | is_phone)
        .group_by("key").agg(
            pl.col("name").drop_nulls().unique().sort().alias("names"),
            pl.len().alias("record_count"),
            pl.col("record").filter(is_phone).alias("records"),
        )
        .filter((pl.col("names").list.len() > 1) | (pl.col("record_count") > thresholds.people_per_phone))
        .collect()
    )  # fmt: skip
    mailboxes = (
        shared.lazy().filter(is_phone).select("key", "records").explode("records")
        .join(mailbox, left_on="records", right_on="record", how="left")
        .group_by("key").agg(pl.col("mailbox").drop_nulls().n_unique().alias("mailbox_count"))
        .collect()
    )  # fmt: skip
    shared = shared.join(mailboxes, on="key", how="left").sort("key")
    verdicts = [_verdict(row, thresholds) for row in shared.iter_rows(named=True)]
    demoted = pl.DataFrame(
        [(row["key"], people, row["record_count"], reason)
         for row, (people, reason, _groups) in zip(shared.iter_rows(named=True), verdicts, strict=True) if reason],
        schema=TABLES["demoted_keys"].schema, orient="row",
    )  # fmt: skip
    by_name = pl.DataFrame(
        [(row["key"], name, group)
         for row, (_people, reason, groups) in zip(shared.iter_rows(named=True), verdicts, strict=True) if reason
         for name, group in groups.items()],
        schema={"key": TEXT, "name": TEXT, "group": TEXT}, orient="row",
    )  # fmt: skip
    if demoted.is_empty():
        return ties.drop("name"), demoted
    kept = ties.join(demoted.select("key"), on="key", how="anti", maintain_order="left")
    grouped = (
        ties.join(by_name, on=["key", "name"], how="inner", maintain_order="left")
        .with_columns(key=spelled("{}|{}", "key", "group"))
        .drop("group")
    )
    return pl.concat([kept, grouped]).drop("name"), demoted


def _verdict(row: Mapping[str, object], thresholds: Thresholds) -> tuple[int, str | None, Mapping[str, str]]:
    """How many people a key seems to have, why it is demoted (None: it isn't), and the name groups it still ties."""
    names: list[str] = list(row["names"])  # type: ignore[call-overload]
    groups = _compatible(names)
    count = len(set(groups.values()))
    key = str(row["key"])
    if key.startswith("phone:"):
        mailboxes = int(row["mailbox_count"] or 0)  # type: ignore[call-overload]
        if mailboxes > thresholds.people_per_phone:
            return (
                mailboxes,
                f"a phone of {mailboxes} e-mails, more than {thresholds.people_per_phone}: ties nobody",
                {},
            )
        if count > 1:
            return count, f"a phone of {count} names: ties only records of one name", groups
        return count, None, {}
    if count > thresholds.names_per_email:
        return count, f"an address of {count} names, more than {thresholds.names_per_email}: ties nobody", {}
    if count > 1 and key.removeprefix("email:").split("@")[0].split("+")[0] in normalise.ROLES:
        return count, f"a role's address of {count} names: ties nobody", {}
    return count, None, {}


def _compatible(names: list[str]) -> dict[str, str]:
    """Name -> its group: a name whose words are all in another's (`howard`, `howard raymond`) may be the same person.

    A name that fits two groups (`howard` beside `howard ann` and `howard raymond`) is a group of its own.
    """
    words = {name: frozenset(name.split()) for name in names}
    longest = [n for n in names if not any(words[n] < words[other] for other in names)]
    groups = {}
    for name in names:
        fits = [n for n in longest if words[name] <= words[n]]
        groups[name] = fits[0] if len(fits) == 1 else name
    return groups


def _components(count: int, ties: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Component of each record, and per component the weakest tie without which it would fall apart.

    Built level by level, strongest ties first: what a level joins, it holds with its own confidence.
    """
    spelled = pl.coalesce(pl.lit("exact:") + pl.col("exact"), "key")
    nodes = pl.concat([ties.select(spelled.alias("node")), ties.select(pl.col("key").alias("node"))])["node"]
    codes = nodes.cast(pl.Categorical).to_physical().to_numpy()
    _, codes = np.unique(codes, return_inverse=True)
    first, second = codes[: ties.height], codes[ties.height :]
    total = count + (int(codes.max()) + 1 if codes.size else 0)
    record = ties["record"].to_numpy().astype(np.int64)
    confidence = ties["confidence"].to_numpy()
    is_phone = confidence == SAME_PHONE
    # A record holds to its address as written (sure); the address to its mailbox (normalised); a phone to its number.
    mailbox_links = (
        np.unique(np.stack([first, second], axis=1)[first != second], axis=0) if ties.height else np.empty((0, 2), int)
    )
    edges = {
        SURE: (record[~is_phone], first[~is_phone] + count),
        SAME_MAILBOX: (mailbox_links[:, 0] + count, mailbox_links[:, 1] + count),
        SAME_PHONE: (record[is_phone], second[is_phone] + count),
    }
    label: np.ndarray = np.arange(total)
    held = np.ones(total)
    for level, (one, other) in edges.items():
        left, right = label[one], label[other]
        size = int(label.max()) + 1 if total else 0
        graph = coo_array((np.ones(left.size, np.int8), (left, right)), shape=(size, size))
        _, joined = connected_components(graph, directed=False)
        # A node that is only a key joins nothing by itself: what counts is how many record-bearing parts meet.
        bears = np.zeros(size, bool)
        bears[label[:count]] = True
        parts = np.bincount(joined[bears], minlength=int(joined.max()) + 1 if size else 0)
        weakest = np.ones(parts.size)
        np.minimum.at(weakest, joined, held)
        held = np.where(parts > 1, np.minimum(weakest, level), weakest)
        label = joined[label]
    return label[:count], held


def _ids(records: pl.DataFrame) -> pl.DataFrame:
    """component, person_id: the hash of the component's anchor, the record loaded first (ties: the least name)."""
    rank = pl.struct(pl.col("platform").cast(TEXT), pl.col("kind").cast(TEXT))
    sources = (
        records.select("platform", "kind").unique().with_columns(rank.alias("s")).sort("s").with_row_index("source")
    )
    left = (
        records.lazy()
        .select("component", "first_loaded_at", "platform", "kind", "record_id")
        .filter(pl.col("first_loaded_at") == pl.col("first_loaded_at").min().over("component"))
        .join(sources.lazy().select("platform", "kind", "source"), on=["platform", "kind"], how="left")
        .filter(pl.col("source") == pl.col("source").min().over("component"))
        .group_by("component")
        .agg(pl.col("source").first(), pl.col("record_id").min())
        .join(sources.lazy(), on="source", how="left")
        .with_columns(anchor=spelled("{}|{}|{}", pl.col("platform").cast(TEXT), pl.col("kind").cast(TEXT), "record_id"))
        .select("component", "anchor")
        .sort("anchor")
        .collect()
    )
    digests = [f"p_{hashlib.sha256(anchor.encode()).hexdigest()[:16]}" for anchor in left["anchor"]]
    return left.select("component").with_columns(pl.Series("person_id", digests, TEXT))


def _people(records: pl.DataFrame, ties: pl.DataFrame, ids: pl.DataFrame, confidence: np.ndarray) -> pl.DataFrame:
    """One row per component that somebody is behind, numbered in the order of person_id."""
    component = records.lazy().select("record", "component")
    counts = (
        ties.lazy()
        .filter(pl.col("how") != "linked")
        .select("record", "key", is_email=pl.col("key").str.starts_with("email:"))
        .join(component, on="record", how="left")
        .group_by("component")
        .agg(
            pl.col("key").filter(pl.col("is_email")).n_unique().cast(pl.Int64).alias("email_count"),
            pl.col("key").filter(~pl.col("is_email")).n_unique().cast(pl.Int64).alias("phone_count"),
        )
    )
    names = (
        records.lazy()
        .filter(pl.col("name").is_not_null())
        .group_by("component")
        .agg(normalise.name(pl.col("name")).drop_nulls().n_unique().cast(pl.Int64).alias("name_count"))
    )
    sizes = records.lazy().group_by("component").agg(
        pl.len().cast(pl.Int64).alias("record_count"),
        ((pl.col("kind") == "touchpoints").all() & pl.col("email").is_null().all() & pl.col("phone").is_null().all()
         & (pl.col("keys").list.len() == 0).all()).alias("is_anonymous"),
    )  # fmt: skip
    sure = pl.LazyFrame({"component": np.arange(confidence.size), "identity_confidence": confidence})
    return (
        ids.lazy()
        .join(sizes, on="component", how="left")
        .filter(~pl.col("is_anonymous"))
        .join(counts, on="component", how="left")
        .join(names, on="component", how="left")
        .join(sure, on="component", how="left")
        .with_columns(pl.col("email_count", "phone_count", "name_count").fill_null(0))
        .drop("is_anonymous")
        .sort("person_id")
        .collect()
        .with_row_index("person")
    )


def changes(before: pl.LazyFrame, now: pl.LazyFrame, keys: pl.LazyFrame, day: date) -> pl.DataFrame:
    """The merges and splits between two assignments (`record_persons`): the registry table identity_changes.

    A merge: all records that somebody had are now another's. A split: somebody new has records that another had.
    """
    record = ["kind", "platform", "record_id"]
    moved = (
        before.rename({"person_id": "from_person_id"})
        .join(now.rename({"person_id": "to_person_id"}), on=record, how="inner", validate="1:1")
        .filter(pl.col("from_person_id") != pl.col("to_person_id"))
        .collect()
    )
    if moved.is_empty():
        return pl.DataFrame(schema=TABLES["identity_changes"].schema)
    alive = set(now.select("person_id").unique().collect()["person_id"])
    pairs = moved.select("from_person_id", "to_person_id").unique()
    concerned = (
        keys.filter(pl.col("person_id").is_in(pairs["to_person_id"].unique().to_list()))
        .join(before.rename({"person_id": "was"}), on=record, how="left")
        .collect()
    )
    shared = (
        concerned.group_by("person_id", "key")
        .agg(pl.col("was").drop_nulls().unique())
        .filter(pl.col("was").list.len() > 1)
        .explode("was")
        .group_by("person_id", "was")
        .agg(pl.col("key").str.extract("^([^:]+):", 1).unique().sort().str.join(", ").alias("because"))
    )
    return (
        pairs.with_columns(
            day_on=pl.lit(day),
            change=pl.when(pl.col("from_person_id").is_in(alive)).then(pl.lit("split")).otherwise(pl.lit("merge")),
        )
        .join(shared, left_on=["to_person_id", "from_person_id"], right_on=["person_id", "was"], how="left")
        .with_columns(
            because=pl.when(pl.col("change") == "split").then(pl.lit("a key that tied them is no longer there"))
            .otherwise(spelled("now tied by {}", pl.col("because").fill_null("a key of a third record")))
        )
        .select(TABLES["identity_changes"].columns)
        .sort("from_person_id", "to_person_id")
    )  # fmt: skip
