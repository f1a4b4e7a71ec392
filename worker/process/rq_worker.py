"""The worker process: RQ's worker, hardened (docs/flow.md explains against what)."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, NoReturn

import structlog
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import ConnectionError as RedisAway
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisSilent
from rq import Queue, Worker, worker_registration
from rq.exceptions import NoSuchJobError, StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import now
from rq.worker import WorkerStatus

from portability.database import incidents
from portability.database.engine import open_engine
from portability.database.incidents import Incident
from portability.errors import QueueUnavailable
from portability.processes import die_with_parent, report_ready
from portability.queue import ANSWER_SECONDS, AllowedJob, connect, not_reached, open_queue, redis_url, wake
from portability.settings import Settings
from worker.claim.heartbeat import Watch, process_heartbeat
from worker.claim.lease import drain
from worker.process import tasks  # imported before the fork: a job then starts in milliseconds

log = structlog.get_logger()

MONITOR_SECONDS_MAX = 5
SILENT_LEASES = 2
SILENT_SECONDS_MIN = 10.0
"""Extra time for the first heartbeat of a child process on a busy machine."""
AGAIN_SECONDS = (1.0, 10.0)
"""The shortest and the longest wait before RQ's worker is started again."""
FOLLOW_SECONDS = 10.0
"""How long one wake-up makes new children, each for one claim, while more work waits."""
WORKER_TTL_SECONDS = 60
"""RQ waits for a message for 15 seconds less, and for Redis for 5 seconds less: within the queue's WAIT_SECONDS."""
HEARTBEAT_SECONDS = 60
"""Added by RQ to the time until the next heartbeat."""
REDIS_AWAY = (RedisAway, RedisSilent)


