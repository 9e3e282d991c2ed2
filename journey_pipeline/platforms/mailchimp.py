"""Mailchimp: who may be mailed, which campaigns went to whom, and the single mails of Mailchimp Transactional (Mandrill).

Reads   /lists, /lists/{id}/members, /campaigns, /reports/{id}/sent-to, /reports/{id}/email-activity,
        /reports/{id}/unsubscribed; of Transactional POST /messages/search. Of people, only the `fields` that are used.
Says    consents: one per list and member; messages: one per campaign and recipient, one per transactional mail or SMS
Cursor  members by `last_changed`, an hour back, newest first: who changes while we page is at worst left to the next
        load, and hides nobody else. Campaigns sent in the last 90 days, their recipients as long as these still open and opt out (7
        days). Transactional mails by time of sending, 3 days back for bounces and opens; it keeps 30 days.
State   subscribed, unsubscribed and cleaned are said. pending, transactional and archived say nothing of the person's
        wish: such a member keeps the state said before. An opt-out is dated by the campaign that it answers, else by
        the member's last change.
Purpose a transactional mail's template under `purposes`, else a tag that is a purpose, else `other`; a campaign's id or
        title under `purposes`, else `newsletter`.
Joins   the e-mail (its MD5 is Mailchimp's id of a person); a merge field or metadata value like `stripe:cus_1` names
        the same person.
Needs   MAILCHIMP_API_KEY, with its ending (`-us21`: where the account lives), and, but for `transactional: false`,
        MANDRILL_API_KEY, allowed to call messages/search.
Assumes Transactional's search has no pages, only the newest 1,000: where an answer is full, the time is halved by a
        Lucene range (`ts:[a TO b]`, seen at others, not in the API's description), and a second that is full makes
        the load partial. Automations (Customer Journeys) are not read: the API doesn't tell when each recipient got
        one. admin.mailchimp.com finds the account's own host. 10 connections at once, 20 searches a minute: waited out.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import polars as pl

from journey_pipeline.errors import SourceError
from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.days import halved
from journey_pipeline.platforms.http import Api, basic, by_offset, in_one
from journey_pipeline.platforms.translate import epoch_seconds, iso, keys, keys_in, newest, objects, path, records

Purpose = Literal["welcome", "receipt", "dunning", "cart", "sequence", "newsletter", "other"]

PAGE, TOTAL = 1000, "total_items"
FULL_ANSWER = 1000
OVERLAP = timedelta(hours=1)
CAMPAIGN_HISTORY, CAMPAIGN_LOOK_BACK = timedelta(days=90), timedelta(days=7)
TRANSACTIONAL_HISTORY, TRANSACTIONAL_LOOK_BACK = timedelta(days=30), timedelta(days=3)
_PERSON = ("campaign_id", "list_id", "email_id", "email_address")
FIELDS = {
    "lists": ("id", "name"),
    "members": (
        "id", "list_id", "web_id", "email_address", "full_name", "status", "timestamp_signup", "timestamp_opt",
        "last_changed", "merge_fields",
    ),
    "campaigns": ("id", "web_id", "type", "status", "send_time", "settings.title", "recipients.list_id"),
    "sent_to": (*_PERSON, "status", "merge_fields"),
    "emails": (*_PERSON, "activity.action", "activity.timestamp"),
    "unsubscribes": (*_PERSON, "timestamp"),
}  # fmt: skip
SCOPE = "a key of the account; Mailchimp's keys have no narrower scopes"


class Options(base.Options):
    """Options of Mailchimp."""

    base_url: str = "https://{dc}.api.mailchimp.com/3.0"
    transactional_url: str | None = None
    """None: mandrillapp.com; or `/transactional` under a `base_url` that is not Mailchimp's own."""
    transactional: bool = True
    """Whether the business sends with Mailchimp Transactional."""
    purposes: Mapping[str, Purpose] = {}
    """Template of Transactional, id or title of a campaign -> what it is for."""

    @property
    def mandrill_url(self) -> str:
        vendors = "https://mandrillapp.com/api/1.4"
        return self.transactional_url or (vendors if "{dc}" in self.base_url else f"{self.base_url}/transactional")


def lists(pull: Pull) -> Iterator[list[Row]]:
    yield from _list(_api(pull), "lists", "lists")


