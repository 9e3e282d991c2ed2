"""The catalogue: complete, well formed, and each rule drawn twice."""

import pytest

from journey_pipeline.invariants import catalogue, language
from journey_pipeline.invariants.evaluation import evaluate, judging_of
from journey_pipeline_tests.invariants.document import DOCUMENT, document
from journey_pipeline_tests.invariants.worlds import AS_OF, SAYS, SETTINGS, Drawing, drawings, world

CORE = [
    "lead_implies_crm_record", "one_crm_record_per_person", "paid_implies_won", "paid_implies_crm_record",
    "crm_customer_implies_paid", "payment_has_person", "product_has_offer", "no_duplicate_charge", "paid_implies_access",
    "access_implies_payment", "paid_access_not_lost", "bundle_is_complete", "refund_revokes_access",
    "ended_subscription_ends_access", "one_live_subscription_per_offer", "no_charge_after_end", "paid_implies_welcome",
    "unsubscribed_not_mailed", "access_ticket_of_payer_is_answered", "source_is_fresh",
]  # fmt: skip
SEVERITIES = {
    "critical": {
        "lead_implies_crm_record", "product_has_offer", "no_duplicate_charge", "paid_implies_access",
        "access_implies_payment", "paid_access_not_lost", "bundle_is_complete", "refund_revokes_access",
        "ended_subscription_ends_access", "one_live_subscription_per_offer", "no_charge_after_end",
        "unsubscribed_not_mailed", "access_ticket_of_payer_is_answered", "source_is_fresh",
    },
    "warning": {
        "one_crm_record_per_person", "paid_implies_won", "paid_implies_crm_record", "crm_customer_implies_paid",
        "payment_has_person", "paid_implies_welcome",
    },
}  # fmt: skip
OWNERS = {
    "sales": 5, "finance": 6, "delivery": 5, "data": 2, "marketing": 1, "support": 1,
}  # fmt: skip

RULES = {rule.name: rule for rule in catalogue.load()}


def test_the_core_rules_stand_in_the_order_of_the_handoffs() -> None:
    assert [rule.name for rule in catalogue.load()] == CORE
    assert all(rule.core for rule in catalogue.load())


def test_severities_and_owners_are_those_of_the_catalogue() -> None:
    found = {s: {r.name for r in RULES.values() if r.severity == s} for s in SEVERITIES}
    assert found == SEVERITIES
    owners = [rule.owner for rule in RULES.values()]
    assert {owner: owners.count(owner) for owner in OWNERS} == OWNERS


@pytest.mark.parametrize("name", CORE)
def test_an_entry_is_well_formed_and_complete(name: str) -> None:
    rule = RULES[name]
    assert language.mistakes(rule, "catalogue", taken=()) == []
    assert rule.claim.endswith(".")
    assert rule.fix.endswith(".")
    assert rule.source
    assert rule.needs is not None
    assert rule.records or rule.evidence or rule.on == "tickets"


@pytest.mark.parametrize("name", CORE)
def test_each_rule_is_drawn_where_it_breaks_and_where_it_holds(name: str) -> None:
    kinds = [d.is_caught for d in drawings() if d.invariant == name]
    assert kinds == [True, False]


@pytest.mark.parametrize("drawing", drawings(), ids=lambda d: f"{d.invariant}-{'caught' if d.is_caught else 'not'}")
def test_a_drawn_world_gets_the_verdicts_drawn(drawing: Drawing) -> None:
    rule = RULES[drawing.invariant]
    rows = drawing.rows(rule.on)
    sources = rows if rule.on == "source_health" else None
    tables = world(sources, **({} if sources is not None else {rule.on: rows}))
    judging = judging_of(tables, rules=[rule], settings=SETTINGS, says=SAYS, as_of=AS_OF)
    judged = judging.judge(rule, tables[rule.on]).collect()
    assert list(zip(judged["verdict"], judged["verdict_reason"], strict=True)) == drawing.expected
    assert ("broken" in judged["verdict"].to_list()) == drawing.is_caught
    # The whole evaluation says the same, and describes each broken row.
    evaluation = evaluate(tables, rules=[rule], settings=SETTINGS, says=SAYS, as_of=AS_OF)
    assert evaluation.verdicts[rule.on][rule.name].to_list() == [verdict for verdict, _ in drawing.expected]
    assert evaluation.broken.height == sum(verdict == "broken" for verdict, _ in drawing.expected)
    for row in evaluation.broken.iter_rows(named=True):
        assert row["fix"].endswith(".")
        assert "{" not in row["fix"]
        assert row["evidence"]
        assert row["cause"]
        assert (row["broken_since_at"] is not None) == (rule.since is not None)
        if rule.at_risk is None:
            assert row["at_risk_minor"] is row["at_risk_kind"] is row["currency"] is row["money_refs"] is None


def test_the_document_is_what_the_catalogue_and_the_drawings_say() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), (
        "docs/invariants.md is stale: python -m journey_pipeline_tests.invariants.document"
    )
