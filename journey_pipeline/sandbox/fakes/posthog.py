"""PostHog's query API over a world: its visits and identities as HogQL tables, queried on DuckDB.

Touchpoints: the first key is `posthog:<distinct id>`; a second, `posthog:<person id>`, only for the identified, and then
e-mail, phone and name are theirs; further keys are distinct ids of the same person. A source with a dot is a referring
site, any other a `utm_source`. Columns, tables and placeholders that PostHog does not know are refused, as is a project
of somebody else. Not here: its limits, which `trouble` plays, and all of HogQL that DuckDB does not understand.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import duckdb
import polars as pl
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.registry import TEXT, TIME
from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.world import World

SECRETS = {"POSTHOG_API_KEY": "phx_sandbox"}
PROJECT = "12345"
_DEFAULT_LIMIT, _MOST = 100, 50_000
_TYPES = {401: "authentication_error", 403: "authentication_error", 400: "validation_error"}
_SESSION = (
    "session_id", "distinct_id", "$channel_type", "$entry_current_url", "$entry_referring_domain", "$entry_utm_source",
    "$entry_utm_medium", "$entry_utm_campaign", "$entry_utm_content", "$entry_gclid", "$entry_fbclid",
)  # fmt: skip
_PERSON = pl.Struct({
    "is_identified": pl.Boolean(),
    "properties": pl.Struct(dict.fromkeys(("email", "phone", "name"), pl.String())),
})  # fmt: skip


def _session(row: parts.Row) -> parts.Row:
    is_site = "." in (row["source"] or "")
    is_google = (row["click_id"] or "").startswith("gclid")
    utm = {
        "utm_source": None if is_site else row["source"],
        "utm_medium": row["medium"],
        "utm_campaign": row["campaign"],
        "utm_content": row["content"],
        "gclid": row["click_id"] if is_google else None,
        "fbclid": None if is_google else row["click_id"],
    }
    tags = urlencode({name: text for name, text in utm.items() if text})
    return {
        "session_id": row["record_id"],
        "distinct_id": row["keys"][0].removeprefix("posthog:"),
        "$start_timestamp": row["occurred_at"],
        "$channel_type": (row["channel"] or "").replace("_", " ").title(),
        "$entry_current_url": row["page"] and (f"{row['page']}?{tags}" if tags else f"{row['page']}#top"),
        "$entry_referring_domain": row["source"] if is_site else "$direct",
        **{f"$entry_{name}": text for name, text in utm.items()},
    }


def _identities(row: parts.Row) -> list[parts.Row]:
    """The distinct ids of one identified visitor."""
    first, *rest = row["keys"]
    if not rest or not rest[0].startswith("posthog:"):
        return []
    person = {"is_identified": True, "properties": {name: row[name] for name in ("email", "phone", "name")}}
    ids = [first.removeprefix("posthog:"), *rest[1:]]
    return [{"distinct_id": id_, "person_id": rest[0].removeprefix("posthog:"), "person": person} for id_ in ids]


def _tables(world: World) -> duckdb.DuckDBPyConnection:
    held = sorted(world.of("touchpoints", "posthog").iter_rows(named=True), key=lambda row: row["changed_at"])
    identities = {known["distinct_id"]: known for row in held for known in _identities(row)}
    sessions = pl.DataFrame(
        [_session(row) for row in held], schema={**dict.fromkeys(_SESSION, TEXT), "$start_timestamp": TIME}
    )
    people = pl.DataFrame(list(identities.values()), schema={"distinct_id": TEXT, "person_id": TEXT, "person": _PERSON})
    database = duckdb.connect()
    database.execute("set timezone = 'UTC'")
    database.execute("create macro toDateTime(text, zone) as timezone(zone, cast(text as timestamp))")
    database.register("sessions", sessions.rename(lambda name: name.replace("$", "_")).to_arrow())
    database.register("person_distinct_ids", people.to_arrow())
    return database


def _run(database: duckdb.DuckDBPyConnection, query: str, values: Mapping[str, Any]) -> parts.Row:
    if "limit" not in query:
        query = f"{query} limit {_DEFAULT_LIMIT}"
    if values.get("limit", _DEFAULT_LIMIT) > _MOST:
        raise HTTPException(400, f"at most {_MOST} rows")
    try:
        told = database.execute(re.sub(r"\{(\w+)\}", r"$\1", query.replace("$", "_")), dict(values))
    except duckdb.Error as error:
        raise HTTPException(400, str(error)) from error
    columns = [column[0] for column in told.description or ()]
    return {"columns": columns, "results": [[_plain(value) for value in row] for row in told.fetchall()]}


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(value, datetime) else value


def app(world: World) -> Starlette:
    tables = parts.Rendered(world, ["touchpoints"], _tables)

    async def query(request: Request) -> JSONResponse:
        parts.has_bearer(request, SECRETS["POSTHOG_API_KEY"])
        if request.path_params["project"] != PROJECT:
            raise HTTPException(403, "You don't have access to the project.")
        given = await parts.body(request, ("query", "refresh"))
        asked = parts.fields(given["query"], ("kind", "query", "values"))
        if asked["kind"] != "HogQLQuery":
            raise HTTPException(400, "only HogQLQuery")
        return JSONResponse(_run(tables.now(), asked["query"], asked["values"]))

    return parts.service(
        [Route("/api/projects/{project}/query/", query, methods=["POST"])],
        lambda status, detail: {"type": _TYPES.get(status, "server_error"), "code": "refused", "detail": detail},
    )
