"""One row per person: what all their records say together."""

from collections.abc import Mapping
from datetime import timedelta

import polars as pl

from journey_pipeline.expressions import foremost, numbers
from journey_pipeline.identity import Identity, normalise
from journey_pipeline.journeys import service
from journey_pipeline.journeys.scope import Scope, beside
from journey_pipeline.registry import TABLES, TEXT, TIME

_MARKETING = ("newsletter", "sequence", "cart")
_ANSWERS = ("welcome", "sequence", "other")  # what is written to one who asked, beside receipts and the newsletter
_IN_FLIGHT = timedelta(hours=1)  # what was being sent when somebody opted out is no misdeed
_ENOUGH_LEADS = 30
# Who is believed when platforms write a person differently (docs/identity.md, Survivorship), best first: who knows that
# the address is read, who took the money, the CRM, who keeps an account, what was typed into a form. Then the newest.
_PAYING, _CRM, _ACCOUNT, _TYPED = ("payments", "subscriptions"), ("contacts",), ("access",), (
    "leads", "tickets", "bookings", "agreements", "deals",
)  # fmt: skip
_TRUST = (_PAYING, _CRM, _ACCOUNT, _TYPED)


def people(
    kinds: Mapping[str, pl.LazyFrame], everything: Mapping[str, pl.LazyFrame], identity: Identity, scope: Scope
) -> pl.DataFrame:
    """The table `people`, with `person`.

    `kinds`: the records of real people, derived columns included; `everything`: with the test records too.
    """
    seen = pl.concat([f.select("person", "occurred_at") for f in everything.values()]).group_by("person").agg(
        pl.col("occurred_at").min().alias("first_seen_at"), pl.col("occurred_at").max().alias("last_seen_at")
    ).collect().lazy()  # fmt: skip
    testers = pl.concat([f.filter("is_test").select("person") for f in everything.values()]).unique()
    real = pl.concat([f.select("person").join(testers, on="person", how="semi") for f in kinds.values()])
    tested = testers.join(real, on="person", how="anti").with_columns(is_test=pl.lit(value=True))
    frame = beside(
        identity.people,
        [
            seen, tested, *_golden(everything), *_leads(kinds["leads"]), _answered(kinds), *_contacts(kinds["contacts"], scope), _first(kinds["bookings"], "first_booked_at"),
            _money(kinds["payments"], scope), _agreed(kinds), _access(kinds["access"]), *_consent(kinds, scope),
            service.reach(kinds, everything), service.accounts(kinds["access"]), _merges(identity),
            _subscriptions(kinds["subscriptions"], scope), _twins(identity, seen),
        ],
        ["person"],
    )  # fmt: skip
    told = frame.with_columns(
        pl.col(
            "crm_contact_count",
            "crm_platform_contact_count",
            "lifetime_minor",
            "person_subscription_count",
            "person_cancelling_count",
            "person_subscription_minor",
            "consent_platform_count",
            "stale_opt_in_count",
            "account_count",
        ).fill_null(0),
        pl.col(
            "is_test",
            "is_crm_customer",
            "has_net_payment",
            "has_comp_access",
            "has_live",
            "had_subscription",
            "has_open",
        ).fill_null(value=False),
        has_agreed=pl.col("has_agreed").fill_null(value=False),
        crm_deleted_at=pl.when(pl.col("crm_contact_count").fill_null(0) == 0).then("crm_deleted_at"),
        persona=pl.lit(None, TEXT),
        merged_at=pl.coalesce("merged_at", "first_seen_at"),
        expected_minor=pl.lit(_expected(kinds, scope), pl.Int64),
    ).with_columns(lifecycle=_lifecycle())
    return told.select("person", *TABLES["people"].columns)


