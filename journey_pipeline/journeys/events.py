"""journey_events: everything dated that happened to a person, one row each, for time lines."""

from collections.abc import Mapping

import polars as pl

from journey_pipeline.journeys.scope import Scope
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


def events(kinds: Mapping[str, pl.DataFrame], scope: Scope) -> pl.DataFrame:
    """The registry table, in the order in which things happened to each person; a meeting that lies ahead has not.

    `kinds`: the published tables, with the `person` whose number stands for the order of person_id.
    """
    names = pl.Enum(sorted(event for told in _DATED.values() for event, _ in told))
    platforms = pl.Enum(pl.concat([kinds[kind]["platform"].unique() for kind in _DATED]).unique().sort())
    parts = []
    for kind, told in _DATED.items():
        real = kinds[kind].lazy().filter(pl.col("person").is_not_null() & ~pl.col("is_test"))
        is_money = kind == "payments"
        parts += [
            real.filter(pl.col(at) <= scope.now).select(
                "person", "person_id", "offer_id", pl.lit(event, names).alias("event"),
                pl.col(at).alias("occurred_at"), pl.col("platform").cast(platforms), "record_id",
                pl.col("amount_minor") if is_money else pl.lit(None, pl.Int64()).alias("amount_minor"),
                pl.col("currency") if is_money else pl.lit(None, TEXT).alias("currency"),
                "url",
            )
            for event, at in told
        ]  # fmt: skip
    return (
        pl.concat(parts)
        .collect()
        .sort("person", "occurred_at", "event", "platform", "record_id")
        .with_columns(pl.col("event", "platform").cast(TEXT))
        .select(TABLES["journey_events"].columns)
    )
