"""SendGrid, pulled over real HTTP from its fake: what is only SendGrid's; the rest is the conformance suite's."""

import time
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from journey_pipeline.platforms import http, sendgrid
from journey_pipeline.platforms.base import Pull
from journey_pipeline.platforms.sendgrid import PLATFORM, Options
from journey_pipeline.sandbox.fakes.sendgrid import SECRETS
from journey_pipeline.sandbox.server import serve
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, make_world, pull_all, read_all, world_frame
from journey_pipeline_tests.platforms.openapi import Contract, contract, recorded

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
LISTS = ("unsubscribes", "spam_reports", "bounces", "invalid_emails")


def consent(list_: str, email: str, at: datetime = NOW - 40 * DAY, state: str = "unsubscribed") -> dict[str, Any]:
    return {
        "record_id": f"{list_}:{sha256(email.lower().encode()).hexdigest()[:32]}",
        "occurred_at": at,
        "email": email,
        "state": state,
        "list_ref": f"sendgrid:{list_}",
    }


def mail(record_id: str, at: datetime = NOW - DAY, **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "occurred_at": at,
        "email": f"{record_id}@example.com",
        "channel": "email",
        "purpose": "other",
        "delivered_at": at,
        **more,
    }


def described() -> Contract:
    paged = ("limit", "offset")
    return contract(
        "sendgrid",
        "oai.json",
        base="/sendgrid/v3",
        # Both lists have pages in a third party's description, which is in use; SendGrid's own leaves them out.
        also_parameters={"GET /suppression/bounces": paged, "GET /asm/suppressions": paged},
        # A mail's last event is called a number, and in the same sentence text.
        wrong_answers=("GET /messages",),
    )


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sendgrid, "ACTIVITY_EVERY_S", 0.0)


class TestSendGrid(Conformance):
    case = Case(
        "sendgrid",
        now={
            "consents": [
                consent("unsubscribes", "Ann.Lee@Example.com"),
                consent("spam_reports", "bob@example.com"),
                consent("bounces", "cyd@example.com", state="cleaned"),
                consent("invalid_emails", "dan@example", state="cleaned"),
                consent("17", "Ann.Lee@Example.com"),
                consent("18", "Ann.Lee@Example.com"),
            ],
            "messages": [
                mail("m1", opened_at=NOW - DAY, clicked_at=NOW - DAY, template_ref="sendgrid:hello", purpose="welcome"),
                mail("m2", NOW - 2 * DAY, delivered_at=None, bounced_at=NOW - 2 * DAY),
                mail("m3", NOW - 3 * DAY, delivered_at=None),
            ],
        },
        later={
            "consents": [consent("unsubscribes", "eve@example.com", NOW + HOUR)],
            "messages": [mail("m4", NOW + HOUR)],
        },
        many=lambda count: {
            "consents": [consent(list_, f"p{n}@example.com", state="cleaned" if list_[:3] in ("bou", "inv") else
                                 "unsubscribed") for n in range(count) for list_ in (*LISTS, "17")],
            "messages": [mail(f"m{n}", NOW - n * DAY) for n in range(1, count + 1)],
        },
        counted="messages",
        page_sizes=("PAGE", "FULL_ANSWER"),
        options={"activity": True, "templates": {"hello": "Hello"}, "purposes": {"hello": "welcome"}},
        stays=("messages",),
        described=described,
    )  # fmt: skip


def test_answers_of_the_feed_keep_to_the_vendors_description_but_for_what_contradicts_itself() -> None:
    with serve(make_world("sendgrid", {"messages": [mail("m1")]}), ("sendgrid",)) as urls, recorded() as exchanges:
        pull_all(PLATFORM, Options(base_url=urls["sendgrid"], activity=True), SECRETS, NOW, only=["activity"])
    vendor = described()
    answer = vendor.spec["paths"]["/messages"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    told = answer["properties"]["messages"]["items"]
    kept = {"type": told["type"], "properties": told["properties"], "required": told["required"]}
    assert len(exchanges[0].answer["messages"]) == 1
    vendor.valid("message", kept, exchanges[0].answer["messages"][0])


def test_who_is_taken_off_a_list_is_gone_from_it() -> None:
    world = make_world("sendgrid", {"consents": [consent("unsubscribes", "ann@example.com")]})
    with serve(world, ("sendgrid",)) as urls:
        options = Options(base_url=urls["sendgrid"])
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW)
        world.records = {"consents": world_frame("sendgrid", "consents", [])}
        new, _ = pull_all(PLATFORM, options, SECRETS, NOW + DAY, cursors)
    assert (frames["unsubscribes"].height, new["unsubscribes"].height) == (1, 0)
    assert [r.mode for r in PLATFORM.resources] == ["snapshot"] * 5 + ["changes"]


