"""Days as ad accounts and web analytics count them: in a time zone of their own, asked for span by span.

Not here: times of single events (translate.py).
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def spans(first: date, last: date, most: timedelta) -> Iterator[tuple[date, date]]:
    """The days from `first` to `last` in spans of `most` days or fewer, none of them twice."""
    while first <= last:
        until = min(first + most - timedelta(days=1), last)
        yield first, until
        first = until + timedelta(days=1)


def midnight(day: str, zone: str) -> str | None:
    """When a day (`2026-05-14` or `20260514`) begins in a zone, as ISO 8601; None for what is no day, like `(other)`."""
    try:
        return datetime.combine(date.fromisoformat(day), time(), ZoneInfo(zone)).isoformat()
    except ValueError:
        return None
