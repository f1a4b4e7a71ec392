"""Texts of a map with placeholders: `{name}` or `{name|filter}`.

A query language is injectable: RT gave the tickets of all customers for a crafted address that was put into a query
as it is. So a placeholder within other text needs a filter that quotes for this grammar; without a filter, a value may
only be a whole parameter or a whole JSON value, which the encoding protects. In a path, values are always encoded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias
from urllib.parse import quote

from exporters.http.expressions import digits, folded_md5
from portability.api import JSON
from portability.people.folding import fold

Names: TypeAlias = Mapping[str, Any]
"""Values by the names that placeholders use."""

_PLACEHOLDER = re.compile(r"\{([a-z_][a-z0-9_.]*)((?:\|[^{}|]+)*)\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DOTS = frozenset({".", ".."})
BOUNDS = frozenset({"since", "until"})
"""The names of the bounds of a window."""
OBJECTS = "objects:"
"""`{ids|objects:id}`: a list of values as a list of objects with this key."""
QUOTED = "quoted:"
"""`quoted:'\\`: within this quote; it, and the escape character, are escaped by the escape character."""


class UnsafeValue(ValueError):
    """A value that a filter refuses; the message names the filter, never the value."""


class AbsentName(LookupError):
    """A placeholder has no value here: what consists of it alone is left out of the request."""


def _integer(value: str) -> str:
    if not re.fullmatch(r"-?[0-9]{1,40}", value):
        raise UnsafeValue("`int`: the value is not an integer")
    return value


def _path(value: str) -> str:
    if not value or _CONTROL.search(value) or not _DOTS.isdisjoint(re.split(r"[/\\]", value)):
        raise UnsafeValue("`path`: the value is empty, or leads to another path")
    return quote(value, safe="")


def _soql(value: str) -> str:
    return _quoted(value, "'", "\\")


def _quoted(value: str, mark: str, escape: str) -> str:
    if _CONTROL.search(value):
        raise UnsafeValue("`quoted`: the value has control characters")
    if escape != mark:
        value = value.replace(escape, escape + escape)
    return mark + value.replace(mark, escape + mark) + mark


CLOSING: Mapping[str, Callable[[str], str]] = {
    "json": json.dumps,
    "path": _path,
    "query": lambda value: quote(value, safe=""),
    "int": _integer,
    "soql": _soql,
    "digits": digits,
    "md5": folded_md5,
}
"""Filters whose result cannot end a text or begin another word of a grammar, beside `quoted`."""
FILTERS = {**CLOSING, "fold": fold}


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A name, and the filters that its value passes."""

    name: str
    filters: tuple[str, ...]

    @property
    def is_closed(self) -> bool:
        """Return whether the value may stand within other text. The bounds of a window are written by the engine."""
        last = self.filters[-1] if self.filters else ""
        return self.name in BOUNDS or last in CLOSING or last.startswith(QUOTED)

    def fill(self, names: Names) -> Any:  # noqa: ANN401  # any JSON value
        """Return the filtered value. Raises AbsentName, UnsafeValue."""
        if names.get(self.name) is None:
            raise AbsentName(self.name)
        value = names[self.name]
        if self.filters and self.filters[0].startswith(OBJECTS):
            return [{self.filters[0].removeprefix(OBJECTS): one} for one in value]
        if self.filters and isinstance(value, list | tuple):
            return ",".join(map(self._filtered, value))
        return self._filtered(value)

    def _filtered(self, value: Any) -> Any:  # noqa: ANN401  # as above
        for each in self.filters:
            text = value if isinstance(value, str) else str(value)
            value = _quoted(text, each[-2], each[-1]) if each.startswith(QUOTED) else FILTERS[each](text)
        return value


def faults(text: str, *, is_path: bool = False) -> Iterator[str]:
    """Yield what is wrong with the placeholders of a text."""
    pieces = parsed(text)
    for piece in pieces:
        if isinstance(piece, str):
            continue
        for each in piece.filters:
            is_quoted = each.startswith(QUOTED) and len(each) == len(QUOTED) + 2
            if each not in FILTERS and not is_quoted and not (each.startswith(OBJECTS) and len(pieces) == 1):
                yield f"unknown filter {each!r}; there are {', '.join(FILTERS)}, quoted:QE and objects:KEY"
        if len(pieces) > 1 and not is_path and not piece.is_closed:
            yield f"{{{piece.name}}} stands within a text: a filter must quote it, such as quoted:'\\"


def names_in(text: str) -> Iterator[str]:
    """Yield the names of the placeholders of a text."""
    return (piece.name for piece in parsed(text) if isinstance(piece, Placeholder))


def fill(text: str, names: Names) -> Any:  # noqa: ANN401  # any JSON value, if the text is one placeholder
    """Return the text with values in place of its placeholders. Raises AbsentName, UnsafeValue."""
    pieces = parsed(text)
    if len(pieces) == 1 and isinstance(pieces[0], Placeholder):
        return pieces[0].fill(names)
    return "".join(piece if isinstance(piece, str) else str(piece.fill(names)) for piece in pieces)


def fill_path(text: str, names: Names) -> str:
    """Return a path with its values encoded. Raises AbsentName, UnsafeValue."""
    return "".join(piece if isinstance(piece, str) else _path(str(piece.fill(names))) for piece in parsed(text))


def fill_params(params: Mapping[str, str], names: Names) -> dict[str, str]:
    """Return the parameters that have a value; lists are joined by commas. Raises UnsafeValue."""
    filled = {name: _or_absent(text, names) for name, text in params.items()}
    return {name: _as_param(value) for name, value in filled.items() if value is not None}


def fill_body(body: JSON, names: Names) -> Any:  # noqa: ANN401  # any JSON value
    """Return a JSON value with its texts filled; what has no value is left out. Raises UnsafeValue."""
    if isinstance(body, str):
        return _or_absent(body, names)
    if isinstance(body, Mapping):
        filled = {name: fill_body(inner, names) for name, inner in body.items()}
        return {name: value for name, value in filled.items() if value is not None}
    if isinstance(body, list | tuple):
        return [value for inner in body if (value := fill_body(inner, names)) is not None]
    return body


def texts_of(body: JSON) -> Iterator[str]:
    """Yield all texts of a JSON value."""
    if isinstance(body, str):
        yield body
    elif isinstance(body, Mapping):
        for inner in body.values():
            yield from texts_of(inner)
    elif isinstance(body, list | tuple):
        for inner in body:
            yield from texts_of(inner)


@lru_cache(maxsize=4096)
def parsed(text: str) -> tuple[str | Placeholder, ...]:
    """Return the pieces of a text: texts, and placeholders."""
    pieces: list[str | Placeholder] = []
    end = 0
    for match in _PLACEHOLDER.finditer(text):
        if match.start() > end:
            pieces.append(text[end : match.start()])
        pieces.append(Placeholder(match[1], tuple(match[2].split("|")[1:])))
        end = match.end()
    if end < len(text):
        pieces.append(text[end:])
    return tuple(pieces)


def _or_absent(text: str, names: Names) -> Any:  # noqa: ANN401  # any JSON value
    try:
        return fill(text, names)
    except AbsentName:
        return None


def _as_param(value: Any) -> str:  # noqa: ANN401  # any JSON value
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
