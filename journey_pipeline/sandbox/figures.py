"""What Northwind Academy advertises and reports: campaigns by day, the board's sheet, web analytics; nobody's records.

What goes wrong with figures is decided here, beside them: no story befalls a figure. Not here: who came by which campaign.
"""

# ruff: noqa: PLR2004 - the shares of a made-up business stand where they are used

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.registry import DAY, TEXT, TIME
from journey_pipeline.sandbox.write import write

ZONE = ZoneInfo("America/New_York")
SPEND_DAYS, MONTHS_REPORTED, ANALYTICS_DAYS = 45, 3, 45
UNTRACKED, BRAND_NEW, VIDEO, AD_FORM = "autumn-lookalikes", "summer", "webinar-teaser", "ad-form"
_DAY = timedelta(days=1)
_META, _GOOGLE = ("meta_ads", "meta"), ("google_costs", "google")
# platform and source, id and name of each campaign; for how many days it has run; clicks beside those of its visits.
_BOUGHT = (
    (*_META, "23002", "brand", SPEND_DAYS, 4),
    (*_META, "23004", "partners", SPEND_DAYS, 4),
    (*_META, "23005", UNTRACKED, 10, 40),
    (*_META, "23006", AD_FORM, 20, 60),
    (*_META, "23007", BRAND_NEW, 1, 50),
    (*_GOOGLE, "23001", "spring", SPEND_DAYS, 4),
    (*_GOOGLE, "23003", "retargeting", SPEND_DAYS, 4),
    ("google_costs", "youtube", "23008", VIDEO, 28, 4),
)
_SHEET, _ANALYTICS = "board sheet", "web analytics"


@dataclass(frozen=True)
class Label:
    """A figure that is wrong, or only looks so (`why`)."""

    invariant: str
    subject_kind: str
    platform: str
    record_id: str
    why: str | None = None


@dataclass(frozen=True)
class Figures:
    """Records of `spend` and `reported`, and what is true of them."""

    spend: pl.DataFrame
    reported: pl.DataFrame
    labels: list[Label]


def figures(payments: pl.DataFrame, touches: pl.DataFrame, now: datetime, *, is_calm: bool) -> Figures:
    """`payments`: one record of each sale. `is_calm`: nothing out of the ordinary happens."""
    sold = _sold(payments)
    bought, ad_labels = _spend(touches, sold, now, is_calm=is_calm)
    said = [*_board(sold, now, is_calm=is_calm), *_analytics(sold, now, is_calm=is_calm)]
    labels = [*ad_labels, *(label for _, label in said if label)]
    return Figures(_written_spend(bought, now), _written_reports([row for row, _ in said], now), labels)


def _sold(payments: pl.DataFrame) -> pl.DataFrame:
    """Sales by day: the day, whether it is a renewal, what came and what of it was kept."""
    paid = payments.filter(pl.col("status") == "succeeded", ~pl.col("is_test")).sort("occurred_at", "record_id")
    first = pl.int_range(pl.len()).over("subscription_ref") == 0
    is_kept = (pl.col("dispute_status") != "lost").fill_null(value=True)
    return paid.select(
        pl.col("occurred_at").dt.convert_time_zone(ZONE.key).dt.date().alias("day"), "currency",
        is_new=pl.col("subscription_ref").is_null() | first, gross=pl.col("amount_minor"),
        net=pl.when(is_kept).then(pl.col("amount_minor") - pl.col("refunded_minor")).otherwise(0),
    )  # fmt: skip


