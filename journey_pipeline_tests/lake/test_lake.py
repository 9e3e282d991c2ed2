"""The raw log: what becomes visible, what stays current, what a source's health says; on real files and a bucket."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from journey_pipeline.errors import SourceError
from journey_pipeline.lake import RawLog, health, ingest
from journey_pipeline.platforms.base import Options, Platform, Pull, Resource, Row

DAY_1 = datetime(2026, 5, 14, 6, tzinfo=UTC)
DAY_2 = datetime(2026, 5, 15, 6, tzinfo=UTC)


class Vendor:
    """A platform whose answers the test sets: orders (changes) and members (snapshot)."""

    def __init__(self) -> None:
        self.orders: list[Row] = []
        self.members: list[Row] = []
        self.members_said: int | None = None
        self.broken_after: int | None = None
        self.seen_cursors: list[dict[str, object]] = []

    def pull_orders(self, pull: Pull) -> Iterator[list[Row]]:
        self.seen_cursors.append(pull.left)
        since = pull.left.get("after", 0)
        for nth, row in enumerate(r for r in self.orders if r["n"] >= since):
            if self.broken_after is not None and nth >= self.broken_after:
                sentence = "shop orders: answered 500 5 times"
                raise SourceError(sentence, is_transient=True)
            yield [row]
        pull.leave(after=max((r["n"] for r in self.orders), default=0))

    def pull_members(self, pull: Pull) -> Iterator[list[Row]]:
        pull.expected_rows = self.members_said
        yield self.members

    def platform(self) -> Platform:
        return Platform(
            name="shop",
            resources=(
                Resource(
                    "orders", "changes", self.pull_orders, columns=("id", "amount", "note"), lag=timedelta(hours=1)
                ),
                Resource("members", "snapshot", self.pull_members, columns=("id",)),
            ),
            says={"payments": ("orders",), "access": ("members",)},
            read=lambda _raw, _options: {},
        )


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


def load(vendor: Vendor, log: RawLog, at: datetime) -> dict[str, str | None]:
    outcomes = ingest(vendor.platform(), name="shop", options=Options(), secrets={}, log=log, loaded_at=at)
    return {o.resource: o.error for o in outcomes}


def read(vendor: Vendor, log: RawLog, resource: str) -> pl.DataFrame:
    found = next(r for r in vendor.platform().resources if r.name == resource)
    return log.scan("shop", found, log.loads("shop")).sort("_loaded_at", "_row").collect()


@pytest.fixture(params=["local", "bucket"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> RawLog:
    url = str(tmp_path / "raw") if request.param == "local" else f"memory://{tmp_path.name}/raw"
    return RawLog(url, tmp_path / "scratch")


def test_values_of_any_type_come_back_as_the_text_the_platform_said(vendor: Vendor, log: RawLog) -> None:
    vendor.orders = [{"n": 1, "id": "a", "amount": 490, "camelCase": {"x": [1, None]}}]
    load(vendor, log, DAY_1)
    vendor.orders.append({"n": 2, "id": "b", "amount": "4.90 EUR", "note": True})
    load(vendor, log, DAY_2)
    seen = read(vendor, log, "orders")
    assert seen.select("id", "amount", "note", "_row").rows() == [
        ("a", "490", None, 0), ("a", "490", None, 0), ("b", "4.90 EUR", "true", 1),
    ]  # fmt: skip
    assert seen["_loaded_at"].to_list() == [DAY_1, DAY_2, DAY_2]
    raw = log.raw_rows("shop", "orders", log.loads("shop")).sort("_loaded_at", "_row").collect()["raw"].to_list()
    assert '"camel_case":"{\\"x\\":[1,null]}"' in raw[0]


def test_zero_rows_are_a_complete_load(vendor: Vendor, log: RawLog) -> None:
    assert load(vendor, log, DAY_1) == {"orders": None, "members": None}
    assert read(vendor, log, "orders").height == 0
    assert log.loads("shop").select("resource", "status", "row_count").rows() == [
        ("members", "complete", 0), ("orders", "complete", 0),
    ]  # fmt: skip


def test_a_resource_that_fails_shows_nothing_and_does_not_move_its_cursor(vendor: Vendor, log: RawLog) -> None:
    vendor.orders = [{"n": n, "id": str(n)} for n in range(3)]
    vendor.members = [{"id": "m"}]
    vendor.broken_after = 2
    assert load(vendor, log, DAY_1) == {"orders": "shop orders: answered 500 5 times", "members": None}
    assert read(vendor, log, "orders").height == 0
    assert read(vendor, log, "members").height == 1
    known = health(vendor.platform(), "shop", log.loads("shop"), as_of=DAY_1)
    assert known.select("resource", "status", "complete_until_at").rows() == [
        ("orders", "failed", None), ("members", "fresh", DAY_1),
    ]  # fmt: skip

    vendor.broken_after = None
    load(vendor, log, DAY_2)
    assert read(vendor, log, "orders")["id"].to_list() == ["0", "1", "2"]
    assert vendor.seen_cursors == [{}, {}]
    load(vendor, log, DAY_2 + timedelta(days=1))
    assert vendor.seen_cursors[-1] == {"after": 2}


def test_a_list_that_shrank_does_not_become_current_until_accepted(vendor: Vendor, log: RawLog) -> None:
    vendor.members = [{"id": str(n)} for n in range(10)]
    load(vendor, log, DAY_1)
    vendor.members = vendor.members[:4]
    load(vendor, log, DAY_2)
    assert read(vendor, log, "members").height == 10
    known = health(vendor.platform(), "shop", log.loads("shop"), as_of=DAY_2).row(1, named=True)
    assert (known["status"], known["row_count"], known["usual_row_count"]) == ("partial", 4, 10)
    assert known["complete_until_at"] == DAY_1
    assert known["detail"] == (
        "shop members came back with 4 rows, under half of the last 10. The last complete list stays current. "
        "If the drop is real: journey accept shop.members."
    )
    assert log.accept("shop", "members") == 4
    assert read(vendor, log, "members").height == 14  # both versions of the list, the newer one current
    with pytest.raises(KeyError):
        log.accept("shop", "members")


def test_fewer_rows_than_the_platform_says_it_has_is_partial(vendor: Vendor, log: RawLog) -> None:
    vendor.members, vendor.members_said = [{"id": "1"}, {"id": "2"}], 3
    load(vendor, log, DAY_1)
    assert read(vendor, log, "members").height == 0
    assert health(vendor.platform(), "shop", log.loads("shop"), as_of=DAY_1)["status"].to_list() == ["fresh", "partial"]


def test_two_lists_of_one_instant_count_once(vendor: Vendor, log: RawLog) -> None:
    vendor.members = [{"id": "1"}]
    load(vendor, log, DAY_1)
    load(vendor, log, DAY_1)
    assert read(vendor, log, "members").height == 1


def test_a_source_is_stale_after_its_limit_and_failed_before_its_first_load(vendor: Vendor, log: RawLog) -> None:
    platform = vendor.platform()
    assert health(platform, "shop", log.loads("shop"), as_of=DAY_1)["status"].to_list() == ["failed", "failed"]
    load(vendor, log, DAY_1)
    at_limit = DAY_1 + timedelta(hours=26)
    # orders lag by an hour, so they are complete only until 05:00
    assert health(platform, "shop", log.loads("shop"), as_of=at_limit)["status"].to_list() == ["stale", "fresh"]
    past = at_limit + timedelta(microseconds=1)
    assert health(platform, "shop", log.loads("shop"), as_of=past)["status"].to_list() == ["stale", "stale"]


def test_a_past_day_sees_only_what_was_loaded_by_then(vendor: Vendor, log: RawLog) -> None:
    load(vendor, log, DAY_1)
    load(vendor, log, DAY_2)
    assert log.loads("shop", as_of=DAY_1)["loaded_at"].unique().to_list() == [DAY_1]


def test_one_platform_is_never_pulled_twice_at_once(vendor: Vendor, tmp_path: Path) -> None:
    log, real = RawLog(str(tmp_path / "raw"), tmp_path / "scratch"), vendor.pull_orders
    told: list[str] = []

    def slow(pull: Pull) -> Iterator[list[Row]]:
        told.append("begins")
        time.sleep(0.3)
        yield from real(pull)
        told.append("ends")

    vendor.orders = [{"n": 1, "id": "a"}]
    vendor.pull_orders = slow  # type: ignore[method-assign]
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(load, vendor, log, at) for at in (DAY_1, DAY_2)]
    assert [done.result() for done in both] == [{"orders": None, "members": None}] * 2
    assert told == ["begins", "ends"] * 2
    assert vendor.seen_cursors == [{}, {"after": 1}]  # the second goes on where the first left off


@pytest.mark.parametrize("moment", ["extracting", "loading"])
def test_a_killed_load_never_happened(vendor: Vendor, tmp_path: Path, moment: str) -> None:
    log = RawLog(str(tmp_path / "raw"), tmp_path / "scratch")
    script = textwrap.dedent(f"""
        import os, signal, sys
        from datetime import UTC, datetime
        from pathlib import Path
        import journey_pipeline_tests.lake.test_lake as t
        from journey_pipeline.lake import RawLog

        def die(*_a, **_k):
            os.kill(os.getpid(), signal.SIGKILL)

        vendor = t.Vendor()
        vendor.orders = [{{"n": n, "id": str(n)}} for n in range(3)]
        if {moment!r} == "extracting":
            vendor.pull_members = lambda pull: iter(lambda: die(), None)
        else:
            import dlt.destinations.impl.filesystem.filesystem as fs
            fs.FilesystemClient.complete_load = die
        t.load(vendor, RawLog({str(tmp_path / "raw")!r}, Path({str(tmp_path / "scratch")!r})), t.DAY_1)
    """)
    killed = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, env=dict(os.environ))
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert log.loads("shop").is_empty()
    assert read(vendor, log, "orders").is_empty()

    vendor.orders = [{"n": n, "id": str(n)} for n in range(3)]
    load(vendor, log, DAY_2)
    assert read(vendor, log, "orders")["id"].to_list() == ["0", "1", "2"]
