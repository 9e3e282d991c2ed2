-- Grain     offer (null: no offer yet) x handoff
-- Inputs    journey.buyer_journeys
-- Question  How long does each handoff take, half the time and nine times in ten, and how many still wait for it?
--           `already_there`: the second step was there before the first; these have no waiting time.
with journeys as (
    select * from journey.buyer_journeys
    where not coalesce(is_test, false)
),

handoffs as (
    select offer_id, 1 as handoff_number, 'touched to lead' as handoff, first_touch_at as from_at, lead_at as to_at
    from journeys
    union all
    select offer_id, 2, 'lead to crm', lead_at, crm_at from journeys
    union all
    select offer_id, 3, 'lead to booking', lead_at, booked_at from journeys
    union all
    select offer_id, 4, 'booking to meeting', booked_at, met_at from journeys
    union all
    select offer_id, 5, 'proposal to signature', proposed_at, signed_at from journeys
    union all
    select offer_id, 6, 'won to payment', won_at, paid_at from journeys
    union all
    select offer_id, 7, 'lead to payment', lead_at, paid_at from journeys
    union all
    select offer_id, 8, 'payment to access', paid_at, access_at from journeys
    union all
    select offer_id, 9, 'payment to welcome', paid_at, welcomed_at from journeys
    union all
    select offer_id, 10, 'payment to team notified', paid_at, notified_at from journeys
    union all
    select offer_id, 11, 'access to first use', access_at, first_used_at from journeys
    union all
    select offer_id, 12, 'ticket to solution', ticket_at, ticket_resolved_at from journeys
),

timed as (
    select
        offer_id,
        handoff_number,
        handoff,
        to_at,
        case when to_at >= from_at then extract(epoch from to_at) - extract(epoch from from_at) end as seconds
    from handoffs
    where from_at is not null
)

select
    offer_id,
    handoff_number,
    handoff,
    count(seconds) as converted,
    count(*) - count(to_at) as waiting,
    count(to_at) - count(seconds) as already_there,
    percentile_cont(0.5) within group (order by seconds) / 3600 as median_hours,
    percentile_cont(0.9) within group (order by seconds) / 3600 as p90_hours
from timed
group by offer_id, handoff_number, handoff
