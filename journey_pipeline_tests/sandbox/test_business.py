"""The sandbox's business: always the same, whole, in the past, and with faults of every kind. Its truth: test_truth.py."""

import hashlib
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from journey_pipeline.records.typed import typed
from journey_pipeline.registry import KINDS, NO_PERSON, record_schema, said_schema
from journey_pipeline.sandbox import business
from journey_pipeline.sandbox.business import generate, secrets, to_records, write_exports, write_settings
from journey_pipeline.sandbox.world import World, world_schema
from journey_pipeline.settings import load, sources
from journey_pipeline_tests.platforms.harness import pull_all

AS_OF = datetime(2026, 5, 15, 12, tzinfo=UTC)
DEMO = Path(business.__file__).parent / "demo.yaml"

NOBODYS = (*NO_PERSON, "notifications")  # a message to the team names a payment

# Agreed for later; every other instant has come.
MAY_LIE_AHEAD = {"period_ends_at", "trial_ends_at", "expires_at", "starts_at"}

CORE = {
    "lead_implies_crm_record",
    "one_crm_record_per_person",
    "paid_implies_won",
    "paid_implies_crm_record",
    "crm_customer_implies_paid",
    "payment_has_person",
    "product_has_offer",
    "no_duplicate_charge",
    "paid_implies_access",
    "access_implies_payment",
    "paid_access_not_lost",
    "bundle_is_complete",
    "refund_revokes_access",
    "ended_subscription_ends_access",
    "one_live_subscription_per_offer",
    "no_charge_after_end",
    "paid_implies_welcome",
    "unsubscribed_not_mailed",
    "access_ticket_of_payer_is_answered",
}  # fmt: skip  (source_is_fresh is about transport: nothing in the world can break it)
SALES = {
    "campaign_clicks_are_tracked", "campaign_brings_leads", "arrivals_not_silent", "crm_record_implies_lead",
    "lead_has_owner", "lead_gets_answer", "lead_source_kept_in_crm", "booking_implies_crm_record", "booking_copies_agree",
    "past_booking_has_outcome", "no_show_is_followed_up", "met_implies_next_step", "proposal_is_followed_up",
    "signed_implies_won", "won_implies_signed", "signed_implies_paid", "won_implies_paid", "agreed_amount_is_paid",
    "paid_implies_crm_customer", "reported_figure_matches", "analytics_ratio_is_steady", "ad_conversions_not_above_orders",
}  # fmt: skip
MONEY = {
    "pending_payment_settles", "order_has_charge", "charge_has_order", "sale_copies_agree", "paid_amount_is_usual",
    "test_payment_grants_nothing", "trial_gives_access", "pending_payment_grants_nothing", "dispute_suspends_access",
    "seats_within_quantity", "unpaid_access_is_suspended", "old_plan_access_removed", "subscription_moves_on",
    "active_subscription_pays", "no_charge_after_access_ended", "refunded_subscription_is_ended",
    "subscription_copies_agree", "deleted_person_not_billed", "access_is_used", "no_use_after_access_ended",
}  # fmt: skip
SERVICE = {
    "no_cart_mail_after_purchase", "buyer_leaves_sales_sequence", "failed_payment_gets_mail", "bounced_buyer_is_reached",
    "consents_agree", "sale_is_notified", "dispute_is_notified", "ticket_gets_first_reply",
    "solved_access_ticket_has_access", "solved_refund_ticket_has_refund", "detractor_gets_follow_up",
    "survey_answer_is_from_buyer", "person_not_overmerged", "person_not_split", "keys_point_to_live_records",
    "one_account_per_platform", "journey_times_in_order", "rejected_rows_are_few",
}  # fmt: skip

WHO_SAYS_WHAT = {
    "touchpoints": {"posthog"}, "leads": {"typeform"}, "contacts": {"hubspot"}, "deals": {"hubspot"},
    "bookings": {"calendly", "team_calendar"}, "payments": {"stripe", "woocommerce"}, "subscriptions": {"stripe", "app"},
    "access": {"teachable", "community"}, "messages": {"mailchimp", "twilio"}, "consents": {"mailchimp", "webinars"},
    "tickets": {"zendesk"}, "agreements": {"pandadoc"}, "surveys": {"typeform", "app"}, "notifications": {"slack"},
    "spend": {"meta_ads", "google_costs"}, "reported": {"board"},
}  # fmt: skip


@pytest.fixture(scope="module")
def world() -> World:
    return generate(1_000, 7, AS_OF)


