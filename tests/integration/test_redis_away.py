"""Redis stops, starts again without its memory, or is emptied: workers and requests do not mind."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import servers
from servers.process import folder_of
from watched import SLOW, Watched, watched
from workers import until

AWAY_SECONDS = 8.0
"""After six seconds without Redis, RQ's own worker has left."""


@dataclass
class Switch:
    """A Valkey at one address, on and off."""

    folder: Path
    server: AbstractContextManager[str] | None = field(default=None)

    def on(self) -> str:
        self.server = servers.valkey_in(self.folder)
        return self.server.__enter__()

    def off(self) -> None:
        if self.server is not None:
            self.server.__exit__(None, None, None)
            self.server = None


@pytest.fixture(scope="module")
def redis() -> Iterator[Switch]:
    with folder_of("vk") as folder:
        switch = Switch(folder)
        yield switch
        switch.off()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, redis: Switch) -> Iterator[Watched]:
    with watched(tmp_path_factory.mktemp("away"), redis.on(), SLOW) as running:
        yield running
        if redis.server is None:
            redis.on()


def test_a_worker_outlives_redis(place: Watched, redis: Switch) -> None:
    """The export in hand ends while Redis is away; what is asked for meanwhile is made once it is back."""
    first = place.ask()
    place.working()
    redis.off()
    gone_at = time.monotonic()
    place.ready(first)
    second = place.ask("access")
    until(lambda: time.monotonic() - gone_at > AWAY_SECONDS, "Redis is away for long enough")
    assert place.state(second) == "queued"
    redis.on()
    place.rests(second)
    for identifier in (first, second):
        place.made_once(identifier)
    assert all(process.poll() is None for process in place.deployed.processes)
    assert place.counts() == {}


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


@pytest.mark.parametrize("away_seconds", [0, 3])
def test_a_worker_stops_when_it_is_told_though_redis_is_away(
    place: Watched, redis: Switch, away_seconds: float
) -> None:
    """At once, and when it has begun to wait for Redis: it leaves, and in order."""
    worker = place.deployed.start("worker")
    until(lambda: place.listens(worker.pid), "the new worker listens", seconds=30)
    redis.off()
    gone_at = time.monotonic()
    until(lambda: time.monotonic() - gone_at >= away_seconds, "Redis is away for a while")
    worker.send_signal(signal.SIGTERM)
    code = worker.wait(30)
    place.deployed.processes.remove(worker)
    redis.on()
    assert code == 0
