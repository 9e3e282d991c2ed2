"""Klaviyo: who may be mailed and texted, and which e-mails and SMS reached whom.

Reads   /api/profiles with `subscriptions`, /api/metrics, and of /api/events only those of Klaviyo's own metrics of
        sending (Received, Opened, Clicked, Bounced ...), with their profiles included
Says    consents: one per profile and channel; messages: one per e-mail or SMS received or bounced. UNSUBSCRIBED is
        unsubscribed, a suppression too, but for a hard bounce or an invalid address: cleaned. NEVER_SUBSCRIBED says nothing.
        An open or click belongs to the last receipt of the same message by the same profile; an open by a mail program
        (`machine_open`) is none. A message is for what its `$message`, flow or campaign name is under `purposes`, else
        `sequence` in a flow, else `newsletter`.
Cursor  profiles by `updated`, an hour back (the filter is strict, so a second more), and once more by the time of
        suppression; events by `datetime`, metric by metric, a day back, for some come late. First load: 90 days of events.
Joins   e-mail and phone; an `external_id` or property like `stripe:cus_1` names the same person.
Needs   KLAVIYO_API_KEY, private, with the scopes profiles:read, metrics:read and events:read (Settings, API keys).
Assumes The metrics bear Klaviyo's English names. When a message left is not told, only when it was received. Whether a
        change of consent to SMS moves `updated` is written nowhere. What was merged or deleted stays with us: neither
        is told. Lists are no consents at Klaviyo. Revision 2026-07-15 is asked for.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Purpose, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, by_link, in_headers
from journey_pipeline.platforms.translate import (
    boolean,
    filled,
    iso,
    keys,
    keys_in,
    looked_up,
    newest,
    objects,
    path,
    records,
    ref,
    spaced,
)  # fmt: skip

REVISION = "2026-07-15"
PROFILES_PAGE, EVENTS_PAGE = 100, 1000
OVERLAP, EVENTS_OVERLAP = timedelta(hours=1, seconds=1), timedelta(days=1)
HISTORY = timedelta(days=90)
RECEIVED = {"Received Email": "email", "Received SMS": "sms"}
BOUNCED = {"Bounced Email": "email", "Failed to Deliver SMS": "sms"}
OPENED, CLICKED = ("Opened Email",), ("Clicked Email", "Clicked SMS")
CHANNELS = ("email", "sms", "whatsapp")
SUPPRESSED_AT = "subscriptions.email.marketing.suppression.timestamp"
PERSON = "email,phone_number,external_id,first_name,last_name,organization,properties"


class Options(base.Options):
    """Options of Klaviyo."""

    base_url: str = "https://a.klaviyo.com"
    purposes: Mapping[str, Purpose] = {}
    """Id of a message or flow, or name of a campaign -> what it is for."""


def profiles(pull: Pull) -> Iterator[list[Row]]:
    api, last = _api(pull), pull.since(OVERLAP)
    wanted = {"additional-fields[profile]": "subscriptions", "fields[profile]": f"{PERSON},updated,subscriptions"}
    asked = [{"sort": "updated"}]
    if last:
        asked[0]["filter"] = f"greater-than(updated,{_second(last)})"
        asked.append({"filter": f"greater-or-equal({SUPPRESSED_AT},{_second(last)})"})
    for each in asked:
        params = {"page[size]": PROFILES_PAGE, **wanted, **each}
        yield from api.rows("/api/profiles", by=by_link("links.next"), rows="data", params=params)
    pull.until()


def events(pull: Pull) -> Iterator[list[Row]]:
    api, since = _api(pull), pull.since(EVENTS_OVERLAP) or pull.loaded_at - HISTORY
    metrics = [row for page in api.rows("/api/metrics", by=by_link("links.next"), rows="data") for row in page]
    for metric in metrics:
        name = metric["attributes"]["name"]
        if name not in {*RECEIVED, *BOUNCED, *OPENED, *CLICKED}:
            continue
        filters = f'equals(metric_id,"{metric["id"]}"),greater-or-equal(datetime,{_second(since)})'
        params = {"filter": filters, "sort": "datetime", "include": "profile", "fields[profile]": PERSON}
        params |= {"page[size]": str(EVENTS_PAGE)}
        for rows, body in api.pages("/api/events", by=by_link("links.next"), rows="data", params=params):
            people = {one["id"]: one["attributes"] for one in body.get("included") or () if one["type"] == "profile"}
            yield [{**row, "metric": name, "profile_id": _who(row), "profile": people.get(_who(row))} for row in rows]
    pull.until()


def _who(event: Row) -> str | None:
    """The profile's id; none for an event of nobody."""
    to = event.get("relationships", {}).get("profile", {}).get("data") or {}
    id_: str | None = to.get("id")
    return id_


def _api(pull: Pull) -> Api:
    auth = in_headers(Authorization=f"Klaviyo-API-Key {pull.secrets['KLAVIYO_API_KEY']}", revision=REVISION)
    return Api(pull, pull.options.base_url, auth=auth)


