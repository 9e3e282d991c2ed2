"""Salesforce's REST API over a world: tokens, descriptions of objects, SOQL over them, and pages by query locator.

Record ids of contacts begin with `003` or, for people who are leads there, with `00Q`; those of the kind leads are ids of
such contacts. `keys` of a person begin with `salesforce:<record_id>`; a deal's are its contact's. What was deleted or
merged away is shown by `queryAll` alone. Of SOQL it knows a list of fields and `SystemModstamp >= <time>`.
"""

import re
from collections.abc import Mapping
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

SECRETS = {"SALESFORCE_CLIENT_ID": "3MVG9sandbox", "SALESFORCE_CLIENT_SECRET": "sandbox"}
OPTIONS: Mapping[str, Any] = {
    "domain": "northwind", "key_fields": ("External_Id__c",), "source_field": "UTM_Source__c",
    "medium_field": "UTM_Medium__c", "campaign_field": "UTM_Campaign__c", "form_field": "Form__c",
    "stage_field": "Stage__c", "product_field": "Product__c", "lost_reason_field": "Loss_Reason__c",
}  # fmt: skip
"""What journey.yaml says of this org's own fields."""
_TOKEN = "00Dsandbox!token"  # noqa: S105 - of a fake
_QUERY = re.compile(r"SELECT (?P<fields>[\w., ]+) FROM (?P<name>\w+)(?: WHERE SystemModstamp >= (?P<since>[\d:TZ-]+))?")
_NO_MINOR_UNIT = {"JPY": 0, "KRW": 0, "KWD": 3, "BHD": 3}
_ROW = ("Id", "CreatedDate", "SystemModstamp", "IsDeleted", "OwnerId")
_PERSON = (*_ROW, "FirstName", "LastName", "Email", "Phone", "MobilePhone", "LeadSource", "MasterRecordId")
_TRACKED = ("External_Id__c", "UTM_Source__c", "UTM_Campaign__c")
FIELDS = {
    "Contact": (*_PERSON, *_TRACKED, "AccountId", "Stage__c"),
    "Lead": (*_PERSON, *_TRACKED, "Company", "Status", "ConvertedContactId", "UTM_Medium__c", "Form__c", "Product__c"),
    "Opportunity": (
        *_ROW, "AccountId", "RecordTypeId", "StageName", "Amount", "CurrencyIsoCode", "IsClosed", "IsWon", "CloseDate",
        "LastStageChangeDate", "ContactId", "Product__c", "Loss_Reason__c",
    ),
    "OpportunityContactRole": (*_ROW[:4], "OpportunityId", "ContactId", "IsPrimary"),
    "User": ("Id", "Email", "SystemModstamp", "IsDeleted"),
}  # fmt: skip
_ERRORS = {400: "MALFORMED_QUERY", 401: "INVALID_SESSION_ID", 403: "API_DISABLED_FOR_ORG", 404: "NOT_FOUND"}

Things = Mapping[str, list[Row]]


def _render(world: World) -> Things:
    contacts, leads, deals = (world.of(kind, "salesforce").rows(named=True) for kind in ("contacts", "leads", "deals"))
    inquiries = {row["record_id"]: row for row in leads}
    owners = sorted({row["owner"] for row in (*contacts, *deals) if row["owner"]})
    return {
        "Contact": [_contact(row) for row in contacts if not _is_lead(row)],
        "Lead": [_lead(row, inquiries.get(row["record_id"], {})) for row in contacts if _is_lead(row)],
        "Opportunity": [_opportunity(row) for row in deals],
        "OpportunityContactRole": [role for row in deals for role in _roles(row)],
        "User": [{"Id": _user(email), "Email": email, "IsDeleted": False} for email in owners],
    }


def _is_lead(row: Row) -> bool:
    return bool(row["record_id"].startswith("00Q"))


def _user(email: str | None) -> str | None:
    return email and f"005{email}"


def _time(instant: datetime | None) -> str | None:
    return None if instant is None else instant.strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def _row(row: Row) -> Row:
    return {
        "Id": row["record_id"], "CreatedDate": _time(row["occurred_at"]), "SystemModstamp": _time(row["changed_at"]),
        "IsDeleted": False, "OwnerId": _user(row["owner"]),
    }  # fmt: skip


def _person(row: Row) -> Row:
    first, _, last = (row["name"] or "").rpartition(" ")
    survivor = (row["merged_into"] or "").removeprefix("salesforce:")
    is_converted = survivor.startswith("003") and _is_lead(row)
    return {
        **_row(row), "FirstName": first or None, "LastName": last, "Email": row["email"], "Phone": None,
        "MobilePhone": row["phone"], "LeadSource": None, "UTM_Source__c": row["source"],
        "UTM_Campaign__c": row["campaign"], "External_Id__c": "; ".join(parts.elsewhere(row, "salesforce")),
        "IsDeleted": bool(row["is_deleted"] or (survivor and not is_converted)),
        "MasterRecordId": None if is_converted else survivor or None, "ConvertedContactId": (is_converted and survivor) or None,
    }  # fmt: skip


def _contact(row: Row) -> Row:
    return {**_person(row), "Account": row["company"] and {"Name": row["company"]}, "Stage__c": row["lifecycle_stage"]}


def _lead(row: Row, inquiry: Row) -> Row:
    told = {"UTM_Medium__c": "medium", "Form__c": "form", "Product__c": "product_ref"}
    own = {field: inquiry.get(column) for field, column in told.items()}
    return {**_person(row), **own, "Company": row["company"], "Status": row["lifecycle_stage"]}


