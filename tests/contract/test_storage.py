"""What every storage promises, asked of each kind."""

from __future__ import annotations

import os
import random
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
import servers

from portability.errors import (
    ObjectChanged,
    ObjectMissing,
    SourceRefused,
    StorageError,
    StorageRefused,
    StorageUnavailable,
)
from portability.storage import Storage, StoredObject, open_storage
from portability.storage.files import StorageFiles
from portability.storage.s3 import S3Storage

PART = 5 << 20
HOSTILE_KEYS = [
    "",
    "/a",
    "a/",
    "a//b",
    "../a",
    "a/../b",
    ".",
    "a/.",
    ".portability-store",
    "a b",
    "a\nb",
    "ä",
    "a\0",
    "a" * 901,
]


@dataclass
class Place:
    """One kind of storage, to be opened as often as a test likes: as other processes would."""

    open: Callable[[], Storage]


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "local":
        url = (request.getfixturevalue("tmp_path") / "store").as_uri()
        return Place(lambda: open_storage(url))
    server: servers.S3Server = request.getfixturevalue("s3")
    prefix = request.getfixturevalue("s3_url").split("/")[3].split("?")[0]
    return Place(
        lambda: S3Storage(
            server.bucket, prefix, endpoint=server.endpoint, addressing="path", first_part_bytes=PART, page_objects=3
        )
    )


def put(storage: Storage, key: str, body: bytes, *, block_bytes: int = 1 << 20) -> StoredObject:
    upload = storage.begin(key)
    for start in range(0, len(body), block_bytes):
        upload.write(body[start : start + block_bytes])
    return upload.complete()


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("size", [0, 1, 1000, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 7])
@pytest.mark.parametrize("block_bytes", [1 << 20, 12 << 20])
def test_round_trip(place: Place, size: int, block_bytes: int) -> None:
    """What is written is what is read and described, whatever the sizes of object and blocks."""
    body = noise(size)
    stored = put(place.open(), "export-1/001.zip", body, block_bytes=block_bytes)
    storage = place.open()
    assert (stored.key, stored.bytes) == ("export-1/001.zip", size)
    assert abs(stored.modified_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert storage.stat(stored.key) == stored
    assert list(storage.list()) == [stored]
    assert b"".join(storage.read(stored.key, etag=stored.etag)) == body
    assert list(storage.uploads()) == []


def test_nothing_is_visible_before_complete(place: Place) -> None:
    """An open upload is no object: not found, not listed, not readable."""
    storage = place.open()
    upload = storage.begin("a/1")
    upload.write(noise(PART + 1))
    with pytest.raises(ObjectMissing):
        storage.stat("a/1")
    with pytest.raises(ObjectMissing):
        list(storage.read("a/1"))
    assert list(storage.list()) == []
    assert [(found.key, found.upload_id) for found in storage.uploads()] == [("a/1", upload.id)]
    upload.complete()
    assert storage.stat("a/1").bytes == PART + 1


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART])
def test_an_id_is_told_before_anything_of_the_upload_is_there(place: Place, size: int) -> None:
    """What can be left behind is known by then; what goes out in one request leaves nothing but the object."""
    storage, body, told = place.open(), noise(size), list[str]()
    upload = storage.begin("a/1", begun=told.append)
    assert told in ([], [upload.id])
    upload.write(body)
    assert [found.upload_id for found in storage.uploads()] == told
    assert told == ([upload.id] if upload.id else [])
    stored = upload.complete()
    assert b"".join(storage.read("a/1", etag=stored.etag)) == body
    assert list(storage.uploads()) == []


@pytest.mark.parametrize("size", [0, 1, PART])
def test_an_upload_whose_id_cannot_be_kept_leaves_nothing(place: Place, size: int) -> None:
    """Nobody would find it later."""
    storage = place.open()

    def lost(_upload_id: str) -> None:
        raise LookupError

    with suppress(LookupError):
        upload = storage.begin("a/1", begun=lost)
        upload.write(noise(size))
        upload.abort()
    assert not [*storage.list(), *storage.uploads()]


def test_open_uploads_tell_when_they_began(place: Place) -> None:
    """A sweeper can tell an old upload from a running one."""
    storage = place.open()
    upload = storage.begin("a/1")
    (found,) = storage.uploads()
    assert abs(found.begun_at - datetime.now(UTC)) < timedelta(minutes=1)
    upload.abort()


