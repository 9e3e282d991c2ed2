"""Kit, pulled over real HTTP from its fake: what is only Kit's; the rest is the conformance suite's."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms import kit
from journey_pipeline.platforms.kit import PLATFORM, Options
from journey_pipeline.sandbox.fakes.kit import SECRETS
from journey_pipeline.sandbox.server import serve
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, make_world, pull_all, raw_frame, read_all, world_frame
from journey_pipeline_tests.platforms.openapi import recorded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CREATED = datetime(2026, 1, 1, tzinfo=UTC)


def consent(number: int, occurred_at: datetime = NOW - 40 * DAY, **more: Any) -> dict[str, Any]:
    return {
        "record_id": str(number),
        "occurred_at": occurred_at,
        "email": f"p{number}@example.com",
        "keys": [f"kit:{number}"],
        "url": f"https://app.kit.com/subscribers/{number}",
        "state": "subscribed",
        **more,
    }


def mail(broadcast: int, number: int, sent_at: datetime = NOW - 2 * DAY, **more: Any) -> dict[str, Any]:
    return {
        "record_id": f"{broadcast}:{number}",
        "occurred_at": sent_at,
        "email": f"p{number}@example.com",
        "keys": [f"kit:{number}"],
        "url": f"https://app.kit.com/subscribers/{number}",
        "channel": "email",
        "purpose": "newsletter",
        "template_ref": f"kit:{broadcast}",
        "delivered_at": sent_at,
        **more,
    }


def purchase(number: int, at: datetime = NOW - DAY, **more: Any) -> dict[str, Any]:
    return {
        "record_id": str(number),
        "occurred_at": at,
        "email": "p1@example.com",
        "keys": ["kit:1"],
        "url": "https://app.kit.com/subscribers/1",
        "role": "shop",
        "same_as": [],
        "status": "succeeded",
        "amount_minor": 49900,
        "currency": "USD",
        "product_ref": "kit:course-9",
        **more,
    }


def subscriber(state: str, at: datetime, **more: Any) -> pl.DataFrame:
    row = {"id": 1, "state": state, "created_at": "2026-01-01T00:00:00Z", "email_address": "p1@example.com", **more}
    return raw_frame([row], "subscribers", at)


def read_states(*frames: pl.DataFrame) -> Any:
    return read_all(PLATFORM, {"subscribers": pl.concat(frames, how="diagonal")}, Options())["consents"]


class TestKit(Conformance):
    case = Case(
        "kit",
        now={
            "consents": [
                consent(1, name="Ann Lee", keys=["kit:1", "stripe:cus_1"]),
                consent(2, state="unsubscribed"),
                consent(3, state="cleaned"),
            ],
            "messages": [
                mail(70, 1, name="Ann", opened_at=NOW - DAY, clicked_at=NOW - DAY),
                mail(70, 2, delivered_at=None, bounced_at=NOW - 2 * DAY),
                mail(71, 1, NOW - DAY, purpose="welcome"),
            ],
            "payments": [purchase(5, same_as=["stripe:ch_1"]), purchase(6, product_ref="kit:tip", amount_minor=1999)],
        },
        later={
            "consents": [consent(2, NOW + HOUR), consent(4, NOW + HOUR)],
            "messages": [mail(72, 4, NOW + HOUR)],
            "payments": [purchase(7, NOW + HOUR)],
        },
        many=lambda count: {
            "consents": [consent(n) for n in range(1, count + 1)],
            "messages": [mail(80 + n, m) for n in range(count) for m in range(1, count + 1)],
            "payments": [purchase(n) for n in range(1, count + 1)],
        },
        counted="consents",
        page_sizes=("PAGE", "FILTERED_PAGE"),
        options={"recipients": True, "purchases": True, "purposes": {"71": "welcome"}},
        # Kit tells no time of a change of state, of an open or of a click; the tests below say what stands for it.
        lost={"consents": ("occurred_at",), "messages": ("opened_at", "clicked_at")},
        stays=("consents", "messages"),
    )


def test_a_subscriber_first_seen_active_is_so_since_their_creation_and_what_changes_then_since_we_saw_it() -> None:
    said = read_states(subscriber("active", NOW))
    assert said.select("state", "occurred_at").rows() == [("subscribed", CREATED)]
    out = [subscriber("active", NOW), subscriber("cancelled", NOW + DAY), subscriber("cancelled", NOW + 2 * DAY)]
    assert read_states(*out).select("state", "occurred_at").rows() == [("unsubscribed", NOW + DAY)]
    said = read_states(*out, subscriber("active", NOW + 3 * DAY))
    assert said.select("state", "occurred_at").rows() == [("subscribed", NOW + 3 * DAY)]


def test_where_the_time_of_an_opt_out_is_told_it_counts() -> None:
    said = read_states(subscriber("cancelled", NOW, canceled_at="2026-05-01T10:00:00Z"))
    assert said["occurred_at"].to_list() == [datetime(2026, 5, 1, 10, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("active", "subscribed"),
        ("cancelled", "unsubscribed"),
        ("complained", "unsubscribed"),
        ("bounced", "cleaned"),
        ("paused", "paused"),
    ],
)
def test_states(theirs: str, ours: str) -> None:
    assert read_states(subscriber(theirs, NOW))["state"].to_list() == [ours]


def test_a_subscriber_who_never_confirmed_keeps_what_was_said_before() -> None:
    assert read_states(subscriber("inactive", NOW)).is_empty()
    said = read_states(subscriber("cancelled", NOW), subscriber("inactive", NOW + DAY))
    assert said["state"].to_list() == ["unsubscribed"]


def test_an_open_is_dated_by_the_first_load_that_told_it() -> None:
    world = make_world("kit", {"messages": [mail(70, 1)]})
    with serve(world, ("kit",)) as urls:
        options = Options(base_url=urls["kit"], recipients=True)
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW)
        world.records = {"messages": world_frame("kit", "messages", [mail(70, 1, opened_at=NOW + HOUR)])}
        for day in (1, 2):
            world.now = NOW + day * DAY
            frames, cursors = pull_all(PLATFORM, options, SECRETS, world.now, cursors, frames=frames)
    said = read_all(PLATFORM, frames, options)["messages"]
    assert said.select("record_id", "opened_at", "clicked_at").rows() == [("70:1", NOW + DAY, None)]


def test_who_was_not_delivered_to_has_bounced_but_not_within_a_day() -> None:
    messages = [mail(70, 1, NOW - HOUR, delivered_at=None), mail(71, 1, NOW - 25 * HOUR, delivered_at=None)]
    with serve(make_world("kit", {"messages": messages}), ("kit",)) as urls:
        options = Options(base_url=urls["kit"], recipients=True)
        said = read_all(PLATFORM, pull_all(PLATFORM, options, SECRETS, NOW)[0], options)["messages"]
    assert said.select("record_id", "bounced_at").rows() == [("70:1", None), ("71:1", NOW - 25 * HOUR)]


def test_days_are_asked_for_whole() -> None:
    with serve(make_world("kit", {"messages": [mail(70, 1)]}), ("kit",)) as urls, recorded() as exchanges:
        options = Options(base_url=urls["kit"], recipients=True)
        _, cursors = pull_all(PLATFORM, options, SECRETS, NOW)
        pull_all(PLATFORM, options, SECRETS, NOW + DAY, cursors)
    asked = [dict(e.query) for e in exchanges]
    assert [a["updated_after"] for a in asked if "updated_after" in a] == ["2026-05-13"]
    assert [a["sent_after"] for a in asked if "sent_after" in a] == ["2026-02-14"] * 2 + ["2026-05-07"] * 2


def test_without_the_options_neither_recipients_nor_purchases_are_asked_for() -> None:
    world = make_world("kit", {"messages": [mail(70, 1)], "payments": [purchase(5)]})
    with serve(world, ("kit",)) as urls, recorded() as exchanges:
        pull_all(PLATFORM, Options(base_url=urls["kit"]), {**SECRETS, "KIT_REFRESH_TOKEN": "none"}, NOW)
    assert {e.path for e in exchanges} == {"/kit/v4/subscribers"}


def test_a_grant_that_is_refused_names_what_purchases_need() -> None:
    stale = {**SECRETS, "KIT_REFRESH_TOKEN": "stale-token"}
    with serve(make_world("kit"), ("kit",)) as urls, pytest.raises(SourceError) as caught:
        pull_all(PLATFORM, Options(base_url=urls["kit"], purchases=True), stale, NOW, only=["purchases"])
    assert str(caught.value).startswith("kit purchases: answered 401")
    assert "It needs: OAuth by the account, scope read." in str(caught.value)
    assert "stale-token" not in str(caught.value)


def test_money_and_products_of_purchases() -> None:
    rows = [
        {"id": 1, "total": 81.53, "currency": "usd", "status": "paid", "products": [{"pid": "a"}, {"pid": "b"}]},
        {"id": 2, "total": 5, "currency": "JPY", "status": "refunded", "transaction_id": "796-92-4892",
         "products": [{"pid": "a"}]},
        {"id": 3, "total": 0.1, "currency": "EUR", "transaction_id": "ch_9", "products": []},
    ]  # fmt: skip
    said = read_all(PLATFORM, {"purchases": raw_frame(rows, "purchases", NOW)}, Options())["payments"]
    assert said.select("amount_minor", "currency", "status", "product_ref", "same_as").rows() == [
        (8153, "USD", "succeeded", None, []),
        (5, "JPY", "refunded", "kit:a", []),
        (10, "EUR", None, None, ["stripe:ch_9"]),
    ]


def test_every_page_of_recipients_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kit, "FILTERED_PAGE", 2)
    world = make_world("kit", {"messages": [mail(70, n) for n in range(1, 6)]})
    with serve(world, ("kit",)) as urls:
        options = Options(base_url=urls["kit"], recipients=True)
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW, only=["recipients"])
    assert frames["recipients"].group_by("act").len().sort("act").rows() == [("delivered", 5), ("sent", 5)]
