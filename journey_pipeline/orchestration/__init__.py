"""Orchestration: the rooms in their order, as plain steps, and around them the Dagster assets that call them."""
