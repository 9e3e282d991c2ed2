"""Twilio, pulled over real HTTP from its fake: what is only Twilio's; the rest is the conformance suite's."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms.twilio import PLATFORM, Options
from journey_pipeline.sandbox.fakes.twilio import ACCOUNT, SECRETS
from journey_pipeline.sandbox.server import serve
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, make_world, pull_all, raw_frame, read_all
from journey_pipeline_tests.platforms.openapi import contract, recorded

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
SERVICE = "MG" + "ab" * 16
TEMPLATES = {"welcome-bootcamp": "Welcome-Bootcamp", "pay": "your payment"}


def sms(number: int, sent_at: datetime = NOW - 2 * DAY, **more: Any) -> dict[str, Any]:
    sid = f"SM{number:032x}"
    return {
        "record_id": sid,
        "occurred_at": sent_at,
        "phone": f"+1212555{number:04d}",
        "url": f"https://www.twilio.com/console/sms/logs/{ACCOUNT}/{sid}",
        "channel": "sms",
        "purpose": "other",
        "delivered_at": sent_at + 4 * SECOND,
        **more,
    }


ANN = sms(1, template_ref=f"twilio:{SERVICE}", purpose="dunning")
BOB = sms(2, channel="whatsapp", opened_at=NOW - DAY, delivered_at=NOW - DAY, template_ref="twilio:welcome-bootcamp",
          purpose="welcome")  # fmt: skip
CYD = sms(3, delivered_at=None, bounced_at=NOW - DAY)
DAN = sms(4, NOW - HOUR, delivered_at=None)


def read(*rows: dict[str, Any], **options: Any) -> Any:
    sent = [
        {"sid": "SM1", "account_sid": "AC1", "direction": "outbound-api", "status": "sent", "to": "+12125550101",
         "date_sent": "Thu, 14 May 2026 12:00:00 +0000", "date_updated": "Thu, 14 May 2026 12:00:09 +0000", **row}
        for row in rows
    ]  # fmt: skip
    return read_all(PLATFORM, {"messages": raw_frame(sent, "messages", NOW)}, Options(**options))["messages"]


class TestTwilio(Conformance):
    case = Case(
        "twilio",
        now={"messages": [ANN, BOB, CYD, DAN]},
        later={"messages": [ANN, BOB, CYD, {**DAN, "delivered_at": NOW + HOUR}, sms(5, NOW + HOUR)]},
        many=lambda count: {"messages": [sms(n) for n in range(count)]},  # all of one second
        counted="messages",
        page_sizes=("PAGE",),
        options={"templates": TEMPLATES, "purposes": {"welcome-bootcamp": "welcome", SERVICE: "dunning"}},
        stays=("messages",),
        described=lambda: contract("twilio", "twilio_api_v2010.json", base="/twilio"),
    )


def test_later_loads_ask_for_whole_days_a_week_back_by_the_literal_name_of_the_parameter() -> None:
    world = make_world("twilio", {"messages": [sms(1, NOW - 8 * DAY), sms(2, NOW - 7 * DAY)]})
    with serve(world, ("twilio",)) as urls, recorded() as exchanges:
        options = Options(base_url=urls["twilio"])
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW)
        assert frames["messages"].height == 2
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW + DAY, cursors)
    assert frames["messages"]["sid"].to_list() == [f"SM{2:032x}"]
    assert [dict(e.query).get("DateSent>") for e in exchanges] == [None, "2026-05-08"]


def test_a_message_of_the_first_second_of_the_oldest_day_is_read_again() -> None:
    midnight = datetime(2026, 5, 8, tzinfo=UTC)
    world = make_world("twilio", {"messages": [sms(1, midnight), sms(2, midnight - SECOND)]})
    with serve(world, ("twilio",)) as urls:
        options = Options(base_url=urls["twilio"])
        _, cursors = pull_all(PLATFORM, options, SECRETS, NOW)
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW, cursors)
    assert frames["messages"]["sid"].to_list() == [f"SM{1:032x}"]


def test_a_status_is_dated_by_the_first_version_that_says_it() -> None:
    """A price that arrives an hour later moves the only time that Twilio tells."""
    at, later = "Thu, 14 May 2026 12:00:04 +0000", "Thu, 14 May 2026 13:00:00 +0000"
    said = read(
        {"status": "delivered", "date_updated": at},
        {"status": "delivered", "date_updated": later, "price": "-0.00790"},
        {"status": "read", "date_updated": "Thu, 14 May 2026 14:00:00 +0000"},
    )
    assert said.select("delivered_at", "opened_at").rows() == [
        (datetime(2026, 5, 14, 12, 0, 4, tzinfo=UTC), datetime(2026, 5, 14, 14, tzinfo=UTC))
    ]


@pytest.mark.parametrize(
    ("status", "sent_is_delivered", "delivered", "opened", "bounced"),
    [
        ("accepted", False, False, False, False),
        ("queued", False, False, False, False),
        ("sending", False, False, False, False),
        ("sent", False, False, False, False),
        ("sent", True, True, False, False),
        ("delivered", False, True, False, False),
        ("read", False, True, True, False),
        ("undelivered", True, False, False, True),
        ("failed", False, False, False, True),
        ("partially_delivered", False, False, False, False),
    ],
)
def test_statuses(status: str, sent_is_delivered: bool, delivered: bool, opened: bool, bounced: bool) -> None:
    said = read({"status": status}, sent_is_delivered=sent_is_delivered)
    at = datetime(2026, 5, 14, 12, 0, 9, tzinfo=UTC)
    assert said.select("delivered_at", "opened_at", "bounced_at").rows() == [
        (at if delivered else None, at if opened else None, at if bounced else None)
    ]


@pytest.mark.parametrize("row", [{"direction": "inbound", "status": "received"}, {"status": "scheduled"},
                                 {"status": "canceled"}])  # fmt: skip
def test_what_was_received_or_never_sent_is_no_message_to_a_buyer(row: dict[str, Any]) -> None:
    assert read(row).is_empty()


@pytest.mark.parametrize(
    ("to", "channel", "phone"),
    [
        ("+12125550101", "sms", "+12125550101"),
        ("whatsapp:+12125550101", "whatsapp", "+12125550101"),
        ("rcs:+12125550101", "rcs", "+12125550101"),
        ("messenger:1234567", "messenger", None),
        ("rcs:brand_agent", "rcs", None),
        (None, "sms", None),
    ],
)
def test_channels(to: str | None, channel: str, phone: str | None) -> None:
    assert read({"to": to}).select("channel", "phone").rows() == [(channel, phone)]


def test_what_a_message_is_for() -> None:
    said = read(
        {"sid": "SM1", "body": "About YOUR PAYMENT", "messaging_service_sid": "MG1", "from": "+15005550006"},
        {"sid": "SM2", "body": "Hi", "messaging_service_sid": "MG1", "from": "+15005550006"},
        {"sid": "SM3", "body": None, "messaging_service_sid": "MG2", "from": "+15005550006"},
        {"sid": "SM4", "body": "Hi", "messaging_service_sid": None, "from": "12345"},
        templates=TEMPLATES,
        purposes={"pay": "dunning", "MG1": "newsletter", "+15005550006": "receipt"},
    )
    assert said.select("record_id", "purpose", "template_ref").rows() == [
        ("SM1", "dunning", "twilio:pay"),
        ("SM2", "newsletter", "twilio:MG1"),
        ("SM3", "receipt", "twilio:MG2"),
        ("SM4", "other", None),
    ]


def test_a_message_that_never_left_is_dated_by_its_creation_and_one_without_a_time_is_left_to_be_rejected() -> None:
    said = read(
        {"sid": "SM1", "status": "failed", "date_sent": None, "date_created": "Thu, 14 May 2026 11:00:00 +0000"},
        {"sid": "SM2", "date_sent": "yesterday"},
    )
    assert said["occurred_at"].to_list() == [datetime(2026, 5, 14, 11, tzinfo=UTC), None]


def test_a_subaccount_is_read_too_and_one_that_is_not_there_is_permanent() -> None:
    with serve(make_world("twilio"), ("twilio",)) as urls, pytest.raises(SourceError) as caught:
        pull_all(PLATFORM, Options(base_url=urls["twilio"], subaccounts=("AC" + "00" * 16,)), SECRETS, NOW)
    assert not caught.value.is_transient
    assert str(caught.value).startswith("twilio messages: answered 404")
