"""Writes names and texts of a database into a draft, where none of them ends its place."""

from __future__ import annotations

import json
import re

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
"""Signs that end a line, control a screen, or show the rest of a line in another order."""
_UNSEEN = re.compile(rf"{_UNPRINTABLE.pattern[:-2]}\u200b-\u200d\u2060-\u2065\ufeff]+")
"""Also those that are not shown, as in a name that seems to be the same as another; texts for people need some."""


def bare_key(name: str) -> str:
    """Return a name as a key of TOML, in quotes only where it needs them."""
    return name if _BARE.fullmatch(name) else quoted(name)


def plain(text: str) -> str:
    """Return a text without what would end a comment's line, or show its words in another order."""
    return _UNPRINTABLE.sub(" ", text)


def quoted(value: str) -> str:
    """Write a basic string of TOML, whose escapes are those of JSON, with every letter of a name.

    No sign is left that ends a line: some readers of the draft take more signs for such an end than TOML. Those that an
    editor does not show, or by which it shows a line in another order, are written as escapes: a person decides by what
    is seen.
    """
    return _UNSEEN.sub(_escaped, json.dumps(value, ensure_ascii=False))


def sentence(value: str) -> str:
    """Write a text for people, without control characters."""
    return quoted(plain(value))


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"\\u{ord(letter):04x}" for letter in found[0])
