"""The page: one self-contained HTML file for whoever asks at nine in the morning what broke overnight.

It names people by `person_id` only. Figures come from figures.py, words from words.py, looks from page.html and page.css.
"""

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from journey_pipeline.model import Business, Offer, Rule
from journey_pipeline.report import figures, words
from journey_pipeline.report.figures import RuleState, Totals

PER_RULE = 12
"""Findings of one rule that an owner's list shows: enough to see the pattern, too few to crowd out another rule."""

REASONS = 25
"""Lines of unreadable rows: a reason that quotes the value has as many lines as there are values."""

_HERE = Path(__file__).parent
_SURE = 0.95  # below, nobody should lose anything without a look, and the reader is told (docs/definitions.md, Durations and constants)


@dataclass(frozen=True)
class Batch:
    """Findings with one cause and one fix, which are said once."""

    cause: str
    fix: str
    findings: list[dict[str, Any]]


@dataclass(frozen=True)
class Group:
    """The findings of one rule in an owner's list; the first of them are shown."""

    rule: RuleState
    count: int
    totals: Totals
    batches: list[Batch]

    @property
    def shown(self) -> int:
        return sum(len(batch.findings) for batch in self.batches)


@dataclass(frozen=True)
class Owner:
    name: str
    count: int
    new: int
    totals: Totals
    groups: list[Group]

    @property
    def shown(self) -> int:
        return sum(group.shown for group in self.groups)


def write(
    tables: Mapping[str, pl.LazyFrame],
    *,
    business: Business,
    offers: Sequence[Offer] = (),
    rules: Sequence[Rule] = (),
    as_of: datetime,
    target: Path,
) -> None:
    """Write the page, whole or not at all. The same tables and `as_of` give the same bytes."""
    put(render(tables, business=business, offers=offers, rules=rules, as_of=as_of), target)


def put(page: str, target: Path) -> None:
    """Write a file, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.writing")
    with aside.open("w", encoding="utf-8") as stream:
        stream.write(page)
        stream.flush()
        os.fsync(stream.fileno())
    aside.replace(target)


def render(
    tables: Mapping[str, pl.LazyFrame],
    *,
    business: Business,
    offers: Sequence[Offer],
    rules: Sequence[Rule],
    as_of: datetime,
) -> str:
    """The page as text."""
    home, zone = business.currency, business.zone
    today = figures.today(as_of, zone)
    findings, waived = figures.open_findings(tables, today, home), figures.waived(tables)
    states = figures.rule_states(tables, rules, findings, today, home)
    sources, resolved = figures.sources(tables), figures.resolved(tables, today)
    whole = [s for s in states if not s.open and s.gate == "open"]
    unjudged = [s for s in states if s.gate in ("closed", "partial")]
    untrusted = [s for s in sources if s["status"] != "fresh"]
    totals, new = figures.totals(findings, home), findings.filter(figures.is_new(today)).height
    return _environment(as_of, business, offers).get_template("page.html").render(
        business=business,
        as_of=as_of.astimezone(zone),
        headline=words.headline(
            broken=findings.height, new=new, at_risk=words.amounts(totals.at_risk),
            is_judged=bool(states), is_whole=not unjudged and not untrusted,
        ),
        is_calm=not findings.height and states and not unjudged and not untrusted,
        kinds=figures.by_kind(findings, home),
        open=findings.height,
        new=new,
        reopened=findings.filter(pl.col("status") == "reopened").height,
        waived=waived.height,
        waived_totals=figures.totals(waived, home),
        resolved=resolved,
        resolved_count=sum(row["count"] for row in resolved),
        stories=figures.stories(tables, findings, home),
        broken=[s for s in states if s.open],
        unjudged=unjudged,
        unasked=[s for s in states if s.gate in ("not_covered", "off")],
        whole=whole,
        claims={s.name: s.claim or words.plain(s.name) for s in states} | {r.name: r.claim for r in rules if r.claim},
        owners=_owners(findings, states, today, home),
        funnel=figures.funnel(tables),
        offers=figures.offers(tables),
        sources=sources,
        untrusted=untrusted,
        rejected=(rejected := figures.rejected(tables))[:REASONS],
        rejected_beyond=rejected[REASONS:],
        css=(css := _text("page.css")),
        css_hash=content_hash(css),
        script=(script := _text("page.js")),
        script_hash=content_hash(script),
    )  # fmt: skip


def _owners(findings: pl.DataFrame, states: list[RuleState], today: date, home: str) -> list[Owner]:
    """Each team's list: those with the gravest finding first, then the longest."""
    rank = {state.name: i for i, state in enumerate(states)}
    owners = []
    for (owner,), mine in findings.partition_by("owner", as_dict=True, maintain_order=True).items():
        parts = mine.partition_by("invariant", as_dict=True, maintain_order=True)
        groups = [_group(states[rank[name]], part, home) for (name,), part in parts.items()]
        groups.sort(key=lambda group: rank[group.rule.name])
        new = mine.filter(figures.is_new(today)).height
        owners.append(Owner(owner or "nobody", mine.height, new, figures.totals(mine, home), groups))
    return sorted(owners, key=lambda o: (figures.gravity(o.groups[0].rule.severity), -o.count, o.name))


def _group(rule: RuleState, findings: pl.DataFrame, home: str) -> Group:
    shown = findings.head(PER_RULE).partition_by("cause", "fix", as_dict=True, maintain_order=True)
    batches = [Batch(cause, fix, part.to_dicts()) for (cause, fix), part in shown.items()]
    return Group(rule, findings.height, figures.totals(findings, home), batches)


def _environment(as_of: datetime, business: Business, offers: Sequence[Offer]) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        finalize=words.private,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = {offer.id: offer.name for offer in offers}
    today = figures.today(as_of, business.zone)
    environment.globals |= {
        "count": words.count,
        "share": words.share,
        "sure": _SURE,
        "cause": words.cause,
        "resolution": words.resolution,
        "ago": lambda when: words.lasting(as_of - when),
    }
    environment.filters |= {
        "day": partial(words.day, today=today),
        "moment": partial(words.moment, as_of=as_of, zone=business.zone),
        "money": words.amounts,
        "amount": words.money,
        "plain": words.plain,
        "team": words.team,
        "link": words.link,
        "offer": lambda offer_id: names.get(offer_id, offer_id),
    }
    return environment


def _text(name: str) -> str:
    return (_HERE / name).read_text("utf-8")


def content_hash(text: str) -> str:
    """What the page's own policy lets run: these very bytes and nothing that data could smuggle in."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
