"""The runs beside the daily one: the light one before a launch, past days, after a change of what people wrote; and pools."""

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster._core.op_concurrency_limits_counter import GlobalOpConcurrencyLimitsCounter
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES

from journey_pipeline.cli.daily import prepare_dagster
from journey_pipeline.orchestration import definitions, history, past, steps
from journey_pipeline.orchestration.home import Home
from journey_pipeline.orchestration.steps import Day
from journey_pipeline.settings import load

SETTINGS = """
business: {name: Two Files, timezone: America/New_York, currency: USD}
platforms:
  till: {type: files, tables: {sales: sales.csv}, records: {payments: sales}}
  school: {type: files, tables: {pupils: pupils.csv}, records: {access: pupils}}
offers:
  - {id: course, name: Course, bought_as: ["till:c"], grants: ["school:c"], price: {amount_minor: 4900, currency: USD}}
waivers: waivers.csv
"""
SALES = "record_id,occurred_at,email,role,status,amount_minor,currency,product_ref\n"
PUPILS = "record_id,occurred_at,email,grant,status,product_ref\n"
MONDAY = datetime(2026, 5, 11, 10, tzinfo=UTC)  # six in the morning in New York
TUESDAY, WEDNESDAY = MONDAY + timedelta(days=1), MONDAY + timedelta(days=2)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
RULE = """
invariants:
  - {name: nobody_pays_twice, on: payments, when: "status = 'succeeded'", then: "email != 'bob@x.com'", owner: finance}
"""


def write(folder: Path, more: str = "") -> Path:
    """The business's files: bob paid on Sunday and has no access."""
    (folder / "sales.csv").write_text(SALES + "1,2026-05-10T09:00:00Z,bob@x.com,processor,succeeded,4900,USD,till:c\n")
    (folder / "pupils.csv").write_text(PUPILS + "7,2026-05-10T09:00:00Z,ann@x.com,course,active,school:c\n")
    (folder / "waivers.csv").write_text("finding,reason,who,until\n")
    file = folder / "journey.yaml"
    file.write_text(SETTINGS + more)
    return file


def day(folder: Path, as_of: datetime) -> Day:
    return Day(load(folder / "journey.yaml"), folder, Home(folder / "home"), as_of)


def run(at: Day) -> None:
    """What the daily job does up to the verdicts."""
    for source in at.sources:
        steps.load(at, source, {})
    for step in (steps.records, steps.people, steps.paths, steps.judge):
        step(at)


def built(folder: Path) -> dg.RepositoryDefinition:
    file = folder / "journey.yaml"
    return definitions.build(load(file), folder, Home(folder / "home"), file).get_repository_def()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path)
    return tmp_path


@pytest.fixture
def instance(folder: Path) -> Iterator[dg.DagsterInstance]:
    home = Home(folder / "home")
    prepare_dagster(home)
    history.quicken(home.dagster)
    with dg.DagsterInstance.from_config(str(home.dagster)) as found:
        yield found


# Before a launch


def tick(repository: dg.RepositoryDefinition) -> Any:
    schedule = repository.get_schedule_def("every_hour")
    return schedule.evaluate_tick(dg.build_schedule_context(repository_def=repository))


def test_the_light_run_waits_until_something_is_to_be_watched(folder: Path) -> None:
    told = tick(built(folder))
    assert not told.run_requests
    assert told.skip_message == "journey.yaml names nothing to watch. Add, for one: watch: {offers: [an_offer]}"


def test_the_light_run_reads_the_platforms_of_its_offer(tmp_path: Path) -> None:
    write(tmp_path, "watch: {offers: [course]}\n")
    (request,) = tick(built(tmp_path)).run_requests
    assert {key.path[0] for key in request.asset_selection} == {
        "raw_till", "raw_school", "records", "identity", "journeys", "invariants", "bi", "report",
    }  # fmt: skip
    assert request.tags["journey/watched"] == "school, till"


