"""PandaDoc, pulled over real HTTP from its fake: statuses, who the buyer is, what is deleted, what versions tell."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journey_pipeline.platforms import http
from journey_pipeline.platforms.pandadoc import PLATFORM, Options
from journey_pipeline.sandbox.fakes.pandadoc import SECRETS
from journey_pipeline.sandbox.server import serve
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, Frames, make_world, pull_all, raw_frame, read_all, world_frame
from journey_pipeline_tests.platforms.openapi import contract, recorded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def agreement(record_id: str, status: str = "draft", **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "occurred_at": NOW - 9 * DAY,
        "email": f"{record_id}@example.com",
        "url": f"https://app.pandadoc.com/a/#/documents/{record_id}",
        "status": status,
        "currency": "USD",
        **more,
    }


ANN = agreement(
    "ann", "signed", name="Ann Lee", phone="+12125550101", company="Lee & Sons", keys=["hubspot_deal:9", "stripe:cus_1"],
    amount_minor=123_450, product_ref="stripe:price_1", sent_at=NOW - 8 * DAY, viewed_at=NOW - 7 * DAY,
    signed_at=NOW - 6 * DAY, changed_at=NOW - 6 * DAY,
)  # fmt: skip
BOB = agreement(
    "bob", "viewed", keys=["pipedrive:7"], amount_minor=0, product_ref="pandadoc:tpl_1", sent_at=NOW - 3 * DAY,
    viewed_at=NOW - 2 * DAY, changed_at=NOW - 2 * DAY,
)  # fmt: skip
CYD = agreement("cyd", "declined", sent_at=NOW - 5 * DAY, declined_at=NOW - 4 * DAY, changed_at=NOW - 4 * DAY)
DAN = agreement("dan", "sent", currency="EUR", amount_minor=5, keys=["salesforce:003A"], sent_at=NOW - DAY)
EVE = agreement("eve", "void", changed_at=NOW - DAY)
LATER = NOW + HOUR


class TestPandaDoc(Conformance):
    case = Case(
        "pandadoc",
        now={"agreements": [ANN, BOB, CYD, DAN, EVE, agreement("fay")]},
        later={
            "agreements": [
                ANN, {**BOB, "status": "signed", "signed_at": LATER, "changed_at": LATER}, CYD,
                {**DAN, "status": "viewed", "viewed_at": LATER, "changed_at": LATER}, EVE, agreement("fay"),
                agreement("gus", "sent", occurred_at=LATER, sent_at=LATER),
            ]
        },
        many=lambda count: {"agreements": [agreement(str(n)) for n in range(count)]},
        counted="agreements",
        page_sizes=("PAGE",),
        options={"audit_trail": True},
        described=lambda: contract("pandadoc", "openapi.json", base="/pandadoc"),
    )  # fmt: skip


def raw_document(**more: Any) -> Frames:
    row = {
        "id": "d", "status": "document.sent", "date_created": "2026-05-01T00:00:00.000000Z",
        "date_modified": "2026-05-02T00:00:00.000000Z", **more,
    }  # fmt: skip
    return {"documents": raw_frame([row], "documents", NOW)}


def test_only_what_changed_is_read_in_detail() -> None:
    world = make_world("pandadoc", {"agreements": [ANN, BOB]})
    with serve(world, ("pandadoc",)) as urls:
        options = Options(base_url=urls["pandadoc"])
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW)
        signed = {**BOB, "status": "signed", "signed_at": LATER, "changed_at": LATER}
        world.records = {"agreements": world_frame("pandadoc", "agreements", [ANN, signed])}
        with recorded() as exchanges:
            frames, _ = pull_all(PLATFORM, options, SECRETS, NOW + DAY, cursors, frames=frames)
    assert [e.path for e in exchanges if "details" in e.path] == ["/pandadoc/public/v1/documents/bob/details"]
    assert dict(exchanges[0].query)["modified_from"] == "2026-05-15T11:00:00.000000Z"
    said = read_all(PLATFORM, frames, options)["agreements"]
    assert said.select("record_id", "viewed_at", "signed_at").rows() == [
        ("ann", None, NOW - 6 * DAY),  # without the audit trail, and never seen before it was signed
        ("bob", NOW - 2 * DAY, LATER),
    ]


def test_what_is_deleted_unsigned_is_void_until_it_is_back() -> None:
    world = make_world("pandadoc", {"agreements": [ANN, BOB]})
    with serve(world, ("pandadoc",)) as urls:
        options = Options(base_url=urls["pandadoc"])
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW)
        world.records = {"agreements": world_frame("pandadoc", "agreements", [])}
        frames, cursors = pull_all(PLATFORM, options, SECRETS, NOW + DAY, cursors, frames=frames)
        said = read_all(PLATFORM, frames, options)["agreements"]
        assert said.select("record_id", "status").rows() == [("ann", "signed"), ("bob", "void")]
        back = {**BOB, "changed_at": NOW + 2 * DAY - HOUR}
        world.records = {"agreements": world_frame("pandadoc", "agreements", [back])}
        frames, _ = pull_all(PLATFORM, options, SECRETS, NOW + 2 * DAY, cursors, frames=frames)
    assert read_all(PLATFORM, frames, options)["agreements"]["status"].to_list() == ["signed", "viewed"]


def test_documents_still_being_made_are_not_asked_for() -> None:
    rows = [agreement("a", "uploaded"), agreement("b", "error"), agreement("c")]
    with serve(make_world("pandadoc", {"agreements": rows}), ("pandadoc",)) as urls:
        frames, _ = pull_all(PLATFORM, Options(base_url=urls["pandadoc"]), SECRETS, NOW)
    assert frames["documents"]["id"].to_list() == ["c"]


@pytest.mark.parametrize("status", [404, 409])
def test_a_document_that_goes_while_we_read_is_left_to_the_next_load(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = http.Api.get

    def hers_is_gone(api: http.Api, path: str, **asked: Any) -> dict[str, Any]:
        if path.endswith("/bob/details"):
            msg = "gone"
            raise http.RefusalError(msg, status)
        return get(api, path, **asked)

    monkeypatch.setattr(http.Api, "get", hers_is_gone)
    with serve(make_world("pandadoc", {"agreements": [ANN, BOB, CYD]}), ("pandadoc",)) as urls:
        frames, _ = pull_all(PLATFORM, Options(base_url=urls["pandadoc"]), SECRETS, NOW)
    assert frames["documents"]["id"].to_list() == ["ann", "cyd"]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("draft", "draft"), ("waiting_approval", "draft"), ("approved", "draft"), ("rejected", "draft"),
        ("scheduled", "draft"), ("sent", "sent"), ("external_review", "sent"), ("viewed", "viewed"),
        ("completed", "signed"), ("waiting_pay", "signed"), ("paid", "signed"), ("declined", "declined"),
        ("voided", "void"), ("shredded", "document.shredded"),
    ],
)  # fmt: skip
def test_statuses(theirs: str, ours: str) -> None:
    said = read_all(PLATFORM, raw_document(status=f"document.{theirs}"), Options())["agreements"]
    assert said["status"].to_list() == [ours]


def signer(email: str, **more: Any) -> dict[str, Any]:
    return {"email": email, "recipient_type": "signer", "type": "recipient", "signing_order": None, **more}


@pytest.mark.parametrize(
    ("recipients", "buyer"),
    [
        ([signer("a@x.example"), signer("b@x.example")], "a@x.example"),
        ([signer("a@x.example", signing_order=10), signer("b@x.example", signing_order=2)], "b@x.example"),
        ([signer("sam@n.example"), signer("a@x.example")], "a@x.example"),
        ([signer("ceo@North.example"), signer("a@x.example")], "a@x.example"),
        ([signer("a@x.example", recipient_type="CC"), signer("b@x.example")], "b@x.example"),
        ([signer("sam@n.example")], None),
        ([], None),
    ],
)
def test_the_buyer_is_the_first_signer_who_is_not_ours(recipients: list[dict[str, Any]], buyer: str | None) -> None:
    frames = raw_document(recipients=recipients, created_by={"email": "sam@n.example"})
    said = read_all(PLATFORM, frames, Options(own_domains=("north.example",)))["agreements"]
    assert said["email"].to_list() == [buyer]


def test_signed_when_the_last_one_signed_and_by_hand_when_completed() -> None:
    dates = [signer("a@x", signature_date="2026-05-03T00:00:00Z"), signer("b@x", signature_date="2026-05-04T00:00:00Z")]
    completed = {"status": "document.completed", "date_completed": "2026-05-05T00:00:00.000000Z"}
    for recipients, day in ((dates, 4), ([signer("a@x")], 5)):
        said = read_all(PLATFORM, raw_document(recipients=recipients, **completed), Options())["agreements"]
        assert said["signed_at"].to_list() == [datetime(2026, 5, day, tzinfo=UTC)]


def test_companies_linked_to_a_document_name_nobody() -> None:
    linked = [
        {"provider": "salesforce-oauth2", "entity_type": "account", "entity_id": "001"},
        {"provider": "salesforce-oauth2", "entity_type": "contact", "entity_id": "003"},
        {"provider": "ms-dynamics", "entity_type": "opportunity", "entity_id": "5"},
    ]
    said = read_all(PLATFORM, raw_document(linked_objects=linked), Options())["agreements"]
    assert said["keys"].to_list() == [["salesforce:003", "ms_deal:5"]]


@pytest.mark.parametrize(
    ("pricing", "amount"), [({"tables": [], "quotes": []}, None), ({"tables": [{"id": 1}], "quotes": []}, 0)]
)
def test_nothing_to_pay_is_not_the_same_as_no_price(pricing: dict[str, Any], amount: int | None) -> None:
    total = {"amount": "0.00", "currency": "USD"}
    said = read_all(PLATFORM, raw_document(grand_total=total, pricing=pricing), Options())["agreements"]
    assert said["amount_minor"].to_list() == [amount]


@given(minor=st.integers(1, 10**12), code=st.sampled_from(["USD", "EUR"]))
def test_money_is_decimal_text(minor: int, code: str) -> None:
    total = {"amount": f"{minor // 100}.{minor % 100:02}", "currency": code}
    said = read_all(PLATFORM, raw_document(grand_total=total), Options())["agreements"]
    assert said.select("amount_minor", "currency").rows() == [(minor, code)]
