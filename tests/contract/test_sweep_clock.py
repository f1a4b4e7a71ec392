from __future__ import annotations

import threading
from pathlib import Path

import pytest
from factories import World, world
from simultaneous import in_threads
from sqlalchemy import select, update
from structlog.testing import capture_logs
from sweeping import AgedStorage, Shelf
from workers import until

from portability.api.errors import StorageUnavailable
from portability.api.storages import Storage
from portability.database import deployment, models
from portability.database.engine import now, open_engine, reading, writing
from portability.storage.local import LocalStorage
from worker.clock.sweep import run

TABLE = models.deployment
HOUR = 3600.0


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> World:
    made = world(tmp_path, {}, database_url=control_url)
    LocalStorage(tmp_path / "archives").store_id()
    return made


def swept(made: World, seconds_ago: float) -> None:
    with writing(made.engine) as connection:
        connection.execute(update(TABLE).values(swept_at=now(-seconds_ago)))


def test_of_all_clocks_one_sweeps(made: World, control_url: str) -> None:
    """Each asks; one gets True, by the database's clock, and no other until the time has passed again."""
    swept(made, 2 * HOUR)

    def ask(_number: int) -> bool:
        engine = open_engine(control_url)
        try:
            return deployment.claim_sweep(engine, HOUR)
        finally:
            engine.dispose()

    assert sorted(in_threads(6, ask)) == [False] * 5 + [True]
    swept(made, HOUR - 10)
    assert not deployment.claim_sweep(made.engine, HOUR)
    for seconds_ago in (HOUR + 10, -HOUR):  # the second was before the clock was set back
        swept(made, seconds_ago)
        assert deployment.claim_sweep(made.engine, HOUR)
        assert not deployment.claim_sweep(made.engine, HOUR)


def test_a_new_deployment_is_swept_after_the_first_hour(made: World) -> None:
    """There is nothing to sweep before."""
    assert not deployment.claim_sweep(made.engine, HOUR)
    with writing(made.engine) as connection:
        connection.execute(update(TABLE).values(created_at=now(-2 * HOUR)))
    assert deployment.claim_sweep(made.engine, HOUR)


def test_the_clock_sweeps_again_and_again(made: World) -> None:
    """Regularly, in a separate thread, until it is stopped."""
    shelf = Shelf(made, AgedStorage(made.place.storage))
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(made.engine, lambda: shelf.storage, 0.2, stop))
    thread.start()
    try:
        for _ in range(2):
            shelf.stored(shelf.export("failed"))
            until(lambda: not shelf.rows(), "the leftovers are swept")
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()
    with reading(made.engine) as connection:
        assert connection.scalars(select(TABLE.c.swept_at)).one() is not None


def test_a_sweep_that_fails_does_not_stop_the_clock(made: World) -> None:
    """Storage down, then an internal fault: both are logged, by code and type, and the next sweep runs."""
    shelf = Shelf(made, AgedStorage(made.place.storage))
    shelf.stored(shelf.export("failed"))
    errors = iter([StorageUnavailable("away"), ValueError("personal data of somebody")])
    stop = threading.Event()

    def open_storage() -> Storage:
        if error := next(errors, None):
            raise error
        return shelf.storage

    def look() -> None:
        run(made.engine, open_storage, 0.1, stop)

    with capture_logs() as logs:
        thread = threading.Thread(target=look)
        thread.start()
        try:
            until(lambda: not shelf.rows(), "the leftovers are swept")
            until(lambda: any(line["event"] == "sweep.done" for line in logs), "the sweep is logged")
        finally:
            stop.set()
            thread.join(10)
    logged = [(line["event"], line.get("code") or line.get("error")) for line in logs][:3]
    assert logged == [("sweep.failed", "storage_unavailable"), ("sweep.failed", "ValueError"), ("sweep.done", None)]


def test_zero_seconds_is_never(made: World) -> None:
    """The loop ends at once, without a look at anything."""

    def open_storage() -> Storage:
        raise AssertionError("a sweep was started")

    swept(made, 10 * HOUR)
    run(made.engine, open_storage, 0, threading.Event())
    assert deployment.claim_sweep(made.engine, HOUR)
