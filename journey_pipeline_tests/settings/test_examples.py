"""The examples: their settings load, their SQL says records of the registry's kinds, and bad rows are told apart."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from journey_pipeline.platforms.base import Pull
from journey_pipeline.records.typed import typed
from journey_pipeline.settings import load, sources
from journey_pipeline_tests.platforms.harness import raw_frame

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 5, 15, 12, tzinfo=UTC)

# kind -> why rows were rejected (None: read), counted by hand in the source files
B2B = {
    ("crm", "contacts"): {None: 1839},
    ("billing", "subscriptions"): {None: 1200},
    ("billing", "payments"): {
        None: 1623,  # 1,530 paid and 93 open
        "paid, but not when": 248,
        "open, yet it was paid": 543,
        "void, yet it was paid": 481,
    },
    ("app", "access"): {None: 1300, "event before the sign-up": 1210},
    ("support", "tickets"): {None: 1391, "resolved before it was opened": 952, "solved, but not when": 518},
    ("partners", "leads"): {None: 800},
}
OLIST = {
    ("olist", "leads"): {None: 8000},
    ("olist", "deals"): {None: 379, "won before the first contact": 1},
}


@pytest.mark.parametrize(("example", "expected"), [("b2b_saas", B2B), ("olist_funnel", OLIST)])
def test_an_example_reads_its_data(example: str, expected: dict[tuple[str, str], dict[str | None, int]]) -> None:
    if not (ROOT.parent / "shared/data" / example).is_dir():
        pytest.skip("the shared data is not here")
    records = read(example)
    counts = {key: dict(frame.group_by("reason").len().rows()) for key, frame in records.items()}
    assert counts == expected
    for key, frame in records.items():
        assert frame["record_id"].is_unique().all(), key
        assert frame["_row"].null_count() == 0, key
        assert frame["keys"].list.len().min() == (0 if key == ("app", "access") else 1), key


def test_a_lead_and_its_deal_share_a_key() -> None:
    if not (ROOT.parent / "shared/data/olist_funnel").is_dir():
        pytest.skip("the shared data is not here")
    records = read("olist_funnel")
    deal = records["olist", "deals"].filter(record_id="2c43fb513632d29b3b58df74816f1b06").row(0, named=True)
    lead = records["olist", "leads"].filter(record_id="5420aad7fec3549a85876ba1c529bd84").row(0, named=True)
    assert deal["keys"] == lead["keys"] == ["olist:5420aad7fec3549a85876ba1c529bd84"]
    # 26 February 2018, 19:58 in São Paulo, three hours behind UTC since summer time ended on the 18th
    assert deal["won_at"] == datetime(2018, 2, 26, 22, 58, tzinfo=UTC)


def read(example: str) -> dict[tuple[str, str], pl.DataFrame]:
    file = ROOT / "examples" / example / "journey.yaml"
    found = {}
    for source in sources(load(file), file.parent):
        raw = {}
        for resource in source.platform.resources:
            pages = resource.pull(Pull(source.name, resource, source.options, {}, NOW))
            raw[resource.name] = raw_frame([row for page in pages for row in page], resource.name, NOW).lazy()
        for kind, frame in source.platform.read(raw, source.options).items():
            found[source.name, kind] = typed(kind, frame, source.name).collect()
    return found
