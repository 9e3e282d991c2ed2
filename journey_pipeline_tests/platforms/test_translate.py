"""The formats in which vendors tell money and time, each read back exactly; what can't be read is null."""

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from urllib.parse import urlencode

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journey_pipeline.platforms import translate

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(1990, 1, 1), datetime(2099, 12, 31), timezones=ZONES))  # noqa: DTZ001 - given a zone
def test_a_time_of_mail_headers_is_read_whatever_its_offset(at: datetime) -> None:
    at = at.replace(microsecond=0)
    assert pl.select(translate.rfc2822(pl.lit(format_datetime(at)))).item() == at


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("Thu, 30 Jul 2015 20:12:31 +0000", datetime(2015, 7, 30, 20, 12, 31, tzinfo=UTC)),
        ("Fri, 1 May 2026 09:00:00 GMT", datetime(2026, 5, 1, 9, tzinfo=UTC)),
        ("1 May 2026 09:00 -0500 (EST)", datetime(2026, 5, 1, 14, tzinfo=UTC)),
        ("Fri, 01 May 2026 09:00:00 -0000", datetime(2026, 5, 1, 9, tzinfo=UTC)),
        ("Fri, 01 May 2026 09:00:00 MST", None),
        ("Fri, 31 Feb 2026 09:00:00 +0000", None),
        ("2026-05-01T09:00:00Z", None),
        ("", None),
    ],
)
def test_times_of_mail_headers(text: str, at: datetime | None) -> None:
    assert pl.select(translate.rfc2822(pl.lit(text))).item() == at


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://x.example/?utm_source=google&utm_medium=cpc", "google"),
        ("https://x.example/a?b=1&utm_source=Spring+sale%2c%20%2450#end", "Spring sale, $50"),
        ("https://x.example/?utm_source=100%2525", "100%25"),
        ("https://x.example/?my_utm_source=google", None),
        ("https://x.example/?utm_source=", None),
        ("https://x.example/", None),
        (None, None),
    ],
)
def test_a_parameter_of_a_web_address(address: str | None, said: str | None) -> None:
    frame = pl.DataFrame({"address": [address]}, schema={"address": pl.String})
    assert frame.select(translate.in_address(pl.col("address"), "utm_source")).item() == said


@settings(deadline=None, max_examples=40)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_a_parameter_is_read_as_it_was_escaped(text: str) -> None:
    address = pl.DataFrame({"address": [f"https://x.example/?{urlencode({'q': text})}&more=1"]})
    assert address.select(translate.in_address(pl.col("address"), "q")).item() == text


def test_one_row_beside_every_row_and_none() -> None:
    rows, one = pl.LazyFrame({"a": [1, 2]}), pl.LazyFrame({"b": ["x", "y"]})
    assert translate.beside(rows, one).sort("a").collect().rows() == [(1, "x"), (2, "x")]
    assert translate.beside(rows, one.clear()).sort("a").collect().rows() == [(1, None), (2, None)]


@given(minor=st.integers(0, 10**12), currency=st.sampled_from([("USD", 10_000), ("JPY", 1_000_000), ("KWD", 1_000)]))
def test_micros_of_whole_minor_units_are_exact_in_every_currency(minor: int, currency: tuple[str, int]) -> None:
    code, unit = currency
    assert pl.select(translate.micros(pl.lit(str(minor * unit)), pl.lit(code))).item() == minor


@pytest.mark.parametrize(
    ("text", "code", "minor"),
    [("12344999", "USD", 1234), ("12345000", "USD", 1235), ("499999", "JPY", 0), ("500000", "JPY", 1),
     ("-12340000", "USD", -1234), ("12.5", "USD", None), ("", "USD", None), (None, "USD", None)],
)  # fmt: skip
def test_micros(text: str | None, code: str, minor: int | None) -> None:
    assert pl.select(translate.micros(pl.lit(text, pl.String), pl.lit(code))).item() == minor


