"""Xero: what was invoiced, paid and credited, as the books have it.

Reads   /Invoices, /Payments, /CreditNotes (of sales, not of purchases), /Contacts
Says    payments (role `shop`): one per invoice that was issued
Cursor  `If-Modified-Since`, ten minutes back; nothing is ever deleted from Xero's lists: a voided invoice stays, as void.
Money   numbers in major units, in the invoice's currency. Refunded is what credit notes were allocated to the invoice,
        and what was paid out of a credit note whose reference is the invoice's number.
Joins   the contact's e-mail, phone and name; its ContactNumber and AccountNumber where they read like `app:42`. The
        reference of an invoice, or of its payments, names the sale that a processor or shop told: as `platform:id`, as
        Stripe's `ch_…` or `py_…`, or as an id of `reference_platform`.
Needs   XERO_CLIENT_ID and XERO_CLIENT_SECRET of a custom connection (developer.xero.com > My Apps; a paid add-on per
        organisation) with the scopes that each resource names (of an app older than March 2026
        accounting.transactions.read covers the first three), and `tenant`, the organisation's id.
Assumes PAID is succeeded, AUTHORISED (issued, not wholly paid) pending, VOIDED failed. Drafts, and what was deleted as a
        draft, were never issued and are left out. Dates of the books are days, told as midnight UTC, so what bears no
        reference is no copy of a charge by its time. A paid invoice is dated by the day on which it was wholly paid.
        The item of the first line is what was sold. 60 requests a minute and 5,000 a day: 429s are waited out.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base, translate
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, basic, by_page, granted
from journey_pipeline.platforms.translate import currency, filled, iso, major, ms_date, newest, path, records, refs

if TYPE_CHECKING:
    from requests import Response

PAGE = 1000
LOOK_BACK = timedelta(minutes=10)
STATUSES = {"PAID": "succeeded", "AUTHORISED": "pending", "VOIDED": "failed"}
NEVER_ISSUED = ("DRAFT", "SUBMITTED", "DELETED")
_VENDORS = "https://api.xero.com/api.xro/2.0"


class Options(base.Options):
    """Options of Xero."""

    base_url: str = _VENDORS
    auth_url: str | None = None
    """Where tokens are granted; None: identity.xero.com, or beside a `base_url` that is not Xero's own."""
    tenant: str = ""
    """Id of the organisation, as /connections lists it; a custom connection has but one and may leave it out."""
    reference_platform: str | None = None
    """Platform whose record ids stand in references as they are, e.g. `shopify`."""
    method: str | None = "bank_transfer"
    """How invoices are paid; unpaid ones are given as long as this takes."""
    methods: Mapping[str, str] = {}
    """Code of the account that a payment went to -> how it was paid, where that is not `method`."""

    @property
    def token_host(self) -> str:
        ours = "https://identity.xero.com" if self.base_url == _VENDORS else self.base_url.partition("/api.xro/")[0]
        return self.auth_url or ours


def invoices(pull: Pull) -> Iterator[list[Row]]:
    yield from _changed(pull, "Invoices", where='Type=="ACCREC"', order="InvoiceID ASC")


def payments(pull: Pull) -> Iterator[list[Row]]:
    yield from _changed(pull, "Payments", where='PaymentType=="ACCRECPAYMENT"', order="PaymentID ASC")


def credit_notes(pull: Pull) -> Iterator[list[Row]]:
    yield from _changed(pull, "CreditNotes", where='Type=="ACCRECCREDIT"', order="CreditNoteID ASC")


def contacts(pull: Pull) -> Iterator[list[Row]]:
    yield from _changed(pull, "Contacts", includeArchived="true", order="ContactID ASC")


def _changed(pull: Pull, name: str, **asked: str) -> Iterator[list[Row]]:
    """In the order of ids, which a change meanwhile doesn't move."""
    paged, params = by_page(pages="pagination.pageCount"), {"pageSize": PAGE, **asked}
    yield from _api(pull).rows(f"/{name}", by=paged, rows=name, total="pagination.itemCount", params=params)
    pull.until()


