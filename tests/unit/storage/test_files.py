from __future__ import annotations

from pathlib import Path

import pytest
from faults import FaultyStorage

from portability.errors import SourceError, SourceRefused, SourceUnavailable, StorageFull, StorageRefused
from portability.storage.files import StorageFiles
from portability.storage.local import LocalStorage


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
    """Whether trying later helps is kept; the key is not told."""
    with pytest.raises(kind) as raised:
        list(StorageFiles(FaultyStorage(storage, fail_at_read=1, error=error)).read("calls/1.wav"))
    assert "calls" not in str(raised.value)
