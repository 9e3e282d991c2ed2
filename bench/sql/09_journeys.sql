-- One row per person and offer: the columns that the rules of `buyer_journeys` read.

create table money as
select person, offer, min(occurred_at) as money_at
from (select person, offer, occurred_at from paid union all select person, offer, occurred_at from agreed)
group by person, offer;

create view in_hand as
select held.person, items.offer, held.product_ref as item, held.occurred_at, held.is_open, held.closed_at,
       coalesce(held.basis, 'paid') as basis, held.paid_by_ref
from held
join items using (product_ref);

create table pairs as
with named as (
    select record, product_ref from leads
    union all
    select record, product_ref from deals
    union all
    select record, product_ref from agreements
)
select person, offer from money where offer > 0
union
select person, offer
from named
join placed using (record)
join product_offer using (product_ref)
where not placed.is_test
union
select person, offer from in_hand;

create table all_pairs as
from pairs
union all
select person, 0 from persons where not is_tester and person not in (select person from pairs)
union
select person, offer from money where offer = 0;

-- A deal that names no offer belongs to the journey whose money came next, else to the latest, else to any.
create table attached_deals as
with said as (
    select deals.* exclude (is_test), person, coalesce(offer, 0) as said_offer
    from deals
    join placed using (record)
    left join product_offer using (product_ref)
    where not placed.is_test and gone_at is null
),
timed as (
    select * from money where offer > 0
),
latest as (
    select person, arg_max(offer, money_at) as offer from timed group by person
),
least_offer as (
    select person, min(offer) as offer from pairs group by person
)
select said.* , case when said_offer > 0 then said_offer else coalesce(timed.offer, latest.offer, least_offer.offer, 0) end
       as offer
from said
asof left join timed on timed.person = said.person and said.occurred_at <= timed.money_at
left join latest on latest.person = said.person
left join least_offer on least_offer.person = said.person;

