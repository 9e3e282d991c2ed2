"""Google's Analytics Data API over a world: its reported figures as positional rows by date.

Reported: `record_id` is `4711:<day>:<metric>`, report `ga4` or `ga4 sampled`, `occurred_at` midnight of the day in New York,
the property's zone; metrics `sessions`, `key_events`, `purchases`, `revenue` (that in USD). A figure that the world lacks
on a day with others is 0; a day without any has no row. Fields, metrics and properties it does not know are refused.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import google, parts
from journey_pipeline.sandbox.world import World

SECRETS = {"GOOGLE_SERVICE_ACCOUNT_KEY": google.key_file()}
PROPERTY, ZONE = "4711", "America/New_York"
_SCOPE = "https://www.googleapis.com/auth/analytics.readonly"
_MOST = 250_000
_METRICS = {
    "sessions": ("sessions", "TYPE_INTEGER"),
    "keyEvents": ("key_events", "TYPE_FLOAT"),
    "ecommercePurchases": ("purchases", "TYPE_INTEGER"),
    "purchaseRevenue": ("revenue", "TYPE_CURRENCY"),
}

Days = Mapping[str, Mapping[str, parts.Row]]


def _days(world: World) -> Days:
    """Day -> metric -> the figure."""
    told: dict[str, dict[str, parts.Row]] = {}
    for row in world.of("reported", "ga4").iter_rows(named=True):
        told.setdefault(row["starts_on"].isoformat(), {})[row["metric"]] = row
    return dict(sorted(told.items()))


def _names(asked: Mapping[str, Any], what: str, known: Sequence[str]) -> list[str]:
    names = [part["name"] for part in asked.get(what, ())]
    if unknown := sorted(set(names) - set(known)):
        raise HTTPException(400, f"Field {unknown} is not a valid {what}.")
    return names


def _row(day: str, figures: Mapping[str, parts.Row], metrics: Sequence[str]) -> parts.Row:
    values = [figures.get(_METRICS[name][0], {"value": 0.0})["value"] for name in metrics]
    return {
        "dimensionValues": [{"value": day.replace("-", "")}],
        "metricValues": [{"value": f"{value:.10g}"} for value in values],
    }


def _report(days: Days, asked: Mapping[str, Any]) -> parts.Row:
    if _names(asked, "dimensions", ("date",)) != ["date"]:
        raise HTTPException(400, "only reports by date")
    metrics = _names(asked, "metrics", tuple(_METRICS))
    span = parts.fields(asked["dateRanges"][0], ("startDate", "endDate"))
    chosen = {
        day: {metric: row for metric, row in figures.items() if metric in {_METRICS[name][0] for name in metrics}}
        for day, figures in days.items()
        if span["startDate"] <= day <= span["endDate"]
    }
    rows = [_row(day, figures, metrics) for day, figures in chosen.items() if figures]
    is_sampled = any(row["report"] == "ga4 sampled" for figures in chosen.values() for row in figures.values())
    sampled = {"samplingMetadatas": [{"samplesReadCount": "500", "samplingSpaceSize": "1000"}]} if is_sampled else {}
    told = {
        "dimensionHeaders": [{"name": "date"}],
        "metricHeaders": [{"name": name, "type": _METRICS[name][1]} for name in metrics],
        "metadata": {"currencyCode": "USD", "timeZone": ZONE, **sampled},
        "kind": "analyticsData#runReport",
    }
    if not rows:  # Google leaves out what is empty
        return told
    offset, limit = int(asked.get("offset", 0)), int(asked.get("limit", 10_000))
    if not 1 <= limit <= _MOST or offset < 0:
        raise HTTPException(400, f"limit must be between 1 and {_MOST}")
    page = rows[offset : offset + limit]
    return {**told, **({"rows": page} if page else {}), "rowCount": len(rows)}


def app(world: World) -> Starlette:
    days = parts.Rendered(world, ["reported"], _days)

    async def report(request: Request) -> JSONResponse:
        google.authorise(request)
        if request.path_params["property"] != PROPERTY:
            raise HTTPException(403, "User does not have sufficient permissions for this property.")
        known = ("dateRanges", "dimensions", "metrics", "offset", "limit", "keepEmptyRows", "returnPropertyQuota")
        return JSONResponse(_report(days.now(), await parts.body(request, known)))

    return google.service([Route("/v1beta/properties/{property}:runReport", report, methods=["POST"])], _SCOPE)
