"""Slack, pulled over real HTTP from its fake: what a message is about, what is kept of it, and how Slack says no."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms import http
from journey_pipeline.platforms.slack import PLATFORM, Options, _told
from journey_pipeline.sandbox.fakes.slack import CHANNELS, SECRETS
from journey_pipeline.sandbox.server import serve
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, make_world, pull_all, read_all, world_frame
from journey_pipeline_tests.platforms.openapi import Contract, contract

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SALES, DISPUTES = "C0SALES01", "C0DISPUTES"


def told(
    ago: timedelta = HOUR, about: str | None = None, channel: str = SALES, nth: int = 1, **more: Any
) -> dict[str, Any]:
    at = NOW - ago
    ts = f"{int(at.timestamp())}.{at.microsecond:06}"
    return {
        "record_id": f"{channel}:{ts}" + (f":{nth}" if nth > 1 else ""),
        "occurred_at": at,
        "url": f"https://northwind.slack.com/archives/{channel}/p{ts.replace('.', '')}",
        "channel": CHANNELS[channel],
        "about_ref": about,
        **more,
    }


SALE = told(2 * HOUR, "stripe:ch_1", email="ann@example.com", keys=["stripe:cus_1"])
TWO = [told(3 * HOUR, "stripe:ch_2"), told(3 * HOUR, "paypal:9AB-1", nth=2)]
ORDER = told(timedelta(hours=1, microseconds=7), "shopify:5001")
WORDS = told(DAY)
RISKY = told(DAY, "stripe:ch_1", channel=DISPUTES)


def described() -> Contract:
    """Slack's last published description, of 2021: it lacks the cursor in answers, and knows of no empty history."""
    official = contract("slack", "slack_web_openapi_v2.json", base="/slack")
    spec = json.loads(json.dumps(official.spec))
    answer = spec["paths"]["/conversations.history"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    answer["properties"]["response_metadata"] = {"type": "object", "required": ["next_cursor"]}
    del answer["properties"]["messages"]["minItems"]
    return replace(official, spec=spec)


class TestSlack(Conformance):
    case = Case(
        "slack",
        now={"notifications": [SALE, *TWO, ORDER, WORDS, RISKY]},
        later={"notifications": [SALE, *TWO, {**ORDER, "about_ref": "shopify:5002"}, WORDS, RISKY, told(-HOUR)]},
        many=lambda count: {"notifications": [told(n * HOUR) for n in range(count)]},
        counted="notifications",
        page_sizes=("PAGE",),
        options={"channels": CHANNELS},
        described=described,
    )


def said_no(monkeypatch: pytest.MonkeyPatch, **body: str) -> SourceError:
    def pages(*_args: Any, **_kwargs: Any) -> Any:
        yield [], {"ok": False, **body}

    monkeypatch.setattr(http.Api, "get", lambda *_: {"ok": True, "url": "https://n.slack.com/"})
    monkeypatch.setattr(http.Api, "pages", pages)
    with pytest.raises(SourceError) as caught:
        pull_all(PLATFORM, Options(channels=CHANNELS), SECRETS, NOW)
    return caught.value


@pytest.mark.parametrize(
    ("body", "sentence", "is_transient"),
    [
        ({"error": "missing_scope", "needed": "groups:history"}, "add the scope groups:history", False),
        ({"error": "not_in_channel"}, "is not in channel C0SALES01; invite it there", False),
        ({"error": "channel_not_found"}, "no channel C0SALES01 that the app can see", False),
        ({"error": "token_revoked"}, "token was refused (token_revoked); check SLACK_BOT_TOKEN", False),
        ({"error": "internal_error"}, "Slack answered internal_error", True),
        ({"error": "brand_new_error"}, "Slack answered brand_new_error", False),
    ],
)
def test_slack_says_no_with_http_200(
    monkeypatch: pytest.MonkeyPatch, body: dict[str, str], sentence: str, is_transient: bool
) -> None:
    error = said_no(monkeypatch, **body)
    assert sentence in str(error)
    assert error.is_transient is is_transient


def test_a_channel_that_the_app_is_not_in_ends_the_load() -> None:
    with (
        serve(make_world("slack", {"notifications": [SALE]}), ("slack",)) as urls,
        pytest.raises(SourceError) as caught,
    ):
        pull_all(PLATFORM, Options(base_url=urls["slack"], channels={"C0GONE": "gone"}), SECRETS, NOW)
    assert str(caught.value).startswith("slack messages: there is no channel C0GONE")


def test_edits_of_the_last_two_days_are_seen() -> None:
    edge, before = told(2 * DAY, "stripe:ch_7"), told(2 * DAY + timedelta(microseconds=1), "stripe:ch_8")
    world = make_world("slack", {"notifications": [edge, before]})
    with serve(world, ("slack",)) as urls:
        options = Options(base_url=urls["slack"], channels={SALES: "sales"})
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW)
        edited = [{**row, "about_ref": "stripe:ch_9"} for row in (edge, before)]
        world.records = {"notifications": world_frame("slack", "notifications", edited)}
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW, cursors, frames=frames)
    said = read_all(PLATFORM, frames, options)["notifications"]
    assert said["about_ref"].to_list() == ["stripe:ch_8", "stripe:ch_9"]


