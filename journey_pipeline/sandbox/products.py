"""What Northwind Academy sells: prices, and what each purchase grants. Who buys it is plan.py's business.

demo.yaml says the same in the user's words; a test holds the two together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

COHORT_OPENS_AT = datetime(2030, 1, 7, 5, tzinfo=UTC)  # midnight in New York
"""Sold long before it opens, so that at any `as_of` of today its buyers rightly have no access yet."""

CURRENCIES = ("USD", "EUR")


@dataclass(frozen=True)
class Product:
    """Something that can be bought or held: its offer in journey.yaml (None: in none), and what it grants."""

    offer: str | None
    prices: Mapping[str, tuple[str, int, int]]
    """How it is paid (`full`, `month`, `six`) -> price id, amount in USD and in EUR; EUR prices end in `_eur`."""
    courses: tuple[str, ...] = ()
    space: str | None = None
    welcome: str | None = None
    opens_at: datetime | None = None


PRODUCTS: Mapping[str, Product] = {
    "none": Product(None, {}),
    "bootcamp": Product("bootcamp", {"full": ("price_bootcamp", 49900, 46900)}, ("1001",), "space_3", "welcome-bootcamp"),
    "membership": Product(
        "membership",
        {"month": ("price_member", 2900, 2700), "six": ("price_lifetime_6x", 9900, 9300)},
        ("1002",), "space_5", "welcome-membership",
    ),
    "ebook": Product("ebook", {"full": ("price_ebook", 1900, 1700)}, ("1003",), None, "welcome-ebook"),
    "bundle": Product("bundle", {"full": ("price_bundle", 12900, 11900)}, ("1003", "1004"), None, "welcome-bundle"),
    "cohort": Product(
        "cohort", {"full": ("price_cohort", 99900, 93900)}, ("1005",), "space_7", "welcome-cohort", COHORT_OPENS_AT
    ),
    "workbook": Product("workbook", {"full": ("price_workbook", 3900, 3600)}, ("1006",), None, "welcome-workbook"),
    # The smaller of two plans; who moves down to it keeps the subscription and changes the price.
    "basic": Product("basic", {"month": ("price_basic", 900, 800)}, (), "space_6"),
    "coaching": Product("coaching", {"full": ("price_coaching", 15000, 14000)}),
    # Not in journey.yaml, or only in part; sold in USD only
    "flash": Product(None, {"full": ("price_flash_sale", 9900, 8900)}),
    "webinar": Product(None, {"full": ("price_webinar_pass", 4900, 4500)}),
    "mastermind": Product("coaching", {"full": ("price_coaching", 15000, 14000)}, (), "space_9"),
    "swag": Product(None, {"full": ("price_swag", 2500, 2300)}),
    "retired": Product(None, {"full": ("price_2019", 29900, 27900)}),
}  # fmt: skip


def _prices() -> pl.DataFrame:
    rows = []
    for name, product in PRODUCTS.items():
        for terms, (price, *amounts) in product.prices.items():
            for currency, amount in zip(CURRENCIES, amounts, strict=True):
                rows.append((name, terms, currency, f"stripe:{price}{'' if currency == 'USD' else '_eur'}", amount))
    return pl.DataFrame(rows, schema=["product", "terms", "currency", "product_ref", "amount_minor"], orient="row")


PRICES = _prices()
"""product, terms, currency -> product_ref, amount_minor."""

GRANTS = pl.DataFrame(
    [
        (
            name, p.offer, *(*(f"teachable:{c}" for c in p.courses), None, None)[:2],
            f"community:{p.space}" if p.space else None, p.welcome and f"mailchimp:{p.welcome}", p.opens_at,
        )
        for name, p in PRODUCTS.items()
    ],
    schema={
        "product": pl.String, "offer_id": pl.String, "course_ref": pl.String, "second_course_ref": pl.String,
        "space_ref": pl.String, "welcome_ref": pl.String, "opens_at": pl.Datetime("us", "UTC"),
    },
    orient="row",
)  # fmt: skip
"""product -> its offer, the items it grants, its welcome, when it opens."""
