"""From the raw log to the records of each kind: newest readable version, what older versions tell, what was rejected."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import polars as pl

from journey_pipeline.errors import LostRecordsError
from journey_pipeline.lake import RawLog, health
from journey_pipeline.platforms.base import Platform
from journey_pipeline.records.typed import typed
from journey_pipeline.registry import KINDS, NO_PERSON, TABLES, TEXT, TIME, record_schema

ID = ("platform", "record_id")
SUBSCRIPTION_CLASSES = {
    "trialing": "live", "active": "live", "past_due": "owing", "unpaid": "owing", "paused": "paused", "ended": "over",
}  # fmt: skip
BOOKING_CLASSES = {
    "scheduled": "on", "completed": "on", "no_show": "on", "cancelled": "off", "rescheduled": "off",
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """One platform of journey.yaml: its module, the name it goes by there, its options."""

    platform: Platform
    name: str
    options: Any


@dataclass(frozen=True)
class Records:
    """`kinds`: every kind, columns of `record_schema`, sorted by platform and id. `rejected`, `health`: registry tables."""

    kinds: Mapping[str, pl.DataFrame]
    rejected: pl.DataFrame
    health: pl.DataFrame


def build(
    sources: Sequence[Source],
    log: RawLog,
    *,
    as_of: datetime,
    test_buyers: Sequence[str] = (),
    customer_stages: Sequence[str] = (),
) -> Records:
    """Read what was loaded by `as_of`."""
    loads = {s.name: log.loads(s.name, as_of=as_of) for s in sources}
    frames: dict[str, list[pl.LazyFrame]] = {kind: [] for kind in KINDS}
    for source in sources:
        raw = {r.name: log.scan(source.name, r, loads[source.name]) for r in source.platform.resources}
        for kind, frame in source.platform.read(raw, source.options).items():
            frames[kind].append(typed(kind, frame, source.name))
    next_load = _next_loads(sources, loads)
    kinds, rejected, arrivals = {}, [], []
    for kind, parts in frames.items():
        if not parts:
            kinds[kind] = pl.DataFrame(schema=record_schema(kind))
            continue
        versions = pl.concat(parts, how="diagonal").collect()
        kinds[kind] = _current(kind, versions, next_load, test_buyers, customer_stages)
        rejected.append(_rejected(kind, versions))
        _refuse_lost(kind, versions, kinds[kind], rejected[-1])
        arrivals.append(versions.group_by("platform", "_resource").agg(pl.col("occurred_at").max()))
    refused = pl.concat([pl.DataFrame(schema=_REFUSED), *rejected])
    known = pl.concat(
        [pl.DataFrame(schema=_HEALTH), *(health(s.platform, s.name, loads[s.name], as_of=as_of) for s in sources)],
        how="diagonal",
    )
    return Records(
        kinds, _with_raw(refused, log, loads), _with_arrivals(known, arrivals, refused).sort("platform", "resource")
    )


_REFUSED = pl.Schema({
    "platform": TEXT, "resource": TEXT, "kind": TEXT, "record_id": TEXT, "reason": TEXT, "loaded_at": TIME,
    "_row": pl.Int64(),
})  # fmt: skip
_HEALTH = pl.Schema({
    c: t for c, t in TABLES["source_health"].schema.items() if c not in ("newest_record_at", "rejected_count")
})  # fmt: skip


def _next_loads(sources: Sequence[Source], loads: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """For each complete list of a snapshot resource, the next one: what it lacks went missing then."""
    snapshots = {(s.name, r.name) for s in sources for r in s.platform.resources if r.mode == "snapshot"}
    rows = []
    for platform, resource in sorted(snapshots):
        mine = loads[platform].filter(pl.col("resource") == resource, pl.col("status") == "complete")
        instants = mine["loaded_at"].unique().sort().to_list()
        rows += [(platform, resource, at, later) for at, later in pairwise(instants)]
    schema = {"platform": TEXT, "_resource": TEXT, "_last_loaded_at": TIME, "gone_at": TIME}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _current(
    kind: str,
    versions: pl.DataFrame,
    next_load: pl.DataFrame,
    test_buyers: Sequence[str],
    customer_stages: Sequence[str],
) -> pl.DataFrame:
    """One row per record: its newest readable version, and what only older ones tell."""
    ordered = versions.sort(*ID, "loaded_at", "_row", nulls_last=True)
    seen = ordered.group_by(ID, maintain_order=True).agg(
        pl.col("loaded_at").last().alias("_last_loaded_at"), pl.col("_resource").last()
    )
    said = [c for c in record_schema(kind) if c in versions.columns and c not in ID]
    readable = ordered.filter(pl.col("reason").is_null())
    current = readable.group_by(ID, maintain_order=True).agg(
        pl.col(said).last(), pl.col("loaded_at").first().alias("first_loaded_at"), *_history(kind, customer_stages)
    )
    marked = (
        current.join(seen, on=ID, how="left", validate="1:1", maintain_order="left")
        .join(next_load, on=["platform", "_resource", "_last_loaded_at"], how="left", maintain_order="left")
        .with_columns(is_test=pl.col("is_test") | is_test_buyer(test_buyers))
    )
    if kind in NO_PERSON:
        marked = marked.with_columns(email=pl.lit(None, TEXT), phone=pl.lit(None, TEXT), name=pl.lit(None, TEXT))
    return marked.select(pl.col(c).cast(t) for c, t in record_schema(kind).items())


def _refuse_lost(kind: str, versions: pl.DataFrame, current: pl.DataFrame, rejected: pl.DataFrame) -> None:
    """Nothing is lost and nothing made up: every id that a platform told is one record, or was rejected.

    Raises:
        LostRecordsError: if it is neither, or more.
    """
    told = versions.select(ID).drop_nulls().unique()
    lost = told.join(current, on=ID, how="anti").join(rejected, on=ID, how="anti")
    made_up = current.height - told.join(current, on=ID, how="semi").height
    if lost.height or made_up:
        raise LostRecordsError(kind, sorted(set(lost["platform"])), lost.height, made_up, told.height)


def _history(kind: str, customer_stages: Sequence[str]) -> Sequence[pl.Expr]:
    at = pl.col("loaded_at")
    if kind == "payments":
        succeeded = at.filter(pl.col("status") == "succeeded").min()
        waiting = at.filter(pl.col("status").is_in(["pending", "authorised"])).min()
        return [pl.when(waiting < succeeded).then(succeeded).alias("first_succeeded_loaded_at")]
    if kind == "subscriptions":
        return [
            _class_changed(SUBSCRIPTION_CLASSES),
            at.filter(pl.col("status") == "ended").min().alias("ended_loaded_at"),
        ]
    if kind == "bookings":
        return [_class_changed(BOOKING_CLASSES)]
    if kind == "contacts":
        is_customer = pl.col("lifecycle_stage").str.to_lowercase().is_in(list(customer_stages)).fill_null(value=False)
        last_other = at.filter(~is_customer).max()
        run = pl.coalesce("updated_at", "occurred_at").filter(is_customer & ((at > last_other) | last_other.is_null()))
        whence = pl.concat_str(pl.coalesce("source", pl.lit("")), pl.coalesce("campaign", pl.lit("")), separator=" ")
        was, is_now = (side.str.to_lowercase().str.strip_chars() for side in (whence, whence.last()))
        return [
            pl.when(is_customer.last()).then(run.first()).alias("customer_since_at"),
            pl.when(pl.col("owner").last().is_null()).then(pl.col("owner").drop_nulls().last()).alias("former_owner"),
            whence.filter((was != is_now) & (was != "")).last().alias("former_campaign"),
            (is_customer.any() & ~is_customer.last()).alias("is_former_customer"),
        ]
    if kind == "access":
        return [pl.col("last_used_at").min().alias("first_used_at")]
    return []


def _class_changed(classes: Mapping[str, str]) -> pl.Expr:
    state = pl.col("status").replace_strict(classes, default=None)
    changed = state.ne_missing(state.shift(1)) | (pl.int_range(pl.len()) == 0)
    return pl.col("loaded_at").filter(changed).last().alias("class_changed_at")


def is_test_buyer(patterns: Sequence[str]) -> pl.Expr:
    """Whether the record's e-mail matches one of `test_buyers` (`*` and `?` as in a shell, case ignored)."""
    if not patterns:
        return pl.lit(value=False)
    wild = {"*": ".*", "?": "."}
    regex = "|".join("".join(wild.get(c) or re.escape(c) for c in pattern.lower()) for pattern in patterns)
    return pl.col("email").str.strip_chars().str.to_lowercase().str.contains(f"^({regex})$").fill_null(value=False)


