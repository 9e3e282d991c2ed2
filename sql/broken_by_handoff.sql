-- Grain     invariant x currency of its open findings (currency null: no money, or nothing open)
-- Inputs    journey.invariant_days, journey.findings, journey.finding_money, bi.currencies
-- Question  Which handoffs break, how often, since when, and what do they put at risk? Could each be judged at all?
--           Within an invariant a payment counts once, with the greatest amount that stands on it.
with newest as (
    select max(day_on) as day_on from journey.invariant_days
),

judged as (
    select
        d.invariant,
        d.day_on,
        min(d.severity) as severity,
        min(d.owner) as owner,
        min(d.gate) as gate,
        min(d.gate_reason) as gate_reason
    from journey.invariant_days as d
    inner join newest on d.day_on = newest.day_on
    group by d.invariant, d.day_on
),

broken as (
    select
        finding_id,
        invariant,
        severity,
        owner,
        broken_since_at,
        first_seen_on,
        case when at_risk_minor is not null then currency end as currency,
        at_risk_kind
    from journey.findings
    where status in ('open', 'reopened')
),

per_ref as (
    select b.invariant, b.currency, m.ref, max(m.amount_minor) as amount_minor
    from broken as b
    inner join journey.finding_money as m on b.finding_id = m.finding_id
    group by b.invariant, b.currency, m.ref
),

at_risk as (
    select invariant, currency, cast(sum(amount_minor) as bigint) as at_risk_minor
    from per_ref
    group by invariant, currency
),

counted as (
    select
        b.invariant,
        b.currency,
        min(b.severity) as severity,
        min(b.owner) as owner,
        min(b.at_risk_kind) as at_risk_kind,
        count(*) as open_findings,
        sum(case when b.first_seen_on = newest.day_on then 1 else 0 end) as new_findings,
        min(b.broken_since_at) as oldest_since_at
    from broken as b
    cross join newest
    group by b.invariant, b.currency
)

select
    coalesce(j.invariant, k.invariant) as invariant,
    coalesce(j.severity, k.severity) as severity,
    coalesce(j.owner, k.owner) as owner,
    j.day_on,
    j.gate,
    j.gate_reason,
    coalesce(k.open_findings, 0) as open_findings,
    cast(coalesce(k.new_findings, 0) as bigint) as new_findings,
    k.oldest_since_at,
    k.currency,
    a.at_risk_minor,
    a.at_risk_minor * coalesce(c.unit, 0.01) as at_risk,
    k.at_risk_kind
from judged as j
full outer join counted as k on j.invariant = k.invariant
left join at_risk as a on k.invariant = a.invariant and k.currency = a.currency
left join bi.currencies as c on k.currency = c.currency
