"""Records that ties hold together, level by level from the surest tie to the weakest; too large ones are taken apart.

Only numbers: what the keys are, and which of them may tie, is said in keys and sharing.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from journey_pipeline.expressions import Numbers, numbers
from journey_pipeline.identity.keys import Ties
from journey_pipeline.model import Caps
from journey_pipeline.registry import TABLES, TEXT

Shares = npt.NDArray[np.float64]
_Flags = npt.NDArray[np.bool_]

# How sure a tie is. `linked`: the platforms themselves say so; `exact`: the same address; `normalised`: the same mailbox
# written otherwise, the same phone under a compatible name, or the same full name at the same company.
SURE, SAME_MAILBOX, SAME_PHONE, SAME_COMPANY = 1.0, 0.98, 0.95, 0.90


@dataclass(frozen=True)
class Components:
    """`of`: the component of each record. Of each component: `held`, the weakest tie that it needs; `addresses`."""

    of: Numbers
    held: Shares
    addresses: Numbers


def components(count: int, ties: Ties, confirmed: pl.DataFrame, caps: Caps) -> tuple[Components, Ties, pl.DataFrame]:
    """The components of `count` records, the ties that hold them, and the keys (registry table) that were cut.

    `confirmed`: record, key of what somebody decided.
    """
    of = _gathered(count, numbers(ties.emails["record"]), numbers(ties.emails["exact"]))
    size = int(of.max(initial=-1)) + 1
    exact = numbers(ties.emails["exact"])
    is_first = _first(exact)[exact] == np.arange(exact.size)
    found = Components(of, np.ones(size), np.bincount(of[numbers(ties.emails["record"])[is_first]], minlength=size))
    # Where a node's first record belongs elsewhere, its address is joined, not gathered.
    found = joined(found, _pairs(found, ties.emails, "exact"), SURE)
    found = joined(found, _pairs(found, confirmed, "key"), SURE)
    found, ids, cut_ids = _capped(found, ties.ids, SURE, caps)
    found = joined(found, _pairs(found, ties.emails, "key"), SAME_MAILBOX)
    found, phones, cut_phones = _capped(found, ties.phones, SAME_PHONE, caps)
    at_company, namesakes = _unshared(found, ties.companies, phones, caps)
    found, companies, cut_companies = _capped(found, at_company, SAME_COMPANY, caps)
    cut = pl.concat([cut_ids, cut_phones, namesakes, cut_companies]).sort("key")
    return found, Ties(ties.emails, phones, ids, companies), cut


def joined(found: Components, pairs: tuple[Numbers, Numbers], confidence: float | Shares) -> Components:
    """The components once these pairs of them are one; what is joined is held with that confidence.

    One confidence for all, or one for each pair: then a component has that of its weakest pair.
    """
    one, other = pairs
    graph = coo_array((np.ones(one.size, np.int8), (one, other)), shape=(found.held.size, found.held.size))
    total, label = connected_components(graph, directed=False)
    weakest: Shares = np.ones(total)
    np.minimum.at(weakest, label, found.held)
    if isinstance(confidence, float):
        held = np.where(np.bincount(label, minlength=total) > 1, np.minimum(weakest, confidence), weakest)
    else:
        held = weakest
        np.minimum.at(held, label[one], confidence)
    addresses: Numbers = np.bincount(label, weights=found.addresses, minlength=total).astype(np.int64)
    return Components(label[found.of].astype(np.int64), held, addresses)


def _capped(
    found: Components, ties: pl.DataFrame, confidence: float, caps: Caps
) -> tuple[Components, pl.DataFrame, pl.DataFrame]:
    """Join by keys, but leave out those that would make a person of too many addresses; and tell which."""
    after = joined(found, _pairs(found, ties, "key"), confidence)
    is_hairball = after.addresses > caps.emails_per_person
    if not is_hairball.any():
        return after, ties, _NONE
    record, node = numbers(ties["record"]), numbers(ties["key"])
    inside = is_hairball[after.of[record]]
    cut = _cut(found.of[record[inside]], node[inside], found.addresses, caps.emails_per_person)
    gone = np.isin(node, cut)
    if not gone.any():
        return after, ties, _NONE
    kept = ties.filter(pl.Series(~gone))
    told = (
        ties.filter(pl.Series(gone))
        .with_columns(
            people_count=pl.lit(pl.Series(after.addresses[after.of[record[gone]]])), key=pl.col("key").cast(TEXT)
        )
        .group_by("key").agg(pl.col("people_count").max(), record_count=pl.len().cast(pl.Int64))
        .with_columns(
            reason=pl.concat_str(pl.lit("one of the keys that made one person of "), "people_count", pl.lit(
                f" e-mails, more than {caps.emails_per_person}: taken apart"))
        )
        .select(_NONE.columns)
    )  # fmt: skip
    return joined(found, _pairs(found, kept, "key"), confidence), kept, told


_NONE = pl.DataFrame(schema=TABLES["demoted_keys"].schema)


def _cut(part: Numbers, node: Numbers, addresses: Numbers, limit: int) -> Numbers:
    """The nodes to cut: of each piece that is too large those that tie the most parts, until no piece is too large.

    `part` and `node` are the rows of the ties; `addresses` of each part.
    """
    parts, part = np.unique(part, return_inverse=True)
    nodes, node = np.unique(node, return_inverse=True)
    pairs = np.unique(np.stack([part, node]), axis=1)
    part, node = pairs[0], pairs[1]
    spread: Numbers = np.bincount(node, minlength=nodes.size)
    is_cut: _Flags = np.zeros(nodes.size, np.bool_)
    while True:
        kept = ~is_cut[node]
        graph = coo_array(
            (np.ones(int(kept.sum()), np.int8), (part[kept], parts.size + node[kept])),
            shape=(parts.size + nodes.size,) * 2,
        )
        total, piece = connected_components(graph, directed=False)
        large = np.bincount(piece[: parts.size], weights=addresses[parts], minlength=total) > limit
        of_node = piece[parts.size :]
        at_fault = large[of_node] & ~is_cut & (spread > 1)
        if not at_fault.any():
            return nodes[is_cut]
        most: Numbers = np.zeros(total, np.int64)
        np.maximum.at(most, of_node[at_fault], spread[at_fault])
        is_cut |= at_fault & (spread == most[of_node])


def _unshared(
    found: Components, ties: pl.DataFrame, phones: pl.DataFrame, caps: Caps
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The keys of a name at a company that few enough people with an e-mail, or a phone, of their own bear; the others."""
    if ties.is_empty():
        return ties, _NONE
    component = found.of[numbers(ties["record"])]
    bearers = pl.DataFrame({
        "key": ties["key"], "component": component, "has_email": found.addresses[component] > 0,
        "has_phone": keys_of(phones, found)[component] > 0,
    })  # fmt: skip
    counts = [pl.col("component").filter(has).n_unique() for has in ("has_email", "has_phone")]
    told = bearers.group_by("key").agg(
        pl.max_horizontal(counts).cast(pl.Int64).alias("people_count"), record_count=pl.len().cast(pl.Int64)
    )
    shared = told.filter(pl.col("people_count") > caps.people_per_company_name)
    reason = pl.concat_str(
        pl.lit("a name of "),
        "people_count",
        pl.lit(" people at one company, by their e-mails or phones: ties none of them"),
    )
    named = shared.with_columns(pl.col("key").cast(TEXT), reason=reason).select(_NONE.columns)
    return ties.join(shared, on="key", how="anti", maintain_order="left"), named


