"""`journey explain`: Ann, who paid and can't get in; Ben and Cho, who share a phone; Dan, who was two people once."""

import csv
import io
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from journey_pipeline.cli.explain import explain_person
from journey_pipeline.cli.screen import Format
from journey_pipeline.errors import JourneyError
from journey_pipeline.publish import publish, views_folder
from journey_pipeline_tests.publish.northwind import at, finding, frame, refs

ANN, BEN, CHO, DAN, WAS = (f"p_{letter * 16}" for letter in "abcde")
SETTINGS = """\
business: {name: Northwind, timezone: America/New_York, currency: USD, country: US}
platforms: {stripe: {}, hubspot: {}, teachable: {}}
offers: [{id: bootcamp, name: Data Bootcamp, bought_as: ["stripe:price_1"], grants: ["teachable:9"]}]
"""


def key(person: str, name: str, kind: str, record: str, *how: Any) -> dict[str, Any]:
    platform, record_id = record.split(":", 1)
    word, confidence = how or ("exact", 1.0)
    return {
        "person_id": person, "key": name, "kind": kind, "platform": platform, "record_id": record_id, "how": word,
        "confidence": confidence,
    }  # fmt: skip


def event(name: str, when: Any, record: str, **rest: Any) -> dict[str, Any]:
    platform, record_id = record.split(":", 1)
    return {"person_id": ANN, "event": name, "occurred_at": when, "platform": platform, "record_id": record_id, **rest}


def known(person: str, **rest: Any) -> dict[str, Any]:
    return {
        "person_id": person, "first_seen_at": at(9, 8), "last_seen_at": at(12), "lifecycle": "lead", "record_count": 2,
        "identity_confidence": 1.0, "is_test": False, **rest,
    }  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explained")
    (folder / "journey.yaml").write_text(SETTINGS)
    tables = {
        "people": frame(
            "people",
            known(ANN, name="Ann Lee", email="Ann.Lee@gmail.com", phone="+12125550100", lifecycle="buyer",
                  record_count=4, identity_confidence=0.98, twin_person_id=CHO),
            known(BEN, email="office@corp.example"), known(CHO, email="office@corp.example"), known(DAN),
        ),
        "person_keys": frame(
            "person_keys",
            key(ANN, "email:annlee@gmail.com", "leads", "typeform:tf_1", "normalised", 0.98),
            key(ANN, "email:annlee@gmail.com", "payments", "stripe:ch_1"),
            key(ANN, "phone:+12125550100", "contacts", "hubspot:7", "normalised", 0.95),
            key(ANN, "phone:+12125550100", "leads", "typeform:tf_1", "normalised", 0.95),
            key(ANN, "stripe:cus_1", "payments", "stripe:ch_1", "linked", 1.0),
            key(BEN, "phone:+12125550199|ben", "leads", "typeform:tf_2", "normalised", 0.95),
            key(CHO, "phone:+12125550199|cho", "leads", "typeform:tf_3", "normalised", 0.95),
            key(DAN, "email:dan@x.example", "leads", "typeform:tf_4"),
        ),
        "demoted_keys": frame(
            "demoted_keys",
            {"key": "phone:+12125550199", "people_count": 2, "record_count": 2,
             "reason": "a phone of 2 names: ties only records of one name"},
            {"key": "phone:+12125550142", "people_count": 9, "record_count": 9,
             "reason": "a phone of 9 e-mails, more than 4: ties nobody"},
        ),
        "identity_changes": frame(
            "identity_changes",
            {"day_on": date(2026, 5, 13), "change": "merge", "from_person_id": WAS, "to_person_id": DAN, "because": ""},
        ),
        "journey_events": frame(
            "journey_events",
            event("lead", at(9, 13, 30), "typeform:tf_1"),
            event("crm", at(9, 14), "hubspot:7", url="https://app.hubspot.com/contacts/7"),
            event("paid", at(10, 3, 30), "stripe:ch_1", offer_id="bootcamp", amount_minor=49900, currency="USD"),
            event("ticket", at(12, 16), "zendesk:88"),
        ),
        "buyer_journeys": frame(
            "buyer_journeys",
            {"person_id": ANN, "offer_id": "bootcamp", "stage": "paid", "is_stuck": True, "next_step": "open the access",
             "paid_minor": 49900, "net_minor": 49900, "currency": "USD", "entitled_by": "one_off", "paid_at": at(10, 3),
             "grants_expected": 1, "grants_open": 0},
        ),
        "findings": frame(
            "findings",
            finding("f1", "paid_implies_welcome", "delivery", person_id=ANN, offer_id="bootcamp", status="resolved",
                    broken_since_at=at(11), resolved_on=date(2026, 5, 12)),
            finding("f2", "paid_implies_access", "delivery", person_id=ANN, offer_id="bootcamp",
                    broken_since_at=at(10, 4, 30), at_risk_minor=49900, at_risk_kind="paid", currency="USD",
                    money_refs=refs(ch_1=49900), cause="never_arrived", fix="Grant access on teachable now.",
                    evidence="payment stripe:ch_1 of 2026-05-10 03:30 UTC; no access on teachable for this person"),
        ),
    }  # fmt: skip
    publish(tables, views_folder(), folder / "warehouse.duckdb")
    return folder


