"""PandaDoc: which proposals and contracts went to whom, over how much, and what became of them.

Reads   /public/v1/documents, then /documents/{id}/details of each that changed; with `audit_trail: true` also
        /public/v2/documents/{id}/audit-trail of each
Says    agreements: one per document. Completed, paid and waiting_pay are `signed`: all have signed, whoever still has to
        pay. Approval inside the business is a draft. Voided and expired are `void`, as is what was deleted unsigned.
Cursor  `modified_from`, an hour back, in order of creation: what changes while we page comes again, and the list is
        slow in any other order. As long as nothing is seen at all, the next load begins at the beginning: a key may be
        given its workspace later. The deleted ones of the last year are a list of their own, read whole each time.
        One request per changed document, 600 a minute: 429s are waited out.
Money   decimal text in major units, currency beside it. A total of 0 without any price table is no amount at all.
Joins   the first signer who is not of the business (see `own_domains`): e-mail, phone, name; the company from a
        variable. A linked object of a CRM: a contact, lead or person names the same person (`pipedrive:7`), a deal is
        `hubspot_deal:7`. A metadata value like `stripe:cus_1` names the same person too; `product_ref` in the metadata
        is what is sold, else the template (`pandadoc:` and its id).
Needs   PANDADOC_API_KEY, the production key of the Dev Center (Settings, API), plan Business or above.
Assumes `date_sent` is the first sending. Without the audit trail a document was viewed, or declined, when it was last
        modified as we first saw it so; one seen only signed tells no viewing. A group of recipients names nobody.
        Documents still being made (`uploaded`, `error`) are left out; their next change brings them.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, RefusalError, by_offset, by_page, in_headers
from journey_pipeline.platforms.signers import buyers
from journey_pipeline.platforms.translate import (
    currency,
    filled,
    iso,
    keys_in,
    major,
    objects,
    path,
    records,
    ref,
)

PAGE = 100
OVERLAP, DELETED = timedelta(hours=1), timedelta(days=365)
UNFINISHED = ("document.uploaded", "document.error")
STATUSES = {
    "document.draft": "draft", "document.waiting_approval": "draft", "document.approved": "draft",
    "document.rejected": "draft", "document.scheduled": "draft", "document.sent": "sent",
    "document.external_review": "sent", "document.viewed": "viewed", "document.completed": "signed",
    "document.waiting_pay": "signed", "document.paid": "signed", "document.declined": "declined",
    "document.voided": "void",
}  # fmt: skip
VIEWED, DECLINED = (8,), (27, 43)
"""Actions of the audit trail; 27 is declined by hand."""


class Options(base.Options):
    """Options of PandaDoc."""

    base_url: str = "https://api.pandadoc.com"
    audit_trail: bool = False
    """Whether each changed document's audit trail is read, one request more: exact times of viewing and declining.
    The key must be an admin's."""
    own_domains: tuple[str, ...] = ()
    """Domains of the business (`northwind.example`): who signs from there is not the buyer, nor is who made or sent it."""
    company_variable: str = "Client.Company"
    """The document's variable that holds the buyer's company."""


def documents(pull: Pull) -> Iterator[list[Row]]:
    api, last = _api(pull), pull.since(OVERLAP)
    is_any = last is not None
    for page in _list(api, **({"modified_from": _iso(last)} if last else {})):
        is_any |= bool(page)
        made = [row["id"] for row in page if row["status"] not in UNFINISHED]
        yield [row for document in made for row in _whole(api, document, pull.options)]
    if is_any:
        pull.until()


def deleted(pull: Pull) -> Iterator[list[Row]]:
    yield from _list(_api(pull), deleted="true", created_from=_iso(pull.loaded_at - DELETED))


def _whole(api: Api, document: str, options: Options) -> list[Row]:
    """The document in detail; nothing, if it was deleted since it was listed, or is being made anew."""
    try:
        details = api.get(f"/public/v1/documents/{document}/details")
    except RefusalError as error:
        if error.status not in (404, 409):
            raise
        return []
    if not options.audit_trail:
        return [details]
    trail = api.rows(f"/public/v2/documents/{document}/audit-trail", by=by_offset(PAGE, total="count"), rows="results")
    # Who did it, from which address, is none of our business.
    kept = [{"action": entry["action"], "date_created": entry["date_created"]} for page in trail for entry in page]
    return [{**details, "audit_trail": kept}]


def _api(pull: Pull) -> Api:
    key = in_headers(Authorization=f"API-Key {pull.secrets['PANDADOC_API_KEY']}")
    return Api(pull, pull.options.base_url, auth=key)


def _list(api: Api, **params: Any) -> Iterator[list[Row]]:
    asked = {"count": PAGE, "order_by": "date_created", **params}
    return api.rows("/public/v1/documents", by=by_page(), rows="results", params=asked)


