"""The plan as records: what each platform of Northwind Academy holds at this moment.

Everything that went right or wrong was decided in plan.py; here it is only written down, kind by kind.
"""

# ruff: noqa: PLR2004 - the shares of a made-up business stand where they are used

import hashlib
from datetime import datetime, timedelta

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.registry import TEXT, TEXTS, TIME
from journey_pipeline.sandbox.aside import agreements, answers, reminders, surveys
from journey_pipeline.sandbox.figures import AD_FORM, VIDEO
from journey_pipeline.sandbox.plan import INSTALMENTS, TRIAL
from journey_pipeline.sandbox.products import PRICES
from journey_pipeline.sandbox.stories import NEWSLETTERS_AGO, SEQUENCE_AGO
from journey_pipeline.sandbox.story import MONTH
from journey_pipeline.sandbox.write import keys, one_of, whenever, write

NEWSLETTER_LIST, STUDENT_LIST = "a1b2c3d4e5", "f6a7b8c9d0"
NEWSLETTERS = ("5e0f1a2b3c", "5e0f1a2b3d")
SEQUENCE = "77aa88bb99"
DUNNING, RECEIPT, CART, SALES = "payment-failed", "receipt", "cart-bootcamp", "sales-bootcamp"
OWNERS = ("sam@northwind.example", "kim@northwind.example", "lou@northwind.example")
CAMPAIGNS = ("spring", "brand", "retargeting", "partners")

SMALL_PLAN, SMALL_SPACE = "basic", "space_6"
SHOP_SOLD, SHOP_PRODUCT = "workbook", "woocommerce:601"

_CYCLE = timedelta(seconds=MONTH)
_SECOND = timedelta(seconds=1)
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_MONEY_REFUSED = ("90", "91", "92")  # tails of the ids of charges that failed


def tell(plan: pl.DataFrame, now: datetime) -> dict[str, pl.DataFrame]:
    """Kind -> records, columns of `world_schema`, of the people of one part of the plan (plan.frames, people.known_as)."""
    at = pl.lit(now, TIME)
    people = plan.filter("is_first")
    parts: dict[str, list[pl.DataFrame]] = {
        "touchpoints": [_touchpoints(people)],
        "leads": [_leads(people), _leads(_in_one_browser(people))],
        "contacts": _contacts(people, at),
        "deals": [_deals(people, at)],
        "bookings": _bookings(people, at),
        "payments": [_payments(plan, at), _orders(plan, at)],
        "subscriptions": _subscriptions(plan, at),
        "access": _access(plan, at),
        "messages": [*_messages(plan, now), *answers(people, at), reminders(people, at)],
        "consents": _consents(people, at),
        "tickets": [_tickets(people, at)],
        "agreements": [agreements(people, at)],
        "surveys": surveys(people),
    }
    return {kind: pl.concat(frames).filter(pl.col("occurred_at") <= at) for kind, frames in parts.items()}


def _touchpoints(people: pl.DataFrame) -> pl.DataFrame:
    just_looked = (pl.col("product") == "none") & ~pl.col("contact")
    seen = people.filter(pl.col("touch") & (pl.col("lead") | just_looked))
    source, campaign = _came_by()
    return write("touchpoints", "posthog", seen, {
        "record_id": pl.lit("session_") + pl.col("visitor_id"),
        "occurred_at": pl.coalesce("lead_at", "anchor_at") - pl.col("visit_lag"),
        "keys": keys(posthog="visitor_id"),
        "channel": "paid", "source": source, "medium": "cpc", "campaign": campaign,
        "click_id": pl.when(source == "meta").then(pl.lit("fbclid.")).otherwise(pl.lit("gclid.")) + pl.col("visitor_id"),
        "page": "https://northwind.example/learn",
    })  # fmt: skip


def _leads(people: pl.DataFrame) -> pl.DataFrame:
    asked = people.filter(pl.col("lead_at").is_not_null())
    visited, came_by_ad = pl.col("touch"), _came_by_ad()
    wants_bootcamp = pl.col("product") == "bootcamp"
    form = (
        pl.when(pl.col("form") != "usual").then("form")
        .when(pl.col("is_usual") & (pl.col("money") == "none") & (pl.col("deal") != "none"))
        .then(pl.lit("bootcamp-application"))
        .when(pl.col("person") % 3 == 0).then(pl.lit("webinar"))
        .otherwise(pl.lit("newsletter-signup"))
    )  # fmt: skip
    source, campaign = _came_by()
    return write("leads", "typeform", asked, {
        "record_id": pl.col("lead_id"), "occurred_at": pl.col("lead_at"), "email": pl.col("typeform_email"),
        "phone": pl.col("typeform_phone"), "name": pl.col("typeform_name"),
        "keys": pl.when(visited).then(keys(posthog="visitor_id")).otherwise(pl.lit([], TEXTS)),
        "form": form, "source": pl.when(came_by_ad).then(source), "medium": pl.when(came_by_ad).then(pl.lit("cpc")),
        "campaign": pl.when(came_by_ad).then(campaign),
        "product_ref": pl.when(wants_bootcamp).then(pl.lit("stripe:price_bootcamp")),
    })  # fmt: skip


