from __future__ import annotations

import errno
import secrets
import sqlite3
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from archives import export_json, records
from factories import MadeUpExporter, World, file, things, world_of
from faults import FaultyStorage, Operation
from sqlalchemy import event, select, update

from portability.api import Batch
from portability.api.errors import (
    SourceError,
    SourceRefused,
    SourceUnavailable,
    StorageError,
    StorageFull,
    StorageRefused,
    StorageUnavailable,
    WrongClock,
)
from portability.database import models
from portability.database.engine import now, reading, writing
from portability.requests import exports, slices
from portability.storage.local import LocalStorage
from worker.claim import fenced_writes, lease
from worker.claim.claims import Claim
from worker.claim.lease import Drain
from worker.export import advance

pytestmark = pytest.mark.slow


def error_code(made: World, identifier: str) -> str | None:
    error = made.view(identifier)["error"]
    return error["code"] if isinstance(error, dict) else None


def failing(tmp_path: Path, act: Callable[[Operation, int], None]) -> FaultyStorage:
    return FaultyStorage(LocalStorage(tmp_path / "archives"), before=act)


def test_storage_that_refuses_fails_the_export_with_its_reason(tmp_path: Path) -> None:
    """Trying again would not help; the upload is aborted, and the next export is not touched."""
    refused: list[str] = []

    def refuse(operation: Operation, _count: int) -> None:
        if operation == "write" and not refused:
            refused.append("once")
            raise StorageRefused("the bucket's policy forbids it")

    made = world_of(tmp_path, MadeUpExporter(things(3)), storage=failing(tmp_path, refuse))
    first, second = made.request("user:a"), made.request("user:b")
    made.advance_all()
    assert [made.view(i)["state"] for i in (first, second)] == ["failed", "ready"]
    assert made.view(first)["error"] == {"code": "storage_refused", "message": "the bucket's policy forbids it"}
    assert all(key.startswith(second) for key in made.stored_keys())
    assert made.verify(made.fetch(second)).ok


@pytest.mark.parametrize("fault", [StorageFull, WrongClock])
def test_what_passes_by_is_waited_for(tmp_path: Path, fault: type[StorageError]) -> None:
    """The export backs off and tells why; when there is room again, or a right clock, it continues and forgets."""
    full = [True]

    def fill(operation: Operation, _count: int) -> None:
        if operation == "write" and full:
            raise fault("not now")

    made = world_of(tmp_path, MadeUpExporter(things(3)), storage=failing(tmp_path, fill), backoff_seconds=60)
    identifier = made.request()
    assert made.advance_all() == 1
    assert (made.view(identifier)["state"], error_code(made, identifier)) == ("running", fault.code)
    assert made.stored_keys() == []
    full.clear()
    with writing(made.engine) as connection:
        connection.execute(update(models.slice).values(not_before=now(-1)))
    made.advance_all()
    assert (made.view(identifier)["state"], error_code(made, identifier)) == ("ready", None)


def _full_disk() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def _full_database() -> None:
    with closing(sqlite3.connect("")) as scratch:
        scratch.execute("pragma max_page_count = 1")
        scratch.execute("create table t (x)")


def _no_folder() -> None:
    raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")


@pytest.mark.parametrize(
    ("use", "seen"),
    [(_full_disk, "No space left"), (_full_database, "SQLITE_FULL"), (_no_folder, "No usable temporary directory")],
)
def test_a_full_disk_of_a_worker_is_waited_for(tmp_path: Path, use: Callable[[], None], seen: str) -> None:
    """As a full storage: one attempt at the volume is allowed here, and the export goes on when there is room."""
    full = [True]

    def fill(operation: Operation, _count: int) -> None:
        if operation == "write" and full:
            use()

    storage, patience = failing(tmp_path, fill), {"backoff_seconds": 60, "attempts_max": 1}
    made = world_of(tmp_path, MadeUpExporter(things(3)), storage=storage, **patience)
    identifier = made.request()
    made.advance_all()
    error = made.view(identifier)["error"]
    assert made.view(identifier)["state"] == "running"
    assert isinstance(error, dict)
    assert (error["code"], seen in error["message"]) == ("no_temporary_room", True)
    full.clear()
    with writing(made.engine) as connection:
        connection.execute(update(models.slice).values(not_before=now(-1)))
    made.advance_all()
    assert made.view(identifier)["state"] == "ready"
    assert made.verify(made.fetch(identifier)).ok


