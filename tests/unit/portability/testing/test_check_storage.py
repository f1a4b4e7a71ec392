from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from portability.api import ObjectMissing, Storage, StorageError, StorageRefused, StoredObject, Upload, check_key
from portability.storage.local import LocalStorage
from portability.testing import check_storage

pytestmark = pytest.mark.slow

PART_BYTES = 1 << 20


def altered(folder: Path, member: str, broken: Callable[..., Any]) -> Storage:
    """A folder of which one member breaks one rule of the contract."""
    sound = LocalStorage(folder)
    members = {name: getattr(sound, name) for name in dir(sound) if not name.startswith("_")}
    return cast("Storage", SimpleNamespace(**members | {member: partial(broken, sound)}))


class AlteredUpload:
    """An upload whose members a test replaces."""

    def __init__(self, sound: Upload, **members: Callable[..., Any]) -> None:
        self.sound = sound
        self._members = members

    def __getattr__(self, name: str) -> Any:
        return self._members.get(name) or getattr(self.sound, name)


def visible_at_once(storage: Storage, key: str, **kwargs: Any) -> Upload:
    storage.begin(key).complete()
    return storage.begin(key, **kwargs)


def without_id(storage: Storage, key: str, **_kwargs: Any) -> Upload:
    return storage.begin(key)


def keeping_what_begun_lost(storage: Storage, key: str, begun: Any = None, **_kwargs: Any) -> Upload:
    upload = storage.begin(key)
    try:
        if begun is not None:
            begun(upload.id)
    except LookupError:
        upload.complete()
        raise
    return upload


def completing_after_an_abort(storage: Storage, key: str, **kwargs: Any) -> Any:
    upload = storage.begin(key, **kwargs)

    def complete() -> StoredObject:
        with suppress(StorageError):
            return upload.complete()
        return storage.begin(key).complete()

    return AlteredUpload(upload, complete=complete)


def taking_back_after_complete(storage: Storage, key: str, **kwargs: Any) -> Any:
    upload = storage.begin(key, **kwargs)

    def abort() -> None:
        upload.abort()
        storage.delete(key)

    return AlteredUpload(upload, abort=abort)


def keeping_every_block(storage: Storage, key: str, **kwargs: Any) -> Any:
    upload, kept = storage.begin(key, **kwargs), list[bytes]()

    def write(block: bytes) -> None:
        kept.append(block + b"")
        kept.append(bytes(bytearray(block)))
        upload.write(block)

    return AlteredUpload(upload, write=write)


def in_one_block(storage: Storage, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
    yield b"".join(storage.read(key, offset, etag=etag))


def read_without(*ignored: str) -> Callable[..., Iterator[bytes]]:
    def reading(storage: Storage, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        return storage.read(key, 0 if "offset" in ignored else offset, etag=None if "etag" in ignored else etag)

    return reading


def empty_where_missing(storage: Storage, key: str, *args: Any, **kwargs: Any) -> Iterator[bytes]:
    with suppress(ObjectMissing):
        yield from storage.read(key, *args, **kwargs)


def described_late(storage: Storage, key: str) -> StoredObject:
    stored = storage.stat(key)
    return replace(stored, modified_at=stored.modified_at + timedelta(hours=1))


def refusing_what_is_missing(storage: Storage, key: str) -> None:
    storage.stat(key)
    storage.delete(key)


def repeating_the_key(storage: Storage, key: str) -> StoredObject:
    try:
        check_key(key)
    except StorageRefused as error:
        raise StorageRefused(f"no key: {key}") from error
    return storage.stat(key)


def leaving_a_trace(storage: Storage) -> None:
    storage.begin("portability-check/1").complete()


@pytest.mark.filterwarnings("ignore:Exception ignored in. <_io.FileIO")  # a broken promise leaves its upload open
@pytest.mark.parametrize(
    ("member", "broken", "promise"),
    [
        ("begin", visible_at_once, "finds an object before it is complete"),
        ("begin", without_id, "begun"),
        ("begin", keeping_what_begun_lost, "something is left behind"),
        ("begin", completing_after_an_abort, "an aborted upload can be completed"),
        ("begin", taking_back_after_complete, "A late abort does not delete a published object. Failed: ObjectMissing"),
        ("begin", keeping_every_block, "writing 200 MiB needs"),
        ("abort", lambda _storage, _key, _upload_id: None, "is still open"),
        ("abort", lambda storage, key, _upload_id: storage.delete(key), "is still open|changes an object"),
        ("uploads", lambda _storage, _prefix="": iter(()), "uploads.. does not show|begun"),
        ("uploads", lambda storage, _prefix="": storage.uploads(), "uploads.'a/'. lists something else"),
        ("list", lambda storage, _prefix="": storage.list(), "list.'a'. returns something else"),
        ("list", lambda _storage, _prefix="": iter(()), "list.. differs"),
        ("stat", described_late, "stat.. differs"),
        ("stat", repeating_the_key, "contains the refused key"),
        ("read", in_one_block, "an empty block, or a block larger than 1 MiB"),
        ("read", read_without("offset"), "from byte 1 returns other bytes"),
        ("read", read_without("etag"), "does not raise ObjectChanged"),
        ("read", empty_where_missing, "ObjectMissing is not raised|before it is complete"),
        ("delete", lambda _storage, key: check_key(key), "delete.. of every object"),
        ("delete", refusing_what_is_missing, "Failed: ObjectMissing"),
        ("check", leaving_a_trace, "check.. leaves something"),
    ],
)
def test_a_contract_violation_is_found(tmp_path: Path, member: str, broken: Callable[..., Any], promise: str) -> None:
    """The error says which promise is broken."""
    with pytest.raises(AssertionError, match=promise):
        check_storage(lambda: altered(tmp_path, member, broken), part_bytes=PART_BYTES)
