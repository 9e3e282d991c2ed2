"""Stories of the way from an advertisement to a signed deal: forms, contacts, calls, proposals, and what is agreed.

How often each happens, and to whom, is plan.py's; what goes wrong with figures themselves is figures.py's.
"""

from journey_pipeline.sandbox.story import (
    BOOTCAMP,
    DAY,
    EBOOK,
    HOUR,
    LEAD,
    NEVER,
    NOTHING,
    STRANGER,
    After,
    Lag,
    Sets,
    ago,
    alike,
    fault,
    hours,
    minutes,
)

_CALL: Sets = {**LEAD, "booking": True}
_OFFERED: Sets = {**LEAD, "product": "bootcamp", **NOTHING, "welcome": False, "customer": "no"}
_SIGNING: Sets = {**_OFFERED, "deal": "agreed"}  # both won and signed when it was decided
_WAITING: Sets = {**_OFFERED, "deal": "open"}
_UNASKED: Sets = {**STRANGER, "contact": True, "customer": "no", "claims_source": True}

FAULTS = (
    fault("asked through a form that died", "arrivals_not_silent", crowd=16, **LEAD, form="demo-request",
          anchor_at=ago(20, 47)),
    fault("visitor of a page that is broken", "campaign_brings_leads", crowd=10, **STRANGER, touch=True, customer="no",
          reach="video", anchor_at=ago(1.1, 3), visit_lag=Lag(60, HOUR)),
    fault("signed and never paid", "signed_implies_paid", **_SIGNING, anchor_at=ago(40, 60), decided_at=ago(9, 30)),
    fault("won and never paid", "won_implies_paid", **_SIGNING, proposal="none", anchor_at=ago(40, 60),
          decided_at=ago(9, 30)),
    fault("paid a third of what was agreed", "agreed_amount_is_paid", **BOOTCAMP, lead=True, currency="USD",
          deal="dear", anchor_at=ago(9, 60)),
    fault("buyer whom the CRM calls a lead", "paid_implies_crm_customer", **EBOOK, customer="no", anchor_at=ago(2, 90)),
    fault("lead without an owner", "lead_has_owner", **LEAD, owned=False, anchor_at=ago(2, 60)),
    fault("lead without an answer", "lead_gets_answer", **LEAD, answer_lag=NEVER, consent=False, anchor_at=ago(5, 25)),
    fault("caller not in the CRM", "booking_implies_crm_record", **STRANGER, customer="no", touch=False, booking=True,
          anchor_at=ago(3, 60), booked_at=ago(1, 6)),
    fault("cancelled, but not in the calendar", "booking_copies_agree", **_CALL, call="cancelled_once",
          anchor_at=ago(4, 40)),
    fault("call that nobody recorded", "past_booking_has_outcome", **_CALL, call="unrecorded", anchor_at=ago(8, 40)),
    fault("missed and forgotten", "no_show_is_followed_up", **_CALL, call="missed", consent=False, anchor_at=ago(7, 25)),
    fault("called and left", "met_implies_next_step", **_CALL, anchor_at=ago(12, 26)),
    fault("signed, and the deal left open", "signed_implies_won", **_WAITING, proposal="signed", anchor_at=ago(20, 60),
          decided_at=ago(2, 6)),
    fault("won on an unsigned proposal", "won_implies_signed", **_SIGNING, proposal="unsigned", anchor_at=ago(20, 60),
          decided_at=ago(3.3, 6.4)),
    fault("proposal left lying", "proposal_is_followed_up", **_WAITING, proposal="unsigned", anchor_at=ago(40, 60),
          decided_at=ago(8, 25)),
    fault("contact from a form unknown", "crm_record_implies_lead", **_UNASKED, anchor_at=ago(3, 80)),
    fault("source overwritten", "lead_source_kept_in_crm", **LEAD, touch=True, rewritten=True, anchor_at=ago(3, 60)),
)  # fmt: skip

ALIKES = (
    # Resembles nothing: a video brought people until, some days ago, its page broke.
    alike("prospect from the video", crowd=12, **LEAD, touch=True, reach="video", anchor_at=ago(4.5, 26)),
    alike("asked through a rare form", "arrivals_not_silent", crowd=3, **LEAD, form="press", anchor_at=ago(10, 27)),
    alike("lead through an ad's own form", "campaign_clicks_are_tracked", **LEAD, touch=False, reach="ad_form",
          anchor_at=ago(1, 3)),
    alike("signed this week", "signed_implies_paid", **_SIGNING, anchor_at=ago(20, 60), decided_at=ago(1.2, 6)),
    alike("won this week", "won_implies_paid", **_SIGNING, proposal="none", anchor_at=ago(20, 60),
          decided_at=ago(1.2, 6)),
    alike("agreed in dollars, paid in euros", "agreed_amount_is_paid", **BOOTCAMP, lead=True, currency="EUR",
          deal="won", proposal="none", anchor_at=ago(9, 60)),
    alike("bought and gave it back", "paid_implies_crm_customer", **EBOOK, customer="no", anchor_at=ago(5, 60),
          refund="all", refunded_at=After(DAY, 2 * DAY)),
    alike("owner to come", "lead_has_owner", **LEAD, owned=False, anchor_at=minutes(9, 13), contact_lag=Lag(20, 60)),
    alike("asked today", "lead_gets_answer", **LEAD, answer_lag=NEVER, consent=False, anchor_at=hours(2, 20)),
    alike("caller of this minute", "booking_implies_crm_record", **STRANGER, customer="no", touch=False, booking=True,
          anchor_at=ago(3, 60), booked_at=minutes(2, 8)),
    alike("cancelled everywhere", "booking_copies_agree", **_CALL, call="cancelled", anchor_at=ago(4, 40)),
    alike("call of tomorrow", "past_booking_has_outcome", record="booking_id", **_CALL, anchor_at=ago(1.5, 3),
          booked_at=ago(0.9, 1.3)),
    alike("missed and written to", "no_show_is_followed_up", **_CALL, call="missed", anchor_at=ago(4, 6),
          written_at=After(2.2 * DAY, 2.6 * DAY)),
    alike("missed, then bought", "no_show_is_followed_up", **BOOTCAMP, lead=True, lead_lag=Lag(6 * DAY, 10 * DAY),
          booking=True, call="missed", anchor_at=ago(5, 25)),
    alike("call with a customer", "met_implies_next_step", **BOOTCAMP, booking=True, anchor_at=ago(60, 200),
          booked_at=ago(20, 40)),
    alike("signed today", "signed_implies_won", **_WAITING, proposal="signed", anchor_at=ago(20, 60),
          decided_at=hours(2, 20)),
    alike("won unsigned, and paid", "won_implies_signed", "proposal_is_followed_up", **BOOTCAMP, lead=True,
          lead_lag=Lag(2 * DAY, 10 * DAY), deal="won", proposal="unsigned", anchor_at=ago(10, 28),
          decided_at=After(-4 * HOUR, -3 * HOUR)),
    alike("proposal, then a word", "proposal_is_followed_up", **_WAITING, proposal="unsigned", anchor_at=ago(40, 60),
          decided_at=ago(12, 25), written_at=ago(8, 11)),
    alike("contact from an imported list", "crm_record_implies_lead", crowd=20, **_UNASKED, anchor_at=ago(200, 200),
          contact_lag=Lag(0, 0)),
    alike("known long before", "lead_source_kept_in_crm", **LEAD, touch=True, rewritten=True, anchor_at=ago(5, 60),
          contact_lag=Lag(-100 * DAY, -30 * DAY)),
)  # fmt: skip