def test_a_database_that_takes_some_writes_is_waited_for(tmp_path: Path) -> None:
    """Where its disk is full, a small change is stored and a volume's is not: that is an outage, and no fault.

    One attempt at the volume is allowed here. The export goes on when there is room, and its archive is whole.
    """
    full = [True]

    def refuse(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if full and statement.startswith("UPDATE volume SET state="):
            raise sqlite3.OperationalError("database or disk is full")

    patience = {"backoff_seconds": 60, "attempts_max": 1}
    made = world_of(tmp_path, MadeUpExporter(things(3)), storage=LocalStorage(tmp_path / "archives"), **patience)
    event.listen(made.engine, "before_cursor_execute", refuse)
    identifier = made.request()
    made.advance_all()
    assert (made.view(identifier)["state"], error_code(made, identifier)) == ("running", "database_unavailable")
    full.clear()
    with writing(made.engine) as connection:
        connection.execute(update(models.slice).values(not_before=now(-1)))
    made.advance_all()
    assert (made.view(identifier)["state"], error_code(made, identifier)) == ("ready", None)
    assert made.verify(made.fetch(identifier)).ok
    assert len(made.archive_keys()) == 1


def test_waiting_grows_and_the_number_of_tries_ends(tmp_path: Path) -> None:
    """Twice as long each time, to 300 s, for hours; after the last try the export fails with what was wrong."""
    attempts_max = 2

    def away(operation: Operation, _count: int) -> None:
        if operation == "begin":
            raise StorageUnavailable("away")

    storage, waiting = failing(tmp_path, away), {"backoff_seconds": 10, "attempts_max": attempts_max}
    made = world_of(tmp_path, MadeUpExporter(things(1)), storage=storage, **waiting)
    identifier = made.request()
    waits = []
    while made.view(identifier)["state"] in {"queued", "running"}:
        assert made.advance_all() == 1
        with writing(made.engine) as connection:
            wait = connection.scalar(select(models.slice.c.not_before)), connection.scalar(select(now()))
            waits.append(None if wait[0] is None else (wait[0] - wait[1]).total_seconds())
            connection.execute(update(models.slice).values(not_before=None))
    assert error_code(made, identifier) == "storage_unavailable"
    assert waits.pop() is None
    longest = [min(300, 10 * 2**n) for n in range(attempts_max * fenced_writes.OUTAGE_TRIES - 1)]
    assert all(0.4 * most < wait < 1.6 * most for wait, most in zip(waits, longest, strict=True))


def test_an_unexpected_error_is_a_fault_of_the_volume(tmp_path: Path) -> None:
    """An exception from anywhere is reported by its type only, retried, and nothing is left behind."""

    def crash(operation: Operation, _count: int) -> None:
        if operation == "complete":
            raise ZeroDivisionError("jane@example.org")

    made = world_of(tmp_path, MadeUpExporter(things(3)), storage=failing(tmp_path, crash), attempts_max=3)
    identifier = made.request()
    assert made.advance_all() == 3
    error = made.view(identifier)["error"]
    message = f"export {identifier}: a volume failed with ZeroDivisionError"
    assert error == {"code": "volume_fault", "message": message}
    assert made.stored_keys() == []


def test_without_a_key_nothing_is_written(tmp_path: Path) -> None:
    """A machine that cannot sign says so before it reads anything."""
    read: list[int] = []
    made = world_of(tmp_path, MadeUpExporter(things(3), on_batch=read.append))
    for pem in made.place.settings.keys.iterdir():
        pem.unlink()
    identifier = made.request()
    made.advance_all()
    assert (made.view(identifier)["state"], error_code(made, identifier)) == ("failed", "no_signing_key")
    assert (read, made.stored_keys()) == ([], [])


def test_who_asks_for_a_complete_archive_gets_none_with_gaps(tmp_path: Path) -> None:
    """It fails as `incomplete`, names the datasets, and every volume that was stored is deleted."""

    def break_late(number: int) -> None:
        if number == 3:
            raise SourceRefused("no")

    exporter = MadeUpExporter(things(12), files={0: [file("a.wav", secrets.token_bytes(200_000))]}, on_batch=break_late)
    made = world_of(tmp_path, exporter, volume_bytes=65_536)
    identifier = made.request(require_complete=True)
    assert made.advance_all() > 1
    assert (made.view(identifier)["state"], error_code(made, identifier)) == ("failed", "incomplete")
    assert "made/things" in str(made.view(identifier)["error"])
    assert made.view(identifier)["volumes"] == []
    assert made.stored_keys() == []


class EndlessExporter(MadeUpExporter):
    """Small records, one after the other, without end."""

    def export(self, *_args: Any, **_kwargs: Any) -> Generator[Batch, None, None]:
        for number in count():
            self.on_batch(number)
            yield Batch([{"id": str(number)}], str(number))


def test_cancelling_ends_a_running_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker learns of it between two batches, however small: the upload is aborted, nothing is delivered."""
    monkeypatch.setattr(lease, "RENEWALS_PER_LEASE", 100)
    made: list[World] = []

    def cancel(number: int) -> None:
        if number == 2:
            with writing(made[0].engine) as connection:
                exports.cancel(connection, identifier, actor="operator:test")

    made.append(world_of(tmp_path, EndlessExporter([], on_batch=cancel), lease_seconds=20))
    identifier = made[0].request()
    assert made[0].advance_all() == 1
    assert made[0].view(identifier)["state"] == "cancelled"
    assert made[0].stored_keys() == []


def test_cancelling_between_two_volumes_deletes_the_first(tmp_path: Path) -> None:
    """Objects stored for an abandoned archive are deleted."""
    exporter = MadeUpExporter(things(3), files={0: [file("a.wav", secrets.token_bytes(300_000))]})
    made = world_of(tmp_path, exporter, volume_bytes=65_536)
    identifier = made.request()
    held = made.claim()
    assert held is not None
    assert advance(made.place, held) == 1
    assert made.stored_keys() != []
    with writing(made.engine) as connection:
        exports.cancel(connection, identifier, actor="operator:test")
    made.advance_all()
    assert made.view(identifier)["state"] == "cancelled"
    assert made.stored_keys() == []


def steal(made: World, identifier: str) -> Claim:
    """Another worker's claim, as after a long silence of the first."""
    with writing(made.engine) as connection:
        connection.execute(update(models.slice).values(lease_until=now(-1)))
    held = made.claim()
    assert held is not None
    assert held.id == identifier
    return held


@pytest.mark.parametrize("heir_first", [True, False])
def test_a_worker_that_lost_its_lease_leaves_nothing(tmp_path: Path, heir_first: bool) -> None:
    """Another one claims in the middle of a volume: in any order there is one archive and no orphan."""
    made: list[World] = []
    heirs: list[Claim] = []
    heir_done = Event()

    def lose(number: int) -> None:
        if number == 1 and not heirs:
            heirs.append(steal(made[0], identifier))
            if heir_first:
                assert advance(made[0].place, heirs[0]) == 0
                heir_done.set()

    made.append(world_of(tmp_path, MadeUpExporter(things(9), on_batch=lose)))
    identifier = made[0].request()
    zombie = made[0].claim()
    assert zombie is not None
    assert advance(made[0].place, zombie) == 0
    if heir_first:
        # The zombie does not wait for its source's thread, in which the heir works, once it has lost its lease.
        assert heir_done.wait(60)
    else:
        assert made[0].view(identifier)["volumes"] == []
        assert advance(made[0].place, heirs[0]) == 0
    paths = made[0].fetch(identifier)
    assert made[0].verify(paths).ok
    assert records(paths, "made", "things") == things(9)
    assert [key.split(".")[1] for key in made[0].archive_keys()] == ["2"]


def test_a_worker_that_must_stop_releases_the_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time to drain is over: the volume is aborted, no try is counted, and there is more to do at once."""
    drain = Drain()
    monkeypatch.setattr("worker.claim.lease.drain", drain)
    made = world_of(
        tmp_path, MadeUpExporter(things(9), on_batch=lambda number: drain.begin(0) if number == 1 else None)
    )
    identifier = made.request()
    held = made.claim()
    assert held is not None
    assert advance(made.place, held) == 1
    monkeypatch.setattr("worker.claim.lease.drain", Drain())
    with reading(made.engine) as connection:
        assert [row["attempts"] for row in slices.of(connection, identifier)] == [0]
    made.advance_all()
    assert made.view(identifier)["state"] == "ready"
    assert records(made.fetch(identifier), "made", "things") == things(9)
    assert len(made.archive_keys()) == 1


def test_workers_that_die_again_and_again_end_the_export(tmp_path: Path) -> None:
    """As after a kill, no error was recorded: the number of attempts still ends it."""
    made = world_of(tmp_path, MadeUpExporter(things(3)), attempts_max=1)
    identifier = made.request()
    assert made.claim() is not None
    for _ in range(fenced_writes.OUTAGE_TRIES - 1):
        steal(made, identifier)
    assert advance(made.place, steal(made, identifier)) == 0
    assert (made.view(identifier)["state"], error_code(made, identifier)) == ("failed", "volume_fault")
    assert f"died {fenced_writes.OUTAGE_TRIES} times" in str(made.view(identifier)["error"])


def test_numbers_of_volumes_have_no_holes(tmp_path: Path) -> None:
    """A volume that went wrong gives its number back: the archive counts 1, 2, 3."""

    def fail(operation: Operation, times: int) -> None:
        if operation == "complete" and times % 4 == 1:
            raise StorageUnavailable("away")

    exporter = MadeUpExporter(things(3), files={0: [file(f"{n}.wav", secrets.token_bytes(70_000)) for n in range(3)]})
    made = world_of(tmp_path, exporter, storage=failing(tmp_path, fail), volume_bytes=65_536)
    identifier = made.request()
    made.advance_all()
    volumes = made.view(identifier)["volumes"]
    assert isinstance(volumes, list)
    assert [volume["number"] for volume in volumes] == list(range(1, len(volumes) + 1))
    assert len(volumes) >= 3
    assert made.verify(made.fetch(identifier)).ok


@pytest.mark.parametrize("error", [SourceUnavailable, SourceRefused])
def test_without_identities_no_archive_says_that_nothing_is_held(tmp_path: Path, error: type[SourceError]) -> None:
    """Nothing could be selected: the archive says that its dataset is missing, and is not complete."""

    class FailingIdentities(MadeUpExporter):
        def identities(self, _subject: Any) -> Iterator[Any]:
            raise error("no")

    made = world_of(tmp_path, FailingIdentities(things(3)), backoff_seconds=60)
    identifier = made.request()
    made.advance_all()
    document = export_json(made.fetch(identifier))
    assert (document["complete"], document["no_data_held"]) == (False, False)
    assert [gap["reason"] for gap in document["gaps"]] == [error.code]
