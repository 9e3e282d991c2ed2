"""The records of the few people whose findings are to be mended, and of their suspected other selves. Read once each."""

from collections.abc import Mapping
from functools import cached_property

import polars as pl

from journey_pipeline.invariants.evaluation import Judging
from journey_pipeline.registry import BOOL, KINDS, TABLES, TEXT, TIME

_ITEMS = pl.Schema({"offer_id": TEXT, "product_ref": TEXT})


class Held:
    """What is held of the people of some findings. Frames are small; `tables` are whole and lazy."""

    def __init__(self, findings: pl.DataFrame, tables: Mapping[str, pl.LazyFrame], judging: Judging) -> None:
        self.tables, self.judging = tables, judging
        self.thresholds = judging.settings.thresholds
        self.as_of = pl.lit(judging.as_of, dtype=TIME)
        self._asked = findings["person_id"].drop_nulls().unique().sort()

    @cached_property
    def people(self) -> pl.DataFrame:
        """person_id, twin_person_id, name and opt-out of everybody asked about."""
        return self._semi("people", self._asked).select(
            "person_id", "twin_person_id", "name", "email", "opted_out_at"
        ).collect()  # fmt: skip

    @cached_property
    def _everybody(self) -> pl.Series:
        twins = self.people["twin_person_id"].drop_nulls()
        return pl.concat([self._asked, twins]).unique().sort()

    def of(self, kind: str, *columns: str) -> pl.DataFrame:
        """Real records of these people: person_id, platform, record_id, `ref`, url and the columns asked for."""
        wanted = dict.fromkeys(("person_id", "platform", "record_id", "occurred_at", "url", *columns))
        real = self._semi(kind, self._everybody).filter(~pl.col("is_test").fill_null(value=False))
        found = real.select(list(wanted)).collect().sort("occurred_at", "platform", "record_id")
        return found.with_columns(ref=pl.concat_str("platform", "record_id", separator=":"))

    def journeys(self, *columns: str) -> pl.DataFrame:
        return self._semi("buyer_journeys", self._asked).select("person_id", "offer_id", *columns).collect()

    def count(self, kind: str, which: pl.Expr) -> int:
        """How many rows of a whole table."""
        return int(self._table(kind).filter(which).select(pl.len()).collect().item())

    @cached_property
    def items(self) -> pl.DataFrame:
        """offer_id, product_ref: what each offer grants on connected platforms."""
        connected = self.judging.sources.connected
        rows = [
            (offer.id, ref)
            for offer in self.judging.settings.offers
            for ref in offer.grants
            if ref.partition(":")[0] in connected
        ]
        return pl.DataFrame(rows, schema=_ITEMS, orient="row")

    @cached_property
    def access(self) -> pl.DataFrame:
        """Every access of these people, open or closed."""
        return self.of("access", "offer_id", "product_ref", "basis", "paid_by_ref", "is_open", "closed_at")

    @cached_property
    def owed(self) -> pl.DataFrame:
        """person_id, product_ref, by_offer: items that somebody is entitled to now, through which offer."""
        entitled = self.journeys("entitled_by").drop_nulls("entitled_by")
        return entitled.join(self.items, on="offer_id").select("person_id", "product_ref", by_offer="offer_id")

    @cached_property
    def subscriptions(self) -> pl.DataFrame:
        """Every primary subscription of these people."""
        found = self.of(
            "subscriptions", "offer_id", "is_primary", "is_live", "instalments", "paid_count", "last_paid_at", "email",
            "amount_minor", "currency",
        )  # fmt: skip
        return found.filter("is_primary")

    @cached_property
    def payments(self) -> pl.DataFrame:
        """Every payment of these people."""
        return self.of(
            "payments", "offer_id", "product_ref", "is_primary", "status", "net_minor", "currency", "dispute_status",
            "subscription_ref", "earlier_twin_ref", "keys", "email",
        )  # fmt: skip

    @cached_property
    def contacts(self) -> pl.DataFrame:
        """Every surviving contact of these people, the newest-changed last."""
        found = self.of("contacts", "updated_at", "owner", "email", "merged_into", "is_deleted", "gone_at", "name")
        is_left = pl.col("merged_into").is_null() & pl.col("gone_at").is_null()
        return found.filter(is_left & ~pl.col("is_deleted").fill_null(value=False)).sort("updated_at", "ref")

    @cached_property
    def deals(self) -> pl.DataFrame:
        """Every deal of these people."""
        return self.of("deals", "offer_id", "owner", "keys", "won_at", "lost_at")

    def namesakes(self, people: pl.DataFrame) -> pl.DataFrame:
        """person_id, namesake_ref: a contact of that person's name who never asked nor bought, so may be theirs.

        Names are compared as written but for capitals, and last name first.
        """
        written = pl.col("name").str.to_lowercase().str.strip_chars()
        asked = people.drop_nulls("name").select("person_id", written)
        turned = asked.with_columns(name=pl.col("name").str.replace(r"^(\S+)\s+(.+)$", "${2}, ${1}"))
        names = pl.concat([asked, turned]).unique()
        alone = self._table("people").filter(
            pl.col("first_lead_at").is_null() & pl.col("first_paid_at").is_null() & pl.col("first_booked_at").is_null()
        )
        found = (
            self._table("contacts")
            .filter(pl.col("merged_into").is_null() & pl.col("gone_at").is_null() & pl.col("name").is_not_null())
            .select(written, "platform", "record_id", other="person_id")
            .join(names.lazy(), on="name", how="inner")
            .filter(pl.col("other") != pl.col("person_id"))
            .join(alone.select("person_id"), left_on="other", right_on="person_id", how="semi")
            .collect()
        )
        refs = found.select("person_id", namesake_ref=pl.concat_str("platform", "record_id", separator=":"))
        return refs.sort("person_id", "namesake_ref").unique("person_id", keep="first", maintain_order=True)

    def _table(self, name: str) -> pl.LazyFrame:
        return self.tables.get(name, pl.LazyFrame(schema=TABLES[name].schema))

    def _semi(self, name: str, people: pl.Series) -> pl.LazyFrame:
        table = self._table(name)
        there = table.collect_schema()
        lacking = {c: t for c, t in TABLES[name].schema.items() if c not in there} if name in KINDS else {}
        return table.with_columns(pl.lit(None, dtype=t).alias(c) for c, t in lacking.items()).filter(
            pl.col("person_id").is_in(people.implode())
        )


FALSE = pl.lit(value=False, dtype=BOOL)
