-- Grain     offer (null: no offer yet) x step
-- Inputs    bi.funnel_by_week
-- Question  How many journeys reached each step, and how many of those went on to any later one? Steps may be
--           skipped (nobody books a call for a small course), so a later step can be larger than an earlier one.
select
    offer_id,
    step_number,
    step,
    cast(sum(reached) as bigint) as reached,
    cast(sum(went_on) as bigint) as went_on
from bi.funnel_by_week
group by offer_id, step_number, step
