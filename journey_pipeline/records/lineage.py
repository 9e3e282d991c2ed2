"""Which raw rows each record was read from, over all of its versions. Whose the records are is identity's."""

from collections.abc import Iterable

import polars as pl

from journey_pipeline.lake import RawLog
from journey_pipeline.records.build import Source
from journey_pipeline.records.typed import typed
from journey_pipeline.registry import NO_PERSON, TEXT, TIME

SCHEMA = pl.Schema({
    "kind": TEXT, "platform": TEXT, "record_id": TEXT, "resource": TEXT, "loaded_at": TIME, "_row": pl.Int64(),
    "email": TEXT, "phone": TEXT, "name": TEXT,
})  # fmt: skip


def lineage(sources: Iterable[Source], log: RawLog) -> pl.DataFrame:
    """One row per version of a record about a person: where in the raw log it stands, and how it names that person."""
    parts = [pl.DataFrame(schema=SCHEMA)]
    for source in sources:
        loads = log.loads(source.name)
        raw = {r.name: log.scan(source.name, r, loads) for r in source.platform.resources}
        for kind, frame in source.platform.read(raw, source.options).items():
            if kind not in NO_PERSON:
                read = typed(kind, frame, source.name).with_columns(kind=pl.lit(kind), resource="_resource")
                parts.append(read.select(SCHEMA.names()).collect())
    return pl.concat(parts)
