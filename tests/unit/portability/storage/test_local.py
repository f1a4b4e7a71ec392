from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from chaos.disk import needed_disk
from stored_objects import store_object

from portability.api.errors import ObjectChanged, ObjectMissing, StorageFull, StorageRefused, StorageUnavailable
from portability.api.storage_probes import PROBES
from portability.storage.local import LocalStorage


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "store")


def modes(folder: Path) -> set[tuple[bool, int]]:
    return {(path.is_dir(), stat.S_IMODE(path.lstat().st_mode)) for path in (folder, *folder.rglob("*"))}


def test_no_one_else_can_read(storage: LocalStorage) -> None:
    """Files have mode 0600 and folders 0700 from the first moment, for any umask."""
    before = os.umask(0)
    try:
        storage.store_id()
        store_object(storage, "a/b/1", b"x")
        upload = storage.begin("a/b/2")
        upload.write(b"y")
    finally:
        os.umask(before)
    assert modes(storage.folder) == {(True, 0o700), (False, 0o600)}
    upload.abort()


def test_nothing_is_left_beside_the_objects(storage: LocalStorage) -> None:
    """Completed, aborted and deleted: no file and no empty folder remains but what is stored."""
    store_object(storage, "a/b/1", b"x")
    storage.begin("a/c/2").abort()
    store_object(storage, "d/e/3", b"x")
    storage.delete("d/e/3")
    assert sorted(str(path.relative_to(storage.folder)) for path in storage.folder.rglob("*")) == ["a", "a/b", "a/b/1"]


def test_links_are_not_followed(storage: LocalStorage, tmp_path: Path) -> None:
    """A symbolic link inside the folder leads nowhere: not for reading, writing, listing or deleting."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    store_object(storage, "a/1", b"x")
    (storage.folder / "out").symlink_to(outside)
    (storage.folder / "file").symlink_to(outside / "secret")
    for key in ("out/secret", "file"):
        with pytest.raises(ObjectMissing):
            storage.stat(key)
        with pytest.raises(ObjectMissing):
            list(storage.read(key))
    assert [found.key for found in storage.list()] == ["a/1"]
    with pytest.raises(StorageRefused):
        storage.delete("out/secret")
    with pytest.raises(StorageRefused):
        store_object(storage, "out/new", b"x")
    store_object(storage, "file", b"mine")
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"


def test_only_regular_files_are_objects(storage: LocalStorage) -> None:
    """A pipe in the folder neither blocks a reader nor counts as an object."""
    store_object(storage, "a/1", b"x")
    os.mkfifo(storage.folder / "a" / "pipe")
    with pytest.raises(ObjectMissing):
        storage.stat("a/pipe")
    assert [found.key for found in storage.list()] == ["a/1"]


def test_the_store_id_stays(storage: LocalStorage) -> None:
    """Each folder has one id, the same for all that open it at the same time, and another folder has another."""
    with ThreadPoolExecutor(8) as pool:
        seen = set(pool.map(lambda _: LocalStorage(storage.folder).store_id(), range(32)))
    assert len(seen) == 1
    assert seen != {LocalStorage(storage.folder.with_name("other")).store_id()}
    assert [path.name for path in storage.folder.iterdir()] == [".portability-store"]
    assert list(storage.list()) == []


@pytest.mark.parametrize("call", ["open", "fsync"])
def test_a_full_disk_keeps_the_store_id_and_nothing_else(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Who deletes, which makes room, and who reads, asks for the id first; one that cannot be made leaves no file."""
    known, fresh = storage.store_id(), LocalStorage(storage.folder.with_name("fresh"))
    usual = getattr(os, call)

    def full(what: object, flags: int = os.O_CREAT, *rest: int, **more: int) -> object:
        if flags & os.O_CREAT:
            raise OSError(errno.ENOSPC, "No space left on device")
        return usual(what, flags, *rest, **more)

    monkeypatch.setattr(os, call, full)
    assert LocalStorage(storage.folder).store_id() == known
    with pytest.raises(StorageFull):
        fresh.store_id()
    assert list(fresh.folder.iterdir()) == []


@pytest.mark.slow
def test_neighbours_do_not_disturb_each_other(storage: LocalStorage) -> None:
    """Uploads, aborts and deletes in one folder at the same time: empty folders come and go, and no upload fails."""

    def work(worker: int) -> None:
        for n in range(60):
            key = f"export/{worker}-{n}"
            store_object(storage, key, b"x")
            storage.begin(key).abort()
            if n % 5:
                storage.delete(key)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(list(storage.list())) == 8 * 12
    assert list(storage.uploads()) == []


