"""buyer_journeys: one row per person and offer, every milestone side by side, what is owed and what comes next."""

from collections.abc import Mapping
from itertools import pairwise

import polars as pl

from journey_pipeline.identity import normalise
from journey_pipeline.journeys import holdings
from journey_pipeline.journeys.scope import Scope
from journey_pipeline.registry import TABLES, TEXT

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
_CLOSE_AMOUNT = 0.3  # a deal within 30 % of what was paid is about that purchase (INVARIANTS 0.5)


def paths(
    kinds: Mapping[str, pl.LazyFrame], pairs: pl.LazyFrame, entitled: pl.LazyFrame, people: pl.LazyFrame, scope: Scope
) -> pl.DataFrame:
    """The table buyer_journeys, with `person` and `offer`.

    `kinds`: records of real people with their derived columns and their journey's `offer`; `pairs`: person, offer.
    """
    items = holdings.with_items(kinds["access"], scope)
    payments = _payments(kinds["payments"])
    frame = pairs
    for part in (
        payments, _money(kinds), _subscriptions(kinds["subscriptions"]), _deals(kinds["deals"], payments),
        _agreements(kinds["agreements"]), _bookings(kinds["bookings"]), _leads(kinds["leads"]),
        _tickets(kinds["tickets"]), _welcomes(kinds["messages"], scope), entitled,
        holdings.by_journey(items, entitled), _gifts(kinds, scope),
    ):  # fmt: skip
        frame = frame.join(part, on=JOURNEY, how="left", validate="1:1")
    offers = scope.offers
    expected = (
        scope.items.group_by("offer").len().rename({"len": "grants_expected"}).cast({"grants_expected": pl.Int64})
    )
    tracked = _tracked(kinds["access"], scope)
    frame = (
        frame.join(expected.lazy(), on="offer", how="left")
        .join(tracked, on="offer", how="left")
        .join(_notified(kinds), on=JOURNEY, how="left", validate="1:1")
        .join(_touches(kinds["touchpoints"]), on="person", how="left", validate="m:1")
        .join(_person(people), on="person", how="left", validate="m:1")
        .with_columns(
            offer_id=scope.offer_id(pl.col("offer")),
            offer_price_minor=scope.by_offer(pl.col("offer"), [o.price.amount_minor if o.price else None for o in offers], pl.Int64()),
            is_welcome_expected=scope.by_offer(pl.col("offer"), [bool(o.welcome) for o in offers], pl.Boolean()),
            _opens_at=scope.by_offer(pl.col("offer"), scope.opens_at(), pl.Datetime("us", "UTC")),
            **{c: pl.col(c).fill_null(0) for c in _COUNTS},
            **{c: pl.col(c).fill_null(value=False) for c in _FLAGS},
        )
        .with_columns(
            pl.col("is_welcome_expected").fill_null(value=False),
            access_due_at=pl.max_horizontal("entitled_from_at", "_opens_at"),
            is_paying=(pl.col("entitled_by").is_not_null() & (pl.col("entitled_by") != "trial")
                       & pl.col("paid_at").is_not_null()),
            agreed_minor=pl.coalesce("_signed_minor", "_won_minor"),
            agreed_currency=pl.when(pl.col("_signed_minor").is_not_null()).then("_signed_currency").otherwise("_won_currency"),
            churned_at=pl.when(pl.col("entitlement_ended_by").is_in(["subscription_end", "non_payment"]))
            .then("entitlement_ended_at"),
            first_channel=pl.coalesce("first_channel", "_lead_channel"),
        )
        .pipe(holdings.lost)
        .with_columns(is_charged_since_loss=(pl.col("_last_paid_at") > pl.col("access_lost_at") + pl.duration(hours=24))
                      .fill_null(value=False))
        .pipe(_hints, kinds, items, scope)
        .pipe(_stage, scope)
    )  # fmt: skip
    columns = TABLES["buyer_journeys"].columns
    return frame.select(*JOURNEY, *columns).sort(JOURNEY).collect()


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
    "is_use_tracked",
    "is_person_deleted",
)


