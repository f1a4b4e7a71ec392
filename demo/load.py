"""Finishes made-up rows and puts them into a database, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from random import Random
from typing import Any, TypeAlias

from sqlalchemy import Connection, Engine, Insert, Table, types
from sqlalchemy.dialects import postgresql, sqlite

from demo import hostile
from demo.world import NOTHING, Row
from exporters import schema

CHUNK_ROWS = 5_000
ALWAYS_HOSTILE = 3
"""Which row of a table with free text is hostile whatever the share; the first one never is."""
STAY_READABLE = frozenset({"messages", "transcripts"})
"""There the share alone decides: one chat is hostile from end to end anyway."""

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
"""By the end of a column's name: what a value of it looks like around the canary."""

Finished: TypeAlias = dict[str, Any]
FinishedRow: TypeAlias = tuple[Table, Finished]


def canary(table: str, column: str, number: int) -> str:
    """The recognisable part of what stands in a column that must never leave."""
    return f"CANARY-{table}-{column}-{number}"


def finished(rows: Iterable[Row], *, tag: str, hostile_share: float) -> Iterator[FinishedRow]:
    """Rows with every column: canaries where nothing may leave, hostile texts here and there."""
    random, seen = Random(f"{tag}/hostile"), Counter[str]()
    for table, values in rows:
        seen[table.name] += 1
        number = seen[table.name]
        row = {column.name: _value(table, column.name, values, number) for column in table.columns}
        free, always = FREE_TEXTS[table.name], number == ALWAYS_HOSTILE and table.name not in STAY_READABLE
        if free and number > 1 and (random.random() < hostile_share or always):
            column = random.choice(free)
            row[column] = random.choice(hostile.NAMES) if column.endswith("name") else hostile.text(random)
        yield table, row


def _value(table: Table, column: str, values: Mapping[str, object], number: int) -> object:
    if (shape := NEVER_SHAPES.get((table.name, column))) is not None:
        return shape.format(canary(table.name, column, number))
    value = values.get(column)
    return NOTHING if value is None and (table.name, column) in JSON_COLUMNS else value


def load(engine: Engine, rows: Iterable[FinishedRow]) -> Iterator[tuple[Sequence[FinishedRow], int]]:
    """Write rows in chunks, one transaction each; a row whose id is there is left as it is.

    Yields:
        Each chunk after its commit, and how many of its rows were not there before.
    """
    stream = iter(rows)
    while chunk := list(islice(stream, CHUNK_ROWS)):
        by_table: dict[Table, list[Finished]] = {}
        for table, row in chunk:
            by_table.setdefault(table, []).append(row)
        with engine.begin() as connection:
            added = sum(_insert(connection, table, of_table) for table, of_table in by_table.items())
        yield chunk, added


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
NEVER_SHAPES = {
    (table.name, column.name): _shape(column.name)
    for table in TABLES.values()
    for column in table.columns
    if schema.NEVER in column.info
}
JSON_COLUMNS = frozenset(
    (table.name, column.name)
    for table in TABLES.values()
    for column in table.columns
    if isinstance(column.type, types.JSON)
)
FREE_TEXTS = {
    table.name: tuple(column.name for column in table.columns if column.name in FREE_TEXT) for table in TABLES.values()
}
