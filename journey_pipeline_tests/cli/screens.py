"""What people look at, and how each is opened: for the tests that read the screens and the pictures made of them."""

import re
from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import Browser, Page

_PATIENCE_MS = 60_000  # Dagster asks for one thing after the other, on a machine that may be busy
_STILL_MS = 1000  # nothing new in so long: it is drawn
_CLOCK = re.compile(r"\d+|a minute ago|seconds? ago|minutes? ago")

DAGSTER: Mapping[str, tuple[str, str]] = {
    "lineage": ("/asset-groups", "raw_stripe"),
    "asset": ("/assets/invariants/findings", "finding_id"),
    "check": (
        "/assets/journeys/buyer_journeys?view=checks&checkDetail=paid_implies_access",
        "Whoever paid for an offer can use it.",
    ),
    "runs": ("/runs", "daily"),
    "automation": ("/automation", "every_morning"),
}
"""Name -> the address in the Dagster UI, and what is there once it is drawn."""

FILES: Mapping[str, str] = {"page": "report.html", "data_docs": "data_docs/index.html"}
"""Name -> the file in the home folder."""


def tab(browser: Browser, width: int = 1600, height: int = 1000) -> Page:
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(_PATIENCE_MS)
    return page


def show(page: Page, name: str, base: str, home: Path) -> Page:
    """Open a screen and wait until it is drawn. `base`: where the Dagster UI is served."""
    if name in FILES:
        page.goto((home / FILES[name]).resolve().as_uri())
        return page
    address, landmark = DAGSTER[name]
    page.goto(base + address)
    page.get_by_text(landmark, exact=True).last.wait_for()
    before = ""  # the network is never idle: the UI asks for news all the time
    while (words := _CLOCK.sub("", page.locator("body").inner_text())) != before:
        before = words
        page.wait_for_timeout(_STILL_MS)
    return page
