"""Calendly, pulled over real HTTP from its fake: the rolling window, moved and missed calls, what a link carries."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journey_pipeline.platforms.calendly import PLATFORM, Options
from journey_pipeline.sandbox.fakes.calendly import SECRETS
from journey_pipeline.sandbox.server import serve
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, Frames, make_world, pull_all, raw_frame, read_all, world_frame
from journey_pipeline_tests.platforms.openapi import Contract, contract, recorded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def booking(record_id: str, starts_at: datetime = NOW - DAY, **more: Any) -> dict[str, Any]:
    event = record_id.partition("-")[0]
    return {
        "record_id": record_id,
        "occurred_at": NOW - 3 * DAY,
        "email": f"{record_id}@example.com",
        "name": f"Name {record_id}",
        "url": f"https://calendly.com/app/scheduled_events/user/me?uuid={event}",
        "starts_at": starts_at,
        "status": "completed" if starts_at < NOW else "scheduled",
        "host": "sam@northwind.example",
        "event_type": "Intro call",
        **more,
    }


def touch(of: dict[str, Any], **more: Any) -> dict[str, Any]:
    shared = ("record_id", "occurred_at", "email", "phone", "name", "company", "keys", "url")
    return {**{name: of[name] for name in shared if name in of}, **more}


ANN = booking("ann", phone="+12125550101", company="Lee & Sons", keys=["hubspot:101"])
CLICK = touch(ANN, source="google", medium="cpc", campaign="spring", content="ad_1")
PAID = touch(
    ANN, role="shop", same_as=["stripe:ch_1"], status="succeeded", amount_minor=4950, currency="USD", method="stripe",
    product_ref="calendly:et_9",
)  # fmt: skip
BOB = booking("bob", NOW + DAY, keys=["salesforce:003Qy00000abcdeIAA"])
CYD = booking("cyd", NOW - 2 * DAY, status="no_show")
OFF = booking("off", NOW + 2 * DAY, status="cancelled", cancelled_at=NOW - HOUR)
OLD = booking("old", NOW + DAY, email="eve@example.com", status="rescheduled", cancelled_at=NOW - 2 * DAY)
NEW = booking("new", NOW + 4 * DAY, email="eve@example.com", occurred_at=NOW - 2 * DAY)
GROUP = [booking("group-1", NOW + 3 * DAY), booking("group-2", NOW + 3 * DAY, status="cancelled", cancelled_at=NOW)]
FAR = booking("far", NOW + 200 * DAY)


def described() -> Contract:
    """The third party's description says nowhere that a value may be null; Calendly says so of these."""
    told = contract("calendly", "calendly-scheduling-api-openapi.yml", base="/calendly")
    spec = json.loads(json.dumps(told.spec))
    schemas = spec["components"]["schemas"]
    nullable = {
        "Invitee": ("first_name", "last_name", "name", "text_reminder_number", "old_invitee", "new_invitee", "payment"),
        "Pagination": ("next_page", "previous_page", "next_page_token", "previous_page_token"),
    }
    parts = [schemas[name]["properties"] for name in nullable]
    parts.append(schemas["Invitee"]["properties"]["tracking"]["properties"])
    for properties, names in zip(parts, [*nullable.values(), tuple(parts[-1])], strict=True):
        for name in names:
            properties[name] = {"anyOf": [properties[name], {"type": "null"}]}
    return replace(told, spec=spec)


class TestCalendly(Conformance):
    case = Case(
        "calendly",
        now={"bookings": [ANN, BOB, CYD, OFF, OLD, NEW, *GROUP, FAR], "touchpoints": [CLICK], "payments": [PAID]},
        later={
            "bookings": [
                ANN, {**BOB, "status": "no_show", "changed_at": NOW + 23 * HOUR}, CYD, OFF, OLD,
                {**NEW, "status": "cancelled", "cancelled_at": NOW + HOUR}, *GROUP, FAR,
                booking("dan", NOW + 5 * DAY, occurred_at=NOW + HOUR),
            ],
            "touchpoints": [CLICK],
            "payments": [PAID],
        },
        many=lambda count: {"bookings": [booking(f"one-{n}") for n in range(count)]},
        counted="bookings",
        page_sizes=("PAGE",),
        options={"past": "completed"},
        described=described,
    )  # fmt: skip


def raw_invitee(**more: Any) -> Frames:
    event = {
        "uri": "https://api.calendly.com/scheduled_events/E", "status": "active", "name": "Call",
        "start_time": "2026-05-15T11:00:00.000000Z", "end_time": "2026-05-15T11:30:00.000000Z",
        **more.pop("event", {}),
    }  # fmt: skip
    row = {
        "uri": "https://api.calendly.com/scheduled_events/E/invitees/I", "status": "active",
        "created_at": "2026-05-01T00:00:00.000000Z", "updated_at": "2026-05-02T00:00:00.000000Z",
        "scheduled_event": event, **more,
    }  # fmt: skip
    return {"invitees": raw_frame([row], "invitees", NOW)}


def test_pages_of_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("journey_pipeline.platforms.calendly.PAGE", 2)
    rows = [booking(f"b{n}", NOW + n * HOUR) for n in range(5)]
    with serve(make_world("calendly", {"bookings": rows}), ("calendly",)) as urls, recorded() as exchanges:
        frames, _ = pull_all(PLATFORM, Options(base_url=urls["calendly"]), SECRETS, NOW)
    assert frames["invitees"].height == 5
    lists = [e for e in exchanges if e.path.endswith("/scheduled_events")]
    assert ["page_token" in dict(e.query) for e in lists] == [False, True, True]


