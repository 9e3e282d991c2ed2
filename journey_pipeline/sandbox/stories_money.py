"""Stories of money and what it pays for: payments that stay open, a shop and a processor that differ, subscriptions, use.

How often each happens, and to whom, is plan.py's.
"""

from journey_pipeline.sandbox.story import (
    BOOTCAMP,
    COACHING,
    ENDED,
    HOUR,
    MEMBER,
    MINUTE,
    NEVER,
    NOTHING,
    STRANGER,
    UNPAID_ACCESS,
    WORKBOOK,
    After,
    Lag,
    Sets,
    ago,
    alike,
    fault,
    hours,
    minutes,
)

_UNPAID: Sets = {"customer": "no", "welcome": False}
_WAITS: Sets = {**BOOTCAMP, "lead": True, "status": "pending", **_UNPAID}
_TRIAL: Sets = {**MEMBER, "sub": "trialing", "customer": "no"}
_BEHIND: Sets = {**MEMBER, "sub": "past_due"}  # the anchor is when the paid time ran out
_LEAVING: Sets = {**MEMBER, "sub": "cancelling"}
_TWO_MONTHS = ago(66, 85)  # a third charge 6 to 25 days ago
_SEAT: Sets = {"product": "membership", **UNPAID_ACCESS, **STRANGER, "course": False, "anchor_at": ago(4, 5)}

FAULTS = (
    fault("card pending for ever", "pending_payment_settles", **_WAITS, **NOTHING, anchor_at=ago(3, 20), method="card"),
    fault("authorised, never captured", "pending_payment_settles", **{**_WAITS, "status": "authorised"}, **NOTHING,
          anchor_at=ago(6, 20), method="card"),
    fault("order without a charge", "order_has_charge", **WORKBOOK, anchor_at=ago(3, 20), charge=False),
    fault("order stuck", "charge_has_order", **WORKBOOK, anchor_at=ago(3, 20), order="pending"),
    fault("order never arrived", "charge_has_order", **WORKBOOK, anchor_at=ago(3, 20), order="none"),
    fault("refund that the shop missed", "sale_copies_agree", **WORKBOOK, anchor_at=ago(25, 60), refund="all",
          refunded_at=ago(3, 20), is_mirrored=False),
    fault("a decimal point too far left", "paid_amount_is_usual", is_rare=True, **BOOTCAMP, anchor_at=ago(2, 60),
          currency="USD", amount="slip"),
    fault("in by a test card", "test_payment_grants_nothing", **BOOTCAMP, **_UNPAID, lead=True, anchor_at=ago(2, 60),
          test_mode=True),
    fault("trial without access", "trial_gives_access", **_TRIAL, anchor_at=ago(1, 10), **NOTHING),
    fault("in before the debit came", "pending_payment_grants_nothing", **_WAITS, anchor_at=ago(2, 8),
          method="sepa_debit", currency="EUR", granted_anyway=True),
    fault("disputed and still in", "dispute_suspends_access", **BOOTCAMP, anchor_at=ago(30, 90), dispute="open",
          disputed_at=ago(3, 25), close_lag=NEVER),
    fault("five seats, seven people", "seats_within_quantity", **MEMBER, anchor_at=ago(35, 50), seats=5),
    fault("never paid again and still in", "unpaid_access_is_suspended", **_BEHIND, anchor_at=ago(12, 25)),
    fault("small plan, large access", "old_plan_access_removed", **MEMBER, anchor_at=_TWO_MONTHS, moves=True,
          close_lag=NEVER),
    fault("trial without end", "subscription_moves_on", **_TRIAL, anchor_at=ago(17, 30)),
    fault("active and unpaid", "active_subscription_pays", **MEMBER, anchor_at=ago(100, 300), missed=2),
    fault("charged while shut out", "no_charge_after_access_ended", **MEMBER, anchor_at=_TWO_MONTHS,
          lost_at=ago(28, 34)),
    fault("refunded and still running", "refunded_subscription_is_ended", **MEMBER, anchor_at=_TWO_MONTHS,
          sub_refunded_at=ago(2, 5)),
    fault("ended, but not in the app", "subscription_copies_agree", **ENDED, anchor_at=ago(4, 60), app="active"),
    fault("deleted and still billed", "deleted_person_not_billed", **MEMBER, lead=False, consent=False,
          anchor_at=ago(60, 300), contact_deleted_at=ago(5, 30), used_at=ago(32, 40)),
    fault("bought and never begun", "access_is_used", **BOOTCAMP, anchor_at=ago(9, 200), is_used=False),
    fault("shut out and still there", "no_use_after_access_ended", **ENDED, anchor_at=ago(10, 40), used_at=ago(1, 5)),
)  # fmt: skip

