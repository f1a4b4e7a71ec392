from __future__ import annotations

import threading
from pathlib import Path

import pytest
from factories import World
from simultaneous import in_threads
from sqlalchemy import select, update

from portability.database import models
from portability.database.engine import now, open_engine, reading, writing
from portability.errors import DatabaseUnavailable, QueueUnavailable
from portability.queue import WakeUps, connect, open_queue
from portability.settings import load_settings
from worker.clock import dispatch
from worker.clock.dispatch import REPEAT_EMPTY_SECONDS, REPEAT_SECONDS

SLICE = models.slice


@pytest.fixture
def queue(redis_url: str) -> WakeUps:
    return open_queue(connect(redis_url))


@pytest.fixture
def absent(tmp_path: Path) -> WakeUps:
    """The queue of a Redis that is not there."""
    return open_queue(connect(f"unix://{tmp_path}/nobody"))


def woken(queue: WakeUps) -> list[str]:
    return sorted(job.args[0] for job in queue.jobs)


def change_slices(made: World, **values: object) -> None:
    with writing(made.engine) as connection:
        connection.execute(update(SLICE).values(**values))


def test_each_claimable_slice_is_woken_once(made: World, queue: WakeUps) -> None:
    """A second look a moment later sends nothing: the first wake-up is on its way."""
    identifiers = sorted(made.request(f"user:usr_{n}") for n in range(3))
    assert dispatch.dispatch(made.engine, queue) == 3
    assert dispatch.dispatch(made.engine, queue) == 0
    assert woken(queue) == identifiers


def test_two_clocks_wake_each_slice_once(made: World, queue: WakeUps, control_url: str, redis_url: str) -> None:
    """Copies of the clock are safe: they share the rows, not the work."""
    identifiers = sorted(made.request(f"user:usr_{n}") for n in range(20))

    def tick(_number: int) -> int:
        engine = open_engine(control_url)
        try:
            return dispatch.dispatch(engine, open_queue(connect(redis_url)))
        finally:
            engine.dispose()

    assert sum(in_threads(2, tick)) == 20
    assert woken(queue) == identifiers


def test_an_unanswered_wake_up_is_repeated(made: World, queue: WakeUps) -> None:
    """A wake-up that was lost, or whose Redis was emptied, is sent again after a while."""
    identifier = made.request()
    dispatch.dispatch(made.engine, queue)
    queue.connection.flushall()
    change_slices(made, woken_at=now(-REPEAT_SECONDS - 1))
    assert dispatch.dispatch(made.engine, queue) == 1
    assert woken(queue) == [identifier]


def test_a_lost_wake_up_is_missed_sooner_where_the_queue_is_empty(made: World, queue: WakeUps) -> None:
    """Then none is pending: a killed worker took it, or Redis was emptied. A waiting one may be it."""
    for number in range(2):
        made.request(f"user:usr_{number}")
    assert dispatch.dispatch(made.engine, queue) == 2
    change_slices(made, woken_at=now(-REPEAT_EMPTY_SECONDS - 1))
    assert dispatch.dispatch(made.engine, queue) == 0
    queue.empty()  # type: ignore[no-untyped-call]
    assert dispatch.dispatch(made.engine, queue) == 2


def test_a_clock_that_was_set_back_delays_no_wake_up(made: World, queue: WakeUps) -> None:
    """A wake-up seems to come after the claim that it led to, and the wake-up after it seems to be an hour away."""
    made.request()
    change_slices(made, woken_at=now(3600), claimed_at=now(-1))
    assert dispatch.dispatch(made.engine, queue) == 1
    assert dispatch.dispatch(made.engine, queue) == 0


def test_what_is_held_backing_off_or_ended_is_left_alone(made: World, queue: WakeUps) -> None:
    """Only what a worker could claim now is worth a wake-up."""
    made.request()
    for values in ({"lease_until": now(60)}, {"lease_until": None, "not_before": now(60)}, {"state": "done"}):
        change_slices(made, **values)
        assert dispatch.dispatch(made.engine, queue) == 0


def test_what_a_killed_worker_left_is_woken(made: World, queue: WakeUps) -> None:
    """Its lease has expired: another worker continues."""
    made.request()
    assert made.claim() is not None
    assert dispatch.dispatch(made.engine, queue) == 0
    change_slices(made, lease_until=now(-1))
    assert dispatch.dispatch(made.engine, queue) == 1


def test_no_more_wake_ups_than_workers_can_use_are_on_their_way(
    made: World, queue: WakeUps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred thousand waiting exports must not fill Redis: each wake-up serves the export whose turn it is."""
    monkeypatch.setattr(dispatch, "BATCH", 5)
    for number in range(8):
        made.request(f"user:usr_{number}")
    assert dispatch.dispatch(made.engine, queue) == 5
    change_slices(made, woken_at=None)
    assert dispatch.dispatch(made.engine, queue) == 0
    queue.connection.flushall()
    assert dispatch.dispatch(made.engine, queue) == 5


def test_without_redis_no_worker_counts_as_woken(made: World, queue: WakeUps, absent: WakeUps) -> None:
    """The rows stay as they were, and are sent as soon as Redis is back."""
    made.request()
    with pytest.raises(QueueUnavailable):
        dispatch.dispatch(made.engine, absent)
    with reading(made.engine) as connection:
        assert connection.scalars(select(SLICE.c.woken_at)).all() == [None]
    assert dispatch.dispatch(made.engine, queue) == 1


def test_the_clock_outlives_what_is_away(
    made: World, queue: WakeUps, absent: WakeUps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Database down, Redis down, both up: the loop continues until it is stopped."""
    made.request()
    stop, ticks = threading.Event(), iter([None, absent, queue])
    real = dispatch.dispatch

    def tick(_engine: object, _queue: WakeUps) -> int:
        chosen = next(ticks)
        if chosen is None:
            raise DatabaseUnavailable("away")
        if chosen is queue:
            stop.set()
        return real(made.engine, chosen)

    monkeypatch.setattr(dispatch, "dispatch", tick)
    dispatch.run(made.engine, queue, load_settings(clock_seconds=0.001), stop)
    assert len(woken(queue)) == 1
