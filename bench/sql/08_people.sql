-- One row per person: what their records say together, as far as the rules of `people` read it.

create table customers as
with first_lead as (
    select person, min(occurred_at) as first_lead_at from leads join placed using (record) where not placed.is_test group by person
),
first_booking as (
    select person, min(occurred_at) as first_booked_at from bookings join placed using (record) where not placed.is_test group by person
),
first_payment as (
    select person, min(succeeded_at) as first_paid_at from paid where counts group by person
),
marked as (
    select contacts.* exclude (is_test), person,
           gone_at is not null or coalesce(is_deleted, false) as is_gone,
           coalesce(updated_at, occurred_at) as newest_at
    from contacts
    join placed using (record)
    where not placed.is_test and merged_into is null
),
surviving as (
    select person, count(*) as crm_contact_count,
           lower(last(lifecycle_stage order by newest_at, platform, record_id) filter (lifecycle_stage is not null))
               as crm_stage,
           last(customer_since_at order by newest_at, platform, record_id) filter (lifecycle_stage is not null)
               as crm_customer_at
    from marked
    where not is_gone
    group by person
),
per_platform as (
    select person, platform, count(*) as contact_count, list_sort(list(occurred_at))[2] as second_contact_at
    from marked
    where not is_gone
    group by person, platform
),
fullest as (
    select person, last(contact_count order by contact_count, platform) as crm_platform_contact_count,
           last(second_contact_at order by contact_count, platform) as second_contact_at
    from per_platform
    group by person
),
deleted as (
    select person, max(coalesce(gone_at, updated_at, loaded_at)) as deleted_at from marked where is_gone group by person
),
agreeing as (
    select person from agreements join placed using (record) where not placed.is_test and signed_at is not null
    union
    select person from deals join placed using (record) where not placed.is_test and won_at is not null
),
comped as (
    select distinct person from held where is_open and basis in ('comp', 'import', 'staff')
),
per_platform_consent as (
    select person, platform, bool_or(state = 'subscribed') as is_in,
           max(occurred_at) filter (state <> 'subscribed') as out_at, max(occurred_at) filter (state = 'subscribed') as in_at
    from consents
    join placed using (record)
    where not placed.is_test
    group by person, platform
),
opted_out as (
    select person, max(out_at) filter (not is_in) as opted_out_at
    from per_platform_consent
    group by person
    having opted_out_at is not null and not coalesce(max(in_at) > opted_out_at, false)
),
mailed as (
    select person, max(occurred_at) as mailed_after_optout_at
    from messages
    join placed using (record)
    join opted_out using (person)
    where not placed.is_test and purpose in ('newsletter', 'sequence', 'cart')
      and occurred_at >= getvariable('as_of') - getvariable('look_back') and occurred_at > opted_out_at + interval 1 hour
    group by person
)
select person, person_id, identity_confidence, is_tester as is_test, first_lead_at, first_booked_at, first_paid_at,
       coalesce(crm_contact_count, 0) as crm_contact_count,
       coalesce(crm_platform_contact_count, 0) as crm_platform_contact_count, second_contact_at,
       case when coalesce(crm_contact_count, 0) = 0 then deleted_at end as crm_deleted_at,
       coalesce(crm_stage in (select stage from customer_stages), false) as is_crm_customer, crm_customer_at,
       agreeing.person is not null as has_agreed, comped.person is not null as has_comp_access, opted_out_at,
       mailed_after_optout_at
from persons
left join first_lead using (person)
left join first_booking using (person)
left join first_payment using (person)
left join surviving using (person)
left join fullest using (person)
left join deleted using (person)
left join agreeing using (person)
left join comped using (person)
left join opted_out using (person)
left join mailed using (person);
