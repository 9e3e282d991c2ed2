-- Grain     platform x resource
-- Inputs    journey.source_health
-- Question  Which sources can be trusted today, how much did each bring, and up to when is it complete?
select
    platform || '.' || resource as source,
    platform,
    resource,
    case status when 'failed' then 1 when 'partial' then 2 when 'stale' then 3 else 4 end as priority,
    status,
    status = 'fresh' as is_fresh,
    last_load_at,
    complete_until_at,
    newest_record_at,
    row_count,
    usual_row_count,
    rejected_count,
    history_from_at,
    detail
from journey.source_health
