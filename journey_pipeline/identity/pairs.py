"""Which people are worth comparing, and by what: `traits` of each, `pairs` that share a rare one. No verdict on any.

Comparing all with all is out of the question, so two people are compared where they share a *block*: something that few
bear. A block of more than `CROWD` people is passed over; their number thus grows as the number of people does.
"""

from collections.abc import Sequence
from itertools import combinations

import polars as pl

from journey_pipeline.identity import normalise
from journey_pipeline.registry import TEXT

KNOWN = ("names", "emails", "phones", "companies")
EXTRA = "extra_"
LEAST_COMMON, COMMON = 3, 1 / 20_000  # bearers of a word that is common: so many, and such a share of all
CROWD = 30  # bearers of a block: more of them say little of any two, and cost pairs by the square

# Mailboxes of these hosts tell nothing of whom somebody works for; nor do those of a host that so many people use.
FREE_MAIL = (
    "aol", "fastmail", "gmail", "gmx", "googlemail", "hotmail", "icloud", "live", "mac", "mail", "me", "msn", "outlook",
    "pm", "posteo", "proton", "protonmail", "web", "yahoo", "yandex",
)  # fmt: skip
LEAST_FREE, FREE = 50, 0.005
_LEGAL = r"\b(ab|ag|bv|co|company|corp|corporation|gmbh|group|holdings?|inc|limited|llc|llp|ltd|plc|pty|sa|sas|srl)\b"
_LONGEST_LOCAL, _LONGEST_NAME, _LONGEST_PHONE = 24, 28, 16
_LEAST_WORD, _LEAST_LOCAL, _LEAST_NAME = 3, 6, 8  # a shorter text with one letter less is half the world's


def traits(candidates: pl.DataFrame) -> pl.DataFrame:
    """What people are compared by, one row each in the order of `person`.

    Lists: names (of two words or more; the address may tell the half that lacks), words, odd_words
    (that hardly anybody bears), stems (first letters of words),
    emails, own_locals (what stands before the @, where it says more than a name), bare_locals (its letters alone), tags
    (its digits), offices (mail domains that aren't everybody's, their first word), phones, tails (last digits), companies; `…_forms`: a text
    with one letter left out, as numbers: who shares one is a letter apart.
    Single: name (the fullest), local (a mailbox name that says more),
    place (whom they work for, by company or mail domain), and `extra_0`, `extra_1` … of each further column, as text.
    """
    people = candidates.sort("person").select(
        "person", *(pl.col(c).cast(pl.List(TEXT)).fill_null([]) for c in KNOWN), *_extras(candidates)
    )
    mail, phone = _mail(people), people.select("person", text="phones").explode("text").drop_nulls()
    name = _names(people, mail)
    words = name.with_columns(word=pl.col("text").str.split(" ")).explode("word").unique(["person", "word"])
    mail, full = _with_own(mail, words), name.filter(pl.col("text").str.contains(" "))
    parts = [
        _listed(full, names=pl.col("text"), name_forms=_shortened(pl.col("text"), _LEAST_NAME, _LONGEST_NAME)),
        _first(name.sort("person", *_fullness(pl.col("text")), descending=[False, True, True, False]), name="text"),
        _listed(words, words=pl.col("word"), stems=pl.col("word").str.slice(0, 3), odd_words=_odd(words)),
        _listed(mail, own_locals=pl.when("is_own").then("local"), tags=pl.col("tag"), offices=pl.col("office"),
                bare_locals=pl.col("local").str.replace_all(r"\PL", ""),
                email_forms=_shortened(pl.col("local"), _LEAST_LOCAL, _LONGEST_LOCAL, tail=pl.col("domain"))),
        _first(mail.filter("is_own").sort("person", "local"), local="local"),
        _listed(phone, phone_forms=_masked(pl.col("text")), tails=pl.col("text").str.slice(-4)),
        _place(people, mail),
    ]  # fmt: skip
    people = people.drop("names")
    for part in parts:
        people = people.join(part, on="person", how="left", validate="1:1", maintain_order="left")
    return people.with_columns(pl.when(pl.col(c).list.len() > 0).then(c) for c in KNOWN)


