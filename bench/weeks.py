"""Ten weeks of a business in which faults appear, are mended, come back, are waived and can't be seen for a day.

`python -m bench.weeks`. The life of every finding, day by day through the real fold, is held against what was drawn. A
life is a line of letters, one per day: `.` well, `x` broken, `w` broken and waived, `?` no source told.
"""

import argparse
import random
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import polars as pl

from journey_pipeline.invariants import catalogue, crowds, findings, incidents, waivers
from journey_pipeline.invariants.evaluation import evaluate
from journey_pipeline.model import Business, Offer, Settings
from journey_pipeline.registry import TABLES, TIME

BEGINS = datetime(2026, 3, 2, 6, tzinfo=UTC)  # a Monday
DAYS = 70
DOWN = (20, 21, 48)
OUTAGE, OUTAGE_DAY, OUTAGE_SIZE = "cohort", 30, 14
RULE = next(rule for rule in catalogue.load() if rule.name == "paid_implies_access")
SAYS = {
    "payments": [("stripe", "charges")], "subscriptions": [("stripe", "charges")], "access": [("teachable", "enrolments")],
}  # fmt: skip
SETTINGS = Settings(
    business=Business(name="Ten weeks", timezone="UTC", currency="USD"),
    platforms={},
    offers=tuple(Offer(id=o, name=o, bought_as=(f"stripe:{o}",), grants=(f"teachable:{o}",)) for o in ("club", OUTAGE)),
)

_NEXT = {".": (30, 1, 0), "x": (2, 9, 1), "w": (1, 1, 9)}
"""After each letter: how likely it is well, broken or waived the day after."""


class Life(NamedTuple):
    """How a finding stands on a day."""

    status: str
    first_seen_on: date
    last_seen_on: date
    resolved_on: date | None
    reopened_count: int
    unknown_days: int
    waived_until_on: date | None


@dataclass(frozen=True)
class Outcome:
    """How many lives were compared on how many days; those that differ; the incidents that the outage was told as."""

    lives: int
    compared: int
    wrong: list[str]
    outage_ids: set[str]
    outage_lasted: int


def day_on(day: int) -> date:
    return (BEGINS + timedelta(days=day)).date()


def draw(people: int, seed: int, days: int = DAYS) -> list[str]:
    """A life for each person. The last of them are hit by the outage together, and mended one after another."""
    rng = random.Random(seed)  # noqa: S311  no secret
    lives = []
    for n in range(people):
        letters, state = [], "."
        for _ in range(days):
            state = rng.choices(".xw", _NEXT[state])[0]
            letters.append(state)
        lives.append(letters)
        if n >= people - OUTAGE_SIZE:
            ends = OUTAGE_DAY + 2 + (n - people + OUTAGE_SIZE)
            lives[-1] = [*"." * OUTAGE_DAY, *"x" * (ends - OUTAGE_DAY), *"." * max(days - ends, 0)][:days]
    down = [day for day in DOWN if day < days]
    return ["".join("?" if day in down else letter for day, letter in enumerate(life)) for life in lives]


def truth(life: str, drawn: str) -> Life | None:
    """How the finding of a life of so many days should stand; `drawn` is the whole of it, where waivers end."""
    if "x" not in life:
        return None
    first = life.index("x")
    known = [(day, letter) for day, letter in enumerate(life) if letter != "?" and day >= first]
    text = "".join(letter for _, letter in known)
    # What is waived while it is resolved stays resolved.
    while (settled := re.sub(r"\.w", "..", text)) != text:
        text = settled
    since_well = text.rpartition(".")[2]
    if not since_well:
        status, mended = "resolved", re.search(r"\.+$", text)
        resolved = day_on(known[mended.start()][0]) if mended else None
    else:
        status = "waived" if text.endswith("w") else "reopened" if "." in text and "w" not in since_well else "open"
        resolved = None
    until = None
    if status == "waived":
        until = day_on(_waived_until(drawn, known[-1][0]))
    states = dict(zip([day for day, _ in known], text, strict=True))
    unknown, last = 0, "x"
    for day in range(first, len(life)):
        last = states.get(day, last)
        unknown += life[day] == "?" and last != "."
    back = len(re.findall(r"\.+x", text))
    return Life(status, day_on(first), day_on(life.rindex("x")), resolved, back, unknown, until)


def _waived_until(drawn: str, day: int) -> int:
    """The last day of the waiver that holds on a day."""
    end = day
    while end + 1 < len(drawn) and drawn[end + 1] in "w?":
        end += 1
    return end


def _waived(lives: Sequence[str], day: int) -> pl.DataFrame:
    """The lines of the waivers file on a day: those that hold on it."""
    rows = [
        {"finding": f"journey:p{n}:{_offer(n, lives)}", "reason": "agreed", "who": "ann",
         "until_on": day_on(_waived_until(life, day))}
        for n, life in enumerate(lives) if life[day] == "w" or (life[day] == "?" and life[: day + 1].rstrip("?").endswith("w"))
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=waivers.SCHEMA)


