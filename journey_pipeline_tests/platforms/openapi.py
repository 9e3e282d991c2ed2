"""Holds what a module asks and what a fake answers against the vendor's own OpenAPI description.

The descriptions are reference data beside the project, not part of it: tests skip where they are absent.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # its stubs are not among ours
from referencing import Registry
from referencing.jsonschema import DRAFT202012

SPECS = Path(__file__).parents[2].parent / "shared" / "vendors" / "specs"


@dataclass(frozen=True)
class Exchange:
    """One request and its answer, as seen on the wire."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    sent: Any
    status: int
    answer: Any


@contextmanager
def recorded() -> Iterator[list[Exchange]]:
    """Every request made with `requests` meanwhile, with its answer."""
    seen: list[Exchange] = []
    send = requests.adapters.HTTPAdapter.send

    def recording(self: Any, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        reply = send(self, request, *args, **kwargs)
        url = urlsplit(request.url or "")
        query = tuple(parse_qsl(url.query, keep_blank_values=True))
        seen.append(
            Exchange(
                request.method or "", url.path, query, _json(request.body), reply.status_code, _json(reply.content)
            )
        )
        return reply

    with mock.patch.object(requests.adapters.HTTPAdapter, "send", recording):
        yield seen


def _json(body: str | bytes | None) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None


@dataclass(frozen=True)
class Contract:
    """A vendor's description: `base` is where its paths begin on the fake (`/stripe`, `/mailchimp/3.0`).

    `also_parameters` and `wrong_answers` list, in the test and with their reason, where the description is plainly
    wrong, by `METHOD path-template`: query parameters that it lacks, and answers that it can't be trusted on.
    """

    spec: Mapping[str, Any]
    base: str
    also_parameters: Mapping[str, Collection[str]] = field(default_factory=dict)
    wrong_answers: Collection[str] = ()

    def check(self, exchange: Exchange) -> None:
        """Fail where the request is not one that the vendor knows, or the answer not one that it could give."""
        template, item = self._path(exchange.path)
        operation = item.get(exchange.method.lower())
        assert operation is not None, f"{exchange.method} {template} is not described"
        name = f"{exchange.method} {template}"
        self._check_query(name, item, operation, exchange)
        self._check_sent(name, operation, exchange)
        if name not in self.wrong_answers:
            self._check_answer(name, operation, exchange)

    def _path(self, path: str) -> tuple[str, Mapping[str, Any]]:
        bare = path.removeprefix(self.base)
        found = [
            (template, item)
            for template, item in self.spec["paths"].items()
            if re.fullmatch(re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(template)), bare)
        ]
        assert found, f"no path {bare} is described"
        return min(found, key=lambda pair: pair[0].count("{"))

    def _check_query(
        self, name: str, item: Mapping[str, Any], operation: Mapping[str, Any], exchange: Exchange
    ) -> None:
        described = [self._follow(p) for p in (*item.get("parameters", ()), *operation.get("parameters", ()))]
        known = {p["name"]: p for p in described if p["in"] == "query"}
        also = set(self.also_parameters.get(name, ()))
        given = dict(exchange.query)
        for key, text in given.items():
            parameter = known.get(key) or known.get(key.split("[")[0])
            assert parameter or key in also, f"{name}: {key} is not a parameter; known: {sorted(known)}"
            if parameter and key == parameter["name"] and "schema" in parameter:
                schema = self._follow(parameter["schema"])
                self.valid(f"{name}?{key}", schema, _typed(text, schema))
        lacking = [k for k, p in known.items() if p.get("required") and k not in given]
        assert not lacking, f"{name}: required parameters are missing: {lacking}"

    def _check_sent(self, name: str, operation: Mapping[str, Any], exchange: Exchange) -> None:
        content = self._follow(operation.get("requestBody", {})).get("content", {})
        kind = next((k for k in content if "json" in k), None)
        if kind and exchange.sent is not None:
            self.valid(f"{name} body", content[kind]["schema"], exchange.sent)

    def _check_answer(self, name: str, operation: Mapping[str, Any], exchange: Exchange) -> None:
        responses = {str(k): v for k, v in operation["responses"].items()}
        status = str(exchange.status)
        response = responses.get(status) or responses.get(f"{status[0]}XX") or responses.get("default")
        assert response is not None, f"{name}: an answer {status} is not described"
        content = self._follow(response).get("content", {})
        kind = next((k for k in content if "json" in k), None)
        if kind and "schema" in content[kind]:
            self.valid(f"{name} {status}", content[kind]["schema"], exchange.answer)

    @cached_property
    def _registry(self) -> Registry[Any]:
        registry: Registry[Any] = Registry().with_resource("urn:spec", DRAFT202012.create_resource(self.spec))
        return registry

    def _follow(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in node:
            target: Any = self.spec
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            node = target
        return node

    def valid(self, what: str, schema: Mapping[str, Any], value: Any) -> None:
        # Local references mean the description itself, wherever the schema stands in it.
        anchored = json.loads(json.dumps(schema).replace('"$ref": "#/', '"$ref": "urn:spec#/'))
        validator: Any = Draft202012Validator(anchored, registry=self._registry)
        errors = [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(value)]
        assert not errors, f"{what}: " + "; ".join(errors[:5])


def _typed(text: str, schema: Mapping[str, Any]) -> Any:
    """A query value is text on the wire; its schema speaks of the value that the text stands for."""
    types = schema.get("type")
    for name in [types] if isinstance(types, str) else types or []:
        if name == "integer" and re.fullmatch(r"-?\d+", text):
            return int(text)
        if name == "number" and re.fullmatch(r"-?\d+(\.\d+)?", text):
            return float(text)
        if name == "boolean" and text in ("true", "false"):
            return text == "true"
        if name == "array":
            return text.split(",")
    return text


@cache
def _load(path: Path) -> Mapping[str, Any]:
    text = path.read_text()
    if path.suffix == ".json":
        return _modern(dict(_nullable(json.loads(text))))
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return dict(_nullable(json.loads(json.dumps(yaml.load(text, loader), default=str))))  # noqa: S506 - a safe loader


def _modern(spec: dict[str, Any]) -> Mapping[str, Any]:
    """Swagger 2.0 in the words of OpenAPI 3: the schemas of parameters, bodies and answers stand one level deeper."""
    if spec.get("swagger") != "2.0":
        return spec
    parts = [part for item in spec["paths"].values() for part in item.values()]
    operations = [part for part in parts if isinstance(part, dict) and "responses" in part]
    shared = [p for item in spec["paths"].values() for p in item.get("parameters", ())]
    own = [p for operation in operations for p in operation.get("parameters", ())]
    for parameter in (*spec.get("parameters", {}).values(), *shared, *own):
        told = {k: v for k, v in parameter.items() if k not in ("name", "in", "required", "description", "$ref")}
        parameter.setdefault("schema", told)
    answers = [answer for operation in operations for answer in operation["responses"].values()]
    for answer in (*spec.get("responses", {}).values(), *answers):
        if "schema" in answer:
            answer["content"] = {"application/json": {"schema": answer["schema"]}}
    for operation in operations:
        for parameter in operation.get("parameters", ()):
            if parameter.get("in") == "body":
                operation["requestBody"] = {"content": {"application/json": {"schema": parameter["schema"]}}}
    return spec


def _nullable(node: Any) -> Any:
    """OpenAPI 3.0 says `nullable: true` where JSON Schema has a type of its own for null."""
    if isinstance(node, list):
        return [_nullable(part) for part in node]
    if not isinstance(node, dict):
        return node
    inner = {k: _nullable(v) for k, v in node.items()}
    if inner.get("nullable") is True:
        del inner["nullable"]
        return {"anyOf": [inner, {"type": "null"}]}
    return inner


def contract(vendor: str, file: str, **kwargs: Any) -> Contract:
    """The stored description of a vendor; skips the test where there is none."""
    path = SPECS / vendor / file
    if not path.exists():
        pytest.skip(f"the stored description {vendor}/{file} is not here")
    return Contract(_load(path), **kwargs)
