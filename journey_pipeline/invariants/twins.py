"""The second judging: people with a suggested twin, judged as if the two were one (docs/definitions.md, Verdicts).

What is broken either way is broken; what the twin would mend is unknown. Who is whose twin is identity's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import polars as pl

from journey_pipeline.invariants import verdicts
from journey_pipeline.invariants.judged import Judged
from journey_pipeline.model import Rule
from journey_pipeline.registry import TABLES, TIME

Tables = Mapping[str, pl.LazyFrame]
Rebuilt = Callable[[pl.DataFrame], Tables]
"""person_id, as_person_id of some people -> the tables of these people, each taken for that person."""


class _Judging(Protocol):
    @property
    def as_of(self) -> object: ...

    def steps(self, rule: Rule, columns: Sequence[str]) -> verdicts.Steps: ...


def prepared(table: str, tables: Tables) -> pl.LazyFrame:
    """A table as rules see it: what is laid out of a person has the suggested twin of the person."""
    frame = tables[table]
    columns = frame.collect_schema()
    if "twin_person_id" in columns or "person_id" not in columns or TABLES[table].room != "journeys":
        return frame
    twins = tables["people"].select("person_id", "twin_person_id").filter(pl.col("twin_person_id").is_not_null())
    known = twins.collect()
    if known.is_empty():
        return frame
    return frame.join(known.lazy(), on="person_id", how="left", validate="m:1", maintain_order="left")


def judged_again(
    judged: Mapping[str, Judged], rules: Sequence[Rule], judging: _Judging, rebuilt: Rebuilt
) -> dict[str, Judged]:
    """The verdicts, with `broken` where a twin had made it unknown but would not mend it."""
    doubtful = {rule.name: _doubtful(rule, judged[rule.on]) for rule in rules}
    asked = [rule for rule in rules if doubtful[rule.name].height]
    if not asked:
        return dict(judged)
    twins = pl.concat([doubtful[rule.name].select("person_id", "twin_person_id") for rule in asked]).unique()
    everyone = pl.concat([twins["person_id"], twins["twin_person_id"]]).unique().sort()
    apart = rebuilt(pl.DataFrame({"person_id": everyone, "as_person_id": everyone}))
    alone = {rule.name: _verdicts(rule, apart, judging) for rule in asked}
    broken: dict[str, list[pl.Series]] = {rule.name: [] for rule in asked}
    for pairs in _rounds(twins):
        united = rebuilt(_taken_for(pairs))
        for rule in asked:
            rows = doubtful[rule.name].join(_taken_for(pairs), on="person_id", how="inner", maintain_order="left")
            rows = rows.join(pairs, on=["person_id", "twin_person_id"], how="semi", maintain_order="left")
            broken[rule.name].append(_unmended(rule, rows, alone[rule.name], _verdicts(rule, united, judging)))
    is_broken = {
        rule.name: pl.when(pl.col("row").is_in(pl.concat(broken[rule.name]).implode()))
        .then(pl.lit("broken", dtype=verdicts.VERDICT)).otherwise(rule.name).alias(rule.name)
        for rule in asked
    }  # fmt: skip
    return {
        table: Judged(of.rows.with_columns(is_broken[r.name] for r in asked if r.on == table), of.steps)
        for table, of in judged.items()
    }


def _doubtful(rule: Rule, judged: Judged) -> pl.DataFrame:
    """The rows that a twin made unknown."""
    if "twin_person_id" not in judged.rows.columns:
        return pl.DataFrame(schema={"row": pl.UInt32()})
    by_twin = judged.steps[rule.name].why_unknown.str.starts_with("identity:")
    return (
        judged.having(rule, "unknown")
        .filter(by_twin)
        .select("row", "person_id", "twin_person_id", *(c for c in TABLES[rule.on].key if c != "person_id"))
    )


def _verdicts(rule: Rule, tables: Tables, judging: _Judging) -> pl.DataFrame:
    """The key of the rule's table, and `verdict`."""
    frame = tables[rule.on]
    found = judging.steps(rule, frame.collect_schema().names()).verdict
    return (
        frame.with_columns(as_of=pl.lit(judging.as_of, dtype=TIME))
        .select(*TABLES[rule.on].key, verdict=found)
        .collect()
    )


def _unmended(rule: Rule, rows: pl.DataFrame, alone: pl.DataFrame, united: pl.DataFrame) -> pl.Series:
    """The rows that are broken as one, too; and those whose fault can't be seen in these people alone."""
    key = list(TABLES[rule.on].key)
    both = rows.join(alone, on=key, how="left", nulls_equal=True, maintain_order="left").join(
        united.rename({"verdict": "as_one"}),
        left_on=["as_person_id" if c == "person_id" else c for c in key], right_on=key,
        how="left", nulls_equal=True, maintain_order="left",
    )  # fmt: skip
    is_mended = pl.col("verdict").eq_missing(pl.lit("broken", dtype=verdicts.VERDICT)) & pl.col("as_one").ne_missing(
        pl.lit("broken", dtype=verdicts.VERDICT)
    )
    return both.filter(~is_mended)["row"]


def _taken_for(pairs: pl.DataFrame) -> pl.DataFrame:
    """person_id, as_person_id of everybody in some pairs: both are taken for the one of the least id."""
    least = pl.min_horizontal("person_id", "twin_person_id").alias("as_person_id")
    sides = [pairs.select(person_id=side, as_person_id=least) for side in ("person_id", "twin_person_id")]
    return pl.concat(sides).unique().sort("person_id")


def _rounds(twins: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The pairs in rounds in which nobody stands in two: who has several possible selves is judged with one at a time."""
    left = sorted({(min(pair), max(pair)) for pair in twins.iter_rows()})
    while left:
        used: set[str] = set()
        now: list[tuple[str, str]] = []
        later: list[tuple[str, str]] = []
        for pair in left:
            (later if used & set(pair) else now).append(pair)
            used |= set(pair)
        both = [*now, *((b, a) for a, b in now)]
        yield pl.DataFrame(both, schema=["person_id", "twin_person_id"], orient="row")
        left = later
