"""`python -m journey_pipeline_tests.cli.pictures HOME URL`: the pictures of the docs, of a demo's home and its UI at URL.

First `journey demo` and `journey ui --demo`. Needs Chromium, and pngquant to make the files small.
"""

import subprocess
import sys
from pathlib import Path

from journey_pipeline_tests.chromium import launched
from journey_pipeline_tests.cli.screens import DAGSTER, FILES, show, tab

IMAGES = Path(__file__).parents[2] / "docs" / "images"
_SMALLEST_MS = 4000  # edges, plots and badges are drawn after the words


def main(home: Path, url: str) -> None:
    with launched() as browser:
        for name in (*DAGSTER, *FILES):
            page = tab(browser, 1280 if name in FILES else 1500, 900)
            show(page, name, url, home).wait_for_timeout(_SMALLEST_MS)
            if name == "lineage":  # its arrows are drawn in the right place from the second time on
                show(page, name, url, home).wait_for_timeout(_SMALLEST_MS)
            file = IMAGES / f"{name}.png"
            page.screenshot(path=file)
            subprocess.run(["pngquant", "--force", "--strip", "--output", file, "128", file], check=True)
            assert file.stat().st_size < 300_000, file


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
