"""Days of ad accounts: spans that meet without a gap or an overlap, and midnights in zones that change their clocks."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journey_pipeline.platforms import days

DAY = timedelta(days=1)


@given(first=st.dates(date(2000, 1, 1), date(2030, 1, 1)), length=st.integers(0, 400), most=st.integers(1, 90))
def test_spans_hold_every_day_once(first: date, length: int, most: int) -> None:
    last = first + length * DAY
    spans = list(days.spans(first, last, most * DAY))
    told = [start + n * DAY for start, until in spans for n in range((until - start).days + 1)]
    assert told == [first + n * DAY for n in range(length + 1)]
    assert max((until - start).days + 1 for start, until in spans) <= most


def test_no_day_no_span() -> None:
    assert list(days.spans(date(2026, 5, 2), date(2026, 5, 1), 90 * DAY)) == []


@pytest.mark.parametrize(
    ("day", "begins"),
    [
        ("2026-05-14", "2026-05-14T00:00:00-04:00"),
        ("20260314", "2026-03-14T00:00:00-04:00"),
        ("20260308", "2026-03-08T00:00:00-05:00"),
        ("(other)", None),
        ("", None),
    ],
)
def test_midnight(day: str, begins: str | None) -> None:
    assert days.midnight(day, "America/New_York") == begins
