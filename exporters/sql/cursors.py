"""Cursors: a row's position in the stable order as text, and the condition for the rows after it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from operator import ge, gt, le, lt
from typing import Any, TypeAlias

from sqlalchemy import (
    BindParameter,
    Boolean,
    Column,
    ColumnElement,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Text,
    Uuid,
    and_,
    cast,
    literal,
    or_,
    type_coerce,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import NamedColumn
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType, TypeDecorator

from exporters.sql.coded_texts import CodedText, keys_of_texts
from exporters.sql.columns import SourceTime
from exporters.sql.identifiers import plain_type
from exporters.sql.source import TableSource
from exporters.sql.values import WITHOUT_CHARACTERS, UndecodedText, field_type, rfc3339
from portability.api import JSON, Cursor, FieldType, Slice
from portability.api.errors import ExporterFault

Comparison: TypeAlias = Callable[[Any, Any], ColumnElement[bool]]


IN_STORED_ORDER = (SourceTime, CodedText, *WITHOUT_CHARACTERS)
"""Types of columns whose keys are compared as they are stored."""
COMPARED = (String, Integer, Numeric, Uuid, DateTime, Date, TypeDecorator)
"""Types of columns whose keys are parameters of the same type."""
SMALLEST = frozenset({1 << 15, 1 << 31, 1 << 63})
"""The smallest integers of the types of PostgreSQL, without their minus."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key that its column's type does not allow, or that JSON cannot represent, as the database stores it.

    The row is read like any other, and reading continues after it.
    """

    value: str | float | bytes


def cursor(key: Sequence[Any]) -> Cursor:
    """Return a row's position in the order: batches continue after it, slices begin at it."""
    return json.dumps([_as_json(value) for value in key], separators=(",", ":"))


def key_of(source: TableSource, place: Cursor, what: str = "cursor") -> Sequence[Any]:
    """Return the key columns' values at a cursor. Raises ExporterFault if it is invalid."""
    try:
        values = json.loads(place)
        return [_value(column, value) for column, value in zip(source.order, values, strict=True)]
    except (TypeError, ValueError):
        raise ExporterFault(f"{source.dataset.name}: invalid {what}: start again without it") from None


def stored(kept: Sequence[JSON], raw: Sequence[Any]) -> Sequence[Any]:
    """Return a column of keys: the converted values, and the stored values where conversion gave none."""
    return [
        StoredKey(value) if converted is None and value is not None else converted
        for converted, value in zip(kept, raw, strict=True)
    ]


def as_written(column: NamedColumn[Any], raw: Sequence[Any]) -> Sequence[Any]:
    """Return the keys of a column, as stored if their order is that of their texts or bytes in the database."""
    if not isinstance(column.type, IN_STORED_ORDER):
        return raw
    if isinstance(column.type, CodedText):
        return [StoredKey(value) if isinstance(value, bytes) else value for value in keys_of_texts(column.type, raw)]
    # A column of SQLite may have numbers beside texts.
    return [StoredKey(value) if isinstance(value, str | bytes | float | int) else value for value in raw]


