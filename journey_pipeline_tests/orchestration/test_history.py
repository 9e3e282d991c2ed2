"""Dagster's own history: its files stay open, and nobody else's database is touched."""

from pathlib import Path

import dagster as dg
from sqlalchemy import QueuePool, create_engine

from journey_pipeline.cli.daily import prepare_dagster
from journey_pipeline.orchestration import history
from journey_pipeline.orchestration.home import Home


@dg.asset
def nothing() -> None:
    """An asset that is quickly made."""


def test_a_run_is_written_through_files_that_stay_open(tmp_path: Path) -> None:
    home = Home(tmp_path)
    prepare_dagster(home)
    history.quicken(home.dagster)
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        ran = dg.materialize([nothing], instance=instance)
        logged = {e.dagster_event.event_type_value for e in instance.all_logs(ran.run_id) if e.dagster_event}
    assert {"PIPELINE_START", "ASSET_MATERIALIZATION", "PIPELINE_SUCCESS"} <= logged
    # Dagster asked here for its engines, and a log that nobody held open would have been written back and removed.
    (engine,) = (engine for url, engine in history._engines.items() if str(home.dagster) in url and ran.run_id in url)
    assert isinstance(engine.pool, QueuePool)
    assert engine.pool.checkedin() >= 1  # connections outlived what Dagster disposed of
    assert [file for file in home.dagster.rglob("*-wal") if ran.run_id in file.name]


def test_a_database_of_somebody_else_waits_for_the_disk_as_ever(tmp_path: Path) -> None:
    history.quicken(tmp_path / "dagster")
    with create_engine(f"sqlite:///{tmp_path / 'theirs.db'}").connect() as theirs:
        assert theirs.exec_driver_sql("pragma synchronous").scalar() == 2
        assert theirs.exec_driver_sql("pragma journal_mode").scalar() == "delete"
