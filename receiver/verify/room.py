"""Names the folder whose disk is full: an error of writing into an open file has no name."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from receiver.faults import NoRoom

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
LARGER_HINT = "raise the limit of the process (ulimit -f), or use a folder whose file system takes larger files"


@contextmanager
def room_in(folder: Path) -> Iterator[None]:
    """Convert the error of a full disk, below whose folder the block writes, into NoRoom."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        hint = LARGER_HINT if error.errno == errno.EFBIG else None
        raise NoRoom(f"cannot write into {folder}: {_seen(folder, error)}", hint=hint) from None


def _seen(folder: Path, error: OSError) -> str:
    """Return what the system says; of a disk with free space that takes no more files, that."""
    disk = os.statvfs(folder)
    has_inodes = disk.f_favail or not disk.f_files  # some file systems have no fixed number
    return f"{error.strerror}" if has_inodes else "its disk has no inode for another file"
