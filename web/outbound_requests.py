"""Requests to other parties' servers while a caller waits: each occupies a thread of this process until it is answered.

A server that answers slowly must not occupy all of them: then no page would be answered any more.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from portability.safe_http import RemoteUnavailable

OF_ONE = 8
"""Requests to one party at the same time."""
OF_ALL = 16
"""Requests to all parties at the same time: less than half of the 40 threads of a process."""


class OutboundRequests:
    """Counts the requests of this process that are running, by the party that they go to. Thread-safe."""

    def __init__(self, of_one: int = OF_ONE, of_all: int = OF_ALL) -> None:
        self._of_one, self._of_all = of_one, of_all
        self._running: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def to(self, party: str) -> Iterator[None]:
        """Count one request to a party, for the length of the block.

        Raises: RemoteUnavailable at once if too many are running: the caller retries, and occupies no thread.
        """
        with self._lock:
            if self._running[party] >= self._of_one or self._running.total() >= self._of_all:
                raise RemoteUnavailable("too many requests wait for the other party's server")
            self._running[party] += 1
        try:
            yield
        finally:
            with self._lock:
                self._running[party] -= 1
                self._running += Counter()  # without the parties that have no request any more
