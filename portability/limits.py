"""Limits on tries of logins, codes and links, counted in Redis; without it in this process, and then more strictly.

Never open, never an error of ours: a limit that cannot be counted is a smaller limit. Redis sees hashes alone.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from redis import Redis
from redis.exceptions import RedisError

from portability.errors import PortabilityError
from portability.refusals import TooManyAttempts

REST_SECONDS = 5
"""How long Redis is left alone after it has failed: nobody waits for it at every try."""
KEPT_MAX = 10_000
"""Counters in this process; beyond it the oldest are forgotten."""


@dataclass(frozen=True, slots=True)
class Rule:
    """So many tries in so many seconds, for each that is counted."""

    name: str
    most: int
    window_seconds: int

    @property
    def most_alone(self) -> int:
        """In a process that counts alone: there may be several."""
        return max(1, self.most // 4)


LOGIN = Rule("login", 20, 300)
CODE = Rule("code", 20, 600)
LINK = Rule("link", 120, 60)
REQUEST = Rule("request", 60, 60)
RECEIPT = Rule("receipt", 20, 300)
"""For each we ask the recipient for its keys."""


class Limits:
    """Counters of tries. `salt` is the deployment's: without it a hash of an address could be guessed."""

    def __init__(self, connect: Callable[[], Redis], salt: str, clock: Callable[[], float] = time.time) -> None:
        self._connect, self._salt, self._clock = connect, salt.encode(), clock
        self._redis: Redis | None = None
        self._resting_until = 0.0
        self._alone: OrderedDict[str, int] = OrderedDict()
        self._lock = Lock()

    def attempt(self, rule: Rule, *counted: str) -> None:
        """Count one try by whatever tells who tries: an address, a link. Raises TooManyAttempts."""
        present = self._clock()
        window = int(present // rule.window_seconds)
        named = "\0".join((rule.name, str(window), *counted)).encode(errors="replace")
        key = f"portability:limit:{rule.name}:{hmac.digest(self._salt, named, hashlib.sha256).hex()}"
        count, most = self._counted(key, rule)
        if count > most:
            wait_seconds = int((window + 1) * rule.window_seconds - present) + 1
            raise TooManyAttempts(retry_after_seconds=wait_seconds)

    def _counted(self, key: str, rule: Rule) -> tuple[int, int]:
        if time.monotonic() >= self._resting_until:
            try:
                return self._count_in_redis(key, rule), rule.most
            except (RedisError, OSError, PortabilityError):
                self._redis, self._resting_until = None, time.monotonic() + REST_SECONDS
        return self._count_alone(key), rule.most_alone

    def _count_in_redis(self, key: str, rule: Rule) -> int:
        if self._redis is None:
            self._redis = self._connect()
        with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.incr(key)
            pipeline.expire(key, rule.window_seconds * 2)
            count, _ = pipeline.execute()
        return int(count)

    def _count_alone(self, key: str) -> int:
        with self._lock:
            count = self._alone[key] = self._alone.pop(key, 0) + 1
            while len(self._alone) > KEPT_MAX:
                self._alone.popitem(last=False)
            return count
