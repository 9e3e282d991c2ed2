"""Zoom, pulled over real HTTP from its fake: attendance, months, uuids with slashes, and refusals that mean nothing."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms.zoom import PLATFORM, Options, _attended, _encoded, _meaning
from journey_pipeline.sandbox.fakes.zoom import SECRETS
from journey_pipeline.sandbox.server import serve
from journey_pipeline.sandbox.world import Trouble
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, make_world, pull_all, read_all
from journey_pipeline_tests.platforms.openapi import Contract, contract, recorded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def booking(uuid: str, who: str, number: int, starts_at: datetime = NOW - DAY, **more: Any) -> dict[str, Any]:
    return {
        "record_id": f"{uuid}:{who}",
        "occurred_at": starts_at if "@" in who else NOW - 3 * DAY,
        "email": who if "@" in who else f"{who}@example.com",
        "name": f"Name {number}",
        "url": f"https://zoom.us/meeting/{number}",
        "starts_at": starts_at,
        "status": "completed",
        "host": "sam@northwind.example",
        "event_type": "Intro call",
        **more,
    }


def lead(who: str, number: int = 880, **more: Any) -> dict[str, Any]:
    return {
        "record_id": f"{number}:{who}", "occurred_at": NOW - 2 * DAY, "email": f"{who}@example.com",
        "url": f"https://zoom.us/webinar/{number}", "form": "Data 101", **more,
    }  # fmt: skip


ANN: dict[str, Any] = {
    "phone": "+12125550101",
    "name": "Ann Lee",
    "company": "Lee & Sons",
    "keys": ["stripe:cus_1", "hubspot:101"],
}
CALLS = [
    booking("/slash//1==", "ann", 700, **ANN),
    booking("/slash//1==", "walk@in.example", 700),
    booking("mid/dle==", "bob", 701, status="no_show"),  # nobody came: there is no report
    booking("plain", "cyd", 702, status="no_show"),
    booking("plain", "dan", 702, host="sam@northwind.example"),
    booking("hers", "eve", 703, host="lou@northwind.example"),
]
SEEN = {
    "record_id": "web==:ann", "occurred_at": NOW - DAY + timedelta(minutes=7), "email": "ann@example.com", **ANN,
    "url": "https://zoom.us/webinar/880", "channel": "webinar", "source": "zoom", "campaign": "Data 101",
}  # fmt: skip
LEADS = [lead("ann", **ANN), lead("fay"), lead("gus", 881, form="Data 201")]


def described() -> Contract:
    """Zoom's last published description, of 2021, is older than tokens in these lists and than `include_fields`.

    Tokens of apps are granted elsewhere; that is described in words only.
    """
    official = contract("zoom", "openapi.v2.json", base="/zoom/v2")
    grant = {"post": {"responses": {"200": {"description": "a token"}}}}
    listed = (
        "/users",
        "/users/{userId}/webinars",
        "/meetings/{meetingId}/registrants",
        "/webinars/{webinarId}/registrants",
    )
    reports = ("/report/meetings/{meetingId}/participants", "/report/webinars/{webinarId}/participants")
    spec = json.loads(json.dumps(official.spec))
    for path in (*listed, *reports):
        refused = {"description": "there is nothing to list"}
        spec["paths"][path]["get"]["responses"].update({"400": refused, "404": refused})
    also = {f"GET {path}": ("next_page_token",) for path in listed} | {
        f"GET {path}": ("include_fields",) for path in reports
    }
    return replace(
        official, spec={**spec, "paths": {**spec["paths"], "/zoom/oauth/token": grant}}, also_parameters=also
    )


class TestZoom(Conformance):
    case = Case(
        "zoom",
        now={"bookings": CALLS, "leads": LEADS, "touchpoints": [SEEN]},
        later={
            "bookings": [*CALLS, booking("new", "hal", 704, NOW + HOUR)],
            "leads": [*LEADS, lead("ivy", 881, form="Data 201", occurred_at=NOW + HOUR)],
            "touchpoints": [SEEN],
        },
        many=lambda count: {"bookings": [booking("one", f"p{n}", 700) for n in range(count)]},
        counted="bookings",
        page_sizes=("PAGE",),
        at="/v2",
        described=described,
    )


def test_six_months_in_spans_of_a_month() -> None:
    long_ago = [booking(f"u{days}", "ann", 700 + days, NOW - days * DAY) for days in (31, 90, 179)]
    with serve(make_world("zoom", {"bookings": long_ago}), ("zoom",)) as urls, recorded() as exchanges:
        options = Options(base_url=urls["zoom"] + "/v2")
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW, only=["sessions"])
        first, exchanges[:] = [dict(e.query) for e in exchanges if "/report/users/" in e.path], []
        pull_all(PLATFORM, options, SECRETS, NOW + DAY, cursors, only=["sessions"])
    assert sorted(frames["sessions"]["uuid"].to_list()) == ["u179", "u31", "u90"]
    assert (first[0]["from"], first[0]["to"], first[-1]["to"], len(first)) == (
        "2025-11-16",
        "2025-12-15",
        "2026-05-15",
        7,
    )
    again = [dict(e.query) for e in exchanges if "/report/users/" in e.path]
    assert [(q["from"], q["to"]) for q in again] == [("2026-05-13", "2026-05-16")]


def test_only_the_hosts_that_are_asked_for() -> None:
    with serve(make_world("zoom", {"bookings": CALLS}), ("zoom",)) as urls:
        options = Options(base_url=urls["zoom"] + "/v2", hosts=("Lou@northwind.example",))
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW)
    assert read_all(PLATFORM, frames, options)["bookings"]["record_id"].to_list() == ["hers:eve"]


@pytest.mark.parametrize(
    ("uuid", "encoded"),
    [("ab+c==", "ab%2Bc%3D%3D"), ("a/b==", "a%2Fb%3D%3D"), ("/ab==", "%252Fab%253D%253D"), ("a//b", "a%252F%252Fb")],
)
def test_uuids_with_slashes_are_encoded_twice(uuid: str, encoded: str) -> None:
    assert _encoded(uuid) == encoded


class _Said:
    """Answers lists as they are given, for what the fake's tidy world has no case of."""

    def __init__(self, **lists: list[dict[str, Any]]) -> None:
        self._lists = lists

    def rows(self, _path: str, *, rows: str, **_asked: Any) -> list[list[dict[str, Any]]]:
        return [self._lists.get(rows, [])]


