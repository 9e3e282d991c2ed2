"""Zoom: who came to a call, who had registered and did not, and who registered for and saw a webinar.

Reads   /users, /report/users/{id}/meetings (ended meetings and webinars), /report/meetings|webinars/{uuid}/participants,
        /meetings|webinars/{id}/registrants, /users/{id}/webinars (those ahead)
Says    bookings: one per ended meeting and person, `completed` or `no_show` by attendance; leads: one per registration
        for a webinar; touchpoints: one per webinar and person who came. A webinar is an audience, not a call: nobody
        owes its guests a proposal, and who missed it missed no appointment.
Cursor  The reports by day, two days back, in spans of a month; Zoom reports the last six months. Webinars ahead are
        read whole each time. Two requests per ended session; reports have a limit per day. 429s are waited out.
Joins   a registrant's e-mail, phone, name and company; an answer to a question of one's own like `stripe:cus_1` names
        the same person. A participant is matched to a registrant by id, else by e-mail; one without either, as
        guests who aren't signed in are, names nobody and is left out, and so are users of the account.
Needs   ZOOM_ACCOUNT_ID, ZOOM_CLIENT_ID, ZOOM_CLIENT_SECRET of a server-to-server OAuth app (marketplace.zoom.us, Develop),
        and a Pro plan: reports are not for free accounts. E-mails come only to accounts that may see them.
Assumes Who only sat in the waiting room didn't come. A meeting in which nobody but the host came has no report (404):
        its registrants are no-shows. For recurring meetings only who came is told: registration is for the series.
        Zoom refuses what there is none of, registrants without registration, webinars without a licence, as a bad
        request, and a missing scope too: its words tell them apart. A call that is still ahead is told by the scheduler
        that booked it. The links open the session in the host's own web portal.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.days import spans
from journey_pipeline.platforms.http import Api, RefusalError, basic, by_cursor, granted
from journey_pipeline.platforms.translate import filled, iso, objects, path, records, ref

if TYPE_CHECKING:
    from requests import Response

VENDORS, GRANTER = "https://api.zoom.us/v2", "https://zoom.us"
PAGE = 300
MONTH, HISTORY, LOOK_BACK = timedelta(days=30), timedelta(days=180), timedelta(days=2)
WEBINARS, RECURRING = (5, 6, 9), (3, 8)
"""Types of sessions."""
KEPT = ("uuid", "id", "type", "topic", "start_time", "user_email")
SCOPES = (
    "report:read:user:admin, report:read:list_meeting_participants:admin, report:read:list_webinar_participants:admin, "
    "user:read:list_users:admin, meeting:read:list_registrants:admin, webinar:read:list_registrants:admin and "
    "webinar:read:list_webinars:admin"
)
NOTHING = ("Registration has not been enabled", "Webinar plan is missing")
"""What Zoom says where there is nothing to list."""


class Options(base.Options):
    """Options of Zoom."""

    base_url: str = VENDORS
    auth_url: str = ""
    """Where tokens are granted; empty: zoom.us, or beside a `base_url` that is not Zoom's own."""
    hosts: tuple[str, ...] = ()
    """E-mails of the users whose sessions are read; empty: all users of the account."""
    own_domains: tuple[str, ...] = ()
    """Domains of the business: who comes from there is a colleague."""


def sessions(pull: Pull) -> Iterator[list[Row]]:
    api = _api(pull)
    hosts = _hosts(api, pull.options)
    oldest = pull.loaded_at - HISTORY
    first = max(pull.since(LOOK_BACK) or oldest, oldest).date()
    for host in hosts:
        for start, end in spans(first, pull.loaded_at.date(), MONTH):
            asked = {"from": start.isoformat(), "to": end.isoformat()}
            for page in _list(api, f"/report/users/{host}/meetings", "meetings", **asked):
                yield [row for session in page for row in _attended(api, session, hosts, pull.options)]
    pull.until()


