"""The queue: wake-ups for workers through RQ. A message says "there is something to do"; losing it loses nothing."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from math import ceil
from typing import Any

from redis import Redis
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from rq import Queue, worker_registration
from rq.exceptions import DeserializationError
from rq.job import Job
from rq.serializers import JSONSerializer

from portability.errors import ControlError, QueueUnavailable
from portability.settings import Settings

QUEUE = "portability"
TASK = "worker.process.tasks.advance"
ALLOWED = frozenset({TASK})
RESULT_TTL_SECONDS = 60
FAILURE_TTL_SECONDS = 3600
MESSAGE_BYTES_MAX = 1 << 16
"""The limit of a message's size in Redis' memory; ours have about 1 KiB."""
MESSAGE_VERSION = 1
TAKEN = frozenset({b"data", b"status"})
ANSWER_SECONDS = 10
CONNECT_SECONDS = 5
WAIT_SECONDS = 60
"""How long a worker's connection waits for the next message: RQ asks again before that."""
REQUEST_SECONDS = 2
"""How long a request of a person waits for Redis: what it would do there can be done without."""
REST_SECONDS = 5
"""How long a process that answers people does not use Redis after a failure, so that no one waits for it again."""
CLOCK_KEY = "portability:clock"
"""Exists while a clock is at work: each clock renews it."""
CLOCK_SECONDS_MIN = 60
"""How long a clock's heartbeat is valid at least; else five of its turns."""
PROBE_KEY = "portability:probe"
PROBE_SECONDS = 10
NO_EVICTION = "noeviction"
NO_WRITES: Mapping[type[RedisError], str] = {
    OutOfMemoryError: "its memory is full (maxmemory): give it more, or remove what other programs store there",
    ReadOnlyError: "it is a read-only replica: name the primary in PORTABILITY_REDIS_URL",
}
UNSAVED = "MISCONF"
"""In the refusal of all writes by a Redis that cannot write its snapshot or log; the library has no type for it."""
UNSAVED_HINT = "it cannot write to its disk: make room there, or correct the rights of its folder; its log says more"
REFUSALS: Mapping[type[RedisError], str] = {
    AuthenticationError: "put its user and password into PORTABILITY_REDIS_URL: redis://USER:PASSWORD@HOST",
    NoPermissionError: "give its user the rights of docs/operate.md#redis-or-valkey",
    BusyLoadingError: "it reads its file of data: wait until it has ended",
}
PROTECTED = "DENIED"
"""How the refusal begins by which Redis and Valkey accept no other machine (protected mode)."""
PROTECTED_HINT = "it is in protected mode: give it a password, or set `protected-mode no` in a network of its own"
UNIX = "unix://"
NO_REDIS_HINT = "set PORTABILITY_REDIS_URL: a deployment with servers has no Valkey of its own"
VALKEY_URL_FILE = "valkey.url"
"""The socket in the embedded folder, while its Valkey runs."""


class NotRunning(ControlError):
    """No process of a kind that is needed has a heartbeat."""

    code = "not_running"
    default_hint = "start `portability worker` and `portability clock`"


def not_reached(error: RedisError) -> QueueUnavailable:
    """Word an error of Redis: it is away, or answers with a refusal, of which the hint says what to change."""
    hint = next((hint for kind, hint in REFUSALS.items() if isinstance(error, kind)), None)
    if isinstance(error, ResponseError) and str(error).startswith(PROTECTED):
        hint = PROTECTED_HINT
    verb = "refuses" if hint or isinstance(error, ResponseError) else "does not answer"
    return QueueUnavailable(f"Redis {verb}: {type(error).__name__}", hint=hint)


def _no_writes_hint(error: RedisError) -> str | None:
    """Return what to change where Redis refuses to store; None: what the error class says."""
    return UNSAVED_HINT if UNSAVED in str(error) else NO_WRITES.get(type(error))


class AllowedJob(Job):
    """A message that is not trusted: only functions of the allow-list are called.

    RQ itself would import any name that is in Redis, as function or as callback, send webhooks, repeat and time out as
    the message says.
    """

    def refresh(self) -> None:
        """Read the message. Raises PermissionError before loading one that is larger than any valid message."""
        used_bytes = self.connection.memory_usage(self.key, samples=0)
        if used_bytes is not None and used_bytes > MESSAGE_BYTES_MAX:
            raise PermissionError(f"the message has {used_bytes} bytes")
        super().refresh()  # type: ignore[no-untyped-call]  # untyped in RQ

    def restore(self, raw_data: Mapping[bytes, bytes]) -> None:
        """Take the call and the status from the message, and everything else from this code."""
        super().restore({name: value for name, value in raw_data.items() if name in TAKEN})
        self.origin, self.timeout = QUEUE, -1
        self.result_ttl, self.failure_ttl = RESULT_TTL_SECONDS, FAILURE_TTL_SECONDS

    @property
    def is_ours(self) -> bool:
        """Return whether it calls a function of the allow-list."""
        try:
            call: tuple[Any, ...] = (self.func_name, self.instance, self.args, self.kwargs)
        except DeserializationError:
            return False
        name, instance, args, named = call
        is_allowed = isinstance(name, str) and name in ALLOWED and not instance
        return is_allowed and isinstance(args, list | tuple) and isinstance(named, dict)

    @property
    def func(self) -> Any:  # noqa: ANN401  # RQ's own signature
        if self.func_name not in ALLOWED:
            raise PermissionError("the message names a function that is not allowed")
        return super().func


