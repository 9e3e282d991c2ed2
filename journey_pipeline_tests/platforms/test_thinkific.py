"""Thinkific: what every platform must do, and its enrolments, trials and sales in our words."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms import http
from journey_pipeline.platforms.thinkific import PLATFORM, Options
from journey_pipeline.sandbox.fakes.thinkific import SECRETS
from journey_pipeline.sandbox.server import serve
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, Frames, make_world, pull_all, raw_frame, read_all
from journey_pipeline_tests.platforms.openapi import Contract, contract, recorded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def enrolment(record_id: str, user: int, course: int = 9, **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "occurred_at": NOW - 9 * DAY,
        "email": f"user{user}@example.com",
        "keys": [f"thinkific:{user}"],
        "url": f"https://northwind.thinkific.com/manage/users/{user}",
        "grant": "course",
        "product_ref": f"thinkific:course_{course}",
        "status": "active",
        "progress": 0.0,
        **more,
    }


def order(record_id: str, user: int, **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "occurred_at": NOW - 9 * DAY,
        "email": f"user{user}@example.com",
        "keys": [f"thinkific:{user}"],
        "url": f"https://northwind.thinkific.com/manage/users/{user}",
        "role": "shop",
        "status": "succeeded",
        "amount_minor": 49900,
        "currency": "EUR",
        "product_ref": "thinkific:product_6",
        **more,
    }


WHO: dict[str, Any] = {
    "email": "Ann.Lee@Example.com",
    "name": "Ann Lee",
    "phone": "+12125550101",
    "company": "Lee & Co",
    "keys": ["thinkific:5001", "app:42", "stripe:cus_1"],
}
ANN = enrolment("1", 5001, progress=29.0, last_used_at=NOW - 3 * DAY, **WHO)
BOB = enrolment("2", 5002, status="expired", expires_at=NOW - DAY, progress=100.0, last_used_at=NOW - 2 * DAY)
CYD = enrolment("3", 5003, course=10, expires_at=NOW + HOUR, basis="staff")


def described() -> Contract:
    """The third party's description says of no field that it may be null, and many are."""
    vendor = contract("thinkific", "ballerina_thinkific_openapi.yaml", base="/thinkific")
    return replace(vendor, spec=_lenient(vendor.spec))


def _lenient(node: Any) -> Any:
    if isinstance(node, list):
        return [_lenient(part) for part in node]
    if not isinstance(node, dict):
        return node
    inner = {k: _lenient(v) for k, v in node.items()}
    if isinstance(node.get("properties"), dict):
        inner["properties"] = {k: {"anyOf": [v, {"type": "null"}]} for k, v in inner["properties"].items()}
    return inner


class TestThinkific(Conformance):
    case = Case(
        "thinkific",
        now={"access": [ANN, BOB, CYD], "payments": [order("11", 5001, **WHO), order("12", 5004, amount_minor=0)]},
        later={
            "access": [
                {**ANN, "progress": 60.0, "changed_at": NOW + HOUR},
                {**CYD, "status": "expired", "changed_at": NOW + HOUR},
                enrolment("4", 5004),
            ],
            "payments": [order("11", 5001, **WHO), order("12", 5004, amount_minor=0), order("13", 5004)],
        },
        many=lambda count: {"access": [enrolment(str(1 + n), 1 + n) for n in range(count)]},
        counted="access",
        page_sizes=("PAGE",),
        options={"subdomain": "northwind", "currency": "EUR"},
        described=described,
    )


def said_of(kind: str = "access", **raw: list[dict[str, Any]]) -> list[dict[str, Any]]:
    frames: Frames = {name: raw_frame(rows, name, NOW) for name, rows in raw.items()}
    return read_all(PLATFORM, frames, Options(subdomain="northwind"))[kind].to_dicts()


def an_enrolment(**more: Any) -> dict[str, Any]:
    return {
        "id": 1, "user_id": 5, "course_id": 9, "activated_at": "2026-05-01T09:00:00Z", "expired": False,
        "is_free_trial": False, "percentage_completed": 0.0, **more,
    }  # fmt: skip


