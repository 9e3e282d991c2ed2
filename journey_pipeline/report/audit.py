"""The systems audit: what no platform tells of, what can't be judged, what no offer knows, who is never recognised.

Facts as lines, from the tables of the last run; looks are audit_page's and the command's. Nobody is named: lines speak
of platforms, rules, offers, products and counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from typing import Literal

import polars as pl

from journey_pipeline import platforms
from journey_pipeline.invariants import verdicts
from journey_pipeline.model import Offer, Rule, Settings
from journey_pipeline.registry import KINDS
from journey_pipeline.report import words
from journey_pipeline.report.figures import Frames, frame

Mark = Literal["gap", "note", "right"]
Says = Mapping[str, Sequence[tuple[str, str]]]

PARTS: Mapping[str, tuple[str, str]] = {
    "journey": ("Parts of the journey", "Which platform tells of each part of a buyer's way. Where none does, nothing can be found there."),
    "kinds": ("Kinds of record", "What the platforms tell between them, and what can't be judged where none does."),
    "rules": ("Rules", "Whether each rule could be judged in the last run."),
    "offers": ("Offers", "Whether what journey.yaml says of each offer was ever seen: what buys it, what it grants, its welcome, its price."),
    "products": ("Products without an offer", "What was paid for or opened to somebody, and stands in no offer: no rule of delivery speaks of it."),
    "pairs": ("Systems that know the same people", "How many people each two systems share, and by which keys. A key that both have and that never matches is spelled differently, or belongs to different people."),
    "sources": ("Sources", "How fresh and how whole each list was at the last run, and how far back it tells."),
}  # fmt: skip
"""Part of the audit -> its title, and what it is about."""

# What a platform that the user maps (files, a database, sheets) tells of, where it says one of these kinds.
_TOLD_BY: Mapping[str, tuple[str, ...]] = {
    "ads and social": ("spend",),
    "web analytics": ("touchpoints",),
    "lead forms": ("leads",),
    "CRM": ("contacts", "deals"),
    "booking and calls": ("bookings",),
    "proposals and contracts": ("agreements",),
    "checkout and payments": ("payments", "subscriptions"),
    "courses, memberships, community": ("access",),
    "e-mail and follow-up": ("messages", "consents"),
    "team notifications": ("notifications",),
    "support": ("tickets",),
    "surveys": ("surveys",),
    "spreadsheets and reports": ("reported",),
}
_RECENT = timedelta(days=90)
_BY_CHANCE = (
    3  # people whom two systems would share if each knew its own at random: below, sharing nobody proves nothing
)
_FEW = 0.25  # of those: fewer are worth a look
_BOTH = 5  # people who have a kind of key in both systems: fewer prove nothing
_SHOWN = 6  # names in one sentence


@dataclass(frozen=True)
class Line:
    """One fact. `gap`: something is missing or can't be told; `note`: worth a look; `right`: as it should be."""

    part: str
    subject: str
    mark: Mark
    said: str
    todo: str = ""
    count: int | None = None
    amount_minor: int | None = None
    currency: str | None = None


def lines(tables: Frames, *, settings: Settings, rules: Sequence[Rule], says: Says, as_of: datetime) -> Iterator[Line]:
    """All facts, part by part; within a part the gaps first."""
    found = [
        *_journey(settings, says, rules), *_kinds(tables, says, rules), *_rules(tables), *_offers(tables, settings, as_of),
        *_products(tables), *_pairs(tables), *_sources(tables, settings, as_of),
    ]  # fmt: skip
    order = list(PARTS)
    yield from sorted(found, key=lambda line: (order.index(line.part), ("gap", "note", "right").index(line.mark)))


