"""The page as a reader has it: in a real browser, on a desk, on a phone, on paper."""

import re
from itertools import pairwise, product
from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import Browser, Page

from journey_pipeline.report import page
from journey_pipeline_tests.publish.northwind import finding, frame
from journey_pipeline_tests.report.morning import AS_OF, BUSINESS, CLAIMS, OFFERS, RULES, TODAY, broken, tables

SECTIONS = [
    "What could not be judged", "What broke", "Worklist", "What holds", "How far people came", "Sources",
    "Resolved in the last seven days", "Rows that could not be read",
]  # fmt: skip


def write(target: Path, frames: dict[str, pl.LazyFrame]) -> Path:
    page.write(frames, business=BUSINESS, offers=OFFERS, rules=RULES, as_of=AS_OF, target=target)
    return target


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("page") / "report.html", tables())


def opened(browser: Browser, html: Path, width: int = 1280) -> Page:
    tab = browser.new_page(viewport={"width": width, "height": 800})
    tab.goto(html.as_uri())
    return tab


def text(html: Path) -> str:
    return html.read_text().replace("\N{NO-BREAK SPACE}", " ")


def test_it_opens_with_the_day_in_one_sentence(browser: Browser, html: Path) -> None:
    tab = opened(browser, html)
    said = tab.locator("h1").inner_text().replace("\N{NO-BREAK SPACE}", " ")
    assert said == "27 things are broken, 7 of them new today; 9,829.00 USD and 15,000 JPY at risk."
    assert tab.locator("header time").first.inner_text() == "Friday, 15 May 2026, 09:00 America/New_York"
    assert tab.locator("main h2").all_inner_texts() == SECTIONS
    figures = dict(
        zip(tab.locator(".figures dt").all_inner_texts(), tab.locator(".figures dd").all_inner_texts(), strict=True)
    )
    assert {name: " ".join(value.split()) for name, value in figures.items()} == {
        "Open": "27", "New today": "7", "Came back": "1", "Resolved, last 7 days": "3", "Waived": "1 99.00 USD",
        "Paid, may have to be given back": "9,330.00 USD 15,000 JPY", "Used or given without money": "499.00 USD",
        "Sales that may not happen": "243.00 USD",
    }  # fmt: skip


def test_what_could_not_be_judged_names_the_source_what_to_do_and_the_promise(browser: Browser, html: Path) -> None:
    alarm = opened(browser, html).locator(".alarm").inner_text()
    assert "mailchimp members" in alarm
    assert "complete only until Tue 12 May 08:00 (3 days ago)" in alarm
    assert "Renew MAILCHIMP_API_KEY" in alarm
    assert "Who opted out gets no marketing mail." in alarm
    assert "Judged in part, 4 cases left open: hubspot.contacts is partial" in alarm


def test_each_team_finds_its_list_with_cause_fix_money_and_link(browser: Browser, html: Path) -> None:
    tab = opened(browser, html)
    assert tab.locator(".owner h3").all_inner_texts() == ["Delivery", "Sales", "Finance", "Data"]
    tab.get_by_role("link", name="finance").click()
    double = tab.locator(".group", has_text="Nobody is charged twice").first
    assert double.is_visible()
    assert double.locator(".advice").inner_text().split("\n") == [
        "Likely cause", "not known yet", "What to do", "Refund ch_88 on stripe; ch_87 is the one to keep.",
    ]  # fmt: skip
    assert double.locator(".stake").inner_text().split() == ["499.00", "USD", "paid"]
    link = double.get_by_role("link", name="Open ch_88 in stripe")
    assert link.get_attribute("href") == "https://dashboard.stripe.example/payments/ch_88"
    assert double.locator(".what").inner_text() == "p_000029"
    assert double.locator(".mark", has_text="new").count() == 1


def test_nothing_is_cut_silently(browser: Browser, html: Path) -> None:
    delivery = opened(browser, html).locator(".owner").first
    assert "13 of them listed here" in delivery.locator("header").first.inner_text()
    access = delivery.locator(".group").first
    assert access.locator(".finding").count() == 12
    assert "6 more of these. All of them: journey findings" in access.inner_text()


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_no_width_scrolls_sideways(browser: Browser, html: Path, width: int) -> None:
    tab = opened(browser, html, width)
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    cut = tab.evaluate(
        "[...document.querySelectorAll('main *, .masthead *')].filter((n) => n.getClientRects().length"
        " && n.getBoundingClientRect().right > innerWidth + 1 && !n.closest('thead')).map((n) => n.outerHTML)"
    )
    assert cut == []


def test_nothing_is_fetched_and_its_own_policy_is_kept(browser: Browser, html: Path) -> None:
    tab = browser.new_page()
    asked: list[str] = []
    said: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: said.append(message.text))
    tab.goto(html.as_uri())
    tab.wait_for_load_state("networkidle")
    assert [url for url in asked if not url.startswith("data:")] == [html.as_uri()]
    assert said == []
    assert tab.evaluate("getComputedStyle(document.querySelector('.owner h3')).fontSize") != "16px"  # its style counts


