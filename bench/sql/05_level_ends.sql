-- Components that met are one; it holds as well as the weakest of them, and as this level.
create or replace table components as
with held as (
    select label, least(min(confidence), (select confidence from levels where level = getvariable('level'))) as confidence
    from labels
    join (select distinct component, confidence from components) using (component)
    group by label
)
select record, coalesce(label, component) as component, coalesce(held.confidence, components.confidence) as confidence
from components
left join labels using (component)
left join held using (label);
