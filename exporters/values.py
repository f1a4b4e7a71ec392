"""From database values to JSON values: exact, or not at all."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeAlias, cast

from sqlalchemy import Boolean, Date, DateTime, Float, Integer, Numeric, types
from sqlalchemy.types import TypeDecorator, TypeEngine

from portability.api import JSON, FieldType

Converter: TypeAlias = Callable[[object], JSON]
"""Takes a value that is not NULL; raises one of NOT_JSON where JSON cannot carry it, NaN and bytes for example."""

NOT_JSON = (TypeError, ValueError, RecursionError)

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


def field_type(column: TypeEngine[Any]) -> FieldType:
    """The type of a field that a column of this type becomes; text where nothing else fits."""
    plain = column.impl_instance if isinstance(column, TypeDecorator) else column
    return next((field for kind, field in FIELD_TYPES if isinstance(plain, kind)), FieldType.STRING)


def rfc3339(value: datetime) -> str:
    """A time in UTC with its microseconds: `2026-11-24T08:30:00.123456Z` (RFC 3339 section 5.6)."""
    if value.tzinfo is None:
        raise ValueError("a time without zone")
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def bytes_of(record: Mapping[str, JSON]) -> int:
    """About how many bytes the record has as JSON: enough to bound a batch."""
    return sum(len(name) + len(value if isinstance(value, str) else str(value)) + 6 for name, value in record.items())


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
    if not isinstance(value, Decimal) or not value.is_finite():
        raise ValueError("not a finite decimal")
    return format(value, "f")


def _boolean(value: object) -> JSON:
    if not isinstance(value, bool):
        raise TypeError("not a boolean")
    return value


def _datetime(value: object) -> JSON:
    if not isinstance(value, datetime):
        raise TypeError("not a time")
    return rfc3339(value)


def _date(value: object) -> JSON:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise TypeError("not a date")
    return value.isoformat()


def _object(value: object) -> JSON:
    # Python's parser takes NaN and lone surrogates, which no other JSON reader does: the encoder finds them.
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    return cast("JSON", value)


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