def _api(pull: Pull) -> Api:
    o: Options = pull.options
    user = basic(pull.secrets["XERO_CLIENT_ID"], pull.secrets["XERO_CLIENT_SECRET"])
    door = Api(pull, o.token_host, auth=user, means=_means)
    token = granted(lambda: door.post("/connect/token", form={"grant_type": "client_credentials"}))
    last = pull.since(LOOK_BACK)
    since = {"If-Modified-Since": last.strftime("%Y-%m-%dT%H:%M:%S")} if last else {}
    headers = {"xero-tenant-id": o.tenant, "Accept": "application/json", **since}
    return Api(pull, o.base_url, auth=token, headers=headers)


def _means(reply: "Response") -> int:
    """A wrong client is refused with 400."""
    is_client = reply.status_code == 400 and "_client" in reply.text  # noqa: PLR2004
    return 401 if is_client else reply.status_code


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Invoices with their contact, and what was paid and credited of them, as these are now."""
    invoices = raw["invoices"].filter(~pl.col("status").is_in(NEVER_ISSUED))
    told = (
        invoices.with_columns(contact_id=path("contact", "$.ContactID"))
        .join(_people(raw["contacts"]), on="contact_id", how="left", validate="m:1")
        .join(_paid(raw["payments"]), on="invoice_id", how="left", validate="m:1")
        .join(_credited(raw["credit_notes"], invoices), on="invoice_id", how="left", validate="m:1")
    )
    money, issued_at = currency(pl.col("currency_code")), _day("date", "date_string")
    paid_at = pl.when(pl.col("status") == "PAID").then(ms_date(pl.col("fully_paid_on_date")))
    known = pl.concat_list(_named("reference"), pl.col("paid_for").fill_null([]))
    bare = pl.concat_list(spelled("{}:{}", pl.lit(options.reference_platform, pl.String), filled(pl.col("reference"))))
    payment = {
        "record_id": pl.col("invoice_id"),
        "occurred_at": pl.coalesce(paid_at, issued_at),
        "email": pl.coalesce("email", filled(path("contact", "$.EmailAddress"))),
        "phone": pl.col("phone"),
        "name": pl.coalesce("name", filled(path("contact", "$.Name"))),
        "company": pl.col("company"),
        "keys": pl.concat_list(translate.keys(xero=pl.col("contact_id")), pl.col("keys").fill_null([])),
        "url": spelled("https://go.xero.com/AccountsReceivable/View.aspx?InvoiceID={}", "invoice_id"),
        "is_test": pl.lit(value=False),
        "role": pl.lit("shop"),
        "same_as": pl.when(known.list.len() > 0)
        .then(known.list.unique(maintain_order=True))
        .otherwise(bare.list.drop_nulls()),
        "status": pl.col("status").replace(STATUSES),
        "amount_minor": major(pl.col("total"), money),
        "currency": money,
        "product_ref": spelled("xero:{}", filled(path("line_items", "$[0].ItemCode"))),
        "method": pl.coalesce(translate.looked_up("account_code", options.methods), pl.lit(options.method, pl.String)),
        "refunded_minor": pl.col("credited_minor").fill_null(0),
        "refunded_at": pl.col("credited_at"),
    }
    return {"payments": records(told, payment)}


def _people(contacts: pl.LazyFrame) -> pl.LazyFrame:
    """Xero's name of a contact is the company's where a person has a name of their own."""
    person = filled(pl.concat_str("first_name", "last_name", separator=" ", ignore_nulls=True))
    phones = translate.objects("phones", "PhoneCountryCode", "PhoneAreaCode", "PhoneNumber")
    parts = [pl.element().struct.field(name) for name in ("PhoneCountryCode", "PhoneAreaCode", "PhoneNumber")]
    country = pl.when(parts[0].str.contains(r"^[1-9]")).then("+" + parts[0]).otherwise(parts[0])
    whole = pl.concat_str(country, *parts[1:], ignore_nulls=True).filter(parts[2] != "")
    merged = translate.keys(xero=pl.col("merged_to_contact_id"))
    return newest(contacts, "contact_id").select(
        "contact_id",
        email=filled(pl.col("email_address")),
        phone=phones.list.eval(whole).list.first(),
        name=pl.coalesce(person, filled(pl.col("name"))),
        company=pl.when(person != pl.col("name")).then(filled(pl.col("name"))),
        keys=pl.concat_list(merged, refs(pl.col("contact_number")), refs(pl.col("account_number"))),
    )


def _paid(payments: pl.LazyFrame) -> pl.LazyFrame:
    kept = newest(payments, "payment_id").filter(pl.col("status") != "DELETED")
    of = kept.with_columns(invoice_id=path("invoice", "$.InvoiceID"), account_code=path("account", "$.Code"))
    return of.group_by("invoice_id").agg(
        paid_for=_named("reference").explode().drop_nulls(), account_code=pl.col("account_code").drop_nulls().first()
    )


def _credited(credit_notes: pl.LazyFrame, invoices: pl.LazyFrame) -> pl.LazyFrame:
    """What was taken back of each invoice: allocated to it, or paid out of a note that bears its number."""
    notes = newest(credit_notes, "credit_note_id").filter(pl.col("status").is_in(["AUTHORISED", "PAID"]))
    notes = notes.with_columns(money=currency(pl.col("currency_code")))
    numbered = newest(invoices.filter(pl.col("invoice_number") != ""), "invoice_number").select(
        "invoice_id", reference="invoice_number"
    )
    allocated = (
        notes.select("money", part=pl.col("allocations").str.json_decode(_ALLOCATIONS))
        .explode("part")
        .unnest("part")
        .filter(~pl.col("IsDeleted").fill_null(value=False))
        .with_columns(invoice_id=pl.col("Invoice").struct.field("InvoiceID"))
    )
    paid_out = (
        notes.select("money", "reference", part=translate.objects("payments", "Amount", "Date"))
        .join(numbered, on="reference", how="inner", validate="m:1")
        .explode("part")
        .unnest("part")
    )
    pieces = [
        each.select("invoice_id", minor=major(pl.col("Amount"), pl.col("money")), at=_day("Date", "Date"))
        for each in (allocated, paid_out)
    ]
    return (
        pl.concat(pieces)
        .group_by("invoice_id")
        .agg(credited_minor=pl.col("minor").sum(), credited_at=pl.col("at").max())
    )


_ALLOCATIONS = pl.List(
    pl.Struct({
        "Amount": pl.String, "Date": pl.String, "IsDeleted": pl.Boolean, "Invoice": pl.Struct({"InvoiceID": pl.String}),
    })
)  # fmt: skip


def _named(reference: str) -> pl.Expr:
    """Sales of other platforms that a reference names: whole as `platform:id`, or by Stripe's ids of charges in it."""
    text = pl.col(reference)
    charges = text.str.extract_all(r"\b(?:ch|py)_[A-Za-z0-9]+").list.eval(spelled("stripe:{}", pl.element()))
    return pl.concat_list(refs(text), charges.fill_null([])).list.unique(maintain_order=True)


