-- One ticket per support ticket. Reads tickets and, for who asked, users.
-- A ticket resolved before it was opened is rejected. Closed is solved: the helpdesk closes what was solved a while ago.
select
    t.ticket_id as record_id,
    t.created_at as occurred_at,
    u.email,
    u.phone,
    u.display_name as name,
    ['support:' || t.support_user_id] as keys,
    case
        when t.subject in ('Account access issue', 'Cannot login to dashboard') then 'access'
        when t.subject in ('Billing discrepancy', 'Need to update payment method', 'Question about pricing')
            then 'billing'
        else 'other'
    end as topic,
    case t.status when 'closed' then 'solved' else t.status end as status,
    t.priority,
    t.resolved_at,
    case when t.resolved_at < t.created_at then 'resolved before it was opened' end as _reject,
    t._row,
    t._resource
from tickets t
left join users u using (support_user_id)
