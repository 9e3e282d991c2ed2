"""Stories of what comes after the purchase: mail, consent, the team, support, surveys, and who is who.

How often each happens, and to whom, is plan.py's.
"""

from journey_pipeline.sandbox.story import (
    BOOTCAMP,
    DAY,
    EBOOK,
    HOUR,
    LEAD,
    MINUTE,
    NEVER,
    NOTHING,
    QUIET,
    After,
    Lag,
    Sets,
    ago,
    alike,
    fault,
    hours,
    minutes,
)

_UNMAILED: Sets = {"lead": False, "consent": False}  # nothing is sent to them but what the story sends
_DECLINED: Sets = {
    **BOOTCAMP, **_UNMAILED, **NOTHING, "status": "failed", "customer": "no", "welcome": False,
}  # fmt: skip
_OPTED_OUT: Sets = {**LEAD, "anchor_at": ago(40, 300), "consent": True, "webinar": True}
_UNHEARD_DISPUTE: Sets = {**BOOTCAMP, "anchor_at": ago(10, 60), "dispute": "open", "unheard": "dispute"}
_BOUNCED: Sets = {**EBOOK, **_UNMAILED, "anchor_at": ago(20, 60), "bounces": True}
_READER: Sets = {**EBOOK, "anchor_at": ago(40, 90)}
_SURVEYED: Sets = {**EBOOK, **_UNMAILED, "anchor_at": ago(25, 40)}  # asked twenty days after the purchase
_UNANSWERED: Sets = {"reply_lag": NEVER, "resolve_lag": NEVER}


def _asks(topic: str) -> Sets:
    return {**QUIET, "ticket": topic}


FAULTS = (
    fault("dispute nobody heard of", "dispute_is_notified", **_UNHEARD_DISPUTE, disputed_at=ago(2, 5)),
    fault("sale nobody heard of", "sale_is_notified", **EBOOK, anchor_at=ago(0.5, 10), unheard="sale"),
    fault("cart mail to a buyer", "no_cart_mail_after_purchase", **{**BOOTCAMP, **_UNMAILED}, anchor_at=ago(5, 12),
          cart_at=ago(1, 4)),
    fault("still in the sales sequence", "buyer_leaves_sales_sequence", **{**BOOTCAMP, **_UNMAILED},
          anchor_at=ago(6, 40), sales_at=ago(1, 5)),
    fault("declined in silence", "failed_payment_gets_mail", **_DECLINED, anchor_at=ago(2, 10)),
    fault("receipt that bounced", "bounced_buyer_is_reached", **_BOUNCED, receipt_at=ago(5, 9)),
    fault("left one platform of two", "consents_agree", **_OPTED_OUT, left_at=ago(3, 30), opt_out_mirrored=False),
    # Whoever is locked out of the space lacks half of what they paid for: two findings, one fact.
    fault("solved and still outside", "solved_access_ticket_has_access", "bundle_is_complete",
          **{**BOOTCAMP, **_asks("access")}, anchor_at=ago(20, 90), ticket_at=ago(5, 10), space=False),
    fault("money back promised", "solved_refund_ticket_has_refund", **{**_READER, **_asks("refund")},
          ticket_at=ago(8, 12)),
    fault("asked and left alone", "ticket_gets_first_reply", **{**_READER, **_asks("billing"), **_UNANSWERED},
          ticket_at=ago(5, 9)),
    fault("scorn without an answer", "detractor_gets_follow_up", **_SURVEYED, score=2),
    fault("score of somebody who never bought", "survey_answer_is_from_buyer", **LEAD, anchor_at=ago(25, 60), score=9),
    fault("six addresses in one browser", "person_not_overmerged", **LEAD, anchor_at=ago(30, 200), touch=True,
          more_addresses=5),
    fault("bought at home, studies at work", "person_not_split", **EBOOK, anchor_at=ago(10, 90), address="work_login",
          phone=False),
    fault("case that names a merged contact", "keys_point_to_live_records", **{**LEAD, **_asks("other")},
          anchor_at=ago(30, 200), ticket_at=ago(3, 9), merged=True, names_contact="merged"),
    fault("two accounts for one course", "one_account_per_platform", **EBOOK, anchor_at=ago(40, 200),
          second_account_at=ago(3, 30)),
    fault("solved before it was asked", "journey_times_in_order", **{**_READER, **_asks("other")},
          ticket_at=ago(5, 30), resolve_lag=Lag(-5 * HOUR, -2 * HOUR)),
)  # fmt: skip

