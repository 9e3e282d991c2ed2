"""Intercom, pulled over real HTTP from its fake: searches by day, merged leads, conversations that are no cases."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from journey_pipeline.platforms.intercom import PLATFORM, Options
from journey_pipeline.sandbox.fakes.intercom import SECRETS
from journey_pipeline.sandbox.server import serve
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import (
    NOW,
    Frames,
    make_world,
    pull_all,
    raw_frame,
    read_all,
    world_frame,
)
from journey_pipeline_tests.platforms.openapi import contract, recorded

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SECOND = 1_778_760_000  # 2026-05-14 12:00:00 UTC


def case(record_id: str, occurred_at: datetime = NOW - DAY, **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "occurred_at": occurred_at,
        "keys": [f"intercom:c{record_id}"],
        "url": f"https://app.intercom.com/a/apps/ws1/conversations/{record_id.removeprefix('ticket_')}",
        "topic": "other",
        "status": "open",
        **more,
    }


ANN = case(
    "1",
    NOW - 9 * DAY,
    changed_at=NOW - 5 * DAY,
    email="Ann.Lee@Example.com",
    phone="+12125550101",
    name="Ann Lee",
    keys=["intercom:c1", "app:42"],
    topic="access",
    status="solved",
    priority="high",
    first_reply_at=NOW - 9 * DAY + timedelta(seconds=433),
    resolved_at=NOW - 5 * DAY,
    satisfaction="5",
)
BOB = case("2", NOW - 3 * DAY, email="bob@example.com", topic="refund", status="pending")
CYD = case(
    "ticket_3",
    NOW - 2 * DAY,
    email="cyd@example.com",
    topic="billing",
    status="solved",
    first_reply_at=NOW - 2 * DAY + HOUR,
    resolved_at=NOW - DAY,
    changed_at=NOW - DAY,
)
DEE = case("ticket_4", NOW - 2 * HOUR, email="dee@example.com", name="Dee")


class TestIntercom(Conformance):
    case = Case(
        "intercom",
        now={"tickets": [ANN, BOB, CYD, DEE]},
        later={
            "tickets": [
                {**BOB, "email": "bob@elsewhere.example", "status": "open", "changed_at": NOW + HOUR},
                {**DEE, "status": "pending", "first_reply_at": NOW + HOUR, "changed_at": NOW + HOUR},
            ]
        },
        many=lambda count: {"tickets": [case(str(n)) for n in range(count)]},
        counted="tickets",
        stays=("tickets",),
        page_sizes=("PER_PAGE",),
        described=lambda: contract("intercom", "intercom-2.16.yaml", base="/intercom"),
    )


def raw(contacts: list[dict[str, Any]] | None = None, **conversation: Any) -> Frames:
    row = {
        "id": "1", "created_at": SECOND, "state": "open", "source": {"delivered_as": "customer_initiated"},
        "contacts": {"contacts": [{"id": "lead"}]}, **conversation,
    }  # fmt: skip
    return {
        "conversations": raw_frame([row], "conversations", NOW),
        "contacts": raw_frame(contacts or [], "contacts", NOW),
    }


def said(frames: Frames, **options: Any) -> Any:
    return read_all(PLATFORM, frames, Options(**options))["tickets"]


def test_contacts_are_searched_by_day_and_none_is_lost_whatever_the_zone() -> None:
    """At 03:30 UTC the workspace in New York still has yesterday; `>` would begin with its next midnight."""
    start = datetime(2026, 5, 15, 3, 30, tzinfo=UTC)
    world = make_world("intercom", {"tickets": [case("1", start - 5 * DAY)]}, now=start)
    with serve(world, ("intercom",)) as urls, recorded() as exchanges:
        options = Options(base_url=urls["intercom"])
        frames, cursors = pull_all(PLATFORM, options, SECRETS, start)
        changed = [case("1", start - 5 * DAY, email="a@b.example", changed_at=start + MINUTE)]
        world.records = {"tickets": world_frame("intercom", "tickets", changed)}
        exchanges.clear()
        frames, _ = pull_all(PLATFORM, options, SECRETS, start + 10 * MINUTE, cursors, frames=frames)
    assert said(frames)["email"].to_list() == ["a@b.example"]
    values = {e.path.split("/")[2]: e.sent["query"]["value"] for e in exchanges}
    assert values["contacts"] == int((start - HOUR - 2 * DAY).timestamp())
    assert values["conversations"] == int((start - 5 * MINUTE).timestamp())


def test_contacts_that_the_whole_days_bring_again_are_left_out() -> None:
    world = make_world("intercom", {"tickets": [case("1", NOW - 26 * HOUR), case("2", NOW - 30 * MINUTE)]})
    with serve(world, ("intercom",)) as urls:
        options = Options(base_url=urls["intercom"])
        _, cursors = pull_all(PLATFORM, options, SECRETS, NOW)
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW + MINUTE, cursors)
    assert frames["contacts"]["id"].to_list() == ["c2"]


def test_a_conversation_of_a_merged_lead_is_the_users() -> None:
    lead = {"id": "lead", "email": None, "name": "Visitor", "workspace_id": "w"}
    user = {
        "id": "user", "email": "ann@a.example", "external_id": "app:42", "workspace_id": "w",
        "merge_history": [{"type": "merge_history", "source_contact_id": "lead", "merged_at": SECOND}],
    }  # fmt: skip
    told = said(raw([lead, user]))
    assert told.select("email", "name", "keys").rows() == [
        ("ann@a.example", None, ["intercom:lead", "intercom:user", "app:42"])
    ]


@pytest.mark.parametrize(
    ("external_id", "known_as", "keys"),
    [
        ("app:42", "", ["intercom:lead", "app:42"]),
        ("42", "", ["intercom:lead"]),
        ("42", "app", ["intercom:lead", "app:42"]),
        ("", "app", ["intercom:lead"]),
        (None, "app", ["intercom:lead"]),
    ],
)
def test_an_external_id_names_somebody_if_it_is_said_where(external_id: str, known_as: str, keys: list[str]) -> None:
    assert said(raw([{"id": "lead", "external_id": external_id}]), known_as=known_as)["keys"].to_list() == [keys]


@pytest.mark.parametrize(
    ("delivered_as", "replied", "is_case"),
    [
        ("customer_initiated", None, True),
        (None, None, True),
        ("admin_initiated", None, False),
        ("automated", None, False),
        ("automated", {"created_at": SECOND, "type": "conversation"}, True),
    ],
)
def test_what_was_sent_and_not_answered_is_no_case(delivered_as: str | None, replied: Any, is_case: bool) -> None:
    frames = raw(source={"delivered_as": delivered_as}, first_contact_reply=replied)
    assert said(frames).height == is_case


@pytest.mark.parametrize(
    ("theirs", "ours"), [("open", "open"), ("snoozed", "pending"), ("closed", "solved"), ("paused", "paused")]
)
def test_states(theirs: str, ours: str) -> None:
    told = said(raw(state=theirs, statistics={"last_close_at": SECOND}))
    assert told["status"].to_list() == [ours]
    assert told["resolved_at"].is_null().to_list() == [ours != "solved"]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("submitted", "open"), ("in_progress", "open"), ("waiting_on_customer", "pending"), ("odd", "odd")],
)
def test_states_of_tickets(theirs: str, ours: str) -> None:
    row = {"id": "1", "created_at": SECOND, "category": "Customer", "ticket_state": {"category": theirs}}
    assert said({"tickets": raw_frame([row], "tickets", NOW)})["status"].to_list() == [ours]


def test_tickets_between_teammates_are_no_cases_and_a_ticket_closed_twice_was_resolved_the_second_time() -> None:
    def part(at: int, was: str, now: str) -> dict[str, Any]:
        return {
            "created_at": at,
            "part_type": "ticket_state_updated",
            "previous_ticket_state": was,
            "ticket_state": now,
        }

    parts = [part(SECOND, "submitted", "resolved"), part(SECOND + 60, "resolved", "in_progress"),
             {"created_at": SECOND + 90, "part_type": "comment", "author": {"type": "user"}},
             {"created_at": SECOND + 99, "part_type": "comment", "author": {"type": "admin"}},
             part(SECOND + 120, "in_progress", "resolved")]  # fmt: skip
    row = {"id": "1", "created_at": SECOND, "category": "Customer", "ticket_state": {"category": "resolved"}}
    rows = [{**row, "ticket_parts": {"ticket_parts": parts}}, {**row, "id": "2", "category": "Tracker"}]
    told = said({"tickets": raw_frame(rows, "tickets", NOW)})
    at = datetime(2026, 5, 14, 12, tzinfo=UTC)
    assert told.select("record_id", "first_reply_at", "resolved_at").rows() == [
        ("ticket_1", at + timedelta(seconds=99), at + timedelta(seconds=120))
    ]


@pytest.mark.parametrize(
    ("author", "email"),
    [({"type": "lead", "email": "a@b.example"}, "a@b.example"), ({"type": "admin", "email": "sam@n.example"}, None)],
)
def test_an_unknown_contact_is_asked_for_by_the_address_written_from(author: dict[str, str], email: str | None) -> None:
    frames = raw(source={"delivered_as": "customer_initiated", "author": author})
    assert said(frames).select("email", "keys").rows() == [(email, ["intercom:lead"])]
