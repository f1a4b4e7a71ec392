"""A storage as an exporter sees it: a source's files, with a source's errors."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from portability.errors import (
    ObjectChanged,
    ObjectMissing,
    SourceError,
    SourceRefused,
    SourceUnavailable,
    StorageError,
)
from portability.storage import Storage

KNOWN_SECONDS = 60.0
"""For so long a file is believed to be as it was; who reads it says which version is meant, and hears of another."""
KNOWN_MAX = 1_000


class StorageFiles:
    """The `FileStore` on a storage. Messages leave out the key: it comes from the source's own rows.

    A file is often asked for twice, once beside its row and once for the document that its row goes into.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._known: dict[str, tuple[float, tuple[int, str]]] = {}
        """Until when, and what."""

    def read(self, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        try:
            with _as_source():
                yield from self._storage.read(key, offset, etag=etag)
        except SourceError:
            self._known.pop(key, None)
            raise

    def stat(self, key: str) -> tuple[int, str] | None:
        until, known = self._known.get(key, (0.0, None))
        if time.monotonic() < until:
            return known
        with _as_source():
            try:
                found = self._storage.stat(key)
            except ObjectMissing:
                return None
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[key] = (time.monotonic() + KNOWN_SECONDS, (found.bytes, found.etag))
        return found.bytes, found.etag


@contextmanager
def _as_source() -> Iterator[None]:
    try:
        yield
    except ObjectMissing:
        raise SourceRefused("missing: the file store has no such file") from None
    except ObjectChanged:
        raise SourceUnavailable("changed: the file store has another version of the file") from None
    except StorageError as error:
        kind = SourceUnavailable if error.retryable else SourceRefused
        raise kind(f"{error.code}: the file store did not give the file", hint=error.hint) from None
