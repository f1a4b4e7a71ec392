from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from archives import records
from factories import MadeUpExporter, World, file, things, world
from faults import FaultyStorage, Operation
from sqlalchemy import select, update

from portability import exports, models, slices
from portability.api import Batch, Exporter
from portability.db import now, reading, writing
from portability.errors import (
    SourceRefused,
    SourceUnavailable,
    StorageError,
    StorageFull,
    StorageRefused,
    StorageUnavailable,
    WrongClock,
)
from portability.storage.local import LocalStorage
from worker import pipeline, setback
from worker.claims import Claim
from worker.lease import Drain


def one(tmp_path: Path, exporter: Exporter, **settings: Any) -> World:
    return world(tmp_path, {"made": exporter}, **settings)


def objects(made: World) -> list[str]:
    storage = made.place.storage
    return [*(o.key for o in storage.list()), *(u.key for u in storage.uploads())]


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

    made = one(tmp_path, MadeUpExporter(things(3)), storage=failing(tmp_path, refuse))
    first, second = made.request("user:a"), made.request("user:b")
    made.advance_all()
    assert [made.view(i)["state"] for i in (first, second)] == ["failed", "ready"]
    assert made.view(first)["error"] == {"code": "storage_refused", "message": "the bucket's policy forbids it"}
    assert all(key.startswith(second) for key in objects(made))
    assert made.verify(made.fetch(second)).ok


@pytest.mark.parametrize("fault", [StorageFull, WrongClock])
def test_what_passes_by_is_waited_for(tmp_path: Path, fault: type[StorageError]) -> None:
    """The export backs off and tells why; when there is room again, or a right clock, it goes on and forgets."""
    full = [True]

    def fill(operation: Operation, _count: int) -> None:
        if operation == "write" and full:
            raise fault("not now")

    made = one(tmp_path, MadeUpExporter(things(3)), storage=failing(tmp_path, fill), backoff_seconds=60)
    identifier = made.request()
    assert made.advance_all() == 1
    assert (made.view(identifier)["state"], error_code(made, identifier)) == ("running", fault.code)
    assert objects(made) == []
    full.clear()
    with writing(made.engine) as connection:
        connection.execute(update(models.slice).values(not_before=now(-1)))
    made.advance_all()
    assert (made.view(identifier)["state"], error_code(made, identifier)) == ("ready", None)


def test_waiting_grows_and_the_number_of_tries_ends(tmp_path: Path) -> None:
    """Twice as long each time, to 300 s, for hours; after the last try the export fails with what was wrong."""
    attempts_max = 2

    def away(operation: Operation, _count: int) -> None:
        if operation == "begin":
            raise StorageUnavailable("away")

    storage, waiting = failing(tmp_path, away), {"backoff_seconds": 10, "attempts_max": attempts_max}
    made = one(tmp_path, MadeUpExporter(things(1)), storage=storage, **waiting)
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
    longest = [min(300, 10 * 2**n) for n in range(attempts_max * setback.OUTAGE_TRIES - 1)]
    assert all(0.4 * most < wait < 1.6 * most for wait, most in zip(waits, longest, strict=True))


def test_what_nobody_expected_is_a_fault_of_the_volume(tmp_path: Path) -> None:
    """An exception from anywhere is told by its type alone, tried again, and nothing is left behind."""

    def crash(operation: Operation, _count: int) -> None:
        if operation == "complete":
            raise ZeroDivisionError("jane@example.org")

    made = one(tmp_path, MadeUpExporter(things(3)), storage=failing(tmp_path, crash), attempts_max=3)
    identifier = made.request()
    assert made.advance_all() == 3
    error = made.view(identifier)["error"]
    message = f"export {identifier}: a volume failed with ZeroDivisionError"
    assert error == {"code": "volume_fault", "message": message}
    assert objects(made) == []


def test_without_a_key_nothing_is_written(tmp_path: Path) -> None:
    """A machine that cannot sign says so before it reads anything."""
    read: list[int] = []
    made = one(tmp_path, MadeUpExporter(things(3), on_batch=read.append))
    for pem in made.place.settings.keys.iterdir():
        pem.unlink()
    identifier = made.request()
    made.advance_all()
    assert (made.view(identifier)["state"], error_code(made, identifier)) == ("failed", "no_signing_key")
    assert (read, objects(made)) == ([], [])


def test_who_asks_for_a_complete_archive_gets_none_with_gaps(tmp_path: Path) -> None:
    """It fails as `incomplete`, names the datasets, and every volume that was stored is deleted."""

    def break_late(number: int) -> None:
        if number == 3:
            raise SourceRefused("no")

    exporter = MadeUpExporter(things(12), files={0: [file("a.wav", secrets.token_bytes(200_000))]}, on_batch=break_late)
    made = one(tmp_path, exporter, volume_bytes=65_536)
    identifier = made.request(require_complete=True)
    assert made.advance_all() > 1
    assert (made.view(identifier)["state"], error_code(made, identifier)) == ("failed", "incomplete")
    assert "made/things" in str(made.view(identifier)["error"])
    assert made.view(identifier)["volumes"] == []
    assert objects(made) == []


class Endless(MadeUpExporter):
    """One small record after the other, for ever."""

    def export(self, *_args: Any, **_kwargs: Any) -> Generator[Batch, None, None]:
        for number in count():
            self.on_batch(number)
            yield Batch([{"id": str(number)}], str(number))


