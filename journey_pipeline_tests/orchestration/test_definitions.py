"""What a Dagster user sees: keys, checks, groups, the schedule; each list is written by hand."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from journey_pipeline.orchestration import definitions
from journey_pipeline.orchestration.home import Home
from journey_pipeline.sandbox import business
from journey_pipeline.settings import load

DEMO = Path(business.__file__).with_name("demo.yaml")

RAW = {
    "raw_ads": ["clicks"],
    "raw_calendar": ["calls"],
    "raw_community": ["members"],
    "raw_hubspot": ["account", "contacts", "deals", "owners"],
    "raw_mailchimp": ["campaigns", "email_activity", "lists", "members", "sent_to", "transactional", "unsubscribes"],
    "raw_stripe": [
        "charges", "checkout_sessions", "customers", "disputes", "invoice_payments", "invoices", "refunds", "subscriptions",
    ],
    "raw_teachable": ["courses", "enrollments", "pricing_plans", "transactions", "user_details", "users"],
    "raw_typeform": ["forms", "responses"],
    "raw_zendesk": ["tickets", "users"],
}  # fmt: skip
KINDS = [
    "access", "agreements", "bookings", "consents", "contacts", "deals", "leads", "messages", "notifications", "payments",
    "reported", "spend", "subscriptions", "surveys", "tickets", "touchpoints",
]  # fmt: skip
BUILT = {
    "records": [*KINDS, "rejected_records", "source_health"],
    "identity": ["demoted_keys", "identity_changes", "person_keys"],
    "journeys": [*KINDS, "buyer_journeys", "journey_events", "people", "products"],
    "invariants": ["data_docs", "finding_days", "findings", "invariant_days"],
    "bi": [
        "broken_by_handoff", "buyer_journeys_readable", "currencies", "funnel", "money_at_risk_by_day",
        "money_at_risk_by_owner", "rejected_summary", "source_health", "time_between_steps", "worklist",
    ],
    "report": ["page"],
}  # fmt: skip
INVARIANTS = {
    "journeys/people": [
        "crm_customer_implies_paid", "lead_implies_crm_record", "one_crm_record_per_person", "paid_implies_crm_record",
        "unsubscribed_not_mailed",
    ],
    "journeys/buyer_journeys": [
        "access_implies_payment", "bundle_is_complete", "ended_subscription_ends_access", "one_live_subscription_per_offer",
        "paid_access_not_lost", "paid_implies_access", "paid_implies_welcome", "paid_implies_won", "refund_revokes_access",
    ],
    "journeys/payments": ["no_charge_after_end", "no_duplicate_charge", "payment_has_person"],
    "journeys/products": ["product_has_offer"],
    "journeys/tickets": ["access_ticket_of_payer_is_answered"],
    "records/source_health": ["source_is_fresh"],
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
    expected |= {(f"journeys/{name}", "shape") for name in BUILT["journeys"]}
    expected |= {(f"identity/{name}", "shape") for name in BUILT["identity"]}
    expected |= {(f"invariants/{name}", "shape") for name in ("finding_days", "findings", "invariant_days")}
    expected |= {("records/rejected_records", "shape"), ("records/source_health", "shape")}
    expected |= {
        ("invariants/data_docs", "every_table_has_its_shape"),
        ("invariants/invariant_days", "every_rule_was_judged"),
    }
    assert {(k.asset_key.to_user_string(), k.name) for k in graph.asset_check_keys} == expected


def test_every_asset_says_what_it_is(graph: Any) -> None:
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert node.group_name == key.path[0], key
        assert node.owners == ["team:data"], key
        assert node.kinds, key


def test_tables_have_their_columns_and_personal_ones_are_marked(graph: Any) -> None:
    schema = graph.get(dg.AssetKey(["journeys", "people"])).metadata["dagster/column_schema"]
    columns = (
        {c.name: c for c in schema.value.columns} if hasattr(schema, "value") else {c.name: c for c in schema.columns}
    )
    assert columns["email"].tags == {"personal": ""}
    assert columns["person_id"].tags == {}
    assert columns["lifetime_minor"].description == "Net payments in the business's currency."


def test_one_step_per_platform_and_one_per_room(tmp_path: Path) -> None:
    job = built(tmp_path).get_repository_def().get_job("daily")
    assert sorted(node.name for node in job.nodes) == [
        "check", "great_expectations", "identity", "ingest_ads", "ingest_calendar", "ingest_community", "ingest_hubspot",
        "ingest_mailchimp", "ingest_stripe", "ingest_teachable", "ingest_typeform", "ingest_zendesk", "invariants",
        "journeys", "publish", "records", "report__page",
    ]  # fmt: skip


def test_the_morning_run_is_in_the_business_time_zone(tmp_path: Path) -> None:
    (schedule,) = built(tmp_path).get_repository_def().schedule_defs
    assert (schedule.name, schedule.cron_schedule) == ("every_morning", "0 6 * * *")
    assert schedule.execution_timezone == "America/New_York"
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def test_definitions_load_without_what_only_a_step_needs(tmp_path: Path) -> None:
    """Great Expectations, dlt and the sandbox's server take seconds to import; looking at the graph needs none of them."""
    script = (
        "import sys, time; began = time.monotonic()\n"
        "from journey_pipeline.orchestration import definitions\n"
        "definitions.journey().get_repository_def()\n"
        "print(sorted({'great_expectations', 'dlt', 'uvicorn'} & set(sys.modules)), round(time.monotonic() - began, 1))"
    )
    environment = {"JOURNEY_SETTINGS": str(DEMO), "JOURNEY_HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, env=environment)
    assert done.stdout.startswith("[] "), done.stdout
    print("definitions loaded in", done.stdout.split()[-1], "s")  # noqa: T201  a figure to look at, not a promise
