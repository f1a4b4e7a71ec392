"""Records from JSON Lines, in bounded memory whatever a line holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from importer.faults import BadArchive
from importer.values import Reason

LINE_BYTES = 64 << 20
"""A longer line is no record of ours: a batch of an exporter has a mebibyte."""


def records(blocks: Iterable[bytes]) -> Iterator[tuple[dict[str, Any] | Reason, int]]:
    """The records in order, each with the bytes of its line; a line that is none becomes the reason why.

    Raises: BadArchive for an endless line.
    """
    for line in _lines(blocks):
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            yield Reason.NOT_JSON, len(line)
        else:
            yield record if isinstance(record, dict) else Reason.NOT_AN_OBJECT, len(line)


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