def webinars_ahead(pull: Pull) -> Iterator[list[Row]]:
    api = _api(pull)
    for host in _hosts(api, pull.options):
        for webinar in _if_any(api, f"/users/{host}/webinars", "webinars"):
            if (webinar.get("start_time") or "later") >= f"{pull.loaded_at:%Y-%m-%dT%H:%M:%SZ}":
                registered = _if_any(api, f"/webinars/{webinar['id']}/registrants", "registrants")
                yield [{**_kept(webinar), "who": one["id"], "registrant": one} for one in registered]


def _attended(api: Api, session: Row, hosts: Iterable[str], options: Options) -> list[Row]:
    """One row per person who registered or came, colleagues left out; `participant` is how they came first."""
    part = "webinars" if session["type"] in WEBINARS else "meetings"
    registered = {str(one["id"]): one for one in _if_any(api, f"/{part}/{session['id']}/registrants", "registrants")}
    report = f"/report/{part}/{_encoded(session['uuid'])}/participants"
    came = _first_joins(_if_any(api, report, "participants", include_fields="registrant_id"), registered)
    missed = () if session["type"] in RECURRING else (who for who in registered if who not in came)
    colleagues, domains = {*hosts, _address(session["user_email"])}, {domain.lower() for domain in options.own_domains}
    rows: list[Row] = []
    for who in (*came, *missed):
        registrant, participant = registered.get(who), came.get(who)
        email = _address((registrant or {}).get("email") or (participant or {}).get("user_email"))
        if email not in colleagues and email.rpartition("@")[2] not in domains:
            rows.append({**_kept(session), "who": who, "registrant": registrant, "participant": participant})
    return rows


def _first_joins(participants: Iterable[Row], registered: Mapping[str, Row]) -> dict[str, Row]:
    """How each of them came first, by registrant's id, else by address."""
    by_email = {_address(one.get("email")): id_ for id_, one in registered.items()}
    came: dict[str, Row] = {}
    for one in participants:
        email = _address(one.get("user_email"))
        who = one.get("registrant_id") or by_email.get(email) or email
        if who and one.get("status") != "in_waiting_room":
            came[who] = min(one, came.get(who, one), key=lambda join: str(join["join_time"]))
    return came


def _address(email: Any) -> str:
    return str(email or "").lower()


def _kept(session: Mapping[str, Any]) -> Row:
    return {name: session.get(name) for name in KEPT}


def _encoded(uuid: str) -> str:
    """In a path; twice where a slash would else be taken for one of the path's own."""
    once = quote(uuid, safe="")
    return quote(once, safe="") if uuid.startswith("/") or "//" in uuid else once


def _hosts(api: Api, options: Options) -> list[str]:
    users = (user for page in _list(api, "/users", "users", status="active") for user in page)
    return [host.lower() for host in options.hosts] or [str(user["email"]).lower() for user in users]


def _if_any(api: Api, path: str, rows: str, **params: Any) -> list[Row]:
    """All rows of a list that Zoom refuses where there is nothing to list."""
    try:
        return [row for page in _list(api, path, rows, **params) for row in page]
    except RefusalError as error:
        if error.status != 404:  # noqa: PLR2004
            raise
        return []


def _list(api: Api, path: str, rows: str, **params: Any) -> Iterator[list[Row]]:
    by = by_cursor("next_page_token", "next_page_token")
    return api.rows(path, by=by, rows=rows, params={"page_size": PAGE, **params})


def _api(pull: Pull) -> Api:
    options, secrets = pull.options, pull.secrets
    at = options.auth_url or (GRANTER if options.base_url == VENDORS else options.base_url.removesuffix("/v2"))
    app = basic(secrets["ZOOM_CLIENT_ID"], secrets["ZOOM_CLIENT_SECRET"])
    granter = Api(pull, at, auth=app, means=_meaning_of_grant)
    form = {"grant_type": "account_credentials", "account_id": secrets["ZOOM_ACCOUNT_ID"]}
    token = granted(lambda: granter.post("/oauth/token", form=form))
    return Api(pull, options.base_url, auth=token, means=_meaning)


