"""The figures that say how well people are told apart."""

import polars as pl

from journey_pipeline.identity import decisions, health
from journey_pipeline.registry import TABLES
from journey_pipeline_tests.identity.drawn import Row, ids, solve
from journey_pipeline_tests.identity.test_links import ANN, TYPO, WORK, access, decided, linked, says

PHONE = "212-555-0100"


def figures(*rows: Row, **how: object) -> dict[tuple[str, str], int]:
    told = health(solve(*rows, **how))
    assert told.schema == TABLES["identity_health"].schema
    return {(figure, part): count for figure, part, count in told.select("figure", "part", "count").rows()}


def test_sizes_ties_and_demoted_keys() -> None:
    office: list[Row] = [{"id": f"o{n}", "email": f"p{n}@x.com", "phone": PHONE} for n in range(5)]
    told = figures(
        *office, {"id": "a", "email": "p0@x.com", "keys": ["app:1"]}, {"id": "b", "keys": ["app:1"]},
        {"id": "g", "email": "cy.k@gmail.com"}, {"id": "h", "email": "cyk@gmail.com"}, {"id": "n"},
    )  # fmt: skip
    assert {part: count for (figure, part), count in told.items() if figure == "people_by_records"} == {
        "1": 5, "2": 1, "3 to 5": 1, "6 to 10": 0, "11 to 50": 0, "51 or more": 0,
    }  # fmt: skip
    assert {part: count for (figure, part), count in told.items() if figure == "people_by_emails"} == {
        "0": 1, "1": 6, "2": 0, "3 to 5": 0, "6 or more": 0,
    }  # fmt: skip
    assert {part: count for (figure, part), count in told.items() if figure == "people_by_weakest_tie"} == {
        "sure: same address, or told by a platform": 6, "same mailbox written otherwise": 1,
    }  # fmt: skip
    assert {part: count for (figure, part), count in told.items() if figure == "ties"} == {
        "app, linked": 2, "email, exact": 7, "email, normalised": 1,
    }  # fmt: skip
    assert told["keys_demoted", "phone"] == 1
    assert told["suspicious", "people"] == 0


def test_suspicious_people_are_named_until_somebody_confirms_them() -> None:
    rows: list[Row] = [{"id": f"r{n}", "email": f"p{n}@x.com", "keys": ["app:1"]} for n in range(6)]
    identity = solve(*rows)
    (person,) = set(ids(identity).values())
    told = health(identity).filter(figure="suspicious").select("part", "count", "detail").rows()
    assert told == [
        (person, 6, f"6 e-mails, 0 phones, 0 names: journey explain {person}"),
        ("people", 1, "more e-mails, phones or names than one person has; see each below"),
    ]
    confirmed = solve(*rows, decided=decided("stripe:r0,stripe:r1,confirm"))
    assert health(confirmed).filter(figure="suspicious")["count"].to_list() == [0]


def test_suggestions_and_decisions_are_counted() -> None:
    held = figures(ANN, TYPO, access("ann.lee@x.com"), access("ann.leee@x.com"),
                   score=says(("ann.lee@x.com", "ann.leee@x.com", 0.999)))  # fmt: skip
    assert (held["suggestions", "open"], held["suggestions", "held back"]) == (0, 1)
    assert health(linked(0.9)).filter(figure="suggestions", part="open")["count"].to_list() == [1]
    lines = decided(
        "stripe:a,stripe:b,confirm",
        "stripe:a,stripe:c,refuse",
        "stripe:c,stripe:d,refuse",
        "stripe:a,stripe:zz,confirm",
    )
    told = figures(ANN, TYPO, WORK, {"id": "d", "email": "ann@work.com"}, decided=lines)
    assert {part: count for (figure, part), count in told.items() if figure == "decisions"} == {
        "confirmed": 1, "refused": 2, "refused, yet tied": 1, "of unknown records": 1,
    }  # fmt: skip


def test_nobody_at_all() -> None:
    told = figures(decided=decisions.parse(decisions.HEADER))
    assert told["people_by_records", "1"] == 0
    assert health(solve()).filter(pl.col("count") != 0).is_empty()
