"""What comes after the purchase: who was told of it, who was written to and reached, how cases and surveys ended.

Columns of payments, journeys, people, tickets and surveys that are told by messages, notifications and replies. Not here:
what was sold (sales.py) or is held (holdings.py).
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import polars as pl

from journey_pipeline.identity import normalise
from journey_pipeline.journeys.scope import Scope, beside
from journey_pipeline.registry import TIME

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_CART_FOLLOWS = timedelta(days=7)  # a cart mail that names no offer is about the purchase of the days before it
_CHASES = ("dunning", "cart", "other")
_DETRACTOR = (pl.col("_instrument") == "nps") & (pl.col("score") <= 6) | (  # noqa: PLR2004 - NPS counts 0 to 6
    pl.col("_instrument") == "csat"
) & (pl.col("score") <= 2)  # noqa: PLR2004 - of five stars
_REACHED_UNDER = ("payments", "access", "leads", "tickets", "bookings")


def payments(paid: pl.DataFrame, notifications: pl.LazyFrame, messages: pl.LazyFrame) -> pl.DataFrame:
    """The payments with notified_at, dispute_notified_at, is_repeat_failure, chased_at."""
    failed = paid.lazy().filter(pl.col("status") == "failed").select("row", "person", "offer", "occurred_at")
    parts = [_notified(paid.lazy(), notifications), _repeats(failed), _chased(failed, messages)]
    return beside(paid, parts, ["row"]).with_columns(pl.col("is_repeat_failure").fill_null(value=False))


def _notified(paid: pl.LazyFrame, notifications: pl.LazyFrame) -> pl.LazyFrame:
    """row, notified_at, dispute_notified_at: what the team was told of any copy of the sale."""
    heard = notifications.select(ref=pl.col("about_ref"), at=pl.col("occurred_at")).drop_nulls("ref")
    of_sale = paid.select("ref", "sale_id").join(heard, on="ref", how="inner").select("sale_id", "at")
    at = pl.col("at")
    return (
        paid.select("row", "sale_id", "disputed_at")
        .join(of_sale, on="sale_id", how="inner")
        .group_by("row")
        .agg(notified_at=at.min(), dispute_notified_at=at.filter(at >= pl.col("disputed_at")).min())
    )


def _repeats(failed: pl.LazyFrame) -> pl.LazyFrame:
    """row, is_repeat_failure: the same person's payment for the offer failed within the day before already."""
    ordered = failed.sort("person", "offer", "occurred_at", "row")
    is_same = (pl.col("person") == pl.col("person").shift(1)) & (pl.col("offer") == pl.col("offer").shift(1))
    return ordered.select("row", is_repeat_failure=is_same & (pl.col("occurred_at").diff() <= _DAY))


def _chased(failed: pl.LazyFrame, messages: pl.LazyFrame) -> pl.LazyFrame:
    """row, chased_at: the first word to the person from the failure on that did not bounce."""
    said = (
        messages.filter(pl.col("purpose").is_in(_CHASES), pl.col("bounced_at").is_null())
        .join(failed.select("person").unique(), on="person", how="semi")
        .select("person", chased_at=pl.col("occurred_at"))
        .sort("chased_at")
    )
    return (
        failed.sort("occurred_at")
        .join_asof(
            said, left_on="occurred_at", right_on="chased_at", by="person", strategy="forward", coalesce=False,
            check_sortedness=False,
        )
        .select("row", "chased_at")
    )  # fmt: skip


