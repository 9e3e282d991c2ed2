"""What is true of the plan: which records are whose, which faults were put in, and what only looks like one."""

from collections.abc import Mapping

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.registry import TEXT
from journey_pipeline.sandbox.figures import AD_FORM, VIDEO, Label
from journey_pipeline.sandbox.products import PRICES
from journey_pipeline.sandbox.stories import MESS, STORIES
from journey_pipeline.sandbox.tell import NEWSLETTER_LIST, subscribers

SUBJECTS = {
    "campaign_clicks_are_tracked": ("campaign", "ad_form"),
    "campaign_brings_leads": ("campaign", "video"),
    "arrivals_not_silent": ("pulse:leads", "form"),
    "lead_implies_crm_record": ("person", "lead_id"),
    "crm_record_implies_lead": ("contacts", "contact_id"),
    "lead_has_owner": ("person", "contact_id"),
    "lead_gets_answer": ("person", "lead_id"),
    "lead_source_kept_in_crm": ("person", "contact_id"),
    "booking_implies_crm_record": ("person", "booking_id"),
    "booking_copies_agree": ("bookings", "booking_id"),
    "past_booking_has_outcome": ("bookings", "meeting_id"),
    "no_show_is_followed_up": ("bookings", "booking_id"),
    "met_implies_next_step": ("bookings", "booking_id"),
    "proposal_is_followed_up": ("agreements", "agreement_id"),
    "signed_implies_won": ("journey", "agreement_id"),
    "won_implies_signed": ("journey", "deal_id"),
    "signed_implies_paid": ("journey", "agreement_id"),
    "won_implies_paid": ("journey", "deal_id"),
    "agreed_amount_is_paid": ("journey", "charge_id"),
    "paid_implies_crm_customer": ("person", "contact_id"),
    "one_crm_record_per_person": ("person", "second_contact_id"),
    "paid_implies_won": ("journey", "charge_id"),
    "paid_implies_crm_record": ("person", "charge_id"),
    "crm_customer_implies_paid": ("person", "contact_id"),
    "payment_has_person": ("payments", "charge_id"),
    "product_has_offer": ("product", "price_ref"),
    "no_duplicate_charge": ("payments", "again_id"),
    "paid_implies_access": ("journey", "charge_id"),
    "access_implies_payment": ("journey", "course_access_id"),
    "paid_access_not_lost": ("journey", "charge_id"),
    "bundle_is_complete": ("journey", "charge_id"),
    "refund_revokes_access": ("journey", "charge_id"),
    "ended_subscription_ends_access": ("journey", "sub_id"),
    "one_live_subscription_per_offer": ("journey", "second_sub_id"),
    "no_charge_after_end": ("payments", "late_id"),
    "paid_implies_welcome": ("journey", "charge_id"),
    "pending_payment_settles": ("payments", "charge_id"),
    "order_has_charge": ("payments", "order_id"),
    "charge_has_order": ("payments", "charge_id"),
    "sale_copies_agree": ("payments", "order_id"),
    "paid_amount_is_usual": ("payments", "charge_id"),
    "test_payment_grants_nothing": ("journey", "charge_id"),
    "trial_gives_access": ("journey", "sub_id"),
    "pending_payment_grants_nothing": ("journey", "charge_id"),
    "dispute_suspends_access": ("journey", "charge_id"),
    "seats_within_quantity": ("subscriptions", "sub_id"),
    "unpaid_access_is_suspended": ("journey", "sub_id"),
    "old_plan_access_removed": ("journey", "sub_id"),
    "subscription_moves_on": ("subscriptions", "sub_id"),
    "active_subscription_pays": ("subscriptions", "sub_id"),
    "no_charge_after_access_ended": ("payments", "last_charge_id"),
    "refunded_subscription_is_ended": ("subscriptions", "sub_id"),
    "subscription_copies_agree": ("subscriptions", "sub_id"),
    "deleted_person_not_billed": ("person", "sub_id"),
    "access_is_used": ("journey", "charge_id"),
    "no_use_after_access_ended": ("access", "space_access_id"),
    "unsubscribed_not_mailed": ("person", "consent_id"),
    "access_ticket_of_payer_is_answered": ("tickets", "ticket_id"),
    "no_cart_mail_after_purchase": ("journey", "charge_id"),
    "buyer_leaves_sales_sequence": ("journey", "charge_id"),
    "failed_payment_gets_mail": ("payments", "charge_id"),
    "bounced_buyer_is_reached": ("person", "charge_id"),
    "consents_agree": ("person", "consent_id"),
    "sale_is_notified": ("payments", "charge_id"),
    "dispute_is_notified": ("payments", "charge_id"),
    "ticket_gets_first_reply": ("tickets", "ticket_id"),
    "solved_access_ticket_has_access": ("tickets", "ticket_id"),
    "solved_refund_ticket_has_refund": ("tickets", "ticket_id"),
    "detractor_gets_follow_up": ("surveys", "nps_id"),
    "survey_answer_is_from_buyer": ("surveys", "nps_id"),
    "person_not_overmerged": ("person", "lead_id"),
    "person_not_split": ("person", "charge_id"),
    "keys_point_to_live_records": ("key", "ticket_id"),
    "one_account_per_platform": ("person", "charge_id"),
    "journey_times_in_order": ("journey", "charge_id"),
}
"""Invariant -> kind of its subject, and the record that identifies it."""