def digest(world: World) -> str:
    """Of every byte of every record and truth."""
    found = hashlib.sha256()
    for name, frame in sorted({**world.records, **world.truth}.items()):
        found.update(name.encode() + frame.write_ndjson().encode())
    return found.hexdigest()


def test_the_same_arguments_give_the_same_bytes_in_another_process(world: World) -> None:
    script = (
        "from datetime import *; from journey_pipeline.sandbox.business import generate;"
        "from journey_pipeline_tests.sandbox.test_business import digest;"
        "print(digest(generate(1_000, 7, datetime(2026, 5, 15, 12, tzinfo=UTC))))"
    )
    again = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    assert again == digest(world)
    assert digest(generate(1_000, 8, AS_OF)) != again
    assert digest(generate(1_000, 7, AS_OF + timedelta(seconds=1))) != again


def test_every_platform_says_its_kinds_in_the_worlds_columns(world: World) -> None:
    assert {kind: set(frame["platform"]) for kind, frame in world.records.items()} == WHO_SAYS_WHAT
    for kind, frame in world.records.items():
        assert frame.schema == world_schema(kind), kind


def test_values_are_those_that_the_registry_allows(world: World) -> None:
    for kind, frame in world.records.items():
        for name in said_schema(kind):
            if allowed := KINDS[kind].column(name).allowed:
                assert set(frame[name].drop_nulls()) <= set(allowed), (kind, name)


@settings(max_examples=15, deadline=None, phases=(Phase.explicit, Phase.generate))  # a shrunk world tells no more
@given(
    people=st.integers(1, 700),
    seed=st.integers(0, 10**6),
    as_of=st.datetimes(datetime(2024, 1, 1), datetime(2031, 1, 1), timezones=st.just(timezone(timedelta(hours=-5)))),  # noqa: DTZ001 - hypothesis wants naive bounds
)
def test_ids_are_unique_and_nothing_lies_ahead(people: int, seed: int, as_of: datetime) -> None:
    made = generate(people, seed, as_of)
    assert made.now == as_of
    for kind, frame in made.records.items():
        assert not frame.select("platform", "record_id").is_duplicated().any(), kind
        assert frame.select(pl.col("record_id", "occurred_at", "changed_at").null_count()).row(0) == (0,) * 3
        assert frame["who"].null_count() == (frame.height if kind in NOBODYS else 0)
        for name, dtype in frame.schema.items():
            if not isinstance(dtype, pl.Datetime):
                continue
            assert (frame[name].drop_nulls().dt.microsecond() == 0).all(), (kind, name)
            if name not in MAY_LIE_AHEAD:
                assert (frame[name].drop_nulls() <= made.now).all(), (kind, name)


def test_every_core_invariant_has_faults_and_look_alikes(world: World) -> None:
    # A campaign, a form, a figure, an export is one subject, however many people it has to do with.
    is_single = pl.col("subject_kind").is_in(["campaign", "pulse:leads", "report", "source"])
    faults = world.truth["faults"].filter(~is_single).group_by("invariant").len()
    single = set(world.truth["faults"].filter(is_single)["invariant"])
    assert {*faults["invariant"], *single} >= CORE | SALES | MONEY | SERVICE
    assert (faults["len"] >= 2).all()
    assert set(world.truth["look_alikes"]["invariant"]) >= CORE | SALES | MONEY | SERVICE


def test_a_label_names_a_record_of_its_person(world: World) -> None:
    labels = pl.concat([world.truth["faults"], world.truth["look_alikes"]], how="diagonal")
    kinds = {"person", "journey", "payments", "subscriptions", "access", "product", "tickets"}
    nobodys = {"product", "campaign", "pulse:leads", "report", "source"}
    assert set(labels["subject_kind"]) >= kinds | nobodys
    on_people = labels.filter(~pl.col("subject_kind").is_in(list(nobodys)))
    assert on_people.join(world.truth["people"], on=["platform", "record_id", "who"], how="anti").is_empty()
    assert (on_people.filter(pl.col("subject_kind") == "journey")["offer_id"].null_count()) == 0
    products = labels.filter(pl.col("subject_kind") == "product")
    seen = {*world.records["payments"]["product_ref"], *world.records["access"]["product_ref"]}
    assert set(products["record_id"]) <= seen
    assert products["record_id"].n_unique() == products.height


def test_truth_says_whose_every_record_is(world: World) -> None:
    whole = sum(frame.height for kind, frame in world.records.items() if kind not in NOBODYS)
    assert world.truth["people"].height == whole
    assert world.truth["people"]["who"].n_unique() == 1_000


def test_fault_and_look_alike_are_never_the_same_subject(world: World) -> None:
    subject = ["invariant", "platform", "record_id"]
    both = world.truth["faults"].join(world.truth["look_alikes"], on=subject, how="semi")
    assert both.is_empty()


