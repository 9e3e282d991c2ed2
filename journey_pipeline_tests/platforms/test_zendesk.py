"""Zendesk, pulled over real HTTP from its fake: what it says, what a second pull brings, and how it fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms import http, zendesk
from journey_pipeline.platforms.zendesk import PLATFORM, Options
from journey_pipeline.sandbox.fakes.zendesk import SECRETS
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

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def ticket(record_id: str, occurred_at: datetime = NOW - DAY, **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "occurred_at": occurred_at,
        "keys": [f"zendesk:900{record_id}"],
        "url": f"https://northwind.zendesk.com/agent/tickets/{record_id}",
        "topic": "other",
        "status": "open",
        **more,
    }


ANN = ticket(
    "1",
    NOW - 9 * DAY,
    changed_at=NOW - 5 * DAY,
    email="Ann.Lee@Example.com",
    phone="+12125550101",
    name="Ann Lee",
    keys=["zendesk:9001", "app:42"],
    topic="access",
    status="solved",
    priority="high",
    first_reply_at=NOW - 9 * DAY + timedelta(minutes=7, seconds=13),
    resolved_at=NOW - 5 * DAY,
    satisfaction="good",
)
BOB = ticket("2", NOW - 3 * DAY, email="bob@example.com", topic="refund", status="pending", first_reply_at=NOW - DAY)
CYD = ticket("3", NOW - 2 * HOUR, email="cyd@example.com", name="Cyd", topic="billing")


@contextmanager
def desk(world: World, **options: Any) -> Iterator[Options]:
    with serve(world, ("zendesk",)) as urls:
        yield Options(base_url=urls["zendesk"], **options)


def pull(
    options: Options, at: datetime = NOW, cursors: Cursors | None = None, frames: Frames | None = None
) -> tuple[Frames, Cursors]:
    return pull_all(PLATFORM, options, SECRETS, at, cursors, frames=frames)


def become(world: World, now: datetime, *tickets: dict[str, Any]) -> None:
    world.now, world.records = now, {"tickets": world_frame("zendesk", "tickets", list(tickets))}


def raw_ticket(**more: Any) -> Frames:
    row = {
        "id": 1, "url": "https://n.zendesk.com/api/v2/tickets/1.json", "status": "open", "requester_id": 9,
        "created_at": "2026-05-14T12:00:00Z", "tags": [], **more,
    }  # fmt: skip
    return {"tickets": raw_frame([row], "tickets", NOW)}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BACKOFF_S", 0.01)


def test_the_last_minute_comes_with_the_next_load() -> None:
    world = make_world("zendesk", {"tickets": [ANN, ticket("4", NOW - timedelta(seconds=59))]})
    with desk(world) as options:
        frames, cursors = pull(options)
        assert frames["tickets"]["id"].to_list() == ["1"]
        world.now = NOW + MINUTE
        frames, _ = pull(options, NOW + MINUTE, cursors, frames)
    assert frames["tickets"]["id"].to_list() == ["1", "4"]


def test_a_deleted_ticket_is_left_out_and_a_restored_one_is_back() -> None:
    world = make_world("zendesk", {"tickets": [ANN, BOB]})
    with desk(world) as options:
        frames, cursors = pull(options)
        become(world, NOW + DAY, BOB)
        frames, cursors = pull(options, NOW + DAY, cursors, frames)
        assert read_all(PLATFORM, frames, options)["tickets"]["record_id"].to_list() == ["2"]
        become(world, NOW + 2 * DAY, {**ANN, "changed_at": NOW + 2 * DAY - HOUR}, BOB)
        frames, _ = pull(options, NOW + 2 * DAY, cursors, frames)
    assert read_all(PLATFORM, frames, options)["tickets"].select("record_id", "status").rows() == [
        ("1", "solved"),
        ("2", "pending"),
    ]


def test_the_cursor_is_kept_and_the_start_time_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zendesk, "PER_PAGE", 2)
    with desk(make_world("zendesk", {"tickets": [ANN, BOB, CYD]})) as options, recorded() as exchanges:
        _, cursors = pull_all(PLATFORM, options, SECRETS, NOW, only=["tickets"])
        pull_all(PLATFORM, options, SECRETS, NOW, cursors, only=["tickets"])
    sent = [{name for name, _ in exchange.query} & {"start_time", "cursor"} for exchange in exchanges]
    assert sent == [{"start_time"}, {"cursor"}, {"cursor"}]


def test_a_cursor_that_stands_still_ends_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def stuck(*_args: Any, **_kwargs: Any) -> dict[str, Any]:
        return {"tickets": [], "after_cursor": "same", "end_of_stream": False}

    monkeypatch.setattr(http.Api, "get", stuck)
    with pytest.raises(SourceError, match="cursor stands still") as caught:
        pull_all(PLATFORM, Options(subdomain="northwind"), SECRETS, NOW)
    assert caught.value.is_transient


def test_metric_sets_beside_the_tickets_are_read_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def beside(*_args: Any, **_kwargs: Any) -> dict[str, Any]:
        return {
            "tickets": [{"id": 1, "created_at": "2026-05-14T12:00:00Z", "status": "open"}, {"id": 2, "status": "open"}],
            "metric_sets": [{"ticket_id": 1, "reply_time_in_minutes": {"calendar": 5, "business": 2}}],
            "after_cursor": "c",
            "end_of_stream": True,
        }

    monkeypatch.setattr(http.Api, "get", beside)
    options = Options(subdomain="northwind")
    frames, _ = pull_all(PLATFORM, options, SECRETS, NOW, only=["tickets"])
    said = read_all(PLATFORM, frames, options)["tickets"]
    assert said["first_reply_at"].to_list() == [datetime.fromisoformat("2026-05-14T12:05:00Z"), None]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("new", "open"),
        ("open", "open"),
        ("pending", "pending"),
        ("hold", "pending"),
        ("solved", "solved"),
        ("closed", "solved"),
        ("brand_new_state", "brand_new_state"),
    ],
)
def test_statuses(theirs: str, ours: str) -> None:
    assert read_all(PLATFORM, raw_ticket(status=theirs), Options())["tickets"]["status"].to_list() == [ours]


@pytest.mark.parametrize(
    ("tags", "subject", "topic"),
    [
        (["vip", "refund"], "", "refund"),
        (["refund", "access"], "", "access"),
        (["no_access"], "", "other"),
        (["login"], "Money back?", "access"),
        ([], "I want my MONEY BACK", "refund"),
        ([], None, "other"),
    ],
)
def test_topics(tags: list[str], subject: str | None, topic: str) -> None:
    options = Options(tags={"access": ("access", "login"), "refund": ("refund",)}, subjects={"refund": ("Money back",)})
    said = read_all(PLATFORM, raw_ticket(tags=tags, subject=subject), options)["tickets"]
    assert said["topic"].to_list() == [topic]


def test_no_topic_at_all_is_allowed() -> None:
    said = read_all(PLATFORM, raw_ticket(tags=["access"]), Options(tags={"access": ()}))["tickets"]
    assert said["topic"].to_list() == ["other"]


def test_a_case_opened_again_is_not_resolved() -> None:
    said = read_all(PLATFORM, raw_ticket(metric_set={"solved_at": "2026-05-14T13:00:00Z"}), Options())["tickets"]
    assert said.select("status", "resolved_at").rows() == [("open", None)]


@settings(deadline=None)
@given(seconds=st.integers(0, 90 * 86400), has_seconds=st.booleans())
def test_first_reply_is_creation_plus_reply_time(seconds: int, has_seconds: bool) -> None:
    metrics: dict[str, Any] = {"reply_time_in_minutes": {"calendar": seconds // 60, "business": 0}}
    if has_seconds:
        metrics["reply_time_in_seconds"] = {"calendar": seconds}
    said = read_all(PLATFORM, raw_ticket(metric_set=metrics), Options())["tickets"]
    after = timedelta(seconds=seconds if has_seconds else seconds // 60 * 60)
    assert said["first_reply_at"].to_list() == [datetime.fromisoformat("2026-05-14T12:00:00Z") + after]


def test_a_ticket_whose_requester_is_not_there_yet_keeps_its_key() -> None:
    said = read_all(PLATFORM, raw_ticket(), Options())["tickets"]
    assert said.select("email", "keys").rows() == [(None, ["zendesk:9"])]


@pytest.mark.parametrize(("external_id", "keys"), [("app:42", ["zendesk:9", "app:42"]), ("42", ["zendesk:9"])])
def test_an_external_id_names_somebody_if_it_says_where(external_id: str, keys: list[str]) -> None:
    users = raw_frame([{"id": 9, "external_id": external_id}], "users", NOW)
    said = read_all(PLATFORM, {**raw_ticket(), "users": users}, Options())["tickets"]
    assert said["keys"].to_list() == [keys]


def test_an_address_is_no_name() -> None:
    users = raw_frame([{"id": 9, "name": "ann@example.com", "email": "ann@example.com"}], "users", NOW)
    said = read_all(PLATFORM, {**raw_ticket(), "users": users}, Options())["tickets"]
    assert said.select("email", "name").rows() == [("ann@example.com", None)]


def test_a_missing_subdomain_is_permanent() -> None:
    with pytest.raises(SourceError, match="add `subdomain") as caught:
        pull_all(PLATFORM, Options(), SECRETS, NOW)
    assert not caught.value.is_transient


def described() -> Contract:
    """Zendesk's own slice of its description, completed: its references lead nowhere.

    Tickets and users come from a third party's description; the parameters from Zendesk's documentation.
    """
    slice_ = contract("zendesk", "ae_incremental-export.yml", base="/zendesk")
    objects = contract("zendesk", "airbyte_zendesk-support.yaml", base="").spec["components"]["schemas"]
    query = {"IncrementalUnixTime": ("start_time", "integer"), "IncrementalCursor": ("cursor", "string"),
             "IncrementalPage": ("per_page", "integer")}  # fmt: skip
    parameters = {
        name: {"in": "query", "name": parameter, "schema": {"type": type_}}
        for name, (parameter, type_) in query.items()
    }
    schemas = {
        **slice_.spec["components"]["schemas"],
        **objects,
        "TicketObject": objects["Ticket"],
        "UserObject": objects["User"],
    }
    return replace(
        slice_,
        spec={**slice_.spec, "components": {"schemas": schemas, "parameters": parameters}},
        # Of the page size its slice for tickets is silent, of side-loads (`metric_sets`) both are but in words.
        also_parameters={"GET /api/v2/incremental/tickets/cursor": ("per_page", "include")},
    )


SOLVED = {
    **CYD, "status": "solved", "first_reply_at": NOW + HOUR, "resolved_at": NOW + 2 * HOUR, "changed_at": NOW + 2 * HOUR,
}  # fmt: skip
MOVED = {**BOB, "email": "bob@elsewhere.example", "changed_at": NOW + HOUR}


class TestZendesk(Conformance):
    case = Case(
        "zendesk",
        now={"tickets": [ANN, BOB, CYD]},
        later={"tickets": [ANN, MOVED, SOLVED]},
        many=lambda count: {"tickets": [ticket(str(n)) for n in range(count)]},  # all of one second
        counted="tickets",
        page_sizes=("PER_PAGE",),
        described=described,
    )


def test_metric_sets_keep_to_the_third_partys_description() -> None:
    vendor = described()
    with desk(make_world("zendesk", {"tickets": [ANN, BOB, CYD]})) as options, recorded() as exchanges:
        pull(options)
    metrics = [row["metric_set"] for exchange in exchanges for row in exchange.answer.get("tickets", ())]
    assert len(metrics) == 3
    for each in metrics:
        vendor.valid("metric_set", {"$ref": "#/components/schemas/TicketMetric"}, each)
