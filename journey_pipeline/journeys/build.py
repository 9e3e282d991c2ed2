"""Builds every journey table from records and identity: the one place where the order of the steps is written."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from journey_pipeline.identity import PERSON_KINDS, Identity
from journey_pipeline.journeys import holdings, sales
from journey_pipeline.journeys.entitlement import entitlement
from journey_pipeline.journeys.events import events
from journey_pipeline.journeys.paths import JOURNEY, paths
from journey_pipeline.journeys.people import people
from journey_pipeline.journeys.place import ATTACHED, attach, place
from journey_pipeline.journeys.products import products
from journey_pipeline.journeys.scope import Scope, beside, ref
from journey_pipeline.registry import KINDS, NO_PERSON, TABLES

_COPY_OF_BOOKING = pl.duration(minutes=5)
# Columns of placed records that nothing is derived from; `_published` has them.
_UNREAD = ("email", "phone", "keys", "url", "first_loaded_at", "person_id", "identity_confidence")


@dataclass(frozen=True)
class Journeys:
    """Every table of the room, by name: the kinds with person and offer, people, buyer_journeys, journey_events, products."""

    tables: Mapping[str, pl.LazyFrame]


def build(kinds: Mapping[str, pl.DataFrame], identity: Identity, scope: Scope) -> Journeys:
    """Lay out each buyer's path.

    `kinds`: records (`record_schema`) in the row order that identity numbered.
    """
    placed = place(kinds, identity, scope)
    real, everyone, walked = _laid_out(placed, identity, scope)
    tables = {
        "people": everyone.lazy().select(TABLES["people"].columns),
        "buyer_journeys": walked.lazy().select(TABLES["buyer_journeys"].columns),
        "products": products(real, scope).collect().lazy(),
        **{kind: kinds[kind].lazy().select(KINDS[kind].columns) for kind in NO_PERSON},
    }
    # What is published is let go: a business's records fill most of the memory there is.
    published = {kind: _published(kind, real.pop(kind), placed.pop(kind), scope) for kind in PERSON_KINDS}
    tables |= {kind: frame.lazy().drop("person") for kind, frame in published.items()}
    return Journeys({**tables, "journey_events": events(published).lazy()})


def _laid_out(
    placed: Mapping[str, pl.DataFrame], identity: Identity, scope: Scope
) -> tuple[dict[str, pl.LazyFrame], pl.DataFrame, pl.DataFrame]:
    """The records of real people with what is derived of each, people, and journeys."""
    real = {
        k: f.lazy().filter(~pl.col("is_test") & pl.col("person").is_not_null()).drop(_UNREAD) for k, f in placed.items()
    }
    real["access"] = holdings.access(real["access"], scope).with_columns(ref=ref()).collect().lazy()
    known = _known(identity)
    paid = sales.payments(real["payments"], real["subscriptions"], real["access"], known, scope).lazy()
    agreed = sales.subscriptions(real["subscriptions"], paid).lazy()
    real |= {"payments": paid, "subscriptions": agreed, "bookings": _bookings(real["bookings"])}
    real["access"] = _offer_of_access(real["access"], paid, agreed, scope).collect().lazy()

    pairs = _pairs(real, scope)
    money = sales.money_at(paid, agreed).collect().lazy()
    for kind in ATTACHED:
        real[kind] = (
            attach(real[kind].with_columns(said_offer=pl.col("offer")), money, pairs)
            .with_columns(ref=ref())
            .collect()
            .lazy()
        )
    for kind in ("messages", "touchpoints"):
        real[kind] = real[kind].with_columns(ref=ref())
    everyone = people(real, {k: f.lazy().drop_nulls("person") for k, f in placed.items()}, identity, scope)
    entitled = entitlement(paid, agreed, scope).collect().lazy()
    walked = paths(
        {**real, "test_payments": _tests(placed, "payments")}, _all_pairs(pairs, real, everyone), entitled,
        everyone, scope,
    )  # fmt: skip
    return {**real, "tickets": _tickets(real["tickets"], walked.lazy())}, everyone, walked


def _known(identity: Identity) -> pl.DataFrame:
    """has_address, is_person_known of each person: an address, or a record from another platform."""
    has_address = (pl.col("email_count") + pl.col("phone_count")) > 0
    known = identity.people.select("person", has_address=has_address)
    bare = known.filter(~pl.col("has_address")).select("person")
    several = (
        identity.records.lazy().join(bare.lazy(), on="person", how="semi")
        .group_by("person").agg(pl.col("platform").n_unique().alias("n")).filter(pl.col("n") > 1)
        .select("person", several=pl.lit(value=True)).collect()
    )  # fmt: skip
    return known.join(several, on="person", how="left", maintain_order="left").select(
        "has_address", is_person_known=pl.col("has_address") | pl.col("several").fill_null(value=False)
    )


def _bookings(booked: pl.LazyFrame) -> pl.LazyFrame:
    """is_primary, copy_count: the same meeting told by another platform, starts at most 5 minutes apart."""
    slots = booked.with_columns(ref=ref()).sort("person", "starts_at", "platform", "record_id")
    new = (pl.col("starts_at").diff() > _COPY_OF_BOOKING).fill_null(value=True) | (
        pl.col("platform") == pl.col("platform").shift(1)
    ).fill_null(value=True)
    return slots.with_columns(_slot=new.cum_sum().over("person")).with_columns(
        is_primary=pl.int_range(pl.len()).over("person", "_slot") == 0,
        copy_count=pl.len().over("person", "_slot").cast(pl.Int64),
    ).drop("_slot")  # fmt: skip


def _offer_of_access(held: pl.LazyFrame, paid: pl.LazyFrame, agreed: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    """An item that several offers grant belongs to the one that its holder has money in, else to the first listed."""
    shared = scope.items.filter(pl.len().over("product_ref") > 1).lazy()
    moneyed = pl.concat([paid.select(JOURNEY), agreed.select(JOURNEY)]).unique()
    better = (
        held.select("person", "product_ref").join(shared, on="product_ref", how="inner")
        .join(moneyed, on=JOURNEY, how="semi")
        .group_by("person", "product_ref").agg(pl.col("offer").min().alias("_better"))
    )  # fmt: skip
    return held.join(better, on=["person", "product_ref"], how="left").with_columns(
        offer=pl.coalesce("_better", "offer")
    ).drop("_better")  # fmt: skip


def _pairs(real: Mapping[str, pl.LazyFrame], scope: Scope) -> pl.LazyFrame:
    """person, offer of every journey that has an offer."""
    named = [real[k].filter(pl.col("offer") > 0).select(JOURNEY) for k in ("payments", "subscriptions", *ATTACHED)]
    held = holdings.with_items(real["access"], scope).select(JOURNEY)
    return pl.concat([*named, held]).unique().collect().lazy()


def _all_pairs(pairs: pl.LazyFrame, real: Mapping[str, pl.LazyFrame], everyone: pl.DataFrame) -> pl.LazyFrame:
    """The same, and a journey without an offer for people who have no other, or money for what no offer lists."""
    none = pl.lit(0, pl.Int64).alias("offer")
    real_people = everyone.lazy().filter(~pl.col("is_test")).select("person")
    lone = real_people.join(pairs, on="person", how="anti").select("person", none)
    loose = [real[k].filter(pl.col("offer") == 0).select(JOURNEY) for k in ("payments", "subscriptions")]
    return pl.concat([pairs, lone, *loose]).unique()


def _tests(placed: Mapping[str, pl.DataFrame], kind: str) -> pl.LazyFrame:
    return placed[kind].lazy().filter(pl.col("is_test") & pl.col("person").is_not_null())


def _tickets(tickets: pl.LazyFrame, walked: pl.LazyFrame) -> pl.LazyFrame:
    """is_payer, payer_net_minor, currency, has_all_access."""
    due = pl.col("is_paying") & (pl.col("grants_expected") > 0)
    newest = pl.col("currency").filter("is_paying").sort_by(pl.col("paid_at").filter("is_paying")).last()
    per_person = (
        walked.join(tickets, on="person", how="semi")
        .with_columns(_currency=newest.over("person"))
        .group_by("person")
        .agg(
            pl.col("is_paying").any().alias("is_payer"),
            pl.col("net_minor").filter(pl.col("is_paying") & (pl.col("currency") == pl.col("_currency"))).sum()
            .cast(pl.Int64).alias("payer_net_minor"),
            pl.col("_currency").first().alias("currency"),
            (pl.col("grants_open") >= pl.col("grants_expected")).filter(due).all().alias("has_all_access"),
        )
    )  # fmt: skip
    return tickets.join(per_person, on="person", how="left", validate="m:1").with_columns(
        pl.col("is_payer", "has_all_access").fill_null(value=False), pl.col("payer_net_minor").fill_null(0)
    )


def _published(kind: str, real: pl.LazyFrame, placed: pl.DataFrame, scope: Scope) -> pl.DataFrame:
    """The kind's registry table and `person`: every record, with what was derived for those of real people."""
    schema = KINDS[kind].schema
    derived = [c for c in schema if c not in placed.columns and c != "offer_id"]
    told = beside(placed, [real.select("row", *derived, _offer="offer")], ["row"])
    return told.with_columns(offer_id=scope.offer_id(pl.coalesce("_offer", "offer"))).select(
        "person", *(pl.col(c).cast(t) for c, t in schema.items())
    )
