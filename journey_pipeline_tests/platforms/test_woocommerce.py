"""WooCommerce, pulled over real HTTP from its fake: the trash, times without a zone, refunds, and what statuses mean."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms import woocommerce
from journey_pipeline.platforms.woocommerce import PLATFORM, Options
from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.fakes.woocommerce import SECRETS
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, pull_all, raw_frame, read_all
from journey_pipeline_tests.platforms.openapi import Contract, Exchange, contract, recorded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def person(record_id: str, at: datetime, **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id, "occurred_at": at, "email": f"p{record_id}@example.com", "name": "Ann Lee",
        "phone": "+12125550101", "company": "Lee Ltd", "keys": [f"woocommerce:9{record_id}"], **more,
    }  # fmt: skip


def order(record_id: str, at: datetime = NOW - 3 * DAY, **more: Any) -> dict[str, Any]:
    money = {
        "role": "shop", "same_as": [], "status": "succeeded", "amount_minor": 49900, "currency": "USD",
        "product_ref": "woocommerce:7", "method": "stripe", "refunded_minor": 0,
    }  # fmt: skip
    return person(record_id, at, **{**money, **more})


def agreed(record_id: str, at: datetime = NOW - 40 * DAY, **more: Any) -> dict[str, Any]:
    terms = {
        "role": "shop", "status": "active", "product_ref": "woocommerce:8", "quantity": 1, "amount_minor": 1900,
        "currency": "USD", "interval": "month", "period_ends_at": NOW + 20 * DAY, "is_cancelling": False,
    }  # fmt: skip
    return person(record_id, at, **{**terms, **more})


ORDERS = [
    order("1", same_as=["stripe:ch_1"]),
    order("2", same_as=["paypal:1AA"], method="ppcp-gateway", keys=["woocommerce:92", "app:42"]),
    order("3", keys=[], name=None, phone=None, company=None, refunded_minor=49900, refunded_at=NOW - DAY),
    order("4", refunded_minor=1000, refunded_at=NOW - DAY, currency="JPY"),
    order("5", status="pending", method="bank_transfer", product_ref=None),
    order("6", status="failed", method=None),
    order("7", at=NOW - 40 * DAY, subscription_ref="woocommerce:21"),
    order("8", at=NOW - 10 * DAY, subscription_ref="woocommerce:21"),
]
SUBSCRIPTIONS = [
    agreed("21"),
    agreed("22", status="trialing", trial_ends_at=NOW + 9 * DAY, period_ends_at=NOW + 9 * DAY, interval="quarter"),
    agreed("23", is_cancelling=True, cancelled_at=NOW - DAY, quantity=3),
    agreed("24", status="ended", cancelled_at=NOW - 9 * DAY, ended_at=NOW - 2 * DAY, period_ends_at=NOW - 2 * DAY),
    agreed("25", status="past_due", interval="year", keys=[]),
]
TOUCHES = [
    person("1", NOW - 3 * DAY, source="google", medium="cpc", campaign="spring", content="a", click_id="Cj0K",
           page="https://northwind.example/camp"),
    person("4", NOW - 3 * DAY, source="(direct)", page="https://northwind.example/"),
]  # fmt: skip


def later() -> dict[str, list[dict[str, Any]]]:
    """The first order is in the trash, and so is a subscription; the fifth has been paid."""
    paid = order("5", at=NOW + HOUR, method="bank_transfer", product_ref=None)
    rows = {"payments": [*ORDERS[1:4], paid, *ORDERS[5:], order("9", at=NOW + HOUR)],
            "subscriptions": SUBSCRIPTIONS[:4], "touchpoints": TOUCHES[1:]}  # fmt: skip
    return {kind: [{**row, "changed_at": NOW + HOUR} for row in listed] for kind, listed in rows.items()}


class Described(Contract):
    """The plugin's list is not described."""

    def check(self, exchange: Exchange) -> None:
        if not exchange.path.endswith("/subscriptions"):
            super().check(exchange)


def described() -> Contract:
    # `dates_are_gmt` stands in WooCommerce's own documentation only.
    of_orders = contract("woocommerce", "airbyte_woocommerce.yaml", base="/woocommerce/wp-json/wc/v3")
    return Described(of_orders.spec, of_orders.base, also_parameters={"GET /orders": ("dates_are_gmt",)})


