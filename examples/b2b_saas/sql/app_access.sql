-- One access per sign-up: a role in the app, in use until the last login or event. Reads signups and events.
-- Why it was given (a plan, a trial, a seat) is not told. Events before their user's sign-up are rejected, one by one,
-- and do not count as use.
with dated as (
    select
        e.*,
        s.app_user_id is null or e.timestamp < s.created_at as is_early
    from events e
    left join signups s using (app_user_id)
),
last_events as (
    select app_user_id, max(timestamp) as used_at
    from dated
    where not is_early
    group by app_user_id
)
select
    s.app_user_id as record_id,
    s.created_at as occurred_at,
    s.email,
    nullif(concat_ws(' ', s.first_name, s.last_name), '') as name,
    ['app:' || s.app_user_id] as keys,
    'role' as "grant",
    'app:workspace' as product_ref,
    'active' as status,
    greatest(s.last_login_at, u.used_at) as last_used_at,
    null as _reject,
    s._row,
    s._resource
from signups s
left join last_events u using (app_user_id)
union all
select
    event_id, timestamp, null, null, [], 'role', 'app:workspace', 'active', null,
    'event before the sign-up', _row, _resource
from dated
where is_early
