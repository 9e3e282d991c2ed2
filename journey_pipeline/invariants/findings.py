"""The life of a finding (docs/definitions.md, Findings): the rows of one day, and the fold of all days into the worklist.

A day's rows never change once the next day has begun; judging is evaluation's and verdicts'.
"""

from datetime import date

import polars as pl

from journey_pipeline.invariants import waivers
from journey_pipeline.invariants.evaluation import Evaluation, Judging, Tables
from journey_pipeline.invariants.sources import per_offer
from journey_pipeline.invariants.twins import prepared
from journey_pipeline.invariants.verdicts import needs
from journey_pipeline.model import Rule
from journey_pipeline.registry import KINDS, TABLES, TEXT

_IDENTITY = ("finding_id", "invariant", "subject", "person_id", "offer_id")
# Renewed by each day on which it is broken; kept as they were on any other.
_DETAILS = (
    "platform", "record_id", "url", "broken_since_at", "severity", "owner", "at_risk_minor", "at_risk_kind", "currency",
    "money_refs", "incident_id", "identity_confidence", "cause", "fix", "evidence", "evidence_refs",
)  # fmt: skip
_MONEY = ("at_risk_minor", "at_risk_kind", "currency", "money_refs")
_DAYS, _FINDINGS = TABLES["finding_days"].schema, TABLES["findings"].schema
_STRICTEST_FIRST = ("open", "reopened", "waived", "resolved")


