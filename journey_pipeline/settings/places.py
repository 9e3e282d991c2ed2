"""Where the settings and the home folder are: options first, then the environment, then the defaults."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    settings: Path
    home: Path
    raw_url: str | None


def places(environ: Mapping[str, str], settings: Path | None = None, home: Path | None = None) -> Places:
    """`JOURNEY_SETTINGS`, `JOURNEY_HOME` and `JOURNEY_RAW_URL` (the raw log in a bucket) where no option says so."""
    return Places(
        (settings or Path(environ.get("JOURNEY_SETTINGS") or "journey.yaml")).absolute(),
        (home or Path(environ.get("JOURNEY_HOME") or "journey_data")).absolute(),
        environ.get("JOURNEY_RAW_URL") or None,
    )
