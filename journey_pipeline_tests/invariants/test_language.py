"""Every mistake that a rule may hold, and what must pass."""

from typing import Any

import polars as pl
import pytest

from journey_pipeline.invariants import language
from journey_pipeline.invariants.language import TABLES_OF_RULES, mistakes
from journey_pipeline.model import Rule
from journey_pipeline.registry import KINDS, TABLES
from journey_pipeline_tests.invariants.worlds import AS_OF, frame


def found(**said: Any) -> list[tuple[str, str]]:
    rule = Rule(
        **{"name": "mine", "on": "people", "when": "lifetime_minor > 1", "then": "crm_owner is not null"} | said
    )
    return mistakes(rule, "invariants[0]")


def when(text: str, on: str = "people") -> str:
    """The one sentence about `when`; empty where it is right."""
    all_found = found(when=text, on=on, then="person_id is not null")
    assert len(all_found) <= 1
    assert all(path == "invariants[0].when" for path, _ in all_found)
    return all_found[0][1] if all_found else ""


def test_a_right_rule_has_no_mistakes() -> None:
    assert found() == []
    assert found(since="crm_at", within="2bd", unless={"new": "crm_at > as_of - interval '7 days'"}, needs=["contacts"],
                 at_risk="lifetime_minor / 2", at_risk_kind="paid", owner="ann@x.com", fix="Ask {crm_owner} on {contacts}.",
                 ) == []  # fmt: skip


@pytest.mark.parametrize(
    ("said", "path", "sentence"),
    [
        ({"name": "paid_implies_access"}, "name",
         "'paid_implies_access' is in the catalogue; choose another, or change its deadline under deadlines"),
        ({"name": "crm_owner"}, "name", "'crm_owner' is a column of people; choose another"),
        ({"on": "person"}, "on", f"no table 'person'; allowed: {', '.join(TABLES_OF_RULES)}"),
        ({"on": "spend"}, "on", f"no table 'spend'; allowed: {', '.join(TABLES_OF_RULES)}"),
        ({"when": "lifetime_minor >"}, "when", "can't read 'lifetime_minor >' as one SQL expression"),
        ({"when": "lifetime_minr > 1"}, "when", "people has no column 'lifetime_minr'; did you mean lifetime_minor?"),
        ({"when": "lifetime_minor > 'a'"}, "when", "lifetime_minor is a number, 'a' is text"),
        ({"then": "lifetime_minor"}, "then", "gives a number (Int64), must be true or false"),
        ({"then": "true"}, "then", "'true' names no column"),
        ({"when": "sum(lifetime_minor) > 1"}, "when", "sum() looks at many rows; a rule may look at one"),
        ({"when": "select 1"}, "when", "'select' is not allowed; only an expression over the columns of people"),
        ({"when": "crm_at = null"}, "when", "'= null' is never true; write 'is null'"),
        ({"when": "crm_at <> null"}, "when", "'<> null' is never true; write 'is not null'"),
        ({"since": "crm_owner"}, "since", "'crm_owner' is not a time column of people"),
        ({"since": "paid"}, "since", "'paid' is not a time column of people"),
        ({"within": "1h"}, "within", "counts from nowhere without since; name a time column under since"),
        ({"unless": {"new": "crm_ownr is null"}}, "unless.new", "people has no column 'crm_ownr'; did you mean crm_owner?"),
        ({"needs": ["contact"]}, "needs", "no kind 'contact'; allowed: " + ", ".join(KINDS)),
        ({"tells": ["contacts.ovner"]}, "tells", "no column 'ovner' in contacts; did you mean owner?"),
        (
            {"tells": ["owner"]},
            "tells",
            "no kind 'owner'; write kind.column, as contacts.owner; kinds: " + ", ".join(KINDS),
        ),
        ({"needs": ["(deals)"]}, "needs",
         ("a row of people does not tell whether it refers to deals; write it without brackets; in brackets: (payments),"
          " (leads), (bookings), (contacts), (access), (consents)")),
        ({"at_risk": "lifetime_minor"}, "at_risk", "has no at_risk_kind; allowed: paid, due, leak, expected"),
        ({"at_risk": "crm_owner", "at_risk_kind": "due"}, "at_risk", "gives text (String), must be an amount in minor units"),
        ({"at_risk_kind": "due"}, "at_risk_kind", "names the kind of an amount that is missing; give the amount under at_risk"),
        ({"owner": "the sales team"}, "owner", "'the sales team' is not an owner; allowed: a team such as sales, or an e-mail address"),
        ({"fix": "Ask {crm_ownr}."}, "fix", "{crm_ownr} is neither a column of people nor a kind; did you mean crm_owner?"),
        ({"core": True}, "core", "is the catalogue's own; leave it out"),
    ],
)  # fmt: skip
def test_the_table_of_mistakes(said: dict[str, Any], path: str, sentence: str) -> None:
    assert found(**said) == [(f"invariants[0].{path}", sentence)]


@pytest.mark.parametrize("name", ["count", "first", "min", "max", "avg", "unnest", "row_number", "median", "lag"])
def test_functions_over_many_rows_are_refused_by_name(name: str) -> None:
    assert when(f"{name}(lifetime_minor) > 1") == f"{name}() looks at many rows; a rule may look at one"


