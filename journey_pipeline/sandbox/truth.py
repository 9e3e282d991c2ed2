"""What is true of the plan: which records are whose, which faults were put in, and what only looks like one."""

from collections.abc import Mapping

import polars as pl

from journey_pipeline.registry import TEXT
from journey_pipeline.sandbox.products import PRICES
from journey_pipeline.sandbox.stories import STORIES
from journey_pipeline.sandbox.tell import NEWSLETTER_LIST, subscribers

SUBJECTS = {
    "lead_implies_crm_record": ("person", "lead_id"),
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
    "unsubscribed_not_mailed": ("person", "consent_id"),
    "access_ticket_of_payer_is_answered": ("tickets", "ticket_id"),
}
"""Invariant -> kind of its subject, and the record that identifies it."""

_PLATFORM = {
    "lead_id": "typeform", "contact_id": "hubspot", "second_contact_id": "hubspot", "merged_contact_id": "hubspot",
    "charge_id": "stripe", "again_id": "stripe", "late_id": "stripe", "sub_id": "stripe", "second_sub_id": "stripe",
    "course_access_id": "teachable", "space_access_id": "community", "consent_id": "mailchimp", "ticket_id": "zendesk",
    "price_ref": "stripe", "space_ref": "community",
}  # fmt: skip
_PRODUCT = "product"
_OWED_ELSEWHERE = "through the bundle"
"""The one story whose subject is the journey of another offer: the e-book that the bundle contains."""

FAULTS = {
    "invariant": TEXT, "subject_kind": TEXT, "platform": TEXT, "record_id": TEXT, "who": TEXT, "offer_id": TEXT,
}  # fmt: skip


def labels(plan: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """`faults` and `look_alikes` of the people of one part of the plan; columns as World has them."""
    return {"faults": _labels(plan, "breaks").drop("why"), "look_alikes": _labels(plan, "resembles")}


def whose(records: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """kind, platform, record_id, who: the whole truth of identity."""
    return pl.concat(
        frame.select(pl.lit(kind).alias("kind"), "platform", "record_id", "who") for kind, frame in records.items()
    )


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
            is_product = subject == _PRODUCT
            subjects = named.select(
                pl.lit(invariant).alias("invariant"), pl.lit(subject).alias("subject_kind"),
                pl.lit(_PLATFORM[record]).alias("platform"), pl.col(record).alias("record_id"),
                (pl.lit(None, TEXT) if is_product else pl.col("who")).alias("who"),
                (pl.lit("ebook") if story.name == _OWED_ELSEWHERE
                 else pl.col("offer_id") if subject == "journey" else pl.lit(None, TEXT)).alias("offer_id"),
                pl.lit(story.name).alias("why"),
            )  # fmt: skip
            parts.append(subjects)
    return pl.concat(parts)


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
            space_access_id=space + "-" + pl.col("member_id"),
        )
        .join(listed, on="row", how="left", validate="1:1", maintain_order="left")
        .join(prices, on=["product", "terms", "currency"], how="left", validate="m:1", maintain_order="left")
    )
