"""Ties records that share a key into people, with ids that stay the same from run to run.

A person's id is made from its *anchor*, the record of it that was loaded first: later records join a person without
changing its id, and the same raw log gives the same ids in whatever order it is read. Nothing needs to be remembered but
yesterday's assignment, to tell of merges and splits.
"""

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from journey_pipeline.expressions import Numbers, foremost, numbers, spelled
from journey_pipeline.identity import normalise
from journey_pipeline.model import Thresholds
from journey_pipeline.registry import KINDS, NO_PERSON, TABLES, TEXT

Shares = npt.NDArray[np.float64]

PERSON_KINDS = tuple(kind for kind in KINDS if kind not in NO_PERSON)

# How sure a tie is. `linked`: the platforms themselves say so; `exact`: the same address; `normalised`: the same
# mailbox written otherwise, or the same phone under a compatible name.
SURE, SAME_MAILBOX, SAME_PHONE = 1.0, 0.98, 0.95
_HOW = pl.Enum(["exact", "normalised", "linked"])


@dataclass(frozen=True)
class Identity:
    """Who is who.

    `records`: record, kind, platform, record_id, person (number; null: nobody can be told, an anonymous touch), kind by
    kind in the row order that was resolved. `people`:
    person (number), person_id, identity_confidence, email_count, phone_count, name_count, record_count. `ties`: record
    (number), key, how, confidence; `person_keys()` spells them out. `demoted`: registry table.
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


class _Ties(NamedTuple):
    """Which record bears which key (`type:value`), once each.

    `emails`: record, name, key (its mailbox), exact (the address as written), how. `phones`: record, name, key. `ids`:
    record, key. Keys are numbered together, addresses apart from them.
    """

    emails: pl.DataFrame
    phones: pl.DataFrame
    ids: pl.DataFrame


def resolve(kinds: Mapping[str, pl.DataFrame], *, country: str | None, thresholds: Thresholds) -> Identity:
    """Work out who is who among the records of all kinds (columns: `record_schema`)."""
    records = _index(kinds)
    ties, demoted = _demote(_ties(records, country), thresholds)
    component, confidence = _components(records.height, ties)
    people = _people(records, ties, component, confidence)
    nobody = people.height
    person = np.full(confidence.size, nobody, np.uint32)
    person[people["component"].to_numpy()] = people["person"].to_numpy()
    told = records.select("record", "kind", "platform", "record_id", person=pl.lit(pl.Series(person[component])))
    return Identity(
        people.drop("component"),
        told.with_columns(pl.when(pl.col("person") < nobody).then("person")),
        _spelled(ties),
        demoted,
    )


def _index(kinds: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """All records that can have a person, numbered, with what may tie them.

    `teller`: the rank of its platform and kind. `is_nobody`: an anonymous touch.
    """
    told = {kind: frame for kind, frame in kinds.items() if kind in PERSON_KINDS}
    platforms = pl.Enum(pl.concat([frame["platform"] for frame in told.values()]).unique().sort())
    platform, rank = pl.col("platform").cast(platforms), {kind: n for n, kind in enumerate(sorted(PERSON_KINDS))}
    own = (spelled("{}:{}", "platform", "record_id").alias("own_key"), pl.col("merged_into"))
    parts = [
        frame.select(
            pl.lit(kind, pl.Enum(PERSON_KINDS)).alias("kind"), platform, "record_id", "email", "phone", "name", "keys",
            # A contact is a key itself: other records name it, and a merged one names the survivor.
            *(own if kind == "contacts" else ()),
            pl.col("first_loaded_at").to_physical(),
            (platform.to_physical().cast(pl.Int64) * len(rank) + rank[kind]).alias("teller"),
            (pl.lit(kind == "touchpoints") & pl.col("email").is_null() & pl.col("phone").is_null()
             & (pl.col("keys").list.len() == 0)).alias("is_nobody"),
        )
        for kind, frame in told.items()
    ]  # fmt: skip
    records = pl.concat(parts, how="diagonal").with_row_index("record")
    return records.with_columns(_once(records["name"], _names))


def _once(texts: pl.Series, work: Callable[[pl.Series], pl.DataFrame]) -> list[pl.Series]:
    """The columns that `work` makes of texts, worked out once for each distinct one; null where there is no text."""
    coded = texts.cast(pl.Categorical(_fresh()))
    distinct = coded.unique().drop_nulls()
    distinct = distinct.gather(distinct.to_physical().arg_sort())  # each stands where its number points
    return [column.gather(coded.to_physical()) for column in work(distinct.cast(TEXT))]


def _names(texts: pl.Series) -> pl.DataFrame:
    return pl.DataFrame({"name": texts}).select(normalise.name(pl.col("name")).cast(pl.Categorical(_fresh())))


def _ties(records: pl.DataFrame, country: str | None) -> _Ties:
    keyed, written = pl.Categorical(_fresh()), pl.Categorical(_fresh())

    def emails(texts: pl.Series) -> pl.DataFrame:
        exact, mailbox = pl.col("exact"), pl.col("mailbox")
        read = pl.LazyFrame({"exact": texts}).with_columns(normalise.email(exact))
        return read.with_columns(mailbox=normalise.canonical(exact)).select(
            pl.concat_str(pl.lit("email:"), mailbox).cast(keyed).alias("key"),
            exact.cast(written),
            pl.when(exact == mailbox).then(pl.lit("exact", _HOW)).otherwise(pl.lit("normalised", _HOW)).alias("how"),
        ).collect()  # fmt: skip

    def phones(texts: pl.Series) -> pl.DataFrame:
        read = pl.DataFrame({"key": normalise.phones(texts, country)})
        return read.select(key=pl.concat_str(pl.lit("phone:"), "key").cast(keyed))

    def keys(said: pl.DataFrame, read: Callable[[pl.Series], pl.DataFrame]) -> pl.DataFrame:
        return said.drop("text").with_columns(_once(said["text"], read)).filter(pl.col("key").is_not_null())

    def of_column(what: str, read: Callable[[pl.Series], pl.DataFrame]) -> pl.DataFrame:
        return keys(records.filter(pl.col(what).is_not_null()).select("record", "name", text=what), read)

    # Reading texts is one thread's work, so columns are read side by side.
    with ThreadPoolExecutor() as pool:
        own_emails, own_phones = pool.submit(of_column, "email", emails), pool.submit(of_column, "phone", phones)
        linked = _linked(records, keyed)

    def with_told(own: pl.DataFrame, what: str, read: Callable[[pl.Series], pl.DataFrame]) -> pl.DataFrame:
        """Beside what records say in a column, what platforms say in `keys`: they may repeat it."""
        is_told = linked["key"].cat.starts_with(f"{what}:")
        if not is_told.any():
            return own
        told = linked.filter(is_told).select(
            "record", "name", text=pl.col("key").cast(TEXT).str.strip_prefix(f"{what}:")
        )
        return pl.concat([own, keys(told, read)]).unique(["record", "key"], keep="first", maintain_order=True)

    # Asked of the column at once: an expression would ask the whole numbering again for each batch of rows.
    is_id = ~(linked["key"].cat.starts_with("email:") | linked["key"].cat.starts_with("phone:"))
    return _Ties(
        with_told(own_emails.result(), "email", emails),
        with_told(own_phones.result(), "phone", phones),
        linked.filter(is_id).select("record", "key"),
    )


def _linked(records: pl.DataFrame, keyed: pl.Categorical) -> pl.DataFrame:
    """record, name, key: what platforms themselves say belongs together, once each."""
    every, count = records.lazy(), pl.col("keys").list.len()
    alone = count.eq(1) & pl.col("own_key").is_null()
    several = every.filter((count > 0) & ~alone)
    told = [
        several.select("record", "name", key="keys").explode("key"),
        *(every.filter(pl.col(c).is_not_null()).select("record", "name", key=c) for c in ("own_key", "merged_into")),
    ]
    one = every.filter(alone).select("record", "name", key=pl.col("keys").list.first())
    return pl.concat([one, pl.concat(told).unique(["record", "key"])]).with_columns(pl.col("key").cast(keyed)).collect()


def _fresh() -> pl.Categories:
    """A numbering of texts of its own, so that the numbers are dense."""
    return pl.Categories.random()


def _spelled(ties: _Ties) -> pl.DataFrame:
    """record, key, how, confidence of all ties."""
    is_same = pl.col("how") == "exact"
    return pl.concat([
        ties.emails.select("record", "key", "how", confidence=pl.when(is_same).then(SURE).otherwise(SAME_MAILBOX)),
        ties.ids.select("record", "key", pl.lit("linked", _HOW).alias("how"), confidence=pl.lit(SURE)),
        ties.phones.select("record", "key", pl.lit("normalised", _HOW).alias("how"), confidence=pl.lit(SAME_PHONE)),
    ])  # fmt: skip


def _demote(ties: _Ties, thresholds: Thresholds) -> tuple[_Ties, pl.DataFrame]:
    """Take away the ties of keys that too many people share, and make a shared phone tie only one name at a time.

    A phone of more than `people_per_phone` e-mails (an office) ties nobody; one with several names (a family) ties
    records of the same name. An address with more than `names_per_email` names, or of a role with more than one, ties
    nobody.
    """
    limit = thresholds.people_per_phone
    spoken = _shared(ties.phones).filter(pl.col("is_crowded") | (pl.col("record_count") > limit))
    bearers = ties.phones.lazy().join(spoken.lazy().select("key"), on="key", how="semi").select("key", "record")
    mailboxes = (
        ties.emails.lazy().join(bearers, on="record", how="semi").group_by("record").agg(pl.col("key").min().alias("mailbox"))
        .join(bearers, on="record", how="inner")
        .group_by("key").agg(pl.col("mailbox").n_unique().alias("mailbox_count"))
    )  # fmt: skip
    doubtful = pl.concat(
        [
            spoken.lazy().join(mailboxes, on="key", how="left").collect()
            .filter(pl.col("is_crowded") | (pl.col("mailbox_count") > limit)),
            _shared(ties.emails).filter("is_crowded"),
        ],
        how="diagonal",
    )  # fmt: skip
    every = pl.concat([ties.emails.select("key", "name"), ties.phones.select("key", "name")])
    names = (
        every.lazy().join(doubtful.lazy().select("key"), on="key", how="semi")
        .group_by("key").agg(pl.col("name").drop_nulls().cast(TEXT).unique().sort().alias("names"))
    )  # fmt: skip
    shared = doubtful.lazy().join(names, on="key").with_columns(pl.col("key").cast(TEXT)).sort("key").collect()
    verdicts = [_verdict(row, thresholds) for row in shared.iter_rows(named=True)]
    demoted = pl.DataFrame(
        [(row["key"], people, row["record_count"], reason)
         for row, (people, reason, _groups) in zip(shared.iter_rows(named=True), verdicts, strict=True) if reason],
        schema=TABLES["demoted_keys"].schema, orient="row",
    )  # fmt: skip
    if demoted.is_empty():
        return ties, demoted
    by_name = pl.DataFrame(
        [(row["key"], name, f"{row['key']}|{group}")
         for row, (_people, reason, groups) in zip(shared.iter_rows(named=True), verdicts, strict=True) if reason
         for name, group in groups.items()],
        schema=dict.fromkeys(("key", "name", "group"), TEXT), orient="row",
    )  # fmt: skip
    coded = ties.phones.schema["key"]
    is_kept = ~pl.col("key").is_in(demoted["key"].cast(coded).implode())
    grouped = (
        ties.phones.filter(~is_kept)
        .join(by_name.cast({"key": coded, "name": ties.phones.schema["name"]}), on=["key", "name"], how="inner")
        .select("record", "name", pl.col("group").cast(coded).alias("key"))
    )
    phones = pl.concat([ties.phones.filter(is_kept), grouped])
    return _Ties(ties.emails.filter(is_kept), phones, ties.ids), demoted


def _shared(said: pl.DataFrame) -> pl.DataFrame:
    """key, record_count, is_crowded: whether records of two names bear it."""
    name = pl.col("name").to_physical()
    return (
        said.lazy()
        .group_by("key")
        .agg(pl.len().alias("record_count"), (name.min() != name.max()).alias("is_crowded"))
        .collect()
    )


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


def _components(count: int, ties: _Ties) -> tuple[Numbers, Shares]:
    """Component of each record, and per component the weakest tie without which it would fall apart.

    Built level by level, strongest ties first: what a level joins, it holds with its own confidence.
    """
    levels = (
        (SURE, ties.emails, "exact"), (SURE, ties.ids, "key"), (SAME_MAILBOX, ties.emails, "key"), (SAME_PHONE, ties.phones, "key"),
    )  # fmt: skip
    label = _gathered(count, numbers(ties.emails["record"]), numbers(ties.emails["exact"]))
    held: Shares = np.ones(int(label.max(initial=-1)) + 1)
    for level, frame, node in levels:
        one, other = _neighbours(label[numbers(frame["record"])], numbers(frame[node]))
        graph = coo_array((np.ones(one.size, np.int8), (one, other)), shape=(held.size, held.size))
        total, joined = connected_components(graph, directed=False)
        weakest: Shares = np.ones(total)
        np.minimum.at(weakest, joined, held)
        held = np.where(np.bincount(joined, minlength=total) > 1, np.minimum(weakest, level), weakest)
        label = joined[label].astype(np.int64)
    return label, held


def _gathered(count: int, record: Numbers, node: Numbers) -> Numbers:
    """A label for each record that it shares with the first record of its node: most of what the graph would find."""
    every: Numbers = np.arange(count)
    label = every.copy()
    label[record] = record[_first(node)][node]
    label = np.where(label[label] == label, label, every)  # whose first belongs elsewhere waits for the graph
    numbered: Numbers = np.cumsum(label == every) - 1
    return numbered[label]


def _neighbours(label: Numbers, node: Numbers) -> tuple[Numbers, Numbers]:
    """Pairs of labels that tie together all that meet at a node: each with the node's first."""
    first = label[_first(node)][node]
    is_other = label != first
    return label[is_other], first[is_other]


