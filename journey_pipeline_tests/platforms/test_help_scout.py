"""Help Scout, pulled over real HTTP from its fake: tokens, pages, threads, ratings, and what is no case."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from journey_pipeline.platforms import http
from journey_pipeline.platforms.help_scout import PLATFORM, Options
from journey_pipeline.sandbox.fakes import help_scout as fake
from journey_pipeline.sandbox.server import serve
from journey_pipeline_tests.platforms.conformance import FIRST_PAGE, Case, Conformance
from journey_pipeline_tests.platforms.harness import (
    NOW,
    Frames,
    make_world,
    pull_all,
    raw_frame,
    read_all,
    world_frame,
)
from journey_pipeline_tests.platforms.openapi import recorded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def case(record_id: str, occurred_at: datetime = NOW - DAY, **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "occurred_at": occurred_at,
        "keys": [f"help_scout:9{record_id}"],
        "url": f"https://secure.helpscout.net/conversation/{record_id}/{record_id}",
        "topic": "other",
        "status": "open",
        **more,
    }


ANN = case(
    "1",
    NOW - 9 * DAY,
    changed_at=NOW - 5 * DAY,
    email="Ann.Lee@Example.com",
    name="Ann van Lee",
    topic="access",
    status="solved",
    first_reply_at=NOW - 9 * DAY + timedelta(seconds=433),
    resolved_at=NOW - 5 * DAY,
    satisfaction="great",
)
BOB = case("2", NOW - 3 * DAY, email="bob@example.com", topic="refund", status="pending", first_reply_at=NOW - DAY)
CYD = case("3", NOW - 2 * HOUR, email="cyd@example.com", name="Cyd", topic="billing")


class TestHelpScout(Conformance):
    case = Case(
        "help_scout",
        now={"tickets": [ANN, BOB, CYD]},
        later={
            "tickets": [
                {**ANN, "changed_at": NOW + HOUR, "satisfaction": "not good"},
                # Bob's was deleted.
                {**CYD, "status": "solved", "first_reply_at": NOW + HOUR, "resolved_at": NOW + 2 * HOUR,
                 "changed_at": NOW + 2 * HOUR},
            ]
        },
        many=lambda count: {"tickets": [case(str(n)) for n in range(count)]},
        counted="tickets",
        page_sizes=(),  # the size of a page is Help Scout's
        options={"ratings": True},
        at="/v2",
    )  # fmt: skip

    @pytest.fixture(autouse=True)
    def _small_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fake, "PAGE", FIRST_PAGE)


def raw(**conversation: Any) -> Frames:
    row = {
        "id": 1, "status": "active", "state": "published", "created_at": "2026-05-14T12:00:00Z",
        "created_by": {"type": "customer"}, "thread_list": [], **conversation,
    }  # fmt: skip
    return {"conversations": raw_frame([row], "conversations", NOW)}


def said(frames: Frames, **options: Any) -> Any:
    return read_all(PLATFORM, frames, Options(**options))["tickets"]


def test_a_token_is_asked_for_once_per_pull_and_statuses_are_all() -> None:
    with serve(make_world("help_scout", {"tickets": [ANN, BOB]}), ("help_scout",)) as urls, recorded() as exchanges:
        options = Options(base_url=urls["help_scout"] + "/v2")
        _, cursors = pull_all(PLATFORM, options, fake.SECRETS, NOW)
        pull_all(PLATFORM, options, fake.SECRETS, NOW + HOUR, cursors)
    asked = [(e.path.removeprefix("/help_scout/v2"), dict(e.query)) for e in exchanges]
    listed = {"status": "all", "embed": "threads", "sortField": "createdAt", "sortOrder": "asc", "page": "1"}
    assert asked == [
        ("/oauth2/token", {}),
        ("/conversations", listed),
        ("/oauth2/token", {}),
        ("/conversations", {**listed, "modifiedSince": "2026-05-15T11:55:00Z"}),
    ]


def test_a_deleted_conversation_is_left_out_and_a_restored_one_is_back() -> None:
    world = make_world("help_scout", {"tickets": [ANN, BOB]})
    with serve(world, ("help_scout",)) as urls:
        options = Options(base_url=urls["help_scout"] + "/v2")
        frames, cursors = pull_all(PLATFORM, options, fake.SECRETS, NOW)
        world.now, world.records = NOW + DAY, {"tickets": world_frame("help_scout", "tickets", [BOB])}
        frames, cursors = pull_all(PLATFORM, options, fake.SECRETS, NOW + DAY, cursors, frames=frames)
        assert said(frames)["record_id"].to_list() == ["2"]
        back = [{**ANN, "changed_at": NOW + DAY + HOUR}, BOB]
        world.now, world.records = NOW + 2 * DAY, {"tickets": world_frame("help_scout", "tickets", back)}
        frames, _ = pull_all(PLATFORM, options, fake.SECRETS, NOW + 2 * DAY, cursors, frames=frames)
    assert said(frames)["record_id"].to_list() == ["1", "2"]


def test_a_rating_that_comes_weeks_later_is_read() -> None:
    world = make_world("help_scout", {"tickets": [BOB]})
    with serve(world, ("help_scout",)) as urls:
        options = Options(base_url=urls["help_scout"] + "/v2", ratings=True)
        frames, cursors = pull_all(PLATFORM, options, fake.SECRETS, NOW)
        rated = [{**BOB, "satisfaction": "okay", "changed_at": NOW - 20 * DAY}]
        world.records = {"tickets": world_frame("help_scout", "tickets", rated)}
        frames, _ = pull_all(PLATFORM, options, fake.SECRETS, NOW + DAY, cursors, frames=frames)
    assert said(frames)["satisfaction"].to_list() == ["okay"]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("active", ["open"]),
        ("pending", ["pending"]),
        ("closed", ["solved"]),
        ("spam", []),
        ("odd", ["odd"]),
        (None, [None]),
    ],
)
def test_statuses(theirs: str | None, ours: list[str | None]) -> None:
    assert said(raw(status=theirs))["status"].to_list() == ours


@pytest.mark.parametrize(("state", "count"), [("published", 1), (None, 1), ("draft", 0), ("deleted", 0)])
def test_drafts_and_deleted_ones_are_no_cases(state: str | None, count: int) -> None:
    assert said(raw(state=state)).height == count


def test_what_we_wrote_first_is_a_case_once_it_is_answered() -> None:
    ours = {"type": "message", "state": "published", "by": "user", "at": "2026-05-14T12:00:00Z"}
    theirs = {"type": "customer", "state": "published", "by": "customer", "at": "2026-05-14T13:00:00Z"}
    by_us = {"created_by": {"type": "user"}}
    assert said(raw(**by_us, thread_list=[ours])).height == 0
    assert said(raw(**by_us, thread_list=[theirs, ours])).height == 1


def test_the_first_reply_is_the_oldest_published_message_of_a_user() -> None:
    def wrote(minute: int, type_: str = "message", by: str = "user", state: str = "published") -> dict[str, str]:
        return {"type": type_, "state": state, "by": by, "at": f"2026-05-14T12:{minute:02}:00Z"}

    threads = [wrote(9), wrote(7), wrote(5, state="draft"), wrote(4, type_="note"), wrote(3, type_="lineitem"),
               wrote(1, "customer", "customer")]  # fmt: skip
    assert said(raw(thread_list=threads))["first_reply_at"].to_list() == [datetime(2026, 5, 14, 12, 7, tzinfo=UTC)]


def test_a_case_opened_again_is_not_resolved() -> None:
    assert said(raw(closedAt="2026-05-14T13:00:00Z"))["resolved_at"].to_list() == [None]


def test_what_was_written_is_not_kept() -> None:
    with serve(make_world("help_scout", {"tickets": [ANN]}), ("help_scout",)) as urls:
        frames, _ = pull_all(PLATFORM, Options(base_url=urls["help_scout"] + "/v2"), fake.SECRETS, NOW)
    assert "Hello" not in str(frames["conversations"].rows())


def test_help_scouts_own_name_for_the_wait_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    reply = type("Reply", (), {"status_code": 429, "headers": {"X-RateLimit-Retry-After": "7"}})()
    http._name_wait(reply)
    assert reply.headers["Retry-After"] == "7"
