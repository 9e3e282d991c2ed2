-- The keys of one level that tie two components or more.
create or replace table edges as
with met as (
    select distinct component, node
    from ties
    join components using (record)
    where level = getvariable('level')
),
numbered as (
    select component, hash(node) as node from met
)
select component, node
from numbered
where node in (select node from numbered group by node having count(*) > 1);

create or replace table labels as
select distinct component, component as label from edges;
