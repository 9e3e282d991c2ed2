"""What forbids a repair (docs/definitions.md, Guards): each guard's question, asked of every repair that it concerns.

That nothing is ever deleted needs no question: no action of the registry deletes. That only broken rows are repaired is
propose's to see to; so are the two guards that look at many repairs at once.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import NamedTuple

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.invariants.repairs.held import Held
from journey_pipeline.registry import TEXT, TEXTS

TAKING = ("revoke_access", "cancel_subscription", "refund_payment", "merge_contacts", "suppress_address")
_WRITING = ("send_message", "resend_message")
_ALWAYS_WELCOME = ("welcome", "receipt", "dunning")  # what a buyer may get who wants no marketing
_JUST_PAID = timedelta(hours=24)
_NOT_PAID_FOR = ("comp", "import", "staff")


class Guard(NamedTuple):
    """`forbids` is true (or null: not) of the repairs that it stops, for the reason that `why` gives."""

    name: str
    actions: tuple[str, ...]
    forbids: pl.Expr
    why: str | pl.Expr


def asked(repairs: pl.DataFrame, held: Held) -> pl.DataFrame:
    """The repairs with `guards` (who was asked and what they said) and `held_because` (the first that forbids)."""
    known = repairs.with_columns(_none=pl.lit(None, dtype=TEXT))
    for concerned, look in _LOOKS.items():
        if known["wanted_action"].is_in(concerned).any():
            known = look(known, held)
    there = set(known.columns)
    guards = [g for g in _guards(held) if set(g.forbids.meta.root_names()) <= there]
    said, reasons = [], []
    for guard in guards:
        concerns = pl.col("wanted_action").is_in(guard.actions)
        forbids = concerns & guard.forbids.fill_null(value=False)
        why = pl.lit(guard.why) if isinstance(guard.why, str) else guard.why
        reasons.append(pl.when(forbids).then(why))
        said.append(
            pl.when(forbids).then(pl.concat_str(pl.lit(f"{guard.name}: "), why))
            .when(concerns).then(pl.lit(f"{guard.name}: passed"))
        )  # fmt: skip
    return known.with_columns(
        guards=pl.concat_list(said).list.drop_nulls().cast(TEXTS), held_because=pl.coalesce(reasons)
    ).select(*repairs.columns, "guards", "held_because")


def _guards(held: Held) -> list[Guard]:
    sure, act = pl.col("identity_confidence"), held.thresholds.identity_act
    return [
        Guard("who it is", TAKING, sure < act, "We are not sure enough who this is to take anything away."),
        Guard("who it is", TAKING, pl.col("twin_person_id").is_not_null(),
              "Somebody else may be the same person: decide that first (journey links)."),
        Guard("owed elsewhere", ("revoke_access",), pl.col("owed_by").is_not_null(),
              spelled("The person is entitled to it through {}.", "owed_by")),
        Guard("given for free", ("revoke_access",), pl.col("basis").is_in(_NOT_PAID_FOR),
              spelled("It was given as {}, not sold.", "basis")),
        Guard("gift or seat", ("revoke_access",), pl.col("is_others_money"), "Another person's money pays for it."),
        Guard("open ticket", ("revoke_access",), pl.col("ticket_ref").is_not_null(),
              spelled("The person has an open ticket about access or billing: {}.", "ticket_ref")),
        Guard("another subscription", ("cancel_subscription",), pl.col("other_ref").is_not_null(),
              spelled("{} pays for the same access: a person decides which one goes.", "other_ref")),
        Guard("instalments", ("cancel_subscription",), pl.col("is_outstanding"), "Instalments are outstanding."),
        Guard("just paid", ("cancel_subscription",), pl.col("is_just_paid"), "It was paid within the last 24 hours."),
        Guard("kept money", ("refund_payment",), pl.col("kept_minor") <= 0, "Nothing of it is left to give back."),
        Guard("primary copy", ("refund_payment",), ~pl.col("is_primary_copy"),
              "It is a copy of a payment that another platform moved."),
        Guard("dispute", ("refund_payment",), pl.col("in_dispute"), "Its dispute is open: it would be paid back twice."),
        Guard("both twins", ("refund_payment",), pl.col("is_earlier_twin"),
              "The later of the two is refunded already: never both."),
        Guard("entitled", ("grant_access", "restore_access"), pl.col("is_known") & pl.col("entitled_by").is_null(),
              "The payment was refunded or disputed, or what it paid for is over."),
        Guard("due", ("grant_access", "restore_access"), pl.col("access_due_at") > held.as_of,
              "Access isn't due yet."),
        Guard("two payers", ("merge_contacts",), pl.col("paying_count") > 1, "Both have a live payment account."),
        Guard("two owners", ("merge_contacts",), pl.col("deal_owner_count") > 1, "Different owners have open deals with them."),
        Guard("probable tie", ("merge_contacts",), pl.col("is_probable"), "Only a probable tie says that they are one."),
        Guard("opted out", _WRITING, pl.col("opted_out_at").is_not_null() & ~pl.col("purpose").is_in(_ALWAYS_WELCOME),
              "The person opted out of marketing."),
        Guard("bounced", _WRITING, pl.col("is_bounced"), "The last message to the person bounced."),
    ]  # fmt: skip


# What the guards need to know, joined to the repairs; each once, and only where an action asks for it


def _people(repairs: pl.DataFrame, held: Held) -> pl.DataFrame:
    known = held.people.select("person_id", "twin_person_id", "opted_out_at")
    return repairs.join(known, on="person_id", how="left", validate="m:1", maintain_order="left")


def _access(repairs: pl.DataFrame, held: Held) -> pl.DataFrame:
    own = pl.concat([held.payments["ref"], held.subscriptions["ref"]])
    is_others = pl.col("paid_by_ref").is_not_null() & ~pl.col("paid_by_ref").is_in(own.implode())
    about = held.access.select("person_id", "product_ref", "basis", target_ref="ref", is_others_money=is_others)
    # What the finding's own offer is owed for ended; what another offer grants may still stand.
    owed = held.owed.group_by("person_id", "product_ref").agg(owed_by=pl.col("by_offer").sort().first())
    about = about.join(owed, on=["person_id", "product_ref"], how="left").drop("product_ref")
    waiting = held.of("tickets", "topic", "status").filter(
        pl.col("status").is_in(["open", "pending"]) & pl.col("topic").is_in(["access", "billing"])
    )
    tickets = waiting.group_by("person_id").agg(ticket_ref=pl.col("ref").last())
    return repairs.join(about, on=["person_id", "target_ref"], how="left", validate="m:1", maintain_order="left").join(
        tickets, on="person_id", how="left", validate="m:1", maintain_order="left"
    )


def _subscriptions(repairs: pl.DataFrame, held: Held) -> pl.DataFrame:
    every = held.subscriptions
    twins = held.people.select("person_id", "twin_person_id").drop_nulls()
    whose = pl.concat([
        held.people.select("person_id", of_person="person_id"),
        twins.select("person_id", of_person="twin_person_id"),
    ])  # fmt: skip
    feeds = every.select("ref", "person_id", "offer_id").join(held.items, on="offer_id", how="left")
    others = every.filter("is_live").select(other_ref="ref", of_person="person_id", other_offer="offer_id")
    others = others.join(held.items, left_on="other_offer", right_on="offer_id", how="left")
    # Of the same offer, or of one that grants an item of it.
    pairs = feeds.join(whose, on="person_id").join(others, on="of_person", suffix="_other")
    is_same = (pl.col("offer_id") == pl.col("other_offer")) | (pl.col("product_ref") == pl.col("product_ref_other"))
    siblings = pairs.filter((pl.col("ref") != pl.col("other_ref")) & is_same.fill_null(value=False))
    siblings = siblings.group_by("ref").agg(pl.col("other_ref").min())
    about = every.join(siblings, on="ref", how="left").select(
        "person_id", "other_ref", target_ref="ref",
        is_outstanding=pl.col("instalments") > pl.col("paid_count").fill_null(0),
        is_just_paid=pl.col("last_paid_at") > held.as_of - _JUST_PAID,
    )  # fmt: skip
    return repairs.join(about, on=["person_id", "target_ref"], how="left", validate="m:1", maintain_order="left")


def _payments(repairs: pl.DataFrame, held: Held) -> pl.DataFrame:
    is_refund = pl.col("wanted_action") == "refund_payment"
    both = repairs.filter(is_refund).select("target_ref").join(
        held.payments.select(target_ref="ref", earlier_ref="earlier_twin_ref"), on="target_ref"
    )  # fmt: skip
    about = held.payments.select(
        "person_id", target_ref="ref", kept_minor="net_minor", is_primary_copy="is_primary",
        in_dispute=pl.col("dispute_status") == "open",
        is_earlier_twin=pl.col("ref").is_in(both["earlier_ref"].drop_nulls().implode()),
    )  # fmt: skip
    return repairs.join(about, on=["person_id", "target_ref"], how="left", validate="m:1", maintain_order="left")


def _journeys(repairs: pl.DataFrame, held: Held) -> pl.DataFrame:
    known = held.journeys("entitled_by", "access_due_at").with_columns(is_known=pl.lit(value=True))
    place = ["person_id", "offer_id"]
    return repairs.join(known, on=place, how="left", nulls_equal=True, validate="m:1", maintain_order="left")


def _contacts(repairs: pl.DataFrame, held: Held) -> pl.DataFrame:
    live = held.subscriptions.filter("is_live").select("person_id", "email").drop_nulls().unique()
    paying = held.contacts.join(live, on=["person_id", "email"], how="semi").group_by("person_id").agg(
        paying_count=pl.col("email").n_unique()
    )  # fmt: skip
    is_open = pl.col("won_at").is_null() & pl.col("lost_at").is_null()
    owners = held.deals.filter(is_open).group_by("person_id").agg(
        deal_owner_count=pl.col("owner").drop_nulls().n_unique()
    )  # fmt: skip
    merged = repairs.filter(pl.col("wanted_action") == "merge_contacts")["person_id"]
    keys = held.tables["person_keys"].filter(
        pl.col("person_id").is_in(merged.implode()) & (pl.col("how") == "probable")
    )
    probable = keys.select("person_id").unique().collect().with_columns(is_probable=pl.lit(value=True))
    for known in (paying, owners, probable):
        repairs = repairs.join(known, on="person_id", how="left", validate="m:1", maintain_order="left")
    return repairs


def _messages(repairs: pl.DataFrame, held: Held) -> pl.DataFrame:
    last = held.of("messages", "delivered_at", "bounced_at").group_by("person_id").agg(
        pl.col("bounced_at", "delivered_at").max()
    )  # fmt: skip
    is_bounced = pl.col("bounced_at") > pl.col("delivered_at").fill_null(pl.lit(0).cast(pl.Datetime("us", "UTC")))
    known = last.select("person_id", is_bounced=is_bounced)
    return repairs.join(known, on="person_id", how="left", validate="m:1", maintain_order="left")


_LOOKS: Mapping[tuple[str, ...], Callable[[pl.DataFrame, Held], pl.DataFrame]] = {
    (*TAKING, *_WRITING): _people,
    ("revoke_access",): _access,
    ("cancel_subscription",): _subscriptions,
    ("refund_payment",): _payments,
    ("grant_access", "restore_access"): _journeys,
    ("merge_contacts",): _contacts,
    _WRITING: _messages,
}
