"""Circle's Admin API v2 over a world: the members of the community, of its spaces and of its access groups.

An access record's id is `<product>:<member>`, its product_ref `circle:<product>`; the product is `community`,
`space_3` or `group_7`, the member a number that stands in `keys` as `circle:<member>`. Whoever is in a space or a
group has a `community` record too. Whoever was never seen (`last_used_at` null) has not finished the profile. What was
revoked isn't listed, but for the space of somebody who has been seen. Not here: the monthly quota.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.fakes.parts import Row
from journey_pipeline.sandbox.world import World

SECRETS = {"CIRCLE_TOKEN": "circle_sandbox"}
LARGEST_PAGE = 100
COMMUNITY = 1
_PAGING = ("page", "per_page")
_STATUSES = ("active", "inactive", "all")


class _Community:
    """What the community holds: members by id, then memberships by space and by group."""

    def __init__(self, world: World) -> None:
        held = world.of("access", "circle").sort("occurred_at", "record_id", descending=True)
        rows = [(*_place(row), row) for row in held.iter_rows(named=True)]
        tags: dict[int, list[str]] = {}
        for _, _, member, row in rows:
            if row["basis"] not in (None, "paid"):
                tags.setdefault(member, []).append(f"{row['basis']}:{row['record_id'].partition(':')[0]}")
        known: dict[int, Row] = {}
        for _, _, member, row in sorted(rows, key=lambda each: each[0] != "community"):
            known.setdefault(member, _member(row, member, tags.get(member, [])))
        gone = {member for kind, _, member, row in rows if kind == "community" and row["status"] != "active"}
        self.members = {member: row for member, row in known.items() if member not in gone}
        self.inside: dict[str, dict[int, list[Row]]] = {"space": {}, "group": {}}
        for number, (kind, id_, member, row) in enumerate(rows, 1):
            if kind in self.inside:
                listed = self.inside[kind].setdefault(id_, [])
                if row["status"] == "active" or (kind == "space" and known[member]["active"]):
                    told = _in_space if kind == "space" else _in_group
                    listed.append(told(row, number, id_, known[member]))


def _place(row: Mapping[str, Any]) -> tuple[str, int, int]:
    """`community`, `space` or `group`, its number, and the member's."""
    product, _, member = row["record_id"].partition(":")
    kind, _, id_ = product.partition("_")
    return kind, int(id_ or 0), int(member)


def _member(row: Mapping[str, Any], member: int, tags: Sequence[str]) -> Row:
    first, _, last = (row["name"] or "").partition(" ")
    elsewhere = parts.elsewhere(row, "circle")
    profile = {"phone_number": row["phone"], "company": row["company"], "bio": None}
    confirmed = _iso(row["last_used_at"])
    return {
        "id": member,
        "user_id": member + 1_000_000,
        "community_id": COMMUNITY,
        "first_name": first or None,
        "last_name": last or None,
        "name": row["name"] or "",
        "email": row["email"],
        "created_at": _iso(row["occurred_at"]),
        "updated_at": _iso(row["changed_at"]),
        "last_seen_at": confirmed,
        "profile_confirmed_at": confirmed,
        "accepted_invitation": row["occurred_at"].strftime("%Y-%m-%d %H:%M:%S UTC") if confirmed else "",
        "active": confirmed is not None,
        "profile_url": row["url"],
        "public_uid": f"{member:08x}",
        "sso_provider_user_id": elsewhere[0] if elsewhere else None,
        "flattened_profile_fields": {**profile, **{f"ref_{n}": key for n, key in enumerate(elsewhere[1:])}},
        "member_tags": [{"id": number, "name": tag} for number, tag in enumerate(tags, 1)],
    }


def _in_space(row: Mapping[str, Any], id_: int, space: int, member: Row) -> Row:
    return {
        "id": id_,
        "user_id": member["user_id"],
        "space_id": space,
        "community_member_id": member["id"],
        "access_type": "invite",
        "status": "active" if row["status"] == "active" and member["active"] else "inactive",
        "moderator": False,
        "created_at": _iso(row["occurred_at"]),
        "updated_at": _iso(row["revoked_at"] or row["changed_at"]),
        "community_member": {name: member[name] for name in ("name", "email", "profile_url", "public_uid")},
    }


