"""SHA-256 beside the work that brings the bytes: hashlib releases the interpreter's lock, so a second core can hash."""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

SMALL_BYTES = 1 << 16
"""Size of a block that is hashed at once, because handing it to the thread would take longer."""
BLOCKS_AHEAD = 4
"""Number of blocks that may wait for the thread; a caller with another block waits, so that memory stays bounded."""


class Hasher:
    """One thread for the hashes of any number of files; leaving it waits for the thread's end."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hasher")
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()

    def begin(self) -> Digest:
        """Start the hash of another file."""
        return Digest(self)

    def hand_over(self, digest: hashlib._Hash, block: bytes) -> Future[None]:
        """Queue a block for the thread, which hashes blocks in the order of the calls."""
        if len(self._waiting) == BLOCKS_AHEAD:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(digest.update, block))
        return self._waiting[-1]


class Digest:
    """The SHA-256 of one file, block by block."""

    def __init__(self, hasher: Hasher) -> None:
        self._hasher = hasher
        self._sha256 = hashlib.sha256()
        self._last: Future[None] | None = None

    def update(self, block: bytes) -> None:
        """Add the next block, which may be hashed later."""
        if self._last is None and len(block) < SMALL_BYTES:
            self._sha256.update(block)
        else:
            self._last = self._hasher.hand_over(self._sha256, block)

    def hexdigest(self) -> str:
        """Return the hash of all blocks; waits until the last block is hashed."""
        if self._last is not None:
            self._last.result()
        return self._sha256.hexdigest()
