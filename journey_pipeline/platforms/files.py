"""Files: any platform that can export. Its tables are files, its records are columns or SQL over those tables.

Reads   CSV (also .tsv), Excel (.xlsx, first sheet), JSON Lines (.jsonl, .ndjson), Parquet; by suffix, globs allowed,
        paths relative to journey.yaml.
Says    the kinds named under `records`, each either as a table that has the kind's columns (ISO times, plain numbers,
        true and false, lists as JSON) or as a .sql file whose SELECT gives them, as text or typed. The SQL sees the
        tables by name, their cells as text (null if empty), `_row` and `_resource`; no other file. It runs for each
        load that brought all its tables, so that a row that vanishes from its result is gone from then on, as it is
        for a table. Beside the kind's columns it may give `_resource` and `_row` (the row that it stands for: a
        rejected record shows it) and `_reject` (why that row can't be believed; null: it can).
Cursor  none: each table is a full list, and what the newest one lacks is gone.
Money   as the SQL says; minor units.
Joins   as the SQL says; keys as `platform:id`.
Needs   read access to the files.
Assumes a time without zone is UTC. An empty list is stored as one row without cells: its columns and its load must
        be known, or SQL could not tell "nobody" from "not asked".
"""

import glob
from collections.abc import Iterator
from pathlib import Path

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms import mapped, tabular
from journey_pipeline.platforms.base import Platform, Pull

VERIFIED = "Tested with real files of every format."


class Options(mapped.Options):
    """Options of a folder of exports: `tables` says for each its path or glob, relative to journey.yaml."""


def made(name: str, options: Options, folder: Path) -> Platform:
    """The platform of that name, made of files under `folder`."""
    return mapped.platform(name, options, folder, reader=_files, scope="read access to the file", verified=VERIFIED)


def mistakes(options: Options, folder: Path) -> list[tuple[str, str]]:
    """What is wrong with the options beside their types: (dotted path, sentence)."""
    suffixes = ", ".join(tabular.SUFFIXES)
    unreadable = [
        (f"tables.{table}", f"{pattern!r} is no file that can be read; allowed: {suffixes}")
        for table, pattern in options.tables.items()
        if Path(pattern).suffix.lower() not in tabular.SUFFIXES
    ]
    return unreadable + mapped.mistakes(options, folder)


def _files(pull: Pull, pattern: str, folder: Path) -> Iterator[mapped.Part]:
    found = sorted(glob.glob(pattern, root_dir=folder, recursive=True))  # noqa: PTH207  Path.glob refuses `..` and roots
    if not found:
        sentence = f"{pull.what}: no file {pattern!r}; put the export there, or correct the path in journey.yaml."
        raise SourceError(sentence, is_transient=False)
    for file in found:
        yield tabular.read(folder / file, pull.what)


# Without a settings file there are no tables; `made` makes the real ones.
PLATFORM = Platform(
    "files", (), {}, lambda _raw, _options: {}, Options, title="Files", verified=VERIFIED, made=made, mistakes=mistakes
)
