"""Shopify, pulled over real HTTP from its fake: what an order's status means, who else tells the sale, and its limits."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms import shopify
from journey_pipeline.platforms.shopify import PLATFORM, Options
from journey_pipeline.sandbox.fakes import shopify as fake
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, pull_all, raw_frame, read_all
from journey_pipeline_tests.platforms.openapi import recorded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def order(record_id: str, at: datetime = NOW - 3 * DAY, **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id, "occurred_at": at, "email": f"p{record_id}@example.com", "name": "Ann Lee",
        "phone": "+12125550101", "company": "Lee Ltd", "keys": [f"shopify:9{record_id}"], "role": "shop", "same_as": [],
        "url": f"https://admin.shopify.com/store/northwind/orders/{record_id}", "status": "succeeded",
        "amount_minor": 49900, "currency": "USD", "product_ref": "shopify:77", "method": "shopify_payments",
        "refunded_minor": 0, **more,
    }  # fmt: skip


def visit(record_id: str, email: str, at: datetime, **more: Any) -> dict[str, Any]:
    # A visit is told with its order, by whoever placed it.
    person = {"name": "Ann Lee", "phone": "+12125550101", "company": "Lee Ltd"}
    return {"record_id": record_id, "occurred_at": at, "email": email, **person, **more}


ORDERS = [
    order("1", same_as=["paypal:1AA"], method="paypal"),
    order("2", keys=["shopify:92", "app:42"], name=None, phone=None, company=None),
    order("3", refunded_minor=49900, refunded_at=NOW - DAY),
    order("4", refunded_minor=1000, refunded_at=NOW - DAY, currency="JPY"),
    order("5", status="pending", method="bank_transfer", product_ref=None),
    order("6", status="failed", method=None, keys=[]),
    order("7", status="authorised", is_test=True),
    order("8", disputed_at=NOW - DAY, dispute_status="open"),
    order("9", disputed_at=NOW - DAY, dispute_status="lost"),
    order("10", same_as=["stripe:ch_9"], method="stripe"),
]
VISITS = [
    visit("31", "p1@example.com", NOW - 9 * DAY, keys=["shopify:91"], source="google", medium="cpc", campaign="spring",
          content="a", click_id="Cj0K", page="https://northwind.example/camp"),
    visit("32", "p1@example.com", NOW - 3 * DAY - HOUR, keys=["shopify:91"], source="newsletter",
          page="https://northwind.example/"),
    visit("33", "p3@example.com", NOW - 4 * DAY, keys=["shopify:93"], source="direct"),
]  # fmt: skip
LATER = [{**row, "changed_at": NOW + HOUR} for row in (
    *ORDERS[:4],
    order("5", method="bank_transfer", product_ref=None),
    *ORDERS[5:7],
    order("8", disputed_at=NOW - DAY, dispute_status="won"),
    *ORDERS[8:],
    order("11", at=NOW + HOUR),
)]  # fmt: skip


class TestShopify(Conformance):
    case = Case(
        "shopify",
        now={"payments": ORDERS, "touchpoints": VISITS},
        later={"payments": LATER, "touchpoints": VISITS},
        many=lambda count: {"payments": [order(str(n + 1)) for n in range(count)]},
        counted="payments",
        page_sizes=("PAGE",),
        options={"shop": "northwind", "disputes": True, "gateways": {"paypal": "paypal", "stripe": "stripe"}},
        stays=("payments", "touchpoints"),
    )

    def test_too_few_points_are_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fake, "BUCKET", 900.0)
        monkeypatch.setattr(fake, "REFILL", 2000.0)
        monkeypatch.setattr(shopify, "PAGE", 25)
        world = self.world({"payments": [order(str(n + 1)) for n in range(60)]})
        with self.served(world) as options, recorded() as seen:
            self.says(self.pull(options)[0], options, world)
        assert "THROTTLED" in str([e.answer.get("errors") for e in seen])

    def test_a_full_page_may_be_asked_for(self) -> None:
        assert shopify.PAGE * fake._COST <= fake.LARGEST_COST

    def test_orders_older_than_sixty_days_are_not_told(self) -> None:
        world = self.world({"payments": [order("1", at=NOW - 61 * DAY), order("2", at=NOW - 59 * DAY)]})
        with self.served(world) as options:
            frames, _ = self.pull(options)
        assert read_all(PLATFORM, frames, options)["payments"]["record_id"].to_list() == ["2"]

    def test_the_next_load_asks_for_what_changed_since(self) -> None:
        with self.served(self.world({"payments": ORDERS})) as options, recorded() as seen:
            _, cursors = self.pull(options)
            self.pull(options, NOW + DAY, cursors)
        asked = [e.sent["variables"]["query"] for e in seen if e.sent and "orders(" in e.sent["query"]]
        assert list(dict.fromkeys(asked)) == [None, "updated_at:>='2026-05-15T11:00:00Z'"]

    def test_without_the_option_no_dispute_is_asked_for(self) -> None:
        with self.served(self.world({"payments": ORDERS})) as options, recorded() as seen:
            self.pull(options.model_copy(update={"disputes": False}))
        assert not any("disputes" in str(e.sent) for e in seen)

    def test_a_shop_without_shopify_payments_has_no_disputes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fake, "HAS_PAYMENTS", False)
        with self.served(self.world({"payments": ORDERS})) as options:
            frames, _ = self.pull(options)
        assert frames["disputes"].is_empty()

    def test_a_token_of_an_older_app_is_used_as_it_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fake, "TOKEN", "shpat_old")
        with self.served(self.world({"payments": ORDERS})) as options, recorded() as seen:
            pull_all(PLATFORM, options, {"SHOPIFY_CLIENT_ID": "-", "SHOPIFY_CLIENT_SECRET": "shpat_old"}, NOW)
        assert not any("access_token" in e.path for e in seen)

    @pytest.mark.parametrize(
        ("code", "sentence"),
        [("ACCESS_DENIED", "answered 403: .* It needs: read_orders"), ("undefinedField", "answered 400")],
    )
    def test_an_error_with_200_is_a_refusal(self, code: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
        error = fake._errors("no", code)
        monkeypatch.setattr(fake, "_connection", lambda *_: 1 / 0)
        monkeypatch.setattr(fake, "_errors", lambda *_: error)
        with self.served(self.world()) as options, pytest.raises(SourceError, match=sentence) as caught:
            self.pull(options)
        assert not caught.value.is_transient


def test_a_missing_shop_is_permanent() -> None:
    with pytest.raises(SourceError, match="add `shop") as caught:
        pull_all(PLATFORM, Options(), fake.SECRETS, NOW)
    assert not caught.value.is_transient


def said(**more: Any) -> Any:
    options = Options(**more.pop("options", {}))
    row = {
        "legacyResourceId": "1", "processedAt": "2026-05-01T10:00:00Z", "displayFinancialStatus": "PAID",
        "totalPriceSet": {
            "presentmentMoney": {"amount": "10.0", "currencyCode": "EUR"},
            "shopMoney": {"amount": "11.5", "currencyCode": "USD"},
        }, **more,
    }  # fmt: skip
    return read_all(PLATFORM, {"orders": raw_frame([row], "orders", NOW)}, options)["payments"]


@pytest.mark.parametrize(
    ("theirs", "cancelled_at", "ours"),
    [
        ("PAID", None, "succeeded"), ("PAID", "2026-05-02T10:00:00Z", "succeeded"),
        ("PARTIALLY_REFUNDED", None, "succeeded"), ("REFUNDED", "2026-05-02T10:00:00Z", "succeeded"),
        ("PARTIALLY_PAID", None, "pending"), ("PENDING", None, "pending"), ("PENDING", "2026-05-02T10:00:00Z", "failed"),
        ("AUTHORIZED", None, "authorised"), ("AUTHORIZED", "2026-05-02T10:00:00Z", "failed"),
        ("VOIDED", None, "failed"), ("EXPIRED", None, "failed"), ("BRAND_NEW", None, "BRAND_NEW"), (None, None, None),
    ],
)  # fmt: skip
def test_statuses(theirs: str | None, cancelled_at: str | None, ours: str | None) -> None:
    assert said(displayFinancialStatus=theirs, cancelledAt=cancelled_at)["status"].to_list() == [ours]


@pytest.mark.parametrize(("money", "told"), [("presentment", (1000, "EUR")), ("shop", (1150, "USD"))])
def test_money_is_the_buyers_or_the_shops(money: str, told: tuple[int, str]) -> None:
    assert said(options={"money": money}).select("amount_minor", "currency").rows() == [told]


@pytest.mark.parametrize(
    ("by", "product"), [("product", "shopify:7"), ("variant", "shopify:8"), ("sku", "shopify:CAMP")]
)
def test_products(by: str, product: str) -> None:
    line = {"sku": "CAMP", "product": {"legacyResourceId": "7"}, "variant": {"legacyResourceId": "8"}}
    assert said(options={"product": by}, lineItems={"nodes": [line]})["product_ref"].to_list() == [product]


def test_no_gateways_and_no_key_fields_are_allowed() -> None:
    sale = {"kind": "SALE", "status": "SUCCESS", "gateway": "paypal", "authorizationCode": "1A"}
    told = said(options={"gateways": {}, "key_fields": ()}, transactions=[sale])
    assert told.select("same_as", "keys").rows() == [([], [])]


def test_only_attributes_that_are_listed_name_somebody() -> None:
    attributes = [{"key": "size", "value": "size:large"}, {"key": "user_ref", "value": "app:42"}]
    assert said(customAttributes=attributes)["keys"].to_list() == [["app:42"]]


def test_every_paid_transaction_of_a_known_gateway_names_its_copy() -> None:
    paid = {"kind": "SALE", "status": "SUCCESS", "receiptJson": None, "processedAt": "2026-05-01T10:00:00Z"}
    transactions = [
        {**paid, "gateway": "paypal", "authorizationCode": "1A"},
        {**paid, "gateway": "paypal", "authorizationCode": "2A", "kind": "CAPTURE"},
        {**paid, "gateway": "paypal", "authorizationCode": "3A", "kind": "AUTHORIZATION"},
        {**paid, "gateway": "paypal", "authorizationCode": "4A", "status": "FAILURE"},
        {**paid, "gateway": "gift_card", "authorizationCode": None},
        {**paid, "gateway": "klarna", "authorizationCode": "5A"},
    ]
    assert said(transactions=transactions)["same_as"].to_list() == [["paypal:1A", "paypal:2A"]]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("needs_response", "open"), ("UNDER_REVIEW", "open"), ("WON", "won"), ("CHARGE_REFUNDED", "won"),
     ("ACCEPTED", "lost"), ("LOST", "lost")],
)  # fmt: skip
def test_disputes(theirs: str, ours: str) -> None:
    dispute = {"id": "d", "initiatedAt": "2026-05-03T10:00:00Z", "status": theirs, "order": {"legacyResourceId": "1"}}
    order_ = {"legacyResourceId": "1", "processedAt": "2026-05-01T10:00:00Z", "displayFinancialStatus": "PAID"}
    frames = {"orders": raw_frame([order_], "orders", NOW), "disputes": raw_frame([dispute], "disputes", NOW)}
    assert read_all(PLATFORM, frames, Options())["payments"]["dispute_status"].to_list() == [ours]
