"""Small worlds for tests: a few records, everything else filled in, as of Friday 15 May 2026 12:00 UTC."""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any

import polars as pl

from journey_pipeline.identity import resolve
from journey_pipeline.journeys import Scope, build
from journey_pipeline.model import Business, Offer, Price
from journey_pipeline.registry import KINDS, TIME, record_schema

NOW = datetime(2026, 5, 15, 12, tzinfo=UTC)
BUSINESS = Business(name="Test", timezone="UTC", currency="USD", country="US")
OFFERS = (
    Offer(id="bootcamp", name="Bootcamp", bought_as=("stripe:price_b", "woo:b"), grants=("teachable:9",),
          welcome=("mailchimp:w",), price=Price(amount_minor=4900, currency="USD")),
    Offer(id="membership", name="Membership", bought_as=("stripe:price_m",), grants=("teachable:9", "circle:3"),
          price=Price(amount_minor=2900, currency="USD")),
    Offer(id="cohort", name="Cohort", bought_as=("stripe:price_c",), grants=("teachable:7",), access_days=90),
)  # fmt: skip
PLATFORM = {
    "payments": "stripe", "subscriptions": "stripe", "access": "teachable", "contacts": "hubspot", "deals": "hubspot",
    "leads": "typeform", "messages": "mailchimp", "consents": "mailchimp", "tickets": "zendesk", "bookings": "calendar",
    "agreements": "pandadoc", "notifications": "slack", "touchpoints": "ads", "surveys": "typeform",
}  # fmt: skip
USUAL: Mapping[str, Mapping[str, Any]] = {
    "payments": {"role": "processor", "status": "succeeded", "amount_minor": 4900, "currency": "USD",
                 "product_ref": "stripe:price_b"},
    "subscriptions": {"role": "processor", "status": "active", "amount_minor": 2900, "currency": "USD",
                      "interval": "month", "product_ref": "stripe:price_m"},
    "access": {"grant": "course", "product_ref": "teachable:9", "status": "active", "basis": "paid"},
    "consents": {"state": "subscribed"},
    "messages": {"purpose": "newsletter", "channel": "email"},
    "tickets": {"topic": "access", "status": "open"},
    "bookings": {"status": "scheduled", "starts_at": "12:00"},
    "agreements": {"status": "sent"},
}  # fmt: skip


def at(when: str | datetime) -> datetime:
    """`09:00` of that day, `d-3` three days earlier at noon, `d-3 09:00`, `d+1`."""
    if isinstance(when, datetime):
        return when
    day, _, clock = when.partition(" ") if when.startswith("d") else ("", "", when)
    moment = NOW + timedelta(days=int(day[1:])) if day else NOW
    if clock:
        moment = datetime.combine(moment.date(), time.fromisoformat(clock), UTC)
    return moment


def records(**kinds: list[dict[str, Any]]) -> dict[str, pl.DataFrame]:
    """Kind -> rows. `id`, `who` (an e-mail name), `at`; times may be written as `at` reads them."""
    out = {}
    for kind in KINDS:
        schema = record_schema(kind)
        rows = []
        for n, given in enumerate(kinds.get(kind, [])):
            row = {"record_id": str(given.get("id", f"{kind}_{n}")), **USUAL.get(kind, {}), **given}
            row["platform"] = given.get("platform", PLATFORM.get(kind, "x"))
            row["occurred_at"] = row.pop("at", NOW)
            if (who := row.pop("who", None)) is not None:
                row["email"] = f"{who}@x.com"
            row.pop("id", None)
            loaded = row.setdefault("loaded_at", NOW)
            row.setdefault("first_loaded_at", loaded)
            row.setdefault("keys", [])
            row.setdefault("is_test", False)
            unknown = set(row) - set(schema)
            assert not unknown, f"{kind} has no {unknown}"
            rows.append({c: at(v) if schema[c] == TIME and v is not None else v for c, v in row.items()})
        out[kind] = pl.DataFrame(rows, schema=schema, orient="row")
    return out


def scope(**changed: Any) -> Scope:
    usual: dict[str, Any] = {
        "as_of": NOW, "business": BUSINESS, "offers": OFFERS,
        "platforms": ("stripe", "teachable", "circle", "hubspot", "typeform", "mailchimp", "zendesk"),
        "customer_stages": ("customer", "client"), "test_buyers": ("*@northwind.example",),
    }  # fmt: skip
    return Scope(**{**usual, **changed})


def walk(_scope: Scope | None = None, **kinds: list[dict[str, Any]]) -> dict[str, pl.DataFrame]:
    """Every journey table of a small world."""
    found = records(**kinds)
    where = _scope or scope()
    identity = resolve(found, country="US")
    built = build(found, identity, where)
    return {name: frame.collect() for name, frame in built.tables.items()}


def one(frame: pl.DataFrame, **where: Any) -> dict[str, Any]:
    """The only row that matches."""
    found = frame.filter(*(pl.col(c).eq_missing(pl.lit(v)) for c, v in where.items()))
    assert found.height == 1, f"{found.height} rows for {where}"
    return found.row(0, named=True)
