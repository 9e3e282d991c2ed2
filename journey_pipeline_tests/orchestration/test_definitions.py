"""What a Dagster user sees: keys, checks, groups, the schedule; each list is written by hand."""

import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from journey_pipeline.invariants import shape
from journey_pipeline.orchestration import definitions
from journey_pipeline.orchestration.home import Home
from journey_pipeline.registry import TABLES as REGISTRY
from journey_pipeline.sandbox import business
from journey_pipeline.settings import load

DEMO = Path(business.__file__).with_name("demo.yaml")

RAW = {
    "raw_app": ["feedback", "memberships", "students"],
    "raw_board": ["figures"],
    "raw_calendly": ["invitees"],
    "raw_community": ["members"],
    "raw_google_costs": ["costs"],
    "raw_hubspot": ["account", "contacts", "deals", "forms", "owners", "submissions"],
    "raw_mailchimp": ["campaigns", "email_activity", "lists", "members", "sent_to", "transactional", "unsubscribes"],
    "raw_meta_ads": ["insights", "leads"],
    "raw_pandadoc": ["deleted", "documents"],
    "raw_posthog": ["identities", "visits"],
    "raw_slack": ["messages"],
    "raw_stripe": [
        "charges", "checkout_sessions", "customers", "disputes", "invoice_payments", "invoices", "refunds", "subscriptions",
    ],
    "raw_team_calendar": ["meetings"],
    "raw_teachable": ["courses", "enrollments", "pricing_plans", "transactions", "user_details", "users"],
    "raw_twilio": ["messages"],
    "raw_typeform": ["forms", "responses"],
    "raw_webinars": ["optins"],
    "raw_woocommerce": ["orders", "subscriptions"],
    "raw_zendesk": ["tickets", "users"],
}  # fmt: skip
KINDS = [
    "access", "agreements", "bookings", "consents", "contacts", "deals", "leads", "messages", "notifications", "payments",
    "reported", "spend", "subscriptions", "surveys", "tickets", "touchpoints",
]  # fmt: skip
BUILT = {
    "records": [*KINDS, "rejected_records", "source_health"],
    "identity": ["demoted_keys", "identity_changes", "identity_health", "identity_suggestions", "person_keys"],
    "journeys": [
        *KINDS, "buyer_journeys", "campaigns", "contact_keys", "journey_events", "people", "products", "pulses",
        "reported_vs_actual",
    ],
    "invariants": ["data_docs", "finding_days", "findings", "incident_days", "incidents", "invariant_days", "repairs"],
    "bi": [
        "broken_by_handoff", "buyer_journeys_readable", "buyers_at_risk_of_churn", "currencies", "funnel",
        "funnel_by_week", "incidents", "money_at_risk_by_day", "money_at_risk_by_day_and_owner",
        "money_at_risk_by_owner", "rejected_summary", "reported_vs_actual", "source_health", "time_between_steps",
        "worklist",
    ],
    "report": ["page"],
}  # fmt: skip
INVARIANTS = {
    "journeys/campaigns": ["campaign_brings_leads", "campaign_clicks_are_tracked"],
    "journeys/pulses": ["arrivals_not_silent"],
    "journeys/contacts": ["crm_record_implies_lead"],
    "journeys/bookings": [
        "booking_copies_agree", "met_implies_next_step", "no_show_is_followed_up", "past_booking_has_outcome",
    ],
    "journeys/agreements": ["proposal_is_followed_up"],
    "journeys/reported_vs_actual": [
        "ad_conversions_not_above_orders", "analytics_ratio_is_steady", "reported_figure_matches",
    ],
    "journeys/people": [
        "booking_implies_crm_record", "lead_gets_answer", "lead_has_owner", "lead_source_kept_in_crm",
        "paid_implies_crm_customer",
        "deleted_person_not_billed",
        "bounced_buyer_is_reached", "consents_agree", "one_account_per_platform", "person_not_overmerged",
        "person_not_split",
        "crm_customer_implies_paid", "lead_implies_crm_record", "one_crm_record_per_person", "paid_implies_crm_record",
        "unsubscribed_not_mailed",
    ],
    "journeys/buyer_journeys": [
        "agreed_amount_is_paid", "signed_implies_paid", "signed_implies_won", "won_implies_paid", "won_implies_signed",
        "buyer_leaves_sales_sequence", "journey_times_in_order", "no_cart_mail_after_purchase",
        "access_is_used", "dispute_suspends_access", "old_plan_access_removed", "pending_payment_grants_nothing",
        "test_payment_grants_nothing", "trial_gives_access", "unpaid_access_is_suspended",
        "access_implies_payment", "bundle_is_complete", "ended_subscription_ends_access", "one_live_subscription_per_offer",
        "paid_access_not_lost", "paid_implies_access", "paid_implies_welcome", "paid_implies_won", "refund_revokes_access",
    ],
    "journeys/payments": [
        "no_charge_after_end", "no_duplicate_charge", "payment_has_person",
        "charge_has_order", "no_charge_after_access_ended", "order_has_charge", "paid_amount_is_usual",
        "pending_payment_settles", "sale_copies_agree",
        "dispute_is_notified", "failed_payment_gets_mail", "sale_is_notified",
    ],
    "journeys/subscriptions": [
        "active_subscription_pays", "refunded_subscription_is_ended", "seats_within_quantity",
        "subscription_copies_agree", "subscription_moves_on",
    ],
    "journeys/access": ["no_use_after_access_ended"],
    "journeys/surveys": ["detractor_gets_follow_up", "survey_answer_is_from_buyer"],
    "journeys/contact_keys": ["keys_point_to_live_records"],
    "journeys/products": ["product_has_offer"],
    "journeys/tickets": [
        "access_ticket_of_payer_is_answered", "solved_access_ticket_has_access", "solved_refund_ticket_has_refund",
        "ticket_gets_first_reply",
    ],
    "records/source_health": ["rejected_rows_are_few", "source_is_fresh"],
}  # fmt: skip


