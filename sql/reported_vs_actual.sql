-- Grain     report x metric x period
-- Inputs    journey.reported_vs_actual
-- Question  Which dashboard says something else than the records do, by how much, and is that more than it may be off?
--           Money is in whole units here; `is_off` is null where nothing can be compared.
select
    report,
    metric,
    claim,
    starts_on,
    ends_on,
    currency,
    value_reported,
    value_computed,
    difference,
    ratio,
    usual_ratio,
    case
        when value_computed is null then null
        when claim = 'exact' then abs(difference) > tolerance
        when usual_ratio is not null and ratio is not null then abs(ratio - usual_ratio) > ratio_band
    end as is_off,
    case
        when value_computed is null then 'no such figure of ours'
        when claim = 'exact' then 'should be equal'
        when usual_ratio is null then 'too few periods to know what is usual'
        else 'should keep its usual ratio'
    end as compared_by
from journey.reported_vs_actual
