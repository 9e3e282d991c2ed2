"""Serves a world's platforms on loopback, each under its own path, as its vendor's API would answer."""

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from journey_pipeline.sandbox.world import World

PLATFORMS = ("typeform", "stripe", "hubspot", "teachable", "mailchimp", "zendesk")
_START_S = 10.0


class _Troubled:
    """Lets a platform fail as the world's `trouble` says, before its fake sees the request."""

    def __init__(self, app: ASGIApp, world: World, platform: str) -> None:
        self._app, self._world, self._platform = app, world, platform

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        trouble = self._world.trouble.get(self._platform)
        if scope["type"] == "http" and trouble:
            nth, trouble.seen = trouble.seen, trouble.seen + 1
            if nth >= trouble.after and (trouble.times is None or nth < trouble.after + trouble.times):
                headers = {"Retry-After": trouble.retry_after} if trouble.retry_after else {}
                reply = PlainTextResponse("in trouble", trouble.status, headers)
                await reply(scope, receive, send)
                return
        await self._app(scope, receive, send)


def secrets(platforms: tuple[str, ...] = PLATFORMS) -> dict[str, str]:
    """The keys that the fakes accept, by the environment variables that the platforms read."""
    return {name: key for p in platforms for name, key in _fake(p).SECRETS.items()}


def _fake(platform: str) -> Any:
    return import_module(f"journey_pipeline.sandbox.fakes.{platform}")


def application(world: World, platforms: tuple[str, ...] = PLATFORMS) -> Starlette:
    """All fakes of a world under one roof: `/stripe/…`, `/hubspot/…`."""
    mounts = [Mount(f"/{p}", app=_Troubled(_fake(p).app(world), world, p)) for p in platforms]
    return Starlette(routes=mounts, exception_handlers={404: _nowhere})


async def _nowhere(_request: Request, _error: Exception) -> PlainTextResponse:
    return PlainTextResponse("no such path", 404)


@contextmanager
def serve(world: World, platforms: tuple[str, ...] = PLATFORMS) -> Iterator[Mapping[str, str]]:
    """Serve on a free loopback port; gives the base URL of each platform.

    Raises:
        TimeoutError: if the server does not start.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(application(world, platforms), log_level="error", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + _START_S
        while not server.started:
            if time.monotonic() > deadline or not thread.is_alive():
                msg = f"the sandbox server did not start on port {port}"
                raise TimeoutError(msg)
            time.sleep(0.01)
        try:
            yield {platform: f"http://127.0.0.1:{port}/{platform}" for platform in platforms}
        finally:
            server.should_exit = True
            thread.join(_START_S)
