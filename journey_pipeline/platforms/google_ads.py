"""Google Ads: what each campaign cost a day, and which clicks it paid for.

Reads   /{version}/customers/{customer}/googleAds:search: `customer`, `campaign` by `segments.date`, `click_view`
Says    spend: one per campaign and day; touchpoints: one per click (only with `clicks: true`)
Cursor  By day, customer by customer, as far back as conversions are restated (`restated_days`): Google credits a sale to
        the day of the click. The first load goes 36 months back. Clicks three days back, a query per day; Google
        keeps them for 90 days.
Money   Millionths of a major unit of the account's currency, rounded to its minor unit.
Joins   `google_ads:<gclid>`: a form that keeps the click id in a hidden field in that form is tied to the click. Clicks
        bear no name and no time, only their day. Spend joins by campaign and source only.
Needs   GOOGLE_SERVICE_ACCOUNT_KEY, the JSON key of a service account whose address has read-only access to the account
        (Admin > Access and security), and GOOGLE_ADS_DEVELOPER_TOKEN of a manager account (Admin > API center, Basic
        access). `customers` in journey.yaml, and `login_customer` where access goes through a manager account.
Assumes Days are the ad account's: its time zone should be the business's. A campaign without impressions has no row.
        Conversions are those in the column of that name (the primary ones). Google switches each version off a year
        after it came. A page has 10,000 rows; to ask for another size is an error.
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base, days, translate
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, by_cursor_in_body, service_account

HISTORY = timedelta(days=36 * 30)
SPAN = timedelta(days=90)
CLICKS_KEPT = timedelta(days=89)
CLICKS_LATE = timedelta(days=3)
ADS = "https://www.googleapis.com/auth/adwords"
SCOPE = (
    "read-only access to the ad account for the service account's address, the Google Ads API enabled in its project, and "
    "a developer token with Basic access"
)
_GOOGLES_OWN = "https://googleads.googleapis.com"
ACCOUNT = "SELECT customer.id, customer.currency_code, customer.time_zone FROM customer"
SPEND = (
    "SELECT campaign.id, campaign.name, segments.date, metrics.impressions, metrics.clicks, metrics.cost_micros, "
    "metrics.conversions FROM campaign WHERE segments.date BETWEEN '{}' AND '{}'"
)
CLICKS = "SELECT click_view.gclid, campaign.name, segments.date FROM click_view WHERE segments.date = '{}'"


class Options(base.Options):
    """Options of Google Ads."""

    base_url: str = _GOOGLES_OWN
    auth_url: str = ""
    """Where tokens are granted; empty: where the key says, or `/token` under another `base_url`."""
    version: str = "v26"
    """Of the API: v23 or newer."""
    customers: tuple[str, ...] = ()
    """Numbers of the ad accounts, with or without dashes."""
    login_customer: str = ""
    """Number of the manager account, if the service account was given access to that one."""
    restated_days: int = 30
    """The longest conversion window of your conversion actions, in days: 90 at most."""
    clicks: bool = False
    """true: read every click, for its gclid; a request for each day."""
    source: str = "google"
    """`utm_source` as the links of your ads say it, so that cost and visits meet."""
    medium: str = "cpc"
    """`utm_medium` of clicks."""


def spend(pull: Pull) -> Iterator[list[Row]]:
    restated = timedelta(days=pull.options.restated_days)
    for api, account in _accounts(pull):
        for since, until in days.spans(*_asked(pull, account, restated, HISTORY), SPAN):
            yield from _search(api, account, SPEND.format(since, until))
    _remember(pull)


def clicks(pull: Pull) -> Iterator[list[Row]]:
    if not pull.options.clicks:
        return
    for api, account in _accounts(pull):
        for day, _ in days.spans(*_asked(pull, account, CLICKS_LATE, CLICKS_KEPT), timedelta(days=1)):
            yield from _search(api, account, CLICKS.format(day))
    _remember(pull)


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Raw campaign-days and clicks, of all versions."""
    day, currency = translate.path("segments", "$.date"), translate.path("customer", "$.currencyCode")
    cost = translate.path("metrics", "$.costMicros")
    campaign = {
        "occurred_at": translate.iso(pl.col("starts_at")),
        "source": pl.lit(options.source),
        "campaign": translate.path("campaign", "$.name"),
    }
    spent = {
        **campaign,
        "record_id": spelled("{}:{}", translate.path("campaign", "$.id"), day),
        "url": spelled("https://ads.google.com/aw/overview?campaignId={}", translate.path("campaign", "$.id")),
        "day_on": day.str.to_date("%Y-%m-%d", strict=False),
        # Google may leave out a metric that is nought.
        "impressions": translate.integer(translate.path("metrics", "$.impressions")).fill_null(0),
        "clicks": translate.integer(translate.path("metrics", "$.clicks")).fill_null(0),
        "cost_minor": translate.micros(cost.fill_null("0"), currency),
        "currency": currency,
        "conversions": translate.path("metrics", "$.conversions").cast(pl.Float64, strict=False).fill_null(0.0),
    }
    gclid = translate.path("click_view", "$.gclid")
    clicked = {
        **campaign,
        "record_id": gclid,
        "keys": translate.keys(google_ads=gclid),
        "channel": pl.lit("paid"),
        "medium": pl.lit(options.medium),
        "click_id": gclid,
    }
    return {"spend": translate.records(raw["spend"], spent), "touchpoints": translate.records(raw["clicks"], clicked)}


