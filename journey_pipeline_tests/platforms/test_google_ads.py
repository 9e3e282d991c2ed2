"""Google Ads, pulled over real HTTP from its fake: restated days, micros, clicks day by day, pages of Google's own size."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms.google_ads import PLATFORM, Options
from journey_pipeline.sandbox.fakes import google_ads as fake
from journey_pipeline.sandbox.server import serve
from journey_pipeline_tests.platforms.conformance import FIRST_PAGE, Case, Conformance
from journey_pipeline_tests.platforms.harness import (
    NOW,
    Frames,
    make_world,
    pull_all,
    raw_frame,
    read_all,
    world_frame,
)
from journey_pipeline_tests.platforms.openapi import Contract, contract, recorded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CUSTOMERS = ("123-456-7890",)


def _midnight(ago: int) -> datetime:
    on = NOW.date() - ago * DAY
    return datetime(on.year, on.month, on.day, tzinfo=ZoneInfo(fake.ZONE)).astimezone(UTC)


def day(id_: str, ago: int, **more: Any) -> dict[str, Any]:
    on = NOW.date() - ago * DAY
    return {
        "record_id": f"{id_}:{on}",
        "occurred_at": _midnight(ago),
        "url": f"https://ads.google.com/aw/overview?campaignId={id_}",
        "day_on": on,
        "source": "google",
        "campaign": "brand",
        "impressions": 1000,
        "clicks": 40,
        "cost_minor": 12345,
        "currency": "USD",
        "conversions": 2.5,
        **more,
    }


def click(gclid: str, ago: int = 1) -> dict[str, Any]:
    return {
        "record_id": gclid,
        "occurred_at": _midnight(ago),
        "keys": [f"google_ads:{gclid}"],
        "channel": "paid",
        "source": "google",
        "medium": "cpc",
        "campaign": "brand",
        "click_id": gclid,
    }


QUIET = day("900", 3, campaign="Tōkyō 'spring'", clicks=0, cost_minor=0, conversions=0.0)


def described() -> Contract:
    """A third party's description of a version that is gone: the address is the same but for the version."""
    third_party = contract("google-ads", "airbyte_google-ads.yaml", base="/google_ads")
    search = third_party.spec["paths"]["/v20/customers/{customer_id}/googleAds:search?entity=campaigns"]
    token: dict[str, Any] = {"post": {"responses": {"200": {"description": "a token"}}}}
    paths = {"/v26/customers/{customer_id}/googleAds:search": search, "/token": token}
    return replace(third_party, spec={**third_party.spec, "paths": paths})


class TestGoogleAds(Conformance):
    case = Case(
        "google_ads",
        now={"spend": [day("901", 0), day("901", 29), QUIET], "touchpoints": [click("Cj0a"), click("EAI-b_c", 2)]},
        later={
            "spend": [day("901", 0, conversions=9.0), day("901", 29, cost_minor=1), QUIET, day("901", -1)],
            "touchpoints": [click("Cj0a"), click("EAI-b_c", 2), click("new", 0)],
        },
        many=lambda count: {"spend": [day(str(n), n % 2) for n in range(count)]},
        counted="spend",
        page_sizes=(),  # the size of a page is Google's
        options={"customers": CUSTOMERS, "clicks": True},
        described=described,
    )

    @pytest.fixture(autouse=True)
    def _small_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fake, "PAGE", FIRST_PAGE)


@pytest.mark.parametrize(("window", "restated"), [(30, [1.0, 1.0, 2.0]), (90, [1.0, 2.0, 2.0])])
def test_past_days_are_read_again_as_long_as_conversions_are_restated(window: int, restated: list[float]) -> None:
    ages = (91, 31, 30)
    world = make_world("google_ads", {"spend": [day("1", ago, conversions=1.0) for ago in ages]})
    with serve(world, ("google_ads",)) as urls:
        options = Options(base_url=urls["google_ads"], customers=CUSTOMERS, restated_days=window)
        frames, cursors = pull_all(PLATFORM, options, fake.SECRETS, NOW)
        later = [day("1", ago, conversions=2.0) for ago in ages]
        world.records = {"spend": world_frame("google_ads", "spend", later)}
        frames, _ = pull_all(PLATFORM, options, fake.SECRETS, NOW + HOUR, cursors, frames=frames)
    assert read_all(PLATFORM, frames, options)["spend"]["conversions"].to_list() == restated


