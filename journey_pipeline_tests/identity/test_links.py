"""Probable links with a stand-in for the scores: what is linked, suggested, contradicted, decided; and the real scores once."""

import random
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from journey_pipeline.errors import SettingsError
from journey_pipeline.identity import Identity, changes, decisions, probable, resolve
from journey_pipeline.identity.links import Score
from journey_pipeline.model import Caps, IdentityRules
from journey_pipeline.sandbox.business import generate, to_records
from journey_pipeline_tests.identity.drawn import Row, confidence, ids, solve, together

AS_OF = datetime(2026, 5, 15, 12, tzinfo=UTC)

ANN: Row = {"id": "a", "name": "Ann Lee", "email": "ann.lee@x.com"}
TYPO: Row = {"id": "b", "name": "Lee, Ann", "email": "ann.leee@x.com"}
WORK: Row = {"id": "c", "name": "Ann Lee", "email": "ann@work.com"}


def says(*pairs: tuple[str, str, float]) -> Score:
    """Scores by addresses: two people with these are one with that probability."""

    def score(candidates: pl.DataFrame) -> pl.DataFrame:
        by_email = {email: row["person"] for row in candidates.iter_rows(named=True) for email in row["emails"]}
        rows = [
            (*sorted((by_email[one], by_email[other])), sure, "alike")
            for one, other, sure in pairs
            if by_email[one] != by_email[other]
        ]
        schema = {"left": pl.UInt32(), "right": pl.UInt32(), "probability": pl.Float64(), "because": pl.String()}
        return pl.DataFrame(rows, schema=schema, orient="row").sort("left", "right")

    return score


RULES = IdentityRules(link=0.99, suggest=0.80)


def linked(sure: float, *rows: Row, rules: IdentityRules = RULES, **how: Any) -> Identity:
    return solve(*(rows or (ANN, TYPO)), score=says(("ann.lee@x.com", "ann.leee@x.com", sure)), rules=rules, **how)


def access(email: str, platform: str = "teachable", **more: Any) -> Row:
    return {"kind": "access", "platform": platform, "id": f"en_{email}", "email": email, "status": "active", **more}


def test_candidates_are_the_people_that_certain_keys_make() -> None:
    seen: list[pl.DataFrame] = []

    def score(candidates: pl.DataFrame) -> pl.DataFrame:
        seen.append(candidates)
        return says()(candidates)

    rows: list[Row] = [
        {**ANN, "phone": "212-555-0100", "company": "Acme Inc"}, {"id": "a2", "email": "Ann.Lee@x.com", "name": "ANN"},
        {"id": "z", "name": "Zoe", "phone": "212 555 0100"}, {"kind": "touchpoints", "id": "nobody"},
    ]  # fmt: skip
    solve(*rows, score=score)
    told = seen[0].select("names", "emails", "phones", "companies").rows()
    assert sorted(told) == [
        (["ann", "ann lee"], ["ann.lee@x.com"], ["+12125550100"], ["acme"]),
        (["zoe"], [], ["+12125550100"], []),  # a phone of two names ties them no more, but is worth a look
    ]
    assert seen[0]["person"].to_list() == [0, 1]


def test_from_link_on_two_are_one_and_as_sure_as_that() -> None:
    identity = linked(0.995)
    assert together(identity, "a", "b")
    assert confidence(identity, "a") == 0.995
    told = identity.person_keys().filter(pl.col("how") == "probable").select("key", "record_id", "confidence").collect()
    assert told.rows() == [("twin:stripe:a=stripe:b", "a", 0.995), ("twin:stripe:a=stripe:b", "b", 0.995)]
    assert identity.suggestions.is_empty()


def test_from_suggest_on_somebody_should_look() -> None:
    identity = linked(0.9)
    assert not together(identity, "a", "b")
    who = ids(identity)
    (row,) = identity.suggestions.rows(named=True)
    assert {row["person_id"], row["other_person_id"]} == {who["a"], who["b"]}
    assert row["person_id"] < row["other_person_id"]
    assert {row["record_ref"], row["other_record_ref"]} == {"stripe:a", "stripe:b"}
    assert (row["probability"], row["because"], row["against"]) == (0.9, "alike", None)
    number = {person: n for n, person in enumerate(sorted(who.values()))}
    assert identity.twins.rows() == sorted([(number[who["a"]], number[who["b"]]), (number[who["b"]], number[who["a"]])])
    assert linked(0.29).suggestions.is_empty()
    assert linked(0.29, rules=IdentityRules(suggest=0.25)).suggestions.height == 1
    assert together(linked(0.9, rules=IdentityRules(link=0.9, suggest=0.8)), "a", "b")


