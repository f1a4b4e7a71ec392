"""Temporary files: what of a volume waits on the disk of its worker, and what a full disk is."""

from __future__ import annotations

import errno
import re
import sqlite3

from portability.errors import VolumeFault

DISK_FAULTS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES, errno.ENOENT})
"""Of the operating system. ENOENT: there is no folder for temporary files."""
SQLITE_FAULTS = re.compile("SQLITE_(FULL|IOERR|CANTOPEN|READONLY)")
"""Of the unnamed databases in which a worker compares and sorts."""


class NoTemporaryRoom(VolumeFault):
    """A worker cannot write its temporary files; it waits for room as for that of the storage."""

    code = "no_temporary_room"
    default_hint = "is there room in the folder for temporary files (TMPDIR)?"


def disk_fault(error: BaseException) -> str | None:
    """Return what is wrong with the disk of temporary files, if an error is about it."""
    if isinstance(error, OSError) and error.errno in DISK_FAULTS:
        return error.strerror
    name = getattr(error, "sqlite_errorname", "") if isinstance(error, sqlite3.Error) else ""
    return name if SQLITE_FAULTS.match(name) else None
