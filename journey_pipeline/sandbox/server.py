"""Serves a world's platforms on loopback, each under its own path, as its vendor's API would answer."""

import math
import socket
import threading
import time
from collections import deque
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

PLATFORMS = (
    "meta_ads", "posthog", "typeform", "hubspot", "calendly", "pandadoc", "stripe", "woocommerce", "teachable", "mailchimp", "twilio",
    "slack", "zendesk", "google_sheets",
)  # fmt: skip
"""Those of the demo's business: at least one of every part of the journey."""
_START_S = 10.0
# Requests per seconds that the vendors grant an account like this one; HubSpot's search limit is its fake's own.
LIMITS: Mapping[str, tuple[int, float]] = {
    "stripe": (100, 1), "typeform": (2, 1), "hubspot": (100, 10), "teachable": (100, 60), "zendesk": (10, 60),
}  # fmt: skip


class _Limited:
    """Answers 429 with Retry-After once a platform was asked more often than its vendor lets one."""

    def __init__(self, app: ASGIApp, limit: tuple[int, float]) -> None:
        self._app, (self._most, self._span) = app, limit
        self._asked: deque[float] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        now = time.monotonic()
        while self._asked and self._asked[0] <= now - self._span:
            self._asked.popleft()
        if len(self._asked) >= self._most:
            wait = math.ceil(self._asked[0] + self._span - now)
            await PlainTextResponse("too many requests", 429, {"Retry-After": str(wait)})(scope, receive, send)
            return
        self._asked.append(now)
        await self._app(scope, receive, send)


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


def application(
    world: World, platforms: tuple[str, ...] = PLATFORMS, limits: Mapping[str, tuple[int, float]] | None = None
) -> Starlette:
    """All fakes of a world under one roof: `/stripe/…`, `/hubspot/…`; `limits`: requests per seconds, by platform."""
    mounts = []
    for platform in platforms:
        app: ASGIApp = _Troubled(_fake(platform).app(world), world, platform)
        limit = (limits or {}).get(platform)
        mounts.append(Mount(f"/{platform}", app=_Limited(app, limit) if limit else app))
    return Starlette(routes=mounts, exception_handlers={404: _nowhere})


async def _nowhere(_request: Request, _error: Exception) -> PlainTextResponse:
    return PlainTextResponse("no such path", 404)


@contextmanager
def serve(
    world: World, platforms: tuple[str, ...] = PLATFORMS, limits: Mapping[str, tuple[int, float]] | None = None
) -> Iterator[Mapping[str, str]]:
    """Serve on a free loopback port; gives the base URL of each platform.

    Raises:
        TimeoutError: if the server does not start.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        server = uvicorn.Server(
            uvicorn.Config(application(world, platforms, limits), log_level="error", access_log=False)
        )
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