def further(candidates: pl.DataFrame) -> Sequence[str]:
    """The columns beside those that everybody has."""
    return [c for c in candidates.columns if c not in (*KNOWN, "person")]


def _extras(candidates: pl.DataFrame) -> Sequence[pl.Expr]:
    clean = [pl.col(c).cast(TEXT).str.strip_chars().str.to_lowercase() for c in further(candidates)]
    return [pl.when(text != "").then(text).alias(EXTRA + str(n)) for n, text in enumerate(clean)]


def _mail(people: pl.DataFrame) -> pl.DataFrame:
    """person, local, domain, office (the domain's first word, if it isn't everybody's) of each address that isn't a role's."""
    parts = pl.col("text").str.splitn("@", 2).struct
    many = max(LEAST_FREE, int(people.height * FREE))
    is_free = pl.col("domain").str.extract(r"^([^.]+)").is_in(FREE_MAIL) | (pl.len().over("domain") > many)
    return (
        people.select("person", text="emails").explode("text").drop_nulls()
        .select("person", local=parts.field("field_0").str.replace(r"\+.*$", ""), domain=parts.field("field_1"))
        .filter(~pl.col("local").is_in(normalise.ROLES))
        .with_columns(office=pl.when(~is_free).then(pl.col("domain").str.extract(r"^([\p{L}\p{N}]{2,})")))
    )  # fmt: skip


def _names(people: pl.DataFrame, mail: pl.DataFrame) -> pl.DataFrame:
    """person, text: the names of each, without those that say less than another; the address tells the half that lacks."""
    told = people.select("person", text="names").explode("text").drop_nulls()
    told = told.filter(pl.col("text").str.contains(" ") | ~pl.col("text").str.contains(" ").any().over("person"))
    half = told.filter(~pl.col("text").str.contains(" "))
    written = mail.select("person", part=pl.col("local").str.extract_all(r"\p{L}{3,}")).explode("part").drop_nulls()
    other = pl.col("part").str.strip_prefix(pl.col("text")).str.strip_suffix(pl.col("text"))
    read = (
        half.join(written, on="person")
        .filter(other.str.len_chars() >= _LEAST_WORD)
        .select("person", text=pl.concat_list("text", other).list.sort().list.join(" "))
    )
    return pl.concat([told, read]).unique()


def _with_own(mail: pl.DataFrame, words: pl.DataFrame) -> pl.DataFrame:
    """The addresses with their tag (digits), and whether they say more than a name (is_own)."""
    named = (
        mail.join(words, on="person", how="inner")
        .filter(
            pl.col("word").str.len_chars() >= _LEAST_WORD, pl.col("local").str.contains(pl.col("word"), literal=True)
        )
        .select("person", "local", is_named=True)
        .unique()
    )
    tag = pl.col("local").str.extract(r"([0-9]{2,})")
    return (
        mail.join(named, on=["person", "local"], how="left", maintain_order="left")
        .with_columns(tag=tag, is_own=pl.col("is_named").is_null() | tag.is_not_null())
        .drop("is_named")
    )


def _odd(words: pl.DataFrame) -> pl.Expr:
    """A word of a name that few bear: a typo, or rare. Two common words a letter apart (Gary, Mary) are two people's."""
    few = max(LEAST_COMMON - 1, int(words["person"].n_unique() * COMMON))
    return pl.when(pl.len().over("word") <= few).then("word")


def _fullness(name: pl.Expr) -> Sequence[pl.Expr]:
    return [name.str.count_matches(" "), name.str.len_chars(), name]


def _first(sorted_: pl.DataFrame, **columns: str) -> pl.DataFrame:
    return sorted_.group_by("person", maintain_order=True).agg(pl.col(c).first().alias(n) for n, c in columns.items())