def _accounts(pull: Pull) -> Iterator[tuple[Api, Mapping[str, Any]]]:
    """Each ad account, and what it says of itself."""
    options, elsewhere = pull.options, ""
    if options.base_url != _GOOGLES_OWN:
        elsewhere = f"{options.base_url}/token"
    headers = {"developer-token": pull.secrets["GOOGLE_ADS_DEVELOPER_TOKEN"]}
    if options.login_customer:
        headers["login-customer-id"] = _digits(options.login_customer)
    key = pull.secrets["GOOGLE_SERVICE_ACCOUNT_KEY"]
    auth = service_account(pull, key, ADS, options.auth_url or elsewhere)
    api = Api(pull, f"{options.base_url}/{options.version}", auth=auth, headers=headers)
    if not options.customers:
        sentence = 'no ad account is set; add `customers: ["123-456-7890"]` to the options of google_ads.'
        raise api.refused(sentence)
    for customer in options.customers:
        path = f"/customers/{_digits(customer)}/googleAds:search"
        yield api, api.post(path, json={"query": ACCOUNT})["results"][0]["customer"]


def _search(api: Api, account: Mapping[str, Any], query: str) -> Iterator[list[Row]]:
    by = by_cursor_in_body("nextPageToken", "pageToken")
    path = f"/customers/{account['id']}/googleAds:search"
    for rows in api.rows(path, by=by, rows="results", json={"query": query}):
        yield [
            {**row, "customer": account, "starts_at": days.midnight(row["segments"]["date"], account["timeZone"])}
            for row in rows
        ]


def _asked(pull: Pull, account: Mapping[str, Any], back: timedelta, history: timedelta) -> tuple[date, date]:
    """First and last day to ask an account for, by its own clock."""
    last = pull.left.get(str(account["id"]))
    first = datetime.fromisoformat(last) - back if last else pull.loaded_at - history
    zone = ZoneInfo(account["timeZone"])
    return first.astimezone(zone).date(), pull.loaded_at.astimezone(zone).date()


def _remember(pull: Pull) -> None:
    pull.leave(**{_digits(customer): pull.loaded_at.isoformat() for customer in pull.options.customers})


def _digits(customer: str) -> str:
    return customer.replace("-", "")


PLATFORM = Platform(
    name="google_ads",
    title="Google Ads",
    resources=(
        Resource(
            "spend",
            "changes",
            spend,
            columns=("customer", "campaign", "segments", "metrics", "starts_at"),
            lag=timedelta(hours=24),
            limit=timedelta(hours=50),
            history=HISTORY,
            scope=SCOPE,
        ),
        Resource(
            "clicks",
            "changes",
            clicks,
            columns=("customer", "campaign", "segments", "click_view", "starts_at"),
            lag=timedelta(hours=24),
            limit=timedelta(hours=50),
            history=CLICKS_KEPT,
            scope=SCOPE,
        ),
    ),
    says={"spend": ("spend",), "touchpoints": ("clicks",)},
    read=read,
    options=Options,
    secrets=("GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_ADS_DEVELOPER_TOKEN"),
    spec="third party",
    verified="Against a stateful fake, a third party's OpenAPI description and Google's documentation of its fields, never "
    "against a live account.",
)
