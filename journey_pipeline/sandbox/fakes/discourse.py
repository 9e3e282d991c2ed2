"""Discourse over a world: the forum's users, its groups and their members.

An access record's id is `<group>:<user>`, its product_ref `discourse:<group>`; the group is `group_41`, the user a number
that stands in `keys` as `discourse:<user>`. Beside the world's groups there is one that the forum keeps itself. A member
whose access is revoked is a suspended user. Not here: the limit of 60 requests a minute, which `trouble` plays.
"""

from collections.abc import Awaitable, Callable, Mapping
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

SECRETS = {"DISCOURSE_API_KEY": "discourse_sandbox"}
USERS_PAGE, GROUPS_PAGE, LARGEST_PAGE = 100, 36, 1000
AVATAR = "/letter_avatar_proxy/v4/letter/a/8edcca/{size}.png"
_ORDERS = ("created", "seen", "username", "email")


class _Forum:
    """What the forum holds: users by id, and the members of each group, by the group's number."""

    def __init__(self, world: World) -> None:
        self.users: dict[int, Row] = {}
        self.elsewhere: dict[int, list[str]] = {}
        self.members: dict[int, list[Row]] = {1: []}
        rows = list(world.of("access", "discourse").sort("changed_at", "record_id").iter_rows(named=True))
        for row in rows:
            group, _, user = row["record_id"].removeprefix("group_").partition(":")
            self.users[int(user)] = _user(row, int(user))
            self.elsewhere[int(user)] = parts.elsewhere(row, "discourse")
            self.members.setdefault(int(group), []).append(_member(row, int(user)))


def _user(row: Mapping[str, Any], user: int) -> Row:
    suspension = {"suspended_at": _iso(row["revoked_at"]), "suspended_till": "3000-01-01T00:00:00.000Z"}
    return {
        "id": user,
        "username": f"user{user}",
        "name": row["name"] or "",
        "avatar_template": AVATAR,
        "email": row["email"],
        "secondary_emails": [],
        "active": row["last_used_at"] is not None,
        "admin": row["basis"] == "staff",
        "moderator": False,
        "last_seen_at": _iso(row["last_used_at"]),
        "last_emailed_at": None,
        "created_at": _iso(row["occurred_at"]),
        "last_seen_age": None,
        "last_emailed_age": None,
        "created_at_age": None,
        "trust_level": 1,
        "manual_locked_trust_level": None,
        "title": None,
        "time_read": 0,
        "staged": False,
        "days_visited": 0,
        "posts_read_count": 0,
        "topics_entered": 0,
        "post_count": 0,
        **(suspension if row["status"] == "revoked" else {}),
    }


def _member(row: Mapping[str, Any], user: int) -> Row:
    return {
        "id": user,
        "username": f"user{user}",
        "name": row["name"] or "",
        "avatar_template": AVATAR,
        "title": None,
        "last_posted_at": None,
        "last_seen_at": _iso(row["last_used_at"]),
        "added_at": _iso(row["occurred_at"]),
        "timezone": "Etc/UTC",
    }


def _group(group: int, size: int) -> Row:
    levels = ("mentionable_level", "messageable_level", "visibility_level", "default_notification_level", "members_visibility_level")  # fmt: skip
    texts = ("title", "grant_trust_level", "incoming_email", "flair_url", "flair_bg_color", "flair_color", "bio_raw", "bio_cooked", "bio_excerpt", "full_name", "membership_request_template")  # fmt: skip
    flags = ("primary_group", "has_messages", "public_admission", "public_exit", "allow_membership_requests", "can_see_members", "can_admin_group", "publish_read_state")  # fmt: skip
    return {
        "id": group,
        "automatic": group == 1,
        "name": _name(group),
        "display_name": _name(group),
        "user_count": size,
        **dict.fromkeys(levels, 0),
        **dict.fromkeys(texts),
        **dict.fromkeys(flags, False),
    }


def _name(group: int) -> str:
    return "admins" if group == 1 else f"members_{group}"


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def app(world: World) -> Starlette:
    """The forum's API."""
    forum = parts.Rendered(world, ("access",), _Forum)

    def endpoint(answer: Callable[[Request, _Forum], Any]) -> Callable[[Request], Awaitable[JSONResponse]]:
        async def guarded(request: Request) -> JSONResponse:
            is_known = request.headers.get("Api-Key") == SECRETS["DISCOURSE_API_KEY"]
            if not is_known or request.headers.get("Api-Username") != "system":
                raise HTTPException(403, "You are not permitted to view the requested resource.")
            return JSONResponse(answer(request, forum.now()))

        return guarded

    return parts.service(
        [
            Route("/admin/users.json", endpoint(_users)),
            Route("/admin/users/{id:int}.json", endpoint(_details)),
            Route("/groups.json", endpoint(_groups)),
            Route("/groups/{name}/members.json", endpoint(_members)),
        ],
        error=lambda _status, detail: {"errors": [detail], "error_type": "invalid_access"},
    )


def _users(request: Request, forum: _Forum) -> list[Row]:
    given = parts.parameters(request, ("page", "order", "asc", "show_emails"))
    if given.get("order", "seen") not in _ORDERS:
        raise HTTPException(400, "unknown order")
    hidden = () if given.get("show_emails") == "true" else ("email", "secondary_emails")
    users = [{k: v for k, v in forum.users[id_].items() if k not in hidden} for id_ in sorted(forum.users)]
    return parts.page(users, max(parts.number(given, "page", 1, least=0), 1), USERS_PAGE)


def _details(request: Request, forum: _Forum) -> Row:
    user = forum.users.get(request.path_params["id"])
    if user is None:
        raise HTTPException(404, "The requested URL or resource could not be found.")
    ids = {key.partition(":")[0]: key.partition(":")[2] for key in forum.elsewhere[user["id"]]}
    shown = {k: v for k, v in user.items() if k not in ("email", "secondary_emails", "suspended_at", "suspended_till")}
    return {**shown, "single_sign_on_record": None, "external_ids": ids}


def _groups(request: Request, forum: _Forum) -> Row:
    page = parts.number(parts.parameters(request, ("page",)), "page", 0, least=0)
    groups = [_group(group, len(forum.members[group])) for group in sorted(forum.members)]
    return {
        "groups": parts.page(groups, page + 1, GROUPS_PAGE),
        "extras": {"type_filters": ["my", "owner", "public", "close", "automatic"]},
        "total_rows_groups": len(groups),
        "load_more_groups": f"/groups?page={page + 1}",
    }


def _members(request: Request, forum: _Forum) -> Row:
    given = parts.parameters(request, ("limit", "offset"))
    members = {_name(group): held for group, held in forum.members.items()}.get(request.path_params["name"])
    if members is None:
        raise HTTPException(404, "The requested URL or resource could not be found.")
    limit = parts.number(given, "limit", 50, least=0, most=LARGEST_PAGE)
    offset = parts.number(given, "offset", 0, least=0)
    return {
        "members": members[offset : offset + limit],
        "owners": [],
        "meta": {"total": len(members), "limit": limit, "offset": offset},
    }
