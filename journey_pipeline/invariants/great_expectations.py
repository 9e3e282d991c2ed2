"""Great Expectations' part: asserts on verdict columns and on shapes, and writes Data Docs. The only importer of GX.

No verdict is worked out here (verdicts.py) and no rule is written here (catalogue, shape.py). GX is handed pandas frames
without personal values, and what it says about single values is dropped. Importing this module takes 7 to 14 seconds.
"""

import html
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd
import polars as pl
from great_expectations.compatibility.pydantic import ValidationError
from great_expectations.core import ExpectationSuite, ExpectationSuiteValidationResult, ExpectationValidationResult
from great_expectations.core.batch_definition import BatchDefinition
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.data_context import EphemeralDataContext
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from great_expectations.data_context.types.resource_identifiers import (
    ExpectationSuiteIdentifier,
    ValidationResultIdentifier,
)
from great_expectations.exceptions import ExpectationNotFoundError
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.metadata_types import FailureSeverity
from great_expectations.expectations.registry import get_expectation_impl
from great_expectations.expectations.row_conditions import Column
from great_expectations.render.renderer.site_builder import SiteBuilder
from great_expectations.render.view import DefaultJinjaPageView
from jinja2 import ChoiceLoader, PackageLoader

from journey_pipeline.errors import CheckCrashedError, SettingsError
from journey_pipeline.invariants import shape
from journey_pipeline.invariants.own import Own
from journey_pipeline.invariants.shape import Shape
from journey_pipeline.model import Rule
from journey_pipeline.registry import TABLES, TIME, VERDICTS

Kind = Literal["shape", "invariant", "own"]

_ASKED = ("open", "partial", "closed")
DAYS = pl.Schema({
    "day_on": pl.Date(), "suite": pl.String(), "name": pl.String(), "is_success": pl.Boolean(), "unexpected": pl.Int64(),
})  # fmt: skip
"""What is kept of each day's checks, to be shown beside the next days'."""
_ASKS_OF = {
    "invariant": "Each expectation reads one verdict column of this table. A row whose verdict is holds, pending, excused or "
    "unknown is as expected; one that is broken is not. Rows that a rule does not speak of have no verdict and are not "
    "counted. What is broken stops nothing: it is on the worklist.",
    "own": "Your own expectations, from the folder expectations beside journey.yaml. They never stop a run.",
    "shape": "What this table must look like whatever the business does: its columns, keys, allowed values and ranges. "
    "Where one marked “blocks” fails, nothing is published.",
}  # fmt: skip
_GATES = {
    "open": "every case could be judged", "partial": "some cases could not be judged", "closed": "could not be judged",
}  # fmt: skip
_SHOWN_DAYS = 7

# What a result may say, as numbers: counts and shares, never one of the values that it looked at.
_TOLD = (
    "element_count", "missing_count", "missing_percent", "observed_value", "unexpected_count", "unexpected_percent",
    "unexpected_percent_nonmissing", "unexpected_percent_total",
)  # fmt: skip


@dataclass(frozen=True)
class Check:
    """What one expectation came to, over the `evaluated` rows that have a value, of which some are `unexpected`.

    `gate` is set for invariants: only `open` and successful is a pass.
    """

    table: str
    suite: str
    kind: Kind
    name: str
    is_success: bool
    severity: str
    description: str
    is_blocking: bool
    evaluated: int
    unexpected: int
    gate: str | None = None


@dataclass(frozen=True)
class Report:
    """All checks of a run, by table, and the front page of their Data Docs."""

    checks: tuple[Check, ...]
    docs_page: Path

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.is_success)

    @property
    def blocking(self) -> tuple[Check, ...]:
        """The failures that stop whatever comes after."""
        return tuple(check for check in self.failed if check.is_blocking)


@dataclass(frozen=True)
class _Question:
    """One expectation, and what is told of it beside GX's own answer."""

    expectation: Expectation
    name: str
    kind: Kind
    owner: str
    gate: str | None = None

    @property
    def severity(self) -> str:
        return FailureSeverity(self.expectation.severity).value

    @property
    def is_blocking(self) -> bool:
        return self.kind == "shape" and self.severity == "critical"


