-- Grain     week (its Monday, UTC) x channel x offer (null: no offer yet) x step
-- Inputs    journey.buyer_journeys
-- Question  Of the journeys that began in a week through a channel, how many have reached each step by now, and how many
--           of those went on to any later one? Late weeks have had less time. Steps may be skipped.
with journeys as (
    select
        *,
        least(
            first_touch_at, lead_at, crm_at, booked_at, met_at, proposed_at, signed_at, won_at, paid_at, access_at,
            first_used_at
        ) as began_at,
        case
            when first_used_at is not null then 11
            when access_at is not null then 10
            when paid_at is not null then 9
            when won_at is not null then 8
            when signed_at is not null then 7
            when proposed_at is not null then 6
            when met_at is not null then 5
            when booked_at is not null then 4
            when crm_at is not null then 3
            when lead_at is not null then 2
            when first_touch_at is not null then 1
        end as furthest
    from journey.buyer_journeys
    where not coalesce(is_test, false)
),

dated as (
    select
        *,
        cast(date_trunc('week', began_at at time zone 'UTC') as date) as week_on,
        coalesce(first_channel, 'unknown') as channel
    from journeys
    where began_at is not null
),

steps (step_number, step) as (
    values
    (1, 'touched'), (2, 'lead'), (3, 'in_crm'), (4, 'booked'), (5, 'met'), (6, 'proposed'), (7, 'signed'), (8, 'won'),
    (9, 'paid'), (10, 'has_access'), (11, 'using')
),

reached as (
    select
        d.week_on,
        d.channel,
        d.offer_id,
        d.furthest,
        s.step_number,
        s.step
    from dated as d
    inner join steps as s on s.step_number <= d.furthest
    where
        case s.step_number
            when 1 then d.first_touch_at
            when 2 then d.lead_at
            when 3 then d.crm_at
            when 4 then d.booked_at
            when 5 then d.met_at
            when 6 then d.proposed_at
            when 7 then d.signed_at
            when 8 then d.won_at
            when 9 then d.paid_at
            when 10 then d.access_at
            else d.first_used_at
        end is not null
)

select
    week_on,
    channel,
    offer_id,
    step_number,
    step,
    count(*) as reached,
    cast(sum(case when furthest > step_number then 1 else 0 end) as bigint) as went_on
from reached
group by week_on, channel, offer_id, step_number, step
