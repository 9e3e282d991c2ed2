"""Splink as its own documentation sets it up, for comparison: its comparisons, rules, training and threshold.

Deduplicate 1,000 (fake_1000) and febrl3 follow the examples of that name; the sandbox, of which there is none, has the
library's name and e-mail comparisons and exact phones, on distinct triples of the three.
"""

import logging
from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import polars as pl
import splink.comparison_library as cl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from splink import Linker, SettingsCreator, block_on
from splink.backends.duckdb import DuckDBAPI

THRESHOLD = 0.95


def fake_1000(records: pl.DataFrame) -> pl.Series:
    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="row",
        comparisons=[
            cl.NameComparison("first_name"),
            cl.NameComparison("surname"),
            cl.LevenshteinAtThresholds("dob", 1),
            cl.ExactMatch("city").configure(term_frequency_adjustments=True),
            cl.EmailComparison("email"),
        ],
        blocking_rules_to_generate_predictions=[block_on("first_name", "city"), block_on("surname")],
    )
    sure = [
        block_on("first_name", "dob"),
        "l.first_name = r.first_name and levenshtein(r.surname, l.surname) <= 2",
        block_on("email"),
    ]
    return _told(records, settings, sure, 0.7, [block_on("first_name", "surname"), block_on("dob")])


def febrl3(records: pl.DataFrame) -> pl.Series:
    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="row",
        comparisons=[
            cl.NameComparison("given_name"),
            cl.NameComparison("surname"),
            cl.DamerauLevenshteinAtThresholds("date_of_birth", [1, 2]),
            cl.DamerauLevenshteinAtThresholds("soc_sec_id", [2]),
            cl.ExactMatch("street_number").configure(term_frequency_adjustments=True),
            cl.ExactMatch("postcode").configure(term_frequency_adjustments=True),
        ],
        blocking_rules_to_generate_predictions=[
            block_on("soc_sec_id"), block_on("given_name"), block_on("surname"), block_on("date_of_birth"),
            block_on("postcode"),
        ],
    )  # fmt: skip
    sure = [
        block_on("soc_sec_id"),
        block_on("given_name", "surname", "date_of_birth"),
        "l.given_name = r.surname and l.surname = r.given_name and l.date_of_birth = r.date_of_birth",
    ]
    return _told(records, settings, sure, 0.9, [block_on("date_of_birth"), block_on("postcode")])


def sandbox(records: pl.DataFrame) -> pl.Series:
    triples = records.select("name", "email", "phone").unique(maintain_order=True).with_row_index("row")
    said = triples.filter(pl.any_horizontal(pl.col("name", "email", "phone").is_not_null()))
    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="row",
        comparisons=[
            cl.NameComparison("name"),
            cl.EmailComparison("email"),
            cl.ExactMatch("phone").configure(term_frequency_adjustments=True),
        ],
        blocking_rules_to_generate_predictions=[block_on("email"), block_on("phone"), block_on("name")],
    )
    told = _told(
        said, settings, [block_on("email"), block_on("name", "phone")], 0.8, [block_on("email"), block_on("name")]
    )
    known = triples.join(said.select("row", told=told), on="row", how="left")
    # A record that says none of the three is somebody of its own.
    alone = pl.int_range(pl.len(), dtype=pl.Int64) + triples.height
    joined = records.join(known, on=["name", "email", "phone"], how="left", nulls_equal=True, maintain_order="left")
    return joined.select(pl.coalesce(pl.col("told").cast(pl.Int64), alone))["told"]


def _told(
    records: pl.DataFrame, settings: SettingsCreator, sure: Sequence[Any], recall: float, trained: Sequence[Any]
) -> pl.Series:
    """The cluster of each record."""
    logging.getLogger("splink").setLevel(logging.CRITICAL)
    with duckdb.connect(":memory:") as connection:
        connection.execute("set enable_progress_bar = false")
        database = DuckDBAPI(connection)
        linker = Linker(database.register(records.to_arrow(), table_name="records"), settings, log_level=None)
        linker.training.estimate_probability_two_random_records_match(list(sure), recall=recall)
        linker.training.estimate_u_using_random_sampling(max_pairs=2e6, seed=1)
        for rule in trained:
            linker.training.estimate_parameters_using_expectation_maximisation(rule)
        pairs = linker.inference.predict(threshold_match_probability=THRESHOLD, warning_mode="never")
        links: pl.DataFrame = pairs.as_duckdbpyrelation().pl()
    return clusters(records["row"], links.select(left="row_l", right="row_r"))


def clusters(people: pl.Series, links: pl.DataFrame) -> pl.Series:
    """The number of the cluster of each of them, in their order."""
    place = {person: n for n, person in enumerate(people)}
    ends = [np.array([place[p] for p in links[side]], np.int64) for side in ("left", "right")]
    ties = coo_array((np.ones(links.height, bool), (ends[0], ends[1])), shape=(len(place), len(place)))
    return pl.Series("told", connected_components(ties, directed=False)[1])