class TestWoocommerce(Conformance):
    case = Case(
        "woocommerce",
        now={"payments": ORDERS, "subscriptions": SUBSCRIPTIONS, "touchpoints": TOUCHES},
        later=later(),
        many=lambda count: {
            "payments": [order(str(n + 1), same_as=[f"stripe:ch_{n}"]) for n in range(count)],
            "subscriptions": [agreed(str(n + 31)) for n in range(count)],
        },
        counted="payments",
        page_sizes=("PAGE",),
        options={"subscriptions": True},
        # Links begin with the shop's own address; the order's attribution has no link.
        lost={"payments": ("url",), "subscriptions": ("url",)},
        described=described,
    )

    def test_links_lead_to_the_shops_own_pages(self) -> None:
        with self.served(self.world(self.case.now)) as options:
            said = read_all(PLATFORM, self.pull(options)[0], options)
        links = [said[kind]["url"][0].removeprefix(options.base_url) for kind in ("payments", "subscriptions")]
        assert links == [
            "/wp-admin/admin.php?page=wc-orders&action=edit&id=1",
            "/wp-admin/admin.php?page=wc-orders--shop_subscription&action=edit&id=21",
        ]

    def test_an_order_taken_from_the_trash_is_back(self) -> None:
        world = self.world(self.case.now)
        with self.served(world) as options:
            frames, cursors = self.pull(options)
            self.become(world, NOW + DAY, later())
            frames, cursors = self.pull(options, NOW + DAY, cursors, frames)
            back = [{**row, "changed_at": NOW + DAY + HOUR} for row in ORDERS]
            self.become(world, NOW + 2 * DAY, {**later(), "payments": back})
            frames, _ = self.pull(options, NOW + 2 * DAY, cursors, frames)
        ids = read_all(PLATFORM, frames, options)["payments"]["record_id"].to_list()
        assert ids == ["1", "2", "3", "4", "5", "6", "7", "8"]

    def test_without_the_plugin_it_is_not_asked(self) -> None:
        with self.served(self.world({"payments": ORDERS})) as options, recorded() as seen:
            self.pull(options.model_copy(update={"subscriptions": False}))
        assert {e.path.rsplit("/", 1)[1] for e in seen} == {"orders", "refunds"}

    def test_only_refunded_orders_are_asked_for_their_refunds(self) -> None:
        with self.served(self.world({"payments": ORDERS})) as options, recorded() as seen:
            self.pull(options)
        asked = {e.path.split("/")[-2] for e in seen if e.path.endswith("/refunds")}
        assert asked == {"3", "4"}

    def test_an_order_trashed_while_pages_are_read_makes_the_load_partial(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(woocommerce, "PAGE", 1)
        world = self.world({"payments": ORDERS})
        first_page = woocommerce._refunds

        def trashing(*args: Any) -> Any:
            world.records = {
                "payments": world.records["payments"].filter(~(world.records["payments"]["record_id"] == "1"))
            }
            return first_page(*args)

        monkeypatch.setattr(woocommerce, "_refunds", trashing)
        with self.served(world) as options, pytest.raises(AssertionError, match="the load would be partial"):
            self.pull(options)


def test_a_missing_address_is_permanent() -> None:
    with pytest.raises(SourceError, match="no base_url is set") as caught:
        pull_all(PLATFORM, Options(), SECRETS, NOW)
    assert not caught.value.is_transient


def said(kind: str = "payments", *, options: Options | None = None, **more: Any) -> Any:
    row = {
        "id": 1, "parent_id": 0, "status": "completed", "currency": "USD", "total": "10.00", "customer_id": 0,
        "date_created_gmt": "2026-05-01T10:00:00", **more,
    }  # fmt: skip
    frames = {"payments": "orders", "subscriptions": "subscriptions"}
    return read_all(PLATFORM, {frames[kind]: raw_frame([row], frames[kind], NOW)}, options or Options())[kind]


@pytest.mark.parametrize(
    ("theirs", "paid", "ours"),
    [
        ("processing", "2026-05-01T10:00:00", ["succeeded"]), ("completed", None, ["succeeded"]),
        ("refunded", None, ["succeeded"]), ("pending", None, ["pending"]), ("on-hold", None, ["pending"]),
        ("failed", None, ["failed"]), ("cancelled", None, ["failed"]),
        ("cancelled", "2026-05-01T10:00:00", ["succeeded"]), ("trash", None, []), ("checkout-draft", None, []),
        ("shipped", None, ["succeeded"]), ("a-plugins-own", None, ["a-plugins-own"]), (None, None, [None]),
    ],
)  # fmt: skip
def test_statuses(theirs: str | None, paid: str | None, ours: list[str | None]) -> None:
    told = said(status=theirs, date_paid_gmt=paid, options=Options(statuses={"shipped": "succeeded"}))
    assert told["status"].to_list() == ours


@pytest.mark.parametrize(
    ("theirs", "on_hold", "ours"),
    [
        ("active", "past_due", ["active"]), ("on-hold", "past_due", ["past_due"]), ("on-hold", "paused", ["paused"]),
        ("pending-cancel", "past_due", ["active"]), ("cancelled", "past_due", ["ended"]),
        ("expired", "past_due", ["ended"]), ("switched", "past_due", ["ended"]), ("pending", "past_due", []),
        ("trash", "past_due", []),
    ],
)  # fmt: skip
def test_statuses_of_subscriptions(theirs: str, on_hold: Any, ours: list[str]) -> None:
    assert said("subscriptions", status=theirs, options=Options(on_hold=on_hold))["status"].to_list() == ours


def test_a_trial_is_over_when_it_ends() -> None:
    told = [
        said("subscriptions", status="active", trial_end_date_gmt=f"{NOW + days:%Y-%m-%dT%H:%M:%S}")["status"][0]
        for days in (-DAY, DAY)
    ]
    assert told == ["active", "trialing"]


def test_the_gmt_fields_are_read_and_payment_comes_before_creation() -> None:
    told = said(
        date_created="2026-05-01T05:00:00", date_paid="2026-05-02T05:00:00", date_paid_gmt="2026-05-02T10:00:00"
    )
    assert told["occurred_at"].to_list() == [datetime.fromisoformat("2026-05-02T10:00:00Z")]
    assert said()["occurred_at"].to_list() == [datetime.fromisoformat("2026-05-01T10:00:00Z")]


@pytest.mark.parametrize(
    ("method", "transaction", "same_as", "known_as"),
    [
        ("stripe", "ch_1", ["stripe:ch_1"], "stripe"), ("stripe_sepa", "py_1", ["stripe:py_1"], "sepa_debit"),
        ("ppcp-gateway", "1AA", ["paypal:1AA"], "ppcp-gateway"), ("bacs", "", [], "bank_transfer"),
        ("mollie_ideal", "tr_1", [], "mollie_ideal"), ("stripe", "", [], "stripe"), ("", "", [], None),
    ],
)  # fmt: skip
def test_the_transaction_names_the_processors_copy(
    method: str, transaction: str, same_as: list[str], known_as: str | None
) -> None:
    told = said(payment_method=method, transaction_id=transaction)
    assert told.select("same_as", "method").rows() == [(same_as, known_as)]


@pytest.mark.parametrize(("by", "product"), [("product", "woocommerce:7"), ("variation", "woocommerce:8")])
def test_products(by: Any, product: str) -> None:
    lines = [{"product_id": 7, "variation_id": 8}, {"product_id": 9, "variation_id": 0}]
    assert said(line_items=lines, options=Options(product=by))["product_ref"].to_list() == [product]
    plain = said(line_items=[{"product_id": 7, "variation_id": 0}], options=Options(product=by))
    assert plain["product_ref"].to_list() == ["woocommerce:7"]


def test_no_gateways_and_no_key_fields_are_allowed() -> None:
    told = said(payment_method="stripe", transaction_id="ch_1", options=Options(gateways={}, key_fields=()))
    assert told.select("same_as", "keys").rows() == [([], [])]


def test_several_refunds_are_added_up() -> None:
    refunds = [
        {"amount": "1.50", "date_created_gmt": "2026-05-03T10:00:00"},
        {"amount": "2.25", "date_created_gmt": "2026-05-02T10:00:00"},
    ]
    told = said(refunded=refunds).select("refunded_minor", "refunded_at")
    assert told.rows() == [(375, datetime.fromisoformat("2026-05-03T10:00:00Z"))]


@settings(deadline=None, max_examples=25)
@given(st.datetimes(datetime(1990, 1, 1), datetime(2099, 12, 31)))  # noqa: DTZ001 - as the shop tells them
def test_a_time_without_a_zone_is_gmt(at: datetime) -> None:
    at = at.replace(microsecond=0)
    assert said(date_created_gmt=at.isoformat())["occurred_at"].to_list() == [at.replace(tzinfo=UTC)]


@settings(deadline=None, max_examples=25)
@given(shares=st.lists(st.integers(0, 10**9), min_size=1, max_size=5), currency=st.sampled_from(["USD", "JPY"]))
def test_refunds_are_added_up_exactly(shares: list[int], currency: str) -> None:
    refunds = [
        {"amount": parts.major(part, 0 if currency == "JPY" else 2), "date_created_gmt": None} for part in shares
    ]
    assert said(refunded=refunds, currency=currency)["refunded_minor"].to_list() == [sum(shares)]
