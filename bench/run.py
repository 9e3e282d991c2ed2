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
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

from bench import business
from bench.compare import Difference, compare
from bench.meter import Cost

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
_INTRO = """# Benchmarks

Written by `make bench`; every figure is measured by it, none is typed.

From records to verdicts, with the settings of the sandbox (`journey_pipeline/sandbox/demo.yaml`) and its fictional
business (seed {seed}, as of {as_of:%Y-%m-%d %H:%M} UTC), every source fresh. The budget is one million people within
30 s and 6 GB on two cores, growing linearly.

**What is compared.** Both sides read the same Parquet files of records and end with one verdict column per core
invariant on people, journeys, payments, tickets and products ({rules} rules). The SQL (`bench/sql/`, DuckDB in memory)
resolves identity to the same person ids, level by level, by spreading labels until they rest; it leaves out what only a
reader needs. The program makes more on its way, and its time is for all of it: every published table whole, the event log,
stages, channels, golden names and addresses, which key tied whom; and for each broken row its money, cause and evidence.
In this business no sale is told by two platforms and every phone is North American: the SQL takes both for granted.
DuckDB reads the files as it goes, so its reading is inside the other phases.

*wall* and *CPU* in seconds; *peak* is the most memory the process had held by the end of the phase.
"""


@dataclass(frozen=True)
class Run:
    """One size: how many records, what each way cost, and where they differ."""

    people: int
    records: int
    costs: dict[str, list[Cost]]
    difference: Difference


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench", description="Measure records -> verdicts.")
    parser.add_argument("people", nargs="*", type=int, default=_SIZES, help="sizes of the business")
    runs = [measure(people) for people in parser.parse_args(arguments).people]
    page = "\n".join([_intro(runs[0]), *(_section(run) for run in runs), _growth(runs), _machine()])
    _PAGE.write_text(page + "\n", encoding="utf-8")
    sys.stdout.write(page + "\n")
    return 1 if any(run.difference.different for run in runs) else 0


def measure(people: int) -> Run:
    with tempfile.TemporaryDirectory(prefix="journey_bench_") as folder:
        records, places = Path(folder) / "records", {way: Path(folder) / way for way in _WAYS}
        started = perf_counter()
        (count,) = _child("business", str(people), str(records))
        _say(f"{people:,} people: {count:,} records made in {perf_counter() - started:.0f} s")
        costs = {}
        for way, place in places.items():
            place.mkdir()
            costs[way] = [Cost(**cost) for cost in _child(way, str(records), str(place))]
            _say(f"  {way}: {_wall(costs[way]):.1f} s")
        return Run(people, count, costs, compare(places["by_polars"], places["by_duckdb"]))


def _child(module: str, *arguments: str) -> list:
    told = subprocess.run(
        [sys.executable, "-m", f"bench.{module}", *arguments],
        env={**os.environ, "POLARS_MAX_THREADS": str(_THREADS)}, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    return json.loads(told.stdout)


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
    ]
    return "\n".join(lines)
