"""Converts values of answers to the types that a map declares. A value that does not fit becomes null, with a gap."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from exporters.http import times
from exporters.http.forms import TimesForm
from portability.api import JSON, FieldType
from portability.api.times import microseconds

WORDS = {"true": True, "false": False}


def converter(kind: FieldType, form: TimesForm) -> Callable[[Any], JSON]:
    """Return the function that returns a value in its declared type; an empty text is null for all types except texts.

    It raises ValueError, without the value in its message.
    """
    if kind is FieldType.DATETIME:
        return lambda value: None if value in (None, "") else microseconds(times.parse(value, form.format, form.zone))
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
    return int(value)


def _number(value: Any) -> int | float:  # noqa: ANN401  # as above
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, int):
        return value
    found = float(value)
    if not math.isfinite(found):
        raise ValueError(found)
    return found


def _decimal(value: Any) -> str:  # noqa: ANN401  # as above
    if isinstance(value, bool):
        raise TypeError
    found = Decimal(value)
    if not found.is_finite():
        raise ValueError(found)
    return f"{found:f}"


def _boolean(value: Any) -> bool:  # noqa: ANN401  # as above
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in WORDS:
        return WORDS[value.lower()]
    if value in (0, 1):
        return bool(value)
    raise TypeError


def _date(value: Any) -> str:  # noqa: ANN401  # as above
    return date.fromisoformat(value[:10]).isoformat()


def plain(value: Any) -> JSON:  # noqa: ANN401  # as above
    """Return a value with floats in place of Decimal, as JSON means its numbers."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, str):
        value.encode()
        return value
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
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
