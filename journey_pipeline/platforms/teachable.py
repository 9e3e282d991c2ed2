"""Teachable: who is enrolled in which course, how far they came, and what the school's checkout sold.

Reads   /courses, /courses/{id}/enrollments (course by course), /users, /pricing_plans, /transactions; with
        `details: true` also /users/{id}, one request per user
Says    access: one per course and user; payments (role `shop`): one per transaction, unless `sales: false`
Cursor  None for lists: enrolments say nothing of when they changed, so each load reads them whole, and one that is
        missing is gone. Transactions by time, 60 days back for partial refunds, and whole lists of the fully refunded
        and the charged back: none of them comes back by time.
Money   integers in the smallest unit. `final_price` is in the currency of sale; `charge` and `revenue` are US dollars
        whatever `currency` says, and are not read.
Joins   e-mail and name by user id: enrolments and transactions hold nothing else. No id of the payment processor:
        `sales` stay on beside Stripe, since a sale told by both is one sale (same person and amount, within the hour),
        and money that came through Teachable's own gateway is told by nobody else.
Needs   TEACHABLE_API_KEY, an Admin API key of the school (plan Growth or above). `school` (the name before
        .teachable.com) makes the links.
Limits  100 requests a minute (429s are waited out) and 10,000 a month on Growth: a load takes one request per 100
        enrolments, users and new transactions; `details` one more per user.
Details the only way to know of enrolments that ended before our first load (when they ended is told by nobody: the load
        that first said so stands for it) and of why somebody was enrolled without paying: tags of the user.
        `comp`, `import` or `staff` is the basis of all their enrolments, `comp:901` of course 901;
        `paid_by:901=stripe:ch_1` names the payment of a gift or seat. Owners and authors are staff.
Assumes The list of a course holds its active enrolments only; 100 per page (a smaller cap costs requests, not rows);
        `amount_refunded` is in the currency of sale; a transaction without status, but with a time of purchase, is
        paid. Never told: when a course was last used, when a chargeback was opened, who is a test.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, by_page, in_headers
from journey_pipeline.platforms.translate import (
    boolean,
    currency,
    integer,
    iso,
    keys,
    newest,
    objects,
    records,
)  # fmt: skip
from journey_pipeline.registry import TIME

PAGE, TOTAL = 100, "meta.total"
DEEPEST_ROW = 10_000
"""Beyond so many users page numbers are refused; `search_after` goes on."""
LOOK_BACK = timedelta(days=60)
BASES = ("comp", "import", "staff")
SCOPE = "an Admin API key of the school, plan Growth or above"


class Options(base.Options):
    """Options of Teachable."""

    base_url: str = "https://developers.teachable.com/v1"
    school: str | None = None
    """The name before .teachable.com; None: records have no links."""
    sales: bool = True
    """Whether transactions are payments of role `shop`."""
    details: bool = False
    """Whether each user is read one by one, for lost enrolments and for tags that say why somebody was enrolled."""


def courses(pull: Pull) -> Iterator[list[Row]]:
    yield from _list(_api(pull), "courses")


def enrollments(pull: Pull) -> Iterator[list[Row]]:
    api = _api(pull)
    for course in [row["id"] for page in _list(api, "courses", total=None) for row in page]:
        for page in _list(api, "enrollments", f"courses/{course}/enrollments", sort_direction="asc"):
            yield [{**row, "course_id": course} for row in page]


def users(pull: Pull) -> Iterator[list[Row]]:
    api, after = _api(pull), dict[str, Any]()
    while True:
        seen = 0
        for page in _list(api, "users", total=None if after else TOTAL, **after):
            yield page
            seen += len(page)
            if seen >= DEEPEST_ROW:
                after = {"search_after": page[-1]["id"]}
                break
        else:
            return


def user_details(pull: Pull) -> Iterator[list[Row]]:
    if pull.options.details:
        api = _api(pull)
        for page in users(pull):
            yield [api.get(f"users/{row['id']}")["user"] for row in page]


def pricing_plans(pull: Pull) -> Iterator[list[Row]]:
    if pull.options.sales:
        yield from _list(_api(pull), "pricing_plans")


def transactions(pull: Pull) -> Iterator[list[Row]]:
    if not pull.options.sales:
        return
    api, last = _api(pull), pull.left.get("until")
    for filters in _reread(last) if last else [{}]:
        yield from _list(api, "transactions", end=_second(pull.loaded_at), **filters)
    pull.leave(until=pull.loaded_at.isoformat())


def _reread(last: str) -> list[dict[str, str]]:
    since = _second(datetime.fromisoformat(last) - LOOK_BACK)
    return [{"start": since}, {"is_fully_refunded": "true"}, {"is_chargeback": "true"}]


def _api(pull: Pull) -> Api:
    return Api(pull, pull.options.base_url, auth=in_headers(apiKey=pull.secrets["TEACHABLE_API_KEY"]))


def _list(
    api: Api, name: str, path: str | None = None, *, total: str | None = TOTAL, **params: Any
) -> Iterator[list[Row]]:
    paged = {"per": PAGE, **params}
    return api.rows(path or name, by=by_page(pages="meta.number_of_pages"), rows=name, total=total, params=paged)


def _second(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Enrolments as access, transactions as payments of the shop."""
    people = newest(raw["users"], "id").select("email", "name", user_id="id")
    return {
        "access": pl.concat([_enrolled(raw, people, options), _lost(raw, options)]),
        "payments": _sold(raw, people, options),
    }


