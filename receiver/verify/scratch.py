"""Folders for unpacked data that must not stay: removed at the end, at a signal, and after a kill by the next run."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = f"portability-import-{os.getuid()}-"


@contextmanager
def scratch_folder(within: Path | None = None) -> Iterator[Path]:
    """Yield a new private folder; folders of runs that were killed are removed first.

    A run locks its folder: the lock ends with the process, whatever ends it.
    """
    parent = within or Path(tempfile.gettempdir())
    sweep(parent)
    folder, handle = _locked(parent)
    try:
        with _ended_by(signal.SIGTERM), _ended_by(signal.SIGHUP):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _locked(parent: Path) -> tuple[Path, int]:
    """Make a folder and lock it; the sweep of another process may remove it before the lock: then make another."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        with suppress(FileNotFoundError):
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(handle, fcntl.LOCK_EX)
            if folder.exists():
                return folder, handle
            os.close(handle)


def sweep(parent: Path) -> int:
    """Remove the folders of this user that no running process has locked; returns how many."""
    removed = 0
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(handle).st_uid == os.getuid():
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)
                    removed += 1
            finally:
                os.close(handle)
    return removed


@contextmanager
def _ended_by(number: signal.Signals) -> Iterator[None]:
    """Have a signal end the block as an interrupt does, so that its data is removed.

    One that is ignored stays so, such as SIGHUP under `nohup`.
    """
    before = signal.getsignal(number)
    is_in_main_thread = threading.current_thread() == threading.main_thread()
    if before == signal.SIG_IGN or not is_in_main_thread:
        yield
        return
    signal.signal(number, lambda *_: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(number, before)
