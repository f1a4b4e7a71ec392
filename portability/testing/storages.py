"""Checks of a storage's contract; uploads.py checks its uploads."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from itertools import islice

from portability.api import BLOCK_BYTES, ObjectChanged, ObjectMissing, Storage, StorageError, StorageRefused
from portability.testing.reading import require
from portability.testing.source_keys import check_any_keys
from portability.testing.uploads import (
    KEY,
    UPLOAD_RULES,
    StorageOpener,
    StorageRule,
    ids,
    is_empty,
    is_now,
    noise,
    put,
    read,
    refuses,
)

PART_BYTES = 5 << 20
LARGE_BYTES = 200 << 20
READ_MEMORY_BYTES = 8 << 20
HOSTILE_KEYS = (
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
)
HOSTILE_PREFIXES = ("/", "../", "a//", ".uploads/", "a b")
LISTED_KEYS = ("a-b/1", "a.c", "a/1", "a/10", "a/2", "ab/c/d", "b/1", "b/2.x", "b/2/3", "c")


def check_storage(opened: StorageOpener, *, part_bytes: int = PART_BYTES) -> None:
    """Check that a storage fulfils the contract of `portability.api.Storage`.

    It writes about 400 MB into the storage, and leaves it empty.

    Args:
        opened: opens an empty storage, and the same storage at each call, as another process would.
        part_bytes: the size of an upload's parts in this storage; objects of about that size are written.

    Raises:
        AssertionError: a rule is broken; the text says which.
    """
    for rule in STORAGE_RULES:
        rule_text = (rule.__doc__ or rule.__name__).partition("\n")[0]
        try:
            rule(opened, part_bytes)
            _clear(opened())
        except StorageError as error:
            raise AssertionError(f"{rule_text} Failed: {type(error).__name__}: {error}") from error


def _clear(storage: Storage) -> None:
    for found in list(storage.list()):
        storage.delete(found.key)
    for upload in list(storage.uploads()):
        storage.abort(upload.key, upload.upload_id)
    require(is_empty(storage), "delete() of every object and abort() of every upload leave something behind")


def check_fresh(opened: StorageOpener, part_bytes: int) -> None:
    """Before the first write, list() and delete() do nothing, without error."""
    del part_bytes
    storage = opened()
    require(isinstance(storage, Storage), f"{type(storage).__name__} lacks a member of the protocol Storage")
    require(
        storage.url == opened().url and "@" not in storage.url, "the URL differs between two reads, or contains a user"
    )
    require(is_empty(storage), "the storage is not empty: the suite needs an empty storage")
    storage.delete(KEY)
    storage.abort(KEY, "unknown")


def check_round_trip(opened: StorageOpener, part_bytes: int) -> None:
    """Objects of all sizes, written in blocks of all sizes, are read and described correctly."""
    for size in (0, 1, 1000, part_bytes - 1, part_bytes, part_bytes + 1, 2 * part_bytes, 2 * part_bytes + 7):
        body, what = noise(size), f"an object of {size} bytes"
        for block_bytes in (1 << 20, 12 << 20):
            stored = put(opened(), KEY, body, block_bytes=block_bytes)
            storage = opened()
            require((stored.key, stored.bytes) == (KEY, size), f"{what}: complete() returns another key or size")
            require(is_now(stored.modified_at), f"{what}: modified_at is not the time when it was written")
            require(storage.stat(KEY) == stored, f"{what}: stat() differs from what complete() returned")
            require(list(storage.list()) == [stored], f"{what}: list() differs from what complete() returned")
            require(read(storage, KEY, etag=stored.etag) == body, f"{what} is read back with other bytes")
            require(not ids(storage), f"{what}: its upload is still open")


def check_offsets(opened: StorageOpener, part_bytes: int) -> None:
    """A read can begin at any byte; at or after the end it is empty. Blocks have 1 byte to BLOCK_BYTES."""
    storage, body = opened(), noise(part_bytes + 1000)
    stored = put(storage, KEY, body)
    for offset in (
        0,
        1,
        BLOCK_BYTES - 1,
        BLOCK_BYTES,
        part_bytes,
        part_bytes + 999,
        part_bytes + 1000,
        10 * part_bytes,
    ):
        blocks = list(storage.read(KEY, offset, etag=stored.etag))
        require(b"".join(blocks) == body[offset:], f"read() from byte {offset} returns other bytes")
        require(
            all(0 < len(block) <= BLOCK_BYTES for block in blocks),
            "read() yields an empty block, or a block larger than 1 MiB",
        )


def check_abandoned_reads(opened: StorageOpener, part_bytes: int) -> None:
    """A reader may stop at any time without effect on later reads."""
    del part_bytes
    storage, body = opened(), noise(3 * BLOCK_BYTES)
    put(storage, KEY, body)
    for _ in range(20):
        reading = storage.read(KEY)
        require(body.startswith(next(reading)), "read() begins with other bytes")
        if isinstance(reading, Generator):
            reading.close()
    require(read(storage, KEY) == body, "after abandoned reads, a read returns other bytes")


def check_versions(opened: StorageOpener, part_bytes: int) -> None:
    """With an etag, only that version is read."""
    del part_bytes
    storage = opened()
    old = put(storage, KEY, b"old one")
    new = put(storage, KEY, b"new one!")
    require(old.etag != new.etag, "two versions of an object have the same etag")
    for offset in (0, 2):
        is_refused = refuses(ObjectChanged, partial(read, storage, KEY, offset, etag=old.etag))
        require(is_refused, "read() with the etag of an older version does not raise ObjectChanged")
        require(read(storage, KEY, offset, etag=new.etag) == b"new one!"[offset:], "read() returns an older version")


def check_missing(opened: StorageOpener, part_bytes: int) -> None:
    """A missing object raises ObjectMissing, also if a folder has that name."""
    del part_bytes
    storage = opened()
    put(storage, "a/1", b"x")
    for key in ("b", "a/2", "a", "a/1/2"):
        for use in _readings(storage, key):
            require(refuses(ObjectMissing, use), f"{key!r} does not exist, but ObjectMissing is not raised")


def check_lists(opened: StorageOpener, part_bytes: int) -> None:
    """A list yields everything below a prefix once, over any number of pages."""
    del part_bytes
    storage = opened()
    for key in reversed(LISTED_KEYS):
        put(storage, key, key.encode())
    for prefix in ("", "a", "a/", "a/1", "a/10", "ab/c", "b/2", "nothing", "c"):
        found = sorted(stored.key for stored in storage.list(prefix))
        wanted = sorted(key for key in LISTED_KEYS if key.startswith(prefix))
        require(found == wanted, f"list({prefix!r}) returns something else")
    require(len(list(islice(storage.list(), 2))) == len("ab"), "iterating over a list cannot stop after two objects")


def check_delete(opened: StorageOpener, part_bytes: int) -> None:
    """A deleted object is gone, deleting it again is not an error, its neighbours stay."""
    del part_bytes
    storage = opened()
    put(storage, "a/1", b"x")
    put(storage, "a/2", b"y")
    storage.delete("a/1")
    storage.delete("a/1")
    storage.delete("never/was")
    require(
        [found.key for found in storage.list()] == ["a/2"],
        "delete() does not delete the object, or deletes another one",
    )
    require(refuses(ObjectMissing, lambda: storage.stat("a/1")), "stat() finds a deleted object")


def check_hostile_keys(opened: StorageOpener, part_bytes: int) -> None:
    """A key or prefix that could leave the storage, or hide in it, is refused everywhere and not repeated in errors."""
    del part_bytes
    storage = opened()
    for key in HOSTILE_KEYS:
        changes = (partial(storage.begin, key), partial(storage.abort, key, "x"), partial(storage.delete, key))
        for use in (*changes, *_readings(storage, key)):
            _check_refused(use, key)
    for prefix in HOSTILE_PREFIXES:
        for listing in (storage.list, storage.uploads):
            _check_refused(partial(_exhaust, listing, prefix), prefix)


def check_memory(opened: StorageOpener, part_bytes: int) -> None:
    """200 MB are written and read in bounded memory: a few parts, not the object."""
    storage, block = opened(), noise(BLOCK_BYTES)
    storage.check()  # imports and connections are not measured
    tracemalloc.start()
    try:
        upload = storage.begin(KEY)
        for _ in range(LARGE_BYTES // BLOCK_BYTES):
            upload.write(block)
        stored = upload.complete()
        written_peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        count = sum(map(len, storage.read(KEY)))
        read_peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    require(count == stored.bytes == LARGE_BYTES, "a large object has another size than was written")
    require(written_peak < 5 * part_bytes, f"writing 200 MiB needs {written_peak >> 20} MiB of memory")
    require(read_peak < READ_MEMORY_BYTES, f"reading 200 MiB needs {read_peak >> 20} MiB of memory")


def check_check(opened: StorageOpener, part_bytes: int) -> None:
    """check() succeeds, and leaves nothing behind."""
    del part_bytes
    storage = opened()
    storage.check()
    require(is_empty(storage), "check() leaves something behind")


STORAGE_RULES: Sequence[StorageRule] = (
    check_fresh,
    check_round_trip,
    *UPLOAD_RULES,
    check_offsets,
    check_abandoned_reads,
    check_versions,
    check_missing,
    check_lists,
    check_delete,
    check_hostile_keys,
    check_any_keys,
    check_memory,
    check_check,
)


def _readings(storage: Storage, key: str) -> tuple[Callable[[], object], Callable[[], object]]:
    return lambda: storage.stat(key), lambda: list(storage.read(key, 3))


def _exhaust(listing: Callable[[str], Iterable[object]], prefix: str) -> None:
    for _found in listing(prefix):
        pass


def _check_refused(use: Callable[[], object], key: str) -> None:
    try:
        use()
    except StorageRefused as error:
        require(len(key) < len("/a/b") or key not in str(error), "the error message contains the refused key")
    else:
        raise AssertionError(f"an invalid key or prefix of {len(key)} characters is not refused: {key[:20]!r}")
