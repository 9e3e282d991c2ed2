"""Salesforce, pulled over real HTTP from its fake: what only it does; the rest is every platform's."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms import salesforce
from journey_pipeline.platforms.salesforce import PLATFORM, Options
from journey_pipeline.sandbox.fakes.salesforce import OPTIONS, SECRETS
from journey_pipeline.sandbox.server import serve
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, make_world, pull_all, raw_frame, read_all
from journey_pipeline_tests.platforms.openapi import contract, recorded

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LATER: dict[str, Any] = {"changed_at": NOW + HOUR}
LIGHTNING = "https://northwind.lightning.force.com/lightning/r"


def person(record_id: str, days: float = 3, **more: Any) -> dict[str, Any]:
    at, of = NOW - days * DAY, "Lead" if record_id.startswith("00Q") else "Contact"
    return {
        "record_id": record_id, "occurred_at": at, "updated_at": more.get("changed_at", at), "is_deleted": False,
        "name": f"Person {record_id}", "keys": [f"salesforce:{record_id}"],
        "url": f"{LIGHTNING}/{of}/{record_id}/view", **more,
    }  # fmt: skip


def inquiry(of: dict[str, Any], form: str, **more: Any) -> dict[str, Any]:
    shared = ("record_id", "occurred_at", "email", "phone", "name", "company", "keys", "url", "source", "campaign")
    return {**{column: of.get(column) for column in (*shared, "changed_at") if column in of}, "form": form, **more}


def deal(record_id: str, of: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    who = {column: of.get(column) for column in ("email", "phone", "name")} if of else {}
    return {
        "record_id": record_id, "occurred_at": NOW - 2 * DAY, "amount_minor": 150_050, "currency": "USD",
        "keys": [f"salesforce:{of['record_id']}"] if of else [], "stage": "Proposal",
        "url": f"{LIGHTNING}/Opportunity/{record_id}/view", **who, **more,
    }  # fmt: skip


ANN = person(
    "003A",
    changed_at=NOW - DAY,
    email="Ann@Example.com",
    phone="+12125550101",
    name="Ann Mary Lee",
    company="Lee & Co",
    keys=["salesforce:003A", "app:42", "stripe:cus_9"],
    owner="sales@northwind.example",
    lifecycle_stage="customer",
    source="google",
    campaign="spring",
)
BOB = person(
    "00QB", email="bob@example.com", company="Bob Inc", lifecycle_stage="Working", source="meta", campaign="fall"
)
WAS_ANN = person("00QA", merged_into="salesforce:003A", keys=["salesforce:00QA", "salesforce:003A"])
TWIN = person("003T", name="Twin", merged_into="salesforce:003A", keys=["salesforce:003T", "salesforce:003A"])
GONE = person("003G", name="Prince", is_deleted=True)
DEALS = [
    deal(
        "006A",
        ANN,
        owner="sales@northwind.example",
        product_ref="stripe:price_1",
        pipeline="Courses",
        company="Lee & Co",
    ),
    deal("006B", ANN, won_at=NOW - DAY, stage="Closed Won", amount_minor=5000, currency="JPY"),
    deal("006C", lost_at=NOW - DAY, stage="Closed Lost", lost_reason="too dear", amount_minor=None),
]


def changed(row: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**row, **({"updated_at": NOW + HOUR} if "updated_at" in row else {}), **LATER, **more}


class TestSalesforce(Conformance):
    case = Case(
        "salesforce",
        now={
            "contacts": [ANN, BOB, WAS_ANN, TWIN, GONE],
            "leads": [
                inquiry(BOB, "Webinar", medium="cpc", product_ref="stripe:price_1"),
                inquiry(WAS_ANN, "Syllabus"),
            ],
            "deals": DEALS,
        },
        later={
            "contacts": [
                changed(ANN, lifecycle_stage="churned"),
                changed(BOB, merged_into="salesforce:003N", keys=["salesforce:00QB", "salesforce:003N"]),
                changed(person("003N", -0.5, email="bob@example.com")),
            ],
            "leads": [changed(inquiry(BOB, "Webinar", keys=["salesforce:00QB", "salesforce:003N"]))],
            "deals": [changed(row) for row in (deal("006A", ANN, won_at=NOW + HOUR), *DEALS[1:], deal("006D"))],
        },
        many=lambda count: {"contacts": [person(f"003{n}") for n in range(count)]},  # all of one second
        counted="contacts",
        page_sizes=("PAGE",),
        options=OPTIONS,
        stays=("contacts", "leads", "deals"),  # what was purged isn't told
    )


def said(resource: str, kind: str, raw: dict[str, Any], **options: Any) -> dict[str, Any]:
    row = {"Id": "1", "CreatedDate": "2026-05-01T00:00:00.000+0000", **raw}
    frames = {resource: raw_frame([row], resource, NOW)}
    return read_all(PLATFORM, frames, Options(**{"domain": "northwind", **options}))[kind].row(0, named=True)


def test_a_second_load_asks_for_ten_minutes_before_the_first() -> None:
    at = [NOW - 10 * MINUTE, NOW - 10 * MINUTE - timedelta(seconds=1)]
    people = [person(f"003{n}", changed_at=instant) for n, instant in enumerate(at)]
    with serve(make_world("salesforce", {"contacts": people}), ("salesforce",)) as urls, recorded() as seen:
        options = Options(base_url=urls["salesforce"])
        _, cursors = pull_all(PLATFORM, options, SECRETS, NOW, only=("contacts",))
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW + DAY, cursors, only=("contacts",))
    asked = [dict(e.query)["q"] for e in seen if e.path.endswith("/queryAll")]
    assert [query.partition(" FROM ")[2] for query in asked] == [
        "Contact", "Contact WHERE SystemModstamp >= 2026-05-15T11:50:00Z",
    ]  # fmt: skip
    assert frames["contacts"]["id"].to_list() == ["0030"]


def test_answers_have_the_shape_that_a_third_party_describes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(salesforce, "PAGE", 2)
    described = contract("salesforce", "airbyte_salesforce.yaml", base="")
    with serve(make_world("salesforce", {"contacts": [ANN, TWIN, GONE]}), ("salesforce",)) as urls, recorded() as seen:
        pull_all(PLATFORM, Options(base_url=urls["salesforce"]), SECRETS, NOW, only=("contacts",))
    pages = [e.answer for e in seen if "/query" in e.path]
    assert [len(page["records"]) for page in pages] == [2, 1]
    for page in pages:
        described.valid("a page", {"$ref": "#/components/schemas/ContactQueryResult"}, page)


def test_a_field_that_is_nowhere_is_named_and_one_that_is_hidden_is_null(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(salesforce_fields(), "Contact", ("Id", "CreatedDate", "SystemModstamp", "LastName"))
    with serve(make_world("salesforce", {"contacts": [ANN]}), ("salesforce",)) as urls:
        options = Options(base_url=urls["salesforce"], source_field="UTM_Source__c")
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW, only=("contacts",))
        told = read_all(PLATFORM, frames, options)["contacts"].row(0, named=True)
        with pytest.raises(SourceError) as caught:
            pull_all(PLATFORM, Options(base_url=urls["salesforce"], key_fields=("No__c",)), SECRETS, NOW)
    assert (told["name"], told["email"], told["source"], told["is_deleted"]) == ("Lee", None, None, False)
    assert not caught.value.is_transient
    assert str(caught.value) == (
        "salesforce contacts: there is no field No__c on Contact or Lead, or the user of the app may not read it; "
        "mend the options of this platform in journey.yaml, or grant the field."
    )


def salesforce_fields() -> dict[str, tuple[str, ...]]:
    from journey_pipeline.sandbox.fakes import salesforce as fake  # noqa: PLC0415 - the same name as the module's

    return fake.FIELDS


@pytest.mark.parametrize(
    ("status", "body", "meant"),
    [
        (400, {"error": "invalid_client_id", "error_description": "client identifier invalid"}, 401),
        (400, {"error": "invalid_client"}, 401),
        (400, {"error": "invalid_grant", "error_description": "no client credentials user enabled"}, 403),
        (403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED"}], 429),
        (403, [{"errorCode": "API_DISABLED_FOR_ORG"}], 403),
        (400, [{"errorCode": "INVALID_FIELD"}], 400),
        (200, {"records": []}, 200),
    ],
)
def test_what_a_refusal_means(status: int, body: Any, meant: int) -> None:
    reply = requests.Response()
    reply.status_code, reply._content = status, json.dumps(body).encode()
    assert salesforce._means(reply) == meant


def test_a_missing_domain_is_permanent() -> None:
    with pytest.raises(SourceError, match="add `domain") as caught:
        pull_all(PLATFORM, Options(), SECRETS, NOW)
    assert not caught.value.is_transient


# What no sandbox serves: rarer shapes, as raw rows


@pytest.mark.parametrize(
    ("raw", "won", "lost", "reason"),
    [
        ({}, None, None, None),
        ({"IsClosed": True, "IsWon": True}, "2026-05-03", None, None),
        ({"IsClosed": True, "IsWon": False}, None, "2026-05-03", None),
        ({"IsClosed": True, "IsWon": True, "IsDeleted": True}, None, "2026-05-04", "deleted"),
        (
            {"IsClosed": True, "IsWon": True, "LastStageChangeDate": "2026-05-02T10:00:00.000+0000"},
            "2026-05-02",
            None,
            None,
        ),
    ],
)
def test_when_a_deal_was_won_or_lost(
    raw: dict[str, Any], won: str | None, lost: str | None, reason: str | None
) -> None:
    closing = {"CloseDate": "2026-05-03", "SystemModstamp": "2026-05-04T00:00:00.000+0000"}
    told = said("opportunities", "deals", {**closing, **raw})
    days = [told[column] and told[column].date().isoformat() for column in ("won_at", "lost_at")]
    assert (*days, told["lost_reason"]) == (won, lost, reason)


def test_without_a_currency_there_is_no_amount() -> None:
    assert said("opportunities", "deals", {"Amount": 10})["amount_minor"] is None
    assert said("opportunities", "deals", {"Amount": 10}, currency="eur")["amount_minor"] == 1000
    assert (
        said("opportunities", "deals", {"Amount": 10, "CurrencyIsoCode": "JPY"}, currency="eur")["amount_minor"] == 10
    )


def test_a_lead_source_counts_where_no_source_of_its_own_is_told() -> None:
    raw = {"LeadSource": "Web", "custom": {"UTM_Source__c": ""}}
    told = said("leads", "leads", raw, source_field="UTM_Source__c")
    assert (told["source"], told["form"]) == ("Web", "Web")


def test_a_deal_without_a_primary_contact_belongs_to_the_oldest_role() -> None:
    roles = [
        {"Id": "2", "OpportunityId": "1", "ContactId": "003B", "CreatedDate": "2026-05-02T00:00:00.000+0000"},
        {"Id": "1", "OpportunityId": "1", "ContactId": "003A", "CreatedDate": "2026-05-01T00:00:00.000+0000"},
    ]
    deals = [{"Id": "1", "ContactId": "003C"}, {"Id": "2", "ContactId": "003C"}]
    frames = {
        "opportunities": raw_frame(deals, "opportunities", NOW),
        "contact_roles": raw_frame(roles, "contact_roles", NOW),
    }
    told = read_all(PLATFORM, frames, Options(domain="northwind"))["deals"]
    assert told["keys"].to_list() == [["salesforce:003A"], ["salesforce:003C"]]


@settings(deadline=None, max_examples=30)  # the machine is shared
@given(at=st.datetimes(datetime(1990, 1, 1), datetime(2099, 1, 1)), minor=st.integers(0, 10**12))  # noqa: DTZ001 - UTC below
def test_times_and_amounts_are_exact(at: datetime, minor: int) -> None:
    millis = at.replace(microsecond=at.microsecond // 1000 * 1000, tzinfo=NOW.tzinfo)
    text = f"{at.strftime('%Y-%m-%dT%H:%M:%S')}.{at.microsecond // 1000:03d}+0000"
    told = said("opportunities", "deals", {"CreatedDate": text, "Amount": minor / 100, "CurrencyIsoCode": "USD"})
    assert (told["occurred_at"], told["amount_minor"]) == (millis, minor)
