"""Rates of calls that all workers share: moving windows in Redis (ADR 59)."""

from __future__ import annotations

import time
from collections.abc import Sequence

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis import Redis

from portability.api.shared import Rate

PREFIX = "portability:rate"
SHORTEST_WAIT_SECONDS = 0.005


class SharedRates:
    """The windows of all buckets. A caller that gets no call waits, and asks again: there is no queue of callers."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        # The library takes its scheme from the URL, and its connections from the pool.
        storage = RedisStorage("redis://", connection_pool=redis.connection_pool, key_prefix=PREFIX)
        self._windows = MovingWindowRateLimiter(storage)

    def take(self, rates: Sequence[Rate]) -> float:
        """Take one call of every rate and return 0, or return the seconds to wait. Raises RedisError."""
        paused = [self._redis.pttl(_pause_key(rate.bucket)) for rate in rates]
        if (longest_ms := max(paused, default=0)) > 0:
            return longest_ms / 1000
        # A single window is taken or full by one command; of several, none is taken if one is full.
        several = rates if len(rates) > 1 else ()
        full = [wait for rate in several if (wait := self._full_for(rate)) > 0]
        if full:
            return max(full)
        for rate in rates:
            # Another worker may have taken the last call since: what was taken of other buckets is then lost to them.
            if not self._windows.hit(_item(rate), rate.bucket):
                return self._full_for(rate) or SHORTEST_WAIT_SECONDS
        return 0.0

    def pause(self, bucket: str, seconds: float) -> None:
        """Stop the calls of a bucket; a longer pause that is set already stays. Raises RedisError."""
        key, wanted_ms = _pause_key(bucket), max(1, int(seconds * 1000))
        if self._redis.pttl(key) < wanted_ms:
            self._redis.set(key, "1", px=wanted_ms)

    def _full_for(self, rate: Rate) -> float:
        item = _item(rate)
        if self._windows.test(item, rate.bucket):
            return 0.0
        return max(SHORTEST_WAIT_SECONDS, self._windows.get_window_stats(item, rate.bucket).reset_time - time.time())


def _item(rate: Rate) -> RateLimitItem:
    return RateLimitItemPerSecond(rate.calls, rate.seconds)


def _pause_key(bucket: str) -> str:
    return f"{PREFIX}:pause:{bucket}"