def _in_one_browser(people: pl.DataFrame) -> pl.DataFrame:
    """Those who filled in a form again and again, each time under another address."""
    several = people.filter(pl.col("more_addresses") > 0, pl.col("lead_at").is_not_null())
    again = several.with_columns(_nth=pl.int_ranges(1, pl.col("more_addresses") + 1)).explode(
        "_nth", empty_as_null=False
    )
    return again.with_columns(
        lead_at=pl.col("lead_at") + pl.duration(minutes=pl.col("_nth")),
        lead_id=spelled("{}x{}", "lead_id", "_nth"),
        typeform_email=spelled("visitor{}.{}@inbox.example", "person", "_nth"),
    )


def _came_by() -> tuple[pl.Expr, pl.Expr]:
    """Source and campaign of who came by an advertisement."""
    reach = pl.col("reach")
    source = (
        pl.when(reach == "video").then(pl.lit("youtube"))
        .when((reach == "usual") & (pl.col("person") % 2 == 0)).then(pl.lit("google"))
        .otherwise(pl.lit("meta"))
    )  # fmt: skip
    campaign = (
        pl.when(reach == "video").then(pl.lit(VIDEO))
        .when(reach == "ad_form").then(pl.lit(AD_FORM))
        .otherwise(one_of(CAMPAIGNS))
    )  # fmt: skip
    return source, campaign


def _came_by_ad() -> pl.Expr:
    return pl.col("touch") | (pl.col("reach") == "ad_form")


def _contacts(people: pl.DataFrame, at: pl.Expr) -> list[pl.DataFrame]:
    known = people.filter("contact").with_columns(
        created_at=pl.coalesce("lead_at", "anchor_at") + pl.col("contact_lag")
    )
    # A customer from the payment on; one who never paid (a fault, a comp, a contract), two days after being created.
    pays = pl.col("money") != "none"
    since = pl.when(pays).then(pl.col("anchor_at") + 5 * _MINUTE).otherwise(pl.col("created_at") + 2 * _DAY)
    is_customer = (pl.col("customer") == "yes") | (pl.col("customer") == "if_paid") & pays
    customer_at = whenever(is_customer, since, at)
    updated_at = pl.coalesce("contact_deleted_at", pl.max_horizontal("created_at", customer_at))
    source, campaign = _came_by()
    is_told = (pl.col("lead") & _came_by_ad()) | pl.col("claims_source")
    by_hand = pl.lit("direct")
    common: dict[str, pl.Expr | str | None] = {
        "phone": pl.col("hubspot_phone"), "name": pl.col("plain_name"), "company": pl.col("employer"),
        "owner": pl.when("owned").then(one_of(OWNERS)),
        "source": pl.when(is_told).then(pl.when("rewritten").then(by_hand).otherwise(source)),
        "campaign": pl.when(is_told).then(pl.when("rewritten").then(by_hand).otherwise(campaign)),
    }  # fmt: skip
    main = write("contacts", "hubspot", known, common | {
        "record_id": pl.col("contact_id"), "occurred_at": pl.col("created_at"), "email": pl.col("hubspot_email"),
        "keys": pl.concat_list(keys(hubspot="contact_id"), _second_login()), "updated_at": updated_at,
        "changed_at": updated_at, "lifecycle_stage": pl.when(customer_at.is_not_null()).then(pl.lit("customer")).otherwise(pl.lit("lead")),
        "is_deleted": pl.col("contact_deleted_at").is_not_null(),
    })  # fmt: skip
    second = known.filter(pl.col("second_contact_at").is_not_null())
    twice = write("contacts", "hubspot", second, common | {
        "record_id": pl.col("second_contact_id"), "occurred_at": pl.col("second_contact_at"),
        "email": pl.col("second_hubspot_email"), "keys": keys(hubspot="second_contact_id"),
        "updated_at": pl.col("second_contact_at"), "lifecycle_stage": "lead",
    })  # fmt: skip
    # Of a contact merged into another HubSpot keeps the id alone, on the one that survived.
    merged = write("contacts", "hubspot", known.filter("merged"), {
        "record_id": pl.col("merged_contact_id"), "occurred_at": pl.col("created_at"),
        "keys": pl.concat_list(keys(hubspot="merged_contact_id"), keys(hubspot="contact_id")), "updated_at": updated_at, "changed_at": updated_at,
        "merged_into": pl.lit("hubspot:") + pl.col("contact_id"),
    })  # fmt: skip
    return [main, twice, merged]


