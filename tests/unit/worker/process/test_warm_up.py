"""The warm-up of a worker: it leaves nothing behind, and a fault of a source does not prevent the start."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from factories import MadeUpExporter, World, described, things, world
from sqlalchemy import func, select

from archive.write.templates import _environment
from portability.api.errors import SourceUnavailable
from portability.database import models
from portability.database.engine import reading
from portability.sources import PlatformSources
from portability.storage.local import LocalStorage
from worker.context import WorkerContext
from worker.process.synthetic_subjects import PROFILES
from worker.process.warm_up import warm_process
from worker.read.reader import SourcePatience

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _unfrozen() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


def rehearsed(folder: Path, exporter: MadeUpExporter) -> World:
    made = world(folder, {"made": exporter}, notice_dir=described(folder / "notice", "made/things"))
    warm_process(made.place, PlatformSources(made.place.settings))
    return made


def test_nothing_is_left_of_a_rehearsal(tmp_path: Path) -> None:
    """Neither in the control database nor in storage; no thread and no connection that a fork would inherit."""
    before = {*threading.enumerate()}
    made = rehearsed(tmp_path, MadeUpExporter(things(7)))

    assert {*threading.enumerate()} <= before
    assert made.engine.pool.status().startswith("Pool size: 5  Connections in pool: 0")
    with reading(made.engine) as connection:
        counts = [connection.scalar(select(func.count()).select_from(t)) for t in (models.export, models.volume)]
    assert counts == [0, 0]
    assert isinstance(made.place.storage, LocalStorage)
    assert not [*made.place.storage.list(), *made.place.storage.uploads()]


def test_no_thread_stays_of_a_reading_that_the_garbage_collector_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error can keep a generator in a circle of references; it releases its thread when it is collected."""
    before = {*threading.enumerate()}

    def leave(_context: WorkerContext) -> None:
        def read() -> Iterator[None]:
            with closing(SourcePatience(retries=0).bounded("made")) as source:
                source.ask(threading.get_ident).get()
                yield

        reads = read()
        circle: list[object] = [reads]
        circle.append(circle)
        next(reads)

    monkeypatch.setattr("worker.process.warm_up._read_sources", leave)
    rehearsed(tmp_path, MadeUpExporter(things(1)))

    assert {*threading.enumerate()} <= before


def test_a_rehearsal_does_what_jobs_do(tmp_path: Path) -> None:
    """Each dataset is read, and the pages of an archive are made."""
    read: list[int] = []
    _environment.cache.clear()  # type: ignore[union-attr]  # it has one
    rehearsed(tmp_path, MadeUpExporter(things(7), on_batch=read.append))

    assert {0, 1, 2} <= set(read)
    assert len(_environment.cache or ()) > 1


def test_interfaces_are_read_once(tmp_path: Path) -> None:
    """Ids of other forms are for databases: an interface would be called three times as often."""
    read: list[int] = []
    rehearsed(tmp_path, MadeUpExporter(things(1), on_batch=read.append))
    assert len(read) == len(PROFILES) == 4


def test_a_source_that_is_away_does_not_keep_a_worker_from_its_start(tmp_path: Path) -> None:
    """Its jobs will see for themselves, and wait for it."""

    def away(_batch: int) -> None:
        raise SourceUnavailable("made: it is away")

    made = rehearsed(tmp_path, MadeUpExporter(things(7), on_batch=away))
    assert made.place.exporters


def test_a_source_that_hangs_keeps_a_worker_for_a_while_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long its jobs would wait for it."""
    monkeypatch.setattr("worker.process.warm_up.SECONDS_MAX", 0.2)
    monkeypatch.setattr("worker.process.warm_up.THREAD_SECONDS", 0.1)
    answers = threading.Event()

    def hang(_batch: int) -> None:
        answers.wait()

    try:
        made = rehearsed(tmp_path, MadeUpExporter(things(7), on_batch=hang))
    finally:
        answers.set()
    assert made.place.settings.source_seconds > 1
