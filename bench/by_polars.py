"""The program's own way: `python -m bench.by_polars RECORDS VERDICTS`, in a process of its own.

The tables that it lays out stay beside the verdicts, for judge.py.
"""

import sys
from dataclasses import replace
from pathlib import Path

import polars as pl

from bench import business
from bench.meter import Meter
from journey_pipeline import identity, journeys
from journey_pipeline.invariants import catalogue
from journey_pipeline.invariants.evaluation import evaluate
from journey_pipeline.lake.tables import Tables
from journey_pipeline.registry import TABLES


def main(records: Path, verdicts: Path) -> None:
    of, meter = business.settings(), Meter()
    with meter.phase("read"):
        kinds = business.read(records)
    with meter.phase("identity"):
        who = identity.resolve(kinds, country=of.business.country, rules=of.identity)
    # As in the daily job, which by now has written down who is tied by what.
    who = replace(who, ties=pl.DataFrame(), demoted=pl.DataFrame())
    with meter.phase("journeys"):
        built = journeys.build(kinds, who, business.scope(of))
        tables = dict(zip(built.tables, pl.collect_all(built.tables.values()), strict=True))
    with meter.phase("verdicts"):
        found = evaluate(
            {**{name: frame.lazy() for name, frame in tables.items()}, "source_health": business.health(of).lazy()},
            rules=[rule for rule in catalogue.load() if rule.core],
            settings=of,
            says=business.says(of),
            as_of=business.AS_OF,
        )
    meter.tell()
    for table, frame in found.verdicts.items():
        frame.write_parquet(verdicts / f"{table}.parquet")
    lake = Tables(verdicts / "tables")
    for name, frame in {**tables, "source_health": business.health(of)}.items():
        lake.write(TABLES[name].room, name, frame)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
