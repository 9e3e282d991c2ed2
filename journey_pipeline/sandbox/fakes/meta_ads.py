"""Meta's Graph API over a world: an ad account's insights by campaign and day, one page's lead forms and their leads.

Spend: `record_id` is `<campaign id>:<day>`, `occurred_at` midnight of that day in New York, the account's zone; source
`meta`. Leads: `record_id` in digits; of medium `organic` (then without a campaign) or of an ad; further mediums and
sources come as tracking parameters, keys as answers. A campaign without cost for 90 days is archived, and told only to
who asks for that state. Strict about tokens, versions, fields, filters and parameters.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.world import World

SECRETS = {"META_ACCESS_TOKEN": "EAAsandbox"}
VERSION = "v26.0"
ACCOUNT, PAGE, PAGE_TOKEN = "1234567890", "7001", "EAApage"
ZONE = "America/New_York"
_AD = {"source": "meta", "medium": "paid_social"}
_DIGITS = {"JPY": 0}
_LIVE = timedelta(days=90)
_CODES = {400: 100, 403: 200, 404: 803}
_LISTED = ("fields", "limit", "after")
_FIELDS = {
    "insights": (
        "account_id", "account_currency", "campaign_id", "campaign_name", "impressions", "clicks",
        "inline_link_clicks", "spend", "actions", "date_start", "date_stop",
    ),
    "leads": (
        "id", "created_time", "ad_id", "campaign_id", "campaign_name", "form_id", "is_organic", "platform", "field_data",
    ),
}  # fmt: skip


def form_id(title: str) -> str:
    """The id of the form with that title."""
    return str(int(hashlib.sha256(title.encode()).hexdigest()[:12], 16))


def _insight(row: parts.Row) -> parts.Row:
    campaign, day = row["record_id"].split(":")
    actions = [{"action_type": "link_click", "value": str(row["clicks"])}]
    if row["conversions"]:
        sales = {"value": f"{row['conversions']:g}"}
        actions += [{"action_type": name, **sales} for name in ("omni_purchase", "purchase")]
    return {
        "account_id": ACCOUNT,
        "account_currency": row["currency"],
        "campaign_id": campaign,
        "campaign_name": row["campaign"],
        "impressions": str(row["impressions"]),
        "clicks": str(row["clicks"] * 2),
        "inline_link_clicks": str(row["clicks"]) if row["clicks"] else None,
        "spend": parts.major(row["cost_minor"], _DIGITS.get(row["currency"], 2)),
        "actions": actions,
        "date_start": day,
        "date_stop": day,
    }


def _lead(row: parts.Row) -> parts.Row:
    is_organic = row["medium"] == "organic"
    said = {
        "email": row["email"],
        "phone_number": row["phone"],
        "full_name": row["name"],
        "company_name": row["company"],
        **{f"utm_{name}": row[name] for name in _AD if row[name] != _AD[name] and not is_organic},
        **{f"known_as_{n}": key for n, key in enumerate(row["keys"] or ())},
        "product_ref": row["product_ref"],
    }
    ad = {} if is_organic else {"ad_id": "1" + row["record_id"], "campaign_id": "5" + form_id(row["campaign"] or "")}
    told = {
        "id": row["record_id"],
        "created_time": row["occurred_at"].strftime("%Y-%m-%dT%H:%M:%S+0000"),
        **ad,
        "campaign_name": None if is_organic else row["campaign"],
        "form_id": form_id(row["form"]),
        "is_organic": is_organic,
        "platform": "fb",
        "field_data": [{"name": name, "values": [text]} for name, text in said.items() if text is not None],
    }
    if row["is_test"]:
        told["field_data"].append({"name": "city", "values": ["<test lead: dummy data for city>"]})
    return told


def _insights(world: World) -> list[parts.Row]:
    rows = sorted(world.of("spend", "meta_ads").iter_rows(named=True), key=lambda row: row["record_id"])
    return [_insight(row) for row in rows]


def _forms(world: World) -> Mapping[str, tuple[str, list[parts.Row]]]:
    held = sorted(world.of("leads", "meta_ads").iter_rows(named=True), key=lambda row: row["occurred_at"], reverse=True)
    names = dict.fromkeys(row["form"] for row in held)
    return {form_id(name): (name, [_lead(row) for row in held if row["form"] == name]) for name in names}


def _filters(given: Mapping[str, str], field: str, operator: str) -> Any:
    """The value of the only filter that this fake knows for a list; refused where another is asked."""
    asked = json.loads(given.get("filtering", "[]"))
    if not asked:
        return None
    if len(asked) > 1 or (asked[0]["field"], asked[0]["operator"]) != (field, operator):
        raise HTTPException(400, "Filtering field is invalid")
    return asked[0]["value"]


def _page(rows: Sequence[parts.Row], given: Mapping[str, str], request: Request) -> parts.Row:
    size = parts.number(given, "limit", 25, most=100)
    start = parts.place(given["after"]) if "after" in given else 0
    page = rows[start : start + size]
    if not page:
        return {"data": []}
    cursors = {"before": parts.cursor(start), "after": parts.cursor(start + len(page))}
    more = {"next": f"{request.url}&access_token=secret"} if start + size < len(rows) else {}
    return {"data": page, "paging": {"cursors": cursors, **more}}


def _chosen(rows: Sequence[parts.Row], fields: str, what: str, *always: str) -> list[parts.Row]:
    names = fields.split(",")
    if unknown := sorted(set(names) - set(_FIELDS[what])):
        raise HTTPException(400, f"(#100) {unknown} are not valid for fields param")
    return [{n: row[n] for n in (*names, *always) if row.get(n) is not None} for row in rows]


class _Graph:
    """The lists of the API, as the account and its page see them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._insights = parts.Rendered(world, ["spend"], _insights)
        self._forms = parts.Rendered(world, ["leads"], _forms)

    def account(self, request: Request, _given: Mapping[str, str]) -> parts.Row:
        if request.path_params["account"] != ACCOUNT:
            raise HTTPException(403, "Ad account owner has NOT grant ads_management or ads_read permission")
        return {"id": f"act_{ACCOUNT}", "timezone_name": ZONE, "currency": "USD"}

    def insights(self, request: Request, given: Mapping[str, str]) -> parts.Row:
        self.account(request, given)
        if (given.get("level"), given.get("time_increment")) != ("campaign", "1"):
            raise HTTPException(400, "(#100) only campaigns by day")
        span = json.loads(given["time_range"])
        since, until = date.fromisoformat(span["since"]), date.fromisoformat(span["until"])
        if since > until or (self._world.now.date() - since).days > 37 * 30:
            raise HTTPException(400, "(#3018) The start date of the time range cannot be beyond 37 months")
        told, live = self._insights.now(), (self._world.now - _LIVE).date().isoformat()
        if "ARCHIVED" not in (_filters(given, "campaign.effective_status", "IN") or ()):
            running = {row["campaign_id"] for row in told if row["date_start"] >= live}
            told = [row for row in told if row["campaign_id"] in running]
        rows = [row for row in told if since.isoformat() <= row["date_start"] <= until.isoformat()]
        return _page(_chosen(rows, given["fields"], "insights", "date_start", "date_stop"), given, request)

    def pages(self, request: Request, given: Mapping[str, str]) -> parts.Row:
        return _page([{"id": PAGE, "access_token": PAGE_TOKEN}], given, request)

    def forms(self, request: Request, given: Mapping[str, str]) -> parts.Row:
        return _page([{"id": id_, "name": name} for id_, (name, _) in self._forms.now().items()], given, request)

    def leads(self, request: Request, given: Mapping[str, str]) -> parts.Row:
        form = self._forms.now().get(request.path_params["form"])
        if form is None:
            raise HTTPException(404, "no such form")
        after = datetime.fromtimestamp(_filters(given, "time_created", "GREATER_THAN") or 0, UTC)
        rows = [row for row in form[1] if datetime.fromisoformat(row["created_time"]) > after]
        return _page(_chosen(rows, given["fields"], "leads"), given, request)