def members(pull: Pull) -> Iterator[list[Row]]:
    api, last = _api(pull), pull.since(OVERLAP)
    since = {"since_last_changed": _iso(last)} if last else {}
    newest_first = {"sort_field": "last_changed", "sort_dir": "DESC"}
    for one in [row["id"] for page in _list(api, "lists", "lists", total=None) for row in page]:
        yield from _list(api, "members", f"lists/{one}/members", **newest_first, **since)
    pull.until()


def campaigns(pull: Pull) -> Iterator[list[Row]]:
    yield from _sent(_api(pull), pull, pull.loaded_at - CAMPAIGN_HISTORY)


def sent_to(pull: Pull) -> Iterator[list[Row]]:
    yield from _of_campaigns(pull, "sent-to", "sent_to")


def email_activity(pull: Pull) -> Iterator[list[Row]]:
    yield from _of_campaigns(pull, "email-activity", "emails")


def unsubscribes(pull: Pull) -> Iterator[list[Row]]:
    yield from _of_campaigns(pull, "unsubscribed", "unsubscribes")


def transactional(pull: Pull) -> Iterator[list[Row]]:
    if not pull.options.transactional:
        return
    api, last = Api(pull, pull.options.mandrill_url), pull.left.get("until")
    until = int(pull.loaded_at.timestamp())
    back = TRANSACTIONAL_LOOK_BACK if last else TRANSACTIONAL_HISTORY
    whole = ((last or until) - int(back.total_seconds()), until)
    found, hidden = 0, 0

    def between(first: int, last: int) -> list[Row]:
        return _search(api, pull, (first, last), "*" if (first, last) == whole else f"ts:[{first} TO {last}]")

    for answer in halved(*whole, between, FULL_ANSWER):
        rows = [row for row in answer.rows if answer.first <= row["ts"] <= answer.last]
        found, hidden = found + len(rows), hidden + answer.is_full
        yield rows
    pull.expected_rows = found + hidden
    pull.leave(until=until)


def _search(api: Api, pull: Pull, window: tuple[int, int], query: str) -> list[Row]:
    # Days are no finer than a hint, in whatever zone they are meant.
    first, last = (datetime.fromtimestamp(second, UTC) for second in window)
    asked = {
        "key": pull.secrets["MANDRILL_API_KEY"],
        "query": query,
        "date_from": f"{first - timedelta(days=1):%Y-%m-%d}",
        "date_to": f"{last + timedelta(days=1):%Y-%m-%d}",
        "limit": FULL_ANSWER,
    }
    return [dict(row) for rows in api.rows("messages/search", by=in_one(), rows="$", json=asked) for row in rows]


def _api(pull: Pull) -> Api:
    key, url = pull.secrets["MAILCHIMP_API_KEY"], pull.options.base_url
    _, dash, home = key.rpartition("-")
    if "{dc}" in url and not (dash and home.isalnum()):
        sentence = f"{pull.what}: MAILCHIMP_API_KEY lacks its ending (like -us21), which says where the account is."
        raise SourceError(sentence, is_transient=False)
    return Api(pull, url.replace("{dc}", home), auth=basic("key", key))


def _list(api: Api, rows: str, at: str, *, total: str | None = TOTAL, **params: Any) -> Iterator[list[Row]]:
    fields = ",".join((*(f"{rows}.{field}" for field in FIELDS[rows]), TOTAL))
    by = by_offset(PAGE, limit_param="count", total=TOTAL)
    return api.rows(at, by=by, rows=rows, total=total, params={"fields": fields, **params})


def _sent(api: Api, pull: Pull, since: datetime, *, total: str | None = TOTAL) -> Iterator[list[Row]]:
    window = {"since_send_time": _iso(since), "before_send_time": _iso(pull.loaded_at + timedelta(seconds=1))}
    oldest_first = {"status": "sent", "sort_field": "send_time", "sort_dir": "ASC"}
    return _list(api, "campaigns", "campaigns", total=total, **oldest_first, **window)


