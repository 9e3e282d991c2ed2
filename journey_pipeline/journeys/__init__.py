"""Journeys: each record with its person and offer, the columns that rules read, and one row per buyer's path."""

from journey_pipeline.journeys.build import Journeys, build
from journey_pipeline.journeys.rebuilt import rebuilt
from journey_pipeline.journeys.scope import Scope

__all__ = ["Journeys", "Scope", "build", "rebuilt"]
