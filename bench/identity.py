"""How right identity is: `python -m bench.identity` measures it on labelled sets and writes its part of docs/accuracy.md.

Exit code 1 where a bar is missed: febrl3's F1, or the precision of what is made one person anywhere. One million people
take minutes and are measured with `--million` alone.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import polars as pl

from bench import business, by_splink, labelled
from bench.labelled import RECORD, Labelled, Town
from bench.meter import Cost, Meter
from journey_pipeline.identity import Identity, probable, resolve
from journey_pipeline.identity.pairs import pairs, traits
from journey_pipeline.model import IdentityRules

PAGE = Path(__file__).parents[1] / "docs" / "accuracy.md"
PART, MILLION = "## Who is who, on labelled sets", "## Who is who, at one million people"
SIZES = (10_000, 100_000)
LEAST_PRECISION, LEAST_FEBRL = 0.995, 0.998
RULES = IdentityRules()
_COUNTRY = "US"


@dataclass(frozen=True)
class Agreement:
    """Who is told to be one beside who is: precision, recall and F1 over pairs of records, and B-cubed."""

    told: int
    pairs: tuple[float, float, float]
    bcubed: tuple[float, float, float]


@dataclass(frozen=True)
class Row:
    name: str
    way: str
    agreement: Agreement
    seconds: float


@dataclass
class Scored:
    """`probable.score`, with what it was asked and what it said kept."""

    candidates: pl.DataFrame | None = None
    scores: pl.DataFrame | None = None
    seconds: float = 0.0

    def __call__(self, candidates: pl.DataFrame) -> pl.DataFrame:
        began = perf_counter()
        self.candidates, self.scores = candidates, probable.score(candidates)
        self.seconds = perf_counter() - began
        return self.scores


def agreement(who: pl.Series, told: pl.Series) -> Agreement:
    """Both have a value for each record."""
    counts = pl.DataFrame({"who": who, "told": told}).group_by("who", "told").agg(both=pl.len().cast(pl.Int64))
    counts = counts.with_columns(of_who=pl.col("both").sum().over("who"), of_told=pl.col("both").sum().over("told"))

    def paired(size: pl.Expr) -> int:
        return int(counts.select((size * (size - 1) // 2).sum()).item())

    right = paired(pl.col("both"))
    true, said = (_paired(counts, column) for column in ("who", "told"))
    share = {c: float((counts["both"] * counts["both"] / counts[c]).sum() / len(who)) for c in ("of_told", "of_who")}
    return Agreement(
        told.n_unique(),
        _with_f1(right / said if said else 1.0, right / true if true else 1.0),
        _with_f1(share["of_told"], share["of_who"]),
    )


def _paired(counts: pl.DataFrame, column: str) -> int:
    sizes = counts.group_by(column).agg(pl.col("both").sum())["both"]
    return int((sizes * (sizes - 1) // 2).sum())


def _with_f1(precision: float, recall: float) -> tuple[float, float, float]:
    both = precision + recall
    return precision, recall, 2 * precision * recall / both if both else 0.0


def on_set(given: Labelled) -> list[Row]:
    """A public set: one row of the table per way."""
    who = given.records["who"]
    ways: dict[str, Callable[[], pl.Series]] = {}
    if "email" in given.records.columns:
        ways["exact e-mail"] = lambda: by_email(given.records)
    ways["Splink's own example"] = lambda: getattr(by_splink, given.name)(given.records)
    ways["probable links"] = lambda: _linked(given.candidates)
    return [_timed(given.name, way, who, work) for way, work in ways.items()]


def by_email(records: pl.DataFrame) -> pl.Series:
    """One person per address; a record without one stays alone."""
    alone = pl.concat_str(pl.lit("row "), pl.int_range(pl.len()))
    return records.select(told=pl.coalesce(pl.col("email").str.strip_chars().str.to_lowercase(), alone))["told"]


def _linked(candidates: pl.DataFrame) -> pl.Series:
    links = probable.score(candidates).filter(pl.col("probability") >= RULES.link)
    return by_splink.clusters(candidates["person"], links)


def _timed(name: str, way: str, who: pl.Series, work: Callable[[], pl.Series]) -> Row:
    began = perf_counter()
    told = work()
    row = Row(name, way, agreement(who, told), perf_counter() - began)
    _say(f"{name}, {way}: {row.seconds:.0f} s, F1 {row.agreement.pairs[2]:.4f}")
    return row


@dataclass(frozen=True)
class InTown:
    """What is measured of a sandbox: rows of the table, people and pairs compared, suggestions (all, right), mess."""

    rows: Sequence[Row]
    people: int
    compared: int
    suggested: tuple[int, int]
    mess: pl.DataFrame


def in_town(town: Town) -> InTown:
    """A sandbox: by each way, and what became of those who are messy."""
    name, scored = f"sandbox, {town.people:,} people", Scored()
    said = pl.concat(
        frame.select(pl.lit(kind).alias("kind"), "platform", "record_id", "email", "phone", "name")
        for kind, frame in town.kinds.items()
        if "email" in frame.columns
    )
    records = town.truth.join(said, on=RECORD, how="left", validate="1:1", maintain_order="left")
    who, solved = records["who"], {}

    def by_us(way: str, score: Callable[[pl.DataFrame], pl.DataFrame] | None) -> pl.Series:
        solved[way] = resolve(town.kinds, country=_COUNTRY, rules=RULES, score=score)
        return _persons(town, solved[way])["told"]

    rows = [
        _timed(name, "exact e-mail", who, lambda: by_email(records)),
        _timed(name, "Splink's own comparisons", who, lambda: by_splink.sandbox(records)),
        _timed(name, "certain keys", who, lambda: by_us("certain", None)),
        _timed(name, "certain keys and probable links", who, lambda: by_us("all", scored)),
    ]
    persons = _persons(town, solved["all"]).select("who", person_id="told").unique()
    told = solved["all"].suggestions.select("person_id", "other_person_id")
    right = told.join(persons, on="person_id").join(persons, left_on="other_person_id", right_on="person_id")
    candidates = scored.candidates if scored.candidates is not None else pl.DataFrame()
    compared = traits(candidates.filter(pl.any_horizontal(pl.exclude("person").list.len() > 0)))
    return InTown(
        rows, compared.height, pairs(compared).height,
        (told.height, right.filter(pl.col("who") == pl.col("who_right")).height), _mess(town, persons, told),
    )  # fmt: skip


def _persons(town: Town, identity: Identity) -> pl.DataFrame:
    """The truth with `told`, who each record was taken for; an anonymous touch is somebody of its own."""
    assigned = identity.record_persons().select(*RECORD, "person_id").collect()
    alone = pl.concat_str(pl.lit("row "), pl.int_range(pl.len()))
    both = town.truth.join(assigned, on=RECORD, how="left", validate="1:1", maintain_order="left")
    return both.with_columns(told=pl.coalesce("person_id", alone))


def _mess(town: Town, persons: pl.DataFrame, suggested: pl.DataFrame) -> pl.DataFrame:
    """mess, people, count, apart (of several persons), suggested (these are told to be looked at), lumped (with others)."""
    known = persons.filter(pl.col("person_id").str.starts_with("p_"))
    known = known.with_columns(
        persons=pl.col("person_id").n_unique().over("who"), sharers=pl.col("who").n_unique().over("person_id")
    )
    named = pl.concat([suggested["person_id"], suggested["other_person_id"]]).unique()
    found = known.group_by("who").agg(
        pl.col("persons").first(), pl.col("sharers").max(), is_named=pl.col("person_id").is_in(named.implode()).all()
    )
    is_apart = pl.col("persons") > 1
    return (
        town.mess.join(found, on="who", how="left", validate="1:1")
        .group_by("mess", "people")
        .agg(
            count=pl.len(), apart=is_apart.sum(), suggested=(is_apart & pl.col("is_named")).sum(),
            lumped=(pl.col("sharers") > 1).sum(),
        )
        .sort("people", "mess")
    )  # fmt: skip


def part(rows: Sequence[Row], towns: Sequence[InTown]) -> str:
    """The part of the page about labelled sets."""
    lines = [
        PART,
        "",
        "Written by `make accuracy`. Each set is told apart by several ways in one run: by exact e-mail alone; by Splink as its",
        "documentation sets it up (`bench/by_splink.py`); and by the program, with its defaults, the same for every set:",
        f"two people are one from a likelihood of {RULES.link} on, and suggested from {RULES.suggest} on. fake_1000 and febrl3",
        "have one row per record and are told by probable links alone. The bars: an F1 of febrl3 of at least",
        f"{LEAST_FEBRL}, and a precision of at least {LEAST_PRECISION} everywhere.",
        "Precision, recall and F1 are over pairs of records; B-cubed are means over records.",
        "",
        "| set | way | people told | precision | recall | F1 | B³ precision | B³ recall | B³ F1 | seconds |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in [*rows, *(row for town in towns for row in town.rows)]:
        figures = " | ".join(f"{x:.4f}" for x in (*row.agreement.pairs, *row.agreement.bcubed))
        lines.append(f"| {row.name} | {row.way} | {row.agreement.told:,} | {figures} | {row.seconds:.1f} |")
    missing = sorted(set(labelled.PUBLIC) - {row.name for row in rows})
    if missing:
        lines += ["", f"Not measured, for the data is not here: {', '.join(missing)}."]
    lines += ["", *_reading(), ""]
    for town in towns:
        name = town.rows[0].name
        count, right = town.suggested
        lines.append(
            f"- {name}: of {town.people:,} people whom certain keys leave and of whom anything is told, {town.compared:,} pairs "
            f"were compared; {count:,} suggested, {right:,} of them right."
        )
    if towns:
        lines += ["", *_mess_table(towns[-1])]
    return "\n".join([*lines, "", _machine(), ""])


def _reading() -> list[str]:
    return [
        "How to read it. febrl3 has eight attributes beside the name, and a number that is rarely mistyped: everything can be",
        "told. fake_1000 lacks a fifth of its values and misspells many of the others: of its true pairs one in fifteen shares",
        "nothing rare, so nobody compares the two, and others agree in too little to be sure; taken from a likelihood of 0.5 on",
        "more would be found, with a precision below the bar. In the sandbox most records bear a platform's id or an address,",
        "so certain keys do nearly all; what they leave is mess that was put in (below). A mistyped address is mended by itself;",
        "a private and a work address are suggested, for a namesake at the same firm looks no different.",
    ]


def _mess_table(town: InTown) -> list[str]:
    lines = [
        f"What became of messy people ({town.rows[0].name}). `one`: their records are unlike each other, and should be one",
        "person; `two`: they are like somebody else, and should not be lumped together.",
        "",
        "| mess | should be | people | made one | left apart, suggested | left apart | lumped with others |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for r in town.mess.iter_rows(named=True):
        left = r["apart"] - r["suggested"]
        lines.append(
            f"| {r['mess'].replace('_', ' ')} | {r['people']} | {r['count']} | {r['count'] - r['apart']} "
            f"| {r['suggested']} | {left} | {r['lumped']} |"
        )
    return lines


def million(people: int) -> str:
    """The part of the page about one million people."""
    with tempfile.TemporaryDirectory(prefix="journey_identity_") as folder:
        records = Path(folder) / "records"
        count = int(_child("bench.make", str(people), str(records)))
        _say(f"{people:,} people: {count:,} records made")
        certain, every = (json.loads(_child("bench.identity", "--child", str(records), way)) for way in ("off", "on"))
    tied, scored = Cost(**certain["costs"][-1]), Cost(**every["costs"][-1])
    return "\n".join([
        MILLION,
        "",
        f"{people:,} people of the sandbox, {count:,} records, each way a process of its own with two threads.",
        "",
        "| | seconds | CPU | peak memory |",
        "|---|--:|--:|--:|",
        f"| certain keys | {tied.wall_s:.1f} | {tied.cpu_s:.1f} | {tied.peak_gb:.1f} GB |",
        f"| certain keys and probable links | {scored.wall_s:.1f} | {scored.cpu_s:.1f} | {scored.peak_gb:.1f} GB |",
        f"| of which scoring | {every['scoring']:.1f} | | |",
        "",
        f"{every['compared']:,} pairs compared, {every['scores']:,} told, {every['links']:,} from {RULES.link} on.",
        "",
        _machine(),
        "",
    ])  # fmt: skip


def _child(module: str, *arguments: str) -> str:
    environment = {**os.environ, "POLARS_MAX_THREADS": "2"}
    told = subprocess.run(
        [sys.executable, "-m", module, *arguments], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return told.stdout


def _measured(records: Path, way: str) -> dict[str, Any]:
    """Of one way, in a process of its own."""
    kinds, meter, scored = business.read(records), Meter(), Scored()
    with meter.phase("identity"):
        resolve(kinds, country=_COUNTRY, rules=RULES, score=scored if way == "on" else None)
    costs = [vars(cost) for cost in meter.costs]
    if scored.scores is None or scored.candidates is None:
        return {"costs": costs}
    compared = traits(scored.candidates.filter(pl.any_horizontal(pl.exclude("person").list.len() > 0)))
    return {
        "costs": costs, "scoring": scored.seconds, "compared": pairs(compared).height, "scores": scored.scores.height,
        "links": scored.scores.filter(pl.col("probability") >= RULES.link).height,
    }  # fmt: skip


def _machine() -> str:
    load = ", ".join(f"{n:.1f}" for n in os.getloadavg())
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with {os.cpu_count()} CPUs; load of the machine over the last 1, 5 and 15 "
        f"minutes: {load}; above {os.cpu_count()}, others were busy beside it."
    )


def written(page: str, new: str) -> str:
    """The page with one of its parts, which its heading names, replaced or added; the others stay."""
    heading = new.split("\n", 1)[0]
    parts = _parts(page)
    parts[heading] = new
    order = ["", *(h for h in (PART, MILLION) if h in parts)]
    return "\n".join(parts[h].strip("\n") + "\n" for h in order if h in parts)


def kept(page: str) -> str:
    """The parts of the page that are written here."""
    parts = _parts(page)
    return "".join("\n" + parts[h].strip("\n") + "\n" for h in (PART, MILLION) if h in parts)


def _parts(page: str) -> dict[str, str]:
    parts, heading = {"": ""}, ""
    for line in page.splitlines(keepends=True):
        if line.strip() in (PART, MILLION):
            heading = line.strip()
            parts[heading] = ""
        parts[heading] += line
    return parts


def missed(rows: Sequence[Row]) -> list[str]:
    """Which bars our own ways miss."""
    ours = [row for row in rows if "probable" in row.way or row.way == "certain keys"]
    low = [f"{r.name}, {r.way}: precision" for r in ours if r.agreement.pairs[0] < LEAST_PRECISION]
    return low + [f"{r.name}: F1" for r in ours if r.name == "febrl3" and r.agreement.pairs[2] < LEAST_FEBRL]


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def main() -> int:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--sizes", type=int, nargs="*", default=list(SIZES), help="people of the sandboxes")
    ask.add_argument(
        "--million", type=int, nargs="?", const=1_000_000, help="measure so many people's cost, and nothing else"
    )
    ask.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    asked = ask.parse_args()
    if asked.child:
        sys.stdout.write(json.dumps(_measured(Path(asked.child[0]), asked.child[1])))
        return 0
    if asked.million:
        new, wrong = million(asked.million), []
    else:
        rows = [row for given in labelled.public() for row in on_set(given)]
        towns = [in_town(labelled.town(people)) for people in asked.sizes]
        new, wrong = part(rows, towns), missed([*rows, *(row for town in towns for row in town.rows)])
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), new), encoding="utf-8")
    sys.stdout.write(new)
    for line in wrong:
        _say(f"below the bar: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
