"""The worker process: RQ's worker, hardened (docs/flow.md tells against what)."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any

from redis import Redis
from rq import Worker
from rq.job import Job
from rq.serializers import JSONSerializer

from portability.processes import die_with_parent
from portability.queue import AllowedJob, open_queue
from portability.settings import Settings
from worker import tasks  # noqa: F401  # imported before the fork: a job then starts in milliseconds
from worker.lease import drain


class ExportWorker(Worker):
    """One queue, JSON messages, an allow-list of functions; its horse dies with it and drains on SIGTERM."""

    drain_seconds = 0.0

    def main_work_horse(self, job: Job, queue: Any) -> None:  # noqa: ANN401  # RQ's own signature
        """In the child: die with the parent, whatever kills it; an orphan would work on beside its successor."""
        die_with_parent()
        super().main_work_horse(job, queue)

    def setup_work_horse_signals(self) -> None:
        """SIGTERM lets the open volume end, if it ends in time; SIGINT of a terminal is the parent's to handle."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda _number, _frame: drain.begin(self.drain_seconds))

    def handle_warm_shutdown_request(self) -> None:
        """Pass the request on to the horse: RQ alone would wait for it without limit."""
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]  # as RQ has it
        if self.horse_pid:
            os.kill(self.horse_pid, signal.SIGTERM)

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """A second signal says the same again: the horse is draining already and must not be killed half-way."""
        if self._stop_requested:
            return
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]  # as above
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def run(settings: Settings, connection: Redis) -> None:
    """Work until stopped by SIGTERM or SIGINT."""
    queue = open_queue(connection)
    worker = ExportWorker(
        [queue],
        connection=connection,
        serializer=JSONSerializer,
        job_class=AllowedJob,
        job_monitoring_interval=5,
        maintenance_interval=60,
        worker_ttl=60,
    )
    worker.drain_seconds = settings.drain_seconds
    worker.work(logging_level="WARNING")
