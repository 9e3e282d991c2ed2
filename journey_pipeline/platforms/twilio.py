"""Twilio: which SMS and WhatsApp messages were sent to whom, and which of them arrived.

Reads   /2010-04-01/Accounts/{sid}/Messages.json, account by account
Says    messages: one per message sent; what was received, is still scheduled or was cancelled is none. The only time of
        a status is that of the message's last change: the first version that says delivered, read or failed dates it, so
        with a load a day it is exact to the day at worst. What it is for is said by the template whose words its text
        contains (`templates`), else by its messaging service, else by its sender, each named under `purposes`;
        `template_ref` is that template, else the messaging service.
Cursor  by the day of sending (`DateSent>`, whole days, GMT), 7 days back: a message has no time of change to ask for,
        and its status (and price) come later. Newest first; the token of a page keeps its place.
Joins   the recipient's phone number, E.164; Twilio knows no person.
Needs   TWILIO_ACCOUNT_SID, TWILIO_API_KEY and TWILIO_API_SECRET: a restricted key that may read Messages (Console,
        Account, API keys & tokens). For `subaccounts`: the main account's SID and its auth token as key and secret.
Assumes A message that never left has no time of sending, and `DateSent>` may pass it over; the first load asks without.
        `sent` is not `delivered`: see `sent_is_delivered`. Who answers STOP is not told by this list.
        A message deleted at Twilio stays with us.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Purpose, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, basic, by_link
from journey_pipeline.platforms.translate import looked_up, named_by, records, rfc2822
from journey_pipeline.registry import TEXTS

PAGE = 1000
LOOK_BACK = timedelta(days=7)
NOT_SENT = ("scheduled", "canceled")


class Options(base.Options):
    """Options of Twilio."""

    base_url: str = "https://api.twilio.com"
    subaccounts: tuple[str, ...] = ()
    """SIDs of subaccounts that are read too."""
    templates: Mapping[str, str] = {}
    """Name of a template -> words that its text contains, in any case; the first that fits counts."""
    purposes: Mapping[str, Purpose] = {}
    """Name of a template, SID of a messaging service or sender -> what its messages are for; else `other`."""
    sent_is_delivered: bool = False
    """Whether a message taken by the carrier counts as delivered: some countries' carriers send no receipts."""


def messages(pull: Pull) -> Iterator[list[Row]]:
    user, password = pull.secrets["TWILIO_API_KEY"], pull.secrets["TWILIO_API_SECRET"]
    api, last = Api(pull, pull.options.base_url, auth=basic(user, password)), pull.since(LOOK_BACK)
    since = {"DateSent>": f"{last:%Y-%m-%d}"} if last else {}
    for account in (pull.secrets["TWILIO_ACCOUNT_SID"], *pull.options.subaccounts):
        at = f"/2010-04-01/Accounts/{account}/Messages.json"
        yield from api.rows(at, by=by_link("next_page_uri"), rows="messages", params={"PageSize": PAGE, **since})
    pull.until()


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Raw messages, of all versions; what an older version dated stays dated."""
    sent = raw["messages"].filter(
        pl.col("direction").ne_missing("inbound"), ~pl.col("status").is_in(NOT_SENT).fill_null(value=False)
    )  # fmt: skip
    arrived = ("delivered", "read", *(("sent",) if options.sent_is_delivered else ()))
    told = sent.with_columns(
        sent_at=pl.coalesce(rfc2822(pl.col("date_sent")), rfc2822(pl.col("date_created"))),
        changed_at=rfc2822(pl.col("date_updated")),
        template=named_by(pl.col("body"), options.templates),
    )
    return {
        "messages": records(
            told,
            {
                "record_id": pl.col("sid"),
                "occurred_at": pl.col("sent_at"),
                "phone": pl.col("to").str.extract(r"^(?:[a-z]+:)?(\+\d+)$", 1),
                "keys": pl.lit([], TEXTS),
                "url": spelled("https://www.twilio.com/console/sms/logs/{}/{}", "account_sid", "sid"),
                "is_test": pl.lit(value=False),
                # `whatsapp:+1…`, `rcs:…`, `messenger:…`; a bare number is an SMS or MMS.
                "channel": pl.col("to").str.extract(r"^([a-z]+):", 1).fill_null("sms"),
                "purpose": pl.coalesce(
                    *(looked_up(c, options.purposes) for c in ("template", "messaging_service_sid", "from")),
                    pl.lit("other"),
                ),
                "template_ref": spelled("twilio:{}", pl.coalesce("template", "messaging_service_sid")),
                "delivered_at": _first_said(*arrived),
                "opened_at": _first_said("read"),
                "bounced_at": _first_said("failed", "undelivered"),
            },
        )
    }


def _first_said(*statuses: str) -> pl.Expr:
    return pl.col("changed_at").filter(pl.col("status").is_in(statuses)).min().over("sid")


PLATFORM = Platform(
    name="twilio",
    title="Twilio",
    resources=(
        Resource(
            "messages", "changes", messages,
            ("sid", "account_sid", "direction", "status", "from", "to", "body", "messaging_service_sid",
             "date_created", "date_sent", "date_updated"),
            lag=timedelta(minutes=5), scope="reading Messages (restricted key), or a standard key",
        ),
    ),
    says={"messages": ("messages",)},
    read=read,
    options=Options,
    secrets=("TWILIO_ACCOUNT_SID", "TWILIO_API_KEY", "TWILIO_API_SECRET"),
    spec="official",
    verified="Against a stateful fake and Twilio's own OpenAPI description of 2026-04, never against a live account.",
)  # fmt: skip
