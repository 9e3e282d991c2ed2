"""Freshdesk, pulled over real HTTP from its fake: pages by time, deletions, ratings, statuses of one's own."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms import freshdesk
from journey_pipeline.platforms.base import Pull
from journey_pipeline.platforms.freshdesk import PLATFORM, Options
from journey_pipeline.sandbox.fakes.freshdesk import SECRETS
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
from journey_pipeline_tests.platforms.openapi import Contract, contract, recorded

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


def case(record_id: str, occurred_at: Any = NOW - DAY, **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "occurred_at": occurred_at,
        "keys": [f"freshdesk:9{record_id}"],
        "url": f"https://northwind.freshdesk.com/a/tickets/{record_id}",
        "topic": "other",
        "status": "open",
        "priority": "low",
        **more,
    }


ANN = case(
    "1",
    NOW - 90 * DAY,
    changed_at=NOW - 85 * DAY,
    email="Ann.Lee@Example.com",
    phone="+12125550101",
    name="Ann Lee",
    keys=["freshdesk:91", "app:42"],
    topic="access",
    status="solved",
    priority="urgent",
    first_reply_at=NOW - 90 * DAY + timedelta(seconds=433),
    resolved_at=NOW - 85 * DAY,
    satisfaction="very happy",
)
BOB = case("2", NOW - 3 * DAY, email="bob@example.com", topic="refund", status="pending", first_reply_at=NOW - DAY)
CYD = case("3", NOW - 2 * HOUR, email="cyd@example.com", name="Cyd", topic="billing")


def described() -> Contract:
    """A third party's description, which leaves out what only some of its own requests say."""
    return contract(
        "freshdesk",
        "airbyte_freshdesk.yaml",
        base="/freshdesk/api/v2",
        # Freshdesk documents `include` and `filter`, and for contacts `_updated_since`, not `updated_since`.
        also_parameters={"GET /tickets": ("include", "filter"), "GET /contacts": ("_updated_since",)},
    )


class TestFreshdesk(Conformance):
    case = Case(
        "freshdesk",
        now={"tickets": [ANN, BOB, CYD]},
        later={
            "tickets": [
                {**ANN, "changed_at": NOW + HOUR, "satisfaction": "extremely unhappy"},
                # Bob's was deleted.
                {**CYD, "status": "solved", "first_reply_at": NOW + HOUR, "resolved_at": NOW + 2 * HOUR,
                 "changed_at": NOW + 2 * HOUR},
            ]
        },
        many=lambda count: {"tickets": [case(str(n)) for n in range(count)]},  # all of one second
        counted="tickets",
        page_sizes=("PER_PAGE",),
        options={"subdomain": "northwind"},
        at="/api/v2",
        described=described,
    )  # fmt: skip


def raw(**ticket: Any) -> Frames:
    row = {
        "id": 1, "status": 2, "source": 1, "created_at": "2026-05-14T12:00:00Z", "requester_id": 9,
        "updated_at": "2026-05-14T12:00:00Z", **ticket,
    }  # fmt: skip
    return {"tickets": raw_frame([row], "tickets", NOW)}


def said(frames: Frames, **options: Any) -> Any:
    return read_all(PLATFORM, frames, Options(**options))["tickets"]


@settings(deadline=None, max_examples=8)
@given(gaps=st.lists(st.integers(0, 3), min_size=1, max_size=9))
def test_pages_by_time_lose_nothing_wherever_the_seconds_fall(gaps: list[int]) -> None:
    changed = [NOW - DAY + sum(gaps[:n]) * SECOND for n in range(len(gaps))]
    told = [case(str(n), NOW - 2 * DAY, changed_at=at) for n, at in enumerate(changed)]
    with (
        pytest.MonkeyPatch.context() as patch,
        serve(make_world("freshdesk", {"tickets": told}), ("freshdesk",)) as urls,
    ):
        patch.setattr(freshdesk, "PER_PAGE", 2)
        options = Options(base_url=urls["freshdesk"] + "/api/v2")
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW, only=["tickets"])
    assert set(frames["tickets"]["id"]) == {str(n) for n in range(len(gaps))}


