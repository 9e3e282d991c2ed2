"""Who is who, on small drawn worlds: what ties, what must not, how sure, and ids that stay."""

import random
from datetime import date, timedelta

import phonenumbers
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journey_pipeline.identity import changes, normalise
from journey_pipeline_tests.identity.drawn import DAY_1, Row, confidence, ids, solve, together, who


@pytest.mark.parametrize(
    ("one", "other", "sure"),
    [
        ({"email": "ann@x.com"}, {"email": " Ann@X.com "}, 1.0),
        ({"email": "ann.lee@gmail.com"}, {"email": "annlee+shop@googlemail.com"}, 0.98),
        ({"phone": "650-650-6176"}, {"phone": "+1 (650) 650 6176"}, 0.95),
        ({"keys": ["stripe:cus_1"]}, {"keys": ["stripe:cus_1", "app:42"]}, 1.0),
        ({"email": "ann@work.com"}, {"keys": ["email:ann@work.com"]}, 1.0),
        ({"phone": "+447700900123"}, {"keys": ["phone:+44 7700 900123"]}, 0.95),
        ({"name": "Ann Lee", "company": "Acme, Inc."}, {"name": "LEE, Ann", "company": "ACME"}, 0.90),
    ],
)
def test_what_ties(one: dict[str, object], other: dict[str, object], sure: float) -> None:
    identity = solve({"id": "a", **one}, {"id": "b", **other})
    assert together(identity, "a", "b")
    assert confidence(identity, "a") == sure


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"email": "ann.lee@work.com"}, {"email": "annlee@work.com"}),  # dots matter elsewhere
        ({"email": "ann+1@work.com"}, {"email": "ann+2@work.com"}),
        ({"email": "n/a"}, {"email": "n/a"}),
        ({"phone": "0"}, {"phone": "0"}),
        ({}, {}),
        ({"name": "Ann Lee"}, {"name": "Ann Lee"}),
        ({"name": "Lee", "company": "Acme"}, {"name": "Lee", "company": "Acme"}),  # half a name
        ({"name": "Ann Lee", "company": "n/a"}, {"name": "Ann Lee", "company": "N/A"}),
        ({"name": "Ann Lee", "company": "Inc."}, {"name": "Ann Lee", "company": "Inc."}),
    ],
)
def test_what_does_not_tie(one: dict[str, object], other: dict[str, object]) -> None:
    assert not together(solve({"id": "a", **one}, {"id": "b", **other}), "a", "b")


def test_a_chain_is_as_sure_as_its_weakest_needed_tie() -> None:
    identity = solve(
        {"id": "a", "email": "cy.k@gmail.com", "phone": "650-650-6176"},
        {"id": "b", "email": "cyk@gmail.com"},
        {"id": "c", "phone": "6506506176", "keys": ["app:1"]},
        {"id": "d", "keys": ["app:1"]},
        {"id": "e", "email": "zoe@x.com"},
        {"id": "f", "email": "zoe@x.com", "phone": "503-437-0945"},
        {"id": "g", "email": "zoe@x.com", "phone": "5034370945"},
    )
    assert together(identity, "a", "b", "c", "d")
    assert confidence(identity, "a") == 0.95
    assert together(identity, "e", "f", "g")
    assert confidence(identity, "e") == 1.0  # the phone is not needed to hold them together


def test_an_office_phone_ties_nobody_and_is_listed() -> None:
    rows = [{"id": f"r{n}", "email": f"p{n}@x.com", "name": f"Person N{n}x", "phone": "212-555-0100"} for n in range(5)]
    identity = solve(*rows)
    assert len(set(who(identity).values())) == 5
    assert identity.demoted.rows() == [
        ("phone:+12125550100", 5, 5, "a phone of 5 e-mails, more than 4: ties nobody"),
    ]  # fmt: skip


def test_a_family_phone_ties_only_records_of_one_name() -> None:
    identity = solve(
        {"id": "mum", "name": "Jane Roe", "email": "jane@x.com", "phone": "212-555-0100"},
        {"id": "mum2", "name": "Roe, Jane", "email": "jane@work.com", "phone": "2125550100"},
        {"id": "son", "name": "Tim Roe", "email": "tim@x.com", "phone": "212-555-0100"},
        {"id": "anon", "phone": "212-555-0100"},
    )
    assert together(identity, "mum", "mum2")
    assert not together(identity, "mum", "son")
    assert not together(identity, "anon", "mum")
    assert identity.demoted["reason"].to_list() == ["a phone of 2 names: ties only records of one name"]