def _golden(everything: Mapping[str, pl.LazyFrame]) -> list[pl.LazyFrame]:
    """email, phone, name of each person: from the best source of `_TRUST` that has one, its newest record."""
    newest = {"contacts": pl.coalesce("updated_at", "occurred_at").alias("occurred_at")}
    said = pl.concat([
        everything[kind].select(
            "person", "email", "phone", "name", newest.get(kind, pl.col("occurred_at")), rank=pl.lit(n, pl.Int8)
        )
        for n, kinds in enumerate(_TRUST) for kind in kinds
    ])  # fmt: skip
    # An address is verified by whoever logs in with it, or opened what was sent there.
    opened = pl.col("opened_at").is_not_null() | pl.col("clicked_at").is_not_null()
    verified = pl.concat([everything["access"], everything["messages"].filter(opened)], how="diagonal").select(
        "person", "email", pl.lit(None, TEXT).alias("phone"), pl.lit(None, TEXT).alias("name"), "occurred_at",
        rank=pl.lit(-1, pl.Int8),
    )  # fmt: skip
    return [
        _believed(pl.concat([verified, said]), "email", normalise.email(pl.col("email"))),
        _believed(said, "phone", pl.col("phone").str.strip_chars()),
        _believed(said, "name", pl.col("name").str.strip_chars()),
    ]


def _believed(said: pl.LazyFrame, column: str, value: pl.Expr) -> pl.LazyFrame:
    """The one value of a column for each person; `value` reads it, null where it can't be read."""

    def best(told: pl.DataFrame) -> pl.DataFrame:
        return told[foremost(numbers(told["person"]), numbers(told["rank"]), -numbers(told["occurred_at"]))]

    told = said.filter(pl.col(column).is_not_null()).select("person", column, "rank", "occurred_at").collect()
    # Most can be read, so what is chosen is read; only who chose what can't be read chooses again among what can.
    read = best(told).with_columns(value)
    unread = read.filter(pl.col(column).is_null()).join(read.drop_nulls(column), on="person", how="anti")["person"]
    if unread.len():
        others = told.filter(pl.col("person").is_in(unread.unique().implode())).with_columns(value).drop_nulls(column)
        read = pl.concat([read, best(others)])
    return read.lazy().drop_nulls(column).group_by("person").agg(pl.col(column).min())


def _twins(identity: Identity, seen: pl.LazyFrame) -> pl.LazyFrame:
    """twin_person_id, and twin_at: when both had a record."""
    since = seen.select("person", "first_seen_at")
    ids = identity.people.lazy().select(twin="person", twin_person_id="person_id")
    return (
        identity.twins.lazy().join(ids, on="twin", how="left", validate="m:1")
        .join(since, on="person", how="left").join(since.rename({"person": "twin"}), on="twin", how="left", suffix="_twin")
        .select("person", "twin_person_id", twin_at=pl.max_horizontal("first_seen_at", "first_seen_at_twin"))
    )  # fmt: skip


def _merges(identity: Identity) -> pl.LazyFrame:
    """person, merged_at: the newest day on which somebody turned out to be them."""
    merged = identity.changed.filter(pl.col("change") == "merge").group_by(person_id="to_person_id").agg(
        merged_at=pl.col("day_on").max().cast(TIME)
    )  # fmt: skip
    return merged.join(identity.people, on="person_id", how="inner").select("person", "merged_at").lazy()


def _first(frame: pl.LazyFrame, name: str) -> pl.LazyFrame:
    return frame.group_by("person").agg(pl.col("occurred_at").min().alias(name))


def _leads(leads: pl.LazyFrame) -> list[pl.LazyFrame]:
    told = leads.filter(pl.col("source").is_not_null()).sort("occurred_at", "platform", "record_id")
    first = told.group_by("person", maintain_order=True).agg(
        pl.col("source").first().alias("lead_source"), pl.col("campaign").first().alias("lead_campaign")
    )
    return [_first(leads, "first_lead_at"), first]


