"""buyer_journeys: one row per person and offer, every milestone side by side, what is owed and what comes next."""

from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise

import polars as pl

from journey_pipeline.identity import normalise
from journey_pipeline.journeys import holdings, service
from journey_pipeline.journeys.scope import Scope, beside
from journey_pipeline.registry import TABLES, TEXT, TIME

JOURNEY = ["person", "offer"]
# The stages in order, the milestone that reaches each, and what should come after it.
_STAGES = (
    ("touched", "first_touch_at", "ask for their details"),
    ("lead", "lead_at", "create the CRM record"),
    ("in_crm", "crm_at", "book a call or send the offer"),
    ("booked", "booked_at", "hold the call"),
    ("met", "met_at", "send the proposal"),
    ("proposed", "proposed_at", "get it signed"),
    ("signed", "signed_at", "mark the deal won and collect the payment"),
    ("won", "won_at", "collect the payment"),
    ("paid", "paid_at", "open the access"),
    ("has_access", "access_at", "help them begin"),
    ("using", "first_used_at", "keep them"),
)
_OF_ITEMS = (
    "person", "offer", "item", "is_open", "closed_at", "occurred_at", "first_used_at", "platform", "basis", "name", "ref",
)  # fmt: skip
_CLOSE_AMOUNT = 0.3  # a deal within 30 % of what was paid is about that purchase (docs/definitions.md)


def paths(
    kinds: Mapping[str, pl.LazyFrame], pairs: pl.LazyFrame, entitled: pl.LazyFrame, people: pl.DataFrame, scope: Scope
) -> pl.DataFrame:
    """The table buyer_journeys, with `person` and `offer`.

    `kinds`: records of real people with their derived columns and their journey's `offer`; `pairs`: person, offer;
    `people`: in the order of their numbers.
    """
    items = holdings.with_items(kinds["access"], scope).select(_OF_ITEMS).collect().lazy()
    payments = _payments(kinds["payments"]).collect().lazy()
    frame = pairs.with_columns(offer_id=scope.offer_id(pl.col("offer"))).sort("person", "offer_id").collect()
    frame = beside(
        frame,
        [
            payments, _money(kinds), _subscriptions(kinds["subscriptions"]), _deals(kinds["deals"], payments),
            _agreements(kinds["agreements"]), _bookings(kinds["bookings"]), _leads(kinds["leads"]),
            _tickets(kinds["tickets"]), _welcomes(kinds["messages"], scope), entitled,
            holdings.by_journey(items, entitled, _tracked(kinds["access"])), _gifts(kinds, scope), _notified(kinds),
            service.mailed_after(kinds["messages"], kinds["payments"], scope),
        ],
        JOURNEY,
    )  # fmt: skip
    frame = beside(frame, [_touches(kinds["touchpoints"])], ["person"])
    frame = frame.with_columns(column.gather(frame["person"]) for column in _of_person(people))
    offer, offers = pl.col("offer"), scope.offers
    frame = frame.with_columns(
        offer_price_minor=scope.by_offer(offer, [o.price and o.price.amount_minor for o in offers], pl.Int64()),
        is_welcome_expected=scope.by_offer(offer, [bool(o.welcome) for o in offers], pl.Boolean()),
        grants_expected=scope.by_offer(offer, _expected_grants(scope), pl.Int64()),
        _expected_platform=scope.by_offer(offer, [min(at, default=None) for at in _granting(scope)], TEXT),
        _opens_at=scope.by_offer(offer, scope.opens_at(), TIME),
    )
    frame = frame.with_columns(pl.col(_COUNTS).fill_null(0), pl.col(_FLAGS).fill_null(value=False))
    frame = frame.with_columns(
        access_due_at=pl.max_horizontal("entitled_from_at", "_opens_at"),
        is_paying=(pl.col("entitled_by").is_not_null() & (pl.col("entitled_by") != "trial")
                   & pl.col("paid_at").is_not_null()),
        agreed_minor=pl.coalesce("_signed_minor", "_won_minor"),
        agreed_currency=pl.when(pl.col("_signed_minor").is_not_null()).then("_signed_currency").otherwise("_won_currency"),
        churned_at=pl.when(pl.col("entitlement_ended_by").is_in(["subscription_end", "non_payment"]))
        .then("entitlement_ended_at"),
        first_channel=pl.coalesce("first_channel", "_lead_channel"),
        access_platform=pl.coalesce("access_platform", "_expected_platform"),
    )  # fmt: skip
    frame = holdings.lost(frame)
    is_charged = pl.col("_last_paid_at") > pl.col("access_lost_at") + pl.duration(hours=24)
    frame = frame.with_columns(is_charged_since_loss=is_charged.fill_null(value=False))
    frame = _hints(frame, kinds, items, scope)
    return _stage(frame, scope).select(*JOURNEY, *TABLES["buyer_journeys"].columns)


