"""Settings: journey.yaml and the environment, read strictly and whole. The only room that reads either."""

from journey_pipeline.settings.loading import (
    addresses,
    decisions,
    decisions_file,
    load,
    secrets,
    sources,
    waivers,
    waivers_file,
)
from journey_pipeline.settings.places import Places, places

__all__ = [
    "Places",
    "addresses",
    "decisions",
    "decisions_file",
    "load",
    "places",
    "secrets",
    "sources",
    "waivers",
    "waivers_file",
]
