"""Reads the raw log lazily: which loads count, what each resource says now, and how healthy each source is."""

import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import fsspec
import polars as pl
import pyarrow as pa

from journey_pipeline.platforms.base import Platform, Resource
from journey_pipeline.registry import TEXT, TIME

LOADS = pa.schema({
    "platform": pa.string(), "resource": pa.string(), "mode": pa.string(), "loaded_at": pa.timestamp("us", "UTC"),
    "row_count": pa.int64(), "expected_rows": pa.int64(), "cursor": pa.string(), "error": pa.string(),
    "is_transient": pa.bool_(),
})  # fmt: skip
_SHRUNK = 0.5  # a full list under half of the last complete one is not believed without a word: `partial`
_OURS = {"_loaded_at": TIME, "_row": pl.Int64()}


class RawLog:
    """The raw log under one folder or bucket URL: `<url>/<platform>/<resource>/<load id>.<file>.parquet`.

    `scratch` is a local folder where dlt packs a load before it is written; nothing in it is needed afterwards.
    """

    def __init__(self, url: str, scratch: Path) -> None:
        self.url, self.scratch = url.rstrip("/"), scratch
        self._files, self._root = fsspec.core.url_to_fs(self.url)
        self._is_local = "file" in self._files.protocol

    def loads(self, platform: str, *, as_of: datetime | None = None) -> pl.DataFrame:
        """One row per resource and finished load, oldest first: the columns of `loads`, `load_id`, `status`.

        `status`: `complete`; `failed` (an error ended it); `partial` (fewer rows than the platform said there are, or
        a full list under half of the last complete one, unless accepted). Only complete loads are ever read as data.
        """
        finished = self._finished(platform)
        files = [f for f in self._list(platform, "loads") if self._load_id(f) in finished]
        frames = [pl.scan_parquet(self._url(f)).collect() if self._is_local else self._read(f) for f in files]
        empty = pl.DataFrame(pl.from_arrow(LOADS.empty_table())).with_columns(load_id=pl.lit("", TEXT))
        rows = pl.concat(
            [empty, *(frame.select(LOADS.names).with_columns(load_id=pl.lit(self._load_id(f)))
                      for f, frame in zip(files, frames, strict=True))],
            how="vertical_relaxed",
        )  # fmt: skip
        if as_of is not None:
            rows = rows.filter(pl.col("loaded_at") <= as_of)
        rows = rows.sort("loaded_at", "load_id", "resource")
        return rows.with_columns(pl.Series("status", self._judge(rows, self._accepted(platform)), TEXT))

    def first_load(self, platform: str) -> datetime | None:
        """When it was first loaded. Of all its loads one file is read: reading every load takes seconds."""
        files = self._list(platform, "loads")
        at = self._read(files[0])["loaded_at"].min() if files else None
        return at if isinstance(at, datetime) else None

    def cursors(self, platform: str) -> Mapping[str, str]:
        """Resource -> what its last complete load left behind."""
        complete = self.loads(platform).filter(pl.col("status") == "complete", pl.col("cursor").is_not_null())
        return dict(complete.select("resource", "cursor").iter_rows())

    def accept(self, platform: str, resource: str) -> int:
        """Believe the newest load of a resource although it shrank; gives its row count.

        Raises:
            KeyError: if its newest load is not partial.
        """
        newest = self.loads(platform).filter(pl.col("resource") == resource).tail(1)
        if newest.is_empty() or newest["status"][0] != "partial":
            raise KeyError(resource)
        path = f"{self._root}/{platform}/accepted/{newest['load_id'][0]}.{resource}"
        self._files.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        self._files.touch(path)
        return int(newest["row_count"][0])

    def scan(self, platform: str, resource: Resource, loads: pl.DataFrame) -> pl.LazyFrame:
        """All versions that complete loads hold of a resource.

        Its declared columns as text (null where one never came; undeclared resources: all columns), `_loaded_at`,
        `_row` (number within its load) and `_resource`. Of snapshots taken at one instant only the last counts.
        """
        mine = loads.filter(pl.col("resource") == resource.name, pl.col("status") == "complete")
        if resource.mode == "snapshot":
            mine = mine.unique("loaded_at", keep="last", maintain_order=True)
        visible = set(mine["load_id"])
        files = [f for f in self._list(platform, resource.name) if self._load_id(f) in visible]
        names = resource.columns or self._all_columns(files)
        schema = pl.Schema({**dict.fromkeys(names, TEXT), **_OURS})
        if not files:
            return pl.LazyFrame(schema=schema).with_columns(_resource=pl.lit(resource.name))
        if self._is_local:
            frame = pl.scan_parquet(
                [self._url(f) for f in files], schema=schema, missing_columns="insert", extra_columns="ignore"
            )
        else:
            frame = pl.concat(
                [self._read(f).lazy() for f in files], how="diagonal_relaxed"
            ).select(
                *(pl.col(c) if any(c in self._columns(f) for f in files) else pl.lit(None, TEXT).alias(c) for c in schema)
            )  # fmt: skip
        return frame.with_columns(_resource=pl.lit(resource.name))

    def raw_rows(self, platform: str, resource: str, loads: pl.DataFrame) -> pl.LazyFrame:
        """Everything that complete loads hold of a resource: each row as JSON in `raw`, with `_loaded_at`, `_row`."""
        mine = loads.filter(pl.col("resource") == resource, pl.col("status") == "complete")
        visible = set(mine["load_id"])
        files = [f for f in self._list(platform, resource) if self._load_id(f) in visible]
        names = self._all_columns(files)
        raw = pl.struct(names).struct.json_encode() if names else pl.lit(None, TEXT)
        whole = Resource(resource, "changes", lambda _pull: iter(()), columns=tuple(names))
        return self.scan(platform, whole, mine).select("_loaded_at", "_row", raw.alias("raw"))

    def platforms(self) -> list[str]:
        """Every platform that was ever loaded, connected or not."""
        return (
            sorted(f.rsplit("/", 1)[-1] for f in self._files.ls(self._root, detail=False))
            if self._files.exists(self._root)
            else []
        )

    def data_files(self, platform: str) -> dict[str, list[str]]:
        """Resource -> every file of it, of whatever load; not those that tell of the loads themselves."""
        folder = f"{self._root}/{platform}"
        every = sorted(self._files.find(folder)) if self._files.exists(folder) else []
        found: dict[str, list[str]] = {}
        for file in every:
            resource = file.removeprefix(f"{folder}/").split("/", 1)[0]
            if file.endswith(".parquet") and resource != "loads" and not resource.startswith("_dlt"):
                found.setdefault(resource, []).append(file)
        return found

    def read(self, file: str) -> pl.DataFrame:
        """The rows of one of `data_files`."""
        return self._read(file)

    def replace(self, file: str, rows: pl.DataFrame) -> None:
        """Put other rows into the place of a file, whole or not at all."""
        if not self._is_local:
            with self._files.open(file, "wb") as stream:  # a bucket shows an object once it is written whole
                rows.write_parquet(stream)
            return
        aside = Path(file).with_name(f".{Path(file).name}.writing")  # its name is no load's: nobody reads it
        rows.write_parquet(aside)
        with aside.open("rb") as written:
            os.fsync(written.fileno())
        aside.replace(file)

    def _list(self, platform: str, table: str) -> list[str]:
        folder = f"{self._root}/{platform}/{table}"
        return sorted(self._files.find(folder)) if self._files.exists(folder) else []

    def _url(self, file: str) -> str:
        return str(self._files.unstrip_protocol(file)) if not self._is_local else file

    def _read(self, file: str) -> pl.DataFrame:
        with self._files.open(file, "rb") as stream:
            return pl.read_parquet(stream.read())

    def _columns(self, file: str) -> list[str]:
        with self._files.open(file, "rb") as stream:
            return list(pl.read_parquet_schema(stream))

    def _all_columns(self, files: Sequence[str]) -> list[str]:
        names = dict.fromkeys(c for f in files for c in self._columns(f))
        return [c for c in names if c not in _OURS and not c.startswith("_dlt")]

    @staticmethod
    def _load_id(file: str) -> str:
        return ".".join(file.rsplit("/", 1)[-1].split(".")[:2])

    def _finished(self, platform: str) -> frozenset[str]:
        finished = set()
        for file in self._list(platform, "_dlt_loads"):
            with self._files.open(file, "rt") as stream:
                rows = [json.loads(line) for line in stream if line.strip()]
            finished |= {row["load_id"] for row in rows if row["status"] == 0}
        return frozenset(finished)

    def _accepted(self, platform: str) -> frozenset[str]:
        return frozenset(f.rsplit("/", 1)[-1] for f in self._list(platform, "accepted"))

    @staticmethod
    def _judge(rows: pl.DataFrame, accepted: frozenset[str]) -> list[str]:
        last: dict[str, int] = {}
        verdicts = []
        for row in rows.iter_rows(named=True):
            name, count, expected = row["resource"], row["row_count"], row["expected_rows"]
            if row["error"] is not None:
                verdicts.append("failed")
                continue
            shrank = row["mode"] == "snapshot" and count < _SHRUNK * last.get(name, 0)
            short = expected is not None and count < expected
            if (shrank or short) and f"{row['load_id']}.{name}" not in accepted:
                verdicts.append("partial")
                continue
            last[name] = count
            verdicts.append("complete")
        return verdicts


