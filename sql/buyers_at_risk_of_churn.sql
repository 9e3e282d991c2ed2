-- Grain     person x offer that they pay for again and again, with at least one sign
-- Inputs    journey.buyer_journeys, journey.people, journey.surveys, journey.findings, journey.invariant_days, bi.currencies
-- Question  Who may leave next, by which signs, and what have they brought so far? Signs: they cancelled or pause, their
--           payment failed, they use nothing for four weeks, a case waits, they gave a bad score, something is broken
--           for them. More signs first; today is the day of the newest verdicts.
with newest as (
    select max(day_on) as day_on from journey.invariant_days
),

unhappy as (
    select person_id, max(occurred_at) as bad_score_at
    from journey.surveys
    where is_detractor and person_id is not null
    group by person_id
),

broken as (
    select person_id, count(*) as open_findings
    from journey.findings
    where status in ('open', 'reopened') and person_id is not null
    group by person_id
),

signs as (
    select
        j.person_id,
        j.offer_id,
        j.entitled_by,
        j.net_minor,
        j.currency,
        j.paid_at,
        j.renewed_at,
        p.last_use_at,
        u.bad_score_at,
        coalesce(b.open_findings, 0) as open_findings,
        j.entitled_by = 'cancelling' as is_cancelling,
        j.entitled_by = 'paused' as is_paused,
        j.entitled_by = 'dunning' as is_payment_failing,
        coalesce(
            j.is_use_tracked
            and newest.day_on - cast(coalesce(p.last_use_at, j.access_at) at time zone 'UTC' as date) >= 28,
            false
        ) as is_idle,
        j.ticket_at is not null and j.ticket_resolved_at is null as is_waiting_for_support,
        coalesce(newest.day_on - cast(u.bad_score_at at time zone 'UTC' as date) < 90, false) as is_unhappy,
        b.open_findings is not null as is_something_broken
    from journey.buyer_journeys as j
    cross join newest
    left join journey.people as p on j.person_id = p.person_id
    left join unhappy as u on j.person_id = u.person_id
    left join broken as b on j.person_id = b.person_id
    where
        j.entitled_by in ('subscription', 'instalments', 'cancelling', 'dunning', 'paused', 'trial')
        and not coalesce(j.is_test, false)
),

counted as (
    select
        *,
        case when is_cancelling then 1 else 0 end + case when is_paused then 1 else 0 end
        + case when is_payment_failing then 1 else 0 end + case when is_idle then 1 else 0 end
        + case when is_waiting_for_support then 1 else 0 end + case when is_unhappy then 1 else 0 end
        + case when is_something_broken then 1 else 0 end as sign_count
    from signs
)

select
    s.person_id,
    p.name,
    p.email,
    s.offer_id,
    s.sign_count,
    concat_ws(
        ', ',
        case when s.is_cancelling then 'cancelling' end,
        case when s.is_paused then 'paused' end,
        case when s.is_payment_failing then 'payment failing' end,
        case when s.is_idle then 'not using it' end,
        case when s.is_waiting_for_support then 'waiting for support' end,
        case when s.is_unhappy then 'gave a bad score' end,
        case when s.is_something_broken then 'something is broken' end
    ) as signs,
    s.entitled_by,
    p.crm_owner,
    s.last_use_at,
    s.bad_score_at,
    s.open_findings,
    s.paid_at,
    s.renewed_at,
    s.net_minor,
    s.net_minor * coalesce(c.unit, 0.01) as net,
    s.currency
from counted as s
left join journey.people as p on s.person_id = p.person_id
left join bi.currencies as c on s.currency = c.currency
where s.sign_count > 0
