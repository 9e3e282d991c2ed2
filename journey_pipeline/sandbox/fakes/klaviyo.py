"""Klaviyo's profiles, metrics and events over a world: JSON:API, strict filters, cursors that keep their place.

A consent's id is `<profile>:<channel>` (email, sms, whatsapp), its `list_ref` `klaviyo:<channel>`. A message's id is that of the
event Received or Bounced, so `occurred_at` is `delivered_at` or `bounced_at`; its `template_ref` is `klaviyo:<message>`, and
purpose `sequence` comes from a flow. Both name their profile in `keys` as `klaviyo:<profile>`, first; a second key is the profile's
external_id, the others are properties. What was neither received nor bounced is not told.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.world import World

SECRETS = {"KLAVIYO_API_KEY": "pk_sandbox"}
REVISIONS = ("2026-04-15", "2026-07-15")
METRICS = {
    name: f"M{number:05d}"
    for number, name in enumerate(
        ("Received Email", "Opened Email", "Clicked Email", "Bounced Email", "Received SMS", "Clicked SMS",
         "Failed to Deliver SMS", "Placed Order")
    )
}  # fmt: skip
_PARAMETERS = ("filter", "sort", "page[size]", "page[cursor]", "fields[profile]")
_SUPPRESSED_AT = "subscriptions.email.marketing.suppression.timestamp"
_FILTER = re.compile(r'([a-z-]+)\(([a-z_.]+),"?([^")]+)"?\)')
_TESTS = {
    "equals": lambda value, given: value == given,
    "greater-than": lambda value, given: value > given,
    "greater-or-equal": lambda value, given: value >= given,
    "less-than": lambda value, given: value < given,
    "less-or-equal": lambda value, given: value <= given,
}
_ALL = ("greater-than", "greater-or-equal", "less-than", "less-or-equal")
_FILTERS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "profile": {"updated": ("greater-than", "less-than"), _SUPPRESSED_AT: _ALL},
    "event": {"datetime": _ALL, "metric_id": ("equals",)},
}

Told = tuple[dict[str, Any], dict[str, Any]]
"""What may be filtered and sorted by, and the object."""


def _profiles(world: World) -> list[Told]:
    by_id: dict[str, list[Mapping[str, Any]]] = {}
    for row in world.of("consents", "klaviyo").sort("changed_at").iter_rows(named=True):
        by_id.setdefault(row["record_id"].rpartition(":")[0], []).append(row)
    return [_profile(id_, rows) for id_, rows in by_id.items()]


def _profile(id_: str, rows: Sequence[Mapping[str, Any]]) -> Told:
    subscriptions = {row["record_id"].rpartition(":")[2]: {"marketing": _marketing(row)} for row in rows}
    updated = rows[-1]["changed_at"]
    attributes = {**_person(rows[-1]), "updated": parts.iso(updated), "subscriptions": subscriptions}
    suppression = subscriptions.get("email", {}).get("marketing", {}).get("suppression")
    at = {_SUPPRESSED_AT: parts.instant(suppression[0]["timestamp"])} if suppression else {}
    return {"id": id_, "updated": updated, **at}, _object("profile", id_, attributes)


def _marketing(row: Mapping[str, Any]) -> dict[str, Any]:
    at, channel, state = parts.iso(row["occurred_at"]), row["record_id"].rpartition(":")[2], row["state"]
    may = "can_receive" if channel == "whatsapp" else f"can_receive_{channel}_marketing"
    consent = {"consent": "UNSUBSCRIBED" if state == "unsubscribed" else "SUBSCRIBED", may: state == "subscribed"}
    common = {**consent, "consent_timestamp": at, "last_updated": parts.iso(row["changed_at"])}
    if channel == "whatsapp":
        return {**common, "created_timestamp": at, "metadata": {}, "phone_number": row["phone"], "valid_until": None}
    reason = {"cleaned": "HARD_BOUNCE", "unsubscribed": "UNSUBSCRIBE"}.get(state)
    suppressed = {"suppression": [{"reason": reason, "timestamp": at}] if reason else [], "list_suppressions": []}
    return {**common, "method": "FORM", **(suppressed if channel == "email" else {})}


def _person(row: Mapping[str, Any]) -> dict[str, Any]:
    first, _, last = (row["name"] or "").partition(" ")
    external_id, *others = [*parts.elsewhere(row, "klaviyo"), None]
    return {
        "email": row["email"],
        "phone_number": row["phone"],
        "external_id": external_id,
        "first_name": first,
        "last_name": last or None,
        "organization": row["company"],
        "properties": {f"ref_{number}": key for number, key in enumerate(others) if key},
    }


def _events(world: World) -> list[Told]:
    held = world.of("messages", "klaviyo").sort("occurred_at").iter_rows(named=True)
    return [event for row in held for event in _of_message(row)]


def _of_message(row: Mapping[str, Any]) -> Iterable[Told]:
    id_, is_sms = row["record_id"], row["channel"] == "sms"
    received, clicked, bounced = (
        ("Received SMS", "Clicked SMS", "Failed to Deliver SMS") if is_sms
        else ("Received Email", "Clicked Email", "Bounced Email")
    )  # fmt: skip
    again = row["opened_at"] and row["opened_at"] + timedelta(hours=1)
    for suffix, metric, at in (
        ("", received, row["delivered_at"]),
        ("", bounced, row["bounced_at"]),
        ("-o", "Opened Email", row["opened_at"]),
        ("-p", "Opened Email", again),
        ("-c", clicked, row["clicked_at"]),
    ):
        if at:
            yield _event(row, id_ + suffix, metric, at)


def _event(row: Mapping[str, Any], id_: str, metric: str, at: datetime) -> Told:
    message, profile = row["template_ref"].removeprefix("klaviyo:"), parts.own_id(row, "klaviyo")
    flow = {"$flow": "FLOW1"} if row["purpose"] == "sequence" else {"Campaign Name": "News"}
    properties = {"$message": message, **flow, "$event_id": f"{message}:{profile}", "machine_open": False}
    attributes = {"timestamp": parts.epoch(at), "datetime": parts.iso(at), "event_properties": properties, "uuid": id_}
    related = {
        name: {"data": {"type": name, "id": to}, "links": {"self": f"/{name}", "related": f"/{name}"}}
        for name, to in (("profile", profile), ("metric", METRICS[metric]))
    }
    event = {**_object("event", id_, attributes), "relationships": related, "_profile": _person(row)}
    return {"id": id_, "datetime": at, "metric_id": METRICS[metric]}, event


def _object(kind: str, id_: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    links = {"self": f"https://a.klaviyo.com/api/{kind}s/{id_}/"}
    return {"type": kind, "id": id_, "attributes": attributes, "links": links}


def _is_asked(kind: str, filters: str, by: Mapping[str, Any]) -> bool:
    given = _FILTER.findall(filters)
    if ",".join(f"{op}({field},{value})" for op, field, value in given) != filters.replace('"', ""):
        raise HTTPException(400, "the filter can't be read")
    for operator, field, value in given:
        if operator not in _FILTERS[kind].get(field, ()):
            raise HTTPException(400, f"{field} can't be filtered by {operator}")
        wanted = value if operator == "equals" else parts.instant(value)
        if field not in by or not _TESTS[operator](by[field], wanted):
            return False
    return True


class _Lists:
    """Pages of what may be told now, in their order, after a place."""

    _ABOUT: Mapping[str, tuple[str, int, tuple[str, ...]]] = {
        "profile": ("updated", 100, ("additional-fields[profile]",)),
        "event": ("datetime", 1000, ("include",)),
    }

    def __init__(self, world: World) -> None:
        self._world = world
        self._told = {
            "profile": parts.Rendered(world, ("consents",), _profiles),
            "event": parts.Rendered(world, ("messages",), _events),
        }

    def page(self, request: Request, kind: str) -> tuple[list[dict[str, Any]], dict[str, str], Mapping[str, str]]:
        sort, most, more = self._ABOUT[kind]
        params = parts.parameters(request, (*_PARAMETERS, *more))
        if params.get("sort", sort) != sort:
            raise HTTPException(400, f"the sandbox sorts by {sort} only")
        size = parts.number(params, "page[size]", 20, most=most)
        after = parts.place(params["page[cursor]"]) if "page[cursor]" in params else ["", ""]
        asked = sorted(
            ([str(by[sort]), by["id"]], number, one)
            for number, (by, one) in enumerate(self._told[kind].now())
            if by[sort] <= self._world.now and _is_asked(kind, params.get("filter", ""), by)
        )
        left = [(place, one) for place, _, one in asked if place > after]
        links = {"self": str(request.url)}
        if len(left) > size:
            links["next"] = str(request.url.include_query_params(**{"page[cursor]": parts.cursor(left[size - 1][0])}))
        return [one for _, one in left[:size]], links, params


def _kept(attributes: Mapping[str, Any], params: Mapping[str, str]) -> dict[str, Any]:
    fields = params.get("fields[profile]", ",".join(attributes)).split(",")
    if "subscriptions" not in params.get("additional-fields[profile]", ""):
        fields = [field for field in fields if field != "subscriptions"]
    return {name: value for name, value in attributes.items() if name in fields}


def app(world: World) -> Starlette:
    """The API."""
    lists = _Lists(world)

    def guard(request: Request) -> None:
        parts.has_header(request, "Authorization", f"Klaviyo-API-Key {SECRETS['KLAVIYO_API_KEY']}")
        if request.headers.get("revision") not in REVISIONS:
            raise HTTPException(400, "a revision is required")

    async def profiles(request: Request) -> JSONResponse:
        guard(request)
        rows, links, params = lists.page(request, "profile")
        data = [{**row, "attributes": _kept(row["attributes"], params)} for row in rows]
        return JSONResponse({"data": data, "links": links})

    async def metrics(request: Request) -> JSONResponse:
        guard(request)
        parts.parameters(request, ())
        data = [_object("metric", id_, {"name": name, "integration": {}}) for name, id_ in METRICS.items()]
        return JSONResponse({"data": data, "links": {"self": str(request.url)}})

    async def events(request: Request) -> JSONResponse:
        guard(request)
        rows, links, params = lists.page(request, "event")
        people = {row["relationships"]["profile"]["data"]["id"]: row["_profile"] for row in rows}
        included = [_object("profile", id_, _kept(person, params)) for id_, person in people.items()]
        data = [{name: value for name, value in row.items() if name != "_profile"} for row in rows]
        beside = {"included": included} if params.get("include") == "profile" else {}
        return JSONResponse({"data": data, "links": links, **beside})

    def error(status: int, detail: str) -> dict[str, Any]:
        return {"errors": [{"id": "1", "code": "refused", "title": "Refused", "status": status, "detail": detail}]}

    routes = {"profiles": profiles, "metrics": metrics, "events": events}
    return parts.service([Route(f"/api/{name}", answer) for name, answer in routes.items()], error)
