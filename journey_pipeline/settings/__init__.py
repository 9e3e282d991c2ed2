"""Settings: journey.yaml and the environment, read strictly and whole. The only room that reads either."""

from journey_pipeline.settings.loading import load, secrets, sources, waivers
from journey_pipeline.settings.places import Places, places

__all__ = ["Places", "load", "places", "secrets", "sources", "waivers"]
