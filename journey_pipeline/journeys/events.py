"""journey_events: everything dated that happened to a person, one row each, for time lines."""

from collections.abc import Mapping

import polars as pl

from journey_pipeline.registry import TABLES, TEXT

# kind -> (event, the column that dates it). A record may tell of several things.
_DATED = {
    "touchpoints": (("touch", "occurred_at"),),
    "leads": (("lead", "occurred_at"),),
    "contacts": (("crm", "occurred_at"),),
    "bookings": (("booked", "occurred_at"), ("meeting", "starts_at"), ("booking_cancelled", "cancelled_at")),
    "deals": (("deal", "occurred_at"), ("won", "won_at"), ("lost", "lost_at")),
    "agreements": (("proposed", "sent_at"), ("viewed", "viewed_at"), ("signed", "signed_at"), ("declined", "declined_at")),
    "payments": (("paid", "succeeded_at"), ("refunded", "refunded_at"), ("disputed", "disputed_at")),
    "subscriptions": (("subscribed", "occurred_at"), ("subscription_ended", "ended_at")),
    "access": (("access", "occurred_at"), ("access_closed", "closed_at"), ("used", "last_used_at")),
    "messages": (("mailed", "occurred_at"), ("bounced", "bounced_at")),
    "notifications": (("notified", "occurred_at"),),
    "tickets": (("ticket", "occurred_at"), ("ticket_resolved", "resolved_at")),
    "surveys": (("survey", "occurred_at"),),
}  # fmt: skip


def events(tables: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    """The registry table, in the order in which things happened to each person."""
    parts = []
    for kind, told in _DATED.items():
        columns = tables[kind].collect_schema()
        for event, at in told:
            parts.append(
                tables[kind]
                .filter(pl.col("person_id").is_not_null() & pl.col(at).is_not_null() & ~pl.col("is_test"))
                .select(
                    "person_id", "offer_id", pl.lit(event).alias("event"), pl.col(at).alias("occurred_at"), "platform",
                    "record_id",
                    *(pl.col(c) if c in columns and kind == "payments" else pl.lit(None, t).alias(c)
                      for c, t in (("amount_minor", pl.Int64()), ("currency", TEXT))),
                    "url",
                )
            )  # fmt: skip
    return (
        pl.concat(parts)
        .select(TABLES["journey_events"].columns)
        .sort("person_id", "occurred_at", "event", "platform", "record_id")
    )