def test_windows_are_refused() -> None:
    assert (
        when("lifetime_minor over (partition by crm_owner) > 1")
        == "over (…) looks at many rows; a rule may look at one"
    )


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("lifetime_minor > all (select 1)", "all"),
        ("lifetime_minor in (select 1)", "select"),
        ("exists (select 1)", "exists"),
        ("lifetime_minor > 1; drop table people", ";"),
        ("lifetime_minor > 1 -- so", "--"),
        ("lifetime_minor /* so */ > 1", "/*"),
        ("people.lifetime_minor > 1", "."),
        ('"lifetime_minor" > 1', '"'),
        ("foo(lifetime_minor) > 1", "foo"),
        ("random() > lifetime_minor", "random"),
        ("lifetime_minor > 1 from people", "from"),
        ("cast(lifetime_minor as text) = '1'", "cast"),
        ("lifetime_minor > 1 group by crm_owner", "group"),
    ],
)
def test_words_and_signs_are_refused_before_polars_sees_them(text: str, refused: str) -> None:
    assert when(text) == f"'{refused}' is not allowed; only an expression over the columns of people"


@pytest.mark.parametrize(
    "text",
    ["crm_at > '2026-01-31'", "crm_at > now()", "crm_at > timestamp '2026-01-31 00:00:00'", "crm_at > current_timestamp",
     "crm_at::date >= current_date", "crm_at between '2026-01-01' and '2026-02-01'", "crm_at in ('2026-01-01')"],
)  # fmt: skip
def test_the_clock_may_not_be_read_and_times_are_no_texts(text: str) -> None:
    assert when(text) == "compare days (paid_at::date >= date '2026-01-31') or as_of; the clock may not be read"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("crm_at > 5", "crm_at is a time, 5 is a number"),
        ("is_test = 1", "is_test is true or false, 1 is a number"),
        ("lifetime_minor = true", "lifetime_minor is a number, true is true or false"),
        ("crm_owner > 3", "crm_owner is text, 3 is a number"),
        ("lifetime_minor in (1, 'a')", "lifetime_minor is a number, 'a' is text"),
        ("lifetime_minor not in ('a')", "lifetime_minor is a number, 'a' is text"),
        ("lifetime_minor between 1 and 'a'", "lifetime_minor is a number, 'a' is text"),
        ("lifetime_minor like 'a%'", "lifetime_minor is a number, 'a%' is text"),
        ("crm_at > lifetime_minor", "crm_at is a time, lifetime_minor is a number"),
        ("crm_owner crm_stage", "can't read 'crm_owner crm_stage' as one SQL expression"),
        ("is_test is_crm_customer", "can't read 'is_test is_crm_customer' as one SQL expression"),
        ("", "can't read '' as one SQL expression"),
        ("crm_at::month = 1", ("'::month' is not allowed; allowed: bigint, boolean, date, double, float, int, integer,"
         " string, text, varchar")),
        ("as_of is not null", "'as_of is not null' names no column"),
    ],
)  # fmt: skip
def test_what_else_does_not_fit(text: str, sentence: str) -> None:
    assert when(text) == sentence


def test_what_only_polars_can_tell_is_told_too() -> None:
    assert when("abs(crm_owner) > 1").startswith("can't be computed over a row of people: ")


def test_all_mistakes_are_listed_at_once() -> None:
    paths = [path for path, _ in found(when="a > 1 and b > 1", then="1", since="x", unless={"c": "'"}, owner=" ")]
    assert paths == [
        "invariants[0].when", "invariants[0].when", "invariants[0].then", "invariants[0].unless.c", "invariants[0].since",
        "invariants[0].owner",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "on"),
    [
        ("lifetime_minor > 500000 and not is_test or crm_at is null", "people"),
        ("crm_stage in ('customer', 'client') and lifetime_minor between 1 and 5", "people"),
        ("crm_stage like 'cust%' and lower(crm_owner) <> 'ann'", "people"),
        ("coalesce(lifetime_minor, 0) + 1 >= greatest(record_count, 2) / 2", "people"),
        ("case when is_test then lifetime_minor else 0 end > 1", "people"),
        ("crm_at < as_of - interval '7 days' and crm_at::date >= date '2026-01-31'", "people"),
        ("crm_source is not distinct from lead_source", "people"),
        ("array_contains(keys, 'stripe:cus_1')", "payments"),
        ("crm_owner = 'select; from -- nowhere'", "people"),
        ("interval = 'month' and period_ends_at > as_of + interval '3 days'", "subscriptions"),
    ],
)
def test_what_is_allowed_passes(text: str, on: str) -> None:
    assert when(text, on) == ""


@pytest.mark.parametrize("table", TABLES_OF_RULES)
def test_every_column_of_every_table_can_be_asked_for(table: str) -> None:
    for column in TABLES[table].schema:
        assert language._expression_mistakes(f"{column} is null", table) == []


def test_a_condition_computes_what_it_says() -> None:
    rows = frame("subscriptions", [{"record_id": "a", "interval": "month"}, {"record_id": "b", "interval": "year"}])
    told = rows.with_columns(as_of=pl.lit(AS_OF)).select(language.condition("interval = 'month'"))
    assert told.to_series().to_list() == [True, False]
