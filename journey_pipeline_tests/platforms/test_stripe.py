"""Stripe: what the module says is what the account holds, whenever and however often it is asked."""

import json
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from journey_pipeline.platforms import http
from journey_pipeline.platforms.stripe import PLATFORM, VERSION, Options
from journey_pipeline.sandbox.fakes.stripe import SECRETS
from journey_pipeline.sandbox.server import serve
from journey_pipeline.sandbox.world import World
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import (
    NOW,
    Cursors,
    Frames,
    held,
    make_world,
    pull_all,
    raw_frame,
    read_all,
    world_frame,
)
from journey_pipeline_tests.platforms.openapi import SPECS, Contract, Exchange, contract, recorded


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BACKOFF_S", 0.01)


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def charge(number: int, days: float = 3, **said: Any) -> dict[str, Any]:
    return {
        "record_id": f"ch_{number}", "occurred_at": ago(days), "email": f"p{number}@x.com", "name": f"Person {number}",
        "phone": f"+1555000{number:04d}", "keys": [f"stripe:cus_{number}"], "role": "processor", "same_as": [],
        "status": "succeeded", "amount_minor": 4900, "currency": "USD", "product_ref": "stripe:price_1",
        "method": "card", "refunded_minor": 0, **said,
    }  # fmt: skip


def agreed(number: int, days: float = 40, **said: Any) -> dict[str, Any]:
    """A subscription of the customer whose charge has the same number: Stripe keeps the addresses with the customer."""
    return {
        "record_id": f"sub_{number}", "occurred_at": ago(days), "email": f"p{number}@x.com", "name": f"Person {number}",
        "phone": f"+1555000{number:04d}", "keys": [f"stripe:cus_{number}"], "role": "processor", "same_as": [],
        "status": "active", "product_ref": "stripe:price_m", "quantity": 1, "amount_minor": 1900, "currency": "USD",
        "interval": "month", "period_ends_at": ago(-20), "is_cancelling": False, **said,
    }  # fmt: skip


# Several of each, since the fake tells the same thing in different ways (five places of an e-mail, two of a product).
PAYMENTS = [
    *(charge(n) for n in range(1, 13)),
    *(charge(n, subscription_ref=f"stripe:sub_{n}", product_ref="stripe:price_m") for n in range(13, 25)),
    charge(30, amount_minor=5000, currency="JPY"),
    charge(31, amount_minor=12345, currency="KWD"),
    charge(32, method="sepa_debit", status="pending"),
    charge(33, method="bank_transfer", status="pending"),
    charge(34, status="failed"),
    charge(35, status="authorised"),
    charge(36, refunded_minor=1000, refunded_at=ago(1)),
    charge(37, refunded_minor=4900, refunded_at=ago(1)),
    charge(38, refunded_minor=4900, refunded_at=ago(2)),
    charge(39, refunded_minor=4900, refunded_at=ago(2)),
    charge(40, disputed_at=ago(1), dispute_status="open"),
    charge(41, disputed_at=ago(2), dispute_status="won"),
    charge(42, disputed_at=ago(2), dispute_status="lost"),
    charge(43, is_test=True),
    *(charge(n, keys=[f"stripe:cus_{n}", f"hubspot:{n}"]) for n in range(44, 52)),
    *(charge(n, same_as=[f"woo:{n}"]) for n in range(52, 56)),
    charge(56, keys=[], email=None, name=None, phone=None),
    charge(57, method=None, status="pending"),
    charge(58, subscription_ref="stripe:sub_13", product_ref="stripe:price_m", keys=["stripe:cus_13", "app:7"],
           email="p13@x.com", name="Person 13", phone="+15550000013"),
    charge(59, product_ref=None),
]  # fmt: skip
SUBSCRIPTIONS = [
    agreed(13, quantity=3, amount_minor=1000),
    agreed(14, status="trialing", trial_ends_at=ago(-4), period_ends_at=ago(-4)),
    agreed(15, is_cancelling=True, cancelled_at=ago(2)),
    agreed(16, is_cancelling=True, cancelled_at=ago(2)),
    agreed(17, is_cancelling=True, cancelled_at=ago(2)),
    agreed(18, status="ended", cancelled_at=ago(9), ended_at=ago(9)),
    agreed(19, status="paused"),
    agreed(20, status="paused"),
    agreed(21, status="past_due", interval="quarter"),
    agreed(22, status="unpaid", interval="year", currency="EUR"),
    agreed(23, instalments=6, interval="week"),
    agreed(24, same_as=["woo:77"], keys=["stripe:cus_24", "app:24"]),
]


