"""Columns: the values of one field in all items of a page, found and converted together.

The items of a page have one form. Where all values of a column have the declared type already, a look at the set of
their types is enough; the values of other columns are converted one by one, as `exporters.http.values` says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import NoneType
from typing import Any, TypeAlias

import orjson

from exporters.http.expressions import column_finder, finder
from exporters.http.forms import HttpFieldForm
from exporters.http.matching import PARENT
from exporters.http.values import DEPTH_MOST, converter
from exporters.maps.exact_json import double
from exporters.maps.forms import TimesForm
from portability.api import JSON, SAFE_INTEGER, FieldType, Record

Column: TypeAlias = tuple[Sequence[JSON], Sequence[int]]
"""The values of a field, one for each item, and the numbers of the items whose value cannot be converted (None)."""
ColumnReader: TypeAlias = Callable[[Sequence[Any], Record], Column]
"""Reads a field from the items of a page and the record of their parent."""

_UTC = re.compile(r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z\n)*")
_LEVELS = 260
"""More than orjson takes. A value is within the lists that `DEPTH_MOST` lacks: the slow way counts deeper values."""
_SECONDS = len("2026-11-24T08:30:00")


def column_reader(at: str, one: HttpFieldForm, source_times: TimesForm) -> ColumnReader:
    """Return the reader of a field whose value is at an expression, or at `parent:` and a field of the parent."""
    form = source_times.model_copy(update={"format": one.time}) if one.time else source_times
    convert = converter(one.type, form)
    if at.startswith(PARENT):
        return _parent_reader(at.removeprefix(PARENT), _same if one.type is FieldType.DATETIME else convert)
    find, find_column, convert_column = finder(at), column_finder(at), _column_converter(one.type, form)

    def read(items: Sequence[Any], _parent: Record) -> Column:
        try:
            if (values := convert_column(find_column(items))) is not None:
                return values, ()
        except ValueError:
            pass  # of one value at least
        return _each(items, lambda item: convert(find(item)))

    return read


def _parent_reader(name: str, convert: Callable[[Any], JSON]) -> ColumnReader:
    return lambda items, parent: _each(items, lambda _item: convert(parent.get(name)))


def _same(value: JSON) -> JSON:
    """Return a time of the parent: it is converted already."""
    return value


def _each(items: Sequence[Any], read: Callable[[Any], JSON]) -> Column:
    values: list[JSON] = []
    faulty = []
    for number, item in enumerate(items):
        try:
            values.append(read(item))
        except ValueError:
            values.append(None)
            faulty.append(number)
    return values, faulty


def _column_converter(kind: FieldType, form: TimesForm) -> Callable[[Sequence[Any]], Sequence[JSON] | None]:
    """Return the function that converts a column at once.

    It returns None, or raises ValueError, for a column whose values have to be converted one by one.
    """
    if kind is FieldType.DATETIME and (form.format != "rfc3339" or form.unset):
        return _none
    return _CONVERTERS.get(kind, _none)


def _none(_values: Sequence[Any]) -> None:
    """Convert no column: each value has to be looked at."""


def _texts(values: Sequence[Any]) -> Sequence[JSON] | None:
    if not {str, NoneType}.issuperset(map(type, values)):
        return None
    "".join(filter(None, values)).encode()  # a lone surrogate is not text
    return values


def _integers(values: Sequence[Any]) -> Sequence[JSON] | None:
    return values if {int, NoneType}.issuperset(map(type, values)) else None


def _booleans(values: Sequence[Any]) -> Sequence[JSON] | None:
    return values if {bool, NoneType}.issuperset(map(type, values)) else None


def _numbers(values: Sequence[Any]) -> Sequence[JSON] | None:
    if not {int, Decimal, NoneType}.issuperset(map(type, values)):
        return None
    if any(type(value) is int and abs(value) > SAFE_INTEGER for value in values):
        return None
    return [double(value) if type(value) is Decimal else value for value in values]


def _objects(values: Sequence[Any]) -> Sequence[JSON] | None:
    nested: Sequence[Any] = values
    for _ in range(_LEVELS - DEPTH_MOST):
        nested = [nested]
    try:
        orjson.dumps(nested)
    except TypeError:  # a Decimal, a lone surrogate, or too many levels
        return None
    return values if "" not in values else [None if value == "" else value for value in values]


def _times(values: Sequence[Any]) -> Sequence[JSON] | None:
    """Return times that are in UTC already with six digits of a second."""
    if not {str, NoneType}.issuperset(map(type, values)):
        return None
    stated = list(filter(None, values))
    text = "\n".join([*stated, ""])
    if not _UTC.fullmatch(text):
        return None
    list(map(datetime.fromisoformat, stated))  # a time that does not exist raises ValueError
    if "." in text:
        full = [f"{value[:_SECONDS]}.{value[_SECONDS + 1 : -1]:0<6}Z" for value in stated]
    else:
        full = text.replace("Z", ".000000Z").splitlines()
    left = iter(full)
    return full if len(full) == len(values) else [next(left) if value else None for value in values]


_CONVERTERS: Mapping[FieldType, Callable[[Sequence[Any]], Sequence[JSON] | None]] = {
    FieldType.STRING: _texts,
    FieldType.INTEGER: _integers,
    FieldType.NUMBER: _numbers,
    FieldType.BOOLEAN: _booleans,
    FieldType.OBJECT: _objects,
    FieldType.DATETIME: _times,
}
