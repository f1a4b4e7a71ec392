"""age (https://age-encryption.org/v1): from what was sent to the signed ZIP, streaming."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import pyrage
from pyrage import x25519

from portability.errors import BadInput
from receiver.faults import TransferChanged, WrongKey
from receiver.fetch import BLOCK_BYTES, Patience
from receiver.statement import Parcel

IDENTITY_BYTES = 1 << 16
PREFIX = "AGE-SECRET-KEY-1"


def load_identities(path: Path) -> list[x25519.Identity]:
    """The keys in a file as `age-keygen` writes it: one a line, comments with `#`. Raises BadInput."""
    try:
        with path.open("rb") as file:
            text = file.read(IDENTITY_BYTES).decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"the identity file {path} cannot be read: {type(error).__name__}") from None
    lines = [line.strip() for line in text.splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    try:
        identities = [x25519.Identity.from_str(key) for key in keys if key.upper().startswith(PREFIX)]
    except pyrage.IdentityError:
        identities = []
    if not identities or len(identities) < len(keys):
        # Never the line itself: it is, or nearly is, a secret.
        raise BadInput(f"the identity file {path} holds another thing than keys of age", hint="`age-keygen -o FILE`")
    return identities


class _Sink:
    """What is decrypted, counted and hashed on its way to the disk; more than was named is not written."""

    def __init__(self, file: BinaryIO, parcel: Parcel, patience: Patience) -> None:
        self._file = file
        self._parcel = parcel
        self._patience = patience
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, block: bytes) -> int:
        """Raises TransferChanged, Stopped, OSError; they come out of the decryption as they are."""
        self._patience.check()
        self.size += len(block)
        if self.size > self._parcel.plain.size:
            raise TransferChanged(f"{self._parcel.plain.name} has more than the bytes that the sender names")
        self._digest.update(block)
        return self._file.write(block)

    def flush(self) -> None:
        self._file.flush()

    def is_whole(self) -> bool:
        """Whether it is what the sender names."""
        plain = self._parcel.plain
        return (self.size, self._digest.hexdigest()) == (plain.size, plain.sha256)


def unseal(
    source: Path, parcel: Parcel, target: Path, identities: Sequence[x25519.Identity], patience: Patience
) -> None:
    """Decrypt what was sent, and look at every byte. Raises WrongKey, TransferChanged, Stopped, OSError."""
    part = target.with_name(f"{target.name}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    damaged = TransferChanged(f"{parcel.sent.name} is no age file, or a damaged one")
    with os.fdopen(handle, "wb", BLOCK_BYTES) as file, source.open("rb", BLOCK_BYTES) as sealed:
        sink = _Sink(file, parcel, patience)
        try:
            pyrage.decrypt_io(sealed, sink, list(identities))
        except pyrage.DecryptError as error:
            if "no matching keys" in str(error).lower():
                raise WrongKey(f"{parcel.sent.name} is not encrypted to this identity") from None
            raise damaged from None
        except OSError as error:
            if error.errno is not None:
                raise  # the disk's own
            raise damaged from None
    if not sink.is_whole():
        raise TransferChanged(f"{parcel.plain.name} is not the volume that the sender names: its SHA-256 differs")
    part.rename(target)
