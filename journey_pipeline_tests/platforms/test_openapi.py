"""The check against vendors' descriptions can fail: one wrong exchange for each thing that it looks at."""

from typing import Any

import pytest

from journey_pipeline_tests.platforms.openapi import Contract, Exchange, _modern, _nullable

CHARGE = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "string"}, "refund": {"type": "string", "nullable": True}},
}
SPEC = _nullable(
    {
        "paths": {
            "/charges": {
                "parameters": [{"$ref": "#/components/parameters/account"}],
                "get": {
                    "parameters": [
                        {"in": "query", "name": "limit", "schema": {"type": "integer", "maximum": 100}},
                        {"in": "query", "name": "created", "schema": {"type": "object"}},
                    ],
                    "responses": {
                        200: {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/list"}}}},
                        "4XX": {"description": "refused"},
                    },
                },
                "post": {
                    "requestBody": {
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/charge"}}}
                    },
                    "responses": {"default": {"description": "any"}},
                },
            },
            "/charges/{id}": {"get": {"responses": {"200": {"description": "no schema"}}}},
            "/charges/search": {
                "get": {"parameters": [{"in": "query", "name": "q"}], "responses": {"200": {"description": "ok"}}}
            },
        },
        "components": {
            "parameters": {"account": {"in": "query", "name": "account", "required": True}},
            "schemas": {"charge": CHARGE, "list": {"type": "array", "items": {"$ref": "#/components/schemas/charge"}}},
        },
    }
)


def exchange(path: str = "/vendor/v1/charges", **more: Any) -> Exchange:
    asked: dict[str, Any] = {
        "method": "GET",
        "query": (("account", "a"), ("limit", "100"), ("created[gte]", "1")),
        "sent": None,
        "status": 200,
        "answer": [{"id": "ch_1", "refund": None}],
        **more,
    }
    return Exchange(path=path, **asked)


@pytest.mark.parametrize(
    "right",
    [
        exchange(),
        exchange(status=429, answer=None),
        exchange("/vendor/v1/charges/ch_1", query=()),
        exchange("/vendor/v1/charges/search", query=(("q", "x"),)),
        exchange(method="POST", query=(("account", "a"),), sent={"id": "ch_1"}, status=500),
    ],
)
def test_what_is_described_passes(right: Exchange) -> None:
    Contract(SPEC, "/vendor/v1").check(right)


@pytest.mark.parametrize(
    ("wrong", "because"),
    [
        (exchange("/vendor/v1/refunds"), "no path /refunds is described"),
        (exchange(method="DELETE"), "DELETE /charges is not described"),
        (exchange(query=(("account", "a"), ("limti", "1"))), "limti is not a parameter"),
        (exchange(query=()), "required parameters are missing: ['account']"),
        (exchange(query=(("account", "a"), ("limit", "101"))), "101 is greater than the maximum"),
        (exchange(query=(("account", "a"), ("limit", "many"))), "'many' is not of type 'integer'"),
        (exchange(answer=[{"id": 1}]), "1 is not of type 'string'"),
        (exchange(answer=[{"refund": "re_1"}]), "'id' is a required property"),
        (exchange(answer=None), "None is not of type 'array'"),
        (exchange(status=500), "an answer 500 is not described"),
        (exchange(method="POST", query=(("account", "a"),), sent={}), "'id' is a required property"),
    ],
)
def test_what_is_not_described_fails(wrong: Exchange, because: str) -> None:
    with pytest.raises(AssertionError) as caught:
        Contract(SPEC, "/vendor/v1").check(wrong)
    assert because in str(caught.value)


def test_exceptions_are_listed_by_name() -> None:
    lenient = Contract(
        SPEC, "/vendor/v1", also_parameters={"GET /charges": ("limti",)}, wrong_answers=("GET /charges",)
    )
    lenient.check(exchange(query=(("account", "a"), ("limti", "1")), answer="nonsense"))


SWAGGER = _modern(
    {
        "swagger": "2.0",
        "parameters": {"size": {"in": "query", "name": "limit", "type": "integer", "maximum": 100}},
        "definitions": {"charge": CHARGE},
        "paths": {
            "/charges": {
                "get": {
                    "parameters": [
                        {"$ref": "#/parameters/size"},
                        {"in": "query", "name": "order", "type": "string", "enum": ["asc"], "required": True},
                    ],
                    "responses": {"200": {"description": "ok", "schema": {"$ref": "#/definitions/charge"}}},
                },
                "post": {
                    "parameters": [{"in": "body", "name": "it", "schema": {"$ref": "#/definitions/charge"}}],
                    "responses": {"200": {"description": "ok"}},
                },
            }
        },
    }
)


def swagger(**more: Any) -> Exchange:
    return exchange(**{"query": (("order", "asc"), ("limit", "100")), "answer": {"id": "ch_1"}, **more})


@pytest.mark.parametrize("right", [swagger(), swagger(method="POST", query=(), sent={"id": "ch_1"})])
def test_what_swagger_describes_passes(right: Exchange) -> None:
    Contract(SWAGGER, "/vendor/v1").check(right)


@pytest.mark.parametrize(
    ("wrong", "because"),
    [
        (swagger(query=(("limit", "1"),)), "required parameters are missing: ['order']"),
        (swagger(query=(("order", "desc"),)), "'desc' is not one of ['asc']"),
        (swagger(query=(("order", "asc"), ("limit", "101"))), "101 is greater than the maximum"),
        (swagger(answer={"id": 1}), "1 is not of type 'string'"),
        (swagger(method="POST", query=(), sent={}), "'id' is a required property"),
    ],
)
def test_what_swagger_does_not_describe_fails(wrong: Exchange, because: str) -> None:
    with pytest.raises(AssertionError) as caught:
        Contract(SWAGGER, "/vendor/v1").check(wrong)
    assert because in str(caught.value)
