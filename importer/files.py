"""Recordings and attachments into a storage, under a key that names their content: twice is once."""

from __future__ import annotations

from pathlib import PurePosixPath

from archive.names import safe_name
from importer.contents import StoredFile
from portability.errors import ObjectMissing
from portability.storage import Storage


def key_of(exporter: str, dataset: str, name: str, file: StoredFile) -> str:
    """Where a file lies: no other content can ever have this key."""
    return f"{exporter}/{dataset}/{file.digest}/{PurePosixPath(safe_name(name)).name}"


def store(storage: Storage, key: str, file: StoredFile) -> None:
    """Write the file; nothing is under its key before all of it was read and is as listed.

    Raises: BadArchive, StorageError.
    """
    upload = storage.begin(key, media_type=file.media_type)
    try:
        for block in file.blocks():
            upload.write(block)
        upload.complete()
    except BaseException:
        upload.abort()
        raise


def is_stored(storage: Storage, key: str, file: StoredFile) -> bool:
    """Whether it is there already: the key names the content, and an upload is there whole or not at all."""
    try:
        return storage.stat(key).bytes == file.size
    except ObjectMissing:
        return False
