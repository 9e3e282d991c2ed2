"""What can happen to a person, as data: a story is the calm plan (plan.py) with a few columns set otherwise.

Healthy stories have a weight among each other. A fault breaks exactly the invariants it names; a look-alike resembles
one and must not be flagged. Faults lie well past their grace, and nobody has two stories. Not here: how records look.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MINUTE, HOUR, DAY = 60, 3_600, 86_400
MONTH = 30 * DAY  # the billing cycle; what entitlement calls a month is a day longer (docs/definitions.md)
NEWSLETTERS_AGO, SEQUENCE_AGO = (6 * DAY, 20 * DAY), 9 * DAY
CROWD, FAMILY = 6, 2  # people behind an office phone or a role address (more than both thresholds); behind a home's

FAULT_RATE, ALIKE_RATE = 0.0006, 0.0004  # of all people; about 0.3 % of those whom one invariant speaks of
FAULT_LEAST, ALIKE_LEAST = 2, 1

Sets = dict[str, Any]
"""Columns of the plan and what they are set to: a word, a flag, an instant, a lag, or None for never."""


@dataclass(frozen=True)
class Ago:
    """An instant so many seconds before now."""

    least: float
    most: float


@dataclass(frozen=True)
class After:
    """An instant so many seconds after the story's anchor."""

    least: float
    most: float


@dataclass(frozen=True)
class Lag:
    """So many seconds."""

    least: float
    most: float


@dataclass(frozen=True)
class Story:
    """Columns of the plan that are set; how often it happens; what it breaks or resembles."""

    name: str
    sets: Mapping[str, Any]
    weight: float = 0.0
    breaks: tuple[str, ...] = ()
    resembles: tuple[str, ...] = ()
    record: str | None = None
    """The plan's id column that identifies the subject, where it isn't the invariant's usual one (truth.py)."""
    crowd: int = 1
    """People who share something: the story always befalls that many at once."""

    @property
    def is_healthy(self) -> bool:
        return self.weight > 0


def _ago(least_days: float, most_days: float) -> Ago:
    return Ago(least_days * DAY, most_days * DAY)


def _minutes(least: float, most: float) -> Ago:
    return Ago(least * MINUTE, most * MINUTE)


def _hours(least: float, most: float) -> Ago:
    return Ago(least * HOUR, most * HOUR)


_NEVER = None
_ALL = _ago(0.01, 600)
_LEAD: Sets = {"lead": True, "lead_lag": Lag(0, 0)}  # somebody who only asked
_ONCE: Sets = {"money": "once"}
_BOOTCAMP: Sets = {"product": "bootcamp", **_ONCE}
_EBOOK: Sets = {"product": "ebook", **_ONCE}
_BUNDLE: Sets = {"product": "bundle", **_ONCE}
_COACHING: Sets = {"product": "coaching", **_ONCE}
_MEMBER: Sets = {"product": "membership", "money": "subscription", "terms": "month", "sub": "active"}
_LIFETIME: Sets = {**_MEMBER, "terms": "six"}
_ENDED: Sets = {**_MEMBER, "sub": "ended"}  # the anchor is when the paid period ran out
_UNPAID_ACCESS: Sets = {"customer": "no", "welcome": False}
_NOTHING: Sets = {"course": False, "second_course": False, "space": False}
_STRANGER: Sets = {"lead": False, "contact": False, "consent": False, "ticket": "none"}
_QUIET: Sets = {"ticket": "none", "failed": False}  # nothing else by chance


def _healthy(name: str, weight: float, **sets: Any) -> Story:
    return Story(name, {"anchor_at": _ALL, **sets}, weight=weight)


def _fault(name: str, *breaks: str, record: str | None = None, **sets: Any) -> Story:
    return Story(name, {**_QUIET, **sets}, breaks=breaks, record=record)


def _alike(name: str, *resembles: str, record: str | None = None, crowd: int = 1, **sets: Any) -> Story:
    return Story(name, {**_QUIET, **sets}, resembles=resembles, record=record, crowd=crowd)


