"""Google's spreadsheets over a world: spreadsheet `sandbox-<platform>` holds a sheet per kind, as the link's CSV and the API.

A kind's gid is its place among the kinds. The shared link answers with a page to log in, as Google does, where the world
holds nothing of that platform.
"""

import csv
import io
import json
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from journey_pipeline.registry import KINDS
from journey_pipeline.sandbox.exports import flat
from journey_pipeline.sandbox.fakes import kit
from journey_pipeline.sandbox.world import World

SECRETS: dict[str, str] = {}
_TOKEN = "sandbox-token"  # noqa: S105 - a made-up one
_SCOPE = "https://www.googleapis.com/auth/spreadsheets.readonly"


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def key_file(base_url: str) -> str:
    """A service account's JSON key, as the console gives it."""
    pem = _key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return json.dumps({
        "type": "service_account", "client_email": "journey@sandbox.iam.gserviceaccount.com",
        "private_key": pem.decode(), "token_uri": f"{base_url}/token",
    })  # fmt: skip


def link(base_url: str, platform: str, kind: str) -> str:
    """The link of one kind's sheet, as a browser shows it."""
    return f"{base_url}/spreadsheets/d/sandbox-{platform}/edit#gid={tuple(KINDS).index(kind)}"


def _sheet(world: World, spreadsheet: str, kind: str) -> list[list[Any]]:
    frame = flat(world.of(kind, spreadsheet.removeprefix("sandbox-")))
    return [frame.columns, *(list(row) for row in frame.rows())]


def _kind(gid: str) -> str:
    if not gid.isdigit() or int(gid) >= len(KINDS):
        raise HTTPException(400, "no such sheet")
    return tuple(KINDS)[int(gid)]


async def _token(request: Request) -> JSONResponse:
    form = await kit.form(request)
    try:
        said = jwt.decode(form["assertion"], _key().public_key(), algorithms=["RS256"], audience=str(request.url))
    except (jwt.InvalidTokenError, KeyError) as error:
        raise HTTPException(400, "invalid_grant") from error
    if said.get("scope") != _SCOPE:
        raise HTTPException(400, "invalid_scope")
    return JSONResponse({"access_token": _TOKEN, "expires_in": 3599, "token_type": "Bearer"})


def app(world: World) -> Starlette:
    def is_known(spreadsheet: str) -> bool:
        name = spreadsheet.removeprefix("sandbox-")
        return any(not world.of(kind, name).is_empty() for kind in world.records)

    async def export(request: Request) -> Response:
        given = kit.parameters(request, ("format", "gid"))
        spreadsheet, kind = request.path_params["id"], _kind(given.get("gid", "0"))
        if given.get("format") != "csv":
            raise HTTPException(400, "format")
        if not is_known(spreadsheet):
            return HTMLResponse("<html>Sign in</html>")
        text = io.StringIO()
        csv.writer(text).writerows(_sheet(world, spreadsheet, kind))
        return PlainTextResponse(text.getvalue(), media_type="text/csv")

    async def about(request: Request) -> JSONResponse:
        kit.has_bearer(request, _TOKEN)
        kit.parameters(request, ("fields",))
        if not is_known(request.path_params["id"]):
            raise HTTPException(404, "Requested entity was not found.")
        sheets = [{"properties": {"sheetId": n, "title": kind}} for n, kind in enumerate(KINDS)]
        return JSONResponse({"sheets": sheets})

    async def values(request: Request) -> JSONResponse:
        kit.has_bearer(request, _TOKEN)
        kit.parameters(request, ("valueRenderOption", "dateTimeRenderOption"))
        kind = request.path_params["range"].strip("'")
        if kind not in KINDS:
            raise HTTPException(400, f"Unable to parse range: {kind}")
        rows = _sheet(world, request.path_params["id"], kind)
        return JSONResponse({"range": kind, "majorDimension": "ROWS", "values": [_shown(row) for row in rows]})

    return kit.service(
        [
            Route("/spreadsheets/d/{id}/export", export),
            Route("/token", _token, methods=["POST"]),
            Route("/v4/spreadsheets/{id}", about),
            Route("/v4/spreadsheets/{id}/values/{range}", values),
        ],
        lambda status, detail: {"error": {"code": status, "message": detail}},
    )


def _shown(row: list[Any]) -> list[Any]:
    """Empty cells are empty text, and left out at the end of a line."""
    cells = ["" if cell is None else cell for cell in row]
    while cells and cells[-1] == "":
        cells.pop()
    return cells
