"""Identity: who is who. Keys tie records, tied records are one person, and every tie can be shown."""

from journey_pipeline.identity.changes import changes
from journey_pipeline.identity.health import health
from journey_pipeline.identity.keys import PERSON_KINDS
from journey_pipeline.identity.resolve import Identity, resolve

__all__ = ["PERSON_KINDS", "Identity", "changes", "health", "resolve"]
