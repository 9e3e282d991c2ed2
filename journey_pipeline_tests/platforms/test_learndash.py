"""LearnDash: what every platform must do, courses through groups, and times that WordPress tells or doesn't."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms.http import by_counted_page
from journey_pipeline.platforms.learndash import PLATFORM, Options
from journey_pipeline.sandbox.fakes import learndash as fake
from journey_pipeline.sandbox.fakes.learndash import SECRETS
from journey_pipeline.sandbox.server import serve
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, Frames, make_world, pull_all, raw_frame, read_all
from journey_pipeline_tests.platforms.openapi import recorded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def held(product: str, user: int, occurred_at: datetime = NOW - 9 * DAY, **more: Any) -> dict[str, Any]:
    kind, _, _ = product.partition("_")
    return {
        "record_id": f"{product}:{user}",
        "occurred_at": occurred_at,
        "email": f"user{user}@example.com",
        "keys": [f"learndash:{user}"],
        "grant": "membership" if kind == "group" else "course",
        "product_ref": f"learndash:{product}",
        "status": "active",
        "progress": None if kind == "group" else 0.0,
        **more,
    }


WHO: dict[str, Any] = {"email": "Ann.Lee@Example.com", "name": "Ann Lee", "keys": ["learndash:5001", "app:42", "woo:7"]}
ANN = held("course_9", 5001, **WHO, progress=40.0, last_used_at=NOW)  # dated by the load that told of 40 steps
ANN_TOO = held("course_10", 5001, **WHO, progress=100.0, last_used_at=NOW - DAY)
BOB = held("group_7", 5002, basis="staff")  # as old as the account, for want of better
CYD = held("course_9", 5003, NOW - DAY)


class TestLearnDash(Conformance):
    case = Case(
        "learndash",
        now={"access": [ANN, ANN_TOO, BOB, CYD]},
        later={
            "access": [
                {**ANN, "progress": 60.0, "last_used_at": NOW + DAY, "changed_at": NOW + HOUR},
                BOB,
                {**CYD, "progress": 100.0, "last_used_at": NOW + HOUR, "changed_at": NOW + HOUR},
                held("course_11", 5004, NOW + HOUR),
            ]
        },
        many=lambda count: {"access": [held("course_9", 1 + n) for n in range(count)]},
        counted="access",
        page_sizes=("PAGE",),
        lost={"access": ("url",)},  # made of the site's address, which differs from run to run
    )


def said_of(options: Options | None = None, **raw: list[dict[str, Any]]) -> list[dict[str, Any]]:
    frames: Frames = {name: raw_frame(rows, name, NOW) for name, rows in raw.items()}
    return read_all(PLATFORM, frames, options or Options())["access"].to_dicts()


def test_a_groups_members_get_its_courses_without_being_listed_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "GRANTS", {7: (9, 10), 8: (9,)})
    begun = held("course_9", 1, NOW - 2 * DAY, progress=5.0)
    rows = [held("group_7", 1), held("group_8", 1), begun, held("course_9", 2)]
    with serve(make_world("learndash", {"access": rows}), ("learndash",)) as urls:
        frames, _ = pull_all(PLATFORM, Options(base_url=urls["learndash"]), SECRETS, NOW)
    assert frames["enrollments"].select("course_id", "user_id").rows() == [("9", "2")]
    said = read_all(PLATFORM, frames, Options())["access"]
    assert said.select("record_id", "progress").rows() == [
        ("course_10:1", None), ("course_9:1", 5.0), ("course_9:2", 0.0), ("group_7:1", None), ("group_8:1", None),
    ]  # fmt: skip


def test_what_has_no_time_began_with_the_load_that_first_listed_it() -> None:
    old, new = held("group_7", 1, NOW - 90 * DAY), held("group_7", 2, NOW - 80 * DAY)
    world = make_world("learndash", {"access": [old]})
    with serve(world, ("learndash",)) as urls:
        options = Options(base_url=urls["learndash"], progress=False)
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW)
        world.records = make_world("learndash", {"access": [old, new]}).records
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW + DAY, cursors, frames=frames)
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW + 2 * DAY, cursors, frames=frames)
    said = read_all(PLATFORM, frames, options)["access"]
    assert said.select("record_id", "occurred_at").rows() == [
        ("group_7:1", NOW - 90 * DAY),  # the user's registration
        ("group_7:2", NOW + DAY),
    ]


def test_a_first_step_dates_a_course_through_a_group_only_if_it_came_before_the_first_listing() -> None:
    member = {"user_id": 1, "group_id": 7, "courses": [9]}
    steps = {"user_id": 1, "course": 9, "steps_completed": 1, "steps_total": 4, "date_completed_gmt": ""}
    for started, begun in (("2026-05-15T08:00:00", NOW - 4 * HOUR), ("", None)):
        (course, _) = said_of(members=[member], progress=[{**steps, "date_started_gmt": started}])
        assert (course["occurred_at"], course["progress"], course["last_used_at"]) == (begun, 25.0, NOW)


def test_what_was_taken_away_is_no_longer_listed_though_its_progress_is() -> None:
    rows = [{**ANN, "status": "revoked", "revoked_at": NOW - HOUR}, ANN_TOO]
    with serve(make_world("learndash", {"access": rows}), ("learndash",)) as urls:
        frames, _ = pull_all(PLATFORM, Options(base_url=urls["learndash"]), SECRETS, NOW)
    assert frames["progress"]["course"].sort().to_list() == ["10", "9"]
    assert read_all(PLATFORM, frames, Options())["access"]["record_id"].to_list() == ["course_10:5001"]


def test_without_progress_no_student_costs_a_request() -> None:
    with serve(make_world("learndash", {"access": [ANN, BOB]}), ("learndash",)) as urls, recorded() as seen:
        options = Options(base_url=urls["learndash"], progress=False)
        said = read_all(PLATFORM, pull_all(PLATFORM, options, SECRETS, NOW)[0], options)["access"]
    assert not [e for e in seen if "course-progress" in e.path]
    assert said.select("record_id", "progress", "last_used_at").rows() == [
        ("course_9:5001", None, None), ("group_7:5002", None, None),
    ]  # fmt: skip


def test_no_page_too_many_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """WordPress refuses it: with 400 where the rows are posts."""
    monkeypatch.setattr("journey_pipeline.platforms.learndash.PAGE", 2)
    rows = [held(f"course_{n}", 1) for n in range(4)]
    with serve(make_world("learndash", {"access": rows}), ("learndash",)) as urls:
        with recorded() as seen:
            frames, _ = pull_all(PLATFORM, Options(base_url=urls["learndash"]), SECRETS, NOW, only=["progress"])
        login = (SECRETS["LEARNDASH_USER"], SECRETS["LEARNDASH_APP_PASSWORD"])
        at = f"{urls['learndash']}/ldlms/v2/sfwd-courses?per_page=2&page=3"
        beyond = requests.get(at, auth=login, timeout=5)
    assert frames["progress"]["course"].to_list() == ["0", "1", "2", "3"]
    pages = [dict(e.query)["page"] for e in seen if e.path.endswith("/sfwd-courses")]
    assert (pages, beyond.status_code) == (["1", "2"], 400)


def test_without_the_header_pages_are_asked_for_until_one_is_empty() -> None:
    pages, reply = by_counted_page("X-WP-TotalPages"), requests.Response()
    there_is_more = []
    for rows in ([1], [2], []):
        pages.update_state(reply, rows)
        there_is_more.append(pages.has_next_page)
    assert there_is_more == [True, True, False]


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ({"first_name": "Ann", "last_name": "Lee", "name": "ann77"}, "Ann Lee"),
        ({"first_name": "", "last_name": "", "name": "ann77"}, "ann77"),
        ({"first_name": "Ann", "last_name": "", "name": ""}, "Ann"),
        ({"first_name": "", "last_name": "", "name": ""}, None),
    ],
)
def test_names(user: dict[str, str], name: str | None) -> None:
    enrolled = {"user_id": 1, "course_id": 9}
    (said,) = said_of(users=[{"id": 1, "registered_date": "2026-05-01T09:00:00+00:00", **user}], enrollments=[enrolled])
    assert (said["name"], said["occurred_at"]) == (name, datetime(2026, 5, 1, 9, tzinfo=UTC))


@pytest.mark.parametrize(
    ("base_url", "link"),
    [
        ("https://northwind.example/wp-json", "https://northwind.example/wp-admin/user-edit.php?user_id=1"),
        ("https://x.example/school/wp-json/", "https://x.example/school/wp-admin/user-edit.php?user_id=1"),
    ],
)
def test_links_lead_to_the_user(base_url: str, link: str) -> None:
    (said,) = said_of(Options(base_url=base_url), enrollments=[{"user_id": 1, "course_id": 9}])
    assert said["url"] == link


def test_a_site_without_address_is_permanent() -> None:
    with pytest.raises(SourceError, match="add `base_url") as caught:
        pull_all(PLATFORM, Options(), SECRETS, NOW)
    assert not caught.value.is_transient


@settings(deadline=None, max_examples=30)  # the machine is shared
@given(st.datetimes(datetime(2015, 1, 1), datetime(2035, 1, 1)))  # noqa: DTZ001 - made UTC below
def test_times_without_a_zone_are_gmt(when: datetime) -> None:
    when = when.replace(microsecond=0, tzinfo=UTC)
    told = {"user_id": 1, "course": 9, "date_started_gmt": f"{when:%Y-%m-%dT%H:%M:%S}"}
    (said,) = said_of(enrollments=[{"user_id": 1, "course_id": 9}], progress=[told])
    assert said["occurred_at"] == when