def _journey(settings: Settings, says: Says, rules: Sequence[Rule]) -> Iterator[Line]:
    kind_of = {name: str(options.get("type", name)) for name, options in settings.platforms.items()}
    for part, vendors in platforms.PARTS.items():
        told = {platform for kind in _TOLD_BY.get(part, ()) for platform, _ in says.get(kind, ())}
        mapped = {name for name in told if kind_of.get(name) in ("files", "database", "google_sheets")}
        cover = sorted({name for name, kind in kind_of.items() if kind in vendors} | mapped)
        if cover:
            yield Line("journey", part, "right", words.listed(cover), count=len(cover))
            continue
        unsaid = [kind for kind in _TOLD_BY.get(part, ()) if not says.get(kind)]
        lost = [rule.name for rule in rules if set(unsaid) & set(_firm(rule))]
        said = "no platform" + (f": {words.count(len(lost), 'rule')} can't be judged" if lost else "")
        todo = f"Connect one ({words.listed(list(vendors))}), or map its exports: type files."
        yield Line("journey", part, "gap" if lost else "note", said, todo, count=len(lost))


def _kinds(tables: Frames, says: Says, rules: Sequence[Rule]) -> Iterator[Line]:
    for kind in KINDS:
        told = sorted({platform for platform, _ in says.get(kind, ())})
        need = [rule.name for rule in rules if kind in _firm(rule)]
        if told:
            count = frame(tables, kind).select(pl.len()).collect().item()
            said = f"{words.count(count, 'record')}, from {words.listed(told)}"
            todo = "" if count else "Nothing of it was ever read: journey doctor says whether the list answers."
            yield Line("kinds", kind, "right" if count else "note", said, todo, count=count)
        else:
            names = f": {_some(need)} can't be judged" if need else "; no rule needs it"
            yield Line("kinds", kind, "gap" if need else "note", f"no platform says it{names}", count=len(need))


def _firm(rule: Rule) -> list[str]:
    """The kinds without which a rule can't be asked at all."""
    return [] if rule.never_unknown else [kind for kind in verdicts.needs(rule) if not kind.startswith("(")]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _rules(tables: Frames) -> Iterator[Line]:
    days = frame(tables, "invariant_days")
    newest = days.filter(pl.col("day_on") == pl.col("day_on").max()).sort("invariant").collect()
    judged = newest.group_by("invariant", maintain_order=True).agg(
        pl.col("gate", "gate_reason").first(), pl.col("evaluated", "unknown").sum()
    )
    marks: Mapping[str, Mark] = {"not_covered": "gap", "closed": "gap", "partial": "note", "off": "note"}
    todos = {
        "not_covered": "Connect a platform that says it.", "closed": "Mend the source: journey doctor.",
        "partial": "Mend the source, or say who is who: journey doctor, journey links.",
    }  # fmt: skip
    for row in judged.iter_rows(named=True):
        gate, why = row["gate"], f": {row['gate_reason']}" if row["gate_reason"] else ""
        cases = f"{words.count(row['evaluated'], 'case')} judged"
        said = {
            "not_covered": f"not asked{why}", "off": f"switched off{why}", "closed": f"could not be judged{why}",
            "partial": f"{cases}, {row['unknown']:,} could not be{why}",
        }.get(gate, cases)  # fmt: skip
        yield Line("rules", row["invariant"], marks.get(gate, "right"), said, todos.get(gate, ""), row["evaluated"])


def _offers(tables: Frames, settings: Settings, as_of: datetime) -> Iterator[Line]:
    bought = {*_seen(tables, "payments", "product_ref"), *_seen(tables, "subscriptions", "product_ref")}
    granted, mailed = _seen(tables, "access", "product_ref"), _seen(tables, "messages", "template_ref")
    prices = _prices(tables, as_of)
    for offer in settings.offers:
        gaps = [
            *([] if offer.bought_as else ["nothing buys it: no sale of it is recognised"]),
            *(f"{ref} was never bought" for ref in offer.bought_as if ref not in bought),
            *(
                f"{ref} was never granted to anybody"
                for ref in offer.grants
                if ref not in granted and not _is_ahead(offer, as_of)
            ),
            *(f"its welcome {ref} was never sent" for ref in offer.welcome if ref not in mailed),
        ]
        notes = [
            *([] if offer.grants else ["it grants nothing: nobody's access to it is judged"]),
            *([] if offer.welcome else ["it has no welcome: nobody is expected to get one"]),
            *_price(offer, prices),
        ]
        for said in gaps:
            yield Line(
                "offers", offer.id, "gap", said, f"Correct it in journey.yaml, offers: {offer.id}, unless it is new."
            )
        for said in notes:
            yield Line("offers", offer.id, "note", said, f"journey.yaml, offers: {offer.id}, if that is not meant.")
        if not gaps and not notes:
            yield Line("offers", offer.id, "right", "all that is said of it was seen")


