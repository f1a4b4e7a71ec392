"""Puts made-up files into a storage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from portability.errors import ObjectMissing
from portability.storage import Storage


@dataclass(frozen=True, slots=True)
class Stored:
    """What a row tells of its file."""

    bytes: int
    sha256: str


def store(files: Storage, key: str, media_type: str, blocks: Iterable[bytes]) -> Stored:
    """Write a file unless there is one under its key; the blocks are read in any case, for size and hash.

    Raises:
        StorageError: nothing is left behind then.
    """
    digest, size = hashlib.sha256(), 0
    upload = None if _exists(files, key) else files.begin(key, media_type=media_type)
    try:
        for block in blocks:
            digest.update(block)
            size += len(block)
            if upload:
                upload.write(block)
        if upload:
            upload.complete()
    except BaseException:
        if upload:
            upload.abort()
        raise
    return Stored(size, digest.hexdigest())


def _exists(files: Storage, key: str) -> bool:
    try:
        files.stat(key)
    except ObjectMissing:
        return False
    return True
