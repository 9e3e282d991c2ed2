"""What every fake refuses, so that a mistyped filter can't go unnoticed."""

from collections.abc import Collection, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request


def parameters(request: Request, allowed: Collection[str]) -> Mapping[str, str]:
    """The query parameters.

    Raises:
        HTTPException: 400, naming each parameter that the vendor does not know.
    """
    unknown = sorted(set(request.query_params) - set(allowed))
    if unknown:
        raise HTTPException(400, f"unknown parameters: {', '.join(unknown)}")
    return dict(request.query_params)


def body(given: Mapping[str, Any], allowed: Collection[str]) -> Mapping[str, Any]:
    """The JSON body.

    Raises:
        HTTPException: 400, naming each field that the vendor does not know.
    """
    unknown = sorted(set(given) - set(allowed))
    if unknown:
        raise HTTPException(400, f"unknown fields: {', '.join(unknown)}")
    return given
