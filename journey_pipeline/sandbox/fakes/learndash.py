"""WordPress with LearnDash over a world: users, courses and groups with their users, and each user's progress.

An access record's id is `<product>:<user>`, its product_ref `learndash:<product>`; the product is `course_9` or `group_7`,
the user a number that stands in `keys` as `learndash:<user>`. A course is begun with its enrolment (`occurred_at`); of a
group's time nothing is told, nor of a use that completed nothing, nor of what was revoked or ran out.
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

SECRETS = {"LEARNDASH_USER": "admin", "LEARNDASH_APP_PASSWORD": "abcd EFGH 1234 ijkl MNOP 6789"}
LARGEST_PAGE = 100
STEPS = 100
GRANTS: Mapping[int, tuple[int, ...]] = {}
"""Group -> the courses that its members get without being listed there; a test says some."""
_PAGING = ("page", "per_page", "_fields", "context", "orderby", "order")
_DENIED = "Sorry, you are not allowed to list users."


class _Site:
    """What the site holds: users by id, the ids of users by course and by group, progress by user."""

    def __init__(self, world: World) -> None:
        self.users: dict[int, Row] = {}
        self.inside: dict[str, dict[int, list[int]]] = {"course": {}, "group": {}}
        self.progress: dict[int, list[Row]] = {}
        rows = list(world.of("access", "learndash").sort("changed_at", "record_id").iter_rows(named=True))
        for row in rows:
            product, _, user = row["record_id"].partition(":")
            kind, _, id_ = product.partition("_")
            self.users[int(user)] = _user(row, int(user))
            held = self.inside[kind].setdefault(int(id_), [])
            if row["status"] == "active":
                held.append(int(user))
            if kind == "course":
                self.progress.setdefault(int(user), []).append(_progress(row, int(id_)))
        for group, courses in GRANTS.items():
            for course in courses:
                held = self.inside["course"].setdefault(course, [])
                held[:] = [user for user in held if user not in self.inside["group"].get(group, ())]


def _user(row: Mapping[str, Any], user: int) -> Row:
    first, _, last = (row["name"] or "").partition(" ")
    return {
        "id": user,
        "username": f"user{user}",
        "name": row["name"] or "",
        "first_name": first,
        "last_name": last,
        "email": row["email"],
        "registered_date": f"{row['occurred_at']:%Y-%m-%dT%H:%M:%S}+00:00",
        "roles": ["administrator"] if row["basis"] == "staff" else ["subscriber"],
        "meta": {f"ref_{n}": key for n, key in enumerate(parts.elsewhere(row, "learndash"))},
    }


def _progress(row: Mapping[str, Any], course: int) -> Row:
    steps = int(row["progress"] or 0)
    is_completed = steps == STEPS
    return {
        "course": course,
        "progress_status": "completed" if is_completed else "in-progress" if steps else "not-started",
        "last_step": 0,
        "steps_completed": steps,
        "steps_total": STEPS,
        "date_started_gmt": _gmt(row["occurred_at"]),
        "date_started": _gmt(row["occurred_at"]),
        "date_completed_gmt": _gmt(row["last_used_at"]) if is_completed else "",
        "date_completed": _gmt(row["last_used_at"]) if is_completed else "",
    }


def _gmt(instant: datetime) -> str:
    """As WordPress has it: without a zone."""
    return f"{instant:%Y-%m-%dT%H:%M:%S}"


def _error(status: int, detail: str) -> Row:
    return {"code": "rest_forbidden", "message": detail, "data": {"status": status}}


def _paged(rows: list[Row], given: Mapping[str, str], *, are_posts: bool) -> JSONResponse:
    page = parts.number(given, "page", 1)
    size = parts.number(given, "per_page", 10, most=LARGEST_PAGE)
    pages = parts.pages(rows, size)
    if are_posts and page > max(pages, 1):
        raise HTTPException(400, "The page number requested is larger than the number of pages available.")
    fields = given["_fields"].split(",") if "_fields" in given else None
    shown = [{k: v for k, v in row.items() if fields is None or k in fields} for row in parts.page(rows, page, size)]
    return JSONResponse(shown, headers={"X-WP-Total": str(len(rows)), "X-WP-TotalPages": str(pages)})


def app(world: World) -> Starlette:
    """The site's REST API."""
    site = parts.Rendered(world, ("access",), _Site)

    def endpoint(
        rows: Callable[[_Site, Mapping[str, int]], list[Row] | None], *, are_posts: bool = False
    ) -> Callable[[Request], Awaitable[JSONResponse]]:
        async def answer(request: Request) -> JSONResponse:
            parts.has_basic(request, *SECRETS.values())
            held = rows(site.now(), request.path_params)
            if held is None:
                raise HTTPException(404, "Invalid ID.")
            return _paged(held, parts.parameters(request, _PAGING), are_posts=are_posts)

        return answer

    def of(kind: str) -> Callable[[_Site, Mapping[str, int]], list[Row] | None]:
        def inside(held: _Site, at: Mapping[str, int]) -> list[Row] | None:
            users = held.inside[kind].get(at["id"])
            return None if users is None else [held.users[user] for user in sorted(users)]

        return inside

    def all_users(request_site: _Site, _at: Mapping[str, int]) -> list[Row]:
        return [request_site.users[user] for user in sorted(request_site.users)]

    async def users(request: Request) -> JSONResponse:
        if request.query_params.get("context") != "edit":
            raise HTTPException(403, _DENIED)
        return await endpoint(all_users)(request)

    return parts.service(
        [
            Route("/wp/v2/users", users),
            Route("/ldlms/v2/sfwd-courses", endpoint(lambda s, _: _posts(s, "course"), are_posts=True)),
            Route("/ldlms/v2/sfwd-courses/{id:int}/users", endpoint(of("course"))),
            Route("/ldlms/v2/groups", endpoint(lambda s, _: _posts(s, "group"), are_posts=True)),
            Route("/ldlms/v2/groups/{id:int}/users", endpoint(of("group"))),
            Route(
                "/ldlms/v2/groups/{id:int}/courses",
                endpoint(lambda _, at: [{"id": course} for course in GRANTS.get(at["id"], ())], are_posts=True),
            ),
            Route(
                "/ldlms/v2/users/{id:int}/course-progress",
                endpoint(lambda s, at: s.progress.get(at["id"], []), are_posts=True),
            ),
        ],
        error=_error,
    )


def _posts(site: _Site, kind: str) -> list[Row]:
    return [{"id": id_, "title": {"rendered": f"{kind} {id_}"}} for id_ in sorted(site.inside[kind])]
