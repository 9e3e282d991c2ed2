"""To what a repair is done: the records, items and platforms that each target of plan.yaml stands for, and its sentence.

Whether it may be done is guards'.
"""

from collections.abc import Callable, Mapping

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.invariants.repairs.held import Held
from journey_pipeline.registry import INT, TEXT

# What a target adds to a wanted repair: where, to what, which value, and how much money moves.
TARGET = pl.Schema({
    "target_platform": TEXT, "target_ref": TEXT, "new_value": TEXT, "amount_minor": INT, "amount_currency": TEXT,
    "target_url": TEXT,
})  # fmt: skip

SENTENCES: Mapping[str, str] = {
    "grant_access": "Grant {value} to {who} on {platform}.",
    "restore_access": "Open {ref} for {who} on {platform} again; let it end with what is paid for.",
    "revoke_access": "Take {ref} from {who} on {platform}.",
    "mark_comped": "Mark {ref} on {platform} as given for free.",
    "create_contact": "Create a contact in {platform} for {who}, from {value}.",
    "merge_contacts": "Merge {value} into {ref} in {platform}: deals and payments name the one that stays.",
    "split_contact": "Split {ref} in {platform}.",
    "assign_owner": "Give {ref} in {platform} an owner: the default queue, then the routing rule.",
    "set_field": "Set the field on {ref} in {platform}.",
    "set_stage": "Set the lifecycle stage of {ref} in {platform}.",
    "mark_won": "Mark {ref} in {platform} as won, with a link to {record}.",
    "set_outcome": "Record on {ref} in {platform} whether the meeting took place.",
    "mirror_status": "Bring {ref} on {platform} to the state that the other platform tells.",
    "send_message": "Write to {who} about {record}.",
    "resend_message": "Send {who} the {value} again.",
    "stop_sequence": "Take {who} out of the sequence on {platform}.",
    "suppress_address": "Suppress the address behind {ref} on {platform}.",
    "correct_address": "Ask {who} for an address that works, by phone or text message, and correct it.",
    "refund_payment": "Refund {ref} on {platform}.",
    "capture_payment": "Capture {ref} on {platform}.",
    "void_authorisation": "Void {ref} on {platform}.",
    "collect_payment": "Send {who} an invoice or a payment link for {record}.",
    "cancel_subscription": "Cancel {ref} on {platform}.",
    "choose_subscription": "Show {who} both subscriptions and let them choose: {value}.",
    "reduce_seats": "Take the seats beyond the number paid for from {ref} on {platform}, or sell more.",
    "create_order": "Record the order for {record} in the shop.",
    "link_records": "Tie {record} to the person it belongs to: {value}.",
    "replay_event": "Send {record} through the automation again, once its cause is mended.",
    "map_product": "Add {ref} to an offer in journey.yaml, or to ignore_products.",
    "fix_tracking": "Mend the tracking of {subject}.",
    "fix_form": "Send a test through the form or checkout of {subject}, and mend it.",
    "fix_report": "Have the owner of {subject} mend the figure.",
    "reply_ticket": "Answer {ref} on {platform}.",
    "notify_team": "Tell the team of {record}, and reconnect the automation.",
    "confirm_identity": "Say whether {who} is one person: journey links.",
    "reload_source": "Load {ref} again: journey doctor says what is wrong with it.",
    "review": "Look at {record} with its owner.",
}


def targeted(wanted: pl.DataFrame, held: Held) -> pl.DataFrame:
    """Each wanted repair with what it is to be done to; one with several targets is several, one without stays."""
    parts = [wanted.clear().with_columns(pl.lit(None, dtype=t).alias(c) for c, t in TARGET.items())]
    for (of,), rows in wanted.partition_by("of", as_dict=True, maintain_order=True).items():
        found = _TARGETS[str(of)](rows, held)
        missing = [pl.lit(None, dtype=t).alias(c) for c, t in TARGET.items() if c not in found.columns]
        found = found.with_columns(missing).select("wish", *TARGET.names()).cast(TARGET)
        parts.append(rows.join(found, on="wish", how="left", maintain_order="left"))
    return _by_namesakes(pl.concat(parts), held).with_columns(sentence=_sentence())


def _sentence() -> pl.Expr:
    who = pl.col("person_id").fill_null("the buyer")
    record = pl.coalesce(pl.concat_str("platform", "record_id", separator=":"), "subject")
    parts = {
        "{who}": who, "{ref}": pl.coalesce("target_ref", record), "{value}": pl.col("new_value").fill_null("what is missing"),
        "{platform}": pl.col("target_platform").fill_null("its platform"), "{record}": record, "{subject}": pl.col("subject"),
    }  # fmt: skip
    text = pl.col("wanted_action").replace_strict(SENTENCES, return_dtype=TEXT)
    for place, value in parts.items():
        text = text.str.replace(place, value, literal=True)
    return text