class WakeUps(Queue):
    """The only queue, with JSON messages."""

    job_class = AllowedJob


def redis_url(settings: Settings) -> str:
    """Return the URL of the configured Redis or the embedded Valkey. Raises QueueUnavailable if Valkey is down."""
    if settings.redis_url is not None:
        return settings.redis_url
    try:
        url = (settings.dir / VALKEY_URL_FILE).read_text().strip()
        is_left = url.startswith(UNIX) and _is_left(url.removeprefix(UNIX).partition("?")[0])
    except OSError:
        is_left = True
    if is_left:
        hint = "start `portability up` in another terminal" if settings.embedded else NO_REDIS_HINT
        raise QueueUnavailable(f"no Valkey is running for {settings.dir}", hint=hint)
    return url


def _is_left(path: str) -> bool:
    """Return whether no one listens on a socket: a stack that was killed leaves it, and the file that names it."""
    with socket.socket(socket.AF_UNIX) as knock:
        knock.settimeout(1)
        try:
            knock.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return True
        except OSError:
            return False  # it is slow, for example: the client says what is wrong
    return False


def connect(url: str, *, waits: bool = False, answer_seconds: float = ANSWER_SECONDS) -> Redis:
    """Make a client that fails after some seconds instead of hanging; `waits` is for a worker's blocking pop."""
    timeout, connects = WAIT_SECONDS if waits else answer_seconds, min(CONNECT_SECONDS, answer_seconds)
    return Redis.from_url(url, socket_connect_timeout=connects, socket_timeout=timeout, health_check_interval=15)


def open_queue(connection: Redis) -> WakeUps:
    """Open the queue on a connection."""
    return WakeUps(QUEUE, connection=connection, serializer=JSONSerializer, job_class=AllowedJob, default_timeout=-1)


def wake(queue: WakeUps, export_id: str) -> None:
    """Send one wake-up. Id and version are for tracing: the worker claims by SQL. Raises QueueUnavailable."""
    try:
        queue.enqueue(
            TASK,
            export_id,
            MESSAGE_VERSION,
            result_ttl=RESULT_TTL_SECONDS,
            failure_ttl=FAILURE_TTL_SECONDS,
            description=f"advance {export_id}",
        )
    except RedisError as error:
        seen = f"Redis did not accept a wake-up: {type(error).__name__}"
        raise QueueUnavailable(seen, hint=_no_writes_hint(error)) from error


class RequestWaker:
    """Wakes workers for people's requests: without Redis the clock does it later, and no one waits twice for it."""

    def __init__(self, open_redis: Callable[[], Redis]) -> None:
        self._open_redis = open_redis
        self._resting_until = 0.0

    def wake(self, export_id: str) -> None:
        """Send one wake-up, unless Redis has failed within the last seconds; no error is raised."""
        if time.monotonic() < self._resting_until:
            return
        try:
            wake(open_queue(self._open_redis()), export_id)
        except QueueUnavailable:
            self._resting_until = time.monotonic() + REST_SECONDS


def check_writable(queue: WakeUps) -> None:
    """Store a key for some seconds: a Redis may answer, and take neither wake-ups nor heartbeats.

    Raises: QueueUnavailable.
    """
    try:
        queue.connection.set(PROBE_KEY, "1", ex=PROBE_SECONDS)
    except RedisError as error:
        seen = f"Redis answers, and stores nothing: {type(error).__name__}"
        raise QueueUnavailable(seen, hint=_no_writes_hint(error)) from error


def evicting_policy(queue: WakeUps) -> str | None:
    """Return the policy by which Redis evicts keys when its memory is full; None: it evicts none, or does not say."""
    try:
        memory: Mapping[str, Any] = queue.connection.info("memory")
    except RedisError:
        return None
    policy = str(memory.get("maxmemory_policy", NO_EVICTION))
    return policy if memory.get("maxmemory") and policy != NO_EVICTION else None


def count_workers(queue: WakeUps) -> int:
    """Count the workers that listen to the queue. Raises QueueUnavailable."""
    try:
        keys = worker_registration.get_keys(queue=queue)
        return int(queue.connection.exists(*keys)) if keys else 0
    except RedisError as error:
        raise not_reached(error) from error


def beat_clock(queue: WakeUps, every_seconds: float) -> None:
    """Report that a clock is at work, which does so every `every_seconds`. Raises QueueUnavailable."""
    try:
        queue.connection.set(CLOCK_KEY, "1", ex=max(CLOCK_SECONDS_MIN, ceil(5 * every_seconds)))
    except RedisError as error:
        seen = f"Redis did not store the clock's heartbeat: {type(error).__name__}"
        raise QueueUnavailable(seen, hint=_no_writes_hint(error)) from error


def has_clock(queue: WakeUps) -> bool:
    """Return whether a clock has sent a heartbeat recently. Raises QueueUnavailable."""
    try:
        return bool(queue.connection.exists(CLOCK_KEY))
    except RedisError as error:
        raise not_reached(error) from error


def waiting_wake_ups(queue: WakeUps) -> int:
    """Return how many wake-ups no worker has taken yet. Raises QueueUnavailable."""
    try:
        return int(queue.count)
    except RedisError as error:
        raise QueueUnavailable(f"Redis did not count the waiting wake-ups: {type(error).__name__}") from error
