"""`journey repairs`, and the incidents above the worklist, as people and programs read them."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from journey_pipeline.cli.look import list_findings
from journey_pipeline.cli.repairs import list_repairs
from journey_pipeline.errors import JourneyError
from journey_pipeline.registry import TABLES
from journey_pipeline_tests.cli.test_findings import home_of, lines
from journey_pipeline_tests.publish.northwind import FINDINGS, at, frame

SENTENCE = "2 of 3 since Tuesday 12 May 00:00, all of bootcamp (elsewhere 0 of 41)"


def repair(repair_id: str, invariant: str, owner: str, action: str, sentence: str, **rest: Any) -> dict[str, Any]:
    usual = {"severity": "critical", "wanted_action": action, "is_held": False, "guards": []}
    return usual | {
        "repair_id": repair_id, "invariant": invariant, "owner": owner, "action": action, "sentence": sentence, **rest,
    }  # fmt: skip


REPAIRS = (
    repair("r0", "paid_implies_access", "delivery", "replay_event", "Find out what stopped.", incident_id="i1"),
    repair("r1", "paid_implies_access", "delivery", "grant_access", "Grant teachable:9 to ann on teachable.", finding_id="f1",
           incident_id="i1", is_held=True, held_because="The cause of its incident comes first.", behind_repair_id="r0"),
    repair("r2", "no_duplicate_charge", "finance", "refund_payment", "Refund stripe:ch_2 on stripe.", finding_id="f2",
           amount_minor=4900, currency="USD", guards=["dispute: passed"], url="https://stripe.example/ch_2"),
    repair("r3", "no_duplicate_charge", "finance", "review", "Refund stripe:ch_3 on stripe.", finding_id="f3", is_held=True,
           wanted_action="refund_payment", held_because="Its dispute is open: it would be paid back twice."),
)  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    known = [f | {"incident_id": "i1"} if f["finding_id"] in ("f1", "f4") else f for f in FINDINGS]
    incident = {
        "incident_id": "i1", "story_id": "i1", "status": "open", "invariant": "paid_implies_access", "severity": "critical",
        "owner": "delivery", "cause": "outage", "factor": "offer", "sentence": SENTENCE, "started_at": at(12),
    }  # fmt: skip
    gates = [{"invariant": r["invariant"], "owner": r["owner"], "day_on": at(15).date(), "currency": "USD", "gate": "open"}
             for r in REPAIRS[1:3]]  # fmt: skip
    return home_of(
        tmp_path_factory.mktemp("northwind"), findings=frame("findings", *known), repairs=frame("repairs", *REPAIRS),
        incidents=frame("incidents", incident), invariant_days=frame("invariant_days", *gates),
    )  # fmt: skip


def said(capsys: pytest.CaptureFixture[str], home: Path, **asked: Any) -> str:
    usual: dict[str, Any] = {"owner": None, "invariant": None, "is_ready": False, "shape": "table", "settings": None}
    assert list_repairs(home=home, **(usual | asked)) == 0
    return capsys.readouterr().out


def test_the_list_is_grouped_by_owner_the_cause_first_and_says_what_holds_the_rest(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    assert lines(said(capsys, home)) == [
        "delivery 2 repairs",
        "replay_event Find out what stopped. paid_implies_access",
        "grant_access Grant teachable:9 to ann on teachable. paid_implies_access",
        "Held: The cause of its incident comes first.",
        "finance 2 repairs",
        "refund_payment Refund stripe:ch_2 on stripe. 49.00 USD no_duplicate_charge",
        "review Refund stripe:ch_3 on stripe. no_duplicate_charge",
        "Held: Its dispute is open: it would be paid back twice.",
        "4 repairs proposed, 2 of them held, as of Friday 15 May 2026. None is executed by this program.",
    ]


def test_programs_get_every_column(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    rows = json.loads(said(capsys, home, shape="json"))
    assert [row["repair_id"] for row in rows] == ["r0", "r1", "r2", "r3"]
    assert tuple(rows[0]) == TABLES["repairs"].columns
    assert rows[2]["guards"] == ["dispute: passed"]
    table = list(csv.DictReader(io.StringIO(said(capsys, home, shape="csv"))))
    assert table[2]["guards"] == '["dispute: passed"]'
    assert (table[2]["amount_minor"], table[3]["is_held"], table[0]["finding_id"]) == ("4900", "true", "")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"owner": "finance"}, ["r2", "r3"]),
        ({"invariant": "paid_implies_access"}, ["r0", "r1"]),
        ({"is_ready": True}, ["r0", "r2"]),
        ({"owner": "finance", "is_ready": True}, ["r2"]),
    ],
)
def test_it_can_be_narrowed(
    capsys: pytest.CaptureFixture[str], home: Path, asked: dict[str, Any], expected: list[str]
) -> None:
    assert [row["repair_id"] for row in json.loads(said(capsys, home, shape="json", **asked))] == expected


def test_a_name_that_nobody_has_is_refused_and_nothing_to_do_is_said(
    capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path
) -> None:
    with pytest.raises(JourneyError, match="--owner: nothing is called 'finanse'; did you mean finance"):
        said(capsys, home, owner="finanse")
    assert lines(said(capsys, home_of(tmp_path))) == ["Nothing is to be repaired, as of Friday 15 May 2026."]


def test_the_worklist_tells_what_happened_first(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    list_findings(
        owner=None, invariant=None, everything=False, shape="table", settings=None, home=home
    )  # fmt: skip
    assert lines(capsys.readouterr().out)[:6] == [
        SENTENCE,
        "2 findings of paid_implies_access, delivery. Why: an outage: nearly everything of that time is",
        "broken.",
        "First: Find out what stopped.",
        "Then: 1 repair held until then: journey repairs",
        "delivery 3 findings, 499.00 USD and 5,000 JPY at risk",
    ]
