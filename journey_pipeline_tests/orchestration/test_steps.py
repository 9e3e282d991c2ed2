"""The daily job on the sandbox through real HTTP: right findings, run twice, killed anywhere, platforms down."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from bench.accuracy import compare
from journey_pipeline.cli.daily import _secrets, served
from journey_pipeline.orchestration import steps
from journey_pipeline.orchestration.home import Home
from journey_pipeline.orchestration.steps import Day
from journey_pipeline.platforms import http
from journey_pipeline.sandbox import business, server
from journey_pipeline.sandbox.world import Trouble, World
from journey_pipeline.settings import load

NOW = datetime(2026, 5, 15, 12, tzinfo=UTC)
TOMORROW = NOW + timedelta(days=1)
PEOPLE = 1_000
AFTER_INGESTION = (steps.records, steps.people, steps.paths, steps.judge)


@dataclass
class Sandbox:
    """The served world and the home that a first day was run in."""

    world: World
    urls: Mapping[str, str]
    home: Path

    def day(self, home: Path, as_of: datetime) -> Day:
        return Day(served(load(home / "journey.yaml"), self.urls), home, Home(home), as_of)

    def copy(self, target: Path) -> Path:
        return shutil.copytree(self.home, target)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    home = tmp_path_factory.mktemp("home")
    world = business.generate(PEOPLE, 3, NOW)
    business.write_settings(home)
    business.write_exports(world, home)
    (home / "truth").mkdir()
    for name, frame in world.truth.items():
        frame.write_parquet(home / "truth" / f"{name}.parquet")
    with server.serve(world) as urls, _secrets({**server.secrets(), **business.secrets(home)}):
        made = Sandbox(world, urls, home)
        ingest(made.day(home, NOW))
        build(made.day(home, NOW))
        yield made


def ingest(day: Day) -> dict[str, str]:
    return {f"{s.name}.{o.resource}": o.error for s in day.sources for o in steps.load(day, s, os.environ) if o.error}


def build(day: Day) -> None:
    for step in AFTER_INGESTION:
        step(day)


def findings(home: Path) -> pl.DataFrame:
    return Home(home).tables.scan("invariants", "findings").collect()


def tables(home: Path) -> dict[str, bytes]:
    lake = home / "lake"
    return {
        str(f.relative_to(lake)): f.read_bytes()
        for f in sorted(lake.rglob("*.parquet"))
        if "raw" not in f.relative_to(lake).parts
    }


def open_ones(home: Path) -> set[tuple[str, str]]:
    found = findings(home).filter(pl.col("status").is_in(["open", "reopened"]))
    return set(found.select("invariant", "subject").iter_rows())


@contextmanager
def trouble(sandbox: Sandbox, **platforms: Trouble) -> Iterator[None]:
    sandbox.world.trouble.update(platforms)
    try:
        yield
    finally:
        sandbox.world.trouble.clear()


def test_every_fault_is_found_and_nothing_else(sandbox: Sandbox) -> None:
    scored = compare(sandbox.day(sandbox.home, NOW), 3)
    assert scored.wrong.rows() == []
    assert scored.rows["right"].sum() == scored.rows["faults"].sum() >= 38
    assert scored.rows["look_alikes"].sum() >= 60
    true, told, both = scored.pairs
    assert told == both, "somebody was taken for somebody else"
    assert both >= 0.995 * true


def test_only_what_cannot_be_read_is_rejected_and_every_source_is_fresh(sandbox: Sandbox) -> None:
    health = Home(sandbox.home).tables.scan("records", "source_health").collect()
    assert health["status"].unique().to_list() == ["fresh"]
    rejected = Home(sandbox.home).tables.scan("records", "rejected_records").collect()
    assert set(rejected["platform"]) == {"webinars", "community"}
    assert rejected["record_id"].str.starts_with("again-").all()


def test_a_second_run_of_the_day_changes_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    home = sandbox.copy(tmp_path / "again")
    before = tables(home)
    assert ingest(sandbox.day(home, NOW)) == {}
    build(sandbox.day(home, NOW))
    changed = {name for name, data in tables(home).items() if before.get(name) != data}
    # What tells of the newest load tells of the second one now: it brought fewer rows, all known before.
    days = f"invariants/invariant_days/{NOW:%Y-%m-%d}.parquet"
    assert changed == {"records/source_health/data.parquet", "verdicts/source_health/data.parquet", days}
    first, second = pl.read_parquet(before[days]), pl.read_parquet(home / "lake" / days)
    assert first.join(second, on=first.columns, how="anti", nulls_equal=True)["invariant"].to_list() == [
        "rejected_rows_are_few"
    ]
    assert findings(home)["reopened_count"].sum() == 0


def test_judging_a_past_day_again_gives_its_verdicts_again(sandbox: Sandbox, tmp_path: Path) -> None:
    home = sandbox.copy(tmp_path / "past")
    before = tables(home)
    ingest(sandbox.day(home, TOMORROW))
    build(sandbox.day(home, TOMORROW))
    build(sandbox.day(home, NOW))
    day = f"invariants/finding_days/{NOW:%Y-%m-%d}.parquet"
    assert tables(home)[day] == before[day]


@pytest.mark.parametrize("write", [17, 25, 40, 52])
def test_killed_at_any_write_and_run_again(sandbox: Sandbox, tmp_path: Path, write: int) -> None:
    """The process dies in the middle of writing its n-th table; the next run ends as if it had not."""
    home = sandbox.copy(tmp_path / "killed")
    for room in ("records", "identity", "journeys", "invariants", "verdicts"):
        shutil.rmtree(home / "lake" / room)
    script = textwrap.dedent(f"""
        import os, signal, sys
        from datetime import datetime
        from pathlib import Path
        import polars as pl
        from journey_pipeline.orchestration import steps
        from journey_pipeline.orchestration.home import Home
        from journey_pipeline.settings import load

        real, seen = pl.DataFrame.write_parquet, []
        def write(self, file, **options):
            real(self, file, **options)
            seen.append(file)
            if len(seen) == {write}:
                os.truncate(file, os.path.getsize(file) // 2)
                os.kill(os.getpid(), signal.SIGKILL)
        pl.DataFrame.write_parquet = write
        home = Path({str(home)!r})
        day = steps.Day(load(home / "journey.yaml"), home, Home(home), datetime.fromisoformat({NOW.isoformat()!r}))
        for step in (steps.records, steps.people, steps.paths, steps.judge):
            step(day)
        print(len(seen))
    """)
    killed = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, env=dict(os.environ))
    assert killed.returncode == -signal.SIGKILL, killed.stdout.decode() + killed.stderr.decode()
    build(sandbox.day(home, NOW))
    assert {k: v for k, v in tables(home).items() if not k.startswith("checks")} == {
        k: v for k, v in tables(sandbox.home).items() if not k.startswith("checks")
    }


@dataclass
class Morning:
    """The day after, with every platform up; `asked`: requests that each platform was asked."""

    home: Path
    asked: Mapping[str, int]


@pytest.fixture(scope="module")
def baseline(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Morning:
    home = sandbox.copy(tmp_path_factory.mktemp("baseline") / "home")
    with trouble(sandbox, **{platform: Trouble(500, after=sys.maxsize) for platform in server.PLATFORMS}):
        assert ingest(sandbox.day(home, TOMORROW)) == {}
        asked = {platform: counted.seen for platform, counted in sandbox.world.trouble.items()}
    build(sandbox.day(home, TOMORROW))
    return Morning(home, asked)


# That every module survives it is told by the conformance test; here, what becomes of the findings.
CUT_OFF = ("stripe", "hubspot", "teachable", "typeform", "mailchimp", "zendesk")


@pytest.mark.parametrize(
    ("platform", "kind"),
    [
        *((platform, "down") for platform in server.PLATFORMS),
        *((platform, "cut off") for platform in CUT_OFF),
        ("stripe", "unauthorised"),
    ],
)
def test_a_platform_in_trouble_opens_and_closes_nothing(  # noqa: PLR0917  fixtures
    sandbox: Sandbox, baseline: Morning, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, kind: str
) -> None:
    monkeypatch.setattr(http, "BACKOFF_S", 0.001)
    home = sandbox.copy(tmp_path / "trouble")
    day = sandbox.day(home, TOMORROW)
    source = next(s for s in day.sources if day.settings.platforms[s.name].get("type", s.name) == platform)
    # Of the others, what they said on a good day: each platform is read by itself.
    for other in [s.name for s in day.sources if s.name != source.name]:
        shutil.rmtree(home / "lake" / "raw" / other)
        shutil.copytree(baseline.home / "lake" / "raw" / other, home / "lake" / "raw" / other)
    assert kind != "cut off" or baseline.asked[platform] > 1
    what = {
        "down": Trouble(500), "unauthorised": Trouble(401), "cut off": Trouble(500, after=baseline.asked[platform] // 2)
    }[kind]  # fmt: skip
    with trouble(sandbox, **{platform: what}):
        failed = {f"{source.name}.{o.resource}" for o in steps.load(day, source, os.environ) if o.error}
    assert failed
    build(day)
    before, after, usual = open_ones(sandbox.home), open_ones(home), open_ones(baseline.home)
    said_so = {("source_is_fresh", "source:" + name.replace(".", ":")) for name in failed}
    assert said_so <= after
    assert after - before - said_so <= usual, "a dead source opened findings"
    assert before & usual <= after, "a dead source closed findings"
    days = (
        Home(home)
        .tables.scan_days("invariants", "invariant_days")
        .filter(pl.col("day_on") == TOMORROW.date())
        .collect()
    )
    shut = days.filter(pl.col("gate").is_in(["closed", "partial"]))
    assert shut.height > 0
    assert shut["gate_reason"].str.contains(source.name).all()


def test_a_list_that_comes_back_short_is_not_believed(sandbox: Sandbox, baseline: Morning, tmp_path: Path) -> None:
    home = sandbox.copy(tmp_path / "short")
    whole = sandbox.world.records
    access = whole["access"]
    teachable = access.filter(pl.col("platform") == "teachable")
    sandbox.world.records = {
        **whole, "access": pl.concat([access.filter(pl.col("platform") != "teachable"), teachable.head(teachable.height // 3)])
    }  # fmt: skip
    try:
        ingest(sandbox.day(home, TOMORROW))
    finally:
        sandbox.world.records = whole
    build(sandbox.day(home, TOMORROW))
    health = Home(home).tables.scan("records", "source_health").filter(pl.col("platform") == "teachable").collect()
    assert "partial" in health["status"].to_list()
    new = open_ones(home) - open_ones(sandbox.home)
    assert {rule for rule, _ in new - open_ones(baseline.home)} == {"source_is_fresh"}


def test_missing_secrets_are_a_source_that_failed(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = sandbox.copy(tmp_path / "secrets")
    monkeypatch.delenv("STRIPE_API_KEY")
    failed = ingest(sandbox.day(home, TOMORROW))
    assert {name.split(".")[0] for name in failed} == {"stripe"}
    assert "STRIPE_API_KEY" in next(iter(failed.values()))


def test_a_fault_that_is_mended_resolves_its_finding(sandbox: Sandbox, tmp_path: Path) -> None:
    home = sandbox.copy(tmp_path / "mended")
    lost = findings(home).filter(pl.col("invariant") == "product_has_offer")["subject"].to_list()
    text = (home / "journey.yaml").read_text()
    products = [subject.removeprefix("product:") for subject in lost]
    assert "ignore_products:" in text
    (home / "journey.yaml").write_text(
        text.replace("ignore_products: [", "ignore_products: [" + ", ".join(f'"{p}"' for p in products) + ", ")
    )
    ingest(sandbox.day(home, TOMORROW))
    build(sandbox.day(home, TOMORROW))
    mended = findings(home).filter(pl.col("subject").is_in(lost))
    assert mended["status"].unique().to_list() == ["resolved"]
    assert mended["resolution"].unique().to_list() == ["excused:other_property"]
