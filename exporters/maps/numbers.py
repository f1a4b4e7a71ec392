"""Numbers that a source writes, also in texts: Python's own functions read more than any interface writes."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
DIGITS_MOST = 4_200
"""Digits of a number: `1e999999999` would fill the memory of a worker."""
INTEGER = re.compile(r"[+-]?[0-9]+")
"""Whole numbers in texts."""


def number(value: Any) -> Decimal:  # noqa: ANN401  # any JSON value
    """Return a number, or that of a text. Raises ValueError, TypeError, also for `1_000`, NaN, true and lists."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise TypeError
    text = str(value).strip()
    if isinstance(value, str) and not _NUMBER.fullmatch(text):
        raise ValueError
    return Decimal(text)


def short(value: Decimal) -> Decimal:
    """Return a finite number that has no more digits without its exponent than a format writes. Raises ValueError.

    Nothing else becomes an integer or is written without its exponent.
    """
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or max(value.adjusted(), -exponent) > DIGITS_MOST:
        raise ValueError("a number has too many digits")
    return value


def integer(text: str) -> int:
    """Return the integer of a text. Raises ValueError, also for `1_000` and digits of other scripts."""
    if not INTEGER.fullmatch(text.strip()):
        raise ValueError
    return int(text)
