"""Kit (ConvertKit): who may be mailed, who got which broadcast, and purchases told to Kit.

Reads   /v4/subscribers of every status; with `recipients: true` /v4/broadcasts and, broadcast by broadcast, POST
        /v4/subscribers/filter for sent, delivered, opens and clicks; with `purchases: true` /v4/purchases
Says    consents: one per subscriber; messages: one per broadcast and recipient; payments (role `shop`): one per purchase.
        cancelled and complained are unsubscribed, bounced is cleaned; inactive (not confirmed) says nothing and keeps
        what was said before. A subscriber first seen active is so since their creation; any other state since the first
        load that said so (or `canceled_at`, if it is there). A broadcast's recipients have its time of sending, an open
        or click that of the first load that told it; who was not delivered to within a day has bounced.
Cursor  subscribers by `updated_after`, whole days, two days back. Broadcasts sent in the last 90 days, then in the last
        8. Purchases whole: nothing says which of them changed.
Money   decimal numbers in major units; a `transaction_id` like ch_1 is Stripe's charge. Refunds are not told.
Joins   the e-mail; a custom field like `stripe:cus_1` names the same person.
Needs   KIT_API_KEY, of v4 (Settings, Developer). With `purchases` also OAuth, of an app of your own: KIT_CLIENT_ID,
        KIT_CLIENT_SECRET and KIT_REFRESH_TOKEN.
Assumes Every change of a subscriber's state moves the time that `updated_after` looks at. A refresh token stays good
        when it was used. Filtered pages hold 100 at most, 120 requests a minute: `recipients` of a large list takes
        hours. Mails of sequences are told by nobody. A deleted subscriber stays with us.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Purpose, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, by_cursor, by_cursor_in_body, granted, in_headers
from journey_pipeline.platforms.translate import (
    currency,
    filled,
    iso,
    keys,
    keys_in,
    looked_up,
    major,
    newest,
    objects,
    path,
    records,
    spaced,
)  # fmt: skip
from journey_pipeline.registry import TEXTS

PAGE, FILTERED_PAGE = 1000, 100
OVERLAP, HISTORY, LOOK_BACK = timedelta(days=2), timedelta(days=90), timedelta(days=8)
IN_FLIGHT = timedelta(days=1)
ACTS = ("sent", "delivered", "opens", "clicks")
STATES = {"active": "subscribed", "cancelled": "unsubscribed", "complained": "unsubscribed", "bounced": "cleaned"}


class Options(base.Options):
    """Options of Kit."""

    base_url: str = "https://api.kit.com"
    recipients: bool = False
    """Whether each broadcast's recipients are read: a request per hundred of them, four times."""
    purchases: bool = False
    """Whether purchases are payments of role `shop`; they need OAuth."""
    purposes: Mapping[str, Purpose] = {}
    """Id or subject of a broadcast -> what it is for; else `newsletter`."""


def subscribers(pull: Pull) -> Iterator[list[Row]]:
    last = pull.since(OVERLAP)
    since = {"updated_after": f"{last:%Y-%m-%d}"} if last else {}
    yield from _list(_api(pull), "subscribers", status="all", **since)
    pull.until()


def broadcasts(pull: Pull) -> Iterator[list[Row]]:
    if pull.options.recipients:
        yield from _sent(_api(pull), pull)
        pull.until()


def recipients(pull: Pull) -> Iterator[list[Row]]:
    if not pull.options.recipients:
        return
    api = _api(pull)
    for broadcast in [row["id"] for page in _sent(api, pull) for row in page]:
        for act in ACTS:
            of_it = {"type": act, "count_greater_than": 0, "any": [{"type": "broadcasts", "ids": [broadcast]}]}
            pages = api.rows(
                "/v4/subscribers/filter",
                by=by_cursor_in_body("pagination.end_cursor", "after", more="pagination.has_next_page"),
                rows="subscribers",
                json={"all": [of_it], "per_page": FILTERED_PAGE},
            )
            for rows in pages:
                yield [{**row, "broadcast_id": broadcast, "act": act} for row in rows]
    pull.until()


def purchases(pull: Pull) -> Iterator[list[Row]]:
    if not pull.options.purchases:
        return
    names = ("client_id", "client_secret", "refresh_token")
    form = {"grant_type": "refresh_token", **{name: pull.secrets[f"KIT_{name.upper()}"] for name in names}}
    door = Api(pull, pull.options.base_url)
    api = Api(pull, pull.options.base_url, auth=granted(lambda: door.post("/v4/oauth/token", form=form)))
    yield from _list(api, "purchases")


def _sent(api: Api, pull: Pull) -> Iterator[list[Row]]:
    since = pull.since(LOOK_BACK) or pull.loaded_at - HISTORY
    for rows in _list(api, "broadcasts", sent_after=f"{since:%Y-%m-%d}"):
        yield [row for row in rows if row.get("send_at")]


def _list(api: Api, name: str, **params: str) -> Iterator[list[Row]]:
    by = by_cursor("pagination.end_cursor", "after", more="pagination.has_next_page")
    return api.rows(f"/v4/{name}", by=by, rows=name, params={"per_page": PAGE, **params})