def test_it_is_whole_without_scripts_and_on_paper(browser: Browser, html: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    bare = context.new_page()
    bare.goto(html.as_uri())
    assert bare.locator(".finding").count() == 21
    assert all(node.is_visible() for node in bare.locator(".finding").all())
    assert not bare.locator("#filter").is_visible()
    context.close()

    tab = opened(browser, html)
    tab.emulate_media(color_scheme="dark")
    tab.locator("#find").fill("club")  # a list that was narrowed on the screen is whole on paper
    tab.emulate_media(media="print")
    assert all(node.is_visible() for node in tab.locator(".finding, main section, main tr").all())
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert len(re.findall(rb"/Type\s*/Page\b", tab.pdf(format="A4"))) >= 3


def test_typing_narrows_the_worklist(browser: Browser, html: Path) -> None:
    tab = opened(browser, html)
    tab.locator("#find").fill("finance stripe")
    assert [node.locator("h4").inner_text() for node in tab.locator(".group:visible").all()] == [
        "Nobody is charged twice for one purchase. critical",
        "A refund ends access. critical",
    ]
    assert tab.locator("#filter output").inner_text() == "2 of the 21 listed"
    tab.locator("#find").fill("")
    assert tab.locator(".finding:visible").count() == 21


def test_no_address_and_no_foreign_markup_reaches_the_page(browser: Browser, html: Path) -> None:
    body = text(html).split("<body>")[1]
    assert "@" not in body
    assert "%40" not in body
    assert "12 sales in 30 days; [address] asked what it is" in body
    assert "unreadable date of [address]" in body
    assert "javascript:" not in body
    tab = opened(browser, html)
    assert tab.title() == "Northwind Academy: what broke, 15 May 2026"
    assert "<script>document.title" in tab.locator(".group", has_text="One person is one contact").inner_text()


def test_landmarks_headings_tables_and_the_picture_can_be_heard(browser: Browser, html: Path) -> None:
    tab = opened(browser, html, 360)
    for landmark in ("banner", "main", "contentinfo", "navigation"):
        assert tab.get_by_role(landmark).count() == 1, landmark
    levels = [
        int(tag[1]) for tag in tab.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map((n) => n.tagName)")
    ]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert tab.get_by_role("columnheader").count() == tab.locator("th[scope=col]").count() > 0
    assert tab.get_by_role("row").count() == tab.locator("tr").count()
    picture = tab.get_by_role("img", name="The funnel, by step")
    heard = picture.locator("desc").text_content()
    assert heard
    assert heard.startswith("touched: 434 people, 244 went on. lead: 244 people, 244 went on.")
    assert heard.rstrip().endswith("using it: 30 people.")


def test_colours_can_be_read_in_both_schemes() -> None:
    css = (Path(page.__file__).parent / "page.css").read_text()
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for block in css.split("@media print")[0].split("@media (prefers-color-scheme: dark)")
    )
    pairs = [*product(("ink", "soft", "accent", "critical"), ("paper", "card")), ("card", "ink"), ("good", "paper")]
    pairs += [(tone, f"{tone}-tint") for tone in ("critical", "warning", "info")]
    pairs += [(tone, "card") for tone in ("critical", "warning", "info")] + [("soft", "warning-tint")]
    for colours in (light, {**light, **dark}):
        for above, below in pairs:
            assert contrast(colours[above], colours[below]) >= 4.5, (above, below)


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_same_tables_give_the_same_bytes(tmp_path: Path, html: Path) -> None:
    shuffled = {
        name: frame.collect().sample(fraction=1, shuffle=True, seed=7).lazy() for name, frame in tables().items()
    }
    assert write(tmp_path / "again.html", shuffled).read_bytes() == html.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again.html"]


def test_a_morning_without_findings_is_only_calm_if_everything_was_judged(tmp_path: Path) -> None:
    day = {"day_on": TODAY, "currency": "USD", "evaluated": 1204, "severity": "critical", "owner": "delivery"}
    judged = frame("invariant_days", {**day, "invariant": "paid_implies_access", "gate": "open"})
    calm = text(write(tmp_path / "calm.html", {"invariant_days": judged}))
    assert '<h1>\n<b class="calm">Nothing is broken</b>.\n</h1>' in calm
    assert "Who has paid gets in. <small>1,204 cases</small>" in calm
    assert "could not be judged" not in calm

    unjudged = frame("invariant_days", {**day, "invariant": "paid_implies_access", "gate": "closed"})
    unknown = text(write(tmp_path / "unknown.html", {"invariant_days": unjudged}))
    assert "<b>Not everything could be judged</b>; nothing is known to be broken." in unknown
    assert "What could not be judged" in unknown

    assert "<b>Nothing was judged</b> on this day." in text(write(tmp_path / "first.html", {}))


def test_thousands_of_findings_stay_a_page(tmp_path: Path) -> None:
    many = [broken(n, name) for name in CLAIMS for n in range(1500)]
    html = write(tmp_path / "many.html", {"findings": frame("findings", *many)})
    assert "<b>16,500 things</b> are broken" in text(html)
    assert html.stat().st_size < 400_000
    assert "1,488 more of these" in text(html)


def test_reasons_that_quote_their_value_are_counted_not_listed(tmp_path: Path) -> None:
    rows = [{"platform": "shop", "resource": "orders", "reason": f"unreadable date {n}"} for n in range(40)]
    html = text(write(tmp_path / "page.html", {"rejected_records": frame("rejected_records", *rows)}))
    assert html.count("unreadable date") == 25
    assert "15 more rows for 15 other reasons" in html


def test_an_owner_given_as_an_address_is_shown_without_it(tmp_path: Path) -> None:
    mine = finding("f", "paid_implies_access", "ops@northwind.example", person_id="p_1")
    html = text(write(tmp_path / "page.html", {"findings": frame("findings", mine)}))
    assert ">ops</h3>" in html
    assert "northwind.example" not in html
