"""What a payment is compared to among everybody's: the amounts that are usual, and whether its like go through a shop."""

from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

_USUAL = timedelta(days=90)
_SHOP, _ENOUGH = timedelta(days=28), 10
_SECOND = 1_000_000

Numbers = NDArray[np.int64]


class _TimeLine:
    """Instants of many groups in one order, so that those of a group between two instants are found at once."""

    def __init__(self, group: Numbers, at: Numbers) -> None:
        self._least, self._most = (int(at.min()), int(at.max())) if at.size else (0, 0)
        self.order = np.argsort(self._key(group, at), kind="stable")
        self._sorted = self._key(group, at)[self.order]

    def _key(self, group: Numbers, at: Numbers) -> Numbers:
        span = self._most - self._least + 2
        return group * span + np.clip(at - self._least, 0, span - 1)

    def before(self, group: Numbers, at: Numbers) -> NDArray[np.intp]:
        """How many stand before that instant in that group, those of all groups before it included."""
        return np.searchsorted(self._sorted, self._key(group, at), "left")


def usual_amounts(paid: pl.DataFrame) -> pl.LazyFrame:
    """row, usual_amount_count of one-off payments for an offer that has a price: others of this amount and currency near it."""
    once = paid.filter(
        pl.col("counts") & pl.col("subscription_ref").is_null() & pl.col("offer_price_minor").is_not_null()
    )
    group, at = _grouped(once, ["offer", "currency", "amount_minor"])
    line, near = _TimeLine(group, at), _USUAL // timedelta(seconds=1)
    count = line.before(group, at + near + 1) - line.before(group, at - near) - 1
    return once.lazy().select("row").with_columns(pl.Series("usual_amount_count", count.astype(np.int64)))


def shop_sales(paid: pl.DataFrame) -> pl.LazyFrame:
    """row, is_shop_sold of what a processor was paid: at least ten, and half, of its like before had an order in a shop.

    Its like: of the same platform and offer; without an offer, of the same product.
    """
    charged = paid.filter(pl.col("counts") & (pl.col("role") == "processor"))
    if not charged["has_shop_copy"].any():
        return pl.LazyFrame(schema={"row": paid.schema["row"], "is_shop_sold": pl.Boolean()})
    by = ["platform", "offer", "_loose"]
    charged = charged.select(
        "row", "occurred_at", "has_shop_copy", "platform", "offer",
        _loose=pl.when(pl.col("offer") == 0).then("product_ref"),
    )  # fmt: skip
    ever = charged.filter("has_shop_copy").select(by).unique()
    charged = charged.join(ever, on=by, how="semi", nulls_equal=True, maintain_order="left")
    group, at = _grouped(charged, by)
    line, span = _TimeLine(group, at), _SHOP // timedelta(seconds=1)
    until, since = line.before(group, at), line.before(group, at - span)
    ordered: Any = charged["has_shop_copy"].to_numpy()[line.order]
    sold = np.concatenate([[0], np.cumsum(ordered)])
    with_order = sold[until] - sold[since]
    is_sold = (with_order >= _ENOUGH) & (2 * with_order >= until - since)
    return charged.lazy().select("row").with_columns(pl.Series("is_shop_sold", is_sold))


def _grouped(frame: pl.DataFrame, by: list[str]) -> tuple[Numbers, Numbers]:
    """The number of each row's group, and its instant in seconds."""
    groups = frame.select(by).unique(maintain_order=True).with_row_index("_group")
    numbered = frame.select(by).join(groups, on=by, how="left", validate="m:1", maintain_order="left", nulls_equal=True)
    return (
        numbered["_group"].cast(pl.Int64).to_numpy(),
        (frame["occurred_at"].to_physical() // _SECOND).cast(pl.Int64).to_numpy(),
    )