def test_a_free_trial_is_no_access_until_it_is_bought() -> None:
    assert said_of(enrollments=[an_enrolment(is_free_trial=True)]) == []
    assert [row["record_id"] for row in said_of(enrollments=[an_enrolment()])] == ["1"]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, "active"),
        ({"expired": True}, "expired"),
        ({"expiry_date": "2026-05-15T12:00:00Z"}, "expired"),
        ({"expiry_date": "2026-05-15T12:00:01Z"}, "active"),
        ({"expired": None, "expiry_date": None}, "active"),
    ],
)
def test_an_enrolment_runs_out(fields: dict[str, Any], status: str) -> None:
    assert said_of(enrollments=[an_enrolment(**fields)])[0]["status"] == status


def test_a_course_that_was_not_begun_was_not_used() -> None:
    times = {"started_at": "2026-05-01T09:00:00Z", "completed_at": "2026-05-03T09:00:00Z"}
    unused, used = (
        said_of(enrollments=[an_enrolment(percentage_completed=done, **times)])[0]["last_used_at"] for done in (0, 0.1)
    )
    assert (unused, used) == (None, datetime(2026, 5, 3, 9, tzinfo=UTC))


@settings(deadline=None, max_examples=40)  # the machine is shared
@given(st.lists(st.integers(0, 100), min_size=1, max_size=20), st.booleans())
def test_progress_is_a_share_of_one_or_a_percentage(done: list[int], as_text: bool) -> None:
    shares = [n / 100 for n in done]
    rows = [an_enrolment(id=100 + n, percentage_completed=str(s) if as_text else s) for n, s in enumerate(shares)]
    assert [row["progress"] for row in said_of(enrollments=rows)] == [float(n) for n in done]
    assert said_of(enrollments=[an_enrolment(percentage_completed="24.0")])[0]["progress"] == 24.0


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("complete", "succeeded"), ("Complete", "succeeded"), ("refunded", "refunded"), (None, None)],
)
def test_statuses_of_orders(theirs: str | None, ours: str | None) -> None:
    assert said_of("payments", orders=[{"id": 1, "status": theirs}])[0]["status"] == ours


@pytest.mark.parametrize(("cents", "minor"), [(49900, 49900), ("49900", 49900), (49900.0, 49900), (0, 0), ("?", None)])
def test_cents(cents: Any, minor: int | None) -> None:
    assert said_of("payments", orders=[{"id": 1, "amount_cents": cents}])[0]["amount_minor"] == minor


def test_orders_by_the_misprinted_name_of_their_time_are_dated_too() -> None:
    (said,) = said_of("payments", orders=[{"id": 1, "created at": "2026-05-01T09:00:00Z"}])
    assert said["occurred_at"] == datetime(2026, 5, 1, 9, tzinfo=UTC)


def test_a_site_whose_money_others_tell_leaves_its_orders_out() -> None:
    world = make_world("thinkific", {"payments": [order("11", 5001)]})
    with serve(world, ("thinkific",)) as urls, recorded() as seen:
        options = Options(base_url=urls["thinkific"], subdomain="northwind", sales=False)
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW)
    assert read_all(PLATFORM, frames, options)["payments"].is_empty()
    assert [e.path for e in seen] == ["/thinkific/enrollments", "/thinkific/users"]


def test_a_limit_named_as_an_instant_is_waited_for_no_longer_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_778_000_000.5)
    waits = {}
    for named in ("1778000042", "1777999999", "7", "never"):
        reply = requests.Response()
        reply.status_code, reply.headers["RateLimit-Reset"] = 429, named
        http._name_wait(reply)
        waits[named] = reply.headers.get("Retry-After")
    assert waits == {"1778000042": "42", "1777999999": None, "7": "7", "never": None}


def test_a_missing_subdomain_is_permanent() -> None:
    with pytest.raises(SourceError, match="add `subdomain") as caught:
        pull_all(PLATFORM, Options(), SECRETS, NOW)
    assert not caught.value.is_transient
