"""Folders and files of a `file://` storage: opened name by name, so that no symbolic link is ever followed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from portability.api.errors import (
    ObjectChanged,
    ObjectMissing,
    StorageError,
    StorageFull,
    StorageRefused,
    StorageUnavailable,
)
from portability.api.storages import StoredObject

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR, errno.EISDIR}


@contextmanager
def folder_errors(doing: str, what: str) -> Iterator[None]:
    """Convert errors of the operating system into storage errors, without its paths."""
    try:
        yield
    except OSError as error:
        kind: type[StorageError] = StorageUnavailable
        if error.errno in _FULL:
            kind = StorageFull
        elif error.errno in _REFUSED:
            kind = StorageRefused
        raise kind(f"cannot {doing} {what}: {error.strerror or type(error).__name__}") from None


@contextmanager
def opened_folder(root: Path, names: Sequence[str] | Sequence[bytes], *, create: bool = False) -> Iterator[int]:
    """Open a folder below root, name by name: symbolic links are never followed, even if created meanwhile."""
    flags = os.O_RDONLY | os.O_DIRECTORY
    with ExitStack() as stack:

        def opened(path: str | bytes | Path, folder: int | None, extra: int = 0) -> int:
            descriptor = os.open(path, flags | extra, dir_fd=folder)
            stack.callback(os.close, descriptor)
            return descriptor

        if create:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = opened(root, None)
        for name in names:
            if create:
                with suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=folder)
                    os.fsync(folder)
            folder = opened(name, folder, os.O_NOFOLLOW)
        yield folder


def created(name: str, folder: int) -> FileIO:
    """Create a file of mode 0600 in an open folder. Raises FileExistsError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    return FileIO(os.open(name, flags, 0o600, dir_fd=folder), "wb")


def link_new(path: Path, name: str, *, dst_dir_fd: int) -> None:
    """Give a file a second name in an open folder. Raises ObjectChanged if the folder has a file of that name."""
    try:
        os.link(path, name, dst_dir_fd=dst_dir_fd)
    except FileExistsError:
        raise ObjectChanged(f"{name} exists") from None


def walk(folder: Path, path: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield regular files below a folder, with paths that begin with `path` and can begin with the prefix."""
    try:
        with os.scandir(folder) as found:
            entries = [entry for entry in found if not entry.name.startswith(".")]
    except FileNotFoundError:
        return
    for entry in sorted(entries, key=lambda entry: entry.name):
        inner = path + entry.name
        if entry.is_dir(follow_symlinks=False):
            if f"{inner}/".startswith(prefix) or prefix.startswith(f"{inner}/"):
                yield from walk(folder / entry.name, f"{inner}/", prefix)
        elif entry.is_file(follow_symlinks=False):
            with suppress(FileNotFoundError):
                yield inner, entry.stat(follow_symlinks=False)


def etag_of(status: os.stat_result) -> str:
    """Return an ETag of a file: it changes with the content, and when the file is replaced."""
    return f"{status.st_size:x}-{status.st_mtime_ns:x}-{status.st_ino:x}"


def described(key: str, status: os.stat_result) -> StoredObject:
    """Describe a file as an object. Raises ObjectMissing for anything else."""
    if not stat.S_ISREG(status.st_mode):
        raise ObjectMissing(f"{key} does not exist")
    return StoredObject(key, status.st_size, etag_of(status), datetime.fromtimestamp(status.st_mtime, UTC))
