"""What every platform module must do, whatever its vendor: one class to inherit, one value to fill in.

Everything here runs over real HTTP against the module's fake. What only one vendor does is its own test file's business.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any, ClassVar

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from journey_pipeline import platforms
from journey_pipeline.errors import SourceError
from journey_pipeline.platforms import http
from journey_pipeline.platforms.base import Platform
from journey_pipeline.sandbox.server import secrets, serve
from journey_pipeline.sandbox.world import Trouble, World
from journey_pipeline_tests.platforms.harness import (
    NOW,
    Cursors,
    Frames,
    held,
    make_world,
    pull_all,
    read_all,
    world_frame,
)
from journey_pipeline_tests.platforms.openapi import Contract, recorded

Records = Mapping[str, list[dict[str, Any]]]

DAY = timedelta(days=1)
FIRST_PAGE = 2
"""Rows per page wherever the tests look at page boundaries."""


@dataclass(frozen=True)
class Case:
    """One platform: a small world that it holds, and that world a day later."""

    name: str
    now: Records
    """Kind -> rows (columns of the world): everything that the platform can say, odd cases too."""
    later: Records
    """The world after a day: things new, changed, gone."""
    many: Callable[[int], Records]
    """So many things of the kind whose list is paged."""
    counted: str
    """That kind."""
    page_sizes: tuple[str, ...]
    """The module's constants that say how many rows a page has."""
    fresh: Records | None = None
    """What a world of nothing became a day later, where that can't be `later`: a vendor whose lists are asked for by
    creation never tells of old things that were not there before."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of journey.yaml beside `base_url`."""
    at: str = ""
    """Where the API begins under the fake's address, as in `base_url`'s default (`/v1`)."""
    lost: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Kind -> columns of the world that this vendor can't tell; each with its reason in the test file."""
    stays: tuple[str, ...] = ()
    """Kinds of which the vendor tells no deletion, so that what is gone stays with us."""
    described: Callable[[], Contract] | None = None
    """The vendor's own description, if there is one."""
    refusals: tuple[int, ...] = (401, 403, 404, 422)