def _enrolled(raw: Raw, people: pl.LazyFrame, options: Options) -> pl.LazyFrame:
    noted = newest(raw["user_details"], "id").select("role", "tags", user_id="id")
    is_over = iso(pl.col("expires_at")) <= pl.col("_loaded_at")
    enrolled = (
        raw["enrollments"]
        .join(people, on="user_id", how="left", validate="m:1")
        .join(noted, on="user_id", how="left", validate="m:1")
        .with_columns(
            status=pl.when(is_over).then(pl.lit("expired")).otherwise(pl.lit("active")),
            revoked_at=pl.lit(None, TIME),
        )
    )
    return _access(enrolled, raw, options)


def _lost(raw: Raw, options: Options) -> pl.LazyFrame:
    """Enrolments that a user's details call inactive and that no list of the same load holds."""
    lost = (
        raw["user_details"]
        .rename({"id": "user_id"})
        .with_columns(course=objects("courses", *_COURSE))
        .drop("courses")
        .explode("course")
        .unnest("course")
        .filter(~boolean(pl.col("is_active_enrollment")))
        .join(raw["enrollments"], on=["user_id", "course_id", "_loaded_at"], how="anti")
        .with_columns(
            status=pl.lit("revoked"),
            revoked_at=pl.col("_loaded_at").min().over("user_id", "course_id", "enrolled_at"),
            expires_at=pl.lit(None, pl.String),
        )
    )
    return _access(lost, raw, options)


def _access(enrolments: pl.LazyFrame, raw: Raw, options: Options) -> pl.LazyFrame:
    tags = objects("tags", "name").list.eval(pl.element().struct.field("name"))
    gift = pl.col("tag").str.extract_groups(r"^paid_by:(?<course_id>[^=]+)=(?<paid_by_ref>\S+)$")
    gifts = (
        newest(raw["user_details"], "id")
        .select(tags.alias("tag"), user_id="id")
        .explode("tag")
        .select("user_id", gift.alias("gift"))
        .unnest("gift")
        .drop_nulls()
        .unique(["user_id", "course_id"], keep="first", maintain_order=True)
    )
    tagged = [
        pl.when(tags.list.contains(word) | tags.list.contains(spelled("{}:{}", pl.lit(word), "course_id")))
        .then(pl.lit(word))
        for word in BASES
    ]  # fmt: skip
    return records(
        enrolments.join(gifts, on=["user_id", "course_id"], how="left", validate="m:1"),
        {
            "record_id": spelled("{}:{}", "course_id", "user_id"),
            "occurred_at": iso(pl.col("enrolled_at")),
            "email": pl.col("email"),
            "name": pl.col("name"),
            "keys": keys(teachable=pl.col("user_id")),
            "url": _link(options),
            "is_test": pl.lit(value=False),
            "grant": "course",
            "product_ref": spelled("teachable:{}", "course_id"),
            "status": pl.col("status"),
            "basis": pl.coalesce(*tagged, pl.when(pl.col("role").is_in(["owner", "author"])).then(pl.lit("staff"))),
            "paid_by_ref": pl.col("paid_by_ref"),
            "expires_at": iso(pl.col("expires_at")),
            "revoked_at": pl.col("revoked_at"),
            "progress": pl.col("percent_complete").cast(pl.Float64, strict=False),
        },
    )


