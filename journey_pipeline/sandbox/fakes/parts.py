"""What the fakes share: refusing what a vendor would refuse, pages, times, and rendering a world anew when it changes.

Not here: the shape of any vendor's answer.
"""

import base64
import binascii
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.world import World

T = TypeVar("T")
Row = dict[str, Any]


class Rendered(Generic[T]):
    """Something made of a world's records of some kinds, made anew when their frames were replaced."""

    def __init__(self, world: World, kinds: Sequence[str], make: Callable[[World], T]) -> None:
        self._world, self._kinds, self._make = world, kinds, make
        self._seen: list[Any] | None = None
        self._made: T

    def now(self) -> T:
        frames = [self._world.records.get(kind) for kind in self._kinds]
        if self._seen is None or any(new is not old for new, old in zip(frames, self._seen, strict=True)):
            self._seen, self._made = frames, self._make(self._world)
        return self._made


def service(routes: Sequence[Route], error: Callable[[int, str], Any]) -> Starlette:
    """The fake's application; `error` gives the body of a refusal from its status and detail, as the vendor puts it."""

    async def refused(_request: Request, failure: Exception) -> JSONResponse:
        status = failure.status_code if isinstance(failure, HTTPException) else 500
        detail = failure.detail if isinstance(failure, HTTPException) else str(failure)
        return JSONResponse(error(status, detail), status)

    return Starlette(routes=list(routes), exception_handlers={HTTPException: refused})


def parameters(request: Request, allowed: Collection[str]) -> Mapping[str, str]:
    """The query parameters.

    Raises:
        HTTPException: 400, naming each parameter that the vendor does not know.
    """
    unknown = sorted(set(request.query_params) - set(allowed))
    if unknown:
        raise HTTPException(400, f"unknown parameters: {', '.join(unknown)}")
    return dict(request.query_params)


async def body(request: Request, allowed: Collection[str]) -> Mapping[str, Any]:
    """The JSON body.

    Raises:
        HTTPException: 400, if it is none, or naming each field that the vendor does not know.
    """
    try:
        given = dict(await request.json())
    except ValueError as error:
        raise HTTPException(400, "the body is no JSON object") from error
    return fields(given, allowed)


async def form(request: Request) -> Mapping[str, str]:
    """The body as a form, as token endpoints take it."""
    return dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))


def fields(given: Mapping[str, Any], allowed: Collection[str]) -> Mapping[str, Any]:
    """An object of a body; refused (400), naming each field that the vendor does not know."""
    unknown = sorted(set(given) - set(allowed))
    if unknown:
        raise HTTPException(400, f"unknown fields: {', '.join(unknown)}")
    return given


def has_header(request: Request, name: str, value: str) -> None:
    """Refuse (401) what lacks the key."""
    if request.headers.get(name) != value:
        raise HTTPException(401, "the key is missing or wrong")


def has_bearer(request: Request, token: str) -> None:
    """Refuse (401) another bearer token."""
    has_header(request, "Authorization", f"Bearer {token}")


def has_basic(request: Request, user: str, password: str) -> None:
    """Refuse (401) another user or password."""
    has_header(request, "Authorization", f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}")


def number(given: Mapping[str, str], name: str, default: int, *, least: int = 1, most: int | None = None) -> int:
    """A whole number among the parameters; refused (400) where it is none, or out of bounds."""
    try:
        value = int(given.get(name, default))
    except ValueError as error:
        raise HTTPException(400, f"{name} is no whole number") from error
    if value < least or (most is not None and value > most):
        raise HTTPException(400, f"{name} must be {least} or more" + (f", {most} at most" if most else ""))
    return value


def page(rows: Sequence[T], number: int, size: int) -> list[T]:
    """The page of that number, from 1 on."""
    return list(rows[(number - 1) * size : number * size])


def pages(rows: Sequence[Any], size: int) -> int:
    """How many pages the rows fill."""
    return -(-len(rows) // size)


def cursor(place: Any) -> str:
    """An opaque token for a place in a list, as vendors hand them out."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def place(token: str) -> Any:
    """What `cursor` was given; refused (400) where it gave no such token."""
    try:
        return json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, binascii.Error) as error:
        raise HTTPException(400, "no such cursor") from error


def own_id(row: Mapping[str, Any], platform: str) -> str | None:
    """The id under which the platform knows the person of a record."""
    return next((k.split(":", 1)[1] for k in row["keys"] or () if k.startswith(f"{platform}:")), None)


def elsewhere(row: Mapping[str, Any], platform: str) -> list[str]:
    """The ids under which other platforms know the person of a record."""
    return [k for k in row["keys"] or () if not k.startswith(f"{platform}:")]


def iso(instant: datetime | None) -> str | None:
    """`2026-05-15T12:00:00Z`."""
    return None if instant is None else instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def epoch(instant: datetime | None) -> int | None:
    """Seconds since 1970."""
    return None if instant is None else int(instant.timestamp())


def instant(text: str) -> datetime:
    """The instant that a parameter says: ISO 8601 or seconds since 1970; refused (400) where it says none."""
    try:
        if text.isdigit():
            return datetime.fromtimestamp(int(text), UTC)
        said = datetime.fromisoformat(text)
    except ValueError as error:
        raise HTTPException(400, f"no time: {text}") from error
    return said if said.tzinfo else said.replace(tzinfo=UTC)


def major(minor: int | None, digits: int = 2) -> str | None:
    """Minor units as decimal text: 1900 -> `19.00`."""
    if minor is None:
        return None
    sign, whole = "-" if minor < 0 else "", str(abs(minor)).zfill(digits + 1)
    return f"{sign}{whole[:-digits]}.{whole[-digits:]}" if digits else f"{sign}{whole}"
