"""From database values to JSON values: exact, or not at all."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, TypeAlias

import orjson
from sqlalchemy import Boolean, Column, Date, DateTime, Float, Integer, Numeric, String, Text, types
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from portability.api import JSON, FieldType

Converter: TypeAlias = Callable[[object], JSON]
"""Takes a value as `exact` selects it, not NULL; raises one of NOT_JSON where JSON cannot carry it."""

NOT_JSON = (TypeError, ValueError, RecursionError)
DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")
LONG_DIGITS = 16
"""An integer of so many may be beyond what every reader keeps."""
_LONG_NUMBER = re.compile(rf"[0-9]{{{LONG_DIGITS}}}")
SECONDS = 8
"""Characters of a time of day without fractions."""
DEPTH_MAX = 200
"""Levels of a JSON value; formats take no more."""

# The first match counts: an Integer is no Float, but SQLAlchemy's Float is a Numeric.
FIELD_TYPES: tuple[tuple[type[TypeEngine[Any]], FieldType], ...] = (
    (types.JSON, FieldType.OBJECT),
    (Boolean, FieldType.BOOLEAN),
    (Integer, FieldType.INTEGER),
    (Float, FieldType.NUMBER),
    (Numeric, FieldType.DECIMAL),
    (DateTime, FieldType.DATETIME),
    (Date, FieldType.DATE),
)


WRITTEN = frozenset({FieldType.DECIMAL, FieldType.DATETIME, FieldType.DATE, FieldType.OBJECT})
"""Types whose values are selected as text."""


def field_type(column: TypeEngine[Any]) -> FieldType:
    """The type of a field that a column of this type becomes; text where nothing else fits."""
    plain = column.impl_instance if isinstance(column, TypeDecorator) else column
    return next((field for kind, field in FIELD_TYPES if isinstance(plain, kind)), FieldType.STRING)


class as_text(FunctionElement[str]):  # noqa: N801  # reads as the SQL function that it is
    """A value as the database itself writes it: every digit, and no detour over objects."""

    type = Text()
    name = "as_text"
    inherit_cache = True


@compiles(as_text, "postgresql")
def _as_text_postgresql(element: as_text, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # the compiler's own
    return f"CAST({compiler.process(element.clauses, **options)} AS TEXT)"


@compiles(as_text, "sqlite")
def _as_text_sqlite(element: as_text, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # as above
    return str(compiler.process(element.clauses, **options))  # it is text already


def exact(column: Column[Any]) -> ColumnElement[Any]:
    """The column as its converter wants it; text of whatever JSON has no type for, such as a UUID."""
    plain = column.type.impl_instance if isinstance(column.type, TypeDecorator) else column.type
    kind = field_type(column.type)
    is_text = kind in WRITTEN or (kind is FieldType.STRING and not isinstance(plain, String))
    return as_text(column) if is_text else column


def rfc3339(value: datetime) -> str:
    """A time in UTC with its microseconds: `2026-11-24T08:30:00.123456Z` (RFC 3339 section 5.6)."""
    if value.tzinfo is None:
        raise ValueError("a time without zone")
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _text(value: object) -> JSON:
    if not isinstance(value, str):
        raise TypeError("not text")
    return value


def _integer(value: object) -> JSON:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("not an integer")
    return value


def _number(value: object) -> JSON:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError("not a finite number")
    return float(value)


def _decimal(value: object) -> JSON:
    if not isinstance(value, str) or not DECIMAL.fullmatch(value):
        raise ValueError("not a finite decimal")
    return value


def _boolean(value: object) -> JSON:
    if not isinstance(value, bool) and value not in (0, 1):  # SQLite has no other
        raise TypeError("not a boolean")
    return bool(value)


def _datetime(value: object) -> JSON:
    if not isinstance(value, str):
        raise TypeError("not a time")
    if "W" in value:
        raise ValueError("a time by its week")
    datetime.fromisoformat(value)
    # `2026-11-24 08:30:00.5+00`, in a session whose zone is UTC.
    clock = value[11:-3] if value[-3:] == "+00" else value[11:]
    if len(clock) == SECONDS:
        return f"{value[:10]}T{clock}.000000Z"
    if len(clock) < SECONDS or clock[SECONDS] != "." or not clock[-1].isdigit() or "+" in clock or "-" in clock:
        raise ValueError("not a time in UTC")
    return f"{value[:10]}T{clock:0<15}Z"


def _date(value: object) -> JSON:
    if not isinstance(value, str):
        raise TypeError("not a date")
    return date.fromisoformat(value).isoformat()


def _object(value: object) -> JSON:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value) if isinstance(value, float) else value  # SQLite takes such a text for a number
    if not isinstance(value, str):
        raise TypeError("not JSON text")
    parsed: JSON = _exactly(value) if _LONG_NUMBER.search(value) else orjson.loads(value)
    if value.count("[") + value.count("{") > DEPTH_MAX:
        _check_depth(parsed)
    return parsed


def _exactly(value: str) -> JSON:
    """The fast parser makes floats of integers beyond 64 bits; this one takes NaN and half characters if it is let."""
    parsed: JSON = json.loads(value, parse_constant=_refuse)
    json.dumps(parsed, ensure_ascii=False).encode()
    return parsed


def _refuse(constant: str) -> JSON:
    raise ValueError(f"{constant} is no JSON")


def _check_depth(value: JSON, depth: int = 0) -> None:
    if depth > DEPTH_MAX:
        raise ValueError(f"more than {DEPTH_MAX} levels")
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
