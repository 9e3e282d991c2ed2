"""Builds every journey table from records and identity: the one place where the order of the steps is written."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from journey_pipeline.identity import PERSON_KINDS, Identity
from journey_pipeline.journeys import calls, holdings, sales, service
from journey_pipeline.journeys.campaigns import campaigns
from journey_pipeline.journeys.contacts import contacts
from journey_pipeline.journeys.entitlement import entitlement
from journey_pipeline.journeys.events import events
from journey_pipeline.journeys.figures import reported_vs_actual
from journey_pipeline.journeys.paths import JOURNEY, paths
from journey_pipeline.journeys.people import people
from journey_pipeline.journeys.place import ATTACHED, attach, place
from journey_pipeline.journeys.products import products
from journey_pipeline.journeys.pulses import pulses
from journey_pipeline.journeys.scope import Scope, beside, ref
from journey_pipeline.registry import KINDS, NO_PERSON, TABLES

# Columns of placed records that nothing is derived from; `_published` has them.
_UNREAD = {"email", "phone", "keys", "url", "first_loaded_at", "person_id", "identity_confidence"}
_READ_OF = {
    "subscriptions": {"first_loaded_at"}, "bookings": {"first_loaded_at"}, "messages": {"email"}, "access": {"email"},
}  # fmt: skip


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
        "contact_keys": _contact_keys(placed).lazy(),
        **{name: frame.collect().lazy() for name, frame in _groups(real, placed, kinds, scope).items()},
        **{kind: kinds[kind].lazy().select(KINDS[kind].columns) for kind in NO_PERSON},
    }
    # What is published is let go: a business's records fill most of the memory there is.
    published = {kind: _published(kind, real.pop(kind), placed.pop(kind), scope) for kind in PERSON_KINDS}
    tables |= {kind: frame.lazy().drop("person") for kind, frame in published.items()}
    return Journeys({**tables, "journey_events": events(published, scope).lazy()})


def _laid_out(
    placed: Mapping[str, pl.DataFrame], identity: Identity, scope: Scope
) -> tuple[dict[str, pl.LazyFrame], pl.DataFrame, pl.DataFrame]:
    """The records of real people with what is derived of each, people, and journeys."""
    real = {
        k: f.lazy().filter(~pl.col("is_test") & pl.col("person").is_not_null()).drop(_UNREAD - _READ_OF.get(k, set()))
        for k, f in placed.items()
    }
    real["access"] = holdings.access(real["access"], scope).with_columns(ref=ref()).collect().lazy()
    known = _known(identity)
    sold = sales.payments(real["payments"], real["subscriptions"], real["access"], known, scope)
    paid = service.payments(sold, _anybodys(placed["notifications"]), real["messages"]).lazy()
    agreed = sales.subscriptions(real["subscriptions"], paid, real["access"]).lazy()
    real |= {"payments": paid, "subscriptions": agreed, "bookings": calls.bookings(real["bookings"])}
    held = _offer_of_access(real["access"], paid, agreed, scope)
    real["access"] = holdings.with_siblings(held).collect().lazy()

    pairs = _pairs(real, scope)
    money = sales.money_at(paid, agreed).collect().lazy()
    for kind in ATTACHED:
        real[kind] = (
            attach(real[kind].with_columns(said_offer=pl.col("offer")), money, pairs)
            .with_columns(ref=ref())
            .collect()
            .lazy()
        )
    for kind in ("messages", "touchpoints", "surveys"):
        real[kind] = real[kind].with_columns(ref=ref())
    everyone = people(real, {k: f.lazy().drop_nulls("person") for k, f in placed.items()}, identity, scope)
    (expected_minor,) = everyone["expected_minor"].head(1).to_list() or [None]
    real |= {kind: f.collect().lazy() for kind, f in calls.what_followed(real, expected_minor).items()}
    real["contacts"] = contacts(real["contacts"], real["leads"], scope).collect().lazy()
    entitled = entitlement(paid, agreed, scope).collect().lazy()
    walked = paths(
        {**real, "test_payments": _tests(placed, "payments")}, _all_pairs(pairs, real, everyone), entitled,
        everyone, scope,
    )  # fmt: skip
    of_person = {"has_address": known["has_address"], "has_comp_access": everyone["has_comp_access"]}
    asked = service.tickets(real["tickets"], walked.lazy(), real, scope)
    voices = service.surveys(real["surveys"], walked.lazy(), real, of_person, scope)
    return {**real, "tickets": asked, "surveys": voices}, everyone, walked


def _groups(
    real: Mapping[str, pl.LazyFrame],
    placed: Mapping[str, pl.DataFrame],
    kinds: Mapping[str, pl.DataFrame],
    scope: Scope,
) -> dict[str, pl.LazyFrame]:
    """The tables about many people's records at once; visits count whoever made them."""
    touches, spend = placed["touchpoints"].lazy().filter(~pl.col("is_test")), kinds["spend"].lazy()
    return {
        "campaigns": campaigns(real, touches, spend, scope),
        "pulses": pulses(real, touches, scope),
        "reported_vs_actual": reported_vs_actual(real, kinds["reported"].lazy(), spend, scope),
    }


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


def _anybodys(told: pl.DataFrame) -> pl.LazyFrame:
    """What isn't a test: a notification names a payment, and often nobody."""
    return told.lazy().filter(~pl.col("is_test"))


def _contact_keys(placed: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    table = TABLES["contact_keys"]
    named = service.contact_keys(placed, PERSON_KINDS).select(table.columns).sort(table.key)
    return named.cast(table.schema).collect()


def _published(kind: str, real: pl.LazyFrame, placed: pl.DataFrame, scope: Scope) -> pl.DataFrame:
    """The kind's registry table and `person`: every record, with what was derived for those of real people."""
    schema = KINDS[kind].schema
    derived = [c for c in schema if c not in placed.columns and c != "offer_id"]
    told = beside(placed, [real.select("row", *derived, _offer="offer")], ["row"])
    return told.with_columns(offer_id=scope.offer_id(pl.coalesce("_offer", "offer"))).select(
        "person", *(pl.col(c).cast(t) for c, t in schema.items())
    )