def _pairs(found: Components, ties: pl.DataFrame, node: str) -> tuple[Numbers, Numbers]:
    """Pairs of components that tie together all that meet at a node: each with the node's first."""
    nodes = numbers(ties[node])
    of = found.of[numbers(ties["record"])]
    first = of[_first(nodes)][nodes]
    is_other = of != first
    return of[is_other], first[is_other]


def _gathered(count: int, record: Numbers, node: Numbers) -> Numbers:
    """A label for each record that it shares with the first record of its node: most of what the graph would find."""
    every: Numbers = np.arange(count)
    label = every.copy()
    label[record] = record[_first(node)][node]
    label = np.where(label[label] == label, label, every)  # whose first belongs elsewhere waits for the graph
    numbered: Numbers = np.cumsum(label == every) - 1
    return numbered[label]


def _first(node: Numbers) -> Numbers:
    """Position of the first mention of each node, 0 for those that are not mentioned."""
    found: Numbers = np.zeros(int(node.max(initial=-1)) + 1, np.int64)
    found[node[::-1]] = np.arange(node.size - 1, -1, -1)
    return found


def keys_of(said: pl.DataFrame, found: Components) -> Numbers:
    """How many keys each component has; a key that ties is in one component only."""
    node = numbers(said["key"])
    is_first = _first(node)[node] == np.arange(node.size)
    count: Numbers = np.bincount(found.of[numbers(said["record"])[is_first]], minlength=found.held.size)
    return count