def test_the_light_run_reads_one_platform_judges_and_publishes(tmp_path: Path) -> None:
    write(tmp_path, "watch: {platforms: [school]}\n")
    run(day(tmp_path, datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)))
    home, repository = Home(tmp_path / "home"), built(tmp_path)
    (request,) = tick(repository).run_requests
    (tmp_path / "pupils.csv").write_text(PUPILS + "8,2026-05-10T09:00:00Z,bob@x.com,course,active,school:c\n")
    prepare_dagster(home)
    history.quicken(home.dagster)
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        light = repository.get_job("light").get_subset(
            asset_selection=set(request.asset_selection), asset_check_selection=set(request.asset_check_keys)
        )
        result = light.execute_in_process(instance=instance, run_config=QUIET)
    done = {event.step_key for event in result.all_events if event.is_step_success}
    assert done == {"ingest_school", "records", "identity", "journeys", "invariants", "publish", "report__page"}
    assert not home.data_docs.exists()
    assert home.warehouse.exists()
    assert home.log.loads("till").height == 1
    assert home.log.loads("school").height == 2
    found = pl.read_parquet(home.tables.path("invariants", "findings")).filter(invariant="paid_implies_access")
    assert found["status"].to_list() == ["resolved"]


def test_what_is_watched_has_to_exist(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="watch") as refused:
        load(write(tmp_path, "watch: {platforms: [tills], offers: [curse]}\n"))
    assert "watch.platforms[0]: no platform 'tills' under platforms; did you mean till?" in str(refused.value)
    assert "watch.offers[0]: no offer 'curse' under offers; did you mean course?" in str(refused.value)


# Past days


@pytest.fixture
def two_days(folder: Path) -> Path:
    """Monday bob has no access; on Tuesday he has."""
    run(day(folder, MONDAY))
    (folder / "pupils.csv").write_text(PUPILS + "8,2026-05-12T09:00:00Z,bob@x.com,course,active,school:c\n")
    run(day(folder, TUESDAY))
    return folder


def parts(home: Home) -> dict[str, bytes]:
    return {str(p.relative_to(home.root)): p.read_bytes() for p in sorted((home.root / "lake").rglob("*.parquet"))}


def verdicts(home: Home, on: date) -> dict[str, str]:
    rows = pl.read_parquet(home.tables.path("invariants", "finding_days") / f"{on}.parquet")
    return dict(rows.select("invariant", "verdict").iter_rows())


def test_a_past_day_judged_again_is_as_its_own_run_left_it(two_days: Path) -> None:
    home = Home(two_days / "home")
    before = parts(home)
    assert verdicts(home, MONDAY.date())["paid_implies_access"] == "broken"
    past.judge(day(two_days, WEDNESDAY), MONDAY.date())
    assert parts(home) == before
    assert not list(home.root.glob(".past.*"))


def test_a_rule_of_today_judges_a_past_day_and_todays_tables_stay(two_days: Path, instance: dg.DagsterInstance) -> None:
    home = Home(two_days / "home")
    before = parts(home)
    write(two_days, RULE)
    job = built(two_days).get_job("past_days")
    result = job.execute_in_process(instance=instance, partition_key="2026-05-11", run_config=QUIET)
    assert result.success
    assert verdicts(home, MONDAY.date())["nobody_pays_twice"] == "broken"
    after = parts(home)
    assert {name for name in before if after[name] != before[name]} == {
        "lake/invariants/finding_days/2026-05-11.parquet", "lake/invariants/invariant_days/2026-05-11.parquet",
        "lake/invariants/findings/data.parquet",
    }  # fmt: skip
    assert after.keys() == before.keys()
    folded = pl.read_parquet(home.tables.path("invariants", "findings")).filter(invariant="nobody_pays_twice")
    assert folded["first_seen_on"].to_list() == [MONDAY.date()]


def test_the_days_to_choose_from_begin_with_the_first_load_and_end_yesterday(two_days: Path) -> None:
    days = built(two_days).get_job("past_days").partitions_def
    assert days is not None
    known = days.get_partition_keys(current_time=WEDNESDAY)
    assert known == ["2026-05-11", "2026-05-12"]


def test_a_day_without_a_load_is_judged_as_of_its_morning(two_days: Path) -> None:
    past.judge(day(two_days, WEDNESDAY), WEDNESDAY.date())
    home = Home(two_days / "home")
    rows = pl.read_parquet(home.tables.path("invariants", "invariant_days") / f"{WEDNESDAY.date()}.parquet")
    assert rows.filter(invariant="paid_implies_access")["evaluated"].to_list() == [1]


# After a change of what people wrote


def look(folder: Path, repository: dg.RepositoryDefinition, cursor: str | None) -> Any:
    sensor = repository.get_sensor_def("judge_changes")
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance, cursor=cursor, repository_def=repository)
        return sensor.evaluate_tick(context)


