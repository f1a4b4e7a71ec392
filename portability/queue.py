"""The queue: wake-ups for workers through RQ. A message says "there is something to do"; losing it loses nothing."""

from __future__ import annotations

from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from portability.errors import QueueUnavailable
from portability.settings import Settings

QUEUE = "portability"
TASK = "worker.tasks.advance"
ALLOWED = frozenset({TASK})
RESULT_TTL_SECONDS = 60
FAILURE_TTL_SECONDS = 3600
ANSWER_SECONDS = 10
VALKEY_URL_FILE = "valkey.url"
"""In the embedded folder, while its Valkey runs."""


class AllowedJob(Job):
    """A job that runs functions of the allow-list only: RQ would import whatever name stands in Redis."""

    @property
    def func(self) -> Any:  # noqa: ANN401  # RQ's own signature
        if self.func_name not in ALLOWED:
            raise PermissionError("the message names a function that is not allowed")
        return super().func


class WakeUps(Queue):
    """The one queue, with JSON messages."""

    job_class = AllowedJob


def redis_url(settings: Settings) -> str:
    """The configured Redis, or the Valkey of the embedded folder. Raises QueueUnavailable where that one is not up."""
    if settings.redis_url is not None:
        return settings.redis_url
    try:
        return (settings.dir / VALKEY_URL_FILE).read_text().strip()
    except OSError:
        hint = "start `portability up` beside it"
        raise QueueUnavailable(f"no Valkey is running for {settings.dir}", hint=hint) from None


def connect(url: str, *, waits: bool = False) -> Redis:
    """A client that gives up after seconds instead of hanging; `waits` is for a worker's blocking pop."""
    timeout = None if waits else ANSWER_SECONDS
    return Redis.from_url(url, socket_connect_timeout=5, socket_timeout=timeout, health_check_interval=15)


def open_queue(connection: Redis) -> WakeUps:
    """The queue on a connection."""
    return WakeUps(QUEUE, connection=connection, serializer=JSONSerializer, job_class=AllowedJob, default_timeout=-1)


def wake(queue: WakeUps, export_id: str) -> None:
    """Send one wake-up. The id is for tracing: the worker claims by SQL. Raises QueueUnavailable."""
    try:
        queue.enqueue(
            TASK,
            export_id,
            result_ttl=RESULT_TTL_SECONDS,
            failure_ttl=FAILURE_TTL_SECONDS,
            description=f"advance {export_id}",
        )
    except RedisError as error:
        raise QueueUnavailable(f"Redis did not take a wake-up: {type(error).__name__}") from error


def waiting_wake_ups(queue: WakeUps) -> int:
    """How many wake-ups no worker has taken yet. Raises QueueUnavailable."""
    try:
        return int(queue.count)
    except RedisError as error:
        raise QueueUnavailable(f"Redis does not tell how many wake-ups wait: {type(error).__name__}") from error
