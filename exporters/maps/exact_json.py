"""Parses JSON that a source wrote, so that no value is changed without a word (RFC 8259, sections 4 and 6)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from decimal import Decimal

import orjson

from portability.api import JSON
from portability.strict_json import has_all_names, single_names

LONG_DIGITS = 16
"""Numbers with this number of digits, the point included, may have more digits than a double represents."""
_INEXACT = re.compile(rf"[0-9][0-9.]{{{LONG_DIGITS - 1}}}|[0-9][eE][+-]?[0-9]{{3}}")
"""What each number contains that a double may not represent, and other text may contain."""
_MARKS = str.maketrans("123456789.E", "0" * 10 + "e")
_LONG = "0" * LONG_DIGITS
_EXPONENTS = ("0e000", "0e+000", "0e-000")


def parse_exactly(text: str) -> JSON:
    """Return the value of a JSON text. A number that no double represents is a text with its digits.

    Raises: ValueError for invalid JSON, DoubleName, RecursionError.
    """
    if not _INEXACT.search(text):
        parsed: JSON = orjson.loads(text)
        if has_all_names(parsed, text):
            return parsed
    return _parse_slowly(text)


def parse_column(texts: Sequence[str]) -> Sequence[JSON] | None:
    """Return the values of JSON texts with a few fast passes; None if each has to be parsed on its own.

    Raises: ValueError for invalid JSON.
    """
    whole = "\n".join(texts)
    marks = whole.translate(_MARKS)
    if _LONG in marks or any(exponent in marks for exponent in _EXPONENTS):
        return None
    values: list[JSON] = list(map(orjson.loads, texts))
    return values if has_all_names(values, whole) else None


def exact_number(digits: str) -> float | str:
    """Return a number with a point or an exponent as a double; as the text itself if no double represents it."""
    number = float(digits)
    try:
        return number if Decimal(digits) in {Decimal(repr(number)), Decimal(number)} else digits
    except ArithmeticError:  # an exponent of 20 digits
        return digits


def double(value: float | Decimal) -> float:
    """Return a number as a double, which rounds fractions. Raises ValueError for an integer or size that it lacks."""
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or (isinstance(value, int) and number != value) or (value and not number):
        raise ValueError("no double represents it")
    return number


def refuse_constant(name: str) -> JSON:
    """Refuse NaN and Infinity, which Python's parser takes. Raises ValueError."""
    raise ValueError(f"{name} is not JSON")


def _parse_slowly(text: str) -> JSON:
    parsed: JSON = json.loads(
        text, parse_float=exact_number, parse_constant=refuse_constant, object_pairs_hook=single_names
    )
    json.dumps(parsed, ensure_ascii=False).encode()  # this parser takes lone surrogates
    return parsed
