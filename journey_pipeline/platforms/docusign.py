"""DocuSign: which envelopes went to whom for signature, and what became of them.

Reads   /oauth/userinfo (where the account lives), /v2.1/accounts/{id}/envelopes with recipients and custom fields
Says    agreements: one per envelope. Created is a draft, completed is signed. Delivered means that all have opened it;
        here it is `viewed` as soon as the buyer has. Deleted, voided and timed out are `void`.
Cursor  `from_date` on changes of status, an hour back; the first load goes back two years. In order of creation, not of
        change: pages are counted off, and an envelope signed while we page would slip to the end and hide another. How
        many there are is stated, so a page lost on the way makes the load partial. As long as there are none at all,
        the next load begins at the beginning. 3,000 requests an hour; a load takes one per hundred changed envelopes.
Money   none of DocuSign's own: the envelope custom fields `amount_field` (decimal text in major units, no thousands
        separator; anything else is no amount) and `currency_field`.
Joins   the first signer who is not of the business (see `own_domains`): e-mail and name. Envelope custom fields: a value
        like `stripe:cus_1` names the same person, the one called `product_field` what is sold.
Needs   DOCUSIGN_INTEGRATION_KEY, DOCUSIGN_USER_ID (both GUIDs) and DOCUSIGN_PRIVATE_KEY (an RSA key, the whole PEM text):
        Settings, Apps and keys. The user, an admin if all envelopes are to be seen, consents once in a browser:
        account.docusign.com/oauth/auth?response_type=code&scope=signature%20impersonation&client_id=(integration
        key)&redirect_uri=(one of the app's). Demo accounts: `base_url: https://account-d.docusign.com`.
Assumes A correction that changes no status, like another e-mail address, comes with the next change of status. An
        envelope that was purged stays with us. Records of demo accounts are tests.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import polars as pl

from journey_pipeline.errors import SourceError
from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, by_offset, granted, signed_jwt
from journey_pipeline.platforms.signers import buyers
from journey_pipeline.platforms.translate import currency, filled, iso, major, objects, path, records, ref

if TYPE_CHECKING:
    from requests import Response

PAGE = 100
HISTORY, OVERLAP = timedelta(days=730), timedelta(hours=1)
DEMO = "https://account-d.docusign.com"
STATUSES = {
    "created": "draft", "sent": "sent", "correct": "sent", "processing": "sent", "delivered": "viewed",
    "signed": "signed", "completed": "signed", "declined": "declined", "voided": "void", "deleted": "void",
    "timedout": "void",
}  # fmt: skip


class Options(base.Options):
    """Options of DocuSign."""

    base_url: str = "https://account.docusign.com"
    """Where tokens are granted; it says where the account's API is."""
    account_id: str = ""
    """Which account of the user; empty: the default one."""
    own_domains: tuple[str, ...] = ()
    """Domains of the business (`northwind.example`): who signs from there is not the buyer, nor is the sender."""
    amount_field: str = "amount"
    """Envelope custom field that holds the amount."""
    currency_field: str = "currency"
    """Envelope custom field that holds the currency."""
    product_field: str = "product_ref"
    """Envelope custom field that holds what is sold, as `platform:id`."""
    company_field: str = "company"
    """Envelope custom field that holds the buyer's company."""


def envelopes(pull: Pull) -> Iterator[list[Row]]:
    api, last = _api(pull), pull.since(OVERLAP)
    asked = {
        "from_date": _iso(last or pull.loaded_at - HISTORY), "from_to_status": "changed", "order_by": "created",
        "order": "asc", "include": "recipients,custom_fields",
    }  # fmt: skip
    by = by_offset(PAGE, offset_param="start_position", limit_param="count", total="totalSetSize")
    yield from api.rows("envelopes", by=by, rows="envelopes", total="totalSetSize", params=asked)
    if last or pull.expected_rows:
        pull.until()


def _api(pull: Pull) -> Api:
    """The API of the account, wherever DocuSign keeps it."""
    token = granted(_grant(pull))
    user = Api(pull, pull.options.base_url, auth=token).get("/oauth/userinfo")
    wanted = pull.options.account_id
    mine = [a for a in user["accounts"] if (a["account_id"] == wanted if wanted else a["is_default"])]
    if not mine:
        sentence = f"{pull.what}: the user has no such account; check `account_id` in journey.yaml."
        raise SourceError(sentence, is_transient=False)
    home = f"{mine[0]['base_uri']}/restapi/v2.1/accounts/{mine[0]['account_id']}"
    return Api(pull, home, auth=token, means=_meaning)


