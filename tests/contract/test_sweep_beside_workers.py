from __future__ import annotations

import threading
from pathlib import Path

import pytest
from archives import records
from factories import MadeUpExporter, World, things, world
from simultaneous import in_threads
from sweeping import AgedStorage, Shelf, found
from workers import until

from portability.api.errors import StorageUnavailable
from portability.api.storages import Storage
from portability.database.engine import open_engine
from portability.requests.states import ExportState
from worker import export
from worker.clock.sweep import sweep
from worker.close import failure
from worker.write import excerpts

SOURCE = things(3000)


@pytest.fixture
def made(control_url: str, tmp_path: Path, archives: Storage) -> World:
    exporters = {"made": MadeUpExporter(SOURCE, batch_records=100)}
    options = {"piece_bytes": 20_000, "volume_bytes": 65_536, "lease_seconds": 10}
    return world(tmp_path, exporters, storage=archives, database_url=control_url, **options)


def keys(made: World) -> set[str]:
    keys = {listed.key for listed in made.place.storage.list()} - {"portability-owner"}
    return {key for key in keys if not key.endswith(".closing")}


def finish(made: World, *identifiers: str) -> None:
    until(lambda: made.advance_all() >= 0 and not any(map(made.is_open, identifiers)), "all exports have ended")


def test_sweeps_do_no_harm_to_workers(made: World, control_url: str) -> None:
    """Exports of several volumes are written while sweeps run continuously: each is complete."""
    identifiers = [made.request(f"user:usr_{number}") for number in range(3)]
    done = threading.Event()

    def act(number: int) -> int:
        if number == 0:
            try:
                finish(made, *identifiers)
            finally:
                done.set()
            return 0
        engine = open_engine(control_url)
        swept = 0
        while not done.is_set():
            report = sweep(engine, made.place.storage, actor="clock")
            assert report.lost == {}
            swept += 1
        engine.dispose()
        return swept

    assert in_threads(2, act)[1] > 1
    for identifier in identifiers:
        view = made.view(identifier)
        assert (view["state"], view["complete"], len(view["volumes"]) > 1) == ("ready", True, True)
        paths = made.fetch(identifier)
        assert made.verify(paths).ok
        assert records(paths, "made", "things") == SOURCE
    assert all(key.endswith(".zip") for key in keys(made))


def test_every_object_of_a_worker_has_a_name_that_a_sweep_knows(made: World) -> None:
    """Volumes, excerpts and indexes of an open export that is abandoned: a name that no pattern matches would stay."""
    identifier = made.request()
    held = made.claim()
    assert held is not None
    assert export.advance(made.place, held)
    assert len(keys(made)) == 3
    Shelf(made, AgedStorage(made.place.storage)).becomes(identifier, "cancelled")
    assert found(sweep(made.engine, made.place.storage, actor="clock")) == {"volume": 1, "excerpt": 2, "row": 1}
    assert keys(made) == set()


def test_a_worker_killed_between_the_last_commit_and_the_discard(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Excerpts of all earlier volumes stay behind: the sweep takes them, and the archive is as before."""
    identifier = made.request()
    monkeypatch.setattr(excerpts, "discard", lambda *_args: None)
    finish(made, identifier)
    volumes = {key for key in keys(made) if key.endswith(".zip")}
    assert len(keys(made)) == 2 * len(volumes) - 1 > 1
    assert found(sweep(made.engine, made.place.storage, actor="clock")) == {"excerpt": len(volumes) - 1}
    assert keys(made) == volumes
    assert made.verify(made.fetch(identifier)).ok


def test_an_end_that_storage_did_not_let_happen(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Storage was down when the objects of a cancelled export were to go: they go with the next sweep."""
    identifier = made.request()
    held = made.claim()
    assert held is not None
    assert export.advance(made.place, held)
    again = made.claim()
    assert again is not None

    def away(*_args: object) -> None:
        raise StorageUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(type(made.place.storage), "delete", away)
        failure.end(made.place, again, ExportState.CANCELLED)
    assert made.view(identifier)["state"] == "cancelled"
    assert len(keys(made)) == 3
    sweep(made.engine, made.place.storage, actor="clock")
    assert keys(made) == set()
    assert made.view(identifier)["volumes"] == []
