"""The catalogue: the rules that come with the program, read from the YAML beside this module.

The entries themselves, in exactly the form that journey.yaml takes, stand in `catalogue/`, one file per handoff.
"""

from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

from journey_pipeline.model import Rule

_FOLDER = Path(__file__).with_name("catalogue")


@cache
def load() -> tuple[Rule, ...]:
    """Every rule, in the order of the handoffs."""
    # Pure Python reads YAML 1.2; the C reader reads 1.1, where the key `on` is a boolean.
    yaml = YAML(typ="safe", pure=True)
    return tuple(Rule(**entry) for path in sorted(_FOLDER.glob("*.yaml")) for entry in yaml.load(path))


@cache
def names() -> frozenset[str]:
    return frozenset(rule.name for rule in load())
