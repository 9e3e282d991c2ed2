"""A database: the business's own application, or any other system whose tables can be asked.

Reads   tables and views of PostgreSQL, MySQL, MariaDB or SQLite, through dlt's `sql_database`; named in `tables` as
        `schema.table` or `table`.
Says    the kinds named under `records`: by SQL over those tables, exactly as the files platform does (there: Says).
Cursor  none: each table is read whole, for a row that was deleted is seen in no other way. Where that is too much, name
        a view that holds what matters.
Money   as the SQL says; minor units.
Joins   as the SQL says; keys as `platform:id`.
Needs   `<NAME>_URL` in the environment (the entry `app` of journey.yaml: APP_URL), a connection string like
        postgresql://reader:…@host/db, mysql://…, sqlite:///app.db, of a user who may read those tables and no more.
Assumes a time without zone is UTC. Tables are read one after the other, so a row written meanwhile may be in one and
        not yet in another: deadlines cover that. Columns whose names speak of passwords, tokens or secrets stay there.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from journey_pipeline.errors import SourceError, one_of
from journey_pipeline.platforms import mapped
from journey_pipeline.platforms.base import Platform, Pull, Row
from journey_pipeline.platforms.tabular import Names

if TYPE_CHECKING:
    from sqlalchemy import Engine

PAGE = 10_000
VERIFIED = "Tested with real servers: PostgreSQL and SQLite, MariaDB by hand."
SECRET_COLUMNS = re.compile(r"passw|secret|token|_hash$|otp|salt", re.IGNORECASE)
DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "mariadb": "mysql+pymysql"}  # fmt: skip


class Options(mapped.Options):
    """Options of a database: `tables` says for each its `schema.table` (a view too)."""

    columns: Mapping[str, tuple[str, ...]] = {}
    """Table -> the columns to read. Default: all but those whose names speak of passwords, tokens or secrets."""


def made(name: str, options: Options, folder: Path) -> Platform:
    """The platform of that name; its connection string stands in the environment under that name."""
    return mapped.platform(
        name, options, folder, reader=_table, scope="SELECT on the table", verified=VERIFIED, secrets=(_secret(name),)
    )


def mistakes(options: Options, folder: Path) -> list[tuple[str, str]]:
    """What is wrong with the options beside their types: (dotted path, sentence)."""
    unknown = [
        (f"columns.{table}", f"no table {table!r} under tables; {one_of(table, options.tables)}")
        for table in options.columns
        if table not in options.tables
    ]
    return unknown + mapped.mistakes(options, folder)


def _secret(name: str) -> str:
    return f"{name.upper()}_URL"


def _table(pull: Pull, where: str, _folder: Path) -> Iterator[mapped.Part]:
    schema, _, name = where.rpartition(".")
    engine = _engine(pull)
    with _sentences(pull, where):
        stored = _columns(pull, engine, schema, name)
    yield list(stored.values()), _pages(pull, engine, where, stored)


def _columns(pull: Pull, engine: "Engine", schema: str, name: str) -> Mapping[str, str]:
    """The columns to read, and how the raw log names them."""
    from sqlalchemy import MetaData, Table  # noqa: PLC0415 - slow to import, as is all of dlt

    there = Table(name, MetaData(), schema=schema or None, autoload_with=engine).columns.keys()
    wanted = pull.options.columns.get(pull.resource.name, [c for c in there if not SECRET_COLUMNS.search(c)])
    if lacking := sorted(set(wanted) - set(there)):
        raise _refused(pull, f"there is no column {lacking[0]!r}; {one_of(lacking[0], there)}")
    names = Names(pull.what)
    return {column: names.stored(column) for column in wanted}


@contextmanager
def _sentences(pull: Pull, where: str) -> Iterator[None]:
    """The errors' own texts may quote the address, the password or a cell."""
    from dlt.extract.exceptions import ResourceExtractionError  # noqa: PLC0415
    from sqlalchemy import exc  # noqa: PLC0415

    try:
        yield
    except (exc.SQLAlchemyError, ResourceExtractionError) as raised:
        error = raised if isinstance(raised, exc.SQLAlchemyError) else raised.__cause__
        if isinstance(error, exc.NoSuchTableError):
            raise _refused(pull, f"there is no table {where!r} that this user may see; correct `tables`.") from None
        if isinstance(error, exc.OperationalError):
            sentence = f"{pull.what}: the database can't be reached; check the host, the user and the password."
            raise SourceError(sentence, is_transient=True) from None
        raise _refused(pull, f"{where} can't be read ({type(error).__name__}); check the user's rights.") from None


def _engine(pull: Pull) -> "Engine":
    from sqlalchemy import NullPool, create_engine, exc  # noqa: PLC0415
    from sqlalchemy.engine import make_url  # noqa: PLC0415

    secret = _secret(pull.platform)
    try:
        url = make_url(pull.secrets[secret])
        return create_engine(url.set(drivername=DRIVERS.get(url.drivername, url.drivername)), poolclass=NullPool)
    except (exc.ArgumentError, exc.NoSuchModuleError, ModuleNotFoundError):  # their texts quote the address
        fault = f"{secret} is no connection string that can be used; like postgresql://user:password@host/database."
        raise _refused(pull, fault) from None


def _pages(pull: Pull, engine: "Engine", where: str, stored: Mapping[str, str]) -> Iterator[list[Row]]:
    from dlt.sources.sql_database import sql_table  # noqa: PLC0415

    schema, _, name = where.rpartition(".")
    with _sentences(pull, where):
        rows = iter(sql_table(
            engine, name, schema or None, chunk_size=PAGE, included_columns=list(stored), reflection_level="minimal"
        ))  # fmt: skip
        while page := list(islice(rows, PAGE)):
            yield [{stored[column]: _value(value) for column, value in row.items()} for row in page]


def _value(value: Any) -> Any:
    """What the raw log can hold: ISO times, exact decimals, JSON."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal | UUID):
        return str(value)
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return value if value is None or isinstance(value, str | bool | int | float) else json.dumps(value, default=str)


def _refused(pull: Pull, sentence: str) -> SourceError:
    return SourceError(f"{pull.what}: {sentence}", is_transient=False)


PLATFORM = Platform(
    "database", (), {}, lambda _raw, _options: {}, Options, title="A database", verified=VERIFIED, made=made,
    mistakes=mistakes,
)  # fmt: skip
