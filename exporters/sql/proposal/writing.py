"""Writes names and texts of a database into a draft, where none of them ends its place."""

from __future__ import annotations

import json
import re

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def bare_key(name: str) -> str:
    """Return a name as a key of TOML, in quotes only where it needs them."""
    return name if _BARE.fullmatch(name) else quoted(name)


def plain(text: str) -> str:
    """Return a text without what would end a comment's line."""
    return _UNPRINTABLE.sub(" ", text)


def quoted(value: str) -> str:
    """Write a basic string of TOML, whose escapes are those of JSON, with every letter of a name.

    No sign is left that ends a line: some readers of the draft take more signs for such an end than TOML.
    """
    return _UNPRINTABLE.sub(_escaped, json.dumps(value, ensure_ascii=False))


def sentence(value: str) -> str:
    """Write a text for people, without control characters."""
    return quoted(plain(value))


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"\\u{ord(letter):04x}" for letter in found[0])
