"""Converts database values to JSON values: exactly, or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, TypeAlias

from sqlalchemy import (
    Boolean,
    Date,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Text,
    func,
    type_coerce,
    types,
)
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import NamedColumn
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from exporters.maps.exact_json import double, parse_exactly
from exporters.sql.coded_texts import CodedText, texts_of, with_bytes
from exporters.sql.columns import BitNumber, Shape, Vector, whole_number
from exporters.sql.moments import NO_DAY, StatedType, moment_of, stated_times
from portability.api import JSON, FieldType
from portability.api.times import microseconds

Converter: TypeAlias = Callable[[object], JSON]
"""Converts a value as `exact` selects it, not NULL; raises one of NOT_JSON if JSON cannot represent it."""


class UnsetDay(ValueError):
    """A day of zeros, which MariaDB and many programs store for a time that is not set: it is null, and not lost."""


NOT_JSON = (TypeError, ValueError, RecursionError)
DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}).([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,6})[0-9]*)?(?:Z|\+00(?::00)?)?"
)
DEPTH_MAX = 200
"""Maximum nesting of a JSON value; formats accept no more."""

FIELD_TYPES: tuple[tuple[type[TypeEngine[Any]], FieldType], ...] = (
    (types.JSON, FieldType.OBJECT),
    (Boolean, FieldType.BOOLEAN),
    (Integer, FieldType.INTEGER),
    (Float, FieldType.NUMBER),
    (Numeric, FieldType.DECIMAL),
    (DateTime, FieldType.DATETIME),
    (Date, FieldType.DATE),
)


NUMBERS = frozenset({FieldType.INTEGER, FieldType.NUMBER, FieldType.DECIMAL})
WRITTEN = frozenset({FieldType.DECIMAL, FieldType.DATETIME, FieldType.DATE, FieldType.OBJECT})
"""Types whose values are selected as text."""
WITHOUT_CHARACTERS = (types.BINARY, types.VARBINARY)
"""Types of MariaDB for bytes, which many programs use for texts."""


WRITTEN_BY: Mapping[type[TypeEngine[Any]], Callable[..., ColumnElement[Any]]] = {
    Shape: func.ST_AsText,
    Vector: func.VEC_ToText,
    INET: func.abbrev,  # a conversion to text would write `/32` behind the address of a host
}
"""Functions that write the values of a type, where a conversion to text does not."""


class UndecodedText(bytes):
    """A stored text that is not UTF-8: no converter accepts it. In the order of SQLite it is among the texts."""


def readable(kind: TypeEngine[Any], column: Sequence[Any]) -> Sequence[Any]:
    """Return what a column of this type contains for `CONVERTERS`.

    Of bytes of MariaDB these are the texts that they are, of numbers that are times the times, and of texts that were
    selected with their bytes the texts.
    """
    if isinstance(kind, StatedType):
        return kind.read(column)
    if isinstance(kind, CodedText):
        return texts_of(column)
    if not isinstance(kind, WITHOUT_CHARACTERS):
        return column
    return [_decoded(value) if isinstance(value, bytes) else value for value in column]


def _decoded(value: bytes) -> str | UndecodedText:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return UndecodedText(value)


def field_type(column: TypeEngine[Any]) -> FieldType:
    """Return the field type for a column of this type; text if none fits."""
    plain = column.impl_instance if isinstance(column, TypeDecorator) else column
    return next((field for kind, field in FIELD_TYPES if isinstance(plain, kind)), FieldType.STRING)


class as_text(FunctionElement[str]):  # noqa: N801  # named like an SQL function
    """A value in the database's own text form: with every digit, without conversion to objects."""

    type = Text()
    name = "as_text"
    inherit_cache = True


