"""Texts of others that are safe on a terminal, such as names of files and of columns."""

from __future__ import annotations

JOINERS = frozenset("\u200c\u200d")
"""Characters that are not printable and harmless: what joins letters or keeps them apart."""


def cleaned(text: str) -> str:
    """Return a text with signs for characters that a terminal obeys, such as escapes and changes of the direction."""
    return "\n".join(map(one_line, text.split("\n")))


def one_line(text: str) -> str:
    """Return a text like `cleaned` does, with a sign for each end of a line, too."""
    return "".join(letter if letter.isprintable() or letter in JOINERS else "?" for letter in text)
