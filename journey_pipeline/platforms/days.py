"""Spans of time that platforms are asked for: days as ad accounts count them, in a zone of their own; seconds, halved.

Not here: times of single events (translate.py).
"""

from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from journey_pipeline.platforms.base import Row


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


class Answer(NamedTuple):
    """The rows of the seconds from `first` to `last`; where it `is_full`, others are hidden."""

    first: int
    last: int
    rows: list[Row]
    is_full: bool


def halved(first: int, last: int, ask: Callable[[int, int], list[Row]], full: int) -> Iterator[Answer]:
    """What `ask` gives for the seconds from `first` to `last`, in answers that are not full.

    A platform that gives no more than `full` rows is asked again for either half: only within a single second is any hidden.
    """
    windows = [(first, last)]
    while windows:
        first, last = windows.pop()
        rows = ask(first, last)
        if len(rows) >= full and first < last:
            middle = (first + last) // 2
            windows += [(middle + 1, last), (first, middle)]
        else:
            yield Answer(first, last, rows, len(rows) >= full)
