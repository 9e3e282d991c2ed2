"""Pipedrive's API v2 over a world: persons and deals, their fields under hashes, companies, stages, pipelines, users.

Record ids are whole numbers; `keys` of a contact begin with its `pipedrive:<record_id>`, then `email:` ones, and a
deal's are its person's. A deal that it has shown and that the world no longer holds was deleted. Deleted and merged-away
persons are not listed.
"""

from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha1
from typing import Any
from zlib import crc32

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.fakes.parts import Row
from journey_pipeline.sandbox.world import World

SECRETS = {"PIPEDRIVE_API_TOKEN": "pd-sandbox"}
_MOST = 500
_STATUSES = ("open", "won", "lost", "deleted")
_PAGED = ("limit", "cursor")
_LISTED = (*_PAGED, "updated_since", "updated_until", "sort_by", "sort_direction", "ids", "filter_id", "owner_id")
_NO_MINOR_UNIT = {"JPY": 0, "KRW": 0, "KWD": 3, "BHD": 3}

Things = Mapping[str, list[Row]]


def hashed(name: str) -> str:
    """The hash under which a custom field of that name is kept."""
    return sha1(name.encode(), usedforsecurity=False).hexdigest()


def _number(name: str | None) -> int | None:
    return None if name is None else crc32(name.encode()) % 10**8


def _render(world: World) -> Things:
    contacts, deals = (world.of(kind, "pipedrive").rows(named=True) for kind in ("contacts", "deals"))
    sources = sorted({row["source"] for row in contacts if row["source"]})
    numbered: dict[str, Callable[[int, str], Row]] = {
        "company": lambda id_, name: {"id": id_, "name": name},
        "stage": lambda id_, name: {"id": id_, "name": name, "pipeline_id": 1, "is_deleted": False},
        "pipeline": lambda id_, name: {"id": id_, "name": name, "is_deleted": False},
        "owner": lambda id_, name: {"id": id_, "name": name.split("@")[0], "email": name, "active_flag": True},
    }
    things = {
        column: [shape(_number(name) or 0, name) for name in sorted({r[column] for r in (*contacts, *deals) if r.get(column)})]
        for column, shape in numbered.items()
    }  # fmt: skip
    shown = [row for row in contacts if not (row["is_deleted"] or row["merged_into"])]
    texts = ("external_id", "utm_campaign", "lifecycle_stage")
    return {
        **things,
        "persons": sorted((_person(row) for row in shown), key=lambda p: p["id"]),
        "deals": sorted((_deal(row) for row in deals), key=lambda d: d["id"]),
        "personFields": [
            {"field_code": "name", "field_name": "Name", "field_type": "varchar", "is_custom_field": False},
            *({"field_code": hashed(n), "field_name": n, "field_type": "varchar", "is_custom_field": True} for n in texts),
            {
                "field_code": hashed("utm_source"), "field_name": "utm_source", "field_type": "enum",
                "is_custom_field": True, "options": [{"id": _number(label), "label": label} for label in sources],
            },
        ],
        "dealFields": [
            {"field_code": hashed("product_ref"), "field_name": "product_ref", "field_type": "varchar", "is_custom_field": True}
        ],
    }  # fmt: skip


def _person(row: Row) -> Row:
    emails = [row["email"], *(k.removeprefix("email:") for k in row["keys"] if k.startswith("email:"))]
    keys = [k for k in parts.elsewhere(row, "pipedrive") if not k.startswith("email:")]
    custom = {"external_id": "; ".join(keys) or None, "utm_campaign": row["campaign"],
              "utm_source": _number(row["source"]), "lifecycle_stage": row["lifecycle_stage"]}  # fmt: skip
    return {
        **_common(row), "name": row["name"], "first_name": None, "last_name": None, "emails": _labelled(emails),
        "phones": _labelled([row["phone"]]), "org_id": _number(row["company"]), "is_deleted": False,
        "visible_to": 3, "label_ids": [], "picture_id": None,
        "custom_fields": {hashed(name): value for name, value in custom.items()},
    }  # fmt: skip


def _labelled(values: list[str | None]) -> list[Row]:
    """The primary one stands last, for its place means nothing."""
    given = [{"value": v, "primary": n == 0, "label": "work"} for n, v in enumerate(values) if v]
    return [*given[1:], *given[:1]]


