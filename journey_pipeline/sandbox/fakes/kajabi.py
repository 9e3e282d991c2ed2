"""Kajabi's public API over a world: purchases, customers, transactions, form submissions, forms and contacts.

Ids are numbers: an access record's, a payment's and a lead's own, `kajabi:offer_12` as product_ref, `kajabi:5001` (the
customer) among the keys beside one other at most. A customer was last seen once: `last_used_at` is the same on all
of their access records. A refund and a dispute are transactions of their own; one submission of a form per address.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.fakes.parts import Row
from journey_pipeline.sandbox.world import World

SECRETS = {"KAJABI_CLIENT_ID": "kajabi_client", "KAJABI_CLIENT_SECRET": "kajabi_sandbox"}
TOKEN = "kajabi_token"  # noqa: S105 - the sandbox's own
LARGEST_PAGE = 100
JSON_API = "application/vnd.api+json"
REFUND, DISPUTE = 10_000_000, 20_000_000
"""Added to a payment's id, for the transaction that undoes it."""
_FILTERS = {
    "purchases": ("site_id", "customer_id", "active", "deactivated"),
    "customers": ("site_id", "search"),
    "transactions": ("site_id", "customer_id", "start_date", "end_date"),
    "form_submissions": ("site_id", "form_id"),
    "forms": ("site_id",),
    "contacts": ("site_id", "search"),
}

Lists = Mapping[str, list[Row]]


def _rendered(world: World) -> Lists:
    held, sold, asked = (
        list(world.of(kind, "kajabi").sort("occurred_at", "record_id").iter_rows(named=True))
        for kind in ("access", "payments", "leads")
    )
    bought: dict[tuple[int, str], list[str]] = {}
    for row in sold:
        bought.setdefault((_customer_id(row), row["product_ref"]), []).append(row["record_id"])
    purchases = {(_customer_id(row), row["product_ref"]): row["record_id"] for row in held}
    known = {_customer_id(row): row for row in sorted((*sold, *held), key=lambda row: row["changed_at"])}
    seen = {_customer_id(row): row["last_used_at"] for row in held}
    forms = sorted({row["form"] for row in asked})
    return {
        "purchases": [_purchase(row, bought.get((_customer_id(row), row["product_ref"]), [])) for row in held],
        "customers": [_customer(id_, row, seen.get(id_)) for id_, row in sorted(known.items())],
        "transactions": [
            each for row in sold for each in _moves(row, purchases.get((_customer_id(row), row["product_ref"])))
        ],
        "forms": [_object("forms", 1 + n, {"title": title}) for n, title in enumerate(forms)],
        "form_submissions": [_submission(row, 1 + forms.index(row["form"])) for row in asked],
        "contacts": list(_contacts(known, asked)),
    }


def _customer_id(row: Mapping[str, Any]) -> int:
    return int(parts.own_id(row, "kajabi") or 0)


def _object(kind: str, id_: Any, attributes: Row, **related: Any) -> Row:
    return {
        "id": str(id_),
        "type": kind,
        "attributes": attributes,
        "relationships": {name: {"data": to} for name, to in related.items()},
    }


def _to(kind: str, id_: Any) -> Row:
    return {"id": str(id_), "type": kind}


def _offer_id(row: Mapping[str, Any]) -> str:
    return str(row["product_ref"]).removeprefix("kajabi:offer_")


def _purchase(row: Mapping[str, Any], paid_by: Iterable[str]) -> Row:
    paid = list(paid_by) or ["1"] if row["basis"] == "paid" else []
    return _object(
        "purchases",
        row["record_id"],
        {
            "amount_in_cents": 0 if row["basis"] == "comp" else 49900,
            "payment_type": "free" if row["basis"] == "comp" else "single",
            "currency": "USD",
            "raw_extra_contact_information": {},
            "effective_start_at": _iso(row["occurred_at"]),
            "deactivated_at": _iso(row["revoked_at"]),
            "deactivation_reason": "refund" if row["revoked_at"] else None,
            "quantity": 1,
            "created_at": _iso(row["occurred_at"]),
            "updated_at": _iso(row["changed_at"]),
        },
        offer=_to("offers", _offer_id(row)),
        customer=_to("customers", _customer_id(row)),
        transactions=[_to("transactions", id_) for id_ in paid],
        products=[],
    )


def _customer(id_: int, row: Mapping[str, Any], seen_at: datetime | None) -> Row:
    elsewhere = parts.elsewhere(row, "kajabi")
    told = {
        "name": row["name"] or "",
        "email": row["email"],
        "external_user_id": elsewhere[0] if elsewhere else None,
        "net_revenue": "0.00",
        "sign_in_count": int(seen_at is not None),
        "last_request_at": _iso(seen_at),
        "created_at": _iso(row["occurred_at"]),
        "updated_at": _iso(row["changed_at"]),
    }
    return _object("customers", id_, told, contact=_to("contacts", id_), site=_to("sites", 1))