def mailed_after(messages: pl.LazyFrame, paid: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    """person, offer, cart_mail_at, sales_mail_at: latest mail of the look-back that sells what was bought an hour ago or more.

    Not of offers that may be bought again and again: there it is about the next purchase.
    """
    once = [n for n, offer in enumerate(scope.offers, 1) if not offer.repeatable]
    bought = (
        paid.filter(pl.col("counts") & (pl.col("net_minor") > 0) & pl.col("offer").is_in(once))
        .group_by("person", "offer")
        .agg(_bought_at=pl.col("occurred_at").max())
    )
    late = pl.col("occurred_at") > pl.col("_bought_at") + _HOUR
    sold = messages.filter(
        pl.col("purpose").is_in(["cart", "sequence"]) & (pl.col("occurred_at") >= scope.as_of - scope.span("look_back"))
    ).select("person", "offer", "purpose", "occurred_at")
    named = sold.filter(pl.col("offer") > 0).join(bought, on=["person", "offer"], how="inner").filter(late)
    unnamed = (
        sold.filter((pl.col("offer") == 0) & (pl.col("purpose") == "cart"))
        .drop("offer")
        .join(bought, on="person", how="inner")
        .filter(late & (pl.col("occurred_at") <= pl.col("_bought_at") + _CART_FOLLOWS))
    )
    at, purpose = pl.col("occurred_at"), pl.col("purpose")
    return (
        pl.concat([named, unnamed], how="diagonal")
        .group_by("person", "offer")
        .agg(
            cart_mail_at=at.filter(purpose == "cart").max(), sales_mail_at=at.filter(purpose == "sequence").max()
        )
    )  # fmt: skip


def reach(kinds: Mapping[str, pl.LazyFrame], everything: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    """person, bounced_at, reached_at: the newest bounce that nothing got through after, and how they were reached since.

    `kinds`: records of real people, messages with their `email`; `everything`: all placed records, with addresses.
    """
    mails = kinds["messages"]
    last = (
        mails.filter(pl.col("bounced_at").is_not_null(), pl.col("email").is_not_null())
        .group_by("person", _address("email"))
        .agg(pl.col("bounced_at").max())
        .collect()
        .lazy()
    )
    # Few addresses bounce: only what was sent to those people is read, and their addresses compared.
    theirs = (
        mails.filter(pl.col("delivered_at").is_not_null(), pl.col("bounced_at").is_null())
        .join(last.select("person").unique(), on="person", how="semi")
        .select("person", _address("email"), "channel", "delivered_at")
        .collect()
        .lazy()
    )
    delivered = theirs.group_by("person", "email").agg(pl.col("delivered_at").max())
    bounced = (
        last.join(delivered, on=["person", "email"], how="left")
        .filter(~(pl.col("delivered_at") > pl.col("bounced_at")).fill_null(value=False))
        .sort("bounced_at", "email")
        .group_by("person", maintain_order=True)
        .agg(pl.col("bounced_at").last(), _bounced_email=pl.col("email").last())
        .collect()
        .lazy()
    )
    is_other = pl.col("email").ne_missing(pl.col("_bounced_email"))
    through = theirs.join(bounced, on="person", how="inner").filter(is_other | (pl.col("channel") != "email"))
    answered = kinds["tickets"].join(bounced, on="person", how="inner")
    elsewhere = [
        everything[kind].filter(pl.col("email").is_not_null()).join(bounced, on="person", how="inner")
        .with_columns(_address("email")).filter(is_other).select("person", "bounced_at", at="occurred_at")
        for kind in _REACHED_UNDER
    ]  # fmt: skip
    ways = pl.concat([
        through.select("person", "bounced_at", at="delivered_at"),
        answered.select("person", "bounced_at", at="first_reply_at"),
        *elsewhere,
    ]).filter(pl.col("at") > pl.col("bounced_at"))  # fmt: skip
    reached = ways.group_by("person").agg(reached_at=pl.col("at").min())
    return bounced.select("person", "bounced_at").join(reached, on="person", how="left", validate="1:1")


def _address(column: str) -> pl.Expr:
    return normalise.canonical(normalise.email(pl.col(column))).alias(column)


def accounts(held: pl.LazyFrame) -> pl.LazyFrame:
    """person, account_count, second_account_at: addresses with open access on the platform that has most of them.

    `held`: access of real people, with `email` and `is_open`.
    """
    logins = held.filter("is_open", pl.col("email").is_not_null()).select("person", "platform", "email", "occurred_at")
    spelt = logins.group_by("person").agg(_least=pl.col("email").min(), _most=pl.col("email").max())
    # Nearly everybody logs in with one address, always written alike.
    several = spelt.filter(pl.col("_least") != pl.col("_most")).select("person").collect().lazy()
    each = (
        logins.join(several, on="person", how="semi")
        .group_by("person", "platform", _address("email"))
        .agg(pl.col("occurred_at").min())
        .group_by("person", "platform")
        .agg(n=pl.len().cast(pl.Int64), second=pl.col("occurred_at").sort().get(1, null_on_oob=True))
    )
    most = (
        each.sort("n", "platform")
        .group_by("person", maintain_order=True)
        .agg(account_count=pl.col("n").last(), second_account_at=pl.col("second").last())
    )
    alone = spelt.filter(pl.col("_least") == pl.col("_most")).select(
        "person", account_count=pl.lit(1, pl.Int64), second_account_at=pl.lit(None, TIME)
    )
    return pl.concat([alone, most])


def tickets(asked: pl.LazyFrame, walked: pl.LazyFrame, kinds: Mapping[str, pl.LazyFrame], scope: Scope) -> pl.LazyFrame:
    """What the case's person pays for and has, whether they got their money back, and whether they used it since."""
    solved_at = pl.col("resolved_at")
    cases = asked.with_columns(
        is_recently_solved=(solved_at >= scope.as_of - scope.span("look_back")).fill_null(value=False)
    )
    concerned = asked.select("person").unique().collect().lazy()
    paid = kinds["payments"].filter("counts").join(concerned, on="person", how="semi")
    payers = paid.select("person").unique().with_columns(has_paid=pl.lit(value=True))
    returned = paid.filter(pl.col("refunded_at").is_not_null()).select("person", "refunded_at")
    used = kinds["access"].join(concerned, on="person", how="semi").group_by("person").agg(
        _used_at=pl.col("last_used_at").max()
    )  # fmt: skip
    back = (
        asked.select("row", "person", "occurred_at")
        .join(returned, on="person", how="inner")
        .filter(pl.col("refunded_at") >= pl.col("occurred_at") - _DAY)
        .group_by("row")
        .agg(refund_at=pl.col("refunded_at").min())
    )
    return (
        cases.join(_paying(walked, concerned, scope), on="person", how="left", validate="m:1")
        .join(payers, on="person", how="left", validate="m:1")
        .join(used, on="person", how="left", validate="m:1")
        .join(back, on="row", how="left", validate="1:1")
        .with_columns(
            pl.col("is_payer", "has_all_access", "has_paid").fill_null(value=False),
            pl.col("payer_net_minor").fill_null(0),
            has_used_since=(pl.col("_used_at") > solved_at + _DAY).fill_null(value=False),
        )
        .drop("_used_at")
    )


def surveys(
    answered: pl.LazyFrame, walked: pl.LazyFrame, kinds: Mapping[str, pl.LazyFrame], of_person: Mapping[str, pl.Series],
    scope: Scope,
) -> pl.LazyFrame:  # fmt: skip
    """What the score says and who gave it. `of_person`: has_address, has_comp_access in the order of people's numbers."""
    told = answered.with_columns(_instrument=pl.col("instrument").str.to_lowercase()).collect()
    asked = told.lazy().select("row", "person", "occurred_at")
    is_kept = ~pl.col("is_refunded") | (pl.col("refunded_at") > pl.col("occurred_at")).fill_null(value=False)
    bought = (
        asked.join(kinds["payments"].filter("counts").select("person", "succeeded_at", "is_refunded", "refunded_at"), on="person")
        .filter((pl.col("succeeded_at") <= pl.col("occurred_at")) & is_kept)
        .select("row").unique().with_columns(has_bought=pl.lit(value=True))
    )  # fmt: skip
    paying = _paying(walked, asked.select("person").unique(), scope).select("person", "payer_net_minor", "currency")
    known = told.with_columns(
        is_detractor=_DETRACTOR.fill_null(value=False),
        is_score=(pl.col("_instrument").is_in(["nps", "csat"]) & pl.col("score").is_not_null()).fill_null(value=False),
        **{name: column.gather(told["person"]) for name, column in of_person.items()},
    )
    return (
        known.lazy()
        .join(bought, on="row", how="left", validate="1:1")
        .join(paying, on="person", how="left", validate="m:1")
        .with_columns(pl.col("has_bought").fill_null(value=False), pl.col("payer_net_minor").fill_null(0))
    )


def _paying(walked: pl.LazyFrame, concerned: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    """person, is_payer, payer_net_minor, currency, has_all_access of some people, over the journeys that they pay for."""
    is_due = pl.col("is_paying") & (pl.col("grants_expected") > 0) & (pl.col("access_due_at") <= scope.as_of)
    newest = pl.col("currency").filter("is_paying").sort_by(pl.col("paid_at").filter("is_paying")).last()
    is_same = pl.col("currency") == pl.col("_currency")
    return (
        walked.join(concerned, on="person", how="semi")
        .with_columns(_currency=newest.over("person"))
        .group_by("person")
        .agg(
            is_payer=pl.col("is_paying").any(),
            payer_net_minor=pl.col("net_minor").filter(pl.col("is_paying") & is_same).sum().cast(pl.Int64),
            currency=pl.col("_currency").first(),
            has_all_access=(pl.col("grants_open") >= pl.col("grants_expected")).filter(is_due).all(),
        )
    )


def contact_keys(placed: Mapping[str, pl.DataFrame], kinds: Sequence[str]) -> pl.LazyFrame:
    """The table contact_keys, with `person`: which records elsewhere name a CRM contact, and whether it is still alive.

    `placed`: all records with their keys; `kinds`: those of people.
    """
    held = placed["contacts"].lazy().filter(~pl.col("is_test"))
    platforms = placed["contacts"]["platform"].unique().sort().to_list()
    prefixes = tuple(f"{platform}:" for platform in platforms)
    is_crm = pl.any_horizontal(pl.lit(value=False), *(pl.col("key").str.starts_with(p) for p in prefixes))
    named = pl.concat([
        placed[kind].lazy()
        .filter(
            ~pl.col("is_test"), pl.col("person").is_not_null(), pl.col("keys").list.len() > 0,
            ~pl.col("platform").is_in(platforms),
        )
        .select("person", "person_id", "platform", "record_id", key="keys", kind=pl.lit(kind))
        .explode("key", empty_as_null=False)
        .filter(is_crm)
        for kind in kinds
    ]).unique()  # fmt: skip
    alive = held.select(
        key=pl.concat_str("platform", pl.lit(":"), "record_id"),
        _into="merged_into",
        retired_at=pl.when(
            pl.col("merged_into").is_not_null() | pl.col("is_deleted").fill_null(value=False)
            | pl.col("gone_at").is_not_null()
        ).then(pl.coalesce("gone_at", "updated_at", "loaded_at")),
    )  # fmt: skip
    # Merged into one that was merged itself: what is named is the one at the end.
    onward = alive.filter(pl.col("_into").is_not_null()).select(_into="key", _next="_into")
    for _ in range(3):
        alive = (
            alive.join(onward, on="_into", how="left").with_columns(_into=pl.coalesce("_next", "_into")).drop("_next")
        )
    record = ["kind", "platform", "record_id"]
    told = named.join(alive, on="key", how="inner", validate="m:1")
    others = named.select(*record, _into="key", is_survivor_named=pl.lit(value=True))
    return told.join(others, on=[*record, "_into"], how="left").with_columns(
        pl.col("is_survivor_named").fill_null(value=False)
    ).drop("_into")  # fmt: skip
