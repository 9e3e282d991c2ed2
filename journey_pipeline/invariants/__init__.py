"""Invariants: what must be so, whether it is, and what becomes of what is not. Checks over them: great_expectations.py."""

from journey_pipeline.invariants.evaluation import Evaluation, evaluate
from journey_pipeline.invariants.language import mistakes
from journey_pipeline.invariants.money import totals

__all__ = ["Evaluation", "evaluate", "mistakes", "totals"]
