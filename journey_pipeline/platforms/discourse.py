"""Discourse: who is in which group of the forum, and since when.

Reads   /admin/users.json, /groups.json, /groups/{name}/members.json; with `external_ids: true` also
        /admin/users/{id}.json, one request per member
Says    access: one per group and member; the groups that Discourse keeps itself (staff, trust levels) are left out
Cursor  None: nothing can be asked for by change, so each load reads all of it, and who is missing is gone.
Joins   e-mail and name of the user; with `external_ids` the id of DiscourseConnect (`sso_platform`) and those of other
        logins (`providers`). A group is `discourse:group_41`: its number stays, its name may change.
Needs   DISCOURSE_API_KEY (Admin -> API keys: scope Read-only, for the user in `username`, an admin), and `base_url`.
        60 requests a minute are allowed to an admin's key: a load takes one per 100 users of the forum and per 1,000
        members of a group, with `external_ids` one more per member; 429s are waited out.
Assumes /admin/users.json lists everybody: the lists by state leave out who never confirmed the address. Showing e-mails
        is noted in the forum's log of staff actions. A suspended user's membership is revoked from the suspension on.
        A group was last used when its member was last seen in the forum, since joining. Admins and moderators are staff.
"""

from collections.abc import Iterator, Mapping
from itertools import count

import polars as pl

from journey_pipeline.errors import SourceError
from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, by_offset, by_page, in_headers
from journey_pipeline.platforms.translate import boolean, filled, iso, keys, keys_in, newest, path, records, ref

PAGE = 1000
SCOPE = "a read-only API key of an admin"


class Options(base.Options):
    """Options of Discourse."""

    base_url: str = ""
    """The forum's address: `https://forum.northwind.example`."""
    username: str = "system"
    """The admin in whose name the key asks."""
    groups: tuple[str, ...] = ()
    """Names of the groups to read; empty: all but Discourse's own."""
    external_ids: bool = False
    """Whether each member is read one by one, for the ids that other systems know them by."""
    sso_platform: str | None = None
    """Whose user ids DiscourseConnect hands over (`app`: 42 is read as `app:42`); None: only ids that say it."""
    providers: Mapping[str, str] = {}
    """Login (`oauth2_basic`) -> the platform whose user ids it hands over."""


def users(pull: Pull) -> Iterator[list[Row]]:
    by_age = {"order": "created", "asc": "true", "show_emails": "true"}
    yield from _api(pull).rows("admin/users.json", by=by_page(), rows="$", params=by_age)


def members(pull: Pull) -> Iterator[list[Row]]:
    api = _api(pull)
    for group in _groups(api, pull.options.groups):
        pages = api.rows(
            f"groups/{group['name']}/members.json",
            by=by_offset(PAGE, total="meta.total"),
            rows="members",
            total="meta.total",
        )
        for page in pages:
            yield [{**row, "group_id": group["id"]} for row in page]


def details(pull: Pull) -> Iterator[list[Row]]:
    if pull.options.external_ids:
        api, stated = _api(pull), pull.expected_rows
        for id_ in sorted({row["id"] for page in members(pull) for row in page}):
            yield [api.get(f"admin/users/{id_}.json")]
        pull.expected_rows = stated  # members of two groups are one user


def _groups(api: Api, wanted: tuple[str, ...]) -> Iterator[Row]:
    """Page after page, from 0 on: the address of the next one is given even on the last."""
    seen = 0
    for page in count():
        answer = api.get("groups.json", params={"page": page})
        yield from (g for g in answer["groups"] if (g["name"] in wanted if wanted else not g["automatic"]))
        seen += len(answer["groups"])
        if not answer["groups"] or seen >= answer["total_rows_groups"]:
            return


def _api(pull: Pull) -> Api:
    if not pull.options.base_url:
        sentence = f"{pull.what}: no base_url is set; add `base_url: https://forum.northwind.example` to its options."
        raise SourceError(sentence, is_transient=False)
    login = in_headers(Api_Key=pull.secrets["DISCOURSE_API_KEY"], Api_Username=pull.options.username)
    return Api(pull, pull.options.base_url, auth=login)


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Memberships of groups as access."""
    is_staff = boolean(pl.col("admin")) | boolean(pl.col("moderator"))
    people = newest(raw["users"], "id").select(
        "id",
        "email",
        suspended_at=iso(pl.col("suspended_at")),
        basis=pl.when(is_staff).then(pl.lit("staff")),
    )
    known = newest(raw["details"], "id").select("id", elsewhere=_elsewhere(options))
    held = (
        raw["members"]
        .join(people, on="id", how="left", validate="m:1")
        .join(known, on="id", how="left", validate="m:1")
        .with_columns(added_at=iso(pl.col("added_at")), seen_at=iso(pl.col("last_seen_at")))
    )
    is_suspended = pl.col("suspended_at").is_not_null()
    link = spelled(f"{options.base_url.removesuffix('/')}/admin/users/{{}}/{{}}", "id", "username")
    access: dict[str, pl.Expr | str | None] = {
        "record_id": spelled("group_{}:{}", "group_id", "id"),
        "occurred_at": pl.col("added_at"),
        "email": filled(pl.col("email")),
        "name": filled(pl.col("name")),
        "keys": pl.concat_list(keys(discourse=pl.col("id")), pl.col("elsewhere").fill_null([])),
        "url": link,
        "grant": "role",
        "product_ref": spelled("discourse:group_{}", "group_id"),
        "status": pl.when(is_suspended).then(pl.lit("revoked")).otherwise(pl.lit("active")),
        "basis": pl.col("basis"),
        "revoked_at": pl.col("suspended_at"),
        "last_used_at": pl.when(pl.col("seen_at") >= pl.col("added_at")).then("seen_at"),
    }
    return {"access": records(held, access)}


def _elsewhere(options: Options) -> pl.Expr:
    given = path("single_sign_on_record", "$.external_id")
    sso = ref(given) if options.sso_platform is None else spelled(f"{options.sso_platform}:{{}}", given)
    logins = (
        spelled(f"{platform}:{{}}", path("external_ids", f"$['{login}']"))
        for login, platform in options.providers.items()
    )
    return pl.concat_list(sso, *logins, keys_in("external_ids")).list.drop_nulls()


PLATFORM = Platform(
    name="discourse",
    title="Discourse",
    resources=(
        Resource("users", "snapshot", users, ("id", "email", "admin", "moderator", "suspended_at"), scope=SCOPE),
        Resource(
            "members", "snapshot", members, ("id", "username", "name", "group_id", "added_at", "last_seen_at"),
            scope=SCOPE,
        ),
        Resource("details", "snapshot", details, ("id", "external_ids", "single_sign_on_record"), scope=SCOPE),
    ),
    says={"access": ("members", "users", "details")},
    read=read,
    options=Options,
    secrets=("DISCOURSE_API_KEY",),
    spec="official",
    verified="Against a stateful fake and Discourse's own OpenAPI description, never against a live forum.",
)  # fmt: skip
