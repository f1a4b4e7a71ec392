"""A storage as an exporter sees it: a source's files, with a source's errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from portability.errors import ObjectChanged, ObjectMissing, SourceRefused, SourceUnavailable, StorageError
from portability.storage import Storage


class StorageFiles:
    """The `FileStore` on a storage. Messages leave out the key: it comes from the source's own rows."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def read(self, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        with _as_source():
            yield from self._storage.read(key, offset, etag=etag)

    def stat(self, key: str) -> tuple[int, str] | None:
        with _as_source():
            try:
                found = self._storage.stat(key)
            except ObjectMissing:
                return None
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
