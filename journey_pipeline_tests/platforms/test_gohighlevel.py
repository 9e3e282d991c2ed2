"""HighLevel, pulled over real HTTP from its fake: what only it does; the rest is every platform's."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms import gohighlevel
from journey_pipeline.platforms.gohighlevel import PLATFORM, Options
from journey_pipeline.sandbox.fakes.gohighlevel import LOCATION, SECRETS
from journey_pipeline.sandbox.server import serve
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, make_world, pull_all, raw_frame, read_all
from journey_pipeline_tests.platforms.openapi import Contract, Exchange, contract, recorded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OPTIONS = {"location": LOCATION, "currency": "USD"}
LATER = {"changed_at": NOW + HOUR}


def row(record_id: str, of: str | None = "c_ann", days: float = 3, **more: Any) -> dict[str, Any]:
    link = of and f"https://app.gohighlevel.com/v2/location/{LOCATION}/contacts/detail/{of}"
    return {
        "record_id": record_id, "occurred_at": NOW - days * DAY, "keys": [f"gohighlevel:{of}"] if of else [],
        "url": link, **more,
    }  # fmt: skip


def contact(record_id: str, days: float = 9, **more: Any) -> dict[str, Any]:
    made = row(record_id, record_id, days, is_deleted=False, **more)
    return {**made, "updated_at": more.get("changed_at", made["occurred_at"])}


def payment(record_id: str, of: str | None = "c_ann", days: float = 2, **more: Any) -> dict[str, Any]:
    paid = {
        "role": "shop", "status": "succeeded", "amount_minor": 4950, "currency": "USD", "refunded_minor": 0,
        "same_as": [], "method": "card",
    }  # fmt: skip
    return row(record_id, of, days, **{**paid, **more})


WHO: dict[str, Any] = {"email": "Ann@Example.com", "phone": "+12125550101", "name": "Ann Lee", "company": "Lee & Co"}
BOB: dict[str, Any] = {"email": "bob@example.com", "name": "Bob"}
ANN = contact(
    "c_ann",
    **WHO,
    keys=["gohighlevel:c_ann", "email:ann@work.example", "app:42", "stripe:cus_9"],
    owner="sales@northwind.example",
    lifecycle_stage="customer",
    source="google",
    campaign="spring",
)
CONTACTS = [ANN, contact("c_bob", 8, **BOB), contact("c_cyd", 8)]
DEALS = [
    row("o_1", **WHO, pipeline="Courses", stage="Proposal", amount_minor=150_050, currency="USD",
        owner="sales@northwind.example", product_ref="stripe:price_1"),
    row("o_2", "c_bob", **BOB, pipeline="Courses", stage="Won", amount_minor=0, currency="USD", won_at=NOW - DAY),
    row("o_3", None, pipeline="Other", stage="New", lost_at=NOW - DAY, lost_reason="too dear", amount_minor=1, currency="USD"),
    row("o_4", pipeline="Other", stage="New", lost_at=NOW - DAY, lost_reason="abandoned", amount_minor=1, currency="USD", **WHO),
]  # fmt: skip
BOOKINGS = [
    row("a_1", **WHO, starts_at=NOW + DAY, status="scheduled", event_type="Demo", host="sales@northwind.example"),
    row("a_2", "c_bob", **BOB, starts_at=NOW - DAY, status="completed", event_type="Demo"),
    row("a_3", "c_bob", **BOB, starts_at=NOW - DAY, status="no_show", event_type="Call"),
    row("a_4", **WHO, starts_at=NOW + DAY, status="cancelled", event_type="Call", cancelled_at=NOW - HOUR),
]
PAYMENTS = [
    payment("p_1", **WHO, same_as=["stripe:ch_1"], product_ref="gohighlevel:funnel_1"),
    payment("p_2", **WHO, same_as=["stripe:ch_2"], subscription_ref="stripe:sub_1"),
    payment("p_3", "c_bob", **BOB, same_as=["paypal:9AB"], amount_minor=5000, currency="JPY", method=None),
    payment("p_4", "c_bob", **BOB, refunded_minor=1000, refunded_at=NOW - HOUR, changed_at=NOW - HOUR),
    payment("p_5", None, **BOB, status="failed", is_test=True),
    payment("p_6", "c_cyd", status="pending", keys=["gohighlevel:c_cyd", "gohighlevel:c_old"]),
]
LEADS = [
    row("s_1", days=1, **WHO, form="Webinar", keys=["gohighlevel:c_ann", "app:42"], source="google", medium="cpc",
        campaign="Spring sale, 50%", product_ref="stripe:price_1"),
    row("s_2", "c_bob", 400, **BOB, form="Webinar"),
]  # fmt: skip


@dataclass(frozen=True)
class ByArea(Contract):
    """HighLevel describes each area of its API in a file of its own."""

    areas: Mapping[str, Contract] = field(default_factory=dict)

    def check(self, exchange: Exchange) -> None:
        self.areas[exchange.path.split("/")[2]].check(exchange)


def described() -> Contract:
    names = ("contacts", "opportunities", "calendars", "payments", "forms", "locations", "users")
    areas = {name: contract("gohighlevel", f"apps/{name}.json", base="/gohighlevel") for name in names}
    mended = {name: replace(area, spec=_mended(area.spec)) for name, area in areas.items()}
    return ByArea(spec={}, base="/gohighlevel", areas=mended)


def _mended(node: Any) -> Any:
    """Where the description is plainly wrong: texts called objects, beside an example; objects called lists."""
    if isinstance(node, list):
        return [_mended(part) for part in node]
    if not isinstance(node, dict) or node == {"type": "array"}:
        return {} if isinstance(node, dict) else node
    shown = node.get("example")
    is_text = node.get("type") == "object" and isinstance(shown, str) and not shown.startswith("{")
    return {name: _mended(part) for name, part in node.items()} | ({"type": "string"} if is_text else {})


class TestHighLevel(Conformance):
    case = Case(
        "gohighlevel",
        now={"contacts": CONTACTS, "deals": DEALS, "bookings": BOOKINGS, "payments": PAYMENTS, "leads": LEADS},
        later={
            "contacts": [{**ANN, "lifecycle_stage": "lead", "updated_at": NOW + HOUR, **LATER}, *CONTACTS[1:]],
            "deals": [{**DEALS[0], "won_at": NOW + HOUR, **LATER}, *DEALS[1:3]],
            "bookings": [{**BOOKINGS[0], "status": "cancelled", "cancelled_at": NOW + HOUR, **LATER}, *BOOKINGS[1:]],
            "payments": [
                {**PAYMENTS[0], "refunded_minor": 4950, "refunded_at": NOW + HOUR, **LATER},
                *PAYMENTS[1:5], {**PAYMENTS[5], "status": "succeeded", **LATER}, payment("p_7", "c_cyd", -0.5),
            ],
            "leads": [*LEADS[:1], row("s_3", "c_bob", -0.5, **BOB, form="A form made today")],
        },
        many=lambda count: {"contacts": [contact(f"c_{n}") for n in range(count)]},  # all of one second
        counted="contacts",
        page_sizes=("CONTACTS_PAGE", "PAGE", "FORMS_PAGE"),
        options=OPTIONS,
        stays=("leads",),  # what was deleted isn't told
        described=described,
    )  # fmt: skip


@pytest.mark.parametrize("count", range(1, 6))
def test_every_other_list_is_read_to_its_end(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PAGE", "FORMS_PAGE"):
        monkeypatch.setattr(gohighlevel, name, 2)
    many = {
        "deals": [row(f"o_{n}", lost_at=NOW, lost_reason=f"reason {n}") for n in range(count)],
        "payments": [payment(f"p_{n}") for n in range(count)],
        "leads": [row(f"s_{n}", form=f"Form {n}") for n in range(count)],
    }
    with serve(make_world("gohighlevel", many), ("gohighlevel",)) as urls:
        frames, _ = pull_all(PLATFORM, Options(base_url=urls["gohighlevel"], location=LOCATION), SECRETS, NOW)
    for resource in ("opportunities", "transactions", "submissions", "forms", "lost_reasons"):
        name = "_id" if resource == "transactions" else "id"
        assert frames[resource][name].n_unique() == frames[resource].height == count, resource


def test_what_a_second_load_asks_for() -> None:
    world = make_world("gohighlevel", {"bookings": BOOKINGS})
    with serve(world, ("gohighlevel",)) as urls, recorded() as seen:
        options = Options(base_url=urls["gohighlevel"], location=LOCATION)
        only = ("transactions", "submissions", "appointments")
        _, cursors = pull_all(PLATFORM, options, SECRETS, NOW, only=only)
        first = len(seen)
        pull_all(PLATFORM, options, SECRETS, NOW + DAY, cursors, only=only)

    def days(name: str) -> list[list[str | None]]:
        asked = [dict(e.query) for e in (*seen[:first], *seen[first:]) if e.path.endswith(name)]
        return [[query.get("startAt"), query.get("endAt")] for query in asked]

    assert days("transactions") == [[None, None], ["2026-02-14", "2026-05-17"]]
    assert days("submissions") == [["2010-01-01", "2026-05-16"], ["2026-05-13", "2026-05-17"]]
    starts = [int(dict(e.query)["startTime"]) for e in seen if e.path.endswith("/events")]
    epochs = [int((NOW - timedelta(days=back)).timestamp() * 1000) for back in (365, 365, 30, 30)]
    assert starts == epochs


def test_a_missing_location_is_permanent_and_names_the_option() -> None:
    with pytest.raises(SourceError, match="add `location") as caught:
        pull_all(PLATFORM, Options(), SECRETS, NOW)
    assert not caught.value.is_transient


# What no sandbox serves: rarer shapes, as raw rows


def said(resource: str, kind: str, raw: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    frames = {resource: raw_frame([{"createdAt": "2026-05-01T00:00:00Z", **raw}], resource, NOW)}
    return read_all(PLATFORM, frames, Options(**{**OPTIONS, **options}))[kind].row(0, named=True)


def paid(**more: Any) -> dict[str, Any]:
    return said("transactions", "payments", {"_id": "1", "amount": 49, "currency": "usd", **more})


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("succeeded", "succeeded"), ("paid", "succeeded"), ("Refunded", "succeeded"), ("partially_refunded", "succeeded"),
     ("pending", "pending"), ("authorized", "authorised"), ("failed", "failed"), ("brand_new", "brand_new")],
)  # fmt: skip
def test_statuses_of_payments(theirs: str, ours: str) -> None:
    assert paid(status=theirs)["status"] == ours


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("new", "scheduled"), ("confirmed", "scheduled"), ("active", "scheduled"), ("showed", "completed"),
     ("completed", "completed"), ("noshow", "no_show"), ("cancelled", "cancelled"), ("invalid", "cancelled"),
     ("brand_new", "brand_new")],
)  # fmt: skip
def test_statuses_of_appointments(theirs: str, ours: str) -> None:
    raw = {"id": "1", "appointmentStatus": theirs, "dateUpdated": "2026-05-02T00:00:00Z"}
    booking = said("appointments", "bookings", raw)
    assert (booking["status"], booking["cancelled_at"] is not None) == (ours, ours == "cancelled")


def test_a_refund_without_an_amount_is_of_everything() -> None:
    assert paid(status="refunded", amountRefunded=0)["refunded_minor"] == 4900
    assert paid(status="refunded", amountRefunded=10.5)["refunded_minor"] == 1050
    assert paid(status="succeeded")["refunded_minor"] == 0


@pytest.mark.parametrize(
    ("raw", "same_as"),
    [
        ({"chargeId": "ch_1"}, ["stripe:ch_1"]),
        ({"chargeId": "pi_1", "chargeSnapshot": {"id": "pi_1", "latest_charge": "py_1"}}, ["stripe:py_1"]),
        ({"chargeId": "in_1", "chargeSnapshot": {"id": "in_1", "charge": "ch_1"}}, ["stripe:ch_1"]),
        ({"chargeId": "pi_1", "chargeSnapshot": {"latest_charge": {"id": "ch_1"}}}, []),
        ({}, []),
    ],
)
def test_stripes_payment_is_its_charge(raw: dict[str, Any], same_as: list[str]) -> None:
    assert paid(status="succeeded", paymentProviderType="stripe", **raw)["same_as"] == same_as


@settings(deadline=None, max_examples=30)  # the machine is shared
@given(minor=st.integers(0, 10**12), is_minor=st.booleans())
def test_amounts_are_exact_in_either_unit(minor: int, is_minor: bool) -> None:
    raw = {"_id": "1", "amount": minor if is_minor else minor / 100, "currency": "USD", "status": "succeeded"}
    unit = "minor" if is_minor else "major"
    assert said("transactions", "payments", raw, payment_unit=unit)["amount_minor"] == minor


def test_names_addresses_and_attribution_as_other_accounts_have_them() -> None:
    raw = {
        "id": "1", "firstNameLowerCase": "ann", "lastNameLowerCase": "lee", "source": "webinar", "attributions": [],
        "additionalEmails": [{"email": "ann@work.example"}],
    }  # fmt: skip
    told = said("contacts", "contacts", raw)
    assert (told["name"], told["source"]) == ("ann lee", "webinar")
    assert told["keys"] == ["gohighlevel:1", "email:ann@work.example"]


def test_deals_without_a_currency_have_no_amounts() -> None:
    told = said("opportunities", "deals", {"id": "1", "monetaryValue": 500}, currency=None)
    assert (told["amount_minor"], told["currency"]) == (None, None)


def test_a_forms_own_field_goes_before_its_address() -> None:
    page = {"page": {"url": "https://x.example/?utm_source=meta&utm_medium=paid"}}
    told = said("submissions", "leads", {"id": "1", "others": {"utm_source": "google", "eventData": page}})
    assert (told["source"], told["medium"], told["form"]) == ("google", "paid", None)