def test_abort_leaves_nothing(place: Place) -> None:
    """After an abort there is neither object nor upload; a second abort is no error."""
    storage = place.open()
    upload = storage.begin("a/1")
    upload.write(noise(PART + 1))
    upload.abort()
    upload.abort()
    assert list(storage.list()) == []
    assert list(storage.uploads()) == []
    with pytest.raises(StorageError):
        upload.write(b"more")
    with pytest.raises(StorageError):
        upload.complete()
    assert list(storage.list()) == []


def test_another_process_aborts_by_id(place: Place) -> None:
    """An upload whose process died is aborted by its id; the dead one cannot publish afterwards."""
    storage = place.open()
    upload = storage.begin("a/1")
    upload.write(noise(PART + 1))
    other = place.open()
    other.abort("a/1", upload.id)
    other.abort("a/1", upload.id)
    assert list(other.uploads()) == []
    with pytest.raises(StorageUnavailable):  # worth another try, from its beginning
        upload.complete()
    assert list(other.list()) == []


def test_unknown_uploads_are_no_error(place: Place) -> None:
    """Aborting what is not there does nothing."""
    storage = place.open()
    upload = storage.begin("a/1")
    upload.abort()
    storage.abort("a/1", upload.id)
    storage.abort("a/2", upload.id)


@pytest.mark.parametrize("upload_id", ["../../a/1", "../../../a/1", "0" * 200])
def test_hostile_upload_ids_hurt_nothing(place: Place, upload_id: str) -> None:
    """An upload id that is none leads to no object."""
    storage = place.open()
    put(storage, "a/1", b"here")
    with suppress(StorageError):
        storage.abort("a/1", upload_id)
    assert b"".join(storage.read("a/1")) == b"here"


def test_abort_after_complete_keeps_the_object(place: Place) -> None:
    """An object that was published is not taken back by a late abort."""
    storage = place.open()
    upload = storage.begin("a/1")
    upload.write(b"here")
    upload.complete()
    upload.abort()
    storage.abort("a/1", upload.id)
    assert b"".join(storage.read("a/1")) == b"here"
    with pytest.raises(StorageError):
        upload.complete()


def test_two_uploads_of_one_key(place: Place) -> None:
    """Uploads of one key do not mix: each is whole, the last to complete is what is read."""
    storage = place.open()
    first, second = storage.begin("a/1"), storage.begin("a/1")
    first.write(noise(PART + 1))
    second.write(noise(10))
    assert {found.upload_id for found in storage.uploads("a/1")} == {first.id, second.id}
    first.complete()
    assert b"".join(storage.read("a/1")) == noise(PART + 1)
    second.complete()
    assert b"".join(storage.read("a/1")) == noise(10)
    assert list(storage.uploads()) == []


@pytest.mark.parametrize("offset", [0, 1, (1 << 20) - 1, 1 << 20, PART, PART + 999, PART + 1000, 10 * PART])
def test_read_from_any_offset(place: Place, offset: int) -> None:
    """A read begins at any byte; at or beyond the end it is empty."""
    storage = place.open()
    body = noise(PART + 1000)
    stored = put(storage, "a/1", body)
    blocks = list(storage.read("a/1", offset, etag=stored.etag))
    assert b"".join(blocks) == body[offset:]
    assert all(0 < len(block) <= 1 << 20 for block in blocks)


def test_an_abandoned_read_frees_its_connection(place: Place) -> None:
    """A reader may stop at any time: later reads are not hindered."""
    storage = place.open()
    body = noise(3 << 20)
    put(storage, "a/1", body)
    for _ in range(20):
        reading = storage.read("a/1")
        assert next(reading) == body[: 1 << 20]
        reading.close()  # type: ignore[attr-defined]  # both are generators
    assert b"".join(storage.read("a/1")) == body


@pytest.mark.parametrize("offset", [0, 2])
def test_another_version_is_refused(place: Place, offset: int) -> None:
    """With an etag, only that version is read."""
    storage = place.open()
    old = put(storage, "a/1", b"old one")
    new = put(storage, "a/1", b"new one!")
    assert old.etag != new.etag
    with pytest.raises(ObjectChanged):
        list(storage.read("a/1", offset, etag=old.etag))
    assert b"".join(storage.read("a/1", offset, etag=new.etag)) == b"new one!"[offset:]