def _moves(row: Mapping[str, Any], purchase: str | None) -> Iterable[Row]:
    """The charge, and what undid it."""
    number, refunded = int(row["record_id"]), row["refunded_minor"] or 0
    state = {"pending": "initialized"}.get(row["status"], row["status"])
    moves = [(number, "test" if row["is_test"] else "charge", state, row["amount_minor"], row["occurred_at"])]
    if refunded:
        moves.append((number + REFUND, "refund", "succeeded", -refunded, row["refunded_at"]))
    if row["disputed_at"]:
        moves.append((number + DISPUTE, "dispute", "succeeded", -row["amount_minor"], row["disputed_at"]))
    for id_, action, state, minor, at in moves:
        told = {
            "action": action,
            "state": state,
            "payment_type": "single",
            "amount_in_cents": minor,
            "sales_tax_in_cents": 0,
            "currency": row["currency"],
            "created_at": _iso(at),
        }
        yield _object(
            "transactions",
            id_,
            told,
            customer=_to("customers", _customer_id(row)),
            offer=_to("offers", _offer_id(row)),
            purchases=[_to("purchases", purchase)] if purchase else [],
        )


def _submission(row: Mapping[str, Any], form: int) -> Row:
    customs = {f"custom_{n}": key for n, key in enumerate(row["keys"] or (), 1)}
    told = {"name": row["name"] or "", "email": row["email"], "phone_number": row["phone"], **customs}
    return _object("form_submissions", row["record_id"], told, site=_to("sites", 1), form=_to("forms", form))


def _contacts(customers: Mapping[int, Mapping[str, Any]], leads: list[Row]) -> Iterable[Row]:
    asked = {_address(row): row for row in leads}
    for id_, row in sorted(customers.items()):
        yield _contact(id_, {**row, "occurred_at": asked.pop(_address(row), row)["occurred_at"]})
    for row in asked.values():
        yield _contact(900_000 + int(row["record_id"]), row)


def _address(row: Mapping[str, Any]) -> str:
    return str(row["email"] or row["record_id"]).lower()


def _contact(id_: int, row: Mapping[str, Any]) -> Row:
    told = {
        "name": row["name"] or "",
        "email": row["email"],
        "phone_number": row["phone"],
        "subscribed": True,
        "created_at": _iso(row["occurred_at"]),
        "updated_at": _iso(row["changed_at"]),
    }
    return _object("contacts", id_, told, site=_to("sites", 1))


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _error(status: int, detail: str) -> Row:
    return {"errors": [{"status": str(status), "title": detail, "detail": detail}]}


async def _token(request: Request) -> JSONResponse:
    given = await parts.form(request)
    client = {name.removeprefix("KAJABI_").lower(): value for name, value in SECRETS.items()}
    if given != {"grant_type": "client_credentials", **client}:
        raise HTTPException(401, "Authentication failed")
    told = {"access_token": TOKEN, "refresh_token": "none", "token_type": "Bearer", "expires_in": 7200}
    return JSONResponse(told)


def app(world: World) -> Starlette:
    """The public API."""
    lists = parts.Rendered(world, ("access", "payments", "leads"), _rendered)

    def endpoint(name: str) -> Callable[[Request], Awaitable[JSONResponse]]:
        async def answer(request: Request) -> JSONResponse:
            parts.has_bearer(request, TOKEN)
            filters = [f"filter[{each}]" for each in _FILTERS[name]]
            given = parts.parameters(request, ("page[number]", "page[size]", "sort", *filters))
            since, until = given.get("filter[start_date]", ""), given.get("filter[end_date]", "9999")
            rows = lists.now()[name]
            if name == "transactions":
                rows = [row for row in rows if since <= row["attributes"]["created_at"][:10] <= until]
            return _paged(request, rows, given)

        return answer

    return parts.service(
        [
            Route("/v1/oauth/token", _token, methods=["POST"]),
            *(Route(f"/v1/{name}", endpoint(name)) for name in _FILTERS),
        ],
        error=_error,
    )


def _paged(request: Request, rows: list[Row], given: Mapping[str, str]) -> JSONResponse:
    page, size = parts.number(given, "page[number]", 1), min(parts.number(given, "page[size]", 10), LARGEST_PAGE)
    pages = parts.pages(rows, size)

    def link(number: int) -> str | None:
        return str(request.url.include_query_params(**{"page[number]": number})) if 1 <= number <= pages else None

    links = {"self": str(request.url), "first": link(1), "prev": link(page - 1), "next": link(page + 1)}
    meta = {"total_pages": pages, "total_count": len(rows), "current_page": page}
    return JSONResponse({"data": parts.page(rows, page, size), "links": links, "meta": meta}, media_type=JSON_API)
