"""The views of `sql/`: where they stand, what each reads, and in which order they can be made. What they say is theirs."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

from journey_pipeline.errors import JourneyError
from journey_pipeline.platforms.query import tables_named


@dataclass(frozen=True)
class View:
    """One file: a SELECT that DuckDB and PostgreSQL answer alike, under a header of grain, inputs and question."""

    name: str
    query: str

    @property
    def header(self) -> str:
        return "\n".join(line[2:].strip() for line in self.query.splitlines() if line.startswith("--"))

    @property
    def inputs(self) -> set[str]:
        """The tables and views that it reads, `schema.name`."""
        named = tables_named(self.query)
        return {
            f"{schema}.{name}" for schema, name in re.findall(r"\b(journey|bi)\.(\w+)", self.query) if name in named
        }

    def without(self, columns: Collection[str]) -> "View":
        """The same without some columns. They stand in a view only as `table.column,` of what it selects."""
        words = "|".join(map(re.escape, columns))
        return View(self.name, re.sub(rf"\b\w+\.(?:{words})\s*,\s*", "", self.query)) if columns else self


def views_folder() -> Path:
    """Where `sql/` stands: in the package once installed, at the top of a checkout."""
    package = Path(__file__).parents[1]
    return next(folder for folder in (package / "sql", package.parent / "sql") if folder.is_dir())


def views_of(folder: Path) -> list[View]:
    """Those of a folder, each after the ones that it reads."""
    found = {path.stem: View(path.stem, path.read_text("utf-8")) for path in sorted(folder.glob("*.sql"))}
    if not found:
        msg = f"{folder} holds no .sql file, so there is no view to publish. Point to the folder of views."
        raise JourneyError(msg)
    inputs = {name: set(re.findall(r"\bbi\.(\w+)", view.query)) & set(found) for name, view in found.items()}
    return [found[name] for name in TopologicalSorter(inputs).static_order()]
