"""Cal.com, pulled over real HTTP from its fake: seats, moved and missed calls, and pages that shift while read."""

from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

from journey_pipeline.platforms import calcom
from journey_pipeline.platforms.base import Pull
from journey_pipeline.platforms.calcom import PLATFORM, Options, _seats
from journey_pipeline.sandbox.fakes.calcom import SECRETS
from journey_pipeline.sandbox.server import serve
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, Frames, make_world, pull_all, raw_frame, read_all, world_frame
from journey_pipeline_tests.platforms.openapi import contract, recorded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def booking(record_id: str, starts_at: datetime = NOW - DAY, **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "occurred_at": NOW - 3 * DAY,
        "changed_at": more.get("cancelled_at") or NOW - 2 * DAY,
        "email": f"{record_id}@example.com",
        "name": f"Name {record_id}",
        "url": f"https://app.cal.com/booking/{record_id.partition(':')[0]}",
        "starts_at": starts_at,
        "status": "completed" if starts_at < NOW else "scheduled",
        "host": "sam@northwind.example",
        "event_type": "intro-call",
        **more,
    }


def touch(of: dict[str, Any], **more: Any) -> dict[str, Any]:
    shared = ("record_id", "occurred_at", "email", "phone", "name", "company", "keys", "url")
    return {**{name: of[name] for name in shared if name in of}, **more}


ANN = booking("ann", phone="+12125550101", company="Lee & Sons", keys=["stripe:cus_1", "hubspot:101"])
CLICK = touch(ANN, source="google", medium="cpc", campaign="spring", content="ad_1")
BOB = booking("bob", NOW + HOUR)
CYD = booking("cyd", NOW - 2 * DAY, status="no_show")
OFF = booking("off", NOW + 2 * DAY, status="cancelled", cancelled_at=NOW - HOUR)
OLD = booking("old", NOW + DAY, email="eve@example.com", status="rescheduled", cancelled_at=NOW - 2 * DAY)
NEW = booking("new", NOW + 4 * DAY, email="eve@example.com", occurred_at=NOW - 2 * DAY)
SEATS = [booking("seats:1", NOW + 3 * DAY), booking("seats:2", NOW + 3 * DAY)]


class TestCalcom(Conformance):
    case = Case(
        "calcom",
        now={"bookings": [ANN, BOB, CYD, OFF, OLD, NEW, *SEATS], "touchpoints": [CLICK]},
        later={
            "bookings": [
                {**ANN, "status": "no_show"}, {**BOB, "status": "completed"}, CYD, OFF, OLD,
                {**NEW, "status": "cancelled", "cancelled_at": NOW + HOUR, "changed_at": NOW + HOUR}, *SEATS,
                booking("dan", NOW + 5 * DAY, occurred_at=NOW + HOUR, changed_at=NOW + HOUR),
            ],
            "touchpoints": [CLICK],
        },
        many=lambda count: {"bookings": [booking(f"b{n}") for n in range(count)]},
        counted="bookings",
        page_sizes=("PAGE",),
        options={"past": "completed"},
        described=lambda: contract("calcom", "openapi.v2.2026-03.json", base="/calcom"),
    )  # fmt: skip


def raw_booking(attendee: dict[str, Any] | None = None, **more: Any) -> Frames:
    row = {
        "uid": "u", "status": "accepted", "start": "2026-05-15T10:00:00.000Z", "end": "2026-05-15T11:00:00.000Z",
        "createdAt": "2026-05-01T00:00:00.000Z", "updatedAt": "2026-05-02T00:00:00.000Z",
        "attendee": {"email": "a@x.example", **(attendee or {})}, **more,
    }  # fmt: skip
    return {"bookings": raw_frame([row], "bookings", NOW)}


@pytest.mark.parametrize(
    ("booked", "attendee", "status"),
    [
        ({}, {}, "completed"),
        ({"end": "2026-05-15T12:00:01.000Z"}, {}, "scheduled"),
        ({}, {"absent": True}, "no_show"),
        ({"absentHost": True}, {}, "scheduled"),
        ({"status": "pending"}, {}, "scheduled"),
        ({"status": "rejected"}, {}, "cancelled"),
        ({"status": "cancelled"}, {"absent": True}, "cancelled"),
        ({"status": "cancelled", "rescheduledToUid": "v"}, {}, "rescheduled"),
        ({"status": "awaiting_host"}, {}, "awaiting_host"),
    ],
)
def test_statuses(booked: dict[str, Any], attendee: dict[str, Any], status: str) -> None:
    said = read_all(PLATFORM, raw_booking(attendee, **booked), Options(past="completed"))["bookings"]
    assert said["status"].to_list() == [status]


