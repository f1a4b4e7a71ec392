"""JMESPath, the language in which a map names values of an answer, with seven functions of its own and no others."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import takewhile
from operator import itemgetter
from typing import Annotated, Any

import jmespath
from jmespath import functions, visitor
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult
from pydantic import AfterValidator

from exporters.maps.exact_json import exact_number
from exporters.maps.numbers import INTEGER, number, short
from portability.api import JSON
from portability.api.times import rfc3339
from portability.people.folding import fold

TEXT = {"types": ["string", "null"]}
NUMBER = {"types": ["string", "number", "null"]}
COUNT = {"types": ["number"]}
FIXED = {"types": ["string"]}
ANY: Mapping[str, Any] = {"types": []}
DECIMAL = Decimal.__name__


class MapFunctions(functions.Functions):  # type: ignore[misc]  # the library has no types
    """Functions that maps need beside those of JMESPath. Null gives null, and no elements for `split`."""

    def _get_allowed_pytypes(self, types: Sequence[Any]) -> tuple[list[str], list[list[str]]]:
        """Return the allowed types by their names in Python: numbers with a point are Decimal here."""
        allowed, inner = super()._get_allowed_pytypes(types)
        return _with_decimal(allowed), [_with_decimal(names) for names in inner]

    def _convert_to_jmespath_type(self, name: str) -> str:
        """Return the type of a value by its name in Python."""
        return "number" if name == DECIMAL else str(super()._convert_to_jmespath_type(name))

    @functions.signature(ANY)  # type: ignore[untyped-decorator]  # as above
    def _func_to_number(self, value: Any) -> int | Decimal | None:  # noqa: ANN401  # any JSON value
        """Return a number, or that of a text, with all its digits; null for other values."""
        try:
            found = number(value)
        except (TypeError, ValueError):
            return None
        is_whole = isinstance(value, int) or bool(INTEGER.fullmatch(str(value).strip()))
        return int(value) if is_whole else found

    @functions.signature(COUNT)  # type: ignore[untyped-decorator]  # as above
    def _func_ceil(self, value: float | Decimal) -> int:
        """Return the integer above a number. Raises ValueError for one that would fill the memory."""
        return math.ceil(short(number(value)))

    @functions.signature(COUNT)  # type: ignore[untyped-decorator]  # as above
    def _func_floor(self, value: float | Decimal) -> int:
        """Return the integer below a number. Raises as `ceil` does."""
        return math.floor(short(number(value)))

    @functions.signature(ANY)  # type: ignore[untyped-decorator]  # as above
    def _func_to_string(self, value: Any) -> str:  # noqa: ANN401  # any JSON value
        """Return a text, or the JSON of another value."""
        if isinstance(value, str | Decimal):
            return str(value)
        return json.dumps(value, separators=(",", ":"), default=lambda one: exact_number(str(one)))

    @functions.signature(ANY)  # type: ignore[untyped-decorator]  # as above
    def _func_type(self, value: Any) -> str:  # noqa: ANN401  # any JSON value
        """Return the name of a type of JSON."""
        return self._convert_to_jmespath_type(type(value).__name__)

    @functions.signature(TEXT, FIXED)  # type: ignore[untyped-decorator]  # as above
    def _func_split(self, text: str | None, mark: str) -> list[str]:
        """Return the parts of a text between marks, trimmed, without empty parts."""
        return [part.strip() for part in (text or "").split(mark) if part.strip()]

    @functions.signature(TEXT)  # type: ignore[untyped-decorator]  # as above
    def _func_base64(self, text: str | None) -> str | None:
        """Return the text that is encoded as base64 of UTF-8."""
        return from_base64(text).decode() if isinstance(text, str) else None

    @functions.signature(TEXT)  # type: ignore[untyped-decorator]  # as above
    def _func_md5(self, text: str | None) -> str | None:
        """Return the MD5 of a folded address, as services for mailing lists name their members."""
        return None if text is None else folded_md5(text)

    @functions.signature(NUMBER)  # type: ignore[untyped-decorator]  # as above
    def _func_digits(self, text: str | float | None) -> str | None:
        """Return the digits of a phone number."""
        return None if text is None else digits(str(text))

    @functions.signature(NUMBER)  # type: ignore[untyped-decorator]  # as above
    def _func_epoch(self, seconds: str | float | None) -> str | None:
        """Return the time of a number of seconds since 1970 as RFC 3339."""
        return None if seconds is None else rfc3339(datetime.fromtimestamp(float(seconds), UTC))

    @functions.signature(TEXT)  # type: ignore[untyped-decorator]  # as above
    def _func_fold(self, text: str | None) -> str | None:
        """Return a text with its ASCII letters in lower case."""
        return None if text is None else fold(text)

    @functions.signature(TEXT, FIXED, FIXED)  # type: ignore[untyped-decorator]  # as above
    def _func_replace(self, text: str | None, old: str, new: str) -> str | None:
        """Return a text with one part replaced wherever it is."""
        return None if text is None else text.replace(old, new)


class MapInterpreter(visitor.TreeInterpreter):  # type: ignore[misc]  # as above
    """Evaluates expressions: `"9" < "10"` is true, because interfaces write numbers as texts."""

    def visit_comparator(self, node: Mapping[str, Any], value: Any) -> Any:  # noqa: ANN401  # any JSON value
        """Return whether a comparison is true; null for values that have no order."""
        if node["value"] in self._EQUALITY_OPS:
            return super().visit_comparator(node, value)
        found = [self.visit(child, value) for child in node["children"]]
        numbers = [self._functions.call_function("to_number", [one]) for one in found]
        literals = found if None in numbers else numbers
        children = [{"type": "literal", "value": one, "children": []} for one in literals]
        return super().visit_comparator({**node, "children": children}, value)


class MapExpression(ParsedResult):  # type: ignore[misc]  # as above
    """A parsed expression of a map."""

    def search(self, value: Any, options: jmespath.Options | None = None) -> Any:  # noqa: ANN401  # as above
        return MapInterpreter(options).visit(self.parsed, value)


SIDE_BY_SIDE = frozenset(
    {
        *("or_expression", "and_expression", "comparator", "function_expression"),
        *("multi_select_list", "multi_select_dict"),
    }
)
"""Nodes of a syntax tree whose children all begin with the same value."""
_OPTIONS = jmespath.Options(custom_functions=MapFunctions())


def _with_decimal(names: Sequence[str]) -> list[str]:
    return [*names, DECIMAL] if float.__name__ in names else list(names)


def checked(expression: str) -> str:
    """Return the expression. Raises ValueError if it is not JMESPath."""
    try:
        compiled(expression)
    except JMESPathError as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"it is not JMESPath: {first_line}") from None
    return expression


Expression = Annotated[str, AfterValidator(checked)]
"""A JMESPath expression, checked when the map is read."""


def find(expression: str, value: Any) -> Any:  # noqa: ANN401  # any JSON value
    """Return what an expression finds in a value; None if there is nothing.

    Raises: ValueError, without the value in its message, if a function meets a value of another type.
    """
    return finder(expression)(value)


@lru_cache(maxsize=4096)
def finder(expression: str) -> Callable[[Any], Any]:
    """Return the function `find` of an expression. Names alone, such as `via.channel`, need no interpreter."""
    parsed = compiled(expression)
    names = _names(parsed.parsed)

    def follow(value: Any) -> Any:  # noqa: ANN401  # any JSON value
        for name in names or ():
            try:
                value = value.get(name)
            except AttributeError:  # not an object
                return None
        return value

    def search(value: Any) -> Any:  # noqa: ANN401  # any JSON value
        try:
            return parsed.search(value, options=_OPTIONS)
        except (JMESPathError, ValueError, TypeError, OverflowError, OSError, ArithmeticError) as error:
            raise ValueError(f"{expression}: {type(error).__name__}") from None

    return search if names is None else follow


@lru_cache(maxsize=4096)
def column_finder(expression: str) -> Callable[[Sequence[Any]], list[Any]]:
    """Return the function that finds an expression in each of several values. It raises ValueError, as `find` does."""
    find_alone = finder(expression)
    names = _names(compiled(expression).parsed)
    steps = [itemgetter(name) for name in names or ()]

    def follow(values: Sequence[Any]) -> list[Any]:
        found = list(values)
        try:
            for step in steps:
                found = list(map(step, found))
        except (KeyError, TypeError):  # a name is missing, or a value is not an object
            return list(map(find_alone, values))
        return found

    return follow if names is not None else lambda values: list(map(find_alone, values))


def _names(node: Mapping[str, Any]) -> Sequence[str] | None:
    """Return the names of a path of names; None for other expressions."""
    if node["type"] == "field":
        return (node["value"],)
    if node["type"] != "subexpression":
        return None
    parts = [_names(child) for child in node["children"]]
    return None if None in parts else [name for part in parts for name in part or ()]


def find_all(expression: str, value: JSON) -> list[Any]:
    """Return what an expression finds as a list: a single value is a list of one, null an empty list."""
    found = find(expression, value)
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


def leading(expression: str) -> Sequence[str]:
    """Return the names with which an expression begins: `a` and `b` of `a.b[0].c`, and of `!a.b`."""
    return _leading(compiled(expression).parsed)


def _leading(node: Mapping[str, Any]) -> Sequence[str]:
    match node["type"]:
        case "field":
            return (node["value"],)
        case "subexpression":
            # All names in a row are children of one node: `a.b.c` has three.
            plain = list(takewhile(_names, node["children"]))
            rest = node["children"][len(plain) : len(plain) + 1]
            return tuple(name for child in [*plain, *rest] for name in _leading(child))
        case (
            "index_expression"
            | "projection"
            | "filter_projection"
            | "flatten"
            | "pipe"
            | "value_projection"
            | "not_expression"
        ):
            return _leading(node["children"][0])
    return ()


def is_comparison(expression: str) -> bool:
    """Return whether an expression compares two values."""
    return bool(compiled(expression).parsed["type"] == "comparator")


def is_path(expression: str) -> bool:
    """Return whether an expression consists of names alone, or of these and of a value in their place."""
    node = compiled(expression).parsed
    return bool(_names(node["children"][0] if node["type"] == "or_expression" else node))


def roots(expression: str) -> frozenset[str]:
    """Return the names that an expression takes from the value itself: `a` and `c` of `a.b || c[0].d`."""
    return frozenset(_roots(compiled(expression).parsed))


def _roots(node: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of a node of the syntax tree; behind a name, an index or a filter begins another value."""
    match node["type"]:
        case "field":
            yield node["value"]
        case kind:
            # Of two values in a row, as in `a.b`, only the first is taken from the value itself.
            count = None if kind in SIDE_BY_SIDE else 1
            for child in node["children"][:count]:
                yield from _roots(child)