def test_clicks_are_asked_for_day_by_day_and_only_if_wanted() -> None:
    def asked(**more: Any) -> list[str]:
        exchanges.clear()
        pull_all(PLATFORM, options.model_copy(update=more), fake.SECRETS, NOW, cursors, only=["clicks"])
        return [e.sent["query"][-12:-1].strip("'") for e in exchanges if e.sent and "click_view" in e.sent["query"]]

    with serve(make_world("google_ads"), ("google_ads",)) as urls, recorded() as exchanges:
        options = Options(base_url=urls["google_ads"], customers=CUSTOMERS, clicks=True)
        cursors: dict[str, str | None] = {}
        first = asked()
        _, cursors = pull_all(PLATFORM, options, fake.SECRETS, NOW, only=["clicks"])
        second, unwanted = asked(), asked(clicks=False)
    assert (len(first), first[0], first[-1]) == (90, "2026-02-15", "2026-05-15")
    assert second == ["2026-05-12", "2026-05-13", "2026-05-14", "2026-05-15"]
    assert unwanted == []


def test_a_page_size_is_never_sent_and_a_manager_is_named() -> None:
    world = make_world("google_ads", {"spend": [day("1", 1)]})
    with serve(world, ("google_ads",)) as urls, recorded() as exchanges:
        options = Options(base_url=urls["google_ads"], customers=CUSTOMERS, login_customer="999-888-7777")
        pull_all(PLATFORM, options, fake.SECRETS, NOW)
    assert {name for e in exchanges for name in e.sent or ()} == {"query"}
    assert {e.path for e in exchanges} == {"/google_ads/token", "/google_ads/v26/customers/1234567890/googleAds:search"}


def test_metrics_that_google_leaves_out_are_nought_and_other_currencies_exact() -> None:
    told = {
        "customer": {"id": "1", "currencyCode": "JPY", "timeZone": "Asia/Tokyo"},
        "campaign": {"id": "7", "name": "brand"},
        "segments": {"date": "2026-05-14"},
        "starts_at": "2026-05-14T00:00:00+09:00",
    }
    frames: Frames = {
        "spend": raw_frame([{**told, "metrics": {"costMicros": "1500400000"}}, {**told, "metrics": {}}], "spend", NOW)
    }
    said = PLATFORM.read({"spend": frames["spend"].lazy(), "clicks": clickless()}, Options())["spend"].collect()
    assert said.select("cost_minor", "currency", "clicks", "impressions", "conversions").rows() == [
        (1500, "JPY", 0, 0, 0.0),
        (0, "JPY", 0, 0, 0.0),
    ]
    assert said["day_on"].to_list() == [date(2026, 5, 14)] * 2


def clickless() -> Any:
    row = dict.fromkeys(("customer", "campaign", "segments", "click_view", "starts_at"))
    return raw_frame([row], "clicks", NOW).lazy()


def test_no_customer_is_permanent() -> None:
    with pytest.raises(SourceError, match="add `customers") as caught:
        pull_all(PLATFORM, Options(), fake.SECRETS, NOW)
    assert not caught.value.is_transient


def test_somebody_elses_account_names_what_is_lacking() -> None:
    with serve(make_world("google_ads"), ("google_ads",)) as urls, pytest.raises(SourceError, match="read-only access"):
        pull_all(PLATFORM, Options(base_url=urls["google_ads"], customers=("1",)), fake.SECRETS, NOW)
