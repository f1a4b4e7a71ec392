"""Uploads: an unfinished upload does not stay open in storage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from portability.api.errors import StorageError
from portability.api.storages import Upload


@contextmanager
def aborted_on_error(upload: Upload) -> Iterator[None]:
    """Abort an upload if the block raises; if the abort fails, the sweep removes it later."""
    try:
        yield
    except BaseException:
        with suppress(StorageError):
            upload.abort()
        raise