def _of_campaigns(pull: Pull, report: str, rows: str) -> Iterator[list[Row]]:
    api, last = _api(pull), pull.since(CAMPAIGN_LOOK_BACK)
    since = last or pull.loaded_at - CAMPAIGN_HISTORY
    for campaign in [row["id"] for page in _sent(api, pull, since, total=None) for row in page]:
        yield from _list(api, rows, f"reports/{campaign}/{report}")
    pull.until()


def _iso(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%S+00:00")


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Members as consents; campaigns' recipients and transactional mails as messages."""
    return {
        "consents": _consents(raw),
        "messages": pl.concat([_campaign_mails(raw, options), _transactional_mails(raw, options)]),
    }


def _consents(raw: Raw) -> pl.LazyFrame:
    opt_outs = (
        raw["unsubscribes"]
        .group_by("list_id", id="email_id")
        .agg(opted_out_at=iso(pl.col("timestamp")).max())
    )  # fmt: skip
    told = (
        raw["members"]
        .filter(~pl.col("status").is_in(["pending", "transactional", "archived"]))
        .join(opt_outs, on=["list_id", "id"], how="left", validate="m:1")
    )
    changed_at = iso(pl.col("last_changed"))
    opted_in_at = pl.coalesce(iso(pl.col("timestamp_opt")), iso(pl.col("timestamp_signup")), changed_at)
    is_answer = (pl.col("opted_out_at") >= opted_in_at) & (pl.col("opted_out_at") <= changed_at)
    return records(
        told,
        {
            "record_id": spelled("{}:{}", "list_id", "id"),
            "occurred_at": pl.when(pl.col("status") == "subscribed").then(opted_in_at)
            .when((pl.col("status") == "unsubscribed") & is_answer).then("opted_out_at")
            .otherwise(changed_at),
            "email": pl.col("email_address"),
            "phone": _filled(path("merge_fields", "$.PHONE")),
            "name": pl.coalesce(_filled(pl.col("full_name")), _merged_name()),
            "keys": pl.concat_list(keys(mailchimp=pl.col("id")), keys_in("merge_fields")),
            "url": spelled("https://admin.mailchimp.com/lists/members/view?id={}", "web_id"),
            "is_test": pl.lit(value=False),
            "state": pl.col("status"),
            "list_ref": spelled("mailchimp:{}", "list_id"),
        },
    )  # fmt: skip


def _campaign_mails(raw: Raw, options: Options) -> pl.LazyFrame:
    sent = newest(raw["campaigns"], "id").select(
        "web_id", "send_time", campaign_id="id", title=path("settings", "$.title")
    )
    acted = newest(raw["email_activity"], "campaign_id", "email_id").select("campaign_id", "email_id", "activity")
    told = (
        raw["sent_to"]
        .join(sent, on="campaign_id", how="left", validate="m:1")
        .join(acted, on=["campaign_id", "email_id"], how="left", validate="m:1")
    )
    sent_at = iso(pl.col("send_time"))
    purpose = pl.coalesce(_purpose("campaign_id", options), _purpose("title", options), pl.lit("newsletter"))
    return records(
        told,
        {
            "record_id": spelled("{}:{}", "campaign_id", "email_id"),
            "occurred_at": sent_at,
            "email": pl.col("email_address"),
            "phone": _filled(path("merge_fields", "$.PHONE")),
            "name": _merged_name(),
            "keys": pl.concat_list(keys(mailchimp=pl.col("email_id")), keys_in("merge_fields")),
            "url": spelled("https://admin.mailchimp.com/reports/summary?id={}", "web_id"),
            "is_test": pl.lit(value=False),
            "channel": "email",
            "purpose": purpose,
            "template_ref": spelled("mailchimp:{}", "campaign_id"),
            "delivered_at": pl.when(pl.col("status") == "sent").then(sent_at),
            "opened_at": _acted_at("open"),
            "clicked_at": _acted_at("click"),
            "bounced_at": pl.when(pl.col("status").is_in(["hard", "soft"]))
            .then(pl.coalesce(_acted_at("bounce"), sent_at)),
        },
    )  # fmt: skip


def _transactional_mails(raw: Raw, options: Options) -> pl.LazyFrame:
    # Not sent yet, or never will be
    told = raw["transactional"].filter(~pl.col("state").is_in(["scheduled", "canceled"]))
    template, sent_at = pl.coalesce("template", "mc_template"), epoch_seconds(pl.col("ts"))
    tagged = pl.col("tags").str.extract(r'"(welcome|receipt|dunning|cart|sequence|newsletter)"')
    return records(
        told.with_columns(template=template),
        {
            "record_id": pl.col("_id"),
            "occurred_at": sent_at,
            "email": pl.col("email"),
            "phone": pl.col("to"),
            "name": pl.lit(None, pl.String),
            "keys": keys_in("metadata"),
            "url": pl.lit(None, pl.String),
            "is_test": pl.lit(value=False),
            "channel": pl.col("channel").fill_null("email"),
            "purpose": pl.coalesce(_purpose("template", options), tagged, pl.lit("other")),
            "template_ref": spelled("mailchimp:{}", "template"),
            "delivered_at": pl.coalesce(
                _first("smtp_events", "sent", "delivered"), pl.when(pl.col("state") == "sent").then(sent_at)
            ),
            "opened_at": _first("opens_detail"),
            "clicked_at": _first("clicks_detail"),
            "bounced_at": pl.when(pl.col("state").is_in(["bounced", "soft-bounced"]))
            .then(pl.coalesce(_first("smtp_events", "bounced"), sent_at)),
        },
    )  # fmt: skip


def _first(column: str, *types: str) -> pl.Expr:
    """The earliest `ts` in a list of events, of these types if any are given."""
    event = pl.element().struct
    at = event.field("ts").cast(pl.Int64, strict=False)
    wanted = at.filter(event.field("type").is_in(types)) if types else at
    return epoch_seconds(objects(column, "ts", "type").list.eval(wanted).list.min())


def _acted_at(action: str) -> pl.Expr:
    event = pl.element().struct
    wanted = event.field("timestamp").filter(event.field("action") == action)
    return objects("activity", "action", "timestamp").list.eval(iso(wanted)).list.min()


def _purpose(column: str, options: Options) -> pl.Expr:
    named, purposes = list(options.purposes), list(options.purposes.values())
    return pl.col(column).replace_strict(named, purposes, default=None, return_dtype=pl.String)


def _merged_name() -> pl.Expr:
    parts = [_filled(path("merge_fields", f"$.{tag}")) for tag in ("FNAME", "LNAME")]
    return _filled(pl.concat_str(parts, separator=" ", ignore_nulls=True))


def _filled(text: pl.Expr) -> pl.Expr:
    return pl.when(text.str.strip_chars() != "").then(text)


PLATFORM = Platform(
    name="mailchimp",
    title="Mailchimp",
    resources=(
        Resource("lists", "snapshot", lists, ("id", "name"), scope=SCOPE),
        Resource("members", "changes", members, FIELDS["members"], scope=SCOPE),
        Resource(
            "campaigns", "changes", campaigns, ("id", "web_id", "send_time", "settings"), history=CAMPAIGN_HISTORY,
            scope=SCOPE,
        ),
        Resource("sent_to", "changes", sent_to, FIELDS["sent_to"], history=CAMPAIGN_HISTORY, scope=SCOPE),
        Resource(
            "email_activity", "changes", email_activity, ("campaign_id", "email_id", "activity"),
            history=CAMPAIGN_HISTORY, scope=SCOPE,
        ),
        Resource("unsubscribes", "changes", unsubscribes, FIELDS["unsubscribes"], scope=SCOPE),
        Resource(
            "transactional", "changes", transactional,
            (
                "_id", "ts", "state", "email", "to", "channel", "template", "mc_template", "tags", "metadata",
                "smtp_events", "opens_detail", "clicks_detail",
            ),
            history=TRANSACTIONAL_HISTORY, scope="a Transactional key allowed to call messages/search",
        ),
    ),
    says={
        "consents": ("members", "unsubscribes"),
        "messages": ("campaigns", "sent_to", "email_activity", "transactional"),
    },
    read=read,
    options=Options,
    secrets=("MAILCHIMP_API_KEY", "MANDRILL_API_KEY"),
    needed_for={"MANDRILL_API_KEY": "transactional"},
    spec="official",
    verified=(
        "Transactional against a stateful fake and Mailchimp's own OpenAPI description, the rest against a fake and a "
        "third party's; never against a live account."
    ),
)  # fmt: skip
