"""How right the findings are: the sandbox at several seeds, through HTTP, against what is true of it.

Prints, per invariant, precision and recall of findings and false alarms on look-alikes; then identity's precision and
recall over pairs of records. Writes docs/accuracy.md, but for what identity.py writes there. Exit code 1 where anything is
wrong.
"""

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import polars as pl

from bench import dead, identity, weeks
from journey_pipeline.cli.daily import demo_business
from journey_pipeline.orchestration import steps
from journey_pipeline.orchestration.home import Home
from journey_pipeline.orchestration.steps import Day

AS_OF = "2026-05-15T12:00:00+00:00"
RECORD = ["kind", "platform", "record_id"]
PAGE = Path(__file__).parents[1] / "docs" / "accuracy.md"


@dataclass(frozen=True)
class Score:
    """`rows`: counts per invariant. `pairs`: identity's true, told and right pairs. `wrong`: what is not as in truth.

    `dead`: platforms that were tried without, the morning after. `united`: people whom a story splits and identity rightly put together again: nothing of theirs is left to be found.
    """

    seed: int
    rows: pl.DataFrame
    pairs: tuple[int, int, int]
    wrong: pl.DataFrame
    united: int
    dead: tuple[str, ...] = ()


def score(people: int, seed: int, home: Path, *, dead_ones: slice | None = None) -> Score:
    """Run the job, all but checks and publishing, and compare it with the truth; then once without each of `dead_ones`.

    These are some of the platforms that need a key, in the order of their names.

    Raises:
        RuntimeError: if a platform could not be read, as on a machine that is too busy: then nothing was measured.
    """
    with demo_business(Home(home), people=people, seed=seed, as_of=AS_OF) as day:
        failed = [o.error for source in day.sources for o in steps.load(day, source, os.environ) if o.error]
        if failed:
            raise RuntimeError("; ".join(map(str, failed)))
        for step in (steps.records, steps.people, steps.paths, steps.judge):
            step(day)
        found = compare(day, seed)
        locked = sorted(source.name for source in day.sources if source.platform.secrets)
        return _with_dead(found, day, locked[dead_ones]) if dead_ones else found


def _with_dead(score: Score, day: Day, names: Sequence[str]) -> Score:
    """The score with what became of the findings on mornings on which a platform was dead."""
    with tempfile.TemporaryDirectory() as beside:
        tried = dead.tried(day, names, Path(beside))
    flagged = sum(what == "look-alike" for what, _, _ in tried.wrong)
    counts = {"faults": tried.faults, "found": tried.found + flagged, "right": tried.found, "false": flagged,
              "look_alikes": tried.well, "flagged": flagged}  # fmt: skip
    is_fresh = pl.col("invariant") == dead.FRESH
    rows = score.rows.with_columns(pl.col(c) + pl.when(is_fresh).then(n).otherwise(0) for c, n in counts.items())
    schema = {column: pl.String() for column in ("what", "invariant", "subject")}
    wrong = pl.DataFrame(tried.wrong, schema=schema, orient="row").with_columns(evidence=pl.lit(""))
    return replace(score, rows=rows, wrong=pl.concat([score.wrong, wrong]), dead=tried.names)