def _first(node: Numbers) -> Numbers:
    """Position of the first mention of each node, 0 for those that are not mentioned."""
    found: Numbers = np.zeros(int(node.max(initial=-1)) + 1, np.int64)
    found[node[::-1]] = np.arange(node.size - 1, -1, -1)
    return found


def _people(records: pl.DataFrame, ties: _Ties, component: Numbers, confidence: Shares) -> pl.DataFrame:
    """One row per component that somebody is behind, numbered in the order of person_id."""
    size = confidence.size
    names = pl.LazyFrame({"component": component, "name": records["name"]}).drop_nulls().unique().collect()
    counts = {
        "record_count": np.bincount(component, minlength=size),
        "email_count": _keys_of(ties.emails, component, size),
        "phone_count": _keys_of(ties.phones, component, size),
        "name_count": np.bincount(names["component"].to_numpy(), minlength=size),
    }
    found = pl.DataFrame({"component": np.arange(size), **counts, "identity_confidence": confidence})
    return (
        _ids(records, component)
        .join(found, on="component", how="left", validate="1:1")
        .sort("person_id")
        .with_row_index("person")
    )


def _keys_of(said: pl.DataFrame, component: Numbers, size: int) -> Numbers:
    """How many keys each component has; a key that ties is in one component only."""
    node = numbers(said["key"])
    is_first = _first(node)[node] == np.arange(node.size)
    found: Numbers = np.bincount(component[numbers(said["record"])[is_first]], minlength=size)
    return found


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
