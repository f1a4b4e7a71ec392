"""A range of bytes (RFC 9110, 14), which a browser or curl requests to resume a download."""

from __future__ import annotations

import re
from dataclasses import dataclass

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a file, from its first byte to its last, both inclusive."""

    first: int
    last: int

    @property
    def bytes(self) -> int:
        return self.last - self.first + 1


class Unsatisfiable(Exception):
    """The range begins after the end of the file."""


def wanted(header: str | None, if_range: str | None, *, etag: str, size: int) -> Part | None:
    """Return the requested part; None for the whole file: no range, several, a malformed one, or another version.

    Raises: Unsatisfiable.
    """
    match = RANGE.fullmatch(header or "")
    # If-Range needs an equal strong tag; a date is not a strong validator here (13.1.5).
    if match is None or (if_range is not None and if_range != etag):
        return None
    first, last = match[1], match[2]
    if not first and not last:
        return None
    if not first:
        length = min(int(last), size)
        if length == 0:
            raise Unsatisfiable
        return Part(size - length, size - 1)
    begin, end = int(first), min(int(last), size - 1) if last else size - 1
    if last and int(last) < begin:
        return None
    if begin >= size:
        raise Unsatisfiable
    return Part(begin, end)
