"""Names of the files of records: by the key of the record, and different for different keys."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

PART = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?=-)|\d{4}-\d\d-\d\d[^-]*(?=-)|-?[^-]*")
"""A part before the last: a UUID, a date or time, a number, or a text up to the next hyphen."""
DIGITS = 12
"""Of the hash of a key whose parts the hyphens do not show."""


def file_stem(key: Sequence[object]) -> str:
    """Return the parts of a key with hyphens between them.

    (`a-b`, `c`) and (`a`, `b-c`) would be the same. A name is read back by one rule: a key that it does not give gets
    the first digits of its SHA-256 too. So a name depends on no other record: it is the same in each archive of a feed.
    """
    parts = [str(part) for part in key]
    joined = "-".join(parts)
    return joined if _read(joined, len(parts)) == parts else f"{joined}-{_hash(parts)}"


def _read(joined: str, count: int) -> list[str]:
    """Return the parts that a name shows."""
    found: list[str] = []
    while len(found) < count - 1 and (part := PART.match(joined)) is not None:
        found.append(part[0])
        joined = joined[part.end() + 1 :]
    return [*found, joined]


def _hash(parts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:DIGITS]
