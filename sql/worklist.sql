-- Grain     open finding
-- Inputs    journey.findings, journey.people, bi.currencies
-- Question  What is broken now, for whom, what is at risk, who owns it, and what is to be done next?
select
    case f.severity when 'critical' then 1 when 'warning' then 2 else 3 end as priority,
    f.severity,
    f.owner,
    f.invariant,
    f.status,
    f.broken_since_at,
    f.first_seen_on,
    f.last_seen_on,
    f.reopened_count,
    f.unknown_days,
    f.person_id,
    p.name,
    p.email,
    f.offer_id,
    f.platform,
    f.record_id,
    f.url,
    f.evidence,
    f.cause,
    f.fix,
    f.at_risk_minor,
    f.at_risk_minor * coalesce(c.unit, 0.01) as at_risk,
    f.currency,
    f.at_risk_kind,
    f.incident_id,
    f.identity_confidence,
    f.finding_id
from journey.findings as f
left join journey.people as p on f.person_id = p.person_id
left join bi.currencies as c on f.currency = c.currency
where f.status in ('open', 'reopened')
