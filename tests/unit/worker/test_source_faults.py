"""Faults of sources, from the exporter to the signed archive: each is a gap, reported and counted, and nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from archives import export_json, records
from factories import MadeUpExporter, World, dataset, file, things, world
from sqlalchemy import update

from portability.api.errors import SourceRefused, SourceUnavailable
from portability.database import incidents, models
from portability.database.engine import now, reading, writing
from portability.requests import retries
from worker import export
from worker.claim import lease
from worker.claim.lease import Drain

pytestmark = pytest.mark.slow

LIMIT_SECONDS = 0.3


@pytest.fixture
def hung() -> Iterator[threading.Event]:
    """What a hanging source waits for; it comes when the test is over."""
    release = threading.Event()
    yield release
    release.set()


def incident_counts(made: World) -> dict[str, int]:
    return {row["kind"]: row["count"] for row in incidents.counted(made.engine)}


def at_batch(number: int, does: Callable[[], object]) -> Callable[[int], None]:
    def on_batch(batch: int) -> None:
        if batch == number:
            does()

    return on_batch


def raising(error: BaseException) -> Callable[[], None]:
    def does() -> None:
        raise error

    return does


def named(name: str, on_batch: Callable[[int], None]) -> MadeUpExporter:
    return MadeUpExporter(things(9), datasets=(dataset(name),), on_batch=on_batch)


@pytest.mark.requirement("R4")
def test_each_fault_costs_its_own_dataset_and_no_other(tmp_path: Path, hung: threading.Event) -> None:
    """Hanging, away, refusing and raising sources: their lines end early with the reason, the archive is signed."""
    jane = "jane@example.org"
    exporters = {
        "a_hangs": named("hangs", at_batch(1, lambda: hung.wait(60))),
        "b_away": named("away", at_batch(1, raising(SourceUnavailable("away")))),
        "c_refuses": named("refuses", at_batch(0, raising(SourceRefused("401")))),
        "d_raises": named("raises", at_batch(2, raising(ValueError(jane)))),
        "e_exits": named("exits", at_batch(0, raising(SystemExit(jane)))),
        "f_whole": named("whole", lambda _number: None),
    }
    made = world(tmp_path, exporters, source_seconds=LIMIT_SECONDS)
    identifier = made.request()
    made.advance_all()
    paths = made.fetch(identifier)
    lines = [(line["dataset"], line["state"], line["records"]) for line in export_json(paths)["datasets"]]
    reasons = {gap["exporter"]: gap["reason"] for gap in export_json(paths)["gaps"]}

    assert made.verify(paths).ok
    assert (made.view(identifier)["state"], made.view(identifier)["complete"]) == ("ready", False)
    assert lines == [
        ("hangs", "partial", 3),
        ("away", "partial", 3),
        ("refuses", "partial", 0),
        ("raises", "partial", 6),
        ("exits", "partial", 0),
        ("whole", "complete", 9),
    ]
    assert list(reasons.values()) == [
        *("source_stalled", "source_unavailable", "source_refused", "exporter_fault", "exporter_fault"),
    ]
    assert incident_counts(made) == {"source_stalled": 1, "exporter_fault": 2}
    assert jane not in str(made.view(identifier))


def test_the_rest_of_a_stalled_source_is_fetched_by_a_retry(tmp_path: Path, hung: threading.Event) -> None:
    """What hung once may answer later: the gap can be retried from where it stalled, and closes."""
    hang = threading.Event()
    exporter = named("things", at_batch(1, lambda: hang.is_set() or hung.wait(60)))
    made = world(tmp_path, {"made": exporter}, source_seconds=LIMIT_SECONDS)
    identifier = made.request()
    made.advance_all()
    hang.set()
    with writing(made.engine) as connection:
        retries.retry_gaps(connection, identifier, actor="operator:test")
    made.advance_all()
    assert made.view(identifier)["complete"] is True
    assert [row["id"] for row in records(made.fetch(identifier), "made", "things")] == [f"thing_{n}" for n in range(9)]


def test_a_file_that_hangs_is_cut_there(tmp_path: Path, hung: threading.Event) -> None:
    """Hanging before the first byte or in the middle: what came is kept, the next file is read."""

    def opens(offset: int, before: bytes) -> Iterator[bytes]:
        if before:
            yield before[offset:]
        hung.wait(60)

    files = [
        file("closed.wav", b"0123456789", opens=lambda offset: opens(offset, b"")),
        file("cut.wav", b"0123456789", opens=lambda offset: opens(offset, b"01234")),
        file("whole.wav", b"0123456789"),
    ]
    exporter = MadeUpExporter(things(1), files={0: files})
    made = world(tmp_path, {"made": exporter}, source_seconds=LIMIT_SECONDS)
    identifier = made.request()
    made.advance_all()
    paths = made.fetch(identifier)
    gaps = {gap["what"]: gap["reason"] for gap in export_json(paths)["gaps"]}
    assert gaps == {"things/closed.wav": "source_stalled", "things/cut.wav": "source_stalled"}
    assert made.verify(paths).ok
    assert incident_counts(made) == {"source_stalled": 2}


def test_a_store_that_hangs_is_not_waited_for_once_a_file(tmp_path: Path, hung: threading.Event) -> None:
    """After three files that stalled in a row no other is opened: each gets its gap, and a retry fetches them all."""
    opened: list[int] = []

    def hang(_offset: int) -> Iterator[bytes]:
        opened.append(1)
        if not hung.is_set():
            hung.wait(60)
        yield b"sound"

    files = {0: [file(f"{number}.wav", b"sound", opens=hang) for number in range(20)]}
    made = world(tmp_path, {"made": MadeUpExporter(things(3), files=files)}, source_seconds=LIMIT_SECONDS)
    identifier = made.request()
    made.advance_all()
    assert len(opened) == 3
    gaps = export_json(made.fetch(identifier))["gaps"]
    assert [(gap["reason"], gap["retryable"]) for gap in gaps] == [("source_stalled", True)] * 20
    hung.set()
    with writing(made.engine) as connection:
        retries.retry_gaps(connection, identifier, actor="operator:test")
    made.advance_all()
    assert made.view(identifier)["complete"] is True
    assert made.view(identifier)["datasets"][0]["files"] == 20


def test_a_stream_that_raises_is_counted(tmp_path: Path) -> None:
    """`unreadable` is a plug-in's fault like any other."""
    broken = file("a.wav", b"", size=9, opens=lambda _offset: iter([7]))  # type: ignore[list-item]  # a stranger's
    made = world(tmp_path, {"made": MadeUpExporter(things(1), files={0: [broken]})})
    identifier = made.request()
    made.advance_all()
    assert [gap["reason"] for gap in export_json(made.fetch(identifier))["gaps"]] == ["unreadable"]
    assert incident_counts(made) == {"exporter_fault": 1}


