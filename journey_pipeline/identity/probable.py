"""How likely two people are one, who share no certain key: Splink's model on DuckDB, trained on the people themselves.

`score` tells likelihoods and why; what is linked, suggested or refused is decided elsewhere. What is asked of two people
stands in questions.py, whom it is asked of in pairs.py. A likelihood is what the data itself bears out: docs/accuracy.md
has, for each set of people whose truth is known, how many of the links from 0.95 on and of the suggestions from 0.3 on are
right.

The same people give the same answer to the bit: one thread where sums are made, samples by hash, ties by number.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journey_pipeline.identity.pairs import EXTRA, further, pairs, traits
from journey_pipeline.identity.questions import QUESTIONS, Level, Question, of_columns
from journey_pipeline.registry import TEXT

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection
    from splink import Linker
    from splink.backends.duckdb import DuckDBAPI
    from splink.internals.splink_dataframe import SplinkDataFrame

Shares = npt.NDArray[np.float64]

LEAST_PEOPLE = 200
"""Below this nothing is scored: too few to tell a rare name from a common one."""
LEAST_SHOWN = 0.01
"""Pairs less likely than this aren't told."""

SAMPLED_PAIRS = 200_000
TRAINED_PAIRS = 100_000
PRIOR_PAIRS = 100
"""How many matching pairs the priors are worth: so many found in training weigh as much as they do."""
MOST_CHANGED = 4.0
"""Training changes no prior by more than this factor: a handful of odd pairs must not teach that names don't matter."""
LEAST_TRAINED = 30
"""Pairs alike in one respect, below which nothing is learnt from them."""
LEAST_SEEN = 20
"""Random pairs of a kind below which the prior is trusted more: one of them may have been one person's."""
TWINS, ROUNDS = (0.005, 3.0), 20
"""Pairs of one person per person: at least, at most, and how often the estimate is repeated."""
FIRST_PRIOR = 1e-4
SLICE = 250_000
"""Pairs weighed at once: Splink keeps what it compares of each of them."""
SEED = 1

_SCHEMA = {"left": pl.UInt32(), "right": pl.UInt32(), "probability": pl.Float64(), "because": TEXT}


def score(candidates: pl.DataFrame) -> pl.DataFrame:
    """left, right (numbers of two people, left < right), probability that they are one, because.

    `candidates`: one row per person: `person` (number), `names`, `emails`, `phones`, `companies` (normalised texts), and
    any further columns to compare them by (dates, numbers, places). Few people, or none alike, give no rows.
    """
    if candidates.height < LEAST_PEOPLE:
        return pl.DataFrame(schema=_SCHEMA)
    people = traits(candidates.filter(pl.any_horizontal(_is_told(candidates))))
    compared = pairs(people)
    if compared.is_empty():
        return pl.DataFrame(schema=_SCHEMA)
    asked = [*QUESTIONS, *of_columns(further(candidates))]
    with _quiet(), _database() as (database, connection):
        told = database.register(people.to_arrow(), table_name="people")
        learnt = _learnt(told, people, asked)
        connection.execute("reset threads")  # from here on each pair stands for itself
        weighed = _weighed(told, people, compared, learnt)
    weight = _posterior(weighed["weight"].to_numpy(), people.height)
    return (
        weighed.with_columns(probability=pl.lit(pl.Series(_likelihood(weight))).round(6), because=_because(asked))
        .filter(pl.col("probability") >= LEAST_SHOWN)
        .select(pl.col(c).cast(t) for c, t in _SCHEMA.items())
        .sort("left", "right")
    )


def _is_told(candidates: pl.DataFrame) -> Sequence[pl.Expr]:
    """Whether each column says anything: who is known by an id alone can be compared with nobody."""
    return [
        pl.col(c).list.len() > 0 if isinstance(t, pl.List) else pl.col(c).is_not_null()
        for c, t in candidates.schema.items()
        if c != "person"
    ]


@contextmanager
def _quiet() -> Iterator[None]:
    """Splink tells its progress, and what it compares, in its log."""
    log = logging.getLogger("splink")
    before, log.level = log.level, logging.CRITICAL
    try:
        yield
    finally:
        log.level = before


@contextmanager
def _database() -> Iterator[tuple["DuckDBAPI", "DuckDBPyConnection"]]:
    import duckdb  # noqa: PLC0415  half a second, and only where there is something to score
    from splink.backends.duckdb import DuckDBAPI  # noqa: PLC0415

    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        connection.execute("set enable_progress_bar = false")
        yield DuckDBAPI(connection), connection


