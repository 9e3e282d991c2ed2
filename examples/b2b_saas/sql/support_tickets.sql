-- One ticket per support ticket. Reads tickets and, for who asked, users.
-- Closed is solved: the helpdesk closes what was solved a while ago. A ticket resolved before it was opened is rejected,
-- and so is a solved one that doesn't say when: it would read as one that nobody ever answered. An open one with a date
-- was resolved and opened again.
select
    t.ticket_id as record_id,
    t.created_at as occurred_at,
    u.email,
    u.phone,
    u.display_name as name,
    u.company,
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
    case
        when t.resolved_at < t.created_at then 'resolved before it was opened'
        when t.status in ('solved', 'closed') and t.resolved_at is null then 'solved, but not when'
    end as _reject,
    t._row,
    t._resource
from tickets t
left join users u using (support_user_id)