@dataclass(frozen=True)
class _Batch:
    """One frame and what is asked of it; a suite has one or two."""

    table: str
    suite: str
    frame: pd.DataFrame
    questions: Sequence[_Question]


_Native = tuple[type[Expectation], dict[str, Any]]
_Answers = list[tuple[_Question, ExpectationValidationResult]]
_Suites = Mapping[tuple[str, str], _Answers]


def check(
    shapes: Mapping[str, pl.DataFrame | pl.LazyFrame],
    verdicts: Mapping[str, pl.DataFrame],
    rules: Sequence[Rule],
    gates: pl.DataFrame,
    *,
    as_of: datetime,
    docs_folder: Path,
    yesterday_counts: Mapping[str, int] | None = None,
    own: Sequence[Own] = (),
    before: pl.DataFrame | None = None,
) -> Report:
    """Asks every expectation once and writes Data Docs into `docs_folder`, in place of what stood there.

    `shapes` are tables of the registry; `verdicts` have one column per invariant; `gates` are today's rows of
    invariant_days. A rule that could not be asked (gate `not_covered` or `off`) has no check. `own`: the user's
    expectations. `before`: what earlier days came to (`DAYS`), shown beside.

    Raises:
        CheckCrashedError: an expectation raised; nothing is reported and the old Data Docs stay.
        SettingsError: an expectation of the user's has arguments that it does not take.
    """
    context = _context()
    asset = context.data_sources.add_pandas("journey").add_dataframe_asset("table")
    definition = asset.add_batch_definition_whole_dataframe("whole")
    suites: dict[tuple[str, str], _Answers] = {}
    frames = {name: frame.lazy() for name, frame in shapes.items()}
    own_batches = list(_own_batches(frames, own))  # a wrong one is refused before anything is asked
    for batches in (
        _shape_batches(frames, as_of, yesterday_counts or {}, _merged_today(frames.get("identity_changes"), gates)),
        _invariant_batches(verdicts, rules, gates),
        [_gate_batch(gates)],
        own_batches,
    ):
        with _configured_once():
            for batch in batches:
                suites.setdefault((batch.table, batch.suite), []).extend(_ask(definition, batch))
    _refuse_crashes(suites)
    _write_docs(context, suites, as_of, docs_folder, pl.DataFrame(schema=DAYS) if before is None else before)
    checks = [_check(*key, *answer) for key, answers in suites.items() for answer in answers]
    return Report(tuple(checks), docs_folder / "index.html")


def _context() -> EphemeralDataContext:
    """A context that keeps everything in memory, tells nobody and draws no progress bars."""
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
    )
    return gx.get_context(mode="ephemeral", project_config=config)


@contextmanager
def _configured_once() -> Iterator[None]:
    """GX works out an expectation's configuration each of the hundred times it asks for it, a third of its time."""
    name = "configuration"
    real: property = vars(Expectation)[name]
    known: dict[int, tuple[Expectation, Any]] = {}

    def configuration(self: Expectation) -> Any:
        if id(self) not in known:
            known[id(self)] = self, real.__get__(self)  # kept with its expectation: no other gets its id
        return known[id(self)][1]

    setattr(Expectation, name, property(configuration))
    try:
        yield
    finally:
        setattr(Expectation, name, real)


def _merged_today(changes: pl.LazyFrame | None, gates: pl.DataFrame) -> int:
    if changes is None or gates.is_empty():
        return 0
    today = changes.filter(pl.col("day_on") == gates["day_on"].max(), pl.col("change") == "merge")
    return int(today.select(pl.len()).collect().item())


def _shape_batches(
    frames: Mapping[str, pl.LazyFrame], as_of: datetime, yesterday: Mapping[str, int], merged: int
) -> Iterator[_Batch]:
    for name, frame in frames.items():
        table, columns = TABLES[name], frame.collect_schema().names()
        whole, *asked = shape.applying(
            table, columns, tuple(frames), as_of=as_of, yesterday=yesterday.get(name, 0), merged=merged,
            expected=shape.people_named(frames) if name == "people" else None,
        )  # fmt: skip
        # Every column is named to GX, but only those that a rule reads are handed over.
        yield _Batch(name, f"{name}_shape", pd.DataFrame(columns=columns), [_shape_question(whole)])
        data = shape.read(table, frame, asked, frames).collect().to_pandas()
        yield _Batch(name, f"{name}_shape", data, [_shape_question(rule) for rule in asked])


