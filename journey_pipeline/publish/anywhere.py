"""The warehouse's tables at any destination that dlt knows, each replaced whole. Views are not made there.

Where the destination can, a table is loaded aside and put in place in one step; but one table after the other, so who
reads two of them meanwhile may see two days. Where that must not be: PostgreSQL, DuckDB or Parquet.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from journey_pipeline.errors import JourneyError
from journey_pipeline.publish.postgres import URL
from journey_pipeline.publish.warehouse import building, quoted

if TYPE_CHECKING:
    import pyarrow as pa

DATASET = "journey"
_CHUNK = 100_000  # rows per Arrow table
_FILES = "filesystem"  # a bucket has no staging dataset: old files go, new ones come
_SWAPS = ("staging-optimized", "insert-from-staging")  # the better first
_COLUMNS = """
select table_name, column_name, data_type, comment from duckdb_columns()
where schema_name = 'journey' order by table_name, column_index
"""


def publish(warehouse: Path, to: str, url: str | None) -> None:
    """Replace the tables of the dataset `journey`. `url`: its connection string; None: dlt's own variables say.

    Raises:
        JourneyError: if dlt can't load them; tables that it did not come to keep yesterday's rows.
    """
    import dlt  # noqa: PLC0415  two seconds to import; only those who publish this way need it
    from dlt.common.configuration.exceptions import ConfigurationException  # noqa: PLC0415
    from dlt.common.destination import Destination  # noqa: PLC0415
    from dlt.common.exceptions import DltException, MissingDependencyException  # noqa: PLC0415

    dlt.config["runtime.dlthub_telemetry"] = False
    where = {("bucket_url" if to == _FILES else "credentials"): url} if url else {}
    try:
        with building(warehouse) as folder, duckdb.connect(str(warehouse), read_only=True) as db:
            db.execute("set timezone = 'UTC'")
            there = Destination.from_reference(to, **where)
            pipeline = dlt.pipeline(
                "journey_publish", pipelines_dir=str(folder), destination=there, dataset_name=DATASET
            )
            able = () if to == _FILES else pipeline.destination.capabilities().supported_replace_strategies or ()
            dlt.config["destination.replace_strategy"] = next((s for s in _SWAPS if s in able), "truncate-and-insert")
            pipeline.run(list(_tables(db)))
    except DltException as error:
        cause = getattr(error, "exception", None) or error
        said = f"Set {URL}, or dlt's own variables of this destination"
        if isinstance(cause, MissingDependencyException):
            said = " ".join(str(cause).split())
        elif not isinstance(cause, ConfigurationException):  # its text may quote the address
            said = "Check the address, the rights and the quota"
        msg = f"{to} can't be published to ({type(cause).__name__}). {said}. Tables that were not reached are as they were."
        raise JourneyError(msg) from None


def _tables(db: duckdb.DuckDBPyConnection) -> Iterator[Any]:
    import dlt  # noqa: PLC0415

    selects: dict[str, list[str]] = {}
    hints: dict[str, dict[str, Any]] = {}
    for table, column, dtype, comment in db.sql(_COLUMNS).fetchall():
        name = quoted(column)
        is_nested = dtype.endswith("[]") or dtype.startswith("STRUCT")  # as JSON text: few destinations open lists
        selects.setdefault(table, []).append(f"to_json({name})::varchar as {name}" if is_nested else name)
        hints.setdefault(table, {})[column] = {"description": comment} if comment else {}
    for table, columns in selects.items():
        query = f"select {', '.join(columns)} from journey.{quoted(table)}"  # noqa: S608  names out of the warehouse
        yield dlt.resource(
            _rows(db, query), name=table, write_disposition="replace", columns=hints[table]
        )  # fmt: skip


def _rows(db: duckdb.DuckDBPyConnection, query: str) -> Iterator["pa.Table"]:
    """The rows in chunks; an empty table is one empty chunk, so that its columns arrive."""
    import pyarrow as pa  # noqa: PLC0415

    with db.cursor() as own:
        own.execute("set timezone = 'UTC'")
        chunks = own.sql(query).to_arrow_reader(_CHUNK)
        first = next(chunks, None)
        yield pa.Table.from_batches([first] if first else [], chunks.schema)
        for chunk in chunks:
            yield pa.Table.from_batches([chunk])
