"""How slow a sender may be."""

from __future__ import annotations

from collections.abc import Callable

from receiver.faults import SenderUnavailable

LEAST_BYTES_PER_SECOND = 1024
"""A sender that is slower over a whole window does not answer: it would keep this side busy for years."""
WINDOW_SECONDS = 60.0


class Pace:
    """The rate of a sender within one answer."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = clock()
        self._bytes = 0

    def note(self, size: int) -> None:
        """Note received bytes. Raises SenderUnavailable at the end of a window that was too slow."""
        self._bytes += size
        seconds = self._clock() - self._since
        if seconds >= WINDOW_SECONDS:
            if self._bytes < LEAST_BYTES_PER_SECOND * seconds:
                raise SenderUnavailable(f"the sender sends fewer than {LEAST_BYTES_PER_SECOND} bytes per second")
            self._since, self._bytes = self._clock(), 0
