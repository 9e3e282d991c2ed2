"""Figures and times as a reader says them: money, counts, shares, how long ago. Text in, text out; no tables."""

import math
import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

from journey_pipeline.platforms.translate import THREE_DECIMAL, ZERO_DECIMAL

_ADDRESS = re.compile(r"[^\s@<>()\[\]{},;:|\"'=&?/]+(?:@|%40)[^\s@<>()\[\]{},;:|\"'=&?/]+\.\w+", re.IGNORECASE)
_PHONE = re.compile(r"\+\d[\d ().-]{6,}\d")
_STEPS = ((timedelta(days=60), 30, "month"), (timedelta(days=14), 7, "week"), (timedelta(days=1), 1, "day"))
CAUSES = {
    "never_worked": "this never worked: it was not set up, or is mapped wrongly",
    "outage": "an outage: nearly everything of that time is broken",
    "other_identity": "it arrived under another name or address",
    "wrong_product": "they got something else that they did not buy",
    "unmapped": "it is there, but its product is in no offer",
    "arrived_not_applied": "the platform knows the person, but did not act",
    "never_arrived": "the platform never heard of the person",
    "undone": "it was done, and later taken back",
    "gone": "the record that showed it has vanished",
    "delayed_method": "the payment method takes days to settle",
    "by_hand": "somebody did it by hand",
    "unexplained": "not known yet",
}


def money(amount_minor: int, currency: str) -> str:
    """`4,120.00 USD`, `5,000 JPY`, `1.250 KWD`."""
    digits = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    whole, rest = divmod(abs(amount_minor), 10**digits)
    fraction = f".{rest:0{digits}}" if digits else ""
    return f"{'−' if amount_minor < 0 else ''}{whole:,}{fraction}\N{NO-BREAK SPACE}{currency}"  # noqa: RUF001 - a true minus sign


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 rule`, `1,204 rules`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def sure(confidence: float) -> str:
    """Percent, rounded down: what is not certain never reads as 100 %."""
    return f"{math.floor(round(confidence * 1000, 6)) / 10:g}%"


def share(part: int, whole: int) -> str:
    """Percent of a whole; never 0 % of something, never 100 % of less than all."""
    percent = round(100 * part / whole)
    if part and not percent:
        return "under 1\N{NO-BREAK SPACE}%"
    if part < whole and percent == 100:  # noqa: PLR2004
        return "over 99\N{NO-BREAK SPACE}%"
    return f"{percent}\N{NO-BREAK SPACE}%"


def listed(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def lasting(span: timedelta) -> str:
    """`40 minutes`, `5 hours`, `3 days`, `6 weeks`, `5 months`: one unit, rounded down."""
    for least, days, unit in _STEPS:
        if span >= least:
            return count(span.days // days, unit)
    if span >= timedelta(hours=1):
        return count(span.seconds // 3600, "hour")
    return count(max(span.seconds // 60, 0), "minute") if span > timedelta() else "no time"


def day(when: date, today: date) -> str:
    """`today`, `yesterday`, `Tue 12 May`, with the year where it is another one."""
    if (today - when).days in (0, 1):
        return "yesterday" if today > when else "today"
    return f"{when:%a} {when.day} {when:%b}" + (f" {when.year}" if when.year != today.year else "")


def moment(when: datetime, as_of: datetime, zone: ZoneInfo) -> str:
    """`today 09:30`, `Tue 12 May 10:00`, in the business's zone."""
    local = when.astimezone(zone)
    return f"{day(local.date(), as_of.astimezone(zone).date())} {local:%H:%M}"


def plain(name: str) -> str:
    """A name of ours as words: `paid_implies_access` -> `paid implies access`."""
    return name.replace("_", " ")


def cause(name: str) -> str:
    return CAUSES.get(name, plain(name))


def resolution(text: str | None) -> str:
    """How a finding ended: `holds` -> `put right`, `excused:refunded` -> `excused: refunded`."""
    verdict, _, reason = (text or "").partition(":")
    words = {"holds": "put right", "": "no longer asked", "null": "no longer asked", "gone": "the record is gone"}.get(
        verdict, plain(verdict)
    )
    return f"{words}: {plain(reason.strip())}" if reason else words


def headline(*, broken: int, new: int, at_risk: str, is_judged: bool, is_whole: bool) -> tuple[str, str]:
    """The day in one sentence: its first words, which stand out, and the rest. Silence is never praised."""
    if broken:
        of_them = "" if new == broken == 1 else "all " if new == broken else f"{new or 'none'} of them "
        money_too = f"; {at_risk} at risk" if at_risk else ""
        return count(broken, "thing"), f" {'is' if broken == 1 else 'are'} broken, {of_them}new today{money_too}."
    if not is_judged:
        return "Nothing was judged", " on this day."
    if not is_whole:
        return "Not everything could be judged", "; nothing is known to be broken."
    return "Nothing is broken", "."


def amounts(sums: Iterable[tuple[str, int]]) -> str:
    """Sums of several currencies, side by side: `4,120.00 USD and 5,000 JPY`."""
    return listed([money(amount, currency) for currency, amount in sums])


def team(owner: str) -> str:
    """A team's name; of an address, the part before the @."""
    return owner.split("@", maxsplit=1)[0]


def private(value: object) -> object:
    """Whatever is printed, without what looks like an address or a phone number."""
    if not isinstance(value, str):
        return value
    hidden = _PHONE.sub("[phone]", _ADDRESS.sub("[address]", value))
    return value if hidden == value else type(value)(hidden)


def link(url: str | None) -> str | None:
    """A link that can be shown: to the web, and without an address in it."""
    if not url or urlsplit(url).scheme not in ("http", "https") or private(unquote(url)) != unquote(url):
        return None
    return url
