"""ActiveCampaign, pulled over real HTTP from its fake: what is only ActiveCampaign's; the rest is the conformance suite's."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms import http
from journey_pipeline.platforms.activecampaign import PLATFORM, Options
from journey_pipeline.sandbox.fakes.activecampaign import SECRETS
from journey_pipeline.sandbox.server import serve
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, make_world, pull_all, raw_frame, read_all, said_all
from journey_pipeline_tests.platforms.openapi import contract, recorded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
APP = "https://northwind.activehosted.com"


def contact(number: int, occurred_at: datetime = NOW - 40 * DAY, **more: Any) -> dict[str, Any]:
    return {
        "record_id": str(number),
        "occurred_at": occurred_at,
        "updated_at": more.get("changed_at", occurred_at),
        "email": f"p{number}@example.com",
        "keys": [f"activecampaign:{number}"],
        "url": f"{APP}/app/contacts/{number}",
        "is_deleted": False,
        **more,
    }


def consent(number: int, occurred_at: datetime = NOW - 40 * DAY, list_: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "record_id": f"{list_}:{number}",
        "occurred_at": occurred_at,
        "email": f"p{number}@example.com",
        "keys": [f"activecampaign:{number}"],
        "url": f"{APP}/app/contacts/{number}",
        "state": "subscribed",
        "list_ref": f"activecampaign:{list_}",
        **more,
    }


def deal(number: int, occurred_at: datetime = NOW - 9 * DAY, of: int = 2, **more: Any) -> dict[str, Any]:
    return {
        "record_id": str(number),
        "occurred_at": occurred_at,
        "email": f"p{of}@example.com",
        "keys": [f"activecampaign:{of}"],
        "url": f"{APP}/app/deals/{number}",
        "pipeline": "Sales",
        "stage": "To contact",
        "owner": "sales@northwind.example",
        "amount_minor": 45600,
        "currency": "USD",
        **more,
    }


def order(number: int, occurred_at: datetime = NOW - DAY, **more: Any) -> dict[str, Any]:
    return {
        "record_id": str(number),
        "occurred_at": occurred_at,
        "email": "p1@example.com",
        "role": "shop",
        "same_as": [],
        "status": "succeeded",
        "amount_minor": 49900,
        "currency": "USD",
        "product_ref": "activecampaign:P9",
        **more,
    }


ANN: dict[str, Any] = {"name": "Ann Lee", "phone": "+12125550101", "company": "Northwind"}
SAMPLE = {
    "contacts": [
        contact(1, **ANN, keys=["activecampaign:1", "stripe:cus_1"], lifecycle_stage="customer", source="google",
                campaign="spring"),
        contact(2),
    ],
    "consents": [
        consent(1, **ANN, keys=["activecampaign:1", "stripe:cus_1"]),
        consent(2, NOW - 3 * DAY, state="unsubscribed"),
        consent(2, NOW - 2 * DAY, 7, state="cleaned"),
    ],
    "deals": [deal(1, of=1, **ANN), deal(2, won_at=NOW - DAY), deal(3, lost_at=NOW - DAY, currency="EUR")],
    "payments": [order(5, same_as=["shopify:123"]), order(6, status="pending", url="https://shop.example/6")],
}  # fmt: skip


def deal_row(status: str, mdate: str, at: datetime, **more: Any) -> pl.DataFrame:
    row = {"id": "1", "status": status, "cdate": "2026-01-01T00:00:00-05:00", "mdate": mdate, "value": "100",
           "currency": "usd", **more}  # fmt: skip
    return raw_frame([row], "deals", at)


class TestActiveCampaign(Conformance):
    case = Case(
        "activecampaign",
        now=SAMPLE,
        later={
            "contacts": [contact(2, changed_at=NOW + HOUR, phone="+12125550102"), contact(3, NOW + HOUR)],
            "consents": [consent(2, NOW + HOUR, changed_at=NOW + HOUR, phone="+12125550102")],
            "deals": [deal(2, won_at=NOW + HOUR, phone="+12125550102"), deal(4, NOW + HOUR, 3)],
            "payments": [order(7, NOW + HOUR)],
        },
        many=lambda n: {
            "contacts": [contact(k) for k in range(1, n + 1)],
            "consents": [consent(k) for k in range(1, n + 1)],
            "deals": [deal(k, of=1) for k in range(1, n + 1)],
            "payments": [order(k) for k in range(1, n + 1)],
        },
        counted="deals",
        page_sizes=("PAGE",),
        options={
            "app_url": APP,
            "stage_field": "1",
            "source_field": "2",
            "campaign_field": "3",
            "orders": True,
            "order_platforms": {"1": "shopify"},
        },
        stays=("contacts", "consents"),
    )


def test_pages_go_on_from_the_last_id_and_days_are_asked_for_whole() -> None:
    world = make_world("activecampaign", {"contacts": [contact(n) for n in (3, 20, 100)]})
    with serve(world, ("activecampaign",)) as urls, recorded() as exchanges:
        options = Options(base_url=urls["activecampaign"])
        _, cursors = pull_all(PLATFORM, options, SECRETS, NOW, only=["contacts"])
        pull_all(PLATFORM, options, SECRETS, NOW + DAY, cursors, only=["contacts"])
    asked = [dict(e.query) for e in exchanges]
    assert [(a["id_greater"], a.get("filters[updated_after]")) for a in asked] == [
        ("0", None),
        ("100", None),
        ("0", "2026-05-13"),
    ]


def test_contacts_keep_to_a_third_partys_description() -> None:
    described = contract(
        "activecampaign",
        "ballerina_activecampaign_openapi.yaml",
        base="/activecampaign",
        # All three are in ActiveCampaign's own documentation of lists; this description leaves them out.
        also_parameters={"GET /api/3/contacts": ("limit", "include", "orders[id]")},
    )
    with serve(make_world("activecampaign", SAMPLE), ("activecampaign",)) as urls, recorded() as exchanges:
        options = Options(base_url=urls["activecampaign"])
        _, cursors = pull_all(PLATFORM, options, SECRETS, NOW, only=["contacts"])
        pull_all(PLATFORM, options, SECRETS, NOW + DAY, cursors, only=["contacts"])
    assert len(exchanges) == 4
    for exchange in exchanges:
        described.check(exchange)
        beside = exchange.answer.get("contactLists", ())
        for each in beside:
            described.valid("contactList", {"$ref": "#/components/schemas/ContactList"}, each | {"udate": "x"})


def test_a_deal_is_won_when_the_first_version_said_so() -> None:
    """A note added to a won deal moves the only time that a deal tells."""
    won, noted = "2026-05-01T09:00:00-05:00", "2026-05-09T09:00:00-05:00"
    deals = [
        deal_row("0", "2026-04-01T09:00:00-05:00", NOW - 2 * DAY),
        deal_row("1", won, NOW - DAY),
        deal_row("1", noted, NOW),
    ]
    said = read_all(PLATFORM, {"deals": pl.concat(deals)}, Options())["deals"]
    assert said.select("won_at", "lost_at").rows() == [(datetime(2026, 5, 1, 14, tzinfo=UTC), None)]
    reopened = [*deals, deal_row("0", noted, NOW + DAY), deal_row("2", noted, NOW + 2 * DAY)]
    said = read_all(PLATFORM, {"deals": pl.concat(reopened)}, Options())["deals"]
    assert said.select("won_at", "lost_at").rows() == [(None, datetime(2026, 5, 9, 14, tzinfo=UTC))]


def test_a_deal_that_the_key_may_not_see_is_rejected() -> None:
    frames = {"deals": raw_frame([{"id": "1", "title": "?", "isDisabled": 1}], "deals", NOW)}
    assert said_all(PLATFORM, frames, Options())["deals"]["_reject"].to_list() == [
        "the key's user may not see the pipeline of this deal"
    ]


@given(st.integers(0, 10**12))
def test_money_is_text_in_minor_units(minor: int) -> None:
    frames = {"deals": deal_row("0", "2026-05-01T09:00:00-05:00", NOW, value=str(minor))}
    assert read_all(PLATFORM, frames, Options())["deals"]["amount_minor"].to_list() == [minor]


@pytest.mark.parametrize(
    ("state", "status"),
    [("0", "pending"), ("1", "succeeded"), ("2", None), ("3", "succeeded"), ("4", "pending"), ("5", "5")],
)
def test_states_of_orders(state: str, status: str | None) -> None:
    frames = {"ecom_orders": raw_frame([{"id": "1", "state": state}], "ecom_orders", NOW)}
    assert read_all(PLATFORM, frames, Options())["payments"]["status"].to_list() == ([status] if status else [])


@pytest.mark.parametrize(
    ("status", "state"), [("1", "subscribed"), ("2", "unsubscribed"), ("3", "cleaned"), ("9", "9")]
)
def test_states_of_lists(status: str, state: str) -> None:
    lists = [{"list": "4", "status": status, "sdate": "2026-05-01T09:00:00-05:00", "udate": None}]
    row = {"id": "1", "udate": "2026-05-02T09:00:00-05:00", "contactLists": [*lists, {"list": "5", "status": "0"}]}
    said = read_all(PLATFORM, {"contacts": raw_frame([row], "contacts", NOW)}, Options())["consents"]
    at = datetime(2026, 5, 1 if status == "1" else 2, 14, tzinfo=UTC)
    assert said.select("record_id", "state", "occurred_at").rows() == [("4:1", state, at)]


def test_an_order_of_several_products_is_of_none() -> None:
    lines = [{"id": str(n), "orderid": "1", "externalid": f"P{n}"} for n in range(2)]
    frames = {
        "ecom_orders": raw_frame([{"id": "1", "state": "1"}], "ecom_orders", NOW),
        "ecom_order_products": raw_frame(lines, "ecom_order_products", NOW),
    }
    assert read_all(PLATFORM, frames, Options())["payments"]["product_ref"].to_list() == [None]


def test_an_answer_without_the_lists_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http.Api, "get", lambda *_args, **_kwargs: {"contacts": [{"id": "1"}]})
    with pytest.raises(SourceError, match="contacts came without their lists"):
        pull_all(PLATFORM, Options(base_url="http://localhost"), SECRETS, NOW)


def test_a_list_without_pages_or_total_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http.Api, "get", lambda *_args, **_kwargs: {"users": [{"id": "1"}, {"id": "2"}]})
    options = Options(base_url="http://localhost")
    frames, _ = pull_all(PLATFORM, options, SECRETS, NOW, only=["users"])
    assert frames["users"]["id"].to_list() == ["1", "2"]


def test_links_come_from_the_address_of_the_api() -> None:
    frames = {"contacts": raw_frame([{"id": "7"}], "contacts", NOW)}
    links = [
        read_all(PLATFORM, frames, Options(base_url=url))["contacts"]["url"].item()
        for url in ("https://acme.api-us1.com", "https://api.acme.example")
    ]
    assert links == ["https://acme.activehosted.com/app/contacts/7", None]


def test_without_its_address_it_says_what_to_add() -> None:
    with pytest.raises(SourceError, match="add `base_url: https://") as caught:
        pull_all(PLATFORM, Options(), SECRETS, NOW)
    assert not caught.value.is_transient
