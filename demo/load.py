"""Completes made-up rows and writes them into a database, SQLite or PostgreSQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from random import Random
from typing import Any, TypeAlias

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Dialect, Engine, Insert, Table, types
from sqlalchemy.dialects import postgresql, sqlite

from demo import hostile
from demo.world import NOTHING, Row
from exporters.reference import schema

CHUNK_ROWS = 5_000
ALWAYS_HOSTILE = 3
"""Every nth row of a table with free text is hostile, for any share; the first one never is."""
STAY_READABLE = frozenset({"messages", "transcripts"})
"""Tables for which only the share counts: one chat is completely hostile anyway."""

FREE_TEXT = frozenset({
    "address", "body", "comment", "description", "element", "file_name", "full_name", "greeting", "holder_name",
    "instructions", "job_title", "message", "model", "name", "subject", "summary", "text", "title", "visitor_name",
    "wording",
})  # fmt: skip

CANARY_SHAPES: tuple[tuple[str, str], ...] = (
    ("password_hash", "$argon2id$v=19$m=65536,t=3,p=4${}"),
    ("card_number", "4111 1111 1111 1111 {}"),
    ("authorization_header", "Bearer {}"),
    ("cookies", "session={}; Path=/; HttpOnly"),
    ("signed_url", "https://files.internal.example/x?signature={}"),
    ("email", "{}@staff.example"),
    ("", "{}"),
)
"""By the end of a column's name: the form of its values around the canary."""

Finished: TypeAlias = dict[str, Any]
FinishedRow: TypeAlias = tuple[Table, Finished]
Write: TypeAlias = Callable[[Connection, Table, Sequence[Finished]], int]
"""Writes rows of a table; returns how many were new."""


def canary(table: str, column: str, number: int) -> str:
    """Return the recognisable part of a value in a column that must never be exported."""
    return f"CANARY-{table}-{column}-{number}"


def finished(rows: Iterable[Row], *, tag: str, hostile_share: float) -> Iterator[FinishedRow]:
    """Yield complete rows: with canaries in columns that must never be exported, and some hostile texts."""
    random, seen = Random(f"{tag}/hostile"), Counter[str]()
    for table, values in rows:
        seen[table.name] += 1
        number = seen[table.name]
        row = _whole(table, values, number)
        free, always = FREE_TEXTS[table.name], number == ALWAYS_HOSTILE and table.name not in STAY_READABLE
        if free and number > 1 and (random.random() < hostile_share or always):
            column = random.choice(free)
            row[column] = random.choice(hostile.NAMES) if column.endswith("name") else hostile.text(random)
        yield table, row


def _whole(table: Table, values: Mapping[str, object], number: int) -> Finished:
    """Return a value for every column."""
    row: Finished = {**EMPTY[table.name], **values}
    for column, shape in NEVER_SHAPES[table.name]:
        row[column] = shape.format(canary(table.name, column, number))
    for column in JSON_COLUMNS[table.name]:
        if row[column] is None:
            row[column] = NOTHING
    return row


def load(engine: Engine, rows: Iterable[FinishedRow]) -> Iterator[tuple[Sequence[FinishedRow], int]]:
    """Write rows in chunks, one transaction each; a row with an existing id is not changed.

    PostgreSQL gets them by COPY until it refuses a chunk, because some of its rows exist; from that chunk on they are
    written by INSERT, which also reports other faults.

    Yields:
        Each chunk after its commit, and how many of its rows were new.
    """
    stream, write = iter(rows), _copy if engine.dialect.name == "postgresql" else _insert
    while chunk := list(islice(stream, CHUNK_ROWS)):
        by_table: dict[Table, list[Finished]] = {}
        for table, row in chunk:
            by_table.setdefault(table, []).append(row)
        try:
            added = _written(engine, by_table, write)
        except psycopg.Error:
            write = _insert
            added = _written(engine, by_table, write)
        yield chunk, added


def _written(engine: Engine, by_table: Mapping[Table, Sequence[Finished]], write: Write) -> int:
    with engine.begin() as connection:
        return sum(write(connection, table, rows) for table, rows in by_table.items())


def _copy(connection: Connection, table: Table, rows: Sequence[Finished]) -> int:
    """Write all rows by COPY. Raises psycopg.Error, also if one of them exists."""
    names = table.columns.keys()
    target = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, names))
    )
    values_of, makers = itemgetter(*names), _makers(connection.dialect, table)
    cursor: psycopg.Cursor[Any] = connection.connection.cursor()  # type: ignore[assignment]  # the driver's own
    with cursor, cursor.copy(target) as copy:
        for row in rows:
            values = list(values_of(row))
            for place, make in makers:
                values[place] = None if values[place] is NOTHING else make(values[place])
            copy.write_row(values)
    return len(rows)


def _makers(dialect: Dialect, table: Table) -> Sequence[tuple[int, Callable[[Any], Any]]]:
    """Return functions that convert values for the driver, by column position; most values need none."""
    makers = (column.type.dialect_impl(dialect).bind_processor(dialect) for column in table.columns)
    return [(place, make) for place, make in enumerate(makers) if make is not None]


def _insert(connection: Connection, table: Table, rows: Sequence[Finished]) -> int:
    insert = _insert_missing(connection.dialect.name, table)
    return connection.execute(insert, rows, execution_options={"preserve_rowcount": True}).rowcount


def _insert_missing(dialect: str, table: Table) -> Insert:
    keys = list(table.primary_key.columns)
    if dialect == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing(index_elements=keys)
    return postgresql.insert(table).on_conflict_do_nothing(index_elements=keys)


def _shape(column: str) -> str:
    return next(shape for ending, shape in CANARY_SHAPES if column.endswith(ending))


TABLES = schema.metadata.tables
EMPTY = {table.name: dict.fromkeys(table.columns.keys()) for table in TABLES.values()}
NEVER_SHAPES = {
    table.name: tuple((column.name, _shape(column.name)) for column in table.columns if schema.NEVER in column.info)
    for table in TABLES.values()
}
JSON_COLUMNS = {
    table.name: tuple(column.name for column in table.columns if isinstance(column.type, types.JSON))
    for table in TABLES.values()
}
FREE_TEXTS = {
    table.name: tuple(column.name for column in table.columns if column.name in FREE_TEXT) for table in TABLES.values()
}
