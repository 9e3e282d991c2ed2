"""Identity: who is who. Keys tie records, tied records are one person, and every tie can be shown."""

from journey_pipeline.identity.resolve import PERSON_KINDS, Identity, changes, resolve

__all__ = ["PERSON_KINDS", "Identity", "changes", "resolve"]