def test_ids_show_no_address() -> None:
    world = make_world("sendgrid", {"consents": [consent("bounces", "ann@example.com", state="cleaned")]})
    with serve(world, ("sendgrid",)) as urls:
        options = Options(base_url=urls["sendgrid"])
        said = read_all(PLATFORM, pull_all(PLATFORM, options, SECRETS, NOW)[0], options)["consents"]
    assert "ann" not in said["record_id"].item()


def test_a_list_without_pages_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sendgrid, "PAGE", 2)
    rows = [{"email": f"p{n}@example.com", "group_id": 1, "created_at": 1} for n in range(3)]
    monkeypatch.setattr(http.Api, "rows", lambda *_args, **_kwargs: iter([rows]))
    frames, _ = pull_all(PLATFORM, Options(), SECRETS, NOW, only=["group_unsubscribes"])
    assert frames["group_unsubscribes"].height == 3


def test_a_mail_is_dated_by_the_first_version_that_says_so() -> None:
    world = make_world("sendgrid", {"messages": [mail("m1", NOW - HOUR)]})
    with serve(world, ("sendgrid",)) as urls:
        options = Options(base_url=urls["sendgrid"], activity=True)
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW)
        for hours in (2, 30):
            world.now = NOW + hours * HOUR
            opened = mail("m1", NOW - HOUR, opened_at=world.now)
            world.records = {"messages": world_frame("sendgrid", "messages", [opened])}
            frames, cursors = pull_all(PLATFORM, options, SECRETS, world.now, cursors, frames=frames)
    said = read_all(PLATFORM, frames, options)["messages"]
    assert said.select("occurred_at", "delivered_at", "opened_at", "clicked_at").rows() == [
        (NOW - HOUR, NOW - HOUR, NOW + 2 * HOUR, None)
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
def test_an_answer_that_is_full_is_asked_for_in_halves(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sendgrid, "FULL_ANSWER", 3)
    world = make_world("sendgrid", {"messages": [mail(f"m{n}", NOW - n * 3 * DAY - 2 * SECOND) for n in range(count)]})
    with serve(world, ("sendgrid",)) as urls:
        options = Options(base_url=urls["sendgrid"], activity=True)
        said = read_all(PLATFORM, pull_all(PLATFORM, options, SECRETS, NOW)[0], options)["messages"]
    assert said["record_id"].to_list() == [f"m{n}" for n in range(count)]


def test_a_full_second_makes_the_load_partial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sendgrid, "FULL_ANSWER", 3)
    world = make_world("sendgrid", {"messages": [mail(f"m{n}") for n in range(4)]})
    feed = next(r for r in PLATFORM.resources if r.name == "activity")
    with serve(world, ("sendgrid",)) as urls:
        pull = Pull("sendgrid", feed, Options(base_url=urls["sendgrid"], activity=True), SECRETS, NOW)
        rows = sum(len(page) for page in feed.pull(pull))
    assert rows < (pull.expected_rows or 0)


def test_without_the_add_on_it_is_not_asked() -> None:
    with serve(make_world("sendgrid", {"messages": [mail("m1")]}), ("sendgrid",)) as urls, recorded() as exchanges:
        pull_all(PLATFORM, Options(base_url=urls["sendgrid"]), SECRETS, NOW)
    assert {e.path for e in exchanges} == {
        *(f"/sendgrid/v3/suppression/{name}" for name in LISTS), "/sendgrid/v3/asm/suppressions",
    }  # fmt: skip


def test_the_feed_is_asked_no_more_than_six_times_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(sendgrid, "ACTIVITY_EVERY_S", 10.0)
    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setattr(sendgrid, "FULL_ANSWER", 1)
    answers = iter([["m"], [], []])
    monkeypatch.setattr(http.Api, "get", lambda *_args, **_kwargs: {"messages": next(answers)})
    pull_all(PLATFORM, Options(activity=True), SECRETS, NOW, only=["activity"])
    assert waited == [0.0, 10.0, 10.0]