def _sold(raw: Raw, people: pl.LazyFrame, options: Options) -> pl.LazyFrame:
    plans = newest(raw["pricing_plans"], "id").select("course_id", pricing_plan_id="id")
    sold = (
        raw["transactions"]
        .join(people, on="user_id", how="left", validate="m:1")
        .join(plans, on="pricing_plan_id", how="left", validate="m:1")
    )
    bought_at = pl.when(pl.col("purchased_at").is_not_null()).then(pl.lit("succeeded")).otherwise(pl.lit("pending"))
    return records(
        sold,
        {
            "record_id": pl.col("id"),
            "occurred_at": iso(pl.coalesce("purchased_at", "created_at")),
            "email": pl.col("email"),
            "name": pl.col("name"),
            "keys": keys(teachable=pl.col("user_id")),
            "url": _link(options),
            "is_test": pl.lit(value=False),
            "role": "shop",
            "status": pl.when(pl.col("status").is_null()).then(bought_at)
            .otherwise(pl.col("status").replace({"paid": "succeeded"})),
            "amount_minor": integer(pl.col("final_price")),
            "currency": currency(pl.col("currency")),
            # A plan that was deleted since no longer says which course it sold.
            "product_ref": pl.coalesce(
                spelled("teachable:{}", "course_id"), spelled("teachable:plan_{}", "pricing_plan_id")
            ),
            "refunded_minor": integer(pl.col("amount_refunded")),
            "refunded_at": iso(pl.col("refunded_at")),
            "dispute_status": pl.when(boolean(pl.col("has_chargeback"))).then(pl.lit("open")),
        },
    )  # fmt: skip


def _link(options: Options) -> pl.Expr:
    if options.school is None:
        return pl.lit(None, pl.String)
    return spelled("https://{}.teachable.com/admin-app/users/{}/information", pl.lit(options.school), "user_id")


_COURSE = ("course_id", "enrolled_at", "is_active_enrollment", "percent_complete")

PLATFORM = Platform(
    name="teachable",
    title="Teachable",
    resources=(
        Resource("courses", "snapshot", courses, ("id", "name"), scope=SCOPE),
        Resource(
            "enrollments", "snapshot", enrollments,
            ("user_id", "course_id", "enrolled_at", "expires_at", "percent_complete"),
            scope=SCOPE,
        ),
        Resource("users", "snapshot", users, ("id", "email", "name"), scope=SCOPE),
        Resource("user_details", "snapshot", user_details, ("id", "email", "name", "role", "tags", "courses"), scope=SCOPE),
        Resource("pricing_plans", "snapshot", pricing_plans, ("id", "course_id"), scope=SCOPE),
        Resource(
            "transactions", "changes", transactions,
            (
                "id", "user_id", "pricing_plan_id", "created_at", "purchased_at", "final_price", "currency", "status",
                "has_chargeback", "refunded_at", "amount_refunded",
            ),
            lag=timedelta(minutes=2), scope=SCOPE,
        ),
    ),
    says={
        "access": ("enrollments", "users", "user_details"),
        "payments": ("transactions", "pricing_plans", "users"),
    },
    read=read,
    options=Options,
    secrets=("TEACHABLE_API_KEY",),
    spec="third party",
    verified="Against a stateful fake and a third party's OpenAPI description, never against a live account.",
)  # fmt: skip