_PLATFORM = {
    "ad_form": "meta", "video": "youtube", "form": "typeform",
    "booking_id": "calendly", "meeting_id": "team_calendar", "agreement_id": "pandadoc", "deal_id": "hubspot",
    "lead_id": "typeform", "contact_id": "hubspot", "second_contact_id": "hubspot", "merged_contact_id": "hubspot",
    "charge_id": "stripe", "again_id": "stripe", "late_id": "stripe", "sub_id": "stripe", "second_sub_id": "stripe",
    "course_access_id": "teachable", "space_access_id": "community", "consent_id": "mailchimp", "ticket_id": "zendesk",
    "price_ref": "stripe", "space_ref": "community", "last_charge_id": "stripe", "order_id": "woocommerce",
    "refused_id": "stripe", "nps_id": "typeform",
}  # fmt: skip
_PRODUCT = "product"
_NOBODYS = (_PRODUCT, "campaign", "pulse:leads")
"""Subjects that are no person's, however many people they came about by."""
_OWED_ELSEWHERE = "through the bundle"
"""The one story whose subject is the journey of another offer: the e-book that the bundle contains."""

FAULTS = {
    "invariant": TEXT, "subject_kind": TEXT, "platform": TEXT, "record_id": TEXT, "who": TEXT, "offer_id": TEXT,
}  # fmt: skip


def labels(plan: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """`faults`, `look_alikes` and `mess` of the people of one part of the plan; columns as World has them."""
    return {
        "faults": _labels(plan, "breaks").drop("why"),
        "look_alikes": _labels(plan, "resembles"),
        "mess": _mess(plan),
    }


def of_figures(told: list[Label]) -> dict[str, pl.DataFrame]:
    """`faults` and `look_alikes` that no person has."""
    every = pl.DataFrame(
        [
            {"invariant": t.invariant, "subject_kind": t.subject_kind, "platform": t.platform, "record_id": t.record_id,
             "why": t.why}
            for t in told
        ],
        schema={**FAULTS, "why": TEXT},
    )  # fmt: skip
    return {
        "faults": every.filter(pl.col("why").is_null()).drop("why"),
        "look_alikes": every.filter(pl.col("why").is_not_null()),
    }


def _mess(plan: pl.DataFrame) -> pl.DataFrame:
    """who, mess, people: whose records look like another's, or unlike their own."""
    messy = plan.filter("is_first", pl.col("address").is_in(list(MESS)))
    return messy.select("who", mess="address", people=pl.col("address").replace_strict(MESS, return_dtype=TEXT))


def whose(records: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """kind, platform, record_id, who: the whole truth of identity."""
    return pl.concat(
        frame.select(pl.lit(kind).alias("kind"), "platform", "record_id", "who") for kind, frame in records.items()
    ).drop_nulls("who")


def _labels(plan: pl.DataFrame, how: str) -> pl.DataFrame:
    """One row per subject and invariant that its story breaks (or resembles)."""
    parts = [pl.DataFrame(schema={**FAULTS, "why": TEXT})]
    for code, story in enumerate(STORIES):
        invariants = story.breaks if how == "breaks" else story.resembles
        befallen = plan.filter(pl.col("story") == code, "is_first") if invariants else plan.clear()
        if befallen.is_empty():
            continue
        named = _with_more_ids(befallen)
        for invariant in invariants:
            subject, record = SUBJECTS[invariant]
            record = story.record or record
            subjects = named.select(
                pl.lit(invariant).alias("invariant"),
                (_named_contact() if subject == "key" else pl.lit(subject)).alias("subject_kind"),
                pl.lit(_PLATFORM[record]).alias("platform"), pl.col(record).alias("record_id"),
                (pl.lit(None, TEXT) if subject in _NOBODYS else pl.col("who")).alias("who"),
                (pl.lit("ebook") if story.name == _OWED_ELSEWHERE
                 else pl.col("offer_id") if subject == "journey" else pl.lit(None, TEXT)).alias("offer_id"),
                pl.lit(story.name).alias("why"),
            )  # fmt: skip
            parts.append(subjects)
    return pl.concat(parts)


def _named_contact() -> pl.Expr:
    """A subject that begins with the key that a record names."""
    is_merged = pl.col("names_contact") == "merged"
    return spelled("key:hubspot:{}", pl.when(is_merged).then("merged_contact_id").otherwise("contact_id"))


def _with_more_ids(plan: pl.DataFrame) -> pl.DataFrame:
    """Ids that are made of others, for the few rows that are labelled."""
    listed = subscribers(plan).select("row", consent_id=pl.lit(f"{NEWSLETTER_LIST}:") + pl.col("member_hash"))
    course, space = (
        pl.col(ref).str.strip_prefix(f"{platform}:")
        for ref, platform in (("course_ref", "teachable"), ("space_ref", "community"))
    )
    prices = PRICES.select("product", "terms", "currency", price_ref="product_ref")
    return (
        plan.with_columns(
            course_access_id=course + ":" + pl.col("student_id"),
            ad_form=pl.lit(AD_FORM),
            video=pl.lit(VIDEO),
            space_access_id=space + "-" + pl.col("member_id"),
        )
        .join(listed, on="row", how="left", validate="1:1", maintain_order="left")
        .join(prices, on=["product", "terms", "currency"], how="left", validate="m:1", maintain_order="left")
    )
