"""Writes and deletes rows one by one where the target refuses some: its tables may be stricter than the schema."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sqlalchemy import Connection, Insert, Table, Update, delete
from sqlalchemy.exc import DBAPIError, ProgrammingError

from receiver.importer.cascades import dangling, needed_here
from receiver.importer.faults import BadTarget
from receiver.importer.stored_rows import UnreadableValue, read_rows, stored_rows
from receiver.importer.values import Reason, is_same
from receiver.ledger.bulk import among

Values: TypeAlias = Mapping[str, Any]
Rows: TypeAlias = Mapping[str, Values]
"""Values by column, by the row's id."""
WriteRows: TypeAlias = Callable[[Rows], object]

_OF_A_ROW = frozenset({"09", "22", "23", "27", "44", "P0"})
"""Classes of SQLSTATE about a row: triggers, values, constraints, check options, and errors that a trigger raises."""


@dataclass(frozen=True, slots=True)
class RowRefusal:
    """Why the target does not store a row, and the column, if the database names it."""

    column: str | None
    reason: Reason


@dataclass(slots=True)
class WrittenRows:
    """What became of rows, by id."""

    stored: dict[str, Values] = field(default_factory=dict)
    refused: dict[str, RowRefusal] = field(default_factory=dict)
    altered: dict[str, Collection[str]] = field(default_factory=dict)
    """Columns of stored rows that have other values than given: a trigger of the target has set them."""


def written_rows(
    connection: Connection, table: Table, rows: Rows, narrow: Collection[str], write: WriteRows
) -> WrittenRows:
    """Write rows in a savepoint and read them again; without the rows that the target refuses or would change.

    `narrow` are the columns whose type is another than the schema's: a value that they change is refused. Raises
    BadTarget if no row of this shape can be written.
    """
    written = WrittenRows()
    waiting = [rows] if rows else []
    while waiting:
        part = waiting.pop()
        try:
            with connection.begin_nested() as savepoint:
                write(part)
                stored = read_rows(connection, table, part)
                changed = _changed(table, part, stored, narrow)
                changed |= dict.fromkeys(dangling(connection, table, part), RowRefusal(None, Reason.CONSTRAINT))
                if changed:
                    savepoint.rollback()
        except (DBAPIError, connection.dialect.loaded_dbapi.Error, UnreadableValue) as error:
            if not is_about_row(error):
                raise _named(table, error) from error
            if len(part) == 1:
                written.refused.update(dict.fromkeys(part, RowRefusal(_column(error), Reason.CONSTRAINT)))
            else:
                waiting += _halves(part)
            continue
        if changed:
            written.refused.update(changed)
            waiting += [rest] if (rest := {name: row for name, row in part.items() if name not in changed}) else []
        else:
            written.stored.update(stored)
            written.altered.update(_altered(table, part, stored))
    return written


def never_replacing(statement: Insert | Update) -> Insert | Update:
    """Return the statement so that a constraint with ON CONFLICT REPLACE of SQLite deletes no other row."""
    return statement.prefix_with("OR ABORT", dialect="sqlite")


def delete_rows(connection: Connection, table: Table, identifiers: Collection[str]) -> list[str]:
    """Delete rows; returns those that stay, because other rows here refer to them or a trigger refuses it."""
    needed = needed_here(connection, table, identifiers)
    staying = [one for one in identifiers if one not in needed]
    while staying:
        left = _not_deleted(connection, table, staying)
        if len(left) == len(staying):
            break
        staying = left  # again: what referred to them may be gone now
    return [*(one for one in identifiers if one in needed), *staying]


def _not_deleted(connection: Connection, table: Table, identifiers: Sequence[str]) -> list[str]:
    staying: list[str] = []
    waiting = [identifiers]
    while waiting:
        part = waiting.pop()
        try:
            with connection.begin_nested():
                connection.execute(delete(table).where(among(connection, table.c.id, part)))
            staying += stored_rows(connection, table, part)  # a trigger may keep a row without an error
        except DBAPIError as error:
            if not is_about_row(error):
                raise
            if len(part) == 1:
                staying += part
            else:
                waiting += [part[len(part) // 2 :], part[: len(part) // 2]]
    return staying


def is_about_row(error: Exception) -> bool:
    """Return whether an error is about the values of a row, and other rows can be written."""
    if isinstance(error, UnreadableValue):
        return True
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(cause, "sqlstate", None) or ""
    return isinstance(cause, sqlite3.IntegrityError) or state[:2] in _OF_A_ROW


def _changed(table: Table, rows: Rows, stored: Rows, narrow: Collection[str]) -> dict[str, RowRefusal]:
    """Return the rows that are not stored, or whose values a column has rounded or cut."""
    found: dict[str, RowRefusal] = {}
    for identifier, row in rows.items():
        if identifier in stored:
            for name in narrow:
                if name in row and not is_same(table.c[name], stored[identifier][name], row[name]):
                    found[identifier] = RowRefusal(name, Reason.NOT_EXACT)
        else:
            found[identifier] = RowRefusal(None, Reason.CONSTRAINT)
    return found


def _altered(table: Table, rows: Rows, stored: Rows) -> dict[str, Collection[str]]:
    found = {
        identifier: [name for name, value in row.items() if not is_same(table.c[name], stored[identifier][name], value)]
        for identifier, row in rows.items()
    }
    return {identifier: names for identifier, names in found.items() if names}


def _halves(rows: Rows) -> Sequence[Rows]:
    listed = list(rows.items())
    middle = len(listed) // 2
    return [dict(listed[middle:]), dict(listed[:middle])]


def _column(error: Exception) -> str | None:
    """Return the column that an error names; its message may repeat values."""
    if isinstance(error, UnreadableValue):
        return error.column
    cause = error.orig if isinstance(error, DBAPIError) else error
    name = getattr(getattr(cause, "diag", None), "column_name", None)
    return name if isinstance(name, str) else None


def _named(table: Table, error: Exception) -> Exception:
    """Return the error about a table whose columns take no such values; other errors stay as they are."""
    if not isinstance(error, ProgrammingError):
        return error
    return BadTarget(f"the table {table.name} does not take the schema's types: {type(error.orig).__name__}")
