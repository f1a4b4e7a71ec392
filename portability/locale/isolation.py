"""Names inside a text: what another person has chosen changes neither the order nor the lines of the text around it.

The directional formatting characters of Unicode (UAX 9) reach beyond the name that has them: an override turns what
follows around, so that `gnp.exe` reads as a picture. A name from right to left needs none of them to move a number or a
bracket beside it; an isolate keeps it apart.
"""

from __future__ import annotations

import re
import unicodedata

FIRST_STRONG_ISOLATE, POP_ISOLATE = "\u2068", "\u2069"
_JOINERS = {ord(each): None for each in "\u200c\u200d"}
_OPENERS = "\u2066\u2067\u2068"
_EMBEDDINGS = re.compile("[\u202a-\u202e]")
_FORMATTING = re.compile("[\u202a-\u202e\u2066-\u2069]")
_LINES = re.compile(r"\s*[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]\s*")
_FROM_RIGHT = frozenset({"R", "AL", "AN"})


def is_name(text: str) -> bool:
    """Return whether all characters can be printed, or join letters: Persian words and families of emoji need these."""
    return text.translate(_JOINERS).isprintable()


def closed(text: str) -> str:
    """Return a text without embeddings and overrides, whose isolates end in it. All other characters stay."""
    if text.isascii() or not _FORMATTING.search(text):
        return text
    depth, kept = 0, list[str]()
    for character in _EMBEDDINGS.sub("", text):
        if character == POP_ISOLATE and not depth:
            continue
        depth += (character in _OPENERS) - (character == POP_ISOLATE)
        kept.append(character)
    return "".join(kept) + POP_ISOLATE * depth


def isolated(text: str) -> str:
    """Return a name for the middle of a sentence: in one line, and kept apart where it has letters from right to left.

    The isolate is for these alone, because a program that knows none shows a box for it.
    """
    one_line = closed(_LINES.sub(" ", text))
    if not one_line.isascii() and not _FROM_RIGHT.isdisjoint(map(unicodedata.bidirectional, one_line)):
        return f"{FIRST_STRONG_ISOLATE}{one_line}{POP_ISOLATE}"
    return one_line