def test_a_channel_that_is_added_is_read_from_its_beginning() -> None:
    sale, dispute = told(20 * DAY), told(20 * DAY, channel=DISPUTES)
    with serve(make_world("slack", {"notifications": [sale, dispute]}), ("slack",)) as urls:
        options = Options(base_url=urls["slack"], channels={SALES: "sales"})
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW)
        options = Options(base_url=urls["slack"], channels=CHANNELS)
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW + HOUR, cursors, frames=frames)
    assert frames["messages"]["channel"].to_list() == [SALES, DISPUTES]


def about(options: Options | None = None, **message: Any) -> tuple[list[str | None], list[str], str | None]:
    rows = _told({"ts": "1.000000", **message}, SALES, "https://n.slack.com/", options or Options())
    return [row["about"] for row in rows], rows[0]["people"], rows[0]["email"]


@pytest.mark.parametrize(
    ("text", "refs"),
    [
        ("Paid: stripe:ch_1.", ["stripe:ch_1"]),
        ("(paypal:9AB-12C), zendesk:7", ["paypal:9AB-12C", "zendesk:7"]),
        ("stripe:ch_1 again stripe:ch_1", ["stripe:ch_1"]),
        ("<https://dashboard.stripe.com/payments/ch_1|View>", ["stripe:ch_1"]),
        ("<https://dashboard.stripe.com/acct_1/test/payments/py_1?x=1&amp;y|View>", ["stripe:py_1"]),
        ("<https://dashboard.stripe.com/subscriptions/sub_1>", ["stripe:sub_1"]),
        ("<https://www.sandbox.paypal.com/activity/payment/5TY05013RG>", ["paypal:5TY05013RG"]),
        ("<https://admin.shopify.com/store/north-wind/orders/450789469|#1001>", ["shopify:450789469"]),
        ("<https://vendors.paddle.com/transactions-v2/txn_01h>", ["paddle:txn_01h"]),
        ("see https://slack:443 at 12:30, note:this", [None]),
        ("Well:stripe: no id", [None]),
        ("", [None]),
    ],
)
def test_what_a_message_is_about(text: str, refs: list[str | None]) -> None:
    assert about(text=text) == (refs, [], None)


def test_blocks_and_attachments_are_read_and_people_are_not_what_it_is_about() -> None:
    blocks = [{"type": "section", "fields": [{"type": "mrkdwn", "text": "*Order* shopify:1"}]}]
    attachments = [
        {"title_link": "https://dashboard.stripe.com/customers/cus_1", "fields": [{"value": "stripe:cus_2"}]}
    ]
    assert about(blocks=blocks, attachments=attachments) == (["shopify:1"], ["stripe:cus_1", "stripe:cus_2"], None)


def test_own_patterns_and_own_people() -> None:
    options = Options(links={r"shop\.example/orders/(\d+)": r"exports:\1"}, own_domains=("northwind.example",))
    text = "sam@northwind.example sold https://shop.example/orders/77 to <mailto:Ann@x.example|Ann>"
    assert about(options, text=text) == (["exports:77"], [], "Ann@x.example")


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="is not a pattern"):
        Options(links={"(": "x:1"})


def test_people_coming_and_going_are_no_notification(monkeypatch: pytest.MonkeyPatch) -> None:
    joined = [{"ts": "1.000000", "subtype": "channel_join", "text": "x"}, {"ts": "2.000000", "text": "y"}]
    monkeypatch.setattr(http.Api, "get", lambda *_: {"ok": True, "url": "https://n.slack.com/"})
    monkeypatch.setattr(http.Api, "pages", lambda *_, **__: iter([(joined, {"ok": True})]))
    frames, _ = pull_all(PLATFORM, Options(channels={SALES: "sales"}), SECRETS, NOW)
    assert frames["messages"]["ts"].to_list() == ["2.000000"]


@given(words=st.text(st.characters(categories=("Lu", "Ll")), min_size=30, max_size=60))
def test_no_word_is_kept(words: str) -> None:
    rows = _told({"ts": "1.000000", "text": f"{words} stripe:ch_1 {words}"}, SALES, "https://n.slack.com/", Options())
    assert words not in json.dumps(rows, ensure_ascii=False)


def test_without_channels_it_is_not_as_if_nobody_was_told_anything() -> None:
    with pytest.raises(SourceError, match="no channels are set; add `channels") as caught:
        pull_all(PLATFORM, Options(), SECRETS, NOW)
    assert not caught.value.is_transient