def _payments(paid: pl.LazyFrame) -> pl.LazyFrame:
    counted = paid.filter("counts").sort("occurred_at", "ref")
    newest = counted.group_by(JOURNEY, maintain_order=True).agg(
        pl.col("currency").last(), (pl.col("currency").n_unique() > 1).alias("has_mixed_currency")
    )
    sums = (
        counted.join(newest, on=JOURNEY, how="left", suffix="_journey")
        .with_columns(_same=pl.col("currency") == pl.col("currency_journey"))
        .group_by(JOURNEY)
        .agg(
            pl.col("succeeded_at").min().alias("paid_at"),
            pl.col("succeeded_at").max().alias("_last_paid_at"),
            pl.col("amount_minor").filter("_same").sum().cast(pl.Int64).alias("paid_minor"),
            pl.col("refunded_minor").filter("_same").sum().cast(pl.Int64).alias("refunded_minor"),
            pl.col("net_minor").filter("_same").sum().cast(pl.Int64).alias("net_minor"),
            pl.len().cast(pl.Int64).alias("payment_count"),
            pl.col("succeeded_at").filter("is_renewal").max().alias("renewed_at"),
            pl.col("refunded_at").max(),
        )
    )
    return sums.join(newest, on=JOURNEY, how="left", validate="1:1")