def _answered(kinds: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    """first_answer_at: a word to the person, a meeting or a deal, at or after their first lead."""
    asked = _first(kinds["leads"], "lead_at")
    words = kinds["messages"].filter(pl.col("purpose").is_in(_ANSWERS))
    said = pl.concat([f.select("person", "occurred_at") for f in (words, kinds["bookings"], kinds["deals"])])
    return _first(
        said.join(asked, on="person", how="inner", validate="m:1").filter(pl.col("occurred_at") >= pl.col("lead_at")),
        "first_answer_at",
    )


def _contacts(contacts: pl.LazyFrame, scope: Scope) -> list[pl.LazyFrame]:
    gone = pl.col("gone_at").is_not_null() | pl.col("is_deleted").fill_null(value=False)
    marked = contacts.filter(pl.col("merged_into").is_null())
    surviving = marked.filter(~gone)
    per_platform = surviving.group_by("person", "platform").agg(pl.len().cast(pl.Int64).alias("n"))
    fullest = per_platform.group_by("person").agg(pl.col("n").max().alias("crm_platform_contact_count"))
    second = (
        surviving.join(per_platform.filter(pl.col("n") > 1), on=["person", "platform"], how="inner")
        .group_by("person", "platform", "n")
        .agg(pl.col("occurred_at").sort().get(1).alias("second_contact_at"))
        .sort("n", "platform")
        .group_by("person", maintain_order=True)
        .agg(pl.col("second_contact_at").last())
    )
    stage = pl.col("lifecycle_stage")
    told = surviving.select(
        "person", "platform", "record_id", pl.coalesce("updated_at", "occurred_at").alias("_newest_at"),
        crm_at="occurred_at", crm_owner="owner", crm_source="source", crm_campaign="campaign", crm_stage=stage,
        crm_customer_at=pl.when(stage.is_not_null()).then("customer_since_at"),
    )  # fmt: skip
    counted = surviving.group_by("person").agg(pl.len().cast(pl.Int64).alias("crm_contact_count"))
    several = counted.filter(pl.col("crm_contact_count") > 1)
    newest = (
        told.join(several, on="person", how="semi")
        .sort("_newest_at", "platform", "record_id")
        .group_by("person", maintain_order=True)
        .agg(
            pl.col("crm_at").min(),
            pl.col("crm_owner", "crm_source", "crm_campaign", "crm_stage").drop_nulls().last(),
            pl.col("crm_customer_at").filter(pl.col("crm_stage").is_not_null()).last(),
        )
    )
    # Most people are one contact, whose word needs no comparing.
    alone = told.join(several, on="person", how="anti").select(newest.collect_schema().names())
    is_customer = pl.col("crm_stage").str.to_lowercase().is_in(list(scope.customer_stages))
    known = pl.concat([alone, newest]).with_columns(is_crm_customer=is_customer.fill_null(value=False))
    deleted = marked.filter(gone).group_by("person").agg(
        pl.coalesce("gone_at", "updated_at", "loaded_at").max().alias("crm_deleted_at")
    )  # fmt: skip
    return [known, counted, fullest, second, deleted]


def _money(paid: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    own = pl.col("currency") == scope.business.currency
    counted = paid.filter("counts")
    others = (
        counted.filter(~own & (pl.col("net_minor") > 0))
        .group_by("person", "currency").agg(pl.col("net_minor").sum().cast(pl.Int64))
        .sort("person", "currency")
        .group_by("person", maintain_order=True)
        .agg(pl.struct(ref=pl.col("currency"), amount_minor=pl.col("net_minor")).alias("lifetime_other"))
    )  # fmt: skip
    return counted.select(
        "person", "succeeded_at", "net_minor", _own_minor=pl.when(own).then("net_minor").otherwise(0)
    ).group_by("person").agg(
        pl.col("succeeded_at").min().alias("first_paid_at"),
        (pl.col("net_minor").max() > 0).alias("has_net_payment"),
        pl.col("_own_minor").sum().cast(pl.Int64).alias("lifetime_minor"),
    ).join(others, on="person", how="left")  # fmt: skip


def _agreed(kinds: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    signed = kinds["agreements"].filter(pl.col("signed_at").is_not_null()).select("person")
    won = kinds["deals"].filter(pl.col("won_at").is_not_null()).select("person")
    return pl.concat([signed, won]).unique().with_columns(has_agreed=pl.lit(value=True))


def _access(held: pl.LazyFrame) -> pl.LazyFrame:
    comped = pl.col("is_open") & pl.col("basis").is_in(["comp", "import", "staff"])
    return held.group_by("person").agg(
        comped.any().fill_null(value=False).alias("has_comp_access"),
        pl.col("last_used_at").max().alias("last_use_at"),
        pl.col("is_open").any().alias("has_open"),
    )


def _subscriptions(agreed: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    live, own = pl.col("is_live"), pl.col("currency") == scope.business.currency
    cancelling = live & pl.col("is_cancelling").fill_null(value=False)
    return (
        agreed.filter("is_primary")
        .group_by("person")
        .agg(
            live.any().alias("has_live"),
            (pl.col("status") == "ended").any().alias("had_subscription"),
            live.sum().cast(pl.Int64).alias("person_subscription_count"),
            cancelling.sum().cast(pl.Int64).alias("person_cancelling_count"),
            pl.col("amount_minor").filter(live & own).sum().alias("person_subscription_minor"),
        )
    )


def _consent(kinds: Mapping[str, pl.LazyFrame], scope: Scope) -> list[pl.LazyFrame]:
    """opted_out_at, mailed_after_optout_at, consent_platform_count, stale_opt_in_count."""
    is_in = pl.col("state") == "subscribed"
    per_platform = kinds["consents"].group_by("person", "platform").agg(
        is_in.any().alias("is_in"),
        pl.col("occurred_at").filter(~is_in).max().alias("out_at"),
        pl.col("occurred_at").filter(is_in).max().alias("in_at"),
    )  # fmt: skip
    out = (
        per_platform.group_by("person")
        .agg(pl.col("out_at").filter(~pl.col("is_in")).max().alias("opted_out_at"), pl.col("in_at").max())
        .filter(
            pl.col("opted_out_at").is_not_null() & ~(pl.col("in_at") > pl.col("opted_out_at")).fill_null(value=False)
        )
        .select("person", "opted_out_at")
    )
    mailed = (
        kinds["messages"]
        .filter(pl.col("purpose").is_in(_MARKETING) & (pl.col("occurred_at") >= scope.as_of - scope.span("look_back")))
        .select("person", "occurred_at")
        .join(out, on="person", how="inner")
        .filter(pl.col("occurred_at") > pl.col("opted_out_at") + _IN_FLIGHT)
        .group_by("person").agg(pl.col("occurred_at").max().alias("mailed_after_optout_at"))
    )  # fmt: skip
    asked = per_platform.group_by("person").agg(consent_platform_count=pl.len().cast(pl.Int64))
    stale = (
        per_platform.filter("is_in")
        .join(out, on="person", how="inner")
        .group_by("person").agg(stale_opt_in_count=(pl.col("in_at") < pl.col("opted_out_at")).sum().cast(pl.Int64))
    )  # fmt: skip
    return [out.join(mailed, on="person", how="left"), asked, stale]


def _expected(kinds: Mapping[str, pl.LazyFrame], scope: Scope) -> int | None:
    """Net sales in the business's currency per person whose first lead was 30 to 210 days ago; None below 30 of them."""
    ripe = _first(kinds["leads"], "lead_at").filter(
        pl.col("lead_at").is_between(scope.as_of - timedelta(days=210), scope.as_of - timedelta(days=30))
    )
    own = kinds["payments"].filter(pl.col("counts") & (pl.col("currency") == scope.business.currency))
    total = own.join(ripe, on="person", how="semi").select(pl.col("net_minor").sum())
    (count,) = ripe.select(pl.len()).collect().row(0)
    if count < _ENOUGH_LEADS:
        return None
    return int((total.collect().item() * 2 + count) // (2 * count))  # rounded half up


def _lifecycle() -> pl.Expr:
    return (
        pl.when(pl.col("has_net_payment") & (pl.col("has_open") | pl.col("has_live"))
                & pl.col("last_use_at").is_not_null()).then(pl.lit("user"))
        .when(pl.col("has_net_payment") & (pl.col("has_open") | pl.col("has_live"))).then(pl.lit("customer"))
        .when(pl.col("first_paid_at").is_not_null() & pl.col("had_subscription")).then(pl.lit("churned"))
        .when(pl.col("first_paid_at").is_not_null()).then(pl.lit("buyer"))
        .when(pl.col("first_lead_at").is_not_null() | (pl.col("crm_contact_count") > 0)).then(pl.lit("lead"))
        .otherwise(pl.lit("prospect"))
    )  # fmt: skip