def within(source: TableSource, piece: Slice, after: Cursor | Sequence[Any] | None) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions for rows of a slice after a cursor or key. Raises ExporterFault if one is invalid."""
    begin = None if piece.begin is None else key_of(source, piece.begin, "slice")
    if after is not None:
        key = key_of(source, after) if isinstance(after, str) else after
        # The slice's begin is before every cursor in it: a second lower bound could only mislead a query planner.
        yield _compared(gt, source.order, key)
    elif begin is not None:
        yield _compared(ge, source.order, begin)
    if piece.end is not None:
        yield _compared(lt, source.order, key_of(source, piece.end, "slice"))


def at(source: TableSource, place: Cursor) -> ColumnElement[bool]:
    """Return the condition for the rows that are neither before nor after a cursor. Raises ExporterFault."""
    key = key_of(source, place)
    return and_(_compared(ge, source.order, key), _compared(le, source.order, key))


def _compared(compare: Comparison, order: Sequence[Column[Any]], key: Sequence[Any]) -> ColumnElement[bool]:
    """Return `(a, b) > (x, y)`, or with >=, < or <=, in a form for which every database can use an index on (a, b)."""
    first, value = _comparable(order[0], key[0])
    if len(order) == 1:
        return compare(first, value)
    strict, loose = (lt, le) if compare in {lt, le} else (gt, ge)
    return and_(loose(first, value), or_(strict(first, value), _compared(compare, order[1:], key[1:])))


def _comparable(column: Column[Any], value: Any) -> tuple[ColumnElement[Any], Any]:  # noqa: ANN401  # as of a key
    """Return a column of the order and a key's value for it, as both can be compared."""
    if isinstance(value, BindParameter):
        return type_coerce(column, plain_type(column.type)), value
    if isinstance(value, StoredKey):
        return column, as_stored(column, value)
    if isinstance(value, bool):
        return column, literal(value, Boolean())
    if isinstance(column.type, Date) and isinstance(value, str):
        return column, date.fromisoformat(value)
    if isinstance(column.type, COMPARED):
        is_smallest = isinstance(value, int) and -value in SMALLEST
        return column, smallest(column, value) if is_smallest else value
    # Of any other type: the key is written as the database writes it, and is read by its type again.
    return type_coerce(column, Integer() if isinstance(value, int) else Text()), as_stored(column, StoredKey(value))


def _as_json(value: Any) -> JSON:  # noqa: ANN401  # a key as the driver or a converter gives it
    if isinstance(value, StoredKey):
        kept = value.value
        if isinstance(kept, bytes):
            return {"text" if isinstance(kept, UndecodedText) else "bytes": kept.hex()}
        return {"stored": kept}
    return rfc3339(value) if isinstance(value, datetime) else value


def _value(column: Column[Any], value: JSON) -> str | float | datetime | StoredKey:
    if isinstance(value, dict):
        return _stored_value(value)
    if field_type(column.type) is FieldType.DATETIME and isinstance(value, str):
        return datetime.fromisoformat(value)
    if isinstance(value, str | int | float):
        return value
    raise TypeError


def _stored_value(value: Mapping[str, Any]) -> StoredKey:
    if "stored" in value:
        return StoredKey(value["stored"])
    return StoredKey(UndecodedText.fromhex(value["text"]) if "text" in value else bytes.fromhex(value["bytes"]))


class smallest(FunctionElement[int]):  # noqa: N801  # named like an SQL function
    """The smallest integer of a type as a key: PostgreSQL would read the minus after the number, which is too large."""

    inherit_cache = False

    def __init__(self, column: Column[Any], value: int) -> None:
        self.type = column.type
        self.value = int(value)
        super().__init__(literal(value, plain_type(column.type)))


@compiles(smallest)
def _smallest(element: smallest, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # the compiler's own
    return str(compiler.process(element.clauses, **options))


@compiles(smallest, "postgresql")
def _smallest_postgresql(element: smallest, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # as above
    del options
    return f"CAST('{element.value}' AS {compiler.dialect.type_compiler_instance.process(element.type)})"


class as_stored(FunctionElement[Any]):  # noqa: N801  # named like an SQL function
    """A stored key to compare a column with: without the conversion of the column's type."""

    inherit_cache = False

    def __init__(self, column: Column[Any], key: StoredKey) -> None:
        self.column_type = column.type
        kind = column.type if isinstance(column.type, NullType) and isinstance(key.value, str) else None
        plain = literal(bytes(key.value), LargeBinary) if isinstance(key.value, bytes) else literal(key.value, kind)
        super().__init__(cast(plain, Text) if isinstance(key.value, UndecodedText) else plain)


@compiles(as_stored, "sqlite", "mysql", "mariadb")
def _as_stored_plain(element: as_stored, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # the compiler's own
    value = str(compiler.process(element.clauses, **options))
    return element.column_type.of_bytes(value) if isinstance(element.column_type, CodedText) else value


@compiles(as_stored, "postgresql")
def _as_stored_postgresql(element: as_stored, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # as above
    value = compiler.process(element.clauses, **options)
    if isinstance(element.column_type, NullType):
        return str(value)  # a type without a name here: the server reads the text by the type of the column
    return f"CAST({value} AS {compiler.dialect.type_compiler_instance.process(element.column_type)})"
