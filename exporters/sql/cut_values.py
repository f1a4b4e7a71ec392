"""Values that MariaDB and MySQL cut with a warning alone: what a function of a view gives may be too large."""

from __future__ import annotations

from typing import Any

from pymysql.err import DataError
from sqlalchemy import Connection, event

CUT = frozenset({1260, 1301, 1931})
"""Codes of warnings: a text of GROUP_CONCAT ends early, a value is NULL, and rows of a recursive query are missing."""


def refuse_cut_values(connection: Connection) -> None:
    """Raise the driver's DataError if the last statement of MariaDB, all of whose rows have arrived, cut a value."""
    if connection.dialect.name == "mysql":
        _refuse(connection.connection.dbapi_connection)


def watch_cut_values(engine: Any) -> None:  # noqa: ANN401  # what the library takes
    """Let each statement whose rows arrive at once raise DataError if it cut a value."""
    event.listen(engine, "after_cursor_execute", _executed)


def _executed(_connection: Connection, cursor: Any, *_of_statement: object) -> None:  # noqa: ANN401  # the driver's own
    if cursor.warning_count:
        _refuse(cursor.connection)


def _refuse(driver: Any) -> None:  # noqa: ANN401  # the driver's own
    if found := CUT & {code for _level, code, _text in driver.show_warnings()}:
        raise DataError(min(found), "a value was cut")
