"""A YAML 1.2 file as plain values, with the line on which each of them stands. Not here: what the values mean."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

_LAST_STEP = re.compile(r"(\.[^.\[]*|\[\d+\]|^[^.\[]+)$")


@dataclass(frozen=True)
class Document:
    """Plain values, the line of every dotted path, and what was wrong with the file as such: (dotted path, sentence)."""

    data: Any
    lines: Mapping[str, int]
    mistakes: tuple[tuple[str, str], ...] = ()

    def line(self, path: str) -> int:
        """The line of a path; of what it would stand in, where it is missing."""
        while path and path not in self.lines:
            path = _LAST_STEP.sub("", path)
        return self.lines.get(path, 1)


def dotted(steps: Iterable[str | int]) -> str:
    """`("offers", 0, "price")` -> `offers[0].price`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def parse(text: str) -> Document:
    """The one document of a file; one that does not parse has no data and one mistake."""
    yaml = YAML(typ="safe", pure=True)  # pure Python reads YAML 1.2, where `on` and `off` are plain words
    try:
        root = yaml.compose(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        return Document(None, {"": line}, (("", f"not YAML here: {error.problem}"),))
    except YAMLError:
        return Document(
            None, {"": 1}, (("", "holds characters that YAML does not allow; save it as plain UTF-8 text"),)
        )
    if root is None:
        return Document(None, {}, (("", "the file is empty; the README shows how to write one"),))
    lines: dict[str, int] = {}
    mistakes = []
    for steps, line in _places(root, ()):
        path = dotted(steps)
        if path in lines:
            mistakes.append((path, f"is given twice, on lines {lines[path]} and {line}; keep one"))
        lines.setdefault(path, line)
    return Document(_value(yaml, root), lines, tuple(mistakes))


def _places(node: Node, steps: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], int]]:
    if isinstance(node, MappingNode):
        names: set[str] = set()
        for key, value in node.value:
            yield (*steps, key.value), key.start_mark.line + 1
            if key.value not in names:
                yield from _places(value, (*steps, key.value))
            names.add(key.value)
    elif isinstance(node, SequenceNode):
        for i, item in enumerate(node.value):
            yield (*steps, i), item.start_mark.line + 1
            yield from _places(item, (*steps, i))


def _value(yaml: YAML, node: Node) -> Any:
    """Names are always text: an id of digits is a name too. Of a name given twice, the first counts."""
    if isinstance(node, MappingNode):
        values: dict[str, Any] = {}
        for key, value in node.value:
            values.setdefault(key.value, _value(yaml, value))
        return values
    if isinstance(node, SequenceNode):
        return [_value(yaml, item) for item in node.value]
    return yaml.constructor.construct_object(node, deep=True)