def test_a_change_is_judged_once(folder: Path) -> None:
    repository = built(folder)
    assert repository.get_sensor_def("judge_changes").default_status == dg.DefaultSensorStatus.RUNNING
    first = look(folder, repository, None)
    assert not first.run_requests
    assert first.skip_message == "From now on, changes are judged."
    assert look(folder, repository, first.cursor).skip_message == "Nothing was written since the last look."
    shutil.copystat(folder / "sales.csv", folder / "waivers.csv")  # touched, and nothing written
    assert not look(folder, repository, first.cursor).run_requests
    (folder / "journey.yaml").write_text(SETTINGS + "# a remark\n")
    assert not look(folder, repository, first.cursor).run_requests
    cursor = first.cursor
    (folder / "expectations").mkdir()
    for name, text in {
        "waivers.csv": "finding,reason,who,until\nbob@x.com,a gift,ann,2026-12-31\n",
        "identity_decisions.csv": "a,b,decision,who,on,why\ntill:1,school:7,refuse,ann,2026-05-11,two people\n",
        "journey.yaml": SETTINGS + "deadlines: {paid_implies_access: 2h}\n",
    }.items():
        (folder / name).write_text(text)
        changed = look(folder, repository, cursor)
        assert len(changed.run_requests) == 1, name
        assert changed.cursor != cursor
        cursor = changed.cursor
        assert not look(folder, repository, cursor).run_requests


def test_what_is_broken_is_told_whole_and_nothing_runs_until_it_is_mended(folder: Path) -> None:
    repository = built(folder)
    cursor = look(folder, repository, None).cursor
    (folder / "waivers.csv").write_text(
        "finding,reason,who,until\nbob@x.com,,ann,2026-12-31\nann@x.com,a gift,ann,soon\n"
    )
    told = look(folder, repository, cursor)
    assert not told.run_requests
    assert told.cursor in (None, cursor)
    assert "waivers.csv: 2 mistakes" in told.skip_message
    assert "2: reason is empty" in told.skip_message
    assert "3: until: 'soon' is not a day" in told.skip_message
    (folder / "journey.yaml").write_text(SETTINGS.replace("USD}", "dollars}") + "offs: {}\n")
    told = look(folder, repository, cursor)
    assert not told.run_requests
    assert "journey.yaml: 3 mistakes" in told.skip_message
    write(folder)  # as it was: nothing to judge
    assert look(folder, repository, cursor).skip_message == "Nothing was written since the last look."


def test_a_new_rule_waits_for_the_code_location_to_be_reloaded(folder: Path) -> None:
    repository = built(folder)
    cursor = look(folder, repository, None).cursor
    write(folder, RULE)
    told = look(folder, repository, cursor)
    assert not told.run_requests
    assert "reload the code location" in told.skip_message
    assert len(look(folder, built(folder), cursor).run_requests) == 1


# Pools


def test_a_platform_is_never_read_by_two_runs_at_once(folder: Path, instance: dg.DagsterInstance) -> None:
    repository = built(folder)
    daily = repository.get_job("daily")
    till, school = (
        daily.get_subset(asset_selection={dg.AssetKey(key)})
        for key in (["raw_till", "sales"], ["raw_school", "pupils"])
    )
    busy = instance.create_run_for_job(till, status=dg.DagsterRunStatus.STARTED)
    same = instance.create_run_for_job(till, status=dg.DagsterRunStatus.NOT_STARTED)
    other = instance.create_run_for_job(school, status=dg.DagsterRunStatus.NOT_STARTED)

    def waits(queued: dg.DagsterRun) -> bool:
        """What the daemon asks before it launches a run."""
        storage, config = instance.event_log_storage, instance.get_concurrency_config()
        at_work = instance.get_run_records(dg.RunsFilter(statuses=list(IN_PROGRESS_RUN_STATUSES)))
        counter = GlobalOpConcurrencyLimitsCounter(
            instance, [same, other], at_work, storage.get_concurrency_keys(), storage.get_pool_limits(),
            pool_granularity=config.pool_config.pool_granularity,
        )  # fmt: skip
        return bool(counter.is_blocked(queued))

    waits(same)  # its first look writes down how many each pool may have
    assert (waits(same), waits(other)) == (True, False)
    instance.report_run_canceled(busy)
    assert (waits(same), waits(other)) == (False, False)
