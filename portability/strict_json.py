"""Parses JSON that another program wrote, and refuses a name twice in one object.

Parsers keep the first or the last of the values (RFC 8259, section 4): what one program checks another may not read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

import orjson

Value = TypeVar("Value")
_QUOTE, _ESCAPED_QUOTE = '"', r"\u0022"


class DoubleName(ValueError):
    """An object has a name twice."""


def parse(text: bytes | str) -> Any:  # noqa: ANN401  # any JSON value
    """Return the value of a JSON text in UTF-8.

    Raises: ValueError for invalid JSON, NaN and Infinity included, and for JSON that is too deep; DoubleName.
    """
    value = orjson.loads(text)
    if not has_all_names(value, text):
        try:
            json.loads(text, object_pairs_hook=single_names)
        except RecursionError:
            raise ValueError("the JSON is too deep") from None
    return value


def has_all_names(value: object, text: bytes | str) -> bool:
    """Return whether a value has all names and texts of the JSON that it was parsed from.

    A parser drops a name that an object has twice, and its quotes with it. False may also mean that the text
    writes a quote in its other form, or is deeper than can be compared.
    """
    try:
        kept = orjson.dumps(value).count(_QUOTE.encode())
    except orjson.JSONEncodeError:  # more than 254 levels
        return False
    if isinstance(text, bytes):
        return _ESCAPED_QUOTE.encode() not in text and text.count(_QUOTE.encode()) == kept
    return _ESCAPED_QUOTE not in text and text.count(_QUOTE) == kept


def single_names(pairs: Sequence[tuple[str, Value]]) -> dict[str, Value]:
    """Return the members of an object. Raises DoubleName."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise DoubleName("an object has a name twice")
    return members