def _offer(n: int, lives: Sequence[str]) -> str:
    return OUTAGE if n >= len(lives) - OUTAGE_SIZE else "club"


def _tables(lives: Sequence[str], day: int) -> dict[str, pl.LazyFrame]:
    as_of = BEGINS + timedelta(days=day)
    schema = TABLES["buyer_journeys"].schema
    usual: dict[str, Any] = {c: False for c, t in schema.items() if t == pl.Boolean}
    rows = []
    for n, life in enumerate(lives):
        # A source that is down leaves what it last told.
        told = life[: day + 1].rstrip("?") or "."
        is_well = told[-1] == "."
        began = len(told) - len(re.search(r"[xw?]*$", told)[0])  # type: ignore[index]
        due = BEGINS + (
            timedelta(days=began, hours=-3, minutes=-n % 40) if not is_well else timedelta(days=n % DAYS - 3)
        )
        rows.append({
            **dict.fromkeys(schema), **usual, "person_id": f"p{n}", "offer_id": _offer(n, lives), "is_paying": True,
            "identity_confidence": 1.0, "grants_expected": 1, "grants_open": int(is_well), "access_due_at": due,
            "subscription_count": 0, "payment_count": 1, "net_minor": 4900, "currency": "USD", "access_platform": "teachable",
        })  # fmt: skip
    down = day in DOWN
    health = [
        {"platform": p, "resource": r, "status": "stale" if down else "fresh", "complete_until_at": as_of}
        for p, r in sorted({source for sources in SAYS.values() for source in sources})
    ]
    made = {
        "buyer_journeys": pl.DataFrame(rows, schema=schema),
        "source_health": pl.DataFrame(health, schema_overrides={"complete_until_at": TIME}),
    }
    lacking = made["source_health"].columns
    empty = {c: pl.lit(None, dtype=t) for c, t in TABLES["source_health"].schema.items() if c not in lacking}
    made["source_health"] = made["source_health"].with_columns(**empty)
    every = {name: pl.DataFrame(schema=table.schema) for name, table in TABLES.items()}
    return {name: frame.lazy() for name, frame in (every | made).items()}


def simulate(people: int, seed: int, days: int = DAYS) -> Outcome:
    """Judge so many days, one after another, and compare every life with the truth on each of them."""
    lives = draw(people, seed, days)
    folded = pl.DataFrame(schema=TABLES["findings"].schema)
    told = pl.DataFrame(schema=TABLES["incident_days"].schema)
    wrong, compared = [], 0
    subjects = [f"journey:p{n}:{_offer(n, lives)}" for n in range(people)]
    outage: set[str] = set()
    lasted = 0
    for day in range(days):
        tables, as_of = _tables(lives, day), BEGINS + timedelta(days=day)
        found = evaluate(
            tables, rules=[RULE], settings=SETTINGS, says=SAYS, as_of=as_of, waived=_waived(lives, day)
        )  # fmt: skip
        groups = crowds.found(found.crowds, tables, SETTINGS.business.zone)
        rows, of_day = incidents.days(groups, findings.days(found, folded, tables), folded, told)
        folded, told = findings.fold(folded, rows), pl.concat([told, of_day])
        by_subject = {row["subject"]: row for row in folded.iter_rows(named=True)}
        for life, subject in zip(lives, subjects, strict=True):
            row, expected = by_subject.get(subject), truth(life[: day + 1], life)
            actual = Life(**{name: row[name] for name in Life._fields}) if row else None
            compared += 1
            if actual != expected:
                wrong.append(f"day {day} {subject} {life[: day + 1]}: {actual}, not {expected}")
        hit = folded.filter((pl.col("offer_id") == OUTAGE) & (pl.col("status") != "resolved"))
        outage |= set(hit["incident_id"].fill_null("single"))
        lasted += not hit.is_empty()
    return Outcome(len(lives), compared, wrong, outage, lasted)


def sentence(seed: int, outcome: Outcome) -> str:
    return (
        f"seed {seed}: {outcome.lives} lives of {DAYS} days, {outcome.compared:,} compared, "
        f"{len(outcome.wrong)} wrong; an outage of {OUTAGE_SIZE} lasted {outcome.outage_lasted} days as "
        f"{len(outcome.outage_ids)} incident"
    )


def main() -> int:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--people", type=int, default=400)
    ask.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    asked = ask.parse_args()
    outcomes = [simulate(asked.people, seed) for seed in asked.seeds]
    for seed, outcome in zip(asked.seeds, outcomes, strict=True):
        print(sentence(seed, outcome))
        for line in outcome.wrong[:20]:
            print("  " + line)
    return 1 if any(outcome.wrong or len(outcome.outage_ids) != 1 for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
