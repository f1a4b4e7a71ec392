"""Texts of others that are safe on a terminal, such as names of files and of columns."""

from __future__ import annotations

import re
from collections.abc import Iterable

JOINERS = frozenset("\u200c\u200d")
"""Characters that are not printable and harmless: what joins letters or keeps them apart."""
LONG_ARGUMENT_CHARS = 800
LONG_WORD = re.compile(r"\S{801,}")
"""Longer than any path or name that helps a reader."""
KEPT_CHARS = 80


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
