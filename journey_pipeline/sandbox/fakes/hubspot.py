"""HubSpot's API over a world: search and its limits, lists, associations, owners, forms and what was filled in.

Record ids of contacts and deals are whole numbers, of leads any text; which records exist is the world's. A merged-away
contact is not shown: its survivor names it. A deleted one is shown only where archived ones are asked for.
"""

import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import NAMESPACE_URL, uuid5
from zlib import crc32

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.world import World

SECRETS = {"HUBSPOT_TOKEN": "pat-na1-sandbox"}
SEARCHES_PER_SECOND = 5
SEARCH_RESULTS = 10_000
SEARCH_PAGE, LIST_PAGE, OWNERS_PAGE, ASSOCIATIONS_PAGE, SUBMISSIONS_PAGE = 200, 100, 500, 1000, 50
INDEX_LAG = timedelta(0)
"""How long a change stays unseen by search."""

Thing = dict[str, Any]
Row = Mapping[str, Any]

_MODIFIED = {"contacts": "lastmodifieddate", "deals": "hs_lastmodifieddate"}
_ACCOUNT = {
    "portalId": 4242, "accountType": "STANDARD", "timeZone": "US/Eastern", "companyCurrency": "USD",
    "additionalCurrencies": [], "utcOffset": "-05:00", "utcOffsetMilliseconds": -18_000_000,
    "uiDomain": "app.hubspot.com", "dataHostingLocation": "na1",
}  # fmt: skip
_NO_MINOR_UNIT = {"JPY": 0, "KRW": 0, "KWD": 3, "BHD": 3}


@dataclass(frozen=True)
class _Held:
    """What the account holds: objects by type in order of id, owners, the contacts of each deal, submissions by form."""

    objects: Mapping[str, list[Thing]]
    owners: list[Thing]
    associated: Mapping[str, list[Thing]]
    forms: list[Thing]
    submissions: Mapping[str, list[Thing]]


class _Account:
    """The world as HubSpot holds it, made anew when the world has changed; and who searched when."""

    def __init__(self, world: World) -> None:
        self.world, self._rendered = world, parts.Rendered(world, ("contacts", "deals", "leads"), _hold)
        self._searches: deque[float] = deque()

    @property
    def held(self) -> _Held:
        return self._rendered.now()

    def count_search(self) -> None:
        now = time.monotonic()
        while self._searches and self._searches[0] <= now - 1:
            self._searches.popleft()
        if len(self._searches) >= SEARCHES_PER_SECOND:
            raise HTTPException(429, "You have reached your secondly limit.")
        self._searches.append(now)

    async def search(self, request: Request) -> Thing:
        self.count_search()
        name = request.path_params["name"]
        asked = await parts.body(request, ("filterGroups", "sorts", "query", "properties", "limit", "after"))
        limit, after = int(asked.get("limit", 10)), int(asked.get("after") or 0)
        if not 0 < limit <= SEARCH_PAGE:
            raise HTTPException(400, f"limit must be at most {SEARCH_PAGE}")
        if after + limit > SEARCH_RESULTS:
            raise HTTPException(400, f"The maximum number of results is {SEARCH_RESULTS}")
        indexed = _iso(self.world.now - INDEX_LAG)
        live = [o for o in self.held.objects[name] if not o["archived"] and o["updatedAt"] <= indexed]
        found = [o for o in live if _matches(o, asked.get("filterGroups", []))]
        for sort in asked.get("sorts", [])[:1]:
            found.sort(
                key=lambda o: _comparable(o["properties"].get(sort["propertyName"])),
                reverse=sort["direction"] == "DESCENDING",
            )
        page = [_shown(o, name, asked.get("properties", [])) for o in found[after : after + limit]]
        answer = {"total": len(found), "results": page}
        return answer if after + limit >= len(found) else {**answer, "paging": {"next": {"after": str(after + limit)}}}

    async def listed(self, request: Request) -> Thing:
        name = request.path_params["name"]
        given = parts.parameters(request, ("limit", "after", "properties", "archived"))
        is_archived = given.get("archived", "false") == "true"
        things = [o for o in self.held.objects[name] if o["archived"] == is_archived]
        properties = given.get("properties", "").split(",")
        return _page(given, [_shown(o, name, properties) for o in things], LIST_PAGE)

    async def owners(self, request: Request) -> Thing:
        given = parts.parameters(request, ("limit", "after", "email", "archived"))
        is_archived = given.get("archived", "false") == "true"
        return _page(given, [o for o in self.held.owners if o["archived"] == is_archived], OWNERS_PAGE)

    async def associations(self, request: Request) -> Thing:
        inputs = (await parts.body(request, ("inputs",)))["inputs"]
        if not 0 < len(inputs) <= ASSOCIATIONS_PAGE:
            raise HTTPException(400, f"between 1 and {ASSOCIATIONS_PAGE} inputs are allowed")
        ids = [i["id"] for i in inputs]
        to = self.held.associated
        results = [{"from": {"id": i}, "to": to[i]} for i in ids if i in to]
        errors = [
            {"status": "error", "category": "OBJECT_NOT_FOUND", "message": f"No contact is associated with deal {i}."}
            for i in ids if i not in to
        ]  # fmt: skip
        now = _iso(self.world.now)
        answer = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
        return {**answer, "numErrors": len(errors), "errors": errors} if errors else answer

    async def forms(self, request: Request) -> Thing:
        given = parts.parameters(request, ("limit", "after", "archived", "formTypes"))
        return _slice(given, self.held.forms if given.get("archived", "false") == "false" else [], LIST_PAGE)

    async def submissions(self, request: Request) -> Thing:
        form = self.held.submissions.get(request.path_params["form"])
        if form is None:
            raise HTTPException(404, "No form found")
        return _slice(parts.parameters(request, ("limit", "after")), form, SUBMISSIONS_PAGE)

    async def account(self, request: Request) -> Thing:
        parts.parameters(request, ())
        return _ACCOUNT


