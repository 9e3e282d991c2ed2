-- Grain     person x offer (offer null for a prospect); test buyers left out
-- Inputs    journey.buyer_journeys, journey.people, journey.findings, bi.currencies
-- Question  Where does each buyer stand, what did they pay, what comes next, and is anything broken for them?
--           A finding about the person as a whole is counted on each of their journeys.
with broken as (
    select person_id, offer_id, count(*) as open_findings
    from journey.findings
    where status in ('open', 'reopened') and person_id is not null
    group by person_id, offer_id
),

per_journey as (
    select j.person_id, j.offer_id, cast(sum(b.open_findings) as bigint) as open_findings
    from journey.buyer_journeys as j
    inner join broken as b
        on j.person_id = b.person_id and (b.offer_id is null or j.offer_id = b.offer_id)
    group by j.person_id, j.offer_id
)

select
    j.person_id,
    p.name,
    p.email,
    j.offer_id,
    j.stage,
    j.stage_since_at,
    j.is_stuck,
    j.next_step,
    j.owner,
    coalesce(b.open_findings, 0) as open_findings,
    j.paid_minor * coalesce(c.unit, 0.01) as paid,
    j.refunded_minor * coalesce(c.unit, 0.01) as refunded,
    j.net_minor * coalesce(c.unit, 0.01) as net,
    j.currency,
    j.has_mixed_currency,
    j.entitled_by,
    j.first_channel,
    j.last_channel,
    j.first_touch_at,
    j.lead_at,
    j.crm_at,
    j.booked_at,
    j.met_at,
    j.proposed_at,
    j.signed_at,
    j.won_at,
    j.paid_at,
    j.access_at,
    j.welcomed_at,
    j.notified_at,
    j.first_used_at,
    j.ticket_at,
    j.ticket_resolved_at,
    j.renewed_at,
    j.refunded_at,
    j.access_ended_at,
    j.churned_at
from journey.buyer_journeys as j
left join journey.people as p on j.person_id = p.person_id
left join per_journey as b
    on j.person_id = b.person_id and coalesce(j.offer_id, '') = coalesce(b.offer_id, '')
left join bi.currencies as c on j.currency = c.currency
where not coalesce(j.is_test, false)
