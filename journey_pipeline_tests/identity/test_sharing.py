"""Keys that several people share: what they still tie, what the business says of them, and people grown too large."""

import pytest

from journey_pipeline.identity import normalise
from journey_pipeline.model import Caps, IdentityRules, KeyRule
from journey_pipeline_tests.identity.drawn import Row, confidence, ids, solve, together, who

PHONE = "212-555-0100"


@pytest.mark.parametrize(
    ("one", "other", "is_slip"),
    [
        ("mark mendoza", "mendoza mrak", True),  # swapped
        ("cok mark", "cook mark", True),  # left out
        ("evans kellly", "evans kelly", True),  # doubled
        ("doe kathy", "cathy doe", True),  # wrong, and so in another place of the alphabet
        ("doe tim", "doe tom", False),  # another short name
        ("bill nguyen", "nguyen william", False),
        ("ann lee", "ann lee", False),
        ("lee", "ann lee", False),
        ("jon doe", "john deo", False),  # two slips
    ],
)
def test_a_slip_of_the_pen(one: str, other: str, is_slip: bool) -> None:
    assert normalise.one_slip(one, other) is is_slip
    assert normalise.one_slip(other, one) is is_slip


def test_a_misspelt_name_on_a_phone_of_one_email_is_the_same_person() -> None:
    rows: list[Row] = [
        {"id": "crm", "name": "Nicholas Stewart", "email": "nick@x.com", "phone": PHONE},
        {"id": "desk", "name": "Nichoals Stewart", "phone": PHONE},
        {"id": "last", "name": "STEWART", "phone": PHONE},
    ]
    identity = solve(*rows)
    assert together(identity, "crm", "desk", "last")
    assert identity.demoted.is_empty()
    # With another e-mail on that phone it may as well be a relative.
    shared = solve(*rows, {"id": "sister", "name": "Nichola Stewart", "email": "nichola@x.com", "phone": PHONE})
    assert not together(shared, "crm", "desk")
    assert not together(shared, "crm", "sister")


def test_the_shops_one_guest_account_is_nobody() -> None:
    rows: list[Row] = [{"id": f"o{n}", "email": f"p{n}@x.com", "keys": ["woo:0", f"woo:g{n % 2}"]} for n in range(9)]
    identity = solve(*rows, {"id": "named", "keys": ["woo:g1"]})
    assert identity.demoted.rows() == [("woo:0", 9, 9, "an id of 9 e-mails and 0 names, more than 8: ties nobody")]
    assert together(identity, "o1", "o3", "named")  # an id that few bear still ties
    assert not together(identity, "o0", "o1")
    nameless: list[Row] = [
        {"id": f"n{n}", "name": f"Guest Number{'abcdefghi'[n]}", "keys": ["woo:0"]} for n in range(9)
    ]
    assert len(set(who(solve(*nameless)).values())) == 9


def test_two_of_one_name_at_one_company_stay_two() -> None:
    one: Row = {"id": "a", "name": "Ann Lee", "company": "Acme", "email": "ann.lee@acme.com"}
    bare: Row = {"id": "b", "name": "Ann Lee", "company": "acme inc"}
    assert confidence(solve(one, bare), "b") == 0.90
    namesake: Row = {"id": "c", "name": "Ann Lee", "company": "ACME", "email": "ann.lee2@acme.com"}
    identity = solve(one, bare, namesake)
    assert len({who(identity)[i] for i in "abc"}) == 3
    assert identity.demoted.rows() == [
        (
            "company:acme|ann lee",
            2,
            3,
            "a name of 2 people at one company, by their e-mails or phones: ties none of them",
        )
    ]
    phones = ({**bare, "phone": PHONE}, {**bare, "id": "d", "phone": "212-555-0199"})
    assert not together(solve(*phones), "b", "d")
    assert together(solve(one, phones[0]), "a", "b")  # an address here and a phone there contradict nothing
    # Who is told apart by an e-mail elsewhere counts too: the record at the company need not bear it.
    via_phone = solve(
        one, {"id": "d", "name": "Ann Lee", "company": "Acme", "phone": PHONE},
        {"id": "e", "name": "Ann Lee", "phone": PHONE, "email": "lee@home.com"},
    )  # fmt: skip
    assert not together(via_phone, "a", "d")