def _is_ahead(offer: Offer, as_of: datetime) -> bool:
    """Nobody is let in before it opens."""
    return offer.opens_on is not None and offer.opens_on > as_of.date()


def _seen(tables: Frames, kind: str, column: str) -> set[str]:
    return set(frame(tables, kind).select(pl.col(column).drop_nulls().unique()).collect().to_series())


def _prices(tables: Frames, as_of: datetime) -> pl.DataFrame:
    """What was paid for each offer of late, the commonest amount first."""
    recent = pl.col("occurred_at") > as_of - _RECENT
    paid = _sales(tables).filter(recent, ~pl.col("is_renewal").fill_null(value=False))
    return (
        paid.group_by("offer_id", "currency", "amount_minor")
        .len()
        .sort("len", "amount_minor", descending=True)
        .collect()
    )


def _sales(tables: Frames) -> pl.LazyFrame:
    return frame(tables, "payments").filter(pl.col("is_primary"), pl.col("status") == "succeeded")


def _price(offer: Offer, prices: pl.DataFrame) -> Iterator[str]:
    if offer.price is None:
        yield "it has no price: what is paid for it is compared with nothing"
        return
    paid = prices.filter(pl.col("offer_id") == offer.id, pl.col("currency") == offer.price.currency)
    if paid.height and offer.price.amount_minor not in paid["amount_minor"]:
        price, usual = (
            words.money(m, offer.price.currency) for m in (offer.price.amount_minor, paid["amount_minor"][0])
        )
        yield f"its price, {price}, was not paid once in {_RECENT.days} days; most paid {usual}"


def _products(tables: Frames) -> Iterator[Line]:
    ignored = frame(tables, "products").filter(pl.col("is_ignored")).select("product_ref")
    unknown = pl.col("offer_id").is_null()
    sold = _sales(tables).filter(unknown).join(ignored, on="product_ref", how="anti")
    sums = sold.group_by("product_ref", "currency").agg(
        pl.len(), pl.col("person_id").n_unique().alias("people"), pl.col("net_minor").sum()
    )
    todo = "Add it to an offer (bought_as), or to ignore_products."
    for row in sums.sort("net_minor", descending=True).collect().iter_rows(named=True):
        subject = row["product_ref"] or "no product"
        said = f"{words.count(row['len'], 'payment')} by {words.count(row['people'], 'person', 'people')}"
        told = todo if row["product_ref"] else "Let the shop name the product on its payments."
        kept = words.money(row["net_minor"], row["currency"])
        yield Line(
            "products", subject, "gap", f"{said}, {kept} kept", told, row["len"], row["net_minor"], row["currency"]
        )
    opened = frame(tables, "access").filter(unknown & pl.col("is_open")).join(ignored, on="product_ref", how="anti")
    held = opened.group_by("product_ref").len().sort("len", "product_ref", descending=True).collect()
    for ref, count in held.iter_rows():
        said = f"open to {words.count(count, 'person', 'people')}"
        yield Line(
            "products", ref or "no product", "note", said, "Add it to an offer (grants), or to ignore_products.", count
        )


