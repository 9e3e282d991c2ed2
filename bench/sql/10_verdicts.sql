-- The core rules: when A, then B, within t, unless C. Every source is fresh here and complete until `as_of`.

create macro verdict(speaks, confidence, holds, is_excused, since, within) as
    case when not coalesce(speaks, false) then null
         when confidence < getvariable('identity_sure') then 'unknown'
         when coalesce(holds, false) then 'holds'
         when coalesce(is_excused, false) then 'excused'
         when coalesce(getvariable('as_of') <= since + within, false) then 'pending'
         else 'broken' end;

create table verdicts_people as
select person_id,
       verdict(not is_test and first_lead_at is not null, identity_confidence, crm_contact_count > 0,
               crm_deleted_at is not null, first_lead_at, interval 15 minutes) as lead_implies_crm_record,
       verdict(not is_test and crm_contact_count > 0, identity_confidence, crm_platform_contact_count <= 1,
               false, second_contact_at, interval 24 hours) as one_crm_record_per_person,
       verdict(not is_test and first_paid_at is not null and first_lead_at is null and first_booked_at is null,
               identity_confidence, crm_contact_count > 0, crm_deleted_at is not null, first_paid_at, interval 1 hour)
           as paid_implies_crm_record,
       verdict(not is_test and is_crm_customer, identity_confidence, first_paid_at is not null,
               has_agreed or has_comp_access, crm_customer_at, interval 7 days) as crm_customer_implies_paid,
       verdict(not is_test and opted_out_at is not null, identity_confidence, mailed_after_optout_at is null, false,
               mailed_after_optout_at, interval 0 hours) as unsubscribed_not_mailed
from customers;

create table verdicts_buyer_journeys as
select person_id, offer_id,
       verdict(paid_at is not null and has_matching_deal, identity_confidence, won_at is not null, net_minor = 0, paid_at,
               interval 24 hours) as paid_implies_won,
       verdict(is_paying and grants_expected > 0 and access_lost_at is null, identity_confidence, grants_open > 0,
               is_granted_to_other or entitled_by in ('dunning', 'paused') or is_person_deleted, access_due_at,
               interval 1 hour) as paid_implies_access,
       verdict(grants_open > 0, identity_confidence, money_at is not null or test_paid_at is not null,
               open_basis > 1 or unowed_count = 0 or is_granted_by_other, opened_at, interval 24 hours)
           as access_implies_payment,
       verdict(is_paying and grants_expected > 0 and (grants_open > 0 or access_lost_at is not null), identity_confidence,
               grants_open > 0, is_charged_since_loss or entitled_by in ('dunning', 'paused') or is_person_deleted,
               access_lost_at, interval 1 hour) as paid_access_not_lost,
       verdict(is_paying and grants_expected > 1 and grants_open > 0, identity_confidence, grants_open = grants_expected,
               refunded_minor > 0 or is_granted_to_other or entitled_by in ('dunning', 'paused'), grant_missing_at,
               interval 1 hour) as bundle_is_complete,
       verdict(entitlement_ended_by = 'refund', identity_confidence, unowed_count = 0, false, entitlement_ended_at,
               interval 24 hours) as refund_revokes_access,
       verdict(entitlement_ended_by in ('subscription_end', 'term'), identity_confidence, unowed_count = 0, false,
               entitlement_ended_at, interval 24 hours) as ended_subscription_ends_access,
       verdict(live_subscription_count > 0, identity_confidence, live_subscription_count <= 1,
               live_subscription_count - cancelling_subscription_count <= 1 or is_granted_to_other, second_live_at,
               interval 1 hour) as one_live_subscription_per_offer,
       verdict(is_paying and is_welcome_expected, identity_confidence, welcomed_at is not null,
               is_granted_to_other or net_minor = 0 or entitled_by = 'dunning', access_due_at, interval 1 hour)
           as paid_implies_welcome
from journeys
where not is_test;

create table verdicts_payments as
select payments.platform, payments.record_id,
       verdict(paid.counts, identity_confidence, is_person_known, is_ignored or is_refunded, succeeded_at, interval 24 hours)
           as payment_has_person,
       verdict(paid.counts, identity_confidence, not has_twin or net_minor = 0, paid.is_granted_to_other or is_repeatable,
               succeeded_at, interval 1 hour) as no_duplicate_charge,
       verdict(paid.counts and paid.subscription_ref is not null, identity_confidence,
               net_minor = 0
               or ((subscription_ended_at is null or paid.occurred_at <= subscription_ended_at + interval 24 hours)
                   and (subscription_instalments is null or ordinal <= subscription_instalments)),
               is_arrears, succeeded_at, interval 24 hours) as no_charge_after_end
from payments
left join paid using (record)
left join persons using (person);

create table verdicts_tickets as
select tickets.platform, tickets.record_id,
       verdict(not placed.is_test and topic = 'access' and is_payer, identity_confidence,
               first_reply_at is not null or resolved_at is not null, false, occurred_at, interval 4 hours)
           as access_ticket_of_payer_is_answered
from tickets
left join placed using (record)
left join persons using (person)
left join payers using (person);

create table verdicts_products as
select product_ref,
       verdict(is_in_use, null, offer_id is not null, is_ignored, first_seen_at, interval 24 hours) as product_has_offer
from sold;
