-- One round: every component takes the least label that it meets through a key.
create or replace table spread as
with heard as (
    select node, min(label) as label
    from edges
    join labels using (component)
    group by node
)
select component, min(heard.label) as label
from edges
join heard using (node)
group by component;

create or replace table changed as
select count(*) as changed
from spread
join labels using (component)
where spread.label <> labels.label;

create or replace table labels as
from spread;