def _grant(pull: Pull) -> Callable[[], Mapping[str, Any]]:
    key, host = pull.secrets["DOCUSIGN_PRIVATE_KEY"], urlsplit(pull.options.base_url).netloc
    who = {"iss": pull.secrets["DOCUSIGN_INTEGRATION_KEY"], "sub": pull.secrets["DOCUSIGN_USER_ID"]}
    form = partial(signed_jwt, key, **who, aud=host, scope="signature impersonation")
    try:
        form()
    except ValueError as error:
        sentence = f"{pull.what}: DOCUSIGN_PRIVATE_KEY is no RSA key; set the whole PEM text, line breaks and all."
        raise SourceError(sentence, is_transient=False) from error
    granter = Api(pull, pull.options.base_url, means=_meaning_of_grant)
    return lambda: granter.post("/oauth/token", form=form())


def _meaning_of_grant(reply: "Response") -> int:
    """A wrong key and a missing consent are called bad requests."""
    return 401 if reply.status_code == 400 else reply.status_code  # noqa: PLR2004


def _meaning(reply: "Response") -> int:
    """So is one too many."""
    is_limit = reply.status_code == 400 and "LIMIT_EXCEEDED" in reply.text  # noqa: PLR2004
    return 429 if is_limit else reply.status_code


def _iso(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Envelopes, of all versions, with the buyer among their signers."""
    told = raw["envelopes"].with_columns(
        signers=path("recipients", "$.signers"),
        texts=path("custom_fields", "$.textCustomFields"),
        lists=path("custom_fields", "$.listCustomFields"),
        said=pl.col("status").replace(STATUSES),
    )
    told = (
        told.join(_buyers(told, options), on=["_loaded_at", "_row"], how="left", validate="1:1")
        .with_columns(
            money=currency(_field(options.currency_field)),
            seen_at=iso(pl.coalesce("seen", "delivered_date_time")),
        )
        .with_columns(amount=major(_field(options.amount_field), pl.col("money")))
    )
    is_seen = (pl.col("said") == "sent") & pl.col("seen_at").is_not_null()
    agreement = {
        "record_id": pl.col("envelope_id"),
        "occurred_at": iso(pl.col("created_date_time")),
        "email": pl.col("email"),
        "name": filled(pl.col("name")),
        "company": _field(options.company_field),
        "keys": pl.concat_list(_refs("texts", options), _refs("lists", options)),
        "url": spelled("https://{}.docusign.com/send/documents/details/{}", pl.lit(_app(options)), "envelope_id"),
        "is_test": pl.lit(options.base_url == DEMO),
        "status": pl.when(is_seen).then(pl.lit("viewed")).otherwise("said"),
        "amount_minor": pl.when(pl.col("money").is_not_null()).then("amount"),
        "currency": pl.col("money"),
        "product_ref": ref(_field(options.product_field)),
        "sent_at": iso(pl.coalesce("initial_sent_date_time", "sent_date_time")),
        "viewed_at": pl.col("seen_at"),
        "signed_at": pl.when(pl.col("said") == "signed").then(iso(pl.col("completed_date_time"))),
        "declined_at": iso(pl.col("declined_date_time")),
    }
    return {"agreements": records(told, agreement)}


def _buyers(envelopes: pl.LazyFrame, options: Options) -> pl.LazyFrame:
    signers = objects("signers", "email", "name", "routingOrder", "deliveredDateTime")
    sender = pl.concat_list(path("sender", "$.email"))
    found = buyers(envelopes, signers, "routingOrder", sender, options.own_domains)
    return found.rename({"deliveredDateTime": "seen"})


def _app(options: Options) -> str:
    return "apps-d" if options.base_url == DEMO else "apps"


def _field(name: str) -> pl.Expr:
    """The value of a custom field, of either sort."""
    value = pl.element().struct.field("value").filter(pl.element().struct.field("name") == name)
    sorts = [objects(sort, "name", "value").list.eval(value).list.first() for sort in ("texts", "lists")]
    return filled(pl.coalesce(sorts))


def _refs(sort: str, options: Options) -> pl.Expr:
    """The `platform:id` values, but for what is sold."""
    is_person = pl.element().struct.field("name") != options.product_field
    value = ref(pl.element().struct.field("value").filter(is_person))
    return objects(sort, "name", "value").list.eval(value.drop_nulls()).fill_null([])


PLATFORM = Platform(
    name="docusign",
    title="DocuSign",
    resources=(
        Resource(
            "envelopes", "changes", envelopes,
            columns=(
                "envelope_id", "status", "created_date_time", "initial_sent_date_time", "sent_date_time",
                "delivered_date_time", "completed_date_time", "declined_date_time", "sender", "recipients", "custom_fields",
            ),
            history=HISTORY,
            scope="signature and impersonation, to which the user has consented once",
        ),
    ),
    says={"agreements": ("envelopes",)},
    read=read,
    options=Options,
    secrets=("DOCUSIGN_INTEGRATION_KEY", "DOCUSIGN_USER_ID", "DOCUSIGN_PRIVATE_KEY"),
    spec="official",
    verified="Against a stateful fake and DocuSign's OpenAPI description of v2.1 (2022), never against a live account.",
)  # fmt: skip
