"""Inserts into the control database, in the form that is fast and that both databases have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ClauseElement, Connection, CursorResult, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite


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
