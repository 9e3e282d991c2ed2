"""Circle: who is in the community, and in which of its spaces and access groups.

Reads   /community_members (`status=all`), /spaces and /space_members (space by space), /access_groups and
        /access_groups/{id}/community_members (group by group)
Says    access: one per member (`circle:community`), per member and space (`circle:space_3`), per member and access
        group (`circle:group_7`)
Cursor  None: no list can be asked for what changed, so each load reads them whole, and who is missing is gone.
        Circle's own default, `status=active`, leaves out all who never finished their profile, paid or not: they
        are asked for. Each list states how many there are, so rows that slipped between two pages make it partial.
Joins   e-mail and name of the member; `sso_provider_user_id`, and any profile field whose value reads like `app:42`,
        name the same person elsewhere. Circle names no payment.
Needs   CIRCLE_TOKEN, of type Admin API v2: Developers -> Tokens, by an admin of the community; plan Business or above.
        Requests are counted (Business: 5,000 a month): a load takes one per 100 members of the community, of each
        space and of each group. `spaces` and `groups` keep it small.
Assumes Everybody may join a space that isn't private, so being in it says nothing and it isn't read unless `spaces`
        names it. An inactive space membership belongs to somebody who was invited and hasn't finished the profile,
        and is active for us; where the profile is finished, it was taken away when the row last changed. An archived
        group grants nothing. Moderators of a space are staff; a member's tag `comp`, `import` or `staff` is the basis
        of all that the member has, `comp:space_3` of that one. When a space was last visited is never told: only when
        the community was.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, by_page, in_headers
from journey_pipeline.platforms.translate import (
    boolean,
    filled,
    iso,
    keys,
    keys_in,
    newest,
    objects,
    path,
    records,
    ref,
)

PAGE = 100
BASES = ("comp", "import", "staff")
SCOPE = "an Admin API v2 token of the community, plan Business or above"


class Options(base.Options):
    """Options of Circle."""

    base_url: str = "https://app.circle.so/api/admin/v2"
    spaces: tuple[int, ...] = ()
    """Ids of the spaces to read; empty: all private ones."""
    groups: tuple[int, ...] = ()
    """Ids of the access groups to read; empty: all."""
    sso_platform: str | None = None
    """Whose user ids the single sign-on hands over (`app`: 42 is read as `app:42`); None: only ids that say it."""
    phone_field: str = "phone_number"
    """Key of the profile field that holds the phone number."""
    company_field: str = "company"
    """Key of the profile field that holds the company."""


def members(pull: Pull) -> Iterator[list[Row]]:
    yield from _list(_api(pull), "community_members", status="all")


def space_members(pull: Pull) -> Iterator[list[Row]]:
    api = _api(pull)
    private = (row["id"] for page in _list(api, "spaces", total=None) for row in page if row.get("is_private"))
    for space in pull.options.spaces or list(private):
        yield from _list(api, "space_members", space_id=space, status="all")


def group_members(pull: Pull) -> Iterator[list[Row]]:
    api = _api(pull)
    active = (row["id"] for page in _list(api, "access_groups", total=None, status="active") for row in page)
    for group in pull.options.groups or list(active):
        yield from _list(api, f"access_groups/{group}/community_members")


def _api(pull: Pull) -> Api:
    return Api(pull, pull.options.base_url, auth=in_headers(Authorization=f"Token {pull.secrets['CIRCLE_TOKEN']}"))


def _list(api: Api, at: str, *, total: str | None = "count", **params: Any) -> Iterator[list[Row]]:
    paged = {"per_page": PAGE, **params}
    return api.rows(at, by=by_page(more="has_next_page"), rows="records", total=total, params=paged)


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """The community, its spaces and its groups as access."""
    own = keys(circle=pl.col("id"))
    people = newest(raw["members"], "id").select(
        "name",
        "email",
        "profile_url",
        "profile_confirmed_at",
        member="id",
        phone=_field(options.phone_field),
        company=_field(options.company_field),
        keys=pl.concat_list(own, _sso(options), keys_in("flattened_profile_fields")).list.drop_nulls(),
        tags=objects("member_tags", "name").list.eval(pl.element().struct.field("name")),
    )
    nothing = pl.lit(None, pl.String)
    community = raw["members"].with_columns(
        product=pl.lit("community"), member="id", status=pl.lit("active"), moderator=nothing
    )
    spaces = raw["space_members"].with_columns(
        product=spelled("space_{}", "space_id"), member="community_member_id", last_seen_at=nothing
    )
    groups = raw["group_members"].with_columns(
        product=spelled("group_{}", "access_group_id"), member="community_member_id", status=pl.lit("active"),
        moderator=nothing, last_seen_at=nothing,
    )  # fmt: skip
    told = ("product", "member", "created_at", "updated_at", "status", "moderator", "last_seen_at")
    held = pl.concat([f.select(*told, "_loaded_at", "_row", "_resource") for f in (community, spaces, groups)])
    return {"access": _access(held.join(people, on="member", how="left", validate="m:1"))}


def _access(held: pl.LazyFrame) -> pl.LazyFrame:
    tags = pl.col("tags")
    tagged = [
        pl.when(tags.list.contains(word) | tags.list.contains(spelled(f"{word}:{{}}", "product"))).then(pl.lit(word))
        for word in BASES
    ]
    was_taken = (pl.col("status") == "inactive") & pl.col("profile_confirmed_at").is_not_null()
    return records(
        held,
        {
            "record_id": spelled("{}:{}", "product", "member"),
            "occurred_at": iso(pl.col("created_at")),
            "email": pl.col("email"),
            "phone": pl.col("phone"),
            "name": filled(pl.col("name")),
            "company": pl.col("company"),
            "keys": pl.coalesce("keys", keys(circle=pl.col("member"))),
            "url": pl.col("profile_url"),
            "grant": "membership",
            "product_ref": spelled("circle:{}", "product"),
            "status": pl.when(was_taken).then(pl.lit("revoked"))
            .otherwise(pl.col("status").replace({"inactive": "active"})),
            "basis": pl.coalesce(*tagged, pl.when(boolean(pl.col("moderator"))).then(pl.lit("staff"))),
            "revoked_at": pl.when(was_taken).then(iso(pl.col("updated_at"))),
            "last_used_at": iso(pl.col("last_seen_at")),
        },
    )  # fmt: skip


def _sso(options: Options) -> pl.Expr:
    given = filled(pl.col("sso_provider_user_id"))
    return ref(given) if options.sso_platform is None else spelled(f"{options.sso_platform}:{{}}", given)


def _field(key: str) -> pl.Expr:
    return filled(path("flattened_profile_fields", f"$['{key}']"))


PLATFORM = Platform(
    name="circle",
    title="Circle",
    resources=(
        Resource(
            "members", "snapshot", members,
            (
                "id", "email", "name", "created_at", "updated_at", "last_seen_at", "profile_confirmed_at",
                "profile_url", "sso_provider_user_id", "flattened_profile_fields", "member_tags",
            ),
            scope=SCOPE,
        ),
        Resource(
            "space_members", "snapshot", space_members,
            ("space_id", "community_member_id", "created_at", "updated_at", "moderator", "status"),
            scope=SCOPE,
        ),
        Resource(
            "group_members", "snapshot", group_members,
            ("access_group_id", "community_member_id", "created_at", "updated_at"),
            scope=SCOPE,
        ),
    ),
    says={"access": ("members", "space_members", "group_members")},
    read=read,
    options=Options,
    secrets=("CIRCLE_TOKEN",),
    spec="documentation",
    verified="Against a stateful fake made after Circle's own description of the API, never against a live account.",
)  # fmt: skip
