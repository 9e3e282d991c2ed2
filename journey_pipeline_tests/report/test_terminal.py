"""What the terminal says after a run."""

import io

import polars as pl
from rich.console import Console

from journey_pipeline.report import summary
from journey_pipeline_tests.report.morning import AS_OF, BUSINESS, RULES, tables


def said(frames: dict[str, pl.LazyFrame], width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width)
    summary(frames, business=BUSINESS, rules=RULES, as_of=AS_OF, console=console, paths={"page": "home/report.html"})
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().replace("\N{NO-BREAK SPACE}", " ")


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_it_tells_what_was_read_what_broke_and_where_to_look() -> None:
    told = lines(said(tables()))
    for line in (
        "Northwind Academy, Friday 15 May 2026, 09:00 America/New_York",
        "stripe 1,204 1,204 payments",
        "people 434",
        "27 things are broken, 7 of them new today; 9,829.00 USD and 15,000 JPY at risk.",
        "Who has paid gets in. 18 2 8,483.00 USD delivery",
        "Whoever asked is in the CRM. 3 3 243.00 USD expected sales",
        "mailchimp.members is stale. The key was refused (401). Renew MAILCHIMP_API_KEY.",
        "Left open by that, wholly or in part: lead_implies_crm_record and unsubscribed_not_mailed.",
        "page home/report.html",
    ):
        assert line in told


def test_it_fits_100_columns_however_wide_the_terminal_is() -> None:
    assert max(len(line) for line in said(tables(), width=240).splitlines()) <= 100


def test_it_names_nobody() -> None:
    assert "@" not in said(tables())
    assert "p_0" not in said(tables())


def test_a_first_day_without_anything_is_not_called_a_good_one() -> None:
    told = said({})
    assert "Nothing was judged on this day." in told
    assert "What broke" not in told