def _linker(told: "SplinkDataFrame", asked: Sequence[Question]) -> "Linker":
    from splink import Linker  # noqa: PLC0415

    return Linker(told, _settings(asked), log_level=None, validate_settings=False)


def _settings(asked: Sequence[Question]) -> dict[str, Any]:
    """The model in Splink's own words."""
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "person",
        "probability_two_random_records_match": FIRST_PRIOR,
        "retain_matching_columns": True,
        "retain_intermediate_calculation_columns": False,
        "blocking_rules_to_generate_predictions": [],
        "comparisons": [
            {
                "output_column_name": question.name,
                "comparison_levels": [
                    {"sql_condition": question.unknown, "is_null_level": True},
                    *(_level(level) for level in question.levels),
                ],
            }
            for question in asked
        ],
    }


def _level(level: Level) -> dict[str, Any]:
    rarity = {"tf_adjustment_column": level.rare, "disable_tf_exact_match_detection": True} if level.rare else {}
    return {
        "sql_condition": level.when, "m_probability": level.same, "u_probability": level.other,
        "fix_u_probability": level.is_fixed, "fix_m_probability": level.is_fixed, **rarity,
    }  # fmt: skip


def _learnt(told: "SplinkDataFrame", people: pl.DataFrame, asked: Sequence[Question]) -> Sequence[Question]:
    """The questions with what the data says of them: `other` of random pairs, `same` of pairs alike in one respect."""
    sampled = _linker(told, asked)
    sampled.training.estimate_u_using_random_sampling(
        max_pairs=SAMPLED_PAIRS, seed=SEED, min_count_per_level=None, num_chunks=1
    )
    others = _told(sampled, "u_probability")
    asked = [
        replace(q, levels=[
            level if level.is_fixed else replace(level, other=_other(level, others.get((q.name, n))))
            for n, level in enumerate(q.levels)
        ])
        for q in asked
    ]  # fmt: skip
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for column, rule in _rules(people):
        sizes = people[column].drop_nulls().value_counts()["count"].cast(pl.Int64)
        count = int((sizes * (sizes - 1) // 2).sum())
        if count < LEAST_TRAINED:
            continue
        share, same = _trained(_linker(told, asked), rule, most=TRAINED_PAIRS if count > TRAINED_PAIRS else None)
        trained = {name for name, _level in same}
        if all(_agrees(question, same) for question in asked if question.name in trained):
            for key, value in same.items():
                found.setdefault(key, []).append((share * min(count, TRAINED_PAIRS), value))
    return [_blended(question, found) for question in asked]


def _trained(linker: "Linker", rule: str, most: int | None) -> tuple[float, Mapping[tuple[str, int], float]]:
    """The share of the rule's pairs that are one person's, and how they compare; nothing where hardly any are."""
    try:
        session = linker.training.estimate_parameters_using_expectation_maximisation(
            rule, estimate_without_term_frequencies=True, max_pairs=most
        )
    except ValueError:  # a probability so small that Splink can't hold it: the share went to nothing
        return 0.0, {}
    core = session.core_model_settings
    trained = {comparison.output_column_name for comparison in core.comparisons}
    same = {key: value for key, value in _told(linker, "m_probability").items() if key[0] in trained}
    return core.probability_two_random_records_match, same


def _agrees(question: Question, same: Mapping[tuple[str, int], float]) -> bool:
    """Whether those whom training took for one person agree at all: it may take all namesakes of a firm for one."""
    levels = [(n, level) for n, level in enumerate(question.levels) if level.says and not level.is_fixed]
    return 2 * sum(same[question.name, n] for n, _level in levels) >= sum(level.same for _n, level in levels)


def _other(level: Level, sampled: float | None) -> float:
    if sampled is None:
        return level.other
    return sampled if sampled * SAMPLED_PAIRS >= LEAST_SEEN else min(sampled, level.other)


def _told(linker: "Linker", which: str) -> Mapping[tuple[str, int], float]:
    """(question, level) -> the probability that the model learnt; without those that it never met."""
    return {
        (comparison["output_column_name"], n): float(level[which])
        for comparison in linker.misc.save_model_to_json()["comparisons"]
        for n, level in enumerate(each for each in comparison["comparison_levels"] if not each.get("is_null_level"))
        if which in level
    }


def _rules(people: pl.DataFrame) -> Sequence[tuple[str, str]]:
    """Column -> the rule that pairs people alike in it; naming a question's columns keeps that question out."""
    extras = sorted((c for c in people.columns if c.startswith(EXTRA)), key=lambda c: (-people[c].n_unique(), c))
    return [
        ("name", "l.name = r.name and l.stems is not null"),
        ("local", "l.local = r.local and l.tags is not null"),
        ("place", "l.place = r.place"),
        *((c, f"l.{c} = r.{c}") for c in extras[:2]),
    ]


def _blended(question: Question, found: Mapping[tuple[str, int], Sequence[tuple[float, float]]]) -> Question:
    """The prior and what was learnt, each by its number of pairs; no more than so far from the prior."""

    def mean(n: int, level: Level) -> float:
        parts = [(PRIOR_PAIRS, level.same), *found.get((question.name, n), ())]
        learnt = sum(count * share for count, share in parts) / sum(count for count, _share in parts)
        return min(max(learnt, level.same / MOST_CHANGED), level.same * MOST_CHANGED)

    same = [level.same if level.is_fixed else mean(n, level) for n, level in enumerate(question.levels)]
    fixed = sum(level.same for level in question.levels if level.is_fixed)
    scale = (1 - fixed) / (sum(same) - fixed)
    levels = zip(question.levels, same, strict=True)
    return replace(question, levels=[lv if lv.is_fixed else replace(lv, same=s * scale) for lv, s in levels])


def _weighed(
    told: "SplinkDataFrame", people: pl.DataFrame, compared: pl.DataFrame, asked: Sequence[Question]
) -> pl.DataFrame:
    """left, right, weight (bits for being one person, prior apart), and the level of each question, 0 the best."""
    linker, database = _linker(told, asked), told.db_api
    for column in dict.fromkeys(level.rare for q in asked for level in q.levels if level.rare):
        linker.table_management.register_term_frequency_lookup(database.register(_rarity(people, column)), column)
    ids = compared.select(match_key=pl.lit("0"), join_key_l="left", join_key_r="right")
    prior = float(np.log2(FIRST_PRIOR / (1 - FIRST_PRIOR)))
    parts = []
    for part in ids.iter_slices(SLICE):
        registered = database.register(part.to_arrow())
        linker.table_management.register_blocked_pairs_for_predict(registered)
        scored = linker.inference.predict(warning_mode="never")
        levels = {q.name: pl.col(f"gamma_{q.name}") for q in asked}
        kept = scored.as_duckdbpyrelation().project(
            ", ".join(["person_l", "person_r", "match_weight", *(f"gamma_{name}" for name in levels)])
        )
        table: pl.DataFrame = kept.pl()
        parts.append(
            table.select(
                pl.col("person_l").alias("left"),
                pl.col("person_r").alias("right"),
                weight=pl.col("match_weight") - prior,
                **{q.name: (len(q.levels) - 1 - levels[q.name]).cast(pl.Int8) for q in asked},
            )
        )
        scored.drop_table_from_database_and_remove_from_cache()
    return pl.concat(parts).sort("left", "right")


def _rarity(people: pl.DataFrame, column: str) -> "pa.Table":
    """How likely it is that another person bears a value too: its bearers but one, among all."""
    values = people.select(column).drop_nulls()
    others = pl.max_horizontal(pl.len() - 1, 1) / values.height
    return values.group_by(column).agg(others.alias(f"tf_{column}")).sort(column).to_arrow()


def _posterior(weight: Shares, people: int) -> Shares:
    """Weight with the prior: the share of all pairs that are one person's, which is what makes the likelihoods add up."""
    every = people * (people - 1) / 2
    matches = people * TWINS[0]
    for _round in range(ROUNDS):
        expected = float(_likelihood(weight + np.log2(matches / every)).sum())
        matches = min(max(expected, people * TWINS[0]), people * TWINS[1])
    posterior: Shares = weight + np.log2(matches / every)
    return posterior


def _likelihood(weight: Shares) -> Shares:
    odds: Shares = np.exp2(np.clip(weight, -60, 60))
    likely: Shares = odds / (1 + odds)
    return likely


def _because(asked: Sequence[Question]) -> pl.Expr:
    """What agreed, in words."""
    said = [
        pl.col(q.name).replace_strict(
            range(len(q.levels)), [level.says or None for level in q.levels], default=None, return_dtype=TEXT
        )
        for q in asked
    ]
    return pl.concat_str(said, separator=", ", ignore_nulls=True)