def health(platform: Platform, name: str, loads: pl.DataFrame, *, as_of: datetime) -> pl.DataFrame:
    """One row per resource: how far and how well it is known at `as_of`.

    Columns: platform, resource, status, last_load_at, row_count, usual_row_count, complete_until_at, history_from_at,
    detail. A resource that was never loaded is `failed`.
    """
    rows = []
    for resource in platform.resources:
        mine = loads.filter(pl.col("resource") == resource.name)
        complete = mine.filter(pl.col("status") == "complete")
        newest = mine.row(-1, named=True) if mine.height else None
        before = complete if newest is None or newest["status"] != "complete" else complete.head(-1)
        usual = before["row_count"][-1] if before.height else None
        until = complete["loaded_at"][-1] - resource.lag if complete.height else None
        is_stale = until is not None and until < as_of - resource.limit
        status, detail = _status(resource, name, newest, usual, until if is_stale else None)
        rows.append({
            "platform": name, "resource": resource.name, "status": status,
            "last_load_at": newest["loaded_at"] if newest else None,
            "row_count": newest["row_count"] if newest else 0,
            "usual_row_count": usual, "complete_until_at": until,
            "history_from_at": complete["loaded_at"][0] - resource.history
            if resource.history is not None and complete.height else None,
            "detail": detail,
        })  # fmt: skip
    return pl.DataFrame(rows, schema={
        "platform": TEXT, "resource": TEXT, "status": TEXT, "last_load_at": TIME, "row_count": pl.Int64(),
        "usual_row_count": pl.Int64(), "complete_until_at": TIME, "history_from_at": TIME, "detail": TEXT,
    })  # fmt: skip


def _status(
    resource: Resource, name: str, newest: Mapping[str, object] | None, usual: int | None, stale_since: datetime | None
) -> tuple[str, str | None]:  # fmt: skip
    if newest is None:
        return "failed", f"{name} {resource.name} was never loaded; run the job once with this platform."
    if newest["status"] == "failed":
        return "failed", str(newest["error"])
    if newest["status"] == "partial":
        stays = f"The last complete list stays current. If the drop is real: journey accept {name}.{resource.name}."
        if newest["expected_rows"] is not None and newest["row_count"] < newest["expected_rows"]:  # type: ignore[operator]
            said = (
                f"{name} {resource.name} says it has {newest['expected_rows']:,} rows and gave {newest['row_count']:,}."
            )
            return "partial", f"{said} {stays}"
        count = f"{name} {resource.name} came back with {newest['row_count']:,} rows, under half of the last {usual or 0:,}."
        return "partial", f"{count} {stays}"
    if stale_since is not None:
        return "stale", f"{name} {resource.name} is complete only until {stale_since:%Y-%m-%d %H:%M} UTC; run the job."
    return "fresh", None
