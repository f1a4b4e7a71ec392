from __future__ import annotations

import threading

import pytest
from factories import World
from sqlalchemy import update
from workers import until

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.errors import Cancelled, DatabaseUnavailable, Draining, LeaseLost
from portability.requests import exports, slices
from worker.claim import fenced_writes, lease
from worker.claim.claims import Claim
from worker.claim.heartbeat import process_heartbeat
from worker.claim.lease import Drain, Lease

pytestmark = pytest.mark.slow


@pytest.fixture
def drain(monkeypatch: pytest.MonkeyPatch) -> Drain:
    """A process that was not asked to stop."""
    fresh = Drain()
    monkeypatch.setattr(lease, "drain", fresh)
    return fresh


@pytest.fixture
def _renews_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease of 20 s is renewed every 0.2 s: the test is quick, and a busy machine does not lose the lease."""
    monkeypatch.setattr(lease, "RENEWALS_PER_LEASE", 100)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The machine's monotonic clock, moved by hand."""
    moments = [1000.0]
    monkeypatch.setattr("worker.claim.lease.time.monotonic", lambda: moments[0])
    return moments


def claimed(made: World, lease_seconds: float = 60) -> Claim:
    made.request()
    held = made.claim(lease_seconds)
    assert held is not None
    return held


def change_export(made: World, **values: object) -> None:
    with writing(made.engine) as connection:
        connection.execute(update(models.export).values(**values))


def take_over(made: World) -> None:
    """What another worker's claim does to the fence."""
    with writing(made.engine) as connection:
        connection.execute(update(models.slice).values(fence=models.slice.c.fence + 1))


def wait_until(raises: Lease, error: type[Exception]) -> None:
    """Ask as a worker does, block after block, until the background thread has learned of it."""

    def ask_for_ever() -> None:
        while True:
            raises.check()

    with pytest.raises(error):
        ask_for_ever()


def test_half_a_lease_without_a_renewal_is_too_long(made: World, clock: list[float]) -> None:
    """The worker stops while no other one can have claimed the export yet, by its own clock."""
    held = Lease(made.engine, claimed(made), 60)
    clock[0] += 29
    held.check()
    clock[0] += 2
    with pytest.raises(LeaseLost):
        held.check()


def test_a_claim_that_is_cancelled_already_does_not_begin(made: World) -> None:
    """What was asked before the claim needs no renewal to be heard."""
    identifier = made.request()
    change_export(made, state="running")
    with writing(made.engine) as connection:
        exports.cancel(connection, identifier, actor="operator:test")
    held = made.claim()
    assert held is not None
    with pytest.raises(Cancelled):
        Lease(made.engine, held, 60).check()


@pytest.mark.usefixtures("drain", "_renews_often")
def test_the_thread_learns_of_cancelling(made: World) -> None:
    """Each renewal asks."""
    held = claimed(made)
    with Lease(made.engine, held, 20).renewed() as running:
        running.check()
        change_export(made, cancel_requested_at=now())
        wait_until(running, Cancelled)


@pytest.mark.usefixtures("drain", "_renews_often")
def test_the_thread_learns_of_a_loss(made: World) -> None:
    """Another worker has claimed: the next check reports it, and the thread ends."""
    held = claimed(made)
    with Lease(made.engine, held, 20).renewed() as running:
        take_over(made)
        wait_until(running, LeaseLost)


@pytest.mark.usefixtures("drain", "_renews_often")
def test_a_database_that_is_away_for_a_moment_costs_nothing(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A renewal that fails is retried; the work ends only if no renewal succeeds for half a lease."""
    asked, renewed = threading.Event(), threading.Event()

    def renew(*arguments: object) -> bool:
        if not asked.is_set():
            asked.set()
            raise DatabaseUnavailable("away")
        answer = fenced_writes.renew(*arguments)  # type: ignore[arg-type]  # handed on as they came
        renewed.set()
        return answer

    monkeypatch.setattr(lease, "renew", renew)
    with Lease(made.engine, claimed(made), 20).renewed() as running:
        assert renewed.wait(20)
        running.check()


def test_draining_ends_when_its_time_is_over(made: World, drain: Drain, clock: list[float]) -> None:
    """A stopping worker may end its volume if it can in time; a second signal does not prolong it."""
    held = Lease(made.engine, claimed(made), 600)
    drain.begin(20)
    clock[0] += 19
    held.check()
    drain.begin(20)
    clock[0] += 2
    with pytest.raises(Draining):
        held.check()


@pytest.mark.usefixtures("_renews_often")
def test_the_thread_beats_while_the_lease_is_held(made: World) -> None:
    """The worker's parent feels it; after the block there is nothing to feel."""
    before = process_heartbeat.beats
    with Lease(made.engine, claimed(made), 20).renewed():
        until(lambda: process_heartbeat.beats > before + 1, "the thread beats")
    after = process_heartbeat.beats
    assert not [thread for thread in threading.enumerate() if thread.name == "lease"]
    assert process_heartbeat.beats == after


def test_the_thread_ends_with_its_block(made: World) -> None:
    """Also when the block raises: an abandoned claim is not renewed."""
    with pytest.raises(ZeroDivisionError), Lease(made.engine, claimed(made), 60).renewed():
        raise ZeroDivisionError
    assert not [thread for thread in threading.enumerate() if thread.name == "lease"]


def test_those_who_watch_learn_which_source_is_waited_for(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the code of its last fault, beside how far the volume is; it is gone when the source has answered."""
    monkeypatch.setattr(lease, "TELL_SECONDS", 0.01)
    claim = claimed(made)

    def seen() -> tuple[str, str | None] | None:
        with reading(made.engine) as connection:
            return slices.waits_for(slices.of(connection, claim.id))

    with Lease(made.engine, claim, 60).renewed() as held:
        held.progress = lambda: {"records": 3}
        held.report_wait("crm/contacts", None)
        until(lambda: seen() == ("crm/contacts", None), "the wait is written down")
        held.report_wait("crm/contacts", "source_unavailable")
        held.report_wait("crm/contacts", None)
        until(lambda: seen() == ("crm/contacts", "source_unavailable"), "its fault is written down")
        held.report_wait(None, None)
        until(lambda: seen() is None, "the source has answered")
    assert made.view(claim.id)["progress"]["records"] == 3
