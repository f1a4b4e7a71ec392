"""Temporary files: what of a volume waits on the disk of its worker, and what a full disk is."""

from __future__ import annotations

import errno
import re
import sqlite3
import tempfile
from pathlib import Path

from portability.database import sqlite_files
from portability.errors import VolumeFault

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
DISK_FAULTS = FULL | {errno.EROFS, errno.EIO}
FOLDER_FAULTS = frozenset({errno.EACCES, errno.ENOENT})
"""About the folder for temporary files alone: elsewhere they are faults of this program."""
NO_FOLDER = "No usable temporary directory"
"""The beginning of the error of Python's tempfile."""


class NoTemporaryRoom(VolumeFault):
    """A worker cannot write its temporary files; it waits for room as for that of the storage."""

    code = "no_temporary_room"
    default_hint = "is there room in the folder for temporary files (TMPDIR)?"


def disk_fault(error: BaseException) -> str | None:
    """Return what is wrong with the disk of temporary files, if an error is about it."""
    if isinstance(error, OSError):
        is_about_it = error.errno in DISK_FAULTS or (error.errno in FOLDER_FAULTS and _is_about_folder(error))
        return error.strerror if is_about_it else None
    # Of the unnamed databases in which a worker compares and sorts.
    name = getattr(error, "sqlite_errorname", "") if isinstance(error, sqlite3.Error) else ""
    return name if re.match(sqlite_files.DISK_FAULTS, name) else None


def _is_about_folder(error: OSError) -> bool:
    if tempfile.tempdir and error.filename:
        named = Path(error.filename)
        return Path(tempfile.tempdir) in {named, named.parent}
    return str(error.strerror).startswith(NO_FOLDER)
