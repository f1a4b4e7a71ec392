"""Reading files of a `file://` storage, those of this software and those that other programs have stored."""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from portability.api.errors import ObjectChanged, ObjectMissing, StorageRefused, StorageUnavailable
from portability.api.source_storages import check_source_key, refused_source_key
from portability.api.storages import BLOCK_BYTES
from portability.storage.folders import etag_of, folder_errors, opened_folder

STORE_FILE = ".portability-store"
UPLOADS = ".uploads"
SOURCE_FILE = "a file of a source"
"""How errors name a file whose key is personal data."""
_NO_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}
_NO_NAME = {errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL}
"""What file systems answer to names that they cannot have: too long, not in their character set, `a?b`."""


def source_names(key: str) -> Sequence[bytes]:
    """Return the names of the folders and of the file of a source's key, in UTF-8 whatever the locale is.

    Raises: StorageRefused, without the key, if no file of a folder can have it, or it is a file of the storage itself.
    """
    if any(unicodedata.category(character) == "Cc" for character in check_source_key(key)):
        raise refused_source_key("has a control character")
    names = key.split("/")
    if not all(names):
        raise refused_source_key("begins or ends with a slash, or has two in a row")
    first = names[0].casefold()  # the mounted file system may ignore case
    if first == UPLOADS or first.startswith(STORE_FILE):
        raise refused_source_key("is one of the storage's own files")
    return [name.encode() for name in names]


@contextmanager
def opened_file(root: Path, names: Sequence[str] | Sequence[bytes], what: str) -> Iterator[FileIO]:
    """Open a regular file below a folder; symbolic links are never followed. Errors name it as `what`.

    Raises: ObjectMissing, also for anything but a regular file; StorageRefused; StorageUnavailable.
    """
    *folders, name = names
    with folder_errors("open", what):
        if not root.is_dir():
            raise StorageUnavailable(f"cannot open {what}: the storage folder does not exist")
        try:
            with opened_folder(root, folders) as folder:
                descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        except OSError as error:
            if error.errno in _NO_FILE:
                raise ObjectMissing(f"{what} does not exist") from None
            if error.errno in _NO_NAME:
                raise StorageRefused(f"cannot open {what}: no file can have its name here") from None
            raise
        # `FileIO` does not close a descriptor that it refuses, such as one of a folder.
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ObjectMissing(f"{what} does not exist")
        with FileIO(descriptor) as file:
            yield file


def read_blocks(
    root: Path, names: Sequence[str] | Sequence[bytes], what: str, offset: int, etag: str | None
) -> Iterator[bytes]:
    """Read as `Storage.read` says; errors are raised during iteration. A file that changes is `ObjectChanged`."""
    with opened_file(root, names, what) as file, folder_errors("read", what):
        seen = etag_of(os.fstat(file.fileno()))
        if etag is not None and etag != seen:
            raise ObjectChanged(f"{what} is not the requested version")
        file.seek(offset)
        block = file.read(BLOCK_BYTES)
        while True:
            # Asked after the block was read, and before it is given: no reader gets parts of two versions.
            if etag_of(os.fstat(file.fileno())) != seen:
                raise ObjectChanged(f"{what} changed while it was read")
            if not block:
                return
            yield block
            block = file.read(BLOCK_BYTES)
