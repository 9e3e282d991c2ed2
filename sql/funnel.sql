-- Grain     offer (null: no offer yet) x step
-- Inputs    journey.buyer_journeys
-- Question  How many journeys reached each step, and how many of those went on to any later one? Steps may be
--           skipped (nobody books a call for a small course), so a later step can be larger than an earlier one.
with journeys as (
    select
        *,
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

reached as (
    select offer_id, furthest, 1 as step_number, 'touched' as step from journeys where first_touch_at is not null
    union all
    select offer_id, furthest, 2, 'lead' from journeys where lead_at is not null
    union all
    select offer_id, furthest, 3, 'in_crm' from journeys where crm_at is not null
    union all
    select offer_id, furthest, 4, 'booked' from journeys where booked_at is not null
    union all
    select offer_id, furthest, 5, 'met' from journeys where met_at is not null
    union all
    select offer_id, furthest, 6, 'proposed' from journeys where proposed_at is not null
    union all
    select offer_id, furthest, 7, 'signed' from journeys where signed_at is not null
    union all
    select offer_id, furthest, 8, 'won' from journeys where won_at is not null
    union all
    select offer_id, furthest, 9, 'paid' from journeys where paid_at is not null
    union all
    select offer_id, furthest, 10, 'has_access' from journeys where access_at is not null
    union all
    select offer_id, furthest, 11, 'using' from journeys where first_used_at is not null
)

select
    offer_id,
    step_number,
    step,
    count(*) as reached,
    cast(sum(case when furthest > step_number then 1 else 0 end) as bigint) as went_on
from reached
group by offer_id, step_number, step
