-- Payments, subscriptions and access of real people, with what the rules read of them; then what they entitle to.

create macro days_of(unit) as
    case unit when 'day' then 1 when 'week' then 7 when 'month' then 31 when 'quarter' then 92 when 'year' then 366 end;
create macro length_of(unit) as to_days(days_of(unit));
create macro half_of(unit) as to_hours(12 * days_of(unit));

-- Records of a table of which one names the other as telling the same.
create macro named_in(told) as table
    select one.ref as one, other.ref as other
    from (select ref, unnest(same_as) as same_ref from query_table(told)) as one
    join query_table(told) as other on other.ref = one.same_ref;

create table subscribed as
select s.* exclude (is_cancelling), placed.person, coalesce(product_offer.offer, 0) as offer,
       coalesce(s.is_cancelling, false) as is_cancelling,
       coalesce(s.ended_at, case when s.status = 'ended' then coalesce(s.cancelled_at, s.ended_loaded_at) end) as over_at,
       s.status in ('trialing', 'active', 'past_due') as is_live
from subscriptions as s
join placed using (record)
left join product_offer using (product_ref)
where not placed.is_test;

create table held as
with said as (
    select access.record, access.platform, access.occurred_at, access.product_ref, access.basis, access.paid_by_ref,
           placed.person,
           access.status = 'active' and not coalesce(access.expires_at <= getvariable('as_of'), false)
               and access.gone_at is null as is_open,
           coalesce(access.revoked_at, case when access.expires_at <= getvariable('as_of') then access.expires_at end,
                    access.gone_at, access.loaded_at) as closed_at
    from access
    join placed using (record)
    where not placed.is_test
)
select * exclude (is_open, closed_at), coalesce(is_open, false) as is_open,
       case when not is_open then closed_at end as closed_at
from said;

-- Two platforms may tell one sale: an order names the charge that paid it, or there is one equal charge within the hour
-- and no other. Nothing here is told three times.
create table told_sales as
select p.*, placed.person, coalesce(product_offer.offer, 0) as product_offer,
       role = 'processor' and status = 'succeeded' as moved_money
from payments as p
join placed using (record)
left join product_offer using (product_ref)
where not placed.is_test;

create table copies as
with named as (
    from named_in('told_sales')
),
unnamed as (
    select * from told_sales where ref not in (select one from named union all select other from named)
),
near as (
    select shop.ref as one, charge.ref as other
    from unnamed as shop
    join unnamed as charge using (person, currency)
    where shop.role = 'shop' and charge.role = 'processor' and abs(shop.amount_minor - charge.amount_minor) <= 1
      and charge.occurred_at between shop.occurred_at - interval 1 hour and shop.occurred_at + interval 1 hour
    qualify count(*) over (partition by shop.ref) = 1 and count(*) over (partition by charge.ref) = 1
),
pairs as (
    select * from named union select * from near
)
select one as ref, other as copy_ref from pairs union select other, one from pairs;

create table paid as
with said as (
    select told_sales.* exclude (product_offer, subscription_ref),
           coalesce(nullif(told_sales.product_offer, 0), copy.product_offer, 0) as offer,
           coalesce(told_sales.subscription_ref, copy.subscription_ref) as subscription_ref,
           coalesce(told_sales.amount_minor > 0 and coalesce(told_sales.refunded_minor, 0) >= told_sales.amount_minor, false) as is_refunded,
           case when told_sales.status = 'succeeded' and told_sales.dispute_status is distinct from 'lost'
                then greatest(told_sales.amount_minor - coalesce(told_sales.refunded_minor, 0), 0) else 0 end as net_minor,
           case when told_sales.status = 'succeeded' then coalesce(told_sales.first_succeeded_loaded_at, told_sales.occurred_at) end
               as succeeded_at,
           told_sales.status = 'succeeded'
               and (told_sales.moved_money or copy.ref is null
                    or (not told_sales.moved_money, told_sales.role <> 'processor', told_sales.occurred_at, told_sales.ref)
                       < (not copy.moved_money, copy.role <> 'processor', copy.occurred_at, copy.ref)) as counts
    from told_sales
    left join copies using (ref)
    left join told_sales as copy on copy.ref = copies.copy_ref
),
recurring as (
    select said.record, subscribed.over_at as subscription_ended_at,
           subscribed.instalments as subscription_instalments, subscribed."interval",
           case when counts then count(*) filter (counts) over earlier end as ordinal,
           lag(said.occurred_at) over earlier + length_of(subscribed."interval") < subscribed.over_at as is_arrears
    from said
    left join subscribed on subscribed.ref = said.subscription_ref
    where said.subscription_ref is not null
    window earlier as (partition by said.subscription_ref order by said.occurred_at, said.ref
                       rows between unbounded preceding and current row)
),
kept_before as (
    select record, said.occurred_at, said.subscription_ref, recurring."interval",
           last_value(case when net_minor > 0 then said.occurred_at end ignore nulls) over before as twin_at,
           last_value(case when net_minor > 0 then coalesce(said.subscription_ref, '') end ignore nulls) over before
               as twin_subscription_ref
    from said
    left join recurring using (record)
    where counts
    window before as (partition by person, product_ref, amount_minor, currency order by said.occurred_at, said.ref
                      rows between unbounded preceding and 1 preceding)
),
twins as (
    select record
    from kept_before
    where occurred_at <= twin_at + getvariable('twin_window')
      and (subscription_ref is null or twin_subscription_ref in ('', subscription_ref))
      and (subscription_ref is distinct from twin_subscription_ref
           or coalesce(occurred_at < twin_at + half_of("interval"), true))
)
select said.*, recurring.ordinal, coalesce(recurring.is_arrears, false) as is_arrears, recurring.subscription_ended_at,
       recurring.subscription_instalments, twins.record is not null as has_twin,
       addressed.person is not null or persons.has_several_platforms as is_person_known,
       said.product_ref in (select product_ref from ignored) as is_ignored,
       coalesce(offers.is_repeatable, false) as is_repeatable,
       exists (select 1 from held where held.paid_by_ref = said.ref and held.person <> said.person)
           or exists (select 1 from held where held.paid_by_ref = said.subscription_ref and held.person <> said.person)
           as is_granted_to_other
