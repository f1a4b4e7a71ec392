"""What a database's fault means for an export: try again later, or not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from portability.db import READING
from portability.errors import SourceError, SourceRefused, SourceUnavailable

# Classes of PostgreSQL's SQLSTATE (appendix A): connection, resources, operator intervention, system, rollback.
PASSING_SQLSTATES = ("08", "53", "57", "58", "40", "55")
PASSING_SQLITE = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_PROTOCOL")


@contextmanager
def reading(engine: Engine, what: str, *, single: bool = False) -> Iterator[Connection]:
    """One short READ ONLY transaction on the platform's database; `single`: of one statement, which needs no BEGIN.

    Raises: SourceUnavailable, SourceRefused.
    """
    try:
        with engine.connect().execution_options(**READING) as connection:
            has_zone = connection.dialect.name == "postgresql"
            is_utc = has_zone and _writes_utc(connection)
            if single and is_utc:
                connection.execution_options(isolation_level="AUTOCOMMIT")
            with connection.begin():
                if has_zone and not is_utc:
                    connection.execute(text("SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'"))
                yield connection
    except PoolTimeout:
        raise SourceUnavailable(f"{what}: no connection to the platform's database is free") from None
    except DBAPIError as error:
        # The driver's own text may quote values of rows: its kind and code must do.
        raise source_error(error.orig, what, is_lost=error.connection_invalidated) from None
    except engine.dialect.loaded_dbapi.Error as error:
        raise source_error(error, what) from None
    except (SQLAlchemyError, ValueError, ArithmeticError) as error:
        kind = type(error).__name__
        raise SourceRefused(f"{what}: the platform's database holds what its column cannot ({kind})") from None


def _writes_utc(connection: Connection) -> bool:
    """Whether the session writes times in UTC and as ISO 8601 does: the server tells, and need not be asked."""
    driver: Any = connection.connection.dbapi_connection
    told = driver.info.parameter_status
    return told("TimeZone") == "UTC" and str(told("DateStyle")).startswith("ISO")


def source_error(error: BaseException | None, what: str, *, is_lost: bool = False) -> SourceError:
    """The error to raise for a driver's error; `is_lost`: the connection is gone."""
    kind, code = type(error).__name__, _code(error)
    seen = f"{kind} {code}" if code else kind
    if is_lost or _passes(error, code):
        return SourceUnavailable(f"{what}: the platform's database does not answer ({seen})")
    return SourceRefused(
        f"{what}: the platform's database refuses ({seen})",
        hint="the exporter's account needs SELECT on the tables of docs/source-schema.md",
    )


def _code(error: BaseException | None) -> str:
    return str(getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None) or "")


def _passes(error: BaseException | None, code: str) -> bool:
    if isinstance(error, sqlite3.Error):
        return code.startswith(PASSING_SQLITE)
    if code:
        return code.startswith(PASSING_SQLSTATES)
    return type(error).__name__ == "OperationalError"
