"""Checks whether a value has the type of its field."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation

from portability.api import JSON, FieldType

DATETIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def is_of(kind: FieldType, value: JSON) -> bool:
    """Return whether a field of this type may have the value; NULL is allowed in every field."""
    return value is None or VALUES[kind](value)


def _is_datetime(value: JSON) -> bool:
    try:
        return isinstance(value, str) and bool(DATETIME.fullmatch(value)) and bool(datetime.fromisoformat(value))
    except ValueError:
        return False


def _is_date(value: JSON) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _is_decimal(value: JSON) -> bool:
    try:
        return isinstance(value, str) and Decimal(value).is_finite()
    except InvalidOperation:
        return False


def _is_json(value: object) -> bool:
    if isinstance(value, str):
        return value.isascii() or not LONE_SURROGATE.search(value)
    if isinstance(value, Mapping):
        return all(_is_json(key) and isinstance(key, str) and _is_json(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_json, value))
    return value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))


VALUES: Mapping[FieldType, Callable[[JSON], bool]] = {
    FieldType.STRING: lambda value: isinstance(value, str) and _is_json(value),
    FieldType.INTEGER: lambda value: isinstance(value, int) and not isinstance(value, bool),
    FieldType.NUMBER: lambda value: isinstance(value, float) and math.isfinite(value),
    FieldType.DECIMAL: _is_decimal,
    FieldType.BOOLEAN: lambda value: isinstance(value, bool),
    FieldType.DATETIME: _is_datetime,
    FieldType.DATE: _is_date,
    FieldType.OBJECT: _is_json,
}
