"""Rates of calls that all workers share: moving windows in Redis (ADR 59, ADR 89)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from redis import Redis

from portability.api.shared import Rate

PREFIX = "portability:rate"
SHORTEST_WAIT_SECONDS = 0.005
MICROSECONDS = 1_000_000
TAKE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local wait = 0
for i = 1, #KEYS, 2 do
    local first = redis.call('LINDEX', KEYS[i], ARGV[i] - 1)
    wait = math.max(wait, first and first + ARGV[i + 1] - now or 0, redis.call('PTTL', KEYS[i + 1]) * 1000)
end
if wait == 0 then
    for i = 1, #KEYS, 2 do
        redis.call('LPUSH', KEYS[i], string.format('%.0f', now))
        redis.call('LTRIM', KEYS[i], 0, ARGV[i] - 1)
        redis.call('PEXPIRE', KEYS[i], ARGV[i + 1] / 1000)
    end
end
return wait
"""
"""Returns the microseconds to wait, or takes one call of every rate. The clock is that of the server.

A window is a list of the times of its last calls, the last of them first, and is full if its earliest call is within
the period. KEYS: for each rate its window and its pause; ARGV: its calls and its period in microseconds.
"""


class SharedRates:
    """The windows of all buckets. A caller that gets no call waits, and asks again: there is no queue of callers."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._take = redis.register_script(TAKE)

    def take(self, rates: Sequence[Rate]) -> float:
        """Take one call of every rate and return 0, or take none and return the seconds to wait. Raises RedisError."""
        keys = chain.from_iterable((_window_key(rate), _pause_key(rate.bucket)) for rate in rates)
        windows = chain.from_iterable((rate.calls, rate.seconds * MICROSECONDS) for rate in rates)
        wait = self._take(keys=list(keys), args=list(windows))
        return max(SHORTEST_WAIT_SECONDS, wait / MICROSECONDS) if wait > 0 else 0.0

    def pause(self, bucket: str, seconds: float) -> None:
        """Stop the calls of a bucket; a longer pause that is set already stays. Raises RedisError."""
        key, wanted_ms = _pause_key(bucket), max(1, int(seconds * 1000))
        if self._redis.pttl(key) < wanted_ms:
            self._redis.set(key, "1", px=wanted_ms)


def _window_key(rate: Rate) -> str:
    """Return the key of a window; workers with another rate for the bucket count alone."""
    return f"{PREFIX}:{rate.bucket}:{rate.calls}/{rate.seconds}"


def _pause_key(bucket: str) -> str:
    return f"{PREFIX}:pause:{bucket}"
