"""Storages from which a source's files are read: other programs have stored them, under keys of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from portability.api.errors import StorageRefused
from portability.api.storages import Storage, StoredObject

# A backslash separates parts for some servers and mounted shares.
_BETWEEN_PARTS = re.compile(r"[/\\]")
_LEADING_AWAY = {".", ".."}


@runtime_checkable
class SourceStorage(Storage, Protocol):
    """Optional: a storage that reads what other programs have stored, under every key that it can hold.

    Without it, the files of a source may only have keys that `check_key` accepts. Nothing is written or deleted under
    such a key. It is personal data (`+49301234567.wav`), so that no error contains it.
    """

    def stat_any(self, key: str) -> StoredObject:
        """Describe an object as `stat` does.

        Raises: ObjectMissing; StorageRefused for a key that `check_source_key` refuses or no object can have, never
        StorageUnavailable for such a key: it would be asked for again.
        """
        ...

    def read_any(self, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        """Read an object as `read` does. Raises what `read` raises; for keys what `stat_any` raises."""
        ...


def check_source_key(key: str) -> str:
    """Return the key of a source's object if a storage may be asked for it; each storage has limits of its own beside.

    A part `.` or `..` is refused also where a store takes keys literally: a proxy, or a server that keeps its objects
    in a folder, could follow it. `/` and the backslash separate parts.

    Raises: StorageRefused if the key is empty, has a NUL, a lone surrogate or such a part; without the key.
    """
    if not key or "\0" in key or not _is_unicode(key) or not _LEADING_AWAY.isdisjoint(_BETWEEN_PARTS.split(key)):
        raise refused_source_key("is empty, is not Unicode without NUL, or has a part `.` or `..`")
    return key


def refused_source_key(fault: str) -> StorageRefused:
    """Return the error for the key of a source's object; it does not repeat the key, which is personal data."""
    return StorageRefused(f"invalid key of a source's file: it {fault}", hint="see docs/storage.md#keys-of-sources")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
