"""The warehouse in PostgreSQL: the same tables and views in the schemas `journey` and `bi`, replaced in one transaction.

All happens in that transaction: the tables are loaded aside, and put in the place of yesterday's once nobody reads
those. A publication that fails or is killed never happened. What people built on our tables in schemas of their own stays.
"""

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from journey_pipeline.errors import JourneyError
from journey_pipeline.publish.views import View, views_of
from journey_pipeline.publish.warehouse import building, literal, quoted

if TYPE_CHECKING:
    import psycopg

URL = "JOURNEY_PUBLISH_URL"
READER = "journey_reader"
_SCHEMAS = ("journey", "bi")
_LOCK = 7_203_115_481  # any number, as long as nobody else locks it
_PATIENCE = 60.0  # seconds in which readers may finish
_ANSWERS_IN = 10  # seconds, when only asked whether it is there
_HOLD = 500  # milliseconds for which new readers wait for old ones; half of PostgreSQL's deadlock_timeout
_CHUNK = 1 << 20
_KEPT = "Nothing was published."
_NEEDS = f"The user of {URL} needs CREATE on the database, and has to own the schemas journey and bi and the views built on them"
_NULL = r"null '\N'"  # unquoted, so that no text is taken for it

TYPES = {
    "VARCHAR": "text", "BOOLEAN": "boolean", "DATE": "date", "DOUBLE": "double precision", "FLOAT": "real",
    "BIGINT": "bigint", "INTEGER": "integer", "SMALLINT": "smallint", "TINYINT": "smallint", "UINTEGER": "bigint",
    "TIMESTAMP WITH TIME ZONE": "timestamptz", "TIMESTAMP": "timestamp", "HUGEINT": "numeric", "UBIGINT": "numeric",
}  # fmt: skip
# What rows are looked up by. Hashed where the text is not ours: an ordinary index refuses long values.
_INDEXED = {
    "person_id": "btree", "finding_id": "btree", "incident_id": "btree", "day_on": "btree", "occurred_at": "btree",
    "record_id": "hash",
}  # fmt: skip

_COLUMNS = """
select table_name, column_name, data_type, comment from duckdb_columns()
where schema_name = 'journey' order by table_name, column_index
"""
# Ours bear the comment that we gave them; anything else in our schemas is somebody else's.
_OURS = """
select n.nspname, c.relname, c.relkind::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any(%s) and c.relkind in ('r', 'v') and obj_description(c.oid, 'pg_class') like 'Grain%%'
order by c.relkind desc, c.relname
"""
_MAY = """
select has_database_privilege(current_database(), 'create') and not exists (
    select from pg_namespace where nspname = any(%s) and not pg_has_role(nspowner, 'usage')
)
"""
_BUILT_ON_OURS = """
select distinct v.oid, n.nspname, v.relname, pg_get_viewdef(v.oid), array_to_string(v.reloptions, ', ')
from pg_depend d
join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
join pg_class v on v.oid = r.ev_class and v.relkind = 'v'
join pg_namespace n on n.oid = v.relnamespace and not n.nspname = any(%(ours)s)
join pg_class t on d.refclassid = 'pg_class'::regclass and t.oid = d.refobjid
join pg_namespace tn on tn.oid = t.relnamespace and tn.nspname = any(%(ours)s)
order by v.oid
"""


@dataclass(frozen=True)
class _Column:
    name: str
    dtype: str
    comment: str | None

    @property
    def type(self) -> str:
        return TYPES.get(self.dtype, "jsonb")

    @property
    def text(self) -> str:
        """How DuckDB writes it so that PostgreSQL reads it, which knows no NUL in text."""
        name = quoted(self.name)
        if self.type == "text":
            return f"replace({name}, chr(0), '')"
        return f"replace(to_json({name})::varchar, '\\u0000', '')" if self.type == "jsonb" else name


