"""Where everything lies under a home folder (docs/definitions.md, Files and exit codes). Paths only."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from journey_pipeline.lake import RawLog, Tables


@dataclass(frozen=True)
class Home:
    """`root` is absolute. `raw_url`: where the raw log lies, if not under the home folder; any URL that fsspec knows."""

    root: Path
    raw_url: str | None = None

    @cached_property
    def log(self) -> RawLog:
        return RawLog(self.raw_url or str(self.root / "lake" / "raw"), self.root / "scratch")

    @cached_property
    def tables(self) -> Tables:
        return Tables(self.root / "lake")

    @property
    def warehouse(self) -> Path:
        return self.root / "warehouse.duckdb"

    @property
    def desk(self) -> Path:
        """What the commands read where the warehouse hides who people are; as clear as the lake beside it."""
        return self.root / "desk.duckdb"

    @property
    def files(self) -> Path:
        return self.root / "parquet"

    @property
    def page(self) -> Path:
        return self.root / "report.html"

    @property
    def data_docs(self) -> Path:
        return self.root / "data_docs"

    @property
    def dagster(self) -> Path:
        return self.root / "dagster"

    @property
    def truth(self) -> Path:
        return self.root / "truth"
