"""Rules about campaigns, pulses and figures: what their findings are about, and when they can't be judged."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

from journey_pipeline.invariants import catalogue
from journey_pipeline.invariants.evaluation import Evaluation, evaluate
from journey_pipeline_tests.invariants.worlds import AS_OF, SAYS, SETTINGS, health, instant, world

RULES = {rule.name: rule for rule in catalogue.load()}
CAMPAIGN = {"source": "meta", "campaign": "spring", "live_since_at": instant("d-9"), "clicks_3d": 90,
            "cost_3d_minor": 4200}  # fmt: skip
SILENT = {"platform": "stripe", "usual_per_day": 4.0, "longest_gap_days": 1.0, "silent_days": 5.0}
SALES = {"kind": "payments", "label": "bootcamp", "silent_minor": 99000}
LEADS = {"kind": "leads", "label": "webinar", "silent_minor": None}


def asked(
    name: str, says: Mapping[str, Sequence[tuple[str, str]]] = SAYS, sources: pl.DataFrame | None = None, **tables: Any
) -> Evaluation:
    return evaluate(world(sources, **tables), rules=[RULES[name]], settings=SETTINGS, says=says, as_of=AS_OF)


def test_a_campaign_is_the_subject_and_its_cost_stands_on_it() -> None:
    (found,) = asked("campaign_clicks_are_tracked", campaigns=[CAMPAIGN]).broken.to_dicts()
    assert found["subject"] == "campaign:meta:spring"
    assert (found["at_risk_minor"], found["at_risk_kind"], found["currency"]) == (4200, "leak", "USD")
    assert found["money_refs"] == [{"ref": "campaign:meta:spring", "amount_minor": 4200}]
    assert found["fix"] == (
        "Mend the tags of campaign spring at meta: the address of its page should name source and campaign as meta does."
    )


def test_a_pulse_is_unknown_only_where_its_own_kind_is_not_fresh() -> None:
    stale = health(stripe__charges={"status": "stale", "complete_until_at": instant("d-2")})
    judged = asked("arrivals_not_silent", sources=stale, pulses=[SILENT | SALES, SILENT | LEADS])
    verdicts = dict(judged.verdicts["pulses"].select("label", "arrivals_not_silent").rows())
    assert verdicts == {"bootcamp": "unknown", "webinar": "broken"}
    (found,) = judged.broken.to_dicts()
    assert (found["subject"], found["at_risk_minor"]) == ("pulse:leads:stripe:webinar", None)


def test_pulses_are_not_covered_where_nothing_that_arrives_is_told() -> None:
    bare = {kind: told for kind, told in SAYS.items() if kind not in ("leads", "payments", "bookings")}
    (day,) = asked("arrivals_not_silent", bare).invariant_days.to_dicts()
    assert (day["gate"], day["gate_reason"]) == ("not_covered", "no platform says leads or payments or bookings")


def test_a_figure_is_named_with_its_days() -> None:
    figure = {"report": "sheet", "metric": "orders", "starts_on": date(2026, 4, 1), "ends_on": date(2026, 4, 30),
              "ends_at": instant("d-14"), "claim": "exact", "kind": "payments", "value_reported": 20.0,
              "value_computed": 10.0, "difference": 10.0, "tolerance": 1.0, "ratio": 2.0}  # fmt: skip
    (found,) = asked("reported_figure_matches", reported_vs_actual=[figure]).broken.to_dicts()
    assert found["subject"] == "report:sheet:orders:2026-04-01:2026-04-30"
    assert found["cause"] == "copies_counted_twice"
    assert found["fix"].startswith("Correct orders from 2026-04-01 to 2026-04-30 in sheet")


def test_what_a_lead_is_worth_stands_on_the_person_however_many_rules_it_breaks() -> None:
    call = {"record_id": "b_1", "person_id": "ann", "starts_at": instant("d-9"), "is_primary": True, "expected_minor": 7700,
            "status": "completed"}  # fmt: skip
    (found,) = asked("met_implies_next_step", bookings=[call]).broken.to_dicts()
    assert found["money_refs"] == [{"ref": "person:ann", "amount_minor": 7700}]