def _iso(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Documents, of all versions, with the buyer among their signers."""
    gone = raw["deleted"].group_by("id").agg(gone_at=pl.col("_loaded_at").max())
    told = (
        raw["documents"]
        .join(_buyers(raw["documents"], options), on=["_loaded_at", "_row"], how="left", validate="1:1")
        .join(gone, on="id", how="left", validate="m:1")
        .with_columns(
            said=pl.col("status").replace(STATUSES),
            changed_at=iso(pl.col("date_modified")),
            money=currency(path("grand_total", "$.currency")),
        )
    )
    is_gone = pl.col("gone_at") >= pl.col("_loaded_at")
    is_signed = pl.col("said") == "signed"
    amount = major(path("grand_total", "$.amount"), pl.col("money"))
    is_priced = pl.any_horizontal(path("pricing", f"$.{part}[0]").is_not_null() for part in ("tables", "quotes"))
    signed = objects("recipients", "signature_date").list.eval(iso(pl.element().struct.field("signature_date")))
    name = pl.concat_str("first_name", "last_name", separator=" ", ignore_nulls=True)
    agreement = {
        "record_id": pl.col("id"),
        "occurred_at": iso(pl.col("date_created")),
        "email": pl.col("email"),
        "phone": pl.col("phone"),
        "name": filled(name),
        "company": _variable(options.company_variable),
        "keys": pl.concat_list(_linked(), keys_in("metadata", but="product_ref")),
        "url": spelled("https://app.pandadoc.com/a/#/documents/{}", "id"),
        "is_test": pl.lit(value=False),
        "status": pl.when(is_gone & ~is_signed).then(pl.lit("void")).otherwise("said"),
        "amount_minor": pl.when((amount != 0) | is_priced).then(amount),
        "currency": pl.col("money"),
        "product_ref": pl.coalesce(
            ref(path("metadata", "$.product_ref")), spelled("pandadoc:{}", path("template", "$.id"))
        ),
        "sent_at": iso(pl.col("date_sent")),
        "viewed_at": pl.coalesce(_done_at(VIEWED), _seen_at("viewed")),
        "signed_at": pl.when(is_signed).then(pl.coalesce(signed.list.max(), iso(pl.col("date_completed")))),
        "declined_at": pl.when(pl.col("said") == "declined").then(
            pl.coalesce(_done_at(DECLINED), _seen_at("declined"))
        ),
    }
    return {"agreements": records(told, agreement)}


def _buyers(documents: pl.LazyFrame, options: Options) -> pl.LazyFrame:
    senders = pl.concat_list(path("created_by", "$.email"), path("sent_by", "$.email"))
    fields = ("email", "phone", "first_name", "last_name", "recipient_type", "signing_order")
    is_signer = pl.element().struct.field("recipient_type") == "signer"
    signers = objects("recipients", *fields).list.eval(pl.element().filter(is_signer))
    return buyers(documents, signers, "signing_order", senders, options.own_domains).drop("recipient_type")


def _linked() -> pl.Expr:
    """People and deals among the linked objects; `salesforce-oauth2` is Salesforce."""
    linked = pl.element().struct
    entity, provider = linked.field("entity_type"), linked.field("provider").str.extract("^([a-z0-9]+)")
    kind = pl.when(entity.is_in(["deal", "opportunity"])).then(pl.lit("_deal:"))
    person = pl.when(entity.is_in(["contact", "lead", "person"])).then(pl.lit(":"))
    spelt = pl.concat_str(provider, pl.coalesce(kind, person), linked.field("entity_id"))
    return objects("linked_objects", "provider", "entity_type", "entity_id").list.eval(spelt.drop_nulls()).fill_null([])


def _variable(name: str) -> pl.Expr:
    value = pl.element().struct.field("value").filter(pl.element().struct.field("name") == name)
    return filled(objects("tokens", "name", "value").list.eval(value).list.first())


def _done_at(actions: tuple[int, ...]) -> pl.Expr:
    is_it = pl.element().struct.field("action").is_in([str(action) for action in actions])
    done = iso(pl.element().struct.field("date_created").filter(is_it))
    return objects("audit_trail", "action", "date_created").list.eval(done).list.min()


def _seen_at(status: str) -> pl.Expr:
    """When it had last changed as we first saw it so."""
    return pl.col("changed_at").filter(pl.col("said") == status).min().over("id")


PLATFORM = Platform(
    name="pandadoc",
    title="PandaDoc",
    resources=(
        Resource(
            "documents", "changes", documents,
            columns=(
                "id", "status", "date_created", "date_modified", "date_sent", "date_completed", "created_by", "sent_by",
                "template", "metadata", "tokens", "pricing", "grand_total", "recipients", "linked_objects", "audit_trail",
            ),
            scope="an API key of the workspace; with `audit_trail` that of an admin",
        ),
        Resource("deleted", "changes", deleted, columns=("id",), scope="an API key of the workspace"),
    ),
    says={"agreements": ("documents", "deleted")},
    read=read,
    options=Options,
    secrets=("PANDADOC_API_KEY",),
    spec="official",
    verified="Against a stateful fake and PandaDoc's OpenAPI description, never against a live account.",
)  # fmt: skip
