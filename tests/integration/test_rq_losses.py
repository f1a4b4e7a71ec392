"""Where RQ loses a job or runs it twice (each reproduced with RQ 3.0), an export is made exactly once all the same."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from redis import Redis
from rq import Retry
from rq.registry import FailedJobRegistry
from rq.utils import as_text
from watched import SLOW, Watched, watched
from workers import family, kill, until

from portability.queue import QUEUE, TASK, open_queue, wake

LIST = f"rq:queue:{QUEUE}"
POPPED = f"{LIST}:intermediate"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Watched]:
    """A clock; the tests start and end the workers."""
    with watched(tmp_path_factory.mktemp("losses"), redis_server, SLOW, workers=0, LEASE_SECONDS="2") as running:
        yield running


@pytest.fixture
def worker(place: Watched) -> Iterator[Callable[[], int]]:
    """Starts a worker and returns its pid; all of them end with the test."""
    place.redis.flushall()
    begun = len(place.deployed.processes)
    yield lambda: place.deployed.start("worker").pid
    for process in place.deployed.processes[begun:]:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(60)
    del place.deployed.processes[begun:]


def _only(redis: Redis) -> str:
    (entry,) = redis.lrange(LIST, 0, -1)
    return str(as_text(entry))


def popped_and_forgotten(redis: Redis) -> None:
    """A worker died right after the pop: on two queues the job is nowhere, on one it is in the intermediate list."""
    redis.lmove(LIST, POPPED)


def popped_and_lost(redis: Redis) -> None:
    """As above, with two queues: only the hash is left, `queued` for ever."""
    redis.delete(LIST)


def prepared_and_lost(redis: Redis) -> None:
    """A worker died between noting the execution and `started`: RQ's clean-up drops the entry and saves nothing."""
    redis.zadd(f"rq:wip:{QUEUE}", {f"{_only(redis)}:execution": 1})
    redis.delete(LIST)


def abandoned(redis: Redis) -> None:
    """A worker died in the job: RQ's clean-up finds it minutes later and, without a retry, moves it to the failed."""
    identifier = _only(redis)
    redis.hset(f"rq:job:{identifier}", "status", "started")
    redis.zadd(f"rq:wip:{QUEUE}", {f"{identifier}:execution": 1})
    redis.delete(LIST)


def waits_for_a_scheduler(redis: Redis) -> None:
    """A retry with an interval goes to a registry that only a scheduler empties, and none runs."""
    redis.delete(LIST)
    queue = open_queue(redis)
    job = queue.enqueue_in(timedelta(seconds=0), TASK, "x", retry=Retry(max=3, interval=[1]))
    assert job.id in queue.scheduled_job_registry


def held_by_a_zombie(redis: Redis) -> None:
    """The hash of a unique job is there, its id in no list: RQ refuses to enqueue it again for ever."""
    redis.delete(LIST)
    redis.hset("rq:job:unique", mapping={"status": "queued", "data": b"[]"})


def failed_before(redis: Redis) -> None:
    """It failed: RQ keeps it among the failed, and nobody looks there."""
    identifier = _only(redis)
    redis.hset(f"rq:job:{identifier}", "status", "failed")
    redis.zadd(FailedJobRegistry(QUEUE, connection=redis).key, {identifier: 2**40})
    redis.delete(LIST)


def doubled(redis: Redis) -> None:
    """Two clean-ups at once enqueue a job twice; without `unique` an id may stand in the list any number of times."""
    redis.rpush(LIST, *[_only(redis)] * 4)


@pytest.mark.parametrize(
    "loses",
    [
        popped_and_forgotten,
        popped_and_lost,
        prepared_and_lost,
        abandoned,
        waits_for_a_scheduler,
        held_by_a_zombie,
        failed_before,
        doubled,
        Redis.flushall,
    ],
)
def test_whatever_becomes_of_its_message_an_export_is_made_once(
    place: Watched, worker: Callable[[], int], loses: Callable[[Redis], None]
) -> None:
    """The clock looks at rows and sends another message; the claim lets one worker have the row."""
    asked = place.ask("access")
    until(lambda: place.redis.llen(LIST) == 1, "the clock has sent a wake-up", seconds=30)
    loses(place.redis)
    place.forget_wake_up()
    worker()
    place.rests(asked)
    place.made_once(asked)


def test_a_message_to_a_frozen_worker_is_not_lost(place: Watched, worker: Callable[[], int]) -> None:
    """Redis hands it to a worker that does not run; another one makes the export, and for the first nothing is left."""
    frozen = worker()
    until(lambda: place.listens(frozen), "it waits for a message", seconds=30)
    os.kill(frozen, signal.SIGSTOP)
    asked = place.ask("access")
    until(lambda: place.redis.llen(POPPED) == 1, "the frozen worker has been given it", seconds=30)
    worker()
    place.forget_wake_up()
    place.ready(asked)
    os.kill(frozen, signal.SIGCONT)
    until(lambda: place.listens(frozen) and not family(place.deployed), "both rest", seconds=30)
    place.made_once(asked)


def test_a_second_copy_finds_the_export_taken(place: Watched, worker: Callable[[], int]) -> None:
    """The worker freezes, its horse works on, RQ starts the job again elsewhere: both copies would end well."""
    frozen = worker()
    asked = place.ask()
    place.working()
    os.kill(frozen, signal.SIGSTOP)
    second = worker()
    until(lambda: place.listens(second), "the second worker listens", seconds=30)
    for _ in range(5):
        wake(open_queue(place.redis), asked)
    place.ready(asked)
    os.kill(frozen, signal.SIGCONT)
    until(lambda: not family(place.deployed), "no horse is left", seconds=30)
    place.made_once(asked)


def test_no_horse_outlives_its_worker(place: Watched, worker: Callable[[], int]) -> None:
    """RQ's would go on as an orphan, beside its successor."""
    dies = worker()
    asked = place.ask()
    orphan = place.working()
    kill(dies)
    until(lambda: not Path(f"/proc/{orphan}").exists(), "its horse has died with it", seconds=10)
    assert place.state(asked) == "running"
    worker()
    place.rests(asked)
    place.made_once(asked)
