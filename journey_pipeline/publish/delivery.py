"""Where else the warehouse goes: what `publish.to` names. The file itself, which is always built, is warehouse's."""

from collections.abc import Mapping
from pathlib import Path

from journey_pipeline.errors import JourneyError
from journey_pipeline.publish import anywhere, parquet, postgres
from journey_pipeline.publish.privacy import Mask


def deliver(
    warehouse: Path, views: Path, *, to: str, environ: Mapping[str, str], files: Path, how: Mask | None = None
) -> list[str]:
    """Bring a warehouse file to its destination; gives what its owner should know. `files`: the folder of Parquet files.

    Raises:
        JourneyError: if that can't be done; what was published before stays.
    """
    if to == "postgres":
        return postgres.publish(warehouse, views, _address(environ), how.left_out if how else ())
    if to == "parquet":
        parquet.publish(warehouse, files)
    elif to != "duckdb":
        anywhere.publish(warehouse, to, environ.get(postgres.URL, "").strip() or None)
    return []


def ask(to: str, environ: Mapping[str, str]) -> str:
    """Whether a publication would be taken, in words; destinations of dlt can only be told by publishing.

    Raises:
        JourneyError: if it would not.
    """
    if to == "postgres":
        postgres.ask(_address(environ))
        return "postgres: it answers, and lets us create"
    return f"{to}: {'a file' if to in ('duckdb', 'parquet') else 'not asked before something is published'}"


def _address(environ: Mapping[str, str]) -> str:
    url = environ.get(postgres.URL, "").strip()
    if not url:
        missing = f"publish.to is postgres, but {postgres.URL} is missing from the environment"
        msg = f"{missing}. Set it: postgresql://user:password@host/database. Nothing was published there."
        raise JourneyError(msg)
    return url
