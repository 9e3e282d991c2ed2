-- One lead per marketing-qualified lead, on the day of its first contact. Reads mqls.
-- An origin is a channel; `unknown` is no answer.
select
    mql_id as record_id,
    try_strptime(first_contact_date, '%m/%d/%Y') at time zone 'America/Sao_Paulo' as occurred_at,
    ['olist:' || mql_id] as keys,
    'marketing qualified' as form,
    nullif(origin, 'unknown') as source,
    _row
from mqls
