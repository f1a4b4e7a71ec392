"""Files as blocks, resumed at their own offset when the source breaks; unreadable content becomes a gap.

While a block is hashed, packed and sent, the next block is read; while a file is read, the next file is opened (and
more of them if they are small): otherwise each file would wait for a distant store once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from portability.api import File, Gap
from portability.api.errors import PortabilityError, SourceError, SourceUnavailable
from worker.read.reader import SourcePatience

UNREADABLE = "unreadable"
"""The reason of a gap after an unexpected error of a file's stream."""
CHANGED = "changed"
"""The reason of a gap if the content differs from what the source announced."""
STATED = ("missing", CHANGED)
"""What a source may state as `SourceError.reason`."""


AHEAD_FILES, AHEAD_BYTES = 8, 4 << 20
"""How many files and bytes may be opened in advance; one file is always allowed."""


class FileStream:
    """Reads a file from `offset` to its end, in one or several parts; after the end, `gap` says what is wrong."""

    def __init__(
        self, file: File, what: str, patience: SourcePatience, *, offset: int = 0, in_one: bool = False
    ) -> None:
        """Prepare a file. `in_one`: it becomes one member, whose hash is passed to `judge`; else it is hashed here."""
        self.file = file
        self.what = what
        """Its name in a gap."""
        self._patience = patience
        self._source = patience.bounded(what)
        self._left_over = b""
        self._blocks: Iterator[bytes] | None = None
        # A digest of the whole file is possible only if all of it is read here.
        self._digest = hashlib.sha256() if offset == 0 and file.sha256 and not in_one else None
        self._ended = False
        self.following: Sequence[FileStream] = ()
        """Files opened as soon as this one yields bytes: a store that does not answer gets no further requests."""
        self.offset = offset
        """Bytes yielded so far, from the beginning of the file."""
        self.gap: Gap | None = None

    def begin(self) -> None:
        """Start reading the next block without waiting for it."""
        if not self._ended:
            self._source.begin(self._read)

    def part(self, limit_bytes: int) -> Iterator[bytes]:
        """Yield the next blocks, at most `limit_bytes`."""
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
        """Return whether there is at least one more byte. If not, `gap` is final."""
        self._left_over = self._left_over or self._next()
        return bool(self._left_over)

    def judge(self, sha256: str) -> None:
        """Check a completely written file with this hash against what the source announced."""
        if self.gap is None and self.file.sha256 not in {None, sha256}:
            self.gap = Gap(self.what, CHANGED, retryable=False)

    def close(self) -> None:
        """Free the source's resources. Raises: what the check of `patience` raises."""
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
                    self._finish(_reason_of(fault), retryable=True)
                attempt += 1
            except PortabilityError as fault:
                self._finish(_reason_of(fault), retryable=fault.retryable)
            except BaseException:  # noqa: BLE001  # third-party code; the file ends here, the archive continues
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
        """Read a block in the source's thread: nothing else uses the blocks meanwhile."""
        if self._blocks is None:
            self._blocks = iter(self.file.open(self.offset))
        for block in self._blocks:
            if block:
                # Other types than bytes are refused here, as the source's fault; mutable blocks are copied.
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


def streams(
    files: Sequence[File], folder: str, offset: int, limit_bytes: int, patience: SourcePatience
) -> list[FileStream]:
    """Make streams in order, the first from `offset` on; a file larger than `limit_bytes` becomes several members."""
    file_streams = [
        FileStream(
            file,
            f"{folder}/{file.name}",
            patience,
            offset=offset if number == 0 else 0,
            in_one=file.size is not None and file.size <= limit_bytes,
        )
        for number, file in enumerate(files)
    ]
    for number, stream in enumerate(file_streams, start=1):
        stream.following = _small_following(file_streams[number : number + AHEAD_FILES])
    return file_streams


def _small_following(following: Sequence[FileStream]) -> Sequence[FileStream]:
    room = AHEAD_BYTES
    for number, stream in enumerate(following):
        room -= AHEAD_BYTES if stream.file.size is None else stream.file.size
        if room < 0:
            return following[: max(1, number)]
    return following


def _reason_of(fault: PortabilityError) -> str:
    """Return the reason of a file's gap: the code, or one of the reasons that a source may state."""
    stated = fault.reason if isinstance(fault, SourceError) else ""
    # Compared, because the error of a plug-in may have anything there.
    return next((reason for reason in STATED if reason == stated), fault.code)