def test_a_folder_that_is_gone_is_no_missing_object(storage: LocalStorage) -> None:
    """An unmounted folder says `try later`, not `missing`: otherwise every recording would become a permanent gap."""
    with pytest.raises(StorageUnavailable):
        storage.stat("a/1")


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    """A path that is not a folder is refused at the first write."""
    (tmp_path / "store").write_bytes(b"")
    with pytest.raises((StorageRefused, StorageUnavailable)):
        LocalStorage(tmp_path / "store").begin("a/1")


def test_a_file_that_grows_is_noticed(storage: LocalStorage) -> None:
    """A file that changes while it is read ends with ObjectChanged, not as if it were whole."""
    store_object(storage, "a/1", bytes(3 << 20))
    reading = storage.read("a/1")
    next(reading)
    with (storage.folder / "a" / "1").open("ab") as file:
        file.write(b"more")
    with pytest.raises(ObjectChanged):
        list(reading)


@contextmanager
def file_size_limit(size_bytes: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_space_for_a_file(storage: LocalStorage) -> None:
    """A write that does not fit is StorageFull; the upload is not published then, and its space is given back."""
    upload = storage.begin("a/1")
    with file_size_limit(1 << 20):
        upload.write(bytes(1000))
        with pytest.raises(StorageFull):
            upload.write(bytes(2 << 20))
    with pytest.raises(StorageUnavailable):
        upload.complete()
    upload.abort()
    assert not [*storage.list(), *storage.uploads()]


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A disk of one mebibyte."""
    with needed_disk(tmp_path / "small", 1 << 20) as disk:
        yield disk.folder


def test_no_space_on_the_disk(mounted: Path) -> None:
    """A full disk is StorageFull; after the abort the next upload finds its space again."""
    storage = LocalStorage(mounted)
    upload = storage.begin("a/1")
    with pytest.raises(StorageFull):
        upload.write(bytes(2 << 20))
    upload.abort()
    store_object(storage, "a/2", bytes(1 << 19))
    assert [found.key for found in storage.list()] == ["a/2"]


def test_a_disk_that_turns_read_only_is_an_outage(mounted: Path) -> None:
    """A system mounts a disk anew without writes when the disk has failed: exports wait for it, as for a full one."""
    storage = LocalStorage(mounted)
    store_object(storage, "a/1", b"x")
    subprocess.run(["mount", "-o", "remount,ro", mounted], check=True)
    with pytest.raises(StorageUnavailable, match="Read-only file system"):
        storage.begin("a/2")
    with pytest.raises(StorageUnavailable, match="Read-only file system"):
        storage.delete("a/1")
    assert b"".join(storage.read("a/1")) == b"x"
    subprocess.run(["mount", "-o", "remount,rw", mounted], check=True)
    storage.delete("a/1")
    assert list(storage.list()) == []


_WRITES_AND_DIES = """
import os, pathlib, signal, sys
from portability.storage.local import LocalStorage
upload = LocalStorage(pathlib.Path(sys.argv[1])).begin("a/1")
upload.write(bytes(1 << 20))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.requirement("R40")
def test_a_killed_writer_leaves_an_upload_that_can_be_swept(storage: LocalStorage) -> None:
    """After kill -9 there is no object, and the next process lists and aborts the upload."""
    child = subprocess.run([sys.executable, "-c", _WRITES_AND_DIES, storage.folder], check=False)
    assert child.returncode == -signal.SIGKILL
    assert list(storage.list()) == []
    (upload,) = storage.uploads()
    storage.abort(upload.key, upload.upload_id)
    assert list(storage.uploads()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_no_descriptor_is_left_open(storage: LocalStorage) -> None:
    """Uploads, reads, lists and failures give back every file descriptor."""
    store_object(storage, "a/b/1", bytes(2 << 20))

    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    for _ in range(5):
        store_object(storage, "a/b/2", b"x")
        storage.begin("a/b/3").abort()
        list(storage.read("a/b/1"))
        next(storage.read("a/b/1"))
        list(storage.list())
        with pytest.raises(ObjectMissing):
            storage.stat("a/b/none")
        storage.delete("a/b/2")
    assert count() == before


def test_a_check_removes_what_a_killed_check_has_left(storage: LocalStorage) -> None:
    """A day later; a younger one may be of a check that runs, and another object is not a probe."""
    names = {"old": "0" * 16, "young": "1" * 16, "foreign": "notes"}
    for name in names.values():
        store_object(storage, f"{PROBES}/{name}", b"x")
    for name in (names["old"], names["foreign"]):
        os.utime(storage.folder / PROBES / name, (0, 0))
    storage.check()
    assert sorted(found.key for found in storage.list()) == [f"{PROBES}/{names[name]}" for name in ("young", "foreign")]
