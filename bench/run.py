"""`python -m bench.run`: measures records -> verdicts and the same work as SQL, and writes docs/benchmarks.md.

Every measurement is a process of its own. Ends with 1 where the two disagree about any verdict.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

from bench import business
from bench.compare import JUDGED, Difference, compare
from bench.meter import Cost
from journey_pipeline.invariants import catalogue

_PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_SIZES = (100_000, 1_000_000)
_THREADS = 2
_WAYS = ("by_polars", "by_duckdb")
_PHASES = {
    "read": "read the records",
    "identity": "who is who",
    "journeys": "journeys",
    "verdicts": "verdicts",
}
_JUDGING = {
    "verdicts": "verdicts",
    "incidents": "findings and incidents",
    "repairs": "repairs",
    "expectations": "Great Expectations, once imported",
}
_INTRO = """# Benchmarks

Written by `make bench`; every figure is measured by it, none is typed.

From records to verdicts, with the settings of the sandbox (`journey_pipeline/sandbox/demo.yaml`) and its fictional
business (seed {seed}, as of {as_of:%Y-%m-%d %H:%M} UTC), every source fresh. The budget is one million people within
30 s and 6 GB on two cores, growing linearly.

**What is compared.** Both sides read the same Parquet files of records and end with one verdict column per core
invariant on people, journeys, payments, tickets and products ({rules} rules); every verdict is compared. The SQL
(`bench/sql/`, DuckDB in memory) resolves identity to the same person ids, level by level, by spreading labels until they
rest, and derives what those rules read and no more. The program's time is for all that it makes on its way: every
published table with every column, the event log, stages, channels, golden names and addresses, and for each broken row its
money, cause and evidence. So the ratio understates what the same work costs in each.
Identity is its deterministic part; probable links are not measured here. In this business no sale is told three times,
every phone is North American, no id is shared and no name at a company ties what nothing else does: the SQL takes all of
it for granted.
DuckDB reads the files as it goes, so its reading is inside the other phases.

**The whole catalogue** ({every} rules) is measured apart, as the daily job judges it: from the tables in the lake to every
verdict, with money, cause and evidence of each broken row; then the incidents and the repairs. The budget is 5 s for the
verdicts of one million people.

*wall* and *CPU* in seconds; *peak* is the most memory the process had held by the end of the phase.
"""


@dataclass(frozen=True)
class Run:
    """One size: how many records, what each way cost, and where they differ."""

    people: int
    records: int
    costs: dict[str, list[Cost]]
    judging: list[Cost]
    difference: Difference


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench", description="Measure records -> verdicts.")
    parser.add_argument("people", nargs="*", type=int, default=_SIZES, help="other sizes; they are only shown")
    sizes = parser.parse_args(arguments).people
    runs = [measure(people) for people in sizes]
    rules = sum(rule.core for rule in catalogue.load() if rule.on in JUDGED)
    intro = _INTRO.format(seed=business.SEED, as_of=business.AS_OF, rules=rules, every=len(catalogue.load()))
    page = "\n".join([intro, *(_section(run) for run in runs), _growth(runs), _machine()])
    if sizes == _SIZES:
        _PAGE.write_text(page + "\n", encoding="utf-8")
    sys.stdout.write(page + "\n")
    return 1 if any(run.difference.different for run in runs) else 0


def measure(people: int) -> Run:
    with tempfile.TemporaryDirectory(prefix="journey_bench_") as folder:
        records, places = Path(folder) / "records", {way: Path(folder) / way for way in _WAYS}
        started = perf_counter()
        count = _child("make", str(people), str(records))
        _say(f"{people:,} people: {count:,} records made in {perf_counter() - started:.0f} s")
        costs = {}
        for way, place in places.items():
            place.mkdir()
            costs[way] = [Cost(**cost) for cost in _child(way, str(records), str(place))]
            _say(f"  {way}: {_wall(costs[way]):.1f} s")
        ours = places["by_polars"]
        judging = [Cost(**cost) for cost in _child("judge", str(ours / "tables"), folder)]
        _say(f"  judge: {_wall(judging):.1f} s")
        return Run(people, count, costs, judging, compare(ours, places["by_duckdb"]))


def _child(module: str, *arguments: str) -> Any:
    told = subprocess.run(
        [sys.executable, "-m", f"bench.{module}", *arguments],
        env={**os.environ, "POLARS_MAX_THREADS": str(_THREADS)}, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    return json.loads(told.stdout)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _wall(costs: Sequence[Cost]) -> float:
    return sum(cost.wall_s for cost in costs)


def _section(run: Run) -> str:
    ours, theirs = ({c.phase: c for c in run.costs[way]} for way in _WAYS)
    lines = [
        f"## {run.people:,} people, {run.records:,} records",
        "",
        "| | program: wall | CPU | peak | SQL: wall | CPU | peak | SQL / program |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for phase, words in _PHASES.items():
        one, other = ours[phase], theirs.get(phase)
        lines.append(f"| {words} | {_figures(one)} | {_figures(other) if other else ' | | '} | {_ratio(one, other)} |")
    one, other = (Cost("all", _wall(c), sum(x.cpu_s for x in c), c[-1].peak_gb) for c in run.costs.values())
    lines.append(f"| **all** | {_figures(one)} | {_figures(other)} | {_ratio(one, other)} |")
    found = run.difference
    lines += [
        "",
        f"{found.subjects:,} rows judged, {found.verdicts:,} verdicts compared, **{found.different:,} different**.",
        *(f"- {example}" for example in found.examples),
        "",
        "| the whole catalogue | wall | CPU | peak |",
        "|---|--:|--:|--:|",
        *(f"| {_JUDGING[cost.phase]} | {_figures(cost)} |" for cost in run.judging),
        "",
    ]
    return "\n".join(lines)


def _figures(cost: Cost) -> str:
    return f"{cost.wall_s:.1f} | {cost.cpu_s:.1f} | {cost.peak_gb:.1f} GB"


def _ratio(ours: Cost, theirs: Cost | None) -> str:
    return f"{theirs.wall_s / ours.wall_s:.1f} ×" if theirs else ""


def _growth(runs: Sequence[Run]) -> str:
    """How the time grows beside the records: 1 is linear."""
    lines = []
    for less, more in pairwise(sorted(runs, key=lambda run: run.records)):
        records = more.records / less.records
        ours, theirs = (_wall(more.costs[way]) / _wall(less.costs[way]) / records for way in _WAYS)
        lines.append(
            f"From {less.people:,} to {more.people:,} people records grow {records:.1f}-fold; time per record grows "
            f"{ours:.2f}-fold (SQL: {theirs:.2f}-fold).\n"
        )
    return "\n".join(lines)


def _machine() -> str:
    load = ", ".join(f"{n:.1f}" for n in os.getloadavg())
    versions = ", ".join(f"{name} {version(name)}" for name in ("polars", "duckdb", "numpy", "scipy"))
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} CPUs ({_THREADS} threads each side), "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {versions}. "
        f"Load of the machine over the last 1, 5 and 15 minutes: {load}; above {_THREADS}, others were busy beside it."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
