"""`python -m bench.masking`: how long the records of the sandbox's business take to be hidden, `masked` and `none`."""

import os
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import polars as pl

from bench import business
from journey_pipeline.publish import mask
from journey_pipeline.publish.privacy import KEY, Pii, hidden

_PEOPLE = 125_000  # about a million records
_WAYS: tuple[Pii, ...] = ("masked", "none")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="journey_bench_") as folder:
        rows = business.write(_PEOPLE, Path(folder) / "records")
        for pii in _WAYS:
            print(f"pii: {pii}: {rows:,} records hidden in {_seconds(pii, Path(folder)):.0f} s")
    print(f"Load of the machine over the last 1, 5 and 15 minutes: {', '.join(f'{n:.1f}' for n in os.getloadavg())}.")


def _seconds(pii: Pii, folder: Path) -> float:
    files: dict[str, Path | pl.LazyFrame] = {file.stem: file for file in sorted((folder / "records").iterdir())}
    how = mask(pii, {KEY: "0123456789abcdef" * 2}, "US")
    if how is None:
        sys.exit("nothing is hidden")
    started = perf_counter()
    for name, frame in hidden(files, how).items():
        frame.sink_parquet(folder / f"{name}.parquet")
    return perf_counter() - started


if __name__ == "__main__":
    main()