def test_cancelling_ends_a_running_export(tmp_path: Path) -> None:
    """The worker learns of it between two batches, however small: the upload is aborted, nothing is delivered."""
    made: list[World] = []

    def cancel(number: int) -> None:
        if number == 2:
            with writing(made[0].engine) as connection:
                exports.cancel(connection, identifier, actor="operator:test")

    made.append(one(tmp_path, Endless([], on_batch=cancel), lease_seconds=4))
    identifier = made[0].request()
    assert made[0].advance_all() == 1
    assert made[0].view(identifier)["state"] == "cancelled"
    assert objects(made[0]) == []


def test_cancelling_between_two_volumes_deletes_the_first(tmp_path: Path) -> None:
    """What was stored for an archive that will never be is nobody's."""
    exporter = MadeUpExporter(things(3), files={0: [file("a.wav", secrets.token_bytes(300_000))]})
    made = one(tmp_path, exporter, volume_bytes=65_536)
    identifier = made.request()
    held = made.claim()
    assert held is not None
    assert pipeline.advance(made.place, held) == 1
    assert objects(made) != []
    with writing(made.engine) as connection:
        exports.cancel(connection, identifier, actor="operator:test")
    made.advance_all()
    assert made.view(identifier)["state"] == "cancelled"
    assert objects(made) == []


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
    """Another one claims in the middle of a volume: whoever ends first, there is one archive and no stray object."""
    made: list[World] = []
    heirs: list[Claim] = []

    def lose(number: int) -> None:
        if number == 1 and not heirs:
            heirs.append(steal(made[0], identifier))
            if heir_first:
                assert pipeline.advance(made[0].place, heirs[0]) == 0

    made.append(one(tmp_path, MadeUpExporter(things(9), on_batch=lose)))
    identifier = made[0].request()
    zombie = made[0].claim()
    assert zombie is not None
    assert pipeline.advance(made[0].place, zombie) == 0
    if not heir_first:
        assert made[0].view(identifier)["volumes"] == []
        assert pipeline.advance(made[0].place, heirs[0]) == 0
    paths = made[0].fetch(identifier)
    assert made[0].verify(paths).ok
    assert records(paths, "made", "things") == things(9)
    assert [key.split(".")[1] for key in objects(made[0])] == ["2"]


def test_a_worker_that_is_told_to_stop_gives_the_export_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time to drain is over: the volume is aborted, no try is counted, and there is more to do at once."""
    drain = Drain()
    monkeypatch.setattr("worker.lease.drain", drain)
    made = one(tmp_path, MadeUpExporter(things(9), on_batch=lambda number: drain.begin(0) if number == 1 else None))
    identifier = made.request()
    held = made.claim()
    assert held is not None
    assert pipeline.advance(made.place, held) == 1
    monkeypatch.setattr("worker.lease.drain", Drain())
    with reading(made.engine) as connection:
        assert [row["attempts"] for row in slices.of(connection, identifier)] == [0]
    made.advance_all()
    assert made.view(identifier)["state"] == "ready"
    assert records(made.fetch(identifier), "made", "things") == things(9)
    assert len(objects(made)) == 1


def test_workers_that_die_again_and_again_end_the_export(tmp_path: Path) -> None:
    """No error was ever told, as after a kill: the number of tries ends it all the same."""
    made = one(tmp_path, MadeUpExporter(things(3)), attempts_max=1)
    identifier = made.request()
    assert made.claim() is not None
    for _ in range(setback.OUTAGE_TRIES - 1):
        steal(made, identifier)
    assert pipeline.advance(made.place, steal(made, identifier)) == 0
    assert (made.view(identifier)["state"], error_code(made, identifier)) == ("failed", "volume_fault")
    assert f"died {setback.OUTAGE_TRIES} times" in str(made.view(identifier)["error"])


def test_numbers_of_volumes_have_no_holes(tmp_path: Path) -> None:
    """A volume that went wrong gives its number back: the archive counts 1, 2, 3."""

    def fail(operation: Operation, times: int) -> None:
        if operation == "complete" and times % 3 == 1:
            raise StorageUnavailable("away")

    exporter = MadeUpExporter(things(3), files={0: [file(f"{n}.wav", secrets.token_bytes(70_000)) for n in range(3)]})
    made = one(tmp_path, exporter, storage=failing(tmp_path, fail), volume_bytes=65_536)
    identifier = made.request()
    made.advance_all()
    volumes = made.view(identifier)["volumes"]
    assert isinstance(volumes, list)
    assert [volume["number"] for volume in volumes] == list(range(1, len(volumes) + 1))
    assert len(volumes) >= 3
    assert made.verify(made.fetch(identifier)).ok


@pytest.mark.parametrize(("error", "state"), [(SourceUnavailable, "running"), (SourceRefused, "failed")])
def test_without_identities_an_export_waits_or_fails(tmp_path: Path, error: type[Exception], state: str) -> None:
    """Nothing could be selected: an archive that says "nothing held" would be a lie."""

    class Blind(MadeUpExporter):
        def identities(self, _subject: Any) -> Iterator[Any]:
            raise error("no")

    made = one(tmp_path, Blind(things(3)), backoff_seconds=60)
    identifier = made.request()
    made.advance_all()
    assert made.view(identifier)["state"] == state
    assert objects(made) == []
