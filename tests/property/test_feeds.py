"""All archives of a feed together are one whole archive, whatever changes meanwhile, and wherever a process dies."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import feed_writers
import feeding
import outboxes
import platform_data
import pytest
import servers
import unpacked
from factories import World, world
from importing import import_as
from judges.cases import exported
from sqlalchemy import Engine, event, select, update

from exporters.reference import schema
from portability.database import models
from portability.database.engine import now, open_engine, writing
from portability.plugins import EXPORTERS, find, load_exporters
from portability.requests import instructions
from portability.source_file import OWN_RECORDS
from portability.sources import PlatformSources
from portability.storage import open_storage
from receiver.binding.tables import TABLES
from receiver.binding.target import ImportTarget
from receiver.ledger import tables

EVERY = 10
"""Steps between two archives."""
TARGET = ImportTarget(tenant="ten_a", contact="con_1")
ASKED: Mapping[str, Any] = {"tenant": "ten_a", "profile": "portability"}


def with_exporters(made: World) -> PlatformSources:
    """Open the platform anew, as each process does."""
    names, sources = [name for name in find(EXPORTERS) if name != OWN_RECORDS], PlatformSources(made.place.settings)
    made.place.exporters.update(load_exporters(sources, names))  # type: ignore[attr-defined]  # a dict
    return sources


def killed_at(work: Callable[[], object], statements: int) -> bool:
    """Do the work in another process, which is killed at a statement of a database; returns whether it was killed."""
    pid = os.fork()
    if pid == 0:
        left = [statements]

        def count(*_arguments: object) -> None:
            left[0] -= 1
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

        event.listen(Engine, "before_cursor_execute", count)
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def worked_until_killed(made: World, statements: int) -> bool:
    """Let a worker be killed; afterwards its lease is over."""

    def work() -> None:
        made.engine.dispose(close=False)
        with_exporters(made)
        made.advance_all()

    made.engine.dispose()
    was_killed = killed_at(work, statements)
    with writing(made.engine) as connection:
        connection.execute(
            update(models.slice).where(models.slice.c.lease_until.is_not(None)).values(lease_until=now(-1))
        )
    return was_killed


def imported_rows(url: str) -> dict[str, list[str]]:
    """Return all rows of the tables that an import writes, with the archive's ids and without numbers of pseudonyms."""
    engine = tables.placed(open_engine(url))
    with engine.connect() as connection:
        foreign = {row.local_id: row.foreign_id for row in connection.execute(select(tables.ID))}
        found = {
            table.name: sorted(
                without_numbers([foreign.get(value, value) if isinstance(value, str) else value for value in row])
                for row in connection.execute(select(table))
            )
            for table in TABLES.values()
        }
    engine.dispose()
    return {name: lines for name, lines in found.items() if lines}


def without_numbers(value: object) -> str:
    """Return a text to compare: numbers of pseudonyms follow the order in which people were met."""
    return re.sub(r"(Agent|Speaker) \d+", r"\1", repr(value))


LONG = [pytest.mark.system, pytest.mark.timeout(1_800)]


@pytest.mark.parametrize(
    ("mode", "seed", "steps"),
    [
        ("hashes", 1, 30),
        pytest.param("hashes", 2, 1_000, marks=LONG),
        ("outbox", 7, 30),
        pytest.param("outbox", 4, 1_000, marks=LONG),
    ],
)
def test_all_archives_of_a_feed_are_one_whole_archive(
    tmp_path: Path, pg_server: servers.Postgres, monkeypatch: pytest.MonkeyPatch, mode: str, seed: int, steps: int
) -> None:
    """Two writers, whose transactions stay open, change the platform; each archive and each import may be killed.

    What a recipient has after the last archive is what a recipient of one whole archive has: as JSON Lines, and as
    rows of PostgreSQL.
    """
    # The writers' draws are their own: how many processes die must not decide what the writers do.
    random, deaths = Random(seed), Random(seed)
    names = [pg_server.create_database() for _ in range(3)]
    source, into, whole_into = (pg_server.url(name) for name in names)
    platform = open_engine(source)
    platform_data.fill(platform)
    outboxes.prepare(platform, monkeypatch, mode)
    files = open_storage(f"file://{tmp_path}/files")
    files.check()
    made = world(tmp_path, {}, source_url=source, recordings_url=f"file://{tmp_path}/files", volume_members=40)
    sources = with_exporters(made)
    with writing(made.engine) as connection:
        instructions.add(connection, "ten_a", contact_id=None, exporters=None, actor="operator:test")
    feed = feeding.begin(made, "contact:con_1", **ASKED)
    both = feed_writers.writers(platform, random)
    archives: list[Sequence[Path]] = []
    kills = 0
    for step in range(steps + 1):
        if step == steps:
            for writer in both:
                writer.commit()
        if step % EVERY == 0 or step == steps:
            identifier = feed.request()
            while deaths.random() < 0.4 and worked_until_killed(made, deaths.randrange(1, 400)):
                kills += 1
            archives.append(feed.next(identifier))
            folders = unpacked.unpacked(archives[-1], tmp_path / f"unpacked-{len(archives)}")
            while deaths.random() < 0.4 and killed_at(
                partial(import_as, folders, into, TARGET), deaths.randrange(1, 150)
            ):
                kills += 1
            report = import_as(folders, into, TARGET)
            assert (report.refused, report.quarantined, report.conflicts) == (0, 0, 0)
            assert import_as(folders, into, TARGET).is_repeated
        if step < steps:
            random.choice(both).step()
    for writer in both:
        writer.connection.close()
    platform.dispose()
    whole = exported(made, "contact:con_1", formats=["jsonl"], **ASKED)
    sources.database.dispose()
    import_as(unpacked.unpacked(whole.volumes, tmp_path / "whole"), whole_into, TARGET)
    assert imported_rows(into) == imported_rows(whole_into)
    for dataset in ("calls/calls", "calls/transcripts", "interactions/tickets"):
        last = {record["id"]: without_numbers(record) for record in feeding.delivered_records(whole.volumes, dataset)}
        assert {name: without_numbers(record) for name, record in feeding.folded(archives, dataset).items()} == last
        assert last
    assert kills
    assert {feeding.changes(paths)["mode"] for paths in archives[1:]} == {mode}
    stones = [stone for paths in archives for stone in feeding.tombstones(paths)]
    assert stones
    assert schema.calls.name in imported_rows(into)
