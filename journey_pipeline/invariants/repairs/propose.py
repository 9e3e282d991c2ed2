"""The list of repairs of one day: what plan.yaml wants for each broken row, what the guards say, what waits for what.

A repair that a guard forbids is listed for review, with the guard's sentence. Only what is broken today has repairs.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import polars as pl
from ruamel.yaml import YAML

from journey_pipeline.expressions import spelled
from journey_pipeline.invariants.evaluation import Judging
from journey_pipeline.invariants.repairs import actions, guards
from journey_pipeline.invariants.repairs.held import Held
from journey_pipeline.invariants.waivers import hashed
from journey_pipeline.registry import INT, TABLES, TEXT, TEXTS

_PLAN = pl.Schema({"invariant": TEXT, "order": INT, "wanted_action": TEXT, "of": TEXT, "purpose": TEXT})
_REPAIRS = TABLES["repairs"].schema
_FORMS = ("form", "host", "campaign")  # factors that tell of a form rather than of a connector
# What there is to take away of, for each action that takes: the open base of guard 12.
_BASES = {
    "revoke_access": ("access", pl.col("is_open")),
    "cancel_subscription": ("subscriptions", pl.col("is_live")),
    "refund_payment": ("payments", pl.col("net_minor") > 0),
    "merge_contacts": ("contacts", pl.col("merged_into").is_null()),
    "suppress_address": ("consents", pl.col("state") == "subscribed"),
}
_FEW = 3  # repairs that somebody can look at one by one, however small the business


@cache
def plan() -> pl.DataFrame:
    """invariant, order, wanted_action, of, purpose: what plan.yaml says."""
    said = YAML(typ="safe", pure=True).load(Path(__file__).with_name("plan.yaml"))
    rows = [
        (invariant, order, step["action"], step["of"], step.get("purpose"))
        for invariant, steps in said.items()
        for order, step in enumerate(steps)
    ]
    return pl.DataFrame(rows, schema=_PLAN, orient="row")


def proposed(
    day_rows: pl.DataFrame, incidents: pl.DataFrame, tables: Mapping[str, pl.LazyFrame], judging: Judging
) -> pl.DataFrame:
    """The table `repairs`. `day_rows`: the day's rows of finding_days, with their incident."""
    findings = day_rows.filter(pl.col("verdict") == "broken").sort("finding_id")
    held = Held(findings, tables, judging)
    found = _limited(guards.asked(actions.targeted(_wanted(findings), held), held), held)
    of_findings = found.with_columns(
        step=pl.col("order") + 1,
        action=pl.when(pl.col("held_because").is_not_null()).then(pl.lit("review")).otherwise("wanted_action"),
        is_held=pl.col("held_because").is_not_null(),
        target_url=pl.coalesce("target_url", "url"),
    )
    first = _of_incidents(incidents, judging)
    return _together(of_findings, first)


def _wanted(findings: pl.DataFrame) -> pl.DataFrame:
    """What is to be done for each finding; a look by a person where the plan knows nothing."""
    by_hand = {"order": pl.lit(0, dtype=pl.Int64), "wanted_action": pl.lit("review"), "of": pl.lit("record")}
    planned = findings.join(plan(), on="invariant", how="inner", maintain_order="left")
    others = findings.join(plan(), on="invariant", how="anti", maintain_order="left")
    others = others.with_columns(**by_hand, purpose=pl.lit(None, dtype=TEXT))
    return pl.concat([planned, others]).sort("finding_id", "order").with_row_index("wish")


def _limited(repairs: pl.DataFrame, held: Held) -> pl.DataFrame:
    """Guard 12: a wrong mapping must not read as a revocation list."""
    most, share = held.thresholds.repairs_ceiling, held.thresholds.repairs_share
    counts = repairs.filter(pl.col("held_because").is_null()).group_by("wanted_action").len()
    why = {}
    for action, count in counts.filter(pl.col("wanted_action").is_in(list(_BASES))).sort("wanted_action").iter_rows():
        base = held.count(*_BASES[action])
        if count > most or (count > _FEW and count > share * base):
            why[action] = f"{count:,} of {base:,} at once: more than a person would believe. See first what they share."
    reason = pl.col("wanted_action").replace_strict(list(why), list(why.values()), default=None, return_dtype=TEXT)
    said = pl.when(pl.col("wanted_action").is_in(list(_BASES))).then(
        pl.concat_str(pl.lit("how many: "), reason.fill_null("passed"))
    )
    both = pl.concat_list("guards", pl.concat_list(said).list.drop_nulls())
    return repairs.with_columns(guards=both, held_because=pl.coalesce("held_because", reason))