def _pairs(tables: Frames) -> Iterator[Line]:
    kind = pl.col("key").str.split(":").list.first()
    # A twin is a likeness that we saw, not a key that a system holds.
    keys = frame(tables, "person_keys").filter(pl.col("platform").is_not_null(), kind != "twin")
    borne = keys.select("platform", "person_id", "key", kind=kind).unique()
    people = dict(borne.group_by("platform").agg(pl.col("person_id").n_unique()).collect().iter_rows())
    everybody = borne.select(pl.col("person_id").n_unique()).collect().item()
    shared = _meeting(borne.select("platform", "person_id").unique(), ["person_id"], [])
    both = _meeting(borne.select("platform", "person_id", "kind").unique(), ["person_id", "kind"], ["kind"])
    same = _meeting(borne, ["person_id", "key", "kind"], ["kind"])
    kinds = {row[2] for row in both}
    for one, other in combinations(sorted(people), 2):
        fewer, count = min(people[one], people[other]), shared.get((one, other), 0)
        have = {kind: both.get((one, other, kind), 0) for kind in kinds}
        match = {kind: same.get((one, other, kind), 0) for kind in kinds}
        by_chance = people[one] * people[other] / everybody
        yield _pair(f"{one} and {other}", fewer=fewer, by_chance=by_chance, count=count, have=have, match=match)


def _meeting(frame: pl.LazyFrame, on: Sequence[str], by: Sequence[str]) -> dict[tuple[str, ...], int]:
    """How many people two platforms have together: (one, other, …`by`) -> people."""
    met = frame.join(frame, on=list(on), suffix="_2").filter(pl.col("platform") < pl.col("platform_2"))
    counted = met.group_by("platform", "platform_2", *by).agg(pl.col("person_id").n_unique()).collect()
    return {tuple(row[:-1]): row[-1] for row in counted.iter_rows()}


def _pair(
    subject: str, *, fewer: int, by_chance: float, count: int, have: Mapping[str, int], match: Mapping[str, int]
) -> Line:
    by = ", ".join(f"{n:,} by {kind}" for kind, n in sorted(match.items(), key=lambda item: -item[1]) if n)
    said = f"share {count:,} of {words.count(fewer, 'person', 'people')} ({words.share(count, fewer)})"
    said += f": {by}" if by else ", none by a key of their own: other systems tie them" if count else ""
    never = sorted(kind for kind, n in have.items() if n >= _BOTH and not match[kind])
    if never:
        of = ", ".join(f"{kind} of {words.count(have[kind], 'person', 'people')} in both" for kind in never)
        return Line("pairs", subject, "gap", f"{said}; never the same {of}", "Compare how each spells it.", count)
    if not count and by_chance >= _BY_CHANCE:
        return Line(
            "pairs", subject, "gap", said, "Keep a common key in both: an e-mail address, or the other's id.", 0
        )
    return Line(
        "pairs", subject, "note" if by_chance >= _BY_CHANCE and count < _FEW * by_chance else "right", said, "", count
    )


def _sources(tables: Frames, settings: Settings, as_of: datetime) -> Iterator[Line]:
    zone = settings.business.zone
    for row in frame(tables, "source_health").sort("platform", "resource").collect().iter_rows(named=True):
        until, since, refused = row["complete_until_at"], row["history_from_at"], row["rejected_count"] or 0
        said = [
            f"{row['status']}, {words.count(row['row_count'] or 0, 'row')}",
            *([f"complete until {words.moment(until, as_of, zone)}"] if until else []),
            f"tells from {words.day(since.astimezone(zone).date(), as_of.astimezone(zone).date())} on" if since
            else "tells from the beginning",
            *([f"{words.count(refused, 'row')} can't be read"] if refused else []),
        ]  # fmt: skip
        mark: Mark = "gap" if row["status"] != "fresh" else "note" if refused else "right"
        why = "Why: the table rejected_records." if refused else ""
        yield Line(
            "sources",
            f"{row['platform']}.{row['resource']}",
            mark,
            "; ".join(said),
            row["detail"] or why,
            row["row_count"],
        )
