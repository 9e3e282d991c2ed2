"""Typeform, pulled over real HTTP from its fake: what it says, what a second pull brings, and how it fails."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journey_pipeline.platforms import http
from journey_pipeline.platforms.typeform import PLATFORM, Options
from journey_pipeline.sandbox.fakes.typeform import SECRETS, form_id
from journey_pipeline.sandbox.server import serve
from journey_pipeline.sandbox.world import World
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import (
    NOW,
    Cursors,
    Frames,
    make_world,
    pull_all,
    raw_frame,
    read_all,
    world_frame,
)
from journey_pipeline_tests.platforms.openapi import contract

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def lead(record_id: str, occurred_at: datetime = NOW - DAY, form: str = "Webinar", **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "occurred_at": occurred_at,
        "form": form,
        "url": f"https://admin.typeform.com/form/{form_id(form)}/results#responses",
        **more,
    }


ANN = lead(
    "t_ann",
    email="Ann.Lee@Example.com",
    phone="+12125550101",
    name="Lee, Ann",
    keys=["hubspot:101", "app:42"],
    source="google",
    medium="cpc",
    campaign="spring",
    product_ref="stripe:price_1",
)
BOB = lead("t_bob", NOW - 2 * DAY, "Syllabus", email="bob@example.com")
NPS = {
    "record_id": "t_nps",
    "occurred_at": NOW - 3 * DAY,
    "instrument": "nps",
    "email": "cyd@example.com",
    "keys": ["teachable:5001"],
    "score": 9.0,
    "comment": 'Said "yes", then: paid',
    "url": f"https://admin.typeform.com/form/{form_id('nps')}/results#responses",
}


@contextmanager
def school(world: World, **options: Any) -> Iterator[Options]:
    with serve(world, ("typeform",)) as urls:
        yield Options(base_url=urls["typeform"], **options)


def pull(
    options: Options, at: datetime = NOW, cursors: Cursors | None = None, frames: Frames | None = None
) -> tuple[Frames, Cursors]:
    return pull_all(PLATFORM, options, SECRETS, at, cursors, frames=frames)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BACKOFF_S", 0.01)


def test_a_form_that_is_no_survey_makes_leads() -> None:
    with school(make_world("typeform", {"surveys": [NPS]})) as options:
        said = read_all(PLATFORM, pull(options)[0], options)
    assert said["surveys"].is_empty()
    assert said["leads"].select("form", "email").rows() == [("nps", "cyd@example.com")]


def test_only_the_forms_that_are_asked_for() -> None:
    with school(make_world("typeform", {"leads": [ANN, BOB]}), forms=(form_id("Syllabus"),)) as options:
        frames, _ = pull(options)
    assert read_all(PLATFORM, frames, options)["leads"]["record_id"].to_list() == ["t_bob"]
    everything = Options(base_url=options.base_url)
    assert frames["responses"]["form_id"].to_list() == [form_id("Syllabus")]
    assert read_all(PLATFORM, frames, everything)["leads"]["form"].to_list() == ["Syllabus"]


def test_a_form_that_is_asked_for_no_longer_is_no_longer_read() -> None:
    with school(make_world("typeform", {"leads": [ANN, BOB]})) as options:
        frames, _ = pull(options)
    fewer = Options(base_url=options.base_url, forms=(form_id("Syllabus"),))
    assert read_all(PLATFORM, frames, fewer)["leads"]["record_id"].to_list() == ["t_bob"]


def test_second_pull_doubles_nothing_and_brings_what_is_new_and_late() -> None:
    world = make_world("typeform", {"leads": [ANN, BOB]})
    late = lead("t_late", NOW - timedelta(minutes=25))
    new = lead("t_new", NOW + DAY - HOUR, "A form made today")
    with school(world) as options:
        frames, cursors = pull(options)
        frames, cursors = pull(options, NOW + HOUR, cursors, frames)
        assert frames["responses"].height == 2
        world.records = {"leads": world_frame("typeform", "leads", [ANN, BOB, late, new])}
        frames, cursors = pull(options, NOW + DAY, cursors, frames)
    assert frames["responses"]["token"].sort().to_list() == ["t_ann", "t_bob", "t_late", "t_new"]


def test_what_shows_up_within_two_hours_is_not_lost() -> None:
    world = make_world("typeform", {"leads": [ANN]})
    with school(world) as options:
        frames, cursors = pull(options)
        late = lead("t_late", NOW - 2 * HOUR)
        too_late = lead("t_too_late", NOW - 2 * HOUR - timedelta(seconds=1))
        world.records = {"leads": world_frame("typeform", "leads", [ANN, late, too_late])}
        frames, cursors = pull(options, NOW + DAY, cursors, frames)
    assert read_all(PLATFORM, frames, options)["leads"]["record_id"].to_list() == ["t_ann", "t_late"]


def test_a_new_form_is_read_from_its_beginning() -> None:
    world = make_world("typeform", {"leads": [ANN]})
    with school(world) as options:
        frames, cursors = pull(options)
        world.records = {"leads": world_frame("typeform", "leads", [ANN, BOB])}
        frames, _ = pull(options, NOW + DAY, cursors, frames)
    assert read_all(PLATFORM, frames, options)["leads"]["record_id"].to_list() == ["t_ann", "t_bob"]


def test_nothing_later_than_the_load_is_asked_for() -> None:
    world = make_world("typeform", {"leads": [lead("now", NOW), lead("later", NOW + timedelta(seconds=1))]})
    with school(world) as options:
        frames, cursors = pull(options)
        assert frames["responses"]["token"].to_list() == ["now"]
        frames, _ = pull(options, NOW + DAY, cursors, frames)
    assert read_all(PLATFORM, frames, options)["leads"]["record_id"].to_list() == ["later", "now"]


def test_first_name_and_last_name_make_a_name_and_other_answers_do_not() -> None:
    answers = [
        {"type": "text", "text": "Lee", "field": {"ref": "last_name", "type": "short_text"}},
        {"type": "text", "text": "Acme", "field": {"ref": "company", "type": "short_text"}},
        {"type": "text", "text": "Ann", "field": {"ref": "first_name", "type": "short_text"}},
    ]
    row = {"token": "t", "form_id": "f", "submitted_at": "2026-05-14T12:00:00Z", "answers": answers, "hidden": {}}
    frames = {"responses": raw_frame([row], "responses", NOW)}
    assert read_all(PLATFORM, frames, Options())["leads"].select("name", "form").rows() == [("Ann Lee", "f")]


def test_hidden_values_that_look_like_keys_but_name_nobody() -> None:
    hidden = {
        "utm_source": "app:42",
        "product_ref": "stripe:price_1",
        "page": "https://example.com/a:b",
        "time": "12:30",
        "said": 'he wrote "k": "stripe:cus_9"',
        "who": "stripe:cus_1",
    }
    row = {"token": "t", "form_id": "f", "submitted_at": "2026-05-14T12:00:00Z", "hidden": hidden}
    frames = {"responses": raw_frame([row], "responses", NOW)}
    said = read_all(PLATFORM, frames, Options())["leads"]
    assert said["keys"].to_list() == [["stripe:cus_1"]]
    assert said["product_ref"].to_list() == ["stripe:price_1"]


PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
NAMES = st.from_regex(r"[a-z_]{1,9}", fullmatch=True)
ALMOST = st.from_regex(r"""[a-z0-9]{1,3}:[a-z0-9/:\\" ]{0,6}""", fullmatch=True)


