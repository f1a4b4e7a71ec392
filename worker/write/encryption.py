"""Encryption: a stored volume is piped through age into an upload, a mebibyte at a time, and hashed on both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Mapping
from typing import Any

import pyrage

from portability.api.errors import ObjectChanged
from portability.api.storages import BLOCK_BYTES, Storage, Upload
from portability.errors import VolumeFault


class VolumeSource:
    """A stored volume as the file object that the library reads; errors are kept for `encrypt`."""

    def __init__(self, storage: Storage, volume: Mapping[Any, Any], check: Callable[[], None]) -> None:
        """Open nothing yet; `check` is called before every block and raises when to stop."""
        self._blocks = storage.read(volume["object_key"])
        self._check = check
        self._block = memoryview(b"")
        self._digest = hashlib.sha256()
        self.failure: BaseException | None = None

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
            self.failure = error
            raise

    def close(self) -> None:
        if isinstance(self._blocks, Generator):
            self._blocks.close()

    def check_whole(self, volume: Mapping[Any, Any]) -> None:
        """Check that the bytes read are the bytes that were signed. Raises ObjectChanged."""
        if self._digest.hexdigest() != volume["sha256"]:
            raise ObjectChanged(f"volume {volume['number']}: the bytes in storage differ from those that were signed")


class EncryptedSink:
    """The copy as the file object that the library writes; storage gets it in blocks."""

    def __init__(self, upload: Upload, nonce: bytes | None = None) -> None:
        """`nonce`: what the proof of possession begins with; None: no proof is computed."""
        self._upload = upload
        self._filling = bytearray()
        self._digest = hashlib.sha256()
        self._proof = hashlib.sha256(nonce) if nonce else None
        self.bytes = 0
        self.failure: BaseException | None = None

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    @property
    def possession(self) -> str | None:
        """Return SHA-256 of the nonce and all written bytes, which proves possession of the copy."""
        return self._proof.hexdigest() if self._proof else None

    def write(self, block: bytes) -> int:
        try:
            self._filling += block
            if len(self._filling) >= BLOCK_BYTES:
                self.send()
        except BaseException as error:
            self.failure = error
            raise
        return len(block)

    def flush(self) -> None:
        """Do nothing: blocks are sent when they are full."""

    def complete(self) -> None:
        """Publish the copy. Raises StorageError, VolumeFault."""
        stored = self._upload.complete()
        if stored.bytes != self.bytes:
            raise VolumeFault(f"a copy of {self.bytes} bytes was written, but storage has {stored.bytes}")

    def send(self) -> None:
        """Send the current block."""
        if self._filling:
            block = bytes(self._filling)
            self._filling.clear()
            self._digest.update(block)
            if self._proof is not None:
                self._proof.update(block)
            self.bytes += len(block)
            self._upload.write(block)


def encrypt(source: VolumeSource, sink: EncryptedSink, age_key: str) -> None:
    """Encrypt all of the source into the sink. Raises what reading or writing raised, else VolumeFault."""
    try:
        pyrage.encrypt_io(source, sink, [pyrage.x25519.Recipient.from_str(age_key)])
    except Exception as error:  # noqa: BLE001  # the library wraps every error: the original one was kept
        cause = source.failure or sink.failure
        raise cause or VolumeFault(f"age failed: {type(error).__name__}") from None
    sink.send()
