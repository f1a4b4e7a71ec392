"""Converts JSON values to database values: exactly, or not at all. The reverse is exporters/sql/values.py."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any, TypeAlias

from sqlalchemy import BigInteger, Column, null

from exporters.sql.values import field_type
from portability.api import JSON, FieldType

Converter: TypeAlias = Callable[[JSON], Any]

DEPTH_MAX = 200
"""Nesting of lists and objects: the same limit as in our own writer."""
DECIMAL = re.compile(r"-?[0-9]{1,1000}(\.[0-9]{1,1000})?")
INTEGER = re.compile(r"-?[0-9]{1,20}")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
BITS = {"integer": 31, "bigint": 63}


class Reason(StrEnum):
    """Why a record is refused; docs/importing.md explains each."""

    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    NO_ID = "no_id"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    NUL_CHARACTER = "nul_character"
    MISSING_VALUE = "missing_value"
    HOOK_FAILED = "hook_failed"


class Refused(ValueError):
    """A value that its column cannot store exactly."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


@cache
def kind_of(column: Column[Any]) -> FieldType:
    """Return the field type for a column; cached for all columns of the schema."""
    return field_type(column.type)


def column_value(column: Column[Any], value: JSON, dialect: str) -> Any:  # noqa: ANN401  # whatever the column's type takes
    """Return the value in the form for the column. Raises Refused."""
    kind = kind_of(column)
    if value is None:
        if not column.nullable:
            raise Refused(Reason.MISSING_VALUE)
        # None would become JSON's own null, which differs from NULL.
        return null() if kind is FieldType.OBJECT else None
    converted = CONVERTERS[kind](value)
    if kind is FieldType.INTEGER and not _fits(converted, column, dialect):
        raise Refused(Reason.OUT_OF_RANGE)
    if dialect == "postgresql" and kind in (FieldType.STRING, FieldType.OBJECT) and _has_nul(converted):
        raise Refused(Reason.NUL_CHARACTER)
    return converted


def is_same(column: Column[Any], stored: object, value: object) -> bool:
    """Return whether a stored value equals the one to write: digit by digit, and true is not 1."""
    absent = value is None or value is NULL
    if stored is None or absent:
        return stored is None and absent
    if isinstance(stored, Decimal) and isinstance(value, Decimal):
        return format(stored, "f") == format(value, "f")
    if kind_of(column) is FieldType.OBJECT:
        return canonical(stored) == canonical(value)
    return stored == value


def canonical(value: object) -> str:
    """Return one text for each JSON value, independent of name order and of 1.0 versus 1 (RFC 8785)."""
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _plain(value: object) -> object:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


def _fits(value: int, column: Column[Any], dialect: str) -> bool:
    bits = BITS["integer" if dialect == "postgresql" and not isinstance(column.type, BigInteger) else "bigint"]
    return -(1 << bits) <= value < 1 << bits


def _has_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, Mapping):
        return any(_has_nul(name) or _has_nul(inner) for name, inner in value.items())
    return isinstance(value, list) and any(map(_has_nul, value))


def _text(value: JSON) -> str:
    if not isinstance(value, str):
        raise Refused(Reason.WRONG_TYPE)
    return value


def _integer(value: JSON) -> int:
    """Parse an integer; beyond 2^53 - 1 it is a text."""
    if isinstance(value, str) and INTEGER.fullmatch(value):
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused(Reason.WRONG_TYPE)
    return value


def _number(value: JSON) -> float:
    number = value if isinstance(value, float) else float(_integer(value))
    if not math.isfinite(number):
        raise Refused(Reason.OUT_OF_RANGE)
    return number


def _decimal(value: JSON) -> Decimal:
    if not isinstance(value, str) or not DECIMAL.fullmatch(value):
        raise Refused(Reason.WRONG_TYPE)
    return Decimal(value)


def _boolean(value: JSON) -> bool:
    if not isinstance(value, bool):
        raise Refused(Reason.WRONG_TYPE)
    return value


def _datetime(value: JSON) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(value))
    except ValueError:
        raise Refused(Reason.WRONG_TYPE) from None
    if moment.tzinfo is None:
        raise Refused(Reason.WRONG_TYPE)
    return moment


def _date(value: JSON) -> date:
    if not isinstance(value, str) or not DATE.fullmatch(value):
        raise Refused(Reason.WRONG_TYPE)
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise Refused(Reason.WRONG_TYPE) from None


def _object(value: JSON, depth: int = 0) -> JSON:
    if depth > DEPTH_MAX:
        raise Refused(Reason.OUT_OF_RANGE)
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused(Reason.OUT_OF_RANGE)
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for one in inner:
        _object(one, depth + 1)
    return value


NULL = null()
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
