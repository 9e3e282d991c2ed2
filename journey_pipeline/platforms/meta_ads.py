"""Meta Ads: what each campaign cost a day, and who filled in a lead form on Facebook or Instagram.

Reads   /act_{account}, /act_{account}/insights (campaign by day), /me/accounts, /{page}/leadgen_forms, /{form}/leads
Says    spend: one per campaign and day; leads: one per lead, those of organic posts too
Cursor  By day, account by account, 28 days back: Meta credits a sale to the day of the click for up to 28 days, so
        the figures of past days go on changing. Leads form by form on `time_created`, an hour back; Meta keeps them
        for 90 days, the figures for 37 months (the first load reads 36).
Money   `spend` is decimal text in major units of the account's currency.
Joins   leads: e-mail, phone, name and company from the form's standard questions; `utm_*` and `product_ref` from
        tracking parameters; a value like `app:42` names the same person. Spend joins by campaign and source only.
Needs   META_ACCESS_TOKEN of a system user (Business settings > Users > System users) with the ad account and the
        pages assigned to it; scopes ads_read for spend, and leads_retrieval, pages_show_list,
        pages_read_engagement, pages_manage_ads and ads_management for leads. `accounts` in journey.yaml.
Assumes Days are the ad account's: its time zone should be the business's. Clicks are those on links; Meta's own
        `clicks` counts likes too. Meta names one sale by several action types, so one of them is counted
        (`conversion`), in the account's attribution window. Deleted and archived campaigns are asked for by name of
        state, or their cost would be missing. Limits (codes 4, 17, 32, 613, 800xx) and bad tokens come as HTTP 400:
        read as 429 and 401. Leads of Meta's testing tool are tests. A lead deleted at Meta stays with us.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base, days, translate
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, bearer

if TYPE_CHECKING:
    from requests import Response

PER_PAGE = 100
RESTATED = timedelta(days=28)
OVERLAP = timedelta(hours=1)
HISTORY = timedelta(days=36 * 30)
SPAN = timedelta(days=90)
INSIGHTS = (
    "account_id", "account_currency", "campaign_id", "campaign_name", "impressions", "inline_link_clicks", "spend",
    "actions",
)  # fmt: skip
LEAD = ("id", "created_time", "ad_id", "campaign_id", "campaign_name", "form_id", "is_organic", "field_data")
STATES = ("ACTIVE", "PAUSED", "IN_PROCESS", "WITH_ISSUES", "ARCHIVED", "DELETED")
# Codes of Graph errors, and the HTTP status that each should have had.
LIMITED = (1, 2, 4, 17, 32, 341, 613, *range(80000, 80015))
BAD_TOKEN = (102, 190)
NO_PERMISSION = (3, 10, *range(200, 300))


class Options(base.Options):
    """Options of Meta Ads."""

    base_url: str = "https://graph.facebook.com"
    version: str = "v26.0"
    """Of the Graph API; Meta switches each off about two years after it came, for ads sooner."""
    accounts: tuple[str, ...] = ()
    """Numbers of the ad accounts, with or without `act_`."""
    leads: bool = True
    """false: the business runs no lead ads, so no page is asked for."""
    pages: tuple[str, ...] = ()
    """Ids of the pages whose lead forms are read; empty: all that the token may see."""
    source: str = "meta"
    """`utm_source` as the links of your ads say it, so that cost and visits meet."""
    medium: str = "paid_social"
    """`utm_medium` of lead ads that bear no tracking parameter for it."""
    conversion: str = "purchase"
    """The action type that is a conversion: `purchase`, `lead`, …"""


def insights(pull: Pull) -> Iterator[list[Row]]:
    api = _api(pull, pull.secrets["META_ACCESS_TOKEN"])
    accounts = [account.removeprefix("act_") for account in pull.options.accounts]
    if not accounts:
        sentence = 'no ad account is set; add `accounts: ["1234567890"]` to the options of meta_ads.'
        raise api.refused(sentence)
    for account in accounts:
        zone = api.get(f"/act_{account}", params={"fields": "timezone_name"})["timezone_name"]
        last = pull.left.get(account)
        first = datetime.fromisoformat(last) - RESTATED if last else pull.loaded_at - HISTORY
        local = [at.astimezone(ZoneInfo(zone)).date() for at in (first, pull.loaded_at)]
        for since, until in days.spans(local[0], local[1], SPAN):
            asked = {
                "level": "campaign",
                "time_increment": "1",
                "fields": ",".join(INSIGHTS),
                "time_range": json.dumps({"since": since.isoformat(), "until": until.isoformat()}),
                "filtering": _filter("campaign.effective_status", "IN", list(STATES)),
            }
            for rows in _list(api, f"/act_{account}/insights", asked):
                yield [{**row, "starts_at": days.midnight(row["date_start"], zone)} for row in rows]
    pull.leave(**dict.fromkeys(accounts, pull.loaded_at.isoformat()))


def leads(pull: Pull) -> Iterator[list[Row]]:
    reached: dict[str, str | int | None] = dict(pull.left)
    for page in _pages(pull):
        api = _api(pull, page["access_token"])  # forms are shown to the page itself only
        for form in [
            form for rows in _list(api, f"/{page['id']}/leadgen_forms", {"fields": "id,name"}) for form in rows
        ]:
            asked = {"fields": ",".join(LEAD)}
            if last := pull.left.get(form["id"]):
                after = int((datetime.fromisoformat(last) - OVERLAP).timestamp())
                asked["filtering"] = _filter("time_created", "GREATER_THAN", after)
            for rows in _list(api, f"/{form['id']}/leads", asked):
                yield [{**row, "form_name": form["name"]} for row in rows]
            reached[form["id"]] = pull.loaded_at.isoformat()
    pull.leave(**reached)


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Raw campaign-days and leads, of all versions."""
    currency = translate.currency(pl.col("account_currency"))
    cost = translate.major(pl.col("spend"), currency)
    done = translate.path("actions", f'$[?(@.action_type=="{options.conversion}")].value')
    day: dict[str, pl.Expr | str | None] = {
        "record_id": spelled("{}:{}", "campaign_id", "date_start"),
        "occurred_at": translate.iso(pl.col("starts_at")),
        "url": spelled(
            "https://adsmanager.facebook.com/adsmanager/manage/campaigns?act={}&selected_campaign_ids={}",
            "account_id",
            "campaign_id",
        ),
        "day_on": pl.col("date_start").str.to_date("%Y-%m-%d", strict=False),
        "source": options.source,
        "campaign": pl.col("campaign_name"),
        "impressions": translate.integer(pl.col("impressions")),
        # Meta leaves out what did not happen.
        "clicks": translate.integer(pl.col("inline_link_clicks")).fill_null(0),
        "cost_minor": cost,
        "currency": currency,
        "conversions": done.cast(pl.Float64, strict=False).fill_null(0.0),
        "_reject": pl.when(pl.col("spend").is_not_null() & cost.is_null()).then(pl.lit("unreadable spend")),
    }
    # {"name": "email", "values": ["a@b.example"]} -> "email": "a@b.example", the form that keys_in reads
    asked = raw["leads"].with_columns(
        answers=pl.col("field_data").str.replace_all(r'"name": ?("[^"]*"), ?"values": ?\[', "$1:")
    )
    is_organic = translate.boolean(pl.col("is_organic")).fill_null(value=False)
    lead = {
        "record_id": pl.col("id"),
        "occurred_at": translate.iso(pl.col("created_time")),
        "email": pl.coalesce(_answer("email"), _answer("work_email")),
        "phone": pl.coalesce(_answer("phone_number"), _answer("work_phone_number")),
        "name": pl.coalesce(_answer("full_name"), spelled("{} {}", _answer("first_name"), _answer("last_name"))),
        "company": _answer("company_name"),
        "keys": translate.keys_in("answers", but="utm_.*|product_ref"),
        "is_test": pl.col("field_data").str.contains("<test lead:", literal=True),
        "form": pl.coalesce("form_name", "form_id"),
        "source": pl.coalesce(_answer("utm_source"), pl.lit(options.source)),
        "medium": pl.coalesce(
            _answer("utm_medium"), pl.when(is_organic).then(pl.lit("organic")), pl.lit(options.medium)
        ),
        "campaign": pl.coalesce(_answer("utm_campaign"), "campaign_name"),
        "product_ref": translate.ref(_answer("product_ref")),
    }
    return {"spend": translate.records(raw["insights"], day), "leads": translate.records(asked, lead)}


