"""Untrusted JSON, such as the claims of a transfer or a document of an archive: which values in it are accepted.

A number may be larger than any database stores, and a text may be long, or have characters that PostgreSQL does not
store or that a terminal obeys.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeGuard

from portability.api.names import NAME

NUMBER_MAX = (1 << 31) - 1
"""The largest number of a volume, of a revision, and of an archive of a feed: an integer of PostgreSQL."""
COUNT_MAX = (1 << 53) - 1
"""The largest number of bytes or records: the largest integer that every program reads (RFC 7493 section 2.2)."""
TEXT_CHARACTERS = 512
_WORD = re.compile(r"[A-Za-z0-9_./-]{1,100}")


def is_text(value: object) -> TypeGuard[str]:
    """Return whether a value is a text in one line of bounded length, such as an id."""
    return isinstance(value, str) and len(value) <= TEXT_CHARACTERS and value.isprintable()


def is_word(value: object) -> TypeGuard[str]:
    """Return whether a value may be a word of the format, such as a profile: an error may repeat it."""
    return isinstance(value, str) and bool(_WORD.fullmatch(value))


def is_name(value: object) -> TypeGuard[str]:
    """Return whether a value may be the name of an exporter or a dataset."""
    return isinstance(value, str) and bool(NAME.fullmatch(value))


def is_number(value: object) -> TypeGuard[int]:
    """Return whether a value may number a volume, a revision or an archive."""
    return type(value) is int and 1 <= value <= NUMBER_MAX


def is_count(value: object) -> TypeGuard[int]:
    """Return whether a value may count bytes or records."""
    return type(value) is int and 0 <= value <= COUNT_MAX


def is_optional(accepts: Callable[[object], bool], value: object) -> bool:
    """Return whether a value is missing, or accepted."""
    match value:
        case None:
            return True
        case _:
            return accepts(value)
