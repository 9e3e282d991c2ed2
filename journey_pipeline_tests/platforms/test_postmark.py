"""Postmark, pulled over real HTTP from its fake: what is only Postmark's; the rest is the conformance suite's."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from journey_pipeline.platforms import postmark
from journey_pipeline.platforms.base import Pull
from journey_pipeline.platforms.postmark import PLATFORM, Options
from journey_pipeline.sandbox.fakes import postmark as fake
from journey_pipeline.sandbox.fakes.postmark import SECRETS
from journey_pipeline.sandbox.server import serve
from journey_pipeline.sandbox.world import World
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, make_world, pull_all, raw_frame, read_all, world_frame
from journey_pipeline_tests.platforms.openapi import recorded

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


def mail(record_id: str, sent_at: datetime = NOW - 2 * DAY, **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "occurred_at": sent_at,
        "email": f"{record_id}@example.com",
        "channel": "email",
        "purpose": "welcome",
        "template_ref": "postmark:welcome",
        "delivered_at": sent_at,
        **more,
    }


ANN = mail("m-ann", name="Ann Lee", email="Ann.Lee@Example.com", keys=["stripe:cus_1", "app:42"], opened_at=NOW - DAY,
           clicked_at=NOW - HOUR)  # fmt: skip
BOB = mail("m-bob", delivered_at=None, bounced_at=NOW - DAY, purpose="other", template_ref="postmark:alert")
CYD = mail("m-cyd", purpose="newsletter", template_ref=None)
DAN = mail("m-dan", NOW, delivered_at=None, purpose="dunning", template_ref="postmark:pay-now", is_test=True)


def read_one(row: dict[str, Any], **frames: list[dict[str, Any]]) -> Any:
    told = {"MessageID": "m", "Recipients": ["a@example.com"], "ReceivedAt": "2026-05-14T08:00:00.1234567-04:00",
            "Status": "Sent", **row}  # fmt: skip
    raw = {name: raw_frame(rows, name, NOW) for name, rows in {"messages": [told], **frames}.items()}
    return read_all(PLATFORM, raw, Options())["messages"]


class TestPostmark(Conformance):
    case = Case(
        "postmark",
        now={"messages": [ANN, BOB, CYD, DAN]},
        later={"messages": [mail("m-eve", NOW + HOUR, opened_at=NOW + 2 * HOUR), {**DAN, "delivered_at": NOW}]},
        many=lambda count: {
            "messages": [mail(f"m{n}", opened_at=NOW - DAY) for n in range(count)]
        },  # all of one second
        counted="messages",
        page_sizes=("PAGE",),
        options={"purposes": {"pay-now": "dunning", "broadcast": "newsletter"}},
        stays=("messages",),
    )


@pytest.mark.parametrize("count", [1, 3, 4, 5, 9])
def test_a_search_that_is_too_deep_is_asked_for_in_halves(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (postmark, fake):
        monkeypatch.setattr(module, "DEEPEST", 4)
    monkeypatch.setattr(postmark, "PAGE", 2)
    world = make_world("postmark", {"messages": [mail(f"m{n}", NOW - n * 4 * DAY - SECOND) for n in range(count)]})
    with serve(world, ("postmark",)) as urls:
        frames, _ = pull_all(PLATFORM, Options(base_url=urls["postmark"]), SECRETS, NOW, only=["messages"])
    assert sorted(frames["messages"]["message_id"]) == [f"m{n}" for n in range(count)]


def expected_and_given(world: World, resource: str, cursor: str | None = None) -> tuple[int | None, int]:
    asked = next(r for r in PLATFORM.resources if r.name == resource)
    with serve(world, ("postmark",)) as urls:
        pull = Pull("postmark", asked, Options(base_url=urls["postmark"]), SECRETS, NOW, cursor=cursor)
        rows = sum(len(page) for page in asked.pull(pull))
    return pull.expected_rows, rows


def test_a_second_with_too_many_makes_the_load_partial(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (postmark, fake):
        monkeypatch.setattr(module, "DEEPEST", 4)
    monkeypatch.setattr(postmark, "PAGE", 2)
    world = make_world("postmark", {"messages": [mail(f"m{n}") for n in range(5)]})
    expected, given = expected_and_given(world, "messages")
    assert 4 <= given < (expected or 0)


def test_more_opens_than_can_be_seen_make_every_load_but_the_first_partial(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (postmark, fake):
        monkeypatch.setattr(module, "DEEPEST", 4)
    monkeypatch.setattr(postmark, "PAGE", 2)
    world = make_world("postmark", {"messages": [mail(f"m{n}", opened_at=NOW - 2 * HOUR) for n in range(3)]})
    assert expected_and_given(world, "opens") == (4, 4)
    assert expected_and_given(world, "opens", f'{{"until": "{(NOW - DAY).isoformat()}"}}') == (5, 4)


def test_opens_are_read_down_to_the_last_load_and_a_day_more() -> None:
    world = make_world("postmark", {"messages": [mail("m1", NOW - 9 * DAY, clicked_at=NOW - 8 * DAY)]})
    with serve(world, ("postmark",)) as urls:
        options = Options(base_url=urls["postmark"])
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW)
        world.now = NOW + DAY
        clicked = [mail("m1", NOW - 9 * DAY, clicked_at=NOW - 8 * DAY), mail("m2", NOW - 9 * DAY, clicked_at=NOW - DAY),
                   mail("m3", NOW - 9 * DAY, clicked_at=NOW - DAY - SECOND)]  # fmt: skip
        world.records = {"messages": world_frame("postmark", "messages", clicked)}
        new, _ = pull_all(PLATFORM, options, SECRETS, NOW + DAY, cursors)
    assert (frames["clicks"]["message_id"].to_list(), new["clicks"]["message_id"].to_list()) == (["m1"], ["m2"])


@given(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - given a zone
@example(datetime(2026, 11, 1, 5, 30, tzinfo=UTC))
@example(datetime(2026, 11, 1, 6, 30, tzinfo=UTC))
@example(datetime(2026, 3, 8, 7, tzinfo=UTC))
def test_a_wall_clock_asks_for_no_less_however_it_is_understood(at: datetime) -> None:
    at = at.replace(microsecond=0)
    for fold in (0, 1):
        first, last = (
            datetime.fromisoformat(postmark._eastern(at, margin)).replace(tzinfo=postmark.EASTERN, fold=fold)
            for margin in (-HOUR, HOUR)
        )
        assert first.astimezone(UTC) <= at <= last.astimezone(UTC)


def test_the_hour_that_comes_twice_is_read_once() -> None:
    """01:30 in New York on 1 November is 05:30 and 06:30 UTC."""
    now = datetime(2026, 11, 1, 6, 31, tzinfo=UTC)
    sent = [datetime(2026, 11, 1, hour, 30, tzinfo=UTC) for hour in (4, 5, 6)]
    world = make_world("postmark", {"messages": [mail(f"m{n}", at) for n, at in enumerate(sent)]}, now)
    with serve(world, ("postmark",)) as urls, recorded() as exchanges:
        frames, _ = pull_all(PLATFORM, Options(base_url=urls["postmark"], streams=("outbound",)), SECRETS, now)
    assert sorted(frames["messages"]["message_id"]) == ["m0", "m1", "m2"]
    assert dict(exchanges[0].query)["todate"] == "2026-11-01T02:31:00"
    said = read_all(PLATFORM, frames, Options())["messages"]
    assert said["occurred_at"].to_list() == sent


def test_a_mail_to_several_is_one_message_each() -> None:
    said = read_one(
        {"Recipients": ["a@example.com", "B@Example.com"], "To": [{"Email": "b@example.com", "Name": "Bo"}]},
        opens=[{"MessageID": "m", "Recipient": "b@example.com", "ReceivedAt": "2026-05-14T13:00:00+00:00"}],
        bounces=[
            {"MessageID": "m", "Email": "a@example.com", "Type": "SoftBounce", "BouncedAt": "2026-05-14T12:00:00Z"}
        ],
    )
    sent = datetime(2026, 5, 14, 12, 0, 0, 123456, tzinfo=UTC)
    assert said.select("record_id", "email", "name", "delivered_at", "opened_at", "bounced_at").rows() == [
        ("m:a@example.com", "a@example.com", None, None, None, datetime(2026, 5, 14, 12, tzinfo=UTC)),
        ("m:b@example.com", "B@Example.com", "Bo", sent, datetime(2026, 5, 14, 13, tzinfo=UTC), None),
    ]


@pytest.mark.parametrize(
    ("type_", "is_bounce"),
    [("HardBounce", True), ("SoftBounce", True), ("DnsError", True), ("Blocked", True), ("Transient", False),
     ("SpamComplaint", False), ("AutoResponder", False), ("Unsubscribe", False)],
)  # fmt: skip
def test_what_is_a_bounce(type_: str, is_bounce: bool) -> None:
    bounce = {"MessageID": "m", "Email": "a@example.com", "Type": type_, "BouncedAt": "2026-05-14T12:00:00Z"}
    said = read_one({}, bounces=[bounce])
    assert [said[c].item() is not None for c in ("bounced_at", "delivered_at")] == [is_bounce, not is_bounce]


@pytest.mark.parametrize(
    ("tag", "stream", "purpose"),
    [("receipt", "outbound", "receipt"), ("", "broadcast", "newsletter"), ("cart", "broadcast", "cart"),
     ("alert", "outbound", "other"), (None, None, "other")],
)  # fmt: skip
def test_what_a_mail_is_for(tag: str | None, stream: str | None, purpose: str) -> None:
    assert read_one({"Tag": tag, "MessageStream": stream})["purpose"].to_list() == [purpose]


def test_several_servers_are_read() -> None:
    world = make_world("postmark", {"messages": [ANN]})
    twice = {"POSTMARK_SERVER_TOKEN": "sandbox, sandbox"}
    with serve(world, ("postmark",)) as urls:
        frames, _ = pull_all(PLATFORM, Options(base_url=urls["postmark"]), twice, NOW)
    assert frames["messages"].height == 2