_COUNTS = (
    "paid_minor", "refunded_minor", "net_minor", "payment_count", "ticket_count", "submission_count", "contact_count",
    "grants_expected", "grants_open", "unowed_count", "subscription_count", "live_subscription_count",
    "cancelling_subscription_count", "extra_subscription_minor", "deal_count",
)  # fmt: skip
_FLAGS = (
    "has_matching_deal",
    "has_mixed_currency",
    "is_granted_to_other",
    "is_granted_by_other",
    "is_person_deleted",
    "is_welcome_expected",
    "is_use_tracked",
)


def _payments(paid: pl.LazyFrame) -> pl.LazyFrame:
    counted = paid.filter("counts")
    currencies = counted.group_by(JOURNEY).agg(
        pl.col("currency").min(), has_mixed_currency=pl.col("currency").min() != pl.col("currency").max()
    )
    newest = (
        counted.join(currencies.filter("has_mixed_currency"), on=JOURNEY, how="semi")
        .sort("occurred_at", "ref")
        .group_by(JOURNEY, maintain_order=True)
        .agg(pl.col("currency").last().alias("_newest"))
    )
    journey = currencies.join(newest, on=JOURNEY, how="left", validate="1:1").select(
        *JOURNEY, "has_mixed_currency", currency=pl.coalesce("_newest", "currency")
    )
    is_same = pl.col("currency") == pl.col("currency_journey")
    sums = (
        counted.join(journey, on=JOURNEY, how="left", suffix="_journey")
        .with_columns(
            *(pl.when(is_same).then(c).alias(c) for c in ("amount_minor", "refunded_minor", "net_minor")),
            renewed_at=pl.when("is_renewal").then("succeeded_at"),
        )
        .group_by(JOURNEY)
        .agg(
            pl.col("succeeded_at").min().alias("paid_at"),
            pl.col("succeeded_at").max().alias("_last_paid_at"),
            pl.col("amount_minor").sum().alias("paid_minor"),
            pl.col("refunded_minor", "net_minor").sum(),
            pl.len().cast(pl.Int64).alias("payment_count"),
            pl.col("renewed_at", "refunded_at").max(),
        )
    )
    return sums.join(journey, on=JOURNEY, how="left", validate="1:1")


