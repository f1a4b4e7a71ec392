"""What a database's fault means for an export: try again later, or not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from portability.db import READING
from portability.errors import SourceError, SourceRefused, SourceUnavailable

# Classes of PostgreSQL's SQLSTATE (appendix A): connection, resources, operator intervention, system, rollback.
PASSING_SQLSTATES = ("08", "53", "57", "58", "40", "55")
PASSING_SQLITE = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_PROTOCOL")


@contextmanager
def reading(engine: Engine, what: str) -> Iterator[Connection]:
    """One short READ ONLY transaction on the platform's database. Raises SourceUnavailable, SourceRefused."""
    try:
        with engine.connect().execution_options(**READING) as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(text("SET TRANSACTION READ ONLY"))
            yield connection
    except PoolTimeout:
        raise SourceUnavailable(f"{what}: no connection to the platform's database is free") from None
    except DBAPIError as error:
        # The driver's own text may quote values of rows: its kind and code must do.
        raise source_error(error, what) from None
    except (SQLAlchemyError, ValueError, ArithmeticError) as error:
        kind = type(error).__name__
        raise SourceRefused(f"{what}: the platform's database holds what its column cannot ({kind})") from None


def source_error(error: DBAPIError, what: str) -> SourceError:
    """The error to raise for a driver's error."""
    kind, code = type(error.orig).__name__, _code(error)
    seen = f"{kind} {code}" if code else kind
    if _passes(error, code):
        return SourceUnavailable(f"{what}: the platform's database does not answer ({seen})")
    return SourceRefused(
        f"{what}: the platform's database refuses ({seen})",
        hint="the exporter's account needs SELECT on the tables of docs/source-schema.md",
    )


def _code(error: DBAPIError) -> str:
    original = error.orig
    return str(getattr(original, "sqlstate", None) or getattr(original, "sqlite_errorname", None) or "")


def _passes(error: DBAPIError, code: str) -> bool:
    if error.connection_invalidated:
        return True
    if isinstance(error.orig, sqlite3.Error):
        return code.startswith(PASSING_SQLITE)
    if code:
        return code.startswith(PASSING_SQLSTATES)
    return type(error.orig).__name__ == "OperationalError"
