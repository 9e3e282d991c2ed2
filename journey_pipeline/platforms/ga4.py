"""Google Analytics 4: what it counted a day: sessions, key events, purchases and revenue.

Reads   /v1beta/properties/{property}:runReport by `date`
Says    reported: one per day and metric, report `ga4`; `ga4 sampled` where Google says that the figures are not whole
Cursor  By day up to yesterday, three days back: Google restates for 24 to 72 hours. The first load goes 14 months back.
Money   Revenue is decimal text in major units of the currency that the report names; the figure keeps them.
Joins   none: figures, no people. They stand beside what was really sold (reported_vs_actual).
Needs   GOOGLE_SERVICE_ACCOUNT_KEY, the JSON key of a service account whose address is a Viewer of the property (Admin >
        Property access management), with the Google Analytics Data API switched on in its project; `property`.
Assumes Days are the property's: its time zone should be the business's. A figure is not whole where the report was
        sampled, hid small groups (thresholding) or has data in a row `(other)`; that row itself is rejected. A day on
        which nothing was counted has no row. The Data API's quota is 429 and then an hour: the next run tries again.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base, days, translate
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, by_offset, service_account

PER_PAGE = 10_000
RESTATED = timedelta(days=3)
HISTORY = timedelta(days=425)
READ_ONLY = "https://www.googleapis.com/auth/analytics.readonly"
_GOOGLES_OWN = "https://analyticsdata.googleapis.com"


class Options(base.Options):
    """Options of Google Analytics 4."""

    base_url: str = _GOOGLES_OWN
    auth_url: str = ""
    """Where tokens are granted; empty: where the key says, or `/token` under another `base_url`."""
    property: str = ""
    """The property's number, from Admin > Property details."""
    timezone: str = "UTC"
    """The property's time zone, to know which day was yesterday."""
    metrics: Mapping[str, str] = {
        "sessions": "sessions",
        "keyEvents": "key_events",
        "ecommercePurchases": "purchases",
        "purchaseRevenue": "revenue",
    }
    """Metrics as Google names them, ten at most, and as we do."""


def daily(pull: Pull) -> Iterator[list[Row]]:
    options: Options = pull.options
    api = Api(pull, options.base_url, auth=_auth(pull))
    if not options.property:
        sentence = 'no property is set; add `property: "123456789"` (Admin > Property details) to the options of ga4.'
        raise api.refused(sentence)
    yesterday = pull.loaded_at.astimezone(ZoneInfo(options.timezone)).date() - timedelta(days=1)
    since = pull.since(RESTATED)
    first = since.astimezone(ZoneInfo(options.timezone)).date() if since else yesterday - HISTORY
    asked = {
        "dateRanges": [{"startDate": first.isoformat(), "endDate": yesterday.isoformat()}],
        "dimensions": [{"name": "date"}],
        "metrics": [{"name": name} for name in options.metrics],
    }
    path = f"/v1beta/properties/{options.property}:runReport"
    by = by_offset(PER_PAGE, total="rowCount", in_body=True)
    for rows, body in api.pages(path, by=by, rows="rows", json=asked):
        yield [figure for row in rows for figure in _figures(row, body, options.property)]
    pull.until()


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Raw figures, of all versions."""
    day = pl.col("date").str.to_date("%Y%m%d", strict=False)
    is_part = (
        translate.path("metadata", "$.samplingMetadatas[0]").is_not_null()
        | translate.path("metadata", "$.dataLossFromOtherRow").eq_missing("true")
        | translate.path("metadata", "$.subjectToThresholding").eq_missing("true")
    )
    metric = pl.col("metric").replace(dict(options.metrics))
    figure = {
        "record_id": spelled("{}:{}:{}", "property", pl.coalesce(day.dt.to_string("%Y-%m-%d"), "date"), metric),
        "occurred_at": translate.iso(pl.col("starts_at")),
        "url": spelled("https://analytics.google.com/analytics/web/#/p{}/reports/intelligenthome", "property"),
        "report": pl.when(is_part).then(pl.lit("ga4 sampled")).otherwise(pl.lit("ga4")),
        "metric": metric,
        "starts_on": day,
        "ends_on": day,
        "value": pl.col("value").cast(pl.Float64, strict=False),
        "currency": pl.when(pl.col("type") == "TYPE_CURRENCY").then(
            translate.currency(translate.path("metadata", "$.currencyCode"))
        ),
    }
    return {"reported": translate.records(raw["daily"], figure)}


def _figures(row: Mapping[str, Any], body: Mapping[str, Any], property_: str) -> list[Row]:
    """A row's values stand in the order of the headers, without their names."""
    metadata = body.get("metadata", {})
    day = row["dimensionValues"][0]["value"]
    return [
        {
            "property": property_,
            "date": day,
            "starts_at": days.midnight(day, metadata.get("timeZone", "UTC")),
            "metric": header["name"],
            "type": header["type"],
            "value": told["value"],
            "metadata": metadata,
        }
        for header, told in zip(body["metricHeaders"], row["metricValues"], strict=True)
    ]


def _auth(pull: Pull) -> Any:
    elsewhere = "" if pull.options.base_url == _GOOGLES_OWN else f"{pull.options.base_url}/token"
    key = pull.secrets["GOOGLE_SERVICE_ACCOUNT_KEY"]
    return service_account(pull, key, READ_ONLY, pull.options.auth_url or elsewhere)


PLATFORM = Platform(
    name="ga4",
    title="Google Analytics 4",
    resources=(
        Resource(
            "daily",
            "changes",
            daily,
            columns=("property", "date", "starts_at", "metric", "type", "value", "metadata"),
            lag=timedelta(hours=48),
            limit=timedelta(hours=74),
            history=HISTORY,
            scope="Viewer of the property for the service account's address, and the Google Analytics Data API enabled",
        ),
    ),
    says={"reported": ("daily",)},
    read=read,
    options=Options,
    secrets=("GOOGLE_SERVICE_ACCOUNT_KEY",),
    spec="third party",
    verified="Against a stateful fake and a third party's OpenAPI description, never against a live property.",
)
