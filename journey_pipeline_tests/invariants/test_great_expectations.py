"""What Great Expectations is asked, that each question can fail, and that nothing personal leaves through it."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import polars as pl
import pytest
from playwright.sync_api import Browser, Page

from journey_pipeline.errors import CheckCrashedError, SettingsError
from journey_pipeline.invariants import great_expectations as gx
from journey_pipeline.invariants import own, shape
from journey_pipeline.model import Rule
from journey_pipeline.registry import TABLES
from journey_pipeline.settings import load

AS_OF = datetime(2026, 5, 15, 12, tzinfo=UTC)
EARLIER = AS_OF - timedelta(hours=3)
TODAY = date(2026, 5, 15)

# One sound row of each table that a case below spoils; columns that are not named are null.
RECORD = {"platform": "stripe", "record_id": "r_1", "occurred_at": EARLIER, "loaded_at": AS_OF, "person_id": "p_1"}
FINDING = {
    "finding_id": "f_1", "invariant": "paid_implies_access", "subject": "person:p_1", "person_id": "p_1",
    "severity": "critical", "owner": "delivery", "cause": "outage", "fix": "Grant it.", "status": "open",
    "first_seen_on": date(2026, 5, 1), "last_seen_on": TODAY, "at_risk_minor": 4900, "currency": "USD",
}  # fmt: skip
SOUND: Mapping[str, dict[str, Any]] = {
    "payments": {
        **RECORD, "role": "processor", "status": "succeeded", "amount_minor": 4900, "currency": "USD",
        "product_ref": "stripe:price_1", "refunded_minor": 0, "net_minor": 4900, "identity_confidence": 1.0,
    },
    "leads": RECORD,
    "consents": RECORD,
    "notifications": RECORD,
    "spend": {**RECORD, "currency": "USD"},
    "agreements": {**RECORD, "status": "signed", "sent_at": EARLIER, "signed_at": AS_OF},
    "bookings": {**RECORD, "status": "scheduled", "starts_at": datetime(2031, 1, 1, tzinfo=UTC)},
    "tickets": {**RECORD, "topic": "access", "status": "solved", "resolved_at": AS_OF},
    "surveys": {**RECORD, "instrument": "nps", "score": 9.0},
    "access": {**RECORD, "grant": "course", "status": "active", "expires_at": datetime(2031, 1, 1, tzinfo=UTC)},
    "reported": {
        "platform": "files", "record_id": "r_1", "occurred_at": EARLIER, "loaded_at": AS_OF, "value": -3.0,
        "starts_on": date(2026, 4, 1), "ends_on": date(2026, 4, 30),
    },
    "people": {"person_id": "p_1", "email": "ann@private.example", "lifecycle": "buyer", "lifetime_minor": 0},
    "person_keys": {
        "person_id": "p_1", "key": "email:ann@private.example", "kind": "payments", "platform": "stripe",
        "record_id": "r_1", "how": "exact", "confidence": 1.0,
    },
    "buyer_journeys": {
        "person_id": "p_1", "paid_minor": 0, "stage": "lead", "churned_at": datetime(2031, 1, 1, tzinfo=UTC),
    },
    "journey_events": {
        "person_id": "p_1", "event": "paid", "occurred_at": EARLIER, "platform": "stripe", "record_id": "r_1",
    },
    "findings": FINDING,
    "finding_days": {**FINDING, "day_on": TODAY, "verdict": "broken"},
    "invariant_days": {"invariant": "paid_implies_access", "day_on": TODAY, "currency": "USD", "gate": "open"},
    "repairs": {
        "repair_id": "x_1", "finding_id": "f_1", "invariant": "paid_implies_access", "severity": "critical", "owner": "sales", "step": 1,
        "action": "review", "wanted_action": "review", "is_held": False, "sentence": "Look.",
    },
}  # fmt: skip

CASES: list[tuple[str, dict[str, Any], set[str]]] = [
    ("leads", {"occurred_at": None}, {"shape_occurred_at_not_null"}),
    ("payments", {"status": "weird"}, {"shape_status_allowed"}),
    ("payments", {"amount_minor": -1}, {"shape_amount_minor_range", "shape_amount_minor_not_below_refunded_minor"}),
    ("payments", {"net_minor": -1}, {"shape_net_minor_range"}),
    ("consents", {"identity_confidence": 1.01}, {"shape_identity_confidence_range"}),
    ("notifications", {"occurred_at": datetime(1999, 12, 31, 23, tzinfo=UTC)}, {"shape_occurred_at_range"}),
    ("consents", {"loaded_at": AS_OF + timedelta(days=1, seconds=1)}, {"shape_loaded_at_range"}),
    ("spend", {"currency": "usd"}, {"shape_currency_format"}),
    ("spend", {"clicks": -1}, {"shape_clicks_range"}),
    ("spend", {"currency": None, "cost_minor": 1}, {"shape_cost_minor_has_currency"}),
    ("leads", {"product_ref": "price_1"}, {"shape_product_ref_format"}),
    (
        "payments",
        {"currency": None},
        {"shape_amount_minor_has_currency", "shape_net_minor_has_currency"},
    ),
    ("payments", {"offer_price_minor": 100}, {"shape_offer_price_minor_has_currency"}),
    ("payments", {"refunded_at": EARLIER - timedelta(seconds=1)}, {"shape_refunded_at_not_below_occurred_at"}),
    ("payments", {"refunded_minor": 4901}, {"shape_amount_minor_not_below_refunded_minor"}),
    ("agreements", {"signed_at": EARLIER - timedelta(days=1)}, {"shape_signed_at_not_below_sent_at"}),
    ("bookings", {"starts_at": None}, {"shape_starts_at_not_null"}),
    ("tickets", {"resolved_at": EARLIER - timedelta(days=1)}, {"shape_resolved_at_not_below_occurred_at"}),
    ("surveys", {"score": 10.5}, {"shape_score_range"}),
    ("access", {"progress": 101.0}, {"shape_progress_range"}),
    ("access", {"basis": "bought"}, {"shape_basis_allowed"}),
    ("reported", {"ends_on": date(2026, 3, 31)}, {"shape_ends_on_not_below_starts_on"}),
    ("people", {"person_id": None}, {"shape_person_id_not_null"}),
    ("people", {"lifecycle": "friend"}, {"shape_lifecycle_allowed"}),
    ("person_keys", {"key": None}, {"shape_key_not_null"}),
    ("person_keys", {"how": "guessed"}, {"shape_how_allowed"}),
    ("buyer_journeys", {"stage": "asleep"}, {"shape_stage_allowed"}),
    ("buyer_journeys", {"payment_count": -1}, {"shape_payment_count_range"}),
    ("journey_events", {"person_id": "p_2"}, {"shape_person_id_exists"}),
    ("findings", {"last_seen_on": date(2026, 4, 1)}, {"shape_last_seen_on_not_below_first_seen_on"}),
    ("findings", {"fix": None}, {"shape_fix_not_null"}),
    ("findings", {"person_id": "p_2"}, {"shape_person_id_exists"}),
    ("finding_days", {"finding_id": "f_2"}, {"shape_finding_id_exists"}),
    ("finding_days", {"verdict": "brokn"}, {"shape_verdict_allowed"}),
    ("repairs", {"finding_id": "f_2"}, {"shape_finding_id_exists"}),
    ("invariant_days", {"invariant": "Paid?"}, {"shape_invariant_format"}),
    ("invariant_days", {"gate": "ajar"}, {"shape_gate_allowed"}),
]
PARENTS = {"people": "person_id", "findings": "finding_id"}
WARNS_ONLY = {
    "shape_net_minor_range", "shape_refunded_at_not_below_occurred_at", "shape_signed_at_not_below_sent_at",
    "shape_amount_minor_not_below_refunded_minor", "shape_resolved_at_not_below_occurred_at",
    "shape_ends_on_not_below_starts_on", "shape_last_seen_on_not_below_first_seen_on", "shape_rows",
}  # fmt: skip

PAID = Rule(
    name="paid_implies_access", on="buyer_journeys", when="paid_at is not null", then="opened_at is not null",
    claim="Who pays < $5 gets access.", severity="critical", owner="delivery", within="1h", core=True,
)  # fmt: skip
TWICE = Rule(name="no_double", on="payments", when="is_primary", then="earlier_twin_ref is null", severity="warning")


def frame(table: str, *rows: Mapping[str, Any]) -> pl.DataFrame:
    schema = TABLES[table].schema
    return pl.DataFrame([{column: row.get(column) for column in schema} for row in rows], schema=schema, orient="row")


def gates(**gate_of: str) -> pl.DataFrame:
    rows = [
        {"invariant": name, "day_on": TODAY, "currency": "USD", "gate": gate, "gate_reason": "slack.posts is stale"}
        for name, gate in gate_of.items()
    ]
    return frame("invariant_days", *rows)


def ask(folder: Path, **given: Any) -> gx.Report:
    asked = {"shapes": {}, "verdicts": {}, "rules": [], "gates": gates(), "as_of": AS_OF, **given}
    return gx.check(docs_folder=folder / "data_docs", **asked)


def failed(report: gx.Report) -> set[tuple[str, str]]:
    return {(check.table, check.name) for check in report.failed}


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> list[gx.Report]:
    """The report of every case. Asked in rounds, one case per table in each, since a single round costs seconds."""
    rounds: list[dict[str, int]] = []
    for number, (table, _, _) in enumerate(CASES):
        free = next((cases for cases in rounds if table not in cases), None)
        if free is None:
            rounds.append(free := {})
        free[table] = number
    reports: dict[int, gx.Report] = {}
    for cases in rounds:
        shapes = {table: frame(table, {**SOUND[table], **CASES[number][1]}) for table, number in cases.items()}
        for table, key in PARENTS.items():
            # a parent is spoilt beside the sound one, so that nobody is orphaned by the way
            beside = [{**SOUND[table], key: "other", **CASES[cases[table]][1]}] if table in cases else []
            shapes[table] = frame(table, SOUND[table], *beside)
        if "people" in cases:  # whom a record names, too
            shapes["contacts"] = frame("contacts", RECORD, {**RECORD, "record_id": "r_2", "person_id": "other"})
        report = ask(tmp_path_factory.mktemp("round"), shapes=shapes)
        reports.update(dict.fromkeys(cases.values(), report))
    return [reports[number] for number in range(len(CASES))]


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{t}-{','.join(sorted(f))}" for t, _, f in CASES])
def test_a_spoilt_row_fails_its_own_rules_and_no_other(spoilt: list[gx.Report], number: int) -> None:
    table, _, expected = CASES[number]
    found = {check.name: check for check in spoilt[number].failed if check.table == table}
    assert set(found) == expected
    assert {name for name, check in found.items() if not check.is_blocking} == expected & WARNS_ONLY
    assert {check.severity for check in found.values()} <= {"critical", "warning"}


def test_sound_rows_fail_nothing_and_every_name_is_fit_for_a_check(tmp_path: Path) -> None:
    report = ask(tmp_path, shapes={table: frame(table, row).lazy() for table, row in SOUND.items()})
    assert failed(report) == set()
    names = [(check.table, check.name) for check in report.checks]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[A-Za-z0-9_]+", name) for _, name in names)
    assert {check.suite for check in report.checks if check.table == "people"} == {"people_shape"}
    assert report.docs_page == tmp_path / "data_docs" / "index.html"


def test_the_rules_of_a_table_stand_in_the_registry() -> None:
    assert [rule.name for rule in shape.rules(TABLES["consents"])] == [
        "shape_columns",
        "shape_platform_not_null",
        "shape_record_id_not_null",
        "shape_occurred_at_not_null",
        "shape_loaded_at_not_null",
        "shape_key_unique",
        "shape_occurred_at_range",
        "shape_loaded_at_range",
        "shape_first_loaded_at_range",
        "shape_gone_at_range",
        "shape_state_allowed",
        "shape_list_ref_format",
        "shape_identity_confidence_range",
        "shape_rows",
    ]


def test_a_missing_column_is_named_once_and_crashes_nothing(tmp_path: Path) -> None:
    report = ask(tmp_path, shapes={"payments": frame("payments", SOUND["payments"]).drop("currency", "status")})
    assert failed(report) == {("payments", "shape_columns")}
    assert report.failed[0].description == "Has every column of payments. Missing: currency, status."
    assert report.blocking == report.failed


def test_keys_are_unique_and_two_nulls_are_the_same_key(tmp_path: Path) -> None:
    prospect = SOUND["buyer_journeys"]
    report = ask(
        tmp_path,
        shapes={
            "buyer_journeys": frame("buyer_journeys", prospect, prospect, {**prospect, "offer_id": "bootcamp"}),
            "payments": frame(
                "payments", SOUND["payments"], {**SOUND["payments"], "platform": "paypal", "person_id": "p_2"}
            ),
            "people": frame("people", SOUND["people"], SOUND["people"]),
        },
    )
    assert failed(report) == {("buyer_journeys", "shape_key_unique"), ("people", "shape_key_unique")}
    assert [(check.evaluated, check.unexpected) for check in report.failed] == [(3, 2), (2, 2)]


def test_a_sum_of_nothing_needs_no_currency(tmp_path: Path) -> None:
    paid = {**SOUND["buyer_journeys"], "paid_minor": 1}
    report = ask(tmp_path, shapes={"buyer_journeys": frame("buyer_journeys", SOUND["buyer_journeys"])})
    assert failed(report) == set()
    report = ask(tmp_path, shapes={"buyer_journeys": frame("buyer_journeys", paid)})
    assert failed(report) == {("buyer_journeys", "shape_paid_minor_has_currency")}


@pytest.mark.parametrize(
    ("today", "yesterday", "is_kept"),
    [(5, 10, True), (4, 10, False), (30, 10, True), (31, 10, False), (3, 0, True), (3, None, True)],
)
def test_records_neither_halve_nor_treble_overnight(
    tmp_path: Path, today: int, yesterday: int | None, is_kept: bool
) -> None:
    rows = [{**RECORD, "record_id": f"r_{number}"} for number in range(today)]
    counts = None if yesterday is None else {"leads": yesterday}
    report = ask(tmp_path, shapes={"leads": frame("leads", *rows)}, yesterday_counts=counts)
    assert failed(report) == (set() if is_kept else {("leads", "shape_rows")})
    assert report.blocking == ()


@pytest.mark.parametrize(("merges_on", "is_kept"), [(TODAY, True), (date(2026, 5, 14), False)])
def test_people_may_only_go_by_merging_today(tmp_path: Path, merges_on: date, is_kept: bool) -> None:
    merges = [
        {"day_on": merges_on, "change": "merge", "from_person_id": f"q_{number}", "to_person_id": "p_1", "because": "x"}
        for number in range(8)
    ]
    report = ask(
        tmp_path,
        shapes={
            "people": frame("people", *({"person_id": f"p_{number}"} for number in range(90))),
            "identity_changes": frame("identity_changes", *merges),
        },
        gates=gates(no_double="off"),
        rules=[TWICE],
        yesterday_counts={"people": 100},
    )
    assert failed(report) == (set() if is_kept else {("people", "shape_rows")})


def test_a_broken_row_fails_its_invariant_with_its_own_severity_and_blocks_nothing(tmp_path: Path) -> None:
    report = ask(
        tmp_path,
        verdicts={
            "buyer_journeys": pl.DataFrame(
                {"person_id": list("abcdef"), PAID.name: ["broken", "holds", None, "pending", "excused", "unknown"]}
            ),
            "payments": pl.DataFrame({TWICE.name: ["holds", None, "unknown"]}),
        },
        rules=[PAID, TWICE],
        gates=gates(paid_implies_access="partial", no_double="open"),
    )
    assert failed(report) == {
        ("buyer_journeys", "paid_implies_access"),
        ("invariant_days", "all_evaluated"),
    }
    (check,) = [check for check in report.checks if check.name == PAID.name]
    assert (check.suite, check.kind, check.severity, check.gate) == (
        "buyer_journeys_invariants", "invariant", "critical", "partial",
    )  # fmt: skip
    assert (check.evaluated, check.unexpected, check.description) == (5, 1, "Who pays < $5 gets access.")
    assert report.blocking == ()


def test_a_closed_gate_is_never_a_pass(tmp_path: Path) -> None:
    report = ask(
        tmp_path,
        verdicts={"buyer_journeys": pl.DataFrame({PAID.name: ["unknown", None]})},
        rules=[PAID],
        gates=gates(paid_implies_access="closed"),
    )
    assert failed(report) == {("buyer_journeys", "paid_implies_access"), ("invariant_days", "all_evaluated")}
    assert [check.severity for check in report.failed] == ["warning", "warning"]
    assert report.failed[0].description == "Not evaluated: slack.posts is stale"


def test_a_closed_gate_without_a_single_row_still_shows(tmp_path: Path) -> None:
    nothing = pl.DataFrame({PAID.name: []}, schema={PAID.name: pl.String})
    shut = gates(paid_implies_access="closed")
    report = ask(tmp_path, verdicts={"buyer_journeys": nothing}, rules=[PAID], gates=shut)
    assert failed(report) == {("invariant_days", "all_evaluated")}


@pytest.mark.parametrize("gate", ["not_covered", "off"])
def test_what_is_not_asked_has_no_check(tmp_path: Path, gate: str) -> None:
    report = ask(tmp_path, rules=[PAID], gates=gates(paid_implies_access=gate))
    assert [(check.table, check.name, check.is_success) for check in report.checks] == [
        ("invariant_days", "all_evaluated", True)
    ]


def test_a_word_that_is_no_verdict_is_a_fault_of_ours_that_blocks(tmp_path: Path) -> None:
    misspelt = {"buyer_journeys": pl.DataFrame({PAID.name: ["brokn"]})}
    report = ask(tmp_path, verdicts=misspelt, rules=[PAID], gates=gates(paid_implies_access="open"))
    assert [(check.name, check.is_blocking) for check in report.failed] == [("shape_verdict_paid_implies_access", True)]


def test_a_crash_is_an_error_that_names_the_expectation_and_leaves_the_old_docs(tmp_path: Path) -> None:
    ask(tmp_path)
    before = (tmp_path / "data_docs" / "index.html").read_text()
    with pytest.raises(CheckCrashedError, match=r"buyer_journeys_invariants\.paid_implies_access: .*does not exist"):
        ask(
            tmp_path,
            verdicts={"buyer_journeys": pl.DataFrame({"person_id": ["p_1"]})},
            rules=[PAID],
            gates=gates(paid_implies_access="open"),
        )
    assert (tmp_path / "data_docs" / "index.html").read_text() == before
    text = frame("payments", SOUND["payments"]).with_columns(amount_minor=pl.lit("dear"))
    with pytest.raises(CheckCrashedError, match=r"payments_shape\.shape_amount_minor_range"):
        ask(tmp_path, shapes={"payments": text})


def test_a_rule_that_nobody_judged_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckCrashedError, match=r"1 invariants have no row in invariant_days.*no_double"):
        ask(tmp_path, rules=[TWICE], verdicts={"payments": pl.DataFrame({TWICE.name: ["holds"]})})


def test_nothing_personal_is_written_or_returned(tmp_path: Path) -> None:
    mail = "ann.private@nowhere.example"
    row = {**SOUND["payments"], "record_id": mail, "email": mail, "name": mail, "phone": mail, "product_ref": mail}
    key = {**SOUND["person_keys"], "key": f"email:{mail}"}
    report = ask(
        tmp_path,
        shapes={
            "payments": frame("payments", row, row, {**row, "status": mail, "currency": mail}),
            "people": frame("people", {"person_id": mail, "email": mail}, {"person_id": mail}),
            "person_keys": frame("person_keys", key, key),
            "rejected_records": frame("rejected_records", {"raw": mail, "record_id": mail, "loaded_at": AS_OF}),
        },
    )
    assert failed(report) >= {
        ("payments", "shape_key_unique"),
        ("payments", "shape_status_allowed"),
        ("payments", "shape_product_ref_format"),
        ("people", "shape_key_unique"),
        ("person_keys", "shape_key_unique"),
    }
    written = [path.read_text() for path in (tmp_path / "data_docs").rglob("*") if path.is_file()]
    assert len(written) == 6
    assert not any("ann.private" in text or "nowhere.example" in text for text in [*written, repr(report)])


def test_docs_are_replaced_as_a_whole(tmp_path: Path) -> None:
    ask(tmp_path, shapes={"people": frame("people", SOUND["people"])})
    assert list((tmp_path / "data_docs").glob("validations/people_shape/**/people.html"))
    ask(tmp_path, shapes={"leads": frame("leads")})
    assert not list((tmp_path / "data_docs").glob("validations/people_shape/**/people.html"))
    assert [path.name for path in tmp_path.iterdir()] == ["data_docs"]


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("docs")
    ask(
        folder,
        shapes={
            "payments": frame("payments", {**SOUND["payments"], "currency": "usd"}),
            "people": frame("people", SOUND["people"]),
        },
        verdicts={"buyer_journeys": pl.DataFrame({PAID.name: ["broken", "holds", None]})},
        rules=[PAID],
        gates=gates(paid_implies_access="open"),
    )
    page = browser.new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto((folder / "data_docs" / "index.html").as_uri())
    yield page
    assert all(url.startswith("file://") for url in requests)


def test_the_front_page_lists_promises_then_shapes_failures_first_and_leads_to_them(page: Page) -> None:
    assert [row.split()[0] for row in page.locator("tbody tr").all_inner_texts()] == [
        "buyer_journeys_invariants",
        "invariant_days_invariants",
        "payments_shape",
        "people_shape",
    ]
    assert page.locator("tbody i.fa-times").count() == 2
    page.get_by_role("link", name="buyer_journeys_invariants").click()
    page.get_by_text("Who pays < $5 gets access.").wait_for()
    text = page.locator("main").inner_text()
    assert "critical · delivery · within 1h · every case could be judged · paid_implies_access" in text
    assert "Table buyer_journeys, one row: person by offer" in text
    assert "one that is broken is not" in text
    assert "1 unexpected values found. 50% of 2 total rows." in text
    page.get_by_role("link", name="All suites").click()
    page.get_by_role("link", name="payments_shape").click()
    sound = page.get_by_text("refunded_minor is never negative.")
    assert sound.is_visible()
    page.get_by_label("only what failed").check()
    assert not sound.is_visible()
    assert page.get_by_text("currency looks like ^[A-Z]{3}$.").first.is_visible()


def test_large_tables_are_asked_in_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    count = 200_000
    number = pl.int_range(count)
    payments = frame("payments", SOUND["payments"]).select(pl.all().repeat_by(count).explode())
    payments = payments.with_columns(record_id=pl.format("ch_{}", number), person_id=pl.format("p_{}", number % 90_000))
    words = pl.Series(["holds", "pending", "broken", None]).gather(pl.select(number % 4).to_series())
    begun = perf_counter()
    report = ask(
        tmp_path,
        shapes={"payments": payments},
        verdicts={"payments": pl.DataFrame({TWICE.name: words})},
        rules=[TWICE],
        gates=gates(no_double="open"),
    )
    seconds = perf_counter() - begun
    assert failed(report) == {("payments", "no_double")}
    assert report.failed[0].unexpected == count // 4
    with capsys.disabled():
        print(f"\n{len(report.checks)} checks over {count:,} payments: {seconds:.1f} s")  # noqa: T201 - the figure is the point
    assert seconds < 30


OWN = """[
  {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "email"}, "severity": "critical",
   "description": "Whoever pays left an address.", "meta": {"owner": "finance", "name": "address"}},
  {"type": "expect_column_values_to_be_between", "kwargs": {"column": "amount_minor", "max_value": 100000}},
  {"type": "expect_column_values_to_be_between",
   "kwargs": {"column": "occurred_at", "min_value": "2026-05-15T00:00:00", "strict_min": true}},
  {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 5}}
]"""


def written(folder: Path, text: str, table: str = "payments") -> Path:
    (folder / "expectations").mkdir(exist_ok=True)
    (folder / "expectations" / f"{table}.json").write_text(text)
    return folder


def test_a_users_own_expectations_run_in_a_suite_of_their_own_and_block_nothing(tmp_path: Path) -> None:
    rows = [{**SOUND["payments"], "record_id": f"r_{n}", "amount_minor": 60_000 * n, "email": "a@x.example" if n else None}
            for n in range(3)]  # fmt: skip
    report = ask(
        tmp_path, shapes={"payments": frame("payments", *rows)}, own=own.load(written(tmp_path, OWN))
    )  # fmt: skip
    mine = {c.name: (c.is_success, c.severity, c.unexpected, c.suite) for c in report.checks if c.kind == "own"}
    assert mine == {
        "address": (False, "critical", 1, "payments_own"),
        "own_1": (False, "warning", 1, "payments_own"),
        "own_2": (True, "warning", 0, "payments_own"),
        "own_3": (False, "warning", 0, "payments_own"),
    }
    assert report.blocking == ()
    page = next((tmp_path / "data_docs").glob("validations/payments_own/**/payments.html")).read_text()
    assert "Whoever pays left an address." in page
    assert "critical · finance" in page
    assert "Expect column values to be between: column amount_minor, max_value 100000." in page


def test_what_the_user_wrote_as_a_whole_suite_is_read_too(tmp_path: Path) -> None:
    suite = gx.ExpectationSuite(
        name="mine", expectations=[gx.gxe.ExpectColumnValuesToBeUnique(column="record_id", severity="info")]
    )
    folder = written(
        tmp_path, str(suite.to_json_dict()).replace("'", '"').replace("None", "null").replace("True", "true")
    )
    report = ask(tmp_path, shapes={"payments": frame("payments", SOUND["payments"])}, own=own.load(folder))
    assert [(c.is_success, c.severity) for c in report.checks if c.kind == "own"] == [(True, "info")]


@pytest.mark.parametrize(
    ("table", "text", "sentence"),
    [
        ("paymnts", "[]", "no table 'paymnts'; a file is named by its table; did you mean payments"),
        ("payments", '[\n{"type": 1,\n]', "3: is not JSON"),
        ("payments", '{"type": "x"}', "must be a list of expectations"),
        ("payments", '[{"type": "expect_column_values_to_be_nul", "kwargs": {}}]',
         "[0].type: no expectation 'expect_column_values_to_be_nul'; did you mean expect_column_values_to_be_null"),
        ("payments", '[{"type": "expect_column_values_to_be_null", "kwargs": {"column": "amount"}}]',
         "[0].kwargs.column: payments has no column 'amount'; did you mean amount_minor"),
        ("payments", '[{"type": "expect_column_values_to_be_null", "severity": "bad"}]', "[0].severity: 'bad' is not known"),
        ("payments", '[{"typ": "expect_column_values_to_be_null"}]', "[0].typ: no such name; did you mean type"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_its_place_and_what_is_allowed(
    tmp_path: Path, table: str, text: str, sentence: str
) -> None:
    written(tmp_path, text, table)
    (tmp_path / "journey.yaml").write_text("business: {name: X, timezone: UTC, currency: USD}\nplatforms: {}\n")
    with pytest.raises(SettingsError) as refused:
        load(tmp_path / "journey.yaml")
    assert sentence in str(refused.value)
    assert str(refused.value).startswith(f"expectations/{table}.json: ")


def test_arguments_that_an_expectation_does_not_take_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    text = '[{"type": "expect_column_values_to_be_between", "kwargs": {"column": "amount_minor", "maximum": 1}}]'
    with pytest.raises(
        SettingsError, match=r"own_0: expect_column_values_to_be_between: maximum: extra fields not permitted"
    ):
        ask(tmp_path, shapes={"payments": frame("payments")}, own=own.load(written(tmp_path, text)))
    assert not (tmp_path / "data_docs").exists()


def test_everybody_whom_a_record_names_is_among_the_people_and_nobody_else(tmp_path: Path) -> None:
    people = [{"person_id": "p_1"}, {"person_id": "p_2"}]
    records = {"leads": frame("leads", RECORD, {**RECORD, "record_id": "r_2", "person_id": None})}
    assert failed(ask(tmp_path, shapes={**records, "people": frame("people", people[0])})) == set()
    report = ask(tmp_path, shapes={**records, "people": frame("people", *people)})
    assert failed(report) == {("people", "shape_people_of_records")}
    assert [check.name for check in report.blocking] == ["shape_people_of_records"]


@pytest.mark.parametrize(
    ("worth", "is_kept"),
    [
        ({"lifetime_minor": 7900, "lifetime_other": [{"ref": "EUR", "amount_minor": 2900}]}, True),
        ({"lifetime_minor": 7900}, False),  # another currency was lost
        ({"lifetime_minor": 10800}, False),  # two currencies added
        (
            {"lifetime_minor": 4900, "lifetime_other": [{"ref": "EUR", "amount_minor": 2900}]},
            False,
        ),  # a payment was lost
        ({"lifetime_minor": 7900, "lifetime_other": [{"ref": "GBP", "amount_minor": 2900}]}, False),
        ({"lifetime_minor": 0, "is_test": True}, True),  # nothing of a test is revenue
    ],
)
def test_what_people_are_worth_is_what_their_payments_kept(
    tmp_path: Path, worth: Mapping[str, Any], is_kept: bool
) -> None:
    sold = {**RECORD, "role": "processor", "status": "succeeded", "is_primary": True, "is_test": False}
    payments = [
        {**sold, "record_id": "ch_1", "amount_minor": 4900, "net_minor": 4900, "currency": "USD"},
        {**sold, "record_id": "ch_2", "amount_minor": 3000, "net_minor": 3000, "currency": "USD"},
        {**sold, "record_id": "ch_3", "amount_minor": 2900, "net_minor": 2900, "currency": "EUR"},
        {**sold, "record_id": "ch_4", "amount_minor": 4900, "net_minor": 0, "currency": "USD"},  # given back
        {**sold, "record_id": "o_1", "amount_minor": 4900, "net_minor": 4900, "currency": "USD", "is_primary": False},
        {**sold, "record_id": "ch_5", "amount_minor": 100, "net_minor": 100, "currency": "USD", "is_test": True},
    ]
    shapes = {"people": frame("people", {"person_id": "p_1", **worth}), "payments": frame("payments", *payments)}
    report = ask(tmp_path, shapes=shapes)
    assert failed(report) == (set() if is_kept else {("people", "shape_revenue_of_payments")})
    assert [check.name for check in report.blocking] == ([] if is_kept else ["shape_revenue_of_payments"])


def test_earlier_days_stand_beside_todays(tmp_path: Path) -> None:
    days = pl.DataFrame(
        [(date(2026, 5, 13), "buyer_journeys_invariants", PAID.name, True, 0),
         (date(2026, 5, 14), "buyer_journeys_invariants", PAID.name, False, 3)], schema=gx.DAYS, orient="row",
    )  # fmt: skip
    ask(
        tmp_path, verdicts={"buyer_journeys": pl.DataFrame({PAID.name: ["broken"]})}, rules=[PAID],
        gates=gates(paid_implies_access="partial"), before=days,
    )  # fmt: skip
    suite = next((tmp_path / "data_docs").glob("validations/buyer_journeys_invariants/**/*.html")).read_text()
    assert "some cases could not be judged" in suite
    assert "unexpected on the days before: 0, 3" in suite
    assert "2026-05-14 <b>1</b> of 1" in suite
    assert "2026-05-14: 1 of 1 failed" in (tmp_path / "data_docs" / "index.html").read_text()
