-- What students say of their course, as the academy's own application keeps it.
select
    f.id as record_id,
    f.created_at as occurred_at,
    s.email,
    ['teachable:' || s.id] as keys,
    'csat' as instrument,
    try_cast(f.stars as double) as score
from feedback f
join students s on s.id = f.student_id