def load(
    world: World, url: str, at: datetime, frames: Frames | None = None, cursors: Cursors | None = None
) -> tuple[Frames, Cursors, Frames]:
    options = Options(base_url=url)
    frames, cursors = pull_all(PLATFORM, options, SECRETS, at, cursors, frames=frames)
    return frames, cursors, read_all(PLATFORM, frames, options)


def assert_says_all(said: Frames, world: World) -> None:
    for kind in ("payments", "subscriptions"):
        assert_frame_equal(said[kind].drop("url"), held(world, "stripe", kind).drop("url"))


def put(world: World, kind: str, rows: list[dict[str, Any]]) -> None:
    world.records = {**world.records, kind: world_frame("stripe", kind, rows)}


def test_every_column_comes_back_as_the_account_holds_it() -> None:
    world = make_world("stripe", {"payments": PAYMENTS, "subscriptions": SUBSCRIPTIONS})
    with serve(world, ("stripe",)) as urls:
        _, _, said = load(world, urls["stripe"], NOW)
    assert_says_all(said, world)


def test_links_lead_to_the_dashboard_of_the_right_mode() -> None:
    world = make_world(
        "stripe", {"payments": [charge(1), charge(2, is_test=True)], "subscriptions": [agreed(1)]}
    )  # fmt: skip
    with serve(world, ("stripe",)) as urls:
        _, _, said = load(world, urls["stripe"], NOW)
    assert said["payments"]["url"].to_list() == [
        "https://dashboard.stripe.com/payments/pi_1",
        "https://dashboard.stripe.com/test/payments/pi_2",
    ]
    assert said["subscriptions"]["url"].to_list() == ["https://dashboard.stripe.com/subscriptions/sub_1"]


def test_a_payment_without_an_address_has_its_customers() -> None:
    rows = [charge(1), charge(2, email=None, name=None, phone=None, keys=["stripe:cus_1"])]
    world = make_world("stripe", {"payments": rows})
    with serve(world, ("stripe",)) as urls:
        _, _, said = load(world, urls["stripe"], NOW)
    second = said["payments"].row(1, named=True)
    assert (second["email"], second["name"], second["phone"]) == ("p1@x.com", "Person 1", "+15550000001")


def test_a_second_load_doubles_nothing() -> None:
    world = make_world("stripe", {"payments": PAYMENTS, "subscriptions": SUBSCRIPTIONS})
    with serve(world, ("stripe",)) as urls:
        frames, cursors, _ = load(world, urls["stripe"], NOW)
        world.now = NOW + timedelta(days=1)
        _, _, said = load(world, urls["stripe"], world.now, frames, cursors)
    assert_says_all(said, world)


