"""Google Sheets, over real HTTP: a shared link's CSV and the API with a service account say the same."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

import pytest

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms import google_sheets, http
from journey_pipeline.platforms.base import Platform
from journey_pipeline.platforms.google_sheets import SECRET, Options
from journey_pipeline.sandbox.fakes.google import key_file
from journey_pipeline.sandbox.fakes.google_sheets import link
from journey_pipeline.sandbox.server import serve
from journey_pipeline.sandbox.world import Trouble, World
from journey_pipeline_tests.platforms.harness import NOW, make_world, pull_all, world_frame

Access = Literal["link", "service_account"]
HOW: tuple[Access, ...] = ("link", "service_account")

FIGURE: dict[str, Any] = {
    "record_id": "revenue-2026-04", "occurred_at": NOW, "report": "board deck", "metric": "revenue",
    "starts_on": date(2026, 4, 1), "ends_on": date(2026, 4, 30), "value": 1900.5, "currency": "USD",
}  # fmt: skip
COMP: dict[str, Any] = {
    "record_id": "1", "occurred_at": datetime.fromisoformat("2026-05-01T09:00:00Z"), "email": "ann@example.com",
    "name": 'Lee, "Ann"\nof York', "keys": ["app:42"], "grant": "course", "product_ref": "teachable:course_9",
    "status": "active", "basis": "comp",
}  # fmt: skip


@contextmanager
def sheets(
    world: World, how: Access = "link", kinds: tuple[str, ...] = ("access", "reported")
) -> Iterator[tuple[Platform, Options, Mapping[str, str]]]:
    with serve(world, ("google_sheets",)) as urls:
        base = urls["google_sheets"]
        tables = {f"{kind}_sheet": link(base, "office", kind) for kind in kinds}
        options = Options(tables=tables, records={kind: f"{kind}_sheet" for kind in kinds}, access=how, base_url=base)
        assert google_sheets.mistakes(options, Path()) == []
        yield google_sheets.made("office", options, Path()), options, {SECRET: key_file()}


def office(*comps: dict[str, Any]) -> World:
    return make_world("office", {"access": list(comps), "reported": [FIGURE]})


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BACKOFF_S", 0.01)


@pytest.mark.parametrize("how", HOW)
def test_cells_come_as_they_are(how: Access) -> None:
    with sheets(office(COMP), how) as (platform, options, secrets):
        frames, _ = pull_all(platform, options, secrets, NOW)
    comp = frames["access_sheet"].to_dicts()[0]
    assert {name: comp[name] for name in ("record_id", "name", "keys", "occurred_at", "basis", "expires_at")} == {
        "record_id": "1", "name": 'Lee, "Ann"\nof York', "keys": '["app:42"]', "occurred_at": "2026-05-01T09:00:00Z",
        "basis": "comp", "expires_at": None,
    }  # fmt: skip
    figure = frames["reported_sheet"].to_dicts()[0]
    assert (figure["value"], figure["ends_on"], figure["currency"]) == ("1900.5", "2026-04-30", "USD")


@pytest.mark.parametrize("how", HOW)
def test_an_empty_sheet_keeps_its_columns_and_a_line_that_goes_is_gone(how: Access) -> None:
    world = office(COMP)
    with sheets(world, how) as (platform, options, secrets):
        assert pull_all(platform, options, secrets, NOW)[0]["access_sheet"]["record_id"].to_list() == ["1"]
        world.records = {**world.records, "access": world_frame("office", "access", [])}
        frames, _ = pull_all(platform, options, secrets, NOW)
    assert frames["access_sheet"].select("record_id", "email").rows() == [(None, None)]


def test_a_sheet_that_is_not_shared_says_so() -> None:
    with sheets(make_world("other")) as (platform, options, secrets), pytest.raises(SourceError) as caught:
        pull_all(platform, options, secrets, NOW)
    assert str(caught.value) == (
        "office access_sheet: is not shared with anyone who has the link; share it so, or use `access: service_account`."
    )
    assert not caught.value.is_transient


@pytest.mark.parametrize("key", ["", "{}", '{"client_email": "a@b.c", "token_uri": "http://x", "private_key": "no"}'])
def test_a_key_that_is_none_is_refused_without_being_shown(key: str) -> None:
    with sheets(office(COMP), "service_account") as (platform, options, _), pytest.raises(SourceError) as caught:
        pull_all(platform, options, {SECRET: key}, NOW)
    assert str(caught.value) == (
        "office access_sheet: the key is no JSON key of a service account; paste the whole file that Google gave."
    )


def test_a_sheet_that_was_removed_is_named() -> None:
    with serve(office(COMP), ("google_sheets",)) as urls:
        base = urls["google_sheets"]
        tables = {"a": f"{base}/spreadsheets/d/sandbox-office/edit#gid=999"}
        options = Options(tables=tables, records={"access": "a"}, access="service_account", base_url=base)
        platform = google_sheets.made("office", options, Path())
        with pytest.raises(SourceError, match="office a: the spreadsheet has no sheet of gid 999"):
            pull_all(platform, options, {SECRET: key_file()}, NOW)


@pytest.mark.parametrize(("status", "is_transient"), [(401, False), (403, False), (404, False), (503, True)])
@pytest.mark.parametrize("how", HOW)
def test_refusals(how: Access, status: int, *, is_transient: bool) -> None:
    world = office(COMP)
    world.trouble["google_sheets"] = Trouble(status)
    with sheets(world, how) as (platform, options, secrets), pytest.raises(SourceError) as caught:
        pull_all(platform, options, secrets, NOW)
    assert str(caught.value).startswith(f"office access_sheet: answered {status}")
    assert caught.value.is_transient is is_transient


@pytest.mark.parametrize(
    "given",
    [
        "https://docs.google.com/spreadsheets/d/1AbC-x_9/edit#gid=7",
        "https://docs.google.com/spreadsheets/d/1AbC-x_9/edit?gid=7#gid=7",
        "https://docs.google.com/spreadsheets/d/1AbC-x_9/export?format=csv&gid=7",
    ],
)
def test_every_form_of_a_link(given: str) -> None:
    found = google_sheets._LINK.search(given)
    assert found is not None
    assert found.groups() == ("1AbC-x_9", "7")


def test_what_is_no_link_is_a_mistake() -> None:
    options = Options(tables={"a": "my sheet"}, records={"leads": "a"})
    assert google_sheets.mistakes(options, Path()) == [
        (
            "tables.a",
            "'my sheet' is no link of a spreadsheet; like https://docs.google.com/spreadsheets/d/1AbC/edit#gid=0",
        )
    ]