def _money(kinds: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    parts = [kinds[k].select(*JOURNEY, pl.col("occurred_at").alias("money_at")) for k in ("payments", "subscriptions")]
    tests = kinds["test_payments"].group_by(JOURNEY).agg(pl.col("occurred_at").min().alias("test_paid_at"))
    return (
        pl.concat(parts)
        .group_by(JOURNEY)
        .agg(pl.col("money_at").min())
        .join(tests, on=JOURNEY, how="full", coalesce=True)
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
    return leads.sort("occurred_at", "ref").group_by(JOURNEY, maintain_order=True).agg(
        pl.col("occurred_at").min().alias("lead_at"),
        pl.len().cast(pl.Int64).alias("submission_count"),
        pl.col("source").drop_nulls().first().alias("_lead_channel"),
    )  # fmt: skip


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
    told = kinds["notifications"].select(pl.col("about_ref").alias("ref"), pl.col("occurred_at").alias("notified_at"))
    return kinds["payments"].select(*JOURNEY, "ref").join(told, on="ref", how="inner").group_by(JOURNEY).agg(
        pl.col("notified_at").min()
    )  # fmt: skip


def _touches(touches: pl.LazyFrame) -> pl.LazyFrame:
    channel = pl.coalesce("channel", "source")
    return touches.sort("occurred_at", "ref").group_by("person", maintain_order=True).agg(
        pl.col("occurred_at").first().alias("first_touch_at"),
        channel.drop_nulls().first().alias("first_channel"),
        channel.drop_nulls().last().alias("last_channel"),
    )  # fmt: skip


def _person(people: pl.LazyFrame) -> pl.LazyFrame:
    return people.select(
        "person", "person_id", "identity_confidence", "is_test", "crm_at",
        pl.col("crm_contact_count").alias("contact_count"), pl.col("crm_owner").alias("owner"),
        pl.col("crm_deleted_at").is_not_null().alias("is_person_deleted"),
    )  # fmt: skip


def _tracked(held: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    """offer, is_use_tracked: a platform of its grants has ever said when anyone used it."""
    telling = held.filter(pl.col("last_used_at").is_not_null()).select("platform").unique()
    by_platform = scope.items.lazy().with_columns(platform=pl.col("product_ref").str.split(":").list.first())
    return by_platform.join(telling, on="platform", how="semi").select("offer").unique().with_columns(
        is_use_tracked=pl.lit(value=True)
    )  # fmt: skip


def _gifts(kinds: Mapping[str, pl.LazyFrame], scope: Scope) -> pl.LazyFrame:
    given = holdings.given_by_other(kinds["access"], kinds["payments"], kinds["subscriptions"])
    giver = given.select(pl.col("giver_person").alias("person"), pl.col("giver_offer").alias("offer")).unique()
    taker = given.join(scope.items.lazy(), on="product_ref", how="inner").select(JOURNEY).unique()
    return giver.with_columns(is_granted_to_other=pl.lit(value=True)).join(
        taker.with_columns(is_granted_by_other=pl.lit(value=True)), on=JOURNEY, how="full", coalesce=True
    )


def _hints(frame: pl.LazyFrame, kinds: Mapping[str, pl.LazyFrame], items: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    """What tells likely causes apart, for the few journeys that pay and have nothing, or have and don't pay."""
    odd = frame.filter(
        (pl.col("is_paying") & (pl.col("grants_open") < pl.col("grants_expected")))
        | ((pl.col("grants_open") > 0) & pl.col("money_at").is_null())
    ).select(*JOURNEY).collect().lazy()  # fmt: skip
    somebody = odd.select("person").unique()
    mine = kinds["access"].join(somebody, on="person", how="semi")
    granting = scope.items.lazy().with_columns(platform=pl.col("product_ref").str.split(":").list.first())
    target = granting.select("offer", "platform").unique()
    accounts = pl.concat([kinds[k].select("person", "platform") for k in ("access", "contacts", "payments", "tickets")])
    has_account = (
        odd.join(target, on="offer", how="inner")
        .join(accounts.join(somebody, on="person", how="semi").unique(), on=["person", "platform"], how="semi")
        .select(JOURNEY).unique().with_columns(has_account_on_target=pl.lit(value=True))
    )  # fmt: skip
    unmapped = mine.filter("is_open").join(granting, on="product_ref", how="anti").select("person").unique()
    moneyed = pl.concat([kinds[k].select(JOURNEY) for k in ("payments", "subscriptions")]).unique()
    elsewhere = (
        items.filter("is_open").join(somebody, on="person", how="semi").join(moneyed, on=JOURNEY, how="anti")
        .select("person", pl.col("offer").alias("_other")).join(odd, on="person", how="inner")
        .filter(pl.col("_other") != pl.col("offer")).select(JOURNEY).unique()
    )  # fmt: skip
    return (
        frame.join(has_account, on=JOURNEY, how="left")
        .join(unmapped.with_columns(has_unmapped_access=pl.lit(value=True)), on="person", how="left")
        .join(elsewhere.with_columns(has_other_offer_access=pl.lit(value=True)), on=JOURNEY, how="left")
        .join(_namesakes(odd, kinds, items), on=JOURNEY, how="left")
        .join(_expected_platform(granting), on="offer", how="left")
        .with_columns(
            pl.col("has_account_on_target", "has_unmapped_access", "has_other_offer_access").fill_null(value=False),
            access_platform=pl.coalesce("access_platform", "_expected_platform"),
        )
    )


def _expected_platform(granting: pl.LazyFrame) -> pl.LazyFrame:
    return granting.group_by("offer").agg(pl.col("platform").sort().first().alias("_expected_platform"))


def _namesakes(odd: pl.LazyFrame, kinds: Mapping[str, pl.LazyFrame], items: pl.LazyFrame) -> pl.LazyFrame:
    """other_person_access_ref: open access to the offer by somebody else of the same full name.

    One word is not enough: in an export that often leaves a name's other half out, every Kelly is the next one's.
    """
    words = normalise.name(pl.col("name"))
    name = pl.when(words.str.contains(" ")).then(words).alias("_name")
    said = pl.concat([kinds[k].select("person", name) for k in ("payments", "contacts", "leads")]).drop_nulls()
    theirs = items.filter("is_open").select("offer", pl.col("person").alias("_who"), name, "ref").drop_nulls()
    return (
        odd.join(said.join(odd, on="person", how="semi").unique(), on="person", how="inner")
        .join(theirs, on=["offer", "_name"], how="inner")
        .filter(pl.col("_who") != pl.col("person"))
        .group_by(JOURNEY)
        .agg(pl.col("ref").min().alias("other_person_access_ref"))
    )


def _stage(frame: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
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
    limits = _waits(frame)
    return ahead.join(limits.rename({"_stage": "stage"}), on="stage", how="left").with_columns(
        next_step=pl.when(pl.col("is_paying") & (pl.col("grants_open") < pl.col("grants_expected")))
        .then(pl.lit("open the access they paid for"))
        .otherwise(pl.col("stage").replace_strict(steps, return_dtype=TEXT)),
        is_stuck=(scope.now - pl.col("stage_since_at") > pl.col("_p90")).fill_null(value=False),
    )


def _waits(frame: pl.LazyFrame) -> pl.LazyFrame:
    """_stage, _p90: how long nine in ten waited at a stage, of those who moved on to the next one."""
    waits = [
        pl.when(pl.col(after) > pl.col(at)).then(pl.col(after) - pl.col(at)).quantile(0.9).alias(name)
        for (name, at, _), (_, after, _) in pairwise(_STAGES)
    ]
    return frame.select(waits).unpivot(variable_name="_stage", value_name="_p90")