@settings(deadline=None)
@given(hidden=st.dictionaries(NAMES, PRINTABLE | ALMOST))
def test_keys_are_the_hidden_values_that_read_like_one(hidden: dict[str, str]) -> None:
    named = [
        value
        for name, value in hidden.items()
        if re.fullmatch(r'[a-z][a-z0-9_]*:[^"\\/\s][^"\\\s]*', value)
        and name != "product_ref"
        and not name.startswith("utm_")
    ]
    frames = {"responses": raw_frame([{"token": "t", "form_id": "f", "hidden": hidden}], "responses", NOW)}
    assert read_all(PLATFORM, frames, Options())["leads"]["keys"].to_list() == [named]


def test_a_partial_response_is_no_lead_and_an_unreadable_time_is_left_to_be_rejected() -> None:
    rows = [
        {"token": "partial", "form_id": "f", "response_type": "partial", "submitted_at": "2026-05-14T12:00:00Z"},
        {"token": "odd", "form_id": "f", "response_type": "completed", "submitted_at": "yesterday"},
    ]
    said = read_all(PLATFORM, {"responses": raw_frame(rows, "responses", NOW)}, Options())["leads"]
    assert said.select("record_id", "occurred_at").rows() == [("odd", None)]


@pytest.mark.parametrize(("field", "score"), [("nps", 10), ("opinion_scale", 0), ("rating", 4), ("number", None)])
def test_scores_by_type_of_question(field: str, score: int | None) -> None:
    answers = [{"type": "number", "number": 10 if score is None else score, "field": {"ref": "q", "type": field}}]
    row = {"token": "t", "form_id": "f", "submitted_at": "2026-05-14T12:00:00Z", "answers": answers}
    said = read_all(PLATFORM, {"responses": raw_frame([row], "responses", NOW)}, Options(surveys={"f": "csat"}))
    assert said["surveys"].select("instrument", "score").rows() == [("csat", score)]
    assert said["leads"].is_empty()


def test_pages_of_one_form_come_newest_first() -> None:
    """The walk by `before` relies on it; a form of ten thousand is otherwise read from the wrong end."""
    world = make_world("typeform", {"leads": [lead(f"t_{n}", NOW - n * HOUR) for n in range(1, 4)]})
    with school(world) as options:
        frames, _ = pull(options)
    assert frames["responses"]["token"].to_list() == ["t_1", "t_2", "t_3"]
    assert frames["responses"].schema["answers"] == pl.String


class TestTypeform(Conformance):
    case = Case(
        "typeform",
        now={"leads": [ANN, BOB], "surveys": [NPS]},
        later={"leads": [ANN, BOB, lead("t_new", NOW + DAY - HOUR, "A form made today")], "surveys": [NPS]},
        many=lambda count: {"leads": [lead(f"t_{n}", NOW - DAY - n * HOUR) for n in range(count)]},
        counted="leads",
        page_sizes=("FORMS_PER_PAGE", "RESPONSES_PER_PAGE"),
        options={"surveys": {form_id("nps"): "nps"}},
        described=lambda: contract("typeform", "airbyte_typeform.yaml", base="/typeform"),
    )
