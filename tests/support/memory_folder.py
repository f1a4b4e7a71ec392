"""The folder of the tests' files: in memory where there is room.

A database has 300 files. To make and remove them takes the file system of a disk up to ten times the processor time.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM = 8 << 30
"""Bytes that must be free: more than the tests need at once."""


def keep_files_in_memory() -> None:
    """Let this process and its children make temporary files in memory, unless TMPDIR names a folder."""
    if "TMPDIR" in os.environ or not MEMORY.is_dir():
        return
    found = os.statvfs(MEMORY)
    if found.f_bavail * found.f_frsize >= ROOM and not found.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)
