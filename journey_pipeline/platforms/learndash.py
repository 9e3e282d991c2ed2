"""LearnDash: who may take which course of a WordPress site, by themselves or through a group, and how far they came.

Reads   /wp/v2/users; /ldlms/v2/sfwd-courses and each course's users; /ldlms/v2/groups, each group's users and courses;
        unless `progress: false` /ldlms/v2/users/{id}/course-progress, one request per student
Says    access: one per course and user, one per group and user
Cursor  None: nothing can be asked for by change, so each load reads all of it, and who is missing is gone.
Joins   e-mail and name of the WordPress user; user meta that reads like `app:42`. A course is `learndash:course_9`, a
        group `learndash:group_7`. No order or payment: what the site's shop knows comes from the shop (WooCommerce).
Needs   LEARNDASH_USER and LEARNDASH_APP_PASSWORD of an administrator (Users -> Profile -> Application Passwords; the host
        must pass the Authorization header on), and `base_url`. LearnDash 3.3 or newer, its REST API v2 switched on.
Assumes A course lists those who were enrolled by themselves; a group's members get its courses without being listed.
        The time when a course was given to somebody stands in the progress (`date_started_gmt`, GMT without a zone).
        What came through a group, or without progress, began with the load that first listed it; at the first load of
        all, with the user's registration. Use is dated by completion, else by the load that first told of as many
        steps. Open courses are everybody's and list nobody. Administrators are staff. A course that ran out is gone.
"""

from collections.abc import Iterator, Mapping

import polars as pl

from journey_pipeline.errors import SourceError
from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, basic, by_counted_page
from journey_pipeline.platforms.translate import filled, iso, keys, keys_in, newest, records

PAGE = 100
SCOPE = "an application password of an administrator"


class Options(base.Options):
    """Options of LearnDash."""

    base_url: str = ""
    """Where the site's REST API is: `https://northwind.example/wp-json`."""
    progress: bool = True
    """Whether each student's progress is read, which costs a request per student; it tells when enrolments began."""


def users(pull: Pull) -> Iterator[list[Row]]:
    fields = "id,email,name,first_name,last_name,registered_date,roles,meta"
    yield from _list(_api(pull), "wp/v2/users", fields, context="edit", orderby="id", order="asc")


def enrollments(pull: Pull) -> Iterator[list[Row]]:
    api = _api(pull)
    for course in _ids(api, "ldlms/v2/sfwd-courses"):
        for page in _list(api, f"ldlms/v2/sfwd-courses/{course}/users", "id", orderby="id", order="asc"):
            yield [{"user_id": row["id"], "course_id": course} for row in page]


def members(pull: Pull) -> Iterator[list[Row]]:
    api = _api(pull)
    for group in _ids(api, "ldlms/v2/groups"):
        granted = _ids(api, f"ldlms/v2/groups/{group}/courses")
        for page in _list(api, f"ldlms/v2/groups/{group}/users", "id", orderby="id", order="asc"):
            yield [{"user_id": row["id"], "group_id": group, "courses": granted} for row in page]


def progress(pull: Pull) -> Iterator[list[Row]]:
    if pull.options.progress:
        api = _api(pull)
        for user in sorted(
            {row["user_id"] for listed in (enrollments, members) for page in listed(pull) for row in page}
        ):
            fields = "course,steps_completed,steps_total,date_started_gmt,date_completed_gmt"
            for page in _list(api, f"ldlms/v2/users/{user}/course-progress", fields):
                yield [{**row, "user_id": user} for row in page]


def _api(pull: Pull) -> Api:
    if not pull.options.base_url:
        sentence = f"{pull.what}: no base_url is set; add `base_url: https://northwind.example/wp-json` to its options."
        raise SourceError(sentence, is_transient=False)
    login = basic(pull.secrets["LEARNDASH_USER"], pull.secrets["LEARNDASH_APP_PASSWORD"])
    return Api(pull, pull.options.base_url, auth=login)


def _list(api: Api, at: str, fields: str, **params: str) -> Iterator[list[Row]]:
    # Links to the next page lack the user's id, and a page too many is refused: the number of pages is told in a header.
    paged = {"per_page": PAGE, "_fields": fields, **params}
    return api.rows(at, by=by_counted_page("X-WP-TotalPages"), rows="$", params=paged)


