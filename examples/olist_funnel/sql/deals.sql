-- One deal per closed deal, known by the seller that came of it and tied to its lead. Reads closed_deals and mqls.
-- When it was opened is not told, so it happened when it was won. A deal won before the day of its first contact is
-- rejected.
select
    d.seller_id as record_id,
    try_strptime(d.won_date, '%m/%d/%Y %H:%M') at time zone 'America/Sao_Paulo' as occurred_at,
    occurred_at as won_at,
    ['olist:' || d.mql_id] as keys,
    d.business_segment as pipeline,
    'won' as stage,
    case
        when try_strptime(d.won_date, '%m/%d/%Y %H:%M') < try_strptime(m.first_contact_date, '%m/%d/%Y')
            then 'won before the first contact'
    end as _reject,
    d._row,
    d._resource
from closed_deals d
left join mqls m using (mql_id)
