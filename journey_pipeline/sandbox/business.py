"""Northwind Academy, a fictional course business of any size: `generate` makes it, with what is true of it.

products.py says what it sells, stories.py what can happen to people, plan.py to whom it does, people.py how they are
called, tell.py what each platform holds of it, truth.py what was put in on purpose.
"""

from datetime import UTC, datetime

import polars as pl

from journey_pipeline.sandbox.exports import to_records, write_exports
from journey_pipeline.sandbox.people import known_as
from journey_pipeline.sandbox.plan import draw, frames
from journey_pipeline.sandbox.tell import tell
from journey_pipeline.sandbox.truth import labels, whose
from journey_pipeline.sandbox.world import World

__all__ = ["generate", "to_records", "write_exports"]


def generate(people: int, seed: int, as_of: datetime) -> World:
    """The business at `as_of`, the same for the same arguments.

    Raises:
        ValueError: if there are no people, or `as_of` has no time zone.
    """
    if people < 1 or as_of.tzinfo is None:
        msg = f"a business needs people (got {people}) and an instant with a time zone (got {as_of.isoformat()})"
        raise ValueError(msg)
    now = as_of.astimezone(UTC).replace(microsecond=0)
    parts: dict[str, list[pl.DataFrame]] = {}
    for part in frames(draw(people, seed, now), now):
        named = known_as(part)
        for name, frame in {**tell(named, now), **labels(named)}.items():
            parts.setdefault(name, []).append(frame)
    # A product is one subject, however many bought it and in however many parts of the plan.
    truth = {name: pl.concat(parts.pop(name)).unique().sort(pl.all()) for name in ("faults", "look_alikes")}
    records = {kind: pl.concat(frames_of_kind, rechunk=True) for kind, frames_of_kind in parts.items()}
    return World(now=as_of.astimezone(UTC), seed=seed, records=records, truth={**truth, "people": whose(records)})