ALIKES = (
    alike("checkout left open", "pending_payment_settles", **_WAITS, **NOTHING, anchor_at=ago(3, 20), method="none"),
    alike("pending, then paid by another card", "pending_payment_settles", **{**BOOTCAMP, "lead": True},
          status="pending", method="card", anchor_at=ago(5, 20), again_at=After(10 * MINUTE, 40 * MINUTE),
          access_lag=Lag(45 * MINUTE, 60 * MINUTE), welcome_lag=Lag(45 * MINUTE, 60 * MINUTE)),
    alike("company on invoice", "pending_payment_settles", "pending_payment_grants_nothing", **_WAITS,
          anchor_at=ago(3, 20), method="invoice", granted_anyway=True),
    alike("order by bank transfer", "order_has_charge", **WORKBOOK, anchor_at=ago(3, 20), charge=False,
          method="bank_transfer"),
    alike("order of today without a charge", "order_has_charge", **WORKBOOK, anchor_at=hours(2, 20), charge=False),
    alike("order given back, no charge", "order_has_charge", **WORKBOOK, anchor_at=ago(15, 30), charge=False,
          refund="all", refunded_at=ago(3, 12)),
    alike("order of this hour", "charge_has_order", **WORKBOOK, lead=True, anchor_at=minutes(10, 40), order="none"),
    alike("charge given back, no order", "charge_has_order", **WORKBOOK, anchor_at=ago(15, 30), order="none",
          refund="all", refunded_at=ago(3, 12)),
    alike("payment link", "charge_has_order", record="charge_id", **COACHING, anchor_at=ago(3, 20)),
    alike("refund of today", "sale_copies_agree", **WORKBOOK, anchor_at=ago(25, 60), refund="all",
          refunded_at=hours(2, 20), is_mirrored=False),
    alike("coupon that five had", "paid_amount_is_usual", crowd=5, **BOOTCAMP, anchor_at=ago(3, 60), currency="USD",
          amount="coupon"),
    alike("price of another currency", "paid_amount_is_usual", **COACHING, anchor_at=ago(3, 60), currency="EUR"),
    alike("tried a test card, then paid", "test_payment_grants_nothing", **BOOTCAMP, anchor_at=ago(5, 60),
          test_mode=True, again_at=After(5 * MINUTE, 20 * MINUTE), access_lag=Lag(25 * MINUTE, 40 * MINUTE),
          welcome_lag=Lag(25 * MINUTE, 40 * MINUTE)),
    alike("trial of this hour", "trial_gives_access", **_TRIAL, lead=True, anchor_at=minutes(10, 40), **NOTHING),
    alike("disputed today", "dispute_suspends_access", **BOOTCAMP, anchor_at=ago(30, 90), dispute="open",
          disputed_at=hours(2, 20), close_lag=NEVER),
    alike("five seats, five people", "seats_within_quantity", **MEMBER, anchor_at=ago(35, 50), seats=5),
    alike("seat of seven", "access_implies_payment", record="space_access_id", crowd=7,
          beside="five seats, seven people", gift_of="sub_id", **_SEAT),
    alike("seat of five", "access_implies_payment", record="space_access_id", crowd=5,
          beside="five seats, five people", gift_of="sub_id", **_SEAT),
    alike("retries over today", "unpaid_access_is_suspended", **_BEHIND, anchor_at=ago(8.1, 8.8)),
    alike("small plan, small access", "old_plan_access_removed", **MEMBER, anchor_at=_TWO_MONTHS, moves=True),
    alike("trial that ends today", "subscription_moves_on", **_TRIAL, anchor_at=ago(14.1, 14.8)),
    alike("charge a few days late", "active_subscription_pays", **MEMBER, anchor_at=ago(92, 95), missed=1),
    alike("refunded, leaves with the month", "refunded_subscription_is_ended", **_LEAVING, anchor_at=_TWO_MONTHS,
          sub_refunded_at=ago(2, 5)),
    alike("fee of today given back", "refunded_subscription_is_ended", **MEMBER, anchor_at=_TWO_MONTHS,
          sub_refunded_at=hours(2, 20)),
    alike("past due, unpaid in the app", "subscription_copies_agree", **_BEHIND, anchor_at=ago(1, 3), app="unpaid"),
    alike("deleted, yet in every day", "deleted_person_not_billed", **MEMBER, lead=False, consent=False,
          anchor_at=ago(60, 300), contact_deleted_at=ago(5, 30), used_at=ago(0.1, 1)),
    alike("deleted, leaves with the month", "deleted_person_not_billed", **_LEAVING, lead=False, consent=False,
          anchor_at=ago(60, 300), contact_deleted_at=ago(5, 30), used_at=ago(32, 40)),
    alike("bought this week, not begun", "access_is_used", **BOOTCAMP, anchor_at=ago(2, 6), is_used=False),
    alike("login that ran out", "no_use_after_access_ended", **ENDED, anchor_at=ago(3, 12), close_lag=Lag(MINUTE, HOUR),
          used_at=After(2 * HOUR, 12 * HOUR)),
)  # fmt: skip

SEATS = (("five seats, seven people", "seat of seven"), ("five seats, five people", "seat of five"))
"""Whose subscription lets in whose crowd."""
