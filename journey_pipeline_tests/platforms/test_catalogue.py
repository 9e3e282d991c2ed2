"""The catalogue as a whole: every platform has its data sheet, its page, its sandbox and its conformance test."""

from importlib import import_module

import pytest

from journey_pipeline import platforms
from journey_pipeline.errors import JourneyError
from journey_pipeline.platforms.sheet import sheet
from journey_pipeline.registry import KINDS, said_schema
from journey_pipeline.sandbox.server import secrets
from journey_pipeline_tests.platforms.conformance import Conformance
from journey_pipeline_tests.platforms.document import pages

PARTS = (
    "ads and social", "web analytics", "lead forms", "CRM", "booking and calls", "proposals and contracts",
    "checkout and payments", "courses, memberships, community", "e-mail and follow-up", "messaging",
    "team notifications", "support", "surveys", "spreadsheets and reports", "the business's own application",
)  # fmt: skip
PATTERNS = ("database", "files", "google_sheets")
VENDORS = tuple(name for name in platforms.CATALOGUE if name not in PATTERNS)


def test_every_part_of_a_buyers_journey_has_a_platform() -> None:
    assert tuple(platforms.PARTS) == PARTS
    assert len(platforms.CATALOGUE) == 41


@pytest.mark.parametrize("name", platforms.CATALOGUE)
def test_a_data_sheet_says_everything_in_its_order(name: str) -> None:
    said = sheet(name)
    always = ["Reads", "Says", "Cursor", "Joins", "Needs", "Assumes"]
    assert [section for section in said.sections if section != "Money"] == always
    assert all(said.sections.values())
    assert said.claim.endswith(".")
    assert said.incremental
    assert said.title
    assert said.platform.verified
    assert [option for option, field in said.options.items() if not field.description] == []


@pytest.mark.parametrize("name", platforms.CATALOGUE)
def test_money_is_explained_where_there_is_any(name: str) -> None:
    said = sheet(name)
    has_money = any("currency" in said_schema(kind) for kind in said.platform.says)
    assert ("Money" in said.sections) >= has_money


@pytest.mark.parametrize("name", VENDORS)
def test_a_platform_says_known_kinds_out_of_resources_that_it_has(name: str) -> None:
    platform = platforms.get(name)
    assert platform.name == name
    assert set(platform.says) <= set(KINDS)
    resources = {resource.name for resource in platform.resources}
    assert {r for made_of in platform.says.values() for r in made_of} <= resources
    assert all(secret == secret.upper() for secret in platform.secrets)
    assert "base_url" in platform.options.model_fields


@pytest.mark.parametrize("name", VENDORS)
def test_a_platform_has_a_sandbox_and_stands_the_common_tests(name: str) -> None:
    assert set(secrets((name,))) == set(platforms.get(name).secrets)
    tests = vars(import_module(f"journey_pipeline_tests.platforms.test_{name}")).values()
    cases = [t.case.name for t in tests if isinstance(t, type) and issubclass(t, Conformance) and t is not Conformance]
    assert name in cases


def test_an_unknown_platform_is_refused_with_what_was_meant() -> None:
    with pytest.raises(JourneyError, match="there is no platform 'strip'; did you mean stripe"):
        platforms.get("strip")


def test_the_pages_are_as_the_modules_are() -> None:
    stale = [file.name for file, text in pages().items() if not file.exists() or file.read_text("utf-8") != text]
    assert stale == [], "run: python -m journey_pipeline_tests.platforms.document"
