"""Google Analytics 4, pulled over real HTTP from its fake: positional rows, restated days, figures that are not whole."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms.ga4 import PLATFORM, Options
from journey_pipeline.sandbox.fakes.ga4 import PROPERTY, SECRETS, ZONE
from journey_pipeline.sandbox.server import serve
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import (
    NOW,
    Frames,
    make_world,
    pull_all,
    raw_frame,
    read_all,
    said_all,
    world_frame,
)
from journey_pipeline_tests.platforms.openapi import Contract, contract, recorded

DAY = timedelta(days=1)
URL = "https://analytics.google.com/analytics/web/#/p4711/reports/intelligenthome"


def figure(ago: int, value: float = 1234.56, metric: str = "revenue", report: str = "ga4") -> dict[str, Any]:
    on = NOW.date() - ago * DAY
    return {
        "record_id": f"{PROPERTY}:{on}:{metric}",
        "occurred_at": datetime(on.year, on.month, on.day, tzinfo=ZoneInfo(ZONE)).astimezone(UTC),
        "url": URL,
        "report": report,
        "metric": metric,
        "starts_on": on,
        "ends_on": on,
        "value": value,
        "currency": "USD" if metric == "revenue" else None,
    }


def described() -> Contract:
    """A third party's description has the report under a path of its own making; tokens are described by none."""
    third_party = contract("ga4", "airbyte_google-analytics-data-api.yaml", base="/ga4")
    report = third_party.spec["paths"]["/properties/{property_id}:runReport:website_overview"]
    token: dict[str, Any] = {"post": {"responses": {"200": {"description": "a token"}}}}
    paths = {"/v1beta/properties/{property_id}:runReport": report, "/token": token}
    return replace(third_party, spec={**third_party.spec, "paths": paths})


class TestGa4(Conformance):
    case = Case(
        "ga4",
        now={"reported": [figure(1), figure(2, 0.01), figure(3, 98765432.1)]},
        later={"reported": [figure(0), figure(1, 1300.0), figure(2, 0.01), figure(3, 98765432.1)]},
        many=lambda count: {"reported": [figure(n + 1) for n in range(count)]},
        counted="reported",
        page_sizes=("PER_PAGE",),
        options={"property": PROPERTY, "metrics": {"purchaseRevenue": "revenue"}},
        described=described,
    )


def raw(metadata: dict[str, Any] | None = None, **told: Any) -> Frames:
    row = {"property": "1", "date": "20260514", "metric": "sessions", "type": "TYPE_INTEGER", "value": "7", **told}
    return {"daily": raw_frame([{**row, "metadata": metadata or {}}], "daily", NOW)}


def test_all_metrics_of_a_day_in_one_row() -> None:
    told = [figure(1, 40.0, "sessions"), figure(1, 2.5, "key_events"), figure(1, 3.0, "purchases"), figure(1, 99.5)]
    with serve(make_world("ga4", {"reported": told}), ("ga4",)) as urls:
        options = Options(base_url=urls["ga4"], property=PROPERTY)
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW)
    said = read_all(PLATFORM, frames, options)["reported"].sort("metric")
    assert said.select("metric", "value", "currency", "starts_on", "ends_on").rows() == [
        ("key_events", 2.5, None, date(2026, 5, 14), date(2026, 5, 14)),
        ("purchases", 3.0, None, date(2026, 5, 14), date(2026, 5, 14)),
        ("revenue", 99.5, "USD", date(2026, 5, 14), date(2026, 5, 14)),
        ("sessions", 40.0, None, date(2026, 5, 14), date(2026, 5, 14)),
    ]


def test_days_are_read_again_for_three_days_and_today_is_not_over() -> None:
    world = make_world("ga4", {"reported": [figure(0), figure(2), figure(3), figure(4)]})
    with serve(world, ("ga4",)) as urls, recorded() as exchanges:
        options = Options(base_url=urls["ga4"], property=PROPERTY, metrics={"purchaseRevenue": "revenue"})
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW)
        world.records = {"reported": world_frame("ga4", "reported", [figure(n, 1.0) for n in (0, 2, 3, 4)])}
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW + DAY / 24, cursors, frames=frames)
    spans = [e.sent["dateRanges"][0] for e in exchanges if e.sent]
    assert spans == [
        {"startDate": "2025-03-15", "endDate": "2026-05-14"},
        {"startDate": "2026-05-12", "endDate": "2026-05-14"},
    ]
    values = read_all(PLATFORM, frames, options)["reported"].select("starts_on", "value").rows()
    assert values == [(date(2026, 5, 11), 1234.56), (date(2026, 5, 12), 1.0), (date(2026, 5, 13), 1.0)]


def test_yesterday_is_the_propertys() -> None:
    with serve(make_world("ga4"), ("ga4",)) as urls, recorded() as exchanges:
        options = Options(base_url=urls["ga4"], property=PROPERTY, timezone="Pacific/Auckland")
        pull_all(PLATFORM, options, SECRETS, NOW)  # there it is the 16th
    assert [e.sent["dateRanges"][0]["endDate"] for e in exchanges if e.sent] == ["2026-05-15"]


@pytest.mark.parametrize(
    ("metadata", "report"),
    [
        ({}, "ga4"),
        ({"samplingMetadatas": [{"samplesReadCount": "1"}]}, "ga4 sampled"),
        ({"dataLossFromOtherRow": True}, "ga4 sampled"),
        ({"subjectToThresholding": True}, "ga4 sampled"),
        ({"dataLossFromOtherRow": False, "samplingMetadatas": []}, "ga4"),
    ],
)
def test_figures_that_are_not_whole_are_marked(metadata: dict[str, Any], report: str) -> None:
    assert read_all(PLATFORM, raw(metadata), Options())["reported"]["report"].to_list() == [report]


def test_the_row_of_all_others_is_no_day() -> None:
    said = said_all(PLATFORM, raw(date="(other)"), Options())["reported"]
    assert said.select("record_id", "starts_on", "occurred_at").rows() == [("1:(other):sessions", None, None)]


def test_a_sampled_report_over_http() -> None:
    with serve(make_world("ga4", {"reported": [figure(1, report="ga4 sampled")]}), ("ga4",)) as urls:
        options = Options(base_url=urls["ga4"], property=PROPERTY, metrics={"purchaseRevenue": "revenue"})
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW)
    assert read_all(PLATFORM, frames, options)["reported"]["report"].to_list() == ["ga4 sampled"]


def test_no_property_is_permanent() -> None:
    with pytest.raises(SourceError, match="add `property") as caught:
        pull_all(PLATFORM, Options(), SECRETS, NOW)
    assert not caught.value.is_transient


def test_another_property_names_what_the_account_lacks() -> None:
    with serve(make_world("ga4"), ("ga4",)) as urls, pytest.raises(SourceError, match="Viewer of the property"):
        pull_all(PLATFORM, Options(base_url=urls["ga4"], property="9"), SECRETS, NOW)