def _deals(people: pl.DataFrame, at: pl.Expr) -> pl.DataFrame:
    kind = pl.col("deal")
    offered = people.filter(kind != "none", "contact")
    before = pl.max_horizontal(pl.col("lead_at") + 5 * _MINUTE, pl.col("anchor_at") - 10 * _DAY)
    created = pl.when(pl.col("money") == "none").then(pl.col("lead_at") + _DAY).otherwise(before)
    won = pl.when(kind.is_in(["won", "dear"])).then(pl.col("anchor_at") + pl.col("deal_lag"))
    won_at = whenever(
        kind.is_in(["won", "dear", "agreed"]),
        pl.coalesce(won, "decided_at", at - pl.duration(hours=8 + pl.col("person") % 12)),
        at,
    )
    lost_at = whenever(kind == "lost", created + 7 * _DAY, at)
    is_big = kind == "big"
    stage = (
        pl.when(won_at.is_not_null()).then(pl.lit("closedwon"))
        .when(lost_at.is_not_null()).then(pl.lit("closedlost"))
        .otherwise(pl.lit("contractsent"))
    )  # fmt: skip
    return write("deals", "hubspot", offered, {
        "record_id": pl.col("deal_id"), "occurred_at": created, "email": pl.col("hubspot_email"),
        "phone": pl.col("hubspot_phone"),
        "name": pl.col("plain_name"), "keys": keys(hubspot="contact_id"), "pipeline": "default", "stage": stage,
        "amount_minor": pl.when(is_big).then(300_000).when(kind == "dear").then(149_900).otherwise(49_900), "currency": "USD", "owner": one_of(OWNERS),
        "product_ref": pl.when(~is_big).then(pl.lit("stripe:price_bootcamp")), "won_at": won_at, "lost_at": lost_at,
        "lost_reason": pl.when(lost_at.is_not_null()).then(pl.lit("no budget")),
        "changed_at": pl.max_horizontal(created, won_at, lost_at),
    })  # fmt: skip


def _bookings(people: pl.DataFrame, at: pl.Expr) -> list[pl.DataFrame]:
    """Calls, as the scheduler has them, and as they stand in the team's own calendar."""
    occurred = pl.coalesce("booked_at", pl.col("lead_at") + _HOUR)
    booked = people.filter("booking").with_columns(_at=occurred).filter(pl.col("_at").is_not_null())
    call, starts = pl.col("call"), pl.col("_at") + 2 * _DAY
    cancelled_at = whenever(call.is_in(["cancelled", "cancelled_once"]), pl.col("_at") + _DAY, at)
    is_over, is_off = starts + _HOUR <= at, cancelled_at.is_not_null()
    common: dict[str, pl.Expr | str | None] = {
        "occurred_at": pl.col("_at"), "email": pl.col("mailchimp_email"), "phone": pl.col("plain_phone"),
        "name": pl.col("plain_name"), "starts_at": starts, "host": one_of(OWNERS),
    }  # fmt: skip
    called = write("bookings", "calendly", booked.filter(call != "unrecorded"), common | {
        "record_id": pl.col("booking_id"), "event_type": "intro call", "cancelled_at": cancelled_at,
        "status": pl.when(is_off).then(pl.lit("cancelled"))
        .when(is_over & (call == "missed")).then(pl.lit("no_show"))
        .when(is_over).then(pl.lit("completed")).otherwise(pl.lit("scheduled")),
        "changed_at": pl.when(is_off).then(cancelled_at).when(is_over).then(starts + _HOUR).otherwise("_at"),
    })  # fmt: skip
    is_off_here = is_off & (call == "cancelled")
    noted = write("bookings", "team_calendar", booked, common | {
        "record_id": pl.col("meeting_id"), "event_type": "call",
        "cancelled_at": pl.when(is_off_here).then(cancelled_at),
        "status": pl.when(is_off_here).then(pl.lit("cancelled")).otherwise(pl.lit("scheduled")),
        "changed_at": pl.when(is_off_here).then(cancelled_at).otherwise("_at"),
    })  # fmt: skip
    return [called, noted]