class ExportWorker(Worker):
    """One queue, JSON messages, an allow-list; its child process is watched, dies with it and drains on SIGTERM."""

    max_connection_wait_time = AGAIN_SECONDS[1]
    settings: Settings
    stopping: threading.Event
    """Set permanently by the first signal; the worker that follows this one sees it, too."""
    _watch = Watch(process_heartbeat)
    _is_stalled = False
    _is_follower = False
    """Whether the child is a later one of its message."""
    _parent_pid = 0
    """The worker's pid for its child process: RQ's own `pid` is sometimes read again from Redis."""

    @property
    def silent_seconds_max(self) -> float:
        """Return after how many seconds without heartbeat a child process counts as dead."""
        return max(SILENT_LEASES * self.settings.lease_seconds, SILENT_SECONDS_MIN)

    def note(self, kind: Incident) -> None:
        """Count an incident in the database. No connection stays open, because none survives a fork."""
        engine = open_engine(self.settings.database, prepared=self.settings.prepared_statements)
        try:
            incidents.count(engine, kind)
        finally:
            engine.dispose()

    # What comes from Redis

    def subscribe(self) -> None:
        """Disable RQ's remote commands by Redis publish and subscribe, which would need a thread during the fork."""

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """Return the next readable message; remove unreadable messages, because RQ would fail on them repeatedly."""
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
        """Run RQ's own cleaning; unreadable entries must not prevent the next message."""
        try:
            super().run_maintenance_tasks()  # type: ignore[no-untyped-call]  # untyped in RQ
        except (StopRequested, *REDIS_AWAY):
            raise
        except Exception as error:  # noqa: BLE001  # entries of Redis may be anything
            log.warning("worker.untidy", error=type(error).__name__)
            self._refuse_unreadable()
            self.last_cleaned_at = now()  # type: ignore[assignment]  # RQ declares the type of its first value

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Fork a child process for an allowed message; others are refused."""
        if isinstance(job, AllowedJob) and job.is_ours:
            self._watch, self._is_stalled, self._is_follower = Watch(process_heartbeat), False, False
            self._parent_pid = os.getpid()
            super().execute_job(job, queue)
        else:
            self._refuse(job.id.encode())

    def _refuse_unreadable(self) -> int:
        """Remove messages that were popped and cannot be read; returns how many."""
        key = self.queues[0].intermediate_queue_key
        entries: list[bytes] = self.connection.lrange(key, 0, -1)  # type: ignore[assignment]  # this client is synchronous
        return sum(self._refuse(entry) for entry in entries if not self._reads(entry))

    def _reads(self, entry: bytes) -> bool:
        try:
            AllowedJob.fetch(entry.decode(), connection=self.connection, serializer=self.serializer)
        except NoSuchJobError:
            return True  # RQ skips it itself
        except (StopRequested, *REDIS_AWAY):
            raise
        except Exception:  # noqa: BLE001  # as above
            return False
        return True

    def _refuse(self, entry: bytes) -> int:
        """Remove an invalid message, and count it unless another worker has already removed it."""
        removed = self.connection.lrem(self.queues[0].intermediate_queue_key, 0, entry)  # type: ignore[arg-type]  # bytes are accepted
        self.connection.delete(AllowedJob.redis_job_namespace_prefix.encode() + entry)
        if removed:
            log.warning("message.refused")
            self.note(Incident.FORGED_MESSAGE)
        return bool(removed)

    # The child processes ("work horses" in RQ)

    def monitor_work_horse(self, job: Job, queue: Queue, execution: Execution) -> None:
        """Wait for the child; if it announced more work, make another child for the same wake-up (ADR 73)."""
        until = time.monotonic() + FOLLOW_SECONDS
        process_heartbeat.take_more()
        super().monitor_work_horse(job, queue, execution)
        while process_heartbeat.take_more() and not self.stopping.is_set():
            if time.monotonic() > until:
                # RQ's own turn: it cleans up and beats between two messages.
                with suppress(QueueUnavailable):
                    wake(open_queue(self.connection), str(job.args[0]) if job.args else "")
                return
            self._fork_follower()
            super().monitor_work_horse(job, queue, execution)

    def wait_for_horse(self) -> tuple[int | None, int | None, Any]:
        """Wait for a child. RQ knows only the first child of a message: the death of a later one is counted here."""
        pid, status, usage = super().wait_for_horse()
        if self._is_follower and status:
            self._report_lost(None, status)
        return pid, status, usage

    def _fork_follower(self) -> None:
        self._watch, self._is_stalled, self._is_follower = Watch(process_heartbeat), False, True
        child = os.fork()
        if not child:
            os.setpgrp()
            self._follow()
        self._horse_pid = child

    def _follow(self) -> NoReturn:
        """In a later child: claim and write without RQ, whose message the first child has finished."""
        status = os.EX_SOFTWARE
        try:
            die_with_parent(self._parent_pid)
            random.seed()
            self.setup_work_horse_signals()
            tasks.follow()
            status = os.EX_OK
        except Exception as error:
            log.exception("job.failed", code=getattr(error, "code", None))
            status = os.EX_OK
        finally:
            os._exit(status)

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        """In the child: end with the parent after any kind of kill; an orphan would work beside its successor."""
        die_with_parent(self._parent_pid)
        super().main_work_horse(job, queue)

    def setup_work_horse_signals(self) -> None:
        """Make SIGTERM finish the open volume if there is time; SIGINT of a terminal is handled by the parent."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda _number, _frame: drain.begin(self.settings.drain_seconds))

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        """Check every few seconds whether the child process is alive. It continues while Redis is down."""
        if self._watch.silent_seconds() > self.silent_seconds_max:
            self._is_stalled = True
            # Kill the process, not its group as RQ does: early on, a stalled child is still in our group.
            os.kill(self.horse_pid, signal.SIGKILL)
            return
        with suppress(RedisError):
            if self._is_follower:
                self.heartbeat(self.job_monitoring_interval + HEARTBEAT_SECONDS)
            else:
                super().maintain_heartbeats(job, execution)

    def handle_work_horse_killed(self, job: Job, _pid: int, status: int, _usage: object) -> None:
        """Count a death that the child could not report. Its export continues after the lease has expired."""
        self._report_lost(job.id, status)

    def _report_lost(self, job: str | None, status: int) -> None:
        kind = Incident.HORSE_STALLED if self._is_stalled else Incident.HORSE_DIED
        log.error("horse.lost", kind=kind, job=job, status=status)
        self.note(kind)

    def handle_exception(
        self,
        job: Job,
        *exc_info: type[BaseException] | BaseException | TracebackType | None,
    ) -> None:
        """Log the failure in the usual form: RQ would write the message, which may quote data."""
        log.error("job.failed", job=job.id, code=getattr(exc_info[1], "code", None), exc_info=exc_info)

    def handle_job_failure(
        self,
        job: Job,
        queue: Queue,
        started_job_registry: Any = None,  # noqa: ANN401  # RQ's own signature
        exc_string: str = "",
        execution: Execution | None = None,
    ) -> None:
        """Record in Redis that the job failed, without traceback, because its message may quote data."""
        del exc_string
        reported = "it failed: see the worker's log"
        super().handle_job_failure(job, queue, started_job_registry, reported, execution)

    # Stopping

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Send RQ's heartbeat; a stop request is also raised here, because other code may swallow the exception.

        RQ names a worker in its list once, at the beginning. A Redis that has lost its data needs the name again.
        """
        if self.stopping.is_set() and self.get_state() != WorkerStatus.BUSY:
            raise StopRequested
        super().heartbeat(timeout, pipeline)
        worker_registration.register(self, pipeline)

    def handle_warm_shutdown_request(self) -> None:
        """Forward the request to the child process: RQ alone would wait for it without limit."""
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]  # as above
        if self.horse_pid:
            with suppress(ProcessLookupError):
                os.kill(self.horse_pid, signal.SIGTERM)

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Handle a signal; a second one changes nothing: the child is draining and must not be killed half-way."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        # RQ stores the request in Redis: a failure of Redis must not end the wait for the child.
        with suppress(RedisError):
            super().request_stop(signum, frame)  # type: ignore[no-untyped-call]  # as above
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def new_worker(settings: Settings, connection: Redis, stopping: threading.Event) -> ExportWorker:
    """Make a worker that has not started yet. Raises RedisError."""
    monitor_seconds = max(1, min(MONITOR_SECONDS_MAX, int(settings.lease_seconds / 2)))
    worker = ExportWorker(
        [open_queue(connection)],
        connection=connection,
        serializer=JSONSerializer,
        job_class=AllowedJob,
        job_monitoring_interval=monitor_seconds,
        maintenance_interval=60,
        worker_ttl=WORKER_TTL_SECONDS,
    )
    worker.settings, worker.stopping = settings, stopping
    return worker


def run(settings: Settings, *, answer_seconds: float = ANSWER_SECONDS) -> None:
    """Work until stopped by SIGTERM or SIGINT, also while Redis is down.

    Raises: QueueUnavailable if Redis does not answer at the beginning, which means a wrong configuration.
    """
    url = redis_url(settings)
    try:
        connect(url, answer_seconds=answer_seconds).ping()
    except RedisError as error:
        raise not_reached(error) from error
    connection = connect(url, waits=True)
    report_ready()
    stopping = threading.Event()
    wait_seconds, longest_seconds = AGAIN_SECONDS
    with suppress(StopRequested):
        while True:
            began, seen = time.monotonic(), ""
            try:
                new_worker(settings, connection, stopping).work(logging_level="WARNING")
            except RedisError as error:
                seen = type(error).__name__
            if stopping.is_set():
                return
            if time.monotonic() - began > longest_seconds:
                wait_seconds = AGAIN_SECONDS[0]
            log.warning("worker.again", seconds=wait_seconds, error=seen)
            time.sleep(wait_seconds)
            wait_seconds = min(2 * wait_seconds, longest_seconds)
