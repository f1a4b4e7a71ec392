"""One File as blocks, resumed from its own offset when the source breaks; what cannot be had is a gap, not a crash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from portability.api import File, Gap
from portability.errors import PortabilityError, SourceUnavailable
from worker.reader import Patience

UNREADABLE = "unreadable"
"""The reason of a gap whose stream raised what no source of ours raises."""


class FileStream:
    """Reads a file from `offset` to its end, in one part or several; after the end, `gap` says what is wrong."""

    def __init__(self, file: File, what: str, offset: int, patience: Patience) -> None:
        self._file = file
        self._what = what
        self._patience = patience
        self._source = patience.bounded(what)
        self._left_over = b""
        self._blocks: Iterator[bytes] | None = None
        # A digest over the whole is possible only where the whole passes through here.
        self._digest = hashlib.sha256() if offset == 0 and file.sha256 else None
        self._ended = False
        self.offset = offset
        """Bytes given out so far, from the beginning of the file."""
        self.gap: Gap | None = None

    def part(self, limit_bytes: int) -> Iterator[bytes]:
        """The next blocks, `limit_bytes` at the most."""
        room = limit_bytes
        while room > 0 and self.more:
            taken, self._left_over = self._left_over[:room], self._left_over[room:]
            room -= len(taken)
            self.offset += len(taken)
            if self._digest is not None:
                self._digest.update(taken)
            yield taken

    @property
    def more(self) -> bool:
        """Whether there is at least one more byte; reads ahead one block. Where there is none, `gap` is final."""
        self._left_over = self._left_over or self._next()
        return bool(self._left_over)

    def close(self) -> None:
        """Free the source's resources. Raises: what the patience's check raises."""
        blocks, self._blocks = self._blocks, None
        self._source.close(getattr(blocks, "close", None))

    def _next(self) -> bytes:
        attempt = 0
        while not self._ended:
            answer = self._source.ask(self._read)
            try:
                block = answer.get()
            except SourceUnavailable as fault:
                self._blocks = None
                if not self._patience.pause(attempt):
                    self._finish(fault.code, retryable=True)
                attempt += 1
            except PortabilityError as fault:
                self._finish(fault.code, retryable=fault.retryable)
            except BaseException:  # noqa: BLE001  # a stranger's stream may raise anything; its file is cut, the archive goes on
                self._finish(UNREADABLE, retryable=False)
            else:
                if block:
                    return block
                self._finish()
        return b""

    def _read(self) -> bytes:
        if self._blocks is None:
            self._blocks = iter(self._file.open(self.offset))
        for block in self._blocks:
            if block:
                # Also refuses what is no bytes, here, where it is still the source's fault.
                return bytes(memoryview(block))
        return b""

    def _finish(self, reason: str | None = None, *, retryable: bool = False) -> None:
        self._ended = True
        self.close()
        if reason is None and self._file.size is not None and self.offset < self._file.size:
            reason, retryable = "truncated", True
        elif reason is None and self._differs():
            reason = "changed"
        if reason is not None:
            self.gap = Gap(self._what, reason, retryable)

    def _differs(self) -> bool:
        longer = self._file.size is not None and self.offset > self._file.size
        return longer or (self._digest is not None and self._digest.hexdigest() != self._file.sha256)