def digits(text: str) -> str:
    """Return the ASCII digits of a text."""
    return "".join(letter for letter in text if letter.isascii() and letter.isdigit())


def from_base64(text: str) -> bytes:
    """Return the bytes of a base64 text in either alphabet (RFC 4648, sections 4 and 5), in lines or not.

    Raises: ValueError for any other letter, because a decoder that skips it gives other bytes.
    """
    letters = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    return base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True)


def folded_md5(text: str) -> str:
    """Return the MD5, in lower-case hexadecimal, of a folded and trimmed address."""
    return hashlib.md5(fold(text.strip()).encode(), usedforsecurity=False).hexdigest()


@lru_cache(maxsize=4096)
def compiled(expression: str) -> MapExpression:
    """Return the syntax tree of an expression, with the values of JSON in it as answers have them."""
    # Another tree than that of the library, which keeps its own for all who use it.
    return MapExpression(expression, _exact(jmespath.compile(expression).parsed))


def _exact(node: Any) -> Any:  # noqa: ANN401  # a syntax tree, and values of JSON in it
    """Return a syntax tree whose numbers with a point are Decimal, as those of answers are."""
    if isinstance(node, float):
        return Decimal(repr(node))
    if isinstance(node, list):
        return [_exact(inner) for inner in node]
    return {name: _exact(inner) for name, inner in node.items()} if isinstance(node, dict) else node
