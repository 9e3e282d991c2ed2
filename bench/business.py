"""What is measured: the sandbox's business as records in Parquet, its settings, and sources that are all well."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from ruamel.yaml import YAML

import journey_pipeline.sandbox
from journey_pipeline.journeys import Scope
from journey_pipeline.model import Settings
from journey_pipeline.records import Source
from journey_pipeline.registry import KINDS, TABLES, record_schema
from journey_pipeline.sandbox.business import generate, to_records
from journey_pipeline.settings import sources

AS_OF = datetime(2026, 5, 15, 12, tzinfo=UTC)
SEED = 7
_SANDBOX = Path(journey_pipeline.sandbox.__file__).parent


def write(people: int, folder: Path) -> int:
    """Write the records of so many people, a file per kind; how many records there are."""
    folder.mkdir(parents=True)
    count = 0
    for kind, lazy in to_records(generate(people, SEED, AS_OF)).items():
        frame = lazy.collect()
        frame.write_parquet(folder / f"{kind}.parquet")
        count += frame.height
    return count


def read(folder: Path) -> Mapping[str, pl.DataFrame]:
    return {kind: pl.read_parquet(folder / f"{kind}.parquet", columns=record_schema(kind).names()) for kind in KINDS}


def settings() -> Settings:
    return Settings.model_validate(YAML(typ="safe", pure=True).load(_SANDBOX / "demo.yaml"))


def platforms(of: Settings) -> Sequence[Source]:
    return sources(of, _SANDBOX)


def scope(of: Settings) -> Scope:
    return Scope(
        as_of=AS_OF,
        business=of.business,
        offers=of.offers,
        thresholds=of.thresholds,
        platforms=tuple(source.name for source in platforms(of)),
        ignore_products=of.ignore_products,
        customer_stages=of.customer_stages,
        test_buyers=of.test_buyers,
    )


def says(of: Settings) -> Mapping[str, Sequence[tuple[str, str]]]:
    """Kind -> the (platform, resource) that tell it."""
    found: dict[str, list[tuple[str, str]]] = {}
    for source in platforms(of):
        for kind, resources in source.platform.says.items():
            found.setdefault(kind, []).extend((source.name, resource) for resource in resources)
    return found


def health(of: Settings) -> pl.DataFrame:
    """source_health where everything was loaded a moment ago."""
    schema = TABLES["source_health"].schema
    rows = [{"platform": s.name, "resource": r.name} for s in platforms(of) for r in s.platform.resources]
    told = {"status": "fresh", "last_load_at": AS_OF, "complete_until_at": AS_OF, "newest_record_at": AS_OF}
    counts = {"row_count": 1, "usual_row_count": 1, "rejected_count": 0}
    return pl.DataFrame([{**row, **told, **counts} for row in rows], schema=schema)
