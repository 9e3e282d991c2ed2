"""Typeform's API over a world: leads and surveys as responses to forms, newest first, paged by token.

Strict about keys, page sizes and parameters. Not here: its limit of 2 requests a second, which `trouble` plays.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.world import World

SECRETS = {"TYPEFORM_TOKEN": "tfp_sandbox"}
_HIDDEN = {"source": "utm_source", "medium": "utm_medium", "campaign": "utm_campaign", "product_ref": "product_ref"}
_CODES = {401: "AUTHENTICATION_FAILED", 404: "FORM_NOT_FOUND"}


def form_id(title: str) -> str:
    """The id of the form with that title; of a survey, the form is named as its instrument."""
    return hashlib.sha256(title.encode()).hexdigest()[:8]


@dataclass
class _Form:
    title: str
    responses: list[dict[str, Any]]
    """Newest first."""
    submitted: list[datetime]
    place: Mapping[str, int]
    """Token -> index in `responses`."""


class _Account:
    """The forms of a world, rendered anew when its frames are replaced."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._seen: tuple[pl.DataFrame | None, ...] = ()
        self._forms: Mapping[str, _Form] = {}

    def forms(self) -> Mapping[str, _Form]:
        frames = (self._world.records.get("leads"), self._world.records.get("surveys"))
        if not self._seen or any(new is not old for new, old in zip(frames, self._seen, strict=True)):
            self._seen, self._forms = frames, self._rendered()
        return self._forms

    def _rendered(self) -> Mapping[str, _Form]:
        forms = {}
        for kind, title in (("leads", "form"), ("surveys", "instrument")):
            held = self._world.of(kind, "typeform").sort("occurred_at", "record_id", descending=True)
            for (name,), frame in held.partition_by(title, as_dict=True, maintain_order=True).items():
                forms[form_id(str(name))] = _form(str(name), kind, frame)
        return forms


def _form(title: str, kind: str, frame: pl.DataFrame) -> _Form:
    rows = list(frame.iter_rows(named=True))
    return _Form(
        title,
        [_response(row, _asked(kind, row)) for row in rows],
        [row["occurred_at"] for row in rows],
        {row["record_id"]: n for n, row in enumerate(rows)},
    )


def _asked(kind: str, row: Mapping[str, Any]) -> Mapping[str, Any]:
    hidden = {f"ref_{n}": key for n, key in enumerate(row["keys"] or ())}
    if kind == "leads":
        hidden |= {name: row[column] for column, name in _HIDDEN.items() if row[column] is not None}
        answers = [
            _answer("name", "short_text", "text", row["name"]),
            _answer("email", "email", "email", row["email"]),
            _answer("phone", "phone_number", "phone_number", row["phone"]),
        ]
    else:
        # A survey is sent to people who are known: who they are comes with the link, not with the answers.
        hidden |= {name: row[name] for name in ("email", "phone", "name") if row[name] is not None}
        scale = "nps" if row["instrument"] == "nps" else "opinion_scale"
        answers = [
            _answer("score", scale, "number", row["score"]),
            _answer("comment", "long_text", "text", row["comment"]),
        ]
    return {"hidden": hidden, "answers": [a for a in answers if a]}


def _answer(ref: str, field: str, kind: str, value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    return {"field": {"id": form_id(ref), "ref": ref, "type": field}, "type": kind, kind: value}


def _response(row: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "landing_id": row["record_id"],
        "token": row["record_id"],
        "response_id": row["record_id"],
        "response_type": "completed",
        "landed_at": _iso(row["occurred_at"] - timedelta(minutes=2)),
        "submitted_at": _iso(row["occurred_at"]),
        "metadata": {"user_agent": "sandbox", "platform": "other", "referer": "", "network_id": "0"},
        "calculated": {"score": 0},
        **asked,
    }


def _iso(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(text: str) -> datetime:
    return datetime.fromtimestamp(int(text), UTC) if text.isdigit() else datetime.fromisoformat(text).astimezone(UTC)


def _authorise(request: Request) -> None:
    if request.headers.get("Authorization") != f"Bearer {SECRETS['TYPEFORM_TOKEN']}":
        raise HTTPException(401, "Authentication credentials not found on the Request Headers")


def _size(given: Mapping[str, str], default: int, most: int) -> int:
    size = int(given.get("page_size", default))
    if not 1 <= size <= most:
        raise HTTPException(400, f"page_size must be between 1 and {most}")
    return size


def app(world: World) -> Starlette:
    account = _Account(world)

    async def list_forms(request: Request) -> JSONResponse:
        _authorise(request)
        given = parts.parameters(request, ("page", "page_size"))
        size, page = _size(given, 10, 200), int(given.get("page", 1))
        items = [
            {
                "id": id_,
                "type": "form",
                "title": form.title,
                "_links": {"display": f"https://sandbox.typeform.com/to/{id_}"},
            }
            for id_, form in account.forms().items()
        ]
        return JSONResponse({
            "total_items": len(items),
            "page_count": -(-len(items) // size),
            "items": items[(page - 1) * size : page * size],
        })  # fmt: skip

    async def list_responses(request: Request) -> JSONResponse:
        _authorise(request)
        given = parts.parameters(request, ("page_size", "since", "until", "before"))
        size = _size(given, 25, 1000)
        form = account.forms().get(request.path_params["form_id"])
        if form is None:
            raise HTTPException(404, "no form has this id")
        start = 0
        if "before" in given:
            if given["before"] not in form.place:
                raise HTTPException(400, "no response has this token")
            start = form.place[given["before"]] + 1
        since = _time(given["since"]) if "since" in given else datetime.min.replace(tzinfo=UTC)
        until = _time(given["until"]) if "until" in given else datetime.max.replace(tzinfo=UTC)
        matching = [n for n in range(start, len(form.responses)) if since <= form.submitted[n] <= until]
        return JSONResponse({
            "total_items": len(matching),
            "page_count": -(-len(matching) // size),
            "items": [form.responses[n] for n in matching[:size]],
        })  # fmt: skip

    return Starlette(
        routes=[Route("/forms", list_forms), Route("/forms/{form_id}/responses", list_responses)],
        exception_handlers={HTTPException: _refused},
    )


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return JSONResponse({"code": _CODES.get(status, "BAD_REQUEST"), "description": str(error)}, status)
