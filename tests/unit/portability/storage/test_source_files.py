from __future__ import annotations

from pathlib import Path

import pytest
from faults import FaultyStorage
from stored_objects import store_object

from portability.api.errors import SourceError, SourceRefused, SourceUnavailable, StorageFull, StorageRefused
from portability.api.storages import StoredObject
from portability.storage.local import LocalStorage
from portability.storage.source_files import StorageFiles


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    storage = LocalStorage(tmp_path)
    upload = storage.begin("calls/1.wav")
    upload.write(bytes(3 << 20))
    upload.complete()
    return storage


def test_reads_like_a_source(storage: LocalStorage) -> None:
    """An exporter gets size, version and blocks from any offset."""
    files = StorageFiles(storage)
    found = files.stat("calls/1.wav")
    assert found is not None
    size, etag = found
    assert size == 3 << 20
    assert sum(map(len, files.read("calls/1.wav", 100, etag=etag))) == size - 100


def test_missing_is_refused(storage: LocalStorage) -> None:
    """A missing file is known beforehand (None), and SourceRefused when read: trying again does not help."""
    files = StorageFiles(storage)
    assert files.stat("calls/2.wav") is None
    with pytest.raises(SourceRefused, match=r"^missing"):
        list(files.read("calls/2.wav"))


def test_another_version_is_tried_later(storage: LocalStorage) -> None:
    """A file that was replaced meanwhile is SourceUnavailable, as api.File promises."""
    with pytest.raises(SourceUnavailable, match=r"^changed"):
        list(StorageFiles(storage).read("calls/1.wav", 5, etag="old"))


def test_a_broken_read_is_unavailable(storage: LocalStorage) -> None:
    """A connection that breaks after some blocks is a source's fault, after those blocks."""
    blocks = StorageFiles(FaultyStorage(storage, fail_at_read=2)).read("calls/1.wav")
    assert len(next(blocks)) == 1 << 20
    with pytest.raises(SourceUnavailable):
        next(blocks)


@pytest.mark.parametrize(("error", "kind"), [(StorageRefused, SourceRefused), (StorageFull, SourceUnavailable)])
def test_other_faults(storage: LocalStorage, error: type[StorageRefused], kind: type[SourceError]) -> None:
    """The error says whether a retry may help, and does not contain the key."""
    with pytest.raises(kind) as raised:
        list(StorageFiles(FaultyStorage(storage, fail_at_read=1, error=error)).read("calls/1.wav"))
    assert "calls" not in str(raised.value)
    assert "PORTABILITY_STORAGE_URL" not in raised.value.hint


class Counted(FaultyStorage):
    """A storage that counts how often it was asked."""

    asked = 0

    def stat(self, key: str) -> StoredObject:
        self.asked += 1
        return super().stat(key)


def test_a_file_is_asked_for_once(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a limited time and number of files; a missing file may appear at any moment."""
    counted = Counted(storage)
    files = StorageFiles(counted)
    assert files.stat("calls/1.wav") == files.stat("calls/1.wav")
    assert counted.asked == 1
    assert files.stat("calls/2.wav") is None
    store_object(storage, "calls/2.wav", b"late")
    assert files.stat("calls/2.wav") is not None
    assert counted.asked == 3
    monkeypatch.setattr("portability.storage.source_files.KNOWN_MAX", 2)
    store_object(storage, "calls/3.wav", b"third")
    assert files.stat("calls/3.wav") is not None
    assert len(files._known) == 1
    monkeypatch.setattr("portability.storage.source_files.KNOWN_SECONDS", 0.0)
    files = StorageFiles(counted)
    assert files.stat("calls/1.wav") == files.stat("calls/1.wav")
    assert counted.asked == 6


def test_a_file_that_cannot_be_read_as_it_was_is_asked_for_anew(storage: LocalStorage) -> None:
    """A retry finds the current version, or that the file is missing."""
    files = StorageFiles(storage)
    before = files.stat("calls/1.wav")
    assert before is not None
    store_object(storage, "calls/1.wav", b"another")
    with pytest.raises(SourceUnavailable, match=r"^changed"):
        list(files.read("calls/1.wav", etag=before[1]))
    after = files.stat("calls/1.wav")
    assert after is not None
    assert (after[0], after[1] == before[1]) == (7, False)
    storage.delete("calls/1.wav")
    with pytest.raises(SourceRefused):
        list(files.read("calls/1.wav", etag=after[1]))
    assert files.stat("calls/1.wav") is None
