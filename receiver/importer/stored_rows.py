"""Rows of the target database, with the values that the schema's types represent."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Select, Table, select
from sqlalchemy.exc import DataError, OperationalError

from receiver.importer.faults import BadTarget
from receiver.ledger.bulk import among


class UnreadableValue(Exception):
    """A value that the type of its column in the schema does not represent, such as `infinity` as a time."""

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


def stored_rows(connection: Connection, table: Table, identifiers: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return the rows that are stored, by id. Raises BadTarget for a value that its type in the schema cannot be."""
    try:
        return read_rows(connection, table, identifiers)
    except UnreadableValue as fault:
        what = (
            f"the column {fault.column} of the table {table.name} has a value that the schema's type does not represent"
        )
        raise BadTarget(what, hint="correct the row, or import into another database") from None


def read_rows(connection: Connection, table: Table, identifiers: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return the same. Raises UnreadableValue."""
    if not identifiers:
        return {}
    query = select(table).where(among(connection, table.c.id, identifiers))
    # SQLAlchemy's names are of a subclass, which orjson refuses.
    names = [str(column.name) for column in table.columns]
    try:
        rows = [dict(zip(names, row, strict=True)) for row in connection.execute(query)]
    except _faults(connection):
        columns = (name for name in names if not _is_readable(connection, query.with_only_columns(table.c[name])))
        if (column := next(columns, "id")) == "id":
            raise  # no row can be read
        raise UnreadableValue(column) from None
    if connection.dialect.name == "sqlite":
        _check_no_bytes(rows)
    return {row["id"]: row for row in rows}


def _check_no_bytes(rows: Iterable[Mapping[str, object]]) -> None:
    """Raise UnreadableValue for bytes: SQLite stores them in a column of any type, and the schema has none of bytes."""
    for row in rows:
        for name, value in row.items():
            if isinstance(value, bytes):
                raise UnreadableValue(name)


def _is_readable(connection: Connection, query: Select[Any]) -> bool:
    try:
        connection.execute(query).all()
    except _faults(connection):
        return False
    return True


def _faults(connection: Connection) -> tuple[type[Exception], ...]:
    """Return what conversions of the library and of the driver raise; their messages may repeat the value.

    SQLite's driver raises OperationalError for a text that is not UTF-8; that of PostgreSQL only if the server fails.
    """
    driver = connection.dialect.loaded_dbapi
    converting = (ValueError, TypeError, AttributeError, ArithmeticError, DataError, driver.DataError)
    return (*converting, OperationalError) if connection.dialect.name == "sqlite" else converting