def _endpoint(token: str, allowed: Sequence[str], told: Callable[[Request, Mapping[str, str]], parts.Row]) -> Any:
    async def answer(request: Request) -> JSONResponse:
        if request.headers.get("Authorization") != f"Bearer {token}":
            refused = {"message": "Invalid OAuth access token.", "type": "OAuthException", "code": 190}
            return JSONResponse({"error": refused}, 400)
        return JSONResponse(told(request, parts.parameters(request, allowed)))

    return answer


def app(world: World) -> Starlette:
    graph, token = _Graph(world), SECRETS["META_ACCESS_TOKEN"]
    ranged = (*_LISTED, "filtering", "level", "time_increment", "time_range")
    routes = [
        Route(f"/{VERSION}/act_{{account}}/insights", _endpoint(token, ranged, graph.insights)),
        Route(f"/{VERSION}/act_{{account}}", _endpoint(token, ("fields",), graph.account)),
        Route(f"/{VERSION}/me/accounts", _endpoint(token, _LISTED, graph.pages)),
        Route(f"/{VERSION}/{PAGE}/leadgen_forms", _endpoint(PAGE_TOKEN, _LISTED, graph.forms)),
        Route(f"/{VERSION}/{{form}}/leads", _endpoint(PAGE_TOKEN, (*_LISTED, "filtering"), graph.leads)),
    ]
    return parts.service(routes, lambda status, detail: {"error": {"message": detail, "code": _CODES.get(status, 1)}})
