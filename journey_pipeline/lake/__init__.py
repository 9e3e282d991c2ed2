"""The lake: an append-only raw log of what each platform said and when, and the tables made from it."""

from journey_pipeline.lake.ingest import Outcome, ingest
from journey_pipeline.lake.raw import RawLog, health
from journey_pipeline.lake.tables import Tables

__all__ = ["Outcome", "RawLog", "Tables", "health", "ingest"]
