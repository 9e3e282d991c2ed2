"""The tables and views as Parquet files, for those who want files: one folder, swapped whole."""

import shutil
from pathlib import Path

import duckdb

from journey_pipeline.publish.warehouse import building, quoted, sync


def publish(warehouse: Path, target: Path) -> None:
    """Write `journey/<table>.parquet` and `bi/<view>.parquet` of a warehouse, and point `target` to them.

    `target` is a link, for a folder can't be replaced in one step. The files it pointed to before stay until the next
    publication, so that whoever is reading them can finish.
    """
    with building(target) as folder:
        _write(warehouse, folder / "files")
        current = target.resolve() if target.is_symlink() else None
        fresh = target.with_name(f".{target.name}.{'b' if current and current.name.endswith('.a') else 'a'}")
        shutil.rmtree(fresh, ignore_errors=True)
        (folder / "files").replace(fresh)
        link = folder / "link"
        link.symlink_to(fresh.name)
        link.replace(target)
        sync(target.parent)


def _write(warehouse: Path, folder: Path) -> None:
    with duckdb.connect(str(warehouse), read_only=True) as db:
        db.execute("set timezone = 'UTC'")
        db.execute("set preserve_insertion_order = false")
        named = "select table_schema, table_name from information_schema.tables where table_schema in ('journey', 'bi')"
        for schema, name in db.sql(named).fetchall():
            file = folder / schema / f"{name}.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            db.table(f"{schema}.{quoted(name)}").write_parquet(str(file), compression="zstd")
            sync(file)
