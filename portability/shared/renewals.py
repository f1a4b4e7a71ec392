"""The right to renew the secret of a source: a lock in Redis, for one renewal at a time in all processes.

A process extends its lock while it renews. The lock of a process that died ends by itself after LEASE_SECONDS; until
then others wait, because they cannot know that it died.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis
from redis.exceptions import LockError, RedisError
from redis.lock import Lock

from portability.api.shared import RENEWAL_SECONDS

LOCK = "portability:renew"
LEASE_SECONDS = 30.0
"""A process may be stopped for this time while it renews, as by its host, and no other renews meanwhile."""
EXTENSIONS_PER_LEASE = 6
WAIT_SECONDS = RENEWAL_SECONDS + LEASE_SECONDS
"""How long to wait for another process: for a whole renewal, or until the lock of a dead process has ended."""
HELD_SECONDS_MAX = 2 * RENEWAL_SECONDS
"""A renewal that never ends keeps its lock for no longer."""


@contextmanager
def alone(redis: Redis, name: str) -> Iterator[None]:
    """Renew the secret of a name alone, in the block. Raises LockError if another process does; RedisError."""
    lock = redis.lock(f"{LOCK}:{name}", timeout=LEASE_SECONDS, blocking_timeout=WAIT_SECONDS, thread_local=False)
    is_over = threading.Event()
    with lock:
        threading.Thread(target=_extend, args=(lock, is_over), name="renewal", daemon=True).start()
        try:
            yield
        finally:
            is_over.set()


def _extend(lock: Lock, is_over: threading.Event) -> None:
    ends_at = time.monotonic() + HELD_SECONDS_MAX
    while time.monotonic() < ends_at and not is_over.wait(LEASE_SECONDS / EXTENSIONS_PER_LEASE):
        try:
            lock.reacquire()
        except LockError:
            return
        except RedisError:
            continue  # away for a moment: the lease may last longer
