"""Redis stops, starts again without its memory, or is emptied: workers and requests do not mind."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import orjson
import pytest
import servers
from rq.exceptions import StopRequested
from watched import SLOW, Watched, watched
from workers import until

from portability.queue import connect, count_workers, open_queue
from portability.settings import load_settings
from worker.process import rq_worker

LEFT = '"event": "worker.again"'
"""In the log when RQ's own worker has left: after six seconds without Redis."""


@pytest.fixture(scope="module")
def redis() -> Iterator[servers.Valkey]:
    with servers.valkey() as server:
        yield server


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, redis: servers.Valkey) -> Iterator[Watched]:
    # On a busy machine a short lease can expire, and no worker could be woken for the rest while Redis is down.
    with watched(tmp_path_factory.mktemp("away"), redis.url, SLOW, LEASE_SECONDS="30") as running:
        yield running
        redis.process.start()


def test_a_worker_outlives_redis(place: Watched, redis: servers.Valkey) -> None:
    """The export in hand ends while Redis is down; what is asked for meanwhile is made once it is back.

    Each line of the log is a JSON object, those of RQ too.
    """
    first = place.ask()
    place.working()
    before = place.deployed.log.read_text().count(LEFT)
    redis.process.stop()
    place.rests(first)  # a child that has just ended its export looks for another one
    second = place.ask("access")
    until(lambda: place.deployed.log.read_text().count(LEFT) > before, "Redis is away for long enough")
    assert place.state(second) == "queued"
    redis.process.start()
    place.rests(second)
    for identifier in (first, second):
        place.made_once(identifier)
    assert all(process.poll() is None for process in place.deployed.processes)
    assert place.counts() == {}
    logged = place.deployed.log.read_bytes().splitlines()
    assert [line for line in logged if not line.startswith(b"{")] == []
    lines = [orjson.loads(line) for line in logged]
    of_rq = [line for line in lines if line.get("logger") == "rq.worker"]
    assert {line["error"] for line in of_rq} == {"ConnectionError"}


@pytest.mark.parametrize("when", ["idle", "working"])
def test_an_emptied_redis_costs_nothing(place: Watched, when: str) -> None:
    """Also in the middle of a job, when everything that RQ has noted of it is gone."""
    if when == "working":
        first = place.ask()
        place.working()
        place.redis.flushall()
        place.rests(first)
        place.made_once(first)
    place.redis.flushall()
    second = place.ask("access")
    place.rests(second)
    place.made_once(second)
    assert all(process.poll() is None for process in place.deployed.processes)
    assert place.counts() == {}


def test_a_redis_without_its_memory_counts_the_workers_again(place: Watched, redis: servers.Valkey) -> None:
    """Workers that run are counted after a restart: no one is called at night to start what runs."""
    queue = open_queue(place.redis)
    redis.process.stop()
    redis.process.start()
    until(lambda: count_workers(queue) == 1, "the worker is counted", seconds=100)


@pytest.mark.parametrize("away_seconds", [0, 3])
def test_a_worker_stops_on_a_signal_while_redis_is_down(
    place: Watched, redis: servers.Valkey, away_seconds: float
) -> None:
    """At once, and when it has begun to wait for Redis: it leaves, and in order."""
    worker = place.deployed.start("worker")
    until(lambda: place.listens(worker.pid), "the new worker listens", seconds=30)
    redis.process.stop()
    gone_at = time.monotonic()
    until(lambda: time.monotonic() - gone_at >= away_seconds, "Redis is away for a while")
    worker.send_signal(signal.SIGTERM)
    code = worker.wait(30)
    place.deployed.processes.remove(worker)
    redis.process.start()
    assert code == 0


def test_a_swallowed_request_to_stop_counts_at_the_next_beat(
    place: Watched, redis: servers.Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal's exception is raised anywhere, also where an exception handler takes it for a fault of its own."""
    stopping = threading.Event()
    worker = rq_worker.new_worker(load_settings(dir=place.deployed.folder), connect(redis.url), stopping)
    monkeypatch.setattr(worker.log, "error", lambda *_: stopping.set())  # what the swallowed exception leaves behind
    redis.process.stop()
    monkeypatch.setattr(worker, "set_state", lambda _state: None)
    with pytest.raises(StopRequested):
        worker.dequeue_job_and_maintain_ttl(1)
    redis.process.start()
