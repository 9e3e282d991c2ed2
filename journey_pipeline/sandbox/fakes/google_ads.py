"""Google Ads over a world: campaign-days and clicks, asked for in GAQL, ten thousand rows a page.

Spend: `record_id` is `<campaign id>:<day>`, `occurred_at` midnight of that day in New York, the account's zone; source
`google`. Touchpoints: `record_id` and `click_id` are the gclid, the key `google_ads:<gclid>`, `occurred_at` midnight of
the day; medium `cpc`, channel `paid`. It refuses a page size, fields it does not know, clicks of more than one day or
older than 90, and a missing developer token.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import google, parts
from journey_pipeline.sandbox.world import World

SECRETS = {"GOOGLE_SERVICE_ACCOUNT_KEY": google.key_file(), "GOOGLE_ADS_DEVELOPER_TOKEN": "dev-sandbox"}
CUSTOMER, ZONE, CURRENCY = "1234567890", "America/New_York", "USD"
PAGE = 10_000
_SCOPE = "https://www.googleapis.com/auth/adwords"
_FIELDS = {
    "customer": ("customer.id", "customer.currency_code", "customer.time_zone"),
    "campaign": (
        "campaign.id", "campaign.name", "segments.date", "metrics.impressions", "metrics.clicks", "metrics.cost_micros",
        "metrics.conversions",
    ),
    "click_view": ("click_view.gclid", "campaign.id", "campaign.name", "segments.date"),
}  # fmt: skip
_GAQL = re.compile(
    r"SELECT (?P<fields>[\w., ]+) FROM (?P<table>\w+)"
    r"(?: WHERE segments\.date (?:= '(?P<day>[\d-]{10})'|BETWEEN '(?P<since>[\d-]{10})' AND '(?P<until>[\d-]{10})'))?"
)

Flat = dict[str, Any]


def _spent(row: parts.Row) -> Flat:
    campaign, day = row["record_id"].split(":")
    return {
        "campaign.id": campaign,
        "campaign.name": row["campaign"],
        "segments.date": day,
        "metrics.impressions": str(row["impressions"]),
        "metrics.clicks": str(row["clicks"]),
        "metrics.cost_micros": str(row["cost_minor"] * 10_000),
        "metrics.conversions": row["conversions"],
    }


def _clicked(row: parts.Row) -> Flat:
    return {
        "click_view.gclid": row["click_id"],
        "campaign.name": row["campaign"],
        "segments.date": row["occurred_at"].astimezone(ZoneInfo(ZONE)).date().isoformat(),
    }


def _tables(world: World) -> Mapping[str, list[Flat]]:
    held = {kind: list(world.of(kind, "google_ads").iter_rows(named=True)) for kind in ("spend", "touchpoints")}
    return {
        "customer": [{"customer.id": CUSTOMER, "customer.currency_code": CURRENCY, "customer.time_zone": ZONE}],
        "campaign": [_spent(row) for row in held["spend"]],
        "click_view": [_clicked(row) for row in held["touchpoints"]],
    }


def _rows(tables: Mapping[str, list[Flat]], query: str, today: date) -> list[parts.Row]:
    said = _GAQL.fullmatch(query)
    if said is None or said["table"] not in _FIELDS:
        raise HTTPException(400, "Error in query: unexpected input")
    fields = said["fields"].split(", ")
    if unknown := sorted(set(fields) - set(_FIELDS[said["table"]])):
        raise HTTPException(400, f"Unrecognized fields in the query: {unknown}")
    since, until = said["day"] or said["since"], said["day"] or said["until"]
    if said["table"] == "click_view" and (not said["day"] or today - date.fromisoformat(said["day"]) > timedelta(90)):
        raise HTTPException(400, "click_view must be filtered to one day of the last 90")
    rows = [row for row in tables[said["table"]] if since is None or since <= row["segments.date"] <= until]
    return [_nested(row, fields) for row in rows]


def _nested(row: Flat, fields: Sequence[str]) -> parts.Row:
    told: parts.Row = {}
    for field in fields:
        thing, name = field.split(".")
        if row.get(field) is not None:
            told.setdefault(_camel(thing), {})[_camel(name)] = row[field]
    return told


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def app(world: World) -> Starlette:
    tables = parts.Rendered(world, ["spend", "touchpoints"], _tables)

    async def search(request: Request) -> JSONResponse:
        google.authorise(request)
        parts.has_header(request, "developer-token", SECRETS["GOOGLE_ADS_DEVELOPER_TOKEN"])
        if request.path_params["customer"] != CUSTOMER:
            raise HTTPException(403, "User doesn't have permission to access customer.")
        asked = await parts.body(request, ("query", "pageToken"))  # pageSize is an error since v17
        rows = _rows(tables.now(), asked["query"], world.now.date())
        start = parts.place(asked["pageToken"]) if "pageToken" in asked else 0
        more = {"nextPageToken": parts.cursor(start + PAGE)} if start + PAGE < len(rows) else {}
        page = rows[start : start + PAGE]
        return JSONResponse({**({"results": page} if page else {}), **more, "fieldMask": ""})

    return google.service([Route("/v26/customers/{customer}/googleAds:search", search, methods=["POST"])], _SCOPE)
