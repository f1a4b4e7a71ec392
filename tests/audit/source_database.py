"""Writes the platform into SQLite or PostgreSQL: plain DDL from docs/source-schema.md, plain INSERT statements."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from audit.schema_page import PageTable
from audit.source_rows import PAGE_TABLES, SourceRow, content_of
from psycopg.types.json import Jsonb

TYPES: Mapping[str, Mapping[str, str]] = {
    "sqlite": {
        "text": "TEXT",
        "time": "TEXT",
        "exact numeric": "TEXT",
        "JSON": "TEXT",
        "date": "TEXT",
        "integer": "INTEGER",
        "boolean": "INTEGER",
        "float": "REAL",
    },
    "postgresql": {
        "text": "text",
        "time": "timestamptz",
        "exact numeric": "numeric",
        "JSON": "jsonb",
        "date": "date",
        "integer": "bigint",
        "boolean": "boolean",
        "float": "double precision",
    },
}


def write_sqlite(path: Path, rows: Iterable[SourceRow]) -> None:
    """Make the tables in a file and fill them."""
    connection = sqlite3.connect(path)
    with connection:
        for statement in _tables("sqlite"):
            connection.execute(statement)
        for made in rows:
            statement, values = _insert(made, "sqlite", "?")
            connection.execute(statement, [_for_sqlite(value) for value in values])
    connection.close()


def write_postgresql(url: str, rows: Iterable[SourceRow]) -> None:
    """Make the tables in a database, `postgresql://...`, and fill them."""
    with psycopg.connect(url) as connection:
        for statement in _tables("postgresql"):
            connection.execute(statement)
        for made in rows:
            statement, values = _insert(made, "postgresql", "%s")
            arguments = [Jsonb(value) if isinstance(value, dict | list) else value for value in values]
            connection.execute(statement, arguments)


def write_files(folder: Path, rows: Iterable[SourceRow]) -> None:
    """Write the recordings and attachments of these rows."""
    folder.mkdir(parents=True, exist_ok=True)
    for made in rows:
        if "storage_key" in made.values:
            key = made.values["storage_key"]
            (folder / key).write_bytes(content_of(key))


def repair_price(database: str, place: str, identifier: str, price: str) -> None:
    """Write a price that is a number into a subscription."""
    if database == "sqlite":
        connection = sqlite3.connect(place)
        with connection:
            connection.execute("UPDATE subscriptions SET price = ? WHERE id = ?", (price, identifier))
        connection.close()
    else:
        with psycopg.connect(place) as session:
            session.execute("UPDATE subscriptions SET price = %s WHERE id = %s", (Decimal(price), identifier))


def _tables(database: str) -> Iterable[str]:
    for table in PAGE_TABLES.values():
        yield f"CREATE TABLE {table.name} ({', '.join(_columns(table, database))})"


def _columns(table: PageTable, database: str) -> Iterable[str]:
    for column in table.columns.values():
        key = " PRIMARY KEY" if column.name == "id" else ""
        yield f"{column.name} {TYPES[database][column.kind]}{key}{' NOT NULL' if column.required else ''}"


def _insert(made: SourceRow, database: str, mark: str) -> tuple[str, list[Any]]:
    raw = made.raw.get(database, {})
    written = [raw.get(name, mark) for name in made.values]
    values = [value for name, value in made.values.items() if name not in raw]
    return f"INSERT INTO {made.table} ({', '.join(made.values)}) VALUES ({', '.join(written)})", values  # noqa: S608  # names from the page


def _for_sqlite(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S.%f")
    return str(value) if isinstance(value, Decimal | date) else value
