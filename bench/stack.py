"""A whole deployment with one real worker: PostgreSQL, Valkey, S3, and the process of `portability worker`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import servers
from factories import World, world
from redis import Redis
from rq import Worker
from sqlalchemy import RowMapping, select
from workers import own_notice

from bench.surroundings import Surroundings
from bench.worker import COMMAND, NOTHING
from portability.database import models
from portability.database.engine import reading
from portability.processes import die_with_parent
from portability.queue import RESULT_TTL_SECONDS, connect, open_queue, wake
from portability.storage import open_storage

WAIT_SECONDS = 3600.0
PAUSE_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class BenchStack:
    """A control database, and a worker that waits for messages."""

    made: World
    redis: Redis
    worker_pid: int

    def export(self, subject: str, **options: object) -> float:
        """Request an export and wake the worker; returns seconds from its first claim to ready."""
        identifier = self.made.request(subject, **options)
        wake(open_queue(self.redis), identifier)
        row = _waited(partial(self._ended, identifier))
        if (row["state"], row["complete"]) != ("ready", True):
            raise RuntimeError(f"export {identifier} is {row['state']}: {row['error_code']}")
        seconds: float = (row["ended_at"] - row["began_at"]).total_seconds()
        return seconds

    def nothing(self, jobs: int) -> float:
        """Return the worker's seconds for a job that does nothing: from the end of one to the end of the next."""
        queue = open_queue(self.redis)
        keys = [queue.enqueue(NOTHING, result_ttl=RESULT_TTL_SECONDS).key for _ in range(jobs)]
        ends = [_waited(partial(self.redis.hget, key, "ended_at")) for key in keys]
        began, *_, ended = (datetime.fromisoformat(end.decode()) for end in ends)
        return (ended - began).total_seconds() / (jobs - 1)

    def _ended(self, identifier: str) -> RowMapping | None:
        ended = (models.export.c.id == identifier, models.export.c.ended_at.is_not(None))
        with reading(self.made.engine) as connection:
            return connection.execute(select(models.export).where(*ended)).mappings().one_or_none()


@contextmanager
def stack(around: Surroundings, **settings: str) -> Iterator[BenchStack]:
    """Start a worker with these settings, by names without prefix, and defaults for all others."""
    with servers.valkey() as valkey, connect(valkey.url) as redis:
        database = around.postgres.url(around.postgres.create_database())
        settings |= {"DIR": str(around.folder), "DATABASE_URL": database, "REDIS_URL": valkey.url}
        settings |= {"STORAGE_URL": around.s3.url("archives"), "NOTICE_DIR": str(own_notice(around.folder / "notice"))}
        os.environ.update({f"PORTABILITY_{name}": value for name, value in settings.items()})
        made = world(around.folder, {}, storage=open_storage(settings["STORAGE_URL"]), database_url=database)
        with (around.folder / "worker.log").open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, "-c", COMMAND],
                stdout=log,
                stderr=log,
                preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509  # only a prctl
            )
        try:
            _waited(lambda: Worker.all(connection=redis))
            yield BenchStack(made, redis, worker.pid)
        finally:
            worker.terminate()
            worker.wait()
            made.engine.dispose()


def _waited(found: Callable[[], Any]) -> Any:  # noqa: ANN401  # any value
    """Poll until there is a value."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (something := found()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no result within {WAIT_SECONDS} s")
        time.sleep(PAUSE_SECONDS)
    return something