def _meaning_of_grant(reply: "Response") -> int:
    """A wrong app or account is called a bad request."""
    return 401 if reply.status_code == 400 else reply.status_code  # noqa: PLR2004


def _meaning(reply: "Response") -> int:
    """So are a missing scope, and lists of what there is none of."""
    if reply.status_code != 400:  # noqa: PLR2004
        return reply.status_code
    is_nothing = any(words in reply.text for words in NOTHING)
    return 403 if "does not contain scopes" in reply.text else 404 if is_nothing else 400


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:  # noqa: ARG001 - of every module
    """People of meetings as bookings; of webinars, registrations as leads and attendance as touchpoints."""
    is_webinar = pl.col("type").is_in([str(type_) for type_ in WEBINARS])
    joined_at = iso(path("participant", "$.join_time"))
    registered_at = iso(path("registrant", "$.create_time"))
    starts_at = iso(pl.col("start_time"))
    booking = {
        **_who("meeting", spelled("{}:{}", "uuid", "who"), pl.coalesce(registered_at, starts_at)),
        "starts_at": starts_at,
        "status": pl.when(joined_at.is_not_null()).then(pl.lit("completed")).otherwise(pl.lit("no_show")),
        "host": pl.col("user_email"),
        "event_type": pl.col("topic"),
    }
    lead = {**_who("webinar", spelled("{}:{}", "id", "who"), registered_at), "form": pl.col("topic")}
    touchpoint: dict[str, pl.Expr | str] = {
        **_who("webinar", spelled("{}:{}", "uuid", "who"), joined_at),
        "channel": "webinar",
        "source": "zoom",
        "campaign": pl.col("topic"),
    }
    answers = path("registrant", "$.custom_questions")
    ended = raw["sessions"].with_columns(answers=answers)
    ahead = raw["webinars_ahead"].with_columns(answers=answers)
    registrations = pl.concat([ended, ahead], how="diagonal").filter(is_webinar, pl.col("registrant").is_not_null())
    return {
        "bookings": records(ended.filter(~is_webinar), booking),
        "leads": records(registrations, lead),
        "touchpoints": records(ended.filter(is_webinar & joined_at.is_not_null()), touchpoint),
    }


def _who(page: str, record_id: pl.Expr, occurred_at: pl.Expr) -> dict[str, pl.Expr]:
    full = pl.concat_str(
        path("registrant", "$.first_name"), path("registrant", "$.last_name"), separator=" ", ignore_nulls=True
    )
    answers = objects("answers", "value").list.eval(ref(pl.element().struct.field("value")).drop_nulls())
    return {
        "record_id": record_id,
        "occurred_at": occurred_at,
        "email": pl.coalesce(path("registrant", "$.email"), filled(path("participant", "$.user_email"))),
        "phone": filled(path("registrant", "$.phone")),
        "name": pl.coalesce(filled(full), filled(path("participant", "$.name"))),
        "company": filled(path("registrant", "$.org")),
        "keys": answers.fill_null([]),
        "url": spelled(f"https://zoom.us/{page}/{{}}", "id"),
        "is_test": pl.lit(value=False),
    }


PLATFORM = Platform(
    name="zoom",
    title="Zoom",
    resources=(
        Resource(
            "sessions", "changes", sessions, columns=(*KEPT, "who", "registrant", "participant"),
            lag=timedelta(hours=1), history=HISTORY, scope=SCOPES,
        ),
        Resource("webinars_ahead", "changes", webinars_ahead, columns=(*KEPT, "who", "registrant"), scope=SCOPES),
    ),
    says={"bookings": ("sessions",), "leads": ("sessions", "webinars_ahead"), "touchpoints": ("sessions",)},
    read=read,
    options=Options,
    secrets=("ZOOM_ACCOUNT_ID", "ZOOM_CLIENT_ID", "ZOOM_CLIENT_SECRET"),
    spec="official",
    verified="Against a stateful fake and Zoom's own (2021) description of its API, never against a live account.",
)  # fmt: skip
