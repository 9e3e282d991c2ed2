"""The asset checks: every invariant and every contract rule on the table that it is about, and the user's own.

Nothing is judged here: the checks show what the steps found, all in one step.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from journey_pipeline.invariants import shape
from journey_pipeline.invariants.shape import Shape
from journey_pipeline.model import Rule, Settings
from journey_pipeline.orchestration import metadata, steps
from journey_pipeline.orchestration.assets import BUILT, DATA_DOCS, table_key
from journey_pipeline.orchestration.days import Today, owner_of
from journey_pipeline.orchestration.steps import Day
from journey_pipeline.registry import TABLES

_JUDGED = "every_rule_was_judged"
_KNOWN = "verdicts_are_known"  # a misspelt verdict would pass its rule
_Told = Mapping[str, Any]


def checks(settings: Settings, rules: Sequence[Rule], own: Sequence[str], today: Today) -> dg.AssetChecksDefinition:
    """`own`: the tables that the user has expectations of."""
    contract = [_spec(rule.name, table, rule.claim) for table in BUILT for rule in shape.rules(TABLES[table])]
    invariants = [_spec(rule.name, rule.on, rule.claim or rule.name, _known(settings, rule)) for rule in rules]
    yours = [_spec("own", table, f"What expectations/{table}.json expects of it.") for table in own]
    judged = _spec(_JUDGED, "invariant_days", "No rule was kept from judging by a source.")
    known = _spec(_KNOWN, "invariant_days", "Every verdict of every rule is a verdict.")

    @dg.multi_asset_check(name="check", specs=[*contract, *invariants, *yours, known, judged], can_subset=False)
    def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        day = today(context)
        found = steps.expectations(day)
        told = {(c["table"], c["name"]): c for c in found if c["kind"] == "shape"}
        for table in BUILT:
            for rule in shape.rules(TABLES[table]):
                yield _contract_result(table, rule, told.get((table, rule.name)))
        yield _verdicts_result([c for c in found if c["name"].startswith("shape_verdict_")])
        for table in own:
            yield _own_result(table, [c for c in found if c["table"] == table and c["kind"] == "own"])
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


def _contract_result(table: str, rule: Shape, told: _Told | None) -> dg.AssetCheckResult:
    """`told`: what Great Expectations found; None where nothing is known to ask with, as without a yesterday."""
    result: dict[str, Any] = {"description": "Not asked today: there is nothing to compare with", "passed": True}
    if told:
        counts = {"rows": told["evaluated"], "unexpected": told["unexpected"]}
        result = {"description": told["description"], "passed": told["is_success"], "metadata": counts}
    severity = dg.AssetCheckSeverity.ERROR if rule.is_blocking else dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(check_name=rule.name, asset_key=table_key(table), severity=severity, **result)


def _verdicts_result(asked: Sequence[_Told]) -> dg.AssetCheckResult:
    failed = [c for c in asked if not c["is_success"]]
    return dg.AssetCheckResult(
        check_name=_KNOWN, asset_key=table_key("invariant_days"), passed=not failed,
        description=_said(failed), metadata={"rules": len(asked), "failed": len(failed)},
    )  # fmt: skip


def _own_result(table: str, asked: Sequence[_Told]) -> dg.AssetCheckResult:
    failed = [c for c in asked if not c["is_success"]]
    is_grave = any(c["severity"] == "critical" for c in failed)
    return dg.AssetCheckResult(
        check_name="own", asset_key=table_key(table), passed=not failed, description=_said(failed),
        severity=dg.AssetCheckSeverity.ERROR if is_grave else dg.AssetCheckSeverity.WARN,
        metadata={"failed": len(failed)},
    )  # fmt: skip


def _said(failed: Sequence[_Told]) -> str | None:
    return "; ".join(f"{c['description']} ({c['unexpected']:,} rows)" for c in failed) or None


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