def test_nobody_is_known_to_have_come() -> None:
    assert read_all(PLATFORM, raw_booking(), Options())["bookings"]["status"].to_list() == ["scheduled"]


def test_a_booking_changed_while_pages_are_read_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calcom, "PAGE", 2)
    rows = [booking(f"b{n}", NOW + DAY, changed_at=NOW - (9 - n) * HOUR) for n in range(4)]
    world = make_world("calcom", {"bookings": rows})
    with serve(world, ("calcom",)) as urls:
        resource = PLATFORM.resources[0]
        pull = Pull("calcom", resource, Options(base_url=urls["calcom"]), SECRETS, NOW)
        pages = resource.pull(pull)
        seen = [row["uid"] for row in next(pages)]
        changed = [{**rows[0], "changed_at": NOW}, *rows[1:]]
        world.records = {"bookings": world_frame("calcom", "bookings", changed)}
        seen += [row["uid"] for page in pages for row in page]
    assert seen == ["b0", "b1", "b2", "b3"]


def test_a_seat_that_is_given_up_is_cancelled() -> None:
    world = make_world("calcom", {"bookings": SEATS})
    with serve(world, ("calcom",)) as urls:
        options = Options(base_url=urls["calcom"])
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW)
        left = [{**SEATS[1], "changed_at": NOW + HOUR}]
        world.records = {"bookings": world_frame("calcom", "bookings", left)}
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW + DAY, cursors, frames=frames)
    said = read_all(PLATFORM, frames, options)["bookings"]
    assert said.select("record_id", "status").rows() == [("seats:1", "cancelled"), ("seats:2", "scheduled")]


def test_later_loads_ask_for_changes_and_for_what_was_on_lately() -> None:
    with serve(make_world("calcom", {"bookings": [ANN]}), ("calcom",)) as urls, recorded() as exchanges:
        options = Options(base_url=urls["calcom"], organization=7, team=9)
        _, cursors = pull_all(PLATFORM, options, SECRETS, NOW)
        pull_all(PLATFORM, options, SECRETS, NOW + DAY, cursors)
    assert {e.path for e in exchanges} == {"/calcom/v2/organizations/7/teams/9/bookings"}
    sent = [{k: v for k, v in e.query if k.startswith(("after", "before"))} for e in exchanges]
    assert sent == [
        {},
        {"afterUpdatedAt": "2026-05-15T11:00:00.000000Z"},
        {"afterStart": "2026-05-01T12:00:00.000000Z", "beforeEnd": "2026-05-16T12:00:00.000000Z"},
    ]


def test_guests_are_not_who_booked() -> None:
    attendees = [{"email": "g@x.example"}, {"email": "a@x.example"}]
    rows = _seats({"uid": "u", "attendees": attendees, "guests": ["G@x.example"]})
    assert [row["attendee"] for row in rows] == [{"email": "a@x.example"}]


def test_a_booking_that_everybody_left_still_counts_as_read() -> None:
    assert [row["attendee"] for row in _seats({"uid": "u", "attendees": []})] == [None]
    said = read_all(
        PLATFORM, {"bookings": raw_booking()["bookings"].with_columns(attendee=pl.lit(None, pl.String))}, Options()
    )
    assert said["bookings"].is_empty()


def test_a_seats_own_answers_are_read() -> None:
    own = {"bookingFieldsResponses": {"company": "Acme", "utm_source": "x", "ref": "app:42"}, "seatUid": "s"}
    booked = {"uid": "u", "createdAt": "2026-05-01T00:00:00.000Z", "metadata": {"ref": "stripe:cus_1"}}
    rows = _seats({**booked, "attendees": [{"email": "a@x.example", **own}]})
    said = read_all(PLATFORM, {"bookings": raw_frame(rows, "bookings", NOW)}, Options())
    assert said["bookings"].select("record_id", "company", "keys").rows() == [
        ("u:s", "Acme", ["stripe:cus_1", "app:42"])
    ]
    assert said["touchpoints"]["source"].to_list() == ["x"]


def test_a_moved_booking_is_touched_once() -> None:
    moved = raw_booking(rescheduledFromUid="t", metadata={"utm_source": "google"})
    assert read_all(PLATFORM, moved, Options())["touchpoints"].is_empty()