def days(evaluation: Evaluation, previous: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """The rows of finding_days of one day: all that is broken, and the verdict of every finding not yet resolved.

    `previous` are the findings folded from the days before this one.
    """
    judging = evaluation.judging
    known = _moved(previous, judging, tables)
    unresolved = known.filter(pl.col("status") != "resolved")
    first_seen = unresolved.select("finding_id", was_broken_since_at="broken_since_at")
    moved = known.drop_nulls("moved_from").select("finding_id", "moved_from")
    broken = (
        evaluation.broken.join(first_seen, on="finding_id", how="left", validate="1:1")
        .with_columns(
            # Without a clock it counts as broken since the first run that saw it.
            broken_since_at=pl.coalesce("broken_since_at", "was_broken_since_at", pl.lit(judging.as_of)).cast(
                _DAYS["broken_since_at"]
            )
        )
        .join(moved, on="finding_id", how="left", validate="1:1")
        .select(_DAYS.names())
    )
    others = known.join(broken, on="finding_id", how="anti").filter(
        (pl.col("status") != "resolved") | pl.col("moved_from").is_not_null()
    )
    return pl.concat([broken, _of_others(others, judging, tables)]).sort("finding_id")


def replaced(finding_days: pl.DataFrame, day_rows: pl.DataFrame, day_on: date) -> pl.DataFrame:
    """All days with the rows of one day exchanged: what a rerun of that day leaves."""
    others = finding_days.filter(pl.col("day_on") != day_on).select(_DAYS.names())
    return pl.concat([others, day_rows.select(_DAYS.names())]).sort("day_on", "finding_id")


def fold_all(finding_days: pl.DataFrame) -> pl.DataFrame:
    """The findings that all days together make."""
    findings = pl.DataFrame(schema=_FINDINGS)
    for rows in finding_days.sort("day_on").partition_by("day_on", maintain_order=True):
        findings = fold(findings, rows)
    return findings


def fold(previous: pl.DataFrame, day_rows: pl.DataFrame) -> pl.DataFrame:
    """The findings after one more day."""
    before = _joined_by_moves(previous, day_rows)
    status, verdict = pl.col("status"), pl.col("verdict")
    is_new, resolved = status.is_null(), status.eq_missing(pl.lit("resolved"))
    broken, unknown = verdict.eq_missing(pl.lit("broken")), verdict.eq_missing(pl.lit("unknown"))
    by_waiver = verdict.eq_missing(pl.lit("excused")) & pl.col("verdict_reason").eq_missing(pl.lit("waived"))
    waived = by_waiver & ~resolved
    ends = ~(broken | unknown | by_waiver | resolved | is_new)
    day = day_rows.select(
        *_IDENTITY,
        "day_on",
        "verdict",
        "verdict_reason",
        "waived_until_on",
        *(pl.col(c).alias(f"new_{c}") for c in _DETAILS),
    )
    state = [c for c in _FINDINGS if c not in (*_IDENTITY, "waived_until_on")]
    after = (
        day.join(
            before.select("finding_id", *state, was_waived_until_on="waived_until_on"),
            on="finding_id",
            how="left",
            validate="1:1",
        )
        .filter(broken | ~is_new)
        .with_columns(
            status=pl.when(broken & (is_new | (status == "waived"))).then(pl.lit("open"))
            .when(broken & resolved).then(pl.lit("reopened"))
            .when(waived).then(pl.lit("waived"))
            .when(ends).then(pl.lit("resolved"))
            .otherwise("status"),
            first_seen_on=pl.coalesce("first_seen_on", "day_on"),
            last_seen_on=pl.when(broken).then("day_on").otherwise("last_seen_on"),
            resolved_on=pl.when(ends).then("day_on").when(~broken).then("resolved_on"),
            resolution=pl.when(ends).then(_resolution()).when(~broken).then("resolution"),
            reopened_count=pl.col("reopened_count").fill_null(0) + (broken & resolved),
            unknown_days=pl.col("unknown_days").fill_null(0) + unknown,
            waived_until_on=pl.when(waived).then("waived_until_on")
            .when(~(broken | ends)).then("was_waived_until_on"),
            **{c: pl.when(broken).then(f"new_{c}").otherwise(c) for c in _DETAILS},
        )
        .select(_FINDINGS.names())
        .cast(_FINDINGS)
    )  # fmt: skip
    return pl.concat([before.join(day, on="finding_id", how="anti"), after]).sort("finding_id")


def _resolution() -> pl.Expr:
    """`holds`, `excused:refunded`, `gone` …; `null` where the rule no longer speaks of it."""
    verdict, reason = pl.col("verdict"), pl.col("verdict_reason")
    return (
        pl.when(verdict.is_not_null() & reason.is_not_null()).then(pl.concat_str(verdict, reason, separator=":"))
        .otherwise(pl.coalesce(verdict, reason, pl.lit("null")))
    )  # fmt: skip


def _joined_by_moves(previous: pl.DataFrame, day_rows: pl.DataFrame) -> pl.DataFrame:
    """Findings under the id that they have today. Of two that become one, the stricter state and the earlier day."""
    moves = (
        day_rows.drop_nulls("moved_from")
        .select("finding_id", was=pl.col("moved_from").str.split(","))
        .explode("was")
        .rename({"finding_id": "to"})
    )
    if moves.is_empty():
        return previous.select(_FINDINGS.names())
    concerned = previous.join(moves, left_on="finding_id", right_on="was", how="left")
    return _united(concerned.with_columns(finding_id=pl.coalesce("to", "finding_id"))).select(_FINDINGS.names())


def _united(findings: pl.DataFrame) -> pl.DataFrame:
    """Findings that have come to bear one id as one: the stricter state, the earlier first day."""
    strictness = pl.col("status").replace_strict(
        list(_STRICTEST_FIRST), list(range(len(_STRICTEST_FIRST))), return_dtype=pl.Int8
    )
    united = {
        "first_seen_on": pl.col("first_seen_on").min(),
        **{c: pl.col(c).max() for c in ("last_seen_on", "reopened_count", "unknown_days")},
    }
    if "moved_from" in findings.columns:
        was = pl.col("moved_from").drop_nulls().sort()
        united["moved_from"] = pl.when(was.len() > 0).then(was.str.join(","))
    return (
        findings.sort(strictness, "first_seen_on", "subject")
        .group_by("finding_id", maintain_order=True)
        .agg(pl.exclude("finding_id", *united).first(), **united)
    )


def _moved(previous: pl.DataFrame, judging: Judging, tables: Tables) -> pl.DataFrame:
    """The findings under the person they belong to today; `moved_from` are the ids that they had yesterday."""
    changes = judging.changes.filter(pl.col("day_on") == judging.day_on)
    of_people = pl.col("subject").str.contains("^(person|journey):")
    concerned = previous.filter(of_people & pl.col("person_id").is_in(changes["from_person_id"].implode()))
    if concerned.is_empty():
        return previous.select(_FINDINGS.names()).with_columns(moved_from=pl.lit(None, dtype=TEXT))
    holder = pl.col("holder")
    moved = (
        concerned.join(_holders(concerned, changes, tables), on="finding_id", how="inner", validate="1:1")
        .filter(holder != pl.col("person_id"))
        .with_columns(person_id=holder)
        .with_columns(
            subject=pl.when(pl.col("subject").str.starts_with("person:"))
            .then(waivers.subject("people"))
            .otherwise(waivers.subject("buyer_journeys")),
            moved_from="finding_id",
        )
        .with_columns(
            finding_id=pl.concat_str("invariant", "subject", separator="|").map_batches(
                waivers.hashed, return_dtype=TEXT
            )
        )
    )
    stayed = previous.join(moved, left_on="finding_id", right_on="moved_from", how="anti")
    return _united(pl.concat([stayed, moved], how="diagonal").select(*_FINDINGS, "moved_from"))


def _holders(concerned: pl.DataFrame, changes: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """(finding_id, holder): who has most of a finding's evidence; a person that merged whole needs no looking up."""
    merged = (
        changes.group_by("from_person_id")
        .agg(pl.col("to_person_id").first(), is_whole=(pl.col("change") == "merge").all() & (pl.len() == 1))
        .filter("is_whole")
    )
    whole = concerned.join(merged, left_on="person_id", right_on="from_person_id").select(
        "finding_id", holder="to_person_id"
    )
    people = pl.concat([changes["from_person_id"], changes["to_person_id"]]).unique()
    owners = [
        tables[kind]
        .filter(pl.col("person_id").is_in(people.implode()))
        .select(ref=pl.concat_str("platform", "record_id", separator=":"), holder="person_id")
        for kind in KINDS
        if kind in tables and "person_id" in KINDS[kind].schema
    ]
    shared_out = concerned.join(whole, on="finding_id", how="anti").select("finding_id", ref="evidence_refs")
    if shared_out.is_empty() or not owners:
        return whole
    held = (
        shared_out.explode("ref")
        .join(pl.concat(owners).unique().collect(), on="ref")
        .group_by("finding_id", "holder")
        .len()
        .sort("finding_id", "len", "holder", descending=[False, True, False])
        .unique("finding_id", keep="first", maintain_order=True)
    )
    return pl.concat([whole, held.select("finding_id", "holder")])


def _of_others(others: pl.DataFrame, judging: Judging, tables: Tables) -> pl.DataFrame:
    """Today's verdict of findings that aren't broken today."""
    carried = [c for c in (*_IDENTITY, *_DETAILS, "moved_from") if c not in _MONEY]
    subjects = _subjects_today(others, judging, tables)
    days_rows = [pl.DataFrame(schema=_DAYS)]
    for (name,), group in others.partition_by("invariant", as_dict=True, maintain_order=True).items():
        rule = judging.rules.get(str(name))
        gate = judging.gate(rule)[0] if rule else "gone"
        if rule and gate == "open":
            today = _todays_verdicts(rule, group, subjects[rule.on], judging)
        else:
            today = group.select("finding_id", verdict_reason=pl.lit(gate))
        # A finding that was resolved before it moved is only carried over.
        is_carried = pl.col("status") == "resolved"
        days_rows.append(
            group.select(*carried, "status")
            .join(today, on="finding_id", how="left", validate="1:1")
            .with_columns(pl.when(~is_carried).then(pl.col(c)).alias(c) for c in today.columns if c != "finding_id")
            .with_columns(day_on=pl.lit(judging.day_on))
        )
    return pl.concat(days_rows, how="diagonal").select(_DAYS.names())


def _subjects_today(others: pl.DataFrame, judging: Judging, tables: Tables) -> dict[str, pl.DataFrame]:
    """Table by table, the rows that the findings are about."""
    on = {name: rule.on for name, rule in judging.rules.items()}
    by_table = others.with_columns(on=pl.col("invariant").replace_strict(on, default=None, return_dtype=TEXT))
    return {
        str(table): _rows_of(str(table), group, prepared(str(table), tables)).collect()
        for (table,), group in by_table.drop_nulls("on").partition_by("on", as_dict=True).items()
    }


def _rows_of(table: str, findings: pl.DataFrame, rows: pl.LazyFrame) -> pl.LazyFrame:
    """The rows that the findings are about."""
    if table in ("people", "buyer_journeys"):
        key = TABLES[table].key
        return rows.join(findings.select(key).unique().lazy(), on=key, how="semi", nulls_equal=True)
    return rows.filter(waivers.subject(table).is_in(findings["subject"].unique().implode()))


def _todays_verdicts(rule: Rule, group: pl.DataFrame, rows: pl.DataFrame, judging: Judging) -> pl.DataFrame:
    judged = judging.judge(rule, rows.lazy()).collect().with_row_index("row")
    until = judging.waivers.covering(rule, judged.filter(pl.col("verdict_reason") == "waived"))
    found = judged.join(until, on="row", how="left", validate="1:1").select(
        pl.col("verdict").cast(TEXT), "verdict_reason", subject=waivers.subject(rule.on), waived_until_on="until_on",
        is_there=pl.lit(value=True),
    )  # fmt: skip
    # A row that is no longer there is gone, unless the source that told of it is silent.
    firm = [kind for kind in needs(rule) if not kind.startswith("(")]
    silent = {o: judging.sources.need(firm, (), o).reason for o in (None, *judging.sources.offers)}
    silent = dict.fromkeys(silent) if rule.never_unknown else silent
    reason = per_offer(silent, TEXT, has_offer=not rule.every_source)
    is_gone = pl.col("is_there").is_null()
    return group.select("finding_id", "subject", "offer_id").join(found, on="subject", how="left").select(
        "finding_id",
        "waived_until_on",
        verdict=pl.when(is_gone & reason.is_not_null()).then(pl.lit("unknown")).otherwise("verdict"),
        verdict_reason=pl.when(is_gone).then(pl.coalesce(reason, pl.lit("gone"))).otherwise("verdict_reason"),
    )  # fmt: skip