def _deal(row: Row) -> Row:
    digits = _NO_MINOR_UNIT.get(row["currency"] or "", 2)
    status = "won" if row["won_at"] else "lost" if row["lost_at"] else "open"
    person = parts.own_id(row, "pipedrive")
    return {
        **_common(row), "title": f"Deal {row['record_id']}", "person_id": person and int(person),
        "org_id": _number(row["company"]), "status": status, "currency": row["currency"],
        "value": None if row["amount_minor"] is None else row["amount_minor"] / 10**digits,
        "stage_id": _number(row["stage"]), "pipeline_id": _number(row["pipeline"]), "won_time": parts.iso(row["won_at"]),
        "lost_time": parts.iso(row["lost_at"]), "close_time": parts.iso(row["won_at"] or row["lost_at"]),
        "lost_reason": row["lost_reason"], "is_deleted": False, "is_archived": int(row["record_id"]) % 3 == 0,
        "custom_fields": {hashed("product_ref"): row["product_ref"]},
    }  # fmt: skip


def _common(row: Row) -> Row:
    return {
        "id": int(row["record_id"]), "owner_id": _number(row["owner"]), "add_time": parts.iso(row["occurred_at"]),
        "update_time": parts.iso(row["changed_at"]),
    }  # fmt: skip


class _Account:
    """What the account holds, and the deals that it held before."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._now = parts.Rendered(world, ("contacts", "deals"), self._rendered)
        self._deleted: dict[int, Row] = {}
        self._shown: list[Row] = []

    def held(self) -> Things:
        return self._now.now()

    def _rendered(self, world: World) -> Things:
        things = _render(world)
        held = {deal["id"] for deal in things["deals"]}
        for deal in self._shown:
            if deal["id"] not in held:
                gone = {"status": "deleted", "is_deleted": True, "is_archived": False}
                self._deleted[deal["id"]] = {**deal, **gone, "update_time": parts.iso(world.now)}
        self._shown = things["deals"]
        kept = [deal for id_, deal in self._deleted.items() if id_ not in held]
        return {**things, "deals": sorted([*things["deals"], *kept], key=lambda deal: deal["id"])}


def app(world: World) -> Starlette:
    account = _Account(world)

    def listed(
        name: str, allowed: tuple[str, ...] = _PAGED, *, is_archived: bool | None = None
    ) -> Callable[[Request], Awaitable[JSONResponse]]:
        async def answer(request: Request) -> JSONResponse:
            parts.has_header(request, "x-api-token", SECRETS["PIPEDRIVE_API_TOKEN"])
            given = parts.parameters(request, allowed)
            size = parts.number(given, "limit", 100, most=_MOST)
            rows = account.held()[name]
            if is_archived is not None:
                statuses = given.get("status", "open,won,lost").split(",")
                if set(statuses) - set(_STATUSES):
                    raise HTTPException(400, "validation failed: status")
                rows = [r for r in rows if r["is_archived"] == is_archived and r["status"] in statuses]
            if "updated_since" in given:
                since = parts.iso(parts.instant(given["updated_since"])) or ""
                rows = [row for row in rows if row["update_time"] >= since]
            start = parts.place(given["cursor"]) if "cursor" in given else 0
            following = parts.cursor(start + size) if start + size < len(rows) else None
            page = {"data": rows[start : start + size], "additional_data": {"next_cursor": following}}
            return JSONResponse({"success": True, **page})

        return answer

    v2: Mapping[str, Any] = {
        "persons": listed("persons", _LISTED),
        "deals": listed("deals", (*_LISTED, "status"), is_archived=False),
        "deals/archived": listed("deals", (*_LISTED, "status"), is_archived=True),
        "personFields": listed("personFields"), "dealFields": listed("dealFields"),
        "organizations": listed("company", _LISTED), "stages": listed("stage"), "pipelines": listed("pipeline"),
    }  # fmt: skip
    routes = [Route(f"/api/v2/{name}", answer) for name, answer in v2.items()]
    return parts.service(
        [*routes, Route("/api/v1/users", listed("owner", ()))],
        lambda status, detail: {"success": False, "error": detail, "code": f"ERR_{status}"},
    )
