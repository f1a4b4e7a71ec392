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
def watched_clock(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Watched]:
    """A clock; the tests start and end the workers."""
    with watched(tmp_path_factory.mktemp("losses"), redis_server, SLOW, workers=0) as running:
        yield running


@pytest.fixture
def worker(watched_clock: Watched) -> Iterator[Callable[[], int]]:
    """Starts a worker and returns its pid; all of them end with the test."""
    watched_clock.redis.flushall()
    begun = len(watched_clock.deployed.processes)
    yield lambda: watched_clock.deployed.start("worker").pid
    for process in watched_clock.deployed.processes[begun:]:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(60)
    del watched_clock.deployed.processes[begun:]


def _only(redis: Redis) -> str:
    (entry,) = redis.lrange(LIST, 0, -1)
    return str(as_text(entry))


def popped_and_forgotten(redis: Redis) -> None:
    """A worker died right after the pop: with two queues the job is nowhere, with one in the intermediate list."""
    redis.lmove(LIST, POPPED)


def popped_and_lost(redis: Redis) -> None:
    """As above, with two queues: only the hash is left, `queued` permanently."""
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
    """The hash of a unique job is there, its id in no list: RQ always refuses to enqueue it again."""
    redis.delete(LIST)
    redis.hset("rq:job:unique", mapping={"status": "queued", "data": b"[]"})


def failed_before(redis: Redis) -> None:
    """It failed: RQ keeps it among the failed, where no worker looks."""
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
        pytest.param(popped_and_lost, marks=pytest.mark.system),
        pytest.param(prepared_and_lost, marks=pytest.mark.system),
        abandoned,
        pytest.param(waits_for_a_scheduler, marks=pytest.mark.system),
        held_by_a_zombie,
        pytest.param(failed_before, marks=pytest.mark.system),
        doubled,
        Redis.flushall,
    ],
)
def test_whatever_becomes_of_its_message_an_export_is_made_once(
    watched_clock: Watched, worker: Callable[[], int], loses: Callable[[Redis], None]
) -> None:
    """The clock reads rows and sends another message; the claim gives the row to one worker.

    In `make test` it is popped, stuck in a dead job, refused by its name, there five times, or away with all of Redis.
    """
    asked = watched_clock.ask("access")
    until(lambda: watched_clock.redis.llen(LIST) == 1, "the clock has sent a wake-up", seconds=30)
    loses(watched_clock.redis)
    watched_clock.forget_wake_up()
    worker()
    watched_clock.rests(asked)
    watched_clock.made_once(asked)


def test_a_message_to_a_frozen_worker_is_not_lost(watched_clock: Watched, worker: Callable[[], int]) -> None:
    """Redis gives it to a worker that does not run; another one makes the export, and nothing is left for the first."""
    frozen = worker()
    until(lambda: watched_clock.listens(frozen), "it waits for a message", seconds=30)
    os.kill(frozen, signal.SIGSTOP)
    asked = watched_clock.ask("access")
    until(lambda: watched_clock.redis.llen(POPPED) == 1, "the frozen worker has been given it", seconds=30)
    worker()
    watched_clock.forget_wake_up()
    watched_clock.ready(asked)
    os.kill(frozen, signal.SIGCONT)
    until(lambda: watched_clock.listens(frozen) and not family(watched_clock.deployed), "both rest", seconds=30)
    watched_clock.made_once(asked)


def test_a_second_copy_finds_the_export_taken(watched_clock: Watched, worker: Callable[[], int]) -> None:
    """The worker freezes, its child process works on, RQ starts the job again elsewhere: both copies would end well."""
    frozen = worker()
    asked = watched_clock.ask()
    watched_clock.working()
    os.kill(frozen, signal.SIGSTOP)
    second = worker()
    until(lambda: watched_clock.listens(second), "the second worker listens", seconds=30)
    for _ in range(5):
        wake(open_queue(watched_clock.redis), asked)
    watched_clock.ready(asked)
    os.kill(frozen, signal.SIGCONT)
    until(lambda: not family(watched_clock.deployed), "no horse is left", seconds=30)
    watched_clock.made_once(asked)


def test_no_child_process_outlives_its_worker(watched_clock: Watched, worker: Callable[[], int]) -> None:
    """RQ's would continue as an orphan, beside its successor."""
    dies = worker()
    asked = watched_clock.ask()
    orphan = watched_clock.working()
    kill(dies)
    until(lambda: not Path(f"/proc/{orphan}").exists(), "its horse has died with it", seconds=30)
    assert watched_clock.state(asked) == "running"
    worker()
    watched_clock.rests(asked)
    watched_clock.made_once(asked)
