"""What stories are made of: instants and lags drawn at random, and the columns that many stories set alike. No story."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MINUTE, HOUR, DAY = 60, 3_600, 86_400
MONTH = 30 * DAY  # the billing cycle; what entitlement calls a month is a day longer (docs/definitions.md)

FAULT_RATE, ALIKE_RATE = 0.0006, 0.0004  # of all people; about 0.3 % of those whom one invariant speaks of
FAULT_LEAST, ALIKE_LEAST = 2, 1

Sets = dict[str, Any]
"""Columns of the plan and what they are set to: a word, a flag, an instant, a lag, or None for never."""


@dataclass(frozen=True)
class Ago:
    """An instant so many seconds before now."""

    least: float
    most: float


@dataclass(frozen=True)
class After:
    """An instant so many seconds after the story's anchor."""

    least: float
    most: float


@dataclass(frozen=True)
class Lag:
    """So many seconds."""

    least: float
    most: float


@dataclass(frozen=True)
class Story:
    """Columns of the plan that are set; how often it happens; what it breaks or resembles."""

    name: str
    sets: Mapping[str, Any]
    weight: float = 0.0
    breaks: tuple[str, ...] = ()
    resembles: tuple[str, ...] = ()
    record: str | None = None
    """The plan's id column that identifies the subject, where it isn't the invariant's usual one (truth.py)."""
    crowd: int = 1
    """People who share something: the story always befalls that many at once."""
    beside: str | None = None
    """The story that it belongs to: as many crowds of this as there are of that."""
    is_rare: bool = False
    """It happens to no more people in a larger business: were it to several, it would be usual."""

    @property
    def is_healthy(self) -> bool:
        return self.weight > 0


def ago(least_days: float, most_days: float) -> Ago:
    return Ago(least_days * DAY, most_days * DAY)


def minutes(least: float, most: float) -> Ago:
    return Ago(least * MINUTE, most * MINUTE)


def hours(least: float, most: float) -> Ago:
    return Ago(least * HOUR, most * HOUR)


NEVER = None
ALL = ago(0.01, 600)
LEAD: Sets = {"lead": True, "lead_lag": Lag(0, 0)}  # somebody who only asked
ONCE: Sets = {"money": "once"}
BOOTCAMP: Sets = {"product": "bootcamp", **ONCE}
EBOOK: Sets = {"product": "ebook", **ONCE}
BUNDLE: Sets = {"product": "bundle", **ONCE}
WORKBOOK: Sets = {"product": "workbook", **ONCE}
COACHING: Sets = {"product": "coaching", **ONCE}
MEMBER: Sets = {"product": "membership", "money": "subscription", "terms": "month", "sub": "active"}
LIFETIME: Sets = {**MEMBER, "terms": "six"}
ENDED: Sets = {**MEMBER, "sub": "ended"}  # the anchor is when the paid period ran out
UNPAID_ACCESS: Sets = {"customer": "no", "welcome": False}
NOTHING: Sets = {"course": False, "second_course": False, "space": False}
STRANGER: Sets = {"lead": False, "contact": False, "consent": False, "ticket": "none"}
QUIET: Sets = {"ticket": "none", "failed": False}  # nothing else by chance


def healthy(name: str, weight: float, **sets: Any) -> Story:
    return Story(name, {"anchor_at": ALL, **sets}, weight=weight)


def fault(
    name: str, *breaks: str, record: str | None = None, crowd: int = 1, is_rare: bool = False, **sets: Any
) -> Story:
    return Story(name, {**QUIET, **sets}, breaks=breaks, record=record, crowd=crowd, is_rare=is_rare)


def alike(
    name: str, *resembles: str, record: str | None = None, crowd: int = 1, beside: str | None = None, **sets: Any
) -> Story:
    return Story(name, {**QUIET, **sets}, resembles=resembles, record=record, crowd=crowd, beside=beside)
