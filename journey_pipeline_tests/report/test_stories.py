"""What happened, told as one: on the page in a real browser, and in the figures behind it."""

import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from playwright.sync_api import Browser
from rich.console import Console

from journey_pipeline.report import figures, page, terminal
from journey_pipeline.report.figures import Incident, Money, Totals
from journey_pipeline_tests.publish.northwind import frame
from journey_pipeline_tests.report.morning import AS_OF, BUSINESS, OFFERS, RULES, tables

SENTENCE = "12 of 14 since Wednesday 6 May 09:00, all of bootcamp (elsewhere 2 of 410)"
WELCOME = "1 of 14 since Wednesday 6 May 10:00, all of bootcamp (elsewhere 0 of 410)"


def incident(incident_id: str, invariant: str, sentence: str, severity: str, **rest: Any) -> dict[str, Any]:
    return {
        "incident_id": incident_id, "invariant": invariant, "sentence": sentence, "severity": severity, "owner": "delivery",
        "status": "open", "story_id": "i1", "cause": "outage", "started_at": AS_OF, "factor": "offer", **rest,
    }  # fmt: skip


def morning() -> dict[str, pl.LazyFrame]:
    """The morning, where bootcamp's missing access and missing welcome are one event; and what is over."""
    bootcamp = (pl.col("invariant") == "paid_implies_access") & (pl.col("offer_id") == "bootcamp")
    welcome = pl.col("invariant") == "paid_implies_welcome"
    known = pl.when(bootcamp).then(pl.lit("i1")).when(welcome).then(pl.lit("i2"))
    found = tables()["findings"].with_columns(incident_id=known)
    repairs = [
        {"repair_id": "r0", "incident_id": "i1", "sentence": "Find out what stopped at bootcamp."},
        *({"repair_id": f"r{n}", "incident_id": "i1", "finding_id": f"f{n}", "behind_repair_id": "r0"} for n in range(1, 18)),
        {"repair_id": "r30", "incident_id": "i2", "finding_id": "f30"},
    ]  # fmt: skip
    return {
        **tables(), "findings": found, "repairs": frame("repairs", *repairs),
        "incidents": frame("incidents", incident("i2", "paid_implies_welcome", WELCOME, "warning"),
                           incident("i1", "paid_implies_access", SENTENCE, "critical"),
                           incident("i9", "no_duplicate_charge", "long over", "critical", status="ended")),
    }  # fmt: skip


def test_incidents_of_one_event_are_one_story_in_which_a_payment_counts_once() -> None:
    found = morning()
    (story,) = figures.stories(found, figures.open_findings(found, AS_OF.date(), "USD"), "USD")
    assert story.incidents == (
        Incident("paid_implies_access", "critical", "delivery", "outage", SENTENCE, 17),
        Incident("paid_implies_welcome", "warning", "delivery", "outage", WELCOME, 1),
    )
    assert (story.findings, story.severity, story.waiting) == (18, "critical", 17)
    assert story.first == ("Find out what stopped at bootcamp.",)
    assert story.totals == Totals((Money("USD", 17 * 49900),), ())  # the welcome stands on one of the same payments


def test_no_incidents_no_stories() -> None:
    found = tables()
    assert figures.stories(found, figures.open_findings(found, AS_OF.date(), "USD"), "USD") == []


@pytest.mark.parametrize("width", [320, 1280])
def test_the_page_tells_the_event_before_the_single_findings(browser: Browser, tmp_path: Path, width: int) -> None:
    page.write(morning(), business=BUSINESS, offers=OFFERS, rules=RULES, as_of=AS_OF, target=tmp_path / "report.html")
    tab = browser.new_page(viewport={"width": width, "height": 800})
    tab.goto((tmp_path / "report.html").as_uri())
    assert tab.locator("main h2").all_inner_texts()[:3] == ["What could not be judged", "What happened", "What broke"]
    assert tab.locator(".story").count() == 1
    assert tab.locator(".story h3").inner_text() == f"{SENTENCE} critical"
    said = tab.locator(".story .advice").inner_text().replace("\N{NO-BREAK SPACE}", " ").split("\n")
    assert [line.strip() for line in said if line.strip()] == [
        "17 findings",
        "Who has paid gets in. delivery; an outage: nearly everything of that time is broken",
        "1 finding",
        f"Who has paid is welcomed. delivery; an outage: nearly everything of that time is broken; {WELCOME}",
        "At risk", "8,483.00 USD", "First", "Find out what stopped at bootcamp.", "Then",
        "17 repairs held until then: journey repairs",
    ]  # fmt: skip
    assert tab.evaluate("document.documentElement.scrollWidth") == width


def test_the_end_of_a_run_tells_the_event_before_what_broke() -> None:
    console = Console(width=100, record=True, file=io.StringIO(), highlight=False)
    terminal.summary(morning(), business=BUSINESS, rules=RULES, as_of=AS_OF, console=console)
    said = [line.strip() for line in console.export_text().splitlines() if line.strip()]
    place = said.index("What happened")
    assert said[place + 1] == SENTENCE
    assert said[place + 2].startswith("What broke")
