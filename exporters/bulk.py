"""Whole columns of database values to JSON values: a few passes at C's speed instead of a call for each value.

What a pass cannot vouch for is converted one by one, with the same outcome: `CONVERTERS` are the rule.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import NoneType
from typing import Any

import orjson

from exporters.values import CONVERTERS, DECIMAL, DEPTH_MAX, LONG_DIGITS
from portability.api import JSON, FieldType

_ZONE = "+00"
_TO_SECONDS, _TO_MICROSECONDS = 22, 29
"""Characters of `2026-11-24 08:30:00+00` and of `2026-11-24 08:30:00.123456+00`."""
_DIGITS = str.maketrans("123456789", "0" * 9)
_LONG_NUMBER = "0" * LONG_DIGITS
_DECIMALS = re.compile(rf"(?:{DECIMAL.pattern}\n)*+")

_PLAIN: Mapping[FieldType, frozenset[type]] = {
    FieldType.STRING: frozenset({str, NoneType}),
    FieldType.INTEGER: frozenset({int, NoneType}),
    FieldType.BOOLEAN: frozenset({bool, NoneType}),
    FieldType.NUMBER: frozenset({float, NoneType}),
}


def converted(kind: FieldType, column: Sequence[Any]) -> Sequence[JSON]:
    """The column as JSON values, NULL as null. Raises one of NOT_JSON where one of the values is none."""
    if _are_plain(kind, column):
        return column
    present = [value for value in column if value is not None]
    values = _BULK[kind](present) if kind in _BULK and set(map(type, present)) == {str} else None
    if values is None:
        values = list(map(CONVERTERS[kind], present))
    if len(values) == len(column):
        return values
    each = iter(values)
    return [None if value is None else next(each) for value in column]


def _are_plain(kind: FieldType, column: Sequence[Any]) -> bool:
    """Whether all values of a column are JSON values of the kind as they stand."""
    types = _PLAIN.get(kind)
    if types is None or not types.issuperset(map(type, column)):
        return False
    # One NaN or infinity makes the sum one; a sum that only overflows is looked at one by one.
    return kind is not FieldType.NUMBER or math.isfinite(sum(filter(None, column)))


def _decimals(column: Sequence[str]) -> Sequence[JSON] | None:
    """Finite decimals; None: not all of them are."""
    whole = "\n".join(column) + "\n"
    return column if whole.count("\n") == len(column) and _DECIMALS.fullmatch(whole) else None


def _times(column: Sequence[str]) -> Sequence[JSON] | None:
    """Times as PostgreSQL writes them in UTC; None: not all of them are."""
    lengths = set(map(len, column))
    if lengths - {_TO_SECONDS, _TO_MICROSECONDS} or len(lengths) > 1:
        column = [value if len(value) == _TO_MICROSECONDS else _padded(value) for value in column]
    whole = "\n".join(column) + "\n"
    is_plain = whole.count(" ") == whole.count(f"{_ZONE}\n") == len(column) and "W" not in whole
    if not is_plain:
        return None
    deque(map(datetime.fromisoformat, column), maxlen=0)  # the calendar's days, and nothing but digits
    fraction = ".000000" if lengths == {_TO_SECONDS} else ""
    return whole.replace(" ", "T").replace(f"{_ZONE}\n", f"{fraction}Z\n").split("\n")[:-1]


def _padded(value: str) -> str:
    """With all six digits of its microseconds, where it is of that shape."""
    if value[-3:] != _ZONE or value[19:20] not in {".", "+"}:
        return value
    return f"{value[:19]}.{value[20:-3]:0<6}{_ZONE}"


def _objects(column: Sequence[str]) -> Sequence[JSON] | None:
    """JSON texts without long numbers, and too short for many levels."""
    if max(map(len, column)) > 2 * DEPTH_MAX or _LONG_NUMBER in "\n".join(column).translate(_DIGITS):
        return None
    return list(map(orjson.loads, column))


_BULK: Mapping[FieldType, Callable[[Sequence[str]], Sequence[JSON] | None]] = {
    FieldType.DECIMAL: _decimals,
    FieldType.DATETIME: _times,
    FieldType.OBJECT: _objects,
}
