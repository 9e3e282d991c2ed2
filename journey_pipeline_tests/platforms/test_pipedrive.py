"""Pipedrive, pulled over real HTTP from its fake: what only it does; the rest is every platform's."""

from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journey_pipeline.platforms.pipedrive import PLATFORM, Options
from journey_pipeline.sandbox.fakes.pipedrive import SECRETS, hashed
from journey_pipeline.sandbox.server import serve
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, make_world, pull_all, raw_frame, read_all, world_frame
from journey_pipeline_tests.platforms.openapi import recorded

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def contact(record_id: str, at: datetime = NOW - 3 * DAY, **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "occurred_at": at,
        "updated_at": more.get("changed_at", at),
        "name": f"Person {record_id}",
        "keys": [f"pipedrive:{record_id}"],
        "url": f"https://northwind.pipedrive.com/person/{record_id}",
        "is_deleted": False,
        **more,
    }


ANN = contact(
    "7",
    changed_at=NOW - DAY,
    email="Ann.Lee@Example.com",
    phone="+12125550101",
    name="Ann Lee",
    company="Lee & Co",
    keys=["pipedrive:7", "email:ann@work.example", "app:42", "stripe:cus_9"],
    owner="sales@northwind.example",
    lifecycle_stage="customer",
    source="google",
    campaign="spring",
)
BOB = contact("8", email="bob@example.com")
CYD = contact("1000", email=None, name="Cyd", source="news'letter")


def deal(record_id: str, of: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    who = {column: of.get(column) for column in ("email", "phone", "name", "company")} if of else {}
    return {
        "record_id": record_id,
        "occurred_at": NOW - 2 * DAY,
        "keys": [f"pipedrive:{of['record_id']}"] if of else [],
        "url": f"https://northwind.pipedrive.com/deal/{record_id}",
        "pipeline": "Courses",
        "stage": "Proposal",
        "amount_minor": 150_050,
        "currency": "USD",
        **who,
        **more,
    }


OPEN = deal("500", ANN, owner="sales@northwind.example", product_ref="stripe:price_1")
WON = deal("501", BOB, won_at=NOW - HOUR, changed_at=NOW - HOUR, stage="Won", amount_minor=5000, currency="JPY")
LOST = deal("502", lost_at=NOW - HOUR, changed_at=NOW - HOUR, lost_reason="too dear", amount_minor=None)
LATER = {"changed_at": NOW + HOUR}


class TestPipedrive(Conformance):
    case = Case(
        "pipedrive",
        now={"contacts": [ANN, BOB, CYD], "deals": [OPEN, WON, LOST]},
        later={
            # Bob is gone: deleted, or merged into Ann. His deal keeps his number.
            "contacts": [{**ANN, "source": "meta", "updated_at": NOW + HOUR, **LATER}, CYD],
            "deals": [
                {**OPEN, "won_at": NOW + HOUR, **LATER}, {**WON, "email": None, "name": None, **LATER},
                {**LOST, **LATER}, deal("503", CYD, **LATER),
            ],
        },
        many=lambda count: {"contacts": [contact(str(n)) for n in range(1, count + 1)]},
        counted="contacts",
        page_sizes=("PAGE",),
        options={"company": "northwind"},
    )  # fmt: skip


@pytest.mark.parametrize("count", range(1, 6))
def test_deals_of_one_second_are_told_once_over_pages_archived_or_not(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("journey_pipeline.platforms.pipedrive.PAGE", 2)
    world = make_world("pipedrive", {"deals": [deal(str(n)) for n in range(1, count + 1)]})
    with serve(world, ("pipedrive",)) as urls:
        frames, cursors = pull_all(PLATFORM, Options(base_url=urls["pipedrive"]), SECRETS, NOW, only=("deals",))
        again, _ = pull_all(PLATFORM, Options(base_url=urls["pipedrive"]), SECRETS, NOW, cursors, only=("deals",))
    assert sorted(frames["deals"]["id"].to_list()) == [str(n) for n in range(1, count + 1)]
    assert again["deals"].is_empty()


def test_a_second_load_asks_for_ten_minutes_before_the_first() -> None:
    world = make_world(
        "pipedrive", {"deals": [deal("1", changed_at=NOW - 10 * MINUTE), deal("2", changed_at=NOW - HOUR)]}
    )
    with serve(world, ("pipedrive",)) as urls, recorded() as seen:
        options = Options(base_url=urls["pipedrive"])
        _, cursors = pull_all(PLATFORM, options, SECRETS, NOW, only=("deals",))
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW + DAY, cursors, only=("deals",))
    assert [dict(e.query).get("updated_since") for e in seen] == [None, None, *["2026-05-15T11:50:00Z"] * 2]
    assert {dict(e.query)["status"] for e in seen} == {"open,won,lost,deleted"}
    assert frames["deals"]["id"].to_list() == ["1"]


def test_a_deleted_deal_is_a_lost_one() -> None:
    world = make_world("pipedrive", {"contacts": [BOB], "deals": [WON, OPEN]})
    with serve(world, ("pipedrive",)) as urls:
        options = Options(base_url=urls["pipedrive"])
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW)
        world.now = NOW + DAY
        world.records = {**world.records, "deals": world_frame("pipedrive", "deals", [OPEN])}
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW + DAY, cursors, frames=frames)
    said = read_all(PLATFORM, frames, options)["deals"].row(by_predicate=pl.col("record_id") == "501", named=True)
    assert (said["won_at"], said["lost_at"], said["lost_reason"]) == (None, NOW + DAY, "deleted")


