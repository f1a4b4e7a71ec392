"""Fields and columns: whether the type of a field is right for its column, and how the column is selected for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Boolean, Column, Date, Double, Integer, Text, cast, func, type_coerce, types
from sqlalchemy.sql.elements import NamedColumn
from sqlalchemy.types import TypeEngine

from exporters.sql.catalogue import type_in_maps
from exporters.sql.columns import ExactNumeric, whole_number
from exporters.sql.mapped.catalogue import FoundColumn
from exporters.sql.values import WITHOUT_CHARACTERS, field_type
from portability.api import FieldType
from portability.database.engine import JsonType, UtcTime

TYPES: Mapping[FieldType, TypeEngine[Any]] = {
    FieldType.STRING: Text(),
    FieldType.INTEGER: Integer(),
    FieldType.NUMBER: Double(),
    FieldType.DECIMAL: ExactNumeric(),
    FieldType.BOOLEAN: Boolean(),
    FieldType.DATETIME: UtcTime(),
    FieldType.DATE: Date(),
    FieldType.OBJECT: JsonType,
}
READABLE: Mapping[FieldType, frozenset[FieldType]] = {
    FieldType.INTEGER: frozenset({FieldType.INTEGER}),
    FieldType.NUMBER: frozenset({FieldType.NUMBER, FieldType.INTEGER}),
    FieldType.DECIMAL: frozenset({FieldType.DECIMAL, FieldType.INTEGER, FieldType.STRING}),
    FieldType.BOOLEAN: frozenset({FieldType.BOOLEAN, FieldType.INTEGER}),
    FieldType.DATETIME: frozenset({FieldType.DATETIME, FieldType.STRING}),
    FieldType.DATE: frozenset({FieldType.DATE, FieldType.STRING}),
    FieldType.OBJECT: frozenset({FieldType.OBJECT, FieldType.STRING}),
    FieldType.STRING: frozenset(FieldType),
}
"""By the type of a field: the types of columns that it may have. Texts are checked when they are read."""


def type_fault(stated: FieldType | None, found: FoundColumn) -> str | None:
    """Return why a field cannot have this type with this column; None if it can. Without a type it is a text."""
    if isinstance(found.type, types.LargeBinary):
        return f"the column is {found.name_of_type}: bytes are not exported"
    own = type_in_maps(found.type)
    if isinstance(found.type, WITHOUT_CHARACTERS) and (stated or own) is not own:
        return f'the column is {found.name_of_type}: write type = "{own}"'
    if stated is None:
        return None if own is FieldType.STRING else f'the column is {found.name_of_type}: write type = "{own}"'
    if own in READABLE[stated]:
        return None
    return f'the column is {found.name_of_type}, which is not "{stated}": write type = "{own}"'


def field_column(column: Column[Any], stated: FieldType | None) -> NamedColumn[Any]:
    """Return what is selected for a field: the column, or an expression that gives the type of the field."""
    wanted, own = stated or FieldType.STRING, field_type(column.type)
    if isinstance(column.type, types.ARRAY) and wanted is FieldType.OBJECT:
        return type_coerce(func.to_jsonb(column), JsonType).label(column.name)
    if wanted is own:
        return column
    # A number is written as text by the database, and checked as what the field is.
    is_written = own is not FieldType.STRING and wanted in {FieldType.STRING, FieldType.DECIMAL}
    return type_coerce(cast(whole_number(column), Text) if is_written else column, TYPES[wanted]).label(column.name)


def joined_column(
    name: str, joined: Column[Any], own: Column[Any] | None, stated: FieldType | None
) -> NamedColumn[Any]:
    """Return what is selected for a field of a joined table: its value, or where that is NULL the row's own."""
    values = [field_column(column, stated) for column in (joined, own) if column is not None]
    return (func.coalesce(*values) if own is not None else values[0]).label(name)