def _spend(
    touches: pl.DataFrame, sold: pl.DataFrame, now: datetime, *, is_calm: bool
) -> tuple[pl.DataFrame, list[Label]]:
    """What each campaign cost each day, and how often it was clicked: more often than visits arrive."""
    today = now.astimezone(ZONE).date()
    rows = [
        (platform, source, id_, name, today - n * _DAY, more, _chance(name, today - n * _DAY))
        for platform, source, id_, name, days, more in _BOUGHT
        for n in range(1, days + 1)
        if not is_calm or name not in (UNTRACKED, AD_FORM, BRAND_NEW)
    ]
    bought = pl.DataFrame(
        rows, schema=["platform", "source", "id", "campaign", "day_on", "more", "chance"], orient="row"
    )
    day = pl.col("occurred_at").dt.convert_time_zone(ZONE.key).dt.date().alias("day_on")
    visits = touches.select("source", "campaign", day).group_by("source", "campaign", "day_on").len("visits")
    monday = _settled_week(now)
    orders = sold.filter("is_new", pl.col("day").is_between(monday, monday + 6 * _DAY)).height
    is_doubled = pl.lit(not is_calm) & (pl.col("campaign") == "brand") & (pl.col("day_on") == monday + 2 * _DAY)
    found = bought.join(visits, on=["source", "campaign", "day_on"], how="left", validate="1:1").with_columns(
        clicks=3 * pl.col("visits").fill_null(0) + pl.col("more") + pl.col("chance") // 300,
        # Google counts forms that were filled in; Meta counts sales, and one week pixel and server both.
        conversions=pl.when(is_doubled).then(2 * orders + 20)
        .when(pl.col("source") == "google").then(6 + pl.col("chance") // 100)
        .when(pl.col("source") == "meta").then(pl.col("chance") // 500).otherwise(0),
    )  # fmt: skip
    week = f"conversions:{monday}:{monday + 6 * _DAY}"
    return found, [] if is_calm else [
        Label("campaign_clicks_are_tracked", "campaign", "meta", UNTRACKED),
        Label("campaign_clicks_are_tracked", "campaign", "meta", BRAND_NEW, "campaign of yesterday"),
        Label("campaign_brings_leads", "campaign", "google", "retargeting", "few visits"),
        Label("ad_conversions_not_above_orders", "report", "meta", week),
        Label("ad_conversions_not_above_orders", "report", "google", week, "conversions that are leads"),
    ]


def _settled_week(now: datetime) -> date:
    """The Monday of the latest whole week that ended more than two days ago."""
    settled = (now - 3 * _DAY).astimezone(ZONE).date()
    return settled - timedelta(days=settled.weekday()) - 7 * _DAY


Row = tuple[str, str, date, date, float, str | None]


def _board(sold: pl.DataFrame, now: datetime, *, is_calm: bool) -> Iterator[tuple[Row, Label | None]]:
    """Orders and net revenue in dollars of the last whole months; one month's orders were counted twice."""
    this = now.astimezone(ZONE).date().replace(day=1)
    for n in range(MONTHS_REPORTED):
        ends, begins = this - _DAY, (this - _DAY).replace(day=1)
        month = sold.filter(pl.col("day").is_between(begins, ends))
        orders, net = month.height, int(month.filter(currency="USD")["net"].sum()) / 100
        period = f"{begins}:{ends}"
        wrong = Label("reported_figure_matches", "report", _SHEET, f"orders:{period}")
        close = Label("reported_figure_matches", "report", _SHEET, f"net_revenue:{period}", "rounded")
        is_twice, is_rounded = not is_calm and n == 2 and orders > 1, not is_calm and n == 1 and net > 1
        yield (
            (_SHEET, "orders", begins, ends, float(orders * (2 if is_twice else 1)), None),
            wrong if is_twice else None,
        )
        yield (_SHEET, "net_revenue", begins, ends, net - 0.01 * is_rounded, "USD"), close if is_rounded else None
        this = begins


def _analytics(sold: pl.DataFrame, now: datetime, *, is_calm: bool) -> Iterator[tuple[Row, Label | None]]:
    """Dollars of new sales that web analytics saw: about four fifths, but for a day without its tag, and yesterday."""
    today = now.astimezone(ZONE).date()
    gross = dict(sold.filter("is_new", currency="USD").group_by("day").agg(pl.col("gross").sum()).iter_rows())
    settled = [n for n in range(5, 12) if gross.get(today - n * _DAY)]
    lost = settled[0] if settled else 0
    usual = sum(gross.get(today - n * _DAY, 0) > 0 for n in range(lost + 1, lost + 29))
    for n in range(1, ANALYTICS_DAYS + 1):
        day = today - n * _DAY
        share = ({} if is_calm else {lost: 0.31, 1: 0.2}).get(n, 0.78 + _chance("analytics", day) / 25_000)
        value = round(gross.get(day, 0) * share) / 100
        found = None
        if n == lost and usual >= 14 and not is_calm:
            found = Label("analytics_ratio_is_steady", "report", _ANALYTICS, f"revenue:{day}:{day}")
        if n == 1 and value and not is_calm:
            found = Label("analytics_ratio_is_steady", "report", _ANALYTICS, f"revenue:{day}:{day}", "not settled")
        yield (_ANALYTICS, "revenue", day, day, value, "USD"), found


def _chance(name: str, day: date) -> int:
    """0 to 999, the same for a name and a day for ever."""
    return int(hashlib.sha256(f"{name}{day}".encode()).hexdigest()[:8], 16) % 1_000


def _began(day: date) -> datetime:
    return datetime.combine(day, time(), ZONE).astimezone(UTC)


def _written_spend(bought: pl.DataFrame, now: datetime) -> pl.DataFrame:
    days = bought["day_on"].unique().sort()
    began = pl.DataFrame({"day_on": days, "at": pl.Series([_began(day) for day in days], dtype=TIME)})
    dated = bought.join(began, on="day_on", validate="m:1").with_columns(who=pl.lit(None, TEXT))
    return pl.concat([
        write("spend", str(platform), rows, {
            "record_id": spelled("{}:{}", "id", "day_on"), "occurred_at": pl.col("at"), "day_on": pl.col("day_on"),
            "source": pl.col("source"), "campaign": pl.col("campaign"), "impressions": 4_000 + pl.col("chance") * 8,
            "clicks": pl.col("clicks"), "cost_minor": 2_500 + pl.col("chance") * 4, "currency": "USD",
            "conversions": pl.col("conversions").cast(pl.Float64), "changed_at": pl.min_horizontal("at", pl.lit(now)),
        })
        for (platform,), rows in dated.partition_by("platform", as_dict=True, maintain_order=True).items()
    ])  # fmt: skip


def _written_reports(rows: list[Row], now: datetime) -> pl.DataFrame:
    schema = pl.Schema({
        "report": TEXT, "metric": TEXT, "starts_on": DAY, "ends_on": DAY, "value": pl.Float64(), "currency": TEXT,
    })  # fmt: skip
    said = pl.DataFrame(rows, schema=schema, orient="row").with_columns(who=pl.lit(None, TEXT))
    is_sheet = pl.col("report") == _SHEET
    told_at = pl.col("ends_on").cast(TIME) + pl.when(is_sheet).then(2 * _DAY).otherwise(_DAY)
    return write("reported", "board", said, {
        "record_id": spelled("{}-{}", "metric", "ends_on"), "occurred_at": told_at,
        **{name: pl.col(name) for name in schema}, "changed_at": pl.min_horizontal(told_at, pl.lit(now)),
    })  # fmt: skip