def _rejected(kind: str, versions: pl.DataFrame) -> pl.DataFrame:
    """Rows that could not be read, in the newest load of each resource: an older one was mended since, or is gone."""
    newest = pl.col("loaded_at") == pl.col("loaded_at").max().over("platform", "record_id")
    return (
        versions.filter(pl.col("reason").is_not_null() & (pl.col("record_id").is_null() | newest))
        .with_columns(kind=pl.lit(kind), resource=pl.col("_resource"))
        .select(_REFUSED.names())
    )


def _with_raw(refused: pl.DataFrame, log: RawLog, loads: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    parts = [pl.DataFrame(schema=TABLES["rejected_records"].schema)]
    for (platform, resource), mine in refused.group_by("platform", "resource", maintain_order=True):
        if resource is None:
            parts.append(mine.with_columns(raw=pl.lit(None, TEXT)))
            continue
        raw = log.raw_rows(str(platform), str(resource), loads[str(platform)]).unique(["_loaded_at", "_row"])
        parts.append(
            mine.lazy().join(raw, left_on=["loaded_at", "_row"], right_on=["_loaded_at", "_row"], how="left").collect()
        )
    columns = TABLES["rejected_records"].schema.names()
    return pl.concat([p.select(columns) for p in parts]).sort(
        "platform", "resource", "kind", "record_id", "loaded_at", "raw"
    )


def _with_arrivals(known: pl.DataFrame, arrivals: Sequence[pl.DataFrame], refused: pl.DataFrame) -> pl.DataFrame:
    newest = pl.concat([pl.DataFrame(schema={"platform": TEXT, "_resource": TEXT, "occurred_at": TIME}), *arrivals])
    newest = newest.group_by("platform", "_resource").agg(pl.col("occurred_at").max().alias("newest_record_at"))
    counts = refused.group_by("platform", "resource", "loaded_at").agg(pl.len().cast(pl.Int64).alias("rejected_count"))
    on = ["platform", "resource"]
    return (
        known.join(newest, left_on=on, right_on=["platform", "_resource"], how="left", validate="1:1")
        .join(counts, left_on=[*on, "last_load_at"], right_on=[*on, "loaded_at"], how="left", validate="1:1")
        .with_columns(pl.col("rejected_count").fill_null(0))
        .select(TABLES["source_health"].columns)
    )
