"""Fields and columns: whether the type of a field is right for its column, and how the column is selected for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Date,
    Double,
    Integer,
    Numeric,
    Text,
    case,
    cast,
    func,
    not_,
    type_coerce,
    types,
)
from sqlalchemy.dialects.postgresql import MONEY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import NamedColumn
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from exporters.sql.catalogue import type_in_maps
from exporters.sql.coded_texts import CodedText
from exporters.sql.columns import ExactNumeric, IntegerTruth, Untyped, whole_number
from exporters.sql.identifiers import plain_type
from exporters.sql.mapped.catalogue import FoundColumn
from exporters.sql.moments import StatedDay, StatedTime, StatedTimes, is_unset, stated_times
from exporters.sql.values import NUMBERS, WITHOUT_CHARACTERS, field_type
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
OF_ANY_VALUE = frozenset({FieldType.INTEGER, FieldType.NUMBER, FieldType.BOOLEAN})
"""Further types of fields of a column of SQLite without a type, whose values are checked when they are read."""


class written_number(FunctionElement[str]):  # noqa: N801  # named like an SQL function
    """A value that is not a text as the database writes it; numbers with as many digits as they need to be the same."""

    type = Text()
    name = "written_number"
    inherit_cache = True


@compiles(written_number)
def _written_number(element: written_number, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # the compiler's own
    (value,) = element.clauses
    return str(compiler.process(cast(value, Text), **options))


@compiles(written_number, "sqlite")
def _written_number_sqlite(element: written_number, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # as above
    value = compiler.process(element.clauses, **options)
    # It writes 15 digits of a number that may have 17.
    same = [f"WHEN CAST(printf('%!.{digits}g', {value}) AS REAL) = {value} THEN" for digits in (15, 16)]
    shortest = (
        f"CASE {same[0]} CAST({value} AS TEXT) {same[1]} printf('%!.16g', {value}) ELSE printf('%!.17g', {value}) END"
    )
    # Bytes stay bytes: a converter refuses them.
    return f"CASE typeof({value}) WHEN 'real' THEN {shortest} WHEN 'blob' THEN {value} ELSE CAST({value} AS TEXT) END"


def type_fault(stated: FieldType | None, found: FoundColumn, times: StatedTimes | None = None) -> str | None:
    """Return why a field cannot have this type with this column; None if it can. Without a type it is a text.

    `times` are those that the map states for the column.
    """
    if times:
        is_time = stated in {FieldType.DATETIME, FieldType.DATE}
        return None if is_time else 'the map says in [times] that the column has times: write type = "datetime"'
    if isinstance(found.type, types.LargeBinary):
        return f"the column is {found.name_of_type}: bytes are not exported"
    own = type_in_maps(found.type)
    if isinstance(found.type, WITHOUT_CHARACTERS) and (stated or own) is not own:
        return f'the column is {found.name_of_type}: write type = "{own}"'
    if stated is None:
        return (
            None
            if own is FieldType.STRING or found.is_domain
            else f'the column is {found.name_of_type}: write type = "{own}"'
        )
    is_number = stated is FieldType.INTEGER and isinstance(found.type, IntegerTruth)
    if own in READABLE[stated] or is_number or (isinstance(found.type, Untyped) and stated in OF_ANY_VALUE):
        return None
    is_count = stated in {FieldType.DATETIME, FieldType.DATE} and own in NUMBERS
    hint = ", or say in [times] how it counts" if is_count else ""
    return f'the column is {found.name_of_type}, which is not "{stated}": write type = "{own}"{hint}'


def field_column(column: NamedColumn[Any], stated: FieldType | None, *, is_place: bool = False) -> NamedColumn[Any]:
    """Return what is selected for a field: the column, or an expression that gives the type of the field.

    `is_place` says that rows are compared by the column: a text of MariaDB then comes with its bytes.
    """
    column = without_currency(column)
    wanted, own = stated or FieldType.STRING, field_type(column.type)
    if times := stated_times(column):
        kind = StatedDay(times) if wanted is FieldType.DATE else StatedTime(times)
        text = column if own is FieldType.STRING else written_number(whole_number(column))
        return type_coerce(text, kind).label(column.name)
    if isinstance(column.type, types.ARRAY) and wanted is FieldType.OBJECT:
        return type_coerce(func.to_json(column), JsonType).label(column.name)
    if wanted is own and wanted is not FieldType.DECIMAL:
        has_bytes = isinstance(column.type, CodedText) and not is_place
        return type_coerce(column, Text()).label(column.name) if has_bytes else column
    # A number is written as text by the database, and checked as what the field is.
    is_written = own is not FieldType.STRING and wanted in {FieldType.STRING, FieldType.DECIMAL}
    return type_coerce(written_number(whole_number(column)) if is_written else column, TYPES[wanted]).label(column.name)


def without_currency(column: NamedColumn[Any]) -> NamedColumn[Any]:
    """Return a column of `money` of PostgreSQL as numbers: its texts have the currency of the session."""
    kind, numbers = plain_type(column.type), Numeric[Any]()
    if isinstance(kind, types.ARRAY) and isinstance(kind.item_type, MONEY):
        return cast(column, types.ARRAY(numbers)).label(column.name)
    return cast(column, numbers).label(column.name) if isinstance(kind, MONEY) else column


def joined_column(
    name: str, joined: Column[Any], own: Column[Any] | None, stated: FieldType | None
) -> NamedColumn[Any]:
    """Return what is selected for a field of a joined table: its value, or where that is NULL the row's own."""
    value: ColumnElement[Any] = field_column(joined, stated)
    if own is not None:
        if stated_times(joined):
            value = case((not_(is_unset(joined)), value))
        value = func.coalesce(value, field_column(own, stated))
    return value.label(name)
