"""What pydantic found wrong, in one sentence that says what is allowed. Not here: mistakes that pydantic can't know."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from journey_pipeline.errors import one_of
from journey_pipeline.settings.document import dotted

_PATTERNS = {
    "^[a-z0-9_]+$": "small letters, digits and _",
    "^[a-z][a-z0-9_]*$": "small letters, digits and _, a letter first",
    "^[a-z0-9_]+:.+$": "type:value, like email:info@*",
    "^[A-Z]{2}$": "two capital letters, like US",
}
_TYPES = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "date": "a day, like 2026-05-31",
    "dict": "names with values, like {name: value}",
    "model": "names with values, like {name: value}",
    "tuple": "a list, like [one, two]",
    "list": "a list, like [one, two]",
}
_LIMITS = {
    "greater_than_equal": ("at least", "ge"), "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"), "less_than": ("less than", "lt"),
}  # fmt: skip


def mistakes(error: ValidationError, model: type[BaseModel], at: str = "") -> Iterator[tuple[str, str]]:
    """(dotted path, sentence) of everything wrong with a value of `model` that stands at the path `at`."""
    for fault in error.errors(include_url=False):
        steps = tuple(step for step in fault["loc"] if step != "[key]")
        path = dotted(steps)
        yield (f"{at}.{path}" if at and path else at or path), _sentence(fault, steps, model)


def _sentence(fault: Mapping[str, Any], steps: tuple[str | int, ...], model: type[BaseModel]) -> str:
    kind, given, context = fault["type"], fault["input"], fault.get("ctx", {})
    match kind:
        case "missing":
            fields = _model_at(model, steps[:-1]).model_fields
            said = f"is missing; needed here: {', '.join(n for n, f in fields.items() if f.is_required())}"
        case "extra_forbidden":
            said = f"no such name; {one_of(str(steps[-1]), _model_at(model, steps[:-1]).model_fields)}"
        case "value_error":
            said = str(context["error"])
        case "literal_error":
            said = f"{given!r} is not known; {one_of(str(given), _words(context['expected']))}"
        case "string_pattern_mismatch":
            said = f"{given!r} can't stand here; allowed: {_PATTERNS.get(context['pattern'], context['pattern'])}"
        case "too_short":
            said = "is empty; at least one is needed"
        case limit if limit in _LIMITS:
            sign, bound = _LIMITS[limit]
            said = f"{given} is out of bounds; allowed: {sign} {context[bound]:g}"
        case _:
            said = _mistyped(given, _TYPES.get(kind.split("_")[0])) or str(fault["msg"])
    return said


def _mistyped(given: Any, wanted: str | None) -> str | None:
    if not wanted:
        return None
    if given is None:
        return f"is empty, must be {wanted}"
    hint = "; put it in quotes" if wanted == "text" and not isinstance(given, dict | list) else ""
    return f"is {_what(given)}, must be {wanted}{hint}"


def _model_at(model: type[BaseModel], steps: tuple[str | int, ...]) -> type[BaseModel]:
    """The model of the value at `steps`; steps into a list or mapping of models name no field."""
    for step in steps:
        field = model.model_fields.get(str(step))
        model = next(_models(field.annotation), model) if field else model
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _words(expected: str) -> list[str]:
    """`'exact', 'sampled' or 'claimed'` -> its words."""
    return expected.replace(" or ", ", ").replace("'", "").split(", ")


def _what(given: Any) -> str:
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, dict | list):
        return "a list" if isinstance(given, list) else "names with values"
    return repr(given) if isinstance(given, str | int | float) else str(given)
