"""What a platform module offers: its resources, how each is pulled, and how raw rows read as records.

Not here: HTTP (http.py), translation of money and time (translate.py), storage (lake/).
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict

Row = Mapping[str, Any]
Raw = Mapping[str, pl.LazyFrame]
Purpose = Literal["welcome", "receipt", "dunning", "cart", "sequence", "newsletter", "other"]
"""What a message is for."""


class Options(BaseModel):
    """What journey.yaml may say about a platform, beside `type`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


@dataclass
class Pull:
    """One pull of one resource: what it may use, and what it reports back."""

    platform: str
    resource: "Resource"
    options: Any
    secrets: Mapping[str, str]
    loaded_at: datetime
    """The instant of this load. Nothing later is asked for."""
    cursor: str | None = None
    """What the last complete load of this resource left behind; None: read everything."""
    expected_rows: int | None = None
    """How many rows the platform says there are, if it says so: fewer makes the load partial."""
    next_cursor: str | None = None

    @property
    def what(self) -> str:
        """The source as sentences name it: `stripe charges`."""
        return f"{self.platform} {self.resource.name}"

    def leave(self, **cursor: str | int | None) -> None:
        """Remember where the next load goes on; kept only if this one completes."""
        self.next_cursor = json.dumps(cursor, sort_keys=True)

    @property
    def left(self) -> dict[str, Any]:
        """What `leave` was given by the last complete load; empty on the first."""
        return dict(json.loads(self.cursor)) if self.cursor else {}

    def until(self, **more: str | int | None) -> None:
        """Remember that everything up to this load is read: the next one asks `since` then."""
        self.leave(until=self.loaded_at.isoformat(), **more)

    def since(self, overlap: timedelta = timedelta()) -> datetime | None:
        """When the last complete load was, less the overlap; None: there was none, read everything."""
        return datetime.fromisoformat(self.left["until"]) - overlap if "until" in self.left else None


@dataclass(frozen=True)
class Resource:
    """One list that a platform offers.

    `changes`: each load brings what is new or changed; the newest version of an id is current.
    `snapshot`: each load brings the full list; what the newest complete one lacks is gone.
    """

    name: str
    mode: Literal["changes", "snapshot"]
    pull: Callable[[Pull], Iterator[list[Row]]]
    """Yields pages of rows. Raises SourceError where the platform can't be read."""
    columns: tuple[str, ...] = ()
    """The raw columns that `read` relies on (snake_case, as stored). One that never came reads as null."""
    lag: timedelta = timedelta()
    """How long after it happened a thing may still be missing from the list."""
    limit: timedelta = timedelta(hours=26)
    """Older than this, what we know of it is stale."""
    history: timedelta | None = None
    """How far back the platform tells; None: from the beginning."""
    scope: str = ""
    """Permission that it needs, in the vendor's words."""


@dataclass(frozen=True)
class Platform:
    """A platform: one module, one value. `says` tells which resources each kind is made of."""

    name: str
    resources: tuple[Resource, ...]
    says: Mapping[str, tuple[str, ...]]
    read: Callable[[Raw, Any], Mapping[str, pl.LazyFrame]]
    """Raw frames by resource (all versions; columns as text, `_loaded_at`, `_row`, `_resource`) -> frames by kind."""
    options: type[Options] = Options
    secrets: tuple[str, ...] = ()
    """Names of the environment variables it needs."""
    needed_for: Mapping[str, str] = field(default_factory=dict)
    """Secret -> the option that has to be on for it to be needed."""
    title: str = ""
    verified: str = ""
    """Against what its requests and replies were verified."""
    spec: Literal["official", "third party", "documentation"] = "documentation"
    """Whose description of the API that was, at its strongest."""
    made: Callable[[str, Any, Path], "Platform"] | None = None
    """A pattern makes the platform of one entry of journey.yaml: its name, its options, the folder of journey.yaml.
    None: a vendor, which runs under its own name, for its records name each other by it."""
    mistakes: Callable[[Any, Path], list[tuple[str, str]]] = lambda _options, _folder: []
    """What is wrong with the options beside their types: (dotted path, sentence)."""
