"""Signals of services and processes, asked at the moment: database, Redis and storage, heartbeats, waiting wake-ups.

They say what one process sees: `portability web` or the command line. A service that hangs costs at most
ANSWER_SECONDS, so that the other figures arrive before a scrape times out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from prometheus_client.core import GaugeMetricFamily, Metric
from redis.exceptions import RedisError
from sqlalchemy import Engine

from portability.api.errors import PortabilityError
from portability.api.storage_probes import PROBES
from portability.api.storages import MeasuredStorage, Storage, StorageSpace
from portability.database import deployment
from portability.queue import WakeUps, check_writable, count_workers, has_clock, waiting_wake_ups

Answer = TypeVar("Answer")
ANSWER_SECONDS = 3.0
"""Three services that hang take nine seconds; Prometheus waits for ten by default."""


@dataclass(frozen=True, slots=True)
class Heartbeats:
    """What Redis knows of the processes."""

    workers: int
    has_clock: bool
    wake_ups: int


class ServiceProbe(Generic[Answer]):
    """A question to a service, asked in a thread; while one is not answered, no second question is asked."""

    def __init__(self, ask: Callable[[], Answer]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._answer: Answer | None = None
        self._seconds = 0.0

    @property
    def seconds(self) -> float:
        """How long the service took for its last answer, or for its last failure."""
        return self._seconds

    def answer(self, seconds: float = ANSWER_SECONDS) -> Answer | None:
        """Return the answer; None if the service fails, or does not answer within `seconds`."""
        with self._lock:
            if self._thread is None:
                self._answer = None
                self._thread = threading.Thread(target=self._run, name="probe", daemon=True)
                self._thread.start()
            self._thread.join(seconds)
            if self._thread.is_alive():
                return None
            self._thread = None
            return self._answer

    def _run(self) -> None:
        began = time.monotonic()
        with suppress(PortabilityError, RedisError, OSError):
            self._answer = self._ask()
        self._seconds = time.monotonic() - began


class Services:
    """The services of a deployment, as one process reaches them. Safe in several threads."""

    def __init__(self, engine: Engine, open_queue: Callable[[], WakeUps], open_storage: Callable[[], Storage]) -> None:
        self._database = ServiceProbe(lambda: _database(engine))
        self._redis = ServiceProbe(lambda: _redis(open_queue()))
        self._storage = ServiceProbe(lambda: _storage(open_storage()))

    def collect(self) -> Sequence[Metric]:
        """Return what the services answer; without Redis there are no heartbeats, without a folder no space."""
        up = GaugeMetricFamily(
            "portability_service_up", "1 if the service answers the process that reports this", labels=("service",)
        )
        took = GaugeMetricFamily(
            "portability_service_seconds",
            "Seconds until the service answered this report; no value while it is away",
            labels=("service",),
        )
        found = (self._database.answer(), self._redis.answer(), self._storage.answer())
        probes: tuple[ServiceProbe[Any], ...] = (self._database, self._redis, self._storage)
        for name, probe, answer in zip(("database", "redis", "storage"), probes, found, strict=True):
            up.add_metric((name,), int(answer is not None))
            if answer is not None:
                took.add_metric((name,), probe.seconds)
        _, heartbeats, space = found
        return [up, took, *_heartbeats(heartbeats), *_space(space)]


def _database(engine: Engine) -> bool:
    deployment.check_writable(engine)
    return True


def _redis(queue: WakeUps) -> Heartbeats:
    check_writable(queue)
    return Heartbeats(count_workers(queue), has_clock(queue), waiting_wake_ups(queue))


def _storage(storage: Storage) -> StorageSpace | bool:
    if isinstance(storage, MeasuredStorage):
        return storage.space()
    next(iter(storage.list(f"{PROBES}/")), None)
    return True


def _heartbeats(found: Heartbeats | None) -> Sequence[Metric]:
    workers = GaugeMetricFamily(
        "portability_workers", "Workers with a heartbeat; no value while Redis is away", labels=()
    )
    clock = GaugeMetricFamily(
        "portability_clock_up", "1 if a clock has a heartbeat; no value while Redis is away", labels=()
    )
    waiting = GaugeMetricFamily("portability_wake_ups", "Wake-ups that no worker has taken yet", labels=())
    if found:
        workers.add_metric((), found.workers)
        clock.add_metric((), int(found.has_clock))
        waiting.add_metric((), found.wake_ups)
    return workers, clock, waiting


def _space(space: StorageSpace | bool | None) -> Sequence[Metric]:
    free = GaugeMetricFamily("portability_storage_free_bytes", "Free space of a storage that is a folder", labels=())
    total = GaugeMetricFamily(
        "portability_storage_size_bytes", "Size of the disk of a storage that is a folder", labels=()
    )
    if isinstance(space, StorageSpace):
        free.add_metric((), space.free_bytes)
        total.add_metric((), space.total_bytes)
    return free, total
