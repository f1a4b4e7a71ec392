"""Stores made-up files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from portability.api.errors import ObjectMissing
from portability.api.storages import Storage


@dataclass(frozen=True, slots=True)
class Stored:
    """What a row states about its file."""

    bytes: int
    sha256: str


def store(files: Storage, key: str, media_type: str, blocks: Iterable[bytes]) -> Stored:
    """Write a file unless its key exists; the blocks are always read, for size and hash.

    Raises:
        StorageError: nothing is left behind.
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
