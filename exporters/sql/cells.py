"""A column as one text, its values joined: split, converted, and written as JSON as a whole where possible.

The result is the same as converting and encoding values one by one. Joined values are split by counting: a column
whose values contain the separator, or that JSON cannot represent, is refused and left to another reader.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from operator import eq
from typing import cast

import orjson

from exporters.maps.exact_json import LONG_DIGITS
from exporters.sql.bulk import converted
from exporters.sql.values import NOT_JSON
from portability.api import JSON, FieldType, rows

SEPARATOR = "\x1f"
_ESCAPED_SEPARATOR = "\\u001f"
_ESCAPE_EXTRA = len(_ESCAPED_SEPARATOR) - len(SEPARATOR)
_TIME = f"____-__-__ __:__:__+00{SEPARATOR}"
"""A time of whole seconds in UTC; any digit may be at an underscore."""


class NotJoined(Exception):
    """The joined values cannot be split, or cannot be converted as a whole."""


@dataclass(frozen=True, slots=True)
class Cells:
    """One column."""

    values: Sequence[JSON]
    texts: Sequence[str]
    """The values as JSON."""
    quoted: bool = False
    """Whether quotes must be added around the texts."""


def cells(kind: FieldType, joined: str, count: int, null: str) -> Cells:
    """Split and convert `count` values; `null` represents NULL and is not a value. Raises NotJoined."""
    try:
        if null in joined:
            return _with_nulls(kind, joined, count, null)
        return _CONVERT[kind](joined, count)
    except NOT_JSON:
        raise NotJoined from None


def apart(joined: str, count: int) -> list[str]:
    """Split a text into `count` cells. Raises NotJoined."""
    found = joined.split(SEPARATOR)
    if len(found) != count:
        raise NotJoined
    return found


def lines(names: Sequence[str], columns: Sequence[Cells], count: int) -> bytes:
    """Write `count` rows as `portability.api.rows.lines` does."""
    parts: list[str | Sequence[str]] = []
    before = "{"
    for name, column in zip(names, columns, strict=True):
        quote = '"' if column.quoted else ""
        parts += [f"{before}{_json(name)}:{quote}", column.texts]
        before = f"{quote},"
    return rows.interleave([*parts, f"{before[:-1]}}}\n"], count).encode()


def _with_nulls(kind: FieldType, joined: str, count: int, null: str) -> Cells:
    every = apart(joined, count)
    present = [cell for cell in every if cell != null]
    found = _CONVERT[kind](SEPARATOR.join(present), len(present)) if present else Cells((), ())
    values = iter(found.values)
    texts = map('"{}"'.format, found.texts) if found.quoted else iter(found.texts)
    return Cells(
        [None if cell == null else next(values) for cell in every],
        ["null" if cell == null else next(texts) for cell in every],
    )


def _strings(joined: str, count: int) -> Cells:
    values = apart(joined, count)
    escaped = orjson.dumps(joined)[1:-1]
    if len(escaped) == len(joined.encode()) + _ESCAPE_EXTRA * (count - 1):
        return Cells(values, values, quoted=True)  # only the separators were escaped
    texts = escaped.decode().split(_ESCAPED_SEPARATOR)
    if len(texts) != count:  # a value contains the separator
        texts = [_json(value)[1:-1] for value in values]
    return Cells(values, texts, quoted=True)


def _integers(joined: str, count: int) -> Cells:
    cells = apart(joined, count)
    values = list(map(int, cells))
    return Cells(values, cells if max(map(len, cells)) < LONG_DIGITS else list(map(_json, values)))


def _numbers(joined: str, count: int) -> Cells:
    cells = apart(joined, count)
    values = list(map(float, cells))
    if any(letter in joined for letter in "eNI"):  # an exponent, NaN, Infinity
        finite = converted(FieldType.NUMBER, values)
        return Cells(finite, list(map(_json, finite)))
    if any(len(cell.lstrip("-")) >= LONG_DIGITS and "." not in cell for cell in cells):
        raise NotJoined  # an integer that no double may represent
    # The shortest digits are the same everywhere; only integers have two notations.
    return Cells(values, [cell if "." in cell else f"{cell}.0" for cell in cells])


def _booleans(joined: str, count: int) -> Cells:
    cells = apart(joined, count)
    if set(cells) <= {"true", "false"}:
        return Cells(list(map(eq, cells, ["true"] * count)), cells)
    # A column of integers may be declared as a truth.
    values = converted(FieldType.BOOLEAN, list(map(int, cells)))
    return Cells(values, list(map(_json, values)))


def _times(joined: str, count: int) -> Cells:
    values = _whole_seconds(joined, count)
    return _written(FieldType.DATETIME, joined, count) if values is None else Cells(values, values, quoted=True)


def _whole_seconds(joined: str, count: int) -> Sequence[str] | None:
    """Return times that all have the form `2026-11-24 08:30:00+00`: the same marks at the same places."""
    whole = joined + SEPARATOR
    if len(whole) != len(_TIME) * count:
        return None
    if any(whole[at :: len(_TIME)] != mark * count for at, mark in enumerate(_TIME) if mark != "_"):
        return None
    deque(map(datetime.fromisoformat, apart(joined, count)), maxlen=0)  # a column of texts may have other letters
    return joined.replace(" ", "T").replace("+00", ".000000Z").split(SEPARATOR)


def _objects(joined: str, count: int) -> Cells:
    values = converted(FieldType.OBJECT, apart(joined, count))
    texts = _json(values)[2:-2].split("},{")
    if len(texts) != count or set(map(type, values)) != {dict}:
        return Cells(values, list(map(_json, values)))
    # If there are `count` ends of objects, none of those found is inside a value.
    return Cells(values, [f"{{{text}}}" for text in texts])


def _written(kind: FieldType, joined: str, count: int) -> Cells:
    values = cast("Sequence[str]", converted(kind, apart(joined, count)))
    return Cells(values, values, quoted=True)


def _json(value: JSON) -> str:
    return rows.text(value).decode()


_CONVERT: Mapping[FieldType, Callable[[str, int], Cells]] = {
    FieldType.STRING: _strings,
    FieldType.INTEGER: _integers,
    FieldType.NUMBER: _numbers,
    FieldType.BOOLEAN: _booleans,
    FieldType.DATETIME: _times,
    FieldType.OBJECT: _objects,
    FieldType.DECIMAL: partial(_written, FieldType.DECIMAL),
    FieldType.DATE: partial(_written, FieldType.DATE),
}
"""Converts joined values without NULL, given their number. Raises one of NOT_JSON."""
