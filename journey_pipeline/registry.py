"""Every table and every column, named once: type, meaning, whether it is personal. No data, no logic.

Polars schemas, Dagster column metadata, Great Expectations suites, the documentation and the check of
user-written rules all read this one dictionary. A column means the same thing in every table it stands in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import polars as pl

TIME = pl.Datetime("us", "UTC")
TEXT, INT, FLOAT, BOOL, DAY = pl.String(), pl.Int64(), pl.Float64(), pl.Boolean(), pl.Date()
TEXTS = pl.List(pl.String())
MONEY_REFS = pl.List(pl.Struct({"ref": pl.String(), "amount_minor": pl.Int64()}))
SUMS = pl.List(pl.Struct({"currency": pl.String(), "amount_minor": pl.Int64()}))


@dataclass(frozen=True)
class Column:
    """One column: its polars type, what it means, and whether it can point at a person by itself."""

    dtype: pl.DataType
    meaning: str
    is_personal: bool = False
    allowed: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Table:
    """One table: its grain in words, its key, its columns in order, and the room that makes it."""

    name: str
    room: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    own: Mapping[str, Column] = field(default_factory=dict)  # columns whose allowed values are this table's alone
    required: tuple[str, ...] = ()

    def column(self, name: str) -> Column:
        return self.own.get(name) or COLUMNS[name]

    @cached_property
    def schema(self) -> pl.Schema:
        return pl.Schema({name: self.column(name).dtype for name in self.columns})


def _text(meaning: str, *allowed: str) -> Column:
    return Column(TEXT, meaning, allowed=allowed or None)


def _time(meaning: str) -> Column:
    return Column(TIME, meaning)


def _int(meaning: str) -> Column:
    return Column(INT, meaning)


def _bool(meaning: str) -> Column:
    return Column(BOOL, meaning)


SEVERITIES = ("critical", "warning", "info")
VERDICTS = ("holds", "pending", "excused", "unknown", "broken")
RISK_KINDS = ("paid", "due", "leak", "expected")
GATES = ("open", "partial", "closed", "not_covered", "off")
ENTITLEMENTS = ("one_off", "instalments", "subscription", "cancelling", "dunning", "paused", "trial")
ENDINGS = ("refund", "dispute", "term", "subscription_end", "non_payment", "plan_change")
LIFECYCLES = ("prospect", "lead", "buyer", "customer", "user", "churned")
STAGES = (
    "touched", "lead", "in_crm", "booked", "met", "proposed", "signed", "won",
    "paid", "has_access", "using", "refunded", "churned",
)  # fmt: skip
TIE_HOWS = ("exact", "normalised", "linked", "probable", "confirmed")
ACTIONS = (
    "grant_access", "restore_access", "revoke_access", "mark_comped", "create_contact", "merge_contacts",
    "split_contact", "assign_owner", "set_field", "set_stage", "mark_won", "set_outcome", "mirror_status",
    "send_message", "resend_message", "stop_sequence", "suppress_address", "correct_address", "refund_payment",
    "capture_payment", "void_authorisation", "collect_payment", "cancel_subscription", "choose_subscription",
    "reduce_seats", "create_order", "link_records", "replay_event", "map_product", "fix_tracking", "fix_form",
    "fix_report", "reply_ticket", "notify_team", "confirm_identity", "reload_source", "review",
)  # fmt: skip
IDENTITY_FIGURES = (
    "people_by_records", "people_by_emails", "people_by_weakest_tie", "ties", "keys_demoted", "taken_apart",
    "suspicious", "suggestions", "decisions",
)  # fmt: skip

COLUMNS: Mapping[str, Column] = {
    # The envelope that every record has
    "platform": _text("Which platform said so, as named in journey.yaml."),
    "record_id": _text("That platform's own id of the record, as text."),
    "occurred_at": _time("When it happened (not when it was loaded)."),
    "loaded_at": _time("When this version of it was ingested."),
    "first_loaded_at": _time("When the first version of it was ingested."),
    "gone_at": _time("The first complete load that no longer listed it; null while it is listed."),
    "email": Column(TEXT, "E-mail address, as given.", is_personal=True),
    "phone": Column(TEXT, "Phone number, as given.", is_personal=True),
    "name": Column(TEXT, "Name, as given.", is_personal=True),
    "company": _text("Company, as given."),
    "keys": Column(TEXTS, "`platform:id` of the same person elsewhere."),
    "url": _text("Deep link to the record in the platform's own UI."),
    "is_test": _bool("A test-mode, staff or sandbox record, or one of a test buyer."),
    # Who and what a record belongs to, once identity has spoken
    "person_id": _text("The resolved person; stable from run to run."),
    "offer_id": _text("The offer of journey.yaml that it is about; null if unknown or none."),
    "identity_confidence": Column(
        FLOAT, "The weakest tie needed to hold together the records behind this row, 0 to 1."
    ),
    # Own columns of the kinds
    "channel": _text("Marketing or messaging channel."),
    "source": _text("utm_source, or where the platform says it came from."),
    "medium": _text("utm_medium."),
    "campaign": _text("utm_campaign, or the platform's campaign name."),
    "content": _text("utm_content."),
    "click_id": _text("gclid, fbclid or the like."),
    "page": _text("Landing page without its query."),
    "day_on": Column(DAY, "The day, in the business's time zone."),
    "impressions": _int("Times shown."),
    "clicks": _int("Times clicked."),
    "cost_minor": _int("Cost in minor units."),
    "currency": _text("ISO 4217, upper case, of the amounts beside it."),
    "conversions": Column(FLOAT, "Conversions that the ad platform claims."),
    "form": _text("The form's name or id."),
    "product_ref": _text("`platform:id` of what was bought or granted."),
    "updated_at": _time("When the platform last changed it."),
    "owner": _text("Who is responsible: a team or an address."),
    "lifecycle_stage": _text("The CRM's stage of the person."),
    "merged_into": _text("`platform:id` of the contact that survived a merge."),
    "is_deleted": _bool("The platform says that it was deleted or archived."),
    "pipeline": _text("The CRM pipeline."),
    "stage": _text("The furthest step reached."),
    "amount_minor": _int("Amount in minor units of `currency`."),
    "won_at": _time("When the deal was won."),
    "lost_at": _time("When the deal was lost."),
    "lost_reason": _text("Why, as the CRM has it."),
    "starts_at": _time("When the meeting starts."),
    "status": _text("State, in the words of the kind."),
    "host": _text("Whose calendar."),
    "event_type": _text("The kind of meeting."),
    "cancelled_at": _time("When it was cancelled."),
    "sent_at": _time("When the document was sent."),
    "viewed_at": _time("When it was first viewed."),
    "signed_at": _time("When it was signed."),
    "declined_at": _time("When it was declined."),
    "role": _text("`processor` moved the money, `shop` recorded an order.", "processor", "shop"),
    "same_as": Column(TEXTS, "`platform:record_id` of the same sale told elsewhere."),
    "subscription_ref": _text("`platform:record_id` of the subscription that it pays."),
    "method": _text("Payment method; null = not chosen."),
    "refunded_minor": _int("Sum refunded, in minor units."),
    "refunded_at": _time("Latest refund."),
    "disputed_at": _time("When the dispute was opened."),
    "dispute_status": _text("State of the dispute.", "open", "won", "lost"),
    "instalments": _int("Payments agreed in all; null = until cancelled."),
    "quantity": _int("Seats or units."),
    "interval": _text("Billing interval.", "day", "week", "month", "quarter", "year"),
    "trial_ends_at": _time("When the trial ends."),
    "period_ends_at": _time("When the present period ends."),
    "is_cancelling": _bool("It ends at the end of the present period."),
    "ended_at": _time("When it ended."),
    "grant": _text("What kind of access.", "course", "role", "level", "tag", "membership"),
    "basis": _text("Why it was given.", "paid", "comp", "import", "staff"),
    "paid_by_ref": _text("The payment or subscription, also another person's, that paid for it."),
    "expires_at": _time("When it expires."),
    "revoked_at": _time("When it was taken away."),
    "last_used_at": _time("When it was last used."),
    "progress": Column(FLOAT, "Progress, 0 to 100."),
    "purpose": _text(
        "What the message is for.", "welcome", "receipt", "dunning", "cart", "sequence", "newsletter", "other"
    ),
    "template_ref": _text("`platform:id` of the template or campaign."),
    "delivered_at": _time("When it was delivered."),
    "opened_at": _time("When it was opened."),
    "clicked_at": _time("When a link in it was clicked."),
    "bounced_at": _time("When it bounced."),
    "state": _text("Marketing opt-in state.", "subscribed", "unsubscribed", "cleaned"),
    "list_ref": _text("`platform:id` of the list."),
    "about_ref": _text("`platform:record_id` that the notification speaks of."),
    "topic": _text("What the case is about.", "access", "billing", "refund", "other"),
    "priority": _text("Priority, as the helpdesk has it."),
    "first_reply_at": _time("First public reply by staff."),
    "resolved_at": _time("When it was resolved."),
    "satisfaction": _text("Rating given to the case."),
    "instrument": _text("`nps`, `csat`, or a survey's name."),
    "score": Column(FLOAT, "The score given."),
    "comment": Column(TEXT, "What was written.", is_personal=True),
    "report": _text("Which report says it."),
    "metric": _text("Which figure."),
    "starts_on": Column(DAY, "First day of the period."),
    "ends_on": Column(DAY, "Last day of the period."),
    "value": Column(FLOAT, "The figure."),
    # What only older versions of a record can tell (records/)
    "first_succeeded_loaded_at": _time("First load that said succeeded, if an earlier one said pending or authorised."),
    "class_changed_at": _time("Load at which its class of states last changed."),
    "ended_loaded_at": _time("First load that said it had ended."),
    "customer_since_at": _time("Start of the unbroken run of versions in a customer stage."),
    "first_used_at": _time("Earliest use that any version told of."),
    "former_owner": _text("The last owner that an older version named, where the newest names none."),
    "former_campaign": _text(
        "The last source and campaign that an older version named, where the newest names others."
    ),
    "is_former_customer": _bool("An older version was in a customer stage, the newest is in another."),
    # Rejections
    "resource": _text("The platform's resource (endpoint or table)."),
    "reason": _text("Why."),
    "raw": Column(TEXT, "The row as the platform sent it, JSON.", is_personal=True),
    # payments, derived; the rules that they share: docs/definitions.md
    "sale_id": _text("Least `platform:record_id` among the copies of one sale."),
    "is_primary": _bool("It is a copy that counts."),
    "copy_count": _int("Number of copies of the same thing told by platforms."),
    "is_refunded": _bool("Wholly refunded."),
    "net_minor": _int("What was kept: succeeded amount less refunds, 0 if the dispute was lost."),
    "succeeded_at": _time("When the money was there."),
    "is_recent": _bool("Happened within the look-back."),
    "is_renewal": _bool("An earlier payment bears the same subscription."),
    "ordinal": _int("Its rank among the payments of its subscription, 1 = first."),
    "earlier_twin_ref": _text("The earlier equal payment that this one repeats."),
    "offer_price_minor": _int("The offer's list price."),
    "offer_currency": _text("The currency of the list price."),
    "is_person_known": _bool("Its person has an address, or a record from another platform."),
    "has_address": _bool("Its person has a normalised e-mail or phone."),
    "is_ignored": _bool("Its product is listed under `ignore_products`."),
    "is_repeatable": _bool("Its offer may be bought again and again."),
    "is_granted_to_other": _bool("Another person's access names this money: a gift or a seat."),
    "subscription_ended_at": _time("When the subscription in `subscription_ref` ended."),
    "subscription_instalments": _int("Payments agreed for that subscription."),
    "is_arrears": _bool("It paid for time before the subscription's end."),
    "has_processor_copy": _bool("The sale has a succeeded copy that moved the money."),
    "has_shop_copy": _bool("The sale has a succeeded copy that recorded an order."),
    "sale_amount_spread_minor": _int("By how much the amounts of processor and shop differ; 0 if only one tells it."),
    "sale_refund_spread_minor": _int("By how much their refunds differ; 0 if only one tells it."),
    "sale_currency_count": _int("Distinct currencies among the copies of the sale."),
    "sale_changed_at": _time("Latest payment or refund among the copies of the sale."),
    "settle_by_at": _time("When a pending or authorised payment should have come to an end."),
    "is_delayed_method": _bool("Its method takes days to settle."),
    "later_success_at": _time("Of one that has not succeeded: the person's next payment for the offer that did."),
    "is_shop_sold": _bool(
        "Of its platform's payments for the offer in the 28 days before, most had an order in a shop."
    ),
    "is_other_processor": _bool("Its method names a processor that no connected platform covers."),
    "usual_amount_count": _int("Other one-off payments for the offer of this amount within 90 days before or after."),
    "access_gap_at": _time("When the access that its subscription pays for closed, if none was open when it was paid."),
    "dispute_notified_at": _time("Earliest notification about the sale since the dispute was opened."),
    "is_repeat_failure": _bool("The same person's payment for the offer failed within the 24 h before."),
    "chased_at": _time("Earliest message of purpose dunning, cart or other to the person since."),
    # subscriptions, derived
    "is_live": _bool("Trialing, active or past due."),
    "due_at": _time("End of the trial or of the present period."),
    "paid_count": _int("Payments kept so far."),
    "last_paid_at": _time("Latest payment kept."),
    "paid_until_at": _time("Latest payment plus one interval."),
    "last_refunded_at": _time("When the newest payment was wholly refunded, if no other one paid for its period."),
    "seats_used": _int("People with open paid access that names the subscription."),
    "seats_over_at": _time("When the first of these beyond `quantity` was let in."),
    "is_payment_tied": _bool("Payments name subscriptions of its platform."),
    "copy_class_count": _int("Distinct classes of state among the copies."),
    "copy_changed_at": _time("When the class of a copy last changed."),
    # access, derived
    "is_open": _bool("Active and not expired."),
    "closed_at": _time("When it was revoked, expired or found gone."),
    "is_basis_told": _bool("Its platform says of some access why it was given."),
    "is_recent_use": _bool("Last used within the look-back."),
    "has_open_sibling": _bool("It is closed, and the person has another one of the same offer that is open."),
    # tickets, derived
    "is_payer": _bool("The person has an offer that they pay for now."),
    "payer_net_minor": _int("What was kept of the person's paying journeys, in `currency`."),
    "has_all_access": _bool("Everything due to the person is open."),
    "is_recently_solved": _bool("Resolved within the look-back."),
    "has_paid": _bool("The person has ever paid."),
    "refund_at": _time("First refund of the person from the day before the case on."),
    "has_used_since": _bool("The person used something more than a day after it was resolved."),
    # surveys, derived
    "is_detractor": _bool("NPS 0 to 6, CSAT 1 or 2."),
    "is_score": _bool("An NPS or CSAT with a score."),
    "has_bought": _bool("The person had paid by then, and not got all of it back."),
    # people
    "first_seen_at": _time("Earliest record."),
    "last_seen_at": _time("Latest record."),
    "lifecycle": _text("Where the person stands.", *LIFECYCLES),
    "persona": _text("Segment, where a rule gives one."),
    "record_count": _int("Records tied to the person."),
    "crm_contact_count": _int("Surviving CRM contacts."),
    "crm_platform_contact_count": _int("Greatest number of surviving contacts on one CRM."),
    "second_contact_at": _time("When the second oldest of them was created."),
    "crm_deleted_at": _time("When the last contact was deleted, if none survives."),
    "crm_owner": _text("Owner, from the newest contact that has one."),
    "crm_source": _text("Source, from the newest contact that has one."),
    "crm_campaign": _text("Campaign, from the newest contact that has one."),
    "crm_stage": _text("Lifecycle stage, from the newest contact that has one."),
    "is_crm_customer": _bool("The CRM stage means `has bought`."),
    "crm_customer_at": _time("Since when it does."),
    "first_lead_at": _time("Earliest lead."),
    "first_booked_at": _time("Earliest booking."),
    "first_paid_at": _time("Earliest primary succeeded payment."),
    "lead_source": _text("Source of the earliest lead that has one."),
    "lead_campaign": _text("Campaign of the earliest lead with a source."),
    "has_net_payment": _bool("Money was kept from the person."),
    "has_agreed": _bool("A signed document or a won deal."),
    "person_subscription_count": _int("Live primary subscriptions of the person."),
    "person_cancelling_count": _int("Those of them that are cancelling."),
    "person_subscription_minor": _int("What they cost per interval, in the business's currency."),
    "has_comp_access": _bool("Open access of basis comp, import or staff."),
    "lifetime_minor": _int("Net payments in the business's currency."),
    "lifetime_other": Column(MONEY_REFS, "Net payments in other currencies: (currency, amount); never added."),
    "expected_minor": _int("Average net sales per lead, 30 to 210 days after the lead."),
    "email_count": _int("Distinct normalised e-mails."),
    "phone_count": _int("Distinct normalised phones."),
    "name_count": _int("Distinct names."),
    "opted_out_at": _time("Latest opt-out without a later opt-in."),
    "mailed_after_optout_at": _time("Latest marketing message more than 1 h after the opt-out."),
    "consent_platform_count": _int("Platforms that know whether the person may be mailed."),
    "stale_opt_in_count": _int("Platforms that still say subscribed from before the opt-out."),
    "last_use_at": _time("Latest use of any access."),
    "merged_at": _time("Latest merge of the person with somebody, else the earliest record."),
    "account_count": _int("Addresses with open access, on the platform that has most of them."),
    "second_account_at": _time("When the second of them was opened."),
    "reached_at": _time("First delivery elsewhere, reply to a case or other address since `bounced_at`."),
    "twin_person_id": _text("Best suggested other self, neither linked nor refused."),
    "twin_at": _time("When both of them existed."),
    "is_confirmed": _bool("Somebody confirmed, in the decisions file, that records of theirs are one person's."),
    # ties
    "key": Column(TEXT, "`type:value` of a key that ties records together.", is_personal=True),
    "kind": _text("The kind of record."),
    "how": _text("How the key ties.", *TIE_HOWS),
    "confidence": Column(FLOAT, "How sure the tie is, 0 to 1."),
    "people_count": _int("People, or names, that share the key."),
    "from_person_id": _text("The id that went."),
    "to_person_id": _text("The id that holds now."),
    "because": _text("Which key did it, or what agrees."),
    "change": _text("What happened.", "merge", "split"),
    "other_person_id": _text("The person who may be the same."),
    "probability": Column(FLOAT, "How probable it is that the two are one, 0 to 1."),
    "against": _text("What speaks against it, so that it is never linked by itself; null: nothing."),
    "record_ref": _text("`platform:record_id` of a record of the person."),
    "other_record_ref": _text("`platform:record_id` of a record of the other person."),
    "figure": _text("What is counted.", *IDENTITY_FIGURES),
    "part": _text("Of which part it is counted: a size, a type of key, a person."),
    "count": _int("How many."),
    # journeys
    "event": _text("What happened, a milestone's name without `_at`."),
    "first_touch_at": _time("Earliest touchpoint of the person."),
    "lead_at": _time("Earliest lead."),
    "crm_at": _time("Earliest surviving CRM contact."),
    "booked_at": _time("Earliest booking."),
    "met_at": _time("Start of the earliest completed booking."),
    "proposed_at": _time("Earliest agreement sent."),
    "paid_at": _time("Earliest primary succeeded payment, refunded or not."),
    "access_at": _time("Earliest access to a grant of the offer."),
    "welcomed_at": _time("Earliest delivery of a welcome of the offer."),
    "notified_at": _time("Earliest notification about one of its payments."),
    "ticket_at": _time("First ticket."),
    "ticket_resolved_at": _time("When the first ticket was resolved."),
    "renewed_at": _time("Latest renewal payment."),
    "access_ended_at": _time("When the last open access closed."),
    "churned_at": _time("When a subscription ended or stopped being paid."),
    "first_channel": _text("Channel of the first touch, else of the lead."),
    "last_channel": _text("Channel of the last touch before the payment."),
    "paid_minor": _int("Sum of primary succeeded payments in `currency`."),
    "has_mixed_currency": _bool("There are payments in another currency too."),
    "payment_count": _int("Primary succeeded payments."),
    "ticket_count": _int("Tickets."),
    "submission_count": _int("Leads."),
    "contact_count": _int("Surviving CRM contacts of the person."),
    "stage_since_at": _time("Since when the journey is at its stage."),
    "is_stuck": _bool("It has waited longer than nine in ten did at this stage."),
    "next_step": _text("The step that should come next."),
    "money_at": _time("Earliest payment of any status, or subscription."),
    "test_paid_at": _time("Earliest test payment of the person for the offer."),
    "pending_method": _text("Method of the newest pending or authorised payment."),
    "entitled_by": _text("What gives the right to access now.", *ENTITLEMENTS),
    "entitled_from_at": _time("Since when."),
    "entitlement_ended_at": _time("When the last right to access ended."),
    "entitlement_ended_by": _text("What ended it.", *ENDINGS),
    "is_paying": _bool("Entitled, not by a trial, and paid."),
    "access_due_at": _time("When access should be there."),
    "grants_expected": _int("Items of the offer on connected platforms."),
    "grants_open": _int("Items of them that are open."),
    "open_basis": _text("Why the open access was given.", "paid", "comp", "import", "staff"),
    "access_lost_at": _time("When the last open item closed while entitled."),
    "is_charged_since_loss": _bool("Paid again more than 24 h after the loss."),
    "grant_missing_at": _time("Since when some but not all items are open."),
    "unowed_count": _int("Open paid items that no entitlement covers."),
    "is_granted_by_other": _bool("Its access names another person's money."),
    "subscription_count": _int("Primary subscriptions of the journey."),
    "live_subscription_count": _int("Live primary subscriptions."),
    "cancelling_subscription_count": _int("Those of them that are cancelling."),
    "second_live_at": _time("When the second oldest live one began."),
    "extra_subscription_minor": _int("Price of all live ones but the dearest."),
    "agreed_minor": _int("Amount of the newest signed agreement, else won deal."),
    "agreed_currency": _text("Its currency."),
    "deal_count": _int("Attached deals."),
    "has_matching_deal": _bool("One of them is about this purchase."),
    "deal_lost_at": _time("Latest loss, when no deal is open or won."),
    "cart_mail_at": _time(
        "Latest abandoned-cart mail of the look-back for the offer, an hour or more after it was bought."
    ),
    "sales_mail_at": _time("The same of its sales sequence."),
    "is_welcome_expected": _bool("The offer lists a welcome."),
    "is_use_tracked": _bool("A platform of its open access tells of use."),
    "is_person_deleted": _bool("The person's CRM contacts were deleted."),
    "has_account_on_target": _bool("A platform of the offer's grants knows the person."),
    "has_unmapped_access": _bool("The person has access to a product that is in no offer."),
    "has_other_offer_access": _bool("The person has open access to an offer they have no money in."),
    "access_platform": _text("Platform of the open, else of the expected, access."),
    "other_person_access_ref": _text("Access of somebody with the same name or phone, or nearly the same e-mail."),
    # leads, calls and proposals, derived
    "is_form_source": _bool("Contacts of this source nearly always belong to people who filled in a form that day."),
    "has_lead": _bool("The person filled in a form."),
    "batch_count": _int("Contacts that its platform created in the same minute."),
    "has_outcome": _bool("Some platform says what became of the meeting."),
    "next_step_at": _time("First proposal, payment, decided deal or other meeting after it began."),
    "paid_before_at": _time("Latest payment of the person before it began."),
    "followed_up_at": _time("First word to the person, new meeting or case after it."),
    "newer_sent_at": _time("When the person was sent a later document."),
    "paid_after_at": _time("First payment of the journey after it was sent."),
    "first_answer_at": _time("First word to the person, meeting or deal since the first lead."),
    "retired_at": _time("When the contact was merged into another, or deleted."),
    "is_survivor_named": _bool("The same record names the contact that it was merged into, too."),
    # groups
    "is_in_use": _bool("Sold, subscribed or held as paid in the last 30 days."),
    "sold_30d_minor": _int("Net sales of the last 30 days."),
    "clicks_3d": _int("Clicks of the last three whole days."),
    "touches_3d": _int("Visits of the last three whole days that name the campaign."),
    "leads_3d": _int("Leads of the last three whole days that name the campaign."),
    "orders_3d": _int("New sales of the last three whole days to people who came by the campaign."),
    "cost_3d_minor": _int("Cost of the last three whole days."),
    "live_since_at": _time("Start of the latest run of days with clicks."),
    "expected_leads_3d": Column(FLOAT, "Leads that so many visits usually bring, by the source's last 28 days."),
    "has_renamed_touches": _bool("Visits name a campaign that differs only in spaces and punctuation."),
    "is_source_untagged": _bool("Visits of the source without a campaign have doubled."),
    "is_source_silent": _bool("No campaign of the source brings leads."),
    "label": _text("What arrives: a form, an offer, a kind of meeting."),
    "last_at": _time("When it last came."),
    "usual_per_day": Column(FLOAT, "How many came a day in the 28 days before the last one."),
    "longest_gap_days": Column(FLOAT, "The longest silence of these 28 days."),
    "silent_days": Column(FLOAT, "How long none has come."),
    "silent_minor": _int("Sales that so long a silence usually holds; payments only."),
    "is_closed": _bool("The offer is no longer sold."),
    "is_platform_silent": _bool("Nothing that its platform used to bring arrives any more."),
    "has_live_visits": _bool("Visits of the site go on at half the usual number or more."),
    "claim": _text("What the figure claims to be.", "exact", "sampled", "claimed"),
    "ends_at": _time("End of the period."),
    "value_reported": Column(FLOAT, "The figure, as reported."),
    "value_computed": Column(FLOAT, "The same, from the records; null: unknown what it should be."),
    "difference": Column(FLOAT, "Reported less computed."),
    "ratio": Column(FLOAT, "Reported by computed."),
    "usual_ratio": Column(FLOAT, "Median ratio of the 28 periods before; null below 14."),
    "ratio_band": Column(FLOAT, "How far the ratio may stray from the usual one."),
    "tolerance": Column(FLOAT, "How far an exact figure may be off."),
    "gross_computed": Column(FLOAT, "The figure before refunds, where it is one of money kept."),
    "previous_value": Column(FLOAT, "The figure of the period before, as reported."),
    "is_lead_goal": _bool("The figure counts leads, not sales."),
    # verdicts and findings
    "finding_id": _text("Hash of invariant and subject; stable across runs."),
    "invariant": _text("The rule's name."),
    "subject": _text("What the finding is about, `type:id`."),
    "verdict": _text("The day's verdict; null: the rule no longer speaks of it.", *VERDICTS),
    "verdict_reason": _text("Why it is excused or unknown."),
    "broken_since_at": _time("The deadline that passed."),
    "first_seen_on": Column(DAY, "First day on which it was broken."),
    "last_seen_on": Column(DAY, "Last day on which it was broken."),
    "resolved_on": Column(DAY, "Day on which it was resolved."),
    "resolution": _text("How it was resolved: the verdict and its reason."),
    "reopened_count": _int("Times it came back."),
    "unknown_days": _int("Days on which it could not be judged."),
    "waived_until_on": Column(DAY, "Last day of the waiver."),
    "moved_from": _text("The finding_id that this one had before people merged or split."),
    "severity": _text("How bad.", *SEVERITIES),
    "at_risk_minor": _int("Money at risk, in minor units; null where the rule has none."),
    "at_risk_kind": _text("What kind of money.", *RISK_KINDS),
    "money_refs": Column(MONEY_REFS, "The payments, subscriptions … that the money stands on."),
    "incident_id": _text("Findings with one likely cause."),
    "cause": _text("The likely cause, or `unexplained`."),
    # incidents and repairs
    "factor": _text("What its findings share and others don't: `product`, `target, offer` …; `time`: only that."),
    "factor_value": _text("The value that they share, `stripe`; of a pair both, in the factor's order."),
    "started_at": _time("Earliest `broken_since_at` of its findings."),
    "happened_from_at": _time("Earliest `since` of its findings."),
    "happened_until_at": _time("Latest `since` of its findings."),
    "finding_count": _int("Findings in it that are open."),
    "factor_broken": _int("Rows of its time that have the factor and are broken."),
    "factor_judged": _int("Rows of its time that have the factor and hold or are broken."),
    "elsewhere_broken": _int("Rows of its time without the factor that are broken; of `time`, of the 28 days before."),
    "elsewhere_judged": _int("The same that hold or are broken."),
    "lift": Column(FLOAT, "How many times likelier a row with the factor is broken than one without."),
    "chance": Column(FLOAT, "Probability that so many with the factor are broken if it had no part in it."),
    "ended_on": Column(DAY, "Day on which its last finding was resolved."),
    "story_id": _text("Incidents of several rules that tell of one event share it."),
    "sentence": _text("What is to be said of it, as one sentence."),
    "at_risk": Column(SUMS, "Money at risk of its open findings, per currency, each payment counted once."),
    "expected": Column(SUMS, "Sales that may not happen, told apart, per currency."),
    "repair_id": _text("Hash of what is to be repaired and how; stable across runs."),
    "step": _int("Its place among the repairs of its finding: what is tried or done first is 1."),
    "action": _text("What is proposed; `review` where a guard forbids more than a look.", *ACTIONS),
    "wanted_action": _text("What it would be without guards.", *ACTIONS),
    "target_platform": _text("Where it is to be done."),
    "target_ref": _text("`platform:id` of what it is to be done to; null where that is yet to be made."),
    "new_value": _text("What is to be set, granted or sent: a field's value, a product, a template."),
    "is_held": _bool("A guard or an incident forbids it for now."),
    "held_because": _text("The sentence of the guard that holds it."),
    "guards": Column(TEXTS, "Each guard that was asked, and whether it passed."),
    "behind_repair_id": _text("The repair of the incident's cause, which comes first."),
    "fix": _text("What to do, and where."),
    "evidence": _text("The facts that contradict each other, with record ids."),
    "ref": _text("What an amount stands on: `payment:<platform>:<record_id>` and the like."),
    "evidence_refs": Column(TEXTS, "`platform:record_id` of the evidence."),
    "gate": _text("Whether the rule could be judged.", *GATES),
    "gate_reason": _text("Why it could not, naming the source."),
    "evaluated": _int("held + broken + pending + excused."),
    "held": _int("Rows that hold."),
    "broken": _int("Rows that are broken."),
    "pending": _int("Rows whose time has not passed."),
    "excused": _int("Rows that are excused."),
    "unknown": _int("Rows that could not be judged."),
    # sources
    "last_load_at": _time("Start of the newest load, complete or not."),
    "row_count": _int("Rows of the newest load; of a changes resource, records known."),
    "usual_row_count": _int("Rows of the last complete load before."),
    "newest_record_at": _time("Newest `occurred_at` known."),
    "rejected_count": _int("Rows of the newest load that could not be read."),
    "complete_until_at": _time("Everything that happened before it is known."),
    "history_from_at": _time("The earliest time it can tell of; null: from the beginning."),
    "detail": _text("What is wrong, and what to do."),
}

ENVELOPE = (
    "platform", "record_id", "occurred_at", "loaded_at", "email", "phone", "name", "company", "keys", "url",
    "is_test", "first_loaded_at", "gone_at",
)  # fmt: skip
NO_PERSON = ("spend", "reported")
WHO = ("person_id", "offer_id", "identity_confidence")


def _status(*allowed: str) -> dict[str, Column]:
    return {"status": _text("State, in the words of the kind.", *allowed)}


def _kind(
    name: str, grain: str, *columns: str, derived: tuple[str, ...] = (), own: Mapping[str, Column] | None = None
) -> Table:
    who = () if name in NO_PERSON else WHO
    return Table(
        name, "journeys", grain, ("platform", "record_id"), (*ENVELOPE, *columns, *who, *derived),
        own=own or {}, required=("platform", "record_id", "occurred_at", "loaded_at"),
    )  # fmt: skip


# Every kind as it is published: the record, its person and offer, and the columns that rules read.
KINDS: Mapping[str, Table] = {t.name: t for t in (
    _kind("touchpoints", "an ad click, visit, social or referral touch",
          "channel", "source", "medium", "campaign", "content", "click_id", "page"),
    _kind("spend", "one campaign-day of advertising",
          "day_on", "source", "campaign", "impressions", "clicks", "cost_minor", "currency", "conversions"),
    _kind("leads", "a form filled in, a lead ad", "form", "source", "medium", "campaign", "product_ref"),
    _kind("contacts", "a CRM person", "updated_at", "owner", "lifecycle_stage", "source", "campaign", "merged_into",
          "is_deleted", "customer_since_at", "former_owner", "former_campaign", "is_former_customer",
          derived=("is_form_source", "has_lead", "batch_count")),
    _kind("deals", "a CRM opportunity", "pipeline", "stage", "amount_minor", "currency", "owner", "product_ref",
          "won_at", "lost_at", "lost_reason", own={"stage": _text("The CRM's stage of the deal.")}),
    _kind("bookings", "a scheduled call or demo", "starts_at", "status", "host", "event_type", "cancelled_at",
          "class_changed_at",
          derived=("is_primary", "copy_count", "copy_class_count", "copy_changed_at", "has_outcome", "next_step_at",
                   "paid_before_at", "followed_up_at", "expected_minor"),
          own=_status("scheduled", "completed", "cancelled", "rescheduled", "no_show")),
    _kind("agreements", "a proposal or contract", "status", "amount_minor", "currency", "product_ref", "sent_at",
          "viewed_at", "signed_at", "declined_at", derived=("newer_sent_at", "paid_after_at", "followed_up_at"),
          own=_status("draft", "sent", "viewed", "signed", "declined", "void")),
    _kind("payments", "a charge or paid order", "role", "same_as", "status", "amount_minor", "currency", "product_ref",
          "subscription_ref", "method", "refunded_minor", "refunded_at", "disputed_at", "dispute_status",
          "first_succeeded_loaded_at",
          derived=("sale_id", "is_primary", "copy_count", "is_refunded", "net_minor", "succeeded_at", "is_recent",
                   "is_renewal", "ordinal", "earlier_twin_ref", "offer_price_minor", "offer_currency", "has_address",
                   "is_person_known", "is_ignored", "is_repeatable", "is_granted_to_other", "subscription_ended_at",
                   "subscription_instalments", "is_arrears", "has_processor_copy", "has_shop_copy",
                   "sale_amount_spread_minor", "sale_refund_spread_minor", "sale_currency_count", "sale_changed_at",
                   "settle_by_at", "is_delayed_method", "later_success_at", "is_shop_sold", "is_other_processor",
                   "usual_amount_count", "access_gap_at", "notified_at", "dispute_notified_at", "is_repeat_failure",
                   "chased_at"),
          own=_status("succeeded", "pending", "authorised", "failed")),
    _kind("subscriptions", "a recurring agreement to pay", "role", "same_as", "instalments", "status", "product_ref",
          "quantity", "amount_minor", "currency", "interval", "trial_ends_at", "period_ends_at", "is_cancelling",
          "cancelled_at", "ended_at", "class_changed_at", "ended_loaded_at",
          derived=("is_primary", "copy_count", "is_live", "due_at", "paid_count", "last_paid_at", "paid_until_at",
                   "last_refunded_at", "is_payment_tied", "seats_used", "seats_over_at", "copy_class_count", "copy_changed_at"),
          own=_status("trialing", "active", "past_due", "unpaid", "paused", "ended")),
    _kind("access", "an enrolment, role, level, tag or membership", "grant", "product_ref", "status", "basis",
          "paid_by_ref", "expires_at", "revoked_at", "last_used_at", "progress", "first_used_at",
          derived=("is_open", "closed_at", "is_recent_use", "has_open_sibling", "is_basis_told"), own=_status("active", "revoked", "expired")),
    _kind("messages", "an e-mail, SMS or chat sent to a buyer", "channel", "purpose", "template_ref", "delivered_at",
          "opened_at", "clicked_at", "bounced_at"),
    _kind("consents", "the marketing opt-in state", "state", "list_ref"),
    _kind("notifications", "a message to the team", "channel", "about_ref"),
    _kind("tickets", "a support case", "topic", "status", "priority", "first_reply_at", "resolved_at", "satisfaction",
          derived=("is_payer", "payer_net_minor", "currency", "has_all_access", "is_recently_solved", "has_paid",
                   "refund_at", "has_used_since"),
          own=_status("open", "pending", "solved")),
    _kind("surveys", "an NPS, CSAT or form answer", "instrument", "score", "comment",
          derived=("is_detractor", "is_score", "has_bought", "has_comp_access", "has_address", "followed_up_at",
                   "payer_net_minor", "currency")),
    _kind("reported", "a figure somebody reports", "report", "metric", "starts_on", "ends_on", "value", "currency"),
)}  # fmt: skip

# What only older versions can tell; records/ adds them, platforms never say them.
HISTORY = (
    "first_loaded_at", "gone_at", "first_succeeded_loaded_at", "class_changed_at", "ended_loaded_at",
    "customer_since_at", "first_used_at", "former_owner", "former_campaign", "is_former_customer",
)  # fmt: skip


def _derived(kind: str) -> tuple[str, ...]:
    table = KINDS[kind]
    base = {name: i for i, name in enumerate(table.columns)}
    return table.columns[base["person_id"]:] if "person_id" in base else ()  # fmt: skip


def record_schema(kind: str) -> pl.Schema:
    """The columns of a kind as records/ makes it: the envelope, its own columns and what older versions tell."""
    table, derived = KINDS[kind], set(_derived(kind))
    return pl.Schema({c: t for c, t in table.schema.items() if c not in derived})


def said_schema(kind: str) -> pl.Schema:
    """The columns of a kind that a platform may say: its record without what only older versions tell."""
    return pl.Schema(
        {c: t for c, t in record_schema(kind).items() if c not in HISTORY and c not in ("platform", "loaded_at")}
    )


_RISK = ("at_risk_minor", "at_risk_kind", "currency", "money_refs")
_FINDING = (
    "finding_id", "invariant", "subject", "person_id", "offer_id", "platform", "record_id", "url", "broken_since_at",
)  # fmt: skip
_INCIDENT = (
    "invariant", "severity", "owner", "cause", "factor", "factor_value", "started_at", "happened_from_at",
    "happened_until_at", "finding_count", "factor_broken", "factor_judged", "elsewhere_broken", "elsewhere_judged", "lift",
    "chance",
)  # fmt: skip

TABLES: Mapping[str, Table] = {**KINDS, **{t.name: t for t in (
    Table("people", "journeys", "one resolved person", ("person_id",), (
        "person_id", "email", "phone", "name", "first_seen_at", "last_seen_at", "lifecycle", "persona", "record_count",
        "crm_contact_count", "identity_confidence", "is_test", "lifetime_minor", "lifetime_other", "crm_at",
        "crm_platform_contact_count", "second_contact_at", "crm_deleted_at", "crm_owner", "crm_source", "crm_campaign",
        "crm_stage", "is_crm_customer", "crm_customer_at", "first_lead_at", "first_answer_at", "first_booked_at",
        "first_paid_at",
        "lead_source", "lead_campaign", "has_net_payment", "has_agreed", "has_comp_access", "expected_minor",
        "person_subscription_count", "person_cancelling_count", "person_subscription_minor",
        "email_count", "phone_count", "name_count", "opted_out_at", "mailed_after_optout_at",
        "consent_platform_count", "stale_opt_in_count", "bounced_at", "reached_at", "account_count",
        "second_account_at", "merged_at", "last_use_at",
        "twin_person_id", "twin_at", "is_confirmed"),
        own={"bounced_at": _time("Newest bounce of an address of theirs that nothing got through to since.")},
        required=("person_id",)),
    Table("person_keys", "identity", "which key ties which record to which person",
          ("key", "kind", "platform", "record_id"),
          ("person_id", "key", "kind", "platform", "record_id", "how", "confidence")),
    Table("demoted_keys", "identity", "a key that too many people share to tie any of them", ("key",),
          ("key", "people_count", "record_count", "reason")),
    Table("identity_changes", "identity", "one merge or split since the last run",
          ("day_on", "from_person_id", "to_person_id"),
          ("day_on", "change", "from_person_id", "to_person_id", "because")),
    Table("identity_suggestions", "identity", "two people who may be one, neither linked nor refused",
          ("person_id", "other_person_id"),
          ("person_id", "other_person_id", "probability", "because", "against", "record_ref", "other_record_ref"),
          required=("probability", "because")),
    Table("identity_health", "identity", "figure by part: how well people are told apart", ("figure", "part"),
          ("figure", "part", "count", "detail"), required=("figure", "part", "count")),
    Table("journey_events", "journeys", "one dated thing that happened to a person",
          ("event", "platform", "record_id"),
          ("person_id", "offer_id", "event", "occurred_at", "platform", "record_id", "amount_minor", "currency", "url"),
          required=("person_id", "occurred_at")),
    Table("buyer_journeys", "journeys", "person by offer (offer null for a prospect)", ("person_id", "offer_id"), (
        "person_id", "offer_id", "identity_confidence", "is_test",
        "first_touch_at", "lead_at", "crm_at", "booked_at", "met_at", "proposed_at", "signed_at", "won_at", "paid_at",
        "access_at", "welcomed_at", "notified_at", "first_used_at", "ticket_at", "ticket_resolved_at", "renewed_at",
        "refunded_at", "access_ended_at", "churned_at", "first_channel", "last_channel",
        "paid_minor", "refunded_minor", "net_minor", "currency", "has_mixed_currency", "offer_price_minor",
        "payment_count", "ticket_count", "submission_count", "contact_count",
        "stage", "stage_since_at", "is_stuck", "next_step", "owner",
        "money_at", "test_paid_at", "pending_method", "entitled_by", "entitled_from_at", "entitlement_ended_at", "entitlement_ended_by",
        "is_paying", "access_due_at", "grants_expected", "grants_open", "opened_at", "open_basis", "access_lost_at",
        "is_charged_since_loss", "grant_missing_at", "unowed_count", "is_granted_to_other", "is_granted_by_other",
        "subscription_count", "live_subscription_count", "cancelling_subscription_count", "second_live_at",
        "extra_subscription_minor", "agreed_minor", "agreed_currency", "deal_count", "has_matching_deal",
        "deal_lost_at", "cart_mail_at", "sales_mail_at", "is_welcome_expected", "is_use_tracked", "is_person_deleted", "access_platform",
        "has_account_on_target", "has_unmapped_access", "has_other_offer_access", "other_person_access_ref"),
        own={"stage": _text("The furthest step reached.", *STAGES)}, required=("person_id",)),
    Table("contact_keys", "journeys", "which record elsewhere names which CRM contact",
          ("key", "kind", "platform", "record_id"),
          ("person_id", "key", "kind", "platform", "record_id", "retired_at", "is_survivor_named"),
          own={"key": _text("`platform:id` of the contact.")}),
    Table("products", "journeys", "one product_ref ever seen", ("product_ref",),
          ("product_ref", "offer_id", "platform", "first_seen_at", "is_in_use", "sold_30d_minor", "currency",
           "is_ignored")),
    Table("campaigns", "journeys", "advertising campaign of the last days, by source", ("source", "campaign"),
          ("source", "campaign", "live_since_at", "clicks_3d", "touches_3d", "leads_3d", "orders_3d", "cost_3d_minor",
           "currency", "expected_leads_3d", "has_renamed_touches", "is_source_untagged", "is_source_silent")),
    Table("pulses", "journeys", "what arrives day by day: kind by platform by label", ("kind", "platform", "label"),
          ("kind", "platform", "label", "last_at", "usual_per_day", "longest_gap_days", "silent_days", "silent_minor",
           "currency", "is_closed", "is_platform_silent", "has_live_visits")),
    Table("reported_vs_actual", "journeys", "reported figure by period, beside what the records say",
          ("report", "metric", "starts_on", "ends_on"),
          ("report", "metric", "starts_on", "ends_on", "ends_at", "claim", "kind", "currency", "value_reported",
           "value_computed", "difference", "tolerance", "ratio", "usual_ratio", "ratio_band", "gross_computed",
           "previous_value", "is_lead_goal", "is_recent")),
    Table("source_health", "records", "platform by resource", ("platform", "resource"),
          ("platform", "resource", "status", "last_load_at", "row_count", "usual_row_count", "newest_record_at",
           "rejected_count", "complete_until_at", "history_from_at", "detail"),
          own=_status("fresh", "stale", "partial", "failed")),
    Table("rejected_records", "records", "a row that could not be read", (),
          ("platform", "resource", "kind", "record_id", "reason", "raw", "loaded_at")),
    Table("finding_days", "invariants", "finding by day", ("finding_id", "day_on"),
          (*_FINDING, "day_on", "verdict", "verdict_reason", "waived_until_on", "moved_from", "severity", "owner",
           *_RISK, "incident_id", "identity_confidence", "cause", "fix", "evidence", "evidence_refs")),
    Table("findings", "invariants", "invariant by subject", ("finding_id",),
          (*_FINDING, "first_seen_on", "last_seen_on", "resolved_on", "resolution", "reopened_count", "unknown_days",
           "waived_until_on", "status", "severity", "owner", *_RISK, "incident_id", "identity_confidence", "cause",
           "fix", "evidence", "evidence_refs"),
          own=_status("open", "reopened", "resolved", "waived"),
          required=("status", "severity", "owner", "cause", "fix")),
    Table("invariant_days", "invariants", "invariant by day by currency", ("invariant", "day_on", "currency"),
          ("invariant", "day_on", "currency", "severity", "owner", "gate", "gate_reason", "evaluated", "held", "broken",
           "pending", "excused", "unknown", "at_risk_minor", "at_risk_kind")),
    Table("incident_days", "invariants", "incident by day on which one of its findings is broken",
          ("incident_id", "day_on"), ("incident_id", "day_on", *_INCIDENT)),
    Table("incidents", "invariants", "findings of one rule with one likely cause", ("incident_id",),
          ("incident_id", "status", *_INCIDENT, "story_id", "first_seen_on", "last_seen_on", "ended_on", "sentence",
           "at_risk", "expected"),
          own=_status("open", "ended"), required=("status", "invariant", "factor", "sentence")),
    Table("repairs", "invariants", "one proposed fix; never executed by us", ("repair_id",),
          ("repair_id", "finding_id", "incident_id", "invariant", "severity", "owner", "person_id", "offer_id", "step",
           "action", "wanted_action", "target_platform", "target_ref", "new_value", "amount_minor", "currency", "is_held",
           "held_because", "guards", "behind_repair_id", "sentence", "url"),
          required=("invariant", "severity", "owner", "action", "wanted_action", "is_held", "sentence")),
    Table("finding_money", "publish", "finding by ref: `money_refs` as plain rows", ("finding_id", "ref"),
          ("finding_id", "ref", "amount_minor")),
    Table("finding_day_money", "publish", "finding by day by ref: `money_refs` as plain rows",
          ("finding_id", "day_on", "ref"), ("finding_id", "day_on", "ref", "amount_minor")),
)}}  # fmt: skip

# What each table is for, in plain words; its grain says what one row is.
MEANINGS: Mapping[str, str] = {
    "touchpoints": "How people first came: clicks, visits and referrals, with the campaign they name.",
    "spend": "What advertising cost and what it claims to have brought.",
    "leads": "People who raised a hand; the promise is that each is answered.",
    "contacts": "What the CRM knows of a person, to be set beside what they did.",
    "deals": "What sales hopes to win, or has won.",
    "bookings": "Meetings in the calendar and what became of them.",
    "agreements": "Documents to be signed, from draft to signature.",
    "payments": "Money asked for, received and given back, whichever platform tells of it.",
    "subscriptions": "What is paid again and again, and whether it still runs.",
    "access": "What people can open, since when, and why.",
    "messages": "What buyers were sent, and whether it arrived.",
    "consents": "Who may be mailed and who may not.",
    "notifications": "What the team was told of a sale or a dispute.",
    "tickets": "What buyers asked for help with, and when they were answered.",
    "surveys": "What buyers say of it.",
    "reported": "Figures as dashboards and reports tell them, to be set beside ours.",
    "people": "Who is behind the records: one row for all that a person did on every platform.",
    "person_keys": "Why a record belongs to a person: the address, number or id that ties it, and how surely.",
    "demoted_keys": "Addresses and numbers that many share, such as an office phone: they tie nobody.",
    "identity_changes": "Who turned out to be one person, or two, since the run before.",
    "identity_suggestions": "Pairs that somebody should look at: too alike to ignore, too unsure to link.",
    "identity_health": "Counts by which to see that people are neither lumped together nor taken apart.",
    "journey_events": "Everything dated that happened to a person, in order.",
    "buyer_journeys": "The path of one buyer to one offer, every milestone in a column; most rules read this table.",
    "contact_keys": "Which records elsewhere point to which CRM contact, so that a dead link is seen.",
    "products": "What is sold on any platform, and which offer it belongs to.",
    "campaigns": "Whether campaigns that are paid for still bring visits, leads and orders.",
    "pulses": "What usually arrives each day, so that a silence is noticed.",
    "reported_vs_actual": "What a report says beside what the records say.",
    "source_health": "Whether each source can be trusted today: fresh, stale, partial or failed.",
    "rejected_records": "Rows that no sense could be made of, with the reason; none is dropped silently.",
    "finding_days": "What each finding was on each day; days are never rewritten by later ones.",
    "findings": "What is broken, for whom, since when, what is at risk and what to do: the worklist.",
    "invariant_days": "How each rule fared each day: judged, held, broken, excused, unknown.",
    "incident_days": "What each incident was on each day.",
    "incidents": "Findings that one cause explains, so that it is repaired once.",
    "repairs": "What to change where, checked against what else it would touch; nothing is carried out by us.",
    "finding_money": "What a finding's money stands on, so that sums count a payment once.",
    "finding_day_money": "The same for each day.",
}
