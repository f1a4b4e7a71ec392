"""Errors of writing into an open file, which have no name of a file by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an error of the operating system the name of the file or folder into which the block writes.

    The kernel names a file that cannot be opened, and none that is open: a full disk would be reported without a place.
    """
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