def _of_incidents(incidents: pl.DataFrame, judging: Judging) -> pl.DataFrame:
    """One repair of the cause of each incident that is large: its findings' own wait behind it."""
    large = incidents.filter(
        (pl.col("status") == "open") & (pl.col("finding_count") >= judging.settings.thresholds.incident_repairs)
    )
    first = pl.col("factor").str.split(", ").list.first()
    is_mapping = (pl.col("invariant") == "product_has_offer") | (pl.col("cause") == "unmapped")
    is_mapping |= (pl.col("cause") == "never_worked") & pl.col("factor").str.contains("offer")
    action = (
        pl.when(is_mapping).then(pl.lit("map_product"))
        .when(first.is_in(_FORMS)).then(pl.lit("fix_form"))
        .otherwise(pl.lit("replay_event"))
    )  # fmt: skip
    todo = {
        "map_product": "Look at how {} is mapped in journey.yaml: it is behind {} findings. {}.",
        "fix_form": "Send a test through {} and mend it: it is behind {} findings. {}.",
        "replay_event": "Find out what stopped at {} and send its events again: it is behind {} findings. {}.",
    }
    value = pl.coalesce("factor_value", pl.lit("that time"))
    sentence = pl.coalesce(
        pl.when(pl.col("action") == name).then(spelled(text, value, pl.col("finding_count").cast(TEXT), "sentence"))
        for name, text in todo.items()
    )
    place = pl.col("factor_value").str.split(", ").list.first()
    return (
        large.with_columns(action=action)
        .with_columns(sentence=sentence, wanted_action="action")
        .with_columns(
            finding_id=pl.lit(None, dtype=TEXT),
            target_platform=pl.when(first.is_in(["source", "target"])).then(place),
            new_value="factor_value",
            step=pl.lit(1, dtype=INT),
            is_held=pl.lit(value=False),
            guards=pl.lit([], dtype=TEXTS),
            repair_id=pl.concat_str(pl.lit("incident"), "incident_id", "action", separator="|").map_batches(
                hashed, return_dtype=TEXT
            ),
        )
        .select(c for c in (*_REPAIRS,) if c not in _OF_FINDINGS)
    )


_OF_FINDINGS = (
    "person_id",
    "offer_id",
    "target_ref",
    "amount_minor",
    "currency",
    "held_because",
    "behind_repair_id",
    "url",
)


def _together(of_findings: pl.DataFrame, first: pl.DataFrame) -> pl.DataFrame:
    named = ("finding_id", "wanted_action", "target_platform", "target_ref", "new_value")
    identity = pl.concat_str([pl.col(c).fill_null("") for c in named], separator="|")
    behind = first.select("incident_id", behind_repair_id="repair_id")
    waits = pl.col("behind_repair_id").is_not_null()
    mine = (
        of_findings.with_columns(repair_id=identity.map_batches(hashed, return_dtype=TEXT))
        .join(behind, on="incident_id", how="left", validate="m:1", maintain_order="left")
        .with_columns(
            held_because=pl.coalesce(
                "held_because", pl.when(waits).then(pl.lit("The cause of its incident comes first."))
            ),
            is_held=pl.col("is_held") | waits,
            currency=pl.when(pl.col("amount_minor").is_not_null()).then("amount_currency"),
            url="target_url",
        )
        .select(_REPAIRS.names())
    )
    rest = first.with_columns(pl.lit(None, dtype=_REPAIRS[c]).alias(c) for c in _OF_FINDINGS).select(_REPAIRS.names())
    return pl.concat([rest, mine]).unique("repair_id", keep="first", maintain_order=True).sort("repair_id")
