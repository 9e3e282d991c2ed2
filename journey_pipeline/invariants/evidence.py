"""What is shown of a broken row: the records that contradict each other, as a sentence, and what to do about it.

Why it broke is causes', what is at stake is money's. No personal data: records are named by their ids.
"""

import re

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.invariants import language
from journey_pipeline.invariants.sources import SourceNeeds, per_offer
from journey_pipeline.invariants.subjects import Records, singular
from journey_pipeline.model import Rule
from journey_pipeline.registry import KINDS, TABLES, TEXT, TEXTS

_PART = pl.Schema({"row": pl.UInt32(), "order": pl.Int32(), "phrase": TEXT, "platform": TEXT, "record_id": TEXT,
                   "url": TEXT})  # fmt: skip
_CLOCK = "%Y-%m-%d %H:%M UTC"


def facts(rule: Rule) -> tuple[str, ...]:
    """The columns whose values are told: those that the rule lists; where it tells of no record, those it compares."""
    if rule.evidence or rule.records or rule.source:
        return rule.evidence
    table = TABLES[rule.on]
    named = [c for text in (rule.when, rule.then) for c in language.columns(text, rule.on)]
    return tuple(c for c in dict.fromkeys(named) if not table.column(c).is_personal and table.schema[c] != TEXTS)


def of(rule: Rule, rows: pl.DataFrame, records: Records, sources: SourceNeeds) -> pl.DataFrame:
    """(row, evidence, evidence_refs, and the first record's platform, record_id and url) of broken rows."""
    parts = [pl.DataFrame(schema=_PART)]
    if rule.on in KINDS:
        parts.append(_phrased(rows.select("row", "occurred_at", "platform", "record_id", "url"), rule.on, 0))
    shown = 1 if len(rule.records) > 1 or rule.on in KINDS else 2
    for order, (kind, which) in enumerate(rule.records.items(), start=1):
        found = (
            records.of(rule, rows, kind, which)
            .sort(
                (pl.col("occurred_at") - pl.coalesce("row_since", "as_of")).abs(),
                "occurred_at",
                "platform",
                "record_id",
            )
            .group_by("row", maintain_order=True)
            .head(shown)
        )
        parts += [
            _phrased(found, kind, order),
            _missing(rule, rows.join(found, on="row", how="anti"), kind, order, sources),
        ]
    told = facts(rule)
    if told:
        values = pl.concat_str([_fact(rule, column) for column in told], separator=", ")
        parts.append(rows.select("row", order=pl.lit(len(rule.records) + 1, dtype=pl.Int32()), phrase=values))
    every = pl.concat(parts, how="diagonal").sort("row", "order", maintain_order=True)
    named = pl.col("record_id").is_not_null()
    return (
        every.group_by("row", maintain_order=True)
        .agg(
            evidence=pl.col("phrase").str.join("; "),
            evidence_refs=spelled("{}:{}", pl.col("platform").filter(named), pl.col("record_id").filter(named)),
            platform=pl.col("platform").filter(named).first(),
            record_id=pl.col("record_id").filter(named).first(),
            url=pl.col("url").filter(named).first(),
        )
        .with_columns(pl.col("evidence_refs").cast(TEXTS))
    )


def fix(rule: Rule, sources: SourceNeeds) -> pl.Expr:
    """The rule's `fix` with its placeholders filled: a column of the row, or the platforms that should say a kind."""
    pieces = re.split(r"\{(\w+)\}", rule.fix or "Review it.")
    filled = [
        pl.lit(piece) if i % 2 == 0 else _platforms(rule, piece, sources) if piece in KINDS else _value(rule, piece)
        for i, piece in enumerate(pieces)
    ]
    return pl.concat_str(filled)


def _phrased(found: pl.DataFrame, kind: str, order: int) -> pl.DataFrame:
    return found.select(
        "row",
        order=pl.lit(order, dtype=pl.Int32()),
        phrase=spelled(
            f"{singular(kind)} {{}}:{{}} of {{}}", "platform", "record_id", pl.col("occurred_at").dt.strftime(_CLOCK)
        ),
        platform="platform",
        record_id="record_id",
        url="url",
    )


def _missing(rule: Rule, rows: pl.DataFrame, kind: str, order: int, sources: SourceNeeds) -> pl.DataFrame:
    since = pl.col("since").dt.strftime(" since " + _CLOCK).fill_null("")
    return rows.select(
        "row",
        order=pl.lit(order, dtype=pl.Int32()),
        phrase=spelled(f"no {singular(kind)} on {{}} for this person{{}}", _platforms(rule, kind, sources), since),
    )


def _platforms(rule: Rule, kind: str, sources: SourceNeeds) -> pl.Expr:
    names = {offer_id: sources.platforms(kind, offer_id) for offer_id in (None, *sources.offers)}
    return per_offer(names, TEXT, has_offer="offer_id" in TABLES[rule.on].schema)


def _fact(rule: Rule, column: str) -> pl.Expr:
    """A column and its value; of our own rules in words (`access_lost_at` -> `access lost`), of a user's as written."""
    words = column.removesuffix("_at").replace("_", " ") if rule.source else column
    return pl.concat_str(pl.lit(f"{words} "), _value(rule, column))


def _value(rule: Rule, column: str) -> pl.Expr:
    dtype = TABLES[rule.on].schema[column]
    value = pl.col(column)
    if dtype.is_float():
        value = value.round(2)
    text = value.dt.strftime(_CLOCK) if isinstance(dtype, pl.Datetime) else value.cast(TEXT)
    return text.fill_null("unknown")
