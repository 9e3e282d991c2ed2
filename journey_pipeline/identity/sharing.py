"""Keys that too many people share: what each may still tie, and why it was demoted. The caps are `model.Caps`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from journey_pipeline.expressions import Numbers, numbers
from journey_pipeline.identity import normalise
from journey_pipeline.identity.keys import Ties, matching
from journey_pipeline.model import Caps, KeyRule
from journey_pipeline.registry import TABLES, TEXT


class _Shared(NamedTuple):
    """A key that may be shared: `mailboxes` and `names` of those who bear it."""

    key: str
    records: int
    mailboxes: int
    names: Sequence[str]


class _Verdict(NamedTuple):
    """How many people a key seems to have, why it is demoted (None: it isn't), and the name groups it still ties."""

    people: int
    reason: str | None = None
    groups: Mapping[str, str] = {}


def demote(ties: Ties, caps: Caps, include: Sequence[KeyRule]) -> tuple[Ties, pl.DataFrame]:
    """Take away the ties of keys that too many people share, and make a shared phone tie only one name at a time.

    Keys that `include` names tie whoever bears them. Tells the demoted keys (registry table).
    """
    shared = [row for row in _shared(ties, caps) if not (include and _is_included(row.key, include))]
    verdicts = [(row, _verdict(row, caps)) for row in shared]
    demoted = pl.DataFrame(
        [(row.key, told.people, row.records, told.reason) for row, told in verdicts if told.reason],
        schema=TABLES["demoted_keys"].schema, orient="row",
    )  # fmt: skip
    if demoted.is_empty():
        return ties, demoted
    by_name = pl.DataFrame(
        [(row.key, name, f"{row.key}|{group}") for row, told in verdicts if told.reason
         for name, group in told.groups.items()],
        schema=dict.fromkeys(("key", "name", "group"), TEXT), orient="row",
    )  # fmt: skip
    coded = ties.phones.schema["key"]
    gone = demoted["key"].cast(coded).implode()
    grouped = (
        ties.phones.filter(pl.col("key").is_in(gone))
        .join(by_name.cast({"key": coded, "name": ties.phones.schema["name"]}), on=["key", "name"], how="inner")
        .select("record", "name", pl.col("group").cast(coded).alias("key"))
    )
    kept = ties.without(lambda frame: frame["key"].is_in(gone))
    return kept._replace(phones=pl.concat([kept.phones, grouped])), demoted


def _is_included(key: str, include: Sequence[KeyRule]) -> bool:
    return bool(matching(pl.Series([key]), include)[0])


def _shared(ties: Ties, caps: Caps) -> Iterator[_Shared]:
    """The keys that may be shared, in order: of two names, or of more records than people are allowed."""
    phones = _borne(ties.phones).filter(pl.col("is_crowded") | (pl.col("records") > caps.people_per_phone))
    emails = _borne(ties.emails).filter("is_crowded")
    ids = _crowded(ties.ids, caps.people_per_id)
    doubtful = pl.concat([phones.select("key", "records"), emails.select("key", "records"), ids])
    bearers = pl.concat([ties.phones, ties.ids]).lazy().join(
        pl.concat([phones.select("key"), ids.select("key")]).lazy(), on="key", how="semi"
    )  # fmt: skip
    mailboxes = (
        ties.emails.lazy().join(bearers, on="record", how="semi")
        .group_by("record").agg(pl.col("key").min().alias("mailbox"))
        .join(bearers, on="record", how="inner")
        .group_by("key").agg(pl.col("mailbox").n_unique().alias("mailboxes"))
    )  # fmt: skip
    said = pl.concat([bearers.select("key", "name"), ties.emails.lazy().select("key", "name")])
    names = (
        said.join(doubtful.lazy(), on="key", how="semi")
        .group_by("key").agg(pl.col("name").drop_nulls().cast(TEXT).unique().sort().alias("names"))
    )  # fmt: skip
    told = (
        doubtful.lazy().join(names, on="key").join(mailboxes, on="key", how="left")
        .select(pl.col("key").cast(TEXT), "records", pl.col("mailboxes").fill_null(0), "names").sort("key").collect()
    )  # fmt: skip
    return (_Shared(*row) for row in told.iter_rows())


def _borne(said: pl.DataFrame) -> pl.DataFrame:
    """key, records, is_crowded: whether records of two names bear it."""
    name = pl.col("name").to_physical()
    return (
        said.lazy()
        .group_by("key")
        .agg(pl.len().cast(pl.Int64).alias("records"), (name.min() != name.max()).alias("is_crowded"))
        .collect()
    )


def _crowded(said: pl.DataFrame, limit: int) -> pl.DataFrame:
    """key, records of keys that more records bear than people may; few do, so they are counted by number."""
    node = numbers(said["key"])
    counts: Numbers = np.bincount(node)
    rows = said.filter(pl.Series(counts[node] > limit))
    return rows.group_by("key").agg(pl.len().cast(pl.Int64).alias("records"))


def _verdict(row: _Shared, caps: Caps) -> _Verdict:
    kind, _, value = row.key.partition(":")
    match kind:
        case "phone":
            return _of_phone(row, caps.people_per_phone)
        case "email":
            return _of_email(row, value, caps.names_per_email)
        case _:
            people, limit = max(row.mailboxes, len(row.names)), caps.people_per_id
            reason = f"an id of {row.mailboxes} e-mails and {len(row.names)} names, more than {limit}: ties nobody"
            return _Verdict(people, reason if people > limit else None)


def _of_phone(row: _Shared, limit: int) -> _Verdict:
    """An office's phone ties nobody, a family's ties one name at a time; who has one e-mail may be misspelt."""
    if row.mailboxes > limit:
        return _Verdict(row.mailboxes, f"a phone of {row.mailboxes} e-mails, more than {limit}: ties nobody")
    groups = _compatible(row.names, is_lenient=row.mailboxes <= 1)
    count = len(set(groups.values()))
    if count > 1:
        return _Verdict(count, f"a phone of {count} names: ties only records of one name", groups)
    return _Verdict(count)


def _of_email(row: _Shared, address: str, limit: int) -> _Verdict:
    count = len(set(_compatible(row.names).values()))
    if count > limit:
        return _Verdict(count, f"an address of {count} names, more than {limit}: ties nobody")
    if count > 1 and re.split("[@+]", address, maxsplit=1)[0] in normalise.ROLES:
        return _Verdict(count, f"a role's address of {count} names: ties nobody")
    return _Verdict(count)


def _compatible(names: Sequence[str], *, is_lenient: bool = False) -> dict[str, str]:
    """Name -> its group: a name whose words are all in another's (`howard`, `howard raymond`) may be the same person.

    A name that fits two groups (`howard` beside `howard ann` and `howard raymond`) is a group of its own. Lenient: so
    may be one that is a slip of the pen away.
    """
    spelled = _without_slips(names) if is_lenient else {name: name for name in names}
    words = {name: frozenset(name.split()) for name in spelled.values()}
    longest = [n for n in sorted(words) if not any(words[n] < words[other] for other in words)]
    groups = {}
    for name, spelling in spelled.items():
        fits = [n for n in longest if words[spelling] <= words[n]]
        groups[name] = fits[0] if len(fits) == 1 else spelling
    return groups


def _without_slips(names: Sequence[str]) -> dict[str, str]:
    """Name -> the least of the names that are a slip of the pen away from it, or from one that is, and so on."""
    least: dict[str, str] = {}
    for name in sorted(names):
        if name in least:
            continue
        reached = [name]
        for one in reached:
            reached += [n for n in names if n not in reached and normalise.one_slip(one, n)]
        least |= dict.fromkeys(reached, name)
    return least
