"""Reads records from JSON Lines in bounded memory, for any length of line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from receiver.importer.faults import BadArchive
from receiver.importer.values import Reason

LINE_BYTES = 64 << 20
"""A longer line is not a valid record: a batch of an exporter has about a mebibyte."""


def records(blocks: Iterable[bytes]) -> Iterator[tuple[dict[str, Any] | Reason, int]]:
    """Yield the records in order, each with the size of its line; an invalid line becomes the reason why.

    Raises: BadArchive for a line without end.
    """
    for line in _lines(blocks):
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            yield Reason.NOT_JSON, len(line)
        else:
            yield record if isinstance(record, dict) else Reason.NOT_AN_OBJECT, len(line)


def count(blocks: Iterable[bytes]) -> int:
    """Count the records. Raises: BadArchive as `records`, and what the blocks raise."""
    return sum(1 for _line in _lines(blocks))


def _lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    rest: list[bytes] = []
    size = 0
    for block in blocks:
        first, *others = block.split(b"\n")
        rest.append(first)
        size += len(first)
        for line in others:
            yield b"".join(rest)
            rest, size = [line], len(line)
        if size > LINE_BYTES:
            raise BadArchive(f"a line of more than {LINE_BYTES} bytes")
    if size:
        yield b"".join(rest)
