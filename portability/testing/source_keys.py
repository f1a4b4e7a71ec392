"""Checks of a storage that reads the files of sources, under the keys that other programs gave them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from portability.api import (
    ObjectChanged,
    ObjectMissing,
    SourceStorage,
    StorageError,
    StorageRefused,
    StoredObject,
)
from portability.testing.reading import require
from portability.testing.uploads import KEY, StorageOpener, put, refuses

SOURCE_KEYS: Sequence[str] = (
    "+49301234567.wav",
    "Call 12 (Müller).wav",
    "2026-11-27T10:15:00.mp3",
    "a=b&c.wav",
    "50%25.wav",
    "100% sure?#1;v=~2.wav",
    "日本.wav",
    "😀/é/mu\u0308ller.wav",
    "%2e%2e/%2fetc",
    "\u202egnp.exe",
    " in front and behind ",
    ".hidden/...",
    "a.",
    "-rf",
    "C:/calls/1.wav",
    "quote\"'<>&amp;`$(id)|*!@,[]{}^",
    "é" * 120,
)
"""Keys of real and of strange recordings, which every folder and every bucket can hold."""
HOSTILE_SOURCE_KEYS: Sequence[str] = (
    "",
    "..",
    ".",
    "../a/1",
    "a/../../a/1",
    "b/../a/1",
    "./a/1",
    "a/./1",
    "a/..",
    "..\\a\\1",
    "b\\..\\a/1",
    "a/1\0",
    "\0",
    "a/\ud8001",
)
"""Keys that could lead out of the storage or to another object, or that are not texts."""


def check_source_keys(opened: StorageOpener, place: Callable[[str, bytes], object]) -> None:
    """Check that a storage reads the objects of other programs under their keys, as `SourceStorage` says.

    Args:
        opened: opens an empty storage, and the same storage at each call.
        place: stores an object in that storage under a key, as another program would. The objects are not removed.

    Raises:
        AssertionError: a rule is broken; the text says which.
    """
    _source_storage(opened)
    for key in SOURCE_KEYS:
        place(key, key.encode())
    for key in SOURCE_KEYS:
        try:
            _check_read(_source_storage(opened), key, key.encode())
        except StorageError as error:
            raise AssertionError(f"the key {key!r} is not read: {type(error).__name__}: {error}") from error


def check_any_keys(opened: StorageOpener, part_bytes: int) -> None:
    """A storage of sources reads usual keys as always, and leads from no key to another object or out of itself."""
    del part_bytes
    if not isinstance(opened(), SourceStorage):
        return
    storage = _source_storage(opened)
    put(opened(), "a/1", b"0123456789")
    put(opened(), KEY, b"")
    _check_read(storage, "a/1", b"0123456789")
    _check_read(storage, KEY, b"")
    is_changed = refuses(ObjectChanged, lambda: list(storage.read_any("a/1", 1, etag="other")))
    require(is_changed, "read_any() with the etag of another version does not raise ObjectChanged")
    for key in HOSTILE_SOURCE_KEYS:
        for use in _uses(storage, key):
            error = _error_of(use)
            require(isinstance(error, StorageRefused), f"the key {key!r} of a source is not refused")
            require(len(key) < len("/a/1") or key not in str(error), "the error message contains the refused key")
    for key in SOURCE_KEYS:
        for use in _uses(storage, key):
            error = _error_of(use)
            require(
                isinstance(error, ObjectMissing | StorageRefused),
                f"the key {key!r} has no object, and neither ObjectMissing nor StorageRefused is raised",
            )
            is_named = len(key) >= len("/a/1") and key in str(error)
            require(not is_named, "the error message contains the key of a source, which is personal data")


def _check_read(storage: SourceStorage, key: str, body: bytes) -> None:
    found = storage.stat_any(key)
    require((found.key, found.bytes) == (key, len(body)), f"stat_any({key!r}) returns another key or size")
    for offset in (0, 3, len(body)):
        blocks = storage.read_any(key, offset, etag=found.etag)
        require(b"".join(blocks) == body[offset:], f"read_any({key!r}) from byte {offset} returns other bytes")


def _uses(storage: SourceStorage, key: str) -> Sequence[Callable[[], object]]:
    def reading() -> object:
        return list(storage.read_any(key))

    def describing() -> StoredObject:
        return storage.stat_any(key)

    return describing, reading


def _error_of(use: Callable[[], object]) -> Exception | None:
    try:
        use()
    except Exception as error:  # noqa: BLE001  # what another error is, is judged
        return error
    return None


def _source_storage(opened: StorageOpener) -> SourceStorage:
    storage = opened()
    if isinstance(storage, SourceStorage):
        return storage
    raise AssertionError("the storage is not a SourceStorage: it lacks stat_any() or read_any()")