def test_what_changed_later_comes_through_the_events_fetched_anew() -> None:
    before = [charge(1, 20), charge(2, 20), charge(3, 20, status="authorised"), charge(4, 20, email="old@x.com")]
    world = make_world("stripe", {"payments": before, "subscriptions": [agreed(1)]})
    with serve(world, ("stripe",)) as urls:
        frames, cursors, _ = load(world, urls["stripe"], NOW)
        world.now = NOW + timedelta(days=1)
        change: dict[str, Any] = {"changed_at": NOW + timedelta(hours=3)}
        after = [
            charge(1, 20, refunded_minor=4900, refunded_at=NOW + timedelta(hours=3), **change),
            charge(2, 20, disputed_at=NOW + timedelta(hours=3), dispute_status="open", **change),
            charge(3, 20, status="succeeded", **change),
            charge(4, 20, email="new@x.com", **change),
            charge(5, -0.5),
        ]
        put(world, "payments", after)
        put(world, "subscriptions", [agreed(1, status="ended", ended_at=NOW + timedelta(hours=3), **change)])
        with recorded() as seen:
            frames, cursors, said = load(world, urls["stripe"], world.now, frames, cursors)
        assert_says_all(said, world)
        fetched = sorted(e.path for e in seen if e.path.startswith("/stripe/v1/charges/"))
        assert fetched == [f"/stripe/v1/charges/ch_{n}" for n in (1, 2, 3, 4)]
        # And a dispute that ends, and a second change of the same charge.
        world.now = NOW + timedelta(days=2)
        again = {"changed_at": NOW + timedelta(days=1, hours=3)}
        won = charge(2, 20, disputed_at=NOW + timedelta(hours=3), dispute_status="won", **again)
        put(world, "payments", [after[0], won, *after[2:]])
        _, _, said = load(world, urls["stripe"], world.now, frames, cursors)
    assert_says_all(said, world)


def test_after_a_silence_longer_than_the_feed_everything_is_read_again() -> None:
    world = make_world("stripe", {"payments": [charge(1, 3)]})
    with serve(world, ("stripe",)) as urls:
        frames, cursors, _ = load(world, urls["stripe"], NOW)
        refund = {"refunded_minor": 4900, "refunded_at": ago(-2), "changed_at": ago(-2)}
        put(world, "payments", [charge(1, 3, **refund)])
        world.now = NOW + timedelta(days=40)
        with recorded() as seen:
            _, _, said = load(world, urls["stripe"], world.now, frames, cursors)
    assert not [e for e in seen if e.path.endswith("/events")]
    assert_says_all(said, world)


