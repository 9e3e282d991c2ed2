"""Teachable, pulled over real HTTP from its fake: what it says, what a second pull brings, and how it fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journey_pipeline.platforms import http, teachable
from journey_pipeline.platforms.teachable import PLATFORM, Options
from journey_pipeline.sandbox.fakes import teachable as fake
from journey_pipeline.sandbox.fakes.teachable import SECRETS
from journey_pipeline.sandbox.server import serve
from journey_pipeline.sandbox.world import World
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import (
    NOW,
    Cursors,
    Frames,
    make_world,
    pull_all,
    raw_frame,
    read_all,
    world_frame,
)
from journey_pipeline_tests.platforms.openapi import Contract, contract, recorded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
READS_ALL = {"details": True, "school": "northwind"}


def enrolment(course: int, user: int, occurred_at: datetime = NOW - 9 * DAY, **more: Any) -> dict[str, Any]:
    return {
        "record_id": f"{course}:{user}",
        "occurred_at": occurred_at,
        "email": f"user{user}@example.com",
        "keys": [f"teachable:{user}"],
        "url": f"https://northwind.teachable.com/admin-app/users/{user}/information",
        "grant": "course",
        "product_ref": f"teachable:{course}",
        "status": "active",
        "progress": 0.0,
        **more,
    }


def sale(record_id: str, user: int, occurred_at: datetime = NOW - 9 * DAY, **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "occurred_at": occurred_at,
        "email": f"user{user}@example.com",
        "keys": [f"teachable:{user}"],
        "url": f"https://northwind.teachable.com/admin-app/users/{user}/information",
        "role": "shop",
        "status": "succeeded",
        "amount_minor": 49900,
        "currency": "USD",
        "product_ref": "teachable:901",
        "refunded_minor": 0,
        **more,
    }


ANN = enrolment(901, 5001, email="Ann.Lee@Example.com", name="Lee, Ann", progress=40.0)
ANN_TOO = enrolment(902, 5001, NOW - HOUR, email="Ann.Lee@Example.com", name="Lee, Ann")
BOB = enrolment(901, 5002, status="expired", expires_at=NOW - DAY, progress=100.0, basis="import")
CYD = enrolment(902, 5003, expires_at=NOW + DAY, paid_by_ref="stripe:ch_1", basis="comp")
DAN = enrolment(902, 5004, status="revoked", revoked_at=NOW, basis="staff")


@contextmanager
def school(world: World, **options: Any) -> Iterator[Options]:
    with serve(world, ("teachable",)) as urls:
        yield Options(base_url=urls["teachable"], **options)


def pull(
    options: Options, at: datetime = NOW, cursors: Cursors | None = None, frames: Frames | None = None
) -> tuple[Frames, Cursors]:
    return pull_all(PLATFORM, options, SECRETS, at, cursors, frames=frames)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BACKOFF_S", 0.01)


def test_without_details_it_knows_neither_why_nor_what_ended_before() -> None:
    with school(make_world("teachable", {"access": [ANN, BOB, CYD, DAN]})) as options:
        frames, _ = pull(options)
        said = read_all(PLATFORM, frames, options)["access"]
    assert frames["user_details"].is_empty()
    assert said.select("record_id", "status", "basis", "paid_by_ref", "url").rows() == [
        ("901:5001", "active", None, None, None),
        ("901:5002", "expired", None, None, None),
        ("902:5003", "active", None, None, None),
    ]


def test_a_second_load_lists_what_is_still_so() -> None:
    world = make_world("teachable", {"access": [ANN, CYD]})
    with school(world) as options:
        frames, cursors = pull(options)
        world.records = {"access": world_frame("teachable", "access", [{**ANN, "progress": 60.0}, BOB])}
        frames, _ = pull(options, NOW + DAY, cursors, frames)
    later = frames["enrollments"].filter(pl.col("_loaded_at") == NOW + DAY)
    assert later.select("course_id", "user_id").sort("user_id").rows() == [("901", "5001"), ("901", "5002")]
    said = read_all(PLATFORM, frames, options)["access"]
    assert said.select("record_id", "progress").rows() == [("901:5001", 60.0), ("901:5002", 100.0), ("902:5003", 0.0)]


def test_an_enrolment_ended_between_loads_is_dated_by_the_first_load_that_said_so() -> None:
    world = make_world("teachable", {"access": [ANN, ANN_TOO]})
    with school(world, **READS_ALL) as options:
        frames, cursors = pull(options)
        world.records = {"access": world_frame("teachable", "access", [{**ANN, "status": "revoked"}, ANN_TOO])}
        frames, cursors = pull(options, NOW + DAY, cursors, frames)
        frames, _ = pull(options, NOW + 2 * DAY, cursors, frames)
    said = read_all(PLATFORM, frames, options)["access"]
    assert said.select("record_id", "status", "revoked_at").rows() == [
        ("901:5001", "revoked", NOW + DAY),
        ("902:5001", "active", None),
    ]


def test_enrolled_again_after_the_end_is_active_and_the_next_end_has_its_own_date() -> None:
    again = {**ANN, "occurred_at": NOW + 36 * HOUR}
    states = [{**ANN, "status": "revoked"}, again, {**again, "status": "revoked"}]
    world = make_world("teachable", {"access": [ANN_TOO]})
    frames, cursors, seen = dict[str, pl.DataFrame](), dict[str, str | None](), []
    with school(world, **READS_ALL) as options:
        for day, state in enumerate(states):
            world.records = {"access": world_frame("teachable", "access", [state, ANN_TOO])}
            frames, cursors = pull(options, NOW + day * DAY, cursors, frames)
            said = read_all(PLATFORM, frames, options)["access"].row(0, named=True)
            seen.append((said["record_id"], said["status"], said["revoked_at"]))
    assert seen == [("901:5001", "revoked", NOW), ("901:5001", "active", None), ("901:5001", "revoked", NOW + 2 * DAY)]


def test_late_refunds_and_chargebacks_come_back_although_their_time_does_not() -> None:
    old = NOW - 300 * DAY
    sales = [sale("1", 1, old), sale("2", 2, old), sale("3", 3, old), sale("4", 4, NOW - 20 * DAY)]
    world = make_world("teachable", {"payments": sales})
    with school(world) as options:
        frames, cursors = pull(options)
        undone = {"refunded_at": NOW + HOUR, "changed_at": NOW + HOUR}
        world.records = {
            "payments": world_frame(
                "teachable",
                "payments",
                [
                    {**sales[0], **undone, "refunded_minor": 49900},
                    {**sales[1], "dispute_status": "open"},
                    sales[2],
                    {**sales[3], **undone, "refunded_minor": 900},
                    sale("5", 5, NOW + HOUR),
                ],
            )
        }
        frames, _ = pull(options, NOW + DAY, cursors, frames)
    said = read_all(PLATFORM, frames, options)["payments"]
    assert said.select("record_id", "refunded_minor", "refunded_at", "dispute_status").rows() == [
        ("1", 49900, NOW + HOUR, None),
        ("2", 0, None, "open"),
        ("3", 0, None, None),
        ("4", 900, NOW + HOUR, None),
        ("5", 0, None, None),
    ]
    assert frames["transactions"].filter(pl.col("_loaded_at") == NOW + DAY)["id"].sort().to_list() == [
        "1",
        "2",
        "4",
        "5",
    ]


def test_nothing_later_than_the_load_is_asked_for_and_its_last_second_is() -> None:
    sales = [sale("1", 1, NOW), sale("2", 2, NOW + timedelta(seconds=1))]
    with school(make_world("teachable", {"payments": sales})) as options:
        frames, cursors = pull(options)
        assert frames["transactions"]["id"].to_list() == ["1"]
        frames, _ = pull(options, NOW + DAY, cursors, frames)
    assert read_all(PLATFORM, frames, options)["payments"]["record_id"].to_list() == ["1", "2"]


def test_a_school_whose_money_others_tell_leaves_its_sales_out() -> None:
    world = make_world("teachable", {"access": [ANN], "payments": [sale("1", 5001)]})
    with school(world, sales=False) as options, recorded() as exchanges:
        said = read_all(PLATFORM, pull(options)[0], options)
    assert said["payments"].is_empty()
    assert {e.path.split("/")[2] for e in exchanges} == {"courses", "users"}


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_every_page_boundary(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teachable, "PAGE", 2)
    same_course = [enrolment(901, 1 + n) for n in range(count)]
    same_user = [enrolment(1000 + n, 99) for n in range(count)]
    sales = [sale(str(n), 99, product_ref="teachable:901") for n in range(count)]
    with school(make_world("teachable", {"access": [*same_course, *same_user], "payments": sales})) as options:
        frames, _ = pull(options)
    said = read_all(PLATFORM, frames, options)
    expected = sorted([*(f"901:{1 + n}" for n in range(count)), *(f"{1000 + n}:99" for n in range(count))])
    assert said["access"]["record_id"].to_list() == expected
    assert said["payments"].height == count
    assert [frames[name].height for name in ("courses", "users", "enrollments", "transactions")] == [
        count + 1,
        count + 1,
        2 * count,
        count,
    ]


def test_a_smaller_page_than_asked_for_costs_requests_and_not_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "LARGEST_PAGE", 20)
    world = make_world("teachable", {"access": [enrolment(901, 1 + n) for n in range(61)]})
    with school(world) as options:
        said = read_all(PLATFORM, pull(options)[0], options)["access"]
    assert said["email"].drop_nulls().len() == 61


@pytest.mark.parametrize("count", [10, 11, 19, 20, 21])
def test_users_beyond_the_reach_of_page_numbers(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (teachable, fake):
        monkeypatch.setattr(module, "DEEPEST_ROW", 10)
    monkeypatch.setattr(teachable, "PAGE", 5)
    world = make_world("teachable", {"access": [enrolment(901, 7 * (n + 1)) for n in range(count)]})
    with school(world) as options:
        frames, _ = pull(options)
    assert frames["users"]["id"].cast(pl.Int64).to_list() == [7 * (n + 1) for n in range(count)]


def test_tags_say_why_somebody_was_enrolled() -> None:
    users = [
        {"id": 1, "role": "student", "courses": [], "tags": [{"name": "comp"}]},
        {"id": 2, "role": "student", "courses": [], "tags": [{"name": "vip"}, {"name": "import:902"}]},
        {"id": 3, "role": "owner", "courses": [], "tags": []},
        {"id": 4, "role": "student", "courses": [], "tags": [{"name": "paid_by:901=stripe:ch_9"}]},
    ]
    rows = [
        {"user_id": u, "course_id": c, "enrolled_at": "2026-05-01T09:00:00Z"} for u in (1, 2, 3, 4) for c in (901, 902)
    ]
    frames = {
        "enrollments": raw_frame(rows, "enrollments", NOW),
        "user_details": raw_frame(users, "user_details", NOW),
    }
    said = read_all(PLATFORM, frames, Options(details=True))["access"]
    assert said.select("record_id", "basis", "paid_by_ref").rows() == [
        ("901:1", "comp", None),
        ("901:2", None, None),
        ("901:3", "staff", None),
        ("901:4", None, "stripe:ch_9"),
        ("902:1", "comp", None),
        ("902:2", "import", None),
        ("902:3", "staff", None),
        ("902:4", None, None),
    ]


def test_what_cannot_be_read_is_left_to_be_rejected_and_unknown_words_pass() -> None:
    enrolled = {"user_id": None, "course_id": 901, "enrolled_at": "soon"}
    sold = {"id": 1, "user_id": 5, "final_price": "free", "currency": "usd", "status": "voided", "pricing_plan_id": 9}
    frames = {
        "enrollments": raw_frame([enrolled], "enrollments", NOW),
        "transactions": raw_frame([sold], "transactions", NOW),
    }
    said = read_all(PLATFORM, frames, Options())
    assert said["access"].select("record_id", "occurred_at").rows() == [(None, None)]
    assert said["payments"].select("status", "amount_minor", "currency", "product_ref", "occurred_at").rows() == [
        ("voided", None, "USD", "teachable:plan_9", None)
    ]


@given(st.lists(st.tuples(st.integers(0, 10**12), st.sampled_from(["USD", "EUR", "JPY", "KWD"])), max_size=20))
def test_money_is_taken_as_it_is_in_the_currency_of_sale(prices: list[tuple[int, str]]) -> None:
    rows = [
        {"id": n, "final_price": price, "charge": price + 1, "currency": code.lower(), "amount_refunded": price // 2}
        for n, (price, code) in enumerate(prices, 100)
    ]
    frames = {"transactions": raw_frame(rows, "transactions", NOW)}
    said = read_all(PLATFORM, frames, Options())["payments"]
    assert said.select("amount_minor", "currency", "refunded_minor").rows() == [(p, c, p // 2) for p, c in prices]


def test_the_limit_is_waited_out_as_long_as_the_vendor_says(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(fake, "REFUSED_EVERY", 3)
    world = make_world("teachable", {"access": [ANN, BOB, CYD]})
    with school(world, **READS_ALL) as options:
        monkeypatch.setattr("tenacity.nap.time.sleep", waits.append)
        frames, _ = pull(options)
    assert frames["user_details"].height == 3
    assert waits
    assert set(waits) == {1.0}, "RateLimit-Reset says one second"


def described() -> Contract:
    return contract(
        "teachable",
        "teachable-admin-openapi.yml",
        base="/teachable",
        # Described without paging, yet its answer has `meta`, and clients in use page through it.
        also_parameters={"GET /courses/{course_id}/enrollments": ("page", "per")},
    )


ANNS: dict[str, Any] = {"email": "Ann.Lee@Example.com", "name": "Lee, Ann"}
GEE = {**CYD, "expires_at": NOW + 9 * DAY}
SALES = [
    sale("7001", 5001, **ANNS),
    sale("7002", 5001, currency="EUR", amount_minor=46900, refunded_minor=46900, refunded_at=NOW - DAY, **ANNS),
    sale("7003", 5005, product_ref="teachable:902", dispute_status="open", name="Eve"),
]


def test_every_filter_that_is_sent_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (teachable, fake):
        monkeypatch.setattr(module, "DEEPEST_ROW", 2)
    monkeypatch.setattr(teachable, "PAGE", 1)
    world = make_world("teachable", {"access": [ANN, ANN_TOO, BOB, CYD, DAN], "payments": SALES})
    vendor = described()
    with school(world, **READS_ALL) as options, recorded() as exchanges:
        _, cursors = pull(options)
        pull(options, NOW + DAY, cursors)
    assert {name for exchange in exchanges for name, _ in exchange.query} == {
        "page", "per", "sort_direction", "search_after", "start", "end", "is_fully_refunded", "is_chargeback",
    }  # fmt: skip
    for exchange in exchanges:
        vendor.check(exchange)


def test_a_sale_whose_money_is_not_there_yet_is_pending() -> None:
    world = make_world("teachable", {"payments": [sale("1", 5005, status="pending")]})
    with school(world, **READS_ALL) as options:
        said = read_all(PLATFORM, pull(options)[0], options)
    assert said["payments"].select("record_id", "status").rows() == [("1", "pending")]


class TestTeachable(Conformance):
    case = Case(
        "teachable",
        now={"access": [ANN, ANN_TOO, BOB, GEE, DAN], "payments": SALES},
        later={"access": [{**ANN, "progress": 60.0}, ANN_TOO, BOB, GEE, DAN], "payments": [*SALES, sale("7004", 5002)]},
        many=lambda count: {
            "access": [enrolment(901, 1 + n) for n in range(count)],
            "payments": [sale(str(n), 1) for n in range(count)],
        },
        counted="access",
        page_sizes=("PAGE",),
        options=READS_ALL,
        lost={"access": ("revoked_at",)},  # dated by the first load that said so, as a test of its own shows
        described=described,
    )
