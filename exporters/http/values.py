"""Converts values of answers to the types that a map declares. A value that does not fit becomes null, with a gap."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from exporters.http.moments import SourceMoments
from exporters.maps import times
from exporters.maps.exact_json import double, exact_number
from exporters.maps.forms import TimesForm
from exporters.maps.numbers import integer, number, short
from portability.api import JSON, SAFE_INTEGER, FieldType
from portability.api.times import microseconds

DEPTH_MOST = 200
"""Levels within a value, as the host counts them."""
_TIME = re.compile(r"(?<=[0-9])[Tt ][0-9]{2}:?[0-9]{2}[0-9:.,]*\s?(?:[A-Za-z]{1,5}|[+-][0-9:]{2,6})?\Z")
WORDS = {"true": True, "false": False}


def converter(kind: FieldType, form: TimesForm) -> Callable[[Any], JSON]:
    """Return the function that returns a value in its declared type; an empty text is null for all types except texts.

    It raises ValueError, without the value in its message.
    """
    moments = SourceMoments(form)
    if kind is FieldType.DATETIME:
        return lambda value: microseconds(at) if (at := moments.read(value)) else None
    if kind is FieldType.DATE and (form.format != "rfc3339" or form.unset):
        return lambda value: None if value in (None, "") or moments.is_unset(value) else _day(value, form)
    convert, is_text = _CONVERTERS[kind], kind is FieldType.STRING

    def converted(value: Any) -> JSON:  # noqa: ANN401  # any JSON value
        if value is None or (value == "" and not is_text):
            return None
        try:
            return convert(value)
        except (ValueError, TypeError, ArithmeticError):
            raise ValueError(f"it is not of the type {kind}") from None

    return converted


def _text(value: Any) -> str:  # noqa: ANN401  # as above
    if isinstance(value, str):
        value.encode()  # a lone surrogate is not text
        return value
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise TypeError
    return str(value)


def _integer(value: Any) -> int:  # noqa: ANN401  # as above
    if isinstance(value, bool) or (isinstance(value, Decimal) and value != value.to_integral_value()):
        raise TypeError
    return integer(value) if isinstance(value, str) else int(short(number(value)))


def _number(value: Any) -> int | float:  # noqa: ANN401  # as above
    found = number(value)
    if isinstance(value, int):
        rounded = double(value)
        return value if abs(value) <= SAFE_INTEGER else rounded
    return double(found)


def _decimal(value: Any) -> str:  # noqa: ANN401  # as above
    return f"{short(number(value)):f}"


def _boolean(value: Any) -> bool:  # noqa: ANN401  # as above
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in WORDS:
        return WORDS[value.lower()]
    if value in (0, 1):
        return bool(value)
    raise TypeError


def _date(value: Any) -> str:  # noqa: ANN401  # as above
    # Of a time the day is taken, by the zone in which it is written; other text behind a day may be another day.
    day = _TIME.sub("", value)
    return date.fromisoformat(day).isoformat()


def _day(value: Any, form: TimesForm) -> str:  # noqa: ANN401  # as above
    """Return the day of a time in the format of the source, or a day that is written as such. Raises ValueError."""
    try:
        return times.day(value, form.format, form.zone).isoformat()
    except ValueError as error:
        try:
            return _date(value)
        except (ValueError, TypeError):
            raise error from None


def plain(value: Any, depth: int = DEPTH_MOST) -> JSON:  # noqa: ANN401  # as above
    """Return a value without Decimal: a double, or a text where no double is this number. Raises ValueError."""
    if depth < 0:
        raise ValueError("it is nested too deeply")
    if isinstance(value, Decimal):
        return exact_number(str(value))
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return {_text(name): plain(inner, depth - 1) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner, depth - 1) for inner in value]
    checked: JSON = value
    return checked


_CONVERTERS: Mapping[FieldType, Callable[[Any], JSON]] = {
    FieldType.STRING: _text,
    FieldType.INTEGER: _integer,
    FieldType.NUMBER: _number,
    FieldType.DECIMAL: _decimal,
    FieldType.BOOLEAN: _boolean,
    FieldType.DATE: _date,
    FieldType.OBJECT: plain,
}