def test_a_village_has_no_faults_and_nobody_has_no_business() -> None:
    village = generate(30, 1, AS_OF)
    assert village.truth["faults"].is_empty()
    assert village.truth["people"]["who"].n_unique() == 30
    with pytest.raises(ValueError, match="got 0"):
        generate(0, 1, AS_OF)
    with pytest.raises(ValueError, match="time zone"):
        generate(30, 1, AS_OF.replace(tzinfo=None))


def test_faults_grow_with_the_people(capsys: pytest.CaptureFixture[str]) -> None:
    began = time.perf_counter()
    big = generate(100_000, 1, AS_OF)
    with capsys.disabled():
        count = sum(frame.height for frame in big.records.values())
        print(f"\n100,000 people, {count:,} records: {time.perf_counter() - began:.1f} s")  # noqa: T201 - asked for
    for kind, frame in big.records.items():  # a town so large has namesakes at one firm, and still no two with one id
        assert frame.select("platform", "record_id").is_unique().all(), kind
    per_invariant = dict(big.truth["faults"].group_by("invariant").len().iter_rows())
    assert per_invariant["paid_implies_won"] == 60
    assert per_invariant["product_has_offer"] == 3


def test_records_come_as_if_loaded_once(world: World) -> None:
    made = {kind: frame.collect() for kind, frame in to_records(world).items()}
    assert set(made) == set(KINDS)
    for kind, frame in made.items():
        assert frame.schema == record_schema(kind), kind
        assert set(frame["loaded_at"]) <= {AS_OF}
    assert made["payments"].height == world.records["payments"].height
    contacts = made["contacts"]
    assert set(contacts.filter(pl.col("customer_since_at").is_not_null())["lifecycle_stage"]) == {"customer"}
    assert contacts.filter(pl.col("lifecycle_stage") == "customer")["customer_since_at"].null_count() == 0
    ended = made["subscriptions"].filter(pl.col("ended_loaded_at").is_not_null())
    assert set(ended["status"]) == {"ended"}


def test_the_demos_settings_read_the_exports_back(world: World, tmp_path: Path) -> None:
    write_exports(world, tmp_path)
    read = 0
    for source in sources(load(write_settings(tmp_path)), tmp_path):
        if source.name not in ("community", "google_costs", "team_calendar", "webinars", "app"):
            continue
        raw, _ = pull_all(source.platform, source.options, secrets(tmp_path), AS_OF)
        for kind, said in source.platform.read({name: f.lazy() for name, f in raw.items()}, source.options).items():
            told = typed(kind, said, source.name).collect()
            record, refused = told.filter(pl.col("reason").is_null()), told.filter(pl.col("reason").is_not_null())
            assert refused.is_empty() == (source.name not in ("webinars", "community"))
            assert set(refused["reason"]) <= {"unreadable occurred_at"}
            held = world.of(kind, source.name).select(said_schema(kind).names())
            assert_frame_equal(record.select(held.columns), held, check_row_order=False)
            read += 1
    assert read == 6


def test_the_demos_settings_sell_what_the_sandbox_sells() -> None:
    offers = {offer.id: offer for offer in load(DEMO).offers}
    assert set(offers) == {"bootcamp", "membership", "ebook", "bundle", "cohort", "basic", "workbook", "coaching"}
    assert offers["membership"].bought_as == (
        "stripe:price_member", "stripe:price_member_eur", "stripe:price_lifetime_6x", "stripe:price_lifetime_6x_eur",
    )  # fmt: skip
    assert offers["bundle"].grants == ("teachable:1003", "teachable:1004")
    assert offers["coaching"].grants == ()
    assert offers["cohort"].opens_on == date(2030, 1, 7)

    sold = generate(5_000, 3, AS_OF).records
    mapped = {ref for offer in offers.values() for ref in offer.bought_as}
    assert set(sold["payments"]["product_ref"]) - mapped == {
        "stripe:price_flash_sale", "stripe:price_webinar_pass", "stripe:price_swag", "stripe:price_2019",
    }  # fmt: skip
    granted = {ref for offer in offers.values() for ref in offer.grants}
    assert set(sold["access"]["product_ref"]) - granted == {"community:space_9"}
    assert granted - set(sold["access"]["product_ref"]) == {"teachable:1005", "community:space_7"}  # not open yet
    welcomes = {ref for offer in offers.values() for ref in offer.welcome}
    sent = sold["messages"].filter(pl.col("purpose") == "welcome")["template_ref"]
    assert set(sent) == welcomes