def _ids(api: Api, at: str) -> list[int]:
    return [row["id"] for page in _list(api, at, "id", orderby="id", order="asc") for row in page]


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Courses and groups as access."""
    origin = ("_loaded_at", "_row", "_resource")
    no_course = pl.lit(None, pl.String).alias("course_id")
    own = raw["enrollments"].select("user_id", "course_id", *origin, product=spelled("course_{}", "course_id"))
    groups = raw["members"].select("user_id", no_course, *origin, product=spelled("group_{}", "group_id"))
    through = (
        raw["members"]
        .select("user_id", *origin, course_id=pl.col("courses").str.json_decode(pl.List(pl.String)))
        .explode("course_id")
        .drop_nulls("course_id")
        .join(own, on=["user_id", "course_id", "_loaded_at"], how="anti")
        .unique(["user_id", "course_id", "_loaded_at"], keep="first", maintain_order=True)
        .select("user_id", "course_id", *origin, product=spelled("course_{}", "course_id"))
    )
    held = pl.concat(
        [
            own.with_columns(is_own=pl.lit(value=True)),
            pl.concat([groups, through]).with_columns(is_own=pl.lit(value=False)),
        ]
    )
    told = held.join(_people(raw), on="user_id", how="left", validate="m:1").join(
        _progress(raw), on=["user_id", "course_id"], how="left", validate="m:1"
    )
    return {"access": _access(told, options)}


def _people(raw: Raw) -> pl.LazyFrame:
    full = pl.concat_str(filled(pl.col("first_name")), filled(pl.col("last_name")), separator=" ", ignore_nulls=True)
    return newest(raw["users"], "id").select(
        "email",
        user_id="id",
        name=pl.coalesce(filled(full), filled(pl.col("name"))),
        registered_at=iso(pl.col("registered_date")),
        keys=pl.concat_list(keys(learndash=pl.col("id")), keys_in("meta")),
        basis=pl.when(pl.col("roles").str.contains('"administrator"')).then(pl.lit("staff")),
    )


def _progress(raw: Raw) -> pl.LazyFrame:
    steps, total = (pl.col(f"steps_{what}").cast(pl.Float64, strict=False) for what in ("completed", "total"))
    first_told_at = pl.col("_loaded_at").min().over("user_id", "course", "steps_completed")
    told = raw["progress"].with_columns(first_told_at=first_told_at)
    return newest(told, "user_id", "course").select(
        "user_id",
        course_id="course",
        started_at=iso(pl.col("date_started_gmt")),
        progress=pl.when(total > 0).then((steps / total * 100).round(6)),
        used_at=pl.coalesce(iso(pl.col("date_completed_gmt")), pl.when(steps > 0).then("first_told_at")),
    )


def _access(told: pl.LazyFrame, options: Options) -> pl.LazyFrame:
    first_listed_at = pl.col("_loaded_at").min().over("product", "user_id")
    listed_at = pl.when(first_listed_at > pl.col("_loaded_at").min()).then(first_listed_at)
    started_at = pl.col("started_at")
    # Through a group only the first step is dated, and access was there before.
    begun_at = (
        pl.when("is_own").then(pl.coalesce(started_at, listed_at)).otherwise(pl.min_horizontal(started_at, listed_at))
    )
    site = options.base_url.removesuffix("/").removesuffix("/wp-json")
    return records(
        told,
        {
            "record_id": spelled("{}:{}", "product", "user_id"),
            "occurred_at": pl.coalesce(begun_at, "registered_at"),
            "email": pl.col("email"),
            "name": pl.col("name"),
            "keys": pl.coalesce("keys", keys(learndash=pl.col("user_id"))),
            "url": spelled(f"{site}/wp-admin/user-edit.php?user_id={{}}", "user_id"),
            "grant": pl.when(pl.col("course_id").is_null()).then(pl.lit("membership")).otherwise(pl.lit("course")),
            "product_ref": spelled("learndash:{}", "product"),
            "status": "active",
            "basis": pl.col("basis"),
            "last_used_at": pl.col("used_at"),
            "progress": pl.col("progress"),
        },
    )


PLATFORM = Platform(
    name="learndash",
    title="LearnDash",
    resources=(
        Resource(
            "users", "snapshot", users,
            ("id", "email", "name", "first_name", "last_name", "registered_date", "roles", "meta"),
            scope=SCOPE,
        ),
        Resource("enrollments", "snapshot", enrollments, ("user_id", "course_id"), scope=SCOPE),
        Resource("members", "snapshot", members, ("user_id", "group_id", "courses"), scope=SCOPE),
        Resource(
            "progress", "snapshot", progress,
            ("user_id", "course", "steps_completed", "steps_total", "date_started_gmt", "date_completed_gmt"),
            scope=SCOPE,
        ),
    ),
    says={"access": ("enrollments", "members", "users", "progress")},
    read=read,
    options=Options,
    secrets=("LEARNDASH_USER", "LEARNDASH_APP_PASSWORD"),
    spec="documentation",
    verified="Against a stateful fake made after LearnDash's own documentation, never against a live site.",
)  # fmt: skip
