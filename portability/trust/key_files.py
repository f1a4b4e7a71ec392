"""Files with private keys: readable by their owner alone, and whole or absent, also after a full disk or a kill."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

BYTES_MAX = 65_536
"""The longest content of a file with a key."""


def content(path: Path) -> bytes:
    """Read a file with a key. Raises OSError; ValueError: it is a pipe, a folder or a device, or too long.

    A named pipe in its place would make each process wait without end, and a device would fill its memory.
    """
    with open(path, "rb", opener=_open_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("no regular file")
        read = file.read(BYTES_MAX + 1)
    if len(read) > BYTES_MAX:
        raise ValueError("too long")
    return read


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def make(path: Path, content: bytes, *, for_owner_of_folder: bool = False) -> None:
    """Write a new file of mode 0600; what root makes can belong to the owner of the folder. Raises FileExistsError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            if for_owner_of_folder and os.geteuid() == 0:
                owner = path.parent.stat()
                os.fchown(handle, owner.st_uid, owner.st_gid)
            file.write(content)
            file.flush()
            # The database keeps the key's row from its commit on: a power cut must not leave an empty file beside it.
            os.fsync(handle)
        os.link(unfinished, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # an error of writing into an open file has no name
        raise
    finally:
        Path(unfinished).unlink()