create table journeys as
with newest as (
    select person, offer, last(currency order by occurred_at, ref) as currency from paid where counts group by all
),
sums as (
    select person, offer, min(succeeded_at) as paid_at, max(succeeded_at) as last_paid_at,
           coalesce(sum(amount_minor) filter (paid.currency = newest.currency), 0) as paid_minor,
           coalesce(sum(refunded_minor) filter (paid.currency = newest.currency), 0) as refunded_minor,
           coalesce(sum(net_minor) filter (paid.currency = newest.currency), 0) as net_minor
    from paid
    join newest using (person, offer)
    where counts
    group by person, offer
),
tested as (
    select person, coalesce(offer, 0) as offer, min(occurred_at) as test_paid_at
    from payments
    join placed using (record)
    left join product_offer using (product_ref)
    where placed.is_test
    group by all
),
dealt as (
    select person, offer, min(won_at) as won_at,
           bool_or((said_offer = offer and offer > 0) or amount_minor is null
                   or coalesce(abs(amount_minor - paid_minor) <= 0.3 * paid_minor, false)) as has_matching_deal
    from attached_deals
    left join sums using (person, offer)
    group by person, offer
),
live as (
    select person, offer, count(*) as live_subscription_count, count(*) filter (is_cancelling) as cancelling_subscription_count,
           list_sort(list(occurred_at))[2] as second_live_at
    from agreed
    where is_primary and is_live
    group by person, offer
),
per_item as (
    select person, offer, item, bool_or(is_open) as is_open, bool_or(is_open and basis = 'paid') as is_open_paid,
           max(closed_at) as closed_at, max(occurred_at) filter (is_open) as opened_at,
           min(case basis when 'paid' then 1 when 'comp' then 2 when 'import' then 3 else 4 end) filter (is_open) as basis
    from in_hand
    group by person, offer, item
),
owed as (
    select distinct person, product_ref as item from entitled join items using (offer) where entitled_by is not null
),
granted as (
    select person, offer, count(*) filter (is_open) as grants_open, max(opened_at) as opened_at, min(basis) as open_basis,
           case when not bool_or(is_open) then max(closed_at) end as access_ended_at,
           max(closed_at) filter (not is_open) as missing_closed_at,
           count(*) filter (is_open_paid and owed.person is null) as unowed_count
    from per_item
    left join owed using (person, item)
    group by person, offer
),
expected as (
    select offer, count(*) as grants_expected from items group by offer
),
gifts as (
    select paying.person as giver, paying.offer as giver_offer, held.person as taker, held.product_ref
    from held
    join (select ref, person, offer from paid union all select ref, person, offer from agreed) as paying
      on paying.ref = held.paid_by_ref
    where paying.person <> held.person
),
givers as (
    select distinct giver as person, giver_offer as offer from gifts
),
takers as (
    select distinct taker as person, offer from gifts join items using (product_ref)
),
welcomed as (
    select person, welcomes.offer, min(delivered_at) as welcomed_at
    from messages
    join placed using (record)
    join welcomes using (template_ref)
    where not placed.is_test
    group by all
),
laid_out as (
    select person, offer, customers.person_id, customers.identity_confidence, customers.is_test, offers.offer_id, paid_at, last_paid_at,
           coalesce(refunded_minor, 0) as refunded_minor, coalesce(net_minor, 0) as net_minor, test_paid_at, money_at, won_at,
           coalesce(has_matching_deal, false) as has_matching_deal,
           coalesce(live_subscription_count, 0) as live_subscription_count,
           coalesce(cancelling_subscription_count, 0) as cancelling_subscription_count, second_live_at,
           coalesce(grants_expected, 0) as grants_expected, coalesce(grants_open, 0) as grants_open, granted.opened_at, open_basis,
           access_ended_at, missing_closed_at, coalesce(unowed_count, 0) as unowed_count,
           entitled_by, entitled_from_at, entitlement_ended_at, entitlement_ended_by,
           entitled_by is not null and entitled_by <> 'trial' and paid_at is not null as is_paying,
           greatest(entitled_from_at, opens_at) as access_due_at,
           givers.person is not null as is_granted_to_other, takers.person is not null as is_granted_by_other,
           coalesce(has_welcome, false) as is_welcome_expected, welcomed_at,
           crm_deleted_at is not null as is_person_deleted
    from all_pairs
    join customers using (person)
    left join offers using (offer)
    left join sums using (person, offer)
    left join money using (person, offer)
    left join tested using (person, offer)
    left join dealt using (person, offer)
    left join live using (person, offer)
    left join entitled using (person, offer)
    left join granted using (person, offer)
    left join expected using (offer)
    left join givers using (person, offer)
    left join takers using (person, offer)
    left join welcomed using (person, offer)
),
lost as (
    select *, case when grants_open = 0 and access_ended_at >= entitled_from_at then access_ended_at end as access_lost_at,
           case when grants_open > 0 and grants_open < grants_expected then greatest(access_due_at, missing_closed_at) end
               as grant_missing_at
    from laid_out
)
select *, coalesce(last_paid_at > access_lost_at + interval 24 hours, false) as is_charged_since_loss from lost;

create table payers as
select person, bool_or(is_paying) as is_payer from journeys group by person;

create table sold as
with seen as (
    select product_ref, occurred_at from paid
    union all
    select product_ref, occurred_at from agreed
    union all
    select product_ref, occurred_at from held
),
used as (
    select product_ref from paid where counts and occurred_at >= getvariable('as_of') - interval 30 days and amount_minor > 0
    union
    select product_ref from agreed where is_primary and is_live
    union
    select product_ref from held where is_open and basis = 'paid'
)
select product_ref, min(occurred_at) as first_seen_at, used.product_ref is not null as is_in_use, offer_id,
       product_ref in (select product_ref from ignored) as is_ignored
from seen
left join used using (product_ref)
left join product_offer using (product_ref)
left join offers using (offer)
where product_ref is not null
group by all;