def _second(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Profiles as consents, channel by channel; receipts and bounces as messages."""
    return {"consents": pl.concat([_consents(raw, c) for c in CHANNELS]), "messages": _messages(raw, options)}


def _consents(raw: Raw, channel: str) -> pl.LazyFrame:
    given = {
        name: path("attributes", f"$.subscriptions.{channel}.marketing.{name}")
        for name in ("consent", "consent_timestamp", "last_updated", "suppression")
    }
    reason, since = (pl.col("_last").struct.field(name) for name in ("reason", "timestamp"))
    suppressed = objects("suppression", "reason", "timestamp").list.eval(
        pl.element().sort_by(iso(pl.element().struct.field("timestamp")))
    )
    told = (
        raw["profiles"]
        .with_columns(**given, properties=path("attributes", "$.properties"))
        .with_columns(_last=suppressed.list.last())
        .filter((pl.col("consent") != "NEVER_SUBSCRIBED") | reason.is_not_null())
    )
    is_opt_out = pl.col("consent") == "UNSUBSCRIBED"
    recorded_at = pl.coalesce(
        iso(pl.col("consent_timestamp")), iso(pl.col("last_updated")), iso(path("attributes", "$.updated"))
    )
    return records(
        told,
        {
            "record_id": spelled("{}:{}", "id", pl.lit(channel)),
            "occurred_at": pl.when(is_opt_out | reason.is_null()).then(recorded_at).otherwise(iso(since)),
            **_person("attributes", "id"),
            "state": pl.when(is_opt_out).then(pl.lit("unsubscribed"))
            .when(reason.is_in(["HARD_BOUNCE", "INVALID_EMAIL"])).then(pl.lit("cleaned"))
            .when(reason.is_not_null()).then(pl.lit("unsubscribed"))
            .otherwise(pl.col("consent").replace({"SUBSCRIBED": "subscribed"})),
            "list_ref": f"klaviyo:{channel}",
        },
    )  # fmt: skip


def _messages(raw: Raw, options: Options) -> pl.LazyFrame:
    names = {"message": "$message", "flow": "$flow", "campaign": "Campaign Name", "is_machine": "machine_open"}
    told = raw["events"].with_columns(
        at=iso(path("attributes", "$.datetime")),
        properties=path("profile", "$.properties"),
        **{column: path("attributes", f"$.event_properties['{name}']") for column, name in names.items()},
    )
    sends = told.filter(pl.col("metric").is_in([*RECEIVED, *BOUNCED]))
    is_received = pl.col("metric").is_in(list(RECEIVED))
    return records(
        sends.join(_acts(told), on="id", how="left", validate="m:1"),
        {
            "record_id": pl.col("id"),
            "occurred_at": pl.col("at"),
            **_person("profile", "profile_id"),
            "channel": looked_up("metric", RECEIVED | BOUNCED),
            "purpose": pl.coalesce(
                *(looked_up(c, options.purposes) for c in ("message", "flow", "campaign")),
                pl.when(filled(pl.col("flow")).is_not_null()).then(pl.lit("sequence")),
                pl.lit("newsletter"),
            ),
            "template_ref": spelled("klaviyo:{}", "message"),
            "delivered_at": pl.when(is_received).then("at"),
            "opened_at": pl.col("opened_at"),
            "clicked_at": pl.col("clicked_at"),
            "bounced_at": pl.when(~is_received).then("at"),
        },
    )


def _acts(told: pl.LazyFrame) -> pl.LazyFrame:
    """First open and click after each receipt, before the next receipt of the same message."""
    once = newest(told, "id").filter(~pl.any_horizontal(pl.col("at", "message", "profile_id").is_null()))
    received = once.filter(pl.col("metric").is_in(list(RECEIVED))).select("id", "profile_id", "message", "at")
    is_open = pl.col("metric").is_in(OPENED) & ~boolean(pl.col("is_machine")).fill_null(value=False)
    is_click = pl.col("metric").is_in(CLICKED)
    acts = once.filter(is_open | is_click).select("profile_id", "message", "at", act_at="at", is_click=is_click)
    return (
        acts.sort("at")
        .join_asof(received.sort("at"), on="at", by=["profile_id", "message"], check_sortedness=False)
        .drop_nulls("id")
        .group_by("id")
        .agg(
            opened_at=pl.col("act_at").filter(~pl.col("is_click")).min(),
            clicked_at=pl.col("act_at").filter("is_click").min(),
        )
    )


def _person(column: str, profile_id: str) -> dict[str, pl.Expr]:
    elsewhere = ref(path(column, "$.external_id"))
    return {
        "email": path(column, "$.email"),
        "phone": path(column, "$.phone_number"),
        "name": spaced(path(column, "$.first_name"), path(column, "$.last_name")),
        "company": filled(path(column, "$.organization")),
        "keys": pl.concat_list(keys(klaviyo=pl.col(profile_id)), elsewhere, keys_in("properties")).list.drop_nulls(),
        "url": spelled("https://www.klaviyo.com/profile/{}", profile_id),
        "is_test": pl.lit(value=False),
    }


PLATFORM = Platform(
    name="klaviyo",
    title="Klaviyo",
    resources=(
        Resource("profiles", "changes", profiles, ("id", "attributes"), lag=timedelta(minutes=5), scope="profiles:read"),
        Resource(
            "events", "changes", events, ("id", "attributes", "metric", "profile_id", "profile"),
            lag=timedelta(minutes=30), history=HISTORY, scope="events:read, metrics:read and profiles:read",
        ),
    ),
    says={"consents": ("profiles",), "messages": ("events",)},
    read=read,
    options=Options,
    secrets=("KLAVIYO_API_KEY",),
    spec="official",
    verified=f"Against a stateful fake and Klaviyo's own OpenAPI description of {REVISION}, never against a live account.",
)  # fmt: skip
