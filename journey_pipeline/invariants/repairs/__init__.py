"""Repairs: what would mend each finding, where, and what forbids it. Proposed only: nothing here is ever executed."""

from journey_pipeline.invariants.repairs.propose import plan, proposed

__all__ = ["plan", "proposed"]
