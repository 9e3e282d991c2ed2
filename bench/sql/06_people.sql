-- A person's id is made from the record of it that was loaded first; an anonymous touch, and a message to the team that
-- names nobody, are nobody's.

create table sources as
select platform, kind, row_number() over (order by platform, kind) as source
from (select distinct platform, kind from everything);

create table whose as
select component as person, record, kind, platform, record_id, source, first_loaded_at, is_test, email,
       confidence
from everything
join components using (record)
join sources using (platform, kind)
where not (kind in ('touchpoints', 'notifications') and email is null and phone is null and len(keys) = 0);

create table persons as
with earliest as (
    select person, min(first_loaded_at) as first_loaded_at, min(confidence) as identity_confidence,
           min(platform) <> max(platform) as has_several_platforms, bool_and(is_test) as is_only_test
    from whose
    group by person
),
test_buyers as (
    select distinct person
    from whose
    where is_test and len(list_filter(getvariable('test_buyers'), lambda pattern: lower(trim(email, E' \t\r\n')) glob pattern)) > 0
),
least_source as (
    select person, min(source) as source
    from whose
    join earliest using (person, first_loaded_at)
    group by person
),
anchors as (
    select person, source, min(record_id) as record_id
    from whose
    join least_source using (person, source)
    join earliest using (person, first_loaded_at)
    group by all
)
select person, 'p_' || sha256(platform || '|' || kind || '|' || anchors.record_id)[:16] as person_id,
       identity_confidence, has_several_platforms, is_only_test or test_buyers.person is not null as is_tester
from anchors
join sources using (source)
join earliest using (person)
left join test_buyers using (person);

create table addressed as
select distinct person
from whose
join ties using (record)
where level > 1;

-- Whose each record is, and whether it is a test; whoever is a test buyer is one with everything they have.
create table placed as
select record, person, is_test or is_tester as is_test
from whose
join persons using (person);
