"""Texts of others that are safe on a terminal, such as names of files and of columns, and what is printed without rich.

Commands print through the console of their context, or through `emit` and `tell`; tests/test_house.py holds them to it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping

import click
import orjson

from portability.api import JSON

JOINERS = frozenset("\u200c\u200d")
"""Characters that are not printable and harmless: what joins letters or keeps them apart."""
LONG_ARGUMENT_CHARS = 800
LONG_WORD = re.compile(r"\S{801,}")
"""Longer than any path or name that helps a reader."""
KEPT_CHARS = 80
_NOT_ASCII = re.compile(r"[^\n -~]")
_OBEYED = re.compile(r"[^\r\n\t]+")


def shortened(text: str, arguments: Iterable[str] = ()) -> str:
    """Return a message without long words and without the long `arguments` of the command that it repeats."""
    for argument in arguments:
        if len(argument) > LONG_ARGUMENT_CHARS:
            text = text.replace(argument, _cut(argument))
    return LONG_WORD.sub(lambda found: _cut(found[0]), text)


def _cut(text: str) -> str:
    return f"{text[:KEPT_CHARS]}... ({len(text)} characters)"


def cleaned(text: str) -> str:
    """Return a text with signs for characters that a terminal obeys, such as escapes and changes of the direction."""
    return "\n".join(map(one_line, text.split("\n")))


def one_line(text: str) -> str:
    """Return a text like `cleaned` does, with a sign for each end of a line, too."""
    return "".join(letter if letter.isprintable() or letter in JOINERS else "?" for letter in text)


def emit(text: str, *, ends_line: bool = True) -> None:
    """Write what programs read, such as CSV, to standard output: as it is, on a terminal with signs like `cleaned`."""
    if sys.stdout and sys.stdout.isatty():
        text = _OBEYED.sub(lambda found: one_line(found[0]), text)
    # Without a colour the library would leave escapes out of a pipe.
    click.echo(text, nl=ends_line, color=True)


def emit_json(document: JSON | Mapping[str, object]) -> None:
    """Write a document as JSON to standard output."""
    emit(as_json(document))


def tell(*lines: str) -> None:
    """Write lines for people to standard error."""
    click.echo("\n".join(map(one_line, lines)), err=True)


def as_json(document: JSON | Mapping[str, object]) -> str:
    """Write a document as JSON. What a terminal obeys is escaped in it, which is the same document to a program."""
    try:
        text = orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
    except TypeError:
        # It names a file whose name has other bytes than UTF-8: JSON has no letter for them.
        text = json.dumps(document, indent=2, ensure_ascii=False).encode(errors="replace").decode()
    if text.replace("\n", "").isprintable():
        return text
    return _NOT_ASCII.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return found[0] if one_line(found[0]) == found[0] else json.dumps(found[0])[1:-1]
