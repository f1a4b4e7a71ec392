"""Many rows in one statement: written by COPY where the database has it, and looked up key by key within the server."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import orjson
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    ScalarSelect,
    Table,
    Text,
    any_,
    cast,
    column,
    func,
    insert,
    literal,
    select,
)

KeyQuery = Callable[[ColumnElement[str]], ScalarSelect[Any]]
"""Called with a key, the column of another query; returns the query for the one value of this key."""


def put(
    connection: Connection,
    table: Table,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    is_binary: bool = False,
) -> None:
    """Insert rows in the caller's transaction. On PostgreSQL values are texts, booleans, bytes or None, or numbers.

    `is_binary`: all columns are texts, booleans and bytes, whose binary form is shorter.
    """
    if connection.dialect.name != "postgresql":
        listed = [dict(zip(columns, row, strict=True)) for row in rows]
        if listed:
            connection.execute(insert(table), listed)
        return
    names = connection.dialect.identifier_preparer
    into = f"{names.format_table(table)} ({', '.join(names.quote(name) for name in columns)})"
    options = " (FORMAT BINARY)" if is_binary else ""
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN{options}") as copy:
        for row in rows:
            copy.write_row(row)


def look_up(connection: Connection, keys: Collection[str], of: KeyQuery) -> dict[str, Any]:
    """Return what `of` finds, by key, without the keys for which it finds NULL or nothing.

    A query for each key uses the index of all its columns: for a list of keys PostgreSQL, which has no statistics of
    rows that were just written, reads all rows of a table's name.
    """
    listed = _listed(connection, dict.fromkeys(keys))
    each = select(listed.label("key"), of(listed).label("found")).subquery()
    return dict(map(tuple, connection.execute(select(each.c.key, each.c.found).where(each.c.found.is_not(None)))))


def among(connection: Connection, compared: ColumnElement[str], texts: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that a column has one of many values."""
    if connection.dialect.name == "postgresql":
        return compared == any_(_array(texts))
    return compared.in_(select(_listed(connection, texts)))


def _listed(connection: Connection, texts: Collection[str]) -> ColumnElement[str]:
    """Return texts as the column of a query: all are one parameter, so the statement is the same for any number."""
    if connection.dialect.name == "postgresql":
        return func.unnest(_array(texts)).column_valued("listed")
    return func.json_each(orjson.dumps(list(texts)).decode()).table_valued(column("value", Text), name="listed").c.value


def _array(texts: Collection[str]) -> ColumnElement[Any]:
    return cast(literal(list(texts), ARRAY(Text)), ARRAY(Text))