# What no sandbox serves: rarer shapes, as raw rows


def said_deal(**more: Any) -> dict[str, Any]:
    row = {"id": 1, "add_time": "2026-05-01T00:00:00Z", "currency": "EUR", **more}
    return read_all(PLATFORM, {"deals": raw_frame([row], "deals", NOW)}, Options())["deals"].row(0, named=True)


def said_contact(*fields: dict[str, Any], options: Options | None = None, **more: Any) -> dict[str, Any]:
    row = {"id": 1, "add_time": "2026-05-01T00:00:00Z", **more}
    frames = {
        "persons": raw_frame([row], "persons", NOW),
        "person_fields": raw_frame(fields, "person_fields", NOW),
    }
    return read_all(PLATFORM, frames, options or Options())["contacts"].row(0, named=True)


@pytest.mark.parametrize(
    ("status", "won", "lost"),
    [("open", None, None), ("won", 2, None), ("lost", None, 3), ("deleted", None, 4), ("brand_new", None, None)],
)
def test_a_deal_is_won_or_lost_by_its_status_alone(status: str, won: int | None, lost: int | None) -> None:
    times = {f"{name}_time": f"2026-05-0{day}T00:00:00Z" for name, day in (("won", 2), ("lost", 3), ("update", 4))}
    said = said_deal(status=status, **times)
    days = [said[column] and said[column].day for column in ("won_at", "lost_at")]
    assert days == [won, lost]


def test_a_field_may_be_named_by_its_hash_and_a_field_that_is_not_there_says_nothing() -> None:
    field = {"field_code": hashed("From"), "field_name": "From", "field_type": "varchar"}
    custom = {hashed("From"): "google", hashed("elsewhere"): "meta"}
    by_hash = said_contact(field, options=Options(source_field=hashed("From")), custom_fields=custom)
    by_name = said_contact(field, options=Options(source_field="From"), custom_fields=custom)
    neither = said_contact(field, custom_fields=custom)
    assert [said["source"] for said in (by_hash, by_name, neither)] == ["google", "google", None]


def test_a_drop_down_says_its_label_and_a_number_typed_in_stays_one() -> None:
    choice = {
        "field_code": "h1",
        "field_name": "utm_source",
        "options": [{"id": 5, "label": "EMEA"}, {"id": 6, "label": "APAC"}],
    }
    assert said_contact(choice, custom_fields={"h1": 6})["source"] == "APAC"
    assert said_contact(choice, custom_fields={"h1": 7})["source"] == "7"
    plain = {"field_code": "h1", "field_name": "utm_source"}
    assert said_contact(plain, custom_fields={"h1": "2026"})["source"] == "2026"
    assert said_contact(plain, custom_fields={"h1": ""})["source"] is None


def test_the_primary_address_else_the_first_and_the_others_as_keys() -> None:
    one, two = {"value": "a@x.example", "primary": False}, {"value": "b@x.example", "primary": True}
    said = said_contact(emails=[one, two], phones=[{"value": "", "primary": True}])
    assert (said["email"], said["phone"], said["keys"]) == ("b@x.example", None, ["pipedrive:1", "email:a@x.example"])
    assert said_contact(emails=[one])["email"] == "a@x.example"
    assert said_contact(emails=[])["keys"] == ["pipedrive:1"]


@settings(deadline=None, max_examples=30)  # the machine is shared
@given(minor=st.integers(0, 10**13))
def test_amounts_are_exact(minor: int) -> None:
    assert said_deal(value=minor / 100)["amount_minor"] == minor
