"""PostHog, pulled over real HTTP from its fake: visits, who made them, and what becomes of a visitor once identified."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms import posthog
from journey_pipeline.platforms.posthog import PLATFORM, Options
from journey_pipeline.sandbox.fakes.posthog import PROJECT, SECRETS
from journey_pipeline.sandbox.server import serve
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import (
    NOW,
    Frames,
    make_world,
    pull_all,
    raw_frame,
    read_all,
    world_frame,
)
from journey_pipeline_tests.platforms.openapi import recorded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PERSON = "0190a000-0000-7000-8000-00000000000a"


def visit(record_id: str, occurred_at: datetime = NOW - DAY, **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "occurred_at": occurred_at,
        "keys": [f"posthog:device-{record_id}"],
        "channel": "paid_search",
        "source": "google",
        "medium": "cpc",
        "campaign": "spring",
        "page": "https://northwind.example/learn",
        **more,
    }


ANN = visit(
    "s1",
    NOW - 30 * HOUR,
    email="Ann.Lee@Example.com",
    phone="+12125550101",
    name="Ann Lee",
    keys=["posthog:device-1", f"posthog:{PERSON}", "app:42"],
    content="banner",
    click_id="gclid.1",
)
BOB = visit("s2", NOW - 40 * HOUR, source="meta", channel="paid_social", click_id="fb.1.2", campaign="Tōkyō & co")
CYD = visit("s3", source="blog.example", medium=None, campaign=None, channel="referral")
DEE = visit("s4", source=None, medium=None, campaign=None, channel="direct", page=None)
# Whoever was on device-4 has signed up since: their first visit is theirs too.
DEE_KNOWN = {**DEE, "email": "dee@example.com", "keys": ["posthog:device-4", "posthog:0190a000-b"], "changed_at": NOW}


class TestPosthog(Conformance):
    case = Case(
        "posthog",
        now={"touchpoints": [ANN, BOB, CYD, {**DEE, "keys": ["posthog:device-4"]}]},
        later={"touchpoints": [ANN, BOB, CYD, DEE_KNOWN, visit("s5", NOW + HOUR)]},
        many=lambda count: {"touchpoints": [visit(f"s{n}") for n in range(count)]},  # all of one second
        counted="touchpoints",
        page_sizes=("PER_PAGE",),
        options={"project": PROJECT},
    )


def raw(identities: list[dict[str, Any]], **session: Any) -> Frames:
    row = {"session_id": "s1", "distinct_id": "d1", "started_at": "2026-05-14T08:00:00.123000-04:00", **session}
    return {"visits": raw_frame([row], "visits", NOW), "identities": raw_frame(identities, "identities", NOW)}


def keys(frames: Frames, **options: Any) -> list[str]:
    return list(read_all(PLATFORM, frames, Options(**options))["touchpoints"]["keys"][0])


def test_the_first_load_asks_month_by_month_and_the_next_from_two_days_before_the_last() -> None:
    with serve(make_world("posthog"), ("posthog",)) as urls, recorded() as exchanges:
        options = Options(base_url=urls["posthog"], project=PROJECT)
        _, cursors = pull_all(PLATFORM, options, SECRETS, NOW, only=["visits"])
        first = [e.sent["query"]["values"] for e in exchanges]
        exchanges.clear()
        pull_all(PLATFORM, options, SECRETS, NOW + DAY, cursors, only=["visits"])
        second = [e.sent["query"]["values"] for e in exchanges]
    assert len(first) == 24
    assert first[0]["since"] == "2024-05-15 12:00:00"
    assert [a["until"] for a in first[:-1]] == [b["since"] for b in first[1:]]
    assert first[-1]["until"] == "2026-05-15 12:00:01"
    assert [(v["since"], v["until"]) for v in second] == [("2026-05-13 12:00:00", "2026-05-16 12:00:01")]


def test_the_first_load_goes_two_years_back() -> None:
    ages = [timedelta(), DAY, 31 * DAY, 62 * DAY, 730 * DAY, 731 * DAY]
    world = make_world("posthog", {"touchpoints": [visit(f"s{n}", NOW - age) for n, age in enumerate(ages)]})
    with serve(world, ("posthog",)) as urls:
        options = Options(base_url=urls["posthog"], project=PROJECT)
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW)
    assert read_all(PLATFORM, frames, options)["touchpoints"]["record_id"].to_list() == ["s0", "s1", "s2", "s3", "s4"]


def test_a_visit_that_is_told_late_is_not_lost() -> None:
    world = make_world("posthog", {"touchpoints": [visit("s2", NOW - 3 * HOUR)]})
    with serve(world, ("posthog",)) as urls:
        options = Options(base_url=urls["posthog"], project=PROJECT)
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW)
        late = [visit("s2", NOW - 3 * HOUR), visit("s1", NOW - 40 * HOUR)]
        world.records = {"touchpoints": world_frame("posthog", "touchpoints", late)}
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW + HOUR, cursors, frames=frames)
    assert read_all(PLATFORM, frames, options)["touchpoints"]["record_id"].to_list() == ["s1", "s2"]


def test_no_value_stands_in_the_query_itself() -> None:
    with serve(make_world("posthog", {"touchpoints": [ANN]}), ("posthog",)) as urls, recorded() as exchanges:
        pull_all(PLATFORM, Options(base_url=urls["posthog"], project=PROJECT), SECRETS, NOW)
    assert {e.sent["query"]["query"] for e in exchanges} == {posthog.VISITS, posthog.IDENTITIES}
    assert {e.sent["refresh"] for e in exchanges} == {"force_blocking"}


def test_another_project_is_refused_in_one_sentence() -> None:
    with serve(make_world("posthog"), ("posthog",)) as urls, pytest.raises(SourceError, match="answered 403") as caught:
        pull_all(PLATFORM, Options(base_url=urls["posthog"], project="999"), SECRETS, NOW)
    assert "Query: read" in str(caught.value)


def test_no_project_is_permanent() -> None:
    with pytest.raises(SourceError, match="add `project") as caught:
        pull_all(PLATFORM, Options(), SECRETS, NOW)
    assert not caught.value.is_transient


def test_all_devices_of_a_person_share_the_persons_keys() -> None:
    known = [{"distinct_id": id_, "person_id": "p1", "email": None} for id_ in ("d1", "d2", "app:42", "ann@a.example")]
    assert keys(raw(known)) == ["posthog:d1", "posthog:p1", "app:42"]
    assert read_all(PLATFORM, raw(known), Options())["touchpoints"]["email"].to_list() == ["ann@a.example"]


@pytest.mark.parametrize(
    ("distinct_id", "expected"),
    [
        ("42", ["app:42"]),
        ("0190a000-0000-7000-8000-00000000000a", []),
        ("ann@a.example", []),
        ("https://x.example", []),
    ],
)
def test_account_ids_name_somebody_elsewhere_if_told_where(distinct_id: str, expected: list[str]) -> None:
    known = [{"distinct_id": id_, "person_id": "p1"} for id_ in ("d1-0000 device", distinct_id)]
    frames = raw(known, distinct_id="d1-0000 device")
    assert keys(frames, known_as="app")[2:] == expected
    assert keys(frames)[2:] == []


def test_a_visit_without_consent_is_nobodys() -> None:
    assert keys(raw([], distinct_id="$posthog_cookieless")) == []


def test_the_newest_list_of_identities_decides() -> None:
    frames = raw([{"distinct_id": "d1", "person_id": "old"}])
    newer = raw_frame([{"distinct_id": "d1", "person_id": "new"}], "identities", NOW + HOUR)
    frames["identities"] = frames["identities"].vstack(newer)
    assert keys(frames) == ["posthog:d1", "posthog:new"]


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("https://n.example/a?utm_source=x#y", "https://n.example/a"),
        ("https://n.example/#pricing?x", "https://n.example/"),
        ("", None),
    ],
)
def test_the_page_is_without_its_query(url: str, page: str | None) -> None:
    said = read_all(PLATFORM, raw([], url=url, referrer="$direct"), Options())["touchpoints"]
    assert said.select("page", "source").rows() == [(page, None)]
    assert said["occurred_at"].to_list() == [datetime.fromisoformat("2026-05-14T12:00:00.123Z")]
