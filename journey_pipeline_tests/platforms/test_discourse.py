"""Discourse: what every platform must do, its own groups left out, and the ids of other logins."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms import http
from journey_pipeline.platforms.discourse import PLATFORM, Options
from journey_pipeline.sandbox.fakes import discourse as fake
from journey_pipeline.sandbox.fakes.discourse import SECRETS
from journey_pipeline.sandbox.server import serve
from journey_pipeline.sandbox.world import Trouble
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, Frames, make_world, pull_all, raw_frame, read_all
from journey_pipeline_tests.platforms.openapi import Contract, contract, recorded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def member(group: int, user: int, occurred_at: datetime = NOW - 9 * DAY, **more: Any) -> dict[str, Any]:
    return {
        "record_id": f"group_{group}:{user}",
        "occurred_at": occurred_at,
        "email": f"user{user}@example.com",
        "keys": [f"discourse:{user}"],
        "grant": "role",
        "product_ref": f"discourse:group_{group}",
        "status": "active",
        **more,
    }


WHO: dict[str, Any] = {"email": "Ann.Lee@Example.com", "name": "Lee, Ann", "keys": ["discourse:5001", "app:42"]}
ANN = member(41, 5001, **WHO, last_used_at=NOW - HOUR)
ANN_TOO = member(42, 5001, **WHO, last_used_at=NOW - HOUR)
BOB = member(41, 5002)  # never confirmed the address
CYD = member(42, 5003, status="revoked", revoked_at=NOW - DAY, last_used_at=NOW - 2 * DAY)
DAN = member(41, 5004, basis="staff", last_used_at=NOW - DAY)

PAGED = {"GET /groups.json": ("page",), "GET /groups/{name}/members.json": ("limit", "offset")}


def described() -> Contract:
    """Lists are described without their paging, as never empty, and some fields as never null that often are."""
    vendor = contract("discourse", "openapi.json", base="/discourse", also_parameters=PAGED)
    text = json.dumps(vendor.spec).replace('"minItems": 1, ', "")
    for name in ("last_posted_at", "last_seen_at"):
        text = text.replace(f'"{name}": {{"type": "string"}}', f'"{name}": {{"type": ["string", "null"]}}')
    # Of one user far more is told than is read: what is read must be as described.
    spec = json.loads(text)
    whole = spec["paths"]["/admin/users/{id}.json"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    whole["required"] = ["id", "external_ids", "single_sign_on_record"]
    return replace(vendor, spec=spec)


class TestDiscourse(Conformance):
    case = Case(
        "discourse",
        now={"access": [ANN, ANN_TOO, BOB, CYD, DAN]},
        later={
            "access": [
                {**ANN, "last_used_at": NOW + HOUR, "changed_at": NOW + HOUR},
                {**BOB, "last_used_at": NOW + HOUR, "changed_at": NOW + HOUR},
                {**CYD, "status": "active", "revoked_at": None, "changed_at": NOW + HOUR},
                member(43, 5005, NOW + HOUR),
            ]
        },
        many=lambda count: {"access": [member(41, 1 + n) for n in range(count)]},
        counted="access",
        page_sizes=("PAGE",),
        options={"external_ids": True, "providers": {"app": "app"}},
        lost={"access": ("url",)},  # made of the forum's address, which differs from run to run
        described=described,
    )


def said_of(options: Options | None = None, **raw: list[dict[str, Any]]) -> list[dict[str, Any]]:
    joined = {"id": 5, "group_id": 41, "username": "ann", "added_at": "2026-05-01T09:00:00.000Z"}
    frames: Frames = {name: raw_frame(rows, name, NOW) for name, rows in {"members": [joined], **raw}.items()}
    return read_all(PLATFORM, frames, options or Options())["access"].to_dicts()


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_every_page_of_users_and_of_groups(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for constant in ("USERS_PAGE", "GROUPS_PAGE"):
        monkeypatch.setattr(fake, constant, 2)
    rows = [member(40 + n, 1 + n) for n in range(count)]
    with serve(make_world("discourse", {"access": rows}), ("discourse",)) as urls, recorded() as seen:
        frames, _ = pull_all(PLATFORM, Options(base_url=urls["discourse"]), SECRETS, NOW)
    assert frames["users"]["id"].to_list() == [str(1 + n) for n in range(count)]
    assert frames["members"]["group_id"].to_list() == [str(40 + n) for n in range(count)]
    asked = [dict(e.query)["page"] for e in seen if e.path.endswith("/groups.json")]
    assert asked == [str(page) for page in range((count + 2) // 2)]  # one group more is the forum's own


def test_the_forums_own_groups_are_not_read_unless_they_are_named() -> None:
    with serve(make_world("discourse", {"access": [ANN, ANN_TOO]}), ("discourse",)) as urls, recorded() as seen:
        for groups in ((), ("admins", "members_42")):
            pull_all(PLATFORM, Options(base_url=urls["discourse"], groups=groups), SECRETS, NOW, only=["members"])
    read = [e.path.split("/")[3] for e in seen if e.path.endswith("/members.json")]
    assert read == ["members_41", "members_42", "admins", "members_42"]


def test_members_are_read_one_by_one_only_if_asked_for() -> None:
    asked = {}
    for external_ids in (False, True):
        with (
            serve(make_world("discourse", {"access": [ANN, ANN_TOO, BOB]}), ("discourse",)) as urls,
            recorded() as seen,
        ):
            options = Options(base_url=urls["discourse"], external_ids=external_ids)
            pull_all(PLATFORM, options, SECRETS, NOW, only=["details"])
        asked[external_ids] = [e.path.rpartition("/")[2] for e in seen if "/admin/users/" in e.path]
    assert asked == {False: [], True: ["5001.json", "5002.json"]}


def test_the_limit_is_waited_out_as_long_as_the_forum_says(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    world = make_world("discourse", {"access": [ANN, BOB]})
    world.trouble["discourse"] = Trouble(429, after=1, times=2, retry_after="17")
    with serve(world, ("discourse",)) as urls:
        monkeypatch.setattr("tenacity.nap.time.sleep", waits.append)
        frames, _ = pull_all(PLATFORM, Options(base_url=urls["discourse"]), SECRETS, NOW)
    assert (frames["members"].height, waits) == (2, [17.0, 17.0])
    assert len(waits) < http.ATTEMPTS


@pytest.mark.parametrize(
    ("options", "user", "named"),
    [
        (Options(), {"external_ids": {"google_oauth2": "108"}}, []),
        (Options(), {"external_ids": {"oauth2_basic": "app:42"}}, ["app:42"]),
        (
            Options(providers={"oauth2_basic": "app"}),
            {"external_ids": {"oauth2_basic": "42", "github": "7"}},
            ["app:42"],
        ),
        (Options(), {"single_sign_on_record": {"external_id": "app:42"}}, ["app:42"]),
        (Options(), {"single_sign_on_record": {"external_id": "42"}}, []),
        (Options(sso_platform="app"), {"single_sign_on_record": {"external_id": "42"}}, ["app:42"]),
        (Options(sso_platform="app"), {"single_sign_on_record": None, "external_ids": {}}, []),
    ],
)
def test_ids_of_other_systems(options: Options, user: Mapping[str, Any], named: list[str]) -> None:
    (said,) = said_of(options, details=[{"id": 5, **user}])
    assert said["keys"] == ["discourse:5", *named]


def test_a_visit_before_joining_is_no_use_of_the_group() -> None:
    joined = {"id": 5, "group_id": 41, "added_at": "2026-05-02T09:00:00.000Z"}
    before, after = (
        said_of(members=[{**joined, "last_seen_at": f"2026-05-0{day}T09:00:00.000Z"}])[0] for day in (1, 3)
    )
    assert (before["last_used_at"], after["last_used_at"]) == (None, datetime(2026, 5, 3, 9, tzinfo=UTC))


def test_somebody_whom_the_list_of_users_lacks_keeps_the_key() -> None:
    (said,) = said_of(Options(base_url="https://forum.example/"))
    assert (said["record_id"], said["email"], said["keys"]) == ("group_41:5", None, ["discourse:5"])
    assert said["url"] == "https://forum.example/admin/users/5/ann"


def test_a_forum_without_address_is_permanent() -> None:
    with pytest.raises(SourceError, match="add `base_url") as caught:
        pull_all(PLATFORM, Options(), SECRETS, NOW)
    assert not caught.value.is_transient


@settings(deadline=None, max_examples=30)  # the machine is shared
@given(st.integers(1, 2**31), st.booleans(), st.booleans())
def test_admins_and_moderators_are_staff(id_: int, is_admin: bool, is_moderator: bool) -> None:
    joined = {"id": id_, "group_id": 41, "added_at": "2026-05-01T09:00:00.000Z"}
    (said,) = said_of(members=[joined], users=[{"id": id_, "admin": is_admin, "moderator": is_moderator}])
    assert said["basis"] == ("staff" if is_admin or is_moderator else None)
