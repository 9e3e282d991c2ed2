"""HubSpot: what the module says is what the CRM holds, whenever and however often it is asked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from journey_pipeline.platforms import http, hubspot
from journey_pipeline.platforms.hubspot import PLATFORM, Options
from journey_pipeline.sandbox.fakes import hubspot as fake
from journey_pipeline.sandbox.fakes.hubspot import SECRETS
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
    world_frame,
)
from journey_pipeline_tests.platforms.openapi import Contract, Exchange, contract, recorded


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BACKOFF_S", 0.01)
    monkeypatch.setattr(hubspot, "SEARCH_EVERY_S", 0)
    monkeypatch.setattr(fake, "SEARCHES_PER_SECOND", 10_000)


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


ACCOUNT = "https://app.hubspot.com/contacts/4242"


def contact(number: int, days: float = 3, **said: Any) -> dict[str, Any]:
    at = ago(days)
    return {
        "record_id": str(number), "occurred_at": at, "updated_at": said.get("changed_at", at),
        "email": f"p{number}@x.com", "name": f"Person {number}", "phone": f"+1555000{number:04d}",
        "keys": [f"hubspot:{number}"], "owner": "sales@us.example", "lifecycle_stage": "lead", "source": "google",
        "campaign": "spring", "is_deleted": False, "url": f"{ACCOUNT}/record/0-1/{number}", **said,
    }  # fmt: skip


CONTACTS = [
    contact(101, company="Acme"),
    contact(102, name="Doe, Jane Mary", owner="left@us.example"),
    contact(103, name="Prince", phone=None, owner=None, lifecycle_stage=None),
    contact(104, name=None, email=None, source=None, campaign=None),
    contact(105, keys=["hubspot:105", "email:work@x.com", "email:old@x.com"]),
    contact(106, keys=["hubspot:106", "teachable:5001", "stripe:cus_9"]),
    contact(107, 30, is_deleted=True, changed_at=ago(1), updated_at=ago(1)),
    contact(1000),
]


def deal(number: int, of: int | None, days: float = 2, **said: Any) -> dict[str, Any]:
    """HubSpot keeps the addresses with the contact."""
    who = next(
        (
            {c: person.get(c) for c in ("email", "name", "phone", "company")}
            for person in CONTACTS
            if person["record_id"] == str(of)
        ),
        {},
    )
    return {
        "record_id": str(number), "occurred_at": ago(days), "keys": [] if of is None else [f"hubspot:{of}"], **who,
        "pipeline": "default", "stage": "presentationscheduled", "amount_minor": 150050, "currency": "USD",
        "owner": "sales@us.example", "product_ref": "stripe:price_1", "url": f"{ACCOUNT}/record/0-3/{number}", **said,
    }  # fmt: skip


DEALS = [
    *(deal(n, of) for n, of in enumerate((101, 102, 103, 104, 105, 106, 1000), 500)),
    deal(510, 101, won_at=ago(1), stage="closedwon"),
    deal(511, 102, lost_at=ago(1), stage="closedlost", lost_reason="too dear"),
    deal(512, 103, amount_minor=5000, currency="JPY"),
    deal(513, 104, amount_minor=12345, currency="KWD"),
    deal(514, 105, amount_minor=None),
    deal(515, None, product_ref=None, owner=None),
]


def lead(record_id: str, days: float = 1, form: str = "Webinar", **said: Any) -> dict[str, Any]:
    link = f"https://app.hubspot.com/forms/4242/{fake.form_id(form)}/performance"
    return {"record_id": record_id, "occurred_at": ago(days), "form": form, "url": link, **said}


LEADS = [
    lead("l_1", email="p101@x.com", phone="+15550000101", name="Person 101", company="Acme", source="google",
         medium="cpc", campaign="Spring sale", product_ref="stripe:price_1", keys=["teachable:5001", "stripe:cus_9"]),
    lead("l_2", 2, email="new@x.com"),
    lead("l_3", 3, "Syllabus", name="Prince"),
]  # fmt: skip


def load(
    world: World, url: str, at: datetime, frames: Frames | None = None, cursors: Cursors | None = None
) -> tuple[Frames, Cursors, Frames]:
    options = Options(base_url=url)
    frames, cursors = pull_all(PLATFORM, options, SECRETS, at, cursors, frames=frames)
    return frames, cursors, read_all(PLATFORM, frames, options)


def put(world: World, **kinds: list[dict[str, Any]]) -> None:
    world.records = {**world.records, **{kind: world_frame("hubspot", kind, rows) for kind, rows in kinds.items()}}


def row(said: Frames, kind: str, record_id: str) -> dict[str, Any]:
    return said[kind].row(by_predicate=pl.col("record_id") == record_id, named=True)


def test_a_merged_contact_is_told_by_its_survivor() -> None:
    world = make_world("hubspot", {"contacts": [contact(101, 9), contact(102, 8), contact(103, 7)]})
    merged_at = NOW + timedelta(hours=3)
    merged = {"merged_into": "hubspot:101", "changed_at": merged_at, "updated_at": merged_at}
    with serve(world, ("hubspot",)) as urls:
        frames, cursors, _ = load(world, urls["hubspot"], NOW)
        world.now = NOW + timedelta(days=1)
        put(world, contacts=[contact(101, 9), contact(102, 8, **merged), contact(103, 7)])
        _, _, said = load(world, urls["hubspot"], world.now, frames, cursors)
        _, _, late = load(world, urls["hubspot"], world.now)
    told = ("merged_into", "updated_at", "keys", "email", "occurred_at", "is_deleted")
    assert tuple(row(said, "contacts", "102")[c] for c in told) == (
        "hubspot:101", merged_at, ["hubspot:102", "hubspot:101"], "p102@x.com", ago(8), False,
    )  # fmt: skip
    assert row(said, "contacts", "101")["keys"] == ["hubspot:101", "email:p102@x.com"]
    assert (row(said, "contacts", "101")["merged_into"], row(said, "contacts", "103")["merged_into"]) == (None, None)
    # Who came too late to see it alive knows that it was there, not what it was.
    assert tuple(row(late, "contacts", "102")[c] for c in told) == (
        "hubspot:101", merged_at, ["hubspot:102", "hubspot:101"], None, ago(9), False,
    )  # fmt: skip


def test_a_survivor_that_is_merged_in_its_turn_hands_its_contacts_on() -> None:
    def survivor(number: str, of: str, loaded_at: datetime) -> pl.DataFrame:
        properties = {"email": f"{number}@x.com", "hs_merged_object_ids": of}
        told = {"id": number, "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-05-01T00:00:00Z"}
        return raw_frame([{**told, "archived": False, "properties": properties}], "contacts", loaded_at)

    contacts = pl.concat([survivor("101", "102", ago(2)), survivor("200", "101;102", ago(1))])
    said = read_all(PLATFORM, {"contacts": contacts}, Options())["contacts"]
    assert dict(said.select("record_id", "merged_into").iter_rows()) == {
        "101": "hubspot:200", "102": "hubspot:200", "200": None,
    }  # fmt: skip


def test_a_deleted_deal_is_lost_and_keeps_its_person() -> None:
    world = make_world("hubspot", {"contacts": [contact(101)], "deals": [deal(500, 101, won_at=ago(1))]})
    with serve(world, ("hubspot",)) as urls:
        frames, _, _ = load(world, urls["hubspot"], NOW)
    archived = {
        "id": "500", "createdAt": "2026-05-13T12:00:00Z", "updatedAt": "2026-05-14T00:00:00Z", "archived": True,
        "archivedAt": "2026-05-15T11:00:00Z",
        "properties": {"hs_is_closed": "true", "hs_is_closed_won": "true", "closedate": "2026-05-14T12:00:00Z"},
    }  # fmt: skip
    later = raw_frame([archived], "deals", NOW + timedelta(days=1))
    frames["deals"] = pl.concat([frames["deals"], later], how="diagonal")
    said = row(read_all(PLATFORM, frames, Options()), "deals", "500")
    assert (said["won_at"], said["lost_at"], said["lost_reason"], said["email"]) == (
        None, datetime(2026, 5, 15, 11, tzinfo=UTC), "deleted", "p101@x.com",
    )  # fmt: skip


def test_what_search_did_not_show_yet_comes_with_the_look_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "INDEX_LAG", timedelta(minutes=5))
    just_now = {"changed_at": NOW - timedelta(minutes=2)}
    world = make_world("hubspot", {"contacts": [contact(101), contact(102, 0.01, **just_now)]})
    with serve(world, ("hubspot",)) as urls:
        frames, cursors, said = load(world, urls["hubspot"], NOW)
        assert said["contacts"]["record_id"].to_list() == ["101"]
        world.now = NOW + timedelta(days=1)
        _, _, said = load(world, urls["hubspot"], world.now, frames, cursors)
    assert said["contacts"]["record_id"].to_list() == ["101", "102"]


@pytest.mark.parametrize(("count", "searches"), [(199, 1), (200, 1), (201, 2), (400, 2)])
def test_pages_end_where_they_should(count: int, searches: int) -> None:
    # All changed in the same second, and that second is the cursor's of the second load.
    world = make_world("hubspot", {"contacts": [contact(n, 0) for n in range(1, count + 1)]})
    with serve(world, ("hubspot",)) as urls, recorded() as seen:
        options = Options(base_url=urls["hubspot"])
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW, only=("contacts",))
        assert frames["contacts"]["id"].n_unique() == frames["contacts"].height == count
        assert len([e for e in seen if e.path.endswith("/search")]) == searches
        put(world, contacts=[contact(n, 0) for n in range(1, count + 3)])
        world.now = NOW + timedelta(days=1)
        again, _ = pull_all(PLATFORM, options, SECRETS, world.now, cursors, frames=frames, only=("contacts",))
    assert again["contacts"]["id"].n_unique() == count + 2


def test_the_lists_of_archived_contacts_and_of_owners_are_read_to_the_end() -> None:
    gone = [contact(n, 30, is_deleted=True, changed_at=ago(1), owner=f"o{n}@us.example") for n in range(1, 102)]
    world = make_world("hubspot", {"contacts": gone})
    with serve(world, ("hubspot",)) as urls:
        frames, _, said = load(world, urls["hubspot"], NOW)
    assert said["contacts"]["is_deleted"].sum() == 101
    assert frames["owners"].height == 101
    assert said["contacts"]["owner"].str.ends_with("@us.example").all()


def test_more_contacts_than_one_search_may_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "SEARCH_RESULTS", 400)
    world = make_world("hubspot", {"contacts": [contact(n, 3) for n in range(1, 1002)]})
    with serve(world, ("hubspot",)) as urls:
        frames, _ = pull_all(PLATFORM, Options(base_url=urls["hubspot"]), SECRETS, NOW, only=("contacts",))
        beyond = {"filterGroups": [], "sorts": [], "properties": [], "limit": 200, "after": 400}
        headers = {"Authorization": f"Bearer {SECRETS['HUBSPOT_TOKEN']}"}
        reply = requests.post(
            f"{urls['hubspot']}/crm/v3/objects/contacts/search", json=beyond, headers=headers, timeout=5
        )
    assert frames["contacts"]["id"].n_unique() == frames["contacts"].height == 1001
    assert (reply.status_code, reply.json()["category"]) == (400, "VALIDATION_ERROR")


def test_five_searches_a_second_are_kept_to_or_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "SEARCHES_PER_SECOND", 5)
    monkeypatch.setattr(http, "BACKOFF_S", 0.5)
    world = make_world("hubspot", {"contacts": [contact(n, 3) for n in range(1, 1401)]})
    with serve(world, ("hubspot",)) as urls:
        options = Options(base_url=urls["hubspot"])
        with recorded() as hasty:
            frames, _ = pull_all(PLATFORM, options, SECRETS, NOW, only=("contacts",))
        monkeypatch.setattr(hubspot, "SEARCH_EVERY_S", 0.25)
        with recorded() as paced:
            pull_all(PLATFORM, options, SECRETS, NOW, only=("contacts",))
    assert frames["contacts"]["id"].n_unique() == 1400
    assert 429 in [e.status for e in hasty]
    assert 429 not in [e.status for e in paced[3:]]


@dataclass(frozen=True)
class ByType(Contract):
    """Of what HubSpot answers the stored files describe objects only: not owners, associations v4, account, forms."""

    types: Mapping[str, Contract] = field(default_factory=dict)

    def check(self, exchange: Exchange) -> None:
        if "/objects/" in exchange.path:
            self.types[exchange.path.split("/")[5]].check(_as_described(exchange))


def described() -> Contract:
    files = {
        "contacts": "ballerina_hubspot.crm.contact_openapi.yaml",
        "deals": "ballerina_hubspot.crm.deal_openapi.yaml",
    }
    types = {name: contract("hubspot", file, base="/hubspot") for name, file in files.items()}
    return ByType(spec={}, base="/hubspot", types=types)


def _as_described(exchange: Exchange) -> Exchange:
    """The descriptions are third-party and plainly wrong in two things.

    HubSpot sorts by objects, not by texts; and a property without a value is null, where they allow texts only.
    """
    if exchange.sent:
        sorts = [sort["propertyName"] for sort in exchange.sent["sorts"]]
        exchange = replace(exchange, sent={**exchange.sent, "sorts": sorts})
    results = [
        {**r, "properties": {k: v for k, v in r["properties"].items() if v is not None}}
        for r in exchange.answer["results"]
    ]
    return replace(exchange, answer={**exchange.answer, "results": results})


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "contacts?limit=101", None, 400),
        ("GET", "contacts?updatedAfter=1", None, 400),
        ("GET", "unicorns", None, 404),
        ("POST", "contacts/search", {"limit": 201}, 400),
        ("POST", "contacts/search", {"limit": 10, "offset": 10}, 400),
        ("POST", "contacts/search", {"limit": 10, "after": 9_991}, 400),
        (
            "POST",
            "contacts/search",
            {"filterGroups": [{"filters": [{"propertyName": "hs_object_id", "operator": ">", "value": "1"}]}]},
            400,
        ),
    ],
)
def test_the_fake_refuses_what_hubspot_refuses(method: str, path: str, body: dict[str, Any], status: int) -> None:
    headers = {"Authorization": f"Bearer {SECRETS['HUBSPOT_TOKEN']}"}
    with serve(make_world("hubspot", {"contacts": [contact(1)]}), ("hubspot",)) as urls:
        url = f"{urls['hubspot']}/crm/v3/objects/{path}"
        reply = requests.request(method, url, json=body, headers=headers, timeout=5)
    assert reply.status_code == status
    assert reply.json()["status"] == "error"


LATER: dict[str, Any] = {"changed_at": NOW + timedelta(hours=3)}


class TestHubSpot(Conformance):
    case = Case(
        "hubspot",
        now={"contacts": CONTACTS, "deals": DEALS, "leads": LEADS},
        later={
            "contacts": [
                {**row, "updated_at": LATER["changed_at"], **LATER}
                for row in (
                    {**CONTACTS[0], "lifecycle_stage": "customer"}, {**CONTACTS[1], "is_deleted": True},
                    *CONTACTS[2:], contact(2000),
                )
            ],
            "deals": [{**row, **LATER} for row in ({**DEALS[0], "won_at": NOW + timedelta(hours=3)}, *DEALS[1:])],
            "leads": [lead("l_6", -0.4, "Syllabus"), lead("l_4", -0.5, email="p2000@x.com"), lead("l_5", -0.6, "A form made today")],
        },
        many=lambda count: {"contacts": [contact(n, 0) for n in range(1, count + 1)]},  # all of one second
        counted="contacts",
        page_sizes=("SEARCH_PAGE", "LIST_PAGE", "SUBMISSIONS_PAGE"),
        stays=("leads",),  # what was deleted isn't told
        described=described,
    )  # fmt: skip


def test_every_resource_asks_for_its_own_scope() -> None:
    assert {resource.name: resource.scope for resource in PLATFORM.resources} == {
        "contacts": "crm.objects.contacts.read",
        "deals": "crm.objects.deals.read and crm.objects.contacts.read",
        "owners": "crm.objects.owners.read",
        "account": "oauth",
        "forms": "forms",
        "submissions": "forms",
    }


@pytest.mark.parametrize("count", range(1, 6))
def test_submissions_are_read_to_the_end_and_then_back_to_the_last_load(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SUBMISSIONS_PAGE", "LIST_PAGE"):
        monkeypatch.setattr(hubspot, name, 2)
    leads = [lead(f"l_{n}_{form}", 1, f"Form {form}") for n in range(count) for form in range(count)]
    world = make_world("hubspot", {"leads": leads})
    with serve(world, ("hubspot",)) as urls:
        options = Options(base_url=urls["hubspot"])
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW, only=("forms", "submissions"))
        new = [
            lead("on_the_edge", 1 / 24, "Form 0"),
            lead("before_it", 1.01 / 24, "Form 0"),
            lead("new", -0.1, "Form 0"),
        ]
        put(world, leads=[*leads, *new])
        later, _ = pull_all(PLATFORM, options, SECRETS, NOW + timedelta(days=1), cursors, only=("submissions",))
    assert frames["forms"]["id"].n_unique() == frames["forms"].height == count
    assert frames["submissions"]["id"].n_unique() == frames["submissions"].height == count * count
    assert later["submissions"]["id"].to_list() == ["new", "on_the_edge"]


def test_forms_may_be_left_out() -> None:
    world = make_world("hubspot", {"leads": LEADS})
    with serve(world, ("hubspot",)) as urls, recorded() as seen:
        options = Options(base_url=urls["hubspot"], forms=False)
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW, only=("forms", "submissions"))
    assert seen == []
    assert read_all(PLATFORM, frames, options)["leads"].is_empty()


# What no sandbox serves: HubSpot's rarer shapes, as raw rows


def test_a_submission_without_an_id_has_always_the_same_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(_api: http.Api, path: str, **_asked: Any) -> Iterator[list[dict[str, Any]]]:
        two = [{"submittedAt": 1778846400000, "values": [{"name": "email", "value": who}]} for who in "ab"]
        yield two if "submissions" in path else [{"id": "f_1"}]

    monkeypatch.setattr(http.Api, "rows", told)
    frames, _ = pull_all(PLATFORM, Options(), SECRETS, NOW, only=("submissions",))
    again, _ = pull_all(PLATFORM, Options(), SECRETS, NOW, only=("submissions",))
    assert frames["submissions"]["id"].to_list() == again["submissions"]["id"].to_list()
    assert frames["submissions"]["id"].n_unique() == 2


def test_a_filled_in_field_goes_before_the_pages_address() -> None:
    values = [{"name": "utm_source", "value": "meta"}, {"name": "utm_medium", "value": ""}]
    row = {
        "id": "1", "form_id": "f_1", "submittedAt": 1778846400000, "values": values,
        "pageUrl": "https://x.example/?utm_source=google&utm_medium=cpc&product_ref=elsewhere",
    }  # fmt: skip
    said = read_all(PLATFORM, {"submissions": raw_frame([row], "submissions", NOW)}, Options())["leads"]
    told = ("occurred_at", "form", "source", "medium", "campaign", "product_ref", "email", "keys")
    assert said.select(told).row(0) == (NOW, "f_1", "meta", "cpc", None, None, None, [])


def said_contact(**properties: Any) -> dict[str, Any]:
    told = {"id": "1", "createdAt": "2026-05-01T00:00:00Z", "updatedAt": "2026-05-01T00:00:00Z", "archived": False}
    frames = {"contacts": raw_frame([{**told, "properties": properties}], "contacts", NOW)}
    return read_all(PLATFORM, frames, Options())["contacts"].row(0, named=True)


def said_deal(properties: dict[str, Any], to: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    told = {"id": "1", "createdAt": "2026-05-01T00:00:00Z", "updatedAt": "2026-05-01T00:00:00Z", "archived": False}
    account = {"portalId": 1, "uiDomain": "app-eu1.hubspot.com", "companyCurrency": "EUR"}
    frames = {
        "deals": raw_frame([{**told, "properties": properties, "contacts": to or []}], "deals", NOW),
        "account": raw_frame([account], "account", NOW),
    }
    return read_all(PLATFORM, frames, Options())["deals"].row(0, named=True)


def test_an_empty_property_is_none_and_a_mobile_number_a_number() -> None:
    said = said_contact(
        email="", phone="", mobilephone="+491701", firstname="", lastname="Doe", hs_additional_emails=""
    )
    assert (said["email"], said["phone"], said["name"], said["keys"]) == (None, "+491701", "Doe", ["hubspot:1"])


@pytest.mark.parametrize(
    ("properties", "source"),
    [
        ({"utm_source": "meta", "hs_analytics_source": "PAID_SOCIAL"}, "meta"),
        ({"hs_analytics_source": "PAID_SOCIAL"}, "PAID_SOCIAL"),
        ({"hs_analytics_source": "OFFLINE"}, None),
        ({"utm_source": "", "hs_analytics_source": "OFFLINE"}, None),
    ],
)
def test_a_contact_made_by_a_program_has_no_source_of_its_own(properties: dict[str, str], source: str | None) -> None:
    assert said_contact(**properties)["source"] == source


def test_a_merge_told_with_its_instant_has_it() -> None:
    told = {"id": "1", "createdAt": "2026-05-01T00:00:00Z", "updatedAt": "2026-05-09T00:00:00Z", "archived": False}
    properties = {"hs_merged_object_ids": "7;8", "hs_calculated_merged_vids": "7:1778000000000;1:1778000000000"}
    frames = {"contacts": raw_frame([{**told, "properties": properties}], "contacts", NOW)}
    said = read_all(PLATFORM, frames, Options())["contacts"].select("record_id", "merged_into", "updated_at")
    assert said.rows() == [
        ("1", None, datetime(2026, 5, 9, tzinfo=UTC)),
        ("7", "hubspot:1", datetime(2026, 5, 5, 16, 53, 20, tzinfo=UTC)),
        ("8", "hubspot:1", datetime(2026, 5, 9, tzinfo=UTC)),
    ]


def test_a_deal_without_a_currency_is_in_the_accounts() -> None:
    said = said_deal({"amount": "1500.5"})
    assert (said["amount_minor"], said["currency"]) == (150050, "EUR")
    assert said["url"] == "https://app-eu1.hubspot.com/contacts/1/record/0-3/1"


def test_of_several_contacts_the_primary_else_the_oldest_is_meant() -> None:
    def to(number: int | str, label: str | None = None) -> dict[str, Any]:
        return {"toObjectId": number, "associationTypes": [{"typeId": 3, "label": None}, {"typeId": 9, "label": label}]}

    assert said_deal({}, [to(1000), to(99), to(500)])["keys"] == ["hubspot:99"]
    assert said_deal({}, [to(1000, "Decision maker"), to("99")])["keys"] == ["hubspot:99"]
    assert said_deal({}, [to(1000, "Primary"), to(99)])["keys"] == ["hubspot:1000"]
    assert said_deal({}, [])["keys"] == []


def test_an_open_deals_expected_close_is_no_win_and_no_loss() -> None:
    expected = {"closedate": "2026-06-01T00:00:00Z", "hs_is_closed": "false", "hs_is_closed_won": "false"}
    assert (said_deal(expected)["won_at"], said_deal(expected)["lost_at"]) == (None, None)
    closed = {"closedate": "2026-05-01T00:00:00Z", "hs_is_closed": "true"}
    assert said_deal(closed)["lost_at"] == datetime(2026, 5, 1, tzinfo=UTC)


@settings(deadline=None, max_examples=40)  # the machine is shared
@given(st.integers(0, 10**12), st.sampled_from([("USD", 2), ("JPY", 0), ("KWD", 3)]), st.booleans())
def test_amounts_are_exact(minor: int, money: tuple[str, int], padded: bool) -> None:
    currency, digits = money
    text = format(Decimal(minor).scaleb(-digits), "f")
    said = said_deal({"amount": f"{text}{'' if digits else '.'}0" if padded else text, "deal_currency_code": currency})
    assert (said["amount_minor"], said["currency"]) == (minor, currency)


@settings(deadline=None, max_examples=40)  # the machine is shared
@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - the zone is written by hand below
def test_instants_are_taken_to_the_millisecond(at: datetime) -> None:
    text = f"{at.isoformat(timespec='milliseconds')}Z"
    exact = at.replace(microsecond=at.microsecond // 1000 * 1000, tzinfo=UTC)
    assert said_deal({"closedate": text, "hs_is_closed": "true", "hs_is_closed_won": "true"})["won_at"] == exact


def test_every_kind_waits_for_all_that_it_is_made_of() -> None:
    assert PLATFORM.says == {
        "contacts": ("contacts", "owners"),
        "deals": ("deals", "contacts", "owners", "account"),
        "leads": ("submissions", "forms", "account"),
    }
