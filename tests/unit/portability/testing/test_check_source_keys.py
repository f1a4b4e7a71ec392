from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults import FaultyStorage

from portability.api import Storage, StorageRefused, StorageUnavailable, StoredObject, check_key
from portability.storage.local import LocalStorage
from portability.testing import check_source_keys
from portability.testing.source_keys import check_any_keys


class Normalising(LocalStorage):
    """Follows the parts of a key that lead upwards."""

    def stat_any(self, key: str) -> StoredObject:
        return super().stat_any(posixpath.normpath(key.replace("\\", "/")))


class Narrow(LocalStorage):
    """Takes only its own keys."""

    def stat_any(self, key: str) -> StoredObject:
        return super().stat_any(check_key(key))


class Naming(LocalStorage):
    """Repeats the key in its errors."""

    def stat_any(self, key: str) -> StoredObject:
        try:
            return super().stat_any(key)
        except StorageRefused:
            raise StorageRefused(f"cannot look at {key}") from None


class SilentForStrange(LocalStorage):
    """Says of a key that no file has that it does not answer."""

    def stat_any(self, key: str) -> StoredObject:
        if "ü" not in key:
            return super().stat_any(key)
        raise StorageUnavailable("cannot look at a file: the name is too strange")


class FromTheBegin(LocalStorage):
    """Ignores the offset."""

    def read_any(self, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        return super().read_any(key, offset * 0, etag=etag)


class OfAnyVersion(LocalStorage):
    """Ignores the etag."""

    def read_any(self, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        return super().read_any(key, offset, etag=etag and None)


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (Normalising, "of a source is not refused|returns another key"),
        (Naming, "contains the refused key"),
        (SilentForStrange, "neither ObjectMissing nor StorageRefused"),
        (FromTheBegin, "from byte 3 returns other bytes"),
        (OfAnyVersion, "does not raise ObjectChanged"),
    ],
)
def test_a_storage_that_breaks_a_rule_for_keys_of_sources_is_found(
    tmp_path: Path, broken: type[LocalStorage], rule: str
) -> None:
    """The error says which rule."""
    with pytest.raises(AssertionError, match=rule):
        check_any_keys(lambda: broken(tmp_path), 1)


def test_a_storage_that_does_not_read_keys_of_sources_is_found(tmp_path: Path) -> None:
    """The error names a key that it does not read, or the methods that it lacks; without them it is a storage still."""

    def place(key: str, body: bytes) -> None:
        path = tmp_path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    def without() -> Storage:
        return FaultyStorage(LocalStorage(tmp_path))

    with pytest.raises(AssertionError, match="is not read: StorageRefused"):
        check_source_keys(lambda: Narrow(tmp_path), place)
    with pytest.raises(AssertionError, match="is not a SourceStorage"):
        check_source_keys(without, place)
    check_any_keys(without, 1)
