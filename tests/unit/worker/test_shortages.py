"""Shortages of a worker that a source's plug-in meets first: the volume is written again, before there is a gap."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryFile

import pytest
from archives import export_json
from factories import MadeUpExporter, dataset, file, things, world
from sqlalchemy import text, update

from exporters.sql import faults
from portability.database import incidents, models
from portability.database.engine import now, open_engine, writing

pytestmark = pytest.mark.slow

MORE_THAN_ANY_MACHINE = 1 << 62
SORT = """
with recursive numbers(i) as (select 1 union all select i + 1 from numbers where i < 4000)
select i, hex(randomblob(1000)) as body from numbers order by body
"""
"""8 MB, which SQLite sorts in a temporary file."""


class Lack:
    """Something that a worker lacks for some of its tries; `met` counts how often it was."""

    def __init__(self, times: int, use: Callable[[], object]) -> None:
        self.times = times
        self.use = use
        self.met = 0

    def __call__(self, batch: int = 1) -> None:
        if batch == 1 and self.met < self.times:
            self.met += 1
            self.use()


def take_memory() -> None:
    bytearray(MORE_THAN_ANY_MACHINE)


def spool() -> None:
    with TemporaryFile() as spooled:
        spooled.write(bytes(1 << 20))


def lacking(name: str, lack: Lack) -> MadeUpExporter:
    return MadeUpExporter(things(9), datasets=(dataset(name),), on_batch=lack)


def test_a_lack_of_memory_passes(tmp_path: Path) -> None:
    """The next process may have what this one lacked: the volume is written again, and nothing is missing."""
    lack = Lack(2, take_memory)
    made = world(tmp_path, {"made": lacking("things", lack)}, attempts_max=3)
    identifier = made.request()
    made.advance_all()
    assert lack.met == 2
    assert made.view(identifier)["state"] == "ready"
    assert made.view(identifier)["complete"] is True
    assert made.verify(made.fetch(identifier)).ok


def test_a_file_for_which_memory_lacks_is_read_again(tmp_path: Path) -> None:
    """It was a gap that no retry could fill."""
    lack = Lack(1, take_memory)

    def opens(offset: int) -> Iterator[bytes]:
        lack()
        yield b"0123456789"[offset:]

    files = {0: [file("call.wav", b"0123456789", opens=opens)]}
    made = world(tmp_path, {"made": MadeUpExporter(things(1), files=files)}, attempts_max=3)
    identifier = made.request()
    made.advance_all()
    assert lack.met == 1
    assert export_json(made.fetch(identifier))["gaps"] == []


def test_a_dataset_that_always_lacks_memory_costs_itself_alone(tmp_path: Path) -> None:
    """The last try of the volume ends the dataset with its gap, and the others are whole."""
    lack = Lack(99, take_memory)
    exporters = {"a_large": lacking("large", lack), "b_small": MadeUpExporter(things(3))}
    made = world(tmp_path, exporters, attempts_max=3)
    identifier = made.request()
    made.advance_all()
    found = export_json(made.fetch(identifier))
    assert lack.met == 3
    assert [(gap["exporter"], gap["reason"]) for gap in found["gaps"]] == [("a_large", "exporter_fault")]
    lines = [(line["dataset"], line["state"], line["records"]) for line in found["datasets"]]
    assert lines == [("large", "partial", 3), ("things", "complete", 3)]
    assert {row["kind"]: row["count"] for row in incidents.counted(made.engine)} == {"exporter_fault": 1}


def sort() -> None:
    source = open_engine("sqlite://", read_only=True)
    with faults.reading(source, "made/things") as connection:
        connection.execute(text(SORT)).fetchone()


@pytest.mark.parametrize(("use", "seen"), [(sort, "SQLITE_IOERR_WRITE"), (spool, "File too large")])
def test_a_source_that_needs_temporary_files_waits_for_room(tmp_path: Path, use: Callable[[], None], seen: str) -> None:
    """SQLite sorts in the worker's folder for temporary files: a full one says nothing about the source.

    One attempt at the volume is allowed here: as a full storage, it is waited for longer.
    """

    def within_limit() -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            use()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    lack = Lack(1, within_limit)
    made = world(tmp_path, {"made": lacking("things", lack)}, attempts_max=1, backoff_seconds=60)
    identifier = made.request()
    assert made.advance_all() == 1
    error = made.view(identifier)["error"]
    assert error["code"] == "no_temporary_room"
    assert seen in error["message"]
    with writing(made.engine) as connection:
        connection.execute(update(models.slice).values(not_before=now(-1)))
    made.advance_all()
    assert lack.met == 1
    assert made.view(identifier)["complete"] is True
