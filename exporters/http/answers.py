"""Names of a map that an answer must have: a source that renames one would leave everything out without a word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import NoneType
from typing import Any

from exporters.http.expressions import find, find_all, is_comparison, leading
from exporters.http.truth import says_yes
from portability.api import JSON


def items_at(expression: str, answer: JSON) -> list[Any]:
    """Return the items of an answer, as `find_all` does.

    Raises: ValueError if the answer lacks a name with which the expression begins. Null counts as an empty list;
    that a list is missing may mean that the source has renamed it. Expressions such as `a || b` may find nothing.
    """
    check_answer("items", expression, answer, "for a list that may be missing", "`[]`")
    return find_all(expression, answer)


def says(key: str, expression: str, answer: JSON) -> bool:
    """Return whether an expression of a key of the map says yes.

    Raises: ValueError if the answer lacks a name with which it begins: a wrong name would always say no.
    """
    check_answer(key, expression, answer, "for a name that may be missing", "`false`")
    found = find(expression, answer)
    if is_comparison(expression) and not isinstance(found, bool):
        raise ValueError(f"{expression}: `{key}` compares what is not a number")
    return says_yes(found)


def lacks_data(answer: JSON) -> bool:
    """Return whether an answer of GraphQL says that a part of its data is missing (section 7.1: `errors`).

    Raises: ValueError if all of it is missing: null would count as an empty list.
    """
    if not (isinstance(answer, Mapping) and "data" in answer and isinstance(answer.get("errors"), list)):
        return False
    if answer["errors"] and not answer["data"]:
        raise ValueError("it has `errors` in place of `data`; name their codes in `error` of the map")
    return bool(answer["errors"])


def check_answer(key: str, expression: str, answer: JSON, case: str, default: str) -> None:
    """Raise ValueError if an answer lacks a name with which an expression of a key of the map begins.

    A name with null has all below it. `case` and `default`: what the map may say of a name that may be missing.
    """
    value = answer
    for name in leading(expression):
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif isinstance(value, NoneType):
            return
        else:
            raise ValueError(f'it has no {name!r}, which `{key}` names; {case}: {key} = "{expression} || {default}"')


def check_named(key: str, expressions: Iterable[str], items: Sequence[JSON]) -> None:
    """Raise ValueError if none of the items has the names with which an expression of a key of the map begins.

    An item that has a name with null or an empty object has all below it; items that are such a value do not count.
    Expressions such as `a || b` begin with no name.
    """
    stated = [one for one in items if one not in (None, {})]
    for expression in expressions if stated else ():
        names = leading(expression)
        if not any(has_names(one, names) for one in stated):
            optional = f"; for a name that may be missing: {expression} || `null`" if key != "verify" else ""
            raise ValueError(f"no item has what `{key}` names: {expression}{optional}")


def has_names(item: JSON, names: Sequence[str]) -> bool:
    """Return whether an item has names, one within the other; null and an empty object have all below them."""
    for name in names:
        if item in (None, {}):
            return True
        if not isinstance(item, Mapping) or name not in item:
            return False
        item = item[name]
    return True
