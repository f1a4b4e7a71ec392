"""One File as blocks, resumed from its own offset when the source breaks; what cannot be had is a gap, not a crash.

While a block is hashed, packed and sent, the next one is read; while a file is, the next file is opened, and more of
them where they are small: else a store that is far away would be waited for once a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from portability.api import File, Gap
from portability.errors import PortabilityError, SourceUnavailable
from worker.reader import Patience

UNREADABLE = "unreadable"
"""The reason of a gap whose stream raised what no source of ours raises."""
CHANGED = "changed"
"""The reason of a gap in what is there: it is not what the source promised."""


AHEAD_FILES, AHEAD_BYTES = 8, 4 << 20
"""What may be open beside the file that is read; the next one always may."""


class FileStream:
    """Reads a file from `offset` to its end, in one part or several; after the end, `gap` says what is wrong."""

    def __init__(self, file: File, what: str, patience: Patience, *, offset: int = 0, in_one: bool = False) -> None:
        """`in_one`: it goes into one member, whose hash `judge` is told; else the bytes are hashed here."""
        self.file = file
        self.what = what
        """Names it in a gap."""
        self._patience = patience
        self._source = patience.bounded(what)
        self._left_over = b""
        self._blocks: Iterator[bytes] | None = None
        # A digest over the whole is possible only where the whole passes through here.
        self._digest = hashlib.sha256() if offset == 0 and file.sha256 and not in_one else None
        self._ended = False
        self.following: Sequence[FileStream] = ()
        """Opened as soon as this one gives bytes: a store that does not answer is not asked for more files."""
        self.offset = offset
        """Bytes given out so far, from the beginning of the file."""
        self.gap: Gap | None = None

    def begin(self) -> None:
        """Read the first block, or the next one, without waiting for it."""
        if not self._ended:
            self._source.begin(self._read)

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
        """Whether there is at least one more byte. Where there is none, `gap` is final."""
        self._left_over = self._left_over or self._next()
        return bool(self._left_over)

    def judge(self, sha256: str) -> None:
        """Of a file that went out whole and has this hash: whether it is what the source promised."""
        if self.gap is None and self.file.sha256 not in {None, sha256}:
            self.gap = Gap(self.what, CHANGED, retryable=False)

    def close(self) -> None:
        """Free the source's resources. Raises: what the patience's check raises."""
        self._source.close(self._release)

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
                    self.begin()
                    for following in self.following:
                        following.begin()
                    return block
                self._finish()
        return b""

    def _read(self) -> bytes:
        """In the source's thread: nothing else touches the blocks while it runs."""
        if self._blocks is None:
            self._blocks = iter(self.file.open(self.offset))
        for block in self._blocks:
            if block:
                # What is no bytes is refused here, where it is still the source's fault; what may change is copied.
                return block if type(block) is bytes else bytes(memoryview(block))
        return b""

    def _release(self) -> None:
        blocks, self._blocks = self._blocks, None
        if close := getattr(blocks, "close", None):
            close()

    def _finish(self, reason: str | None = None, *, retryable: bool = False) -> None:
        self._ended = True
        self.close()
        if reason is None and self.file.size is not None and self.offset < self.file.size:
            reason, retryable = "truncated", True
        elif reason is None and self._differs():
            reason = CHANGED
        if reason is not None:
            self.gap = Gap(self.what, reason, retryable)

    def _differs(self) -> bool:
        longer = self.file.size is not None and self.offset > self.file.size
        return longer or (self._digest is not None and self._digest.hexdigest() != self.file.sha256)


def streams(files: Sequence[File], folder: str, offset: int, limit_bytes: int, patience: Patience) -> list[FileStream]:
    """One after the other, the first from `offset` on; a larger file than `limit_bytes` goes into several members."""
    made = [
        FileStream(
            file,
            f"{folder}/{file.name}",
            patience,
            offset=offset if number == 0 else 0,
            in_one=file.size is not None and file.size <= limit_bytes,
        )
        for number, file in enumerate(files)
    ]
    for number, stream in enumerate(made, start=1):
        stream.following = _ahead(made[number : number + AHEAD_FILES])
    return made


def _ahead(following: Sequence[FileStream]) -> Sequence[FileStream]:
    room = AHEAD_BYTES
    for number, stream in enumerate(following):
        room -= AHEAD_BYTES if stream.file.size is None else stream.file.size
        if room < 0:
            return following[: max(1, number)]
    return following