def _money(kinds: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    parts = [kinds[k].select(*JOURNEY, pl.col("occurred_at").alias("money_at")) for k in ("payments", "subscriptions")]
    tests = kinds["test_payments"].group_by(JOURNEY).agg(pl.col("occurred_at").min().alias("test_paid_at"))
    pending = (
        kinds["payments"].filter(pl.col("status").is_in(["pending", "authorised"])).sort("occurred_at", "ref")
        .group_by(JOURNEY, maintain_order=True).agg(pl.col("method").last().alias("pending_method"))
    )  # fmt: skip
    return (
        pl.concat(parts)
        .group_by(JOURNEY)
        .agg(pl.col("money_at").min())
        .join(tests, on=JOURNEY, how="full", coalesce=True)
        .join(pending, on=JOURNEY, how="left", validate="1:1")
    )


def _subscriptions(agreed: pl.LazyFrame) -> pl.LazyFrame:
    live = pl.col("is_live")
    return (
        agreed.filter("is_primary")
        .group_by(JOURNEY)
        .agg(
            pl.len().cast(pl.Int64).alias("subscription_count"),
            live.sum().cast(pl.Int64).alias("live_subscription_count"),
            (live & pl.col("is_cancelling").fill_null(value=False)).sum().cast(pl.Int64).alias("cancelling_subscription_count"),
            pl.col("occurred_at").filter(live).sort().get(1, null_on_oob=True).alias("second_live_at"),
            (pl.col("amount_minor").filter(live).sum() - pl.col("amount_minor").filter(live).max().fill_null(0))
            .cast(pl.Int64).alias("extra_subscription_minor"),
        )
    )  # fmt: skip


def _deals(deals: pl.LazyFrame, payments: pl.LazyFrame) -> pl.LazyFrame:
    won, lost = pl.col("won_at").is_not_null(), pl.col("lost_at").is_not_null()
    paid = pl.col("paid_minor")
    is_near = (pl.col("amount_minor") - paid).abs() <= _CLOSE_AMOUNT * paid
    names_offer = (pl.col("said_offer") == pl.col("offer")) & (pl.col("offer") > 0)
    kept = (
        deals.filter(pl.col("gone_at").is_null())
        .join(payments.select(*JOURNEY, "paid_minor"), on=JOURNEY, how="left", validate="m:1")
        .sort("occurred_at", "ref")
    )
    return kept.group_by(JOURNEY, maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("deal_count"),
        pl.col("won_at").min(),
        pl.when((lost & ~won).all()).then(pl.col("lost_at").max()).alias("deal_lost_at"),
        pl.col("amount_minor").filter(won).last().alias("_won_minor"),
        pl.col("currency").filter(won).last().alias("_won_currency"),
        (names_offer | pl.col("amount_minor").is_null() | is_near.fill_null(value=False))
        .any()
        .alias("has_matching_deal"),
    )


def _agreements(signed: pl.LazyFrame) -> pl.LazyFrame:
    done = pl.col("signed_at").is_not_null()
    return signed.sort("signed_at", "ref", nulls_last=False).group_by(JOURNEY, maintain_order=True).agg(
        pl.col("sent_at").min().alias("proposed_at"),
        pl.col("signed_at").min(),
        pl.col("amount_minor").filter(done).last().alias("_signed_minor"),
        pl.col("currency").filter(done).last().alias("_signed_currency"),
    )  # fmt: skip


def _bookings(booked: pl.LazyFrame) -> pl.LazyFrame:
    return booked.filter("is_primary").group_by(JOURNEY).agg(
        pl.col("occurred_at").min().alias("booked_at"),
        pl.col("starts_at").filter(pl.col("status") == "completed").min().alias("met_at"),
    )  # fmt: skip


def _leads(leads: pl.LazyFrame) -> pl.LazyFrame:
    return (
        _in_order(leads, pl.col("source"))
        .group_by(JOURNEY)
        .agg(
            pl.col("occurred_at").min().alias("lead_at"),
            pl.len().cast(pl.Int64).alias("submission_count"),
            pl.col("_channel").min_by("_place").alias("_lead_channel"),
        )
    )


def _in_order(frame: pl.LazyFrame, channel: pl.Expr) -> pl.LazyFrame:
    """Each record with its `_channel`, and its `_place` in time among those that have one."""
    return (
        frame.select("person", "offer", "occurred_at", "ref", _channel=channel)
        .sort("occurred_at", "ref")
        .with_row_index("_place")
        .with_columns(pl.when(pl.col("_channel").is_not_null()).then("_place"))
    )


def _tickets(tickets: pl.LazyFrame) -> pl.LazyFrame:
    return tickets.sort("occurred_at", "ref").group_by(JOURNEY, maintain_order=True).agg(
        pl.col("occurred_at").first().alias("ticket_at"),
        pl.col("resolved_at").first().alias("ticket_resolved_at"),
        pl.len().cast(pl.Int64).alias("ticket_count"),
    )  # fmt: skip


def _welcomes(messages: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    rows = [(n, template) for n, offer in enumerate(scope.offers, 1) for template in offer.welcome]
    welcome = pl.LazyFrame(rows, schema={"offer": pl.Int64(), "template_ref": TEXT}, orient="row")
    return (
        messages.drop("offer")
        .join(welcome, on="template_ref", how="inner")
        .group_by(JOURNEY)
        .agg(pl.col("delivered_at").min().alias("welcomed_at"))
    )


def _notified(kinds: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    return kinds["payments"].group_by(JOURNEY).agg(pl.col("notified_at").min())


def _touches(touches: pl.LazyFrame) -> pl.LazyFrame:
    return (
        _in_order(touches, pl.coalesce("channel", "source"))
        .group_by("person")
        .agg(
            pl.col("occurred_at").min().alias("first_touch_at"),
            pl.col("_channel").min_by("_place").alias("first_channel"),
            pl.col("_channel").max_by("_place").alias("last_channel"),
        )
    )


def _of_person(people: pl.DataFrame) -> pl.DataFrame:
    return people.select(
        "person_id", "identity_confidence", "is_test", "crm_at",
        pl.col("crm_contact_count").alias("contact_count"), pl.col("crm_owner").alias("owner"),
        pl.col("crm_deleted_at").is_not_null().alias("is_person_deleted"),
    )  # fmt: skip


def _granting(scope: Scope) -> list[set[str]]:
    """The connected platforms that grant something of each offer."""
    refs = [scope.items.filter(pl.col("offer") == n)["product_ref"] for n in range(1, len(scope.offers) + 1)]
    return [{ref.split(":")[0] for ref in of_offer} for of_offer in refs]


def _expected_grants(scope: Scope) -> list[int]:
    granting = scope.items["offer"].to_list()
    return [granting.count(n) for n in range(1, len(scope.offers) + 1)]


def _tracked(held: pl.LazyFrame) -> list[str]:
    """The platforms that have ever said when anyone used their access."""
    told = held.filter(pl.col("last_used_at").is_not_null()).select(pl.col("platform").unique().sort())
    return told.collect()["platform"].to_list()


def _gifts(kinds: Mapping[str, pl.LazyFrame], scope: Scope) -> pl.LazyFrame:
    given = holdings.given_by_other(kinds["access"], kinds["payments"], kinds["subscriptions"])
    giver = given.select(pl.col("giver_person").alias("person"), pl.col("giver_offer").alias("offer")).unique()
    taker = given.join(scope.items.lazy(), on="product_ref", how="inner").select(JOURNEY).unique()
    return giver.with_columns(is_granted_to_other=pl.lit(value=True)).join(
        taker.with_columns(is_granted_by_other=pl.lit(value=True)), on=JOURNEY, how="full", coalesce=True
    )


def _hints(frame: pl.DataFrame, kinds: Mapping[str, pl.LazyFrame], items: pl.LazyFrame, scope: Scope) -> pl.DataFrame:
    """What tells likely causes apart, for the journeys that pay and have nothing, or have and don't pay."""
    odd = frame.lazy().filter(
        (pl.col("entitled_by").is_not_null() & (pl.col("grants_open") < pl.col("grants_expected")))
        | ((pl.col("grants_open") > 0) & pl.col("money_at").is_null())
    ).select(JOURNEY).collect().lazy()  # fmt: skip
    somebody = odd.select("person").unique()
    granted = [(n, platform) for n, platforms in enumerate(_granting(scope), 1) for platform in platforms]
    target = pl.LazyFrame(granted, schema={"offer": pl.Int64(), "platform": TEXT}, orient="row")
    accounts = pl.concat([kinds[k].select("person", "platform") for k in ("access", "contacts", "payments", "tickets")])
    has_account = (
        odd.join(target, on="offer", how="inner")
        .join(accounts.join(somebody, on="person", how="semi").unique(), on=["person", "platform"], how="semi")
        .select(JOURNEY).unique().with_columns(has_account_on_target=pl.lit(value=True))
    )  # fmt: skip
    unmapped = (
        kinds["access"].filter("is_open").join(somebody, on="person", how="semi")
        .join(scope.items.lazy(), on="product_ref", how="anti")
        .select("person").unique().with_columns(has_unmapped_access=pl.lit(value=True))
    )  # fmt: skip
    moneyed = pl.concat([kinds[k].select(JOURNEY) for k in ("payments", "subscriptions")])
    elsewhere = (
        items.filter("is_open").join(somebody, on="person", how="semi").join(moneyed, on=JOURNEY, how="anti")
        .select("person", pl.col("offer").alias("_other")).join(odd, on="person", how="inner")
        .filter(pl.col("_other") != pl.col("offer"))
        .select(JOURNEY).unique().with_columns(has_other_offer_access=pl.lit(value=True))
    )  # fmt: skip
    told = beside(frame, [has_account, elsewhere, _namesakes(odd, kinds, items)], JOURNEY)
    return beside(told, [unmapped], ["person"]).with_columns(
        pl.col("has_account_on_target", "has_unmapped_access", "has_other_offer_access").fill_null(value=False)
    )


def _namesakes(odd: pl.LazyFrame, kinds: Mapping[str, pl.LazyFrame], items: pl.LazyFrame) -> pl.LazyFrame:
    """other_person_access_ref: open access to the offer by somebody else of the same full name.

    One word is not enough: in an export that often leaves a name's other half out, every Kelly is the next one's.
    """
    said = (
        pl.concat([kinds[k].select("person", "name") for k in ("payments", "contacts", "leads")])
        .join(odd, on="person", how="semi").unique()
    )  # fmt: skip
    theirs = items.filter("is_open").select("offer", "person", "name", "ref")
    words = normalise.name(pl.col("name"))
    spellings = (
        pl.concat([said.select("name"), theirs.select("name")]).drop_nulls().unique()
        .with_columns(_name=pl.when(words.str.contains(" ")).then(words)).drop_nulls()
    )  # fmt: skip
    # However many share a name: the least access of all, and the least of anybody but its holder.
    least = (
        theirs.join(spellings, on="name", how="inner", validate="m:1")
        .group_by("offer", "_name", "person").agg(pl.col("ref").min())
        .sort("ref")
        .group_by("offer", "_name", maintain_order=True)
        .agg(
            pl.col("person").first().alias("_holder"), pl.col("ref").first().alias("_least"),
            pl.col("ref").get(1, null_on_oob=True).alias("_next"),
        )
    )  # fmt: skip
    ref = pl.when(pl.col("_holder") != pl.col("person")).then("_least").otherwise("_next")
    return (
        odd.join(said, on="person", how="inner")
        .join(spellings, on="name", how="inner", validate="m:1")
        .join(least, on=["offer", "_name"], how="inner", validate="m:1")
        .group_by(JOURNEY)
        .agg(ref.min().alias("other_person_access_ref"))
    )


def _stage(frame: pl.DataFrame, scope: Scope) -> pl.DataFrame:
    """stage, stage_since_at, is_stuck, next_step."""
    names = [name for name, _, _ in _STAGES]
    reached = pl.coalesce(
        [pl.when(pl.col(at).is_not_null()).then(pl.lit(n)) for n, (_, at, _) in reversed(list(enumerate(_STAGES)))]
    ).fill_null(0)
    since = pl.coalesce([pl.when(pl.col("_reached") == n).then(at) for n, (_, at, _) in enumerate(_STAGES)])
    is_refunded = (pl.col("payment_count") > 0) & (pl.col("net_minor") == 0) & pl.col("refunded_at").is_not_null()
    has_ended = (
        pl.col("entitled_by").is_null() & pl.col("churned_at").is_not_null() & (pl.col("churned_at") <= scope.as_of)
    )
    ahead = frame.with_columns(_reached=reached).with_columns(
        stage=pl.when(has_ended).then(pl.lit("churned")).when(is_refunded).then(pl.lit("refunded"))
        .otherwise(pl.col("_reached").replace_strict(dict(enumerate(names)), return_dtype=TEXT)),
        stage_since_at=pl.when(has_ended).then("churned_at").when(is_refunded).then("refunded_at").otherwise(since),
    )  # fmt: skip
    steps = {name: step for name, _, step in _STAGES} | {"refunded": "ask why", "churned": "ask why, offer a way back"}
    waits = _waits(frame)
    limit = pl.col("stage").replace_strict(
        list(waits), list(waits.values()), default=None, return_dtype=pl.Duration("us")
    )
    return ahead.with_columns(
        next_step=pl.when(pl.col("is_paying") & (pl.col("grants_open") < pl.col("grants_expected")))
        .then(pl.lit("open the access they paid for"))
        .otherwise(pl.col("stage").replace_strict(steps, return_dtype=TEXT)),
        is_stuck=(scope.now - pl.col("stage_since_at") > limit).fill_null(value=False),
    )


def _waits(frame: pl.DataFrame) -> Mapping[str, timedelta | None]:
    """How long nine in ten waited at each stage, of those who moved on to the next one."""
    waits = [
        pl.when(pl.col(after) > pl.col(at)).then(pl.col(after) - pl.col(at)).quantile(0.9).alias(name)
        for (name, at, _), (_, after, _) in pairwise(_STAGES)
    ]
    return frame.select(waits).row(0, named=True)
