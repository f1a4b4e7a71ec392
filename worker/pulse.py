"""The pulse of a child process: a count in memory that it shares with its parent, raised while it lives."""

from __future__ import annotations

import mmap
import time


class Pulse:
    """Made before the fork; the child beats, the parent watches. One write of eight bytes cannot be seen in halves."""

    def __init__(self) -> None:
        self._beats = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")

    def beat(self) -> None:
        """A sign of life."""
        self._beats[0] += 1

    @property
    def beats(self) -> int:
        """So many since the beginning."""
        return self._beats[0]


class Watch:
    """How long a pulse has been silent, by the clock of whoever watches; the beginning counts as a beat."""

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self._seen, self._seen_at = pulse.beats, time.monotonic()

    def silent_seconds(self) -> float:
        """Since the last time that a beat was new. Ask often: what is not looked at is not seen."""
        if self._pulse.beats != self._seen:
            self._seen, self._seen_at = self._pulse.beats, time.monotonic()
        return time.monotonic() - self._seen_at


pulse = Pulse()
"""Of this process's child, or of this process if it is the child."""
