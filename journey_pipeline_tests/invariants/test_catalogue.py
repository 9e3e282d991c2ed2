"""The catalogue: complete, well formed, and each rule drawn twice."""

import re
from pathlib import Path

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
# The others, by file: name -> severity and owner.
OTHERS = {
    "01_source_to_lead": {
        "campaign_clicks_are_tracked": ("warning", "marketing"), "campaign_brings_leads": ("warning", "marketing"),
        "arrivals_not_silent": ("critical", "marketing"),
    },
    "02_lead_to_crm": {
        "crm_record_implies_lead": ("info", "marketing"), "lead_has_owner": ("warning", "sales"),
        "lead_gets_answer": ("warning", "sales"), "lead_source_kept_in_crm": ("info", "marketing"),
    },
    "03_crm_to_booking": {
        "booking_implies_crm_record": ("warning", "sales"), "booking_copies_agree": ("warning", "sales"),
        "past_booking_has_outcome": ("info", "sales"), "no_show_is_followed_up": ("warning", "sales"),
        "met_implies_next_step": ("warning", "sales"),
    },
    "04_proposal_to_signature": {
        "proposal_is_followed_up": ("info", "sales"), "signed_implies_won": ("warning", "sales"),
        "won_implies_signed": ("info", "sales"),
    },
    "05_agreement_to_payment": {
        "signed_implies_paid": ("critical", "finance"), "won_implies_paid": ("warning", "finance"),
        "agreed_amount_is_paid": ("warning", "finance"), "paid_implies_crm_customer": ("warning", "sales"),
    },
    "14_reporting": {
        "reported_figure_matches": ("warning", "finance"), "analytics_ratio_is_steady": ("info", "marketing"),
        "ad_conversions_not_above_orders": ("info", "marketing"),
    },
    "06_payment_integrity": {
        "pending_payment_settles": ("warning", "finance"), "order_has_charge": ("warning", "finance"),
        "charge_has_order": ("critical", "finance"), "sale_copies_agree": ("warning", "finance"),
        "paid_amount_is_usual": ("info", "finance"), "test_payment_grants_nothing": ("critical", "delivery"),
    },
    "07_payment_to_access": {
        "trial_gives_access": ("warning", "delivery"), "pending_payment_grants_nothing": ("warning", "delivery"),
        "dispute_suspends_access": ("warning", "finance"), "seats_within_quantity": ("warning", "delivery"),
    },
    "08_subscription_life": {
        "unpaid_access_is_suspended": ("warning", "finance"), "old_plan_access_removed": ("warning", "delivery"),
        "subscription_moves_on": ("warning", "finance"), "active_subscription_pays": ("warning", "finance"),
        "no_charge_after_access_ended": ("critical", "finance"),
        "refunded_subscription_is_ended": ("warning", "finance"), "subscription_copies_agree": ("warning", "data"),
        "deleted_person_not_billed": ("critical", "finance"),
    },
    "09_access_to_use": {
        "access_is_used": ("info", "delivery"), "no_use_after_access_ended": ("warning", "delivery"),
    },
    "10_follow_up": {
        "no_cart_mail_after_purchase": ("warning", "marketing"), "buyer_leaves_sales_sequence": ("info", "marketing"),
        "failed_payment_gets_mail": ("warning", "finance"), "bounced_buyer_is_reached": ("warning", "support"),
        "consents_agree": ("warning", "marketing"),
    },
    "11_team": {"sale_is_notified": ("info", "sales"), "dispute_is_notified": ("critical", "finance")},
    "12_support": {
        "ticket_gets_first_reply": ("info", "support"), "solved_access_ticket_has_access": ("warning", "support"),
        "solved_refund_ticket_has_refund": ("warning", "support"),
    },
    "13_voice": {
        "detractor_gets_follow_up": ("warning", "support"), "survey_answer_is_from_buyer": ("info", "data"),
    },
    "15_identity": {
        "person_not_overmerged": ("warning", "data"), "person_not_split": ("info", "data"),
        "keys_point_to_live_records": ("info", "data"), "one_account_per_platform": ("warning", "support"),
        "journey_times_in_order": ("info", "data"),
    },
    "16_source_health": {"rejected_rows_are_few": ("warning", "data")},
}  # fmt: skip
NAMES = [*CORE, *(name for of_file in OTHERS.values() for name in of_file)]
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

FOLDER = Path(catalogue.__file__).with_name("catalogue")
RULES = {rule.name: rule for rule in catalogue.load()}


def test_the_core_rules_stand_in_the_order_of_the_handoffs() -> None:
    assert [rule.name for rule in catalogue.load() if rule.core] == CORE


def test_each_file_has_the_rules_of_its_handoff_in_order() -> None:
    for file, rules in OTHERS.items():
        text = (FOLDER / f"{file}.yaml").read_text(encoding="utf-8")
        names = re.findall(r"^- name: (\w+)$", text, flags=re.MULTILINE)
        assert [name for name in names if name not in CORE] == list(rules)
    assert sorted(RULES) == sorted(NAMES)


def test_severities_and_owners_are_those_of_the_catalogue() -> None:
    core = [rule for rule in RULES.values() if rule.core]
    found = {s: {r.name for r in core if r.severity == s} for s in SEVERITIES}
    assert found == SEVERITIES
    others = {name: stated for rules in OTHERS.values() for name, stated in rules.items()}
    assert {name: (RULES[name].severity, RULES[name].owner) for name in others} == others
    owners = [rule.owner for rule in core]
    assert {owner: owners.count(owner) for owner in OWNERS} == OWNERS


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_is_well_formed_and_complete(name: str) -> None:
    rule = RULES[name]
    assert language.mistakes(rule, "catalogue", taken=()) == []
    assert rule.claim.endswith(".")
    assert rule.fix.endswith(".")
    assert rule.source
    assert rule.needs is not None
    assert rule.records or rule.evidence or rule.on == "tickets"


@pytest.mark.parametrize("name", NAMES)
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
