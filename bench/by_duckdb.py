"""The same work as plain SQL: `python -m bench.by_duckdb RECORDS VERDICTS`, in a process of its own.

The SQL stands in `sql/`. Here: what it is told of the settings, and the loop that spreads identity until it is at rest.
"""

import sys
from datetime import UTC
from pathlib import Path

import duckdb
import polars as pl

from bench import business
from bench.compare import JUDGED
from bench.meter import Meter
from journey_pipeline.journeys import Scope
from journey_pipeline.model import Caps
from journey_pipeline.registry import TEXT

_SQL = Path(__file__).parent / "sql"
_THREADS = 2
_LEVELS = (1, 2, 3)


def main(records: Path, verdicts: Path) -> None:
    meter, db, of = Meter(), duckdb.connect(config={"threads": _THREADS}), business.settings()
    tell(db, business.scope(of), of.identity.caps, records)
    with meter.phase("identity"):
        run(db, "01_records", "02_ties")
        for level in _LEVELS:
            db.execute("set variable level = ?", [level])
            run(db, "03_level_begins", "04_level_spreads")
            while db.execute("select changed from changed").fetchall()[0][0]:
                run(db, "04_level_spreads")
            run(db, "05_level_ends")
        run(db, "06_people")
    with meter.phase("journeys"):
        run(db, "07_money", "08_people", "09_journeys")
    with meter.phase("verdicts"):
        run(db, "10_verdicts")
    meter.tell()
    for table in JUDGED:
        db.table(f"verdicts_{table}").write_parquet(str(verdicts / f"{table}.parquet"))


def run(db: duckdb.DuckDBPyConnection, *names: str) -> None:
    for name in names:
        db.execute((_SQL / f"{name}.sql").read_text())


def tell(db: duckdb.DuckDBPyConnection, scope: Scope, caps: Caps, records: Path) -> None:
    """The settings, as variables and small tables."""
    db.execute("set TimeZone = 'UTC'")
    thresholds = scope.thresholds
    variables = {
        "records": str(records),
        "as_of": scope.as_of.replace(tzinfo=None),
        "test_buyers": [pattern.lower() for pattern in scope.test_buyers],
        "identity_sure": thresholds.identity_sure,
        **{name: getattr(caps, name) for name in ("people_per_phone", "names_per_email")},
        **{name: scope.span(name) for name in ("dunning", "twin_window", "look_back")},
    }
    for name, value in variables.items():
        db.execute(f"set variable {name} = ?", [value])
    numbered = list(enumerate(scope.offers, 1))
    offers = {
        "offer": [n for n, _ in numbered],
        "offer_id": [o.id for _, o in numbered],
        "access_days": [o.access_days for _, o in numbered],
        "opens_at": [at and at.astimezone(UTC).replace(tzinfo=None) for at in scope.opens_at()],
        "is_repeatable": [o.repeatable for _, o in numbered],
        "has_welcome": [bool(o.welcome) for _, o in numbered],
    }
    schema = {"access_days": pl.Int32(), "opens_at": pl.Datetime("us")}
    tables = {
        "offers": pl.DataFrame(offers, schema_overrides=schema),
        "items": scope.items,
        "product_offer": pl.DataFrame(
            list(scope.offer_of_product.items()), schema=["product_ref", "offer"], orient="row"
        ),
        "welcomes": pl.DataFrame(
            [(n, ref) for n, o in numbered for ref in o.welcome], schema=["offer", "template_ref"], orient="row"
        ),
        "ignored": pl.DataFrame({"product_ref": list(scope.ignore_products)}, schema={"product_ref": TEXT}),
        "customer_stages": pl.DataFrame({"stage": list(scope.customer_stages)}, schema={"stage": TEXT}),
    }
    for name, frame in tables.items():
        db.register(name, frame.to_arrow())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