def _opportunity(row: Row) -> Row:
    closed_at = row["won_at"] or row["lost_at"]
    digits = _NO_MINOR_UNIT.get(row["currency"] or "", 2)
    return {
        **_row(row), "Account": row["company"] and {"Name": row["company"]}, "StageName": row["stage"],
        "RecordType": row["pipeline"] and {"Name": row["pipeline"]}, "CurrencyIsoCode": row["currency"],
        "Amount": None if row["amount_minor"] is None else row["amount_minor"] / 10**digits,
        "IsClosed": closed_at is not None, "IsWon": row["won_at"] is not None,
        "CloseDate": (closed_at or row["occurred_at"]).date().isoformat(), "ContactId": None,
        "LastStageChangeDate": _time(closed_at or row["occurred_at"]), "Product__c": row["product_ref"],
        "Loss_Reason__c": row["lost_reason"],
    }  # fmt: skip


def _roles(row: Row) -> list[Row]:
    """The contact of a deal has its primary role; somebody who was there before has none such, or none any longer."""
    contact, id_ = parts.own_id(row, "salesforce"), row["record_id"]
    if contact is None:
        return []
    role = {
        "OpportunityId": id_,
        "CreatedDate": "2020-01-01T00:00:00.000+0000",
        "SystemModstamp": _time(row["changed_at"]),
    }
    return [
        {**role, "Id": f"00K1{id_}", "ContactId": "003before", "IsPrimary": True, "IsDeleted": True},
        {**role, "Id": f"00K2{id_}", "ContactId": "003beside", "IsPrimary": False, "IsDeleted": False},
        {**role, "Id": f"00K3{id_}", "ContactId": contact, "IsPrimary": True, "IsDeleted": False},
    ]


class _Org:
    """What the org holds, and the queries whose pages are still to be fetched."""

    def __init__(self, world: World) -> None:
        self._rendered = parts.Rendered(world, ("contacts", "leads", "deals"), _render)
        self._located: list[list[Row]] = []

    async def token(self, request: Request) -> JSONResponse:
        given = await parts.form(request)
        wanted = {"client_id": SECRETS["SALESFORCE_CLIENT_ID"], "client_secret": SECRETS["SALESFORCE_CLIENT_SECRET"]}
        if given != {"grant_type": "client_credentials", **wanted}:
            return JSONResponse({"error": "invalid_client", "error_description": "invalid client credentials"}, 400)
        return JSONResponse({
            "access_token": _TOKEN, "instance_url": str(request.base_url), "token_type": "Bearer", "scope": "api",
        })  # fmt: skip

    async def described(self, request: Request) -> JSONResponse:
        parts.has_bearer(request, _TOKEN)
        parts.parameters(request, ())
        name = request.path_params["name"]
        if name not in FIELDS:
            raise HTTPException(404, "The requested resource does not exist")
        return JSONResponse({"name": name, "fields": [{"name": field} for field in FIELDS[name]]})

    async def query(self, request: Request) -> JSONResponse:
        parts.has_bearer(request, _TOKEN)
        asked = _QUERY.fullmatch(parts.parameters(request, ("q",)).get("q", ""))
        if asked is None or asked["name"] not in FIELDS:
            raise HTTPException(400, "unexpected token")
        wanted, known = asked["fields"].split(", "), FIELDS[asked["name"]]
        for field in wanted:
            if field.replace(".Name", "Id") not in known:
                raise HTTPException(400, f"No such column '{field}' on entity '{asked['name']}'.")
        rows = self._rendered.now()[asked["name"]]
        since = parts.instant(asked["since"]) if asked["since"] else None
        changed = [row for row in rows if since is None or parts.instant(row["SystemModstamp"]) >= since]
        names = [field.removesuffix(".Name") for field in wanted]
        url = f"/services/data/v66.0/sobjects/{asked['name']}"
        shown = [
            {"attributes": {"type": asked["name"], "url": f"{url}/{r['Id']}"}, **{n: r[n] for n in names}}
            for r in changed
        ]
        self._located.append(shown)
        return self._page(request, len(self._located) - 1, 0)

    async def following(self, request: Request) -> JSONResponse:
        parts.has_bearer(request, _TOKEN)
        number, _, start = request.path_params["locator"].removeprefix("01g").partition("-")
        return self._page(request, int(number), int(start))

    def _page(self, request: Request, number: int, start: int) -> JSONResponse:
        size = int(request.headers.get("Sforce-Query-Options", "batchSize=2000").removeprefix("batchSize="))
        rows, end = self._located[number], start + size
        is_done = end >= len(rows)
        page = {"totalSize": len(rows), "done": is_done, "records": rows[start:end]}
        following = f"{request.scope['root_path']}/services/data/v66.0/query/01g{number}-{end}"
        return JSONResponse(page if is_done else {**page, "nextRecordsUrl": following})


def app(world: World) -> Starlette:
    org, data = _Org(world), "/services/data/v66.0"
    routes = [
        Route("/services/oauth2/token", org.token, methods=["POST"]),
        Route(f"{data}/sobjects/{{name}}/describe", org.described),
        Route(f"{data}/queryAll", org.query),
        Route(f"{data}/query/{{locator}}", org.following),
    ]
    return parts.service(
        routes, lambda status, detail: [{"message": detail, "errorCode": _ERRORS.get(status, "ERROR")}]
    )
