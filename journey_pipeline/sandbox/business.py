"""Northwind Academy, a fictional course business of any size: `generate` makes it, with what is true of it.

products.py says what it sells, stories.py what can happen to people, plan.py to whom it does, people.py how they are
called, tell.py and aside.py what each platform holds of it, truth.py what was put in on purpose.
"""

from datetime import UTC, datetime

import polars as pl

from journey_pipeline.sandbox.aside import notifications, unheard
from journey_pipeline.sandbox.exports import SPOILT, secrets, to_records, write_exports, write_settings
from journey_pipeline.sandbox.figures import figures
from journey_pipeline.sandbox.people import known_as
from journey_pipeline.sandbox.plan import draw, frames
from journey_pipeline.sandbox.tell import tell
from journey_pipeline.sandbox.truth import labels, of_figures, whose
from journey_pipeline.sandbox.world import World

__all__ = ["generate", "secrets", "to_records", "write_exports", "write_settings"]


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
        for name, frame in {**tell(named, now), **labels(named), "unheard": unheard(named)}.items():
            parts.setdefault(name, []).append(frame)
    truth = {name: parts.pop(name) for name in ("faults", "look_alikes", "mess")}
    silence = pl.concat(parts.pop("unheard"))
    records = {kind: pl.concat(frames_of_kind, rechunk=True) for kind, frames_of_kind in parts.items()}
    # Of a sale that the shop tells of too, the processor's record counts.
    paid = records["payments"].filter((pl.col("role") == "processor") | (pl.col("same_as").list.len() == 0))
    is_calm = all(f.is_empty() for f in truth["faults"])
    told = figures(paid, records["touchpoints"], now, is_calm=is_calm)
    more = {"notifications": notifications(paid, silence, now), "spend": told.spend, "reported": told.reported}
    records |= {kind: frame.filter(pl.col("occurred_at") <= now) for kind, frame in more.items()}
    for name, frame in of_figures([*told.labels, *(() if is_calm else SPOILT)]).items():
        truth[name].append(frame)
    # A product is one subject, however many bought it and in however many parts of the plan.
    known = {name: pl.concat(frames).unique().sort(pl.all()) for name, frames in truth.items()}
    return World(now=as_of.astimezone(UTC), seed=seed, records=records, truth={**known, "people": whose(records)})
