"""Which e-mail, phone and name stand for a person whom platforms write differently."""

from typing import Any

import pytest

from journey_pipeline_tests.worlds import walk

Rows = list[dict[str, Any]]
KEYS = ["app:1"]
OLD, NEW = "d-9", "d-1"


def person(**kinds: Rows) -> dict[str, Any]:
    """The one person of records that all bear one key."""
    told = walk(None, **{kind: [{"keys": KEYS, **row} for row in rows] for kind, rows in kinds.items()})["people"]
    assert told.height == 1
    return told.row(0, named=True)


@pytest.mark.parametrize(
    ("golden", "kinds"),
    [
        # verified before typed, however old and whoever typed it
        ("login@x.com", {"access": [{"email": "Login@x.com", "at": OLD}], "payments": [{"email": "paid@x.com", "at": NEW}]}),
        ("read@x.com", {"messages": [{"email": "read@x.com", "at": OLD, "opened_at": OLD}],
                        "payments": [{"email": "paid@x.com", "at": NEW}]}),
        ("paid@x.com", {"messages": [{"email": "sent@x.com", "at": NEW, "delivered_at": NEW}],
                        "payments": [{"email": "paid@x.com", "at": OLD}]}),
        # who took the money before the CRM before a form
        ("paid@x.com", {"payments": [{"email": "paid@x.com", "at": OLD}], "contacts": [{"email": "crm@x.com", "at": NEW}]}),
        ("crm@x.com", {"contacts": [{"email": "crm@x.com", "at": OLD}], "leads": [{"email": "form@x.com", "at": NEW}]}),
        # then the newest; of a contact, the last change
        ("new@x.com", {"payments": [{"id": "1", "email": "old@x.com", "at": OLD}, {"id": "2", "email": "new@x.com", "at": NEW}]}),
        ("new@x.com", {"payments": [{"email": "old@x.com", "at": OLD}],
                       "subscriptions": [{"email": "new@x.com", "at": NEW}]}),
        ("kept@x.com", {"contacts": [{"id": "1", "email": "kept@x.com", "at": OLD, "updated_at": NEW},
                                     {"id": "2", "email": "other@x.com", "at": "d-5"}]}),
        # what can't be read is no address
        ("form@x.com", {"payments": [{"email": "n/a", "at": NEW}], "leads": [{"email": "form@x.com", "at": OLD}]}),
    ],
)  # fmt: skip
def test_the_golden_address(golden: str, kinds: dict[str, Rows]) -> None:
    assert person(**kinds)["email"] == golden


def test_the_golden_phone_and_name_are_the_payers_then_the_crms() -> None:
    told = person(
        access=[{"name": "ann_lee_99", "phone": "3", "at": NEW}], payments=[{"name": "Ann Lee", "at": OLD}],
        contacts=[{"name": "Lee, Ann", "phone": " 2 ", "at": OLD}], leads=[{"name": "ann", "phone": "1", "at": NEW}],
    )  # fmt: skip
    assert (told["name"], told["phone"]) == ("Ann Lee", "2")


def test_the_same_records_in_another_order_have_the_same_gold() -> None:
    rows = [{"id": str(n), "email": f"{letter}@x.com", "at": OLD} for n, letter in enumerate("cab")]
    found = {person(payments=order)["email"] for order in (rows, rows[::-1], [rows[1], rows[2], rows[0]])}
    assert found == {"a@x.com"}
