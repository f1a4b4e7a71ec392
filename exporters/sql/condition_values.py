"""Values of conditions, as columns of each type are compared with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from math import inf
from struct import pack, unpack
from typing import Any, NoReturn, TypeAlias
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    Enum,
    Float,
    Integer,
    Numeric,
    String,
    Uuid,
    literal,
    type_coerce,
)
from sqlalchemy.dialects.mysql import YEAR
from sqlalchemy.dialects.postgresql import DOMAIN
from sqlalchemy.types import NullType, TypeEngine

from exporters.sql.columns import IntegerTruth, Single, SourceTime
from exporters.sql.identifiers import plain_type
from exporters.sql.moments import NO_DAY, utc_text
from exporters.sql.values import WITHOUT_CHARACTERS

Scalar: TypeAlias = bool | int | float | str
"""A value of a condition, as a map writes it."""
WRITTEN_AS_TEXTS = (Enum, String, Uuid, DateTime, Date, *WITHOUT_CHARACTERS)
"""Types of columns whose values a map writes as texts."""
WITH_ZONE = "a time with its time zone"
NO_DATE = "a date that exists: for days of zeros write `null = true`, for all others `null = false`"


def compared(column: ColumnElement[Any], values: Sequence[Scalar]) -> tuple[ColumnElement[Any], Sequence[Any]]:
    """Return a column and the values of a condition, as both can be compared. Raises as `condition_value`."""
    if isinstance(column.type, IntegerTruth | YEAR):
        column = type_coerce(column, Integer)
    kind = plain_type(column.type)
    found = [condition_value(column.type, value) for value in values]
    if isinstance(kind, Integer):
        # The database refuses a parameter of a smaller column's type that is larger.
        found = [literal(value, BigInteger()) for value in found]
    if isinstance(column.type, DOMAIN):
        column = type_coerce(column, kind)  # a parameter of the domain would have to fulfil its conditions
    return utc_text(column) if isinstance(column.type, SourceTime) else column, found


def condition_value(column_type: TypeEngine[Any], value: Scalar, *, is_single: bool = False) -> Any:  # noqa: ANN401  # of the type of the column
    """Return a value of a condition as a column of this type has it; `is_single`: a number of single precision.

    Raises: ValueError, which says what the value must be.
    """
    kind = Integer() if isinstance(column_type, IntegerTruth) else plain_type(column_type)
    if isinstance(kind, Boolean):
        return _truth(value)
    if isinstance(kind, Integer | Numeric | Float):
        return _number(kind, value, is_single=is_single or isinstance(kind, Single))
    if isinstance(kind, NullType):  # SQLite compares values of any type
        return value
    if isinstance(kind, YEAR):
        return _number(Integer(), value)
    if not isinstance(kind, WRITTEN_AS_TEXTS):
        _refuse("left out: conditions compare no values of this type")
    return _parsed(kind, value) if isinstance(value, str) else _refuse("a text")


def _truth(value: Scalar) -> bool:
    if value in (0, 1):  # True is 1
        return bool(value)
    raise ValueError("true or false")


def _number(
    kind: Integer | Numeric[Any] | Float[Any], value: Scalar, *, is_single: bool = False
) -> int | float | Decimal:
    if isinstance(kind, Integer):
        if isinstance(value, int):
            return int(value)
        raise ValueError("an integer")
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise ValueError("a number") from None
    if is_single and _single(float(number)) != number:
        raise ValueError("a number that single precision has, such as 0.5")
    return float(number) if isinstance(kind, Float) else number


def _single(number: float) -> float:
    """Return the number of single precision next to a double."""
    try:
        (found,) = unpack("f", pack("f", number))
    except OverflowError:
        return inf
    return float(found)


def _refuse(what: str) -> NoReturn:
    raise ValueError(what)


def _parsed(kind: TypeEngine[Any], value: str) -> str | bytes | date:
    if isinstance(kind, Enum) and value not in kind.enums:
        _refuse(f"one of {', '.join(kind.enums)}")
    if isinstance(kind, String):
        return value
    if isinstance(kind, WITHOUT_CHARACTERS):
        return value.encode()
    if isinstance(kind, Uuid):
        return str(_read(UUID, value, "a UUID"))
    if value.startswith(NO_DAY):
        _refuse(NO_DATE)
    if isinstance(kind, DateTime):
        moment: datetime = _read(datetime.fromisoformat, value, WITH_ZONE)
        return moment if moment.tzinfo else _refuse(WITH_ZONE)
    day: date = _read(date.fromisoformat, value, "a date")
    return day


def _read(parse: Any, value: str, what: str) -> Any:  # noqa: ANN401  # whatever it makes
    try:
        return parse(value)
    except ValueError:
        raise ValueError(what) from None
