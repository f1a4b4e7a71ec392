"""Converts whole columns of database values to JSON values: a few fast passes instead of a call for each value.

Columns that a pass cannot convert safely are converted value by value with the same result: `CONVERTERS` define it.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import NoneType
from typing import Any

from exporters.maps.exact_json import parse_column
from exporters.sql.values import CONVERTERS, DECIMAL, DEPTH_MAX
from portability.api import JSON, FieldType

_ZONE = "+00"
_TO_SECONDS, _TO_MICROSECONDS = 22, 29
"""Lengths of `2026-11-24 08:30:00+00` and of `2026-11-24 08:30:00.123456+00`."""
_MARKS: Mapping[int, Sequence[tuple[int, str]]] = {
    _TO_SECONDS: tuple((at, mark) for at, mark in enumerate("____-__-__ __:__:__+00") if mark != "_"),
    _TO_MICROSECONDS: tuple((at, mark) for at, mark in enumerate("____-__-__ __:__:__.______+00") if mark != "_"),
}
"""By length, what all have at the same places: the library reads other forms, too."""
_DECIMALS = re.compile(rf"(?:{DECIMAL.pattern}\n)*+")

_PLAIN: Mapping[FieldType, frozenset[type]] = {
    FieldType.STRING: frozenset({str, NoneType}),
    FieldType.INTEGER: frozenset({int, NoneType}),
    FieldType.BOOLEAN: frozenset({bool, NoneType}),
    FieldType.NUMBER: frozenset({float, NoneType}),
}


def converted(kind: FieldType, column: Sequence[Any]) -> Sequence[JSON]:
    """Return the column as JSON values, NULL as null. Raises one of NOT_JSON if a value is not valid."""
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
    """Return whether all values of a column already are JSON values of the kind."""
    types = _PLAIN.get(kind)
    if types is None or not types.issuperset(map(type, column)):
        return False
    # A NaN or infinity makes the sum NaN or infinite; if the sum only overflows, values are checked one by one.
    return kind is not FieldType.NUMBER or math.isfinite(sum(filter(None, column)))


def _decimals(column: Sequence[str]) -> Sequence[JSON] | None:
    """Return finite decimals; None if a value is not one."""
    whole = "\n".join(column) + "\n"
    return column if whole.count("\n") == len(column) and _DECIMALS.fullmatch(whole) else None


def _times(column: Sequence[str]) -> Sequence[JSON] | None:
    """Return times that PostgreSQL has written in UTC; None if a value is not one."""
    lengths = set(map(len, column))
    if lengths - {_TO_SECONDS, _TO_MICROSECONDS} or len(lengths) > 1:
        column = [value if len(value) == _TO_MICROSECONDS else _padded(value) for value in column]
    whole = "\n".join(column) + "\n"
    length = len(column[0])
    marks = _MARKS.get(length, ()) if set(map(len, column)) == {length} else ()
    if not marks or any(whole[at :: length + 1] != mark * len(column) for at, mark in marks):
        return None
    deque(map(datetime.fromisoformat, column), maxlen=0)  # checks the calendar, and that all others are digits
    fraction = ".000000" if lengths == {_TO_SECONDS} else ""
    return whole.replace(" ", "T").replace(f"{_ZONE}\n", f"{fraction}Z\n").split("\n")[:-1]


def _padded(value: str) -> str:
    """Return a time with six digits of microseconds, if it has that form."""
    if value[-3:] != _ZONE or value[19:20] not in {".", "+"}:
        return value
    return f"{value[:19]}.{value[20:-3]:0<6}{_ZONE}"


def _objects(column: Sequence[str]) -> Sequence[JSON] | None:
    """Return JSON texts that can be parsed at once and are too short for many levels; None otherwise."""
    return None if max(map(len, column)) > 2 * DEPTH_MAX else parse_column(column)


_BULK: Mapping[FieldType, Callable[[Sequence[str]], Sequence[JSON] | None]] = {
    FieldType.DECIMAL: _decimals,
    FieldType.DATETIME: _times,
    FieldType.OBJECT: _objects,
}
