"""`python -m bench.judge TABLES FOLDER`: the whole catalogue over tables in the lake, as the daily job judges them.

Verdicts, incidents, repairs, and what Great Expectations takes beside; the first day, so that no finding is older.
"""

import sys
from pathlib import Path

import polars as pl

from bench import business
from bench.meter import Meter
from journey_pipeline.invariants import catalogue, crowds, findings, incidents, repairs
from journey_pipeline.invariants.evaluation import evaluate
from journey_pipeline.lake.tables import Tables
from journey_pipeline.registry import TABLES


def main(tables: Path, folder: Path) -> None:
    of, meter, rules = business.settings(), Meter(), catalogue.load()
    says, lake = business.says(of), Tables(tables)
    held = {name: lake.scan(table.room, name) for name, table in TABLES.items() if table.room != "publish"}
    previous, told_before = (pl.DataFrame(schema=TABLES[name].schema) for name in ("findings", "incident_days"))
    with meter.phase("verdicts"):
        found = evaluate(held, rules=rules, settings=of, says=says, as_of=business.AS_OF)
    with meter.phase("incidents"):
        groups = crowds.found(found.crowds, held, of.business.zone)
        rows, of_day = incidents.days(groups, findings.days(found, previous, held), previous, told_before)
        told = incidents.fold_all(
            of_day, findings.fold_all(rows), zone=of.business.zone, home=of.business.currency
        )  # fmt: skip
    with meter.phase("repairs"):
        repairs.proposed(rows, told, held, found.judging)
    from journey_pipeline.invariants import great_expectations  # noqa: PLC0415  its import is no part of the time

    with meter.phase("expectations"):
        great_expectations.check(
            held, found.verdicts, rules, found.invariant_days, as_of=business.AS_OF, docs_folder=folder / "data_docs"
        )
    meter.tell()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