HEALTHY = (
    _healthy("visitor", 10, **{**_STRANGER, "touch": True, "customer": "no"}),
    _healthy("prospect", 27, **_LEAD),
    _healthy("prospect with a call", 2, **_LEAD, booking=True),
    _healthy("prospect with an open deal", 1, **_LEAD, deal="open", booking=True),
    _healthy("prospect with a lost deal", 1, **_LEAD, deal="lost"),
    _healthy("bootcamp", 10, **_BOOTCAMP),
    _healthy("bootcamp through sales", 2, **_BOOTCAMP, lead=True, deal="won", booking=True),
    _healthy("bootcamp by debit", 0.5, **{**_BOOTCAMP, "anchor_at": _ago(10, 400)}, method="sepa_debit",
             currency="EUR", access_lag=Lag(5 * DAY, 6 * DAY), welcome_lag=Lag(5 * DAY, 6 * DAY)),
    _healthy("bootcamp refunded", 0.8, **_BOOTCAMP, refund="all", refunded_at=After(DAY, 14 * DAY)),
    _healthy("bootcamp disputed", 0.1, **{**_BOOTCAMP, "anchor_at": _ago(5, 60)}, dispute="open", disputed_at=_ago(1, 4)),
    _healthy("bootcamp dispute lost", 0.1, **{**_BOOTCAMP, "anchor_at": _ago(60, 400)}, dispute="lost",
             disputed_at=After(5 * DAY, 40 * DAY)),
    _healthy("ebook", 15, **_EBOOK),
    _healthy("ebook refunded", 0.5, **_EBOOK, refund="all", refunded_at=After(DAY, 14 * DAY)),
    _healthy("bundle", 5, **_BUNDLE),
    _healthy("coaching", 1, **_COACHING),
    _healthy("member", 10, **_MEMBER),
    _healthy("member gone", 6, **_ENDED),
    _healthy("member leaving", 0.8, **{**_MEMBER, "sub": "cancelling"}),
    _healthy("member behind", 0.6, **{**_MEMBER, "sub": "past_due", "anchor_at": _ago(1, 3)}),
    _healthy("member on trial", 0.8, **{**_MEMBER, "sub": "trialing", "anchor_at": _ago(0.01, 12)}, customer="no"),
    _healthy("lifetime in six parts", 2, **_LIFETIME),
    _healthy("cohort", 1, **{"product": "cohort", **_ONCE, "anchor_at": _ago(0.01, 60)}),
)  # fmt: skip

