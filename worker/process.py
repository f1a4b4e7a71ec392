"""The worker process: RQ's worker, hardened (docs/flow.md tells against what)."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

import structlog
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import ConnectionError as RedisAway
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisSilent
from rq import Queue, Worker
from rq.exceptions import NoSuchJobError, StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import now
from rq.worker import WorkerStatus

from portability import incidents
from portability.db import open_engine
from portability.errors import QueueUnavailable
from portability.incidents import Incident
from portability.processes import die_with_parent
from portability.queue import AllowedJob, open_queue
from portability.settings import Settings
from worker import tasks  # noqa: F401  # imported before the fork: a job then starts in milliseconds
from worker.lease import drain
from worker.pulse import Watch, pulse

log = structlog.get_logger()

MONITOR_SECONDS_MAX = 5
SILENT_LEASES = 2
SILENT_SECONDS_MIN = 10.0
"""A horse that starts on a busy machine needs some seconds before its first beat."""
AGAIN_SECONDS = (1.0, 10.0)
"""The first and the longest wait before RQ's worker is started again."""
REDIS_AWAY = (RedisAway, RedisSilent)


class ExportWorker(Worker):
    """One queue, JSON messages, an allow-list; its horse is watched, dies with it and drains on SIGTERM."""

    max_connection_wait_time = AGAIN_SECONDS[1]
    settings: Settings
    stopping: threading.Event
    """Set for good by the first signal; the worker that follows this one sees it, too."""
    _watch = Watch(pulse)
    _is_stalled = False
    _parent_pid = 0
    """Of the worker, as its horse has to know it: RQ's own `pid` is read anew from Redis now and then."""

    @property
    def silent_seconds_max(self) -> float:
        """Without a pulse for so long, a horse is dead, whatever its process is."""
        return max(SILENT_LEASES * self.settings.lease_seconds, SILENT_SECONDS_MIN)

    def note(self, kind: Incident) -> None:
        """Count in the database. No connection is left open: none survives a fork."""
        engine = open_engine(self.settings.database)
        try:
            incidents.count(engine, kind)
        finally:
            engine.dispose()

    # What comes from Redis

    def subscribe(self) -> None:
        """RQ would take orders by Redis' publish and subscribe, in a thread that the fork has to pass: none are."""

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """The next message that can be read; the others are removed, or RQ would stumble over them for ever."""
        while not self.stopping.is_set():
            try:
                return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)
            except (StopRequested, *REDIS_AWAY):
                raise
            except Exception:
                if not self._refuse_unreadable():
                    raise
        raise StopRequested

    def run_maintenance_tasks(self) -> None:
        """RQ's own tidying up; what it cannot read must not keep it from the next message."""
        try:
            super().run_maintenance_tasks()  # type: ignore[no-untyped-call]  # as RQ has it
        except (StopRequested, *REDIS_AWAY):
            raise
        except Exception as error:  # noqa: BLE001  # whoever can write to Redis decides what it is
            log.warning("worker.untidy", error=type(error).__name__)
            self._refuse_unreadable()
            self.last_cleaned_at = now()  # type: ignore[assignment]  # RQ's own type is that of its first value

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Fork a horse for a message of ours; what is none does not get that far."""
        if isinstance(job, AllowedJob) and job.is_ours:
            self._watch, self._is_stalled, self._parent_pid = Watch(pulse), False, os.getpid()
            super().execute_job(job, queue)
        else:
            self._refuse(job.id.encode())

    def _refuse_unreadable(self) -> int:
        """Remove what was popped and cannot be read; returns how many."""
        key = self.queues[0].intermediate_queue_key
        entries: list[bytes] = self.connection.lrange(key, 0, -1)  # type: ignore[assignment]  # this client is no async one
        return sum(self._refuse(entry) for entry in entries if not self._reads(entry))

    def _reads(self, entry: bytes) -> bool:
        try:
            AllowedJob.fetch(entry.decode(), connection=self.connection, serializer=self.serializer)
        except NoSuchJobError:
            return True  # RQ passes over it by itself
        except (StopRequested, *REDIS_AWAY):
            raise
        except Exception:  # noqa: BLE001  # as above
            return False
        return True

    def _refuse(self, entry: bytes) -> int:
        """Remove a message that is none, and count it unless another worker just has."""
        mine = self.connection.lrem(self.queues[0].intermediate_queue_key, 0, entry)  # type: ignore[arg-type]  # bytes will do
        self.connection.delete(AllowedJob.redis_job_namespace_prefix.encode() + entry)
        if mine:
            log.warning("message.refused")
            self.note(Incident.FORGED_MESSAGE)
        return bool(mine)

    # The horse

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        """In the child: die with the parent, whatever kills it; an orphan would work on beside its successor."""
        die_with_parent(self._parent_pid)
        super().main_work_horse(job, queue)

    def setup_work_horse_signals(self) -> None:
        """SIGTERM lets the open volume end, if it ends in time; SIGINT of a terminal is the parent's to handle."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda _number, _frame: drain.begin(self.settings.drain_seconds))

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        """Every few seconds: see whether the horse still lives. It works on though Redis is away."""
        if self._watch.silent_seconds() > self.silent_seconds_max:
            self._is_stalled = True
            # Not its group, as RQ does: a horse that stalls early is still in ours.
            os.kill(self.horse_pid, signal.SIGKILL)
            return
        with suppress(RedisError):
            super().maintain_heartbeats(job, execution)

    def handle_work_horse_killed(self, job: Job, _pid: int, status: int, _usage: object) -> None:
        """Count a death that the horse could not tell of. Its export goes on once its lease is over."""
        kind = Incident.HORSE_STALLED if self._is_stalled else Incident.HORSE_DIED
        log.error("horse.lost", kind=kind, job=job.id, status=status)
        self.note(kind)

    def handle_exception(
        self,
        job: Job,
        *exc_info: type[BaseException] | BaseException | TracebackType | None,
    ) -> None:
        """Log the failure as everything is logged: RQ would write the message, which may quote data."""
        log.error("job.failed", job=job.id, code=getattr(exc_info[1], "code", None), exc_info=exc_info)

    def handle_job_failure(
        self,
        job: Job,
        queue: Queue,
        started_job_registry: Any = None,  # noqa: ANN401  # RQ's own signature
        exc_string: str = "",
        execution: Execution | None = None,
    ) -> None:
        """Keep in Redis that it failed, and no traceback: its message may quote data."""
        del exc_string
        told = "it failed: the worker's log tells why"
        super().handle_job_failure(job, queue, started_job_registry, told, execution)

    # Stopping

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """RQ's beat, and the place where a request to stop counts for sure: whatever runs may swallow an exception."""
        if self.stopping.is_set() and self.get_state() != WorkerStatus.BUSY:
            raise StopRequested
        super().heartbeat(timeout, pipeline)

    def handle_warm_shutdown_request(self) -> None:
        """Pass the request on to the horse: RQ alone would wait for it without limit."""
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]  # as above
        if self.horse_pid:
            with suppress(ProcessLookupError):
                os.kill(self.horse_pid, signal.SIGTERM)

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """A second signal says the same again: the horse is draining already and must not be killed half-way."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        # RQ notes the request in Redis: that is no reason to leave the horse.
        with suppress(RedisError):
            super().request_stop(signum, frame)  # type: ignore[no-untyped-call]  # as above
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def new_worker(settings: Settings, connection: Redis, stopping: threading.Event) -> ExportWorker:
    """A worker that has not begun yet. Raises RedisError."""
    monitor_seconds = max(1, min(MONITOR_SECONDS_MAX, int(settings.lease_seconds / 2)))
    worker = ExportWorker(
        [open_queue(connection)],
        connection=connection,
        serializer=JSONSerializer,
        job_class=AllowedJob,
        job_monitoring_interval=monitor_seconds,
        maintenance_interval=60,
        worker_ttl=60,
    )
    worker.settings, worker.stopping = settings, stopping
    return worker


def run(settings: Settings, connection: Redis) -> None:
    """Work until stopped by SIGTERM or SIGINT, whatever becomes of Redis meanwhile.

    Raises: QueueUnavailable, where Redis is away at the beginning: then something is wrong with the deployment.
    """
    try:
        connection.ping()
    except RedisError as error:
        raise QueueUnavailable(f"Redis does not answer: {type(error).__name__}") from error
    stopping = threading.Event()
    wait_seconds, longest_seconds = AGAIN_SECONDS
    with suppress(StopRequested):
        while True:
            began = time.monotonic()
            with suppress(RedisError):
                new_worker(settings, connection, stopping).work(logging_level="WARNING")
            if stopping.is_set():
                return
            if time.monotonic() - began > longest_seconds:
                wait_seconds = AGAIN_SECONDS[0]
            log.warning("worker.again", seconds=wait_seconds)
            time.sleep(wait_seconds)
            wait_seconds = min(2 * wait_seconds, longest_seconds)
