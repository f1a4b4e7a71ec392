"""Rows of the control database: inserts that are fast and that both databases have, and rows as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ClauseElement, Connection, CursorResult, Insert, RowMapping, Table
from sqlalchemy.dialects import postgresql, sqlite

from portability.database.engine import UtcTime


def inserting(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Return an INSERT that can say what happens if the row exists (`on_conflict_do_nothing`, for example)."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def insert_row(connection: Connection, statement: Insert, row: Mapping[str, Any]) -> CursorResult[Any]:
    """Insert one row, of which some values may be parts of a statement, such as `now()`.

    All other values are parameters. As parts of the statement they would be compared, value by value, with statements
    that are compiled already: that takes longer than all else.
    """
    parts = {name: value for name, value in row.items() if isinstance(value, ClauseElement)}
    given = {name: value for name, value in row.items() if name not in parts}
    return connection.execute(statement.values(parts) if parts else statement, given)


def row_to_json(row: RowMapping | Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as JSON: times are ISO 8601 with time zone, and columns that are NULL are left out."""
    return {
        str(name): value.isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
        if value is not None
    }


def row_from_json(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of each column of a table from the result of `row_to_json`; a column that it lacks is NULL."""
    times = {column.name for column in table.columns if isinstance(column.type, UtcTime)}
    values: dict[str, Any] = {column.name: row.get(column.name) for column in table.columns}
    return values | {name: datetime.fromisoformat(row[name]) for name in times if row.get(name)}