FAULTS = (
    _fault("lead not in the CRM", "lead_implies_crm_record", **_LEAD, anchor_at=_ago(2, 40), contact=False),
    _fault("two contacts", "one_crm_record_per_person", **_LEAD, anchor_at=_ago(60, 400), address="two_contacts",
           phone=True, second_contact_at=_ago(2, 40)),
    _fault("deal left open", "paid_implies_won", **_BOOTCAMP, lead=True, anchor_at=_ago(2, 60), deal="open"),
    _fault("buyer not in the CRM", "paid_implies_crm_record", **_EBOOK, lead=False, contact=False,
           anchor_at=_ago(2, 90)),
    _fault("customer who never paid", "crm_customer_implies_paid", **_LEAD, anchor_at=_ago(30, 300), customer="yes"),
    # Nobody is known behind such a charge, so nobody is in the CRM either: two findings, one fact.
    _fault("charge without a name", "payment_has_person", "paid_implies_crm_record", **_COACHING,
           **{**_STRANGER, "address": "guest"}, anchor_at=_ago(3, 60)),
    _fault("flash sale in no offer", "product_has_offer", product="flash", **_ONCE, currency="USD",
           anchor_at=_ago(3, 20)),
    _fault("webinar pass in no offer", "product_has_offer", product="webinar", **_ONCE, currency="USD",
           anchor_at=_ago(3, 20)),
    _fault("space in no offer", "product_has_offer", record="space_ref", product="mastermind", **_ONCE,
           anchor_at=_ago(3, 20)),
    _fault("charged twice", "no_duplicate_charge", **_BOOTCAMP, anchor_at=_ago(2, 60),
           again_at=After(20, 10 * MINUTE)),
    _fault("bootcamp never opened", "paid_implies_access", **_BOOTCAMP, anchor_at=_ago(2, 90), **_NOTHING),
    _fault("e-book never delivered", "paid_implies_access", **_EBOOK, anchor_at=_ago(2, 90), **_NOTHING),
    _fault("member left outside", "paid_implies_access", **_MEMBER, anchor_at=_ago(2, 25), **_NOTHING),
    _fault("access for nothing", "access_implies_payment", product="bootcamp", **_UNPAID_ACCESS, lead=True,
           anchor_at=_ago(5, 90)),
    _fault("bootcamp taken away", "paid_access_not_lost", **_BOOTCAMP, anchor_at=_ago(60, 300), lost_at=_ago(2, 30)),
    _fault("bootcamp expired", "paid_access_not_lost", **_BOOTCAMP, anchor_at=_ago(60, 300), lost_at=_ago(2, 30),
           expires=True),
    _fault("cut off on cancelling", "paid_access_not_lost", **{**_MEMBER, "sub": "cancelling"},
           anchor_at=_ago(34, 40), lost_at=_ago(2, 3)),
    _fault("space missing", "bundle_is_complete", **_BOOTCAMP, anchor_at=_ago(2, 90), space=False),
    _fault("second course missing", "bundle_is_complete", **_BUNDLE, anchor_at=_ago(2, 90), second_course=False),
    _fault("refunded and still in", "refund_revokes_access", **_BOOTCAMP, anchor_at=_ago(40, 200), refund="all",
           refunded_at=_ago(2, 35), close_lag=_NEVER),
    _fault("ended and still in", "ended_subscription_ends_access", **_ENDED, anchor_at=_ago(4, 60), close_lag=_NEVER),
    _fault("two memberships", "one_live_subscription_per_offer", **_MEMBER, anchor_at=_ago(40, 300),
           second_sub_at=_ago(2, 25)),
    _fault("charged after the end", "no_charge_after_end", **_ENDED, anchor_at=_ago(15, 25), late_at=_ago(3, 8)),
    _fault("a seventh of six", "no_charge_after_end", **_LIFETIME, anchor_at=_ago(184, 190), late_at=_ago(2, 3.5)),
    _fault("no welcome", "paid_implies_welcome", **_BOOTCAMP, anchor_at=_ago(2, 25), welcome=False),
    _fault("e-book without a word", "paid_implies_welcome", **_EBOOK, anchor_at=_ago(2, 25), welcome=False),
    _fault("mailed after leaving", "unsubscribed_not_mailed", **_LEAD, anchor_at=_ago(40, 300), consent=True,
           left_at=_ago(7, 30), mailed_anyway=True),
    _fault("locked out and unheard", "access_ticket_of_payer_is_answered",
           **{**_BOOTCAMP, **_QUIET, "ticket": "access"}, anchor_at=_ago(10, 200), ticket_at=_ago(1, 6),
           reply_lag=_NEVER, resolve_lag=_NEVER),
)  # fmt: skip

