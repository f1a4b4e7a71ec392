"""A range of bytes (RFC 9110, 14), which a browser or curl requests to resume a download."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a file, from its first byte to its last, both inclusive."""

    first: int
    last: int

    @property
    def bytes(self) -> int:
        return self.last - self.first + 1


def precondition(if_match: str | None, if_none_match: str | None, *, etag: str) -> int | None:
    """Return the status that ends a request for a file: 412 or 304; None: its conditions hold (RFC 9110, 13.2.2).

    Args:
        if_match: the header If-Match: a client that resumes wants this version only.
        if_none_match: the header If-None-Match: a client has this version.
        etag: the strong tag of the file.
    """
    if if_match is not None and etag not in _tags(if_match, etag):
        return HTTPStatus.PRECONDITION_FAILED
    # A weak comparison, as for every If-None-Match (13.1.2).
    if if_none_match is not None and etag in _tags(if_none_match.replace("W/", ""), etag):
        return HTTPStatus.NOT_MODIFIED
    return None


def _tags(header: str, etag: str) -> list[str]:
    return [etag] if header.strip() == "*" else [tag.strip() for tag in header.split(",")]


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
