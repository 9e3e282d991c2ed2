"""Thinkific: who is enrolled in which course, how far they came, and what the site's checkout sold.

Reads   /enrollments, /users, /orders
Says    access: one per enrolment; payments (role `shop`): one per order, unless `sales: false`
Cursor  None: each load reads the lists whole. Enrolments could be asked for by time of change, but one that was
        removed then never comes, and one that runs out changes without being changed; orders know no filter at all.
Money   `amount_cents`, in the smallest unit of the site's currency, which no answer names: `currency`.
Joins   e-mail and name of enrolment and order; company, phone, and any custom profile field or `external_source`
        that reads like `app:42` of the user. No id of the payment processor: a sale told by both is matched by person
        and amount. A course is `thinkific:course_9`, what an order sold `thinkific:product_6`.
Needs   THINKIFIC_API_KEY (Settings -> Code & analytics -> API; plan Grow or above) and `subdomain`.
Assumes A free trial is no access: it shows the free lessons, and the enrolment becomes a full one when it is bought.
        A course that was begun was last used when it was completed, else when it was begun: nothing later is told.
        Course admins and site admins are staff. Never told: refunds, renewals of a subscription, why somebody was
        enrolled. 120 requests a minute, of 250 rows: 429s are waited out.
"""

from collections.abc import Iterator, Mapping

import polars as pl

from journey_pipeline.errors import SourceError
from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, by_page, in_headers
from journey_pipeline.platforms.translate import boolean, filled, integer, iso, newest, objects, records, ref

PAGE = 250
SCOPE = "the API key of the site, plan Grow or above"


class Options(base.Options):
    """Options of Thinkific."""

    base_url: str = "https://api.thinkific.com/api/public/v1"
    subdomain: str = ""
    """`northwind` of northwind.thinkific.com."""
    currency: str = "USD"
    """The currency in which the site sells."""
    sales: bool = True
    """Whether orders are payments of role `shop`."""
    phone_label: str = "Phone Number"
    """Label of the custom profile field that holds the phone number."""


def enrollments(pull: Pull) -> Iterator[list[Row]]:
    yield from _list(pull, "enrollments")


def users(pull: Pull) -> Iterator[list[Row]]:
    yield from _list(pull, "users")


def orders(pull: Pull) -> Iterator[list[Row]]:
    if pull.options.sales:
        yield from _list(pull, "orders")


def _list(pull: Pull, at: str) -> Iterator[list[Row]]:
    if not pull.options.subdomain:
        sentence = f"{pull.what}: no subdomain is set; add `subdomain: northwind` (of northwind.thinkific.com)."
        raise SourceError(sentence, is_transient=False)
    auth = in_headers(X_Auth_API_Key=pull.secrets["THINKIFIC_API_KEY"], X_Auth_Subdomain=pull.options.subdomain)
    return Api(pull, pull.options.base_url, auth=auth).rows(
        at,
        by=by_page(pages="meta.pagination.total_pages"),
        rows="items",
        total="meta.pagination.total_items",
        params={"limit": PAGE},
    )


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Full enrolments as access, orders as payments of the shop."""
    field = pl.element().struct
    phones = field.field("value").filter(field.field("label") == options.phone_label)
    profile = objects("custom_profile_fields", "label", "value")
    named = profile.list.eval(ref(field.field("value")).drop_nulls()).fill_null([])
    source = pl.concat_list(ref(pl.col("external_source"))).list.drop_nulls()
    is_staff = pl.col("roles").str.contains('"(course|site)_admin"')
    people = newest(raw["users"], "id").select(
        user_id="id",
        phone=filled(profile.list.eval(phones).list.first()),
        company=filled(pl.col("company")),
        elsewhere=pl.concat_list(source, named),
        basis=pl.when(is_staff).then(pl.lit("staff")),
    )
    full = raw["enrollments"].filter(~boolean(pl.col("is_free_trial")).fill_null(value=False))
    return {"access": _access(full, people, options), "payments": _sold(raw["orders"], people, options)}


def _access(enrolled: pl.LazyFrame, people: pl.LazyFrame, options: Options) -> pl.LazyFrame:
    expires_at = iso(pl.col("expiry_date"))
    is_over = boolean(pl.col("expired")).fill_null(value=False) | (expires_at <= pl.col("_loaded_at"))
    done = pl.col("percentage_completed").cast(pl.Float64, strict=False)
    progress = pl.when(done <= 1).then(done * 100).otherwise(done).round(6)
    used_at = pl.max_horizontal(iso(pl.col("started_at")), iso(pl.col("completed_at")))
    return records(
        enrolled.join(people, on="user_id", how="left", validate="m:1"),
        {
            **_who(options),
            "record_id": pl.col("id"),
            "occurred_at": iso(pl.coalesce("activated_at", "started_at")),
            "grant": "course",
            "product_ref": spelled("thinkific:course_{}", "course_id"),
            "status": pl.when(is_over).then(pl.lit("expired")).otherwise(pl.lit("active")),
            "basis": pl.col("basis"),
            "expires_at": expires_at,
            "last_used_at": pl.when(progress > 0).then(used_at),
            "progress": progress,
        },
    )


def _sold(orders: pl.LazyFrame, people: pl.LazyFrame, options: Options) -> pl.LazyFrame:
    return records(
        orders.join(people, on="user_id", how="left", validate="m:1"),
        {
            **_who(options),
            "record_id": pl.col("id"),
            "occurred_at": iso(pl.col("created_at")),
            "role": "shop",
            "status": pl.col("status").str.to_lowercase().replace({"complete": "succeeded"}),
            "amount_minor": integer(pl.col("amount_cents").str.strip_suffix(".0")),
            "currency": options.currency,
            "product_ref": spelled("thinkific:product_{}", "product_id"),
        },
    )


def _who(options: Options) -> dict[str, pl.Expr | str | None]:
    own = pl.concat_list(spelled("thinkific:{}", "user_id"))
    return {
        "email": filled(pl.col("user_email")),
        "phone": pl.col("phone"),
        "name": filled(pl.col("user_name")),
        "company": pl.col("company"),
        "keys": pl.concat_list(own, pl.col("elsewhere").fill_null([])).list.drop_nulls(),
        "url": spelled(f"https://{options.subdomain}.thinkific.com/manage/users/{{}}", "user_id"),
    }


_WHO = ("id", "user_id", "user_email", "user_name")

PLATFORM = Platform(
    name="thinkific",
    title="Thinkific",
    resources=(
        Resource(
            "enrollments", "snapshot", enrollments,
            (
                *_WHO, "course_id", "activated_at", "started_at", "completed_at", "expiry_date", "expired",
                "is_free_trial", "percentage_completed",
            ),
            scope=SCOPE,
        ),
        Resource(
            "users", "snapshot", users, ("id", "company", "roles", "external_source", "custom_profile_fields"),
            scope=SCOPE,
        ),
        Resource(
            "orders", "snapshot", orders, (*_WHO, "created_at", "status", "amount_cents", "product_id"), scope=SCOPE
        ),
    ),
    says={"access": ("enrollments", "users"), "payments": ("orders", "users")},
    read=read,
    options=Options,
    secrets=("THINKIFIC_API_KEY",),
    spec="third party",
    verified="Against a stateful fake and a third party's OpenAPI description, never against a live account.",
)  # fmt: skip
