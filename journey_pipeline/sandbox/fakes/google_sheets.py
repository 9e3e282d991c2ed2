"""Google's spreadsheets over a world: spreadsheet `sandbox-<platform>` holds a sheet per kind, as the link's CSV and the API.

A kind's gid is its place among the kinds. The shared link answers with a page to log in, as Google does, where the world
holds nothing of that platform.
"""

import csv
import io
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from journey_pipeline.registry import KINDS
from journey_pipeline.sandbox.exports import flat
from journey_pipeline.sandbox.fakes import google, parts
from journey_pipeline.sandbox.world import World

SECRETS: dict[str, str] = {}
_SCOPE = "https://www.googleapis.com/auth/spreadsheets.readonly"


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


def app(world: World) -> Starlette:
    def is_known(spreadsheet: str) -> bool:
        name = spreadsheet.removeprefix("sandbox-")
        return any(not world.of(kind, name).is_empty() for kind in world.records)

    async def export(request: Request) -> Response:
        given = parts.parameters(request, ("format", "gid"))
        spreadsheet, kind = request.path_params["id"], _kind(given.get("gid", "0"))
        if given.get("format") != "csv":
            raise HTTPException(400, "format")
        if not is_known(spreadsheet):
            return HTMLResponse("<html>Sign in</html>")
        text = io.StringIO()
        csv.writer(text).writerows(_sheet(world, spreadsheet, kind))
        return PlainTextResponse(text.getvalue(), media_type="text/csv")

    async def about(request: Request) -> JSONResponse:
        google.authorise(request)
        parts.parameters(request, ("fields",))
        if not is_known(request.path_params["id"]):
            raise HTTPException(404, "Requested entity was not found.")
        sheets = [{"properties": {"sheetId": n, "title": kind}} for n, kind in enumerate(KINDS)]
        return JSONResponse({"sheets": sheets})

    async def values(request: Request) -> JSONResponse:
        google.authorise(request)
        parts.parameters(request, ("valueRenderOption", "dateTimeRenderOption"))
        kind = request.path_params["range"].strip("'")
        if kind not in KINDS:
            raise HTTPException(400, f"Unable to parse range: {kind}")
        rows = _sheet(world, request.path_params["id"], kind)
        return JSONResponse({"range": kind, "majorDimension": "ROWS", "values": [_shown(row) for row in rows]})

    routes = [
        Route("/spreadsheets/d/{id}/export", export),
        Route("/v4/spreadsheets/{id}", about),
        Route("/v4/spreadsheets/{id}/values/{range}", values),
    ]
    return google.service(routes, _SCOPE)


def _shown(row: list[Any]) -> list[Any]:
    """Empty cells are empty text, and left out at the end of a line."""
    cells = ["" if cell is None else cell for cell in row]
    while cells and cells[-1] == "":
        cells.pop()
    return cells
