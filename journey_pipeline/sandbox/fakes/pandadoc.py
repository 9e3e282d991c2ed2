"""PandaDoc's API over a world: agreements as documents with details and audit trail, paged by number.

A product_ref `pandadoc:…` is the document's template, any other stands in its metadata. Of keys, `…_deal:1` and those
of Pipedrive and Salesforce are linked objects, the rest are metadata; they are told in that order. What it has told
and the world no longer holds was deleted. An agreement that is `signed` was signed by its only signer.
Strict about keys and parameters. Not here: its limits of requests, which `trouble` plays.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.world import World

SECRETS = {"PANDADOC_API_KEY": "sandbox"}
_OURS = {"email": "sam@northwind.example", "first_name": "Sam", "last_name": "Seller", "id": "sam"}
_STATUSES = {"signed": "document.completed", "void": "document.voided"}
_TYPES = {401: "authentication_error", 403: "permissions_error", 404: "not_found", 429: "throttled"}
_LIST = ("count", "page", "order_by", "modified_from", "modified_to", "created_from", "created_to", "deleted", "status", "id")  # fmt: skip
_ACTIONS = {6: "sent_at", 8: "viewed_at", 7: "signed_at", 43: "declined_at"}

Row = dict[str, Any]


class _Workspace:
    """The agreements of a world, and those that it once held."""

    def __init__(self, world: World) -> None:
        self.deleted: dict[str, Row] = {}
        self._rows = parts.Rendered(world, ("agreements",), self._rendered)
        self._held: dict[str, Row] = {}

    def held(self) -> dict[str, Row]:
        return self._rows.now()

    def _rendered(self, world: World) -> dict[str, Row]:
        rows = world.of("agreements", "pandadoc").sort("occurred_at", "record_id").iter_rows(named=True)
        now = {row["record_id"]: row for row in rows}
        once = {**self.deleted, **self._held}
        self.deleted = {id_: row for id_, row in once.items() if id_ not in now}
        self._held = now
        return now


def _summary(row: Row) -> Row:
    return {
        "id": row["record_id"],
        "name": f"Proposal {row['record_id']}",
        "status": _STATUSES.get(row["status"], f"document.{row['status']}"),
        "date_created": _micros(row["occurred_at"]),
        "date_modified": _micros(row["changed_at"]),
        "date_completed": _micros(row["signed_at"]),
        "expiration_date": None,
        "version": "2",
    }


def _details(row: Row) -> Row:
    ref = row["product_ref"] or ""
    linked, metadata = [], {} if not ref or ref.startswith("pandadoc:") else {"product_ref": ref}
    for key in row["keys"] or ():
        provider, _, id_ = key.partition(":")
        if provider.endswith("_deal"):
            provider, entity = provider.removesuffix("_deal"), "deal"
        elif provider in ("pipedrive", "salesforce"):
            entity = "person" if provider == "pipedrive" else "contact"
        else:
            metadata[f"{provider}_ref"] = key
            continue
        provider = "salesforce-oauth2" if provider == "salesforce" else provider
        linked.append({"id": f"link-{id_}", "provider": provider, "entity_type": entity, "entity_id": id_})
    has_price = row["amount_minor"] is not None
    template = {"id": ref.partition(":")[2], "name": "Proposal"} if ref.startswith("pandadoc:") else None
    return {
        **_summary(row),
        "date_sent": _micros(row["sent_at"]),
        "created_by": _OURS,
        "sent_by": _OURS if row["sent_at"] else None,
        "template": template,
        "metadata": metadata,
        "tokens": [{"name": "Client.Company", "value": row["company"] or ""}],
        "tags": [],
        "pricing": {"tables": [{"id": "1", "name": "Pricing"}] if has_price else [], "quotes": [], "total": "0"},
        "grand_total": {"amount": parts.major(row["amount_minor"] or 0), "currency": row["currency"] or "USD"},
        "recipients": [_recipient(_OURS, None, "CC"), _recipient(_person(row), row["signed_at"], "signer")],
        "linked_objects": linked,
    }


def _person(row: Row) -> Row:
    first, _, last = (row["name"] or "").partition(" ")
    return {"email": row["email"], "phone": row["phone"], "first_name": first, "last_name": last}


def _recipient(person: Row, signed_at: datetime | None, type_: str) -> Row:
    return {
        **person, "type": "recipient", "id": f"r-{person['email']}", "recipient_type": type_, "roles": [],
        "signing_order": None, "has_completed": signed_at is not None, "signature_date": _micros(signed_at),
    }  # fmt: skip


def _trail(row: Row) -> list[Row]:
    user = {"id": "u", "email": row["email"] or _OURS["email"]}
    done = [(1, row["occurred_at"]), *((action, row[column]) for action, column in _ACTIONS.items() if row[column])]
    return [
        {
            "id": str(n),
            "user": user,
            "action": action,
            "reason": None,
            "date_created": _micros(at),
            "ip_address": "hidden",
        }
        for n, (action, at) in enumerate(done)
    ]


def _micros(instant: datetime | None) -> str | None:
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if instant else None


def _listed(rows: list[Row], given: Mapping[str, str]) -> list[Row]:
    for name, column in (("modified", "changed_at"), ("created", "occurred_at")):
        if f"{name}_from" in given:
            rows = [row for row in rows if row[column] >= parts.instant(given[f"{name}_from"])]
        if f"{name}_to" in given:
            rows = [row for row in rows if row[column] < parts.instant(given[f"{name}_to"])]
    order = given.get("order_by", "date_status_changed")
    if order != "date_created":
        rows = sorted(rows, key=lambda row: row["changed_at"], reverse=order.startswith("-"))
    return rows


def app(world: World) -> Starlette:
    workspace = _Workspace(world)

    def authorise(request: Request) -> None:
        parts.has_header(request, "Authorization", f"API-Key {SECRETS['PANDADOC_API_KEY']}")

    def asked(request: Request) -> Row:
        row = workspace.held().get(request.path_params["id"])
        if row is None:
            raise HTTPException(404, "Not found.")
        return row

    async def list_documents(request: Request) -> JSONResponse:
        authorise(request)
        given = parts.parameters(request, _LIST)
        held = workspace.held()
        rows = list((workspace.deleted if given.get("deleted") == "true" else held).values())
        size, page = parts.number(given, "count", 50, most=100), parts.number(given, "page", 1)
        return JSONResponse({"results": [_summary(row) for row in parts.page(_listed(rows, given), page, size)]})

    async def details(request: Request) -> JSONResponse:
        authorise(request)
        parts.parameters(request, ())
        return JSONResponse(_details(asked(request)))

    async def audit_trail(request: Request) -> JSONResponse:
        authorise(request)
        given = parts.parameters(request, ("limit", "offset"))
        trail, start = _trail(asked(request)), parts.number(given, "offset", 0, least=0)
        results = trail[start : start + parts.number(given, "limit", 20, most=100)]
        return JSONResponse({"count": len(trail), "results": results})

    return parts.service(
        [
            Route("/public/v1/documents", list_documents),
            Route("/public/v1/documents/{id}/details", details),
            Route("/public/v2/documents/{id}/audit-trail", audit_trail),
        ],
        lambda status, detail: {"type": _TYPES.get(status, "request_error"), "detail": detail},
    )