def test_a_deleted_customer_leaves_what_was_known_of_the_payments_made(monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world("stripe", {"subscriptions": [agreed(1)]})
    with serve(world, ("stripe",)) as urls:
        frames, cursors, _ = load(world, urls["stripe"], NOW)
        world.now = NOW + timedelta(days=1)
        put(world, "subscriptions", [agreed(1, email="new@x.com", changed_at=NOW + timedelta(hours=3))])
        get, asked = http.Api.get, []

        def deleted_meanwhile(api: http.Api, path: str, **kwargs: Any) -> dict[str, Any]:
            thing = get(api, path, **kwargs)
            asked.append(path)
            return {**thing, "email": None, "deleted": True} if "/customers/" in path else thing

        monkeypatch.setattr(http.Api, "get", deleted_meanwhile)
        _, _, said = load(world, urls["stripe"], world.now, frames, cursors)
    assert "/v1/customers/cus_1" in asked
    assert said["subscriptions"]["email"].to_list() == ["p1@x.com"]


def test_a_charge_of_the_cursors_own_second_is_not_lost() -> None:
    world = make_world("stripe", {"payments": [charge(1, 0)]})
    with serve(world, ("stripe",)) as urls:
        frames, cursors, _ = load(world, urls["stripe"], NOW)
        put(world, "payments", [charge(1, 0), charge(2, 0)])
        world.now = NOW + timedelta(days=1)
        _, _, said = load(world, urls["stripe"], world.now, frames, cursors)
    assert said["payments"]["record_id"].to_list() == ["ch_1", "ch_2"]


@pytest.mark.parametrize(("count", "pages"), [(99, 1), (100, 1), (101, 2), (200, 2)])
def test_pages_end_where_they_should(count: int, pages: int) -> None:
    world = make_world("stripe", {"payments": [charge(n, 3) for n in range(count)]})
    with serve(world, ("stripe",)) as urls, recorded() as seen:
        frames, _ = pull_all(PLATFORM, Options(base_url=urls["stripe"]), SECRETS, NOW, only=("charges",))
    assert frames["charges"]["id"].n_unique() == frames["charges"].height == count
    assert len(seen) == pages


# The description is of 2023-08-16; the module pins a version since basil. What has moved meanwhile:
NEWER_PARAMETERS = {"GET /v1/checkout/sessions": {"created[gte]", "created[lte]"}}
MOVED = (
    "GET /v1/subscriptions",  # the period now stands on the items
    "GET /v1/subscriptions/{subscription_exposed_id}",
    "GET /v1/invoices",  # `parent` and `pricing` took the place of `subscription`, `paid`, `price`, `proration`
    "GET /v1/invoices/{invoice}",
)


class _Described(Contract):
    """/v1/invoice_payments is younger than the description; a test of its own holds its objects to the vendor's."""

    def check(self, exchange: Exchange) -> None:
        if not exchange.path.startswith("/stripe/v1/invoice_payments"):
            super().check(exchange)


def described() -> Contract:
    found = contract(
        "stripe", "spec3.2023-08-16.yaml", base="/stripe", also_parameters=NEWER_PARAMETERS, wrong_answers=MOVED
    )
    return _Described(**vars(found))


def test_the_fields_that_are_read_stand_in_the_vendors_newest_objects() -> None:
    file = SPECS / "stripe" / "fixtures3.HEAD.json"
    if not file.exists():
        pytest.skip("the vendor's fixtures are not here")
    objects = json.loads(file.read_text())["resources"]
    of = {
        "charges": "charge", "refunds": "refund", "disputes": "dispute", "subscriptions": "subscription",
        "customers": "customer", "invoices": "invoice", "invoice_payments": "invoice_payment",
        "checkout_sessions": "checkout.session",
    }  # fmt: skip
    missing = {
        resource.name: absent
        for resource in PLATFORM.resources
        if (absent := set(resource.columns) - set(objects[of[resource.name]]))
    }
    # Given only where it is asked for by `expand[]`.
    assert missing == {"checkout_sessions": {"line_items"}}
    item = objects["subscription"]["items"]["data"][0]
    assert {"current_period_end", "price", "quantity"} <= set(item)
    assert {"unit_amount_decimal", "recurring", "id"} <= set(item["price"])
    assert "subscription" in objects["invoice"]["parent"]["subscription_details"]
    line = objects["invoice"]["lines"]["data"][0]
    assert "proration" in line["parent"]["subscription_item_details"]
    assert line["pricing"]["type"] == "price_details"
    assert objects["invoice_payment"]["payment"]["type"] == "payment_intent"


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("charges?limit=101", 400, "between 1 and 100"),
        ("charges?limit=0", 400, "between 1 and 100"),
        ("charges?updated[gte]=1", 400, "unknown parameters: updated[gte]"),
        ("charges?created[gte]=yesterday", 400, "Invalid integer"),
        ("charges?starting_after=ch_none", 400, "No such object"),
        ("charges/ch_none", 404, "No such charge"),
    ],
)
def test_the_fake_refuses_what_stripe_refuses(path: str, status: int, says: str) -> None:
    headers = {"Authorization": f"Bearer {SECRETS['STRIPE_API_KEY']}", "Stripe-Version": VERSION}
    with serve(make_world("stripe"), ("stripe",)) as urls:
        reply = requests.get(f"{urls['stripe']}/v1/{path}", headers=headers, timeout=5)
        unpinned = requests.get(
            f"{urls['stripe']}/v1/charges", headers={"Authorization": headers["Authorization"]}, timeout=5
        )
    assert (reply.status_code, unpinned.status_code) == (status, 400)
    assert says in reply.json()["error"]["message"]