def _api(pull: Pull, token: str) -> Api:
    return Api(pull, f"{pull.options.base_url}/{pull.options.version}", auth=bearer(token), means=_status)


def _status(reply: "Response") -> int:
    if reply.status_code not in (400, 403):
        return reply.status_code
    try:
        code = reply.json()["error"]["code"]
    except (ValueError, LookupError, TypeError):
        return reply.status_code
    meant = {429: LIMITED, 401: BAD_TOKEN, 403: NO_PERMISSION}
    return next((status for status, codes in meant.items() if code in codes), reply.status_code)


def _list(api: Api, path: str, asked: Mapping[str, str]) -> Iterator[list[Row]]:
    """Page after page. Meta's link to the next one bears the token, so the cursor beside it is used instead."""
    body: dict[str, Any] = {"paging": {"next": path}}
    after: dict[str, str] = {}
    while "next" in body.get("paging", {}):
        body = api.get(path, params={**asked, **after, "limit": PER_PAGE})
        yield body["data"]
        after = {"after": body.get("paging", {}).get("cursors", {}).get("after", "")}


def _pages(pull: Pull) -> list[Row]:
    """The pages with their own tokens."""
    if not pull.options.leads:
        return []
    api = _api(pull, pull.secrets["META_ACCESS_TOKEN"])
    seen = [page for rows in _list(api, "/me/accounts", {"fields": "id,access_token"}) for page in rows]
    wanted = set(pull.options.pages) or {page["id"] for page in seen}
    open_ = [page for page in seen if page["id"] in wanted and "access_token" in page]
    if closed := sorted(wanted - {page["id"] for page in open_}):
        sentence = f"may not read pages {', '.join(closed)}; assign them to the token's system user, or set `pages`."
        raise api.refused(sentence)
    return open_