class Conformance:
    """Inherit as `class TestAcme(Conformance)`, with a `case`."""

    case: ClassVar[Case]

    @property
    def platform(self) -> Platform:
        return platforms.get(self.case.name)

    @property
    def secrets(self) -> dict[str, str]:
        return secrets((self.case.name,))

    @contextmanager
    def served(self, world: World) -> Iterator[Any]:
        with serve(world, (self.case.name,)) as urls:
            address = {"base_url": urls[self.case.name] + self.case.at}
            yield self.platform.options.model_validate({**address, **self.case.options})

    def pull(
        self, options: Any, at: datetime = NOW, cursors: Cursors | None = None, frames: Frames | None = None
    ) -> tuple[Frames, Cursors]:
        return pull_all(self.platform, options, self.secrets, at, cursors, frames=frames)

    def world(self, records: Records | None = None, now: datetime = NOW) -> World:
        return make_world(self.case.name, records, now)

    def become(self, world: World, now: datetime, records: Records) -> None:
        world.now = now
        world.records = {kind: world_frame(self.case.name, kind, rows) for kind, rows in records.items()}

    def says(
        self, frames: Frames, options: Any, world: World, *, gone: Mapping[str, pl.DataFrame] | None = None
    ) -> None:
        """What is read equals what the world holds, and what was there before where deletions aren't told."""
        said = read_all(self.platform, frames, options)
        assert set(said) == set(self.platform.says), "`read` and `says` name different kinds"
        for kind in self.platform.says:
            truth = held(world, self.case.name, kind)
            if kind in self.case.stays and gone is not None:
                truth = pl.concat([truth, gone[kind].join(truth, on="record_id", how="anti")]).sort("record_id")
            lost = list(self.case.lost.get(kind, ()))
            assert_frame_equal(said[kind].drop(lost), truth.drop(lost), check_exact=True)

    @pytest.fixture(autouse=True)
    def _impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http, "BACKOFF_S", 0.01)

    def test_says_what_the_world_holds(self) -> None:
        world = self.world(self.case.now)
        with self.served(world) as options:
            self.says(self.pull(options)[0], options, world)

    def test_every_kind_is_in_the_small_world(self) -> None:
        assert set(self.case.now) == set(self.platform.says), "the case must hold something of every kind said"

    def test_nothing_at_all_and_then_something(self) -> None:
        world = self.world()
        with self.served(world) as options:
            frames, cursors = self.pull(options)
            assert all(said.is_empty() for said in read_all(self.platform, frames, options).values())
            self.become(world, NOW + DAY, self.case.later if self.case.fresh is None else self.case.fresh)
            frames, _ = self.pull(options, NOW + DAY, cursors, frames)
            self.says(frames, options, world)

    def test_a_second_pull_doubles_nothing_and_a_third_brings_what_changed(self) -> None:
        world = self.world(self.case.now)
        before = {kind: held(world, self.case.name, kind) for kind in self.platform.says}
        with self.served(world) as options:
            frames, cursors = self.pull(options)
            frames, cursors = self.pull(options, NOW + timedelta(seconds=1), cursors, frames)
            self.says(frames, options, world)
            self.become(world, NOW + DAY, self.case.later)
            frames, _ = self.pull(options, NOW + DAY, cursors, frames)
        now = self._current(frames)
        self.says(now, options, world, gone=before)

    def _current(self, frames: Frames) -> Frames:
        """As the record room reads: of a snapshot only the newest list."""
        kept = {}
        for resource in self.platform.resources:
            frame = frames[resource.name]
            is_newest = pl.col("_loaded_at") == NOW + DAY
            kept[resource.name] = frame.filter(is_newest) if resource.mode == "snapshot" else frame
        return kept

    @pytest.mark.parametrize("count", range(1, 6))
    def test_every_page_boundary(self, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
        module = import_module(f"journey_pipeline.platforms.{self.case.name}")
        for constant in self.case.page_sizes:
            assert isinstance(getattr(module, constant), int)
            monkeypatch.setattr(module, constant, FIRST_PAGE)
        world = self.world(self.case.many(count))
        assert held(world, self.case.name, self.case.counted).height == count
        with self.served(world) as options:
            frames, cursors = self.pull(options)
            self.says(frames, options, world)
            frames, _ = self.pull(options, NOW + timedelta(hours=1), cursors, frames)
        assert read_all(self.platform, frames, options)[self.case.counted].height == count

    @pytest.mark.parametrize("after", [1, 2])
    def test_cut_off_in_the_middle_the_next_load_has_everything(self, after: int) -> None:
        world = self.world(self.case.now)
        world.trouble[self.case.name] = Trouble(500, after=after)
        with self.served(world) as options:
            try:
                self.pull(options)
            except SourceError as error:
                assert error.is_transient  # noqa: PT017 - a small platform is read before the trouble begins
            world.trouble.clear()
            self.says(self.pull(options)[0], options, world)

    def test_a_refused_key_fails_at_once_and_does_not_show_itself(self) -> None:
        wrong = dict.fromkeys(self.secrets, "wrong-secret")
        with self.served(self.world(self.case.now)) as options, pytest.raises(SourceError) as caught:
            pull_all(self.platform, options, wrong, NOW)
        assert not caught.value.is_transient
        assert f"{self.case.name} {self._first()}: " in str(caught.value)
        assert "wrong-secret" not in str(caught.value)

    @pytest.mark.parametrize("status", [401, 403, 404, 422])
    def test_a_refusal_is_one_sentence_that_says_what_is_missing(self, status: int) -> None:
        world = self.world(self.case.now)
        world.trouble[self.case.name] = Trouble(status)
        with self.served(world) as options, pytest.raises(SourceError) as caught:
            self.pull(options)
        assert not caught.value.is_transient
        assert f"{self.case.name} {self._first()}: answered {status}: " in str(caught.value)
        if status in (401, 403):
            assert f"It needs: {self.platform.resources[0].scope}." in str(caught.value)
        assert world.trouble[self.case.name].seen == 1

    def test_every_resource_names_the_scope_that_it_needs(self) -> None:
        assert [r.name for r in self.platform.resources if not r.scope] == []

    def test_a_limit_is_waited_out(self) -> None:
        world = self.world(self.case.now)
        world.trouble[self.case.name] = Trouble(429, after=1, times=2, retry_after="0")
        with self.served(world) as options:
            self.says(self.pull(options)[0], options, world)

    def test_an_outage_is_transient(self) -> None:
        world = self.world(self.case.now)
        world.trouble[self.case.name] = Trouble(503)
        with self.served(world) as options, pytest.raises(SourceError) as caught:
            self.pull(options)
        assert caught.value.is_transient
        assert world.trouble[self.case.name].seen == http.ATTEMPTS

    def test_requests_and_answers_keep_to_the_vendors_description(self, monkeypatch: pytest.MonkeyPatch) -> None:
        if self.case.described is None:
            assert self.platform.spec == "documentation", "a platform verified against a description has one here"
            return
        described = self.case.described()
        module = import_module(f"journey_pipeline.platforms.{self.case.name}")
        for constant in self.case.page_sizes:
            monkeypatch.setattr(module, constant, FIRST_PAGE)
        world = self.world(self.case.now)
        with self.served(world) as options, recorded() as exchanges:
            _, cursors = self.pull(options)
            self.become(world, NOW + DAY, self.case.later)
            self.pull(options, NOW + DAY, cursors)
        assert exchanges
        for exchange in exchanges:
            described.check(exchange)

    def _first(self) -> str:
        return self.platform.resources[0].name
