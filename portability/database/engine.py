"""The control database on SQLite and PostgreSQL: engines, transactions, column types, the database's clock."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    JSON,
    URL,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Float,
    ScalarSelect,
    String,
    create_engine,
    event,
    literal,
    make_url,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DatabaseError, DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from portability.database import causes, rights, sessions, sqlite_files
from portability.database.noted import if_committed
from portability.errors import DatabaseUnavailable

SQLITE_TIME = "%Y-%m-%d %H:%M:%f"
READING = {"portability_reading": True, "postgresql_readonly": True}
"""Execution options of a read-only transaction; PostgreSQL is informed when it begins."""

JsonType = JSON().with_variant(JSONB(), "postgresql")


class UtcTime(TypeDecorator[datetime]):
    """Aware UTC on both databases; on SQLite text of fixed width, so that text order is time order."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(26))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:  # noqa: ANN401  # what the driver takes
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("cannot store a time without time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None).isoformat(" ", "microseconds") if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ANN401  # as above
        if value is None:
            return None
        if dialect.name == "sqlite":
            stored = datetime.fromisoformat(value)
            return stored.astimezone(UTC) if stored.tzinfo else stored.replace(tzinfo=UTC)
        moment: datetime = value
        return moment.astimezone(UTC)


class now(FunctionElement[datetime]):  # noqa: N801  # named like an SQL function
    """The database's clock, `seconds` from now: all machines compare leases by this one clock."""

    type = UtcTime()
    name = "now"
    inherit_cache = True

    def __init__(self, seconds: float = 0) -> None:
        # A parameter, so that one compiled statement serves all numbers of seconds.
        super().__init__(*([literal(float(seconds), Float)] if seconds else []))


@compiles(now, "sqlite")
def _now_sqlite(element: now, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401  # the library's own
    # %f has milliseconds; the three zeros fill the width of UtcTime, so that text compares as time.
    later = "".join(f", printf('%+.3f seconds', {compiler.process(by, **kw)})" for by in element.clauses)
    return f"(strftime('{SQLITE_TIME}', 'now'{later}) || '000')"


@compiles(now, "postgresql")
def _now_postgresql(element: now, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401  # as above
    later = "".join(f" + make_interval(secs => {compiler.process(by, **kw)})" for by in element.clauses)
    return f"(clock_timestamp(){later})"


def read_once(seconds: float = 0) -> ScalarSelect[datetime]:
    """Return the clock as `now`, read once for a statement: only such a time is a bound of an index on PostgreSQL."""
    return select(now(seconds)).scalar_subquery()


class elapsed_seconds(FunctionElement[float]):  # noqa: N801  # as above
    """Seconds between two times, with fractions, on both databases."""

    type = Float()
    name = "elapsed_seconds"
    inherit_cache = True


@compiles(elapsed_seconds, "sqlite")
def _elapsed_seconds_sqlite(element: elapsed_seconds, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401  # as above
    begin, end = (compiler.process(time, **kw) for time in element.clauses)
    return f"((julianday({end}) - julianday({begin})) * 86400)"


@compiles(elapsed_seconds, "postgresql")
def _elapsed_seconds_postgresql(element: elapsed_seconds, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401  # as above
    begin, end = (compiler.process(time, **kw) for time in element.clauses)
    return f"extract(epoch from {end} - {begin})::float8"


BUSY_SECONDS = 30
BUSY_PAUSE_SECONDS = 0.01
WRITABLE_SQLITE = (
    f"busy_timeout={BUSY_SECONDS * 1000}",
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    # Without it INSERT OR REPLACE deletes a row without firing the audit log's trigger.
    "recursive_triggers=ON",
)
READ_ONLY_SQLITE = (f"busy_timeout={BUSY_SECONDS * 1000}", "query_only=ON")
READ_ONLY_SQLSTATE = "25006"
"""Of a server that takes no writes: during a failover a pooler may lead to one that is not promoted yet."""
DENIED_SQLSTATE = "42501"
"""Of a right that the role lacks: a release may need one on a new table before `db rights` has given it."""
PATIENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,  # milliseconds; where the system lacks it, it has no effect
}
"""Parameters of libpq, in seconds. By itself Linux waits a quarter of an hour for a machine that has lost its power."""
IDLE_SECONDS = 1.0
"""A connection used within this time is reused without a check; after a longer pause it is checked first."""
_RETURNED_AT = "portability_returned_at"
_whole: ContextVar[Connection | None] = ContextVar("whole", default=None)
"""The enclosing transaction of `undone`, of which all others are parts."""


def open_engine(url: str, *, read_only: bool = False, prepared: bool | None = None) -> Engine:
    """Open an engine with this project's settings, in the process that uses it: connections do not survive a fork.

    `read_only` is for a database of another system: nothing is changed there, not even its journal mode.
    `prepared` is the setting PREPARED_STATEMENTS; None: use them unless a pooler stands before PostgreSQL, and not for
    another system, whose tables are altered while connections last: PostgreSQL then refuses what was prepared before.
    """
    target = make_url(url)
    postgresql, file = target.get_backend_name() == "postgresql", ""
    if read_only and not postgresql and target.database:
        # Without this SQLite creates an empty database if the file does not exist.
        existing = f"file:{quote(target.database)}"
        file, target = target.database, target.set(database=existing, query={"mode": "rw", "uri": "true"})
    options = sessions.READ_ONLY if read_only and postgresql else {}
    # By default the encoding of a session is that of the database, which may lack letters or name no encoding at all.
    given = {"client_encoding": "utf8", **_patience(target)} if postgresql else {}
    engine = create_engine(target, hide_parameters=True, execution_options=options, connect_args=given)
    event.listen(engine, "checkin", _note_return)
    event.listen(engine, "checkout", partial(_check_alive, engine.dialect))
    if postgresql:
        # It warns of each batch that a constraint has ended, with the server's address; the error itself is raised.
        logging.getLogger("psycopg").setLevel(logging.ERROR)
        allowed = prepared if prepared is not None or not read_only else False
        event.listen(engine, "connect", sessions.limit_preparation(prepared=allowed))
        event.listen(engine, "checkout", sessions.keep_access)
        if read_only:
            event.listen(engine, "begin", sessions.set_forms)
        if prepared is not False:  # False is the setting for a pooler
            event.listen(engine, "connect", sessions.keep_forms if read_only else sessions.plan_for_few_rows)
    else:
        event.listen(engine, "connect", partial(_configure_sqlite, READ_ONLY_SQLITE if read_only else WRITABLE_SQLITE))
        event.listen(engine, "begin", partial(_begin_sqlite, read_only=read_only))
        if file:
            sqlite_files.follow(engine, file)
        elif target.database:
            sqlite_files.keep(engine, target.database)
    return engine


def _patience(target: URL) -> dict[str, int]:
    """Return how long a server may be silent that is gone without a word, where the URL does not say it."""
    return {name: value for name, value in PATIENCE.items() if name not in target.query}


def _note_return(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info[_RETURNED_AT] = time.monotonic()


def _check_alive(dialect: Dialect, connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:  # noqa: ANN401  # the driver's own
    # The library would check before each transaction: an export has hundreds in quick succession.
    if time.monotonic() - record.info.get(_RETURNED_AT, time.monotonic()) > IDLE_SECONDS:
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise DisconnectionError from error  # the pool then opens a new connection


def _configure_sqlite(pragmas: tuple[str, ...], connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the begin event below starts transactions, not the driver
    for pragma in pragmas:
        _set_pragma(connection, pragma)


def _set_pragma(connection: sqlite3.Connection, pragma: str) -> None:
    # If two processes switch a new database to WAL at once, SQLite refuses one immediately, despite busy_timeout.
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute(f"PRAGMA {pragma}")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(BUSY_PAUSE_SECONDS)
        else:
            return


def _begin_sqlite(connection: Connection, *, read_only: bool) -> None:
    # A deferred transaction that writes later fails with SQLITE_BUSY at once and ignores busy_timeout.
    reads = read_only or connection.get_execution_options().get("portability_reading")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open one transaction, committed at the end of the block. Raises DatabaseUnavailable."""
    with if_committed(), _faults_named(engine, writes=True), _part_of_whole(engine) or engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open one short READ ONLY transaction. Raises DatabaseUnavailable."""
    with _faults_named(engine), _part_of_whole(engine) or _read_only(engine) as connection:
        yield connection


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Open a READ ONLY transaction whose queries all see the same moment. Raises DatabaseUnavailable."""
    level = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with _faults_named(engine), _part_of_whole(engine) or _read_only(engine, **level) as connection:
        yield connection


@contextmanager
def undone(engine: Engine) -> Iterator[None]:
    """Run all transactions of the block, in this thread, as parts of one transaction that is rolled back at the end.

    Other processes wait for its locks as for those of any transaction. Raises DatabaseUnavailable.
    """
    with if_committed(never=True), _faults_named(engine), engine.connect() as connection:
        whole = connection.begin()
        token = _whole.set(connection)
        try:
            yield
        finally:
            _whole.reset(token)
            whole.rollback()


@contextmanager
def _read_only(engine: Engine, **options: Any) -> Iterator[Connection]:  # noqa: ANN401  # options of the library
    with engine.connect().execution_options(**READING, **options) as connection, connection.begin():
        yield connection


def _part_of_whole(engine: Engine) -> AbstractContextManager[Connection] | None:
    whole = _whole.get()
    return _savepoint(whole) if whole is not None and whole.engine is engine else None


@contextmanager
def _savepoint(whole: Connection) -> Iterator[Connection]:
    with whole.begin_nested():
        yield whole


def _hosts(url: URL) -> str:
    """Return the host, or the several hosts of a cluster, which are parameters of the URL."""
    several = url.query.get("host", ())
    return url.host or ", ".join([several] if isinstance(several, str) else several)


@contextmanager
def _faults_named(engine: Engine, *, writes: bool = False) -> Iterator[None]:
    try:
        yield
    except (DBAPIError, engine.dialect.loaded_dbapi.Error) as error:
        # The library does not convert the driver's error where a connection breaks before its first statement.
        driver = engine.dialect.loaded_dbapi
        away = (OperationalError, InterfaceError, driver.OperationalError, driver.InterfaceError)
        original = error.orig if isinstance(error, DBAPIError) else error
        state = getattr(original, "sqlstate", None)
        is_replica, is_denied = writes and state == READ_ONLY_SQLSTATE, state == DENIED_SQLSTATE
        # The driver's InternalError, for example, where the server sent no result before it was gone.
        is_gone = isinstance(error, DBAPIError) and error.connection_invalidated
        # SQLite raises DatabaseError itself for a file that is not a database; its other subclasses are our own faults.
        if not (isinstance(error, away) or type(error) is DatabaseError or is_replica or is_denied or is_gone):
            raise
        where = (
            engine.url.render_as_string(hide_password=True) if engine.dialect.name == "sqlite" else _hosts(engine.url)
        )
        cause = causes.found(original)
        hint = rights.HINT if is_denied else cause.hint
        raise DatabaseUnavailable(f"the control database at {where} failed: {cause.seen}", hint=hint) from error