@given(st.datetimes(datetime(1990, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC)), st.integers(0, 6))  # noqa: DTZ001 - given a zone
def test_seconds_with_decimals_lose_nothing(at: datetime, digits: int) -> None:
    at = at.replace(microsecond=at.microsecond // 10 ** (6 - digits) * 10 ** (6 - digits))
    whole, fraction = divmod((at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1), 10**6)
    text = f"{whole}.{fraction:06}"[: len(str(whole)) + 1 + digits].rstrip(".")
    assert pl.select(translate.epoch_fraction(pl.lit(text))).item() == at


@pytest.mark.parametrize("text", ["", "x", "1.1234567", "-1", "1e9", "1."])
def test_no_seconds_with_decimals(text: str) -> None:
    assert pl.select(translate.epoch_fraction(pl.lit(text))).item() is None


@pytest.mark.parametrize(
    ("count", "unit", "name"),
    [("1", "month", "month"), ("3", "month", "quarter"), ("12", "month", "year"), ("7", "day", "week"), ("2", "week", None),
     (None, "month", None)],
)  # fmt: skip
def test_intervals(count: str | None, unit: str, name: str | None) -> None:
    assert pl.select(translate.interval(pl.lit(count, pl.String), pl.lit(unit))).item() == name


@pytest.mark.parametrize(
    ("address", "click"),
    [
        ("https://n.example/?utm_source=a&gclid=Cj0K-_x#top", "Cj0K-_x"), ("https://n.example/camp?fbclid=IwAR0", "IwAR0"),
        ("https://n.example/?gclid=", None), ("https://n.example/gclid=1", None), (None, None),
    ],
)  # fmt: skip
def test_clicks_on_ads(address: str | None, click: str | None) -> None:
    assert pl.select(translate.click_id(pl.lit(address, pl.String))).item() == click


def test_texts_are_put_together_without_the_empty_ones() -> None:
    rows = pl.DataFrame({"first": ["Ann ", "", None, " "], "last": ["Lee", " Lee", "Lee", None]})
    assert rows.select(translate.spaced(pl.col("first"), pl.col("last"))).to_series().to_list() == [
        "Ann Lee", "Lee", "Lee", None,
    ]  # fmt: skip


def test_the_first_template_whose_words_fit_names_a_text() -> None:
    words = {"pay": "your payment", "hello": "(hi)"}
    texts = ["About YOUR Payment (hi)", "(Hi) Ann", "hi", "", None]
    named = pl.select(translate.named_by(pl.lit(pl.Series(texts)), words)).to_series().to_list()
    assert named == ["pay", "hello", None, None, None]
    assert pl.select(translate.named_by(pl.lit("hi"), {})).item() is None


def test_what_a_table_does_not_say_is_null() -> None:
    said = pl.DataFrame({"id": ["7", "8", None]})
    assert said.select(translate.looked_up("id", {"7": "welcome"})).to_series().to_list() == ["welcome", None, None]
    assert said.select(translate.looked_up("id", {})).to_series().to_list() == [None, None, None]


@given(st.datetimes(datetime(1900, 1, 1), datetime(2099, 12, 31)), st.sampled_from(["", "+0000", "+1300", "-0500"]))  # noqa: DTZ001 - UTC below
def test_a_date_of_old_net_services_is_read_to_the_millisecond(at: datetime, offset: str) -> None:
    at = at.replace(microsecond=at.microsecond // 1000 * 1000, tzinfo=UTC)
    millis = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert pl.select(translate.ms_date(pl.lit(f"/Date({millis}{offset})/"))).item() == at


@pytest.mark.parametrize("text", ["", "/Date()/", "2026-05-15", "/Date(1x)/", "1541176648927", None])
def test_what_is_no_such_date_is_null(text: str | None) -> None:
    assert pl.select(translate.ms_date(pl.lit(text, pl.String))).item() is None