TABLES = {name for room in ("journeys", "identity", "invariants") for name in BUILT[room]} - {"data_docs"} | {
    "rejected_records", "source_health",
}  # fmt: skip
CONTRACT_OF_PERSON_KEYS = {
    "shape_columns", "shape_key_not_null", "shape_kind_not_null", "shape_platform_not_null", "shape_record_id_not_null",
    "shape_key_unique", "shape_how_allowed", "shape_confidence_range", "shape_rows",
}  # fmt: skip


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return built(tmp_path_factory.mktemp("home")).resolve_asset_graph()


def built(home: Path) -> dg.Definitions:
    return definitions.build(load(DEMO), DEMO.parent, Home(home))


def test_every_asset_key_is_known(graph: Any) -> None:
    expected = {f"{room}/{name}" for room, names in {**RAW, **BUILT}.items() for name in names}
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == expected


def test_every_check_is_known(graph: Any) -> None:
    expected = {(table, name) for table, names in INVARIANTS.items() for name in names}
    expected |= {(f"{room}/{name}", "is_loaded") for room, names in RAW.items() for name in names}
    expected |= {
        ("invariants/data_docs", "every_table_has_its_shape"),
        ("invariants/invariant_days", "every_rule_was_judged"),
        ("invariants/invariant_days", "verdicts_are_known"),
    }
    found = {(k.asset_key.to_user_string(), k.name) for k in graph.asset_check_keys}
    contract = {(table, name) for table, name in found if name.startswith("shape_")}
    assert found - contract == expected
    assert {name for table, name in contract if table == "identity/person_keys"} == CONTRACT_OF_PERSON_KEYS
    assert {table.split("/")[1] for table, _ in contract} == TABLES
    assert len(contract) == sum(len(shape.rules(REGISTRY[table])) for table in TABLES) > 600


def test_every_asset_says_what_it_is(graph: Any) -> None:
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert re.search(r"\*\*One (row|page):\*\* \S+|^The page", node.description), key
        assert node.group_name == key.path[0], key
        assert node.owners == ["data@northwind.example"], key
        assert node.kinds, key


def test_a_description_says_what_it_is_for_and_what_a_row_is(graph: Any) -> None:
    def description(*key: str) -> str:
        return str(graph.get(dg.AssetKey(key)).description)

    assert description("journeys", "payments") == (
        "Money asked for, received and given back, whichever platform tells of it.\n\n**One row:** a charge or paid order."
        "\n\n**Key:** `platform`, `record_id`"
    )
    assert description("bi", "worklist") == (
        "What is broken now, for whom, what is at risk, who owns it, and what is to be done next?\n\n**One row:** open finding."
    )
    assert description("raw_stripe", "charges").startswith("Stripe: charges, word for word as the platform said it.")


