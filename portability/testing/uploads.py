"""Checks of the contract of a storage's uploads."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from portability.api import ObjectMissing, OpenUpload, Storage, StorageError, StorageUnavailable, StoredObject
from portability.testing.reading import require

StorageOpener: TypeAlias = Callable[[], Storage]
"""Opens the same storage again, as another process would."""
StorageRule: TypeAlias = Callable[[StorageOpener, int], None]
"""One check: called with an opener of an empty storage, and the size of its largest part."""

KEY = "export-1/001.zip"
CLOCKS = timedelta(minutes=1)
"""The allowed difference between the clocks of storage and test."""


def check_nothing_visible_before_complete(opened: StorageOpener, part_bytes: int) -> None:
    """An open upload is not an object: stat(), list() and read() do not find it."""
    storage, body = opened(), noise(part_bytes + 1)
    upload = storage.begin(KEY)
    upload.write(body)
    require(refuses(ObjectMissing, lambda: storage.stat(KEY)), "stat() finds an object before it is complete")
    require(refuses(ObjectMissing, lambda: read(storage, KEY)), "read() finds an object before it is complete")
    require(not list(storage.list()), "list() shows an object before it is complete")
    require(ids(storage) == [(KEY, upload.id)], "uploads() does not show the open upload by its key and id")
    upload.complete()
    require(storage.stat(KEY).bytes == len(body), "a completed object has another size than was written")


def check_ids(opened: StorageOpener, part_bytes: int) -> None:
    """begun() gets the id before anything can be left behind; an object sent in one request leaves nothing else."""
    for size in (0, 1, part_bytes - 1, part_bytes, part_bytes + 1, 2 * part_bytes):
        storage, body, given = opened(), noise(size), list[str]()
        upload = storage.begin(KEY, begun=given.append)
        require(given in ([], [upload.id]), "begun() gets another value than the upload's id")
        upload.write(body)
        require(
            [found.upload_id for found in storage.uploads()] == given, "an upload is open whose id begun() never got"
        )
        require(given == ([upload.id] if upload.id else []), "an upload has an id that begun() never got")
        stored = upload.complete()
        require(
            read(storage, KEY, etag=stored.etag) == body, f"an object of {size} bytes is read back with other bytes"
        )
        require(not ids(storage), "a completed upload is still open")
        storage.delete(KEY)


def check_lost_ids(opened: StorageOpener, part_bytes: int) -> None:
    """An upload whose id cannot be stored leaves nothing behind, because a sweep would not find it."""
    for size in (0, 1, part_bytes):
        storage = opened()
        with suppress(LookupError):
            upload = storage.begin(KEY, begun=_lose)
            upload.write(noise(size))
            upload.abort()
        require(is_empty(storage), "after an error of begun(), something is left behind")


def check_begin_times(opened: StorageOpener, part_bytes: int) -> None:
    """A sweep can distinguish an old upload from a running one."""
    del part_bytes
    storage = opened()
    upload = storage.begin(KEY)
    found = list(storage.uploads())
    require([type(one) for one in found] == [OpenUpload], "uploads() does not show an upload without bytes")
    require(is_now(found[0].begun_at), "begun_at of an upload is not the time when it began")
    upload.abort()


def check_abort(opened: StorageOpener, part_bytes: int) -> None:
    """After an abort there is neither object nor upload; a second abort is not an error."""
    storage = opened()
    upload = storage.begin(KEY)
    upload.write(noise(part_bytes + 1))
    upload.abort()
    upload.abort()
    require(is_empty(storage), "an aborted upload leaves something behind")
    require(refuses(StorageError, lambda: upload.write(b"more")), "an aborted upload accepts more bytes")
    require(refuses(StorageError, upload.complete), "an aborted upload can be completed")
    require(is_empty(storage), "complete() after an abort leaves something behind")


def check_abort_by_id(opened: StorageOpener, part_bytes: int) -> None:
    """An upload of a dead process is aborted by its id; that process cannot publish it afterwards."""
    upload = opened().begin(KEY)
    upload.write(noise(part_bytes + 1))
    other = opened()
    other.abort(KEY, upload.id)
    other.abort(KEY, upload.id)
    require(not ids(other), "an upload that another process aborted is still open")
    require(
        refuses(StorageUnavailable, upload.complete),
        "complete() of an upload that another process aborted does not raise StorageUnavailable",
    )
    require(not list(other.list()), "an upload that another process aborted was published")


def check_abort_of_unknown(opened: StorageOpener, part_bytes: int) -> None:
    """Aborting a missing upload does nothing; an invalid upload id does not affect any object."""
    del part_bytes
    storage = opened()
    upload = storage.begin(KEY)
    upload.abort()
    storage.abort(KEY, upload.id)
    storage.abort("a/2", upload.id)
    put(storage, "a/1", b"here")
    for hostile in ("../../a/1", "../../../a/1", "0" * 200):
        with suppress(StorageError):
            storage.abort("a/1", hostile)
        require(read(storage, "a/1") == b"here", "abort() with an invalid id changes an object")


def check_abort_after_complete(opened: StorageOpener, part_bytes: int) -> None:
    """A late abort does not delete a published object."""
    del part_bytes
    storage = opened()
    upload = storage.begin(KEY)
    upload.write(b"here")
    upload.complete()
    upload.abort()
    storage.abort(KEY, upload.id)
    require(read(storage, KEY) == b"here", "an abort after complete() deletes the object")
    require(refuses(StorageError, upload.complete), "an upload can be completed twice")


def check_two_uploads(opened: StorageOpener, part_bytes: int) -> None:
    """Uploads of the same key do not mix: each is complete, and the last completed upload is read."""
    storage, large, small = opened(), noise(part_bytes + 1), noise(10)
    first, second = storage.begin(KEY), storage.begin(KEY)
    first.write(large)
    second.write(small)
    require(
        set(ids(storage)) == {(KEY, first.id), (KEY, second.id)}, "of two uploads of the same key, one is not listed"
    )
    first.complete()
    require(read(storage, KEY) == large, "of two uploads of the same key, the first is not complete")
    second.complete()
    require(read(storage, KEY) == small, "of two uploads of the same key, the last completed upload is not read")
    require(not ids(storage), "a completed upload is still open")


def check_upload_lists(opened: StorageOpener, part_bytes: int) -> None:
    """All open uploads below a prefix are listed, over any number of pages."""
    del part_bytes
    storage = opened()
    keys = [f"a/{n}" for n in range(8)] + ["ab/1", "b/1"]
    uploads = [storage.begin(key) for key in keys]
    for prefix in ("", "a/", "a", "b"):
        found = sorted(upload.key for upload in storage.uploads(prefix))
        require(found == [key for key in keys if key.startswith(prefix)], f"uploads({prefix!r}) lists something else")
    for upload in uploads:
        upload.abort()
    require(not ids(storage), "an aborted upload is still open")


UPLOAD_RULES: Sequence[StorageRule] = (
    check_nothing_visible_before_complete,
    check_ids,
    check_lost_ids,
    check_begin_times,
    check_abort,
    check_abort_by_id,
    check_abort_of_unknown,
    check_abort_after_complete,
    check_two_uploads,
    check_upload_lists,
)


def put(storage: Storage, key: str, body: bytes, *, block_bytes: int = 1 << 20) -> StoredObject:
    """Write an object in blocks of a given size."""
    upload = storage.begin(key)
    for start in range(0, len(body), block_bytes):
        upload.write(body[start : start + block_bytes])
    return upload.complete()


def read(storage: Storage, key: str, offset: int = 0, *, etag: str | None = None) -> bytes:
    """Read an object from an offset to its end."""
    return b"".join(storage.read(key, offset, etag=etag))


def ids(storage: Storage) -> list[tuple[str, str]]:
    """List the open uploads by key and id."""
    return [(upload.key, upload.upload_id) for upload in storage.uploads()]


def is_empty(storage: Storage) -> bool:
    """Return whether there is neither object nor upload."""
    return not list(storage.list()) and not ids(storage)


def is_now(moment: datetime) -> bool:
    """Return whether a time, which must be aware, is about now."""
    return moment.tzinfo is not None and abs(moment - datetime.now(UTC)) < CLOCKS


def noise(size: int) -> bytes:
    """Make incompressible bytes; the same for the same size."""
    return random.Random(size).randbytes(size)  # noqa: S311  # not a secret


def refuses(error: type[StorageError], use: Callable[[], object]) -> bool:
    """Return whether a call raises the error."""
    try:
        use()
    except error:
        return True
    return False


def _lose(_upload_id: str) -> None:
    raise LookupError
