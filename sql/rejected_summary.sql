-- Grain     platform x resource x kind x reason
-- Inputs    journey.rejected_records
-- Question  What could not be read, how much of it, and why?
select platform, resource, kind, reason, count(*) as rows_rejected, min(loaded_at) as first_at, max(loaded_at) as last_at
from journey.rejected_records
group by platform, resource, kind, reason