def _payments(plan: pl.DataFrame, at: pl.Expr) -> pl.DataFrame:
    buys = plan.filter(pl.col("money") != "none", "charge").with_columns(
        _is_test=pl.col("address") == "test", _refund=pl.lit("none"), _status=pl.lit("succeeded"), _sub=pl.lit(None, TEXT), _refunded_at=pl.lit(None, TIME),
        _disputed_at=pl.lit(None, TIME), _email=pl.col("stripe_email"),
    )  # fmt: skip
    once = buys.filter(pl.col("money") == "once")
    has_come = pl.col("refunded_at").is_not_null()
    first = once.with_columns(
        _at=pl.col("anchor_at"),
        _tail=pl.lit("00"),
        _status=pl.col("status"),
        _refunded_at=pl.col("refunded_at"),
        _refund=pl.when(has_come).then("refund").otherwise(pl.lit("none")),
        _disputed_at=pl.col("disputed_at"),
        _is_test=(pl.col("address") == "test") | pl.col("test_mode"),
    )
    again = once.filter(pl.col("again_at").is_not_null()).with_columns(
        _at=pl.col("again_at"), _tail=pl.lit("80"), **_returned("again_refunded", "again_at")
    )
    refused = once.filter("failed").with_columns(
        _at=pl.col("anchor_at") - 3 * _MINUTE, _tail=pl.lit("90"), _status=pl.lit("failed")
    )
    subs = buys.filter(pl.col("money") == "subscription").with_columns(_sub=pl.lit("stripe:") + pl.col("sub_id"))
    regular = _monthly(subs, "anchor_at", pl.col("periods") - pl.col("missed"), 0)
    # Who changed their address did so half-way; the earlier charges keep the old one.
    is_early = (pl.col("address") == "changed") & (pl.col("_nth") < pl.col("periods") // 2)
    is_last = pl.col("_nth") == pl.col("periods") - 1
    returned = pl.when(is_last).then("sub_refunded_at")
    regular = regular.with_columns(
        _email=pl.when(is_early).then("old_stripe_email").otherwise("_email"),
        product=pl.when(pl.col("_at") >= pl.col("moved_at")).then(pl.lit(SMALL_PLAN)).otherwise("product"),
        _refunded_at=returned,
        _refund=pl.when(returned.is_not_null()).then(pl.lit("all")).otherwise("_refund"),
    )
    second = subs.filter(pl.col("second_sub_at").is_not_null()).with_columns(
        _sub=pl.lit("stripe:") + pl.col("second_sub_id"), terms=pl.col("second_terms")
    )
    paid_twice = _monthly(second, "second_sub_at", _cycles("second_sub_at", at) + 1, 40)
    due_at = pl.col("anchor_at") + pl.col("periods") * _CYCLE
    behind = subs.filter(pl.col("sub") == "past_due")
    unpaid = [
        behind.with_columns(_at=due_at + day * _DAY, _tail=pl.lit(tail), _status=pl.lit("failed"))
        for day, tail in enumerate(_MONEY_REFUSED[1:])
    ]
    late = subs.filter(pl.col("late_at").is_not_null()).with_columns(
        _at=pl.col("late_at"), _tail=pl.lit("95"), **_returned("late_refunded", "late_at")
    )
    charges = (
        pl.concat([first, again, refused, regular, paid_twice, *unpaid, late], how="diagonal")
        .join(PRICES, on=["product", "terms", "currency"], how="left", validate="m:1", maintain_order="left")
        .with_columns(amount_minor=_charged())
    )
    refunded = (
        pl.when(pl.col("_refund") == "all").then("amount_minor")
        .when(pl.col("_refund") == "half").then(pl.col("amount_minor") // 2)
        .otherwise(0)
    )  # fmt: skip
    is_guest, is_noted = pl.col("address") == "guest", pl.col("address").is_in(["keyless", "elsewhere"])
    # The checkout notes the student's account on the charge (metadata), for those whom nothing else ties to it.
    known = (
        pl.when(is_guest).then(pl.lit([], TEXTS))
        .when(is_noted).then(keys(stripe="customer_id", teachable="student_id"))
        .otherwise(keys(stripe="customer_id"))
    )  # fmt: skip
    return write("payments", "stripe", charges, {
        "record_id": pl.lit("ch_") + pl.col("row").cast(TEXT).str.zfill(9) + pl.col("_tail"),
        "occurred_at": pl.col("_at"), "email": pl.col("_email"), "phone": pl.col("stripe_phone"),
        "name": pl.col("stripe_name"), "keys": known, "is_test": pl.col("_is_test"), "role": "processor",
        "status": pl.col("_status"), "amount_minor": pl.col("amount_minor"), "currency": pl.col("currency"),
        "product_ref": pl.col("product_ref"), "subscription_ref": pl.col("_sub"), "method": pl.when(pl.col("method") != "none").then("method"),
        "refunded_minor": refunded, "refunded_at": pl.col("_refunded_at"), "disputed_at": pl.col("_disputed_at"),
        "dispute_status": pl.when(pl.col("_disputed_at").is_not_null()).then("dispute"),
        "changed_at": pl.max_horizontal("_at", "_refunded_at", "_disputed_at"),
    })  # fmt: skip


def _charged() -> pl.Expr:
    """The price for so many seats; with a coupon a fifth less, or by a slip of the decimal point a hundredth."""
    amount = pl.col("amount_minor") * pl.col("seats")
    return (
        pl.when(pl.col("amount") == "coupon").then(amount * 4 // 5)
        .when(pl.col("amount") == "slip").then(amount // 100)
        .otherwise(amount)
    )  # fmt: skip


def _orders(plan: pl.DataFrame, at: pl.Expr) -> pl.DataFrame:
    """What the shop sold, as its orders: paid through the processor, which tells of the same sale, or by bank transfer."""
    sold = plan.filter(pl.col("product") == SHOP_SOLD, pl.col("order") != "none").join(
        PRICES, on=["product", "terms", "currency"], how="left", validate="m:1", maintain_order="left"
    )
    ordered = pl.col("anchor_at") + 3 * _SECOND
    returned = whenever(pl.col("is_mirrored") & (pl.col("refund") == "all"), pl.col("refunded_at") + _MINUTE, at)
    by_bank = pl.col("method") == "bank_transfer"
    charge = pl.concat_list(pl.lit("stripe:") + pl.col("charge_id"))
    return write("payments", "woocommerce", sold, {
        "record_id": pl.col("order_id"), "occurred_at": ordered, "email": pl.col("stripe_email"),
        "phone": pl.col("stripe_phone"), "name": pl.col("plain_name"), "role": "shop",
        "same_as": pl.when("charge").then(charge).otherwise(pl.lit([], TEXTS)),
        "status": pl.when(pl.col("order") == "pending").then(pl.lit("pending")).otherwise(pl.lit("succeeded")),
        "amount_minor": pl.col("amount_minor"), "currency": pl.col("currency"), "product_ref": SHOP_PRODUCT,
        "method": pl.when(by_bank).then("method").otherwise(pl.lit("stripe")),
        "refunded_minor": pl.when(returned.is_not_null()).then("amount_minor").otherwise(0), "refunded_at": returned,
        "changed_at": pl.max_horizontal(ordered, returned),
    })  # fmt: skip


def _returned(flag: str, since: str) -> dict[str, pl.Expr]:
    """A charge given back twenty minutes later."""
    back = pl.when(flag).then(pl.col(since) + 20 * _MINUTE)
    return {
        "_refunded_at": back, "_refund": pl.when(flag).then(pl.lit("all")).otherwise(pl.lit("none")),
    }  # fmt: skip


def _cycles(since: str, at: pl.Expr) -> pl.Expr:
    """Whole billing cycles since then."""
    return (at - pl.col(since)).dt.total_seconds() // MONTH


def _monthly(subs: pl.DataFrame, since: str, count: pl.Expr, first_tail: int) -> pl.DataFrame:
    """One row per charge of a subscription, `_nth` from 0."""
    return (
        subs.with_columns(_nth=pl.int_ranges(0, count.cast(pl.Int64)))
        .explode("_nth", empty_as_null=False)
        .with_columns(
            _at=pl.col(since) + pl.col("_nth") * _CYCLE,
            _tail=(first_tail + pl.col("_nth")).cast(TEXT).str.zfill(2),
        )
    )


def _subscriptions(plan: pl.DataFrame, at: pl.Expr) -> list[pl.DataFrame]:
    moved = pl.when(pl.col("moved_at").is_not_null()).then(pl.lit(SMALL_PLAN)).otherwise("product")
    subs = (
        plan.filter(pl.col("money") == "subscription")
        .with_columns(product=moved)
        .join(PRICES, on=["product", "terms", "currency"], how="left", validate="m:1", maintain_order="left")
    )
    state = pl.col("sub")
    paid_until = pl.col("anchor_at") + pl.col("periods") * _CYCLE
    is_trial = state == "trialing"
    trial_ends = pl.when(is_trial).then(pl.col("anchor_at") + timedelta(seconds=TRIAL))
    status = (
        pl.when(pl.col("ended_at").is_not_null()).then(pl.lit("ended"))
        .when(state == "cancelling").then(pl.lit("active"))
        .otherwise(state)
    )  # fmt: skip
    common: dict[str, pl.Expr | str | None] = {
        "email": pl.col("stripe_email"), "phone": pl.col("stripe_phone"), "name": pl.col("stripe_name"),
        "keys": keys(stripe="customer_id"), "is_test": pl.col("address") == "test", "role": "processor",
        "product_ref": pl.col("product_ref"), "quantity": pl.col("seats"),
        "amount_minor": pl.col("amount_minor") * pl.col("seats"),
        "currency": pl.col("currency"), "interval": "month",
        "instalments": pl.when(pl.col("terms") == "six").then(INSTALMENTS),
    }  # fmt: skip
    last_paid = pl.when(pl.col("periods") > 0).then(paid_until - _CYCLE)
    first = write("subscriptions", "stripe", subs, common | {
        "record_id": pl.col("sub_id"), "occurred_at": pl.col("anchor_at"), "status": status,
        "trial_ends_at": trial_ends,
        "period_ends_at": pl.when(is_trial).then(trial_ends).when(state == "past_due").then(paid_until + _CYCLE)
        .otherwise(paid_until),
        "is_cancelling": state == "cancelling", "cancelled_at": pl.col("cancelled_at"), "ended_at": pl.col("ended_at"),
        "changed_at": pl.max_horizontal("anchor_at", last_paid, "cancelled_at", "ended_at", "late_at",
                                        "moved_at"),
    })  # fmt: skip
    # The academy's own application keeps the state of each as the processor told it.
    own = write("subscriptions", "app", subs, {
        "record_id": pl.col("app_sub_id"), "occurred_at": pl.col("anchor_at"), "email": pl.col("stripe_email"),
        "keys": keys(stripe="customer_id"), "role": "shop",
        "same_as": pl.concat_list(pl.lit("stripe:") + pl.col("sub_id")),
        "status": pl.when(pl.col("app") == "same").then(status).otherwise("app"), "product_ref": pl.col("product_ref"),
    })  # fmt: skip
    second = (
        subs.filter(pl.col("second_sub_at").is_not_null())
        .drop("product_ref", "amount_minor")
        .with_columns(terms=pl.col("second_terms"))
        .join(PRICES, on=["product", "terms", "currency"], how="left", validate="m:1", maintain_order="left")
    )
    months = _cycles("second_sub_at", at)
    twice = write("subscriptions", "stripe", second, common | {
        "record_id": pl.col("second_sub_id"), "occurred_at": pl.col("second_sub_at"), "status": "active",
        "period_ends_at": pl.col("second_sub_at") + (months + 1) * _CYCLE, "is_cancelling": pl.lit(value=False),
        "changed_at": pl.col("second_sub_at") + months * _CYCLE,
    })  # fmt: skip
    return [first, own, twice]


def _access(plan: pl.DataFrame, at: pl.Expr) -> list[pl.DataFrame]:
    opens = pl.max_horizontal("anchor_at", "opens_at")
    granted = plan.filter(_has_paid() | pl.col("granted_anyway")).with_columns(granted_at=opens + pl.col("access_lag"))
    granted = granted.filter(pl.col("closed_at").is_null() | (pl.col("closed_at") > pl.col("granted_at")))
    is_closed, expires = pl.col("closed_at").is_not_null(), pl.col("expires")
    # Teachable forgets whom it unenrolled; only an enrolment that ran out stays on its list.
    enrolled = granted.filter(~is_closed | expires)
    courses = [
        write("access", "teachable", enrolled.filter(pl.col(wanted), pl.col(ref).is_not_null()), {
            "record_id": pl.col(ref).str.strip_prefix("teachable:") + ":" + pl.col("student_id"),
            "occurred_at": pl.col("granted_at"), "email": pl.col("login_email"), "name": pl.col("plain_name"),
            "keys": keys(teachable="student_id"), "grant": "course", "product_ref": pl.col(ref),
            "status": pl.when(expires & is_closed).then(pl.lit("expired")).otherwise(pl.lit("active")),
            "expires_at": pl.when(expires).then("closed_at"), "progress": (pl.col("luck") * 100).floor(),
            "changed_at": pl.max_horizontal("granted_at", "closed_at"),
        })
        for wanted, ref in (("course", "course_ref"), ("second_course", "second_course_ref"))
    ]  # fmt: skip
    again = write("access", "teachable", plan.filter(pl.col("second_account_at").is_not_null()), {
        "record_id": pl.col("course_ref").str.strip_prefix("teachable:") + ":" + pl.col("second_student_id"),
        "occurred_at": pl.col("second_account_at"), "email": pl.col("second_hubspot_email"),
        "name": pl.col("plain_name"), "keys": keys(teachable="second_student_id"), "grant": "course",
        "product_ref": pl.col("course_ref"), "status": "active", "progress": pl.lit(0.0),
    })  # fmt: skip
    seconds = (pl.coalesce("closed_at", at) - pl.col("granted_at")).dt.total_seconds()
    some_time = pl.col("granted_at") + pl.duration(seconds=(seconds * pl.col("luck")).cast(pl.Int64))
    used = pl.when("is_used").then(pl.coalesce("used_at", some_time))
    joined = granted.filter("space", pl.col("space_ref").is_not_null())
    space = write("access", "community", joined, {
        "record_id": pl.col("space_ref").str.strip_prefix("community:") + "-" + pl.col("member_id"),
        "occurred_at": pl.col("granted_at"), "email": pl.col("login_email"), "phone": pl.col("community_phone"),
        "name": pl.col("community_name"), "keys": keys(community="member_id"), "grant": "membership",
        "product_ref": pl.col("space_ref"), "basis": pl.col("basis"), "paid_by_ref": pl.col("gift_ref"),
        "status": pl.when(is_closed).then(pl.lit("revoked")).otherwise(pl.lit("active")),
        "revoked_at": pl.col("closed_at"), "last_used_at": used,
        "changed_at": pl.max_horizontal("granted_at", used, "closed_at"),
    })  # fmt: skip
    moved = plan.filter(pl.col("moved_at").is_not_null()).with_columns(moved_in=pl.col("moved_at") + 9 * _MINUTE)
    small = write("access", "community", moved, {
        "record_id": pl.lit(f"{SMALL_SPACE}-") + pl.col("member_id"), "occurred_at": pl.col("moved_in"),
        "email": pl.col("login_email"), "phone": pl.col("community_phone"), "name": pl.col("community_name"),
        "keys": keys(community="member_id"), "grant": "membership", "product_ref": f"community:{SMALL_SPACE}",
        "basis": "paid", "status": "active", "last_used_at": pl.col("moved_in"),
    })  # fmt: skip
    return [*courses, again, space, small]


def _second_login() -> pl.Expr:
    """The CRM knows the other address of whoever has a second account."""
    other = pl.when(pl.col("second_account_at").is_not_null()).then(spelled("email:{}", "second_hubspot_email"))
    return pl.concat_list(other).list.drop_nulls()


def _has_paid() -> pl.Expr:
    return (pl.col("status") == "succeeded") | pl.col("again_at").is_not_null()


def _messages(plan: pl.DataFrame, now: datetime) -> list[pl.DataFrame]:
    at = pl.lit(now, TIME)
    welcomed = plan.filter("welcome", pl.col("money") != "none", _has_paid(), pl.col("welcome_ref").is_not_null())
    sent_at = pl.col("anchor_at") + pl.col("welcome_lag")
    welcome = _mail(welcomed, sent_at, "welcome", pl.col("welcome_ref"), mark="1", at=at)
    behind = plan.filter(pl.col("sub") == "past_due")
    due_at = pl.col("anchor_at") + pl.col("periods") * _CYCLE
    dunning = _mail(behind, due_at + _HOUR, "dunning", pl.lit(f"mailchimp:{DUNNING}"), mark="2", at=at)
    receipts = plan.filter(pl.col("receipt_at").is_not_null())
    receipt = _mail(receipts, pl.col("receipt_at"), "receipt", pl.lit(f"mailchimp:{RECEIPT}"), mark="3", at=at)
    written = [
        _mail(plan.filter(pl.col(sent).is_not_null()), pl.col(sent), purpose, pl.lit(f"mailchimp:{template}"),
              mark=mark, at=at)
        for sent, purpose, template, mark in (
            ("cart_at", "cart", CART, "7"), ("sales_at", "sequence", SALES, "8"), ("chase_at", "dunning", DUNNING, "9"),
        )
    ]  # fmt: skip
    people = subscribers(plan.filter("is_first"))
    sends = [
        (NEWSLETTERS[0], "newsletter", NEWSLETTERS_AGO[0], people),
        (NEWSLETTERS[1], "newsletter", NEWSLETTERS_AGO[1], people),
        (SEQUENCE, "sequence", SEQUENCE_AGO, people.filter(pl.col("product") == "none", ~pl.col("mailed_anyway"))),
    ]
    campaigns = [
        _campaign(campaign, purpose, now - timedelta(seconds=ago), audience, at)
        for campaign, purpose, ago, audience in sends
    ]
    return [welcome, dunning, receipt, *written, *campaigns]


def _mail(
    frame: pl.DataFrame, sent: pl.Expr, purpose: str, template: pl.Expr, *, mark: str, at: pl.Expr
) -> pl.DataFrame:
    """Sent to one person by a template."""
    is_lost = pl.col("bounces") if purpose == "receipt" else pl.lit(value=False)
    delivered, bounced = (
        whenever(arrives & sent.is_not_null(), sent + 4 * _SECOND, at) for arrives in (~is_lost, is_lost)
    )
    return write("messages", "mailchimp", frame, {
        "record_id": pl.lit(mark.zfill(8)) + pl.col("row").cast(TEXT).str.zfill(24), "occurred_at": sent,
        "email": pl.col("mailchimp_email"), "channel": "email", "purpose": purpose, "template_ref": template,
        "delivered_at": delivered, "bounced_at": bounced, "changed_at": pl.max_horizontal(sent, delivered, bounced),
    })  # fmt: skip


def _campaign(campaign: str, purpose: str, sent_at: datetime, people: pl.DataFrame, at: pl.Expr) -> pl.DataFrame:
    """Sent to all who were on the list then. Who left within the hour before still gets it: it was under way."""
    sent = pl.lit(sent_at, TIME)
    is_listed = pl.col("left_at").is_null() | (pl.col("left_at") > sent - _HOUR) | pl.col("mailed_anyway")
    audience = people.filter(pl.col("joined_at") < sent, is_listed)
    opened = whenever(pl.col("luck") < 0.4, sent + pl.duration(seconds=60 + pl.col("person") % 80_000), at)
    return write("messages", "mailchimp", audience, {
        "record_id": pl.lit(f"{campaign}:") + pl.col("member_hash"), "occurred_at": sent,
        "email": pl.col("mailchimp_email"), "keys": keys(mailchimp="member_hash"), "channel": "email",
        "purpose": purpose, "template_ref": f"mailchimp:{campaign}", "delivered_at": sent, "opened_at": opened,
        "changed_at": pl.max_horizontal(sent, opened),
    })  # fmt: skip


def subscribers(people: pl.DataFrame) -> pl.DataFrame:
    """Who is or was on a list, with Mailchimp's id of them."""
    joined = people.filter(pl.col("joined_at").is_not_null())
    hashes = [hashlib.md5(e.lower().encode(), usedforsecurity=False).hexdigest() for e in joined["mailchimp_email"]]
    return joined.with_columns(member_hash=pl.Series(hashes, dtype=TEXT))


def _consents(people: pl.DataFrame, at: pl.Expr) -> list[pl.DataFrame]:
    members = subscribers(people)
    has_left = pl.col("left_at").is_not_null()
    is_student = (pl.col("money") != "none") & ~has_left | pl.col("other_list")

    def member(frame: pl.DataFrame, list_id: str, state: pl.Expr, since: pl.Expr) -> pl.DataFrame:
        return write("consents", "mailchimp", frame, {
            "record_id": pl.lit(f"{list_id}:") + pl.col("member_hash"), "occurred_at": since,
            "email": pl.col("mailchimp_email"), "name": pl.col("plain_name"), "keys": keys(mailchimp="member_hash"),
            "state": state,
            "list_ref": f"mailchimp:{list_id}",
        })  # fmt: skip

    state = pl.when(has_left).then("left_state").otherwise(pl.lit("subscribed"))
    since = pl.coalesce("left_at", "joined_at")
    return [
        member(members, NEWSLETTER_LIST, state, since),
        member(
            members.filter(is_student), STUDENT_LIST, pl.lit("subscribed"), pl.max_horizontal("joined_at", "anchor_at")
        ),
        _seen_in_webinars(members.filter("webinar"), at),
    ]


def _seen_in_webinars(members: pl.DataFrame, at: pl.Expr) -> pl.DataFrame:
    """The webinar tool has a list of its own; who leaves the newsletter is taken off it minutes later."""
    goes = pl.col("left_at").is_not_null() & pl.col("opt_out_mirrored") & ~pl.col("other_list")
    gone_at = whenever(goes, pl.col("left_at") + 10 * _MINUTE, at)
    return write("consents", "webinars", members, {
        "record_id": pl.col("who"), "occurred_at": pl.coalesce(gone_at, pl.col("joined_at") + 10 * _MINUTE),
        "email": pl.col("mailchimp_email"), "name": pl.col("plain_name"),
        "state": pl.when(gone_at.is_not_null()).then(pl.lit("unsubscribed")).otherwise(pl.lit("subscribed")),
    })  # fmt: skip


def _tickets(people: pl.DataFrame, at: pl.Expr) -> pl.DataFrame:
    asked = people.filter(pl.col("ticket_at").is_not_null(), pl.col("ticket") != "none")
    replied = whenever(pl.col("reply_lag").is_not_null(), pl.col("ticket_at") + pl.col("reply_lag"), at)
    solved = whenever(pl.col("resolve_lag").is_not_null(), pl.col("ticket_at") + pl.col("resolve_lag"), at)
    status = (
        pl.when(solved.is_not_null()).then(pl.lit("solved"))
        .when(replied.is_not_null()).then(pl.lit("pending"))
        .otherwise(pl.lit("open"))
    )  # fmt: skip
    rated = solved.is_not_null() & (pl.col("luck") < 0.3)
    named = pl.col("names_contact")
    contact = (
        pl.when(named == "merged").then(spelled("hubspot:{}", "merged_contact_id"))
        .when(named == "survivor").then(spelled("hubspot:{}", "contact_id"))
    )  # fmt: skip
    return write("tickets", "zendesk", asked, {
        "record_id": pl.col("ticket_id"), "occurred_at": pl.col("ticket_at"), "email": pl.col("login_email"),
        "phone": pl.col("plain_phone"), "name": pl.col("plain_name"),
        "keys": pl.concat_list(keys(zendesk="requester_id"), pl.concat_list(contact).list.drop_nulls()),
        "topic": pl.col("ticket"), "status": status,
        "priority": pl.when(pl.col("ticket") == "access").then(pl.lit("high")).otherwise(pl.lit("normal")),
        "first_reply_at": replied, "resolved_at": solved,
        "satisfaction": pl.when(rated).then(pl.lit("good")),
        "changed_at": pl.max_horizontal("ticket_at", replied, solved),
    })  # fmt: skip