def test_scoring_can_be_left_out() -> None:
    def never(_candidates: pl.DataFrame) -> pl.DataFrame:
        pytest.fail("asked for scores")

    assert not together(solve(ANN, TYPO, score=never, rules=IdentityRules(probable="off")), "a", "b")


def test_two_live_accounts_are_never_linked() -> None:
    rows = (ANN, TYPO, access("ann.lee@x.com"), access("ann.leee@x.com"))
    identity = linked(0.999, *rows)
    assert not together(identity, "a", "b")
    assert identity.suggestions["against"].to_list() == ["each has a live account on teachable"]
    assert identity.twins.is_empty()  # what speaks against it makes no finding unknown
    for closed in ({"status": "revoked"}, {"gone_at": AS_OF}, {"is_test": True}, {"platform": "circle"}):
        assert together(linked(0.999, ANN, TYPO, access("ann.lee@x.com"), access("ann.leee@x.com") | closed), "a", "b")


def test_two_verified_addresses_and_two_phones_are_never_linked() -> None:
    opened: Row = {
        "kind": "messages", "platform": "mailchimp", "id": "m", "email": "ann.leee@x.com", "opened_at": AS_OF,
    }  # fmt: skip
    one, other = {**ANN, "phone": "212-555-0100"}, {**TYPO, "phone": "212-555-0199"}
    login = access("ann.lee@x.com")
    identity = linked(0.999, one, other, login, opened)
    assert not together(identity, "a", "b")
    assert identity.suggestions["against"].to_list() == ["each has a verified e-mail and a phone of their own"]
    assert together(linked(0.999, one, TYPO, login, opened), "a", "b")  # one phone is nobody's contradiction
    assert together(linked(0.999, one, other, login), "a", "b")  # an address that nobody ever read may be a slip


def test_links_don_t_bring_together_what_contradicts_itself() -> None:
    rows = (ANN, TYPO, WORK, access("ann.lee@x.com"), access("ann@work.com"))
    score = says(("ann.lee@x.com", "ann.leee@x.com", 0.999), ("ann.leee@x.com", "ann@work.com", 0.995))
    identity = solve(*rows, score=score, rules=RULES)
    assert together(identity, "a", "b")  # the likelier of the two
    assert not together(identity, "b", "c")
    chained = solve(ANN, TYPO, WORK, score=score, rules=RULES)
    assert together(chained, "a", "b", "c")
    assert confidence(chained, "c") == 0.995
    small = solve(ANN, TYPO, WORK, score=score, rules=RULES.model_copy(update={"caps": Caps(emails_per_person=2)}))
    assert not together(small, "b", "c")


def decided(*lines: str) -> pl.DataFrame:
    return decisions.parse(decisions.HEADER + "".join(f"{line},ann,2026-05-15,asked her\n" for line in lines))


def test_what_was_refused_is_neither_linked_nor_suggested_again() -> None:
    refused = decided("stripe:b,stripe:a,refuse")
    for sure in (0.999, 0.9):
        identity = linked(sure, decided=refused)
        assert not together(identity, "a", "b")
        assert identity.suggestions.is_empty()
    # Nor through a third.
    score = says(("ann.lee@x.com", "ann@work.com", 0.999), ("ann.leee@x.com", "ann@work.com", 0.998))
    identity = solve(ANN, TYPO, WORK, score=score, decided=refused, rules=RULES)
    assert together(identity, "a", "c")
    assert not together(identity, "a", "b")


def test_what_was_confirmed_is_one_person_whatever_the_scores_say() -> None:
    confirmed = decided("stripe:a,stripe:b,confirm")
    rows = (ANN, TYPO, access("ann.lee@x.com"), access("ann.leee@x.com"))
    identity = solve(*rows, decided=confirmed)
    assert together(identity, "a", "b")
    assert confidence(identity, "a") == 1.0
    assert identity.people["is_confirmed"].to_list() == [True]
    keys = identity.person_keys().filter(pl.col("how") == "confirmed").collect()
    assert keys["key"].to_list() == ["same:stripe:a=stripe:b"] * 2
    # Of several lines about a pair the last one counts.
    changed = decided("stripe:a,stripe:b,confirm", "stripe:b,stripe:a,refuse")
    assert not together(solve(*rows, decided=changed), "a", "b")


