from __future__ import annotations

import os
import secrets
import tracemalloc
from datetime import timedelta
from pathlib import Path

import pytest
from factories import world
from sqlalchemy import Connection, event
from sweeping import LONG_AGO, AgedStorage, Shelf, found, unknown_export

from portability.storage.local import LocalStorage
from portability.storage.s3.bucket import S3Storage
from worker.clock.sweep import SweepReport, sweep
from worker.write import object_keys

pytestmark = pytest.mark.slow

FOLDER = "archives"


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    storage = LocalStorage(tmp_path / FOLDER)
    storage.store_id()
    return Shelf(world(tmp_path, {}), AgedStorage(storage))


@pytest.fixture
def littered(tmp_path: Path) -> tuple[Shelf, Path]:
    """A shelf that is a folder as it is, seen by itself."""
    storage = LocalStorage(tmp_path / FOLDER)
    storage.store_id()
    made = world(tmp_path, {}, storage=storage)
    shelf = Shelf(made, AgedStorage(storage))
    return shelf, tmp_path / FOLDER


@pytest.mark.parametrize("count", [2_000, pytest.param(10_000, marks=pytest.mark.system)])
def test_many_objects(shelf: Shelf, tmp_path: Path, count: int) -> None:
    """One query per page and not per object, in memory smaller than all of them."""
    for number in range(count):
        folder = tmp_path / FOLDER / unknown_export()
        folder.mkdir()
        (folder / f"00001.1.{number:08x}.zip").write_bytes(b"")
    shelf.storage.all_old = True
    statements: list[str] = []

    def note(_connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    event.listen(shelf.made.engine, "before_cursor_execute", note)
    tracemalloc.start()
    report = shelf.sweep(dry_run=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found(report) == {"volume": count}
    assert len(statements) < 20 + count // 250
    assert peak < 16 << 20


def test_litter_of_a_folder(littered: tuple[Shelf, Path]) -> None:
    """Unfinished store ids and our empty folders are removed after a day; other programs' folders and files stay."""
    shelf, folder = littered
    old, young, ours = secrets.token_hex(8), secrets.token_hex(8), unknown_export()
    (folder / f".portability-store.{old}").write_bytes(b"half")
    (folder / f".portability-store.{young}").write_bytes(b"half")
    (folder / ".portability-store.backup").write_bytes(b"theirs")
    (folder / ".uploads" / ours / "00001.1.deadbeef.zip").mkdir(parents=True)
    for name in (ours, "theirs/empty", "portability-check", unknown_export()):
        (folder / name).mkdir(parents=True)
    _age(folder, f".portability-store.{old}", ".portability-store.backup", ".uploads/" + ours + "/00001.1.deadbeef.zip")
    _age(folder, ours, "theirs/empty", "theirs", "portability-check")
    assert found(_sweep(shelf, dry_run=True)) == {"litter": 4}
    assert found(_sweep(shelf)) == {"litter": 4}
    left = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert {f".portability-store.{young}", ".portability-store.backup", ".portability-store", "theirs/empty"} <= left
    assert not {f".portability-store.{old}", ".uploads", ours, "portability-check"} & left
    assert len([name for name in left if object_keys.is_folder(name)]) == 1
    assert found(_sweep(shelf)) == {}


def test_a_folder_that_fills_up_meanwhile_stays(littered: tuple[Shelf, Path]) -> None:
    """What was empty when it was seen and is not any more is not removed, nor what is in it."""
    shelf, folder = littered
    ours = unknown_export()
    (folder / ours).mkdir()
    storage = shelf.storage.inner
    assert isinstance(storage, LocalStorage)
    (litter,) = storage.litter()
    key = shelf.put(object_keys.fresh(ours, 1, 1))
    storage.clear(litter.name)
    storage.clear("not/there")
    assert storage.stat(key).bytes == 5


def test_symbolic_links_are_no_litter(littered: tuple[Shelf, Path], tmp_path: Path) -> None:
    """A link may lead anywhere: it is neither followed nor removed."""
    shelf, folder = littered
    (tmp_path / "elsewhere" / unknown_export()).mkdir(parents=True)
    link = folder / unknown_export()
    link.symlink_to(tmp_path / "elsewhere")
    storage = shelf.storage.inner
    assert isinstance(storage, LocalStorage)
    assert list(storage.litter()) == []
    assert link.is_symlink()


@pytest.mark.parametrize(
    ("key", "volume"),
    [
        ("abcdefghijklmnopqrstuvw2/00001.1.deadbeef.zip", "abcdefghijklmnopqrstuvw2/00001.1.deadbeef.zip"),
        ("abcdefghijklmnopqrstuvw2/100001.27.00000000.excerpt", "abcdefghijklmnopqrstuvw2/100001.27.00000000.zip"),
        ("abcdefghijklmnopqrstuvw/00001.1.deadbeef.zip", None),
        ("abcdefghijklmnopqrstuvw1/00001.1.deadbeef.zip", None),
        ("ABCDEFGHIJKLMNOPQRSTUVW2/00001.1.deadbeef.zip", None),
        ("a/abcdefghijklmnopqrstuvw2/00001.1.deadbeef.zip", None),
        ("abcdefghijklmnopqrstuvw2/0001.1.deadbeef.zip", None),
        ("abcdefghijklmnopqrstuvw2/00001.1.deadbeef.zip.bak", None),
        ("abcdefghijklmnopqrstuvw2/00001.1.deadbee.zip", None),
        ("abcdefghijklmnopqrstuvw2/00001.1.deadbeef.zip\n", None),
        ("abcdefghijklmnopqrstuvw2/0000\u0661.1.deadbeef.zip", None),
    ],
)
def test_names_of_ours(key: str, volume: str | None) -> None:
    """Exactly what a worker makes, and nothing that looks like it."""
    assert object_keys.volume_of(key) == volume


def test_a_fresh_key_is_one_of_ours() -> None:
    """For any numbers: a sweep recognises the key, and no two are equal."""
    keys = {object_keys.fresh(unknown_export(), 100_000, 7), object_keys.fresh(unknown_export(), 1, 1)}
    assert {object_keys.volume_of(key) for key in keys} == keys


def test_s3_has_no_litter() -> None:
    """A bucket holds objects and uploads and nothing else."""
    assert not hasattr(S3Storage("exports"), "litter")


def _sweep(shelf: Shelf, *, dry_run: bool = False) -> SweepReport:
    return sweep(shelf.made.engine, shelf.storage.inner, actor="operator:test", dry_run=dry_run)


def _age(folder: Path, *names: str) -> None:
    for name in names:
        at = (folder / name).stat().st_mtime - (LONG_AGO + timedelta(minutes=1)).total_seconds()
        os.utime(folder / name, (at, at))
