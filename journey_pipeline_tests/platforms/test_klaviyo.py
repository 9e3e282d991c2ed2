"""Klaviyo, pulled over real HTTP from its fake: what is only Klaviyo's; the rest is the conformance suite's."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from journey_pipeline.platforms import http
from journey_pipeline.platforms.klaviyo import PLATFORM, Options
from journey_pipeline.sandbox.fakes.klaviyo import SECRETS
from journey_pipeline.sandbox.server import serve
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, make_world, pull_all, raw_frame, read_all, world_frame
from journey_pipeline_tests.platforms.openapi import contract, recorded

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


def consent(
    profile: str, occurred_at: datetime = NOW - 40 * DAY, channel: str = "email", **more: Any
) -> dict[str, Any]:
    return {
        "record_id": f"{profile}:{channel}",
        "occurred_at": occurred_at,
        "email": f"{profile}@example.com",
        "keys": [f"klaviyo:{profile}"],
        "url": f"https://www.klaviyo.com/profile/{profile}",
        "state": "subscribed",
        "list_ref": f"klaviyo:{channel}",
        **more,
    }


def mail(record_id: str, at: datetime = NOW - 2 * DAY, profile: str = "ann", **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "occurred_at": at,
        "email": f"{profile}@example.com",
        "keys": [f"klaviyo:{profile}"],
        "url": f"https://www.klaviyo.com/profile/{profile}",
        "channel": "email",
        "purpose": "newsletter",
        "template_ref": "klaviyo:news",
        "delivered_at": at,
        **more,
    }


ANN: dict[str, Any] = {"email": "Ann.Lee@Example.com", "phone": "+12125550101", "name": "Ann Lee", "company": "Northwind",
       "keys": ["klaviyo:ann", "app:42", "stripe:cus_1"]}  # fmt: skip
CONSENTS = [
    consent("ann", **ANN),
    consent("ann", NOW - 30 * DAY, "sms", **ANN),
    consent("bob", NOW - 3 * DAY, state="unsubscribed"),
    consent("bob", NOW - 4 * DAY, "whatsapp", state="unsubscribed"),
    consent("cyd", NOW - 2 * DAY, state="cleaned"),
]
MESSAGES = [
    mail("e1", opened_at=NOW - DAY, clicked_at=NOW - HOUR, **ANN),
    mail("e2", profile="bob", template_ref="klaviyo:hello", purpose="welcome"),
    mail("e3", profile="bob", channel="sms", purpose="sequence", phone="+12125550102", clicked_at=NOW - DAY),
    mail("e4", profile="cyd", delivered_at=None, bounced_at=NOW - 2 * DAY),
]


def read_profile(**subscriptions: Any) -> Any:
    row = {"id": "p", "attributes": {"updated": "2026-05-01T00:00:00+00:00", "subscriptions": subscriptions}}
    return read_all(PLATFORM, {"profiles": raw_frame([row], "profiles", NOW)}, Options())["consents"]


def read_events(*rows: tuple[str, str, datetime], **properties: Any) -> Any:
    events = [
        {"id": id_, "metric": metric, "profile_id": "p", "profile": {"email": "p@example.com"},
         "attributes": {"datetime": at.isoformat(), "event_properties": {"$message": "m", **properties}}}
        for id_, metric, at in rows
    ]  # fmt: skip
    return read_all(PLATFORM, {"events": raw_frame(events, "events", NOW)}, Options())["messages"]


class TestKlaviyo(Conformance):
    case = Case(
        "klaviyo",
        now={"consents": CONSENTS, "messages": MESSAGES},
        later={
            "consents": [consent("bob", NOW + HOUR, changed_at=NOW + HOUR), consent("dan", NOW + 2 * HOUR)],
            "messages": [mail("e5", NOW + HOUR, "dan", opened_at=NOW + 2 * HOUR)],
        },
        many=lambda count: {
            "consents": [consent(f"p{n}") for n in range(count)],  # all of one second
            "messages": [mail(f"e{n}", profile=f"p{n}") for n in range(count)],
        },
        counted="messages",
        page_sizes=("PROFILES_PAGE", "EVENTS_PAGE"),
        options={"purposes": {"hello": "welcome"}},
        stays=("consents", "messages"),
        described=lambda: contract("klaviyo", "stable.json", base="/klaviyo"),
    )


def test_the_filter_is_strict_and_a_change_in_the_second_of_the_last_load_is_not_lost() -> None:
    world = make_world("klaviyo", {"consents": [consent("ann", changed_at=NOW - DAY)]})
    with serve(world, ("klaviyo",)) as urls, recorded() as exchanges:
        options = Options(base_url=urls["klaviyo"])
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW)
        world.now = NOW + DAY
        late = [consent("bob", NOW, changed_at=NOW), consent("cyd", NOW, changed_at=NOW - HOUR)]
        world.records = {"consents": world_frame("klaviyo", "consents", late)}
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW + DAY, cursors, frames=frames)
    assert sorted(frames["profiles"]["id"]) == ["ann", "bob", "cyd"]
    asked = [dict(e.query).get("filter") for e in exchanges if e.path.endswith("/profiles")]
    suppressed = "greater-or-equal(subscriptions.email.marketing.suppression.timestamp,2026-05-15T10:59:59Z)"
    assert asked == [None, "greater-than(updated,2026-05-15T10:59:59Z)", suppressed]


def test_a_suppression_that_moved_no_time_of_change_is_found() -> None:
    world = make_world("klaviyo", {"consents": [consent("ann")]})
    with serve(world, ("klaviyo",)) as urls:
        options = Options(base_url=urls["klaviyo"])
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW)
        world.now = NOW + DAY
        out = consent("ann", NOW + HOUR, state="unsubscribed", changed_at=NOW - 40 * DAY)
        world.records = {"consents": world_frame("klaviyo", "consents", [out])}
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW + DAY, cursors, frames=frames)
    said = read_all(PLATFORM, frames, options)["consents"]
    assert said.select("state", "occurred_at").rows() == [("unsubscribed", NOW + HOUR)]


def test_only_events_of_sending_and_only_what_is_used_of_people_leave_the_vendor() -> None:
    world = make_world("klaviyo", {"messages": MESSAGES})
    with serve(world, ("klaviyo",)) as urls, recorded() as exchanges:
        pull_all(PLATFORM, Options(base_url=urls["klaviyo"]), SECRETS, NOW, only=["events"])
    asked = [dict(e.query) for e in exchanges if e.path.endswith("/events")]
    assert len(asked) == 7
    assert all(a["filter"].startswith('equals(metric_id,"M0000') for a in asked)
    assert not any("M00007" in a["filter"] for a in asked), "orders are no messages"
    assert {a["fields[profile]"] for a in asked} == {
        "email,phone_number,external_id,first_name,last_name,organization,properties"
    }


@pytest.mark.parametrize(
    ("consent_said", "reasons", "state"),
    [
        ("SUBSCRIBED", [], "subscribed"),
        ("UNSUBSCRIBED", [], "unsubscribed"),
        ("UNSUBSCRIBED", ["HARD_BOUNCE"], "unsubscribed"),
        ("SUBSCRIBED", ["HARD_BOUNCE"], "cleaned"),
        ("SUBSCRIBED", ["INVALID_EMAIL"], "cleaned"),
        ("NEVER_SUBSCRIBED", ["SPAM_COMPLAINT"], "unsubscribed"),
        ("SUBSCRIBED", ["HARD_BOUNCE", "USER_SUPPRESSED"], "unsubscribed"),
        ("NEVER_SUBSCRIBED", [], None),
        ("PONDERING", [], "PONDERING"),
    ],
)
def test_states(consent_said: str, reasons: list[str], state: str | None) -> None:
    suppression = [{"reason": r, "timestamp": f"2026-05-0{n}T00:00:00+00:00"} for n, r in enumerate(reasons, 2)]
    said = read_profile(email={"marketing": {"consent": consent_said, "suppression": suppression[::-1]}})
    assert said["state"].to_list() == ([state] if state else [])


def test_a_consent_is_dated_by_what_decided_it() -> None:
    own = {"consent_timestamp": "2026-04-01T00:00:00+00:00", "last_updated": "2026-04-02T00:00:00.123456+00:00"}
    suppressed = {"suppression": [{"reason": "HARD_BOUNCE", "timestamp": "2026-04-03T00:00:00+00:00"}]}
    said = read_profile(
        email={"marketing": {"consent": "SUBSCRIBED", **own, **suppressed}},
        sms={"marketing": {"consent": "SUBSCRIBED", "last_updated": own["last_updated"]}},
        whatsapp={"marketing": {"consent": "UNSUBSCRIBED"}},
    )
    assert dict(said.select("record_id", "occurred_at").rows()) == {
        "p:email": datetime(2026, 4, 3, tzinfo=UTC),
        "p:sms": datetime(2026, 4, 2, 0, 0, 0, 123456, tzinfo=UTC),
        "p:whatsapp": datetime(2026, 5, 1, tzinfo=UTC),
    }


def test_an_open_belongs_to_the_last_receipt_of_the_same_message() -> None:
    """A flow may send one message again and again."""
    said = read_events(
        ("r1", "Received Email", NOW - 9 * DAY),
        ("o1", "Opened Email", NOW - 8 * DAY),
        ("o2", "Opened Email", NOW - 7 * DAY),
        ("r2", "Received Email", NOW - 6 * DAY),
        ("o3", "Opened Email", NOW - 5 * DAY),
        ("c3", "Clicked Email", NOW - 4 * DAY),
        ("o0", "Opened Email", NOW - 10 * DAY),
    )
    assert said.select("record_id", "opened_at", "clicked_at").rows() == [
        ("r1", NOW - 8 * DAY, None),
        ("r2", NOW - 5 * DAY, NOW - 4 * DAY),
    ]


def test_an_event_of_nobody_ties_nobody_to_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    attributes = {"datetime": "2026-05-14T00:00:00+00:00", "event_properties": {"$message": "m"}}
    event = {"id": "e", "attributes": attributes, "relationships": {"profile": {"data": None}}}
    metric = {"id": "M", "attributes": {"name": "Received Email"}}
    monkeypatch.setattr(http.Api, "rows", lambda *_args, **_kwargs: iter([[metric]]))
    monkeypatch.setattr(http.Api, "pages", lambda *_args, **_kwargs: iter([([event], {})]))
    frames, _ = pull_all(PLATFORM, Options(), SECRETS, NOW, only=["events"])
    said = read_all(PLATFORM, frames, Options())["messages"]
    assert said.select("record_id", "email", "keys", "url").rows() == [("e", None, [], None)]


def test_a_mail_program_that_opens_is_nobody() -> None:
    said = read_events(("r", "Received Email", NOW - DAY), ("o", "Opened Email", NOW - HOUR), machine_open=True)
    assert said["opened_at"].to_list() == [None]


def test_an_external_id_that_does_not_say_where_names_nobody() -> None:
    row = {"id": "p", "attributes": {"external_id": "42", "properties": {"crm": "hubspot:7", "note": "at 10:30"},
           "subscriptions": {"sms": {"marketing": {"consent": "SUBSCRIBED"}}}}}  # fmt: skip
    said = read_all(PLATFORM, {"profiles": raw_frame([row], "profiles", NOW)}, Options())["consents"]
    assert said.select("keys", "occurred_at").rows() == [(["klaviyo:p", "hubspot:7"], None)]
