"""Probable links: who is compared, which scores become ties, which are only suggested, and what forbids a tie.

The scores themselves are probable's. A link is never made that two strong keys contradict, or that somebody refused.
"""

from collections.abc import Callable, Mapping
from typing import Generic, NamedTuple, TypeVar

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.identity import decisions, normalise
from journey_pipeline.identity.keys import Ties
from journey_pipeline.model import IdentityRules
from journey_pipeline.registry import TEXT

T = TypeVar("T")
Score = Callable[[pl.DataFrame], pl.DataFrame]
"""Candidates -> left, right (people, left < right), probability, because."""


class Links(NamedTuple):
    """Pairs of people: left, right, probability, because, against, left_ref, left_record, right_ref, right_record.

    The refs and records are one of each person. `linked` has the key of the tie, too. Of `suggested`, some may have become one person through others.
    """

    linked: pl.DataFrame
    suggested: pl.DataFrame


class _Known(NamedTuple, Generic[T]):
    """What could contradict that somebody is also another, of one person or of all.

    `accounts`: platforms where they have live access; `verified`: addresses that they surely read (a login, mail that was
    opened); `phones`, `emails`.
    """

    accounts: T
    verified: T
    phones: T
    emails: T


def candidates(records: pl.DataFrame, ties: Ties) -> pl.DataFrame:
    """person, names, emails, phones, companies (lists, normalised, sorted, distinct), for each person a row.

    `records` have their `person`. A phone counts here also where it is demoted: who shares it is worth a look.
    """
    own = records.lazy().select("record", "person")
    named = records.lazy().select("person", text=pl.col("name").cast(TEXT))
    said = records.lazy().filter(pl.col("company").is_not_null())
    worked = said.select("record", text=normalise.company(pl.col("company"))).join(own, on="record")
    told = {
        "names": named,
        "emails": _values(ties.emails, own),
        "phones": _values(ties.phones, own),
        "companies": worked,
    }
    frame = own.select("person").drop_nulls().unique().sort("person")
    for column, texts in told.items():
        distinct = texts.select("person", "text").drop_nulls().unique().sort("person", "text")
        lists = distinct.group_by("person", maintain_order=True).agg(pl.col("text").alias(column))
        frame = frame.join(lists, on="person", how="left", validate="1:1", maintain_order="left")
    return frame.with_columns(pl.col(*told).fill_null([])).collect()


def _values(ties: pl.DataFrame, own: pl.LazyFrame) -> pl.LazyFrame:
    """person, text: the values of keys, without their type."""
    key = ties["key"].cast(TEXT).str.extract(r"^[^:]+:([^|]+)", 1)
    return ties.lazy().select("record", text=pl.lit(key)).join(own, on="record")


def decide(
    scores: pl.DataFrame,
    rules: IdentityRules,
    refused: pl.DataFrame,
    *,
    kinds: Mapping[str, pl.DataFrame],
    records: pl.DataFrame,
    ties: Ties,
) -> Links:
    """What the scores lead to. `records` have their `person`; `refused`: left, right (people), left < right."""
    likely = scores.filter(pl.col("probability") >= rules.suggest).join(refused, on=["left", "right"], how="anti")
    likely = likely.sort("probability", "left", "right", descending=[True, False, False])
    concerned = pl.concat([likely["left"], likely["right"]]).unique()
    known = _known(kinds, records, ties, concerned)
    refs = _refs(records, concerned)
    group = {person: [person] for person in concerned}
    never = set(refused.iter_rows())

    def may_join(one: list[int], other: list[int]) -> bool:
        emails: set[str] = set().union(*(known[p].emails for p in (*one, *other)))
        return len(emails) <= rules.caps.emails_per_person and not any(
            (min(a, b), max(a, b)) in never or contradiction(known[a], known[b]) for a in one for b in other
        )

    against, is_linked = [], []
    for left, right, probability, _because in likely.iter_rows():
        against.append(contradiction(known[left], known[right]))
        one, other = group[left], group[right]
        is_linked.append(probability >= rules.link and one is not other and may_join(one, other))
        if is_linked[-1]:
            one += other
            group |= dict.fromkeys(other, one)
    refs = _refs(records, concerned)
    told = likely.with_columns(against=pl.Series(against, dtype=TEXT), is_linked=pl.Series(is_linked, dtype=pl.Boolean))
    for side in ("left", "right"):
        named = refs.rename({"person": side, "ref": f"{side}_ref", "record": f"{side}_record"})
        told = told.join(named, on=side, how="left", maintain_order="left")
    return Links(told.filter("is_linked").with_columns(key=_key()), told.filter(~pl.col("is_linked")))


def _key() -> pl.Expr:
    return spelled("twin:{}={}", pl.min_horizontal("left_ref", "right_ref"), pl.max_horizontal("left_ref", "right_ref"))


def contradiction(one: _Known[frozenset[str]], other: _Known[frozenset[str]]) -> str | None:
    """Why two people can't be one, whatever their likeness."""
    both = sorted(one.accounts & other.accounts)
    if both:
        return f"each has a live account on {both[0]}"
    pairs = ((one.verified, other.verified), (one.phones, other.phones))
    is_another = all(a and b and not a & b for a, b in pairs)
    return "each has a verified e-mail and a phone of their own" if is_another else None


def _known(
    kinds: Mapping[str, pl.DataFrame], records: pl.DataFrame, ties: Ties, people: pl.Series
) -> Mapping[int, _Known[frozenset[str]]]:
    some = records.filter(pl.col("person").is_in(people.implode())).select("record", "person", "kind")
    mailboxes = ties.emails.select("record", text=pl.col("key").cast(TEXT))
    access = _rows(kinds, "access", records, some)
    is_live = (pl.col("status") == "active") & pl.col("gone_at").is_null() & ~pl.col("is_test")
    opened = _rows(kinds, "messages", records, some).filter(
        pl.col("opened_at").is_not_null() | pl.col("clicked_at").is_not_null()
    )
    verified = pl.concat([access.select("record", "person"), opened.select("record", "person")])
    told = _Known(
        access.filter(is_live).select("person", text="platform"),
        verified.join(mailboxes, on="record"),
        some.join(ties.phones.select("record", text=pl.col("key").cast(TEXT)), on="record"),
        some.join(mailboxes, on="record"),
    )
    sets = [dict(frame.group_by("person").agg(pl.col("text").unique()).iter_rows()) for frame in told]
    return {person: _Known(*(frozenset(found.get(person, ())) for found in sets)) for person in people}


def _rows(kinds: Mapping[str, pl.DataFrame], kind: str, records: pl.DataFrame, some: pl.DataFrame) -> pl.DataFrame:
    """The rows of one kind that are some people's, with `record` and `person`; records are numbered kind by kind."""
    mine = some.filter(pl.col("kind") == kind)
    first = records["record"].filter(records["kind"] == kind).min()
    place = (mine["record"] - first) if first is not None else mine["record"]
    return kinds[kind][place.cast(pl.Int64)].with_columns(mine["record"], mine["person"])


def _refs(records: pl.DataFrame, people: pl.Series) -> pl.DataFrame:
    """person, ref, record: a record of each by which others may name them, one that a decision would find again."""
    some = records.filter(pl.col("person").is_in(people.implode()))
    meant = decisions.foremost_records(records, some["record_id"])
    return (
        decisions.ranked(some)
        .join(meant.lazy().select("record", is_meant=True), on="record", how="left")
        .sort("person", pl.col("is_meant").is_null(), "rank", "first_loaded_at", "ref")
        .unique("person", keep="first", maintain_order=True)
        .select("person", "ref", "record")
        .collect()
    )