def compare(day: Day, seed: int) -> Score:
    """Findings and identity against the truth files of the sandbox."""
    truth = {name: pl.read_parquet(day.home.truth / f"{name}.parquet") for name in ("faults", "look_alikes", "people")}
    told = pl.read_parquet(day.home.tables.path("identity", "record_persons") / f"{day.day_on}.parquet")
    both = truth["people"].join(told.select(*RECORD, "person_id"), on=RECORD, how="inner")
    persons = both.select("who", "person_id").unique()
    found = (
        day.home.tables.scan("invariants", "findings")
        .filter(pl.col("status").is_in(["open", "reopened"]))
        .select("invariant", "subject", "evidence")
        .collect()
    )
    what = ["invariant", "subject"]
    in_two = persons.filter(pl.col("who").is_duplicated())
    is_united = (pl.col("invariant") == "person_not_split") & ~pl.col("who").is_in(in_two["who"].implode())
    expected = _subjects(truth["faults"].filter(~is_united), persons)
    spared = _subjects(truth["look_alikes"], persons)
    hit = expected.join(found, on=what, how="semi").unique("fault")
    false = found.join(pl.concat([expected.select(what), _split(in_two)]), on=what, how="anti")
    missed = expected.join(hit, on="fault", how="anti").unique("fault", maintain_order=True)
    flagged = spared.join(found, on=what, how="semi").unique("fault")
    rows = pl.DataFrame({"invariant": sorted({rule.name for rule in day.rules})})
    for column, frame in (
        ("faults", expected.unique("fault")), ("found", found), ("right", hit), ("false", false),
        ("look_alikes", spared.unique("fault")), ("flagged", flagged),
    ):  # fmt: skip
        counts = frame.group_by("invariant").agg(pl.len().cast(pl.Int64).alias(column))
        rows = rows.join(counts, on="invariant", how="left", maintain_order="left").with_columns(
            pl.col(column).fill_null(0)
        )
    wrong = pl.concat(
        [
            frame.select(
                pl.lit(label).alias("what"), *what, evidence=pl.col("evidence") if "evidence" in frame else pl.lit("")
            )
            for label, frame in (("false alarm", false), ("missed", missed), ("look-alike", flagged))
        ]
    )
    return Score(seed, rows, _pairs(both), wrong.sort("what", *what), truth["faults"].filter(is_united).height)


def _split(in_two: pl.DataFrame) -> pl.DataFrame:
    """invariant, subject: whom identity could not bring together is rightly shown as split, whether a story says so or not."""
    return in_two.select(
        pl.lit("person_not_split").alias("invariant"), pl.concat_str(pl.lit("person:"), "person_id").alias("subject")
    )


def _subjects(labels: pl.DataFrame, persons: pl.DataFrame) -> pl.DataFrame:
    """invariant, subject, fault (its number): what a right finding would be about, for whatever person ids we gave."""
    numbered = labels.with_row_index("fault").join(persons, on="who", how="left")
    kind = pl.col("subject_kind")
    subject = (
        pl.when(kind == "person").then(pl.concat_str(pl.lit("person:"), "person_id"))
        .when(kind == "journey").then(
            pl.concat_str(pl.lit("journey:"), "person_id", pl.lit(":"), pl.col("offer_id").fill_null("-")))
        .when(kind == "product").then(pl.concat_str(pl.lit("product:"), "record_id"))
        .otherwise(pl.concat_str(kind, pl.lit(":"), "platform", pl.lit(":"), "record_id"))
    )  # fmt: skip
    return numbered.select("invariant", subject.alias("subject"), "fault")