def test_a_ticket_that_changes_while_we_read_hides_none_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted pages would skip ticket 2: with ticket 0 moved to the end, it slides onto the page already read."""
    monkeypatch.setattr(freshdesk, "PER_PAGE", 2)
    told = [case(str(n), NOW - DAY, changed_at=NOW - HOUR + 10 * n * SECOND) for n in range(4)]
    world = make_world("freshdesk", {"tickets": told})
    with serve(world, ("freshdesk",)) as urls:
        options = Options(base_url=urls["freshdesk"] + "/api/v2")
        resource = PLATFORM.resources[0]
        pages = resource.pull(Pull("freshdesk", resource, options, SECRETS, NOW))
        seen = {row["id"] for row in next(pages)}
        moved = [{**told[0], "changed_at": NOW}, *told[1:]]
        world.records = {"tickets": world_frame("freshdesk", "tickets", moved)}
        seen |= {row["id"] for page in pages for row in page}
    assert seen == {0, 1, 2, 3}


def test_no_page_is_asked_for_that_freshdesk_would_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshdesk, "PER_PAGE", 1)
    monkeypatch.setattr(freshdesk, "MOST_PAGES", 3)
    spread = [case(str(n), NOW - DAY, changed_at=NOW - HOUR + 2 * n * SECOND) for n in range(9)]
    at_once = [case(str(n)) for n in range(9)]
    with serve(make_world("freshdesk", {"tickets": spread}), ("freshdesk",)) as urls, recorded() as exchanges:
        pull_all(PLATFORM, Options(base_url=urls["freshdesk"] + "/api/v2"), SECRETS, NOW, only=["tickets"])
        assert max(int(dict(e.query)["page"]) for e in exchanges) <= 3
    with serve(make_world("freshdesk", {"tickets": at_once}), ("freshdesk",)) as urls:
        options = Options(base_url=urls["freshdesk"] + "/api/v2")
        with pytest.raises(SourceError, match="more than 3 tickets changed within a second"):
            pull_all(PLATFORM, options, SECRETS, NOW, only=["tickets"])


def test_a_deleted_ticket_is_left_out_and_a_restored_one_is_back() -> None:
    world = make_world("freshdesk", {"tickets": [ANN, BOB]})
    with serve(world, ("freshdesk",)) as urls:
        options = Options(base_url=urls["freshdesk"] + "/api/v2")
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW)
        world.now, world.records = NOW + DAY, {"tickets": world_frame("freshdesk", "tickets", [BOB])}
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW + DAY, cursors, frames=frames)
        assert said(frames)["record_id"].to_list() == ["2"]
        back = [{**ANN, "changed_at": NOW + DAY + HOUR}, BOB]
        world.now, world.records = NOW + 2 * DAY, {"tickets": world_frame("freshdesk", "tickets", back)}
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW + 2 * DAY, cursors, frames=frames)
    assert said(frames)["record_id"].to_list() == ["1", "2"]


def test_spam_is_left_out_and_both_bins_are_asked_for() -> None:
    with serve(make_world("freshdesk"), ("freshdesk",)) as urls, recorded() as exchanges:
        pull_all(PLATFORM, Options(base_url=urls["freshdesk"] + "/api/v2"), SECRETS, NOW, only=["removed"])
    assert [dict(e.query)["filter"] for e in exchanges] == ["deleted", "spam"]
    spam = raw_frame([{"id": 1, "updated_at": "2026-05-14T12:00:00Z"}], "removed", NOW)
    assert said({**raw(), "removed": spam}).height == 0


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (2, "open"),
        (3, "pending"),
        (4, "solved"),
        (5, "solved"),
        (6, "pending"),
        (7, "pending"),
        (8, "solved"),
        (9, "9"),
    ],
)
def test_statuses(theirs: int, ours: str) -> None:
    told = said(raw(status=theirs, stats={"closed_at": "2026-05-14T13:00:00Z"}), statuses={"8": "solved"})
    assert told["status"].to_list() == [ours]
    assert told["resolved_at"].is_null().to_list() == [ours != "solved"]


@pytest.mark.parametrize(
    ("source", "answered_at", "count"), [(1, None, 1), (None, None, 1), (10, None, 0), (10, "2026-05-14T13:00:00Z", 1)]
)
def test_mail_that_we_began_is_a_case_once_it_is_answered(
    source: int | None, answered_at: str | None, count: int
) -> None:
    assert said(raw(source=source, stats={"requester_responded_at": answered_at})).height == count


def test_the_last_rating_counts_and_an_unknown_one_is_shown_as_it_is() -> None:
    def rated(minute: int, value: int) -> dict[str, Any]:
        return {"ticket_id": 1, "created_at": f"2026-05-14T12:0{minute}:00Z", "ratings": {"default_question": value}}

    ratings = [rated(5, 103), rated(9, -101), rated(7, 100)]
    assert said({**raw(), "ratings": raw_frame(ratings, "ratings", NOW)})["satisfaction"].to_list() == ["unhappy"]
    assert said({**raw(), "ratings": raw_frame([rated(1, 5)], "ratings", NOW)})["satisfaction"].to_list() == ["5"]


@pytest.mark.parametrize(
    ("external_id", "known_as", "keys"),
    [("app:42", "", ["freshdesk:9", "app:42"]), ("42", "", ["freshdesk:9"]), ("42", "app", ["freshdesk:9", "app:42"])],
)
def test_an_external_id_names_somebody_if_it_is_said_where(external_id: str, known_as: str, keys: list[str]) -> None:
    contacts = raw_frame([{"id": 9, "unique_external_id": external_id}], "contacts", NOW)
    assert said({**raw(), "contacts": contacts}, known_as=known_as)["keys"].to_list() == [keys]


def test_without_surveys_no_rating_is_asked_for() -> None:
    with serve(make_world("freshdesk", {"tickets": [ANN]}), ("freshdesk",)) as urls, recorded() as exchanges:
        pull_all(PLATFORM, Options(base_url=urls["freshdesk"] + "/api/v2", ratings=False), SECRETS, NOW)
    assert [e.path for e in exchanges if "satisfaction" in e.path] == []


def test_a_missing_subdomain_is_permanent() -> None:
    with pytest.raises(SourceError, match="add `subdomain") as caught:
        pull_all(PLATFORM, Options(), SECRETS, NOW)
    assert not caught.value.is_transient