def test_a_last_name_alone_fits_the_full_name() -> None:
    identity = solve(
        {"id": "a", "name": "Raymond Howard", "email": "r@x.com", "phone": "212-555-0100"},
        {"id": "b", "name": "HOWARD", "email": "howard@y.com", "phone": "212-555-0100"},
    )
    assert together(identity, "a", "b")
    assert identity.demoted.is_empty()


def test_a_role_address_ties_only_while_one_name_uses_it() -> None:
    alone = solve({"id": "a", "email": "info@x.com", "name": "Ann"}, {"id": "b", "email": "info@x.com"})
    assert together(alone, "a", "b")
    shared = solve({"id": "a", "email": "info@x.com", "name": "Ann"}, {"id": "b", "email": "info@x.com", "name": "Bob"})
    assert not together(shared, "a", "b")


def test_merged_contacts_are_one_person() -> None:
    identity = solve(
        {"kind": "contacts", "platform": "hubspot", "id": "1", "email": "a@x.com"},
        {"kind": "contacts", "platform": "hubspot", "id": "2", "email": "a@work.com", "merged_into": "hubspot:1"},
        {"kind": "deals", "platform": "hubspot", "id": "9", "keys": ["hubspot:2"]},
    )
    assert together(identity, "1", "2", "9")


def test_an_anonymous_touch_is_nobody() -> None:
    identity = solve({"kind": "touchpoints", "id": "t"}, {"kind": "touchpoints", "id": "u", "email": "a@x.com"})
    assert who(identity)["t"] is None
    assert who(identity)["u"] is not None


def test_ids_stay_when_records_join_and_when_they_come_in_another_order() -> None:
    first: list[Row] = [
        {"id": "a", "email": "ann@x.com"},
        {"id": "b", "email": "ann@x.com", "phone": "212-555-0100"},
        {"id": "c", "email": "bob@x.com"},
    ]
    later = {"id": "A0", "email": "ann@x.com", "first_loaded_at": DAY_1 + timedelta(days=1)}  # sorts before the anchor
    before = ids(solve(*first))
    rows = [*first, later]
    random.Random(7).shuffle(rows)  # noqa: S311  an order, not a secret
    after = ids(solve(*rows))
    assert {k: after[k] for k in before} == before
    assert after["A0"] == before["a"]


def test_merges_and_splits_are_told_with_their_reason() -> None:
    before = solve({"id": "a", "email": "ann@x.com"}, {"id": "b", "email": "ann@work.com"})
    bridge = {
        "id": "z",
        "email": "ann@x.com",
        "keys": ["email:ann@work.com"],
        "first_loaded_at": DAY_1 + timedelta(days=1),
    }
    after = solve({"id": "a", "email": "ann@x.com"}, {"id": "b", "email": "ann@work.com"}, bridge)
    old = ids(before)
    told = changes(before.record_persons(), after.record_persons(), after.person_keys(), date(2026, 5, 15))
    assert told.rows() == [
        (date(2026, 5, 15), "merge", old["b"], old["a"], "now tied by a key of a third record"),
    ]  # fmt: skip
    back = changes(after.record_persons(), before.record_persons(), before.person_keys(), date(2026, 5, 16))
    assert back.select("change", "from_person_id", "to_person_id").rows() == [("split", old["a"], old["b"])]


def test_person_keys_show_each_tie() -> None:
    identity = solve({"id": "a", "email": "Ann.Lee@gmail.com", "phone": "212-555-0100"})
    assert identity.person_keys().select("key", "record_id", "how", "confidence").collect().rows() == [
        ("email:annlee@gmail.com", "a", "normalised", 0.98),
        ("phone:+12125550100", "a", "normalised", 0.95),
    ]


@given(
    st.one_of(st.from_regex(r"(\+?1[ .-]?)?\(?\d{3}\)?[ .-]?\d{3}[ .-]?\d{4}", fullmatch=True), st.text(max_size=20))
)
def test_the_fast_way_to_read_a_phone_agrees_with_libphonenumber(raw: str) -> None:
    def slowly() -> str | None:
        try:
            number = phonenumbers.parse(raw, "US")
        except phonenumbers.NumberParseException:
            return None
        if not phonenumbers.is_possible_number(number):
            return None
        return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))

    assert normalise.phones(pl.Series([raw]), "US").to_list() == [slowly()]