def _shape_question(rule: Shape) -> _Question:
    expectation, arguments = _NATIVE[rule.kind](rule)
    said: dict[str, Any] = {"description": rule.claim, "meta": {"name": rule.name}}
    said["severity"] = FailureSeverity.CRITICAL if rule.is_blocking else FailureSeverity.WARNING
    return _Question(expectation(**arguments, **said), rule.name, "shape", "data")


def _between(rule: Shape) -> _Native:
    where = None if rule.where is None else Column(rule.columns[1]) == rule.where[1]
    bounds = {"column": rule.columns[0], "min_value": rule.low, "max_value": rule.high}
    return gxe.ExpectColumnValuesToBeBetween, {**bounds, "row_condition": where}


def _unique(rule: Shape) -> _Native:
    if len(rule.columns) == 1:
        return gxe.ExpectColumnValuesToBeUnique, {"column": rule.columns[0]}
    # `never`: two rows that lack the same part of a key share that key.
    return gxe.ExpectCompoundColumnsToBeUnique, {"column_list": list(rule.columns), "ignore_row_if": "never"}


def _ordered(rule: Shape) -> _Native:
    pair = {"column_A": rule.columns[0], "column_B": rule.columns[1]}
    options = {"or_equal": True, "ignore_row_if": "either_value_is_missing"}
    return gxe.ExpectColumnPairValuesAToBeGreaterThanB, {**pair, **options}


_NATIVE: Mapping[shape.Kind, Callable[[Shape], _Native]] = {
    "columns": lambda rule: (
        gxe.ExpectTableColumnsToMatchSet, {"column_set": list(rule.columns), "exact_match": False}
    ),
    "not_null": lambda rule: (gxe.ExpectColumnValuesToNotBeNull, {"column": rule.columns[0]}),
    "unique": _unique,
    "allowed": lambda rule: (
        gxe.ExpectColumnValuesToBeInSet, {"column": rule.columns[0], "value_set": list(rule.allowed)}
    ),
    "range": _between,
    "time": _between,
    "format": lambda rule: (
        gxe.ExpectColumnValuesToMatchRegex, {"column": rule.columns[0], "regex": rule.pattern}
    ),
    # Nothing is nothing in any currency: a sum over no payments needs none.
    "currency": lambda rule: (
        gxe.ExpectColumnValuesToNotBeNull, {"column": rule.columns[0], "row_condition": Column(rule.columns[1]) > 0}
    ),
    "order": _ordered,
    "parent": lambda rule: (
        gxe.ExpectColumnValuesToBeInSet, {"column": f"has_{rule.parent}", "value_set": [True]}
    ),
    "conserved": lambda rule: (
        gxe.ExpectColumnValuesToBeInSet, {"column": f"has_{rule.parent}", "value_set": [True]}
    ),
    "rows": lambda rule: (
        gxe.ExpectTableRowCountToBeBetween, {"min_value": rule.low, "max_value": rule.high}
    ),
    "exactly": lambda rule: (gxe.ExpectTableRowCountToEqual, {"value": rule.low}),
}  # fmt: skip


def _invariant_batches(
    verdicts: Mapping[str, pl.DataFrame], rules: Sequence[Rule], gates: pl.DataFrame
) -> Iterator[_Batch]:
    gate_of = {row["invariant"]: row for row in gates.iter_rows(named=True)}
    unjudged = [rule.name for rule in rules if rule.name not in gate_of]
    if unjudged:
        msg = f"{len(unjudged)} invariants have no row in invariant_days, a defect of ours: {', '.join(unjudged)}"
        raise CheckCrashedError(msg)
    asked = [rule for rule in rules if gate_of[rule.name]["gate"] in _ASKED]
    for table in dict.fromkeys(rule.on for rule in asked):
        own = [rule for rule in asked if rule.on == table]
        frame = verdicts.get(table, pl.DataFrame())
        data = frame.select(pl.col(rule.name).cast(pl.Categorical) for rule in own if rule.name in frame.columns)
        questions = [question for rule in own for question in _verdict_questions(rule, gate_of[rule.name])]
        yield _Batch(table, f"{table}_invariants", data.to_pandas(), questions)


