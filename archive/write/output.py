"""The output of a volume: joined to large blocks, counted and hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

from portability.api.storages import BLOCK_BYTES

LARGE_BYTES = BLOCK_BYTES // 4
"""Larger chunks are written unchanged, because joining them would copy them without a benefit."""


class VolumeOutput:
    """Joins small chunks, so that storage receives large blocks."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self.bytes = 0
        self._write = write
        self._sha256 = hashlib.sha256()
        self._pending = bytearray()

    def extend(self, chunks: Iterable[bytes]) -> None:
        """Add chunks; they are written once there are enough of them."""
        for chunk in chunks:
            self.bytes += len(chunk)
            if len(chunk) >= LARGE_BYTES:
                self.flush()
                self._give(chunk)
                continue
            self._pending += chunk
            if len(self._pending) >= BLOCK_BYTES:
                self.flush()

    def flush(self) -> None:
        """Write what is left."""
        block = bytes(self._pending)
        self._pending.clear()
        self._give(block)

    def _give(self, block: bytes) -> None:
        self._sha256.update(block)
        self._write(block)

    def sha256(self) -> str:
        """Return the SHA-256 of everything so far."""
        digest = self._sha256.copy()
        digest.update(self._pending)
        return digest.hexdigest()
