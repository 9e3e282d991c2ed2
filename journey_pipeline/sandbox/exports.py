"""A world in other shapes: CSV exports, the academy's own database, and records straight away for large runs."""

import contextlib
import shutil
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from journey_pipeline.registry import KINDS, TEXT, TIME, record_schema
from journey_pipeline.sandbox.figures import Label
from journey_pipeline.sandbox.world import World

EXPORTS = {
    "community_access": ("access", "community"), "google_ads_costs": ("spend", "google_costs"),
    "webinar_optins": ("consents", "webinars"),
    "team_calendar": ("bookings", "team_calendar"),
}  # fmt: skip
"""File name -> kind and platform; demo.yaml names the files."""
SPOILT = (
    Label("rejected_rows_are_few", "source", "webinars", "optins"),
    Label("rejected_rows_are_few", "source", "community", "members", why="one line of several hundred"),
)
"""Sources whose export has lines that can't be read."""
_HERE = Path(__file__).parent
_ONLY_OURS = ("platform", "changed_at", "who")


def write_exports(world: World, folder: Path) -> None:
    """Write `exports/<name>.csv`, and the academy's own application: `exports/app.db`."""
    (folder / "exports").mkdir(parents=True, exist_ok=True)
    is_spoilt = not world.truth["faults"].filter(pl.col("invariant") == SPOILT[0].invariant).is_empty()
    for name, (kind, platform) in EXPORTS.items():
        lines = flat(world.of(kind, platform))
        lost = _unreadable(name, lines) if is_spoilt else lines.clear()
        pl.concat([lines, lost]).write_csv(folder / "exports" / f"{name}.csv")
    _write_app(world, folder / "exports" / "app.db")


def _unreadable(name: str, lines: pl.DataFrame) -> pl.DataFrame:
    """Lines with a date in words: a twentieth of the webinar tool's, and one where there are hundreds."""
    count = {"webinar_optins": max(2, lines.height // 20), "community_access": min(1, lines.height // 200)}.get(name, 0)
    return lines.head(count).with_columns(
        record_id=pl.concat_str(pl.lit("again-"), "record_id"), occurred_at=pl.lit("in the middle of May")
    )


def write_settings(folder: Path) -> Path:
    """Write the business's journey.yaml, and the SQL that it names, under the folder."""
    for query in ("feedback.sql", "memberships.sql"):
        shutil.copyfile(_HERE / query, folder / query)
    return Path(shutil.copyfile(_HERE / "demo.yaml", folder / "journey.yaml"))


def secrets(folder: Path) -> dict[str, str]:
    """Where the database of `write_exports` is."""
    return {"APP_URL": f"sqlite:///{(folder / 'exports' / 'app.db').resolve()}"}


def _write_app(world: World, file: Path) -> None:
    """The application's own tables: students, what they say of their course, and who is a member."""
    file.unlink(missing_ok=True)
    said = world.of("surveys", "app").with_columns(
        pl.col("record_id").cast(pl.Int64),
        pl.col("keys").list.first().str.extract(r"(\d+)$").cast(pl.Int64).alias("student"),
        pl.col("occurred_at").dt.to_string("%Y-%m-%d %H:%M:%S"),
        pl.col("score").cast(pl.Int64),
    )
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.executescript(
            "create table students (id integer primary key, email text, password_hash text);"
            "create table feedback (id integer primary key, student_id integer, stars integer, created_at timestamp);"
        )
        database.executemany(
            "insert into students values (?, ?, 'x')", said.select("student", "email").unique().sort("student").rows()
        )
        database.execute(
            "create table memberships (id integer primary key, email text, stripe_customer text,"
            " stripe_subscription text, stripe_price text, status text, started_at timestamp)"
        )
        members = world.of("subscriptions", "app").select(
            pl.col("record_id").cast(pl.Int64), "email",
            *(pl.col(c).list.first().str.strip_prefix("stripe:") for c in ("keys", "same_as")),
            pl.col("product_ref").str.strip_prefix("stripe:"), "status",
            pl.col("occurred_at").dt.to_string("%Y-%m-%d %H:%M:%S"),
        )  # fmt: skip
        database.executemany("insert into memberships values (?, ?, ?, ?, ?, ?, ?)", members.sort("record_id").rows())
        columns = said.select("record_id", "student", "score", "occurred_at")
        database.executemany("insert into feedback values (?, ?, ?, ?)", columns.sort("record_id").rows())


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Records of one platform as cells: the kind's columns, lists as JSON, times as ISO 8601 in UTC."""
    said = frame.drop(_ONLY_OURS)
    return said.with_columns(
        _json_list(c) if isinstance(t, pl.List) else pl.col(c).dt.to_string("%Y-%m-%dT%H:%M:%SZ")
        for c, t in said.schema.items()
        if isinstance(t, pl.List | pl.Datetime)
    ).with_columns(pl.col(pl.Date).dt.to_string("%Y-%m-%d"))


def _json_list(column: str) -> pl.Expr:
    quoted = pl.col(column).list.eval('"' + pl.element() + '"').list.join(",")
    return ("[" + quoted + "]").alias(column)


def to_records(world: World) -> Mapping[str, pl.LazyFrame]:
    """Every kind with the columns of `record_schema`, as if one complete load of everything had just ended."""
    return {kind: _as_loaded(kind, world) for kind in KINDS}


def _as_loaded(kind: str, world: World) -> pl.LazyFrame:
    frame = world.records.get(kind)
    schema = record_schema(kind)
    if frame is None:
        return pl.LazyFrame(schema=schema)
    loaded_at = pl.lit(world.now, TIME)
    stage_since = pl.when(pl.col("lifecycle_stage") == "customer").then(pl.coalesce("updated_at", "occurred_at"))
    history = {
        "loaded_at": loaded_at, "first_loaded_at": loaded_at, "class_changed_at": loaded_at,
        "ended_loaded_at": pl.when(pl.col("status") == "ended").then(loaded_at),
        "customer_since_at": stage_since, "first_used_at": pl.col("last_used_at"),
    }  # fmt: skip
    return frame.lazy().select(
        (history[name] if name in history else pl.col(name) if name in frame.columns else pl.lit(None, TEXT))
        .cast(dtype)
        .alias(name)
        for name, dtype in schema.items()
    )
