"""A storage in the form for exporters: a source's files, with a source's errors."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from portability.api.errors import (
    ObjectChanged,
    ObjectMissing,
    SourceError,
    SourceRefused,
    SourceUnavailable,
    StorageError,
)
from portability.api.source_storages import SourceStorage
from portability.api.storages import Storage
from portability.storage import named_by

KNOWN_SECONDS = 60.0
"""How long a file's description is cached; a reader names the version and notices a change."""
KNOWN_MAX = 1_000
RECORDINGS = "PORTABILITY_RECORDINGS_URL"
"""The setting of the reference platform's files."""


class StorageFiles:
    """The `FileStore` on a storage. Messages omit the key, because it comes from the source's own rows.

    A file is often described twice: for its row, and for the document made of the row.
    """

    def __init__(self, storage: Storage, setting: str = RECORDINGS) -> None:
        """Read from a storage; `setting` is what names it, for the hints of its errors."""
        self._setting = setting
        # A storage that is not a `SourceStorage` reads keys of its own alone.
        self._read, self._stat = (
            (storage.read_any, storage.stat_any) if isinstance(storage, SourceStorage) else (storage.read, storage.stat)
        )
        self._known: dict[str, tuple[float, tuple[int, str]]] = {}
        """(Expiry time, description)."""

    def read(self, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        try:
            with _as_source(self._setting):
                yield from self._read(key, offset, etag=etag)
        except SourceError:
            self._known.pop(key, None)
            raise

    def stat(self, key: str) -> tuple[int, str] | None:
        until, known = self._known.get(key, (0.0, None))
        if time.monotonic() < until:
            return known
        with _as_source(self._setting):
            try:
                found = self._stat(key)
            except ObjectMissing:
                return None
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[key] = (time.monotonic() + KNOWN_SECONDS, (found.bytes, found.etag))
        return found.bytes, found.etag


@contextmanager
def _as_source(setting: str) -> Iterator[None]:
    try:
        with named_by(setting):
            yield
    except ObjectMissing:
        raise SourceRefused("missing: the file does not exist in the file store", reason="missing") from None
    except ObjectChanged:
        raise SourceUnavailable("changed: the file store has another version of the file", reason="changed") from None
    except StorageError as error:
        kind = SourceUnavailable if error.retryable else SourceRefused
        raise kind(f"{error.code}: cannot read the file from the file store", hint=error.hint) from None