def _verdict_questions(rule: Rule, day: Mapping[str, Any]) -> tuple[_Question, _Question]:
    """Is the invariant kept; and is every verdict a verdict, since a misspelt `broken` would pass the first."""
    if day["gate"] == "closed":
        failing, severity, claim = ["broken", "unknown"], "warning", f"Not evaluated: {day['gate_reason']}"
    else:
        failing, severity = ["broken"], rule.severity
        claim = rule.claim or f"When {rule.when}, then {rule.then}."
    meta = {"name": rule.name, "owner": rule.owner, "within": rule.within, "core": rule.core}
    kept = gxe.ExpectColumnValuesToNotBeInSet(
        column=rule.name, value_set=failing, severity=FailureSeverity(severity), description=claim,
        meta={**meta, "needs": list(rule.needs or ())},
    )  # fmt: skip
    name = f"shape_verdict_{rule.name}"
    said = gxe.ExpectColumnValuesToBeInSet(
        column=rule.name, value_set=list(VERDICTS), severity=FailureSeverity.CRITICAL, meta={"name": name},
        description=f"Every verdict is one of: {', '.join(VERDICTS)}.",
    )  # fmt: skip
    return (
        _Question(kept, rule.name, "invariant", rule.owner, day["gate"]),
        _Question(said, name, "shape", "data"),
    )


def _own_batches(frames: Mapping[str, pl.LazyFrame], own: Sequence[Own]) -> Iterator[_Batch]:
    """The user's expectations, each over the columns that it names."""
    mistakes: dict[str, list[str]] = {}
    questions: dict[str, list[_Question]] = {}
    for one in own:
        try:
            questions.setdefault(one.table, []).append(_own_question(one))
        except ExpectationNotFoundError:
            mistakes.setdefault(one.file, []).append(f"{one.name}: {one.type} can't be asked by the installed version")
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
            mistakes.setdefault(one.file, []).append(f"{one.name}: {one.type}: {faults}")
    if mistakes:
        file, listed = next(iter(mistakes.items()))
        raise SettingsError(file, listed)
    for table, asked in questions.items():
        wanted = dict.fromkeys(column for one in own if one.table == table for column in one.columns())
        frame = frames.get(table, pl.LazyFrame(schema=TABLES[table].schema))
        there = frame.collect_schema().names()
        # Times without a zone: GX walks those with one value by value, and compares them with no text.
        cells = [_plain(column, TABLES[table].schema[column]) for column in wanted if column in there]
        yield _Batch(table, f"{table}_own", frame.select(cells).collect().to_pandas(), asked)


def _plain(column: str, dtype: pl.DataType) -> pl.Expr:
    return pl.col(column).dt.replace_time_zone(None) if dtype == TIME else pl.col(column)


def _own_question(one: Own) -> _Question:
    expectation = get_expectation_impl(one.type)
    owner = str(one.meta.get("owner", "yours"))
    said = one.description or f"{_words_of(one.type)}: {', '.join(f'{k} {v}' for k, v in one.kwargs.items())}."
    made = expectation(
        **one.kwargs, severity=FailureSeverity(one.severity), description=said, meta={**one.meta, "name": one.name}
    )
    return _Question(made, one.name, "own", owner)


def _words_of(kind: str) -> str:
    """`expect_column_values_to_be_between` -> `Expect column values to be between`."""
    return kind.replace("_", " ").capitalize()


