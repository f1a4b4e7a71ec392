"""A disk so small that a test can fill it: a tmpfs, which only root may mount."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

SMALL_BYTES = 64 << 20
ROOM_BYTES = 48 << 10
"""Left when it is filled: less than a volume."""


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A mounted folder."""

    folder: Path

    def fill(self) -> None:
        """Leave room for less than a volume."""
        free = os.statvfs(self.folder)
        with self._ballast.open("wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, max(1, free.f_bavail * free.f_frsize - ROOM_BYTES))

    def empty(self) -> None:
        self._ballast.unlink(missing_ok=True)

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"


@contextmanager
def small_disk(folder: Path, size: int = SMALL_BYTES) -> Iterator[SmallDisk | None]:
    """A disk of `size` bytes; None where it may not be mounted; CI must be able to."""
    folder.mkdir(parents=True)
    mounted = _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    if not mounted and os.environ.get("CI"):
        raise RuntimeError("no disk can be filled here: mounting a tmpfs needs root, and CI must not leave it out")
    try:
        yield SmallDisk(folder) if mounted else None
    finally:
        if mounted:
            _run("umount", "--lazy", str(folder))


@contextmanager
def needed_disk(folder: Path, size: int = SMALL_BYTES) -> Iterator[SmallDisk]:
    """A disk of `size` bytes, without which the test is skipped."""
    with small_disk(folder, size) as disk:
        if not disk:
            pytest.skip("mounting a tmpfs needs root")
        yield disk


def _run(*words: str) -> bool:
    return subprocess.run(words, check=False, capture_output=True).returncode == 0
