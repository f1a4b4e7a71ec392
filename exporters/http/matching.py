"""Comparison of answers with what was asked: a filter of a source is not a wall.

Look-ups of sources find substrings, other spellings and similar letters, and some ignore an unknown filter. So every
answer is compared again: addresses by their normal form, phone numbers by all digits with the country code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from types import NoneType
from typing import Any

from exporters.http.expressions import column_finder, find_all
from exporters.http.forms import KeepForm
from exporters.http.templates import Names
from exporters.http.values import WORDS
from portability.api import JSON, SAFE_INTEGER, Record
from portability.people.addresses import EMAIL, PHONE, normal, phone

PARENT = "parent:"
"""Prefix of a value that comes from the record of the parent."""


def is_same(kind: str, asked: str, found: Any) -> bool:  # noqa: ANN401  # any JSON value
    """Return whether a value of an answer is the asked identity of a kind.

    A source may give a number without `+`: then all its digits must be those of the asked number, not its last digits.
    """
    text = id_text(found) or ""
    if text and asked in {text, str(found)}:
        return True
    if not text or kind not in {EMAIL, PHONE}:
        return False
    has_only_digits = text.isascii() and text.isdigit()
    return normal(kind, text) == normal(kind, asked) or (
        kind == PHONE and has_only_digits and f"+{text}" == phone(asked)
    )


def id_text(value: Any) -> str | None:  # noqa: ANN401  # any JSON value
    """Return an id as text; None: a value of this type is not an id.

    Some interfaces write whole numbers with a point, `7.0`. Beyond 2^53 they have rounded them, perhaps to another id.
    """
    if isinstance(value, Decimal):
        is_exact = value == value.to_integral_value() and value.copy_abs() <= SAFE_INTEGER
        return str(int(value)) if is_exact else None
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


def verified(verify: Mapping[str, str], names: Names, items: Sequence[JSON]) -> Sequence[int]:
    """Return the numbers of the items that are about what was asked.

    Each expression finds the value of its name, alone or in a list. A name is the kind of an identity, or of a
    parent's field; a name without a value is the name of no one. Raises ValueError for a value that can be no id,
    because an answer in another form would leave out all items without a word; and as `find` does.
    """
    left: Sequence[int] = range(len(items))
    for expression, name in verify.items() if items else ():
        if names[name] in (None, ""):
            return ()
        asked = str(names[name])
        found = column_finder(expression)([items[number] for number in left])
        try:
            # Most items have the very text.
            left = [n for n, one in zip(left, found, strict=True) if one == asked or _is_among(name, asked, one)]
        except TypeError:
            raise ValueError(f"{expression}: a value is neither text nor integer") from None
    return left


def _is_among(kind: str, asked: str, found: Any) -> bool:  # noqa: ANN401  # as above
    """Return whether a value is the asked identity, alone or in a list. Raises TypeError for what can be no id."""
    values = [one for one in (found if isinstance(found, list) else (found,)) if not isinstance(one, bool | NoneType)]
    if None in map(id_text, values):
        raise TypeError
    return any(is_same(kind, asked, one) for one in values)


def kept(conditions: Iterable[KeepForm], items: Sequence[JSON], parent: Record) -> Sequence[int]:
    """Return the numbers of the items to which all conditions apply. Raises ValueError, as `find` does."""
    left: Sequence[int] = range(len(items))
    for condition in conditions:
        left = [number for number in left if _applies(condition, find_all(condition.at, items[number]), parent)]
    return left


def _applies(condition: KeepForm, found: list[Any], parent: Record) -> bool:
    filled = [value for value in found if value not in ("", None)]
    if condition.empty is not None:
        return condition.empty is not bool(filled)
    wanted: Sequence[Any] = condition.among or (condition.equals,)
    if isinstance(condition.equals, str) and condition.equals.startswith(PARENT):
        wanted = (parent.get(condition.equals.removeprefix(PARENT)),)
    notations = frozenset[str]().union(*map(_notations, wanted))
    fits = [not notations.isdisjoint(_notations(value)) for value in filled]
    if isinstance(condition.equals, bool) and not any(fits):
        known = _notations(True) | _notations(False)  # the values themselves
        if any(known.isdisjoint(_notations(value)) for value in filled):
            raise ValueError(f"{condition.at}: a value is neither true nor false")
    return any(fits)


def _notations(value: Any) -> frozenset[str]:  # noqa: ANN401  # any JSON value
    """Return how interfaces write a value: an id as number or text, a boolean as word or digit, null in no way."""
    if isinstance(value, bool):
        return frozenset({str(value).lower(), str(int(value))})
    if isinstance(value, str):
        return frozenset({value, value.lower()} if value.lower() in WORDS else {value})
    if isinstance(value, int | float | Decimal):
        number = Decimal(str(value))
        return frozenset({str(value), id_text(number) or str(value)})
    return frozenset()


def spellings(kind: str, value: str) -> tuple[str, ...]:
    """Return how to ask for an identity: as it is stored, and in its normal form, because sources differ in case."""
    if kind not in {EMAIL, PHONE}:
        return (value,)
    return tuple(dict.fromkeys((value, normal(kind, value).decode("utf-8", "surrogatepass"))))
