"""Encryption: a stored volume through age into an upload, a mebibyte at a time, hashed on both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Mapping
from typing import Any

import pyrage

from portability.errors import ObjectChanged, VolumeFault
from portability.storage import BLOCK_BYTES, Storage, Upload


class Source:
    """A stored volume as the file that the library reads; what goes wrong is kept for `encrypt`."""

    def __init__(self, storage: Storage, volume: Mapping[Any, Any], check: Callable[[], None]) -> None:
        """`check` raises when to stop; it is asked before every block."""
        self._blocks = storage.read(volume["object_key"])
        self._check = check
        self._block = memoryview(b"")
        self._digest = hashlib.sha256()
        self.trouble: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            if not self._block:
                self._check()
                block = next(self._blocks, b"")
                self._digest.update(block)
                self._block = memoryview(block)
            part = self._block[:size] if size >= 0 else self._block
            self._block = self._block[len(part) :]
            return bytes(part)
        except BaseException as error:
            self.trouble = error
            raise

    def close(self) -> None:
        if isinstance(self._blocks, Generator):
            self._blocks.close()

    def check_whole(self, volume: Mapping[Any, Any]) -> None:
        """What was read is what was signed. Raises ObjectChanged."""
        if self._digest.hexdigest() != volume["sha256"]:
            raise ObjectChanged(f"volume {volume['number']}: storage gave other bytes than were stored")


class Sink:
    """The copy as the file that the library writes; storage gets it in blocks."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self._filling = bytearray()
        self._digest = hashlib.sha256()
        self.bytes = 0
        self.trouble: BaseException | None = None

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, block: bytes) -> int:
        try:
            self._filling += block
            if len(self._filling) >= BLOCK_BYTES:
                self.send()
        except BaseException as error:
            self.trouble = error
            raise
        return len(block)

    def flush(self) -> None:
        """Blocks are sent when they are full."""

    def complete(self) -> None:
        """Publish it. Raises StorageError, VolumeFault."""
        stored = self._upload.complete()
        if stored.bytes != self.bytes:
            raise VolumeFault(f"a copy of {self.bytes} bytes was written, storage holds {stored.bytes}")

    def send(self) -> None:
        """Send what there is."""
        if self._filling:
            block = bytes(self._filling)
            self._filling.clear()
            self._digest.update(block)
            self.bytes += len(block)
            self._upload.write(block)


def encrypt(source: Source, sink: Sink, age_key: str) -> None:
    """All of one into the other. Raises what reading or writing raised, else VolumeFault."""
    try:
        pyrage.encrypt_io(source, sink, [pyrage.x25519.Recipient.from_str(age_key)])
    except Exception as error:  # noqa: BLE001  # the library names every fault alike: what ours was, it was
        cause = source.trouble or sink.trouble
        raise cause or VolumeFault(f"age failed: {type(error).__name__}") from None
    sink.send()