def said(capsys: pytest.CaptureFixture[str], home: Path, who: str, shape: Format = "table") -> str:
    assert explain_person(who, shape=shape, settings=None, home=home) == 0
    return capsys.readouterr().out


def lines(text: str) -> list[str]:
    return [" ".join(line.replace("\N{NO-BREAK SPACE}", " ").split()) for line in text.splitlines() if line.strip()]


def test_the_whole_path_on_one_time_line(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    shown = said(capsys, home, ANN)
    assert lines(shown) == [
        "Ann Lee · Ann.Lee@gmail.com · +12125550100",
        f"{ANN}, buyer, 4 records, 9 May 2026 to 11 May 2026",
        f"That all of it is one person: 98% sure; may also be {CHO}, not tied",
        "Tied together by",
        "Key How Records",
        "email:annlee@gmail.com exact, normalised (98%) 1 stripe, 1 typeform",
        "phone:+12125550100 normalised (95%) 1 hubspot, 1 typeform",
        "stripe:cus_1 linked 1 stripe",
        "How they hang together",
        "hubspot:7, contact",
        "└── phone:+12125550100 normalised, 95%",
        "└── typeform:tf_1, lead",
        "└── email:annlee@gmail.com normalised, 98%",
        "└── stripe:ch_1, payment",
        "Journeys",
        "Offer Stage Next step Paid Kept Entitled Access",
        "Data Bootcamp paid (stuck) open the access 499.00 USD 499.00 USD paid once 0 of 1 open",
        "Time line, America/New_York",
        "When What Offer Record Amount",
        "2026-05-09 09:30 filled in a form typeform:tf_1",
        "2026-05-09 10:00 entered in the CRM hubspot:7",
        "2026-05-09 23:30 paid bootcamp stripe:ch_1 499.00 USD",
        "2026-05-10 00:30 ✗ paid_implies_access bootcamp",
        "2026-05-12 12:00 asked support zendesk:88",
        "What is broken",
        "critical paid_implies_access bootcamp 10 May 499.00 USD paid",
        "payment stripe:ch_1 of 2026-05-10 03:30 UTC; no access on teachable for this person",
        "Why: the platform never heard of the person. Grant access on teachable now.",
        "resolved paid_implies_welcome bootcamp 10 May",
        "Why: not known yet. look",
    ]
    assert max(map(len, shown.splitlines())) <= 100


@pytest.mark.parametrize(
    ("who", "person"),
    [
        (ANN, ANN),
        ("ann.lee@gmail.com", ANN),
        (" AnnLee+promo@GoogleMail.com ", ANN),  # the same mailbox, as identity reads it
        ("(212) 555-0100", ANN),  # the business is in the United States
        ("+1 212 555 0100", ANN),
        ("stripe:cus_1", ANN),  # a key
        ("stripe:ch_1", ANN),  # a record
        ("zendesk:88", ANN),  # a record that no key ties
        ("dan@x.example", DAN),
        (WAS, DAN),  # merged since
    ],
)
def test_who_is_meant(capsys: pytest.CaptureFixture[str], home: Path, who: str, person: str) -> None:
    assert json.loads(said(capsys, home, who, "json"))["person"]["person_id"] == person


@pytest.mark.parametrize(
    ("who", "sentence"),
    [
        ("eve@x.example", "nobody is known by eve@x.example: looked for the key email:eve@x.example among all people"),
        ("stripe:ch_9", "looked for the key stripe:ch_9 and the record stripe:ch_9 among all people"),
        ("+1 212 555 0111", "looked for the key phone:+12125550111 among"),
        ("p_0000", "allowed: an e-mail address, a phone number with its +country code, platform:id, or a person_id."),
        ("", "allowed: an e-mail address"),
        ("+12125550142", "tells nobody apart: it is a phone of 9 e-mails, more than 4: ties nobody."),
        ("+12125550199", "is 2 people, as it is a phone of 2 names: ties only records of one name."),
        ("+12125550199", f"Ask for one of them: journey explain {BEN}. All: {BEN}, {CHO}"),
        ("OFFICE@corp.example", f"is 2 people. Ask for one of them: journey explain {BEN}."),
    ],
)  # fmt: skip
def test_nobody_and_several_are_refused_with_what_was_looked_for(
    capsys: pytest.CaptureFixture[str], home: Path, who: str, sentence: str
) -> None:
    with pytest.raises(JourneyError) as refused:
        said(capsys, home, who)
    assert sentence in str(refused.value)


def test_a_national_number_needs_to_know_the_country(
    capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path
) -> None:
    (tmp_path / "warehouse.duckdb").write_bytes((home / "warehouse.duckdb").read_bytes())
    with pytest.raises(JourneyError, match="a phone number with its \\+country code"):
        said(capsys, tmp_path, "(212) 555-0100")
    assert ANN in said(capsys, tmp_path, "+1 212 555-0100")


def test_json_has_all_parts(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    parts = json.loads(said(capsys, home, ANN, "json"))
    assert list(parts) == ["person", "keys", "journeys", "events", "findings"]
    assert parts["keys"][0] == {
        "key": "email:annlee@gmail.com", "how": ["exact", "normalised"], "confidence": 0.98,
        "records": ["stripe:ch_1", "typeform:tf_1"],
    }  # fmt: skip
    assert [(e["event"], e["occurred_at"]) for e in parts["events"]] == [
        ("lead", "2026-05-09T13:30:00+00:00"), ("crm", "2026-05-09T14:00:00+00:00"),
        ("paid", "2026-05-10T03:30:00+00:00"), ("ticket", "2026-05-12T16:00:00+00:00"),
    ]  # fmt: skip
    assert [(f["finding_id"], f["status"]) for f in parts["findings"]] == [("f2", "open"), ("f1", "resolved")]
    assert parts["journeys"][0]["next_step"] == "open the access"


def test_csv_is_the_time_line(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(said(capsys, home, ANN, "csv"))))
    assert [(row["event"], row["record_id"], row["amount_minor"]) for row in rows] == [
        ("lead", "tf_1", ""), ("crm", "7", ""), ("paid", "ch_1", "49900"), ("ticket", "88", ""),
    ]  # fmt: skip


def test_somebody_without_any_record_that_ties(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    shown = lines(said(capsys, home, DAN))
    assert shown[0] == "No name, no address"
    assert shown[-2:] == ["What is broken", "nothing"]
    assert shown[shown.index("Journeys") + 1] == "nothing"