def _in_group(row: Mapping[str, Any], id_: int, group: int, member: Row) -> Row:
    return {
        "id": id_,
        "access_group_id": group,
        "community_member_id": member["id"],
        "community_id": COMMUNITY,
        "created_at": _iso(row["occurred_at"]),
        "updated_at": _iso(row["changed_at"]),
    }


def _space(space: int) -> Row:
    return {
        "id": space,
        "name": f"Space {space}",
        "slug": f"space-{space}",
        "community_id": COMMUNITY,
        "is_private": True,
        "space_type": "basic",
        "space_group": {"id": 1, "name": "Spaces"},
    }


def _group(group: int) -> Row:
    return {"id": group, "name": f"Group {group}", "status": "active", "community_id": COMMUNITY}


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"


def _paged(rows: Sequence[Row], given: Mapping[str, str]) -> JSONResponse:
    number, size = parts.number(given, "page", 1), min(parts.number(given, "per_page", 10), LARGEST_PAGE)
    return JSONResponse({
        "page": number,
        "per_page": size,
        "has_next_page": number < parts.pages(rows, size),
        "count": len(rows),
        "page_count": parts.pages(rows, size),
        "records": parts.page(rows, number, size),
    })  # fmt: skip


def _status(given: Mapping[str, str], default: str, allowed: Sequence[str] = _STATUSES) -> str:
    status = given.get("status", default)
    if status not in allowed:
        raise HTTPException(400, f"Invalid status. Valid statuses are: {', '.join(allowed)}")
    return status


def app(world: World) -> Starlette:
    """The community's Admin API."""
    community = parts.Rendered(world, ("access",), _Community)

    def endpoint(
        answer: Callable[[Request, _Community], JSONResponse],
    ) -> Callable[[Request], Awaitable[JSONResponse]]:
        async def guarded(request: Request) -> JSONResponse:
            parts.has_header(request, "Authorization", f"Token {SECRETS['CIRCLE_TOKEN']}")
            return answer(request, community.now())

        return guarded

    return parts.service(
        [
            Route("/community_members", endpoint(_members)),
            Route("/spaces", endpoint(_spaces)),
            Route("/space_members", endpoint(_space_members)),
            Route("/access_groups", endpoint(_groups)),
            Route("/access_groups/{group:int}/community_members", endpoint(_group_members)),
        ],
        error=lambda _status, detail: {"success": False, "message": detail, "error_details": {}},
    )


def _members(request: Request, community: _Community) -> JSONResponse:
    given = parts.parameters(request, (*_PAGING, "status", "member_tag_ids"))
    wanted = {"active": (True,), "inactive": (False,), "all": (True, False)}[_status(given, "active")]
    return _paged([row for row in community.members.values() if row["active"] in wanted], given)


def _spaces(request: Request, community: _Community) -> JSONResponse:
    given = parts.parameters(request, (*_PAGING, "sort"))
    return _paged([_space(space) for space in sorted(community.inside["space"])], given)


def _space_members(request: Request, community: _Community) -> JSONResponse:
    given = parts.parameters(request, (*_PAGING, "space_id", "status"))
    wanted = _status(given, "all")
    held = community.inside["space"].get(parts.number(given, "space_id", 0))
    if held is None:
        raise HTTPException(404, "Oops! Missing record. Please try again later.")
    return _paged([row for row in held if wanted in ("all", row["status"])], given)


def _groups(request: Request, community: _Community) -> JSONResponse:
    given = parts.parameters(request, (*_PAGING, "status", "ids", "name"))
    is_none = _status(given, "active", ("active", "archived", "all")) == "archived"
    return _paged([] if is_none else [_group(group) for group in sorted(community.inside["group"])], given)


def _group_members(request: Request, community: _Community) -> JSONResponse:
    held = community.inside["group"].get(request.path_params["group"])
    if held is None:
        raise HTTPException(404, "Oops! Missing record. Please try again later.")
    return _paged(held, parts.parameters(request, _PAGING))