def test_a_decision_names_the_contact_where_a_deal_has_the_same_id() -> None:
    rows: list[Row] = [
        {"kind": "contacts", "platform": "hubspot", "id": "7", "email": "ann@x.com"},
        {"kind": "deals", "platform": "hubspot", "id": "7", "email": "bob@x.com"},
        {"id": "p", "email": "ann@work.com"},
    ]
    identity = solve(*rows, decided=decided("hubspot:7,stripe:p,confirm"))
    people = identity.records.join(identity.people, on="person").select("kind", "record_id", "is_confirmed")
    assert sorted((str(kind), ok) for kind, _id, ok in people.rows()) == [
        ("contacts", True), ("deals", False), ("payments", True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "stripe:a,stripe:b,confirm,ann,2026-05-15,",
            "2: why is empty; a decision needs all of a, b, decision, who, on, why",
        ),
        (
            "stripe:a,b,confirm,ann,2026-05-15,x",
            "2: b: 'b' is no record; allowed: platform:record_id, like stripe:ch_1",
        ),
        (
            "stripe:a,stripe:a,confirm,ann,2026-05-15,x",
            "2: a and b are both 'stripe:a'; a decision is about two records",
        ),
        ("stripe:a,stripe:b,yes,ann,2026-05-15,x", "2: decision: 'yes' is none; allowed: confirm, refuse"),
        ("stripe:a,stripe:b,refuse,ann,15 May,x", "2: on: '15 May' is not a day; allowed: 2026-05-31"),
    ],
)
def test_a_bad_line_is_refused(line: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        decisions.parse(decisions.HEADER + line + "\n", "ours.csv")
    assert refused.value.mistakes == [sentence]


def test_a_decisions_file_needs_its_header() -> None:
    with pytest.raises(SettingsError, match="1: the header lacks decision, on, why; needed: a,b,decision,who,on,why"):
        decisions.parse("a,b,who\n")


def test_a_line_written_is_a_line_read() -> None:
    values = {"a": "x:1", "b": "y:2", "decision": "refuse", "who": "Ann, Lee", "on": "2026-05-15", "why": 'said "no"'}
    told = decisions.parse(decisions.HEADER + decisions.line(values, "ours.csv"))
    assert told.rows() == [("x:1", "y:2", "refuse", "Ann, Lee", date(2026, 5, 15), 'said "no"')]
    with pytest.raises(SettingsError):
        decisions.line({**values, "b": "x:1"}, "ours.csv")


def test_a_link_is_a_merge_with_its_reason_and_a_refusal_a_split() -> None:
    apart, one = solve(ANN, TYPO), linked(0.995)
    day = date(2026, 5, 15)
    told = changes(apart.record_persons(), one.record_persons(), one.person_keys(), day)
    who = ids(apart)
    assert told.rows() == [(day, "merge", who["b"], who["a"], "now tied by a probable link")]
    refused = linked(0.995, decided=decided("stripe:a,stripe:b,refuse"))
    back = changes(one.record_persons(), refused.record_persons(), refused.person_keys(), day, refused.refused)
    assert back.rows() == [(day, "split", who["a"], who["b"], "told apart by a decision")]
    gone = changes(one.record_persons(), apart.record_persons(), apart.person_keys(), day)
    assert gone["because"].to_list() == ["what tied them is no longer there, or ties nobody now"]


def test_the_same_records_in_any_order_make_the_same_people() -> None:
    """The real scores, on a business large enough to be scored."""
    kinds = {kind: frame.collect() for kind, frame in to_records(generate(400, 3, AS_OF)).items()}
    shuffled = {kind: frame.sample(fraction=1.0, shuffle=True, seed=5) for kind, frame in kinds.items()}
    eager = IdentityRules(link=0.2, suggest=0.02)  # few are likely twins in so small a business

    def outcome(given: dict[str, pl.DataFrame]) -> tuple[list[Any], ...]:
        names = list(given)
        random.Random(2).shuffle(names)  # noqa: S311  an order, not a secret
        identity = resolve({name: given[name] for name in names}, country="US", score=probable.score, rules=eager)
        records = identity.record_persons().select("kind", "platform", "record_id", "person_id").collect()
        return (
            sorted(records.rows()), identity.people.drop("person").rows(), identity.suggestions.rows(),
            identity.person_keys().collect().rows(),
        )  # fmt: skip

    first, again = outcome(kinds), outcome(shuffled)
    assert first == again
    assert any(how == "probable" for _id, _key, _kind, _platform, _record, how, _sure in first[3])