def test_the_fake_leaves_out_ended_subscriptions_unless_all_are_asked_for() -> None:
    headers = {"Authorization": f"Bearer {SECRETS['STRIPE_API_KEY']}", "Stripe-Version": VERSION}
    rows = [agreed(1), agreed(2, status="ended", ended_at=ago(1))]
    with serve(make_world("stripe", {"subscriptions": rows}), ("stripe",)) as urls:
        usual = requests.get(f"{urls['stripe']}/v1/subscriptions", headers=headers, timeout=5).json()["data"]
        every = requests.get(f"{urls['stripe']}/v1/subscriptions?status=all", headers=headers, timeout=5).json()["data"]
    assert ([s["id"] for s in usual], len(every)) == (["sub_1"], 2)


# What no sandbox serves: Stripe's rarer shapes, as raw rows


def said_of(resource: str, kind: str, *rows: dict[str, Any], **beside: list[dict[str, Any]]) -> list[dict[str, Any]]:
    frames = {resource: raw_frame(rows, resource, NOW)}
    frames |= {name: raw_frame(others, name, NOW) for name, others in beside.items()}
    return read_all(PLATFORM, frames, Options())[kind].to_dicts()


def a_charge(**fields: Any) -> dict[str, Any]:
    usual = {
        "id": "ch_1", "created": 1_778_000_000, "amount": 4900, "currency": "usd", "livemode": True, "captured": True,
        "refunded": False, "status": "succeeded", "metadata": {}, "billing_details": {}, "payment_intent": "pi_1",
    }  # fmt: skip
    return {**usual, **fields}


def a_subscription(*items: dict[str, Any], **fields: Any) -> dict[str, Any]:
    usual = {
        "id": "sub_1", "created": 1_778_000_000, "currency": "usd", "livemode": True, "status": "active",
        "metadata": {}, "customer": "cus_1", "cancel_at_period_end": False, "cancel_at": None, "ended_at": None,
        "items": {"data": list(items or (an_item(),))},
    }  # fmt: skip
    return {**usual, **fields}


def an_item(
    price: str = "price_1", unit: str | None = "1000", quantity: int | None = 1, every: tuple[int, str] = (1, "month")
) -> dict[str, Any]:
    recurring = {"interval": every[1], "interval_count": every[0]}
    return {
        "quantity": quantity, "current_period_end": 1_779_000_000,
        "price": {"id": price, "unit_amount_decimal": unit, "recurring": recurring},
    }  # fmt: skip


def test_a_lapsed_authorisation_is_a_failed_payment_that_refunded_nothing() -> None:
    refund = {"id": "re_1", "charge": "ch_1", "amount": 4900, "status": "succeeded", "created": 1_778_000_100}
    (said,) = said_of("charges", "payments", a_charge(captured=False, refunded=True), refunds=[refund])
    assert (said["status"], said["refunded_minor"], said["refunded_at"]) == ("failed", 0, None)


def test_refunds_add_up_once_they_succeeded() -> None:
    refunds = [
        {"id": f"re_{n}", "charge": "ch_1", "amount": 100 * n, "status": status, "created": 1_778_000_000 + n}
        for n, status in enumerate(["succeeded", "pending", "succeeded", "failed", "canceled"], 1)
    ]
    (said,) = said_of("charges", "payments", a_charge(), refunds=refunds)
    assert said["refunded_minor"] == 100 + 300
    assert said["refunded_at"] == datetime.fromisoformat("2026-05-05T16:53:23+00:00")


@pytest.mark.parametrize(
    ("stripes", "ours"),
    [
        ("needs_response", "open"), ("under_review", "open"), ("warning_needs_response", "open"),
        ("warning_under_review", "open"), ("won", "won"), ("warning_closed", "won"), ("prevented", "won"),
        ("lost", "lost"), ("a_new_word", "a_new_word"),
    ],
)  # fmt: skip
def test_disputes_in_our_words(stripes: str, ours: str) -> None:
    dispute = {"id": "dp_1", "charge": "ch_1", "status": stripes, "created": 1_778_000_100}
    (said,) = said_of("charges", "payments", a_charge(), disputes=[dispute])
    assert said["dispute_status"] == ours