def _gate_batch(gates: pl.DataFrame) -> _Batch:
    """An invariant over no judged row passes; here each one that is asked but was not wholly judged shows."""
    name = "all_evaluated"
    data = gates.filter(pl.col("gate").is_in(_ASKED)).select(pl.col("gate").cast(pl.Categorical)).to_pandas()
    expectation = gxe.ExpectColumnValuesToBeInSet(
        column="gate", value_set=["open"], severity=FailureSeverity.WARNING, meta={"name": name},
        description="Every invariant that is asked could be judged.",
    )  # fmt: skip
    return _Batch(
        "invariant_days", "invariant_days_invariants", data, [_Question(expectation, name, "invariant", "data")]
    )


def _ask(definition: BatchDefinition[Any], batch: _Batch) -> _Answers:
    suite = ExpectationSuite(name=batch.suite, expectations=[question.expectation for question in batch.questions])
    whole = definition.get_batch(batch_parameters={"dataframe": batch.frame})
    results = whole.validate(suite, result_format="BASIC").results
    by_name = {result.expectation_config.meta["name"]: result for result in results if result.expectation_config}
    return [(question, by_name[question.name]) for question in batch.questions]


def _refuse_crashes(suites: _Suites) -> None:
    crashes = [
        f"  {suite}.{question.name}: {message}"
        for (_, suite), answers in suites.items()
        for question, result in answers
        if (message := _crash(result.exception_info)) is not None
    ]
    if crashes:
        count = "1 expectation" if len(crashes) == 1 else f"{len(crashes)} expectations"
        msg = f"{count} crashed, a defect of this program that says nothing about the data; nothing was reported\n"
        raise CheckCrashedError(msg + "\n".join(crashes))


def _crash(info: Mapping[str, Any]) -> str | None:
    """The first line of what was raised. GX nests it under a metric's id where a metric crashed."""
    for told in (info, *(value for value in info.values() if isinstance(value, Mapping))):
        if told.get("raised_exception"):
            return str(told.get("exception_message")).strip().split("\n", 1)[0]
    return None


def _check(table: str, suite: str, question: _Question, result: ExpectationValidationResult) -> Check:
    told = result.result or {}
    return Check(
        table=table,
        suite=suite,
        kind=question.kind,
        name=question.name,
        is_success=bool(result.success),
        severity=question.severity,
        description=_claim(question, result),
        is_blocking=question.is_blocking,
        evaluated=_asked_rows(told),
        unexpected=int(told.get("unexpected_count") or 0),
        gate=question.gate,
    )


def _asked_rows(told: Mapping[str, Any]) -> int:
    """Rows that have a value. GX counts all, and gives percentages of these as if they were of all."""
    return int(told.get("element_count") or 0) - int(told.get("missing_count") or 0)


def _claim(question: _Question, result: ExpectationValidationResult) -> str:
    """The claim, and which columns are missing where that is what failed: their names are no personal data."""
    missing = (result.result or {}).get("details", {}).get("mismatched", {}).get("missing")
    claim = question.expectation.description or ""
    return f"{claim} Missing: {', '.join(missing)}." if missing else claim


class Page(DefaultJinjaPageView):
    """GX's pages in our dress: nothing is loaded from the network and no script runs."""

    _template = "page.j2"

    def __init__(self, suites: Mapping[str, Any], **folders: Any) -> None:
        super().__init__(**folders)
        self.env.globals["suites"] = suites
        ours, theirs = PackageLoader("journey_pipeline.invariants", "data_docs"), self.env.loader
        self.env.loader = ChoiceLoader([ours, theirs] if theirs else [ours])


def _write_docs(
    context: EphemeralDataContext, suites: _Suites, as_of: datetime, folder: Path, before: pl.DataFrame
) -> None:
    """Builds the site beside the folder and renames it over, so that a reader never sees half a site."""
    run = RunIdentifier(run_name=f"{as_of:%Y-%m-%d}", run_time=as_of)
    told: dict[str, Any] = {}
    for (table, suite), answers in suites.items():
        key = ValidationResultIdentifier(ExpectationSuiteIdentifier(suite), run, table)
        mine = before.filter(pl.col("suite") == suite, pl.col("day_on") < as_of.date()).sort("day_on")
        context.validation_results_store.set(key, _shown(table, suite, run, answers, mine))
        told[suite] = _told_of(table, suite, answers, mine)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as beside:
        built, old = Path(beside) / "new", Path(beside) / "old"
        _build_site(context, built, told)
        if folder.exists():
            folder.rename(old)
        built.rename(folder)


