-- Grain     owner x currency (null: findings without money)
-- Inputs    journey.findings, journey.finding_money, bi.currencies
-- Question  How much does each team have at stake? A payment counts once per team, with the greatest amount that
--           stands on it; teams may share a payment, so they can add up to more than the whole. Sales that may never
--           happen (expected) stand apart. Amounts of two currencies are never added.
with broken as (
    select
        finding_id,
        owner,
        case when at_risk_minor is not null then currency end as currency,
        coalesce(at_risk_kind = 'expected', false) as is_expected
    from journey.findings
    where status in ('open', 'reopened')
),

per_ref as (
    select b.owner, b.currency, b.is_expected, m.ref, max(m.amount_minor) as amount_minor
    from broken as b
    inner join journey.finding_money as m on b.finding_id = m.finding_id
    group by b.owner, b.currency, b.is_expected, m.ref
),

at_risk as (
    select
        owner,
        currency,
        cast(sum(case when not is_expected then amount_minor end) as bigint) as at_risk_minor,
        cast(sum(case when is_expected then amount_minor end) as bigint) as expected_minor
    from per_ref
    group by owner, currency
),

counted as (
    select owner, currency, count(*) as open_findings
    from broken
    group by owner, currency
)

select
    k.owner,
    k.currency,
    k.open_findings,
    a.at_risk_minor,
    a.at_risk_minor * coalesce(c.unit, 0.01) as at_risk,
    a.expected_minor,
    a.expected_minor * coalesce(c.unit, 0.01) as expected
from counted as k
left join at_risk as a on k.owner = a.owner and k.currency = a.currency
left join bi.currencies as c on k.currency = c.currency