def _filter(field: str, operator: str, value: Any) -> str:
    return json.dumps([{"field": field, "operator": operator, "value": value}])


def _answer(name: str) -> pl.Expr:
    given = translate.path("field_data", f'$[?(@.name=="{name}")].values[0]').str.strip_chars()
    return pl.when(given != "").then(given)


PLATFORM = Platform(
    name="meta_ads",
    title="Meta Ads",
    resources=(
        Resource(
            "insights",
            "changes",
            insights,
            columns=(*INSIGHTS, "date_start", "starts_at"),
            lag=timedelta(hours=24),
            limit=timedelta(hours=50),
            history=HISTORY,
            scope="ads_read, and the ad account assigned to the token's system user",
        ),
        Resource(
            "leads",
            "changes",
            leads,
            columns=("id", "created_time", "campaign_name", "form_id", "form_name", "is_organic", "field_data"),
            history=timedelta(days=90),
            scope="leads_retrieval, pages_show_list, pages_read_engagement, pages_manage_ads and ads_management, and the "
            "pages assigned to the token's system user",
        ),
    ),
    says={"spend": ("insights",), "leads": ("leads",)},
    read=read,
    options=Options,
    secrets=("META_ACCESS_TOKEN",),
    spec="third party",
    verified="Against a stateful fake; insights also against a third party's OpenAPI description, leads against "
    "Meta's documentation, never against a live account.",
)
