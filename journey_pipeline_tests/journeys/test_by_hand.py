"""Access that somebody gave by hand: told by a missing basis, but only on a platform that otherwise says one."""

from journey_pipeline.invariants import catalogue, language
from journey_pipeline.invariants.causes import record_test
from journey_pipeline_tests.worlds import walk


def test_a_missing_basis_says_something_only_where_others_have_one() -> None:
    access = walk(
        access=[
            {"id": "told", "who": "ann", "basis": "paid"},
            {"id": "by_hand", "who": "bob", "basis": None},
            {"id": "silent", "who": "eve", "platform": "circle", "product_ref": "circle:3", "basis": None},
        ]
    )["access"]
    rule = next(rule for rule in catalogue.load() if rule.name == "access_implies_payment")
    test = record_test(rule.causes["by_hand"])
    assert test is not None
    kind, condition = test
    assert kind == "access"
    assert access.filter(language.condition(condition))["record_id"].to_list() == ["by_hand"]