def _by_namesakes(repairs: pl.DataFrame, held: Held) -> pl.DataFrame:
    """To create a contact is wrong where one of that name lies idle: then the two are to be linked or merged."""
    is_new = pl.col("wanted_action") == "create_contact"
    asked = held.people.join(repairs.filter(is_new).select("person_id").unique(), on="person_id", how="semi")
    if asked.is_empty():
        return repairs
    found = repairs.join(held.namesakes(asked), on="person_id", how="left", validate="m:1", maintain_order="left")
    has_one = is_new & pl.col("namesake_ref").is_not_null()
    return found.with_columns(
        wanted_action=pl.when(has_one).then(pl.lit("link_records")).otherwise("wanted_action"),
        target_ref=pl.when(has_one).then("namesake_ref").otherwise("target_ref"),
        target_platform=pl.when(has_one)
        .then(pl.col("namesake_ref").str.splitn(":", 2).struct.field("field_0"))
        .otherwise("target_platform"),
        new_value=pl.when(has_one)
        .then(spelled("link or merge {}, a contact of the same name that nothing else is known of", "namesake_ref"))
        .otherwise("new_value"),
    ).drop("namesake_ref")


# The targets of plan.yaml: each gives `wish` and whatever of TARGET it knows


def _record(rows: pl.DataFrame, _held: Held) -> pl.DataFrame:
    return rows.select(
        "wish",
        target_platform="platform",
        target_ref=pl.concat_str("platform", "record_id", separator=":"),
        target_url="url",
    )


def _person(rows: pl.DataFrame, _held: Held) -> pl.DataFrame:
    return rows.select("wish", target_platform=pl.lit(None, dtype=TEXT), new_value="purpose")


def _product(rows: pl.DataFrame, _held: Held) -> pl.DataFrame:
    settings = pl.lit("journey.yaml")
    return rows.select("wish", target_platform=settings, target_ref=pl.col("subject").str.strip_prefix("product:"))


def _source(rows: pl.DataFrame, _held: Held) -> pl.DataFrame:
    named = pl.col("subject").str.strip_prefix("source:")
    return rows.select("wish", target_ref=named, target_platform=named.str.splitn(":", 2).struct.field("field_0"))


def _open_items(rows: pl.DataFrame, held: Held) -> pl.DataFrame:
    """Open access to what the journey's offer grants."""
    granted = rows.select("wish", "person_id", "offer_id").join(held.items, on="offer_id")
    return _of(granted.join(held.access.filter("is_open"), on=["person_id", "product_ref"]), value="product_ref")


def _closed_items(rows: pl.DataFrame, held: Held) -> pl.DataFrame:
    """The newest access to each item that is open no more."""
    granted = rows.select("wish", "person_id", "offer_id").join(held.items, on="offer_id")
    item = ["person_id", "product_ref"]
    shut = held.access.join(held.access.filter("is_open"), on=item, how="anti").sort("closed_at", "ref")
    newest = shut.unique(item, keep="last", maintain_order=True)
    of_rows = _of(granted.join(newest, on=item), value="product_ref")
    about_access = rows.join(of_rows, on="wish", how="anti")  # a rule about payments names no item
    return pl.concat([of_rows, _record(about_access, held)], how="diagonal")


def _missing_items(rows: pl.DataFrame, held: Held) -> pl.DataFrame:
    """What the offer grants and the person has no open access to."""
    granted = rows.select("wish", "person_id", "offer_id").join(held.items, on="offer_id")
    missing = granted.join(held.access.filter("is_open"), on=["person_id", "product_ref"], how="anti")
    return missing.select(
        "wish",
        target_platform=pl.col("product_ref").str.splitn(":", 2).struct.field("field_0"),
        new_value="product_ref",
    )


def _new_contact(rows: pl.DataFrame, held: Held) -> pl.DataFrame:
    where = held.judging.sources.platforms("contacts")
    return rows.select(
        "wish", target_platform=pl.lit(where), new_value=pl.concat_str("platform", "record_id", separator=":")
    )


def _contact(rows: pl.DataFrame, held: Held) -> pl.DataFrame:
    newest = held.contacts.unique("person_id", keep="last", maintain_order=True)
    return _of(rows.select("wish", "person_id").join(newest, on="person_id"))


def _contacts(rows: pl.DataFrame, held: Held) -> pl.DataFrame:
    """Of several on one CRM, the one that most deals and payments name survives; of equals the oldest."""
    keys = ["person_id", "ref"]
    naming = pl.concat([f.select("person_id", ref="keys").explode("ref") for f in (held.deals, held.payments)])
    counts = naming.drop_nulls("ref").group_by(keys).len("named")
    several = held.contacts.filter(pl.len().over("person_id", "platform") > 1)
    ranked = several.join(counts, on=keys, how="left").with_columns(pl.col("named").fill_null(0))
    ranked = ranked.sort("named", "occurred_at", "ref", descending=[True, False, False])
    kept = ranked.group_by("person_id", "platform", maintain_order=True).agg(
        pl.col("ref", "url").first(), others=pl.col("ref").slice(1).str.join(", ")
    )
    return _of(rows.select("wish", "person_id").join(kept, on="person_id"), value="others")


