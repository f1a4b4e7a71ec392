"""Values in the database's own form, which undoing writes as they were: a converted value may lack some of it.

JSON without conversion keeps all digits of its numbers, and JSON's own null, which differs from NULL. SQLite also
stores times, dates and decimals as texts, which other programs write in forms of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Column, Connection, Table, Text, cast, literal, select

from exporters.sql.values import WRITTEN, as_text
from portability.api import FieldType
from receiver.importer.values import bindable, kind_of
from receiver.ledger.bulk import among

Values = Mapping[str, Any]


def stored_forms(
    connection: Connection, table: Table, columns: Mapping[str, Collection[str]]
) -> dict[str, dict[str, Any]]:
    """Return the forms of these columns by row id, without NULL and without columns that a conversion keeps whole."""
    kinds = {FieldType.OBJECT} if connection.dialect.name == "postgresql" else WRITTEN
    used = {name for names in columns.values() for name in names}
    written = [str(one.name) for one in table.columns if one.name in used and kind_of(one) in kinds]
    if not written:
        return {}
    query = select(table.c.id, *(as_text(table.c[name]).label(name) for name in written))
    rows = connection.execute(query.where(among(connection, table.c.id, columns)))
    return {
        row["id"]: {name: row[name] for name in written if name in columns[row["id"]] and _is_kept(row[name])}
        for row in rows.mappings()
        if row["id"] in columns
    }


def restorable(column: Column[Any], value: object, forms: Values, dialect: str) -> Any:  # noqa: ANN401  # what the column takes
    """Return the parameter that restores a column: its form, else its converted value."""
    name = str(column.name)
    if name not in forms:
        return bindable(column, value)
    form = literal(forms[name], Text())
    # SQLite converts by the column as it did before: only PostgreSQL has a type of its own for JSON.
    return cast(form, column.type) if dialect == "postgresql" else form


def _is_kept(form: object) -> bool:
    """Return whether the journal takes a form; SQLite may store bytes in any column."""
    return isinstance(form, str | int | float)
