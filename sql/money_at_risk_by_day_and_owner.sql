-- Grain     day x owner x currency
-- Inputs    journey.finding_days, journey.finding_day_money, bi.currencies
-- Question  Whose handoffs put the money at risk, and does each team get better? Of each day, what was broken on it; a
--           payment counts once a day per team, with the greatest amount that stands on it. Teams may share a payment,
--           so they can add up to more than the day. Amounts of two currencies are never added.
with per_ref as (
    select
        d.day_on,
        d.owner,
        d.currency,
        coalesce(d.at_risk_kind = 'expected', false) as is_expected,
        m.ref,
        max(m.amount_minor) as amount_minor
    from journey.finding_days as d
    inner join journey.finding_day_money as m on d.finding_id = m.finding_id and d.day_on = m.day_on
    where d.verdict = 'broken'
    group by d.day_on, d.owner, d.currency, coalesce(d.at_risk_kind = 'expected', false), m.ref
),

at_risk as (
    select
        day_on,
        owner,
        currency,
        cast(sum(case when not is_expected then amount_minor end) as bigint) as at_risk_minor,
        cast(sum(case when is_expected then amount_minor end) as bigint) as expected_minor
    from per_ref
    group by day_on, owner, currency
)

select
    a.day_on,
    a.owner,
    a.currency,
    a.at_risk_minor,
    a.at_risk_minor * coalesce(c.unit, 0.01) as at_risk,
    a.expected_minor,
    a.expected_minor * coalesce(c.unit, 0.01) as expected
from at_risk as a
left join bi.currencies as c on a.currency = c.currency
