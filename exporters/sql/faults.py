"""Converts errors of a database: whether to retry an export later."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
from pymysql.err import MySQLError
from sqlalchemy import Connection, Engine, literal, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from exporters.sql.values import UndecodedText
from portability.api.errors import SourceDamaged, SourceError, SourceRefused, SourceUnavailable
from portability.database import sessions
from portability.database.engine import READING

# Classes of PostgreSQL's SQLSTATE (appendix A): connection, resources, operator intervention, system, rollback, an old
# snapshot; time limits of a transaction. Of class 55, what another session holds; of HV, a foreign server that is away.
PASSING_SQLSTATES = ("08", "53", "57", "58", "40", "72", "55006", "55P03", "25P03", "25P04", "HV00N")
ABOUT_VALUES = frozenset({"22P02", "22003", "22P05"})
"""An id in a form that the database cannot read, such as a text as a UUID; a number that is too large; letters that the
encoding of the database does not have."""
NOT_UTF8 = "Could not decode to UTF-8"
"""The beginning of the message of Python's sqlite3 for such a text; it has no code."""
# Of MariaDB and MySQL, by line: connections, queries and threads, also of one account; memory; locks, and a table that
# was altered meanwhile; time limits; shutdown, a node of Galera that is behind; network.
PASSING_MYSQL = (
    *("1040", "1129", "1135", "1203", "1226"),
    *("1037", "1038", "1041"),
    *("1205", "1213", "1412"),
    *("1317", "1969", "3024"),
    *("1047", "1053", "1927"),
    *("1152", "1158", "1159", "1160", "1161", "1184", "2002", "2003", "2006", "2013", "2014", "4031"),
)
# Of a session that changes nothing, which writes only what it sorts: the disk, or a limit of a session or the server.
NO_ROOM_MYSQL = frozenset({"3", "28", "41", "42", "201", "202", "1021", "1114"})
NO_ROOM_POSTGRESQL = frozenset({"53100", "53400"})
CRASHED = "126"
"""A table of MariaDB is damaged; it says so of a temporary one that it could not write to a full disk."""
TEMPORARY_TABLE = "#sql-temptable"
"""The beginning of the name of its file."""
GONE = "a table or column has changed since the map was checked: portability source check"
TOO_LARGE = "a value that a view computes is larger than `max_allowed_packet` of the server: raise it"
NO_ROOM = "is there room in the folder for temporary files (SQLITE_TMPDIR, TMPDIR, else /var/tmp)?"
NO_ROOM_OF_SERVER = (
    "is there room for the temporary files of the server (tmpdir, temp_tablespaces), and do its limits allow them"
    " (tmp_disk_table_size, max_tmp_session_space_usage, max_tmp_total_space_usage, temp_file_limit)?"
)
OVER_ONE_GIGABYTE = "is a value or a row larger than 1 GB as a text? PostgreSQL cannot send it: name a view without it"
NOT_CONNECTED = "is the server there, and are host, port, database, account and password of the URL right?"
LOGIN = "are account and password of the URL right, and may the account use the database?"
HINTS = {
    **dict.fromkeys(("1044", "1045", "1049", "1698"), LOGIN),
    **dict.fromkeys(("2002", "2003"), NOT_CONNECTED),
    "54000": OVER_ONE_GIGABYTE,
    "55000": "a materialised view without data? REFRESH MATERIALIZED VIEW fills it",
    **dict.fromkeys(("42703", "42P01", "1054", "1146"), GONE),
    **dict.fromkeys(("1260", "1301"), TOO_LARGE),
    "1931": "a recursive view has more steps than `max_recursive_iterations` of the server allows",
    "SQLITE_BUSY": "another program has locked the file",
    "SQLITE_CANTOPEN": "the file does not exist, or the account of the process may not open it or the files beside it",
    "SQLITE_NOTADB": "the file contains something else than a database of SQLite",
    "SQLITE_READONLY": "SQLite must write beside a file in WAL mode, or that was not closed: docs/maps.md#accounts",
}
"""By the beginning of the code or name of the error."""
REFUSED_MEMORY = ("XX000", "mcxt.c")
"""The code of any internal error, and the file of PostgreSQL that refuses to give a value more than 1 GB of memory."""
TEMPORARY_SQLITE = ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_GETTEMPPATH")
"""Of a connection that changes nothing: it writes only its temporary files, in which it sorts."""
PASSING_SQLITE = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_PROTOCOL")


class UndecodableText(Exception):
    """A text in SQLite is not UTF-8: the same query with `lenient=True` gives its bytes."""


@contextmanager
def reading(engine: Engine, what: str, *, single: bool = False, lenient: bool | None = None) -> Iterator[Connection]:
    """Open a short READ ONLY transaction on the source's database; `single`: for one statement, without BEGIN.

    `lenient` says what happens to a text in SQLite that is not UTF-8. True: it comes as bytes, which no converter
    accepts, so only this value is lost. False: UndecodableText is raised. None: the source counts as refusing.

    Raises: SourceUnavailable, SourceRefused, UndecodableText.
    """
    try:
        with (
            engine.connect().execution_options(**READING) as connection,
            _decoding(connection, lenient=bool(lenient)),
            _begun(connection, single=single),
        ):
            yield connection
    except PoolTimeout:
        raise SourceUnavailable(f"{what}: all connections to the database are in use") from None
    except DBAPIError as error:
        if lenient is False and _is_not_utf8(error.orig):
            raise UndecodableText from None
        # The driver's text may quote values of rows: only its type and code are used.
        raise source_error(error.orig, what, is_lost=error.connection_invalidated) from None
    except engine.dialect.loaded_dbapi.Error as error:
        if lenient is False and _is_not_utf8(error):
            raise UndecodableText from None
        raise source_error(error, what) from None
    except (SQLAlchemyError, ValueError, ArithmeticError) as error:
        kind = type(error).__name__
        raise SourceRefused(
            f"{what}: the database contains a value that its column type does not allow ({kind})"
        ) from None


