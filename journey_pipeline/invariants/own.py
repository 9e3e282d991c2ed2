"""A user's own expectations: JSON files as Great Expectations writes them, one per table, read strictly without it.

What is asserted and shown is great_expectations.py's. Importing Great Expectations takes seconds; that a type exists can
be told from its files.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from journey_pipeline.errors import SettingsError, one_of
from journey_pipeline.registry import SEVERITIES, TABLES, Table

FOLDER = "expectations"
_KEYS = ("type", "kwargs", "meta", "severity", "description", "id", "notes")
_COLUMN_KEYS = ("column", "column_A", "column_B")
_SOME_COLUMNS = "column_list"
_NOT_ASKED = ("result_format", "catch_exceptions", "batch_id")


@dataclass(frozen=True)
class Own:
    """One expectation of the user's: `name` is its place in its file, unless its `meta` names it."""

    table: str
    name: str
    type: str
    kwargs: Mapping[str, Any]
    severity: str
    description: str
    meta: Mapping[str, Any]
    file: str

    def columns(self) -> tuple[str, ...]:
        """The columns of the table that it reads."""
        said = json.dumps(dict(self.kwargs))
        table = TABLES[self.table]
        if self.type.startswith("expect_table_column"):
            return table.columns
        named = tuple(column for column in table.columns if column in said)
        return named or table.columns[:1]


def load(folder: Path) -> tuple[Own, ...]:
    """Every expectation in `expectations/` beside the settings file; none where there is no such folder.

    Raises:
        SettingsError: naming every mistake of a file, by line where it is no JSON, else by index.
    """
    return tuple(own for file in sorted((folder / FOLDER).glob("*.json")) for own in _file(file))


def _file(file: Path) -> Iterator[Own]:
    shown = f"{FOLDER}/{file.name}"
    if file.stem not in TABLES:
        raise SettingsError(
            shown, [f"no table {file.stem!r}; a file is named by its table; {one_of(file.stem, TABLES)}"]
        )
    try:
        said = json.loads(file.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        place = f"{error.lineno}: " if isinstance(error, json.JSONDecodeError) else ""
        raise SettingsError(shown, [f"{place}is not JSON ({error.args[0]})"]) from error
    listed = said.get("expectations") if isinstance(said, dict) else said
    if not isinstance(listed, list):
        fault = 'must be a list of expectations, or a suite as Great Expectations writes it: {"expectations": […]}'
        raise SettingsError(shown, [fault])
    table = TABLES[file.stem]
    mistakes = [f"[{i}]{at}: {fault}" for i, one in enumerate(listed) for at, fault in _mistakes(one, table)]
    if mistakes:
        raise SettingsError(shown, mistakes)
    yield from (_own(table, i, one, shown) for i, one in enumerate(listed))


def _own(table: Table, index: int, one: Mapping[str, Any], shown: str) -> Own:
    meta = one.get("meta") or {}
    kwargs = {key: value for key, value in one.get("kwargs", {}).items() if key not in _NOT_ASKED}
    name = str(meta.get("name") or f"own_{index}")
    return Own(
        table.name,
        name,
        one["type"],
        kwargs,
        one.get("severity") or "warning",
        one.get("description") or "",
        meta,
        shown,
    )


def _mistakes(one: Any, table: Table) -> Iterator[tuple[str, str]]:
    if not isinstance(one, dict):
        yield (
            "",
            'must be an object like {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "email"}}',
        )
        return
    for key in one:
        if key not in _KEYS:
            yield f".{key}", f"no such name; {one_of(key, _KEYS)}"
    kind = one.get("type")
    if kind not in types():
        yield (
            ".type",
            f"no expectation {kind!r}; {one_of(str(kind), types())}" if kind else f"is missing; {one_of('', types())}",
        )
    if one.get("severity") not in (None, *SEVERITIES):
        yield ".severity", f"{one['severity']!r} is not known; {one_of(str(one['severity']), SEVERITIES)}"
    kwargs = one.get("kwargs", {})
    if not isinstance(kwargs, dict):
        yield ".kwargs", "must be an object of arguments"
        return
    named = [(key, kwargs[key]) for key in _COLUMN_KEYS if key in kwargs]
    named += [(_SOME_COLUMNS, name) for name in kwargs.get(_SOME_COLUMNS) or ()]
    for key, name in named:
        if name not in table.columns:
            yield f".kwargs.{key}", f"{table.name} has no column {name!r}; {one_of(str(name), table.columns)}"


@cache
def types() -> frozenset[str]:
    """The expectations that the installed Great Expectations has."""
    found = find_spec("great_expectations")
    folders = [Path(place) for place in (found.submodule_search_locations if found else None) or ()]
    return frozenset(file.stem for folder in folders for file in (folder / "expectations" / "core").glob("expect_*.py"))
