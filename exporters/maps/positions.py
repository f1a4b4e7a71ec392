"""Positions in a TOML file: the line and column of a value, which `tomllib` does not give."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Path: TypeAlias = Sequence[str | int]
"""Steps to a value of a parsed document: names of keys, and indexes of arrays."""

_HEADER = re.compile(r"\s*(\[{1,2})([^\[\]]+)\]{1,2}\s*(?:#.*)?$")


@dataclass(frozen=True, slots=True)
class _Section:
    """The lines from a header of a table to the next header."""

    path: Path
    first_line: int
    """From 0: the line of the header."""
    lines: Sequence[str]
    """The lines below the header."""


def position(text: str, path: Path) -> tuple[int, int]:
    """Return line and column, from 1, of the value at a path, or of the nearest value around it that the text has."""
    sections = list(_sections(text))
    around = [one for one in sections if list(path[: len(one.path)]) == list(one.path)]
    section = max(around, key=lambda one: len(one.path))
    inner = path[len(section.path) :]
    for end in range(len(inner), 0, -1):
        found = _statement(section.lines, inner[:end])
        if found is not None:
            offset, statement = found
            line, column = _within(statement, inner[:end])
            has_header = bool(section.path)
            return section.first_line + has_header + offset + line + 1, column + 1
    return section.first_line + 1, 1


def _sections(text: str) -> Iterator[_Section]:
    """Yield the sections of a document, the first one without header."""
    lines = text.splitlines()
    counted: Counter[str] = Counter()
    path: Path = ()
    begin = 0
    for number, line in enumerate(lines):
        header = _HEADER.match(line)
        if header is None or not _is_complete(lines[begin + bool(path) : number]):
            continue
        yield _Section(path, begin, lines[begin + bool(path) : number])
        names = list(_names(header[2]))
        if header[1] == "[[":
            counted["\0".join(names)] += 1
        path, begin = list(_indexed(names, counted)), number
    yield _Section(path, begin, lines[begin + bool(path) :])


def _is_complete(lines: Sequence[str]) -> bool:
    """Return whether the lines are TOML: a line within a text of several lines is not a header."""
    return _parsed(lines) is not None


def _names(header: str) -> Iterator[str]:
    document: Any = tomllib.loads(f"[{header}]")
    while document:
        name, document = next(iter(document.items()))
        yield name


def _indexed(names: Sequence[str], counted: Counter[str]) -> Iterator[str | int]:
    """Yield the steps to a table; after the name of an array of tables comes the index of its last table."""
    for end, name in enumerate(names, start=1):
        yield name
        count = counted["\0".join(names[:end])]
        if count:
            yield count - 1


def _parsed(lines: Sequence[str]) -> Any:  # noqa: ANN401  # a parsed document
    try:
        return tomllib.loads("\n".join(lines))
    except tomllib.TOMLDecodeError:
        return None


def _has(document: Any, path: Path) -> bool:  # noqa: ANN401  # as above
    for step in path:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _statement(lines: Sequence[str], path: Path) -> tuple[int, Sequence[str]] | None:
    """Return the offset and the lines of the statement that brings the value at a path."""
    begin = 0
    for end in range(1, len(lines) + 1):
        document = _parsed(lines[:end])
        if document is None:
            continue
        if _has(document, path):
            while not lines[begin].strip() or lines[begin].lstrip().startswith("#"):
                begin += 1
            return begin, lines[begin:end]
        begin = end
    return None


def _within(statement: Sequence[str], path: Path) -> tuple[int, int]:
    """Return the line and column, from 0, of the last key of a path within a statement.

    After the index of an array's element comes the occurrence of the next key with that number.
    """
    line, column, index = 0, 0, 0
    for step in path:
        if isinstance(step, int):
            index = step
            continue
        name = re.compile(rf"(?<![\w-])[\"']?{re.escape(step)}[\"']?(?=\s*[=.\]])")
        found = [
            (number, match.start())
            for number, text in enumerate(statement[line:], start=line)
            for match in name.finditer(text, column if number == line else 0)
        ]
        if found:
            line, column = found[min(index, len(found) - 1)]
        index = 0
    return line, column