ALIKES = (
    alike("dispute of today", "dispute_is_notified", **_UNHEARD_DISPUTE, disputed_at=hours(2, 20)),
    alike("sale of this minute", "sale_is_notified", **{**EBOOK, **_UNMAILED}, anchor_at=minutes(2, 10),
          unheard="sale"),
    alike("cart mail, then bought", "no_cart_mail_after_purchase", **{**BOOTCAMP, **_UNMAILED}, anchor_at=ago(3, 10),
          cart_at=After(-40 * MINUTE, -10 * MINUTE)),
    alike("sequence of another offer", "buyer_leaves_sales_sequence", **{**EBOOK, **_UNMAILED}, anchor_at=ago(6, 40),
          sales_at=ago(1, 5)),
    alike("declined, then paid", "failed_payment_gets_mail", record="refused_id",
          **{**BOOTCAMP, **QUIET, "failed": True}, anchor_at=ago(2, 10)),
    alike("declined and told", "failed_payment_gets_mail", **_DECLINED, anchor_at=ago(2, 10),
          chase_at=After(10 * MINUTE, 5 * HOUR)),
    alike("bounced, then asked for help", "bounced_buyer_is_reached", **{**_BOUNCED, **_asks("other")},
          receipt_at=ago(8, 9.5), ticket_at=ago(4, 7)),
    alike("bounced after the refund", "bounced_buyer_is_reached", **_BOUNCED, refund="all", refunded_at=ago(10, 15),
          receipt_at=ago(6, 9)),
    alike("left everywhere", "consents_agree", **_OPTED_OUT, left_at=ago(3, 30)),
    alike("left today", "consents_agree", **_OPTED_OUT, left_at=hours(2, 20), opt_out_mirrored=False),
    alike("locked out by the refund", "solved_access_ticket_has_access", **{**BOOTCAMP, **_asks("access")},
          anchor_at=ago(20, 90), ticket_at=ago(6, 10), refund="all", refunded_at=ago(11, 15)),
    alike("money back given", "solved_refund_ticket_has_refund", **{**_READER, **_asks("refund")}, ticket_at=ago(8, 12),
          refund="all", refunded_at=ago(4, 6)),
    alike("stayed after all", "solved_refund_ticket_has_refund", **{**BOOTCAMP, **_asks("refund")},
          anchor_at=ago(20, 90), ticket_at=ago(8, 12), used_at=ago(1, 3)),
    alike("asked today", "ticket_gets_first_reply", **{**_READER, **_asks("billing"), **_UNANSWERED},
          ticket_at=hours(2, 20)),
    alike("scorn that was answered", "detractor_gets_follow_up", **{**_SURVEYED, **_asks("other")}, score=3,
          ticket_at=After(20.1 * DAY, 24 * DAY)),
    alike("scorn of yesterday", "detractor_gets_follow_up", **{**_SURVEYED, "anchor_at": ago(20.1, 20.9)}, score=2),
    alike("score of a comped partner", "survey_answer_is_from_buyer", product="membership", **LEAD,
          anchor_at=ago(30, 300), customer="yes", course=False, basis="comp", welcome=False, score=9),
    alike("five addresses in one browser", "person_not_overmerged", **LEAD, anchor_at=ago(30, 200), touch=True,
          more_addresses=4),
    alike("asked at home, reads at work", "person_not_split", record="contact_id", **LEAD, anchor_at=ago(10, 200),
          address="work_list", phone=False, consent=True),
    alike("case that names the survivor", "keys_point_to_live_records", **{**LEAD, **_asks("other")},
          anchor_at=ago(30, 200), ticket_at=ago(3, 9), merged=True, names_contact="survivor"),
    alike("second account of today", "one_account_per_platform", **EBOOK, anchor_at=ago(40, 200),
          second_account_at=hours(2, 20)),
    alike("solved at once", "journey_times_in_order", **{**_READER, **_asks("other")}, ticket_at=ago(5, 30),
          resolve_lag=Lag(0, 0)),
)  # fmt: skip