def test_owners_are_those_of_the_settings_else_the_team(tmp_path: Path) -> None:
    settings = load(DEMO).model_copy(update={"owners": {}})
    found = definitions.build(settings, DEMO.parent, Home(tmp_path)).resolve_asset_graph()
    assert {tuple(found.get(key).owners) for key in found.get_all_asset_keys()} == {("team:data",)}


def test_the_story_goes_from_left_to_right(graph: Any) -> None:
    def groups(room: str) -> set[str]:
        keys = [dg.AssetKey([room, name]) for name in {**RAW, **BUILT}[room]]
        parents = {parent.path[0] for key in keys for parent in graph.get(key).parent_keys}
        return {"raw" if name.startswith("raw_") else name for name in parents} - {room}

    assert groups("raw_stripe") == set()
    assert groups("records") == {"raw"}
    assert groups("identity") == {"records"}
    assert groups("journeys") == {"records", "identity"}
    assert groups("invariants") == {"records", "identity", "journeys"}
    assert groups("bi") == {"records", "journeys", "invariants"}
    assert groups("report") == {"records", "identity", "journeys", "invariants"}


def test_records_stand_on_the_platforms_that_tell_of_them(graph: Any) -> None:
    def inputs(kind: str) -> set[str]:
        return {key.path[0] for key in graph.get(dg.AssetKey(["records", kind])).parent_keys}

    assert inputs("payments") == {"raw_calendly", "raw_stripe", "raw_teachable", "raw_woocommerce"}
    assert inputs("tickets") == {"raw_zendesk"}
    assert inputs("source_health") == set(RAW)


def test_each_source_says_how_old_it_may_grow(graph: Any) -> None:
    def limit(*key: str) -> float:
        return float(graph.get(dg.AssetKey(key)).freshness_policy.fail_window.to_timedelta() / timedelta(hours=1))

    assert limit("raw_zendesk", "tickets") == 26
    assert all(graph.get(dg.AssetKey([room, name])).freshness_policy for room, names in RAW.items() for name in names)
    assert graph.get(dg.AssetKey(["records", "payments"])).freshness_policy is None


def test_a_view_stands_on_the_tables_that_it_reads_and_on_no_others(graph: Any) -> None:
    def inputs(view: str) -> set[str]:
        return {key.to_user_string() for key in graph.get(dg.AssetKey(["bi", view])).parent_keys}

    assert inputs("funnel_by_week") == {"invariants/data_docs", "journeys/buyer_journeys"}
    assert inputs("funnel") == {"bi/funnel_by_week", "invariants/data_docs"}
    assert inputs("worklist") == {"bi/currencies", "invariants/data_docs", "invariants/findings", "journeys/people"}
    assert inputs("money_at_risk_by_day") == {"bi/currencies", "invariants/data_docs", "invariants/finding_days"}
    assert inputs("currencies") == {"invariants/data_docs"}


def test_tables_have_their_columns_and_personal_ones_are_marked(graph: Any) -> None:
    schema = graph.get(dg.AssetKey(["journeys", "people"])).metadata["dagster/column_schema"]
    columns = (
        {c.name: c for c in schema.value.columns} if hasattr(schema, "value") else {c.name: c for c in schema.columns}
    )
    assert columns["email"].tags == {"personal": ""}
    assert columns["person_id"].tags == {}
    assert not columns["person_id"].constraints.nullable
    assert columns["email"].constraints.nullable
    assert columns["lifecycle"].constraints.other == ["one of: prospect, lead, buyer, customer, user, churned"]
    assert columns["first_seen_at"].type == "Datetime (UTC)"
    assert columns["lifetime_minor"].description == "Net payments in the business's currency."


def test_one_step_per_platform_and_one_per_room(tmp_path: Path) -> None:
    job = built(tmp_path).get_repository_def().get_job("daily")
    assert sorted(node.name for node in job.nodes) == [
        "check", "great_expectations", "identity", "ingest_app", "ingest_board", "ingest_calendly", "ingest_community",
        "ingest_google_costs", "ingest_hubspot", "ingest_mailchimp", "ingest_meta_ads", "ingest_pandadoc",
        "ingest_posthog", "ingest_slack", "ingest_stripe", "ingest_teachable", "ingest_team_calendar", "ingest_twilio", "ingest_typeform",
        "ingest_webinars", "ingest_woocommerce", "ingest_zendesk", "invariants", "journeys", "publish", "records", "report__page",
    ]  # fmt: skip


