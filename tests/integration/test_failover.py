"""A primary dies, and its replica lacks the last commits: nothing is missing in the archive, and nothing is doubled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import servers
from archives import export_json, records
from claiming import claim_next
from factories import MadeUpExporter, World, large_things, world
from faults import FaultyStorage
from going_back import journal_of, reconciled
from psycopg import sql
from sqlalchemy import select
from workers import until

from portability.api.storages import Storage
from portability.database import models
from portability.database.engine import reading, writing
from portability.errors import DatabaseUnavailable, LeaseLost
from portability.journal import comparison
from worker.claim import claims, fenced_writes
from worker.clock import journal
from worker.export import advance

RECORDS = 2000


@pytest.fixture
def cluster() -> Iterator[servers.Cluster]:
    with servers.cluster_of() as made:
        made.primary.execute(sql.SQL("create database {}").format(sql.Identifier("portability")))
        yield made


@dataclass
class Gate:
    """Stops a worker in the middle of its first volume."""

    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)
    batches: int = 0

    def __call__(self, _number: int) -> None:
        self.batches += 1
        if self.batches == 3:
            self.reached.set()
            assert self.opened.wait(120)


def worker_of(made: World, gate: Gate, storage: Storage | None = None) -> World:
    """Another worker on the same database and storage, which the gate stops."""
    exporter = MadeUpExporter(large_things(RECORDS), batch_records=50, on_batch=gate)
    place = replace(made.place, exporters={"made": exporter}, storage=storage or made.place.storage)
    return World(place, made.folder)


def failing(storage: Storage) -> Storage:
    """The first volume fails when it is completed."""
    return FaultyStorage(storage, fail_at_complete=1)


@pytest.mark.parametrize("of_old", [lambda storage: storage, failing], ids=["writes", "fails"])
def test_a_failover_that_loses_a_claim_loses_no_record(
    cluster: servers.Cluster, tmp_path: Path, of_old: Callable[[Storage], Storage]
) -> None:
    """Two workers hold the same fence of a slice. The first is late: neither its volume nor its fault counts.

    The archive has everything once.
    """
    exporter = MadeUpExporter(large_things(RECORDS), batch_records=50)
    settings: dict[str, Any] = {"volume_bytes": 65_536, "piece_bytes": 8_000}
    made = world(tmp_path, {"made": exporter}, database_url=cluster.url("portability"), **settings)
    identifier = made.request()
    advance(made.place, claimed(made, "planner"))  # plans, and writes the first volume
    cluster.part()
    first, second = Gate(), Gate()
    with ThreadPoolExecutor(2) as pool:
        old = worker_of(made, first, of_old(made.place.storage))
        lost = claimed(made, "old")
        writes = pool.submit(advance, old.place, lost)
        assert first.reached.wait(60)
        assert cluster.fail_over() > 0
        new = worker_of(made, second)
        until(lambda: is_claimable(made), "the pool has found the new primary")
        held = claimed(made, "new")
        assert (held.number, held.fence) == (lost.number, lost.fence)
        continues = pool.submit(advance, new.place, held)
        assert second.reached.wait(60)
        first.opened.set()
        assert writes.result(120) == 0
        assert owner(made) == "new"
        second.opened.set()
        continues.result(120)
    made.advance_all()

    archives = made.fetch(identifier)
    found = [record["id"] for record in records(archives, "made", "things")]
    assert made.view(identifier)["state"] == "ready"
    assert len(archives) > 2
    assert (len(found), set(found)) == (RECORDS, {f"thing_{number}" for number in range(RECORDS)})
    (line,) = export_json(archives)["datasets"]
    assert line["records"] == RECORDS
    assert made.verify(archives).ok
    with reading(made.engine) as connection:
        assert connection.scalar(select(models.incident.c.count).where(models.incident.c.kind == "lease_lost")) == 1


def test_commits_that_a_failover_loses_are_restored(cluster: servers.Cluster, tmp_path: Path) -> None:
    """The new primary names another timeline: work stops, also that of a claim that it knows, until it is complete."""
    made = world(
        tmp_path, {"made": MadeUpExporter(large_things(3))}, database_url=cluster.url("portability")
    ).with_all_keys()
    open_before, known = made.request("user:usr_1"), made.request("user:usr_2")
    journal_of(made).ship()
    assert comparison.settle(made.engine, made.place.storage)
    held = claimed(made, "old")
    cluster.part()
    lost = made.request("user:usr_3")
    made.advance_all()
    journal_of(made).ship()
    states = {identifier: made.view(identifier)["state"] for identifier in (open_before, known, lost)}
    assert sorted(states.values()) == ["ready", "ready", "running"]
    cluster.fail_over()
    until(lambda: is_claimable(made), "the pool has found the new primary")

    assert claim_next(made.engine, "new", 60) is None
    with pytest.raises(LeaseLost), writing(made.engine) as connection:
        fenced_writes.lock(connection, held)
    assert not comparison.settle(made.engine, made.place.storage)
    found = reconciled(made)

    assert sorted((event.action, event.outcome) for event in found.events) == [
        ("export.ready", "restored"),
        ("export.ready", "restored"),
        ("request.accepted", "restored"),
    ]
    assert {identifier: made.view(identifier)["state"] for identifier in states} == states
    with writing(made.engine) as connection:
        fenced_writes.release(connection, held)  # the claim of before is one of this history
    made.advance_all()
    for identifier in states:
        archives = made.fetch(identifier)
        assert made.verify(archives).ok
        assert len(records(archives, "made", "things")) == 3


def test_a_failover_that_loses_nothing_stops_nothing(cluster: servers.Cluster, tmp_path: Path) -> None:
    """The clock compares, and work continues by itself."""
    made = world(
        tmp_path, {"made": MadeUpExporter(large_things(3))}, database_url=cluster.url("portability")
    ).with_all_keys()
    made.request()
    journal_of(made).ship()
    assert comparison.settle(made.engine, made.place.storage)
    cluster.part()
    cluster.fail_over()
    until(lambda: is_claimable(made), "the pool has found the new primary")
    assert claim_next(made.engine, "new", 60) is None

    stop, ready = threading.Event(), threading.Event()
    ready.set()
    args = (made.engine, journal_of(made), lambda: made.place.storage, stop, ready)
    clock = threading.Thread(target=journal.run, args=args)
    clock.start()
    try:
        until(lambda: made.claim() is not None, "work continues")
    finally:
        stop.set()
        clock.join(60)


def claimed(made: World, owner: str) -> claims.Claim:
    held = claim_next(made.engine, owner, 60)
    assert held is not None
    return held


def owner(made: World) -> str | None:
    """The worker to which the slice belongs."""
    with reading(made.engine) as connection:
        return connection.scalar(select(models.slice.c.owner).where(models.slice.c.lease_until.is_not(None)))


def is_claimable(made: World) -> bool:
    """Not while the pool still has connections of the primary that is gone."""
    with suppress(DatabaseUnavailable), reading(made.engine) as connection:
        return connection.scalar(select(models.slice.c.number).where(claims.claimable())) is not None
    return False
