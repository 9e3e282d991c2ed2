"""Money at risk (docs/definitions.md): how much, in which currency, and on which payments it stands. Totals count each once.

Amounts of two currencies are never added. What is at risk is said by each rule, in the catalogue.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.invariants import language
from journey_pipeline.invariants.sources import per_offer
from journey_pipeline.invariants.subjects import Records, singular
from journey_pipeline.invariants.waivers import subject
from journey_pipeline.model import Rule, Settings
from journey_pipeline.registry import KINDS, MONEY_REFS, TABLES, TEXT

_TOTALS = ("at_risk_minor", "expected_minor", "waived_minor", "waived_expected_minor")

# Which records an amount may stand on, the room that each has, and the order in which they are filled.
_STANDS_ON: Mapping[str, tuple[str, str, str, bool]] = {
    "payment": ("payments", "is_primary and status = 'succeeded' and currency = row_risk_currency", "amount_minor", True),
    "sale": ("payments", "is_primary and status = 'succeeded' and sale_id = row_sale_id", "amount_minor", True),
    "subscription": ("subscriptions", "is_primary and is_live", "amount_minor", False),
    "access": ("access", "is_open", "", True),
}  # fmt: skip


def amount(rule: Rule) -> pl.Expr:
    """What is at risk on a row: rounded half up, never below 0; null where the rule has none."""
    if rule.at_risk is None:
        return pl.lit(None, dtype=pl.Int64)
    return (language.condition(rule.at_risk) + 0.5).floor().cast(pl.Int64).clip(lower_bound=0)


def currency(rule: Rule, settings: Settings) -> pl.Expr:
    """The currency of the amount; the business's where the row has none."""
    home = pl.lit(settings.business.currency)
    named = language.columns(rule.at_risk or "", rule.on)
    if not named:
        return home
    if "offer_price_minor" in named and rule.on == "buyer_journeys":
        prices: dict[str | None, str] = {None: settings.business.currency}
        prices |= {offer.id: offer.price.currency for offer in settings.offers if offer.price}
        return per_offer(prices, TEXT, has_offer=True)
    if set(named) & {"expected_minor", "lifetime_minor"}:
        return home
    column = "agreed_currency" if "agreed_minor" in named else "currency"
    return pl.col(column).fill_null(home) if column in TABLES[rule.on].schema else home


def asks(rule: Rule) -> list[tuple[str, str]]:
    """(kind, what is read of it) of the records that the rule's amount stands on, beside the row itself."""
    stands_on = _stands_on(rule)
    if rule.at_risk is None or stands_on not in _STANDS_ON:
        return []
    kind, which, room, _ = _STANDS_ON[stands_on]
    return [(kind, f"{which} {room} net_minor")]


def refs(rule: Rule, rows: pl.DataFrame, records: Records) -> pl.DataFrame:
    """(row, money_refs) of broken rows that have `at_risk_minor` and `risk_currency`."""
    rows = rows.filter(pl.col("at_risk_minor").is_not_null())
    whole = rows.select("row", ref=_own_ref(rule), amount_minor="at_risk_minor")
    stands_on = _stands_on(rule)
    if stands_on in _STANDS_ON and not rows.is_empty():
        parts = _filled(rule, rows, records, stands_on)
        whole = pl.concat([parts, whole.join(parts, on="row", how="anti")])
    return (
        whole.filter(pl.col("amount_minor") > 0)
        .group_by("row", maintain_order=True)
        .agg(pl.struct("ref", "amount_minor").alias("money_refs"))
        .with_columns(pl.col("money_refs").cast(MONEY_REFS))
    )


def _stands_on(rule: Rule) -> str:
    if rule.on in KINDS and rule.refs in (None, singular(rule.on)):
        return "row"
    if rule.refs is not None:
        return rule.refs
    return "person" if rule.at_risk_kind == "expected" else "payment"


def _own_ref(rule: Rule) -> pl.Expr:
    if rule.refs == "person" and "person_id" in TABLES[rule.on].schema:
        return spelled("person:{}", "person_id")
    if rule.on in KINDS:
        return spelled(f"{singular(rule.on)}:{{}}:{{}}", "platform", "record_id")
    return subject(rule.on)


def _filled(rule: Rule, rows: pl.DataFrame, records: Records, stands_on: str) -> pl.DataFrame:
    """The amount poured over the records, newest (or cheapest) first; what is left over stands on the first."""
    kind, which, room, is_newest_first = _STANDS_ON[stands_on]
    if stands_on == "payment" and rule.at_risk_kind == "paid":
        which, room = f"{which} and net_minor > 0", "net_minor"
    found = records.of(rule, rows, kind, which).sort(
        "row", "occurred_at" if is_newest_first else room, "platform", "record_id",
        descending=[False, is_newest_first, False, False],
    )  # fmt: skip
    amounts = found.join(rows.select("row", "at_risk_minor"), on="row", how="left", maintain_order="left").select(
        "row",
        "at_risk_minor",
        ref=spelled(f"{singular(kind)}:{{}}:{{}}", "platform", "record_id"),
        room=pl.col(room).fill_null(0) if room else pl.lit(0, dtype=pl.Int64),
    )
    before = pl.col("room").cum_sum().over("row") - pl.col("room")
    poured = (pl.col("at_risk_minor") - before).clip(lower_bound=0)
    left_over = (pl.col("at_risk_minor") - pl.col("room").sum().over("row")).clip(lower_bound=0)
    is_first = pl.int_range(pl.len()).over("row") == 0
    taken = pl.min_horizontal(poured, "room") + pl.when(is_first).then(left_over).otherwise(0)
    return amounts.select("row", "ref", amount_minor=taken)


def per_ref(findings: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Sums per group in which each ref counts once, with the greatest amount that any finding puts on it."""
    return (
        findings.select(*by, "money_refs")
        .explode("money_refs", empty_as_null=False, keep_nulls=False)
        .unnest("money_refs")
        .group_by(*by, "ref")
        .agg(pl.col("amount_minor").max())
        .group_by(by)
        .agg(pl.col("amount_minor").sum())
    )


def totals(findings: pl.DataFrame, *, first: str) -> pl.DataFrame:
    """One row per currency, `first` (the business's) before the others: open and waived, real and expected apart."""
    is_expected, is_waived = pl.col("at_risk_kind") == "expected", pl.col("status") == "waived"
    total = (
        pl.when(is_waived & is_expected).then(pl.lit("waived_expected_minor"))
        .when(is_waived).then(pl.lit("waived_minor"))
        .when(is_expected).then(pl.lit("expected_minor"))
        .otherwise(pl.lit("at_risk_minor"))
    )  # fmt: skip
    sums = per_ref(
        findings.filter((pl.col("status") != "resolved") & pl.col("at_risk_minor").is_not_null()).with_columns(
            total=total
        ),
        ["currency", "total"],
    )
    return (
        sums.group_by("currency")
        .agg(pl.col("amount_minor").filter(pl.col("total") == name).sum().alias(name) for name in _TOTALS)
        .sort(pl.col("currency") != first, "currency")
    )