def test_missing_objects(place: Place) -> None:
    """What is not there is ObjectMissing, also where a folder of that name is."""
    storage = place.open()
    put(storage, "a/1", b"x")
    for key in ("b", "a/2", "a", "a/1/2"):
        with pytest.raises(ObjectMissing):
            storage.stat(key)
        with pytest.raises(ObjectMissing):
            list(storage.read(key, 3))


def test_lists_are_paged_and_cut_by_prefix(place: Place) -> None:
    """A list gives everything below a prefix once, however many pages that takes."""
    storage = place.open()
    keys = sorted(["a/1", "a/10", "a/2", "a-b/1", "a.c", "ab/c/d", "b/1", "b/2/3", "b/2.x", "c"])
    for key in reversed(keys):
        put(storage, key, key.encode())
    assert sorted(found.key for found in storage.list()) == keys
    for prefix in ("a", "a/", "a/1", "a/10", "ab/c", "b/2", "nothing", "c"):
        assert sorted(found.key for found in storage.list(prefix)) == [key for key in keys if key.startswith(prefix)]
    assert len(list(islice(storage.list(), 2))) == 2


def test_uploads_are_paged_and_cut_by_prefix(place: Place) -> None:
    """All open uploads below a prefix are listed, however many pages that takes."""
    storage = place.open()
    keys = [f"a/{n}" for n in range(8)] + ["ab/1", "b/1"]
    uploads = [storage.begin(key) for key in keys]
    for prefix in ("", "a/", "a", "b"):
        assert sorted(found.key for found in storage.uploads(prefix)) == [k for k in keys if k.startswith(prefix)]
    for upload in uploads:
        upload.abort()
    assert list(storage.uploads()) == []


def test_delete(place: Place) -> None:
    """A deleted object is gone, deleting it again is no error, its neighbours stay."""
    storage = place.open()
    put(storage, "a/1", b"x")
    put(storage, "a/2", b"y")
    storage.delete("a/1")
    storage.delete("a/1")
    storage.delete("never/was")
    assert [found.key for found in storage.list()] == ["a/2"]


def test_a_fresh_storage_is_empty(place: Place) -> None:
    """Before the first write there is nothing to list or delete, and that is no error."""
    storage = place.open()
    assert list(storage.list()) == []
    assert list(storage.uploads()) == []
    storage.delete("a/1")
    storage.abort("a/1", "unknown")


@pytest.mark.parametrize("key", HOSTILE_KEYS)
def test_hostile_keys_are_refused(place: Place, key: str) -> None:
    """A key that could lead out of the storage, or hide in it, is refused everywhere, and not repeated."""
    storage = place.open()
    for use in (
        lambda: storage.begin(key),
        lambda: storage.abort(key, "x"),
        lambda: storage.stat(key),
        lambda: list(storage.read(key)),
        lambda: storage.delete(key),
    ):
        with pytest.raises(StorageRefused) as refused:
            use()
        assert len(key) < 4 or key not in str(refused.value)
    with pytest.raises(SourceRefused):
        StorageFiles(storage).stat(key)


@pytest.mark.parametrize("prefix", ["/", "../", "a//", ".uploads/", "a b"])
def test_hostile_prefixes_are_refused(place: Place, prefix: str) -> None:
    """A prefix obeys the same rule as a key."""
    storage = place.open()
    with pytest.raises(StorageRefused):
        list(storage.list(prefix))
    with pytest.raises(StorageRefused):
        list(storage.uploads(prefix))


def test_memory_stays_flat(place: Place) -> None:
    """200 MB go through in bounded memory: a few parts, not the object."""
    storage = place.open()
    block = os.urandom(1 << 20)
    storage.check()  # what is imported and connected once does not count
    tracemalloc.start()
    upload = storage.begin("a/1")
    for _ in range(200):
        upload.write(block)
    stored = upload.complete()
    written_peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    assert sum(map(len, storage.read("a/1"))) == stored.bytes == 200 << 20
    read_peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert written_peak < 5 * PART
    assert read_peak < 8 << 20


def test_check_leaves_nothing(place: Place) -> None:
    """The doctor's question is answered, and leaves no trace."""
    storage = place.open()
    storage.check()
    assert list(storage.list()) == []
    assert list(storage.uploads()) == []
