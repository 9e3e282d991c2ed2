"""How well people are told apart: the table identity_health, sister of source_health. It judges nobody."""

from collections.abc import Iterator, Sequence

import polars as pl

from journey_pipeline.identity.components import SAME_COMPANY, SAME_MAILBOX, SAME_PHONE, SURE
from journey_pipeline.identity.resolve import Identity
from journey_pipeline.registry import TABLES, TEXT

_RECORDS = (("1", 1), ("2", 2), ("3 to 5", 5), ("6 to 10", 10), ("11 to 50", 50), ("51 or more", None))
_EMAILS = (("0", 0), ("1", 1), ("2", 2), ("3 to 5", 5), ("6 or more", None))
# More than this of one person is worth a look: two or three addresses, a few phones and spellings are a life.
MOST_EMAILS, MOST_PHONES, MOST_NAMES = 5, 4, 4
_TOLD_BY = {"keys_demoted": "names or e-mails, on one of them", "taken_apart": "e-mails, were one person through them"}
_SHOWN = 100
"""Suspicious people listed; the rest are counted."""

Row = tuple[str, str, int, str | None]


def health(identity: Identity) -> pl.DataFrame:
    """The registry table: sizes, ties, keys demoted, suspicious people, suggestions, decisions."""
    rows = [
        *_sizes(identity.people), *_ties(identity.ties), *_demoted(identity.demoted), *_suspicious(identity.people),
        *_suggestions(identity.suggestions), *_decisions(identity.decided),
    ]  # fmt: skip
    table = TABLES["identity_health"]
    return pl.DataFrame(rows, schema=table.schema, orient="row").sort(table.key)


def _sizes(people: pl.DataFrame) -> Iterator[Row]:
    for figure, column, bands in (
        ("people_by_records", "record_count", _RECORDS), ("people_by_emails", "email_count", _EMAILS),
    ):  # fmt: skip
        for label, count in _banded(people[column], bands):
            yield figure, label, count, None
    held = pl.col("identity_confidence")
    weakest = people.select(
        pl.when(held == SURE).then(pl.lit("sure: same address, or told by a platform"))
        .when(held == SAME_MAILBOX).then(pl.lit("same mailbox written otherwise"))
        .when(held == SAME_PHONE).then(pl.lit("same phone"))
        .when(held == SAME_COMPANY).then(pl.lit("same name at one company"))
        .otherwise(pl.lit("probable link")).alias("tie")
    )  # fmt: skip
    for label, count in weakest["tie"].value_counts().sort("tie").iter_rows():
        yield "people_by_weakest_tie", label, count, None


def _banded(counts: pl.Series, bands: Sequence[tuple[str, int | None]]) -> Iterator[tuple[str, int]]:
    least = -1
    for label, most in bands:
        inside = (counts > least) & (counts <= most if most is not None else pl.repeat(True, counts.len(), eager=True))
        yield label, int(inside.sum())
        least = most if most is not None else least


def _ties(ties: pl.DataFrame) -> Iterator[Row]:
    kind = pl.col("key").cast(TEXT).str.extract(r"^([^:]+):", 1)
    counted = ties.group_by(kind.alias("kind"), pl.col("how").cast(TEXT)).len().sort("kind", "how")
    for kind_, how, count in counted.iter_rows():
        yield "ties", f"{kind_}, {how}", count, None


def _demoted(demoted: pl.DataFrame) -> Iterator[Row]:
    """By the type of key; those that were cut to take a person apart are told by themselves."""
    counted = (
        demoted.group_by(
            pl.when(pl.col("reason").str.ends_with("taken apart")).then(pl.lit("taken_apart"))
            .otherwise(pl.lit("keys_demoted")).alias("figure"),
            pl.col("key").str.extract(r"^([^:]+):", 1).alias("kind"),
        )
        .agg(pl.len(), pl.col("people_count").max()).sort("figure", "kind")
    )  # fmt: skip
    for figure, kind, count, most in counted.iter_rows():
        yield figure, kind, count, f"at most {most} people, by their {_TOLD_BY[figure]}"


def _suspicious(people: pl.DataFrame) -> Iterator[Row]:
    limits = {"email_count": MOST_EMAILS, "phone_count": MOST_PHONES, "name_count": MOST_NAMES}
    odd = people.filter(
        pl.any_horizontal(pl.col(c) > most for c, most in limits.items()) & ~pl.col("is_confirmed")
    ).sort("email_count", "name_count", "person_id", descending=[True, True, False])
    yield "suspicious", "people", odd.height, "more e-mails, phones or names than one person has; see each below"
    for row in odd.head(_SHOWN).iter_rows(named=True):
        told = f"{row['email_count']} e-mails, {row['phone_count']} phones, {row['name_count']} names: journey explain"
        yield "suspicious", row["person_id"], row["record_count"], f"{told} {row['person_id']}"


def _suggestions(suggestions: pl.DataFrame) -> Iterator[Row]:
    held_back = int(suggestions["against"].is_not_null().sum())
    yield "suggestions", "open", suggestions.height - held_back, "confirm or refuse them: journey links"
    yield "suggestions", "held back", held_back, "alike, but something speaks against it: journey links"


def _decisions(decided: pl.DataFrame) -> Iterator[Row]:
    known = decided.filter(pl.col("one").is_not_null() & pl.col("other").is_not_null())
    yield "decisions", "confirmed", known.filter("is_same").height, None
    yield "decisions", "refused", known.filter(~pl.col("is_same")).height, None
    unknown = decided.height - known.height
    yield "decisions", "of unknown records", unknown, "no record is called so; they decide nothing"
    overruled = known.filter(~pl.col("is_same") & (pl.col("one_person") == pl.col("other_person"))).height
    yield "decisions", "refused, yet tied", overruled, "a key of both ties them; exclude it: journey explain"