def _pairs(both: pl.DataFrame) -> tuple[int, int, int]:
    """Pairs of records that are one person's in truth, that we say are, and that are both."""

    def count(*by: str) -> int:
        sizes = both.group_by(by).len()["len"].cast(pl.Int64)
        return int((sizes * (sizes - 1) // 2).sum())

    return count("who"), count("person_id"), count("who", "person_id")


def _ratio(part: int, whole: int) -> str:
    return f"{part / whole:.4f}" if whole else "–"


_INTRO = """# How right the findings are

Written by `make accuracy`: the sandbox at seeds {seeds}, read through HTTP by the modules that production uses, judged as
of {as_of}, against the truth that its generator wrote down. A look-alike is a labelled case that must not be flagged. The
sandbox is ours: this shows that the program does what its definitions say, not what real businesses are like; for that see
real_data.md.
"""
_LIVES, _WEEKS = 400, (1, 2, 3)
_TEN_WEEKS = """## Ten weeks of findings

Faults that appear, are mended, come back, are waived and can't be seen while a source is down (`bench/weeks.py`): every day
of every finding's life, through the real fold, against what was drawn.
"""


def report(scores: Mapping[int, Sequence[Score]]) -> str:
    """The page: for each number of people one table over all seeds."""
    seeds = dict.fromkeys(str(score.seed) for of_size in scores.values() for score in of_size)
    intro = _INTRO.format(seeds=", ".join(seeds), as_of=AS_OF)
    return "\n".join([intro, *(_of_size(people, of_size) for people, of_size in scores.items()), _of_weeks()])


def _of_weeks() -> str:
    lives = [f"- {weeks.sentence(seed, weeks.simulate(_LIVES, seed))}" for seed in _WEEKS]
    return "\n".join([_TEN_WEEKS, *lives, ""])


def _of_size(people: int, scores: Sequence[Score]) -> str:
    total = pl.concat([s.rows for s in scores]).group_by("invariant", maintain_order=True).sum()
    lines = [
        f"## The findings of {people:,} people",
        "",
        "| invariant | faults | found | right | precision | recall | look-alikes | flagged |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    every = total.select(pl.lit("**all**").alias("invariant"), pl.exclude("invariant").sum())
    for row in pl.concat([total, every]).iter_rows(named=True):
        precision, recall = _ratio(row["found"] - row["false"], row["found"]), _ratio(row["right"], row["faults"])
        lines.append(
            f"| {row['invariant']} | {row['faults']} | {row['found']} | {row['right']} | {precision} | {recall} "
            f"| {row['look_alikes']} | {row['flagged']} |"
        )
    true, told, both = (sum(s.pairs[i] for s in scores) for i in range(3))
    lines += [
        "",
        (
            f"Identity, over pairs of records of one person: {true:,} true pairs, {told:,} told, "
            f"precision **{_ratio(both, told)}**, recall **{_ratio(both, true)}**. "
            f"Of those whom a story split in two, {sum(s.united for s in scores)} were put together by a probable link, "
            "rightly: of them nothing was left to be found."
        ),
        "",
        *_of_dead(scores),
    ]
    wrong = [(s.seed, row) for s in scores for row in s.wrong.iter_rows(named=True)]
    if wrong:
        lines += ["What is wrong:", "", "| seed | what | invariant | subject | evidence |", "|--:|---|---|---|---|"]
        lines += [
            f"| {n} | {r['what']} | {r['invariant']} | `{r['subject']}` | {r['evidence'] or ''} |" for n, r in wrong
        ]
        lines.append("")
    return "\n".join(lines)


def _of_dead(scores: Sequence[Score]) -> list[str]:
    names = [name for s in scores for name in s.dead]
    if not names:
        return []
    changed = sum(what.startswith(("opened", "closed")) for s in scores for what in s.wrong["what"])
    return [
        (
            f"On the morning after, {len(names)} times one platform refused its key ({', '.join(sorted(names))}): each of "
            "its resources is a fault of `source_is_fresh`, each of the others' a look-alike. "
            f"Findings opened or closed by it: **{changed}**."
        ),
        "",
    ]


def main() -> int:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--people", type=int, nargs="+", default=[2_000, 10_000])
    ask.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    asked = ask.parse_args()
    logging.getLogger("journey_pipeline.progress").setLevel(logging.ERROR)
    scores: dict[int, list[Score]] = {}
    for people, seed in product(asked.people, asked.seeds):
        started = datetime.now(UTC)
        # Each seed tries other platforms, so that together they try all.
        turn = slice(asked.seeds.index(seed), None, len(asked.seeds)) if people == asked.people[0] else None
        with tempfile.TemporaryDirectory() as folder:
            found = score(people, seed, Path(folder), dead_ones=turn)
        scores.setdefault(people, []).append(found)
        took = (datetime.now(UTC) - started).total_seconds()
        print(f"{people:,} people, seed {seed}: {took:.0f} s, {scores[people][-1].wrong.height} wrong", flush=True)
    page = report(scores)
    PAGE.write_text(page + identity.kept(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(page)
    return 1 if any(s.wrong.height for of_size in scores.values() for s in of_size) else 0


if __name__ == "__main__":
    sys.exit(main())