def _api(pull: Pull) -> Api:
    return Api(pull, pull.options.base_url, auth=in_headers(X_Kit_Api_Key=pull.secrets["KIT_API_KEY"]))


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Subscribers as consents, recipients of broadcasts as messages, purchases as payments."""
    return {"consents": _consents(raw), "messages": _messages(raw, options), "payments": _payments(raw)}


def _consents(raw: Raw) -> pl.LazyFrame:
    told = (
        raw["subscribers"]
        .filter(pl.col("state").ne_missing("inactive"))
        .sort("_loaded_at", "_row")
        .with_columns(state=pl.col("state").replace(STATES))
        .with_columns(run=pl.col("state").rle_id().over("id"))
        .with_columns(since=pl.col("_loaded_at").min().over("id", "run"))
    )
    is_first = (pl.col("run") == 0) & (pl.col("state") == "subscribed")
    return records(
        told,
        {
            "record_id": pl.col("id"),
            "occurred_at": pl.when(is_first).then(iso(pl.col("created_at")))
            .otherwise(pl.coalesce(pl.when(pl.col("state") == "unsubscribed").then(iso(pl.col("canceled_at"))), "since")),
            **_person("id"),
            "name": spaced(pl.col("first_name"), path("fields", "$.last_name")),
            "keys": pl.concat_list(keys(kit=pl.col("id")), keys_in("fields")),
            "state": pl.col("state"),
        },
    )  # fmt: skip


def _messages(raw: Raw, options: Options) -> pl.LazyFrame:
    sent = newest(raw["broadcasts"], "id").select("subject", broadcast_id="id", sent_at=iso(pl.col("send_at")))
    first_told = [pl.col("_loaded_at").filter(pl.col("act") == act).min().alias(act) for act in ACTS[1:]]
    acts = raw["recipients"].group_by("broadcast_id", "id").agg(first_told)
    told = (
        raw["recipients"]
        .filter(pl.col("act") == "sent")
        .join(acts, on=["broadcast_id", "id"], how="left", validate="m:1")
        .join(sent, on="broadcast_id", how="left", validate="m:1")
    )
    is_lost = pl.col("delivered").is_null() & (pl.col("_loaded_at") - pl.col("sent_at") > IN_FLIGHT)
    return records(
        told,
        {
            "record_id": spelled("{}:{}", "broadcast_id", "id"),
            "occurred_at": pl.col("sent_at"),
            **_person("id"),
            "name": filled(pl.col("first_name")),
            "keys": keys(kit=pl.col("id")),
            "channel": "email",
            "purpose": pl.coalesce(
                looked_up("broadcast_id", options.purposes),
                looked_up("subject", options.purposes),
                pl.lit("newsletter"),
            ),
            "template_ref": spelled("kit:{}", "broadcast_id"),
            "delivered_at": pl.when(pl.col("delivered").is_not_null()).then("sent_at"),
            "opened_at": pl.col("opens"),
            "clicked_at": pl.col("clicks"),
            "bounced_at": pl.when(is_lost).then("sent_at"),
        },
    )


def _payments(raw: Raw) -> pl.LazyFrame:
    products = objects("products", "pid").list.eval(pl.element().struct.field("pid"))
    money = currency(pl.col("currency"))
    charge = pl.col("transaction_id").str.extract("^(ch_.+)$", 1)
    return records(
        raw["purchases"],
        {
            "record_id": pl.col("id"),
            "occurred_at": iso(pl.col("transaction_time")),
            **_person("subscriber_id"),
            "keys": keys(kit=pl.col("subscriber_id")),
            "role": "shop",
            "same_as": pl.when(charge.is_not_null()).then(keys(stripe=charge)).otherwise(pl.lit([], TEXTS)),
            "status": pl.col("status").replace({"paid": "succeeded"}),
            "amount_minor": major(pl.col("total"), money),
            "currency": money,
            # What several products were bought for together belongs to none of them.
            "product_ref": pl.when(products.list.len() == 1).then(spelled("kit:{}", products.list.first())),
        },
    )


def _person(subscriber: str) -> dict[str, pl.Expr]:
    return {
        "email": pl.col("email_address"),
        "url": spelled("https://app.kit.com/subscribers/{}", subscriber),
        "is_test": pl.lit(value=False),
    }


KEY, OAUTH = "an API key of v4", "OAuth by the account, scope read"

PLATFORM = Platform(
    name="kit",
    title="Kit",
    resources=(
        Resource(
            "subscribers", "changes", subscribers,
            ("id", "first_name", "email_address", "state", "created_at", "canceled_at", "fields"), scope=KEY,
        ),
        Resource("broadcasts", "changes", broadcasts, ("id", "subject", "send_at"), history=HISTORY, scope=KEY),
        Resource(
            "recipients", "changes", recipients, ("id", "first_name", "email_address", "broadcast_id", "act"),
            lag=IN_FLIGHT, history=HISTORY, scope=KEY,
        ),
        Resource(
            "purchases", "snapshot", purchases,
            ("id", "transaction_id", "subscriber_id", "status", "email_address", "currency", "transaction_time", "total",
             "products"),
            scope=OAUTH,
        ),
    ),
    says={"consents": ("subscribers",), "messages": ("recipients", "broadcasts"), "payments": ("purchases",)},
    read=read,
    options=Options,
    secrets=("KIT_API_KEY", "KIT_CLIENT_ID", "KIT_CLIENT_SECRET", "KIT_REFRESH_TOKEN"),
    needed_for=dict.fromkeys(("KIT_CLIENT_ID", "KIT_CLIENT_SECRET", "KIT_REFRESH_TOKEN"), "purchases"),
    spec="documentation",
    verified="Against a stateful fake written from Kit's documentation of v4, never against a live account.",
)  # fmt: skip