def test_of_two_disputes_the_latest_counts() -> None:
    disputes = [
        {"id": "dp_2", "charge": "ch_1", "status": "needs_response", "created": 1_778_000_200},
        {"id": "dp_1", "charge": "ch_1", "status": "won", "created": 1_778_000_100},
    ]
    (said,) = said_of("charges", "payments", a_charge(), disputes=disputes)
    assert said["dispute_status"] == "open"


def test_only_named_metadata_is_a_key_and_a_web_address_is_none() -> None:
    metadata = {"user_ref": "app:42", "contact_ref": "https://x.com/1", "gift_for": "app:43", "course": "teachable:9"}
    (said,) = said_of("charges", "payments", a_charge(metadata=metadata, customer="cus_1"))
    assert said["keys"] == ["stripe:cus_1", "app:42"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("app:42", ["app:42"]), (" app:42, hubspot:7;woo:1 ", ["app:42", "hubspot:7", "woo:1"]), ("42", []),
        ("https://x.com", []), ("see app:42", []), ("App:42", []), ("", []), (None, []),
    ],
)  # fmt: skip
def test_references_are_taken_only_from_texts_that_hold_nothing_else(text: str | None, found: list[str]) -> None:
    (said,) = said_of("charges", "payments", a_charge(metadata={"order_ref": text}))
    assert said["same_as"] == found


def test_a_product_of_another_platform_is_kept_as_named() -> None:
    (said,) = said_of("charges", "payments", a_charge(metadata={"price_id": "woo:77"}))
    assert said["product_ref"] == "woo:77"


def test_an_invoice_of_credits_and_prorations_sold_what_was_charged() -> None:
    def line(amount: int, price: str) -> dict[str, Any]:
        return {
            "amount": amount, "pricing": {"price_details": {"price": price}},
            "parent": {"subscription_item_details": {"proration": True}},
        }  # fmt: skip

    invoice = {
        "id": "in_1", "created": 1_778_000_000, "lines": {"data": [line(-500, "price_old"), line(900, "price_new")]},
        "parent": {"subscription_details": {"subscription": "sub_1"}},
    }  # fmt: skip
    paid = {"id": "inpay_1", "invoice": "in_1", "payment": {"type": "payment_intent", "payment_intent": "pi_1"}}
    (said,) = said_of("charges", "payments", a_charge(), invoices=[invoice], invoice_payments=[paid])
    assert (said["product_ref"], said["subscription_ref"]) == ("stripe:price_new", "stripe:sub_1")


def test_a_subscription_that_never_began_is_left_out() -> None:
    assert said_of("subscriptions", "subscriptions", a_subscription(status="incomplete")) == []
    assert said_of("subscriptions", "subscriptions", a_subscription(status="incomplete_expired")) == []


def test_all_items_are_priced_and_the_first_one_names_the_product() -> None:
    row = a_subscription(an_item("price_a", "1000", 2), an_item("price_b", "50.5", 3))
    (said,) = said_of("subscriptions", "subscriptions", row)
    assert (said["product_ref"], said["quantity"], said["amount_minor"]) == ("stripe:price_a", 2, 2152)


def test_a_price_by_use_is_unknown_not_nothing() -> None:
    (said,) = said_of("subscriptions", "subscriptions", a_subscription(an_item(unit=None, quantity=None)))
    assert said["amount_minor"] is None


@pytest.mark.parametrize(
    ("fields", "is_cancelling"),
    [
        ({"cancel_at_period_end": True, "cancel_at": 1_779_000_000}, True),
        ({"cancel_at": 1_779_000_000}, True),
        ({"cancel_at": 1_789_000_000}, False),  # a term agreed from the start
        ({"cancel_at_period_end": True, "ended_at": 1_779_000_000, "status": "canceled"}, False),
        ({}, False),
    ],
)
def test_cancelling_is_ending_with_this_period(fields: dict[str, Any], is_cancelling: bool) -> None:
    (said,) = said_of("subscriptions", "subscriptions", a_subscription(**fields))
    assert said["is_cancelling"] is is_cancelling


