"""What the fakes of Google's APIs share: a service account, the tokens it is granted, and errors as Google puts them.

Not here: any one API.
"""

import json
from collections.abc import Sequence
from functools import cache
from http import HTTPStatus

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts

_TOKEN = "ya29.sandbox"  # noqa: S105 - a made-up one
_WORDS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def key_file() -> str:
    """A service account's JSON key, as the console gives it."""
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return json.dumps({
        "type": "service_account", "client_email": "journey@sandbox.iam.gserviceaccount.com",
        "private_key": _key().private_bytes(*form).decode(), "token_uri": "https://oauth2.googleapis.com/token",
    })  # fmt: skip


def service(routes: Sequence[Route], scope: str) -> Starlette:
    """The fake's application, with a place that grants tokens for that scope."""

    async def token(request: Request) -> JSONResponse:
        form = await parts.form(request)
        try:
            said = jwt.decode(form["assertion"], _key().public_key(), algorithms=["RS256"], audience=str(request.url))
        except (jwt.InvalidTokenError, KeyError) as error:
            raise HTTPException(400, "invalid_grant") from error
        if said.get("scope") != scope:
            raise HTTPException(400, "invalid_scope")
        return JSONResponse({"access_token": _TOKEN, "expires_in": 3599, "token_type": "Bearer"})

    return parts.service([Route("/token", token, methods=["POST"]), *routes], _error)


def authorise(request: Request) -> None:
    """Refuse (401) what bears no token of ours."""
    parts.has_bearer(request, _TOKEN)


def _error(status: int, detail: str) -> parts.Row:
    word = _WORDS.get(status, HTTPStatus(status).name)
    return {"error": {"code": status, "message": detail, "status": word}}