@compiles(as_text, "postgresql")
def _as_text_postgresql(element: as_text, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # the compiler's own
    return f"CAST({compiler.process(element.clauses, **options)} AS TEXT)"


@compiles(as_text, "mysql", "mariadb")
def _as_text_mysql(element: as_text, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # as above
    (value,) = element.clauses
    written = compiler.process(value, **options)
    # JSON is a text already. A value that a function gives is NULL where it is larger than a packet.
    return written if field_type(value.type) is FieldType.OBJECT else f"CAST({written} AS CHAR)"


@compiles(as_text, "sqlite")
def _as_text_sqlite(element: as_text, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # as above
    return str(compiler.process(element.clauses, **options))  # it is already text


def exact(column: NamedColumn[Any]) -> ColumnElement[Any]:
    """Return the column in the form for its converter; text for types that JSON does not have, such as UUID."""
    plain = column.type.impl_instance if isinstance(column.type, TypeDecorator) else column.type
    kind = field_type(column.type)
    if kind in {FieldType.BOOLEAN, FieldType.NUMBER}:
        # The driver's own value: SQLAlchemy would make true of every text, and a double of every integer.
        return type_coerce(whole_number(column), types.NullType())
    if isinstance(column.type, BitNumber):
        return whole_number(column)
    if isinstance(column.type, CodedText):
        return with_bytes(column)
    if isinstance(plain, WITHOUT_CHARACTERS):
        return type_coerce(column, LargeBinary())  # the database would write `?` for each byte that is not UTF-8
    if write := WRITTEN_BY.get(type(plain)):
        return write(column, type_=Text())
    is_text = kind in WRITTEN or (kind is FieldType.STRING and not isinstance(plain, String))
    return as_text(column) if is_text else column


def exact_moment(column: NamedColumn[Any]) -> ColumnElement[Any]:
    """Return a column of times as the database writes them, also where the map states that its numbers are times."""
    return as_text(moment_of(column)) if stated_times(column) else exact(column)


def rfc3339(value: datetime) -> str:
    """Write a time in UTC with microseconds. Raises ValueError for a time without time zone."""
    if value.tzinfo is None:
        raise ValueError("a time without time zone")
    return microseconds(value)


def _text(value: object) -> JSON:
    if not isinstance(value, str):
        raise TypeError("not text")
    return value


def _integer(value: object) -> JSON:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("not an integer")
    return value


def _number(value: object) -> JSON:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError("not a number")
    return double(value)


def _decimal(value: object) -> JSON:
    if not isinstance(value, str) or not DECIMAL.fullmatch(value):
        raise ValueError("not a finite decimal")
    return value


def _boolean(value: object) -> JSON:
    if not isinstance(value, bool) and value not in (0, 1):  # SQLite has no boolean type
        raise TypeError("not a boolean")
    return bool(value)


def _datetime(value: object) -> JSON:
    if not isinstance(value, str):
        raise TypeError("not a time")
    _check_set(value)
    # `2026-11-24 08:30:00.5+00`, in a session with time zone UTC; the other forms are those of texts.
    if not (found := _TIME.fullmatch(value)):
        raise ValueError("not a time in UTC")
    datetime.fromisoformat(value)
    return f"{found[1]}T{found[2]}.{found[3] or '':0<6}Z"


def _date(value: object) -> JSON:
    if not isinstance(value, str):
        raise TypeError("not a date")
    _check_set(value)
    return date.fromisoformat(value).isoformat()


def _check_set(value: str) -> None:
    if value.startswith(NO_DAY):
        raise UnsetDay


def _object(value: object) -> JSON:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value) if isinstance(value, float) else value  # SQLite converts such a text to a number
    if not isinstance(value, str):
        raise TypeError("not JSON text")
    parsed = parse_exactly(value)
    if value.count("[") + value.count("{") > DEPTH_MAX:
        _check_depth(parsed)
    return parsed


def _check_depth(value: JSON, depth: int = 0) -> None:
    if depth > DEPTH_MAX:
        raise ValueError(f"nested more than {DEPTH_MAX} levels deep")
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _check_depth(inner, depth + 1)


CONVERTERS: Mapping[FieldType, Converter] = {
    FieldType.STRING: _text,
    FieldType.INTEGER: _integer,
    FieldType.NUMBER: _number,
    FieldType.DECIMAL: _decimal,
    FieldType.BOOLEAN: _boolean,
    FieldType.DATETIME: _datetime,
    FieldType.DATE: _date,
    FieldType.OBJECT: _object,
}