def check_answers(engine: Engine, what: str) -> None:
    """Raise SourceUnavailable or SourceRefused unless the database answers a query of no table."""
    with reading(engine, what, single=True) as connection:
        connection.execute(select(literal(1)))


@contextmanager
def _begun(connection: Connection, *, single: bool) -> Iterator[None]:
    is_postgresql = connection.dialect.name == "postgresql"
    if single and is_postgresql:
        with _in_one_message(connection):
            yield
        return
    if is_postgresql:
        connection.execution_options(isolation_level=sessions.EACH_STATEMENT)
    with connection.begin():
        # A plug-in's own engine may not set them.
        if is_postgresql:
            if not connection.get_execution_options().get(sessions.SETS_FORMS):
                sessions.set_forms(connection)
            sessions.set_settings(connection)
        yield


@contextmanager
def _in_one_message(connection: Connection) -> Iterator[None]:
    """Send the only statement of the block together with its settings, without BEGIN and COMMIT."""
    connection.execution_options(isolation_level="AUTOCOMMIT")
    driver: Any = connection.connection.dbapi_connection
    single = partial(sessions.SingleStatementCursor, before=sessions.before_single(connection))
    usual, driver.cursor_factory = driver.cursor_factory, single
    try:
        with connection.begin():
            yield
    finally:
        driver.cursor_factory = usual


@contextmanager
def _decoding(connection: Connection, *, lenient: bool) -> Iterator[None]:
    driver: Any = connection.connection.dbapi_connection
    if not lenient or not isinstance(driver, sqlite3.Connection):
        yield
        return
    driver.text_factory = _text_or_bytes
    try:
        yield
    finally:
        driver.text_factory = str


def _is_not_utf8(error: BaseException | None) -> bool:
    return isinstance(error, sqlite3.OperationalError) and str(error).startswith(NOT_UTF8)


def _text_or_bytes(stored: bytes) -> str | bytes:
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return UndecodedText(stored)


def source_error(error: BaseException | None, what: str, *, is_lost: bool = False) -> SourceError:
    """Return the error to raise for a driver's error; `is_lost`: the connection is gone."""
    kind, code = type(error).__name__, error_code(error)
    seen = f"{kind} {code}" if code else kind
    if isinstance(error, sqlite3.Error) and code in TEMPORARY_SQLITE:
        local = SourceUnavailable(f"{what}: SQLite cannot write a temporary file ({seen})", hint=NO_ROOM)
        local.is_local = True
        return local
    if not is_lost and _lacks_room(error, code):
        lacking = f"{what}: the database has no room for temporary files ({seen})"
        return SourceUnavailable(lacking, hint=NO_ROOM_OF_SERVER)
    if is_lost or _passes(error, code):
        return SourceUnavailable(f"{what}: the database does not answer ({seen})", hint=_hint(error, code))
    if code.startswith("SQLITE_CORRUPT"):
        return SourceDamaged(f"{what}: the file is damaged ({seen})")
    hint = "its account needs SELECT on what is exported: docs/source-schema.md, or docs/maps.md for a map"
    refused = SourceRefused(f"{what}: the database refuses the query ({seen})", hint=_hint(error, code) or hint)
    refused.is_about_value = code in ABOUT_VALUES
    return refused


def _hint(error: BaseException | None, code: str) -> str | None:
    if isinstance(error, psycopg.Error) and (code, error.diag.source_file) == REFUSED_MEMORY:
        return OVER_ONE_GIGABYTE
    if not code and isinstance(error, psycopg.OperationalError):
        # PostgreSQL's refusal of a login has no code in the driver, and its text names the account.
        return NOT_CONNECTED
    return next((hint for name, hint in HINTS.items() if code.startswith(name)), None)


def error_code(error: BaseException | None) -> str:
    """Return the code of a driver's error, or its name on SQLite; empty: it has none."""
    if isinstance(error, MySQLError):
        return str(error.args[0]) if error.args else ""
    return str(getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None) or "")


def is_passing(error: BaseException | None) -> bool:
    """Return whether a later attempt may succeed after a driver's error."""
    return _passes(error, error_code(error))


def _lacks_room(error: BaseException | None, code: str) -> bool:
    """Return whether a server has no room for what it sorts."""
    if isinstance(error, MySQLError):
        return code in NO_ROOM_MYSQL or (code == CRASHED and TEMPORARY_TABLE in str(error))
    return code in NO_ROOM_POSTGRESQL


def _passes(error: BaseException | None, code: str) -> bool:
    if isinstance(error, MySQLError):
        return code in PASSING_MYSQL or _lacks_room(error, code)
    if isinstance(error, sqlite3.Error):
        return code.startswith((*PASSING_SQLITE, *TEMPORARY_SQLITE))
    if code:
        return code.startswith(PASSING_SQLSTATES)
    # An error while connecting has no code: the driver's OperationalError, or its ConnectionTimeout, which is one.
    return any(kind.__name__ == "OperationalError" for kind in type(error).__mro__)
