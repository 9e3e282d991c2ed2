"""Small drawn worlds of records, and what identity says of them. No tests."""

from datetime import UTC, datetime
from typing import Any

import polars as pl

from journey_pipeline.identity import Identity, resolve
from journey_pipeline.registry import KINDS, record_schema

Row = dict[str, Any]
DAY_1 = datetime(2026, 5, 14, 6, tzinfo=UTC)


def world(*rows: Row) -> dict[str, pl.DataFrame]:
    """Records from dicts: `kind`, `id` and whatever matters; the rest is filled in."""
    kinds: dict[str, list[Row]] = {kind: [] for kind in KINDS}
    for given_row in rows:
        row = {
            "platform": "stripe", "first_loaded_at": DAY_1, "occurred_at": DAY_1, "keys": [], "is_test": False, **given_row,
        }  # fmt: skip
        kinds[str(row.pop("kind", "payments"))].append({"record_id": row.pop("id"), **row})
    return {kind: pl.DataFrame(found, schema=record_schema(kind), orient="row") for kind, found in kinds.items()}


def solve(*rows: Row, **how: Any) -> Identity:
    return resolve(world(*rows), country="US", **how)


def who(identity: Identity) -> dict[str, int]:
    """record_id -> person number."""
    frame = identity.records
    return dict(zip(frame["record_id"].to_list(), frame["person"].to_list(), strict=True))


def together(identity: Identity, *ids: str) -> bool:
    return len({who(identity)[i] for i in ids}) == 1


def confidence(identity: Identity, record_id: str) -> float:
    person = who(identity)[record_id]
    return float(identity.people.filter(pl.col("person") == person)["identity_confidence"][0])


def ids(identity: Identity) -> dict[str, str]:
    """record_id -> person_id."""
    return dict(identity.record_persons().select("record_id", "person_id").collect().iter_rows())
