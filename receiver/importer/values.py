"""Converts JSON values to database values: exactly, or not at all. The reverse is exporters/sql/values.py."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
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
BEYOND_MICROSECONDS = re.compile(r"[.,][0-9]{6}0*[1-9]")
"""Digits of a time that Python and the databases cut."""
BITS = {"integer": 31, "bigint": 63}


class Reason(StrEnum):
    """Why a record is refused; docs/importing.md explains each."""

    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    DOUBLE_NAME = "double_name"
    NO_ID = "no_id"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    NUL_CHARACTER = "nul_character"
    MISSING_VALUE = "missing_value"
    NOT_EXACT = "not_exact"
    CONSTRAINT = "constraint"
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


@cache
def converter_of(column: Column[Any], dialect: str) -> Converter:
    """Return the function that converts a JSON value for a column, or raises Refused; cached for the schema."""
    kind, is_nullable = kind_of(column), column.nullable
    checked = _checked(column, kind, dialect)

    def converted(value: JSON) -> Any:  # noqa: ANN401  # whatever the column's type takes
        if value is not None:
            return checked(value)
        if not is_nullable:
            raise Refused(Reason.MISSING_VALUE)
        return None

    return converted


def _checked(column: Column[Any], kind: FieldType, dialect: str) -> Converter:
    """Return the conversion to a type, with the limits of the database."""
    convert = CONVERTERS[kind]
    if kind is FieldType.INTEGER:
        bits = BITS["integer" if dialect == "postgresql" and not isinstance(column.type, BigInteger) else "bigint"]
        lowest, highest = -(1 << bits), (1 << bits) - 1

        def within(value: JSON) -> int:
            number: int = convert(value)
            if not lowest <= number <= highest:
                raise Refused(Reason.OUT_OF_RANGE)
            return number

        return within
    if dialect != "postgresql":
        return convert
    if kind is FieldType.DECIMAL:
        return lambda value: _without_sign_of_zero(convert(value))
    if kind not in {FieldType.STRING, FieldType.OBJECT}:
        return convert

    return _text_without_nul if kind is FieldType.STRING else _object_without_nul


def bindable(column: Column[Any], value: object) -> Any:  # noqa: ANN401  # what the column takes
    """Return the value as a parameter of a statement: None would become JSON's own null, which differs from NULL."""
    return null() if value is None and kind_of(column) is FieldType.OBJECT else value


def is_same(column: Column[Any], stored: object, value: object) -> bool:
    """Return whether a stored value equals the one to write: digit by digit, and true is not 1."""
    if stored is None or value is None:
        return stored is None and value is None
    if isinstance(stored, Decimal | float | int) and isinstance(value, Decimal):
        return format(Decimal(stored), "f") == format(value, "f")  # a column of another type has other digits
    if kind_of(column) is FieldType.OBJECT:
        return canonical(stored) == canonical(value)
    if isinstance(stored, float) and isinstance(value, float) and math.isnan(stored):
        return math.isnan(value)
    return stored == value


def canonical(value: object) -> str:
    """Return one text for each JSON value, independent of name order and of 1.0 versus 1 (RFC 8785)."""
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _plain(value: object) -> object:
    if isinstance(value, float) and value.is_integer():
        return int(Decimal(repr(value)))  # as PostgreSQL reads a float: not all digits of its binary value
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


def _text(value: JSON) -> str:
    if not isinstance(value, str):
        raise Refused(Reason.WRONG_TYPE)
    return value


def _text_without_nul(value: JSON) -> str:
    if not isinstance(value, str):
        raise Refused(Reason.WRONG_TYPE)
    if "\0" in value:
        raise Refused(Reason.NUL_CHARACTER)
    return value


def _object_without_nul(value: JSON) -> JSON:
    if _has_nul(_object(value)):
        raise Refused(Reason.NUL_CHARACTER)
    return value


def _has_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(name) or _has_nul(inner) for name, inner in value.items())
    return isinstance(value, list) and any(map(_has_nul, value))


def _integer(value: JSON) -> int:
    """Parse an integer; beyond 2^53 - 1 it is a text."""
    if isinstance(value, str) and INTEGER.fullmatch(value):
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused(Reason.WRONG_TYPE)
    return value


def _number(value: JSON) -> float:
    exact = value if isinstance(value, float) else _integer(value)
    if not math.isfinite(number := float(exact)) or number != exact:
        raise Refused(Reason.OUT_OF_RANGE)
    return number


def _decimal(value: JSON) -> Decimal:
    if not isinstance(value, str) or not DECIMAL.fullmatch(value):
        raise Refused(Reason.WRONG_TYPE)
    return Decimal(value)


def _without_sign_of_zero(value: Decimal) -> Decimal:
    return value or value.copy_abs()


def _boolean(value: JSON) -> bool:
    if not isinstance(value, bool):
        raise Refused(Reason.WRONG_TYPE)
    return value


def _datetime(value: JSON) -> datetime:
    text = _text(value)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(Reason.WRONG_TYPE) from None
    if BEYOND_MICROSECONDS.search(text):
        raise Refused(Reason.OUT_OF_RANGE)
    if moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None:
        raise Refused(Reason.WRONG_TYPE)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise Refused(Reason.OUT_OF_RANGE) from None


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
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        _object(one, depth + 1)
    return value


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
