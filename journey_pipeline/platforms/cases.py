"""What a support case is about, told from its tags and its subject: options and one expression, for all help desks.

Not here: what a desk's states mean (each platform's own module).
"""

from collections.abc import Mapping
from typing import Literal

import polars as pl

from journey_pipeline.platforms import base

Topic = Literal["access", "billing", "refund", "other"]


class Options(base.Options):
    """What every help desk's options have."""

    tags: Mapping[Topic, tuple[str, ...]] = {"access": ("access",), "billing": ("billing",), "refund": ("refund",)}
    """Topic -> the tags that mean it; the first topic that fits counts."""
    subjects: Mapping[Topic, tuple[str, ...]] = {}
    """Topic -> words of the subject that mean it, where no tag does."""


def topic(options: Options, tags: pl.Expr, subject: pl.Expr) -> pl.Expr:
    """The topic; `tags` is the JSON in which they stand, each in quotes."""
    lower = subject.str.to_lowercase()
    tests = [
        *((topic, tags, f'"{tag}"') for topic, names in options.tags.items() for tag in names),
        *((topic, lower, word.lower()) for topic, words in options.subjects.items() for word in words),
    ]
    meant = [pl.when(text.str.contains(part, literal=True)).then(pl.lit(topic)) for topic, text, part in tests]
    return pl.coalesce(*meant, pl.lit("other"))
