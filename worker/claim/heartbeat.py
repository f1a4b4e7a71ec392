"""The heartbeat of a child process: a counter in memory shared with its parent, increased while it is alive.

Beside it the child announces that more work waits, so that the parent makes another child for it.
"""

from __future__ import annotations

import mmap
import time


class Heartbeat:
    """Made before the fork; the child beats, the parent watches. A write of eight bytes is atomic."""

    def __init__(self) -> None:
        self._beats = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")

    def beat(self) -> None:
        """Signal that the process is alive."""
        self._beats[0] += 1

    def announce_more(self) -> None:
        """Tell the parent that more work waits than this process does."""
        self._beats[1] = 1

    def take_more(self) -> bool:
        """Return whether the child has announced more work, and forget it."""
        more, self._beats[1] = bool(self._beats[1]), 0
        return more

    @property
    def beats(self) -> int:
        """Return the number of beats since the beginning."""
        return self._beats[0]


class Watch:
    """How long a heartbeat has been silent, by the observer's clock; the beginning counts as a beat."""

    def __init__(self, heartbeat: Heartbeat) -> None:
        self._heartbeat = heartbeat
        self._seen, self._seen_at = heartbeat.beats, time.monotonic()

    def silent_seconds(self) -> float:
        """Return the seconds since a new beat was last seen. Call it often: unobserved beats do not count."""
        if self._heartbeat.beats != self._seen:
            self._seen, self._seen_at = self._heartbeat.beats, time.monotonic()
        return time.monotonic() - self._seen_at


process_heartbeat = Heartbeat()
"""The heartbeat of this process's child, or of this process if it is the child."""