class HangingExporter(MadeUpExporter):
    """Hangs where it is asked for its size or for further identities."""

    hangs: Any = None
    resolves = False

    def count(self, *_args: Any) -> None:
        self.hangs()

    def identities(self, _subject: Any) -> tuple[()]:
        if self.resolves:
            self.hangs()
        return ()


def test_a_source_that_hangs_when_it_is_counted_is_read_all_the_same(tmp_path: Path, hung: threading.Event) -> None:
    """Progress is a courtesy: it costs its deadline once."""
    exporter = HangingExporter(things(3))
    exporter.hangs = lambda: hung.wait(60)
    made = world(tmp_path, {"made": exporter}, source_seconds=LIMIT_SECONDS)
    identifier = made.request()
    made.advance_all()
    assert made.view(identifier)["complete"] is True


def test_a_source_that_hangs_when_it_is_asked_for_identities_is_a_gap(tmp_path: Path, hung: threading.Event) -> None:
    """Its datasets are not read, the gap names why, and it is counted."""
    exporter = HangingExporter(things(3))
    exporter.hangs, exporter.resolves = (lambda: hung.wait(60)), True
    made = world(tmp_path, {"made": exporter}, source_seconds=LIMIT_SECONDS, backoff_seconds=60)
    identifier = made.request()
    made.advance_all()
    assert (made.view(identifier)["state"], made.view(identifier)["complete"]) == ("ready", False)
    (gap,) = export_json(made.fetch(identifier))["gaps"]
    assert gap["reason"] == "source_stalled"
    assert incident_counts(made) == {"source_stalled": 1}


@pytest.mark.parametrize("asked", ["cancel", "drain"])
def test_cancelling_and_draining_do_not_wait_for_a_hanging_source(
    tmp_path: Path, hung: threading.Event, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """Within about a second, though the source has five minutes."""
    drain = Drain()
    monkeypatch.setattr(lease, "drain", drain)
    monkeypatch.setattr(lease, "RENEWALS_PER_LEASE", 100)
    began: list[float] = []

    def hang() -> None:
        began.append(time.monotonic())
        if asked == "drain":
            drain.begin(0)
        else:
            with writing(made.engine) as connection:
                connection.execute(update(models.export).values(cancel_requested_at=now()))
        hung.wait(60)

    made = world(tmp_path, {"made": named("things", at_batch(1, hang))})
    identifier = made.request()
    held = made.claim(lease_seconds=20)
    assert held is not None
    export.advance(made.place, held)
    assert time.monotonic() - began[0] < 10
    assert made.view(identifier)["state"] == ("running" if asked == "drain" else "cancelled")
    with reading(made.engine) as connection:
        left = connection.execute(models.slice.select()).mappings().one()
    assert (left["owner"], left["attempts"]) == ((None, 0) if asked == "drain" else (left["owner"], 1))
