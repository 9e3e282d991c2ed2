"""ActiveCampaign's API 3 over a world: contacts with their lists beside them, deals, and a shop's orders; numbers are text.

Ids are numbers. A consent's id is `<list>:<contact>`, its `list_ref` `activecampaign:<list>`; its contact is told even where
the world holds no contact of that number. A contact's second and later `keys` are fields (id 9), as are its
`lifecycle_stage` (1), `source` (2) and `campaign` (3). A deal names its contact in `keys`; its won_at or lost_at is its last
change, its `pipeline` and `stage` are titles, its `owner` an address. An order's `product_ref` is `activecampaign:<product>`,
a `same_as` of Shopify connection 1. Times are told in the account's offset, -05:00.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from itertools import count
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.world import World

SECRETS = {"ACTIVECAMPAIGN_API_KEY": "sandbox"}
ZONE = timezone(timedelta(hours=-5))
STATES = {"subscribed": "1", "unsubscribed": "2", "cleaned": "3"}
ORDER_STATES = {"pending": "4", "succeeded": "1"}
_FIELDS = {"1": "lifecycle_stage", "2": "source", "3": "campaign"}
_KINDS = ("contacts", "consents", "deals", "payments")

Row = Mapping[str, Any]
Tables = Mapping[str, list[dict[str, Any]]]


def _time(instant: datetime | None) -> str | None:
    return instant.astimezone(ZONE).isoformat() if instant else None


def _tables(world: World) -> Tables:
    held = {kind: [*world.of(kind, "activecampaign").sort("record_id").iter_rows(named=True)] for kind in _KINDS}
    contacts = {row["record_id"]: _contact(row["record_id"], row) for row in held["contacts"]}
    for row in held["consents"]:
        contacts.setdefault(row["record_id"].partition(":")[2], _contact(row["record_id"].partition(":")[2], row))
    groups, stages, users = (_named(held["deals"], column) for column in ("pipeline", "stage", "owner"))
    return {
        "contacts": sorted(contacts.values(), key=lambda row: int(row["id"])),
        "contactLists": [_listed(row) for row in held["consents"]],
        "fieldValues": [value for row in held["contacts"] for value in _values(row)],
        "deals": [_deal(row, groups, stages, users) for row in held["deals"]],
        "dealGroups": [{"id": id_, "title": title} for title, id_ in groups.items()],
        "dealStages": [{"id": id_, "title": title} for title, id_ in stages.items()],
        "users": [{"id": id_, "email": email} for email, id_ in users.items()],
        "ecomOrders": [_order(row) for row in held["payments"]],
        "ecomOrderProducts": [_product(row) for row in held["payments"] if row["product_ref"]],
    }


def _named(rows: Iterable[Row], column: str) -> dict[str, str]:
    return dict(zip(sorted({row[column] for row in rows if row[column]}), map(str, count(1)), strict=False))


def _contact(id_: str, row: Row) -> dict[str, Any]:
    first, _, last = (row["name"] or "").partition(" ")
    return {
        "id": id_,
        "email": row["email"] or "",
        "phone": row["phone"] or "",
        "firstName": first,
        "lastName": last,
        "orgname": row["company"] or "",
        "cdate": _time(row["occurred_at"]),
        "udate": _time(row["changed_at"]),
        "deleted": "1" if row.get("is_deleted") else "0",
        "contactLists": [],
        "links": {},
    }


def _listed(row: Row) -> dict[str, Any]:
    list_, _, contact = row["record_id"].partition(":")
    is_in = row["state"] == "subscribed"
    joined = row["occurred_at"] if is_in else row["occurred_at"] - timedelta(days=30)
    return {
        "id": f"{list_}{contact}",
        "contact": contact,
        "list": list_,
        "status": STATES.get(row["state"], "0"),
        "sdate": _time(joined),
        "udate": None if is_in else _time(row["occurred_at"]),
        "_changed": row["changed_at"],
    }


def _values(row: Row) -> Iterable[dict[str, Any]]:
    fields = [(field, row[column]) for field, column in _FIELDS.items()]
    for number, (field, value) in enumerate([*fields, *(("9", key) for key in parts.elsewhere(row, "activecampaign"))]):
        if value:
            yield {"id": f"{row['record_id']}{number}", "contact": row["record_id"], "field": field, "value": value}


def _deal(row: Row, groups: Row, stages: Row, users: Row) -> dict[str, Any]:
    return {
        "id": row["record_id"],
        "title": "A deal",
        "contact": parts.own_id(row, "activecampaign"),
        "value": str(row["amount_minor"]),
        "currency": (row["currency"] or "").lower(),
        "group": groups.get(row["pipeline"]),
        "stage": stages.get(row["stage"]),
        "owner": users.get(row["owner"]),
        "status": "1" if row["won_at"] else "2" if row["lost_at"] else "0",
        "cdate": _time(row["occurred_at"]),
        "mdate": _time(row["won_at"] or row["lost_at"] or row["changed_at"]),
        "isDisabled": False,
    }


def _order(row: Row) -> dict[str, Any]:
    elsewhere = (row["same_as"] or [":"])[0].partition(":")[2]
    return {
        "id": row["record_id"],
        "externalid": elsewhere or row["record_id"],
        "email": row["email"],
        "state": ORDER_STATES.get(row["status"], "2"),
        "totalPrice": str(row["amount_minor"]),
        "currency": row["currency"],
        "connectionid": "1" if elsewhere else "2",
        "externalCreatedDate": _time(row["occurred_at"]),
        "orderUrl": row["url"] or "",
    }


def _product(row: Row) -> dict[str, Any]:
    product = row["product_ref"].removeprefix("activecampaign:")
    return {"id": f"7{row['record_id']}", "orderid": row["record_id"], "externalid": product, "price": "100"}


def app(world: World) -> Starlette:
    """The API."""
    tables = parts.Rendered(world, _KINDS, _tables)

    def asked(request: Request, parameters: Sequence[str]) -> Mapping[str, str]:
        if request.headers.get("Api-Token") != SECRETS["ACTIVECAMPAIGN_API_KEY"]:
            raise HTTPException(403, "You do not have permission")
        return parts.parameters(request, ("limit", "offset", *parameters))

    async def contacts(request: Request) -> JSONResponse:
        params = asked(request, ("status", "orders[id]", "include", "id_greater", "filters[updated_after]"))
        if params.get("orders[id]") != "ASC" or params.get("status", "-1") != "-1":
            raise HTTPException(400, "the sandbox lists all contacts by id only")
        after, size = parts.number(params, "id_greater", 0, least=0), parts.number(params, "limit", 20, most=100)
        since = datetime.combine(
            date.fromisoformat(params.get("filters[updated_after]", "2000-01-01")), datetime.min.time(), ZONE
        )
        held = tables.now()
        changed = {row["contact"] for row in held["contactLists"] if since <= row["_changed"] <= world.now}
        wanted = [
            row
            for row in held["contacts"]
            if int(row["id"]) > after
            and (since <= datetime.fromisoformat(row["udate"]) <= world.now or row["id"] in changed)
        ]
        shown = {row["id"] for row in wanted[:size]}
        beside = {
            name: [{k: v for k, v in row.items() if k != "_changed"} for row in held[name] if row["contact"] in shown]
            for name in params.get("include", "").split(",")
            if name in ("contactLists", "fieldValues")
        }
        return JSONResponse({**beside, "contacts": wanted[:size], "meta": {"total": str(len(wanted))}})

    def listed(name: str) -> Callable[[Request], Any]:
        async def answer(request: Request) -> JSONResponse:
            params = asked(request, ())
            size, start = parts.number(params, "limit", 20, most=100), parts.number(params, "offset", 0, least=0)
            rows = tables.now()[name]
            return JSONResponse({name: rows[start : start + size], "meta": {"total": str(len(rows))}})

        return answer

    names = ("deals", "dealGroups", "dealStages", "users", "ecomOrders", "ecomOrderProducts")
    routes = [Route("/api/3/contacts", contacts), *(Route(f"/api/3/{name}", listed(name)) for name in names)]
    return parts.service(routes, lambda _status, detail: {"message": detail})
