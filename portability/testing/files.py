"""Checks of the files that an exporter yields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, pairwise

from portability.api import File
from portability.testing.reading import require

OFFSET_BYTES = 3
BEGIN_BYTES = 4 << 20
"""How many bytes are compared: a recording may be larger than memory."""


def check_files(dataset: str, files: Sequence[File]) -> None:
    """Check the files of a batch. Raises AssertionError."""
    for file in files:
        require(
            _opens_anywhere(file),
            f"{dataset}: reading a file from an offset gives other bytes than from the beginning",
            "skip `offset` bytes of the same content",
        )
    for file, following in pairwise(files):
        require(
            _are_independent(file, following),
            f"{dataset}: reading a file gives other bytes while the next file is open in another thread",
            "open a connection of its own for each file",
        )


def _opens_anywhere(file: File) -> bool:
    whole, rest = next(file.open(0), b""), next(file.open(OFFSET_BYTES), b"")
    shared = min(len(whole) - OFFSET_BYTES, len(rest))
    return shared < 0 or whole[OFFSET_BYTES:][:shared] == rest[:shared]


def _are_independent(file: File, following: File) -> bool:
    alone, following_alone = _begin(file.open(0)), _begin(following.open(0))
    blocks = file.open(0)
    first = next(blocks, b"")
    with ThreadPoolExecutor(1) as other:
        meanwhile = other.submit(lambda: _begin(following.open(0))).result()
    return (_begin(chain([first], blocks)), meanwhile) == (alone, following_alone)


def _begin(blocks: Iterator[bytes]) -> bytes:
    begin = bytearray()
    while len(begin) < BEGIN_BYTES and (block := next(blocks, b"")):
        begin += block
    return bytes(begin[:BEGIN_BYTES])
