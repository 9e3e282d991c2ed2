"""The asset checks: every invariant on the table that it judges, every kind of contract rule on every table, the user's own.

Nothing is judged here: the checks show what the steps found, all in one step.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from journey_pipeline.invariants import shape
from journey_pipeline.model import Rule, Settings
from journey_pipeline.orchestration import metadata, steps
from journey_pipeline.orchestration.assets import BUILT, DATA_DOCS, table_key
from journey_pipeline.orchestration.days import Today, owner_of
from journey_pipeline.orchestration.steps import Day
from journey_pipeline.registry import TABLES

# One check for each of the 635 rules would cost the run five seconds more; one of a kind names those that failed.
CONTRACT: Mapping[shape.Kind, tuple[str, str]] = {
    "columns": ("columns_are_there", "Every column of the registry is there."),
    "not_null": ("needed_values_are_there", "What is always there is there"),
    "unique": ("key_is_unique", "No two rows share their key."),
    "allowed": ("words_are_known", "Only the words of the registry stand in"),
    "range": ("numbers_are_in_range", "Nothing is below zero or above its bound in"),
    "time": ("times_are_plausible", "Nothing lies before 2000 or in the future in"),
    "format": ("texts_have_their_form", "References and currencies are well formed in"),
    "currency": ("amounts_have_a_currency", "No amount stands without its currency in"),
    "order": ("order_is_kept", "What comes later is not earlier in"),
    "parent": ("parents_exist", "What is named exists in"),
    "conserved": ("revenue_is_conserved", "What people are worth is what their payments kept."),
    "rows": ("row_count_is_usual", "About as many rows as yesterday."),
    "exactly": ("nobody_is_lost", "As many people as the records name."),
}
"""Kind of rule -> the check that shows all rules of that kind about one table, and what they ask."""

_JUDGED = "every_rule_was_judged"
_KNOWN = "verdicts_are_known"  # a misspelt verdict would pass its rule
_Failed = Sequence[Mapping[str, Any]]


def checks(settings: Settings, rules: Sequence[Rule], own: Sequence[str], today: Today) -> dg.AssetChecksDefinition:
    """`own`: the tables that the user has expectations of."""
    contract = [
        _spec(name, table, _asked(kind, table))
        for table in BUILT
        for kind, (name, _) in CONTRACT.items()
        if _rules(table, kind)
    ]
    invariants = [_spec(rule.name, rule.on, rule.claim or rule.name, _known(settings, rule)) for rule in rules]
    yours = [_spec("own", table, f"What expectations/{table}.json expects of it.") for table in own]
    judged = _spec(_JUDGED, "invariant_days", "No rule was kept from judging by a source.")
    known = _spec(_KNOWN, "invariant_days", "Every verdict of every rule is a verdict.")

    @dg.multi_asset_check(name="check", specs=[*contract, *invariants, *yours, known, judged], can_subset=False)
    def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        day = today(context)
        failed = steps.failed_expectations(day)
        for table in BUILT:
            mine = [c for c in failed if c["table"] == table and c["kind"] == "shape"]
            for kind, (name, _) in CONTRACT.items():
                if asked := {rule.name for rule in _rules(table, kind)}:
                    yield _shape_result(name, table, [c for c in mine if c["name"] in asked], len(asked))
        verdicts = [c for c in failed if c["name"].startswith("shape_verdict_")]
        yield _shape_result(_KNOWN, "invariant_days", verdicts, len(rules))
        for table in own:
            yield _own_result(table, [c for c in failed if c["table"] == table and c["kind"] == "own"])
        yield from _verdict_results(day, rules, judged)

    return check


def _spec(name: str, table: str, description: str, known: Mapping[str, str] | None = None) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        name, asset=table_key(table), description=description, additional_deps=[DATA_DOCS], metadata=known
    )


def _known(settings: Settings, rule: Rule) -> Mapping[str, str]:
    deadline = settings.deadlines.get(rule.name) or rule.within
    known = {"severity": rule.severity, "owner": owner_of(settings, rule.owner), "when": rule.when, "then": rule.then}
    return {**known, **({"within": deadline} if deadline else {})}


def _rules(table: str, kind: shape.Kind) -> list[shape.Shape]:
    return [rule for rule in shape.rules(TABLES[table]) if rule.kind == kind]


def _asked(kind: shape.Kind, table: str) -> str:
    said = CONTRACT[kind][1]
    names = dict.fromkeys(column for rule in _rules(table, kind) for column in rule.columns[:1])
    return said if said.endswith(".") else f"{said}: {', '.join(names)}."


def _shape_result(name: str, table: str, failed: _Failed, asked: int) -> dg.AssetCheckResult:
    is_grave = any(c["is_blocking"] for c in failed)
    said = "; ".join(f"{c['description']} ({c['unexpected']:,} rows)" for c in failed)
    return dg.AssetCheckResult(
        check_name=name, asset_key=table_key(table), passed=not failed, description=said or None,
        severity=dg.AssetCheckSeverity.ERROR if is_grave else dg.AssetCheckSeverity.WARN,
        metadata={"rules": asked, "failed": len(failed)},
    )  # fmt: skip


def _own_result(table: str, failed: _Failed) -> dg.AssetCheckResult:
    is_grave = any(c["severity"] == "critical" for c in failed)
    said = "; ".join(f"{c['description']} ({c['unexpected']:,} rows)" for c in failed)
    return dg.AssetCheckResult(
        check_name="own", asset_key=table_key(table), passed=not failed, description=said or None,
        severity=dg.AssetCheckSeverity.ERROR if is_grave else dg.AssetCheckSeverity.WARN,
        metadata={"failed": len(failed)},
    )  # fmt: skip


def _verdict_results(day: Day, rules: Sequence[Rule], judged: dg.AssetCheckSpec) -> Iterator[dg.AssetCheckResult]:
    """Passed: nothing is broken and the gate is open. What could not be evaluated is a warning that says why."""
    today = steps.todays_counts(day)
    for rule in rules:
        counts = today[rule.name]
        grave = rule.severity == "critical" and counts["broken"] > 0
        told = {name: value for name, value in counts.items() if value is not None}
        known = {"severity": rule.severity, "owner": owner_of(day.settings, rule.owner)}
        yield dg.AssetCheckResult(
            check_name=rule.name, asset_key=table_key(rule.on), description=_outcome(counts),
            passed=counts["gate"] in ("not_covered", "off") or (counts["broken"] == 0 and counts["gate"] == "open"),
            severity=dg.AssetCheckSeverity.ERROR if grave else dg.AssetCheckSeverity.WARN,
            metadata={**told, **known, "worklist": metadata.worklist(day, rule.name if counts["broken"] else None)},
        )  # fmt: skip
    closed = {name: c["gate_reason"] or "" for name, c in today.items() if c["gate"] in ("closed", "partial")}
    yield dg.AssetCheckResult(
        check_name=judged.name, asset_key=judged.asset_key, passed=not closed, severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(closed)} of {len(today)} rules could not be judged, or not wholly" if closed else None,
        metadata=closed,
    )  # fmt: skip


def _outcome(counts: Mapping[str, Any]) -> str:
    broken = f"{counts['broken']:,} broken of {counts['evaluated']:,}"
    reason = counts["gate_reason"] or counts["gate"]
    return {"open": broken, "partial": f"{broken}; judged in part: {reason}"}.get(
        counts["gate"], f"Not evaluated: {reason}"
    )
