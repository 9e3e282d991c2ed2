-- One subscription per billing account: its plan, by the month. Reads accounts.
-- Accounts name no currency; every invoice is in US dollars. When a churned account churned is not told.
select
    billing_account_id as record_id,
    created_at as occurred_at,
    email,
    account_name as name,
    company_name as company,
    ['billing:' || billing_account_id] as keys,
    'processor' as role,
    case status when 'churned' then 'ended' else status end as status,
    'billing:' || plan as product_ref,
    1 as quantity,
    try_cast(mrr_cents as bigint) as amount_minor,
    'USD' as currency,
    'month' as interval,
    _row
from accounts
