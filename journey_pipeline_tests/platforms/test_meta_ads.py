"""Meta Ads, pulled over real HTTP from its fake: restated days, limits that come as 400, lead forms, the page's token."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms import http, meta_ads
from journey_pipeline.platforms.meta_ads import PLATFORM, Options
from journey_pipeline.sandbox.fakes import meta_ads as fake
from journey_pipeline.sandbox.server import serve
from journey_pipeline.sandbox.world import World
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import (
    NOW,
    Cursors,
    Frames,
    make_world,
    pull_all,
    raw_frame,
    read_all,
    said_all,
    world_frame,
)
from journey_pipeline_tests.platforms.openapi import Contract, contract, recorded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NEW_YORK = ZoneInfo("America/New_York")
ACCOUNTS = ("act_1234567890",)


def day(id_: str, ago: int, **more: Any) -> dict[str, Any]:
    on = NOW.date() - ago * DAY
    return {
        "record_id": f"{id_}:{on}",
        "occurred_at": datetime(on.year, on.month, on.day, tzinfo=NEW_YORK).astimezone(UTC),
        "url": "https://adsmanager.facebook.com/adsmanager/manage/campaigns?act=1234567890"
        f"&selected_campaign_ids={id_}",
        "day_on": on,
        "source": "meta",
        "campaign": "spring",
        "impressions": 1000,
        "clicks": 40,
        "cost_minor": 12345,
        "currency": "USD",
        "conversions": 3.0,
        **more,
    }


def lead(record_id: str, occurred_at: datetime = NOW - DAY, **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "occurred_at": occurred_at,
        "form": "Syllabus",
        "source": "meta",
        "medium": "paid_social",
        "campaign": "spring",
        **more,
    }


ANN = lead(
    "801",
    email="Ann.Lee@Example.com",
    phone="+12125550101",
    name="Ann Lee",
    company="Northwind",
    keys=["app:42", "hubspot:101"],
    source="ig",
    medium="story",
    product_ref="stripe:price_1",
)
BOB = lead("802", NOW - 2 * DAY, form="Webinar", email="bob@example.com")
CYD = lead("803", NOW - 3 * DAY, email="cyd@example.com", medium="organic", campaign=None)
TRIED = lead("804", NOW - 4 * DAY, email="test@fb.com", is_test=True)
QUIET = day("5002", 1, campaign="brand", clicks=0, conversions=0.0, cost_minor=0)
YEN = day("5003", 2, currency="JPY", cost_minor=1500, campaign="Tōkyō")


@contextmanager
def graph(world: World, **options: Any) -> Iterator[Options]:
    with serve(world, ("meta_ads",)) as urls:
        yield Options(base_url=urls["meta_ads"], accounts=ACCOUNTS, **options)


def pull(
    options: Options, at: datetime = NOW, cursors: Cursors | None = None, frames: Frames | None = None
) -> tuple[Frames, Cursors]:
    return pull_all(PLATFORM, options, fake.SECRETS, at, cursors, frames=frames)


def raw(resource: str, **row: Any) -> Frames:
    return {resource: raw_frame([row], resource, NOW)}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BACKOFF_S", 0.01)


def described() -> Contract:
    """A third party's description, which knows insights and the account; the lists of leads from Meta's documentation."""
    account = contract("meta-ads", "airbyte_facebook-marketing.yaml", base="/meta_ads/v26.0")
    listed = [{"in": "query", "name": name, "schema": {"type": "string"}} for name in ("fields", "limit", "after")]
    filtering = {"in": "query", "name": "filtering", "schema": {"type": "string"}}
    answers = {"200": {"description": "", "content": {"application/json": {"schema": {"required": ["data"]}}}}}
    paths = {
        path: {"get": {"parameters": [*listed, *more], "responses": answers}}
        for path, more in {
            "/me/accounts": [],
            "/{page_id}/leadgen_forms": [],
            "/{form_id}/leads": [filtering],
        }.items()
    }
    return replace(
        account,
        spec={**account.spec, "paths": {**account.spec["paths"], **paths}},
        # It lacks the filter by state, which Meta's documentation and other connectors have.
        also_parameters={"GET /act_{account_id}/insights": ("filtering",)},
        # It says that figures are numbers; Meta sends text.
        wrong_answers=("GET /act_{account_id}/insights",),
    )


class TestMetaAds(Conformance):
    case = Case(
        "meta_ads",
        now={"spend": [day("5001", 0), day("5001", 27), QUIET, YEN], "leads": [ANN, BOB, CYD, TRIED]},
        later={
            "spend": [day("5001", 0, conversions=5.0, cost_minor=99), day("5001", 27, conversions=4.0), QUIET, YEN],
            "leads": [ANN, BOB, CYD, TRIED, lead("805", NOW + HOUR, email="dee@example.com", form="New")],
        },
        many=lambda count: {"spend": [day(str(n), n % 2) for n in range(count)]},
        counted="spend",
        page_sizes=("PER_PAGE",),
        options={"accounts": ACCOUNTS},
        described=described,
    )


def test_past_days_are_read_again_for_28_days() -> None:
    world = make_world("meta_ads", {"spend": [day("1", 28, conversions=1.0), day("1", 30, conversions=1.0)]})
    with graph(world) as options:
        frames, cursors = pull(options)
        restated = [day("1", 28, conversions=2.0), day("1", 30, conversions=2.0)]
        world.records = {"spend": world_frame("meta_ads", "spend", restated)}
        frames, _ = pull(options, NOW + HOUR, cursors, frames)
    said = read_all(PLATFORM, frames, options)["spend"]
    assert said.select("day_on", "conversions").rows() == [(date(2026, 4, 15), 1.0), (date(2026, 4, 17), 2.0)]


def test_the_cost_of_archived_campaigns_is_read_too() -> None:
    world = make_world("meta_ads", {"spend": [day("1", 1), day("2", 200, campaign="long over")]})
    with graph(world) as options:
        said = read_all(PLATFORM, pull(options)[0], options)["spend"]
    assert said["campaign"].to_list() == ["spring", "long over"]


def test_the_first_load_asks_window_by_window_and_for_no_day_twice() -> None:
    with graph(make_world("meta_ads")) as options, recorded() as exchanges:
        pull(options)
    spans = [dict(e.query)["time_range"] for e in exchanges if e.path.endswith("/insights")]
    assert spans[0] == '{"since": "2023-05-31", "until": "2023-08-28"}'
    assert spans[1].startswith('{"since": "2023-08-29"')
    assert spans[-1].endswith('"until": "2026-05-15"}')


@pytest.mark.parametrize(
    ("code", "is_transient", "said"),
    [
        (4, True, "answered 429 5 times"),
        (17, True, "answered 429 5 times"),
        (32, True, "answered 429 5 times"),
        (613, True, "answered 429 5 times"),
        (80004, True, "answered 429 5 times"),
        (190, False, "answered 401"),
        (200, False, "It needs: ads_read"),
        (100, False, "answered 400"),
    ],
)
def test_what_a_400_of_meta_means(code: int, is_transient: bool, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_request: Request) -> JSONResponse:
        return JSONResponse({"error": {"message": "no", "code": code}}, 400)

    monkeypatch.setattr(fake, "app", lambda _world: Starlette(routes=[Route("/{rest:path}", refuse)]))
    with graph(make_world("meta_ads")) as options, recorded() as exchanges, pytest.raises(SourceError, match=said) as e:
        pull(options)
    assert e.value.is_transient == is_transient
    assert len(exchanges) == (http.ATTEMPTS if is_transient else 1)


def test_no_token_stands_in_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meta_ads, "PER_PAGE", 1)
    with graph(make_world("meta_ads", {"leads": [ANN, CYD]})) as options, recorded() as exchanges:
        pull(options)
    assert [name for e in exchanges for name, _ in e.query if name == "access_token"] == []
    assert len([e for e in exchanges if e.path.endswith("/leads")]) == 2


def test_leads_are_asked_for_form_by_form_from_an_hour_before_the_last_load() -> None:
    world = make_world("meta_ads", {"leads": [ANN]})
    with graph(world) as options, recorded() as exchanges:
        frames, cursors = pull(options)
        late = [ANN, lead("806", NOW - timedelta(minutes=59)), lead("807", NOW - DAY, form="New")]
        world.records = {"leads": world_frame("meta_ads", "leads", late)}
        frames, _ = pull(options, NOW + HOUR, cursors, frames)
    assert read_all(PLATFORM, frames, options)["leads"]["record_id"].to_list() == ["801", "806", "807"]
    assert [dict(e.query).get("filtering") for e in exchanges if e.path.endswith("/leads")] == [
        None,
        '[{"field": "time_created", "operator": "GREATER_THAN", "value": 1778842800}]',
        None,
    ]


def test_without_lead_ads_no_page_is_asked_for() -> None:
    with graph(make_world("meta_ads", {"leads": [ANN]}), leads=False) as options, recorded() as exchanges:
        frames, _ = pull(options)
    assert frames["leads"].is_empty()
    assert [e.path for e in exchanges if "insights" not in e.path] == ["/meta_ads/v26.0/act_1234567890"]


def test_only_the_pages_that_are_wanted_are_read_and_a_closed_one_is_named() -> None:
    with graph(make_world("meta_ads", {"leads": [ANN]})) as options:
        assert pull(options.model_copy(update={"pages": (fake.PAGE,)}))[0]["leads"].height == 1
        with pytest.raises(SourceError, match="may not read pages 9; assign them"):
            pull(options.model_copy(update={"pages": (fake.PAGE, "9")}))


def test_no_account_is_permanent() -> None:
    with pytest.raises(SourceError, match="add `accounts") as caught:
        pull_all(PLATFORM, Options(), fake.SECRETS, NOW)
    assert not caught.value.is_transient


def test_an_unreadable_cost_is_rejected() -> None:
    frames = raw("insights", campaign_id="1", date_start="2026-05-14", spend="12,34", account_currency="USD")
    assert said_all(PLATFORM, frames, Options())["spend"]["_reject"].to_list() == ["unreadable spend"]


def test_one_action_type_counts_as_the_conversion() -> None:
    actions = [{"action_type": name, "value": value} for name, value in (("omni_purchase", "9"), ("lead", "4"))]
    frames = raw("insights", campaign_id="1", date_start="2026-05-14", actions=actions)
    counted = [
        read_all(PLATFORM, frames, Options(conversion=c))["spend"]["conversions"][0] for c in ("lead", "purchase")
    ]
    assert counted == [4.0, 0.0]


@given(minor=st.integers(0, 10**12), digits=st.sampled_from([("USD", 2), ("JPY", 0), ("KWD", 3)]))
def test_cost_is_exact_in_every_currency(minor: int, digits: tuple[str, int]) -> None:
    currency, places = digits
    text = f"{minor // 10**places}.{minor % 10**places:0{places}d}" if places else str(minor)
    frames = raw("insights", campaign_id="1", date_start="2026-05-14", spend=text, account_currency=currency)
    assert read_all(PLATFORM, frames, Options())["spend"]["cost_minor"].to_list() == [minor]


def test_a_name_in_two_parts_and_work_addresses() -> None:
    said = {"first_name": "Ann", "last_name": "Lee", "work_email": "ann@corp.example", "utm_campaign": "fall"}
    answers = [{"name": name, "values": [text]} for name, text in said.items()]
    frames = raw("leads", id="1", created_time="2026-05-14T12:00:00-0500", form_id="9", field_data=answers)
    lead = read_all(PLATFORM, frames, Options())["leads"]
    assert lead.select("name", "email", "campaign", "form").rows() == [("Ann Lee", "ann@corp.example", "fall", "9")]
    assert lead["occurred_at"].to_list() == [datetime(2026, 5, 14, 17, tzinfo=UTC)]
