"""DocuSign's eSignature API over a world: agreements as envelopes, listed by when their status last changed.

Sam of Northwind sends and signs first, the buyer second. Amount, currency, product and company, and the keys after
them, are custom fields. `viewed` is told as the buyer's delivery, the envelope itself as `sent`: Sam hasn't opened it.
An agreement that is `signed` was also delivered. All scalars are strings, and no envelopes are no list. Strict about the
assertion (issuer, user, audience, scopes), parameters and the account.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.world import World

ACCOUNT = "a0000000-0000-4000-8000-000000000001"
_TOKEN = "docusign-token"  # noqa: S105 - the sandbox's tokens are no secrets
_OURS = {"email": "sam@northwind.example", "name": "Sam Seller"}
_STATUSES = {"draft": "created", "viewed": "sent", "signed": "completed", "void": "voided"}
_KNOWN = ("from_date", "from_to_status", "order_by", "order", "include", "count", "start_position")
_ERRORS = {400: "INVALID_REQUEST_PARAMETER", 401: "AUTHORIZATION_INVALID_TOKEN", 404: "ACCOUNT_DOES_NOT_EXIST"}

Row = dict[str, Any]


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


SECRETS = {
    "DOCUSIGN_INTEGRATION_KEY": "app",
    "DOCUSIGN_USER_ID": "user",
    "DOCUSIGN_PRIVATE_KEY": _key()
    .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    .decode(),
}


def _rendered(world: World) -> list[tuple[datetime, Row]]:
    """Envelopes with the time of their last change, in order of creation."""
    rows = world.of("agreements", "docusign").sort("occurred_at", "record_id").iter_rows(named=True)
    return [(row["changed_at"], _envelope(row)) for row in rows]


def _envelope(row: Row) -> Row:
    named = {"amount": parts.major(row["amount_minor"]), **{n: row[n] for n in ("currency", "product_ref", "company")}}
    fields = {**named, **{f"ref{n}": key for n, key in enumerate(row["keys"] or ())}}
    given = [(name, value) for name, value in fields.items() if value is not None]
    times = {
        "createdDateTime": row["occurred_at"], "initialSentDateTime": row["sent_at"], "sentDateTime": row["sent_at"],
        "completedDateTime": row["signed_at"], "declinedDateTime": row["declined_at"],
        "statusChangedDateTime": row["changed_at"], "lastModifiedDateTime": row["changed_at"],
    }  # fmt: skip
    buyer = {"email": row["email"], "name": row["name"] or "", "routingOrder": "2", "recipientId": "2"}
    seen = {"deliveredDateTime": _ticks(row["viewed_at"])} if row["viewed_at"] else {}
    return {
        "envelopeId": row["record_id"],
        "status": _STATUSES.get(row["status"], row["status"]),
        "emailSubject": "Please sign",
        "sender": {"email": _OURS["email"], "userName": _OURS["name"]},
        **{name: _ticks(at) for name, at in times.items() if at},
        "customFields": {
            "textCustomFields": [
                {"fieldId": str(n), "name": name, "value": value, "show": "false", "required": "false"}
                for n, (name, value) in enumerate(given)
            ],
            "listCustomFields": [],
        },
        "recipients": {
            "signers": [{**_OURS, "routingOrder": "1", "recipientId": "1"}, {**buyer, **seen}],
            "carbonCopies": [],
            "recipientCount": "2",
        },
    }


def _ticks(instant: datetime) -> str:
    """With seven digits, as .NET writes."""
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def _page(found: list[Row], given: Mapping[str, str]) -> Row:
    start, count = parts.number(given, "start_position", 0, least=0), parts.number(given, "count", 100, most=1000)
    page = found[start : start + count]
    sizes = {"resultSetSize": str(len(page)), "totalSetSize": str(len(found)), "startPosition": str(start)}
    more = (
        {"nextUri": f"/accounts/{ACCOUNT}/envelopes?start_position={start + count}"}
        if len(found) > start + count
        else {}
    )
    return {**sizes, "endPosition": str(start + len(page) - 1), **({"envelopes": page} if page else {}), **more}


def app(world: World) -> Starlette:
    held = parts.Rendered(world, ("agreements",), _rendered)

    async def token(request: Request) -> JSONResponse:
        form = await parts.form(request)
        try:
            said = jwt.decode(form["assertion"], _key().public_key(), algorithms=["RS256"], audience=request.url.netloc)
        except (jwt.InvalidTokenError, KeyError):
            return JSONResponse({"error": "invalid_grant"}, 400)
        who = (SECRETS["DOCUSIGN_INTEGRATION_KEY"], SECRETS["DOCUSIGN_USER_ID"], "signature impersonation")
        if (said.get("iss"), said.get("sub"), said.get("scope")) != who:
            return JSONResponse({"error": "consent_required"}, 400)
        return JSONResponse({"access_token": _TOKEN, "token_type": "Bearer", "expires_in": 3600})

    async def userinfo(request: Request) -> JSONResponse:
        parts.has_bearer(request, _TOKEN)
        home = f"{request.url.scheme}://{request.url.netloc}{request.scope['root_path']}"
        other = {"account_id": "other", "is_default": False, "account_name": "Old", "base_uri": "https://na1.invalid"}
        mine = {"account_id": ACCOUNT, "is_default": True, "account_name": "Northwind", "base_uri": home}
        return JSONResponse({"sub": "user", "email": _OURS["email"], "accounts": [other, mine]})

    async def envelopes(request: Request) -> JSONResponse:
        parts.has_bearer(request, _TOKEN)
        given = parts.parameters(request, _KNOWN)
        if request.path_params["account"] != ACCOUNT:
            raise HTTPException(404, "The account does not exist.")
        if "from_date" not in given or given.get("from_to_status", "changed").lower() != "changed":
            raise HTTPException(400, "from_date is missing, or another status is asked for")
        rows = [(at, told) for at, told in held.now() if at >= parts.instant(given["from_date"])]
        if given.get("order_by", "last_modified") != "created":
            rows.sort(key=lambda row: row[0])
        told = [row for _, row in (rows if given.get("order", "asc") == "asc" else rows[::-1])]
        hidden = {"recipients": "recipients", "customFields": "custom_fields"}
        lacking = {name for name, part in hidden.items() if part not in given.get("include", "").split(",")}
        shown = [{name: value for name, value in row.items() if name not in lacking} for row in told]
        return JSONResponse(_page(shown, given))

    return parts.service(
        [
            Route("/oauth/token", token, methods=["POST"]),
            Route("/oauth/userinfo", userinfo),
            Route("/restapi/v2.1/accounts/{account}/envelopes", envelopes),
        ],
        lambda status, detail: {"errorCode": _ERRORS.get(status, str(status)), "message": detail},
    )
