"""Stripe's API over a world: lists, filters, events and refusals. What its objects look like is stripe_objects.py's."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import zip_longest
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts, stripe_objects
from journey_pipeline.sandbox.fakes.stripe_objects import Thing
from journey_pipeline.sandbox.world import World

SECRETS = {"STRIPE_API_KEY": "rk_test_sandbox"}
SINCE_BASIL = "2025-03-31"
MAX_PAGE = 100
EVENTS_KEPT = timedelta(days=30)

_LISTS = {
    "charges": "charge",
    "refunds": "refund",
    "disputes": "dispute",
    "customers": "customer",
    "subscriptions": "subscription",
    "invoices": "invoice",
    "invoice_payments": "invoice_payment",
    "checkout/sessions": "checkout.session",
}
_OWN_FILTERS = {"subscription": ("status",), "checkout.session": ("expand[]",)}


@dataclass(frozen=True)
class _Held:
    """All that the account holds: each list newest first, every object by id, and the events of the last 30 days."""

    made_of: tuple[object, ...]
    lists: Mapping[str, list[Thing]]
    by_id: Mapping[str, Thing]
    events: list[Thing]


class _Account:
    """The world as Stripe holds it, made anew when the world has changed."""

    def __init__(self, world: World) -> None:
        self._world, self._held = world, _Held((), {}, {}, [])

    def __call__(self) -> _Held:
        world = self._world
        made_of = (world.records.get("payments"), world.records.get("subscriptions"), world.now)
        if any(new is not old for new, old in zip_longest(made_of, self._held.made_of)):
            self._held = _hold(made_of, world)
        return self._held


def app(world: World) -> Starlette:
    account = _Account(world)

    def listed(kind: str, url: str) -> Callable[[Request], Thing]:
        return lambda request: _list(request, account().lists[kind], url, _OWN_FILTERS.get(kind, ()))

    def fetched(kind: str) -> Callable[[Request], Thing]:
        return lambda request: _one(request, account(), kind)

    def events(request: Request) -> Thing:
        return _list(request, account().events, "/v1/events", ("type", "types[]"))

    routes = [Route("/v1/events", _endpoint(events))]
    for name, kind in _LISTS.items():
        routes.append(Route(f"/v1/{name}", _endpoint(listed(kind, f"/v1/{name}"))))
        routes.append(Route(f"/v1/{name}/{{id}}", _endpoint(fetched(kind))))
    return Starlette(routes=routes, exception_handlers={HTTPException: _refused})


def _endpoint(answer: Callable[[Request], Thing]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        if request.headers.get("Authorization") != f"Bearer {SECRETS['STRIPE_API_KEY']}":
            raise HTTPException(401, "Invalid API Key provided")
        if request.headers.get("Stripe-Version", "") < SINCE_BASIL:
            raise HTTPException(400, f"the sandbox speaks Stripe-Version {SINCE_BASIL} and later; name one")
        return JSONResponse(answer(request))

    return endpoint


async def _refused(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    body = {"error": {"type": "invalid_request_error", "message": error.detail}}
    return JSONResponse(body, error.status_code, headers={"Stripe-Should-Retry": "false"})


def _list(request: Request, things: list[Thing], url: str, more: Iterable[str]) -> Thing:
    ranges = [f"created[{op}]" for op in ("gte", "gt", "lte", "lt")]
    given = parts.parameters(request, {"limit", "starting_after", *ranges, *more})
    limit = _whole(given.get("limit", "10"), "limit")
    if not 1 <= limit <= MAX_PAGE:
        raise HTTPException(400, f"This value must be between 1 and {MAX_PAGE} (it is {limit}): limit")
    bounds = {
        op: _whole(given[name], name)
        for op, name in zip(("gte", "gt", "lte", "lt"), ranges, strict=True)
        if name in given
    }
    kept = [t for t in things if _within(t["created"], **bounds) and _asked_for(t, request, given)]
    if after := given.get("starting_after"):
        at = next((i for i, t in enumerate(kept) if t["id"] == after), None)
        if at is None:
            raise HTTPException(400, f"No such object: '{after}' (starting_after)")
        kept = kept[at + 1 :]
    page = [_shown(t, request, "data.") for t in kept[:limit]]
    return {"object": "list", "url": url, "has_more": len(kept) > limit, "data": page}


def _one(request: Request, held: _Held, kind: str) -> Thing:
    parts.parameters(request, {"expand[]"} if kind == "checkout.session" else set())
    thing = held.by_id.get(request.path_params["id"])
    if thing is None or thing["object"] != kind:
        raise HTTPException(404, f"No such {kind}: '{request.path_params['id']}'")
    return _shown(thing, request, "")


def _asked_for(thing: Thing, request: Request, given: Mapping[str, str]) -> bool:
    if thing["object"] == "event":
        types = request.query_params.getlist("types[]") or [given.get("type", "*")]
        return any(re.fullmatch(re.escape(t).replace(r"\*", ".*"), thing["type"]) for t in types)
    if thing["object"] == "subscription":
        status = given.get("status")
        return status == "all" or thing["status"] == status or (status is None and thing["status"] != "canceled")
    return True


def _shown(thing: Thing, request: Request, prefix: str) -> Thing:
    """Without what is only given where it is asked for by `expand[]`."""
    expanded = request.query_params.getlist("expand[]")
    return {k: v for k, v in thing.items() if k != "line_items" or f"{prefix}line_items" in expanded}


def _within(created: int, gte: int = 0, gt: int = -1, lte: int = 2**40, lt: int = 2**40) -> bool:
    return gte <= created <= lte and gt < created < lt


def _whole(text: str, name: str) -> int:
    if not re.fullmatch(r"-?\d+", text):
        raise HTTPException(400, f"Invalid integer: {text} ({name})")
    return int(text)


def _hold(made_of: tuple[object, ...], world: World) -> _Held:
    payments, subscriptions = (world.of(kind, "stripe").rows(named=True) for kind in ("payments", "subscriptions"))
    made = list(stripe_objects.made(payments, subscriptions))
    oldest = int((world.now - EVENTS_KEPT).timestamp())
    events = [e for thing, changed in made for e in stripe_objects.events(thing, changed) if e["created"] >= oldest]
    lists: dict[str, list[Thing]] = {kind: [] for kind in _LISTS.values()}
    for thing, _ in made:
        lists[thing["object"]].append(thing)
    for listed in (*lists.values(), events):
        listed.sort(key=lambda t: (t["created"], t["id"]), reverse=True)
    return _Held(made_of, lists, {thing["id"]: thing for thing, _ in made}, events)