@pytest.mark.parametrize(
    ("every", "interval"),
    [((1, "month"), "month"), ((3, "month"), "quarter"), ((12, "month"), "year"), ((1, "year"), "year"),
     ((1, "week"), "week"), ((7, "day"), "week"), ((1, "day"), "day"), ((6, "month"), None)],
)  # fmt: skip
def test_intervals_in_our_words(every: tuple[int, str], interval: str | None) -> None:
    (said,) = said_of("subscriptions", "subscriptions", a_subscription(an_item(every=every)))
    assert said["interval"] == interval


def test_collection_switched_off_is_a_pause_but_not_of_one_that_ended() -> None:
    off = {"pause_collection": {"behavior": "void"}}
    assert said_of("subscriptions", "subscriptions", a_subscription(**off))[0]["status"] == "paused"
    ended = a_subscription(status="canceled", ended_at=1_778_500_000, **off)
    assert said_of("subscriptions", "subscriptions", ended)[0]["status"] == "ended"


prices = st.lists(
    st.tuples(st.decimals(0, 10**9, allow_nan=False, places=6), st.integers(1, 10_000)), min_size=1, max_size=4
)


@settings(deadline=None, max_examples=40)  # the machine is shared
@given(prices)
def test_prices_are_exact(items: list[tuple[Decimal, int]]) -> None:
    row = a_subscription(*(an_item(unit=format(unit, "f"), quantity=n) for unit, n in items))
    (said,) = said_of("subscriptions", "subscriptions", row)
    exact = sum((unit * n for unit, n in items), Decimal(0))
    assert abs(Decimal(said["amount_minor"]) - exact) <= Decimal("0.5")
    assert exact != exact.to_integral() or said["amount_minor"] == exact.quantize(Decimal(1), ROUND_HALF_UP)


@settings(deadline=None, max_examples=40)  # the machine is shared
@given(st.integers(0, 10**11), st.sampled_from(["usd", "eur", "jpy", "kwd"]), st.integers(0, 2**32))
def test_amounts_and_seconds_are_taken_as_they_are(amount: int, currency: str, second: int) -> None:
    (said,) = said_of("charges", "payments", a_charge(amount=amount, currency=currency, created=second))
    assert (said["amount_minor"], said["currency"]) == (amount, currency.upper())
    assert said["occurred_at"].timestamp() == second


def test_every_kind_waits_for_all_that_it_is_made_of() -> None:
    assert PLATFORM.says == {
        "payments": (
            "charges", "refunds", "disputes", "customers", "invoices", "invoice_payments", "checkout_sessions",
        ),
        "subscriptions": ("subscriptions", "customers", "checkout_sessions"),
    }  # fmt: skip


CHANGED: dict[str, Any] = {"changed_at": NOW + timedelta(hours=3)}
LATER = [*PAYMENTS[:-30], *({**row, **CHANGED} for row in PAYMENTS[-30:]), charge(90, days=-0.5)]


class TestStripe(Conformance):
    case = Case(
        "stripe",
        now={"payments": PAYMENTS, "subscriptions": SUBSCRIPTIONS},
        later={"payments": LATER, "subscriptions": [{**row, **CHANGED} for row in SUBSCRIPTIONS]},
        fresh={"payments": [charge(90, days=-0.5)], "subscriptions": [agreed(90, days=-0.5)]},
        many=lambda count: {"payments": [charge(n) for n in range(1, count + 1)]},
        counted="payments",
        page_sizes=("PAGE",),
        lost={
            "payments": ("url",),
            "subscriptions": ("url",),
        },  # made of the payment intent; a test of its own has them
        described=described,
    )