def test_the_window_goes_back_thirty_days_and_has_no_end() -> None:
    long_ago = booking("long_ago", NOW - 20 * DAY)
    world = make_world("calendly", {"bookings": [long_ago, FAR]})
    with serve(world, ("calendly",)) as urls:
        options = Options(base_url=urls["calendly"])
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW)
        world.now = NOW + 5 * DAY
        missed, off = {**long_ago, "status": "no_show"}, {**FAR, "status": "cancelled", "cancelled_at": NOW + DAY}
        world.records = {"bookings": world_frame("calendly", "bookings", [missed, off])}
        with recorded() as exchanges:
            frames, _ = pull_all(PLATFORM, options, SECRETS, world.now, cursors, frames=frames)
    asked = dict(next(e.query for e in exchanges if e.path.endswith("/scheduled_events")))
    assert asked["min_start_time"] == "2026-04-15T12:00:00.000000Z"
    assert "max_start_time" not in asked
    said = read_all(PLATFORM, frames, options)["bookings"]
    assert said.select("record_id", "status").rows() == [("far", "cancelled"), ("long_ago", "no_show")]


def test_a_user_who_is_no_admin_reads_their_own() -> None:
    with serve(make_world("calendly", {"bookings": [ANN]}), ("calendly",)) as urls, recorded() as exchanges:
        pull_all(PLATFORM, Options(base_url=urls["calendly"], of="user"), SECRETS, NOW)
    asked = [dict(e.query) for e in exchanges if e.path.endswith("/scheduled_events")]
    assert [set(query) & {"user", "organization"} for query in asked] == [{"user"}]


@pytest.mark.parametrize(
    ("invitee", "status", "cancelled_at"),
    [
        ({}, "scheduled", None),
        ({"no_show": {"uri": "x"}}, "no_show", None),
        ({"status": "canceled"}, "cancelled", "2026-05-02T00:00:00Z"),
        ({"status": "canceled", "no_show": {"uri": "x"}}, "cancelled", "2026-05-02T00:00:00Z"),
        (
            {"status": "canceled", "rescheduled": True, "cancellation": {"created_at": "2026-05-03T00:00:00Z"}},
            "rescheduled",
            "2026-05-03T00:00:00Z",
        ),
        (
            {"event": {"status": "canceled", "cancellation": {"created_at": "2026-05-04T00:00:00Z"}}},
            "cancelled",
            "2026-05-04T00:00:00Z",
        ),
        ({"status": "waitlisted"}, "waitlisted", None),
    ],
)
def test_statuses(invitee: dict[str, Any], status: str, cancelled_at: str | None) -> None:
    said = read_all(PLATFORM, raw_invitee(**invitee), Options())["bookings"]
    at = cancelled_at and datetime.fromisoformat(cancelled_at)
    assert said.select("status", "cancelled_at").rows() == [(status, at)]


@pytest.mark.parametrize(("ends", "status"), [("12:00:00", "completed"), ("12:00:01", "scheduled")])
def test_nobody_is_known_to_have_come_unless_hosts_mark_who_did_not(ends: str, status: str) -> None:
    frames = raw_invitee(event={"end_time": f"2026-05-15T{ends}.000000Z"})
    assert read_all(PLATFORM, frames, Options())["bookings"]["status"].to_list() == ["scheduled"]
    assert read_all(PLATFORM, frames, Options(past="completed"))["bookings"]["status"].to_list() == [status]


def test_a_moved_booking_is_touched_and_paid_once() -> None:
    moved = {"old_invitee": "https://api.calendly.com/scheduled_events/E0/invitees/I0"}
    carried = {"tracking": {"utm_source": "google"}, "payment": {"external_id": "ch_1", "successful": True}}
    said = read_all(PLATFORM, raw_invitee(**moved, **carried), Options())
    assert [said[kind].height for kind in ("bookings", "touchpoints", "payments")] == [1, 0, 0]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("003Qy00000abcde", ["salesforce:003Qy00000abcde"]),
        ("app:42", ["app:42"]),
        ("a remark", []),
        ("", []),
        (None, []),
    ],
)
def test_what_a_link_carries(text: str | None, keys: list[str]) -> None:
    said = read_all(PLATFORM, raw_invitee(tracking={"salesforce_uuid": text}), Options())["bookings"]
    assert said["keys"].to_list() == [keys]


def test_phone_and_company_from_the_call_and_from_answers() -> None:
    answers = [{"question": "Phone", "answer": "+1 212", "position": 0}, {"question": "Firm", "answer": "Acme"}]
    options = Options(company_questions=("Firm",))
    asked = read_all(PLATFORM, raw_invitee(questions_and_answers=answers), options)["bookings"]
    assert asked.select("phone", "company").rows() == [("+1 212", "Acme")]
    called = {"location": {"type": "outbound_call", "location": "+44 20"}}
    said = read_all(PLATFORM, raw_invitee(event=called, questions_and_answers=answers), Options())["bookings"]
    assert said.select("phone", "company").rows() == [("+44 20", None)]


@given(minor=st.integers(0, 10_000_000), code=st.sampled_from(["usd", "JPY"]), is_paid=st.booleans())
def test_money_is_in_major_units(minor: int, code: str, is_paid: bool) -> None:
    amount = minor if code == "JPY" else minor / 100
    payment = {"external_id": "ch_1", "provider": "stripe", "amount": amount, "currency": code, "successful": is_paid}
    said = read_all(PLATFORM, raw_invitee(payment=payment), Options())["payments"]
    assert said.select("amount_minor", "currency", "status", "same_as").rows() == [
        (minor, code.upper(), "succeeded" if is_paid else "failed", ["stripe:ch_1"])
    ]