def publish(warehouse: Path, views: Path, url: str, left_out: Collection[str] = ()) -> list[str]:
    """Replace the tables and views of the database by those of a warehouse file; gives what its owner should know.

    Raises:
        JourneyError: if the database can't be reached or doesn't let us; it is then as it was before.
    """
    import psycopg  # noqa: PLC0415  only those who publish to PostgreSQL need its library

    try:
        with building(warehouse) as folder, psycopg.connect(url, client_encoding="UTF8") as db:
            db.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
            db.execute("set local search_path = ''")
            _load(db, warehouse, folder / "rows.csv")
            _wait_for_readers(db)
            return _swap(db, views_of(views), left_out)
    except psycopg.errors.DependentObjectsStillExist as error:
        what = f"Something in PostgreSQL stands on yesterday's tables and can't follow to today's: {error.diag.message_detail}"
        msg = f"{what}. Make it a plain view in a schema of its own, or drop it. {_KEPT}"
        raise JourneyError(msg) from error
    except psycopg.errors.InsufficientPrivilege as error:
        msg = f"PostgreSQL says: {error.diag.message_primary}. {_NEEDS}. {_KEPT}"
        raise JourneyError(msg) from error
    except psycopg.Error as error:
        msg = f"{_unreachable(error)} {_KEPT}"
        raise JourneyError(msg) from None


def ask(url: str) -> None:
    """Ask the database whether it would take a publication; nothing is changed there.

    Raises:
        JourneyError: if it can't be reached, or would refuse.
    """
    import psycopg  # noqa: PLC0415  only those who publish to PostgreSQL need its library

    try:
        with psycopg.connect(url, connect_timeout=_ANSWERS_IN) as db:
            may = db.execute(_MAY, [list(_SCHEMAS)]).fetchone() == (True,)
    except psycopg.Error as error:
        raise JourneyError(_unreachable(error)) from None
    if not may:
        msg = f"PostgreSQL would refuse a publication. {_NEEDS}."
        raise JourneyError(msg)


def _unreachable(error: "psycopg.Error") -> str:
    """The text of an error without a diagnosis may hold the address."""
    why = error.diag.message_primary or type(error).__name__
    return f"PostgreSQL can't be published to ({why}); check {URL}, and that the server is up."


def _load(db: "psycopg.Connection[Any]", warehouse: Path, spill: Path) -> None:
    """Every table, into a schema of its own. Frozen: transactions that began before us will see the rows, too."""
    db.execute("create schema journey_next")
    with duckdb.connect(str(warehouse), read_only=True) as source:
        source.execute("set timezone = 'UTC'")
        source.execute("set preserve_insertion_order = false")
        grains = dict(
            source.sql("select table_name, comment from duckdb_tables() where schema_name = 'journey'").fetchall()
        )
        for table, columns in _tables(source):
            name = f"journey_next.{quoted(table)}"
            _run(db, f"create table {name} ({', '.join(f'{quoted(c.name)} {c.type}' for c in columns)})")
            told = ", ".join(f"{c.text} as {quoted(c.name)}" for c in columns)
            rows = f"select {told} from journey.{quoted(table)}"  # noqa: S608  names out of the warehouse
            source.execute(f"copy ({rows}) to {literal(str(spill))} (format csv, header false, {_NULL}, force_quote *)")
            with (
                spill.open("rb") as stream,
                db.cursor().copy(_sql(f"copy {name} from stdin (format csv, {_NULL}, freeze)")) as copy,
            ):
                while chunk := stream.read(_CHUNK):
                    copy.write(chunk)
            _describe(db, f"table {name}", grains[table])
            for column in columns:
                _describe(db, f"column {name}.{quoted(column.name)}", column.comment)
                if column.name in _INDEXED:
                    _run(db, f"create index on {name} using {_INDEXED[column.name]} ({quoted(column.name)})")
            _run(db, f"analyze {name}")


def _tables(source: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, list[_Column]]]:
    found: dict[str, list[_Column]] = {}
    for table, *column in source.sql(_COLUMNS).fetchall():
        found.setdefault(table, []).append(_Column(*column))
    yield from found.items()