def _told_of(table: str, suite: str, answers: _Answers, before: pl.DataFrame) -> dict[str, Any]:
    """What our pages say of a suite beside GX's own: what it is about, and how the last days went."""
    kind = suite.removeprefix(f"{table}_").removesuffix("s")
    days = before.group_by("day_on", maintain_order=True).agg(pl.len(), failed=(~pl.col("is_success")).sum())
    failed = [question for question, result in answers if not result.success]
    return {
        "kind": kind, "table": table, "grain": TABLES[table].grain, "asks": _ASKS_OF[kind],
        "asked": len(answers), "failed": len(failed), "stops": sum(question.is_blocking for question in failed),
        "days": [{"day": f"{day:%Y-%m-%d}", "asked": asked, "failed": bad} for day, asked, bad in days.tail(_SHOWN_DAYS).iter_rows()],
    }  # fmt: skip


def _build_site(context: EphemeralDataContext, folder: Path, suites: Mapping[str, Any]) -> None:
    view = {"module_name": __name__, "class_name": Page.__name__, "suites": suites}
    pages = len(suites)
    site = SiteBuilder(
        data_context=context,
        store_backend={"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
        site_name="Journey Pipeline",
        show_how_to_buttons=False,
        site_index_builder={"class_name": "DefaultSiteIndexBuilder", "view": view},
        site_section_builders={"validations": {"view": view}, "expectations": "None", "profiling": "None"},
    )
    # Not `site.build()`: that copies fonts and pictures which our pages don't use.
    site.site_section_builders["validations"].build()
    site.site_index_builder.build()
    written = len(list(folder.glob("validations/**/*.html")))
    if written != pages:
        msg = f"Data Docs came out with {written} of {pages} pages; Great Expectations' log says why, the old ones stay"
        raise CheckCrashedError(msg)


def _shown(
    table: str, suite: str, run: RunIdentifier, answers: _Answers, before: pl.DataFrame
) -> ExpectationSuiteValidationResult:
    """The answers as Data Docs show them: failures first, counts and never a value of the data."""
    days = {str(name): part for (name,), part in before.partition_by("name", as_dict=True).items()}
    passed = sum(bool(result.success) for _, result in answers)
    return ExpectationSuiteValidationResult(
        success=passed == len(answers),
        results=[
            _without_values(*answer, days.get(answer[0].name, before.clear()))
            for answer in sorted(answers, key=lambda answer: bool(answer[1].success))
        ],
        suite_name=suite,
        statistics={
            "evaluated_expectations": len(answers),
            "successful_expectations": passed,
            "unsuccessful_expectations": len(answers) - passed,
            "success_percent": 100 * passed / len(answers),
        },
        meta={"run_id": run, "active_batch_definition": {"data_asset_name": table}},
    )


def _without_values(
    question: _Question, result: ExpectationValidationResult, before: pl.DataFrame
) -> ExpectationValidationResult:
    """GX shows of ours only the description, as the markup that it is: so that says who minds, how much, since when."""
    config = question.expectation.configuration
    minds = [question.severity, question.owner, *(["blocks"] if question.is_blocking else [])]
    if question.gate is not None:
        within = (question.expectation.meta or {}).get("within")
        minds += [*([f"within {within}"] if within and within != "0" else []), _GATES[question.gate]]
    if before["unexpected"].sum() or not before["is_success"].all():
        minds.append(
            "unexpected on the days before: " + ", ".join(f"{n:,}" for n in before["unexpected"].tail(_SHOWN_DAYS))
        )
    # An open `$` would start one of GX's own placeholders.
    claim = html.escape(_claim(question, result)).replace("$", "&#36;")
    config.description = f"{claim} <small>{html.escape(' · '.join(minds))} · <code>{question.name}</code></small>"
    said = (result.result or {}).items()
    told = {name: value for name, value in said if name in _TOLD and isinstance(value, int | float)}
    if "element_count" in told:
        told["element_count"] = _asked_rows(told)
    return ExpectationValidationResult(success=result.success, expectation_config=config, result=told)
