-- Grain     incident x currency (null: incidents without money)
-- Inputs    journey.incidents, journey.findings, journey.finding_money, journey.repairs, bi.currencies
-- Question  What happened behind the findings, since when, what do they share that others don't, how much is at stake,
--           and what comes first? A payment counts once per incident; incidents may share one, so they can add up to more
--           than the whole. Sales that may never happen (expected) stand apart. Currencies are never added.
with broken as (
    select
        finding_id,
        incident_id,
        case when at_risk_minor is not null then currency end as currency,
        coalesce(at_risk_kind = 'expected', false) as is_expected
    from journey.findings
    where status in ('open', 'reopened') and incident_id is not null
),

per_ref as (
    select b.incident_id, b.currency, b.is_expected, m.ref, max(m.amount_minor) as amount_minor
    from broken as b
    inner join journey.finding_money as m on b.finding_id = m.finding_id
    group by b.incident_id, b.currency, b.is_expected, m.ref
),

at_risk as (
    select
        incident_id,
        currency,
        cast(sum(case when not is_expected then amount_minor end) as bigint) as at_risk_minor,
        cast(sum(case when is_expected then amount_minor end) as bigint) as expected_minor
    from per_ref
    group by incident_id, currency
),

first_repair as (
    select incident_id, min(sentence) as sentence
    from journey.repairs
    where finding_id is null
    group by incident_id
)

select
    i.incident_id,
    i.story_id,
    i.status,
    i.severity,
    i.owner,
    i.invariant,
    i.sentence,
    i.started_at,
    i.finding_count,
    i.cause,
    i.factor,
    i.factor_value,
    i.factor_broken,
    i.factor_judged,
    i.elsewhere_broken,
    i.elsewhere_judged,
    i.lift,
    i.first_seen_on,
    i.ended_on,
    r.sentence as first_repair,
    a.currency,
    a.at_risk_minor,
    a.at_risk_minor * coalesce(c.unit, 0.01) as at_risk,
    a.expected_minor,
    a.expected_minor * coalesce(c.unit, 0.01) as expected
from journey.incidents as i
left join at_risk as a on i.incident_id = a.incident_id
left join first_repair as r on i.incident_id = r.incident_id
left join bi.currencies as c on a.currency = c.currency