def _wait_for_readers(db: "psycopg.Connection[Any]") -> None:
    """Lock yesterday's tables as soon as no transaction reads them: so each sees one day, from its first row to its last.

    New readers wait meanwhile, but never longer than a blink at a time.
    """
    from psycopg import errors  # noqa: PLC0415

    ours = [f"{quoted(schema)}.{quoted(name)}" for schema, name, _ in _ours(db, _SCHEMAS)]
    if not ours:
        return
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            with db.transaction():  # a savepoint: what was locked in vain is let go
                _run(db, f"set local statement_timeout = {_HOLD}")
                _run(db, f"lock table {', '.join(ours)} in access exclusive mode")
                db.execute("set local statement_timeout to default")
                return
        except errors.QueryCanceled:
            if time.monotonic() > until:
                long = f"Some transactions have been reading yesterday's tables for more than {_PATIENCE:.0f} s"
                msg = f"{long}. End those that are idle in transaction (pg_stat_activity). {_KEPT}"
                raise JourneyError(msg) from None
            time.sleep(0.1)


def _swap(db: "psycopg.Connection[Any]", views: list[View], left_out: Collection[str]) -> list[str]:
    built = db.execute(_BUILT_ON_OURS, {"ours": list(_SCHEMAS)}).fetchall()
    old = _ours(db, _SCHEMAS)
    for schema in _SCHEMAS:
        if db.execute("select from pg_namespace where nspname = %s", [schema]).rowcount:
            _run(db, f"alter schema {schema} rename to {schema}_old")
    db.execute("alter schema journey_next rename to journey")
    db.execute("create schema bi")
    for view in views:
        name = f"bi.{quoted(view.name)}"
        _make(db, f"{view.name}.sql", f"create view {name} as {view.without(left_out).query}")
        _describe(db, f"view {name}", view.header)
    notes = _grant(db)
    for _, schema, name, query, options in built:
        kept = f" with ({options})" if options else ""
        view_of_theirs = f"{quoted(schema)}.{quoted(name)}"
        _make(db, view_of_theirs, f"create or replace view {view_of_theirs}{kept} as {query}")
    for kind, word in (("v", "view"), ("r", "table")):
        names = [f"{schema}_old.{quoted(name)}" for schema, name, k in old if k == kind]
        if names:
            _run(db, f"drop {word} {', '.join(names)}")
    for schema in _SCHEMAS:
        _run(db, f"drop schema if exists {schema}_old")
    return notes


def _make(db: "psycopg.Connection[Any]", view: str, statement: str) -> None:
    from psycopg import ProgrammingError, errors  # noqa: PLC0415

    try:
        _run(db, statement)
    except errors.InsufficientPrivilege:
        raise
    except ProgrammingError as error:
        msg = f"The view {view} can't be created in PostgreSQL: {error.diag.message_primary}. {_KEPT}"
        raise JourneyError(msg) from error


def _grant(db: "psycopg.Connection[Any]") -> list[str]:
    """Let the role of readers read, and nothing else."""
    from psycopg import errors  # noqa: PLC0415

    if not db.execute("select from pg_roles where rolname = %s", [READER]).rowcount:
        try:
            with db.transaction():
                _run(db, f"create role {READER} nologin")
        except errors.InsufficientPrivilege:
            lacking = (
                f"PostgreSQL has no role {READER}, and we may not make one, so only the owner can read the tables."
            )
            return [f"{lacking} Ask an administrator for: create role {READER} nologin"]
    for schema in _SCHEMAS:
        note = "Published by the journey pipeline and replaced whole each time; keep what is yours in another schema."
        _run(db, f"comment on schema {schema} is {literal(note)}")
        _run(db, f"grant usage on schema {schema} to {READER}")
        _run(db, f"grant select on all tables in schema {schema} to {READER}")
    return []


def _ours(db: "psycopg.Connection[Any]", schemas: Collection[str]) -> list[tuple[str, str, str]]:
    return db.execute(_OURS, [list(schemas)]).fetchall()


def _describe(db: "psycopg.Connection[Any]", what: str, text: str | None) -> None:
    if text:
        _run(db, f"comment on {what} is {literal(text)}")


def _run(db: "psycopg.Connection[Any]", statement: str) -> None:
    """A statement that defines things takes no bound parameters; its names and words come from the registry."""
    db.execute(_sql(statement))


def _sql(statement: str) -> Any:
    return statement.encode()  # bytes are sent as they are
