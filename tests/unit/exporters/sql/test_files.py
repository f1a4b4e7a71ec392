from __future__ import annotations

import hashlib
import itertools
import threading

import platform_data as platform
import pytest
from sqlalchemy import Engine, update

from exporters.reference import schema
from exporters.sql.files import FINDERS, StatedFile, find
from portability.api import Batch, File, Gap, Selection
from portability.api.errors import SourceRefused, SourceUnavailable
from portability.testing import MemoryFiles

WAIT_SECONDS = 30
STATED = StatedFile("recordings/rec_1", "rec_1", "key", "audio/wav", 3, None)


def read_batch(filled_platform: Engine, store: MemoryFiles, exporter: str, dataset: str) -> Batch:
    found = platform.exporters(filled_platform, store)[exporter]
    (wanted,) = (d for d in found.datasets if d.name == dataset)
    (batch,) = found.export(platform.CONTACT, wanted, Selection())
    return batch


@pytest.mark.parametrize(("exporter", "dataset"), [("calls", "recordings"), ("chats", "attachments")])
def test_files_lie_beside_their_records(filled_platform: Engine, exporter: str, dataset: str) -> None:
    """Each record names its file, and the file reads from any byte on."""
    batch = read_batch(filled_platform, platform.files(), exporter, dataset)
    assert [record["file"] for record in batch.records] == [file.name for file in batch.files]
    assert [file.name for file in batch.files] == [f"{record['id']}.wav" for record in batch.records]
    assert len(batch.files) == 9
    for offset in (0, 1, 5_000, len(platform.SOUND)):
        assert b"".join(batch.files[0].open(offset)) == platform.SOUND[offset:]
    assert {file.size for file in batch.files} == {len(platform.SOUND)}


@pytest.mark.parametrize("dataset", ["recordings", "vcon"])
def test_the_store_is_asked_for_files_together(filled_platform: Engine, dataset: str) -> None:
    """A distant store is not waited for once a file, neither for rows nor for documents."""
    all_ask, asked = threading.Event(), itertools.count(1)

    class Far(MemoryFiles):
        def stat(self, key: str) -> tuple[int, str] | None:
            if next(asked) == FINDERS:
                all_ask.set()
            assert all_ask.wait(WAIT_SECONDS)
            return super().stat(key)

    batch = read_batch(filled_platform, Far(platform.files().contents), "calls", dataset)
    assert len(batch.records) > 1
    assert all_ask.is_set()


def test_a_missing_recording_is_a_gap(filled_platform: Engine) -> None:
    """A missing recording is named as a gap; its record stays and says that there is no file."""
    store = platform.files()
    del store.contents["recordings/call-con_1-0-1"]
    batch = read_batch(filled_platform, store, "calls", "recordings")
    identifier = "recordings-call-con_1-0-1"
    assert batch.gaps == (Gap(f"recordings/{identifier}", "missing", key=(identifier,), fields=("file",)),)
    assert len(batch.files) == len(batch.records) - 1
    (record,) = (r for r in batch.records if r["id"] == "recordings-call-con_1-0-1")
    assert record["file"] is None


def test_a_recording_without_key_is_a_gap(filled_platform: Engine) -> None:
    """A row that says nothing of where its file lies is a gap too, not a crash."""
    with filled_platform.begin() as connection:
        row = schema.recordings.c.id == "recordings-call-con_1-0-1"
        connection.execute(update(schema.recordings).where(row).values(storage_key=None, bytes=None))
    batch = read_batch(filled_platform, platform.files(), "calls", "recordings")
    identifier = "recordings-call-con_1-0-1"
    assert batch.gaps == (Gap(f"recordings/{identifier}", "missing", key=(identifier,), fields=("file",)),)


def test_the_row_s_statement_is_passed_on() -> None:
    """The size is what the row promises, so that a shorter file is found out; without a promise, what is there."""
    store = MemoryFiles({"key": b"four"})
    for promised, expected in ((3, 3), (10, 10), (None, 4), (-1, 4)):
        file = find(store, StatedFile("r/1", "1", "key", "audio/wav", promised, None))
        assert isinstance(file, File)
        assert file.size == expected


@pytest.mark.parametrize(
    ("media_type", "name", "expected"),
    [
        ("audio/wav", "rec_1.wav", "audio/wav"),
        ("image/jpeg", "rec_1.jpg", "image/jpeg"),
        ("text/html", "rec_1.bin", "application/octet-stream"),
        ("application/x-msdownload", "rec_1.bin", "application/octet-stream"),
        ("audio/../../exe", "rec_1.bin", "application/octet-stream"),
        ("AUDIO/WAV\n", "rec_1.wav", "audio/wav"),
        ("", "rec_1.bin", "application/octet-stream"),
        (None, "rec_1.bin", "application/octet-stream"),
    ],
)
def test_extensions_come_from_a_list(media_type: str | None, name: str, expected: str) -> None:
    """What a row says of a file's kind never reaches the name, unless it is a kind that we know."""
    file = find(MemoryFiles({"key": b"abc"}), StatedFile("r/1", "rec_1", "key", media_type, 3, None))
    assert isinstance(file, File)
    assert (file.name, file.media_type) == (name, expected)


def test_only_a_hash_is_given_as_a_hash() -> None:
    """An invalid hash would make a correct file look broken."""
    good = hashlib.sha256(b"abc").hexdigest()
    for stored, expected in ((good, good), (good.upper(), None), ("", None), ("x" * 64, None), (good + "\n", None)):
        file = find(MemoryFiles({"key": b"abc"}), StatedFile("r/1", "1", "key", "audio/wav", 3, stored))
        assert isinstance(file, File)
        assert file.sha256 == expected


def test_a_store_that_refuses_makes_a_gap_and_one_that_is_away_a_retry() -> None:
    """A file that may not be read is a gap; a store that does not answer stops the batch, which is retried."""

    class Refusing(MemoryFiles):
        error: type[Exception] = SourceRefused

        def stat(self, key: str) -> tuple[int, str] | None:
            raise self.error(key[:0])

    assert find(Refusing(), STATED) == Gap("recordings/rec_1", "source_refused")
    Refusing.error = SourceUnavailable
    with pytest.raises(SourceUnavailable):
        find(Refusing(), STATED)


def test_a_changed_file_is_not_mixed() -> None:
    """Reading continues from an offset in the same version alone."""
    store = MemoryFiles({"key": b"abc"})
    file = find(store, STATED)
    assert isinstance(file, File)
    store.contents["key"] = b"xyz"
    with pytest.raises(SourceUnavailable, match="changed"):
        list(file.open(1))
