-- One lead per partner lead; a lead has at most one referral, whose type is the campaign. Reads leads and referrals.
select
    l.partner_lead_id as record_id,
    l.submitted_at as occurred_at,
    l.email,
    nullif(concat_ws(' ', l.first_name, l.last_name), '') as name,
    l.company,
    ['partners:' || l.partner_lead_id] as keys,
    'partner portal' as form,
    l.partner_name as source,
    'partner' as medium,
    r.referral_type as campaign,
    l._row,
    l._resource
from leads l
left join referrals r using (partner_lead_id)