def _deal(rows: pl.DataFrame, held: Held) -> pl.DataFrame:
    """The newest open deal, one that names the offer before others."""
    is_open = pl.col("won_at").is_null() & pl.col("lost_at").is_null()
    asked = rows.select("wish", "person_id", wanted_offer="offer_id")
    found = asked.join(held.deals.filter(is_open), on="person_id", maintain_order="left_right")
    is_named = pl.col("offer_id").eq_missing(pl.col("wanted_offer"))
    return _of(found.sort(is_named, maintain_order=True).unique("wish", keep="last", maintain_order=True))


def _payment(rows: pl.DataFrame, held: Held) -> pl.DataFrame:
    asked = rows.select("wish", "person_id", ref=pl.concat_str("platform", "record_id", separator=":"))
    return _of(asked.join(held.payments, on=["person_id", "ref"]), amount="net_minor")


def _newest_payment(rows: pl.DataFrame, held: Held) -> pl.DataFrame:
    kept = held.payments.filter(pl.col("is_primary") & (pl.col("net_minor") > 0))
    newest = kept.unique("person_id", keep="last", maintain_order=True)
    return _of(rows.select("wish", "person_id").join(newest, on="person_id"), amount="net_minor")


def _subscription(rows: pl.DataFrame, held: Held) -> pl.DataFrame:
    """The subscription that the finding is about, or that its payment pays; of a person, each that is live."""
    record = pl.concat_str("platform", "record_id", separator=":")
    paid = held.payments.select("person_id", payment="ref", paid_for="subscription_ref")
    asked = (
        rows.select("wish", "person_id", "subject", record=record)
        .join(paid, left_on=["person_id", "record"], right_on=["person_id", "payment"], how="left")
        .with_columns(named=pl.coalesce("paid_for", "record"), whose=pl.col("subject").str.starts_with("person:"))
    )
    found = asked.join(held.subscriptions, on="person_id").filter(
        (pl.col("named") == pl.col("ref")) | (pl.col("whose") & pl.col("is_live"))
    )
    return _of(found)


def _live_subscriptions(rows: pl.DataFrame, held: Held) -> pl.DataFrame:
    """All that are live, side by side: when each was made, last paid, and how much it is."""
    day = "%Y-%m-%d"
    last = pl.col("last_paid_at").dt.strftime(day).fill_null("never")
    said = spelled("{} since {}, last paid {}", "ref", pl.col("occurred_at").dt.strftime(day), last)
    last_use = pl.col("last_used_at").max().dt.strftime(day).fill_null("unknown")
    used = held.of("access", "offer_id", "last_used_at").group_by("person_id", "offer_id").agg(used=last_use)
    found = (
        rows.select("wish", "person_id", "offer_id")
        .join(held.subscriptions.filter("is_live"), on=["person_id", "offer_id"], nulls_equal=True)
        .join(used, on=["person_id", "offer_id"], how="left", nulls_equal=True)
        .with_columns(said=said)
    )
    return found.group_by("wish", maintain_order=True).agg(
        target_platform=pl.col("platform").unique().sort().str.join(" and "),
        new_value=pl.concat_str(
            pl.col("said").str.join("; "), pl.lit("; last use "), pl.col("used").first().fill_null("unknown")
        ),
    )


def _consents(rows: pl.DataFrame, held: Held) -> pl.DataFrame:
    """Every list on which the person is still subscribed, or else every list that is known of them."""
    known = held.of("consents", "state")
    still = known.filter(pl.col("state") == "subscribed")
    every = pl.concat([still, known.join(still, on="person_id", how="anti")])
    return _of(rows.select("wish", "person_id").join(every, on="person_id"))


def _of(found: pl.DataFrame, *, value: str | None = None, amount: str | None = None) -> pl.DataFrame:
    told = {"new_value": value} if value else {}
    if amount:
        told |= {"amount_minor": amount, "amount_currency": "currency"}
    return found.select("wish", target_platform="platform", target_ref="ref", target_url="url", **told)


_TARGETS: Mapping[str, Callable[[pl.DataFrame, Held], pl.DataFrame]] = {
    "record": _record, "person": _person, "product": _product, "source": _source, "open_items": _open_items,
    "closed_items": _closed_items, "missing_items": _missing_items, "new_contact": _new_contact, "contact": _contact,
    "contacts": _contacts, "deal": _deal, "payment": _payment, "newest_payment": _newest_payment,
    "subscription": _subscription, "live_subscriptions": _live_subscriptions, "consents": _consents,
}  # fmt: skip
TARGETS = frozenset(_TARGETS)
