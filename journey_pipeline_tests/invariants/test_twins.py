"""People with a suggested twin, judged a second time as if the two were one: from records to verdicts."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from journey_pipeline.identity import Identity, resolve
from journey_pipeline.invariants import catalogue
from journey_pipeline.invariants.evaluation import Evaluation, evaluate
from journey_pipeline.invariants.findings import days, fold_all
from journey_pipeline.invariants.twins import prepared
from journey_pipeline.invariants.waivers import parse
from journey_pipeline.journeys import Scope, build, rebuilt
from journey_pipeline.model import IdentityRules, Rule
from journey_pipeline.registry import TABLES
from journey_pipeline_tests.invariants.worlds import AS_OF, SAYS, SETTINGS, health
from journey_pipeline_tests.worlds import records, scope

Kinds = Mapping[str, list[dict[str, Any]]]
RULES = [
    r
    for r in catalogue.load()
    if r.name in ("paid_implies_access", "access_implies_payment", "lead_implies_crm_record")
]
SOLD: Scope = scope(
    offers=SETTINGS.offers, business=SETTINGS.business,
    platforms=("stripe", "paypal", "teachable", "circle", "hubspot", "typeform", "mailchimp", "zendesk"),
)  # fmt: skip


def paid(who: str) -> dict[str, Any]:
    return {"who": who, "id": f"ch_{who}", "at": "d-1 09:00", "product_ref": "stripe:price_1", "amount_minor": 49900}


def holds(who: str, *refs: str) -> list[dict[str, Any]]:
    return [
        {"who": who, "id": f"{ref}_{who}", "at": "d-1 09:01", "product_ref": ref, "platform": ref.partition(":")[0]}
        for ref in refs or ("teachable:course_9", "circle:space_3")
    ]


def pairs(*alike: tuple[str, str, float]) -> Any:
    """Scores by who people are."""

    def score(candidates: pl.DataFrame) -> pl.DataFrame:
        number = {row["emails"][0].split("@")[0]: row["person"] for row in candidates.iter_rows(named=True)}
        rows = [(*sorted((number[a], number[b])), sure, "alike") for a, b, sure in alike]
        schema = {"left": pl.UInt32(), "right": pl.UInt32(), "probability": pl.Float64(), "because": pl.String()}
        return pl.DataFrame(rows, schema=schema, orient="row").sort("left", "right")

    return score


class World:
    """A small business from its records to its verdicts."""

    def __init__(self, *alike: tuple[str, str, float], **kinds: list[dict[str, Any]]) -> None:
        self.kinds = records(**kinds)
        self.identity: Identity = resolve(
            self.kinds, country="US", score=pairs(*alike), rules=IdentityRules(link=0.95, suggest=0.5)
        )
        found = build(self.kinds, self.identity, SOLD).tables
        self.tables = {**found, "source_health": health().lazy()}

    def person(self, who: str) -> str:
        told = self.identity.person_keys().filter(pl.col("key") == f"email:{who}@x.com").collect()
        (person,) = set(told["person_id"])
        return str(person)

    def judge(self, *rules: Rule, waived: str = "") -> Evaluation:
        lazy = {kind: frame.lazy() for kind, frame in self.kinds.items()}
        return evaluate(
            self.tables, rules=rules or RULES, settings=SETTINGS, says=SAYS, as_of=AS_OF,
            waived=parse("finding,reason,who,until\n" + waived) if waived else None,
            rebuilt=lambda taken_for: rebuilt(lazy, self.identity, SOLD, taken_for),
        )  # fmt: skip

    def verdict(self, who: str, rule: str, *rules: Rule, waived: str = "") -> tuple[str | None, str | None]:
        """The verdict and its reason, of the person's only row."""
        found = self.judge(*rules, waived=waived)
        on = {r.name: r.on for r in rules or RULES}[rule]
        (verdict,) = found.verdicts[on].filter(pl.col("person_id") == self.person(who), pl.col(rule).is_not_null())[
            rule
        ]
        reasons = found.reasons.filter((pl.col("invariant") == rule) & (pl.col("verdict") == verdict))["verdict_reason"]
        return verdict, next((r for r in reasons if r), None)


def test_what_the_twin_would_mend_is_unknown_on_both_sides() -> None:
    world = World(("bob", "rob", 0.9), payments=[paid("bob")], access=holds("rob"))
    bob, rob = world.person("bob"), world.person("rob")
    assert world.verdict("bob", "paid_implies_access") == ("unknown", f"identity:{rob}")
    assert world.verdict("rob", "access_implies_payment") == ("unknown", f"identity:{bob}")
    assert world.judge().broken.is_empty()


def test_without_a_twin_it_is_broken() -> None:
    world = World(payments=[paid("bob")], access=holds("rob"))
    assert world.verdict("bob", "paid_implies_access") == ("broken", None)


