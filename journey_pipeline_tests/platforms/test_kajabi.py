"""Kajabi: what every platform must do, refunds that name no charge, and submissions that have no time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journey_pipeline.platforms.kajabi import PLATFORM, Options
from journey_pipeline.sandbox.fakes.kajabi import SECRETS
from journey_pipeline.sandbox.server import serve
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, Frames, make_world, pull_all, raw_frame, read_all, said_all
from journey_pipeline_tests.platforms.openapi import Contract, contract, recorded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def purchase(record_id: str, customer: int, offer: int = 12, **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "occurred_at": NOW - 9 * DAY,
        "email": f"user{customer}@example.com",
        "keys": [f"kajabi:{customer}"],
        "grant": "course",
        "product_ref": f"kajabi:offer_{offer}",
        "status": "active",
        **more,
    }


def charge(record_id: str, customer: int, offer: int = 12, **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "occurred_at": NOW - DAY,
        "email": f"user{customer}@example.com",
        "keys": [f"kajabi:{customer}"],
        "role": "shop",
        "status": "succeeded",
        "amount_minor": 49900,
        "currency": "USD",
        "product_ref": f"kajabi:offer_{offer}",
        "refunded_minor": 0,
        **more,
    }


def lead(record_id: str, occurred_at: datetime = NOW - 3 * DAY, form: str = "Webinar", **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "occurred_at": occurred_at,
        "email": f"lead{record_id}@example.com",
        "form": form,
        **more,
    }


WHO: dict[str, Any] = {
    "email": "Ann.Lee@Example.com",
    "name": "Ann Lee",
    "phone": "+12125550101",
    "keys": ["kajabi:5001", "app:42"],
}
ANN = purchase("1", 5001, **WHO, basis="paid", last_used_at=NOW - HOUR)
ANN_TOO = purchase("2", 5001, offer=13, **WHO, basis="comp", last_used_at=NOW - HOUR)
BOB = purchase("3", 5002, status="revoked", revoked_at=NOW - DAY)
ANN_PAID = charge("101", 5001, **WHO)
BOB_PAID = charge("102", 5002, refunded_minor=900, refunded_at=NOW - 2 * HOUR, currency="EUR")
CYD_PAID = charge("103", 5003, offer=14, disputed_at=NOW - HOUR, dispute_status="open")
TESTED = charge("104", 5004, is_test=True, status="pending")
ASKED = lead("201", name="Eve", phone="+12125550102", keys=["hubspot:7"])
ANN_ASKED = lead("202", NOW - 12 * DAY, "Syllabus", email="ann.lee@example.com", name="Ann Lee")


def described() -> Contract:
    return contract("kajabi", "kajabi-public-api-openapi.yml", base="/kajabi")


class TestKajabi(Conformance):
    case = Case(
        "kajabi",
        now={
            "access": [ANN, ANN_TOO, BOB],
            "payments": [ANN_PAID, BOB_PAID, CYD_PAID, TESTED],
            "leads": [ASKED, ANN_ASKED],
        },
        later={
            "access": [{**ANN, "status": "revoked", "revoked_at": NOW + HOUR, "changed_at": NOW + HOUR}, BOB],
            "payments": [
                {**ANN_PAID, "refunded_minor": 49900, "refunded_at": NOW + HOUR, "changed_at": NOW + HOUR},
                BOB_PAID,
                CYD_PAID,
                TESTED,
                charge("105", 5002, occurred_at=NOW + HOUR),
            ],
            "leads": [ANN_ASKED, lead("203", NOW + HOUR)],
        },
        many=lambda count: {"access": [purchase(str(1 + n), 1 + n) for n in range(count)]},
        counted="access",
        page_sizes=("PAGE",),
        described=described,
    )


def said_of(kind: str, options: Options | None = None, **raw: list[dict[str, Any]]) -> list[dict[str, Any]]:
    frames: Frames = {name: raw_frame(rows, name, NOW) for name, rows in raw.items()}
    return read_all(PLATFORM, frames, options or Options())[kind].to_dicts()


def moved(
    id_: str, minor: int, at: str, action: str | None = "charge", bought: tuple[str, ...] = ("7",), **more: Any
) -> dict[str, Any]:
    told = {
        "action": action, "state": "succeeded", "amount_in_cents": minor, "sales_tax_in_cents": 80, "currency": "usd",
        "created_at": f"2026-05-{at}:00:00.000Z", **more,
    }  # fmt: skip
    related = {
        "customer": {"data": {"id": "5", "type": "customers"}},
        "offer": {"data": None},
        "purchases": {"data": [{"id": one, "type": "purchases"} for one in bought]},
    }
    return {"id": id_, "type": "transactions", "attributes": told, "relationships": related}


def test_a_refund_counts_for_the_latest_charge_before_it_of_the_same_purchase() -> None:
    said = said_of(
        "payments",
        transactions=[
            moved("1", 4900, "01T09"), moved("2", 4900, "03T09", "subscription_charge"), moved("3", 4900, "09T09"),
            moved("4", 4900, "04T09", bought=("8",)), moved("5", -900, "05T09", "refund"),
            moved("6", -1000, "06T09", "refund"), moved("7", -4900, "07T09", "dispute", bought=("8",)),
        ],
    )  # fmt: skip
    assert [(s["record_id"], s["refunded_minor"], s["refunded_at"], s["disputed_at"]) for s in said] == [
        ("1", 0, None, None),
        ("2", 1900, datetime(2026, 5, 6, 9, tzinfo=UTC), None),
        ("3", 0, None, None),
        ("4", 0, None, datetime(2026, 5, 7, 9, tzinfo=UTC)),
    ]


def test_a_bundle_is_refunded_once_and_one_without_purchases_by_its_customer() -> None:
    bundle = said_of(
        "payments",
        transactions=[
            moved("1", 9900, "01T09", bought=("7", "8")), moved("2", -9900, "02T09", "refund", bought=("7", "8")),
        ],
    )  # fmt: skip
    bare = said_of(
        "payments", transactions=[moved("1", 9900, "01T09", bought=()), moved("2", -1, "02T09", "refund", bought=())]
    )
    assert [(s["record_id"], s["refunded_minor"]) for s in (*bundle, *bare)] == [("1", 9900), ("1", 1)]


def test_a_refund_before_any_charge_is_nobodys() -> None:
    (said,) = said_of("payments", transactions=[moved("1", -9900, "01T09", "refund"), moved("2", 9900, "02T09")])
    assert (said["record_id"], said["refunded_minor"]) == ("2", 0)


@pytest.mark.parametrize(("options", "minor"), [(Options(), 4900), (Options(tax_is_extra=True), 4980)])
def test_sales_tax(options: Options, minor: int) -> None:
    (said,) = said_of("payments", options, transactions=[moved("1", 4900, "01T09")])
    assert (said["amount_minor"], said["currency"], said["role"]) == (minor, "USD", "shop")


def test_a_site_paid_through_kajabi_payments_is_told_by_the_processor() -> None:
    (said,) = said_of("payments", Options(kajabi_payments=True), transactions=[moved("1", 4900, "01T09")])
    assert said["role"] == "processor"


def test_the_offer_comes_from_the_purchase_and_the_deprecated_relationship_only_where_there_is_none() -> None:
    of = {"offer": {"data": {"id": "12", "type": "offers"}}, "customer": {"data": {"id": "5"}}}
    bought = {"id": "7", "type": "purchases", "attributes": {}, "relationships": of}
    deprecated = moved("2", 1, "01T09", bought=())
    deprecated["relationships"]["offer"] = {"data": {"id": "13", "type": "offers"}}
    said = said_of("payments", purchases=[bought], transactions=[moved("1", 1, "01T09"), deprecated])
    assert [s["product_ref"] for s in said] == ["kajabi:offer_12", "kajabi:offer_13"]


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        (None, ("active", None, None)),
        ("2026-05-15T12:00:00.000Z", ("revoked", NOW, None)),
        ("2026-05-16T12:00:00.000Z", ("active", None, NOW + DAY)),
    ],
)
def test_a_purchase_is_held_until_it_is_deactivated(ends: str | None, told: tuple[Any, ...]) -> None:
    (said,) = said_of("access", purchases=[{"id": "7", "attributes": {"deactivated_at": ends}, "relationships": {}}])
    assert (said["status"], said["revoked_at"], said["expires_at"]) == told


def test_an_action_that_nobody_knows_is_rejected_and_not_lost() -> None:
    rows = [moved("1", 100, "01T09", "gift_card"), moved("2", 100, "01T09", action=None), moved("3", 100, "01T09")]
    said = said_all(PLATFORM, {"transactions": raw_frame(rows, "transactions", NOW)}, Options())["payments"]
    assert said.sort("record_id")["_reject"].to_list() == [
        "unknown action 'gift_card'", "unknown action 'none'", None,
    ]  # fmt: skip


@settings(deadline=None, max_examples=30)  # the machine is shared
@given(st.lists(st.integers(0, 10**11), min_size=1, max_size=10))
def test_cents_are_taken_as_they_are(cents: list[int]) -> None:
    rows = [moved(str(100 + n), minor, "01T09") for n, minor in enumerate(cents)]
    assert [s["amount_minor"] for s in said_of("payments", transactions=rows)] == cents


def test_only_new_transactions_are_asked_for_again() -> None:
    with serve(make_world("kajabi", {"payments": [ANN_PAID]}), ("kajabi",)) as urls, recorded() as seen:
        options = Options(base_url=urls["kajabi"])
        _, cursors = pull_all(PLATFORM, options, SECRETS, NOW, only=["transactions"])
        pull_all(PLATFORM, options, SECRETS, NOW + DAY, cursors, only=["transactions"])
    since = [dict(e.query).get("filter[start_date]") for e in seen if e.path.endswith("/transactions")]
    assert since == [None, "2026-05-13"]


def test_the_site_is_asked_for_by_its_id() -> None:
    with serve(make_world("kajabi", {"access": [ANN]}), ("kajabi",)) as urls, recorded() as seen:
        pull_all(PLATFORM, Options(base_url=urls["kajabi"], site_id="111", leads=False), SECRETS, NOW)
    asked = [(e.path.removeprefix("/kajabi/v1/"), dict(e.query).get("filter[site_id]")) for e in seen]
    assert [each for each in asked if each[0] != "oauth/token"] == [
        ("purchases", "111"), ("customers", "111"), ("transactions", "111"),
    ]  # fmt: skip


def test_submissions_are_dated_as_far_as_the_api_can() -> None:
    old, young = lead("1", NOW - 90 * DAY), lead("2", NOW + 23 * HOUR)
    world = make_world("kajabi", {"leads": [old]})
    with serve(world, ("kajabi",)) as urls:
        options = Options(base_url=urls["kajabi"])
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW)
        again = {**lead("3", old["occurred_at"]), "email": old["email"]}
        world.records = make_world("kajabi", {"leads": [old, young, again]}).records
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW + DAY, cursors, frames=frames)
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW + 2 * DAY, cursors, frames=frames)
    said = read_all(PLATFORM, frames, options)["leads"]
    assert said.select("record_id", "occurred_at").rows() == [
        ("1", NOW - 90 * DAY),  # it made the contact
        ("2", NOW + 23 * HOUR),
        ("3", NOW + DAY),  # the contact was there long before; first listed by the second load
    ]


def test_a_second_submission_from_before_the_first_load_can_not_be_dated() -> None:
    twice = [lead("1"), {**lead("2"), "email": "LEAD1@example.com"}]
    with serve(make_world("kajabi", {"leads": twice}), ("kajabi",)) as urls:
        frames, _ = pull_all(PLATFORM, Options(base_url=urls["kajabi"]), SECRETS, NOW)
    assert read_all(PLATFORM, frames, Options())["leads"]["record_id"].to_list() == ["1"]


@pytest.mark.parametrize(
    ("options", "external", "named"),
    [
        (Options(), "cust_123", ["kajabi:5"]),
        (Options(), "app:42", ["kajabi:5", "app:42"]),
        (Options(external_platform="app"), "42", ["kajabi:5", "app:42"]),
    ],
)
def test_an_external_user_id_names_the_same_person(options: Options, external: str, named: list[str]) -> None:
    known = {"id": "5", "attributes": {"external_user_id": external}, "relationships": {}}
    (said,) = said_of("payments", options, customers=[known], transactions=[moved("1", 1, "01T09")])
    assert said["keys"] == named
