"""A platform's data sheet: the docstring of its module, cut into its sections, with the secrets and options it takes.

For pages about platforms (docs/, `journey init`); nothing that reads a platform needs it.
"""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

from pydantic.fields import FieldInfo

from journey_pipeline import platforms
from journey_pipeline.platforms.base import Platform

SECTIONS = ("Reads", "Says", "Cursor", "Money", "Joins", "Needs", "Assumes")
_BEGINS = re.compile(rf"^({'|'.join(SECTIONS)})\b *", re.MULTILINE)


@dataclass(frozen=True)
class Sheet:
    """What there is to know about a platform before connecting it."""

    platform: Platform
    claim: str
    """What it tells, in a sentence."""
    sections: Mapping[str, str]
    """Section -> its text, as one paragraph."""

    @property
    def title(self) -> str:
        """The platform's name as its vendor writes it."""
        return self.platform.title or self.platform.name

    @property
    def incremental(self) -> str:
        """How it is incremental, in a sentence."""
        return re.split(r"(?<=[.;:]) ", self.sections["Cursor"], maxsplit=1)[0].rstrip(".;:")

    @property
    def options(self) -> Mapping[str, FieldInfo]:
        """Its options in journey.yaml, but for the address, which only tests and regions move."""
        return {name: f for name, f in self.platform.options.model_fields.items() if name != "base_url"}


def sheet(name: str) -> Sheet:
    """The data sheet of a platform of the catalogue."""
    doc = inspect.getdoc(import_module(f"{platforms.__name__}.{name}")) or ""
    head, *parts = _BEGINS.split(doc)
    sections = {part: " ".join(text.split()) for part, text in zip(parts[::2], parts[1::2], strict=True)}
    return Sheet(platforms.get(name), " ".join(head.split()).partition(": ")[2], sections)
