"""Circle: what every platform must do, and the members whom its defaults would hide."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from journey_pipeline.platforms.circle import PLATFORM, Options
from journey_pipeline.sandbox.fakes.circle import SECRETS
from journey_pipeline.sandbox.server import serve
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, Frames, make_world, pull_all, raw_frame, read_all
from journey_pipeline_tests.platforms.openapi import recorded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def held(product: str, member: int, occurred_at: datetime = NOW - 9 * DAY, **more: Any) -> dict[str, Any]:
    return {
        "record_id": f"{product}:{member}",
        "occurred_at": occurred_at,
        "email": f"user{member}@example.com",
        "keys": [f"circle:{member}"],
        "url": f"https://northwind.circle.so/u/{member:08x}",
        "grant": "membership",
        "product_ref": f"circle:{product}",
        "status": "active",
        **more,
    }


WHO: dict[str, Any] = {
    "email": "Ann.Lee@Example.com",
    "name": "Ann Lee",
    "phone": "+12125550101",
    "company": "Lee & Co",
    "keys": ["circle:5001", "app:42", "stripe:cus_1"],
}
ANN = held("community", 5001, last_used_at=NOW - HOUR, **WHO)
ANN_SPACE = held("space_3", 5001, NOW - 8 * DAY + timedelta(milliseconds=717), **WHO, basis="comp")
ANN_GROUP = held("group_7", 5001, NOW - 7 * DAY, **WHO)
BOB = held("community", 5002)  # paid, invited, and never finished the profile
BOB_SPACE = held("space_3", 5002, NOW - 8 * DAY)
CYD = held("community", 5003, last_used_at=NOW - DAY, basis="staff")
CYD_SPACE = held("space_4", 5003, status="revoked", revoked_at=NOW - 2 * DAY)


class TestCircle(Conformance):
    case = Case(
        "circle",
        now={"access": [ANN, ANN_SPACE, ANN_GROUP, BOB, BOB_SPACE, CYD, CYD_SPACE]},
        later={
            "access": [
                {**ANN, "last_used_at": NOW + HOUR, "changed_at": NOW + HOUR},
                {**ANN_SPACE, "status": "revoked", "revoked_at": NOW + HOUR, "changed_at": NOW + HOUR},
                {**BOB, "last_used_at": NOW + HOUR, "changed_at": NOW + HOUR},
                BOB_SPACE,
                held("community", 5004, NOW + HOUR),
                held("group_8", 5004, NOW + HOUR),
            ]
        },
        many=lambda count: {"access": [held("community", 1 + n) for n in range(count)]},
        counted="access",
        page_sizes=("PAGE",),
    )


def said_of(options: Options | None = None, **raw: list[dict[str, Any]]) -> list[dict[str, Any]]:
    frames: Frames = {name: raw_frame(rows, name, NOW) for name, rows in raw.items()}
    return read_all(PLATFORM, frames, options or Options())["access"].to_dicts()


def member(**more: Any) -> dict[str, Any]:
    return {"id": 1, "email": "a@example.com", "created_at": "2026-05-01T09:00:00.000Z", **more}


def in_space(**more: Any) -> dict[str, Any]:
    times = {"created_at": "2026-05-02T09:00:00.000Z", "updated_at": "2026-05-10T09:00:00.000Z"}
    return {"space_id": 3, "community_member_id": 1, "status": "active", **times, **more}


def test_the_vendors_default_hides_who_never_finished_the_profile_and_we_do_not() -> None:
    headers = {"Authorization": f"Token {SECRETS['CIRCLE_TOKEN']}"}
    world = make_world("circle", {"access": [ANN, BOB]})
    with serve(world, ("circle",)) as urls:
        usual = requests.get(f"{urls['circle']}/community_members", headers=headers, timeout=5).json()
        frames, _ = pull_all(PLATFORM, Options(base_url=urls["circle"]), SECRETS, NOW)
    assert [row["id"] for row in usual["records"]] == [5001]
    said = read_all(PLATFORM, frames, Options())["access"]
    assert said.select("record_id", "status", "last_used_at").rows() == [
        ("community:5001", "active", NOW - HOUR),
        ("community:5002", "active", None),
    ]


def test_what_was_taken_away_is_no_longer_listed() -> None:
    lost = {"status": "revoked", "revoked_at": NOW - DAY}
    rows = [ANN, {**ANN_GROUP, **lost}, BOB, {**BOB_SPACE, **lost}, {**CYD, **lost}]
    with serve(make_world("circle", {"access": rows}), ("circle",)) as urls:
        frames, _ = pull_all(PLATFORM, Options(base_url=urls["circle"]), SECRETS, NOW)
    said = read_all(PLATFORM, frames, Options())["access"]
    assert said["record_id"].to_list() == ["community:5001", "community:5002"]


@pytest.mark.parametrize("every", [1, 2, 3])
def test_page_boundaries_of_spaces_and_groups(every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("journey_pipeline.platforms.circle.PAGE", every)
    rows = [held(p, 1 + n) for p in ("community", "space_1", "space_2", "group_1", "group_2") for n in range(3)]
    with serve(make_world("circle", {"access": rows}), ("circle",)) as urls:
        frames, _ = pull_all(PLATFORM, Options(base_url=urls["circle"]), SECRETS, NOW)
    assert {name: frame.height for name, frame in frames.items()} == {
        "members": 3, "space_members": 6, "group_members": 6,
    }  # fmt: skip


def test_only_the_spaces_and_groups_asked_for_cost_requests() -> None:
    rows = [held(p, 1) for p in ("community", "space_1", "space_2", "group_1", "group_2")]
    with serve(make_world("circle", {"access": rows}), ("circle",)) as urls, recorded() as seen:
        options = Options(base_url=urls["circle"], spaces=(2,), groups=(1,))
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW)
    assert [e.path.removeprefix("/circle") for e in seen] == [
        "/community_members", "/space_members", "/access_groups/1/community_members",
    ]  # fmt: skip
    said = read_all(PLATFORM, frames, options)["access"]
    assert said["product_ref"].to_list() == ["circle:community", "circle:group_1", "circle:space_2"]


def test_open_spaces_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    spaces: list[dict[str, Any]] = [
        {"id": 1, "is_private": False},
        {"id": 2, "is_private": None},
        {"id": 3, "is_private": True},
    ]
    asked: list[int] = []

    def listed(_api: Any, at: str, **params: Any) -> list[list[dict[str, Any]]]:
        asked.extend([params["space_id"]] if "space_id" in params else [])
        return [spaces] if at == "spaces" else []

    monkeypatch.setattr("journey_pipeline.platforms.circle._list", listed)
    pull_all(PLATFORM, Options(), SECRETS, NOW, only=["space_members"])
    assert asked == [3]


@pytest.mark.parametrize(
    ("status", "confirmed", "told"),
    [
        ("active", None, ("active", None)),
        ("active", "2026-05-01T10:00:00Z", ("active", None)),
        ("inactive", None, ("active", None)),
        ("inactive", "2026-05-01T10:00:00Z", ("revoked", datetime(2026, 5, 10, 9, tzinfo=UTC))),
        ("brand_new", None, ("brand_new", None)),
    ],
)
def test_an_inactive_membership_is_an_invitation_or_an_end(
    status: str, confirmed: str | None, told: tuple[str, datetime | None]
) -> None:
    said = said_of(members=[member(profile_confirmed_at=confirmed)], space_members=[in_space(status=status)])
    assert (said[1]["status"], said[1]["revoked_at"]) == told


@pytest.mark.parametrize(
    ("tags", "moderator", "basis"),
    [
        ([], False, [None, None]),
        (["VIP"], False, [None, None]),
        (["comp"], False, ["comp", "comp"]),
        (["VIP", "import:space_3"], False, [None, "import"]),
        (["import:space_33"], False, [None, None]),
        ([], True, [None, "staff"]),
    ],
)
def test_why_somebody_is_in(tags: list[str], moderator: bool, basis: list[str | None]) -> None:
    tagged = member(member_tags=[{"id": n, "name": tag} for n, tag in enumerate(tags)])
    said = said_of(members=[tagged], space_members=[in_space(moderator=moderator)])
    assert [row["basis"] for row in said] == basis


@pytest.mark.parametrize(
    ("options", "sso", "keys"),
    [
        (Options(), "42", ["circle:1"]),
        (Options(), "app:42", ["circle:1", "app:42"]),
        (Options(sso_platform="app"), "42", ["circle:1", "app:42"]),
        (Options(sso_platform="app"), "", ["circle:1"]),
        (Options(sso_platform="app"), None, ["circle:1"]),
    ],
)
def test_a_single_sign_on_names_the_same_person(options: Options, sso: str | None, keys: list[str]) -> None:
    (said,) = said_of(options, members=[member(sso_provider_user_id=sso)])
    assert said["keys"] == keys


def test_somebody_whom_the_list_of_members_lacks_keeps_the_key() -> None:
    (said,) = said_of(space_members=[in_space(community_member_id=9)])
    assert (said["record_id"], said["email"], said["keys"]) == ("space_3:9", None, ["circle:9"])


def test_what_cannot_be_read_is_left_to_be_rejected() -> None:
    (said,) = said_of(members=[member(created_at="soon")])
    assert (said["record_id"], said["occurred_at"]) == ("community:1", None)


@settings(deadline=None, max_examples=30)  # the machine is shared
@given(st.datetimes(datetime(2015, 1, 1), datetime(2035, 1, 1)))  # noqa: DTZ001 - made UTC below
def test_times_are_exact_to_the_millisecond(when: datetime) -> None:
    when = when.replace(microsecond=when.microsecond // 1000 * 1000, tzinfo=UTC)
    text = when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"
    (said,) = said_of(members=[member(created_at=text)])
    assert said["occurred_at"] == when