def test_merge_chains_hold_though_the_middle_is_gone() -> None:
    identity = solve(
        {"kind": "contacts", "platform": "hubspot", "id": "1", "email": "a@x.com"},
        {"kind": "contacts", "platform": "hubspot", "id": "3", "email": "a@old.com", "merged_into": "hubspot:2"},
        {"kind": "contacts", "platform": "hubspot", "id": "1b", "keys": ["hubspot:2"], "merged_into": "hubspot:1"},
        {"kind": "deals", "platform": "hubspot", "id": "9", "keys": ["hubspot:3"]},
    )
    assert together(identity, "1", "3", "9")


def test_secondary_addresses_of_a_contact_tie() -> None:
    identity = solve(
        {"kind": "contacts", "platform": "hubspot", "id": "1", "email": "a@x.com", "keys": ["email:a@work.com"]},
        {"id": "p", "email": "A@work.com"},
    )
    assert together(identity, "1", "p")


def test_the_business_excludes_keys() -> None:
    rows: list[Row] = [
        {"id": "a", "email": "a@x.com", "phone": PHONE}, {"id": "b", "phone": PHONE},
        {"id": "c", "email": "desk@shop.com"}, {"id": "d", "email": "desk@shop.com", "platform": "till"},
        {"id": "e", "email": "desk@shop.com"},
    ]  # fmt: skip
    assert together(solve(*rows), "a", "b")
    exclude = (
        KeyRule(key="phone:+1212555*", why="our own number"),
        KeyRule(key="email:desk@shop.com", platform="till", why="the till has no other"),
    )
    identity = solve(*rows, rules=IdentityRules(exclude=exclude))
    assert not together(identity, "a", "b")
    assert together(identity, "c", "e")
    assert not together(identity, "c", "d")
    assert identity.demoted.rows() == [
        ("email:desk@shop.com", 0, 1, "excluded where till says it: the till has no other"),
        ("phone:+12125550100", 0, 2, "excluded: our own number"),
    ]


def test_the_business_includes_keys_that_would_be_demoted() -> None:
    rows: list[Row] = [
        {"id": f"r{n}", "email": f"p{n}@x.com", "name": f"Person N{n}x", "phone": PHONE} for n in range(5)
    ]
    assert not together(solve(*rows), "r0", "r4")
    mine = IdentityRules(include=(KeyRule(key="phone:+12125550100", why="one artist of five names"),))
    assert together(solve(*rows, rules=mine), "r0", "r4")
    higher = IdentityRules(caps=Caps(people_per_phone=5))
    assert solve(*rows, rules=higher).demoted["reason"].to_list() == [
        "a phone of 5 names: ties only records of one name"
    ]


def hairball() -> list[Row]:
    """Two circles of seven addresses each, held together by ids of two; one phone ties the circles."""
    rows: list[Row] = []
    for circle in "ab":
        rows += [
            {"id": f"{circle}{n}", "email": f"{circle}{n}@x.com", "keys": [f"app:{circle}{n}", f"app:{circle}{n + 1}"]}
            for n in range(7)
        ]
    rows += [{"id": "pa", "keys": ["app:a0"], "phone": PHONE}, {"id": "pb", "keys": ["app:b0"], "phone": PHONE}]
    return rows


def test_a_person_of_too_many_addresses_is_taken_apart_at_the_weakest_tie() -> None:
    identity = solve(*hairball())
    assert together(identity, *(f"a{n}" for n in range(7)), "pa")
    assert together(identity, *(f"b{n}" for n in range(7)), "pb")
    assert not together(identity, "a0", "b0")
    assert identity.demoted.rows() == [
        ("phone:+12125550100", 14, 2, "one of the keys that made one person of 14 e-mails, more than 12: taken apart")
    ]
    assert "phone:+12125550100" not in identity.person_keys().collect()["key"]
    assert together(solve(*hairball(), rules=IdentityRules(caps=Caps(emails_per_person=14))), "a0", "b0")


def test_of_ties_that_are_equally_weak_those_that_tie_most_are_cut() -> None:
    rows: list[Row] = [
        {"id": f"{c}{n}", "email": f"{c}{n}@x.com", "keys": [f"app:{c}", "app:browser"] if n == 0 else [f"app:{c}"]}
        for c in "abcde" for n in range(3)
    ]  # fmt: skip
    identity = solve(*rows)
    assert [together(identity, *(f"{c}{n}" for n in range(3))) for c in "abcde"] == [True] * 5
    assert len(set(who(identity).values())) == 5
    assert identity.demoted["key"].to_list() == ["app:browser"]
    assert ids(identity) == ids(solve(*reversed(rows)))