ALIKES = (
    _alike("lead in dots and capitals", "lead_implies_crm_record", **_LEAD, anchor_at=_ago(2, 90), address="dotted"),
    _alike("lead just now", "lead_implies_crm_record", **_LEAD, anchor_at=_minutes(2, 8), contact=False),
    _alike("lead who asked to be deleted", "lead_implies_crm_record", **_LEAD, anchor_at=_ago(60, 200),
           contact_deleted_at=_ago(5, 40), consent=False),
    _alike("contact under another address", "lead_implies_crm_record", **_LEAD, anchor_at=_ago(2, 90),
           address="contact_elsewhere", phone=True),
    _alike("merged contact", "lead_implies_crm_record", "one_crm_record_per_person", record="merged_contact_id",
           **_LEAD, anchor_at=_ago(5, 300), merged=True),
    _alike("second contact of today", "one_crm_record_per_person", **_LEAD, anchor_at=_ago(60, 400),
           address="two_contacts", phone=True, second_contact_at=_hours(2, 20)),
    _alike("office phone", "one_crm_record_per_person", record="contact_id", crowd=CROWD, **_LEAD,
           anchor_at=_ago(5, 300), address="office", phone=True),
    _alike("family phone", "one_crm_record_per_person", record="contact_id", crowd=FAMILY, **_LEAD,
           anchor_at=_ago(5, 300), address="family", phone=True),
    _alike("role address", "one_crm_record_per_person", record="contact_id", crowd=CROWD, **_LEAD,
           anchor_at=_ago(5, 300), address="role", phone=True, consent=False),
    _alike("deal of today", "paid_implies_won", **_BOOTCAMP, lead=True, anchor_at=_hours(2, 20), deal="open"),
    _alike("e-book beside a big deal", "paid_implies_won", **_EBOOK, lead=True, anchor_at=_ago(2, 60), deal="big"),
    _alike("deal open, money returned", "paid_implies_won", **_BOOTCAMP, lead=True, anchor_at=_ago(20, 90),
           deal="open", refund="all", refunded_at=_ago(3, 15)),
    _alike("buyer of this hour", "paid_implies_crm_record", **_EBOOK, lead=False, contact=False,
           anchor_at=_minutes(5, 40), access_lag=Lag(5, 200), welcome_lag=Lag(5, 200)),
    _alike("buyer who asked to be deleted", "paid_implies_crm_record", **_BOOTCAMP, lead=False, consent=False,
           anchor_at=_ago(90, 300), contact_deleted_at=_ago(5, 40)),
    _alike("comped customer", "crm_customer_implies_paid", product="membership", **_LEAD, anchor_at=_ago(30, 300),
           customer="yes", course=False, basis="comp", welcome=False),
    _alike("customer by contract", "crm_customer_implies_paid", **_LEAD, anchor_at=_ago(20, 60), customer="yes",
           deal="agreed"),
    _alike("charge without an address", "payment_has_person", **_EBOOK, anchor_at=_ago(3, 90), address="keyless"),
    _alike("another business's mugs", "product_has_offer", product="swag", **_ONCE, currency="USD",
           anchor_at=_ago(3, 20)),
    _alike("price no longer sold", "product_has_offer", product="retired", **_ONCE, currency="USD",
           anchor_at=_ago(60, 600)),
    _alike("twin refunded", "no_duplicate_charge", **_BOOTCAMP, anchor_at=_ago(2, 90),
           again_at=After(20, 10 * MINUTE), again_refunded=True),
    _alike("two hours of coaching", "no_duplicate_charge", **_COACHING, anchor_at=_ago(2, 90),
           again_at=After(20, 10 * HOUR)),
    _alike("second try went through", "no_duplicate_charge", record="charge_id", **_BOOTCAMP, anchor_at=_ago(2, 90),
           failed=True),
    _alike("one for me, one for a friend", "no_duplicate_charge", **_BOOTCAMP, anchor_at=_ago(5, 90),
           again_at=After(20, 10 * MINUTE)),
    _alike("the friend", "access_implies_payment", product="bootcamp", **_UNPAID_ACCESS, **_STRANGER,
           anchor_at=_ago(4, 5), gift_of="again_id"),
    _alike("giver", "paid_implies_access", "paid_implies_welcome", **_BOOTCAMP, anchor_at=_ago(5, 90), **_NOTHING,
           welcome=False),
    _alike("given", "access_implies_payment", product="bootcamp", **_UNPAID_ACCESS, **_STRANGER,
           anchor_at=_ago(4, 5), gift_of="charge_id"),
    _alike("access under another address", "paid_implies_access", **_BOOTCAMP, anchor_at=_ago(5, 90),
           address="by_phone", phone=True),
    _alike("address changed", "paid_implies_access", **_MEMBER, anchor_at=_ago(90, 300), address="changed"),
    _alike("bought this hour", "paid_implies_access", "paid_implies_welcome", **_BOOTCAMP, lead=True,
           anchor_at=_minutes(10, 40), **_NOTHING, welcome=False),
    _alike("debit under way", "paid_implies_access", **_BOOTCAMP, lead=True, anchor_at=_ago(1, 4), status="pending",
           method="sepa_debit", currency="EUR", customer="no", **_NOTHING, welcome=False),
    _alike("cohort bought ahead", "paid_implies_access", product="cohort", **_ONCE, anchor_at=_ago(3, 60)),
    _alike("deleted account", "paid_implies_access", **_BOOTCAMP, lead=False, consent=False,
           anchor_at=_ago(90, 300), contact_deleted_at=_ago(5, 40), **_NOTHING),
    _alike("our own test order", "paid_implies_access", **_BOOTCAMP, **_STRANGER, anchor_at=_ago(2, 60),
           address="test", **_NOTHING, welcome=False),
    _alike("comp", "access_implies_payment", record="space_access_id", product="membership", **_UNPAID_ACCESS,
           lead=False, anchor_at=_ago(5, 200), course=False, basis="comp"),
    _alike("import", "access_implies_payment", record="space_access_id", product="membership", **_UNPAID_ACCESS,
           **_STRANGER, anchor_at=_ago(120, 120), course=False, basis="import", access_lag=Lag(0, 50)),
    _alike("freelance coach", "access_implies_payment", record="space_access_id", product="membership",
           **_UNPAID_ACCESS, **_STRANGER, anchor_at=_ago(5, 200), course=False, basis="staff"),
    _alike("through the bundle", "access_implies_payment", **_BUNDLE, anchor_at=_ago(5, 90)),
    _alike("opened today", "access_implies_payment", product="bootcamp", **_UNPAID_ACCESS, lead=True,
           anchor_at=_hours(2, 20)),
    _alike("suspended in dunning", "paid_access_not_lost", "paid_implies_access",
           **{**_MEMBER, "sub": "past_due"}, anchor_at=_ago(2, 3), lost_at=_ago(0.5, 1.5)),
    _alike("paused", "paid_access_not_lost", "paid_implies_access", **{**_MEMBER, "sub": "paused"},
           anchor_at=_ago(65, 300), lost_at=_ago(2, 9)),
    _alike("ended and out", "paid_access_not_lost", **_ENDED, anchor_at=_ago(3, 60)),
    _alike("half refunded, space gone", "bundle_is_complete", **_BOOTCAMP, anchor_at=_ago(20, 90), refund="half",
           refunded_at=_ago(3, 15), space=False),
    _alike("second half on its way", "bundle_is_complete", **_BUNDLE, anchor_at=_minutes(10, 40), lead=True,
           second_course=False, access_lag=Lag(5, 200), welcome_lag=Lag(5, 200)),
    _alike("refunded and bought again", "refund_revokes_access", **_BOOTCAMP, anchor_at=_ago(40, 120), refund="all",
           refunded_at=_ago(20, 35), again_at=_ago(5, 15)),
    _alike("half refunded", "refund_revokes_access", **_BOOTCAMP, anchor_at=_ago(40, 120), refund="half",
           refunded_at=_ago(3, 35)),
    _alike("goodwill", "refund_revokes_access", **_BOOTCAMP, anchor_at=_ago(40, 120), refund="all",
           refunded_at=_ago(3, 35), close_lag=_NEVER, course=False, basis="comp"),
    _alike("refunded today", "refund_revokes_access", **_BOOTCAMP, anchor_at=_ago(5, 60), refund="all",
           refunded_at=_hours(2, 20), close_lag=_NEVER),
    _alike("refunded before the welcome", "paid_implies_welcome", **_BOOTCAMP, anchor_at=_ago(5, 24), refund="all",
           refunded_at=After(2 * MINUTE, 30 * MINUTE), welcome=False),
    _alike("dispute won", "paid_access_not_lost", **_BOOTCAMP, anchor_at=_ago(90, 300), dispute="won",
           disputed_at=_ago(40, 60)),
    _alike("leaving at month's end", "ended_subscription_ends_access", "paid_access_not_lost",
           **{**_MEMBER, "sub": "cancelling"}, anchor_at=_ago(40, 200)),
    _alike("ended early, paid for longer", "ended_subscription_ends_access", **_ENDED, anchor_at=_ago(-16, -8),
           ended_at=_ago(3, 6), close_lag=_NEVER),
    _alike("ended today", "ended_subscription_ends_access", **_ENDED, anchor_at=_hours(2, 20), close_lag=_NEVER),
    _alike("moved to the lifetime plan", "ended_subscription_ends_access", "one_live_subscription_per_offer",
           **_ENDED, anchor_at=_ago(10, 25), second_sub_at=_ago(26, 29), second_terms="six", close_lag=_NEVER),
    _alike("all six paid", "ended_subscription_ends_access", **_LIFETIME, anchor_at=_ago(200, 500)),
    _alike("old plan leaving", "one_live_subscription_per_offer", **{**_MEMBER, "sub": "cancelling"},
           anchor_at=_ago(40, 200), second_sub_at=_ago(1, 5)),
    _alike("second one of this hour", "one_live_subscription_per_offer", **_MEMBER, anchor_at=_ago(40, 200),
           second_sub_at=_minutes(5, 40)),
    _alike("paid in arrears", "no_charge_after_end", **_ENDED, anchor_at=_ago(45, 50), ended_at=_ago(18, 22),
           late_at=_ago(14, 16)),
    _alike("late charge returned", "no_charge_after_end", **_ENDED, anchor_at=_ago(15, 25), late_at=_ago(3, 8),
           late_refunded=True),
    _alike("receipt after leaving", "unsubscribed_not_mailed", **_EBOOK, anchor_at=_ago(40, 300), consent=True,
           left_at=_ago(10, 30), receipt_at=_ago(1, 3)),
    _alike("mail in flight", "unsubscribed_not_mailed", **_LEAD, anchor_at=_ago(40, 300), consent=True,
           left_at=Ago(NEWSLETTERS_AGO[0] + 10 * MINUTE, NEWSLETTERS_AGO[0] + 40 * MINUTE)),
    _alike("left one of two lists", "unsubscribed_not_mailed", **_LEAD, anchor_at=_ago(40, 300), consent=True,
           left_at=_ago(10, 30), other_list=True, mailed_anyway=True),
    _alike("asked just now", "access_ticket_of_payer_is_answered", **{**_BOOTCAMP, **_QUIET, "ticket": "access"},
           anchor_at=_ago(10, 200), ticket_at=_minutes(20, 150), reply_lag=_NEVER, resolve_lag=_NEVER),
    _alike("asked without having bought", "access_ticket_of_payer_is_answered",
           **{**_LEAD, **_QUIET, "ticket": "access"}, anchor_at=_ago(10, 200), ticket_at=_hours(5, 7),
           reply_lag=_NEVER, resolve_lag=_NEVER),
    _alike("solved without a word", "access_ticket_of_payer_is_answered",
           **{**_BOOTCAMP, **_QUIET, "ticket": "access"}, anchor_at=_ago(10, 200), ticket_at=_ago(3, 9),
           reply_lag=_NEVER, resolve_lag=Lag(HOUR, 3 * HOUR)),
)  # fmt: skip

STORIES: tuple[Story, ...] = (*HEALTHY, *FAULTS, *ALIKES)
GIFTS = (("one for me, one for a friend", "the friend"), ("giver", "given"))
"""Whose purchase is whose gift: the nth of the one gave to the nth of the other."""