def app(world: World) -> Starlette:
    account = _Account(world)
    routes = [
        Route("/crm/v3/objects/{name:str}/search", _endpoint(account.search), methods=["POST"]),
        Route("/crm/v3/objects/{name:str}", _endpoint(account.listed)),
        Route("/crm/v3/owners", _endpoint(account.owners)),
        Route("/crm/v4/associations/deals/contacts/batch/read", _endpoint(account.associations), methods=["POST"]),
        Route("/account-info/v3/details", _endpoint(account.account)),
        Route("/marketing/v3/forms", _endpoint(account.forms)),
        Route("/form-integrations/v1/submissions/forms/{form}", _endpoint(account.submissions)),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _refused})


def _endpoint(answer: Callable[[Request], Awaitable[Thing]]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if request.headers.get("Authorization") != f"Bearer {SECRETS['HUBSPOT_TOKEN']}":
            raise HTTPException(401, "Authentication credentials not found")
        if request.path_params.get("name", "contacts") not in _MODIFIED:
            raise HTTPException(404, "Unable to infer object type")
        thing = await answer(request)
        return JSONResponse(thing, 207 if "numErrors" in thing else 200)

    return endpoint


_CATEGORIES = {400: "VALIDATION_ERROR", 401: "INVALID_AUTHENTICATION", 404: "OBJECT_NOT_FOUND", 429: "RATE_LIMITS"}


async def _refused(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    category = _CATEGORIES.get(error.status_code, "ERROR")
    body = {"status": "error", "message": error.detail, "category": category, "correlationId": "a" * 32}
    return JSONResponse(body, error.status_code)


def _page(given: Mapping[str, str], things: list[Thing], most: int) -> Thing:
    limit = int(given.get("limit", "10"))
    if not 0 < limit <= most:
        raise HTTPException(400, f"limit must be at most {most}")
    rest = [t for t in things if int(t["id"]) > int(given.get("after", "0"))]
    page = rest[:limit]
    return {"results": page} | ({"paging": {"next": {"after": page[-1]["id"]}}} if len(rest) > limit else {})


def _slice(given: Mapping[str, str], things: list[Thing], most: int) -> Thing:
    """A page of what has no order by id: the cursor is a place in the list."""
    size, start = parts.number(given, "limit", 20, most=most), parts.place(given["after"]) if "after" in given else 0
    rest = {"paging": {"next": {"after": parts.cursor(start + size)}}} if start + size < len(things) else {}
    return {"results": things[start : start + size], **rest}


def _matches(thing: Thing, groups: list[Thing]) -> bool:
    return not groups or any(all(_passes(thing, f) for f in group["filters"]) for group in groups)


def _passes(thing: Thing, asked: Thing) -> bool:
    operator = parts.fields(asked, ("propertyName", "operator", "value"))["operator"]
    held, value = (_comparable(v) for v in (thing["properties"].get(asked["propertyName"]), asked["value"]))
    if operator not in ("GT", "GTE", "LT", "LTE", "EQ"):
        raise HTTPException(400, f"Invalid operator: {operator}")
    return {"GT": held > value, "GTE": held >= value, "LT": held < value, "LTE": held <= value, "EQ": held == value}[
        operator
    ]


def _comparable(text: str | None) -> int:
    """Numbers, and times either as HubSpot shows them or as it is asked about them: in milliseconds."""
    if text is None:
        return -1
    return int(text) if text.isdigit() else int(datetime.fromisoformat(text).timestamp() * 1000)


def _shown(thing: Thing, name: str, properties: list[str]) -> Thing:
    always = ("hs_object_id", "createdate", _MODIFIED[name])
    wanted = {p: thing["properties"][p] for p in (*always, *properties) if p in thing["properties"]}
    return {k: v for k, v in thing.items() if v is not None} | {"properties": wanted}


# From the world's records to HubSpot's objects


def _hold(world: World) -> _Held:
    contacts, deals = (world.of(kind, "hubspot").rows(named=True) for kind in ("contacts", "deals"))
    merged: dict[str, list[Row]] = {}
    for row in contacts:
        if row["merged_into"]:
            merged.setdefault(row["merged_into"].removeprefix("hubspot:"), []).append(row)
    people = [_contact(r, merged.get(r["record_id"], [])) for r in contacts if not r["merged_into"]]
    objects = {"contacts": people, "deals": [_deal(r) for r in deals]}
    for things in objects.values():
        things.sort(key=lambda t: int(t["id"]))
    owners = sorted({row["owner"] for row in (*contacts, *deals) if row["owner"]})
    others = [person["id"] for person in people[:2]]
    associated = {r["record_id"]: to for r in deals if (to := _associated(r, others))}
    leads = world.of("leads", "hubspot").sort("occurred_at", "record_id", descending=True)
    filled_in: dict[str, list[Thing]] = {}
    for row in leads.rows(named=True):
        filled_in.setdefault(form_id(row["form"]), []).append(_submission(row))
    forms = [
        {"id": form_id(name), "name": name, "formType": "hubspot", "archived": False}
        for name in leads["form"].unique().sort()
    ]
    shown = sorted(map(_owner, owners), key=lambda o: int(o["id"]))
    return _Held(objects, shown, associated, forms, filled_in)


def form_id(name: str) -> str:
    """The id of the form of that name."""
    return str(uuid5(NAMESPACE_URL, name))


def _submission(row: Row) -> Thing:
    """What a visitor typed and hidden fields held; source and campaign stand in the address of the page alone."""
    first, _, last = (row["name"] or "").rpartition(" ")
    told = {"utm_source": row["source"], "utm_campaign": row["campaign"]}
    fields = {
        "email": row["email"], "phone": row["phone"], "firstname": first or last, "lastname": last if first else "",
        "company": row["company"], "utm_medium": row["medium"], "product_ref": row["product_ref"],
        "external_id": ";".join(row["keys"]),
    }  # fmt: skip
    return {
        "conversionId": row["record_id"], "submittedAt": int(row["occurred_at"].timestamp() * 1000),
        "values": [{"name": name, "value": value, "objectTypeId": "0-1"} for name, value in fields.items() if value],
        "pageUrl": f"https://northwind.example/?{urlencode({k: v for k, v in told.items() if v})}",
    }  # fmt: skip


def _contact(row: Row, merged: list[Row]) -> Thing:
    first, _, last = (row["name"] or "").rpartition(" ")
    kept = [row["email"], *(k.removeprefix("email:") for k in row["keys"] if k.startswith("email:"))]
    kept += [other["email"] for other in merged if other["email"] and other["email"] not in kept]
    keys = [k for k in row["keys"] if not k.startswith(("email:", "hubspot:"))]
    changed_at = max(row["changed_at"], *(other["changed_at"] for other in merged)) if merged else row["changed_at"]
    return _object(row, changed_at, is_archived=bool(row["is_deleted"])) | {
        "properties": {
            "hs_object_id": row["record_id"], "createdate": _iso(row["occurred_at"]),
            "lastmodifieddate": _iso(changed_at), "email": row["email"], "phone": row["phone"], "mobilephone": None,
            "firstname": first or last or None, "lastname": last if first else "", "company": row["company"],
            "hs_additional_emails": ";".join(kept[1:]), "lifecyclestage": row["lifecycle_stage"],
            "hubspot_owner_id": row["owner"] and _owner(row["owner"])["id"], "hs_analytics_source": "OFFLINE",
            "utm_source": row["source"], "utm_campaign": row["campaign"], "external_id": ";".join(keys),
            "hs_merged_object_ids": ";".join(other["record_id"] for other in merged),
            "hs_calculated_merged_vids": ";".join(
                f"{other['record_id']}:{int(other['changed_at'].timestamp() * 1000)}" for other in merged
            ),
        }
    }  # fmt: skip


def _deal(row: Row) -> Thing:
    closed_at = row["won_at"] or row["lost_at"]
    return _object(row, row["changed_at"]) | {
        "properties": {
            "hs_object_id": row["record_id"], "createdate": _iso(row["occurred_at"]),
            "hs_lastmodifieddate": _iso(row["changed_at"]), "pipeline": row["pipeline"], "dealstage": row["stage"],
            "amount": _major(row["amount_minor"], row["currency"]), "deal_currency_code": row["currency"],
            "hubspot_owner_id": row["owner"] and _owner(row["owner"])["id"], "product_ref": row["product_ref"],
            "closedate": closed_at and _iso(closed_at), "hs_is_closed": json.dumps(closed_at is not None),
            "hs_is_closed_won": json.dumps(row["won_at"] is not None), "closed_lost_reason": row["lost_reason"],
            "hs_merged_object_ids": "",
        }
    }  # fmt: skip


def _object(row: Row, changed_at: datetime, *, is_archived: bool = False) -> Thing:
    return {
        "id": row["record_id"], "createdAt": _iso(row["occurred_at"]), "updatedAt": _iso(changed_at),
        "archived": is_archived, "archivedAt": _iso(row["changed_at"]) if is_archived else None,
    }  # fmt: skip


def _associated(row: Row, others: list[str]) -> list[Thing]:
    """The deal's own contact; now and then with a colleague, and then labelled where that one is older."""
    own = next((k.removeprefix("hubspot:") for k in row["keys"] or () if k.startswith("hubspot:")), None)
    if own is None:
        return []
    plain = [{"category": "HUBSPOT_DEFINED", "typeId": 3, "label": None}]
    labelled = [*plain, {"category": "USER_DEFINED", "typeId": 36, "label": "Primary"}]
    colleague = next((o for o in others if o != own), None) if crc32(own.encode()) % 3 == 0 else None
    if colleague is None:
        return [{"toObjectId": int(own), "associationTypes": plain}]
    mine = labelled if int(colleague) < int(own) else plain
    return [
        {"toObjectId": int(colleague), "associationTypes": plain},
        {"toObjectId": int(own), "associationTypes": mine},
    ]


def _owner(email: str) -> Thing:
    number = crc32(email.encode()) % 10**8
    # Some have left; what they own keeps their id.
    return {
        "id": str(number), "userId": number, "email": email, "firstName": "", "lastName": "",
        "createdAt": "2020-01-01T00:00:00.000Z", "updatedAt": "2020-01-01T00:00:00.000Z", "archived": number % 5 == 0,
    }  # fmt: skip


def _major(minor: int | None, currency: str | None) -> str | None:
    if minor is None:
        return None
    digits = _NO_MINOR_UNIT.get(currency or "", 2)
    whole, rest = divmod(minor, 10**digits)
    return f"{whole}.{rest:0{digits}d}".rstrip("0").rstrip(".") if rest else str(whole)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
