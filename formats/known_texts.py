"""Texts of the fields that a form knows by their names, whatever types a source gave them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

from portability.api import JSON, Record

Losses: TypeAlias = Counter[str]
"""How often something in a form is not as in the records, by code."""


def texts(record: Record, name: str, losses: Losses) -> Sequence[str]:
    """Return the texts of a field, which may be one or a list; an integer is its digits. Anything else is counted."""
    value = record.get(name)
    found = [_text(one) for one in (value if isinstance(value, list | tuple) else [value])]
    left(losses, found.count(None))
    return [text for text in found if text]


def first_text(record: Record, name: str, losses: Losses) -> str:
    """Return the first text of a field, or the empty text; the others are counted."""
    first, *others = texts(record, name, losses) or [""]
    left(losses, len(others))
    return first


def left(losses: Losses, count: int = 1) -> None:
    """Count values that are only in the tables."""
    if count:
        losses["values_left"] += count


def _text(value: JSON) -> str | None:
    """Return what a person reads; empty for NULL and blanks, None for any other value."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str | None):
        return value if value and value.strip() else ""
    return None
