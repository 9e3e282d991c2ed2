"""Figures and times in words, spelled out."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from journey_pipeline.report import words

SPACE = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("minor", "currency", "said"),
    [
        (412000, "USD", "4,120.00 USD"),
        (5, "EUR", "0.05 EUR"),
        (5000, "JPY", "5,000 JPY"),
        (1250, "KWD", "1.250 KWD"),
        (0, "USD", "0.00 USD"),
        (-199, "USD", "\N{MINUS SIGN}1.99 USD"),
        (9_007_199_254_740_993, "USD", "90,071,992,547,409.93 USD"),  # beyond what a float holds
    ],
)
def test_money_has_the_digits_of_its_currency(minor: int, currency: str, said: str) -> None:
    assert words.money(minor, currency).replace(SPACE, " ") == said


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(0, 10, "0 %"), (1, 1000, "under 1 %"), (1, 2, "50 %"), (999, 1000, "over 99 %"), (10, 10, "100 %")],
)
def test_a_share_is_never_rounded_to_none_or_to_all(part: int, whole: int, said: str) -> None:
    assert words.share(part, whole).replace(SPACE, " ") == said


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (timedelta(seconds=20), "0 minutes"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(minutes=59), "59 minutes"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(hours=23, minutes=59), "23 hours"),
        (timedelta(days=1, hours=23), "1 day"),
        (timedelta(days=13), "13 days"),
        (timedelta(days=14), "2 weeks"),
        (timedelta(days=59), "8 weeks"),
        (timedelta(days=60), "2 months"),
        (timedelta(hours=-2), "no time"),
    ],
)
def test_how_long_in_one_unit(span: timedelta, said: str) -> None:
    assert words.lasting(span) == said


def test_moments_are_told_in_the_zone_of_the_business() -> None:
    as_of, zone = datetime(2026, 5, 15, 2, 0, tzinfo=UTC), ZoneInfo("America/New_York")  # still the 14th there
    assert words.moment(datetime(2026, 5, 15, 1, 30, tzinfo=UTC), as_of, zone) == "today 21:30"
    assert words.moment(datetime(2026, 5, 14, 3, 0, tzinfo=UTC), as_of, zone) == "yesterday 23:00"
    assert words.moment(datetime(2026, 5, 12, 12, 0, tzinfo=UTC), as_of, zone) == "Tue 12 May 08:00"
    assert words.day(date(2025, 12, 31), date(2026, 5, 14)) == "Wed 31 Dec 2025"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"broken": 7, "new": 3, "at_risk": "4,120.00 USD"}, "7 things are broken, 3 of them new today; 4,120.00 USD at risk."),
        ({"broken": 1, "new": 1}, "1 thing is broken, new today."),
        ({"broken": 1, "new": 0}, "1 thing is broken, none of them new today."),
        ({"broken": 2, "new": 2}, "2 things are broken, all new today."),
        ({"broken": 0, "new": 0}, "Nothing is broken."),
        ({"broken": 0, "new": 0, "is_whole": False}, "Not everything could be judged; nothing is known to be broken."),
        ({"broken": 0, "new": 0, "is_judged": False}, "Nothing was judged on this day."),
    ],
)  # fmt: skip
def test_the_day_in_one_sentence(facts: dict[str, object], said: str) -> None:
    defaults = {"at_risk": "", "is_judged": True, "is_whole": True}
    assert "".join(words.headline(**(defaults | facts))) == said  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("paid by ann.lee+x@mail.example.com (new)", "paid by [address] (new)"),
        ("key:email:ann@example.com:stripe:cus_1", "key:email:[address]:stripe:cus_1"),
        ("https://crm.example/c?email=ann%40example.com", "https://crm.example/c?email=[address]"),
        ("called +1 (555) 010-9999 twice", "called [phone] twice"),
        ("2026-05-15 10:00+00:00, stripe:ch_1, 499.00 USD", "2026-05-15 10:00+00:00, stripe:ch_1, 499.00 USD"),
    ],
)
def test_addresses_and_phones_are_hidden_and_nothing_else(text: str, shown: str) -> None:
    assert words.private(text) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://dashboard.stripe.com/payments/ch_1", True),
        ("http://localhost/x", True),
        ("javascript:alert(1)", False),
        ("https://crm.example/contact?email=ann%40example.com", False),
        ("", False),
        (None, False),
    ],
)
def test_links_lead_to_the_web_and_carry_no_address(url: str | None, *, shown: bool) -> None:
    assert words.link(url) == (url if shown else None)


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ("holds", "put right"), ("excused:refunded", "excused: refunded"), ("gone", "the record is gone"),
        ("null", "no longer asked"), ("pending", "pending"), (None, "no longer asked"),
    ],
)  # fmt: skip
def test_how_a_finding_ended(stored: str | None, said: str) -> None:
    assert words.resolution(stored) == said