def _day(column: str, twin: str) -> pl.Expr:
    return pl.coalesce(ms_date(pl.col(column)), iso(pl.col(twin)))


_READS_SALES = "accounting.invoices.read"
PLATFORM = Platform(
    name="xero",
    title="Xero",
    resources=(
        Resource(
            "invoices",
            "changes",
            invoices,
            (
                "invoice_id", "invoice_number", "reference", "status", "contact", "date", "date_string",
                "fully_paid_on_date", "currency_code", "total", "line_items",
            ),
            lag=timedelta(minutes=1),
            scope=_READS_SALES,
        ),
        Resource(
            "payments",
            "changes",
            payments,
            ("payment_id", "invoice", "account", "reference", "status"),
            lag=timedelta(minutes=1),
            scope="accounting.payments.read",
        ),
        Resource(
            "credit_notes",
            "changes",
            credit_notes,
            ("credit_note_id", "reference", "status", "currency_code", "allocations", "payments"),
            lag=timedelta(minutes=1),
            scope=_READS_SALES,
        ),
        Resource(
            "contacts",
            "changes",
            contacts,
            (
                "contact_id", "merged_to_contact_id", "contact_number", "account_number", "name", "first_name",
                "last_name", "email_address", "phones",
            ),
            lag=timedelta(minutes=1),
            scope="accounting.contacts.read",
        ),
    ),
    says={"payments": ("invoices", "payments", "credit_notes", "contacts")},
    read=read,
    options=Options,
    secrets=("XERO_CLIENT_ID", "XERO_CLIENT_SECRET"),
    spec="official",
    verified="Against a stateful fake and Xero's own OpenAPI description 16.1, never against a live organisation.",
)  # fmt: skip
