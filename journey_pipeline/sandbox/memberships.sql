-- Who is a member, as the academy's own application keeps it beside the processor.
select
    id as record_id,
    started_at as occurred_at,
    email,
    ['stripe:' || stripe_customer] as keys,
    'shop' as role,
    ['stripe:' || stripe_subscription] as same_as,
    status,
    'stripe:' || stripe_price as product_ref
from memberships