def test_the_schedules_are_in_the_business_time_zone(tmp_path: Path) -> None:
    found = {schedule.name: schedule for schedule in built(tmp_path).get_repository_def().schedule_defs}
    told = {name: (s.job_name, s.cron_schedule, s.default_status.value) for name, s in found.items()}
    assert told == {
        "every_morning": ("daily", "0 6 * * *", "RUNNING"),
        "every_hour": ("light", "0 * * * *", "STOPPED"),
    }
    assert {schedule.execution_timezone for schedule in found.values()} == {"America/New_York"}


def test_the_jobs_are_known(tmp_path: Path) -> None:
    jobs = built(tmp_path).get_repository_def().get_all_jobs()
    named = {job.name for job in jobs if not job.name.startswith("__")}
    assert named == {"daily", "judge_again", "light", "past_days"}
    assert all(job.description for job in jobs if job.name in named)


def test_a_platform_is_a_pool_of_its_own(tmp_path: Path) -> None:
    assets = [a for a in built(tmp_path).assets or () if isinstance(a, dg.AssetsDefinition)]
    pools = {a.op.name: a.op.pool for a in assets if a.op.pool}
    assert pools["ingest_stripe"] == "platform_stripe"
    assert set(pools) == {f"ingest_{room.removeprefix('raw_')}" for room in RAW}


def test_people_are_told_only_where_settings_name_somebody(tmp_path: Path) -> None:
    silent = built(tmp_path).get_repository_def().sensor_defs
    assert {sensor.name: sensor.default_status.value for sensor in silent} == dict.fromkeys(
        ["tell_owners", "tell_of_failed_runs", "tell_of_stale_sources"], "STOPPED"
    )
    settings = load(DEMO).model_copy(update={"notify": {"*": ("OPS_URL",)}})
    told = definitions.build(settings, DEMO.parent, Home(tmp_path)).get_repository_def().sensor_defs
    assert {sensor.default_status.value for sensor in told} == {"RUNNING"}


def test_a_users_own_expectations_are_a_check_of_their_table(tmp_path: Path) -> None:
    (tmp_path / "expectations").mkdir()
    (tmp_path / "expectations" / "payments.json").write_text(
        '[{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "email"}}]'
    )
    settings = load(business.write_settings(tmp_path))
    graph = definitions.build(settings, tmp_path, Home(tmp_path)).resolve_asset_graph()
    own = [k.asset_key.to_user_string() for k in graph.asset_check_keys if k.name == "own"]
    assert own == ["journeys/payments"]


def test_definitions_load_without_what_only_a_step_needs(tmp_path: Path) -> None:
    """Great Expectations, dlt and the sandbox's server take seconds to import; looking at the graph needs none of them."""
    script = (
        "import sys, time; began = time.monotonic()\n"
        "from journey_pipeline.orchestration import definitions\n"
        "definitions.journey().get_repository_def()\n"
        "print(sorted({'great_expectations', 'dlt', 'uvicorn', 'apprise', 'sqlglot'} & set(sys.modules)), round(time.monotonic() - began, 1))"
    )
    environment = {"JOURNEY_SETTINGS": str(DEMO), "JOURNEY_HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, env=environment)
    assert done.stdout.startswith("[] "), done.stdout
    print("definitions loaded in", done.stdout.split()[-1], "s")  # noqa: T201  a figure to look at, not a promise


def test_dagster_finds_nothing_wrong(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "dagster",
        "definitions",
        "validate",
        "-m",
        "journey_pipeline.orchestration.definitions",
    ]
    folder = tmp_path / "dagster"
    folder.mkdir()
    (folder / "dagster.yaml").write_text((Path(__file__).parents[2] / "dagster.yaml").read_text())
    here = {**os.environ, "JOURNEY_SETTINGS": str(DEMO), "JOURNEY_HOME": str(tmp_path), "DAGSTER_HOME": str(folder)}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=here, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All code locations passed validation" in done.stdout + done.stderr
