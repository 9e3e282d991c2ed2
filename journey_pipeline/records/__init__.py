"""Records: what every platform said, in one language of kinds, columns and types; what can't be read is set aside."""

from journey_pipeline.records.build import Records, Source, build

__all__ = ["Records", "Source", "build"]