def _place(people: pl.DataFrame, mail: pl.DataFrame) -> pl.DataFrame:
    """person, place: the first word of a company's name, or of a mail domain that isn't everybody's; the rarest."""
    company = pl.col("text").str.to_lowercase().str.replace_all(_LEGAL, "").str.extract(r"([\p{L}\p{N}]{2,})")
    told = pl.concat([
        people.select("person", text="companies").explode("text").select("person", place=company),
        mail.select("person", place="office"),
    ]).drop_nulls().unique()  # fmt: skip
    rare_first = told.with_columns(bearers=pl.len().over("place")).sort("person", "bearers", "place")
    return _first(rare_first, place="place")


def _listed(said: pl.DataFrame, **columns: pl.Expr) -> pl.DataFrame:
    """One row per person, each column a list of what differs; null where there is nothing."""
    named = said.select("person", **columns)
    lists = {c: pl.col(c).explode() if isinstance(named.schema[c], pl.List) else pl.col(c) for c in columns}
    grouped = named.group_by("person").agg(e.drop_nulls().unique().sort().alias(c) for c, e in lists.items())
    return grouped.with_columns(pl.when(pl.col(c).list.len() > 0).then(c) for c in columns)


def _shortened(text: pl.Expr, least: int, longest: int, tail: pl.Expr | None = None) -> pl.Expr:
    """The text, and the text without each of its letters, as numbers. Digits stay: another number is another person."""
    end = pl.lit("") if tail is None else pl.lit("@") + tail
    shorter = [
        pl.when(text.str.slice(n, 1).str.contains(r"\PN"))
        .then(pl.concat_str(text.str.slice(0, n), text.str.slice(n + 1), end).hash())
        for n in range(longest)
    ]  # fmt: skip
    forms = pl.concat_list(pl.concat_str(text, end).hash(), *shorter).list.drop_nulls()
    return pl.when(text.str.len_chars().is_between(least, longest)).then(forms)


def _masked(text: pl.Expr) -> pl.Expr:
    """The text with each of its digits struck out, as numbers: who shares one has one digit otherwise at most."""
    masked = [
        pl.when(text.str.len_chars() > n)
        .then(pl.concat_str(text.str.slice(0, n), pl.lit("*"), text.str.slice(n + 1)).hash())
        for n in range(1, _LONGEST_PHONE)
    ]  # fmt: skip
    return pl.concat_list(masked).list.drop_nulls()


def pairs(people: pl.DataFrame) -> pl.DataFrame:
    """left, right: the persons to compare, once each, sorted; from the frame that `traits` makes."""
    found = [_within(block) for block in _blocks(people)]
    return pl.concat(found).unique().sort("left", "right")


def _blocks(people: pl.DataFrame) -> Sequence[pl.LazyFrame]:
    """person, block (a number) of every kind of block, kind by kind."""
    extras = [c for c in people.columns if c.startswith(EXTRA)]
    lazy = people.lazy()

    def of(*columns: str) -> pl.LazyFrame:
        """What people have in all of these columns at once."""
        told = lazy.select("person", *columns).drop_nulls()
        for column in columns:
            if isinstance(people.schema[column], pl.List):
                told = told.explode(column, empty_as_null=False)
        return told.select("person", block=pl.struct(columns).hash())

    with_other = [(name, other) for name in ("name", "words") for other in ("place", "tags", "tails", *extras)]
    told = [
        ("emails",), ("own_locals",), ("email_forms",), ("phones",), ("phone_forms", "words"), ("words",), ("names",), ("name_forms",),
        *with_other, *((c,) for c in extras), *combinations(extras, 2),
    ]  # fmt: skip
    return [of(*columns) for columns in told]


def _within(blocks: pl.LazyFrame) -> pl.DataFrame:
    """left, right: all pairs within each block that isn't crowded."""
    bearers = blocks.unique().filter(pl.len().over("block").is_between(2, CROWD)).collect().lazy()
    return (
        bearers.join(bearers, on="block", suffix="_right")
        .filter(pl.col("person") < pl.col("person_right"))
        .select(left="person", right="person_right")
        .unique()
        .collect()
    )