def attended(type_: int = 2, **lists: list[dict[str, Any]]) -> dict[str, str | None]:
    session = {"uuid": "u", "id": 7, "type": type_, "topic": "Call", "start_time": "x", "user_email": "Sam@n.example"}
    options = Options(own_domains=("north.example",))
    rows = _attended(_Said(**lists), session, ["lou@n.example"], options)  # type: ignore[arg-type] # stands in for the API
    return {row["who"]: row["participant"] and row["participant"]["join_time"] for row in rows}


def join(email: str, at: str = "2026-05-14T12:00:00Z", **more: Any) -> dict[str, Any]:
    return {"user_email": email, "join_time": at, **more}


def test_who_came() -> None:
    registrants = [
        {"id": "r1", "email": "Ann@x.example"},
        {"id": "r2", "email": "bob@x.example"},
        {"id": "r3", "email": "lou@n.example"},
    ]
    participants = [
        join("ann@X.example", "2026-05-14T12:09:00Z"),
        join("ann@x.example", "2026-05-14T12:01:00Z"),
        join("bob@x.example", status="in_waiting_room"),
        join("SAM@n.example"), join("ceo@North.example"), join(""), join("cyd@x.example"),
    ]  # fmt: skip
    came = attended(registrants=registrants, participants=participants)
    assert came == {"r1": "2026-05-14T12:01:00Z", "cyd@x.example": "2026-05-14T12:00:00Z", "r2": None}


def test_nobody_misses_one_of_a_series() -> None:
    registrants = [{"id": "r1", "email": "ann@x.example"}, {"id": "r2", "email": "bob@x.example"}]
    assert attended(8, registrants=registrants, participants=[join("", registrant_id="r2")]) == {
        "r2": "2026-05-14T12:00:00Z"
    }


def test_a_wrong_app_is_said_so_though_zoom_calls_it_a_bad_request() -> None:
    with serve(make_world("zoom"), ("zoom",)) as urls, pytest.raises(SourceError) as caught:
        pull_all(PLATFORM, Options(base_url=urls["zoom"] + "/v2"), {**SECRETS, "ZOOM_ACCOUNT_ID": "other"}, NOW)
    assert "answered 401: the key was refused" in str(caught.value)


class _Reply:
    def __init__(self, status_code: int, text: str) -> None:
        self.status_code, self.text = status_code, text


@pytest.mark.parametrize(
    ("status", "text", "meant"),
    [
        (400, "Invalid access token, does not contain scopes:[report:read:list_meeting_participants:admin].", 403),
        (400, "Registration has not been enabled for this meeting: 85390989484.", 404),
        (400, "Webinar plan is missing. You must subscribe to the webinar plan.", 404),
        (400, "Validation Failed.", 400),
        (404, "Meeting does not exist: 1.", 404),
        (200, "", 200),
    ],
)
def test_what_zoom_means(status: int, text: str, meant: int) -> None:
    assert _meaning(_Reply(status, text)) == meant  # type: ignore[arg-type] # two fields of an answer


def test_a_missing_scope_is_not_taken_for_nobody_having_come() -> None:
    world = make_world("zoom", {"bookings": CALLS})
    with serve(world, ("zoom",)) as urls:
        options = Options(base_url=urls["zoom"] + "/v2")
        world.trouble["zoom"] = Trouble(403, after=3)
        with pytest.raises(SourceError, match=r"It needs: .*report:read:list_meeting_participants:admin"):
            pull_all(PLATFORM, options, SECRETS, NOW, only=["sessions"])


@given(st.text(st.sampled_from("ab/+="), min_size=1, max_size=8).filter(lambda text: text.strip("/")))
def test_any_uuid_comes_back_from_its_path(uuid: str) -> None:
    times = 2 if "%25" in _encoded(uuid) else 1
    text = _encoded(uuid)
    for _ in range(times):
        text = unquote(text)
    assert text == uuid
    assert "/" not in _encoded(uuid)
