"""Decryption of age files (https://age-encryption.org/v1): from the sent file to the signed ZIP, streaming."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import pyrage
from pyrage import x25519

from portability.api.errors import BadInput
from receiver.faults import TransferChanged, WrongKey
from receiver.fetch.download import BLOCK_BYTES, FetchPatience
from receiver.fetch.statement import Parcel

IDENTITY_BYTES = 1 << 16
PREFIX = "AGE-SECRET-KEY-1"


def load_identities(path: Path) -> list[x25519.Identity]:
    """Load the keys from a file of `age-keygen`: one per line, comments with `#`. Raises BadInput."""
    try:
        with path.open("rb") as file:
            text = file.read(IDENTITY_BYTES).decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read the identity file {path}: {type(error).__name__}") from None
    lines = [line.strip() for line in text.splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    try:
        identities = [x25519.Identity.from_str(key) for key in keys if key.upper().startswith(PREFIX)]
    except pyrage.IdentityError:
        identities = []
    if not identities or len(identities) < len(keys):
        # The message never contains the line: it is, or resembles, a secret.
        raise BadInput(
            f"the identity file {path} contains a line that is not an age key",
            hint="make a key with `age-keygen -o FILE`",
        )
    return identities


class _Sink:
    """Counts and hashes decrypted bytes and writes them to the disk, up to the announced size."""

    def __init__(self, file: BinaryIO, parcel: Parcel, patience: FetchPatience) -> None:
        self._file = file
        self._parcel = parcel
        self._patience = patience
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, block: bytes) -> int:
        """Write a block. Raises TransferChanged, Stopped, OSError; the decryption passes them through."""
        self._patience.check()
        self.size += len(block)
        if self.size > self._parcel.plain.size:
            raise TransferChanged(f"{self._parcel.plain.name} is larger than the sender announced")
        self._digest.update(block)
        return self._file.write(block)

    def flush(self) -> None:
        self._file.flush()

    def is_whole(self) -> bool:
        """Return whether size and SHA-256 are as announced."""
        plain = self._parcel.plain
        return (self.size, self._digest.hexdigest()) == (plain.size, plain.sha256)


def unseal(
    source: Path, parcel: Parcel, target: Path, identities: Sequence[x25519.Identity], patience: FetchPatience
) -> None:
    """Decrypt a received file and check every byte. Raises WrongKey, TransferChanged, Stopped, OSError."""
    part = target.with_name(f"{target.name}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    damaged = TransferChanged(f"{parcel.sent.name} is not an age file, or is damaged")
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
                raise  # an error of the disk
            raise damaged from None
    if not sink.is_whole():
        raise TransferChanged(f"{parcel.plain.name} is not the announced volume: its SHA-256 differs")
    part.rename(target)
