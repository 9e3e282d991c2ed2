"""`journey run` and `journey demo`: the Dagster job in this process, with its progress told."""

import contextlib
import fcntl
import json
import logging
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

from journey_pipeline.cli.screen import console
from journey_pipeline.errors import JourneyError
from journey_pipeline.model import Settings
from journey_pipeline.orchestration.home import Home
from journey_pipeline.orchestration.steps import Day, built_tables
from journey_pipeline.report import summary
from journey_pipeline.settings import load, places


def run_daily(*, as_of: str | None, only: Sequence[str], settings: Path | None, home: Path | None) -> int:
    where = places(os.environ, settings, home)
    found = load(where.settings)
    place = Home(where.home, where.raw_url)
    unknown = sorted(set(only) - set(found.platforms))
    if unknown:
        msg = f"--only: no platform {', '.join(unknown)} in {where.settings}; allowed: {', '.join(found.platforms)}"
        raise JourneyError(msg)
    at = _instant(as_of) if as_of else datetime.now(UTC).replace(microsecond=0)
    day = Day(found, where.settings.parent, place, at)
    is_first = all(place.log.loads(s.name).is_empty() for s in day.sources)
    ingested = [s.name for s in day.sources if (not only or s.name in only)] if as_of is None or is_first else []
    if as_of is not None and is_first and any(s.platform.secrets for s in day.sources):
        msg = "--as-of judges a past day from the raw log, and nothing was loaded yet; run once without it."
        raise JourneyError(msg)
    with alone(place):
        worked = _execute(day, ingested)
    if not worked:
        return 2
    _tell(day)
    open_now = built_tables(place)["findings"].collect()
    is_critical = (
        open_now.filter(status="open", severity="critical").height
        + open_now.filter(status="reopened", severity="critical").height
    )
    return 1 if is_critical else 0


def run_demo(*, people: int, seed: int, as_of: str | None, settings: Path | None, home: Path | None) -> int:
    place = demo_home(home)
    place.root.mkdir(parents=True, exist_ok=True)
    with alone(place), demo_business(place, people=people, seed=seed, as_of=as_of, settings=settings) as day:
        worked = _execute(day, [s.name for s in day.sources])
    if not worked:
        return 2
    _tell(day)
    return 0


def demo_home(home: Path | None) -> Home:
    where = places(os.environ, None, home)
    return Home(where.home if home else where.home / "demo")


@contextlib.contextmanager
def demo_business(
    place: Home, *, people: int, seed: int, as_of: str | None, settings: Path | None = None
) -> Iterator[Day]:
    """Generate the fictional business, serve its platforms on loopback, and give the day that reads them."""
    from journey_pipeline.sandbox import business, server  # noqa: PLC0415
    from journey_pipeline.sandbox.apart import serve_apart  # noqa: PLC0415

    target = business.write_settings(place.root)
    if settings:
        shutil.copyfile(settings, target)
    found = load(target)
    zone = found.business.zone
    at = _instant(as_of) if as_of else _this_morning(zone)
    started = datetime.now(UTC)
    with serve_apart(people, seed, at) as urls:
        world = business.generate(people, seed, at)
        business.write_exports(world, place.root)
        place.truth.mkdir(exist_ok=True)
        for name, frame in world.truth.items():
            frame.write_parquet(place.truth / f"{name}.parquet")
        told = {"people": people, "seed": seed, "as_of": at.isoformat()}
        (place.root / "demo.json").write_text(json.dumps(told), encoding="utf-8")  # `journey ui --demo` serves the same
        took = (datetime.now(UTC) - started).total_seconds()
        console.print(
            f"  A business of {people:,} people, as of {at.astimezone(zone):%A %d %B %Y %H:%M %Z} [dim]{took:.1f} s[/]"
        )
        with _secrets({**server.secrets(), **business.secrets(place.root)}):
            yield Day(served(found, urls()), place.root, place, at)


def served(settings: Settings, urls: Mapping[str, str]) -> Settings:
    """The same settings with each platform at its sandbox's address."""
    moved: dict[str, dict[str, Any]] = {
        name: {**options, "base_url": urls[kind]} if (kind := options.get("type", name)) in urls else options
        for name, options in settings.platforms.items()
    }
    return settings.model_copy(update={"platforms": moved})


@contextlib.contextmanager
def _secrets(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _this_morning(zone: Any) -> datetime:
    now = datetime.now(zone)
    six = datetime.combine(now.date(), time(6), zone)
    return (six if now >= six else six - timedelta(days=1)).astimezone(UTC)


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"--as-of: {text!r} is not a time; allowed: ISO 8601, like 2026-05-15 or 2026-05-15T12:00:00+00:00"
        raise JourneyError(msg) from error
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


@contextlib.contextmanager
def alone(place: Home) -> Iterator[None]:
    """One run at a time in one home; the operating system lets go of the lock even if the process is killed."""
    place.root.mkdir(parents=True, exist_ok=True)
    with (place.root / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = f"another run is at work in {place.root}; wait for it to end."
            raise JourneyError(msg) from error
        yield


def _execute(day: Day, ingested: Sequence[str]) -> bool:
    """Run the Dagster job here, so that its history is there for the UI; gives whether it worked."""
    import dagster as dg  # noqa: PLC0415

    from journey_pipeline.orchestration import definitions, history  # noqa: PLC0415

    prepare_dagster(day.home)
    history.quicken(day.home.dagster)
    _show_progress()
    built = definitions.build(day.settings, day.folder, day.home)
    left_out = [
        key
        for source in day.sources
        if source.name not in ingested
        for key in (dg.AssetKey([f"raw_{source.name}", r.name]) for r in source.platform.resources)
    ]
    with dg.DagsterInstance.from_config(str(day.home.dagster)) as instance, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        repository = built.get_repository_def()
        job = repository.get_job(definitions.JOB)
        selection = [k for k in job.asset_layer.selected_asset_keys if k not in left_out] if left_out else None
        result = job.execute_in_process(
            instance=instance,
            asset_selection=selection,
            tags={definitions.AS_OF_TAG: day.as_of.isoformat()},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
    for failure in result.all_events:
        if failure.is_step_failure:
            error = failure.step_failure_data.error
            cause = error.cause if error and error.cause else error
            console.print(
                f"[bold red]{failure.step_key} failed:[/] {cause.message.strip() if cause else 'no reason told'}"
            )
    return result.success


def prepare_dagster(place: Home) -> None:
    """Dagster's own home, with our dagster.yaml (telemetry off)."""
    package = Path(__file__).parents[1]
    source = next(f for f in (package / "dagster.yaml", package.parent / "dagster.yaml") if f.is_file())
    place.dagster.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, place.dagster / "dagster.yaml")


class _Progress(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        console.print(f"  {record.getMessage()}")


def _show_progress() -> None:
    logger = logging.getLogger("journey_pipeline.progress")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers = [_Progress()]


def _tell(day: Day) -> None:
    place = day.home
    summary(
        built_tables(place),
        business=day.settings.business,
        rules=day.rules,
        as_of=day.as_of,
        console=console,
        paths={
            "page": str(place.page),
            "warehouse": str(place.warehouse),
            "data docs": str(place.data_docs / "index.html"),
            "Dagster UI": "journey ui --demo" if place.root.name == "demo" else "journey ui",
        },
    )
