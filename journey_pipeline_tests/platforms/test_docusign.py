"""DocuSign, pulled over real HTTP from its fake: the grant, statuses, custom fields, pages that shift while read."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms import docusign, http
from journey_pipeline.platforms.base import Pull
from journey_pipeline.platforms.docusign import DEMO, PLATFORM, Options
from journey_pipeline.sandbox.fakes.docusign import SECRETS
from journey_pipeline.sandbox.server import serve
from journey_pipeline.sandbox.world import Trouble
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import NOW, Frames, make_world, pull_all, raw_frame, read_all, world_frame
from journey_pipeline_tests.platforms.openapi import Contract, contract, recorded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LATER = NOW + HOUR


def agreement(record_id: str, status: str = "draft", **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "occurred_at": NOW - 9 * DAY,
        "email": f"{record_id}@example.com",
        "url": f"https://apps.docusign.com/send/documents/details/{record_id}",
        "status": status,
        **more,
    }


ANN = agreement(
    "ann", "signed", name="Ann Lee", company="Lee & Sons", keys=["stripe:cus_1", "hubspot:101"], amount_minor=123_450,
    currency="USD", product_ref="stripe:price_1", sent_at=NOW - 8 * DAY, viewed_at=NOW - 7 * DAY,
    signed_at=NOW - 6 * DAY, changed_at=NOW - 6 * DAY,
)  # fmt: skip
BOB = agreement("bob", "viewed", sent_at=NOW - 3 * DAY, viewed_at=NOW - 2 * DAY, changed_at=NOW - 2 * DAY)
CYD = agreement("cyd", "declined", sent_at=NOW - 5 * DAY, declined_at=NOW - 4 * DAY, changed_at=NOW - 4 * DAY)
DAN = agreement("dan", "sent", currency="EUR", amount_minor=5, sent_at=NOW - DAY)
EVE = agreement("eve", "void", changed_at=NOW - DAY)


def described() -> Contract:
    """The API proper; who may ask it is told elsewhere, in words only."""
    official = contract("docusign", "esignature.v2.1.2022-02.json", base="/docusign/restapi")
    answered = {"responses": {"200": {"description": "as documented"}}}
    oauth = {"/docusign/oauth/token": {"post": answered}, "/docusign/oauth/userinfo": {"get": answered}}
    return replace(official, spec={**official.spec, "paths": {**official.spec["paths"], **oauth}})


class TestDocuSign(Conformance):
    case = Case(
        "docusign",
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
        described=described,
    )  # fmt: skip


def raw_envelope(**more: Any) -> Frames:
    row = {"envelopeId": "e", "status": "sent", "createdDateTime": "2026-05-01T00:00:00.0000000Z", **more}
    return {"envelopes": raw_frame([row], "envelopes", NOW)}


def fields(**values: str) -> dict[str, Any]:
    return {"textCustomFields": [{"name": name, "value": value} for name, value in values.items()]}


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("created", "draft"), ("sent", "sent"), ("correct", "sent"), ("processing", "sent"), ("delivered", "viewed"),
        ("signed", "signed"), ("completed", "signed"), ("declined", "declined"), ("voided", "void"),
        ("deleted", "void"), ("timedout", "void"), ("shredded", "shredded"),
    ],
)  # fmt: skip
def test_statuses(theirs: str, ours: str) -> None:
    assert read_all(PLATFORM, raw_envelope(status=theirs), Options())["agreements"]["status"].to_list() == [ours]


def test_the_buyer_is_the_first_signer_who_is_not_ours() -> None:
    signers = [
        {"email": "late@x.example", "routingOrder": "10"},
        {"email": "first@x.example", "routingOrder": "2", "name": "First"},
        {"email": "ceo@North.example", "routingOrder": "1"},
        {"email": "sam@n.example", "routingOrder": "1"},
    ]
    frames = raw_envelope(recipients={"signers": signers}, sender={"email": "sam@n.example"})
    said = read_all(PLATFORM, frames, Options(own_domains=("north.example",)))["agreements"]
    assert said.select("email", "name").rows() == [("first@x.example", "First")]


def test_an_envelope_that_nobody_is_to_sign_is_still_one() -> None:
    said = read_all(PLATFORM, raw_envelope(recipients={"signers": []}), Options())["agreements"]
    assert said.select("record_id", "email").rows() == [("e", None)]


def test_a_list_field_counts_as_much_as_a_text_field() -> None:
    given = {**fields(ref="app:42"), "listCustomFields": [{"name": "currency", "value": "eur"}]}
    said = read_all(PLATFORM, raw_envelope(customFields=given), Options())["agreements"]
    assert said.select("keys", "currency").rows() == [(["app:42"], "EUR")]


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [("3000", "usd", 300_000), ("3,000.00", "USD", None), ("3000", None, None), ("$3000", "USD", None)],
)
def test_only_a_plain_amount_with_a_currency_is_money(amount: str, currency: str | None, minor: int | None) -> None:
    given = fields(amount=amount, **({"currency": currency} if currency else {}))
    said = read_all(PLATFORM, raw_envelope(customFields=given), Options())["agreements"]
    assert said["amount_minor"].to_list() == [minor]


@given(minor=st.integers(0, 10**12), code=st.sampled_from(["USD", "EUR"]))
def test_money_is_decimal_text(minor: int, code: str) -> None:
    given_ = fields(price=f"{minor // 100}.{minor % 100:02}", money=code)
    options = Options(amount_field="price", currency_field="money")
    said = read_all(PLATFORM, raw_envelope(customFields=given_), options)["agreements"]
    assert said.select("amount_minor", "currency").rows() == [(minor, code)]


def test_records_of_a_demo_account_are_tests() -> None:
    said = read_all(PLATFORM, raw_envelope(), Options(base_url=DEMO))["agreements"]
    assert said.select("is_test", "url").rows() == [(True, "https://apps-d.docusign.com/send/documents/details/e")]


def test_an_envelope_signed_while_pages_are_read_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docusign, "PAGE", 2)
    rows = [agreement(f"e{n}", "sent", changed_at=NOW - (9 - n) * HOUR) for n in range(4)]
    world = make_world("docusign", {"agreements": rows})
    with serve(world, ("docusign",)) as urls:
        resource = PLATFORM.resources[0]
        pages = resource.pull(Pull("docusign", resource, Options(base_url=urls["docusign"]), SECRETS, NOW))
        seen = [row["envelopeId"] for row in next(pages)]
        changed = [{**rows[0], "status": "signed", "signed_at": NOW, "changed_at": NOW}, *rows[1:]]
        world.records = {"agreements": world_frame("docusign", "agreements", changed)}
        seen += [row["envelopeId"] for page in pages for row in page]
    assert seen == ["e0", "e1", "e2", "e3"]


def test_pages_go_on_by_position_for_the_next_address_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docusign, "PAGE", 2)
    rows = [agreement(f"e{n}") for n in range(3)]
    with serve(make_world("docusign", {"agreements": rows}), ("docusign",)) as urls, recorded() as exchanges:
        pull_all(PLATFORM, Options(base_url=urls["docusign"]), SECRETS, NOW)
    lists = [dict(e.query) for e in exchanges if e.path.endswith("/envelopes")]
    assert [(q["start_position"], q["count"]) for q in lists] == [("0", "2"), ("2", "2")]
    assert lists[0]["from_date"] == "2024-05-15T12:00:00.000000Z"


def refused(options: dict[str, Any] | None = None, **secrets: str) -> SourceError:
    with serve(make_world("docusign"), ("docusign",)) as urls, pytest.raises(SourceError) as caught:
        pull_all(PLATFORM, Options(base_url=urls["docusign"], **(options or {})), {**SECRETS, **secrets}, NOW)
    assert not caught.value.is_transient
    return caught.value


def test_a_missing_consent_is_said_so_though_it_is_called_a_bad_request() -> None:
    assert "answered 401" in str(refused(DOCUSIGN_USER_ID="somebody-else"))
    assert "to which the user has consented once" in str(refused(DOCUSIGN_USER_ID="somebody-else"))


def test_what_is_no_key_is_said_so() -> None:
    assert "DOCUSIGN_PRIVATE_KEY is no RSA key" in str(refused(DOCUSIGN_PRIVATE_KEY="-----BEGIN"))


def test_an_account_that_the_user_has_not() -> None:
    assert "the user has no such account; check `account_id`" in str(refused({"account_id": "nowhere"}))


def test_a_limit_that_is_called_a_bad_request_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BACKOFF_S", 0.01)
    monkeypatch.setattr(docusign, "_meaning", lambda reply: 429 if reply.status_code == 400 else reply.status_code)
    world = make_world("docusign", {"agreements": [ANN]})
    world.trouble["docusign"] = Trouble(400, after=2, times=2)
    with serve(world, ("docusign",)) as urls:
        frames, _ = pull_all(PLATFORM, Options(base_url=urls["docusign"]), SECRETS, NOW)
    assert frames["envelopes"].height == 1


class _Reply:
    def __init__(self, status_code: int, text: str) -> None:
        self.status_code, self.text = status_code, text


@pytest.mark.parametrize(
    ("status", "text", "meant"),
    [
        (400, '{"errorCode": "HOURLY_APIINVOCATION_LIMIT_EXCEEDED"}', 429),
        (400, '{"errorCode": "BURST_APIINVOCATION_LIMIT_EXCEEDED"}', 429),
        (400, '{"errorCode": "INVALID_REQUEST_PARAMETER"}', 400),
        (200, "", 200),
    ],
)
def test_what_docusign_means(status: int, text: str, meant: int) -> None:
    assert docusign._meaning(_Reply(status, text)) == meant  # type: ignore[arg-type] # two fields of an answer
