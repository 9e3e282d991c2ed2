"""What journeys are built with, beside the records: the offers, the clock, the business's constants. No data."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from functools import cached_property

import polars as pl

from journey_pipeline.model import Business, Offer, Report, Thresholds, as_timedelta
from journey_pipeline.registry import TEXT, TIME

INTERVAL_DAYS = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}


@dataclass(frozen=True)
class Scope:
    """`platforms`: the connected ones. `tracked`: those that ever told of a use (filled in by build)."""

    as_of: datetime
    business: Business
    offers: Sequence[Offer] = ()
    thresholds: Thresholds = field(default_factory=Thresholds)
    platforms: Sequence[str] = ()
    ignore_products: Sequence[str] = ()
    customer_stages: Sequence[str] = ()
    test_buyers: Sequence[str] = ()
    reports: Mapping[str, Report] = field(default_factory=dict)

    def span(self, threshold: str) -> timedelta:
        return as_timedelta(getattr(self.thresholds, threshold))

    @cached_property
    def offer_of_product(self) -> Mapping[str, int]:
        """product_ref -> number of its offer (1 is the first): sold as first, granted by second, as listed."""
        found: dict[str, int] = {}
        for list_name in ("bought_as", "grants"):
            for number, offer in enumerate(self.offers, 1):
                for ref in getattr(offer, list_name):
                    found.setdefault(ref, number)
        return found

    def offer_of(self, refs: pl.Expr, list_names: Sequence[str] | None = None) -> pl.Expr:
        """Number of the offer that lists a ref, 0 for none; by product, or by the given lists of templates."""
        mapping = self.offer_of_product
        if list_names is not None:
            mapping = {ref: n for n, o in enumerate(self.offers, 1) for name in list_names for ref in getattr(o, name)}
        return refs.replace_strict(mapping, default=0, return_dtype=pl.Int64).fill_null(0)

    def by_offer(self, offer: pl.Expr, values: Sequence[object], dtype: pl.DataType) -> pl.Expr:
        """A constant of the row's offer; null for rows without one. `values` in the order of the offers."""
        mapping = {n: v for n, v in enumerate(values, 1) if v is not None}
        if not mapping:
            return pl.lit(None, dtype)
        return offer.replace_strict(mapping, default=None, return_dtype=dtype)

    @cached_property
    def items(self) -> pl.DataFrame:
        """offer, product_ref: what each offer grants on connected platforms."""
        rows = [
            (n, ref)
            for n, offer in enumerate(self.offers, 1)
            for ref in dict.fromkeys(offer.grants)
            if ref.split(":")[0] in self.platforms
        ]
        return pl.DataFrame(rows, schema={"offer": pl.Int64(), "product_ref": TEXT}, orient="row")

    def offer_id(self, offer: pl.Expr) -> pl.Expr:
        return self.by_offer(offer, [o.id for o in self.offers], TEXT)

    def journey(self) -> pl.Expr:
        """One number for person and offer."""
        return pl.col("person").cast(pl.Int64) * (len(self.offers) + 1) + pl.col("offer")

    def person_of(self, journey: pl.Expr) -> pl.Expr:
        return (journey // (len(self.offers) + 1)).cast(pl.UInt32)

    def offer_number(self, journey: pl.Expr) -> pl.Expr:
        return journey % (len(self.offers) + 1)

    def opens_at(self) -> Sequence[datetime | None]:
        zone = self.business.zone
        return [datetime.combine(o.opens_on, time(), zone) if o.opens_on else None for o in self.offers]

    @property
    def now(self) -> pl.Expr:
        return pl.lit(self.as_of, TIME)


def interval(unit: pl.Expr) -> pl.Expr:
    """A billing interval as a duration; the longest that its name allows (month 31 days …)."""
    days = unit.replace_strict(INTERVAL_DAYS, default=None, return_dtype=pl.Int64)
    return pl.duration(days=days)


def ref() -> pl.Expr:
    """`platform:record_id` of a record."""
    return pl.concat_str("platform", pl.lit(":"), "record_id")


def beside(frame: pl.DataFrame, parts: Iterable[pl.LazyFrame], on: Sequence[str]) -> pl.DataFrame:
    """`frame` with the columns of every part, each of which has at most one row for its key.

    Each part is joined to the key alone: joined to the whole one after the other, each would copy all that stands already.
    """
    key = frame.lazy().select(on)
    found = [
        key.join(part, on=on, how="left", validate="m:1", maintain_order="left").drop(on).collect() for part in parts
    ]
    return pl.concat([frame, *found], how="horizontal")
