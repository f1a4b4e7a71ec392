"""Limits the time of what a check reads: a large table is a finding, and neither a fault nor a load of hours."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from exporters.sql.faults import error_code
from exporters.sql.mapped.databases import POSTGRESQL, SQLITE

STEPS = 10_000
"""Steps of SQLite between two looks at the clock."""
ENDED = frozenset({"57014", "1969", "3024", "SQLITE_INTERRUPT"})
"""Codes of a statement that its time limit has ended: of PostgreSQL, MariaDB, MySQL and SQLite."""


@contextmanager
def limited(connection: Connection, seconds: float) -> Iterator[None]:
    """Limit each statement of the block, on SQLite the whole block; `is_ended` knows the error of the limit."""
    if connection.dialect.name == SQLITE:
        driver: Any = connection.connection.driver_connection
        deadline = time.monotonic() + seconds
        driver.set_progress_handler(lambda: time.monotonic() > deadline, STEPS)
        try:
            yield
        finally:
            driver.set_progress_handler(None, 0)
    elif connection.dialect.name == POSTGRESQL:
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {seconds * 1000:.0f}")
        yield
    else:
        is_mariadb = getattr(connection.dialect, "is_mariadb", False)
        name, unit = ("max_statement_time", 1) if is_mariadb else ("max_execution_time", 1000)
        usual = connection.exec_driver_sql(f"SELECT @@SESSION.{name}").scalar_one()
        connection.exec_driver_sql(f"SET SESSION {name} = {seconds * unit:g}")
        try:
            yield
        finally:
            connection.exec_driver_sql(f"SET SESSION {name} = {usual}")


def is_ended(error: DBAPIError) -> bool:
    """Return whether a statement was ended by its time limit."""
    return error_code(error.orig) in ENDED
