"""A picture of one person's ties: from the best known records outwards, by which key each of the others was reached."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from rich.text import Text
from rich.tree import Tree

from journey_pipeline.invariants.subjects import singular
from journey_pipeline.report import words

TIES = """
select key, kind, platform, record_id, how, confidence from journey.person_keys where person_id = $person_id
order by key, kind, platform, record_id
"""


@dataclass(frozen=True)
class _Group:
    """Records that bear the same keys: one node of the picture. `keys`: key -> how it ties them, how surely."""

    records: tuple[tuple[str, str, str], ...]
    keys: Mapping[str, tuple[str, float]]


def picture(ties: pl.DataFrame) -> Tree | None:
    """The surest way from one group of records to all others; None where there is nothing to tie."""
    outside = _groups(ties)
    if len(outside) < 2:  # noqa: PLR2004  one alone hangs on nothing
        return None
    root = outside.pop(0)
    tree = Tree(_label(root))
    reached: list[tuple[_Group, Tree]] = [(root, tree)]
    while bridges := sorted(_bridges(reached, outside), key=lambda b: (-b[0], b[1], b[2])):
        sure, key, place, group = bridges[0]
        near, branch = reached[place]
        how = group.keys[key][0] if group.keys[key][1] == sure else near.keys[key][0]
        joint = branch.add(Text.assemble(key, (f"  {how}" + ("" if sure == 1 else f", {words.sure(sure)}"), "dim")))
        for other in [g for g in outside if key in g.keys]:
            reached.append((other, joint.add(_label(other))))
            outside.remove(other)
    return tree


def _bridges(
    reached: Sequence[tuple[_Group, Tree]], outside: Sequence[_Group]
) -> Iterator[tuple[float, str, int, _Group]]:
    """How sure, by which key, from which place in the picture, and to whom one could go on."""
    for place, (near, _branch) in enumerate(reached):
        for group in outside:
            for key in near.keys.keys() & group.keys.keys():
                yield min(near.keys[key][1], group.keys[key][1]), key, place, group


def _groups(ties: pl.DataFrame) -> list[_Group]:
    """The greatest first."""
    of_record: dict[tuple[str, str, str], dict[str, tuple[str, float]]] = {}
    for row in ties.iter_rows(named=True):
        record = (row["platform"], row["kind"], row["record_id"])
        of_record.setdefault(record, {})[row["key"]] = (row["how"], row["confidence"])
    together: dict[Any, list[tuple[str, str, str]]] = {}
    for record, borne in of_record.items():
        together.setdefault(tuple(sorted(borne.items())), []).append(record)
    groups = [_Group(tuple(sorted(records)), dict(borne)) for borne, records in together.items()]
    return sorted(groups, key=lambda g: (-len(g.records), g.records))


def _label(group: _Group) -> Text:
    """`stripe:ch_1, payment`; several: `stripe: 3 payments, 1 subscription`."""
    if len(group.records) == 1:
        ((platform, kind, record_id),) = group.records
        return Text(f"{platform}:{record_id}, {singular(kind)}", "bold")
    parts = []
    for platform in dict.fromkeys(platform for platform, _kind, _id in group.records):
        kinds = [kind for p, kind, _id in group.records if p == platform]
        counted = [words.count(kinds.count(kind), singular(kind), kind) for kind in dict.fromkeys(kinds)]
        parts.append(f"{platform}: {', '.join(counted)}")
    return Text(" · ".join(parts), "bold")