def test_what_the_twin_would_not_mend_stays_broken() -> None:
    lead = [{"who": "rob", "id": "tf_1", "at": "d-2 09:00"}]
    world = World(("bob", "rob", 0.9), payments=[paid("bob")], leads=lead)
    assert world.verdict("bob", "paid_implies_access") == ("broken", None)
    assert world.verdict("rob", "lead_implies_crm_record") == ("broken", None)
    half = World(("bob", "rob", 0.9), payments=[paid("bob")], access=holds("rob", "circle:space_1"))
    assert half.verdict("bob", "paid_implies_access") == ("broken", None)


def test_a_twin_that_something_speaks_against_mends_nothing() -> None:
    world = World(
        ("bob", "rob", 0.999), payments=[paid("bob")], access=[*holds("rob"), *holds("bob", "circle:space_1")]
    )
    assert world.identity.suggestions["against"].to_list() == ["each has a live account on circle"]
    assert world.verdict("bob", "paid_implies_access") == ("broken", None)


def test_who_has_several_possible_selves_is_judged_with_each_payers_own() -> None:
    world = World(
        ("bob", "rob", 0.9), ("rob", "robb", 0.85), ("robb", "zed", 0.81),
        payments=[paid("bob"), paid("robb"), paid("zed")], access=holds("rob"),
    )  # fmt: skip
    verdicts = {who: world.verdict(who, "paid_implies_access")[0] for who in ("bob", "robb", "zed")}
    # robb's likeliest other self is rob, who has access; zed's is robb, who has none.
    assert verdicts == {"bob": "unknown", "robb": "unknown", "zed": "broken"}


def test_a_waiver_still_covers_what_stays_broken() -> None:
    world = World(("bob", "rob", 0.9), payments=[paid("bob")], leads=[{"who": "rob", "id": "tf_1", "at": "d-2 09:00"}])
    line = f"journey:{world.person('bob')}:bootcamp,agreed,ann,2026-06-01\n"
    assert world.verdict("bob", "paid_implies_access", waived=line) == ("excused", "waived")


def test_a_rule_about_identity_itself_is_judged_whatever_twin_there_is() -> None:
    split = Rule(
        name="person_not_split", on="people", when="first_paid_at is not null", then="twin_person_id is null",
        since="twin_at", within="1h", needs=("payments",), judges_identity=True,
    )  # fmt: skip
    world = World(("bob", "rob", 0.9), payments=[paid("bob")], access=holds("rob"))
    told = {}
    for rule in (split, split.model_copy(update={"name": "any_other", "judges_identity": False})):
        found = evaluate(world.tables, rules=[rule], settings=SETTINGS, says=SAYS, as_of=AS_OF)
        told[rule.name] = found.verdicts["people"][rule.name].drop_nulls().to_list()
    assert told == {"person_not_split": ["broken"], "any_other": ["unknown"]}


def test_people_have_their_likeliest_twin_and_since_when() -> None:
    world = World(
        ("bob", "rob", 0.9), ("bob", "robb", 0.85), payments=[paid("bob"), paid("robb")],
        access=[holds("rob")[0] | {"at": "d-1 10:00"}],
    )  # fmt: skip
    people = world.tables["people"].collect().select("person_id", "twin_person_id", "twin_at", "is_confirmed")
    told = {row[0]: row[1:] for row in people.rows()}
    both = AS_OF.replace(day=14, hour=10)
    assert told[world.person("bob")] == (world.person("rob"), both, False)
    assert told[world.person("rob")] == (world.person("bob"), both, False)
    assert told[world.person("robb")] == (world.person("bob"), AS_OF.replace(day=14, hour=9), False)


def test_whatever_is_laid_out_of_a_person_has_their_twin() -> None:
    world = World(("bob", "rob", 0.9), payments=[paid("bob")], access=holds("rob"))
    tables = {**world.tables, "person_keys": world.identity.person_keys()}
    for table in ("buyer_journeys", "payments", "access"):
        assert set(prepared(table, tables).collect()["twin_person_id"]) <= {world.person("bob"), world.person("rob")}
    assert "twin_person_id" not in prepared("person_keys", tables).collect_schema()
    assert "twin_person_id" not in prepared("products", tables).collect_schema()


def test_an_unknown_day_neither_opens_nor_resolves() -> None:
    world = World(("bob", "rob", 0.9), payments=[paid("bob")], access=holds("rob"))
    bob = world.person("bob")
    before = pl.DataFrame(
        [{
            "finding_id": "f", "invariant": "paid_implies_access", "subject": f"journey:{bob}:bootcamp", "person_id": bob,
            "offer_id": "bootcamp", "day_on": AS_OF.date().replace(day=14), "verdict": "broken", "severity": "critical",
        }],
        schema=TABLES["finding_days"].schema,
    )  # fmt: skip
    (row,) = days(world.judge(), fold_all(before), world.tables).rows(named=True)
    assert (row["verdict"], row["verdict_reason"]) == ("unknown", f"identity:{world.person('rob')}")
    (finding,) = fold_all(pl.concat([before, pl.DataFrame([row], schema=before.schema)])).rows(named=True)
    assert (finding["status"], finding["unknown_days"]) == ("open", 1)
