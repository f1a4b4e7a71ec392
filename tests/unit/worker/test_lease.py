from __future__ import annotations

import threading
from pathlib import Path

import pytest
from factories import World, world
from sqlalchemy import update
from workers import until

from portability import exports, models
from portability.db import now, writing
from portability.errors import Cancelled, DatabaseUnavailable, Draining, LeaseLost
from worker import checkpoint, lease
from worker.claims import Claim
from worker.lease import Drain, Lease
from worker.pulse import pulse


@pytest.fixture
def made(tmp_path: Path) -> World:
    return world(tmp_path, {})


@pytest.fixture
def drain(monkeypatch: pytest.MonkeyPatch) -> Drain:
    """A process that nobody has told to stop."""
    fresh = Drain()
    monkeypatch.setattr(lease, "drain", fresh)
    return fresh


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The machine's monotonic clock, moved by hand."""
    moments = [1000.0]
    monkeypatch.setattr("worker.lease.time.monotonic", lambda: moments[0])
    return moments


def claimed(made: World, lease_seconds: float = 60) -> Claim:
    made.request()
    held = made.claim(lease_seconds)
    assert held is not None
    return held


def change(made: World, **values: object) -> None:
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
    """The worker stops while nobody else can have claimed the export yet, by its own clock."""
    held = Lease(made.engine, claimed(made), 60)
    clock[0] += 29
    held.check()
    clock[0] += 2
    with pytest.raises(LeaseLost):
        held.check()


def test_a_claim_that_is_cancelled_already_does_not_begin(made: World) -> None:
    """What was asked before the claim needs no renewal to be heard."""
    identifier = made.request()
    change(made, state="running")
    with writing(made.engine) as connection:
        exports.cancel(connection, identifier, actor="operator:test")
    held = made.claim()
    assert held is not None
    with pytest.raises(Cancelled):
        Lease(made.engine, held, 60).check()


@pytest.mark.usefixtures("drain")
def test_the_thread_learns_of_cancelling(made: World) -> None:
    """Each renewal asks."""
    held = claimed(made)
    with Lease(made.engine, held, 4).held() as running:
        running.check()
        change(made, cancel_requested_at=now())
        wait_until(running, Cancelled)


@pytest.mark.usefixtures("drain")
def test_the_thread_learns_of_a_loss(made: World) -> None:
    """Somebody else has claimed: the next check says so, and the thread ends."""
    held = claimed(made)
    with Lease(made.engine, held, 4).held() as running:
        take_over(made)
        wait_until(running, LeaseLost)


@pytest.mark.usefixtures("drain")
def test_a_database_that_is_away_for_a_moment_costs_nothing(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A renewal that fails is tried again; only silence for half a lease ends the work."""
    asked, renewed = threading.Event(), threading.Event()

    def renew(*arguments: object) -> bool:
        if not asked.is_set():
            asked.set()
            raise DatabaseUnavailable("away")
        answer = checkpoint.renew(*arguments)  # type: ignore[arg-type]  # handed on as they came
        renewed.set()
        return answer

    monkeypatch.setattr(lease, "renew", renew)
    with Lease(made.engine, claimed(made), 4).held() as running:
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


def test_the_thread_beats_while_the_lease_is_held(made: World) -> None:
    """The worker's parent feels it; after the block there is nothing to feel."""
    before = pulse.beats
    with Lease(made.engine, claimed(made), 4).held():
        until(lambda: pulse.beats > before + 1, "the thread beats")
    after = pulse.beats
    assert not [thread for thread in threading.enumerate() if thread.name == "lease"]
    assert pulse.beats == after


def test_the_thread_ends_with_its_block(made: World) -> None:
    """Also when the block raises: nobody renews what nobody works on."""
    with pytest.raises(ZeroDivisionError), Lease(made.engine, claimed(made), 60).held():
        raise ZeroDivisionError
    assert not [thread for thread in threading.enumerate() if thread.name == "lease"]