from said
left join recurring using (record)
left join twins using (record)
left join addressed using (person)
left join persons using (person)
left join offers using (offer);

create table agreed as
with named as (
    from named_in('subscribed')
),
by_role as (
    select min(ref) as one, max(ref) as other
    from subscribed
    where offer > 0
    group by person, offer
    having count(*) = 2 and count(distinct role) = 2
),
pairs as (
    select * from named
    union
    select * from by_role
    where one not in (select one from named union all select other from named)
      and other not in (select one from named union all select other from named)
),
second as (
    select case when (one.role <> 'processor', one.occurred_at, one.ref) > (other.role <> 'processor', other.occurred_at, other.ref)
                then one.ref else other.ref end as ref
    from pairs
    join subscribed as one on one.ref = pairs.one
    join subscribed as other on other.ref = pairs.other
),
kept as (
    select subscription_ref as ref, count(*) filter (net_minor > 0) as paid_count,
           max(occurred_at) filter (net_minor > 0) as last_paid_at, min(succeeded_at) as first_succeeded_at,
           last(is_refunded order by occurred_at, ref) as is_last_refunded,
           last(disputed_at order by occurred_at, ref) as last_disputed_at,
           last(dispute_status order by occurred_at, ref) as last_dispute_status
    from paid
    where counts and subscription_ref is not null
    group by subscription_ref
)
select subscribed.*, coalesce(paid_count, 0) as paid_count, first_succeeded_at, coalesce(is_last_refunded, false) as is_last_refunded,
       coalesce(last_paid_at + length_of("interval"), trial_ends_at, occurred_at) as paid_until_at,
       coalesce(last_dispute_status in ('open', 'lost'), false) as is_last_disputed, last_disputed_at,
       subscribed.ref not in (select ref from second) as is_primary
from subscribed
left join kept using (ref);

create table spells as
with by_subscription as (
    select *, coalesce(paid_count >= instalments, false) as is_plan_done,
           case when coalesce(paid_count >= instalments, false) then 'instalments'
                when status = 'trialing' then 'trial'
                when status = 'active' and is_cancelling then 'cancelling'
                when status in ('past_due', 'unpaid') then 'dunning'
                when status = 'paused' then 'paused'
                else 'subscription' end as title
    from agreed
    where is_primary and offer > 0
),
until as (
    select *,
           case when is_plan_done then null
                when title = 'cancelling' then period_ends_at
                when title = 'dunning' then paid_until_at + getvariable('dunning')
                when status = 'ended' then over_at end as until_at
    from by_subscription
),
ended as (
    select *, is_last_disputed and (until_at is null or last_disputed_at < until_at) as is_disputed from until
),
told as (
    select paid.person, paid.offer, paid.subscription_ref, paid.succeeded_at, agreed.offer as offer_now, agreed."interval"
    from paid
    join agreed on agreed.ref = paid.subscription_ref and agreed.is_primary
    where paid.counts and paid.offer > 0
),
first_new as (
    select subscription_ref, min(succeeded_at) as new_at from told where offer = offer_now group by subscription_ref
),
moved as (
    select person, offer, min(succeeded_at) as from_at,
           least(any_value(new_at), max(succeeded_at) + length_of(any_value("interval"))) as until_at
    from told
    left join first_new using (subscription_ref)
    where offer <> offer_now and offer_now > 0
    group by person, offer, subscription_ref
)
select person, offer, 'one_off' as title, succeeded_at as from_at,
       least(case when is_refunded then refunded_at end,
             case when dispute_status in ('open', 'lost') then disputed_at end,
             succeeded_at + to_days(access_days)) as until_at,
       case when is_refunded and refunded_at = until_at then 'refund'
            when dispute_status in ('open', 'lost') and disputed_at = until_at then 'dispute'
            when succeeded_at + to_days(access_days) = until_at then 'term' end as ended_by,
       null::timestamp as not_before_at
from paid
join offers using (offer)
where counts and subscription_ref is null and offer > 0
union all
select person, offer, title,
       case when status = 'trialing' then occurred_at else coalesce(first_succeeded_at, occurred_at) end,
       case when is_disputed then last_disputed_at else until_at end,
       case when is_disputed then 'dispute' when title = 'dunning' then 'non_payment' else 'subscription_end' end,
       case when not is_disputed and title <> 'dunning' and until_at is not null and not is_last_refunded
            then paid_until_at end
from ended
union all
select person, offer, 'subscription', from_at, until_at, 'plan_change', null from moved;

create table entitled as
with marked as (
    select *, from_at <= getvariable('as_of') and (until_at is null or until_at > getvariable('as_of')) as is_open,
           greatest(until_at, not_before_at) as ended_at,
           case title when 'one_off' then 1 when 'instalments' then 2 when 'subscription' then 3 when 'cancelling' then 4
                   when 'dunning' then 5 when 'paused' then 6 else 7 end as rank
    from spells
    where from_at is not null
)
select person, offer, arg_min(title, rank) filter (is_open) as entitled_by,
       min(from_at) filter (is_open) as entitled_from_at,
       case when not bool_or(is_open) then max(ended_at) end as entitlement_ended_at,
       case when not bool_or(is_open) then last(ended_by order by ended_at nulls first, ended_by nulls first) end
           as entitlement_ended_by
from marked
group by person, offer;
